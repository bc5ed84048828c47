//! From outcomes to metrics: the plugin sums up, the host adds the intervals. A diagnosis or treatment has its
//! metrics already.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sonde_contract::{HostError, ModelInfo, Outcome, Status, Summary};
use sonde_journal::{Ending, RunFile};
use sonde_report::statistics::{GivenIntervals, Resampler, TaskResult};
use sonde_runtime::{Invocation, PluginError, Services, World};

use crate::caller::Bound;
use crate::{RunError, agreement, quality};

/// Resamples for the intervals of metrics that only the plugin can compute, and the fewest for large tasks.
pub(crate) const RESAMPLES: usize = 200;
pub(crate) const FEWEST_RESAMPLES: usize = 40;
/// Outcomes handed to `summarize` in all resamples together, about: what keeps a task of 20,000 samples to seconds.
pub(crate) const RESAMPLED_OUTCOMES: usize = 1_000_000;

/// Unparsable samples that a task's notes quote.
const EXAMPLES: usize = 3;

/// The key under which a result says that the plugin could not sum up, and why.
const FAILURE: &str = "failure";

/// Computes a task's result, a [`TaskResult`] as JSON, from its recorded outcomes, diagnosis or
/// treatment. The same outcomes and seed give the same result. A plugin that cannot sum up leaves a result without metrics that says so; see [`failure`].
pub(crate) async fn summarise(
    journal: &RunFile,
    task: &str,
    bound: &Bound,
    seed: u64,
) -> Result<Value, RunError> {
    match bound.plugin.world() {
        World::Diagnostic => {
            let summary = journal.diagnosis(task)?.map(|diagnosis| diagnosis.summary);
            return summed_up_already(journal, task, seed, summary, "diagnosis");
        }
        World::Treatment => {
            let summary = journal.treatment(task)?.map(|treatment| treatment.summary);
            return summed_up_already(journal, task, seed, summary, "treatment");
        }
        World::Benchmark | World::Judge => {}
    }
    let (mut outcomes, mut unread) = (Vec::new(), Vec::new());
    for outcome in journal.outcomes(task)? {
        let (ordinal, outcome) = outcome?;
        if let Status::Unparsable(why) = &outcome.status
            && unread.len() < EXAMPLES
        {
            unread.push(format!("{task}/{ordinal}: {why}"));
        }
        outcomes.push(outcome);
    }
    let mut summary = match call(bound, task, &outcomes).await {
        Ok(summary) => summary,
        Err(RunError::Plugin(error)) => return not_summed_up(&error),
        Err(error) => return Err(error),
    };
    agreement::add(journal, task, seed, &mut summary)?;
    if !unread.is_empty() {
        summary.notes.push(format!("Could not be read, for example {}", unread.join("; ")));
    }
    let mut result = TaskResult::new(&summary, seed);
    let mut intervals = GivenIntervals::new(&summary);
    if !intervals.is_empty() && outcomes.len() > 1 {
        let affordable = RESAMPLED_OUTCOMES / outcomes.len();
        for chosen in Resampler::new(outcomes.len(), affordable.clamp(FEWEST_RESAMPLES, RESAMPLES), seed) {
            let resampled: Vec<Outcome> =
                chosen.into_iter().filter_map(|index| outcomes.get(index).cloned()).collect();
            // A resample that the plugin cannot sum up counts as a missing number.
            intervals.add(&call(bound, task, &resampled).await.unwrap_or_default());
        }
        intervals.fill(&mut result.metrics);
    }
    quality::correct(journal, task, &mut result)?;
    Ok(serde_json::to_value(&result)?)
}

/// A diagnostic or a treatment sums up itself. Where it failed there are no metrics, and a note says why.
fn summed_up_already(
    journal: &RunFile,
    task: &str,
    seed: u64,
    summary: Option<Summary>,
    what: &str,
) -> Result<Value, RunError> {
    let result = match summary {
        Some(summary) => TaskResult::new(&summary, seed),
        None => {
            let reason = match journal.endings(task)?.next().transpose()?.map(|ended| ended.ending) {
                Some(Ending::Failed(reason)) => reason,
                _ => "it did not end".to_owned(),
            };
            TaskResult { notes: vec![format!("there is no {what}: {reason}")], ..TaskResult::default() }
        }
    };
    Ok(serde_json::to_value(&result)?)
}

fn not_summed_up(error: &PluginError) -> Result<Value, RunError> {
    let notes = vec![format!("there are no metrics: {error}")];
    let mut result = serde_json::to_value(TaskResult { notes, ..TaskResult::default() })?;
    if let Some(result) = result.as_object_mut() {
        result.insert(FAILURE.to_owned(), Value::String(error.to_string()));
    }
    Ok(result)
}

/// Why a task's plugin could not sum up, if it could not.
pub(crate) fn failure(result: &Value) -> Option<&str> {
    result.get(FAILURE)?.as_str()
}

/// Calls the task's plugin to sum up.
pub(crate) async fn call(bound: &Bound, task: &str, outcomes: &[Outcome]) -> Result<Summary, RunError> {
    let invocation = Invocation {
        services: Arc::new(NoServices),
        grants: bound.grants.clone(),
        limits: bound.limits.clone(),
        asked_by_judge: false,
        subject: format!("the summary of {task}"),
    };
    Ok(bound.plugin.summarize(invocation, outcomes, &bound.parameters).await?)
}

/// A summary is a function of the outcomes alone.
struct NoServices;

#[async_trait]
impl Services for NoServices {
    fn open(&self, _role: &str) -> Result<ModelInfo, HostError> {
        Err(self.refusal())
    }

    fn refusal(&self) -> HostError {
        HostError::Denied("a summary is computed from the outcomes alone and asks nobody".to_owned())
    }
}
