//! There and back through all blocks, for whole sequences: what importance and training have in common.
//!
//! Sequences come in packs: the matrices see a pack's tokens at once, attention each sequence alone. Packs are computed side
//! by side, block by block, so that a block's matrices are dequantised once each way for all of them and no more than one
//! block's are in memory. Of the way there a pack keeps what enters each block, and the states inside as long as there is
//! room for them; those of the other blocks are computed again on the way back (gradient checkpointing). What is kept
//! depends on sizes alone, so the same packs give the same numbers.

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use sonde_contract::Site;

use super::back::Back;
use super::block::{Block, Place, States};
use super::changes::Changes;
use super::operations::{rms_norm, rms_norm_back};
use super::positions::Positions;
use super::tape::Beside;
use super::transformer::{Pass, Transformer};

/// States of the way there that are kept, in bytes.
pub(crate) const ROOM: usize = 256 << 20;

/// Whole sequences, one after another.
pub(crate) struct Pack<'a> {
    pub tokens: Vec<u32>,
    pub positions: Positions,
    /// What stands beside the matrices. Without it a pack goes there only.
    pub beside: Option<&'a dyn Beside>,
}

/// What a pack keeps of a block.
enum Passed {
    /// Its entrance, `[tokens, width]`.
    Entrance(Tensor),
    Inside(Box<States>),
}

/// A pack on its way.
pub(crate) struct Journey {
    /// Before the final norm, `[tokens, width]`.
    pub state: Tensor,
    passed: Vec<Passed>,
    room: usize,
}

/// A model to go through.
pub(crate) struct Gradients<'a> {
    pub transformer: &'a Transformer,
    pub changes: &'a Changes,
    /// The block where the way back ends.
    pub first: usize,
    /// Bytes of states that may be kept, over all packs; [`ROOM`] but in tests.
    pub room: usize,
}

impl Gradients<'_> {
    fn pass<'b>(&'b self, beside: Option<&'b dyn Beside>) -> Pass<'b> {
        let mut pass = Pass::plain(self.changes);
        pass.beside = beside;
        pass
    }

    fn place<'b>(&'b self, block: usize, positions: &'b Positions) -> Place<'b> {
        Place { about: &self.transformer.description, block, positions }
    }

    /// Takes all packs through all blocks.
    pub(crate) fn there(&self, packs: &[Pack]) -> Result<Vec<Journey>> {
        let room = self.room / packs.len().max(1);
        let begin = |pack: &Pack| {
            Ok(Journey { state: self.transformer.embedded(&pack.tokens)?, passed: Vec::new(), room })
        };
        let mut journeys = packs.par_iter().map(begin).collect::<Result<Vec<_>>>()?;
        for (number, block) in self.transformer.blocks.iter().enumerate() {
            let block = block.dense()?;
            journeys
                .par_iter_mut()
                .zip(packs)
                .try_for_each(|(journey, pack)| self.through(&block, number, journey, pack))?;
        }
        let last = self.transformer.blocks.len();
        for journey in &mut journeys {
            journey.state = self.changes.apply(Site::Residual, last, journey.state.clone())?;
        }
        Ok(journeys)
    }

    fn through(&self, block: &Block, number: usize, journey: &mut Journey, pack: &Pack) -> Result<()> {
        let entering = self.changes.apply(Site::Residual, number, journey.state.clone())?;
        let place = self.place(number, &pack.positions);
        let mut pass = self.pass(pack.beside);
        let Some((leaving, states)) = block.there(entering, place, None, &mut pass)? else {
            candle_core::bail!("a pass with gradients ended before its end")
        };
        if pack.beside.is_some() && number >= self.first {
            let bytes = states.bytes();
            journey.passed.push(match journey.room.checked_sub(bytes) {
                None => Passed::Entrance(states.entering),
                Some(left) => {
                    journey.room = left;
                    Passed::Inside(Box::new(states))
                }
            });
        }
        journey.state = leaving;
        Ok(())
    }

    /// States after the final norm, of these rows of those before it.
    pub(crate) fn normed(&self, before: &Tensor) -> Result<Tensor> {
        let Self { transformer, changes, .. } = self;
        let normed = rms_norm(before, &transformer.final_norm, transformer.description.norm_epsilon)?;
        changes.apply(Site::FinalNorm, transformer.blocks.len(), normed)
    }

    /// The gradient before the final norm for all of a pack's rows, given those after it at some: `rows` says which, and
    /// `before` holds them.
    pub(crate) fn before_norm(
        &self,
        tokens: usize,
        rows: &Tensor,
        before: &Tensor,
        gradient: Tensor,
    ) -> Result<Tensor> {
        let Self { transformer, changes, .. } = self;
        let last = transformer.blocks.len();
        let gradient = changes.back(Site::FinalNorm, last, gradient)?;
        let epsilon = transformer.description.norm_epsilon;
        let gradient = rms_norm_back(before, &transformer.final_norm, epsilon, &gradient)?;
        let nothing = Tensor::zeros((tokens, before.dim(1)?), DType::F32, &Device::Cpu)?;
        changes.back(Site::Residual, last, nothing.index_add(rows, &gradient, 0)?)
    }

    /// Takes the gradients before the final norm back to the first block; a journey without one stays where it is.
    pub(crate) fn back(&self, packs: &[Pack], mut journeys: Vec<(Journey, Option<Tensor>)>) -> Result<()> {
        for (number, block) in self.transformer.blocks.iter().enumerate().skip(self.first).rev() {
            let block = block.dense()?;
            journeys.par_iter_mut().zip(packs).try_for_each(|((journey, gradient), pack)| {
                let (Some(beside), Some(at_exit)) = (pack.beside, gradient.take()) else { return Ok(()) };
                *gradient = self.step_back(&block, number, journey, pack, beside, at_exit)?;
                Ok::<_, candle_core::Error>(())
            })?;
        }
        Ok(())
    }

    fn step_back(
        &self,
        block: &Block,
        number: usize,
        journey: &mut Journey,
        pack: &Pack,
        beside: &dyn Beside,
        at_exit: Tensor,
    ) -> Result<Option<Tensor>> {
        let place = self.place(number, &pack.positions);
        let states = match journey.passed.pop() {
            Some(Passed::Inside(states)) => *states,
            Some(Passed::Entrance(entering)) => {
                match block.there(entering, place, None, &mut self.pass(Some(beside)))? {
                    Some((_, states)) => states,
                    None => candle_core::bail!("a block could not be computed again"),
                }
            }
            None => candle_core::bail!("nothing was kept of block {number}"),
        };
        let back = Back { block, place, changes: self.changes, beside, ends: number == self.first };
        let at_entrance = back.run(&states, at_exit)?;
        at_entrance.map(|gradient| self.changes.back(Site::Residual, number, gradient)).transpose()
    }
}
