//! DeepScan's distances between classes, with its own definitions, so that its numbers can be compared. For what the
//! names would suggest see [`super::Geometry`].

use nalgebra::{DMatrix, DVectorView};

use super::classes;
use crate::{Error, Vectors};

/// DeepScan's `cos_sim`, `pcc`, `L1`, `L2` and `hausdorff`.
///
/// It sorts the samples by label, cuts them into K equal blocks of ⌊m/K⌋ and takes block i for class i, which is right
/// only for classes of equal size: otherwise some samples count for another class, and the last ones for none. Each
/// number is the mean over pairs of blocks.
///
/// Within a class the samples keep their order here. DeepScan's sort is not stable, so the pairs behind its `cos_sim` and
/// `pcc` are whatever its library and processor make of ties: on 80 replies of a small model random pairings scatter by
/// 0.48 degrees about 29.88, DeepScan's is 29.68 and this one 29.88. The other three do not depend on the order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances {
    /// An angle in degrees, 0 to 180, not a similarity: the arc cosine of the mean cosine of the i-th vector of one
    /// class and the i-th of the other, so that it depends on the order of the samples.
    pub cos_sim: f64,
    /// Not a correlation: mean over all n·d entries of the products of the two blocks, each less the mean of all its
    /// entries and then divided by its columns' norms over the samples. At most 1/n in magnitude.
    pub pcc: f64,
    /// Mean Manhattan distance of all pairs across the two classes, in the activations' own unit.
    pub l1: f64,
    /// Mean Euclidean distance of all pairs across.
    pub l2: f64,
    /// Hausdorff distance, Euclidean: the largest distance from a vector to the nearest one of the other class.
    pub hausdorff: f64,
}

/// Computes them; m²·d for all pairs.
///
/// # Errors
/// [`Error::Labels`]; [`Error::Classes`] for fewer than two classes, where DeepScan gives NaN.
pub fn distances(vectors: &Vectors, labels: &[u32]) -> Result<Distances, Error> {
    vectors.check_labels(labels.len())?;
    let count = classes(labels).len();
    if count < 2 {
        return Err(Error::Classes { found: count, needed: 2 });
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&place| labels.get(place));
    let size = labels.len() / count;
    let blocks: Vec<DMatrix<f64>> =
        order.chunks_exact(size).take(count).map(|block| vectors.columns().select_columns(block)).collect();

    let mut sum = Distances { cos_sim: 0.0, pcc: 0.0, l1: 0.0, l2: 0.0, hausdorff: 0.0 };
    let mut pairs = 0.0;
    for (place, one) in blocks.iter().enumerate() {
        for other in blocks.iter().skip(place + 1) {
            let [l1, l2, hausdorff] = all_pairs(one, other);
            sum.cos_sim += paired_cosine(one, other);
            sum.pcc += pcc(one, other);
            sum.l1 += l1;
            sum.l2 += l2;
            sum.hausdorff += hausdorff;
            pairs += 1.0;
        }
    }
    Ok(Distances {
        cos_sim: (sum.cos_sim / pairs).clamp(-1.0, 1.0).acos().to_degrees(),
        pcc: sum.pcc / pairs,
        l1: sum.l1 / pairs,
        l2: sum.l2 / pairs,
        hausdorff: sum.hausdorff / pairs,
    })
}

/// Mean cosine of the i-th columns; norms are at least 1e-8, as in PyTorch.
fn paired_cosine(one: &DMatrix<f64>, other: &DMatrix<f64>) -> f64 {
    let cosine =
        |(x, y): (DVectorView<f64>, DVectorView<f64>)| x.dot(&y) / (x.norm().max(1e-8) * y.norm().max(1e-8));
    one.column_iter().zip(other.column_iter()).map(cosine).sum::<f64>() / one.ncols() as f64
}

fn pcc(one: &DMatrix<f64>, other: &DMatrix<f64>) -> f64 {
    let normalised = |block: &DMatrix<f64>| {
        let mut block = block.add_scalar(-block.mean());
        for mut row in block.row_iter_mut() {
            let norm = row.norm().max(1e-12);
            row /= norm;
        }
        block
    };
    normalised(one).dot(&normalised(other)) / one.len() as f64
}

/// Mean Manhattan, mean Euclidean and Hausdorff distance. Summed difference by difference: exact also for near vectors.
fn all_pairs(one: &DMatrix<f64>, other: &DMatrix<f64>) -> [f64; 3] {
    let (mut l1, mut l2, mut farthest) = (0.0, 0.0, 0.0_f64);
    let mut nearest_of_other = vec![f64::INFINITY; other.ncols()];
    for x in one.column_iter() {
        let mut nearest = f64::INFINITY;
        for (y, nearest_of_y) in other.column_iter().zip(&mut nearest_of_other) {
            let (absolute, square) = apart(x.as_slice(), y.as_slice());
            let distance = square.sqrt();
            l1 += absolute;
            l2 += distance;
            nearest = nearest.min(distance);
            *nearest_of_y = nearest_of_y.min(distance);
        }
        farthest = farthest.max(nearest);
    }
    let pairs = (one.ncols() * other.ncols()) as f64;
    [l1 / pairs, l2 / pairs, nearest_of_other.into_iter().fold(farthest, f64::max)]
}

/// Σ |x - y| and Σ (x - y)². Eight sums at once, which a processor adds in parallel.
fn apart(one: &[f64], other: &[f64]) -> (f64, f64) {
    let (ones, others) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let (mut absolute, mut square) = ([0.0; 8], [0.0; 8]);
    for (x, y) in ones.0.iter().zip(others.0) {
        for (((x, y), absolute), square) in x.iter().zip(y).zip(&mut absolute).zip(&mut square) {
            *absolute += (x - y).abs();
            *square += (x - y) * (x - y);
        }
    }
    let rest = ones.1.iter().zip(others.1).map(|(x, y)| (x - y).abs());
    let (rest, squares) =
        rest.fold((0.0, 0.0), |(sum, squares), apart| (sum + apart, squares + apart * apart));
    (absolute.iter().sum::<f64>() + rest, square.iter().sum::<f64>() + squares)
}
