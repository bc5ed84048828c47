//! Input that has no answer: an error that says why, or the documented value, never a panic.

use sonde_diagnostics::mi_peaks::{Factor, Kernel, dense, squared_correlation};
use sonde_diagnostics::probe::{FOLDS, difference_of_means};
use sonde_diagnostics::scatter::{TsneOptions, pca, tsne};
use sonde_diagnostics::tellme::{CodingRates, EPSILON, Geometry, distances, effective_rank};
use sonde_diagnostics::x_boundary::{Class, Layer};
use sonde_diagnostics::{Error, Gram, Vectors, silhouette};

const CLASSES: [Class; 6] =
    [Class::Harmful, Class::Safe, Class::Boundary, Class::Harmful, Class::Safe, Class::Boundary];

#[test]
fn vectors_must_be_there_equally_wide_and_finite() {
    assert_eq!(Vectors::new::<f32>(&[[0.0_f32; 0]; 3]), Err(Error::Empty));
    assert_eq!(Vectors::new::<f32>(&[] as &[Vec<f32>]), Err(Error::Empty));
    assert_eq!(Vectors::flat(0, vec![1.0]), Err(Error::Empty));
    let ragged = Vectors::new(&[vec![1.0, 2.0], vec![1.0]]);
    assert_eq!(ragged, Err(Error::Ragged { sample: 1, found: 1, expected: 2 }));
    for wrong in [f64::INFINITY, f64::NEG_INFINITY, 1e61] {
        let found = Vectors::new(&[[1.0, 2.0], [3.0, wrong]]);
        assert_eq!(found, Err(Error::NotFinite { sample: 1, element: 1, value: wrong }));
    }
    let said = Vectors::new(&[[f32::NAN]]).unwrap_err().to_string();
    assert!(said.starts_with("number 0 of vector 0 is NaN; activations must be finite"), "{said}");
}

#[test]
fn a_missing_class_is_named() {
    let vectors = Vectors::new(&[[1.0], [2.0]]).unwrap();
    let error = Layer::new(&vectors, &[Class::Harmful, Class::Safe]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class `boundary` has 0 vectors and this measure needs at least 1; add samples of it"
    );
    let error = Layer::new(&vectors, &[Class::Safe]).unwrap_err();
    assert_eq!(error, Error::Labels { vectors: 2, labels: 1 });
}

