//! Counts as metrics, pictures and remarks.

use sonde_diagnostics::spin::{Chance, Counts, Coupling, SweepPoint};
use sonde_sdk::{Measure, Metric, Plot};

/// In total, per layer and per module. `n` counts the examples of both datasets.
pub fn all(found: &Coupling, n: u64) -> Vec<Metric> {
    let mut metrics = of_counts(found.counts, &found.chance, n, true);
    for layer in &found.layers {
        let of_layer = of_counts(layer.counts, &layer.chance, n, false);
        metrics.extend(of_layer.into_iter().map(|metric| metric.at_layer(layer.layer)));
        for module in &layer.modules {
            let name = format!("layer={} {}", layer.layer, module.name);
            let of_module = of_counts(module.counts, &module.chance, n, false);
            metrics.extend(of_module.into_iter().map(|metric| metric.of_group("module", &name)));
        }
    }
    metrics
}

fn of_counts(counts: Counts, chance: &Chance, n: u64, headline: bool) -> Vec<Metric> {
    let number = |name: &str, about: &str, value: Option<f64>| {
        value.filter(|value| value.is_finite()).map(|value| (Measure::new(name, about), value))
    };
    let count = |count: u64| Some(count as f64);
    let found = [
        number(
            "coupled_rate_vs_candidate_mean",
            "Coupled weights over the mean number of important weights of the two datasets: 0 to 1.",
            counts.rate_vs_candidate_mean(),
        ),
        number("coupled", "Weights that are important for both datasets.", count(counts.coupled)),
        number(
            "expected_coupled",
            "What chance would bring: the mean of the hypergeometric distribution, summed over the matrices.",
            Some(chance.mean),
        ),
        number(
            "coupled_z",
            "coupled less expected_coupled, in standard deviations of chance.",
            (chance.sd > 0.0).then(|| (counts.coupled as f64 - chance.mean) / chance.sd),
        ),
        number(
            "coupled_ln_p",
            "Natural logarithm of the chance of so many coupled weights or more; for several matrices an upper bound.",
            Some(chance.ln_p),
        ),
        number("candidate_dataset1", "Important weights of the first dataset.", count(counts.first)),
        number("candidate_dataset2", "Important weights of the second dataset.", count(counts.second)),
        number(
            "total_neurons",
            "All weights looked at (DeepScan calls each a neuron).",
            count(counts.weights),
        ),
        number(
            "fairness_privacy_neurons_coupling_ratio",
            "Coupled weights over all weights; cannot exceed the fraction.",
            counts.ratio(),
        ),
        number(
            "ln_coupling_ratio",
            "Natural logarithm of that ratio, the paper's coupling index.",
            counts.ln_ratio(),
        ),
    ];
    let mut metrics: Vec<_> =
        found.into_iter().flatten().map(|(measure, value)| measure.given(value, n)).collect();
    if let Some(first) = metrics.first_mut() {
        first.headline = headline;
    }
    metrics
}

/// Coupling over the layers, and over the fraction.
pub fn pictures(found: &Coupling, swept: &[SweepPoint]) -> Vec<Plot> {
    let layers = || found.layers.iter().map(|layer| (f64::from(layer.layer), layer));
    let mut pictures = vec![
        Plot::line("coupled-by-layer", "Coupled weights in each block")
            .axes("block", "coupled weights")
            .series("found", layers().map(|(x, layer)| (x, layer.counts.coupled as f64)))
            .series("expected by chance", layers().map(|(x, layer)| (x, layer.chance.mean))),
    ];
    let points = |value: fn(&SweepPoint) -> Option<f64>| {
        swept
            .iter()
            .filter_map(move |point| Some((point.fraction.log10(), value(point)?)))
            .collect::<Vec<_>>()
    };
    let expected = |point: &SweepPoint| {
        let candidates = (point.counts.first + point.counts.second) as f64 / 2.0;
        (candidates > 0.0).then(|| point.chance.mean / candidates)
    };
    if swept.len() > 1 {
        pictures.push(
            Plot::line("coupling-by-fraction", "Coupling at other sizes of the important set")
                .axes("log10 of the fraction", "coupled over the mean of candidates")
                .series("found", points(|point| point.counts.rate_vs_candidate_mean()))
                .series("expected by chance", points(expected)),
        );
    }
    pictures
}

/// What a reader must know before believing the numbers.
pub fn notes(found: &Coupling, fraction: f64) -> Vec<String> {
    let mut notes = Vec::new();
    if found.counts.first + found.counts.second == 0 {
        notes.push(format!(
            "no matrix is large enough to have one important weight at the fraction {fraction:e}; raise `fraction`"
        ));
    }
    if found.unreached > 0 {
        notes.push(format!(
            "{} matrices have no gradient from one of the datasets (experts to which no token was routed)",
            found.unreached
        ));
    }
    notes
}
