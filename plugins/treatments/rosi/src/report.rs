//! What is said of the treatment: metrics, figures and remarks.

use sonde_sdk::{Measure, Metric, Plot, Site, Summary};
use sonde_treatments::refusal_direction::Candidate;
use sonde_treatments::rosi::Choice;

use crate::calibration::{Measured, Sweep};
use crate::direction::{Chosen, Found, shown};
use crate::matrices::{Matrices, Strength};
use crate::parameters::Parameters;
use crate::replies::Shares;
use crate::signs::{Sign, total};

/// The layer, and, where it was chosen, among which.
pub fn layer(summary: Summary, found: &Found, prompts: usize) -> Summary {
    let about = "Layer of the residual stream, counted from the embedding, at which the direction was taken.";
    let layer = Measure::new("layer", about).given(f64::from(found.layer), prompts as u64);
    let summary = summary.metric(layer);
    let Some(Chosen { candidates, rejected, words, left_over }) = &found.chosen else { return summary };
    let of = |score: fn(&Candidate) -> f64| {
        let finite = candidates.iter().filter(move |candidate| score(candidate).is_finite());
        finite.map(move |candidate| (f64::from(candidate.place.layer), score(candidate)))
    };
    let scores: Vec<_> = candidates.iter().map(shown).collect();
    let summary = summary
        .figure(
            Plot::line("layers", "Refusal scores by layer")
                .axes("layer", "refusal score")
                .series("harmful prompts, direction taken out (bypass)", of(|candidate| candidate.bypass))
                .series("harmless prompts, direction added (induce)", of(|candidate| candidate.induce)),
        )
        .note(format!(
            "The layer is that of the smallest bypass score among those that pass the rule. {}. Of {} layers, {rejected}. \
             Refusals begin with {words:?}.",
            scores.join("; "),
            candidates.len(),
        ));
    if *left_over < 0.01 {
        return summary;
    }
    summary.note(format!(
        "The KL divergences are approximate: up to {left_over:.3} of the probability lies with tokens that were not listed \
         and is taken as spread evenly; raise `kl_tokens`."
    ))
}

/// Alpha, and what it comes to in each matrix.
pub fn edits(mut summary: Summary, matrices: &Matrices, strength: Strength) -> Summary {
    let alphas: Vec<f64> = matrices.all.iter().map(|matrix| matrices.alpha(matrix, strength)).collect();
    let sizes: Vec<f64> = matrices
        .all
        .iter()
        .zip(&alphas)
        .map(|(matrix, alpha)| matrix.size(*alpha).unwrap_or_default())
        .collect();
    let n = matrices.all.len();
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / n.max(1) as f64;
    let given = |name: &str, about: &str, value: f64| Measure::new(name, about).given(value, n as u64);
    if let Strength::Size(size, _) = strength {
        let about =
            "The strength: the share of a matrix by which the edit changes it, with the sign of alpha.";
        summary = summary.metric(given("size", about, size));
    }
    // Experts of one tensor are one bar: the largest of them.
    let mut bars: Vec<(&str, f64)> = Vec::new();
    for (matrix, size) in matrices.all.iter().zip(&sizes) {
        match bars.last_mut() {
            Some((tensor, largest)) if *tensor == matrix.tensor => *largest = largest.max(*size),
            _ => bars.push((&matrix.tensor, *size)),
        }
    }
    let largest = matrices.all.iter().zip(&sizes).max_by(|(_, one), (_, other)| one.total_cmp(other));
    summary = summary
        .metric(given("alpha_mean", "Mean of alpha over the matrices.", mean(&alphas)))
        .metric(given(
            "relative_edit_mean",
            "Mean over the matrices of ‖W' − W‖ / ‖W‖ (Frobenius).",
            mean(&sizes),
        ))
        .metric(given(
            "relative_edit_max",
            "Largest ‖W' − W‖ / ‖W‖ (Frobenius) of a matrix.",
            sizes.iter().copied().fold(0.0, f64::max),
        ))
        .figure(
            Plot::bar("edits", "Relative size of the edit of each matrix")
                .axes("matrix", "‖W' − W‖ / ‖W‖")
                .categories(bars.iter().map(|(tensor, _)| *tensor))
                .values("size", bars.iter().map(|(_, size)| *size)),
        );
    if let Some((matrix, size)) = largest {
        summary = summary.note(format!("{n} matrices are edited; most, by {size:.4}: {}.", matrix.name()));
    }
    summary.notes.extend(matrices.notes.iter().cloned());
    summary
}

