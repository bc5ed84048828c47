//! Counting what two objectives share.

use std::collections::BTreeMap;

use super::{Chance, Matrix, Modules, Unreached};
use crate::Error;

/// Counts of one matrix, one layer, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Top weights under the first objective (`candidate_dataset1`).
    pub first: u64,
    /// Top weights under the second objective (`candidate_dataset2`).
    pub second: u64,
    /// Weights that are both.
    pub coupled: u64,
    /// All weights (`total_neurons`, though each is a single weight).
    pub weights: u64,
}

impl Counts {
    /// DeepScan's `coupled_rate_vs_candidate_mean`: coupled / ((first + second) / 2), 0 to 1. `None` without candidates.
    pub fn rate_vs_candidate_mean(&self) -> Option<f64> {
        let candidates = self.first + self.second;
        (candidates > 0).then(|| self.coupled as f64 / (candidates as f64 / 2.0))
    }

    /// DeepScan's `fairness_privacy_neurons_coupling_ratio`: coupled / weights. It cannot exceed the fraction the top
    /// sets were cut at, and so says more about that than about the model. `None` without weights.
    pub fn ratio(&self) -> Option<f64> {
        (self.weights > 0).then(|| self.coupled as f64 / self.weights as f64)
    }

    /// ln of [`Self::ratio`], the coupling index of the SPIN paper. `None` if nothing is coupled.
    pub fn ln_ratio(&self) -> Option<f64> {
        self.ratio().filter(|&ratio| ratio > 0.0).map(f64::ln)
    }

    fn add(&mut self, other: Self) {
        self.first += other.first;
        self.second += other.second;
        self.coupled += other.coupled;
        self.weights += other.weights;
    }
}

/// One matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleCoupling {
    /// Its name within the block.
    pub name: String,
    /// Its counts.
    pub counts: Counts,
    /// What chance would bring.
    pub chance: Chance,
}

/// One block.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCoupling {
    /// Block number, from 0.
    pub layer: u32,
    /// Over its matrices that count.
    pub counts: Counts,
    /// What chance would bring.
    pub chance: Chance,
    /// Its matrices, by name.
    pub modules: Vec<ModuleCoupling>,
}

/// A whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupling {
    /// Over all matrices that count.
    pub counts: Counts,
    /// What chance would bring.
    pub chance: Chance,
    /// Its blocks, ascending; one without any matrix that counts is there with zeros.
    pub layers: Vec<LayerCoupling>,
    /// Matrices of the chosen modules that a gradient did not reach, under either rule.
    pub unreached: u64,
}

/// Counts what the two sets of each matrix share. Matrices may come in any order.
///
/// # Errors
/// [`Error::Indices`] if a set does not ascend or reaches beyond its matrix; [`Error::Parameter`] if two matrices of a
/// layer have the same name.
pub fn coupling(matrices: &[Matrix], modules: Modules, unreached: Unreached) -> Result<Coupling, Error> {
    let mut layers: BTreeMap<u32, BTreeMap<&str, ModuleCoupling>> = BTreeMap::new();
    let mut without_gradient = 0;
    for matrix in matrices {
        matrix.check()?;
        let layer = layers.entry(matrix.layer).or_default();
        if !modules.contains(matrix.name) {
            continue;
        }
        let reached = matrix.first.is_some() && matrix.second.is_some();
        without_gradient += u64::from(!reached);
        if !reached && unreached == Unreached::LeaveOut {
            continue;
        }
        let size = |set: Option<&[u64]>| set.map_or(0, <[u64]>::len) as u64;
        let (first, second) = (size(matrix.first), size(matrix.second));
        let counts = Counts { first, second, coupled: matrix.coupled(), weights: matrix.weights };
        let module =
            ModuleCoupling { name: matrix.name.to_owned(), counts, chance: Chance::of_matrix(counts) };
        if layer.insert(matrix.name, module).is_some() {
            let value = format!("twice `{}` in layer {}", matrix.name, matrix.layer);
            return Err(Error::Parameter { name: "matrices", value, allowed: "give each matrix once" });
        }
    }
    let layers: Vec<LayerCoupling> = layers
        .into_iter()
        .map(|(layer, modules)| {
            let modules: Vec<ModuleCoupling> = modules.into_values().collect();
            let mut counts = Counts::default();
            modules.iter().for_each(|module| counts.add(module.counts));
            LayerCoupling { layer, counts, chance: Chance::of_sum(&modules), modules }
        })
        .collect();
    let mut counts = Counts::default();
    layers.iter().for_each(|layer| counts.add(layer.counts));
    let chance = Chance::of_sum(layers.iter().flat_map(|layer| &layer.modules));
    Ok(Coupling { counts, chance, layers, unreached: without_gradient })
}
