//! What is said of the directions: metrics, pictures, and the published table of evaluations.

use serde_json::json;
use sonde_sdk::{Estimate, Heatmap, Measure, Metric, ModelInfo, Plot, Summary};
use sonde_steering::candidates::{self, Scores};
use sonde_treatments::refusal_direction::{Candidate, Selection};

use crate::parameters::Parameters;

/// All that was found.
pub struct Found<'a> {
    pub model: &'a ModelInfo,
    /// Positions, and layers considered.
    pub shape: [u32; 2],
    pub words: &'a [String],
    /// For each filtered set of prompts how many of how many were kept.
    pub kept: &'a [(&'static str, (usize, usize))],
    pub unmodified: &'a Scores,
    /// The largest probability that the likeliest tokens left over.
    pub left_over: f64,
    /// Of the chosen direction.
    pub best: &'a Scores,
    pub candidates: &'a [Candidate],
    pub selection: &'a Selection,
    pub direction: &'a [f64],
}

/// Metrics, pictures and remarks.
pub fn summary(found: &Found<'_>, parameters: &Parameters) -> Summary {
    let mut summary = Summary::empty().metrics(chosen(found)).metrics(counts(found));
    for picture in heatmaps(found) {
        summary = summary.figure(picture);
    }
    let listed = parameters.kl_tokens.min(found.model.vocabulary);
    let whole = listed == found.model.vocabulary;
    summary
        .figure(scatter(found))
        .note(format!(
            "A refusal is told by its first word, one of: {}.",
            found.words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
        ))
        .note(if whole {
            "The KL divergence is over the whole vocabulary.".to_owned()
        } else {
            format!(
                "The KL divergence knows the {listed} likeliest tokens of {}, which leave over at most {:.2e} of the \
                 unmodified model's probability; the rest is taken to be shared evenly. `kl_tokens` sets how many.",
                found.model.vocabulary, found.left_over
            )
        })
}

/// The chosen direction, and the unmodified model beside it.
fn chosen(found: &Found<'_>) -> Vec<Metric> {
    let place = found.selection.best.place;
    let all = found.candidates.len() as u64;
    let given = |name: &str, about: &str, value: f64| Measure::new(name, about).given(value, all);
    let mean = |name: &str, about: &str, scores: &[f64], headline: bool| {
        let measure = Measure::new(name, about);
        let measure = if headline { measure.headline() } else { measure };
        Metric { estimate: Estimate::Mean(scores.to_vec()), ..measure.given(0.0, 0) }
    };
    let bypass = "Mean refusal score (log-odds that the reply begins as a refusal) of harmful prompts with the direction \
                  taken out everywhere.";
    let induce = "Mean refusal score of harmless prompts with the direction added once.";
    let kl = "Mean KL divergence on harmless prompts with the direction taken out, in nats.";
    let apart = "Length of the direction: how far apart the mean states of harmful and harmless prompts are.";
    let (best, unmodified) = (found.best, found.unmodified);
    vec![
        given("layer", "Block at whose input the direction was found.", f64::from(place.layer)),
        given("position", "Its token, counted from the prompt's end.", f64::from(place.position)),
        given("norm", apart, candidates::norm(found.direction)),
        mean("bypass_score", bypass, &best.bypass, true),
        mean("induce_score", induce, &best.induce, true),
        mean("kl_divergence", kl, &best.kl, false),
        mean(
            "harmful_score",
            "Mean refusal score of harmful prompts, unmodified.",
            &unmodified.bypass,
            false,
        ),
        mean(
            "harmless_score",
            "Mean refusal score of harmless prompts, unmodified.",
            &unmodified.induce,
            false,
        ),
    ]
}

/// Directions kept, those rejected by each condition, and prompts kept by the filter.
fn counts(found: &Found<'_>) -> Vec<Metric> {
    let [positions, layers] = found.shape.map(u64::from);
    let pruned = positions * (u64::from(found.model.layers) - layers);
    let all = positions * u64::from(found.model.layers);
    let rejected = &found.selection.rejected;
    let mut metrics = vec![
        Measure::new("directions_kept", "Directions that pass the rule, of one for each position and layer.")
            .counted(found.selection.kept.len() as u64, all),
    ];
    let reasons = [
        ("in the last layers (not measured)", pruned),
        ("KL divergence", rejected.kl as u64),
        ("does not induce refusal", rejected.induce as u64),
        ("a score is no number", rejected.not_a_number as u64),
    ];
    let measure = Measure::new("directions_rejected", "Directions that fail a condition; some fail several.");
    metrics.extend(reasons.map(|(reason, count)| measure.counted(count, all).of_group("reason", reason)));
    let measure = Measure::new(
        "prompts_kept",
        "Prompts that the unmodified model treats as it should, going by the first word of its reply.",
    );
    let kept = found
        .kept
        .iter()
        .map(|(kind, (kept, all))| measure.counted(*kept as u64, *all as u64).of_group("prompts", kind));
    metrics.extend(kept);
    metrics
}

/// A score at every position and layer; none where one of them is no number.
fn heatmaps(found: &Found<'_>) -> Vec<Heatmap> {
    let [positions, layers] = found.shape;
    let title = |what: &str| format!("{what}, positions −{positions} (top) to −1 (bottom)");
    let map = |name: &str, what: &str, score: fn(&Candidate) -> f64| {
        let cells: Vec<f64> = found.candidates.iter().map(score).collect();
        let finite = cells.iter().all(|cell| cell.is_finite());
        finite.then(|| Heatmap::new(name, &title(what), layers, cells).axes("layer", "position"))
    };
    let maps = [
        map("bypass", "Refusal score of harmful prompts with the direction taken out", |one| one.bypass),
        map("induce", "Refusal score of harmless prompts with the direction added", |one| one.induce),
        map("kl", "KL divergence on harmless prompts with the direction taken out", |one| one.kl),
    ];
    maps.into_iter().flatten().collect()
}

/// Every candidate, by what it does.
fn scatter(found: &Found<'_>) -> Plot {
    let kept = &found.selection.kept;
    let points = |wanted: bool| {
        let of_kind = move |one: &&Candidate| kept.iter().any(|kept| kept.place == one.place) == wanted;
        let points = found.candidates.iter().filter(of_kind).map(|one| (one.bypass, one.induce));
        points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect::<Vec<_>>()
    };
    Plot::scatter("candidates", "Directions: what taking them out and adding them does")
        .axes("refusal score of harmful prompts without it", "refusal score of harmless prompts with it")
        .series("rejected", points(false))
        .series("kept", points(true))
        .series("chosen", [(found.selection.best.bypass, found.selection.best.induce)])
}

/// The scores under their published names, as the authors' `direction_evaluations.json` has them; null is NaN.
pub fn evaluations(candidates: &[Candidate]) -> String {
    let entry = |one: &Candidate| {
        json!({
            "position": one.place.position,
            "layer": one.place.layer,
            "refusal_score": one.bypass,
            "steering_score": one.induce,
            "kl_div_score": one.kl,
        })
    };
    let lines: Vec<String> = candidates.iter().map(|one| entry(one).to_string()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
