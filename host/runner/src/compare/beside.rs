//! A diagnostic in two runs: its numbers beside each other. It has no samples, so there is nothing to pair.

use serde_json::from_value;
use sonde_journal::RunFile;
use sonde_report::compare::{ComparedTask, Method, Row, Told};
use sonde_report::statistics::{Measured, TaskResult};

use crate::RunError;

/// Fills the rows from the recorded results.
pub(super) fn fill(
    compared: &mut ComparedTask,
    [first, second]: [&RunFile; 2],
    [first_task, second_task]: [&str; 2],
    groups: bool,
) -> Result<(), RunError> {
    let read = |file: &RunFile, task| -> Result<Option<TaskResult>, RunError> {
        Ok(file.result(task)?.map(from_value).transpose()?)
    };
    let (Some(first), Some(second)) = (read(first, first_task)?, read(second, second_task)?) else {
        compared.remarks.push("not compared: it has no result yet in one of the runs".to_owned());
        return Ok(());
    };
    let wanted = |metric: &&Measured| groups || metric.group.is_none();
    let all = first.metrics.len();
    for metric in first.metrics.iter().filter(wanted) {
        let same = |other: &&Measured| other.name == metric.name && other.group == metric.group;
        if let Some(other) = second.metrics.iter().find(same) {
            compared.rows.push(row(metric, other));
        }
    }
    if !groups && compared.rows.len() < all {
        compared.remarks.push("its numbers per layer and group are shown with --groups".to_owned());
    }
    Ok(())
}

fn row(first: &Measured, second: &Measured) -> Row {
    Row {
        metric: first.name.clone(),
        about: first.about.clone(),
        group: first.group.clone(),
        kind: first.kind,
        higher_is_better: first.higher_is_better,
        headline: first.headline,
        n: first.n.min(second.n),
        baseline: first.value,
        other: second.value,
        baseline_interval: first.interval,
        other_interval: second.interval,
        difference: first.value.zip(second.value).map(|(first, second)| second - first),
        interval: None,
        discordant: None,
        method: Method::Beside,
        drawn: None,
        p: None,
        p_holm: None,
        told: Told::NotTested,
        remark: None,
    }
}
