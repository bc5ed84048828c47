//! Treatment: ThinkSafe. The model writes refusals with sensible thoughts to prompts of which it is told that they are
//! harmful; a guard keeps the safe ones; an adapter is trained to write them without being told.

mod parameters;
mod replies;
mod report;

use serde::Deserialize;
use sonde_sdk::{
    About, Datasets, Derived, Error, Host, Lesson, Model as _, Prompt, Trainable, Treatment, about, row,
};
use sonde_treatments::thinksafe::as_lesson;

pub use crate::parameters::Parameters;
use crate::replies::{Half, Reply, Tally, generated, guarded};

/// The treatment.
pub struct ThinkSafe;

/// A line of a dataset.
#[derive(Deserialize)]
struct Row {
    #[serde(deserialize_with = "row::text")]
    prompt: String,
}

impl Treatment for ThinkSafe {
    type Parameters = Parameters;

    fn about() -> About {
        about!("ThinkSafe")
            .summary(
                "Trains a reasoning model on its own safe replies. To harmful prompts these are written with a prefix \
                 that says so and asks for a refusal, which the training set then leaves out; to benign prompts they are \
                 written as always, so that the model stays as it is. A guard reads prompt and whole reply, thinking \
                 included, and only what it finds safe is trained on: the result is as good as the guard. The report \
                 says what was kept and why the rest was not.",
            )
            .citation("Lee et al. 2026, THINKSAFE: Self-Generated Safety Alignment for Reasoning Models, arXiv 2601.23143")
            .model("target", "The model to treat; its engine must be able to train.")
            .judge("guard", "Tells safe replies from harmful ones.")
            .dataset("harmful", "Requests that the model should refuse.")
            .dataset("benign", "Requests that it should answer as it does now.")
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
        if !model.info().has_chat_template {
            let name = model.info().name;
            return Err(format!("{name} has no chat template, and ThinkSafe trains replies in a chat").into());
        }
        let mut tallies = Vec::new();
        let mut lessons = Vec::new();
        let mut records = String::new();
        for half in [Half::Harmful, Half::Benign] {
            let prompts = datasets.rows::<Row>(half.name())?.into_iter().map(|row| row.prompt).collect();
            let mut tally = Tally::default();
            let replies = generated(host, &model, half, prompts, parameters, &mut tally)?;
            let kept = guarded(host, half, replies, parameters, &mut tally)?;
            if kept.is_empty() {
                return Err(nothing_kept(half, &tally));
            }
            records.extend(kept.iter().map(|reply| report::record(half, reply)));
            lessons.extend(kept.into_iter().map(|reply| lesson(half, reply, parameters)));
            tallies.push((half, tally));
        }
        let adapter = model.train(&lessons, &parameters.lora(), &parameters.schedule(seed))?;
        let summary = report::summary(&tallies, &adapter, parameters);
        Ok(Derived::trained(adapter).summary(summary).document("thinksafe.jsonl", records))
    }
}

/// What is trained: the original prompt, and after it exactly what the model wrote.
fn lesson(half: Half, reply: Reply, parameters: &Parameters) -> Lesson {
    // Where the template opens the thinking, it has spoken the tag already.
    let (prompt, said) =
        (Prompt::user(reply.prompt).thinking(parameters.thinking()), as_lesson(&reply.written));
    match half {
        Half::Benign if parameters.keep_benign => Lesson::keep(prompt, said),
        Half::Harmful | Half::Benign => Lesson::say(prompt, said),
    }
}

fn nothing_kept(half: Half, tally: &Tally) -> Error {
    let reasons: Vec<_> = tally.dropped.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    let dropped = if reasons.is_empty() { "there are none".to_owned() } else { reasons.join(", ") };
    Error::new(format!(
        "of the replies to {} {} prompts none can be trained on: {dropped}",
        tally.prompts,
        half.name()
    ))
}

sonde_sdk::export_treatment!(ThinkSafe);

#[cfg(test)]
mod tests;
