//! TELLME against NumPy and SciPy.

use nalgebra::DMatrix;
use sonde_diagnostics::tellme::{CodingRates, EPSILON, Geometry, distances, effective_rank};

use crate::reference::{assert_is, assert_near, cases, labels, vectors};

#[test]
fn deepscans_metrics_are_numpys_for_fewer_and_for_more_samples_than_dimensions() {
    for case in cases("tellme") {
        let (vectors, labels) = (vectors(case), labels(case));
        let rate = CodingRates::new(&vectors, EPSILON).unwrap().rate_of_classes(&labels).unwrap();
        assert_is(case, "R_diff", rate.r_diff);
        assert_is(case, "R_same", rate.r_same);
        assert_is(case, "R_gap", rate.r_gap());
        assert_is(case, "erank", effective_rank(&vectors).unwrap());
        let distances = distances(&vectors, &labels).unwrap();
        assert_is(case, "cos_sim", distances.cos_sim);
        assert_is(case, "pcc", distances.pcc);
        assert_is(case, "L1", distances.l1);
        assert_is(case, "L2", distances.l2);
        assert_is(case, "hausdorff", distances.hausdorff);
    }
}

#[test]
fn the_real_cosines_correlations_and_distances_are_scipys() {
    for case in cases("tellme") {
        let geometry = Geometry::new(&vectors(case), &labels(case)).unwrap();
        let expected = &case["geometry"];
        assert_is(expected, "between_class_cosine", geometry.between_class_cosine);
        assert_is(expected, "within_class_cosine", geometry.within_class_cosine.unwrap());
        assert_is(expected, "centroid_correlation", geometry.centroid_correlation.unwrap());
        assert_is(expected, "mean_pairwise_l2", geometry.mean_pairwise_l2);
        assert_is(expected, "energy_distance", geometry.energy_distance);
        assert_is(expected, "energy_coefficient", geometry.energy_coefficient.unwrap());
    }
}

#[test]
fn the_form_with_samples_squared_equals_the_form_with_dimensions_squared() {
    // The definition with nalgebra's LU determinant, wider than any block of ours.
    let (samples, width) = (70, 150);
    let values: Vec<f64> = (0..samples * width).map(|i| ((i * i + 3 * i) as f64).sin()).collect();
    let labels: Vec<u32> = (0..samples).map(|sample| u32::from(sample % 3 == 0)).collect();
    let mut normalised = DMatrix::from_vec(width, samples, values.clone());
    for mut row in normalised.row_iter_mut() {
        let norm = row.norm();
        row /= norm;
    }
    let rate = |part: &DMatrix<f64>| {
        let scale = width as f64 / (part.ncols() as f64 * EPSILON);
        let matrix = DMatrix::identity(width, width) + part * part.transpose() * scale;
        matrix.lu().u().diagonal().iter().map(|entry| entry.abs().ln()).sum::<f64>() / 2.0
    };
    let mut same = 0.0;
    for class in [0, 1] {
        let places: Vec<usize> = (0..samples).filter(|&place| labels[place] == class).collect();
        same += places.len() as f64 / samples as f64 * rate(&normalised.select_columns(&places));
    }
    let vectors = sonde_diagnostics::Vectors::flat(width, values).unwrap();
    let got = CodingRates::new(&vectors, EPSILON).unwrap().rate_of_classes(&labels).unwrap();
    assert_near("R_diff", got.r_diff, rate(&normalised), 1e-10);
    assert_near("R_same", got.r_same, same, 1e-10);
}

#[test]
fn permutations_have_the_mean_and_spread_that_numpys_permutations_have() {
    // 500 permutations each: means differ by about 0.063 sd, standard deviations by about 4.5 %. Four times that.
    for case in cases("tellme") {
        let null = CodingRates::new(&vectors(case), EPSILON).unwrap().null(&labels(case), 500, 5).unwrap();
        let (mean, sd) = (case["null_mean"].as_f64().unwrap(), case["null_sd"].as_f64().unwrap());
        assert!((null.mean - mean).abs() < 0.25 * sd, "mean {} against {mean}, sd {sd}", null.mean);
        assert!((null.sd / sd - 1.0).abs() < 0.2, "sd {} against {sd}", null.sd);
        // These classes do differ, by 2.6 to 6 standard deviations according to numpy.
        assert!(null.p < 0.05 && null.z.unwrap() > 2.0);
    }
}

#[test]
fn one_class_saves_nothing() {
    let case = &cases("tellme")[0];
    let vectors = vectors(case);
    let rate =
        CodingRates::new(&vectors, EPSILON).unwrap().rate_of_classes(&vec![1; vectors.count()]).unwrap();
    assert_near("R_gap", rate.r_gap(), 0.0, 1e-12);
}
