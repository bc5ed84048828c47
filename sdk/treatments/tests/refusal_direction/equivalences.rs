//! G5: changing states and changing weights are the same, on a tiny random transformer.

use crate::assert_near;
use crate::tiny::{Hook, Random, Tiny, WIDTH};

const TOKENS: [usize; 5] = [3, 0, 6, 6, 2];
/// The floor of 1e-8 beside the norm, times what two blocks make of it.
const FLOOR: f64 = 1e-6;
/// Sums in another order.
const ROUNDING: f64 = 1e-12;

fn scaled(direction: &[f64], factor: f64) -> Vec<f64> {
    direction.iter().map(|r| factor * r).collect()
}

/// How far apart two models' logits are.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn models() -> impl Iterator<Item = (Tiny, Vec<f64>, Vec<f64>)> {
    (1..6).map(|seed| {
        let (model, direction) = (Tiny::random(seed), Random(seed + 100).numbers(WIDTH));
        let plain = model.logits(&TOKENS, &Hook::None);
        (model, direction, plain)
    })
}

#[test]
fn ablating_states_equals_orthogonalising_weights() {
    for (model, direction, plain) in models() {
        let hooked = model.logits(&TOKENS, &Hook::Ablate(&direction));
        let weights = model.orthogonalised(&direction).logits(&TOKENS, &Hook::None);
        assert_near(&weights, &hooked, FLOOR);
        assert!(distance(&hooked, &plain) > 1e-2, "the direction does nothing here");
    }
}

#[test]
fn an_output_bias_breaks_the_equality_until_it_is_orthogonalised_too() {
    for (model, direction, _) in models() {
        let model = model.with_bias(0, &[1.0; WIDTH], 0.5);
        let hooked = model.logits(&TOKENS, &Hook::Ablate(&direction));
        let without = model.clone().orthogonalised(&direction).logits(&TOKENS, &Hook::None);
        assert!(distance(&without, &hooked) > 1e-3);
        let bias = sonde_treatments::refusal_direction::ablated(&[0.5; WIDTH], &direction).unwrap();
        let with = model.orthogonalised(&direction).with_bias(0, &bias, 1.0).logits(&TOKENS, &Hook::None);
        assert_near(&with, &hooked, FLOOR);
    }
}

#[test]
fn adding_at_a_blocks_input_equals_a_bias_of_the_block_before() {
    for (model, direction, plain) in models() {
        let hooked = model.logits(&TOKENS, &Hook::Add(1, &direction, -0.7));
        let biased = model.with_bias(0, &direction, -0.7).logits(&TOKENS, &Hook::None);
        assert_near(&biased, &hooked, ROUNDING);
        assert!(distance(&hooked, &plain) > 1e-2);
    }
}

#[test]
fn a_direction_of_zero_changes_nothing() {
    for (model, _, plain) in models() {
        let zero = [0.0; WIDTH];
        assert_eq!(model.logits(&TOKENS, &Hook::Ablate(&zero)), plain);
        assert_eq!(model.logits(&TOKENS, &Hook::Add(1, &zero, 1.0)), plain);
        assert_eq!(model.orthogonalised(&zero).logits(&TOKENS, &Hook::None), plain);
    }
}

#[test]
fn only_addition_depends_on_the_directions_length_and_sign() {
    for (model, direction, _) in models() {
        let ablated = model.logits(&TOKENS, &Hook::Ablate(&direction));
        let added = model.logits(&TOKENS, &Hook::Add(0, &direction, 1.0));
        for factor in [-1.0, 0.5, 40.0] {
            let longer = scaled(&direction, factor);
            assert_near(&model.logits(&TOKENS, &Hook::Ablate(&longer)), &ablated, FLOOR);
            assert!(distance(&model.logits(&TOKENS, &Hook::Add(0, &longer, 1.0)), &added) > 1e-2);
        }
    }
}
