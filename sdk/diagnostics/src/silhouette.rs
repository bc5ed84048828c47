//! Silhouettes: how much nearer a sample is to its own class than to the next one.

use nalgebra::DMatrix;

use crate::Error;

/// Mean silhouette coefficient, -1 to 1 (Rousseeuw 1987), as scikit-learn's `silhouette_score`: for sample i, with a
/// the mean distance to the others of its class and b the least mean distance to another class,
/// (b - a) / max(a, b); 0 where the class has no other sample or all distances are zero. Costs m² per class.
///
/// `distances` is m × m.
///
/// # Errors
/// [`Error::Labels`] if the sizes differ, [`Error::Classes`] for fewer than two classes.
pub fn silhouette(distances: &DMatrix<f64>, labels: &[u32]) -> Result<f64, Error> {
    let count = labels.len();
    if distances.shape() != (count, count) {
        return Err(Error::Labels { vectors: distances.nrows(), labels: count });
    }
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return Err(Error::Classes { found: classes.len(), needed: 2 });
    }
    let class_of: Vec<usize> =
        labels.iter().map(|label| classes.partition_point(|class| class < label)).collect();
    let members =
        DMatrix::from_fn(
            count,
            classes.len(),
            |sample, class| {
                if class_of.get(sample) == Some(&class) { 1.0 } else { 0.0 }
            },
        );
    let sizes: Vec<f64> = members.column_iter().map(|column| column.sum()).collect();
    let sums = distances * &members;
    let total: f64 = class_of
        .iter()
        .zip(sums.row_iter())
        .map(|(&own, sums)| {
            let (mut within, mut nearest, mut others) = (0.0, f64::INFINITY, 0.0);
            for (class, (&size, &sum)) in sizes.iter().zip(&sums).enumerate() {
                if class == own {
                    others = size - 1.0;
                    within = sum / others;
                } else {
                    nearest = nearest.min(sum / size);
                }
            }
            let larger = within.max(nearest);
            if others > 0.0 && larger > 0.0 { (nearest - within) / larger } else { 0.0 }
        })
        .sum();
    Ok(total / count as f64)
}
