//! What stands beside the frozen matrices of a pass that goes back, and the sums that importance takes there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Storage, Tensor};
use rayon::prelude::*;

use super::edits::Place;

/// Something beside the matrices: it may add to a product, and is told the gradient there on the way back.
pub(crate) trait Beside: Sync {
    /// What is added to W · x.
    fn there(&self, place: Place, x: &Tensor) -> Result<Option<Tensor>>;

    /// Takes the gradient at the product W · x; returns what is added to the one at x.
    fn back(&self, place: Place, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>>;
}

/// Σ |∂L/∂W| of each matrix asked about, row-major. A gradient is added the moment it is known, so nothing is held but the
/// sums.
pub(crate) struct Tape {
    first: usize,
    sums: BTreeMap<Place, Mutex<Vec<f32>>>,
}

impl Tape {
    /// For these matrices, given with their sizes. The way back ends at the first block among them.
    pub(crate) fn new(matrices: impl IntoIterator<Item = (Place, usize)>) -> Self {
        let sums: BTreeMap<_, _> =
            matrices.into_iter().map(|(place, size)| (place, Mutex::new(vec![0.0; size]))).collect();
        Self { first: sums.keys().next().map_or(0, |(block, _)| *block), sums }
    }

    /// Where the way back ends.
    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// The sums, by block and module.
    pub(crate) fn finish(self) -> impl Iterator<Item = (Place, Vec<f32>)> {
        self.sums
            .into_iter()
            .map(|(place, sum)| (place, sum.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Beside for Tape {
    fn there(&self, _: Place, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn back(&self, place: Place, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some(sum) = self.sums.get(&place) else { return Ok(None) };
        let of_weights = gradient.t()?.matmul(x)?;
        let (storage, layout) = of_weights.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { candle_core::bail!("gradients are not on the CPU") };
        let found = storage.as_slice::<f32>()?;
        let Some(found) = layout.contiguous_offsets().and_then(|(from, to)| found.get(from..to)) else {
            candle_core::bail!("the gradient of a matrix is not contiguous")
        };
        add_absolute(&mut sum.lock().unwrap_or_else(PoisonError::into_inner), found);
        Ok(None)
    }
}

/// sum += |numbers|
fn add_absolute(sum: &mut [f32], numbers: &[f32]) {
    const PIECE: usize = 1 << 14;
    sum.par_chunks_mut(PIECE).zip(numbers.par_chunks(PIECE)).for_each(|(sum, numbers)| {
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number.abs());
    });
}
