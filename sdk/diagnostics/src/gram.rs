//! Inner products of all pairs of samples, from which centroids' distances, scatter, probes and silhouettes follow
//! without touching the vectors again: a permutation of the labels then costs m², not m·d.

use nalgebra::DMatrix;

use crate::Vectors;

/// Inner products of the vectors about their common mean. m × m; computing it costs m²·d.
///
/// The mean is taken off first because distances do not depend on it and a common offset, which residual streams have,
/// would cost digits.
#[derive(Clone, Debug)]
pub struct Gram {
    products: DMatrix<f64>,
}

impl Gram {
    /// Of these vectors.
    pub fn new(vectors: &Vectors) -> Self {
        Self { products: inner_products(&vectors.centred()) }
    }

    /// m.
    pub fn count(&self) -> usize {
        self.products.nrows()
    }

    /// m × m.
    pub(crate) fn products(&self) -> &DMatrix<f64> {
        &self.products
    }

    /// Of the samples at `places` alone, in that order. Still about the mean of all.
    pub(crate) fn select(&self, places: &[usize]) -> Self {
        Self { products: self.products.select_rows(places).select_columns(places) }
    }

    /// Euclidean distances of all pairs, m × m, in the activations' own unit.
    pub fn distances(&self) -> DMatrix<f64> {
        let squares = self.products.diagonal();
        let mut distances = self.products.clone();
        for ((place, mut column), square) in distances.column_iter_mut().enumerate().zip(&squares) {
            for (entry, other) in column.iter_mut().zip(&squares) {
                // Rounding may leave a little below zero.
                *entry = (square + other - 2.0 * *entry).max(0.0).sqrt();
            }
            // And something on the diagonal, of which the root is no longer little.
            column.iter_mut().skip(place).take(1).for_each(|entry| *entry = 0.0);
        }
        distances
    }
}

/// XᵀX. By a full product, which is blocked and several times as fast as the library's product with a transpose.
pub(crate) fn inner_products(columns: &DMatrix<f64>) -> DMatrix<f64> {
    columns.transpose() * columns
}

/// Adds `value` to each diagonal entry.
pub(crate) fn add_to_diagonal(matrix: &mut DMatrix<f64>, value: f64) {
    let diagonal = matrix.diagonal().add_scalar(value);
    matrix.set_diagonal(&diagonal);
}
