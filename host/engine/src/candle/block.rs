//! One block, the way there: attention and MLP, each added to the residual stream.
//!
//! [`Block::there`] is what generation, scoring, capture and the passes with gradients all run. It gives back the states
//! that the way back ([`super::back`]) needs; who does not go back drops them.

use candle_core::{Result, Tensor};
use sonde_contract::Site;

use super::attention::Attention;
use super::cache::Cache;
use super::description::Description;
use super::matrix::Matrix;
use super::names::Module;
use super::operations::{add_to_rows, gated, rms_norm, rotate, sum};
use super::positions::Positions;
use super::transformer::Pass;

/// A matrix with its bias.
#[derive(Clone)]
pub(crate) struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Tensor>,
}

/// One block; norms that the family lacks are `None`.
#[derive(Clone)]
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

/// Where a block's pass takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub about: &'a Description,
    pub block: usize,
    pub positions: &'a Positions,
}

impl Place<'_> {
    pub(crate) fn slides(&self) -> bool {
        self.about.sliding.get(self.block).copied().unwrap_or(false)
    }
}

/// A block's states on the way there, `[tokens, …]`. `raw` is what a norm of the family's own is applied to; without such
/// a norm it is the state itself.
pub(crate) struct States {
    pub entering: Tensor,
    pub attention_normed: Tensor,
    pub raw_queries: Tensor,
    pub raw_keys: Tensor,
    pub queries: Tensor,
    pub keys: Tensor,
    pub values: Tensor,
    pub mixed: Tensor,
    pub raw_attention: Tensor,
    pub middle: Tensor,
    pub mlp_normed: Tensor,
    pub gate: Tensor,
    pub up: Tensor,
    pub inner: Tensor,
    pub raw_mlp: Tensor,
}

impl States {
    /// Memory that they take, at most.
    pub(crate) fn bytes(&self) -> usize {
        let all = [
            &self.entering,
            &self.attention_normed,
            &self.raw_queries,
            &self.raw_keys,
            &self.queries,
            &self.keys,
            &self.values,
            &self.mixed,
            &self.raw_attention,
            &self.middle,
            &self.mlp_normed,
            &self.gate,
            &self.up,
            &self.inner,
            &self.raw_mlp,
        ];
        all.into_iter().map(|state| state.elem_count() * size_of::<f32>()).sum()
    }
}

/// What attention leaves of its way.
struct Attended {
    raw_queries: Tensor,
    raw_keys: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mixed: Tensor,
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

    /// The same block with its matrices dequantised, for as long as it is held.
    pub(crate) fn dense(&self) -> Result<Self> {
        let dense = |linear: &Linear| -> Result<Linear> {
            Ok(Linear { matrix: Matrix::Dense(linear.matrix.dense()?), bias: linear.bias.clone() })
        };
        Ok(Self {
            query: dense(&self.query)?,
            key: dense(&self.key)?,
            value: dense(&self.value)?,
            output: dense(&self.output)?,
            gate: dense(&self.gate)?,
            up: dense(&self.up)?,
            down: dense(&self.down)?,
            ..self.clone()
        })
    }

