//! From datasets to the samples of a run, written before anything runs.
//!
//! A benchmark has a sample per row. A diagnostic, or a treatment, has one sample, whose row is a JSON object of all its rows: a list for
//! each of its datasets. So a run file holds what was handed over and can be proved without any other file.

use serde_json::Value;
use sonde_journal::{RunFile, Sample, SampleRow};

use crate::RunError;
use crate::dataset::{self, Record, Row};
use crate::plan::{Plan, PlannedDataset, PlannedTask, TaskData};
use crate::seeds;

/// Most bytes of a diagnostic's rows together; a field of the run file has room for little more.
const LARGEST: usize = 512 << 20;

/// Adds the samples of every task that has none yet.
pub(crate) fn add(journal: &RunFile, plan: &Plan) -> Result<(), RunError> {
    for task in &plan.tasks {
        let name = &task.identity.name;
        if journal.samples_complete(name)? {
            continue;
        }
        match &task.data {
            TaskData::Rows(source) => {
                let rows = dataset::open_selected(&source.path, &source.config, task.selection)?;
                let rows =
                    (1..).zip(rows).map(|(ordinal, row)| Ok::<_, RunError>(one(task, source, ordinal, row)));
                journal.add_samples(name, rows)?;
            }
            TaskData::Recorded(run) => {
                let rows = run.samples(name)?;
                journal.add_samples(name, rows.map(|sample| Ok::<_, RunError>(again(sample?))))?;
            }
            TaskData::Named(sources) => {
                journal.add_samples(name, std::iter::once_with(|| whole(task, sources)))?;
            }
        }
    }
    Ok(())
}

/// The datasets of a diagnostic's row, in the order of the row: the plugin's name and the rows.
pub(crate) fn datasets(row: &str) -> Result<Vec<(String, Vec<String>)>, serde_json::Error> {
    let all: indexmap::IndexMap<String, Vec<Value>> = serde_json::from_str(row)?;
    let text = |rows: Vec<Value>| rows.into_iter().map(|row| row.to_string()).collect();
    Ok(all.into_iter().map(|(name, rows)| (name, text(rows))).collect())
}

/// A sample of an earlier run, as one of this run.
fn again(sample: Sample) -> SampleRow {
    let Sample { task, ordinal, id, origin, row, seed, .. } = sample;
    SampleRow { task, ordinal, id, origin, row, seed }
}

fn one(task: &PlannedTask, source: &PlannedDataset, ordinal: u64, row: Row) -> SampleRow {
    let name = &task.identity.name;
    let value = mapped(source, row.value).map(|record| Value::Object(record).to_string());
    SampleRow {
        task: name.clone(),
        ordinal,
        id: format!("{name}/{ordinal}"),
        row: value.map_err(|reason| format!("{}: {reason}", row.origin)),
        origin: row.origin,
        seed: seeds::of_sample(task.identity.seed, &task.seeded_by, ordinal),
    }
}

fn mapped(source: &PlannedDataset, value: Result<Record, String>) -> Result<Record, String> {
    value.and_then(|record| source.columns.map_columns(record).map_err(|error| error.to_string()))
}

/// A diagnostic's only sample. A row that cannot be read fails it: what is computed from all rows would not be what was
/// asked for without it.
fn whole(task: &PlannedTask, sources: &[(String, PlannedDataset)]) -> Result<SampleRow, RunError> {
    let name = &task.identity.name;
    let world = task.plugin().world();
    let mut fault = None;
    let mut text = String::from("{");
    let mut origins = Vec::new();
    for (slot, source) in sources {
        let file = source.path.file_name().unwrap_or(source.path.as_os_str()).to_string_lossy().into_owned();
        text.push_str(if origins.is_empty() { "" } else { "," });
        text.push_str(&serde_json::to_string(slot)?);
        text.push_str(":[");
        let mut rows = 0_u64;
        for row in dataset::open_selected(&source.path, &source.config, task.selection)? {
            match mapped(source, row.value) {
                Ok(record) => {
                    text.push_str(if rows == 0 { "" } else { "," });
                    text.push_str(&Value::Object(record).to_string());
                    rows += 1;
                }
                Err(reason) => {
                    fault.get_or_insert(format!(
                        "dataset \"{slot}\", {}: {reason}; a {world} needs every row that `limit` takes",
                        row.origin
                    ));
                    break;
                }
            }
            if text.len() > LARGEST {
                fault.get_or_insert(format!(
                    "dataset \"{slot}\": the rows come to more than {} MiB; take fewer with `limit`",
                    LARGEST >> 20
                ));
                break;
            }
        }
        text.push(']');
        origins.push(format!("{slot}: {rows} rows of {file}"));
    }
    text.push('}');
    Ok(SampleRow {
        task: name.clone(),
        ordinal: 1,
        id: format!("{name}/1"),
        origin: origins.join(", "),
        row: fault.map_or(Ok(text), Err),
        seed: task.identity.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_s_row_gives_back_its_datasets_in_order() {
        let row = r#"{"two":[{"prompt":"a","n":0.1}],"one":[{"b":1,"a":2},{}]}"#;
        let found = datasets(row).unwrap();
        let expected = [("two", vec![r#"{"prompt":"a","n":0.1}"#]), ("one", vec![r#"{"b":1,"a":2}"#, "{}"])];
        let expected = expected
            .map(|(name, rows)| (name.to_owned(), rows.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(found, expected);
        assert!(datasets(r#"{"two":{}}"#).is_err());
    }
}
