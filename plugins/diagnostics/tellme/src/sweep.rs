//! R_gap, its null and the probe at every block.

use sonde_diagnostics::resampling::Null;
use sonde_diagnostics::tellme::{CodingRates, EPSILON};
use sonde_diagnostics::{Error, Vectors};
use sonde_sdk::{Metric, Plot};

use crate::{Parameters, metrics};

/// What was measured at one layer.
pub struct Measured {
    layer: u32,
    n: u64,
    gap: f64,
    null: Option<Null>,
    auroc: Option<f64>,
}

impl Measured {
    /// Measures a layer, as `hidden_states` counts them: block b is layer b + 1.
    pub fn new(
        layer: u32,
        vectors: &Vectors,
        labels: &[u32],
        parameters: &Parameters,
        seed: u64,
    ) -> Result<Self, Error> {
        let rates = CodingRates::new(vectors, EPSILON)?;
        let null = |permutations| rates.null(labels, permutations, seed);
        Ok(Self {
            layer,
            n: labels.len() as u64,
            gap: rates.rate_of_classes(labels)?.r_gap(),
            null: (parameters.permutations > 0).then(|| null(parameters.permutations)).transpose()?,
            auroc: metrics::auroc(vectors, labels)?,
        })
    }

    /// As metrics of the layer.
    pub fn metrics(&self) -> Vec<Metric> {
        let null =
            self.null.iter().flat_map(|null| metrics::gap().against_null(null.mean, null.z, null.p, self.n));
        let auroc = self.auroc.map(|auroc| metrics::auroc_measure().given(auroc, self.n));
        let all = std::iter::once(metrics::gap().given(self.gap, self.n)).chain(null).chain(auroc);
        all.map(|metric| metric.at_layer(self.layer)).collect()
    }
}

/// The sweep as pictures.
pub fn pictures(measured: &[Measured]) -> Vec<Plot> {
    if measured.len() < 2 {
        return Vec::new();
    }
    let points = |value: &dyn Fn(&Measured) -> Option<f64>| -> Vec<(f64, f64)> {
        measured.iter().filter_map(|one| Some((f64::from(one.layer), value(one)?))).collect()
    };
    vec![
        Plot::line("R-gap-by-layer", "R_gap, and what shuffled labels give")
            .axes("layer", "R_gap, nats")
            .series("true labels", points(&|one| Some(one.gap)))
            .series("shuffled labels, mean", points(&|one| Some(one.null.as_ref()?.mean))),
        Plot::line("auroc-by-layer", "How well safe and unsafe answers are told apart")
            .axes("layer", "auroc")
            .series("auroc", points(&|one| one.auroc)),
    ]
}