    /// Runs `[tokens, width]` through the block. Without a cache the tokens are whole sequences. `None` if the pass ends
    /// inside.
    pub(crate) fn there(
        &self,
        entering: Tensor,
        place: Place,
        cache: Option<&mut Cache>,
        pass: &mut Pass,
    ) -> Result<Option<(Tensor, States)>> {
        let number = place.block;
        let norm = |x: &Tensor, weight: &Tensor| rms_norm(x, weight, place.about.norm_epsilon);
        let norm_if = |x: &Tensor, weight: Option<&Tensor>| {
            weight.map_or_else(|| Ok(x.clone()), |weight| norm(x, weight))
        };
        let attention_normed = norm(&entering, &self.attention_norm)?;
        let attended = self.attend(&attention_normed, place, cache, pass)?;
        let raw_attention = self.product(Module::Output, &attended.mixed, place, pass)?;
        let added = norm_if(&raw_attention, self.after_attention.as_ref())?;
        let Some(added) = pass.at(Site::Attention, number, added)? else { return Ok(None) };
        let middle = sum(&entering, &added)?;

        let mlp_normed = norm(&middle, &self.mlp_norm)?;
        let gate = self.product(Module::Gate, &mlp_normed, place, pass)?;
        let up = self.product(Module::Up, &mlp_normed, place, pass)?;
        let inner = gated(&gate, &up, place.about.activation)?;
        let raw_mlp = self.product(Module::Down, &inner, place, pass)?;
        let added = norm_if(&raw_mlp, self.after_mlp.as_ref())?;
        let Some(added) = pass.at(Site::Mlp, number, added)? else { return Ok(None) };
        let leaving = sum(&middle, &added)?;
        let Attended { raw_queries, raw_keys, queries, keys, values, mixed } = attended;
        let states = States {
            entering,
            attention_normed,
            raw_queries,
            raw_keys,
            queries,
            keys,
            values,
            mixed,
            raw_attention,
            middle,
            mlp_normed,
            gate,
            up,
            inner,
            raw_mlp,
        };
        Ok(Some((leaving, states)))
    }

    fn attend(&self, x: &Tensor, place: Place, cache: Option<&mut Cache>, pass: &Pass) -> Result<Attended> {
        let Place { about, positions, .. } = place;
        let (tokens, width) = (x.dim(0)?, about.head_width);
        let angles = positions.angles(place.slides());
        let split = |module, heads| self.product(module, x, place, pass)?.reshape((tokens, heads, width));
        let turned = |raw: &Tensor, norm: Option<&Tensor>| match norm {
            None => rotate(raw, &angles.cos, &angles.sin),
            Some(norm) => rotate(&rms_norm(raw, norm, about.norm_epsilon)?, &angles.cos, &angles.sin),
        };
        let raw_queries = split(Module::Query, about.heads)?;
        let raw_keys = split(Module::Key, about.key_heads)?;
        let values = split(Module::Value, about.key_heads)?;
        let queries = turned(&raw_queries, self.query_norm.as_ref())?;
        let keys = turned(&raw_keys, self.key_norm.as_ref())?;
        let mixed = match cache {
            None => {
                let each = positions.sequences().map(|(first, tokens)| {
                    attention(&queries, &keys, &values, place, first, tokens)?.mixed()
                });
                Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)?
            }
            Some(cache) => {
                let (all_keys, all_values) =
                    cache.extend(place.block, &keys.transpose(0, 1)?, &values.transpose(0, 1)?)?;
                let queries = queries.transpose(0, 1)?.contiguous()?;
                let slides = place.slides();
                Attention { about, queries, keys: all_keys, values: all_values, positions, slides }.mixed()?
            }
        };
        Ok(Attended { raw_queries, raw_keys, queries, keys, values, mixed })
    }

    /// A matrix's product with its bias and what stands beside it.
    fn product(&self, module: Module, x: &Tensor, place: Place, pass: &Pass) -> Result<Tensor> {
        let linear = self.module(module);
        let mut product = linear.matrix.apply(x)?;
        if let Some(pair) = pass.changes.beside(place.block, module) {
            product = sum(&product, &pair.apply(x)?)?;
        }
        if let Some(beside) = pass.beside
            && let Some(more) = beside.there((place.block, module), x)?
        {
            product = sum(&product, &more)?;
        }
        linear.bias.as_ref().map_or(Ok(product.clone()), |bias| add_to_rows(&product, bias))
    }
}

/// The attention of one of several whole sequences `[tokens, heads, width]`.
pub(crate) fn attention<'a>(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    place: Place<'a>,
    first: usize,
    tokens: usize,
) -> Result<Attention<'a>> {
    let heads_first = |x: &Tensor| x.narrow(0, first, tokens)?.transpose(0, 1)?.contiguous();
    Ok(Attention {
        about: place.about,
        queries: heads_first(queries)?,
        keys: heads_first(keys)?,
        values: heads_first(values)?,
        positions: place.positions,
        slides: place.slides(),
    })
}
