//! Treatment: the refusal direction (Arditi et al. 2024). Finds the direction in which a model keeps its refusing, by the
//! published rule, and adds it; or, to audit how easily that goes, takes it out.

mod parameters;
mod prompts;
mod report;

use sonde_sdk::{
    About, Datasets, Derived, Error, Host, Intervention, Level, Model, Prompt, Site, Trainable, Treatment,
    about,
};
use sonde_steering::candidates::{Scores, Validation};
use sonde_steering::{candidates, refusals};
use sonde_treatments::refusal_direction::Directions;

pub use crate::parameters::Parameters;
use crate::parameters::{Change, Purpose};
use crate::prompts::Split;
use crate::report::Found;

/// The treatment.
pub struct RefusalDirection;

impl Treatment for RefusalDirection {
    type Parameters = Parameters;

    fn about() -> About {
        about!("Refusal direction")
            .summary(
                "Finds the direction of the residual stream that sets harmful prompts apart from harmless ones and \
                 carries the model's refusing, among the differences of their mean states at every position after the \
                 instruction and every layer: the one whose removal lowers the refusal score of harmful prompts most, \
                 whose addition makes the model refuse harmless ones, and whose removal leaves harmless prompts alone. \
                 Adding it makes the model refuse more, harmless prompts too: look at over-refusal. Taking it out, or \
                 adding it backwards, is offered as purpose: robustness-audit only.",
            )
            .citation(
                "Arditi et al. 2024, Refusal in Language Models Is Mediated by a Single Direction, arXiv 2406.11717",
            )
            .model("target", "The model to treat.")
            .dataset("harmful", "Requests that the model should refuse, and mostly does.")
            .dataset("harmless", "Requests that it should answer, like the harmful ones in length and style.")
            .optional_dataset("harmful-validation", "Others to compare directions on; else `harmful` is split.")
            .optional_dataset("harmless-validation", "The same of harmless ones.")
            .column_known_as(
                "prompt",
                &["instruction", "request", "goal", "Goal", "Behavior", "forbidden_prompt", "question"],
                "The request.",
            )
            .parameters(Parameters::described())
    }

    fn derive(
        host: &impl Host<Model: Trainable>,
        datasets: &Datasets,
        parameters: &Parameters,
        seed: u64,
    ) -> Result<Derived, Error> {
        parameters.check()?;
        let model = host.model("target")?;
        let info = model.info();
        let considered = parameters.rule().first_pruned(info.layers);
        if considered == 0 {
            return Err(format!(
                "of {} blocks none is left to consider; lower `prune_layer_percentage`",
                info.layers
            )
            .into());
        }
        let wrong = parameters.layers.iter().flatten().find(|layer| **layer >= info.layers);
        if let Some(layer) = wrong {
            return Err(format!(
                "`layers` names block {layer}: {} has the blocks 0 to {}",
                info.name,
                info.layers - 1
            )
            .into());
        }

        let mut harmful = Split::draw("harmful", datasets, parameters, &info, seed)?;
        let mut harmless = Split::draw("harmless", datasets, parameters, &info, seed)?;
        let words = match parameters.refusal_words.as_slice() {
            [] => refusals::first_words(&model, &harmful.train)?,
            given => given.to_vec(),
        };
        refusals::check(&model, harmful.train.first().ok_or("there is no harmful prompt")?, &words)?;
        let mut kept = Vec::new();
        if parameters.filter {
            let refused: fn(f64) -> bool = |score| score > 0.0;
            let answered: fn(f64) -> bool = |score| score < 0.0;
            for (kind, prompts, keep) in [
                ("harmful, to find with", &mut harmful.train, refused),
                ("harmful, to compare on", &mut harmful.validation, refused),
                ("harmless, to find with", &mut harmless.train, answered),
                ("harmless, to compare on", &mut harmless.validation, answered),
            ] {
                kept.push((kind, filter(&model, prompts, &words, kind, keep)?));
            }
        }

        let positions = match parameters.positions {
            Some(positions) => positions,
            None => prompts::after_instruction(&model)?,
        };
        let shape = [positions, considered];
        let of_harmful = candidates::means(host, &model, &harmful.train, shape, "harmful")?;
        let of_harmless = candidates::means(host, &model, &harmless.train, shape, "harmless")?;
        let directions = Directions::between(&of_harmful, &of_harmless).map_err(said)?;

        let validation =
            Validation::new(&model, &words, &harmful.validation, &harmless.validation, parameters.kl_tokens)?;
        let measured = candidates::measured(host, &validation, &directions)?;
        let candidates: Vec<_> = measured.iter().map(|(place, scores)| scores.candidate(*place)).collect();
        let selection = parameters.rule().select(&candidates, info.layers).map_err(|error| {
            host.log(Level::Info, &report::evaluations(&candidates));
            let late = info.layers - considered;
            Error::new(format!(
                "{error}. Directions of the last {late} of {} blocks were not measured; `prune_layer_percentage: 0` \
                 includes them",
                info.layers
            ))
        })?;
        let direction = directions.at(selection.best.place).ok_or("the chosen direction is missing")?;
        let best = measured.iter().find(|(place, _)| *place == selection.best.place);
        let (_, best) = best.ok_or("the chosen direction's scores are missing")?;
        usable(parameters, direction, best, &validation.unmodified)?;

        let found = Found {
            model: &info,
            shape,
            words: &words,
            kept: &kept,
            unmodified: &validation.unmodified,
            left_over: validation.left_over(),
            best,
            candidates: &candidates,
            selection: &selection,
            direction,
        };
        let derived =
            Derived::interventions(change(parameters, selection.best.place.layer, direction, info.layers))
                .summary(report::summary(&found, parameters))
                .document("direction_evaluations.json", report::evaluations(&candidates));
        Ok(Derived { purpose: parameters.purpose.into(), ..derived })
    }
}

