//! HSIC-nCCA as defined, with d × d matrices: what [`super::Factor`] must agree with. For tests and measurements; it
//! takes about 5 d³ multiplications a value.

use nalgebra::DMatrix;

use super::{EPSILON, Kernel};
use crate::gram::add_to_diagonal;
use crate::{Error, Vectors};

/// tr(R_x R_y), R = K H (K H + ε d I)⁻¹, H = I - 11ᵀ/d, K the kernel matrix of a state's d numbers, ε = 1e-5 (DeepScan's
/// `hsic_normalized_cca`, in `f64`).
///
/// # Errors
/// As [`super::Factor::new`]; [`Error::Ragged`] if the widths differ.
pub fn mutual_information<T: Copy + Into<f64>>(one: &[T], other: &[T], kernel: Kernel) -> Result<f64, Error> {
    let states = Vectors::new(&[one, other])?;
    let mut operators = states.columns().column_iter().map(|state| operator(state.as_slice(), kernel));
    match (operators.next(), operators.next()) {
        (Some(one), Some(other)) => Ok(one?.dot(&other?.transpose())),
        _ => Err(Error::Empty),
    }
}

/// R.
fn operator(state: &[f64], kernel: Kernel) -> Result<DMatrix<f64>, Error> {
    let kernel = kernel.settle(state)?;
    let width = state.len();
    let kernel = &kernel;
    let entries = state.iter().flat_map(|&y| state.iter().map(move |&x| kernel(x, y)));
    let mut centred = DMatrix::from_iterator(width, width, entries);
    // K H takes each row's mean from it.
    let means = centred.column_mean();
    for mut column in centred.column_iter_mut() {
        column -= &means;
    }
    let mut regularised = centred.clone();
    add_to_diagonal(&mut regularised, EPSILON * width as f64);
    // Kc (Kc + c I)⁻¹ = I - c (Kc + c I)⁻¹ = (Kc + c I)⁻¹ Kc, as the two commute.
    let allowed = "the kernel matrix cannot be inverted; try another kernel";
    regularised.lu().solve(&centred).ok_or(Error::Parameter {
        name: "kernel",
        value: "singular".to_owned(),
        allowed,
    })
}
