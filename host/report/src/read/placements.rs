//! What the diagnostics of a run found of single requests, joined with the samples in which the same was asked.

use serde_json::Value;
use sonde_journal::{Ending, Header, RunFile, Sample, TaskIdentity};

use super::calls_of;
use crate::ReportError;
use crate::placement::{Answered, Findings, Placement, behaviour, first_request, join};

/// The world of the plugins that look inside models.
const DIAGNOSTIC: &str = "diagnostic";

/// Goes through all samples of the run's benchmarks if a diagnostic placed any request, else through none.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read_placements(file: &RunFile, header: &Header) -> Result<Vec<Placement>, ReportError> {
    let (diagnostics, benchmarks): (Vec<&TaskIdentity>, Vec<&TaskIdentity>) =
        header.tasks.iter().partition(|task| is_diagnostic(header, task));
    let mut found = Vec::new();
    for task in diagnostics {
        found.extend(findings(file, &task.name)?);
    }
    join(&found, |wanted| {
        let mut answered = Vec::new();
        for task in benchmarks {
            for sample in file.samples(&task.name)? {
                answered.extend(answer(file, &task.name, sample?, wanted)?);
            }
        }
        Ok(answered)
    })
}

fn is_diagnostic(header: &Header, task: &TaskIdentity) -> bool {
    header.plugins.iter().any(|plugin| plugin.digest == task.plugin && plugin.world == DIAGNOSTIC)
}

/// What a diagnostic said of the rows of its datasets, which stand in its only sample.
fn findings(file: &RunFile, task: &str) -> Result<Option<Findings>, ReportError> {
    let findings = file.findings(task)?;
    if findings.is_empty() {
        return Ok(None);
    }
    let Some(sample) = file.samples(task)?.next().transpose()? else { return Ok(None) };
    let Ok(Value::Object(rows)) = serde_json::from_str(&sample.row.unwrap_or_default()) else {
        return Ok(None);
    };
    let datasets = rows.into_iter().filter_map(|(name, rows)| match rows {
        Value::Array(rows) => Some((name, rows)),
        _ => None,
    });
    Ok(Some(Findings { task: task.to_owned(), datasets: datasets.collect(), findings }))
}

fn answer(
    file: &RunFile,
    task: &str,
    sample: Sample,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<Answered>, ReportError> {
    let calls = calls_of(file, sample.key)?;
    let request = first_request(&calls, sample.row.as_deref().unwrap_or_default());
    let Some(request) = request.filter(|request| wanted(request)) else { return Ok(None) };
    let Some(Ending::Outcome(outcome)) = file.ending(sample.key)? else { return Ok(None) };
    Ok(Some(Answered {
        request,
        task: task.to_owned(),
        sample: sample.id,
        behaviour: behaviour(&outcome, &calls),
        good: outcome.good,
    }))
}