/// Keeps the prompts whose refusal score is as it should be in the unmodified model; gives how many of how many.
fn filter(
    model: &impl Model,
    prompts: &mut Vec<Prompt>,
    words: &[String],
    kind: &str,
    keep: fn(f64) -> bool,
) -> Result<(usize, usize), Error> {
    let all = prompts.len();
    let mut scores = refusals::scores(model, prompts, words)?.into_iter();
    prompts.retain(|_| scores.next().is_some_and(keep));
    if prompts.is_empty() {
        return Err(format!(
            "of {all} prompts ({kind}) the model treats none as it should: harmful ones must be likelier refused than \
             not by their first word ({}), harmless ones not; use other prompts, other `refusal_words`, or `filter: false`",
            words.join(", ")
        )
        .into());
    }
    Ok((prompts.len(), all))
}

/// That the chosen direction is one, and, for use, that adding it makes the model refuse more: with the datasets the wrong
/// way round it would not.
fn usable(
    parameters: &Parameters,
    direction: &[f64],
    best: &Scores,
    unmodified: &Scores,
) -> Result<(), Error> {
    if candidates::is_rounding(direction) {
        return Err(Error::new(
            "the chosen direction is zero up to rounding: the rule found none that carries refusal; take back changes of \
             the thresholds, or use more or other prompts",
        ));
    }
    let [before, after] = [unmodified, best].map(|scores| candidates::mean(&scores.induce));
    if parameters.purpose == Purpose::RobustnessAudit || after > before {
        return Ok(());
    }
    Err(format!(
        "adding the chosen direction takes the refusal score of harmless prompts from {before:.2} to {after:.2}, away from \
         refusal; check that `harmful` and `harmless` are not the wrong way round"
    )
    .into())
}

/// What the treatment does to the model's states.
fn change(parameters: &Parameters, found_at: u32, direction: &[f64], blocks: u32) -> Vec<Intervention> {
    let layers = parameters.layers.clone();
    match parameters.change {
        Change::Addition => {
            let layers = layers.unwrap_or_else(|| vec![found_at]);
            let vector = candidates::narrowed(direction);
            vec![Intervention::add(Site::Residual, layers, vector, parameters.coefficient)]
        }
        Change::Projection => {
            let layers = layers.unwrap_or_else(|| (0..blocks).collect());
            candidates::ablation(direction, layers, parameters.coefficient).to_vec()
        }
    }
}

fn said(error: sonde_treatments::refusal_direction::Error) -> Error {
    Error::new(error.to_string())
}

sonde_sdk::export_treatment!(RefusalDirection);

#[cfg(test)]
mod tests;
