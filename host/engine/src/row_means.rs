//! Means of a matrix's rows and Frobenius norms, in pieces, whatever engine holds the file.

use sonde_contract::{HostError, RowMean};

use crate::Model;

/// Numbers dequantised at once.
const PIECE: u64 = 1 << 20;

/// See [`Model::row_means`]. Sums are f64.
pub(crate) fn row_means(model: &(impl Model + ?Sized), name: &str) -> Result<Vec<RowMean>, HostError> {
    let tensors = model.tensors()?;
    let Some(tensor) = tensors.iter().find(|tensor| tensor.name == name) else {
        // Reading says which name was meant.
        model.read_tensor(name, 0, 1)?;
        return Err(HostError::InvalidArgument(format!("there is no tensor {name:?}")));
    };
    let (matrices, rows, columns) = match *tensor.shape.as_slice() {
        [rows, columns] => (1, rows, columns),
        [matrices, rows, columns] => (matrices, rows, columns),
        _ => {
            return Err(HostError::InvalidArgument(format!(
                "the tensor {name:?} has the shape {:?}; rows have a mean in a matrix, or in one matrix per expert",
                tensor.shape
            )));
        }
    };
    (0..matrices).map(|matrix| row_mean(model, name, matrix * rows * columns, rows, columns)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32; only their sum is kept wider")]
fn row_mean(
    model: &(impl Model + ?Sized),
    name: &str,
    start: u64,
    rows: u64,
    columns: u64,
) -> Result<RowMean, HostError> {
    let width = usize::try_from(columns).unwrap_or(usize::MAX).max(1);
    let (mut sums, mut squares) = (vec![0.0; width], 0.0);
    let at_once = (PIECE / columns.max(1)).max(1);
    let mut first = 0;
    while first < rows {
        let count = at_once.min(rows - first);
        let numbers = u32::try_from(count * columns).map_err(|_| {
            HostError::InvalidArgument(format!("a row of {name:?} has too many numbers to be read at once"))
        })?;
        for row in model.read_tensor(name, start + first * columns, numbers)?.chunks_exact(width) {
            for (sum, number) in sums.iter_mut().zip(row) {
                let number = f64::from(*number);
                *sum += number;
                squares += number * number;
            }
        }
        first += count;
    }
    let mean = sums.into_iter().map(|sum: f64| (sum / rows.max(1) as f64) as f32).collect();
    Ok(RowMean { mean, norm: squares.sqrt() })
}
