//! Computes a tensor row by row from others with as many rows, in parallel: for functions that candle has not, or has only
//! as several passes over memory.

use candle_core::{Device, Result, Storage, Tensor};
use rayon::prelude::*;

/// Numbers that one task of the pool computes at least; handing out less costs more than it saves.
const PIECE: usize = 1 << 13;

/// A row of each input, and its number.
pub(crate) type Row<'a, const N: usize> = (usize, [&'a [f32]; N]);

/// Rows of `width` numbers, as many as the inputs have. Rows lie along the last axis; the result has the first input's
/// other axes.
///
/// # Errors
/// Inputs of f32 only, all with the same number of rows.
pub(crate) fn by_rows<const N: usize>(
    inputs: [&Tensor; N],
    width: usize,
    compute: impl Fn(Row<'_, N>, &mut [f32]) + Sync,
) -> Result<Tensor> {
    let Some((first, _)) = inputs.split_first() else {
        candle_core::bail!("there are no rows to compute from")
    };
    let mut shape = first.dims().to_vec();
    let widths = inputs.map(|input| input.dims().last().copied().unwrap_or(0).max(1));
    let rows = first.elem_count() / widths.first().copied().unwrap_or(1);
    shape.last_mut().into_iter().for_each(|last| *last = width);

    let whole = inputs.iter().map(|input| input.contiguous()).collect::<Result<Vec<_>>>()?;
    let held: Vec<_> = whole.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; N] = [&[]; N];
    for ((slice, (storage, layout)), input) in slices.iter_mut().zip(&held).zip(widths) {
        let Storage::Cpu(storage) = &**storage else { candle_core::bail!("the rows are not on the CPU") };
        let numbers = storage.as_slice::<f32>()?;
        let Some(found) = layout.contiguous_offsets().and_then(|(from, to)| numbers.get(from..to)) else {
            candle_core::bail!("the rows are not contiguous")
        };
        if found.len() != rows * input {
            candle_core::bail!("{} numbers do not make {rows} rows of {input}", found.len())
        }
        *slice = found;
    }
    let mut out = vec![0.0_f32; rows * width];
    let together = PIECE.div_ceil(width.max(1));
    out.par_chunks_mut((together * width).max(1)).enumerate().for_each(|(piece, out)| {
        for (place, out) in out.chunks_mut(width.max(1)).enumerate() {
            let row = piece * together + place;
            let mut found: [&[f32]; N] = [&[]; N];
            for ((found, slice), input) in found.iter_mut().zip(slices).zip(widths) {
                *found = slice.get(row * input..(row + 1) * input).unwrap_or_default();
            }
            compute((row, found), out);
        }
    });
    Tensor::from_vec(out, shape, &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_computed_in_their_places_whatever_the_layout() {
        let numbers: Vec<f32> = (0..30_000_u16).map(f32::from).collect();
        let a = Tensor::from_vec(numbers, (3, 10_000), &Device::Cpu).unwrap().t().unwrap();
        let b = Tensor::ones((10_000, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let found = by_rows([&a, &b], 1, |(row, [a, b]), out| out[0] = a[1] * b[0] + row as f32).unwrap();
        assert_eq!(found.dims(), [10_000, 1]);
        let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
        assert!((0..10_000).all(|row| found[row] == 10_000.0 + 2.0 * row as f32));
        assert!(by_rows([&a, &b.narrow(0, 0, 5).unwrap()], 1, |_, _| ()).is_err());
    }
}
