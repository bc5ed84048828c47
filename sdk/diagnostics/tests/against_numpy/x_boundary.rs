//! X-Boundary against NumPy and scikit-learn.

use sonde_diagnostics::probe::FOLDS;
use sonde_diagnostics::x_boundary::{Class, Layer};
use sonde_diagnostics::{Gram, Vectors};

use crate::reference::{assert_is, assert_near, cases, labels, numbers, vectors};

fn classes(labels: &[u32]) -> Vec<Class> {
    let class = |label: &u32| match label {
        0 => Class::Harmful,
        1 => Class::Safe,
        _ => Class::Boundary,
    };
    labels.iter().map(class).collect()
}

#[test]
fn every_score_is_that_of_numpy_and_scikit_learn() {
    for case in cases("x_boundary") {
        let vectors = vectors(case);
        let layer = Layer::new(&vectors, &classes(&labels(case))).unwrap();
        let scores = layer.scores(FOLDS).unwrap();
        assert_is(case, "separation_score", scores.separation_score);
        assert_is(case, "boundary_ratio", scores.boundary_ratio);
        assert_is(case, "dist_bound_safe", scores.dist_bound_safe);
        assert_is(case, "dist_bound_harmful", scores.dist_bound_harmful);
        assert_is(case, "cosine_safe_harmful", scores.cosine_safe_harmful.unwrap());
        assert_is(case, "cosine_boundary_safe", scores.cosine_boundary_safe.unwrap());
        assert_is(case, "cosine_boundary_harmful", scores.cosine_boundary_harmful.unwrap());
        assert_is(case, "fisher_ratio", scores.fisher_ratio.unwrap());
        assert_is(case, "silhouette", scores.silhouette);
        assert_is(case, "silhouette_three", scores.silhouette_three);
        assert_is(case, "auroc", scores.auroc.unwrap());
        assert_is(case, "mean_norm", scores.mean_norm);
        for (got, expected) in layer.places().unwrap().into_iter().zip(numbers(&case["places"])) {
            assert_near("place", got, expected, 1e-9);
        }
    }
}

#[test]
fn the_centroids_own_places_are_zero_and_one() {
    let case = &cases("x_boundary")[0];
    let (vectors, labels) = (vectors(case), labels(case));
    let places = Layer::new(&vectors, &classes(&labels)).unwrap().places().unwrap();
    for (label, expected) in [(1, 0.0), (0, 1.0)] {
        let of: Vec<f64> = places
            .iter()
            .zip(&labels)
            .filter(|(_, found)| **found == label)
            .map(|(place, _)| *place)
            .collect();
        assert_near("mean place", of.iter().sum::<f64>() / of.len() as f64, expected, 1e-12);
    }
}

#[test]
fn permutations_have_the_mean_and_spread_that_numpys_permutations_have() {
    // Both are 1,000 random permutations: the means differ by about sd·√(2/1000) = 0.045 sd, the standard deviations by
    // about sd/√1000 = 0.03 sd (more for heavy tails). Five times that.
    for case in cases("x_boundary") {
        let vectors = vectors(case);
        let nulls = Layer::new(&vectors, &classes(&labels(case))).unwrap().null(1000, FOLDS, 7).unwrap();
        let nulls = [
            nulls.separation_score,
            nulls.ln_boundary_ratio,
            nulls.fisher_ratio,
            nulls.silhouette,
            nulls.auroc,
        ];
        let expected = numbers(&case["null_mean"]).into_iter().zip(numbers(&case["null_sd"]));
        let pair: Vec<usize> = (0..vectors.count()).filter(|&place| labels(case)[place] < 2).collect();
        let rows: Vec<&[f64]> = pair.iter().map(|&place| vectors.sample(place).unwrap()).collect();
        let is_harmful: Vec<bool> = pair.iter().map(|&place| labels(case)[place] == 0).collect();
        let gram = Gram::new(&Vectors::new(&rows).unwrap());
        let of_pair = sonde_diagnostics::probe::null(&gram, &is_harmful, FOLDS, 1000, 2).unwrap();
        assert_is(case, "auroc", of_pair.observed);
        let nulls = nulls.into_iter().chain([Some(of_pair)]);
        let expected =
            expected.chain(numbers(&case["null_mean"]).into_iter().zip(numbers(&case["null_sd"])).skip(4));
        for (null, (mean, sd)) in nulls.into_iter().zip(expected) {
            let null = null.unwrap();
            assert!((null.mean - mean).abs() < 0.23 * sd, "mean {} against {mean}, sd {sd}", null.mean);
            assert!((null.sd / sd - 1.0).abs() < 0.2, "sd {} against {sd}", null.sd);
            assert!((null.z.unwrap() - (null.observed - null.mean) / null.sd).abs() < 1e-9);
        }
    }
}

#[test]
fn separated_classes_are_significant_and_equal_ones_are_not() {
    let null = |place: usize| {
        let case = &cases("x_boundary")[place];
        let vectors = vectors(case);
        Layer::new(&vectors, &classes(&labels(case))).unwrap().null(500, FOLDS, 1).unwrap()
    };
    // Of 16 samples, 7 harmful, one in 11,440 arrangements is the true one; some permutations may hit it.
    let separated = null(2);
    assert!(separated.separation_score.unwrap().p < 0.01 && separated.silhouette.unwrap().p < 0.01);
    let equal = null(1);
    assert!(equal.separation_score.unwrap().p > 0.05 && equal.auroc.unwrap().p > 0.05);
}

#[test]
fn bootstrap_intervals_are_numpys() {
    // 4,000 resamples each; an end scatters by about 0.06 standard deviations of the resampled score. Four times that.
    for case in cases("x_boundary") {
        let vectors = vectors(case);
        let intervals = Layer::new(&vectors, &classes(&labels(case))).unwrap().intervals(4000, 3);
        let got = [intervals.separation_score.unwrap(), intervals.boundary_ratio.unwrap()];
        let spread = numbers(&case["resampled_sd"]);
        for ((got, expected), sd) in got.iter().zip(case["interval"].as_array().unwrap()).zip(spread) {
            for (got, expected) in got.iter().zip(numbers(expected)) {
                assert!((got - expected).abs() < 0.25 * sd, "{got} against {expected}, sd {sd}");
            }
        }
    }
}
