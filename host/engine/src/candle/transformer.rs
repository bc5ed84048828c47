//! The forward pass, once for all families, with hook points at every site.
//!
//! Generation, scoring, capture, intervention and gradients run this same code. Activations are `[tokens, width]`: one
//! sequence at a time, long ones in pieces that share a [`Cache`]; with gradients, several whole ones.

use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Tensor};
use sonde_contract::Site;

use super::block::{Block, Place};
use super::cache::Cache;
use super::changes::Changes;
use super::description::Description;
use super::matrix::Matrix;
use super::operations::{cap, rms_norm};
use super::positions::Positions;
use super::tape::Beside;

/// A loaded transformer.
pub(crate) struct Transformer {
    pub description: Description,
    pub embedding: Matrix,
    pub blocks: Vec<Block>,
    pub final_norm: Tensor,
    /// `None` where the embedding serves.
    pub head: Option<Matrix>,
}

/// A state at a hook point.
pub(crate) struct Seen<'a> {
    pub site: Site,
    pub layer: usize,
    /// Position of the first row in the sequence.
    pub first: usize,
    /// `[tokens, width]`
    pub state: &'a Tensor,
}

/// Gets each state that it may want to keep.
pub(crate) type Tap<'a> = &'a mut dyn FnMut(Seen) -> Result<()>;

/// What a pass is for.
pub(crate) struct Pass<'a> {
    pub changes: &'a Changes,
    pub tap: Option<Tap<'a>>,
    /// Where the pass ends, if before the final norm.
    pub stop: Option<(Site, usize)>,
    pub beside: Option<&'a dyn Beside>,
    /// Position of the piece that is being computed.
    first: usize,
}

impl<'a> Pass<'a> {
    /// Nothing but these changes.
    pub(crate) fn plain(changes: &'a Changes) -> Self {
        Self { changes, tap: None, stop: None, beside: None, first: 0 }
    }

    /// Shows every state to this tap.
    pub(crate) fn watched(changes: &'a Changes, tap: Tap<'a>) -> Self {
        Self { tap: Some(tap), ..Self::plain(changes) }
    }

    /// A hook point: changes first, then whoever looks on. `None` ends the pass.
    pub(crate) fn at(&mut self, site: Site, layer: usize, state: Tensor) -> Result<Option<Tensor>> {
        let state = self.changes.apply(site, layer, state)?;
        if let Some(tap) = &mut self.tap {
            tap(Seen { site, layer, first: self.first, state: &state })?;
        }
        Ok((self.stop != Some((site, layer))).then_some(state))
    }
}

impl Transformer {
    /// Runs a piece of a sequence that follows what the cache holds. Returns the states after the final norm
    /// `[tokens, width]`, or `None` if the pass ended before.
    pub(crate) fn run(&self, tokens: &[u32], cache: &mut Cache, pass: &mut Pass) -> Result<Option<Tensor>> {
        pass.first = cache.len();
        let positions = Positions::new(&self.description, cache.len(), tokens.len())?;
        let found = self.through(tokens, &positions, cache, pass)?;
        cache.advance(tokens.len());
        Ok(found)
    }

    /// What goes into the first block, before any change.
    pub(crate) fn embedded(&self, tokens: &[u32]) -> Result<Tensor> {
        let state = self.embedding.rows(&Tensor::new(tokens, &Device::Cpu)?)?;
        self.description.embedding_scale().map_or(Ok(state.clone()), |scale| state * scale)
    }

    fn through(
        &self,
        tokens: &[u32],
        positions: &Positions,
        cache: &mut Cache,
        pass: &mut Pass,
    ) -> Result<Option<Tensor>> {
        let mut state = self.embedded(tokens)?;
        for (number, block) in self.blocks.iter().enumerate() {
            let Some(entering) = pass.at(Site::Residual, number, state)? else { return Ok(None) };
            let place = Place { about: &self.description, block: number, positions };
            let Some((leaving, _)) = block.there(entering, place, Some(cache), pass)? else {
                return Ok(None);
            };
            state = leaving;
        }
        let last = self.blocks.len();
        let Some(state) = pass.at(Site::Residual, last, state)? else { return Ok(None) };
        let normed = rms_norm(&state, &self.final_norm, self.description.norm_epsilon)?;
        pass.at(Site::FinalNorm, last, normed)
    }

    /// The output matrix.
    pub(crate) fn output(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Logits `[tokens, vocabulary]` of states after the final norm.
    pub(crate) fn logits(&self, normed: &Tensor) -> Result<Tensor> {
        cap(self.output().apply(normed)?, self.description.logit_cap)
    }
}

/// A tensor of the file as a matrix: in f32 if it is stored so widely or if `dense` asks for it, else quantised.
pub(crate) fn matrix(stored: QTensor, dense: bool) -> Result<Matrix> {
    if dense || stored.dtype().block_size() == 1 {
        return stored.dequantize(&Device::Cpu).map(Matrix::Dense);
    }
    Ok(Matrix::Quantised(stored.into()))
}
