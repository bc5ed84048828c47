//! The two directions in which the vectors vary most.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::{Error, Gram, Vectors};

/// Directions iterated together: more than two, so that the second is found quickly though the third be close.
const BLOCK: usize = 8;
const MOST_ITERATIONS: usize = 500;
/// Change of the two leading eigenvalues at which iterating ends, relative to the larger.
const TOLERANCE: f64 = 1e-13;

/// Coordinates along the first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// One point per sample, in the activations' own unit, the mean at the origin.
    pub points: Vec<[f64; 2]>,
    /// Share of the total variance along each component, 0 to 1.
    pub explained: [f64; 2],
}

/// Principal component analysis from inner products: m²·d once and about m² per iteration. Each component points so that
/// its largest loading is positive, as scikit-learn's `PCA` has it.
///
/// # Errors
/// [`Error::Constant`] if all vectors are equal.
pub fn pca(vectors: &Vectors) -> Result<Pca, Error> {
    let gram = Gram::new(vectors);
    let products = gram.products();
    let count = gram.count();
    let total = products.trace();
    let largest = vectors.columns().amax();
    if total <= 1e-28 * largest * largest * vectors.columns().len() as f64 {
        return Err(Error::Constant { vectors: count });
    }
    let (values, directions) = leading(products);
    let centred = vectors.centred();
    let mut points = vec![[0.0; 2]; count];
    let mut explained = [0.0; 2];
    for (axis, share) in explained.iter_mut().enumerate() {
        let Some(&value) = values.get(axis).filter(|&&value| value > 1e-15 * total) else { continue };
        *share = value / total;
        let direction = directions.column(axis);
        let loadings = &centred * direction;
        let sign = loadings.get(loadings.iamax()).map_or(1.0, |loading| loading.signum());
        for (point, entry) in points.iter_mut().zip(direction.iter()) {
            if let Some(coordinate) = point.get_mut(axis) {
                *coordinate = sign * entry * value.sqrt();
            }
        }
    }
    Ok(Pca { points, explained })
}

/// The leading eigenvalues, descending, and eigenvectors of a positive semi-definite matrix, by subspace iteration with
/// Rayleigh-Ritz steps.
fn leading(matrix: &DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let (count, size) = (matrix.nrows(), BLOCK.min(matrix.nrows()));
    // Fixed and of no particular direction.
    let mut basis = DMatrix::from_fn(count, size, |i, j| ((1 + i) as f64 * (1.0 + 0.37 * j as f64)).sin());
    let mut values = vec![0.0; size];
    for _ in 0..MOST_ITERATIONS {
        let orthonormal = (matrix * basis).qr().q();
        let small = orthonormal.tr_mul(&(matrix * &orthonormal));
        let SymmetricEigen { eigenvectors, eigenvalues } =
            SymmetricEigen::new((&small + small.transpose()) * 0.5);
        let mut order: Vec<(usize, f64)> = eigenvalues.iter().copied().enumerate().collect();
        order.sort_by(|one, other| other.1.total_cmp(&one.1));
        let (places, next): (Vec<usize>, Vec<f64>) = order.into_iter().unzip();
        basis = orthonormal * eigenvectors.select_columns(&places);
        let scale = next.first().copied().unwrap_or(0.0);
        let settled =
            values.iter().zip(&next).take(2).all(|(old, new)| (old - new).abs() <= TOLERANCE * scale);
        values = next;
        if settled {
            break;
        }
    }
    (values, basis)
}
