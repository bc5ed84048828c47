//! The logarithm of a determinant, for coding rates: the one operation of TELLME that takes time.

use nalgebra::{Cholesky, DMatrix};

use crate::gram::add_to_diagonal;

/// Columns factored at once; what is left is matrix products, which are fast.
const BLOCK: usize = 48;

/// ln det of a symmetric positive definite matrix by a blocked Cholesky factorisation, n³/3 multiplications. Only the
/// lower triangle is read. `None` if it is not positive definite.
pub(crate) fn log_determinant(mut matrix: DMatrix<f64>) -> Option<f64> {
    let n = matrix.nrows();
    let mut sum = 0.0;
    let mut start = 0;
    while start < n {
        let width = BLOCK.min(n - start);
        let end = start + width;
        let corner = Cholesky::new(matrix.view((start, start), (width, width)).into_owned())?;
        let corner = corner.l_dirty();
        sum += corner.diagonal().iter().map(|entry| entry.ln()).sum::<f64>();
        // The rows below: X with X · cornerᵀ = panel, solved as corner · Xᵀ = panelᵀ.
        let mut panel = matrix.view((end, start), (n - end, width)).transpose();
        if !corner.solve_lower_triangular_mut(&mut panel) {
            return None;
        }
        let rows = panel.transpose();
        let mut column = end;
        while column < n {
            let columns = BLOCK.min(n - column);
            matrix.view_mut((column, column), (n - column, columns)).gemm(
                -1.0,
                &rows.rows(column - end, n - column),
                &panel.columns(column - end, columns),
                1.0,
            );
            column += columns;
        }
        start = end;
    }
    sum.is_finite().then_some(2.0 * sum)
}

/// ln det(I + scale · matrix).
pub(crate) fn log_determinant_of_identity_plus(scale: f64, matrix: &DMatrix<f64>) -> Option<f64> {
    let mut sum = matrix * scale;
    add_to_diagonal(&mut sum, 1.0);
    log_determinant(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_larger_than_a_block_has_the_determinant_known_in_closed_form() {
        // The n × n matrix min(i, j) has determinant 1; a·I + b·11ᵀ has aⁿ⁻¹ (a + n b).
        for n in [1, 2, 47, 48, 49, 200] {
            let least = DMatrix::from_fn(n, n, |i, j| (i.min(j) + 1) as f64);
            assert!(log_determinant(least).unwrap().abs() < 1e-10);
            let (a, b) = (2.5, 0.75);
            let even = DMatrix::from_fn(n, n, |i, j| if i == j { a + b } else { b });
            let expected = (n as f64 - 1.0) * f64::ln(a) + (a + n as f64 * b).ln();
            assert!((log_determinant(even).unwrap() - expected).abs() < 1e-10 * expected.max(1.0));
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_none() {
        assert_eq!(log_determinant(DMatrix::from_fn(60, 60, |i, j| if i == j { 1.0 } else { 2.0 })), None);
        assert_eq!(log_determinant(DMatrix::from_element(3, 3, f64::NAN)), None);
    }
}
