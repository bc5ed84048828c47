//! A weight matrix, whole in f32 or quantised as the file has it.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Tensor};

/// A matrix of `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub(crate) enum Matrix {
    Dense(Tensor),
    /// Multiplied as it is: rows of the input are quantised too, block by block, as llama.cpp does.
    Quantised(Arc<QTensor>),
}

impl Matrix {
    /// `x [n, inputs]` to `[n, outputs]`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => x.matmul(&weight.t()?),
            Self::Quantised(weight) => x.contiguous()?.apply_op1_no_bwd(weight.as_ref()),
        }
    }

    /// Its numbers.
    pub(crate) fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.clone()),
            Self::Quantised(weight) => weight.dequantize(&Device::Cpu),
        }
    }

    /// Some of its rows.
    pub(crate) fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => weight.index_select(ids, 0),
            Self::Quantised(weight) => weight.embedding(ids),
        }
    }

    /// Outputs and inputs.
    pub(crate) fn sides(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(weight) => weight.dims2(),
            Self::Quantised(weight) => weight.shape().dims2(),
        }
    }

    /// Entries.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Dense(weight) => weight.elem_count(),
            Self::Quantised(weight) => weight.shape().elem_count(),
        }
    }
}
