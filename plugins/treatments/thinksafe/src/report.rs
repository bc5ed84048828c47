//! What is said of the training set and of the training.

use serde_json::json;
use sonde_sdk::{Adapter, Measure, Metric, Plot, Summary};

use crate::parameters::Parameters;
use crate::replies::{Half, Reply, Tally};

/// A line of the training set: the original prompt and the whole reply.
pub fn record(half: Half, reply: &Reply) -> String {
    let messages = json!([
        {"role": "user", "content": reply.prompt},
        {"role": "assistant", "content": reply.whole},
    ]);
    format!("{}\n", json!({"messages": messages, "prompt_label": half.name()}))
}

/// Metrics, the loss, and remarks.
pub fn summary(tallies: &[(Half, Tally)], adapter: &Adapter, parameters: &Parameters) -> Summary {
    let losses: Vec<f64> = adapter.losses().into_iter().map(f64::from).collect();
    let finite = losses.iter().copied().enumerate().filter(|(_, loss)| loss.is_finite());
    let points: Vec<(f64, f64)> = finite.map(|(step, loss)| ((step + 1) as f64, loss)).collect();
    let broken = losses.len() - points.len();
    let benign = if parameters.keep_benign {
        "Replies to benign prompts are trained towards the untrained model's probabilities."
    } else {
        "Replies to benign prompts are trained towards their words, as those to harmful ones are."
    };
    let mut summary = Summary::empty()
        .metrics(tallies.iter().flat_map(|(half, tally)| counts(*half, tally)))
        .metrics(training(&points, &losses, adapter))
        .figure(
            Plot::line("loss", "Loss of each step of the training")
                .axes("step", "loss")
                .series("loss", points),
        )
        .note(benign);
    if broken > 0 {
        summary = summary.note(format!("The loss of {broken} of {} steps is no number.", losses.len()));
    }
    summary
}

/// Replies kept, and those dropped by reason, of all prompts of a half.
fn counts(half: Half, tally: &Tally) -> Vec<Metric> {
    let name = half.name();
    let about = format!("Replies to {name} prompts that are trained on, of one for each prompt.");
    let kept = Measure::new(&format!("{name}_kept"), &about).headline().counted(tally.kept, tally.prompts);
    let about =
        format!("Replies to {name} prompts that are not trained on, by reason, of one for each prompt.");
    let dropped = Measure::new(&format!("{name}_dropped"), &about);
    let dropped = tally
        .dropped
        .iter()
        .map(|(reason, count)| dropped.counted(*count, tally.prompts).of_group("reason", reason));
    std::iter::once(kept).chain(dropped).collect()
}

/// How the training went.
fn training(points: &[(f64, f64)], losses: &[f64], adapter: &Adapter) -> Vec<Metric> {
    let steps = losses.len() as u64;
    // A tenth of the steps, at least one: single steps differ by what is in them.
    let some = points.len().div_ceil(10);
    let mean = |points: &[(f64, f64)]| points.iter().map(|(_, loss)| loss).sum::<f64>() / points.len() as f64;
    let first = points.get(..some).filter(|points| !points.is_empty()).map(mean);
    let last = points.get(points.len() - some..).filter(|points| !points.is_empty()).map(mean);
    let given = |name: &str, about: &str, value: f64| Measure::new(name, about).given(value, steps);
    let mut metrics = vec![
        given("steps", "Steps of the training.", losses.len() as f64),
        given("tokens", "Tokens computed forward and back, prompts included.", adapter.tokens() as f64),
    ];
    let loss = |name: &str, about: &str, value: Option<f64>| {
        value.map(|value| Measure::new(name, about).lower_is_better().given(value, steps))
    };
    metrics.extend(loss("loss_first", "Mean loss of the first tenth of the steps.", first));
    metrics.extend(loss("loss_last", "Mean loss of the last tenth of the steps.", last));
    metrics
}
