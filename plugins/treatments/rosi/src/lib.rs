//! Treatment: rank-one safety injection, ROSI. Along the direction in which a model keeps harmful requests apart from
//! harmless ones, every matrix that writes to the residual stream gets W' = W + alpha · ŝ · w̄ᵀ.
//!
//! In the order of the work: [`prompts`], [`matrices`], [`extraction`], [`layer`], [`calibration`], [`signs`], [`report`].

mod calibration;
mod extraction;
mod layer;
mod matrices;
mod parameters;
mod prompts;
mod replies;
mod report;
mod signs;
#[cfg(test)]
mod tests;

use sonde_sdk::{About, Datasets, Derived, Error, Host, Model as _, Summary, Trainable, Treatment, about};

use crate::extraction::Direction;
use crate::matrices::{Matrices, Strength};
pub use crate::parameters::{Parameters, Scale};
use crate::prompts::{Requests, Wording};

/// The treatment.
pub struct Rosi;

impl Treatment for Rosi {
    type Parameters = Parameters;

    fn about() -> About {
        about!("ROSI, rank-one safety injection")
            .summary(
                "Adds alpha · ŝ · w̄ᵀ to every matrix W that writes to the residual stream (attention outputs and MLP down \
                 projections, experts too): ŝ is the unit difference between the mean states of harmful and harmless \
                 prompts at the last prompt token, w̄ the mean of W's rows. The paper publishes neither alpha nor its \
                 scale, layer, prompts or code. Here the layer is chosen by the rule of Arditi et al., and the strength \
                 calibrated over both signs, in shares of each matrix: the smallest that reaches the refusal target \
                 within the compliance bound. Since w̄·x has no fixed sign, a positive alpha can make a model less safe; \
                 its signs are reported. Refusals counted on calibration prompts say nothing of capability or of other \
                 attacks: measure those before and after.",
            )
            .citation("ROSI: Rank-One Safety Injection, version 1 of 28 August 2025; layer: Arditi et al. 2024, arXiv 2406.11717")
            .model("target", "The model to treat.")
            .optional_judge(
                replies::JUDGE,
                "Tells whether a reply refuses. Without it the twelve phrases of Arditi et al. do.",
            )
            .dataset("harmful", "Harmful requests to take the direction from; the paper has 50.")
            .dataset("harmless", "Harmless requests to take the direction from; the paper has 50.")
            .optional_dataset(
                "calibration-harmful",
                "Harmful requests to choose layer and strength by: those that the model should come to refuse, \
                 jailbroken ones for example.",
            )
            .optional_dataset("calibration-harmless", "Harmless requests to choose layer and strength by.")
            .column_known_as(
                "prompt",
                &["goal", "Goal", "behavior", "Behavior", "instruction", "question", "forbidden_prompt", "request"],
                "The request.",
            )
            .parameters(Parameters::described())
    }

    fn derive(
        host: &impl Host<Model: Trainable>,
        datasets: &Datasets,
        parameters: &Parameters,
        _seed: u64,
    ) -> Result<Derived, Error> {
        parameters.check()?;
        let model = host.model("target")?;
        let info = model.info();
        let matrices = Matrices::read(&model, &info)?;
        let (requests, held_out) = prompts::read(datasets, parameters)?;
        let thinking = model.sampling().thinking;
        let bare = Wording::new(&info, thinking);
        let extracting = Wording::new(&info, thinking).under(&parameters.system_prompt);

        let rule = parameters.rule();
        let layers: Vec<u32> = match parameters.layer {
            Some(layer) => vec![layer],
            None => (0..rule.first_pruned(info.layers)).collect(),
        };
        let (harmful, harmless) =
            (extracting.prompts(&requests.harmful), extracting.prompts(&requests.harmless));
        let extracted = extraction::extract(host, &model, &layers, &harmful, &harmless)?;
        let chosen = match parameters.layer {
            Some(_) => None,
            None => {
                let validation = held_out.first(parameters.layer_prompts);
                let rule = (&rule, parameters.refusal_tokens.as_deref());
                Some(layer::choose(host, &model, &extracted.directions, &validation, &extracting, rule)?)
            }
        };
        let layer = chosen.as_ref().map(|chosen| chosen.best.place.layer).or(parameters.layer);
        let direction = extracted.directions.iter().find(|direction| Some(direction.layer) == layer);
        let Direction { layer, vector } = direction.ok_or_else(|| {
            Error::new(format!(
                "harmful and harmless prompts have the same mean state at layer {layers:?}: the last token of the prompt \
                 is the template's there; take a later `layer`"
            ))
        })?;

        let mut summary = Summary::empty();
        let strength = match parameters.alpha {
            Some(alpha) => Strength::Alpha(alpha),
            None => {
                let found =
                    calibration::sweep(host, &model, (&matrices, vector), &held_out, &bare, parameters)?;
                summary = report::calibration(summary, &found, parameters);
                Strength::Size(found.size(), parameters.scale)
            }
        };
        summary = report::layer(summary, *layer, extracted.prompts, chosen.as_ref());
        summary = report::edits(summary, &matrices, strength);
        if parameters.sign_prompts > 0 {
            let Requests { harmful, harmless } = requests.first(parameters.sign_prompts);
            let count = |requests| signs::count(host, &model, info.layers, &bare.prompts(requests));
            summary =
                report::signs(summary, [("harmful", &count(&harmful)?), ("harmless", &count(&harmless)?)]);
        }
        summary.notes.extend(extracted.notes);
        Ok(Derived::edits(matrices.edits(vector, strength)?).summary(summary))
    }
}

sonde_sdk::export_treatment!(Rosi);
