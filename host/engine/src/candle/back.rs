//! One block, the way back: the gradient at the block's entrance, given the one at its exit.
//!
//! Formulas rather than candle's tape: nothing is computed for what is frozen, nothing is held but the states of the way
//! there, and what stands beside a matrix sees its gradient the moment it is known.

use candle_core::{Result, Tensor};
use sonde_contract::Site;

use super::block::{Block, Place, States, attention};
use super::changes::Changes;
use super::names::Module;
use super::operations::{gated_back, rms_norm_back, rotate, sum};
use super::tape::Beside;

/// What the way back through a block is computed with.
pub(crate) struct Back<'a> {
    /// Its matrices as they are multiplied with, dequantised if need be.
    pub block: &'a Block,
    pub place: Place<'a>,
    pub changes: &'a Changes,
    pub beside: &'a dyn Beside,
    /// Whether nobody wants the gradient at the entrance.
    pub ends: bool,
}

impl Back<'_> {
    /// The gradient at the entrance; `None` where the way ends here.
    pub(crate) fn run(&self, states: &States, gradient: Tensor) -> Result<Option<Tensor>> {
        let Self { block, place, changes, .. } = self;
        let of_added = changes.back(Site::Mlp, place.block, gradient.clone())?;
        let of_raw = self.norm_if(&states.raw_mlp, block.after_mlp.as_ref(), of_added)?;
        let of_inner = self.product(Module::Down, &states.inner, &of_raw)?;
        let (of_gate, of_up) = gated_back(&states.gate, &states.up, place.about.activation, &of_inner)?;
        let of_normed = sum(
            &self.product(Module::Gate, &states.mlp_normed, &of_gate)?,
            &self.product(Module::Up, &states.mlp_normed, &of_up)?,
        )?;
        let gradient = sum(&gradient, &self.norm(&states.middle, &block.mlp_norm, &of_normed)?)?;

        let of_added = changes.back(Site::Attention, place.block, gradient.clone())?;
        let of_raw = self.norm_if(&states.raw_attention, block.after_attention.as_ref(), of_added)?;
        let of_mixed = self.product(Module::Output, &states.mixed, &of_raw)?;
        let [of_queries, of_keys, of_values] = self.attention(states, &of_mixed)?;
        let of_queries = self.turned(&states.raw_queries, block.query_norm.as_ref(), &of_queries)?;
        let of_keys = self.turned(&states.raw_keys, block.key_norm.as_ref(), &of_keys)?;
        let (modules, normed) = ([Module::Query, Module::Key, Module::Value], &states.attention_normed);
        let mut of_normed: Option<Tensor> = None;
        for (module, gradient) in modules.into_iter().zip([of_queries, of_keys, of_values.flatten_from(1)?]) {
            if self.ends {
                self.beside.back((place.block, module), normed, &gradient)?;
                continue;
            }
            let one = self.product(module, normed, &gradient)?;
            of_normed = Some(of_normed.map_or_else(|| Ok(one.clone()), |others| sum(&others, &one))?);
        }
        let Some(of_normed) = of_normed else { return Ok(None) };
        sum(&gradient, &self.norm(&states.entering, &block.attention_norm, &of_normed)?).map(Some)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        rms_norm_back(x, weight, self.place.about.norm_epsilon, gradient)
    }

    fn norm_if(&self, x: &Tensor, weight: Option<&Tensor>, gradient: Tensor) -> Result<Tensor> {
        weight.map_or_else(|| Ok(gradient.clone()), |weight| self.norm(x, weight, &gradient))
    }

    /// Of queries or keys `[tokens, heads, width]`, back before their turn and their norm: `[tokens, heads · width]`.
    fn turned(&self, raw: &Tensor, norm: Option<&Tensor>, gradient: &Tensor) -> Result<Tensor> {
        let angles = self.place.positions.angles(self.place.slides());
        let gradient = rotate(gradient, &angles.cos, &angles.sin.neg()?)?;
        self.norm_if(raw, norm, gradient)?.flatten_from(1)
    }

    fn attention(&self, states: &States, of_mixed: &Tensor) -> Result<[Tensor; 3]> {
        let States { queries, keys, values, .. } = states;
        let mut all = [Vec::new(), Vec::new(), Vec::new()];
        for (first, tokens) in self.place.positions.sequences() {
            let attention = attention(queries, keys, values, self.place, first, tokens)?;
            let found = attention.back(&of_mixed.narrow(0, first, tokens)?)?;
            all.iter_mut().zip(found).for_each(|(all, one)| all.push(one));
        }
        let [of_queries, of_keys, of_values] = all.map(|each| Tensor::cat(&each, 0));
        Ok([of_queries?, of_keys?, of_values?])
    }

    /// The gradient at a matrix's input.
    fn product(&self, module: Module, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let number = self.place.block;
        let mut of_input = gradient.matmul(&self.block.module(module).matrix.dense()?)?;
        if let Some(pair) = self.changes.beside(number, module) {
            of_input = sum(&of_input, &pair.back(gradient)?)?;
        }
        match self.beside.back((number, module), x, gradient)? {
            None => Ok(of_input),
            Some(more) => sum(&of_input, &more),
        }
    }
}
