//! The forward pass, once for all families, with hook points at every site.
//!
//! Generation, scoring, capture, intervention and gradients run this same code. Activations are `[tokens, width]`: one
//! sequence at a time, long ones in pieces that share a [`Cache`].

use candle_core::quantized::QTensor;
use candle_core::{D, Device, Result, Tensor, Var};
use sonde_contract::Site;

use super::cache::Cache;
use super::changes::Changes;
use super::description::Description;
use super::matrix::Matrix;
use super::names::Module;
use super::operations::{activate, cap, rms_norm, rotate, softmax};
use super::positions::Positions;
use super::tape::Tape;

/// A matrix with its bias.
pub(crate) struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Tensor>,
}

/// One block; norms that the family lacks are `None`.
pub(crate) struct Block {
    pub attention_norm: Tensor,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    pub query_norm: Option<Tensor>,
    pub key_norm: Option<Tensor>,
    pub after_attention: Option<Tensor>,
    pub mlp_norm: Tensor,
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
    pub after_mlp: Option<Tensor>,
}

impl Block {
    pub(crate) fn module(&self, module: Module) -> &Linear {
        match module {
            Module::Query => &self.query,
            Module::Key => &self.key,
            Module::Value => &self.value,
            Module::Output => &self.output,
            Module::Gate => &self.gate,
            Module::Up => &self.up,
            Module::Down => &self.down,
        }
    }
}

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
    pub tape: Option<&'a Tape>,
    /// Position of the piece that is being computed.
    first: usize,
}

impl<'a> Pass<'a> {
    /// Nothing but these changes.
    pub(crate) fn plain(changes: &'a Changes) -> Self {
        Self { changes, tap: None, stop: None, tape: None, first: 0 }
    }

    /// Shows every state to this tap.
    pub(crate) fn watched(changes: &'a Changes, tap: Tap<'a>) -> Self {
        Self { tap: Some(tap), ..Self::plain(changes) }
    }

    /// A hook point: changes first, then whoever looks on. `None` ends the pass.
    fn at(&mut self, site: Site, layer: usize, state: Tensor) -> Result<Option<Tensor>> {
        let state = self.changes.apply(site, layer, state)?;
        if let Some(tap) = &mut self.tap {
            tap(Seen { site, layer, first: self.first, state: &state })?;
        }
        Ok((self.stop != Some((site, layer))).then_some(state))
    }
}

/// Where a block's matrices are multiplied: which block, and with gradients or without.
#[derive(Clone, Copy)]
struct Place<'a> {
    block: usize,
    tape: Option<&'a Tape>,
}

