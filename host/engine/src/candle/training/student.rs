//! The adapter while it is trained: its numbers in one row, and what a pass through the model sees of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};
use sonde_contract::Lora;

use super::draws::{Purpose, draws, mask, uniform};
use crate::candle::edits::{Pair, Place};
use crate::candle::names::Module;
use crate::candle::operations::{product, scaled};
use crate::candle::tape::Beside;
use crate::candle::transformer::Transformer;

/// A pair's matrix, and its lengths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub place: Place,
    outputs: usize,
    inputs: usize,
}

/// Where each matrix's A and B stand among the numbers: A row by row, then B, slot after slot.
pub(super) struct Layout {
    slots: Vec<Slot>,
    pub rank: usize,
}

impl Layout {
    /// These modules of every block.
    pub(super) fn new(transformer: &Transformer, modules: &[Module], rank: u32) -> Result<Self> {
        let mut slots = Vec::new();
        for (number, block) in transformer.blocks.iter().enumerate() {
            for module in modules {
                let (outputs, inputs) = block.module(*module).matrix.sides()?;
                slots.push(Slot { place: (number, *module), outputs, inputs });
            }
        }
        Ok(Self { slots, rank: rank as usize })
    }

    /// Numbers in all.
    pub(super) fn len(&self) -> usize {
        self.slots.iter().map(|slot| self.rank * (slot.inputs + slot.outputs)).sum()
    }

    /// Each slot's A and B.
    pub(super) fn parts<'a>(
        &'a self,
        numbers: &'a [f32],
    ) -> impl Iterator<Item = (Slot, &'a [f32], &'a [f32])> {
        let mut rest = numbers;
        self.slots.iter().filter_map(move |slot| {
            let (a, after) = rest.split_at_checked(self.rank * slot.inputs)?;
            let (b, after) = after.split_at_checked(self.rank * slot.outputs)?;
            rest = after;
            Some((*slot, a, b))
        })
    }

    /// A drawn as PEFT draws it (Kaiming uniform with a = √5: evenly up to 1 / √inputs), B zero.
    pub(super) fn start(&self, seed: u64) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(self.len());
        for Slot { place: (block, module), inputs, outputs } in self.slots.iter().copied() {
            let mut a = vec![0.0; self.rank * inputs];
            let mut stream = draws(seed, Purpose::Start, name(block, module, 0, 0));
            uniform(&mut stream, 1.0 / (inputs as f64).sqrt(), &mut a);
            numbers.extend(a);
            numbers.extend(std::iter::repeat_n(0.0, self.rank * outputs));
        }
        numbers
    }

    /// The numbers as matrices.
    pub(super) fn pairs(&self, numbers: &[f32]) -> Result<BTreeMap<Place, Pair>> {
        let pair = |(slot, a, b): (Slot, &[f32], &[f32])| {
            let a = Tensor::from_slice(a, (self.rank, slot.inputs), &Device::Cpu)?;
            let b = Tensor::from_slice(b, (slot.outputs, self.rank), &Device::Cpu)?;
            Ok((slot.place, Pair { a, b }))
        };
        self.parts(numbers).map(pair).collect()
    }

    /// Adds gradients to those of all numbers.
    pub(super) fn add(&self, gradients: &BTreeMap<Place, Pair>, to: &mut [f32]) -> Result<()> {
        let mut rest = to;
        for slot in &self.slots {
            for (side, length) in [(0, slot.inputs), (1, slot.outputs)] {
                let Some((here, after)) = std::mem::take(&mut rest).split_at_mut_checked(self.rank * length)
                else {
                    candle_core::bail!("the gradients are shorter than the adapter")
                };
                rest = after;
                let Some(pair) = gradients.get(&slot.place) else { continue };
                let found = if side == 0 { &pair.a } else { &pair.b };
                let found: Vec<f32> = found.flatten_all()?.to_vec1()?;
                here.iter_mut().zip(found).for_each(|(sum, number)| *sum += number);
            }
        }
        Ok(())
    }
}

/// Names a draw by step, lesson and matrix.
fn name(block: usize, module: Module, step: u32, lesson: u32) -> [u32; 4] {
    [step, lesson, u32::try_from(block).unwrap_or(u32::MAX), module as u32]
}

