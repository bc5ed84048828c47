//! HSIC-nCCA in low rank.
//!
//! A kernel between scalars is close to a matrix of low rank: K ≈ G Gᵀ, G of d × r from pivoted Cholesky. With Ĝ the
//! columns of G about their mean and c = ε·d, the definition's R = K H (K H + c I)⁻¹ is G (c I + ĜᵀG)⁻¹ Ĝᵀ, and since
//! ĜᵀG = ĜᵀĜ = L Lᵀ - c I the trace tr(R_x R_y) is the squared Frobenius norm of W_xᵀ W_y, W = Ĝ L⁻ᵀ of d × r. So MI is
//! never negative, which the definition's float32 inverses often hide.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::{EPSILON, Kernel};
use crate::gram::{add_to_diagonal, inner_products};
use crate::{Error, Vectors};

/// Pivoting ends when no diagonal entry has more than this left, relative to the largest.
const TOLERANCE: f64 = 1e-12;

/// One state, ready to be compared with others under the same kernel.
#[derive(Clone, Debug)]
pub struct Factor {
    /// d × r.
    whitened: DMatrix<f64>,
    kernel: Kernel,
}

impl Factor {
    /// Factors one state of d numbers: d·r² multiplications, r the rank the kernel needs: 1 for linear, about 4 to 16 for
    /// a Gaussian much wider than the activations, up to some hundreds for a narrow one or IMQ.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`] (with sample 0), [`Error::Parameter`] for a bad σ.
    pub fn new<T: Copy + Into<f64>>(state: &[T], kernel: Kernel) -> Result<Self, Error> {
        let state = Vectors::new(&[state])?;
        Self::of(state.columns().as_slice(), kernel)
    }

    fn of(state: &[f64], kernel: Kernel) -> Result<Self, Error> {
        let mut factor = pivoted_cholesky(state, kernel)?;
        for mut column in factor.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        let mut small = inner_products(&factor);
        add_to_diagonal(&mut small, EPSILON * state.len() as f64);
        let mut whitened = factor.transpose();
        if let Some(cholesky) = Cholesky::new(small) {
            cholesky.l_dirty().solve_lower_triangular_mut(&mut whitened);
        }
        Ok(Self { whitened: whitened.transpose(), kernel })
    }

    /// The rank r.
    pub fn rank(&self) -> usize {
        self.whitened.ncols()
    }

    /// MI with another state, 0 to the smaller rank; 0 if either state is constant. Costs d·r_x·r_y.
    ///
    /// # Errors
    /// [`Error::Ragged`] if the widths differ; [`Error::Parameter`] if the kernels do.
    pub fn mutual_information(&self, other: &Self) -> Result<f64, Error> {
        let (expected, found) = (self.whitened.nrows(), other.whitened.nrows());
        if found != expected {
            return Err(Error::Ragged { sample: 0, found, expected });
        }
        if other.kernel != self.kernel {
            let value = format!("{:?} for one state and {:?} for the other", self.kernel, other.kernel);
            return Err(Error::Parameter { name: "kernel", value, allowed: "use one kernel for both" });
        }
        Ok((self.whitened.transpose() * &other.whitened).norm_squared())
    }

    /// MI of each step's state with this one, the reference, in the steps' order. The reference is factored once.
    ///
    /// # Errors
    /// [`Error::Ragged`] if the steps are not as wide as the reference.
    pub fn trajectory(&self, steps: &Vectors) -> Result<Vec<f64>, Error> {
        let mi = |step: nalgebra::DVectorView<f64>| {
            self.mutual_information(&Self::of(step.as_slice(), self.kernel)?)
        };
        steps.columns().column_iter().map(mi).collect()
    }
}

/// G of d × r with K ≈ G Gᵀ, taking the row with the largest remaining diagonal entry each time (Harbrecht et al. 2012).
fn pivoted_cholesky(state: &[f64], kernel: Kernel) -> Result<DMatrix<f64>, Error> {
    let kernel = kernel.settle(state)?;
    let state = DVector::from_column_slice(state);
    let mut left = state.map(|x| kernel(x, x));
    let enough = TOLERANCE * left.max();
    let mut columns: Vec<DVector<f64>> = Vec::new();
    while columns.len() < state.len() {
        let (pivot, largest) = left.argmax();
        if largest <= enough {
            break;
        }
        let at = state.get(pivot).copied().unwrap_or(0.0);
        let mut column = state.map(|x| kernel(x, at));
        for earlier in &columns {
            column.axpy(-earlier.get(pivot).copied().unwrap_or(0.0), earlier, 1.0);
        }
        column /= largest.sqrt();
        for (rest, entry) in left.iter_mut().zip(&column) {
            *rest -= entry * entry;
        }
        // Done exactly, and rounding must not bring it back.
        left.iter_mut().skip(pivot).take(1).for_each(|rest| *rest = f64::NEG_INFINITY);
        columns.push(column);
    }
    if columns.is_empty() {
        return Ok(DMatrix::zeros(state.len(), 0));
    }
    Ok(DMatrix::from_columns(&columns))
}

/// Squared Pearson correlation of two states over their dimensions, 0 to 1: nearly the MI under a kernel much wider than
/// the activations, and exactly that under the linear one up to its regulariser. `None` if either is constant.
///
/// # Errors
/// As [`Factor::new`], and [`Error::Ragged`] if the widths differ.
pub fn squared_correlation<T: Copy + Into<f64>>(one: &[T], other: &[T]) -> Result<Option<f64>, Error> {
    let about_mean = |state: &[T]| -> Result<DVector<f64>, Error> {
        let state = Vectors::new(&[state])?.columns().column(0).into_owned();
        let mean = state.mean();
        Ok(state.add_scalar(-mean))
    };
    if one.len() != other.len() {
        return Err(Error::Ragged { sample: 1, found: other.len(), expected: one.len() });
    }
    let cosine = crate::vectors::cosine(&about_mean(one)?, &about_mean(other)?);
    Ok(cosine.map(|cosine| cosine * cosine))
}
