//! MI-Peaks against NumPy, in low rank and dense.
//!
//! Tolerance 1e-6 · max(1, |x|): the definition inverts a non-symmetric matrix of condition up to 1e5 whose eigenvectors
//! are far from orthogonal, so NumPy's own last digits are lost; the low-rank form leaves out what is below 1e-12 of the
//! kernel.

use serde_json::Value;
use sonde_diagnostics::Vectors;
use sonde_diagnostics::mi_peaks::{Factor, Kernel, dense, squared_correlation};

use crate::reference::{assert_near, numbers, reference};

const TOLERANCE: f64 = 1e-6;

fn steps() -> Vec<(&'static str, Vec<f64>)> {
    let steps = reference("mi_peaks")["steps"].as_object().into_iter().flatten();
    steps.map(|(name, step)| (name.as_str(), numbers(step))).collect()
}

fn kernels() -> impl Iterator<Item = (Kernel, &'static Value)> {
    let values = reference("mi_peaks")["values"].as_array().into_iter().flatten();
    values.map(|value| {
        let sigma = value["sigma"].as_f64().unwrap_or(f64::NAN);
        let kernel = Kernel::from_name(value["ktype"].as_str().unwrap_or(""), sigma);
        assert!(kernel.is_ok(), "{kernel:?}");
        (kernel.unwrap_or(Kernel::Linear), &value["mi"])
    })
}

#[test]
fn low_rank_values_of_every_kernel_are_those_of_numpys_inverses() {
    let state = numbers(&reference("mi_peaks")["reference"]);
    for (kernel, expected) in kernels() {
        let state = Factor::new(&state, kernel).unwrap();
        for (name, step) in steps() {
            let got = state.mutual_information(&Factor::new(&step, kernel).unwrap()).unwrap();
            assert_near(&format!("{kernel:?}, {name}"), got, expected[name].as_f64().unwrap(), TOLERANCE);
        }
    }
}

#[test]
fn dense_values_of_every_kernel_are_those_of_numpys_inverses() {
    let state = numbers(&reference("mi_peaks")["reference"]);
    for (kernel, expected) in kernels() {
        for (name, step) in steps() {
            let got = dense::mutual_information(&step, &state, kernel).unwrap();
            assert_near(&format!("{kernel:?}, {name}"), got, expected[name].as_f64().unwrap(), TOLERANCE);
        }
    }
}

#[test]
fn a_trajectory_is_its_steps_one_by_one() {
    let state = numbers(&reference("mi_peaks")["reference"]);
    let all: Vec<Vec<f64>> = steps().into_iter().map(|(_, step)| step).collect();
    for (kernel, expected) in kernels() {
        let got = Factor::new(&state, kernel).unwrap().trajectory(&Vectors::new(&all).unwrap()).unwrap();
        assert_eq!(got.len(), all.len());
        for (got, (name, _)) in got.into_iter().zip(steps()) {
            assert_near(name, got, expected[name].as_f64().unwrap(), TOLERANCE);
        }
    }
}

#[test]
fn the_rank_stays_small_where_the_kernel_is_wide() {
    let state = numbers(&reference("mi_peaks")["reference"]);
    assert!(Factor::new(&state, Kernel::Gaussian { sigma: 50.0 }).unwrap().rank() < 10);
    assert_eq!(Factor::new(&state, Kernel::Linear).unwrap().rank(), 1);
}

#[test]
fn squared_correlations_are_numpys() {
    let state = numbers(&reference("mi_peaks")["reference"]);
    for (name, step) in steps() {
        let got = squared_correlation(&step, &state).unwrap().unwrap();
        assert_near(name, got, reference("mi_peaks")["squared_correlation"][name].as_f64().unwrap(), 1e-12);
    }
}
