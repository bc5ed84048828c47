//! The edit of one matrix. The host does the same in `f32` to a running model; this is the definition it is held against.

use super::Error;

/// ŝ = s / ‖s‖.
///
/// # Errors
/// [`Error::NoDirection`] where s is zero, [`Error::NotFinite`].
pub fn unit(direction: &[f64]) -> Result<Vec<f64>, Error> {
    if let Some((place, value)) = direction.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { what: "direction", place, value: *value });
    }
    let norm = norm(direction);
    if norm == 0.0 {
        return Err(Error::NoDirection);
    }
    Ok(direction.iter().map(|s| s / norm).collect())
}

/// w̄: for W of d rows and n columns, given row by row, the n numbers w̄_j = (1/d) Σ_i W_ij.
///
/// # Errors
/// Numbers that are not whole rows.
pub fn row_mean(matrix: &[f64], columns: usize) -> Result<Vec<f64>, Error> {
    let rows = rows(matrix, columns)?;
    let mut mean = vec![0.0; columns];
    for row in matrix.chunks_exact(columns.max(1)) {
        mean.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
    }
    mean.iter_mut().for_each(|sum| *sum /= rows.max(1) as f64);
    Ok(mean)
}

/// The size of an edit beside its matrix: |alpha| · ‖w̄‖ / ‖W‖_F, which is ‖W' − W‖_F / ‖W‖_F. `None` of a matrix of
/// zeros.
pub fn relative_size(alpha: f64, row_mean_norm: f64, matrix_norm: f64) -> Option<f64> {
    (matrix_norm > 0.0).then(|| alpha.abs() * row_mean_norm / matrix_norm)
}

/// The alpha of an edit whose relative size is |`size`|, with `size`'s sign: size · ‖W‖_F / ‖w̄‖. `None` where the rows'
/// mean is zero: no alpha changes such a matrix.
pub fn alpha_of_size(size: f64, row_mean_norm: f64, matrix_norm: f64) -> Option<f64> {
    (row_mean_norm > 0.0).then(|| size * matrix_norm / row_mean_norm)
}

/// W + coefficient · output · inputᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct RankOne {
    /// As many numbers as W has rows.
    pub output: Vec<f64>,
    /// As many as it has columns.
    pub input: Vec<f64>,
    /// Its factor.
    pub coefficient: f64,
}

impl RankOne {
    /// alpha · ŝ · w̄ᵀ, with w̄ the row mean of the matrix as it was before any edit.
    ///
    /// # Errors
    /// As [`unit`].
    pub fn injection(direction: &[f64], row_mean: &[f64], alpha: f64) -> Result<Self, Error> {
        Ok(Self { output: unit(direction)?, input: row_mean.to_vec(), coefficient: alpha })
    }

    /// W', row by row as W.
    ///
    /// # Errors
    /// A matrix of another shape.
    pub fn applied(&self, matrix: &[f64]) -> Result<Vec<f64>, Error> {
        let columns = self.input.len();
        let found = rows(matrix, columns)?;
        let expected = self.output.len();
        if found != expected {
            return Err(Error::Length { what: "rows of the matrix", found, expected });
        }
        let rows = matrix.chunks_exact(columns.max(1)).zip(&self.output);
        let changed = |(row, output): (&[f64], &f64)| {
            let factor = self.coefficient * output;
            row.iter().zip(&self.input).map(|(weight, input)| weight + factor * input).collect::<Vec<_>>()
        };
        Ok(rows.flat_map(changed).collect())
    }

    /// ‖W' − W‖_F.
    pub fn norm(&self) -> f64 {
        self.coefficient.abs() * norm(&self.output) * norm(&self.input)
    }
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|number| number * number).sum::<f64>().sqrt()
}

fn rows(matrix: &[f64], columns: usize) -> Result<usize, Error> {
    let rows = matrix.len() / columns.max(1);
    if rows * columns == matrix.len() {
        return Ok(rows);
    }
    Err(Error::Length { what: "matrix", found: matrix.len(), expected: rows * columns })
}
