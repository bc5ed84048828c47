//! Whether the refused and the complied lie in different places.

use serde::Serialize;
use sonde_contract::DigestWriter;

use super::{Behaviour, Placement, diagnostics, of};
use crate::statistics::{Interval, auroc, bootstrap_auroc, bootstrap_mean};

/// One layer of one diagnostic, over all samples that tell what the model did, or over those whose rows have a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceSummary {
    /// The diagnostic's task.
    pub diagnostic: String,
    /// The layer as the diagnostic names it.
    pub layer: String,
    /// The label of the rows; `None` for all.
    pub label: Option<String>,
    /// Places of the samples that were refused.
    pub refused: Spread,
    /// Places of the samples that were complied with.
    pub complied: Spread,
    /// Area under the ROC curve of the place for compliance: the probability that a sample complied with lies farther
    /// towards the harmful centroid than a refused one. 0.5 is chance. `None` unless there are both.
    pub auroc: Option<f64>,
    /// Its 95 % bootstrap interval.
    pub auroc_interval: Option<Interval>,
}

/// Places of one kind of sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many samples.
    pub n: u64,
    /// Their mean; `None` of none.
    pub mean: Option<f64>,
    /// Its 95 % bootstrap interval; `None` for fewer than two.
    pub interval: Option<Interval>,
}

/// Every diagnostic's layers in their order, over all samples and then, where labels differ, over those of each label that
/// has at least two refused and two complied samples: over all, place and behaviour may agree only because both go
/// with the label.
pub fn summaries(placements: &[Placement]) -> Vec<PlaceSummary> {
    let mut summaries = Vec::new();
    for diagnostic in diagnostics(placements) {
        let mine = of(diagnostic, placements);
        let labels = labels(&mine);
        let layers = layers(&mine);
        summaries.extend(layers.iter().map(|layer| summary(diagnostic, layer, None, &mine)));
        for label in labels.iter().filter(|_| labels.len() > 1) {
            let by_label = layers.iter().map(|layer| summary(diagnostic, layer, Some(label), &mine));
            summaries.extend(by_label.filter(|summary| summary.auroc_interval.is_some()));
        }
    }
    summaries
}

/// Names of the layers, in the diagnostic's order.
pub(super) fn layers(placements: &[&Placement]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (layer, _) in placements.iter().flat_map(|placement| &placement.places) {
        if !names.contains(layer) {
            names.push(layer.clone());
        }
    }
    names
}

/// Places in a layer of the samples of which the model did this.
pub(super) fn places(
    placements: &[&Placement],
    layer: &str,
    label: Option<&str>,
    behaviour: Behaviour,
) -> Vec<f64> {
    let mine = placements.iter().filter(|placement| {
        placement.behaviour == Some(behaviour) && (label.is_none() || placement.label.as_deref() == label)
    });
    mine.filter_map(|placement| placement.places.iter().find(|(name, _)| name == layer))
        .map(|(_, place)| *place)
        .collect()
}

fn labels(placements: &[&Placement]) -> Vec<String> {
    let mut labels: Vec<String> = placements.iter().filter_map(|placement| placement.label.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

fn summary(diagnostic: &str, layer: &str, label: Option<&String>, placements: &[&Placement]) -> PlaceSummary {
    let label = label.map(String::as_str);
    let refused = places(placements, layer, label, Behaviour::Refused);
    let complied = places(placements, layer, label, Behaviour::Complied);
    let seed = |kind: &str| {
        let mut writer = DigestWriter::default();
        [diagnostic, layer, label.unwrap_or_default(), kind].into_iter().for_each(|part| writer.field(part));
        writer.finish().as_bytes().iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
    };
    let spread = |places: &[f64], kind: &str| Spread {
        n: places.len() as u64,
        mean: (!places.is_empty()).then(|| places.iter().sum::<f64>() / places.len() as f64),
        interval: bootstrap_mean(places, seed(kind)),
    };
    PlaceSummary {
        diagnostic: diagnostic.to_owned(),
        layer: layer.to_owned(),
        label: label.map(str::to_owned),
        refused: spread(&refused, "refused"),
        complied: spread(&complied, "complied"),
        auroc: auroc(&complied, &refused),
        auroc_interval: bootstrap_auroc(&complied, &refused, seed("auroc")),
    }
}
