//! PCA and t-SNE against scikit-learn.

use serde_json::Value;
use sonde_diagnostics::scatter::{TsneOptions, pca, tsne};

use crate::reference::{assert_near, numbers, reference, vectors};

#[test]
fn principal_components_are_scikit_learns_with_their_signs() {
    let case = reference("scatter");
    let found = pca(&vectors(case)).unwrap();
    let points = case["points"].as_array().into_iter().flatten().map(numbers);
    for (got, expected) in found.points.iter().zip(points) {
        // Iteration stops when eigenvalues are settled to 1e-13; their vectors are then known to about the root of that.
        assert_near("x", got[0], expected[0], 1e-6);
        assert_near("y", got[1], expected[1], 1e-6);
    }
    for (got, expected) in found.explained.iter().zip(numbers(&case["explained"])) {
        assert_near("share of variance", *got, expected, 1e-12);
    }
}

#[test]
fn a_map_keeps_neighbours_as_well_as_scikit_learns_does_and_is_the_same_each_time() {
    let case = reference("scatter");
    let vectors = vectors(case);
    let options = TsneOptions { perplexity: 10.0, ..TsneOptions::default() };
    let map = tsne(&vectors, options).unwrap();
    assert_eq!(map, tsne(&vectors, options).unwrap());
    let rows: Vec<Vec<f64>> = case["vectors"].as_array().into_iter().flatten().map(numbers).collect();
    let points: Vec<Vec<f64>> = map.points.iter().map(|point| point.to_vec()).collect();
    let got = trustworthiness(&rows, &points, 7);
    let theirs = case.get("tsne_trustworthiness").and_then(Value::as_f64).unwrap();
    // Another optimum of the same cost; 1 is perfect, random points have 0.5.
    assert!(got > theirs - 0.02, "{got} where scikit-learn has {theirs}");
}

#[test]
fn too_few_samples_lower_the_perplexity() {
    let case = reference("scatter");
    assert_near(
        "perplexity",
        tsne(&vectors(case), TsneOptions::default()).unwrap().perplexity,
        44.0 / 3.0,
        1e-12,
    );
}

/// Venna & Kaski 2001, as scikit-learn's `trustworthiness`.
fn trustworthiness(original: &[Vec<f64>], embedded: &[Vec<f64>], neighbours: usize) -> f64 {
    let order = |rows: &[Vec<f64>], from: usize| -> Vec<usize> {
        let distance = |to: usize| -> f64 {
            let pairs = rows.get(from).into_iter().flatten().zip(rows.get(to).into_iter().flatten());
            pairs.map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut others: Vec<usize> = (0..rows.len()).filter(|&other| other != from).collect();
        others.sort_by(|&one, &other| distance(one).total_cmp(&distance(other)));
        others
    };
    let (count, k) = (original.len() as f64, neighbours as f64);
    let mut penalty = 0.0;
    for sample in 0..original.len() {
        let (before, after) = (order(original, sample), order(embedded, sample));
        for near in after.into_iter().take(neighbours) {
            let rank = before.iter().position(|&other| other == near).map_or(0, |place| place + 1);
            penalty += (rank as f64 - k).max(0.0);
        }
    }
    1.0 - penalty * 2.0 / (count * k * (2.0 * count - 3.0 * k - 1.0))
}
