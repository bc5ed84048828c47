//! Tasks of one run before and after the treatment that it derived.
//!
//! The comparison is made once, before the run file is sealed, and kept with the treatment's result: whoever has the run
//! file has the verdict, and `sonde verify` makes it again.

use std::collections::BTreeMap;

use serde_json::Value;
use sonde_contract::Digest;
use sonde_journal::{Header, RunFile, TaskIdentity, TreatmentSource};
use sonde_report::compare::{ComparedRun, Comparison, KEPT, adjust};
use sonde_report::{AFTER, BEFORE};
use sonde_runtime::Plugin;

use super::{CompareOptions, Comparer, Run, model};
use crate::RunError;

/// Flipped samples kept for each task.
const FLIPS: usize = 10;

/// The task that derives the run's treatment, if the run measures before and after it.
fn derivation(header: &Header) -> Option<&str> {
    header.tasks.iter().find_map(|task| match &task.treatment.as_ref()?.source {
        TreatmentSource::Task { task } => Some(task.as_str()),
        TreatmentSource::File { .. } => None,
    })
}

/// The name in the config of a task that is measured twice, and its first measurement.
fn pairs(header: &Header) -> impl Iterator<Item = (&str, &TaskIdentity, &TaskIdentity)> {
    header.tasks.iter().filter_map(|after| {
        let name = after.name.strip_prefix(AFTER).filter(|_| after.treatment.is_some())?;
        let before = header.tasks.iter().find(|task| task.name.strip_prefix(BEFORE) == Some(name))?;
        Some((name, before, after))
    })
}

async fn before_and_after(
    journal: &RunFile,
    plugins: BTreeMap<Digest, Plugin>,
) -> Result<Option<Comparison>, RunError> {
    let header = journal.header();
    if derivation(header).is_none() {
        return Ok(None);
    }
    let run = |letter: &str, path: &str| Run {
        file: journal.clone(),
        label: ComparedRun {
            letter: letter.to_owned(),
            path: path.to_owned(),
            // Both are this run, and two runs of one plan keep the same comparison.
            created: String::new(),
            models: header.models.iter().map(model).collect(),
        },
    };
    let (before, after) = (run("A", "before the treatment"), run("B", "with the treatment"));
    let options = CompareOptions { groups: false, flips: FLIPS };
    let mut comparer = Comparer { runtime: None, options, plugins };
    let mut comparison = Comparison {
        baseline: before.label.clone(),
        others: vec![after.label.clone()],
        ..Comparison::default()
    };
    for (name, first, second) in pairs(header) {
        comparison.tasks.push(comparer.task(name, [&before, &after], [first, second]).await?);
    }
    adjust(&mut comparison);
    Ok(Some(comparison))
}

/// Compares what was measured before and after the run's treatment, and keeps the comparison with the treatment's result.
/// Does nothing in other runs.
pub(crate) async fn keep_before_and_after(
    journal: &RunFile,
    plugins: BTreeMap<Digest, Plugin>,
) -> Result<(), RunError> {
    let Some(comparison) = before_and_after(journal, plugins).await? else { return Ok(()) };
    let Some(task) = derivation(journal.header()) else { return Ok(()) };
    let mut result = journal.result(task)?.unwrap_or_default();
    if let Value::Object(result) = &mut result {
        result.insert(KEPT.to_owned(), serde_json::to_value(&comparison)?);
        journal.put_result(task, &Value::Object(std::mem::take(result)))?;
    }
    Ok(())
}

/// Whether the comparison that is kept is another than the one that is made now; a sentence if so.
pub(crate) async fn differs_from_kept(
    journal: &RunFile,
    plugins: BTreeMap<Digest, Plugin>,
) -> Result<Option<String>, RunError> {
    let Some(comparison) = before_and_after(journal, plugins).await? else { return Ok(None) };
    let Some(task) = derivation(journal.header()) else { return Ok(None) };
    let kept = journal.result(task)?.and_then(|result| result.get(KEPT).cloned());
    let again = serde_json::to_value(&comparison)?;
    let differs = kept != Some(again);
    Ok(differs.then(|| {
        format!("task {task}: the comparison of before and after is another than the one on record")
    }))
}
