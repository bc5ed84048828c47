//! Reverse mode through the matrices: the gradient of a weight is added to its sum the moment it is known.
//!
//! candle's own backward step of a product computes the gradient of both factors and keeps those of all weights until
//! the end. Here a product is one operation of its input alone; on the way back it returns the input's gradient and adds
//! the absolute values of the weights' gradient to their sum. So nothing is held but the sums and one example's
//! activations, and matrices that nobody asked about cost half.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::matrix::Matrix;
use super::names::Module;

/// Σ |∂L/∂W| of one matrix, row-major.
type Sum = Arc<Mutex<Vec<f32>>>;

/// Which gradients are summed, and the sums.
pub(crate) struct Tape {
    first: usize,
    sums: BTreeMap<(usize, Module), Sum>,
}

impl Tape {
    /// For these matrices, given with their sizes. The way back ends at the first block among them.
    pub(crate) fn new(matrices: impl IntoIterator<Item = ((usize, Module), usize)>) -> Self {
        let sums: BTreeMap<_, _> = matrices
            .into_iter()
            .map(|(place, size)| (place, Arc::new(Mutex::new(vec![0.0; size]))))
            .collect();
        Self { first: sums.keys().next().map_or(0, |(block, _)| *block), sums }
    }

    /// Whether the way back ends at the entrance of this block.
    pub(crate) fn begins_at(&self, block: usize) -> bool {
        block == self.first
    }

    /// `x · Wᵀ`, differentiable.
    pub(crate) fn apply(&self, matrix: &Matrix, block: usize, module: Module, x: &Tensor) -> Result<Tensor> {
        let sum = self.sums.get(&(block, module)).cloned();
        x.contiguous()?.apply_op1(Product { matrix: matrix.clone(), sum })
    }

    /// The sums, by block and module.
    pub(crate) fn finish(self) -> impl Iterator<Item = ((usize, Module), Vec<f32>)> {
        self.sums.into_iter().map(|(place, sum)| {
            let sum = std::mem::take(&mut *sum.lock().unwrap_or_else(PoisonError::into_inner));
            (place, sum)
        })
    }
}

/// A product with a matrix as an operation of its input `[n, inputs]`.
struct Product {
    matrix: Matrix,
    sum: Option<Sum>,
}

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "taped-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let all = storage.as_slice::<f32>()?;
        let Some(x) = layout.contiguous_offsets().and_then(|(from, to)| all.get(from..to)) else {
            candle_core::bail!("the input of a taped product is not contiguous")
        };
        let x = Tensor::from_slice(x, layout.shape(), &Device::Cpu)?;
        let y = x.matmul(&self.matrix.dense()?.t()?)?;
        let shape = y.shape().clone();
        Ok((CpuStorage::F32(y.flatten_all()?.to_vec1()?), shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        if let Some(sum) = &self.sum {
            let of_weights = gradient.t()?.matmul(&x.detach())?;
            let (storage, layout) = of_weights.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { candle_core::bail!("gradients are not on the CPU") };
            let found = storage.as_slice::<f32>()?;
            let Some(found) = layout.contiguous_offsets().and_then(|(from, to)| found.get(from..to)) else {
                candle_core::bail!("the gradient of a matrix is not contiguous")
            };
            add_absolute(&mut sum.lock().unwrap_or_else(PoisonError::into_inner), found);
        }
        gradient.matmul(&self.matrix.dense()?).map(Some)
    }
}

/// sum += |numbers|
fn add_absolute(sum: &mut [f32], numbers: &[f32]) {
    const PIECE: usize = 1 << 14;
    sum.par_chunks_mut(PIECE).zip(numbers.par_chunks(PIECE)).for_each(|(sum, numbers)| {
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number.abs());
    });
}
