//! Low-rank changes of matrices, ready to be applied beside them.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use sonde_contract::{HostError, LowRank};

use super::description::Description;
use super::names::{Module, Names};

/// A matrix of a transformer's blocks.
pub(crate) type Place = (usize, Module);

/// B · A of a matrix of `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// `[rank, inputs]`
    pub a: Tensor,
    /// `[outputs, rank]`
    pub b: Tensor,
}

impl Pair {
    /// `x [n, inputs]` to `[n, outputs]`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.a.t()?)?.matmul(&self.b.t()?)
    }

    /// The gradient at x of the one at the product.
    pub(crate) fn back(&self, gradient: &Tensor) -> Result<Tensor> {
        gradient.matmul(&self.b)?.matmul(&self.a)
    }

    /// Both changes as one.
    fn and(&self, other: &Self) -> Result<Self> {
        Ok(Self { a: Tensor::cat(&[&self.a, &other.a], 0)?, b: Tensor::cat(&[&self.b, &other.b], 1)? })
    }
}

/// The changes of matrices in force in a handle, each with its scale in B.
#[derive(Clone, Default)]
pub(crate) struct Edits(BTreeMap<Place, Pair>);

impl Edits {
    /// These changes, which fit the model's tensors, beside those that are.
    pub(crate) fn and(
        &self,
        edits: &[LowRank],
        names: &Names,
        about: &Description,
    ) -> std::result::Result<Self, HostError> {
        let mut all = self.clone();
        for edit in edits {
            let place = names.place(&edit.matrix).filter(|(block, _)| *block < about.blocks).ok_or_else(|| {
                let modules = Module::ALL.map(|module| names.module(0, module, "weight"));
                HostError::Unsupported(format!(
                    "the candle engine changes matrices of blocks only ({} and those of the other blocks), and {:?} is none \
                     of them",
                    modules.join(", "),
                    edit.matrix
                ))
            })?;
            // What is multiplied by 0 is left out, so that the model stays the same to the last bit.
            if edit.scale != 0.0 {
                let failed = |error: candle_core::Error| HostError::Engine(error.to_string());
                all.push(place, pair(edit, place.1, names, about).map_err(failed)?).map_err(failed)?;
            }
        }
        Ok(all)
    }

    fn push(&mut self, place: Place, pair: Pair) -> Result<()> {
        let together = self.0.get(&place).map_or_else(|| Ok(pair.clone()), |before| before.and(&pair))?;
        self.0.insert(place, together);
        Ok(())
    }

    /// What is beside a matrix.
    pub(crate) fn get(&self, block: usize, module: Module) -> Option<&Pair> {
        self.0.get(&(block, module))
    }
}

/// A and B as tensors, B's rows in the order in which the engine has the matrix's.
fn pair(edit: &LowRank, module: Module, names: &Names, about: &Description) -> Result<Pair> {
    let rank = edit.rank as usize;
    let (rows, columns) = (edit.b.len() / rank.max(1), edit.a.len() / rank.max(1));
    let sources = names.row_order(about, module).sources(rows)?;
    let scaled = |row: usize| {
        let row = edit.b.get(row * rank..(row + 1) * rank).unwrap_or_default();
        row.iter().map(|number| number * edit.scale)
    };
    let b: Vec<f32> = sources.into_iter().flat_map(scaled).collect();
    Ok(Pair {
        a: Tensor::from_slice(&edit.a, (rank, columns), &Device::Cpu)?,
        b: Tensor::from_vec(b, (rows, rank), &Device::Cpu)?,
    })
}

/// A trained pair under the file's name, B's rows in the file's order.
pub(crate) fn low_rank(
    a: Vec<f32>,
    b: &[f32],
    scale: f32,
    (block, module): Place,
    names: &Names,
    about: &Description,
    rank: u32,
) -> Result<LowRank> {
    let rank_rows = rank as usize;
    let sources = names.row_order(about, module).sources(b.len() / rank_rows.max(1))?;
    let mut in_file = vec![0.0; b.len()];
    for (row, source) in b.chunks_exact(rank_rows.max(1)).zip(sources) {
        let place = in_file.get_mut(source * rank_rows..(source + 1) * rank_rows);
        place.into_iter().for_each(|place| place.copy_from_slice(row));
    }
    let matrix = names.module(block, module, "weight");
    Ok(LowRank { matrix, expert: None, rank, a, b: in_file, scale })
}
