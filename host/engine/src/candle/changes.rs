//! What is changed in a handle, ready to be applied: interventions on states, and low-rank changes of matrices.

use candle_core::{Device, Result, Tensor};
use sonde_contract::{Change, Digest, DigestWriter, HostError, Intervention, LowRank, Site};

use super::description::Description;
use super::edits::{Edits, Pair};
use super::names::{Module, Names};

/// A change with its vector as a tensor.
#[derive(Clone)]
enum Ready {
    /// `[width]`, multiplied by its coefficient.
    Add(Tensor),
    /// The direction at unit length, `[width, 1]`, and the coefficient.
    ProjectOut(Tensor, f64),
}

#[derive(Clone)]
struct Placed {
    layers: Vec<u32>,
    site: Site,
    ready: Ready,
}

impl Placed {
    fn is_at(&self, site: Site, layer: usize) -> bool {
        self.site == site && self.layers.iter().any(|changed| *changed as usize == layer)
    }
}

/// The changes in force in a handle, in their order.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    states: Vec<Placed>,
    edits: Edits,
    /// Of each set of changes, by which a training knows its model again.
    digests: Vec<Digest>,
}

impl Changes {
    /// These changes, which have been checked, after the ones that are.
    pub(crate) fn and(&self, more: Vec<Intervention>) -> std::result::Result<Self, HostError> {
        let mut all = self.clone();
        all.digests.push(Digest::of(serde_json::to_vec(&more).map_err(|error| failed(&error))?));
        for Intervention { layers, site, change } in more {
            let ready = ready(change).map_err(|error| failed(&error))?;
            all.states.push(Placed { layers, site, ready });
        }
        Ok(all)
    }

    /// These changes of matrices, which have been checked, beside the ones that are.
    pub(crate) fn adapted(
        &self,
        more: &[LowRank],
        names: &Names,
        about: &Description,
    ) -> std::result::Result<Self, HostError> {
        let mut all = self.clone();
        all.edits = self.edits.and(more, names, about)?;
        all.digests.push(digest(more));
        Ok(all)
    }

    /// What stands beside a matrix.
    pub(crate) fn beside(&self, block: usize, module: Module) -> Option<&Pair> {
        self.edits.get(block, module)
    }

    /// Of all changes, in their order.
    pub(crate) fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// A state `[tokens, width]` as the changes at its place leave it.
    pub(crate) fn apply(&self, site: Site, layer: usize, state: Tensor) -> Result<Tensor> {
        let mut here = self.states.iter().filter(|placed| placed.is_at(site, layer));
        here.try_fold(state, |state, placed| match &placed.ready {
            Ready::Add(vector) => state.broadcast_add(vector),
            Ready::ProjectOut(direction, coefficient) => taken_out(&state, direction, *coefficient),
        })
    }

    /// The gradient at the state before the changes, of the one after them. Taking a direction out is symmetric.
    pub(crate) fn back(&self, site: Site, layer: usize, gradient: Tensor) -> Result<Tensor> {
        let mut here = self.states.iter().rev().filter(|placed| placed.is_at(site, layer));
        here.try_fold(gradient, |gradient, placed| match &placed.ready {
            Ready::Add(_) => Ok(gradient),
            Ready::ProjectOut(direction, coefficient) => taken_out(&gradient, direction, *coefficient),
        })
    }
}

fn taken_out(state: &Tensor, direction: &Tensor, coefficient: f64) -> Result<Tensor> {
    let along = state.matmul(direction)?.matmul(&direction.t()?)?;
    state - (along * coefficient)?
}

fn failed(error: &dyn std::fmt::Display) -> HostError {
    HostError::Engine(error.to_string())
}

/// Of the numbers as they are, which is a lot faster than of their text.
fn digest(edits: &[LowRank]) -> Digest {
    let mut digest = DigestWriter::default();
    for LowRank { matrix, expert, rank, a, b, scale } in edits {
        digest.field(matrix);
        digest.field(expert.map_or(Vec::new(), |expert| expert.to_le_bytes().to_vec()));
        digest.field(rank.to_le_bytes());
        digest.field(scale.to_le_bytes());
        for numbers in [a, b] {
            digest.field(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    digest.finish()
}

#[expect(clippy::cast_possible_truncation, reason = "computed wider than it is kept")]
fn ready(change: Change) -> Result<Ready> {
    Ok(match change {
        Change::Add { vector, coefficient } => {
            let vector: Vec<f32> = vector.into_iter().map(|number| number * coefficient).collect();
            Ready::Add(Tensor::new(vector, &Device::Cpu)?)
        }
        Change::ProjectOut { direction, coefficient } => {
            let squares = direction.iter().map(|number| f64::from(*number).powi(2));
            let length = squares.sum::<f64>().sqrt();
            let unit: Vec<f32> =
                direction.iter().map(|number| (f64::from(*number) / length) as f32).collect();
            Ready::ProjectOut(Tensor::new(unit, &Device::Cpu)?.unsqueeze(1)?, f64::from(coefficient))
        }
    })
}