/// The adapter beside one pack's matrices.
pub(super) struct Student<'a> {
    pub pairs: &'a BTreeMap<Place, Pair>,
    /// alpha / rank
    pub scale: f64,
    pub dropout: f32,
    pub seed: u64,
    pub step: u32,
    /// Number and tokens of each of the pack's lessons.
    pub lessons: Vec<(u32, usize)>,
    pub gradients: Mutex<BTreeMap<Place, Pair>>,
}

impl<'a> Student<'a> {
    pub(super) fn new(
        pairs: &'a BTreeMap<Place, Pair>,
        lora: &Lora,
        seed: u64,
        step: u32,
        lessons: Vec<(u32, usize)>,
    ) -> Self {
        let scale = scale(lora);
        Self { pairs, scale, dropout: lora.dropout, seed, step, lessons, gradients: Mutex::default() }
    }

    /// Which inputs are left out; `None` if none are.
    fn mask(&self, (block, module): Place, x: &Tensor) -> Result<Option<Tensor>> {
        if self.dropout == 0.0 {
            return Ok(None);
        }
        let (tokens, inputs) = x.dims2()?;
        let mut kept = vec![0.0; tokens * inputs];
        let mut rest = kept.as_mut_slice();
        for (lesson, tokens) in &self.lessons {
            let Some((here, after)) = std::mem::take(&mut rest).split_at_mut_checked(tokens * inputs) else {
                candle_core::bail!("a pack is shorter than its lessons")
            };
            rest = after;
            let mut stream = draws(self.seed, Purpose::Dropout, name(block, module, self.step, *lesson));
            mask(&mut stream, self.dropout, here);
        }
        Tensor::from_vec(kept, (tokens, inputs), &Device::Cpu).map(Some)
    }
}

/// What B · A is multiplied by.
pub(super) fn scale(lora: &Lora) -> f64 {
    f64::from(lora.alpha) / f64::from(lora.rank)
}

impl Beside for Student<'_> {
    fn there(&self, place: Place, x: &Tensor) -> Result<Option<Tensor>> {
        let Some(Pair { a, b }) = self.pairs.get(&place) else { return Ok(None) };
        let mask = self.mask(place, x)?;
        let seen = mask.map_or_else(|| Ok(x.clone()), |mask| product(x, &mask))?;
        scaled(&seen.matmul(&a.t()?)?, self.scale)?.matmul(&b.t()?).map(Some)
    }

    fn back(&self, place: Place, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some(Pair { a, b }) = self.pairs.get(&place) else { return Ok(None) };
        let mask = self.mask(place, x)?;
        let seen = mask.as_ref().map_or_else(|| Ok(x.clone()), |mask| product(x, mask))?;
        let inner = scaled(&seen.matmul(&a.t()?)?, self.scale)?;
        let of_inner = scaled(&gradient.matmul(b)?, self.scale)?;
        let found = Pair { a: of_inner.t()?.matmul(&seen)?, b: gradient.t()?.matmul(&inner)? };
        self.gradients.lock().unwrap_or_else(PoisonError::into_inner).insert(place, found);
        let of_seen = of_inner.matmul(a)?;
        mask.map_or_else(|| Ok(of_seen.clone()), |mask| product(&of_seen, &mask)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starts_evenly_within_its_bound_and_b_at_zero_and_each_matrix_has_its_own_draw() {
        let slot = |module| Slot { place: (0, module), outputs: 3, inputs: 16 };
        let layout = Layout { slots: vec![slot(Module::Query), slot(Module::Value)], rank: 4 };
        let numbers = layout.start(42);
        assert_eq!((numbers.len(), layout.len()), (152, 152));
        let parts: Vec<_> = layout.parts(&numbers).collect();
        assert_eq!(parts.len(), 2);
        for (_, a, b) in &parts {
            assert!(a.iter().all(|number| number.abs() <= 0.25) && a.iter().any(|number| number.abs() > 0.2));
            assert!(b.iter().all(|number| *number == 0.0));
        }
        assert_ne!(parts[0].1, parts[1].1);
        assert_eq!(layout.start(42), numbers);
        assert_ne!(layout.start(43), numbers);
        let mut sums = vec![1.0; 152];
        layout.add(&layout.pairs(&numbers).unwrap(), &mut sums).unwrap();
        assert!(sums.iter().zip(&numbers).all(|(sum, number)| *sum == 1.0 + number));
    }
}