#[test]
fn one_sample_a_class_has_distances_and_no_probe() {
    let vectors = Vectors::new(&[[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]).unwrap();
    let layer = Layer::new(&vectors, &CLASSES[..3]).unwrap();
    let scores = layer.scores(FOLDS).unwrap();
    assert!(
        (scores.separation_score - 5.0).abs() < 1e-12 && (scores.boundary_ratio - 4.0 / 3.0).abs() < 1e-12
    );
    assert_eq!((scores.auroc, scores.cosine_safe_harmful, scores.silhouette), (None, None, 0.0));
    let nulls = layer.null(20, FOLDS, 1).unwrap();
    assert_eq!(nulls.auroc, None);
    assert_eq!(nulls.separation_score.unwrap().z, None);
    assert!((nulls.separation_score.unwrap().p - 1.0).abs() < 1e-12);
    assert!(layer.intervals(50, 1).separation_score.is_some());
}

#[test]
fn equal_vectors_have_an_infinite_ratio_and_no_places() {
    for value in [0.0, 0.1, -7e5] {
        let vectors = Vectors::new(&[[value; 5]; 6]).unwrap();
        let layer = Layer::new(&vectors, &CLASSES).unwrap();
        let scores = layer.scores(FOLDS).unwrap();
        assert_eq!((scores.separation_score, scores.boundary_ratio), (0.0, f64::INFINITY));
        assert_eq!((scores.fisher_ratio, scores.silhouette, scores.auroc), (None, 0.0, Some(0.5)));
        assert_eq!(layer.places(), Err(Error::Constant { vectors: 6 }));
        let nulls = layer.null(50, FOLDS, 1).unwrap();
        assert_eq!((nulls.ln_boundary_ratio, nulls.fisher_ratio), (None, None));
        assert_eq!(layer.intervals(50, 1).boundary_ratio, None);

        assert_eq!(effective_rank(&vectors), Err(Error::Constant { vectors: 6 }));
        assert_eq!(pca(&vectors), Err(Error::Constant { vectors: 6 }));
        assert_eq!(tsne(&vectors, TsneOptions::default()), Err(Error::Constant { vectors: 6 }));
        let labels = [0, 1, 0, 1, 0, 1];
        let rates = CodingRates::new(&vectors, EPSILON).unwrap();
        assert!(rates.rate_of_classes(&labels).unwrap().r_gap().is_finite());
        assert!(rates.null(&labels, 10, 1).unwrap().p > 0.9);
        let found = distances(&vectors, &labels).unwrap();
        assert_eq!((found.l1, found.l2, found.hausdorff), (0.0, 0.0, 0.0));
        let geometry = Geometry::new(&vectors, &labels).unwrap();
        assert_eq!((geometry.energy_coefficient, geometry.centroid_correlation), (None, None));
    }
}

#[test]
fn no_permutations_and_no_resamples_give_no_null_and_no_interval() {
    let vectors = Vectors::new(&[[0.0], [1.0], [2.0], [0.5], [1.5], [2.5]]).unwrap();
    let layer = Layer::new(&vectors, &CLASSES).unwrap();
    assert_eq!(layer.null(0, FOLDS, 1).unwrap().separation_score, None);
    assert_eq!(layer.intervals(0, 1).separation_score, None);
    assert!(matches!(layer.null(5, 1, 1), Err(Error::Parameter { name: "folds", .. })));
    let rates = CodingRates::new(&vectors, EPSILON).unwrap();
    assert!(matches!(rates.null(&[0, 1, 0, 1, 0, 1], 0, 1), Err(Error::Parameter { .. })));
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(CodingRates::new(&vectors, epsilon), Err(Error::Parameter { name: "epsilon", .. })));
    }
}

#[test]
fn measures_between_classes_need_two() {
    let vectors = Vectors::new(&[[0.0, 1.0], [1.0, 3.0]]).unwrap();
    let one = Error::Classes { found: 1, needed: 2 };
    assert_eq!(distances(&vectors, &[1, 1]), Err(one.clone()));
    assert_eq!(Geometry::new(&vectors, &[1, 1]), Err(one.clone()));
    assert_eq!(CodingRates::new(&vectors, EPSILON).unwrap().null(&[1, 1], 5, 1), Err(one.clone()));
    let gram = Gram::new(&vectors);
    assert_eq!(silhouette(&gram.distances(), &[1, 1]), Err(one));
    assert!(matches!(silhouette(&gram.distances(), &[1]), Err(Error::Labels { .. })));
    assert!(matches!(difference_of_means(&gram, &[true, false], FOLDS), Err(Error::ClassTooSmall { .. })));
    let geometry = Geometry::new(&vectors, &[0, 1]).unwrap();
    assert_eq!(geometry.within_class_cosine, None);
    assert!(distances(&vectors, &[0, 1]).is_ok());
}

#[test]
fn one_vector_alone_is_constant() {
    let vectors = Vectors::new(&[[1.0, 2.0, 3.0]]).unwrap();
    assert_eq!(effective_rank(&vectors), Err(Error::Constant { vectors: 1 }));
    assert_eq!(pca(&vectors), Err(Error::Constant { vectors: 1 }));
    assert!(matches!(tsne(&vectors, TsneOptions::default()), Err(Error::ClassTooSmall { needed: 4, .. })));
}

