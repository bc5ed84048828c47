//! Makes a [`Transformer`] of a file's tensors, every shape checked.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::block::{Block, Linear};
use super::description::Description;
use super::matrix::Matrix;
use super::names::{Module, Names, Norm};
use super::tensors::{Entry, RowOrder, Tensors};
use super::transformer::{Transformer, matrix};
use crate::OpenError;

/// Loads the weights.
///
/// # Errors
/// A tensor that is missing, has another shape than the description says, or cannot be read.
pub(crate) fn load(
    path: &Path,
    tensors: &Tensors,
    names: &Names,
    description: Description,
    dense: bool,
) -> Result<Transformer, OpenError> {
    let loader = Loader { tensors, names, about: &description, dense };
    let loaded = loader.transformer();
    let (embedding, blocks, final_norm, head) =
        loaded.map_err(|reason| OpenError::Candle { path: path.to_owned(), reason })?;
    Ok(Transformer { description, embedding, blocks, final_norm, head })
}

struct Loader<'a> {
    tensors: &'a Tensors,
    names: &'a Names,
    about: &'a Description,
    /// Whether quantised matrices are dequantised once and for all.
    dense: bool,
}

type Parts = (Matrix, Vec<Block>, Tensor, Option<Matrix>);

impl Loader<'_> {
    fn transformer(&self) -> Result<Parts, String> {
        let about = self.about;
        let table = [about.vocabulary, about.width];
        let embedding = self.matrix(&self.names.embedding(), table, RowOrder::AsStored)?;
        let heads = self.names.head();
        let head = heads.iter().find(|name| self.tensors.get(name).is_some());
        let head = head.map(|name| self.matrix(name, table, RowOrder::AsStored)).transpose()?;
        let blocks = (0..about.blocks).map(|block| self.block(block)).collect::<Result<_, _>>()?;
        Ok((embedding, blocks, self.norm(&self.names.final_norm(), about.width)?, head))
    }

    fn block(&self, block: usize) -> Result<Block, String> {
        let about = self.about;
        let (width, inner) = (about.width, about.mlp_width);
        let (queries, keys) = (about.heads * about.head_width, about.key_heads * about.head_width);
        let linear = |module, outputs, inputs| self.linear(block, module, [outputs, inputs]);
        let norm = |norm, length| self.norm(&self.names.norm(block, norm), length);
        let norm_if = |has: bool, which, length| has.then(|| norm(which, length)).transpose();
        let (heads, post) = (about.family.norms_heads(), about.family.has_post_norms());
        Ok(Block {
            attention_norm: norm(Norm::BeforeAttention, width)?,
            query: linear(Module::Query, queries, width)?,
            key: linear(Module::Key, keys, width)?,
            value: linear(Module::Value, keys, width)?,
            output: linear(Module::Output, width, queries)?,
            query_norm: norm_if(heads, Norm::Query, about.head_width)?,
            key_norm: norm_if(heads, Norm::Key, about.head_width)?,
            after_attention: norm_if(post, Norm::AfterAttention, width)?,
            mlp_norm: norm(Norm::BeforeMlp, width)?,
            gate: linear(Module::Gate, inner, width)?,
            up: linear(Module::Up, inner, width)?,
            down: linear(Module::Down, width, inner)?,
            after_mlp: norm_if(post, Norm::AfterMlp, width)?,
        })
    }

    fn linear(&self, block: usize, module: Module, shape: [usize; 2]) -> Result<Linear, String> {
        let order = self.names.row_order(self.about, module);
        let matrix = self.matrix(&self.names.module(block, module, "weight"), shape, order)?;
        let name = self.names.module(block, module, "bias");
        let bias = match self.tensors.get(&name) {
            None => None,
            Some(_) => {
                let [outputs, _] = shape;
                let entry = self.entry(&name, &[outputs])?;
                let stored = self.tensors.quantised(entry, order);
                let numbers = stored.and_then(|stored| stored.dequantize(&Device::Cpu));
                Some(numbers.map_err(|error| format!("cannot read the tensor {name}: {error}"))?)
            }
        };
        Ok(Linear { matrix, bias })
    }

    fn matrix(&self, name: &str, shape: [usize; 2], order: RowOrder) -> Result<Matrix, String> {
        let entry = self.entry(name, &shape)?;
        let loaded = self.tensors.quantised(entry, order).and_then(|stored| matrix(stored, self.dense));
        loaded.map_err(|error| format!("cannot read the tensor {name}: {error}"))
    }

    fn norm(&self, name: &str, length: usize) -> Result<Tensor, String> {
        let entry = self.entry(name, &[length])?;
        let failed = |error: candle_core::Error| format!("cannot read the tensor {name}: {error}");
        let mut numbers = self.tensors.floats(entry, 0, length).map_err(failed)?;
        if self.about.norms_lack_one {
            numbers.iter_mut().for_each(|number| *number += 1.0);
        }
        Tensor::new(numbers, &Device::Cpu).map_err(failed)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, String> {
        let entry = self.tensors.get(name).ok_or_else(|| format!("the tensor {name} is missing"))?;
        if entry.shape != shape {
            return Err(format!(
                "the tensor {name} has the shape {:?}; the model's settings say {shape:?}",
                entry.shape
            ));
        }
        Ok(entry)
    }
}
