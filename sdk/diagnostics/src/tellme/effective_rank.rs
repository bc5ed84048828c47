//! Over how many directions the vectors spread.

use crate::gram::inner_products;
use crate::{Error, Vectors};

/// Effective rank (Roy & Vetterli 2007), 1 to min(m - 1, d): the exponential of the entropy of the spectrum of
/// A = RᵀR/m, R the vectors about their mean, each brought to length 1 (DeepScan's `erank`). From the m × m or the d × d
/// form, whichever is smaller; costs 4/3 min(m, d)³ on top of the products.
///
/// Vectors equal to the mean have no direction and are left out, where DeepScan's result is NaN.
///
/// # Errors
/// [`Error::Constant`] if no vector differs from the mean.
pub fn effective_rank(vectors: &Vectors) -> Result<f64, Error> {
    let mut centred = vectors.centred();
    let largest = vectors.columns().amax();
    let mut directed = 0;
    for mut column in centred.column_iter_mut() {
        let norm = column.norm();
        // What is left of a constant vector after subtracting its mean is rounding.
        if norm > 1e-14 * largest * (vectors.width() as f64).sqrt() {
            column /= norm;
            directed += 1;
        } else {
            column.fill(0.0);
        }
    }
    if directed == 0 {
        return Err(Error::Constant { vectors: vectors.count() });
    }
    let products = if vectors.count() <= vectors.width() {
        inner_products(&centred)
    } else {
        &centred * centred.transpose()
    };
    let trace = f64::from(directed);
    let entropy: f64 = products
        .symmetric_eigenvalues()
        .iter()
        .map(|value| value / trace)
        .filter(|&share| share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    Ok(entropy.exp())
}
