//! The numbers of one block.

use sonde_diagnostics::tellme::{CodingRates, EPSILON, Geometry, distances, effective_rank};
use sonde_diagnostics::{Error, Gram, Vectors, probe};
use sonde_sdk::{Measure, Metric};

use crate::{Definitions, Parameters};

/// Every metric of a block's output.
pub fn whole(
    vectors: &Vectors,
    labels: &[u32],
    parameters: &Parameters,
    seed: u64,
) -> Result<Vec<Metric>, Error> {
    let n = labels.len() as u64;
    let rates = CodingRates::new(vectors, EPSILON)?;
    let rate = rates.rate_of_classes(labels)?;
    let mut found = vec![
        gap().headline().given(rate.r_gap(), n),
        Measure::new("R_diff", "Coding rate of all states together, in nats.").given(rate.r_diff, n),
        Measure::new("R_same", "Coding rate of the states class by class, in nats.").given(rate.r_same, n),
    ];
    if parameters.permutations > 0 {
        let null = rates.null(labels, parameters.permutations, seed)?;
        found.extend(gap().against_null(null.mean, null.z, null.p, n));
    }
    if let Some(share) = rate.gap_share() {
        found.push(
            Measure::new("R_gap_share", "R_gap / R_diff: less dependent on the width.").given(share, n),
        );
    }
    if let Some(auroc) = auroc(vectors, labels)? {
        found.push(auroc_measure().headline().given(auroc, n));
    }
    let about =
        "Effective rank: the exponential of the entropy of the centred states' normalised singular values.";
    found.push(Measure::new("erank", about).given(effective_rank(vectors)?, n));
    let geometry = Geometry::new(vectors, labels)?;
    for (name, about, value) in [
        (
            "between_class_cosine",
            "Mean cosine of all pairs across the two classes.",
            Some(geometry.between_class_cosine),
        ),
        (
            "within_class_cosine",
            "Mean cosine of all pairs within a class; classes are apart only where it exceeds between_class_cosine.",
            geometry.within_class_cosine,
        ),
        (
            "centroid_correlation",
            "Pearson correlation of the classes' centroids.",
            geometry.centroid_correlation,
        ),
        (
            "mean_pairwise_l2",
            "Mean Euclidean distance of all pairs across the classes, in the activations' unit.",
            Some(geometry.mean_pairwise_l2),
        ),
        (
            "energy_coefficient",
            "Energy distance of the classes over twice mean_pairwise_l2: 0 for equal distributions, at most 1.",
            geometry.energy_coefficient,
        ),
    ] {
        found.extend(value.map(|value| Measure::new(name, about).given(value, n)));
    }
    if parameters.definitions == Definitions::Deepscan {
        found.extend(deepscan(vectors, labels, n)?);
    }
    Ok(found)
}

/// DeepScan's distances, under its names.
fn deepscan(vectors: &Vectors, labels: &[u32], n: u64) -> Result<Vec<Metric>, Error> {
    let found = distances(vectors, labels)?;
    let metric = |name, about, value| Measure::new(name, about).given(value, n);
    Ok(vec![
        metric(
            "cos_sim",
            "DeepScan's: an angle in degrees, of the mean cosine of the i-th safe and the i-th unsafe state.",
            found.cos_sim,
        ),
        metric(
            "pcc",
            "DeepScan's: no correlation; the mean product of the two classes' scaled entries.",
            found.pcc,
        ),
        metric("L2", "Mean Euclidean distance of all pairs across.", found.l2),
        metric("L1", "Mean Manhattan distance of all pairs across.", found.l1),
        metric("hausdorff", "Hausdorff distance of the two classes, Euclidean.", found.hausdorff),
    ])
}

/// Of R_gap.
pub fn gap() -> Measure {
    Measure::new(
        "R_gap",
        "R_diff − R_same, what the classes save, in nats; read it with R_gap_z and R_gap_p.",
    )
}

/// Of the probe.
pub fn auroc_measure() -> Measure {
    let about = "How well the direction between the class means tells safe from unsafe answers that it was not made from: \
                 area under the ROC curve, stratified cross-validation; 0.5 is chance.";
    Measure::new("auroc", about).higher_is_better()
}

/// The probe's value; none below two samples in a class.
pub fn auroc(vectors: &Vectors, labels: &[u32]) -> Result<Option<f64>, Error> {
    let positive: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
    match probe::difference_of_means(&Gram::new(vectors), &positive, probe::FOLDS) {
        Ok(auroc) => Ok(Some(auroc)),
        Err(Error::ClassTooSmall { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
