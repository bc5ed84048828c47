//! G1 to G4: scores, divergence, ablation, orthogonalisation.

use sonde_treatments::refusal_direction::{
    Error, Likeliest, ablated, added, kl_divergence, orthogonalised, orthogonalised_rows, refusal_score,
    refusal_score_of_logprobs, refusal_score_of_probability, softmax,
};

use crate::{assert_near, dot, generated, norm};

const LOGITS: [f64; 5] = [2.0, 0.5, -1.0, 0.0, 1.5];
const CHANGED: [f64; 5] = [1.0, 0.5, -1.0, 0.2, 1.5];
const R: [f64; 3] = [2.0, -1.0, 2.0];
/// A few roundings of numbers near 1.
const ROUNDING: f64 = 1e-12;

#[test]
fn scores_are_those_of_the_specification() {
    let expected = [
        0.496_331_324_463_369_75,
        0.110_746_487_914_193_98,
        0.024_710_881_584_170_25,
        0.067_171_140_375_453_26,
        0.301_040_165_662_812_8,
    ];
    assert_near(&softmax(&LOGITS).unwrap(), &expected, ROUNDING);
    let scores = [
        (vec![0], -0.014_674_965_207_465_362),
        (vec![0, 4], 1.369_946_342_033_189_2),
        (vec![2], -3.675_489_867_736_293),
    ];
    for (tokens, score) in scores {
        assert_near(&[refusal_score(&LOGITS, &tokens).unwrap()], &[score], ROUNDING);
        let logprobs = tokens.iter().map(|token| expected[*token as usize].ln());
        assert_near(&[refusal_score_of_logprobs(logprobs)], &[score], ROUNDING);
    }
    assert_near(
        &[1.0, 0.0, 1.0 + 1e-9].map(refusal_score_of_probability),
        &[18.420_680_753_952_368, -18.420_680_753_952_368, 18.420_680_753_952_368],
        ROUNDING,
    );
}

#[test]
fn logits_that_say_nothing_and_tokens_that_do_not_exist_are_refused() {
    assert_eq!(refusal_score(&LOGITS, &[5]), Err(Error::Token { token: 5, vocabulary: 5 }));
    for logits in [[0.0, f64::NAN], [0.0, f64::INFINITY], [f64::NEG_INFINITY; 2]] {
        assert!(matches!(refusal_score(&logits, &[0]), Err(Error::NotFinite { .. })), "{logits:?}");
    }
    assert!(refusal_score(&[], &[]).is_err());
    assert_near(&softmax(&[1e6, f64::NEG_INFINITY]).unwrap(), &[1.0, 0.0], 0.0);
    assert!(refusal_score_of_logprobs([f64::NAN]).is_nan());
}

#[test]
fn the_divergence_has_the_published_floor() {
    let (p, q) = (softmax(&LOGITS).unwrap(), softmax(&CHANGED).unwrap());
    let found = kl_divergence(&p, &q).unwrap();
    // Without the floor it would be 0.12783605164760597, which the tolerance tells apart.
    assert_near(&[found], &[0.127_836_468_332_014_92], ROUNDING);
    let listed = |numbers: &[f64]| {
        Likeliest::new(5, (0..).zip(numbers).map(|(token, number): (u32, &f64)| (token, number.ln())))
            .unwrap()
    };
    assert_near(&[listed(&p).kl_divergence(&listed(&q)).unwrap()], &[found], ROUNDING);
    assert!(kl_divergence(&p, &q[..4]).is_err());
}

#[test]
fn ablation_takes_the_direction_out() {
    let third = 1.0 / 3.0;
    let once = ablated(&[1.0; 3], &R).unwrap();
    // The 1e-8 beside the norm of 3 leaves 2 · 1e-8/3 of the part along r, whose numbers are 2/3 and 1/3.
    assert_near(&once, &[third, 4.0 * third, third], 5e-9);
    assert_near(&ablated(&once, &R).unwrap(), &once, 5e-9);
    assert!(dot(&once, &R).abs() < 3.0 * 1e-8);
    assert_eq!(ablated(&[1.0, 2.0, 3.0], &[0.0; 3]).unwrap(), [1.0, 2.0, 3.0]);
    assert!(ablated(&[1.0; 4], &R).is_err());
}

#[test]
fn addition_takes_the_direction_as_long_as_it_is() {
    assert_eq!(added(&[1.0; 3], &R, -2.0).unwrap(), [-3.0, 3.0, -3.0]);
    assert!(added(&[1.0; 2], &R, 1.0).is_err());
}

#[test]
fn orthogonalised_weights_write_nothing_along_the_direction() {
    let found = orthogonalised(&[1.0, 2.0, 3.0, 4.0, 5.0, -6.0], 2, &R).unwrap();
    let expected = [-1.0, 14.0 / 3.0, 4.0, 8.0 / 3.0, 3.0, -10.0 / 3.0];
    assert_near(&found, &expected, ROUNDING);
    assert_near(&orthogonalised(&found, 2, &R).unwrap(), &found, ROUNDING);

    // The unit direction of the specification's §2.3, R2.
    let s = [
        0.652_370_140_690_836_5,
        -0.079_048_156_213_566_46,
        -0.694_660_719_074_961_2,
        -0.292_593_701_074_564_7,
    ];
    let found = orthogonalised(&generated(4, 3, 0.0), 3, &s).unwrap();
    let expected = [0.848_531_396_822_505_4, 0.013_870_083_111_043_21, -0.841_110_934_852_246_1];
    assert_near(&found[..3], &expected, ROUNDING);
    for column in 0..3 {
        let column: Vec<f64> = found.iter().skip(column).step_by(3).copied().collect();
        assert!(dot(&s, &column).abs() < 3e-16);
    }
    assert!(orthogonalised(&[0.0; 7], 2, &R).is_err());
}

#[test]
fn the_rows_of_an_embedding_are_orthogonalised_as_states() {
    let embedding = generated(5, 3, 0.4);
    let found = orthogonalised_rows(&embedding, &R).unwrap();
    for (row, of) in found.chunks(3).zip(embedding.chunks(3)) {
        // Ablation has the floor beside the norm, this has not.
        assert_near(row, &ablated(of, &R).unwrap(), 2e-8 * norm(of));
        assert!(dot(row, &R).abs() < ROUNDING);
    }
    assert!(orthogonalised_rows(&embedding[..4], &R).is_err());
}