impl Place<'_> {
    fn apply(&self, linear: &Linear, module: Module, x: &Tensor) -> Result<Tensor> {
        let product = match self.tape {
            None => linear.matrix.apply(x)?,
            Some(tape) => tape.apply(&linear.matrix, self.block, module, x)?,
        };
        match &linear.bias {
            None => Ok(product),
            Some(bias) => product.broadcast_add(bias),
        }
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

    fn through(
        &self,
        tokens: &[u32],
        positions: &Positions,
        cache: &mut Cache,
        pass: &mut Pass,
    ) -> Result<Option<Tensor>> {
        let mut state = self.embedding.rows(&Tensor::new(tokens, &Device::Cpu)?)?;
        if let Some(scale) = self.description.embedding_scale() {
            state = (state * scale)?;
        }
        let mut differentiable = false;
        for (number, block) in self.blocks.iter().enumerate() {
            let Some(entering) = pass.at(Site::Residual, number, state)? else { return Ok(None) };
            state = entering;
            if pass.tape.is_some_and(|tape| tape.begins_at(number)) {
                state = Var::from_tensor(&state)?.into_inner();
                differentiable = true;
            }
            let place = Place { block: number, tape: pass.tape.filter(|_| differentiable) };
            let normed = self.norm(&state, &block.attention_norm, place)?;
            let added = self.attention(block, &normed, positions, cache, place)?;
            let added = self.norm_if(added, block.after_attention.as_ref(), place)?;
            let Some(added) = pass.at(Site::Attention, number, added)? else { return Ok(None) };
            state = (state + added)?;
            let normed = self.norm(&state, &block.mlp_norm, place)?;
            let added = self.norm_if(self.mlp(block, &normed, place)?, block.after_mlp.as_ref(), place)?;
            let Some(added) = pass.at(Site::Mlp, number, added)? else { return Ok(None) };
            state = (state + added)?;
        }
        let last = self.blocks.len();
        let Some(state) = pass.at(Site::Residual, last, state)? else { return Ok(None) };
        let place = Place { block: last, tape: pass.tape };
        let normed = self.norm(&state, &self.final_norm, place)?;
        pass.at(Site::FinalNorm, last, normed)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor, place: Place) -> Result<Tensor> {
        rms_norm(x, weight, self.description.norm_epsilon, place.tape.is_some())
    }

    fn norm_if(&self, x: Tensor, weight: Option<&Tensor>, place: Place) -> Result<Tensor> {
        weight.map_or_else(|| Ok(x.clone()), |weight| self.norm(&x, weight, place))
    }

    fn attention(
        &self,
        block: &Block,
        x: &Tensor,
        positions: &Positions,
        cache: &mut Cache,
        place: Place,
    ) -> Result<Tensor> {
        let about = &self.description;
        let (tokens, width, steps) = (x.dim(0)?, about.head_width, place.tape.is_some());
        let slides = about.sliding.get(place.block).copied().unwrap_or(false);
        let angles = positions.angles(slides);
        let split =
            |linear: &Linear, module, heads| place.apply(linear, module, x)?.reshape((tokens, heads, width));
        let turned = |heads: Tensor, norm: Option<&Tensor>| {
            let heads = self.norm_if(heads, norm, place)?.transpose(0, 1)?.contiguous()?;
            rotate(&heads, &angles.cos, &angles.sin, steps)
        };
        let queries = turned(split(&block.query, Module::Query, about.heads)?, block.query_norm.as_ref())?;
        let keys = turned(split(&block.key, Module::Key, about.key_heads)?, block.key_norm.as_ref())?;
        let values = split(&block.value, Module::Value, about.key_heads)?.transpose(0, 1)?.contiguous()?;
        // With gradients a sequence comes whole, and the cache would cut the tape.
        let (keys, values) =
            if steps { (keys, values) } else { cache.extend(place.block, &keys, &values)? };

        // Heads that share a key head are rows of one product.
        let together = about.heads / about.key_heads * tokens;
        let queries = (queries * about.attention_scale)?.reshape((about.key_heads, together, width))?;
        let scores = cap(queries.matmul(&keys.transpose(1, 2)?)?, about.attention_cap)?;
        let all = scores.dim(D::Minus1)?;
        let mut scores = scores.reshape((about.heads, tokens, all))?;
        if let Some(mask) = positions.mask(slides) {
            scores = scores.broadcast_add(mask)?;
        }
        let weights = softmax(&scores, steps)?.reshape((about.key_heads, together, all))?;
        let mixed = weights.matmul(&values)?.reshape((about.heads, tokens, width))?;
        let mixed = mixed.transpose(0, 1)?.reshape((tokens, about.heads * width))?;
        place.apply(&block.output, Module::Output, &mixed)
    }

    fn mlp(&self, block: &Block, x: &Tensor, place: Place) -> Result<Tensor> {
        let gate = activate(&place.apply(&block.gate, Module::Gate, x)?, self.description.activation)?;
        let inner = (gate * place.apply(&block.up, Module::Up, x)?)?;
        place.apply(&block.down, Module::Down, &inner)
    }

    /// The output matrix.
    pub(crate) fn output(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// [`Self::logits`] without the rounding of quantised inputs.
    pub(crate) fn exact_logits(&self, normed: &Tensor) -> Result<Tensor> {
        cap(normed.matmul(&self.output().dense()?.t()?)?, self.description.logit_cap)
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
