//! Treatment: rank-one safety injection, ROSI. Along the direction in which a model keeps harmful requests apart from
//! harmless ones, every matrix that writes to the residual stream gets W' = W + alpha · ŝ · w̄ᵀ.
//!
//! In the order of the work: [`prompts`], [`matrices`], [`direction`], [`calibration`], [`signs`], [`report`].

mod calibration;
mod direction;
mod matrices;
mod parameters;
mod prompts;
mod replies;
mod report;
mod signs;
#[cfg(test)]
mod tests;

use sonde_sdk::{About, Datasets, Derived, Error, Host, Model as _, Summary, Trainable, Treatment, about};

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
        let bare = Wording::new(&info);
        let extracting = Wording::new(&info).thinking(parameters.thinking).under(&parameters.system_prompt);
        let found = direction::find(host, &model, &requests, &held_out, &extracting, parameters)?;

        let mut summary = Summary::empty();
        let strength = match parameters.alpha {
            Some(alpha) => Strength::Alpha(alpha),
            None => {
                let with = (&matrices, found.vector.as_slice());
                let sweep = calibration::sweep(host, &model, with, &held_out, &bare, parameters)?;
                summary = report::calibration(summary, &sweep, parameters);
                Strength::Size(sweep.size(), parameters.scale)
            }
        };
        summary = report::layer(summary, &found, requests.count());
        summary = report::edits(summary, &matrices, strength);
        if parameters.sign_prompts > 0 {
            let Requests { harmful, harmless } = requests.first(parameters.sign_prompts);
            let wording = bare.thinking(parameters.thinking);
            let prompts = [wording.prompts(&harmful), wording.prompts(&harmless)];
            let prompts = [prompts[0].as_slice(), prompts[1].as_slice()];
            let [harmful, harmless] = signs::count(host, &model, info.layers, prompts)?;
            summary = report::signs(summary, [("harmful", &harmful), ("harmless", &harmless)]);
        }
        Ok(Derived::edits(matrices.edits(&found.vector, strength)?).summary(summary))
    }
}

sonde_sdk::export_treatment!(Rosi);