/// The sweep over strengths, and what the chosen one does to the calibration prompts.
pub fn calibration(mut summary: Summary, sweep: &Sweep, parameters: &Parameters) -> Summary {
    let (before, after) = (&sweep.untreated, sweep.treated());
    for (when, measured) in [("before", before), ("after", after)] {
        summary = summary.metrics(shares(when, measured));
    }
    let mut all: Vec<&Measured> = sweep.tried.iter().chain([before]).collect();
    all.sort_by(|one, other| one.size.total_cmp(&other.size));
    let share = |of: fn(&Measured) -> f64| all.iter().map(move |measured| (measured.size, of(measured)));
    summary = summary.figure(
        Plot::line("strengths", "Refusal and compliance by strength")
            .axes("size of the edit, with the sign of alpha", "share of the calibration prompts")
            .series("harmful refused", share(|measured| measured.harmful.refusal()))
            .series("harmless answered", share(|measured| measured.harmless.compliance())),
    );
    let row = |measured: &&Measured| {
        let Measured { size, harmful, harmless } = measured;
        let answered = harmless.read.saturating_sub(harmless.refused);
        format!("{size:+}: {}/{}, {answered}/{}", harmful.refused, harmful.asked, harmless.asked)
    };
    let rows: Vec<String> = all.iter().map(row).collect();
    summary = summary
        .note(outcome(sweep, parameters))
        .note(format!("Size of the edit: harmful refused, harmless answered. {}.", rows.join("; ")));
    let unread: u64 =
        all.iter().map(|m| m.harmful.asked - m.harmful.read + m.harmless.asked - m.harmless.read).sum();
    if unread > 0 {
        let asked: u64 = all.iter().map(|m| m.harmful.asked + m.harmless.asked).sum();
        summary = summary.note(format!(
            "{unread} of {asked} replies in the sweep could not be read. In the choice they count against a strength, as \
             neither refused nor answered; in the metrics they are in no denominator."
        ));
    }
    summary
}

fn shares(when: &str, measured: &Measured) -> [Metric; 2] {
    let of = |name: &str, about: &str| Measure::new(&format!("{name}_{when}"), about).higher_is_better();
    let model = if when == "before" { "the untreated model" } else { "the treated model" };
    let Measured { harmful, harmless, .. } = measured;
    let Shares { read, refused, .. } = harmless;
    [
        of(
            "refusal",
            &format!("Harmful calibration prompts that {model} refuses, of those whose reply was read."),
        )
        .counted(harmful.refused, harmful.read),
        of(
            "compliance",
            &format!("Harmless calibration prompts that {model} answers, of those whose reply was read."),
        )
        .counted(read.saturating_sub(*refused), *read),
    ]
}

fn outcome(sweep: &Sweep, parameters: &Parameters) -> String {
    let Parameters { refusal_target, compliance_bound, .. } = parameters;
    let aim = format!(
        "{refusal_target} of the harmful calibration prompts refused while compliance falls by at most \
         {compliance_bound} points"
    );
    match sweep.choice {
        Choice::Met(trial) => format!(
            "Size {:+} is the smallest that meets the target: {aim}. The published sign of alpha is positive.",
            trial.strength
        ),
        Choice::Best(trial) => format!(
            "Target not reached: no size has {aim}. Size {:+} refuses most within the bound.",
            trial.strength
        ),
        Choice::Nothing => format!(
            "Target not reached: no size has {aim}, and none within the bound refuses more than the untreated model. \
             The treatment is of strength 0 and changes nothing."
        ),
    }
}

/// How often w̄·x is positive.
pub fn signs(mut summary: Summary, kinds: [(&str, &[Sign]); 2]) -> Summary {
    let share = Measure::new(
        "positive_row_mean_output",
        "Share of blocks and prompts, at the last prompt token, at which w̄·x is positive: where a positive alpha pushes \
         towards the harmful prompts' side of the direction.",
    );
    let size = Measure::new(
        "row_mean_output",
        "Mean of w̄·x over blocks and prompts, at the last prompt token: times alpha, how far the edit pushes towards the \
         harmful prompts' side.",
    );
    let mut plot = Plot::line("signs", "How often w̄·x is positive").axes("block", "share of the prompts");
    for (kind, signs) in kinds {
        for (site, part) in [(Site::Attention, "attention"), (Site::Mlp, "MLP")] {
            let label = format!("{part}, {kind} prompts");
            let group = format!("output={label}");
            let (positive, prompts, mean) = total(signs, site);
            summary = summary
                .metric(share.counted(positive, prompts).of_group("output", &group))
                .metric(size.given(mean, prompts).of_group("output", &group));
            let points = signs.iter().filter(|sign| sign.site == site && sign.prompts > 0);
            plot = plot.series(
                &label,
                points.map(|sign| (f64::from(sign.block), sign.positive as f64 / sign.prompts as f64)),
            );
        }
    }
    summary.figure(plot)
}