#[test]
fn maps_bear_repeated_vectors_one_dimension_and_huge_numbers() {
    let mut rows = vec![[0.0]; 10];
    rows.extend([[1.0]; 10]);
    let small = Vectors::new(&rows).unwrap();
    let huge = Vectors::new(&(0..20).map(|i| [f64::from(i) * 1e9, 0.0]).collect::<Vec<_>>()).unwrap();
    // More copies than neighbours, and numbers whose squares are near the largest float.
    let mut rows = vec![[0.0, 0.0]; 15];
    rows.extend([[3e50, 1e50], [-1e50, 2e50], [5e49, 0.0], [1e50, 1e50], [2e50, -7e49]]);
    let copies = Vectors::new(&rows).unwrap();
    for vectors in [small, huge, copies] {
        let points = pca(&vectors).unwrap();
        assert!(points.points.iter().flatten().all(|coordinate| coordinate.is_finite()));
        assert!(points.explained[0] > 0.5 && points.explained[0] + points.explained[1] < 1.0 + 1e-12);
        let map = tsne(&vectors, TsneOptions { iterations: 300, ..TsneOptions::default() }).unwrap();
        assert!(
            map.points.len() == 20 && map.points.iter().flatten().all(|coordinate| coordinate.is_finite())
        );
    }
    let vectors = Vectors::new(&[[0.0], [1.0], [2.0], [4.0]]).unwrap();
    for (perplexity, angle) in [(0.5, 0.5), (f64::NAN, 0.5), (5.0, 0.0), (5.0, f64::INFINITY)] {
        let found = tsne(&vectors, TsneOptions { perplexity, angle, ..TsneOptions::default() });
        assert!(matches!(found, Err(Error::Parameter { .. })), "{found:?}");
    }
    assert_eq!(tsne(&vectors, TsneOptions::default()).unwrap().points.len(), 4);
}

#[test]
fn a_constant_state_shares_nothing() {
    let kernels = [
        Kernel::Gaussian { sigma: 50.0 },
        Kernel::GaussianMedian,
        Kernel::Linear,
        Kernel::InverseMultiquadric,
    ];
    let state = [0.3, -1.0, 2.0, 0.7];
    for kernel in kernels {
        for constant in [[0.0; 4], [2.5; 4]] {
            let found = Factor::new(&constant, kernel)
                .unwrap()
                .mutual_information(&Factor::new(&state, kernel).unwrap())
                .unwrap();
            assert!(found.abs() < 1e-12, "{kernel:?}: {found}");
            assert!(dense::mutual_information(&constant, &state, kernel).unwrap().abs() < 1e-9);
        }
        let one = Factor::new(&[1.0], kernel).unwrap();
        assert!(one.mutual_information(&one).unwrap().abs() < 1e-12);
    }
    assert_eq!(squared_correlation(&[1.0; 4], &state), Ok(None));
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let factor = |state: &[f64], kernel| Factor::new(state, kernel);
    assert!(matches!(factor(&[], Kernel::Linear), Err(Error::Empty)));
    assert!(matches!(factor(&[f64::NAN], Kernel::Linear), Err(Error::NotFinite { .. })));
    for sigma in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            factor(&[1.0, 2.0], Kernel::Gaussian { sigma }),
            Err(Error::Parameter { name: "sigma", .. })
        ));
        assert!(Kernel::from_name("gaussian", sigma).is_err());
    }
    assert!(Kernel::from_name("rbf", 50.0).is_err());
    let (two, three) =
        (factor(&[1.0, 2.0], Kernel::Linear).unwrap(), factor(&[1.0, 2.0, 3.0], Kernel::Linear).unwrap());
    assert_eq!(two.mutual_information(&three), Err(Error::Ragged { sample: 0, found: 3, expected: 2 }));
    let other = factor(&[1.0, 2.0], Kernel::InverseMultiquadric).unwrap();
    assert!(matches!(two.mutual_information(&other), Err(Error::Parameter { name: "kernel", .. })));
    assert!(dense::mutual_information(&[1.0], &[1.0, 2.0], Kernel::Linear).is_err());
    assert!(squared_correlation(&[1.0], &[1.0, 2.0]).is_err());
    // Doubled, the widest number would overflow its square.
    assert!(factor(&[1e59, -1e59, 1.0], Kernel::Linear).is_ok());
}
