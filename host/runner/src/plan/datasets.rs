//! Which files a task reads, and under which names: a benchmark the rows of one, a diagnostic some by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sonde_contract::About;
use sonde_journal::{DatasetIdentity, RunFile};
use sonde_runtime::{Plugin, World};

use super::{Planner, neighbours};
use crate::RunError;
use crate::config::nearest::did_you_mean;
use crate::config::{DatasetConfig, Format, TaskConfig};
use crate::dataset::{self, TaskColumns};
use crate::paths::tidied;

/// A file of rows, and how a task reads it.
pub struct PlannedDataset {
    /// The file.
    pub path: PathBuf,
    /// How to read it.
    pub config: DatasetConfig,
    /// From the file's columns to the plugin's.
    pub columns: TaskColumns,
}

/// What a task reads.
pub enum TaskData {
    /// The rows of a benchmark: each is a sample.
    Rows(PlannedDataset),
    /// The datasets of a diagnostic, by its names for them and in its order: all of them are one sample.
    Named(Vec<(String, PlannedDataset)>),
    /// The samples of the task of the same name in a run file.
    Recorded(RunFile),
}

impl TaskData {
    /// Every file of the task, with the plugin's name for it if it has one.
    pub fn sources(&self) -> Vec<(Option<&str>, &PlannedDataset)> {
        match self {
            Self::Rows(source) => vec![(None, source)],
            Self::Named(sources) => {
                sources.iter().map(|(name, source)| (Some(name.as_str()), source)).collect()
            }
            Self::Recorded(_) => Vec::new(),
        }
    }
}

/// What a task reads, and what the run file says of it.
pub(super) struct Found {
    pub data: TaskData,
    pub dataset: Option<DatasetIdentity>,
    pub datasets: BTreeMap<String, DatasetIdentity>,
}

impl Planner<'_> {
    /// Matches what the config gives with what the plugin reads.
    pub(super) fn data(&self, key: &str, plugin: &Plugin, task: &TaskConfig) -> Result<Found, RunError> {
        let about = plugin.about();
        if matches!(plugin.world(), World::Diagnostic | World::Treatment) {
            return self.named(key, about, task);
        }
        if let Some(name) = task.datasets.keys().next() {
            return Err(self.at(
                &format!("{key}.datasets"),
                format!(
                    "{} is a benchmark and runs once per row of its one dataset; write `dataset: {{ path: … }}` instead \
                     of `datasets: {{ {name}: … }}`",
                    about.name
                ),
            ));
        }
        let Some(dataset) = &task.dataset else {
            let what = "needs a dataset: benchmarks run once per row; add `dataset: { path: … }` for";
            return Err(self.at(key, format!("{what} {}", about.name)));
        };
        let (source, identity) = self.source(&format!("{key}.dataset"), about, dataset)?;
        Ok(Found { data: TaskData::Rows(source), dataset: Some(identity), datasets: BTreeMap::new() })
    }

    fn named(&self, key: &str, about: &About, task: &TaskConfig) -> Result<Found, RunError> {
        let slots = &about.datasets;
        if let Some(unknown) = task.datasets.keys().find(|name| !slots.iter().any(|slot| slot.name == **name))
        {
            let hint = did_you_mean(unknown, "its datasets", slots.iter().map(|slot| slot.name.as_str()));
            let key = &format!("{key}.datasets.{unknown}");
            return Err(self.at(key, format!("{} has no dataset \"{unknown}\"; {hint}", about.name)));
        }
        let only = only(about, task).map_err(|what| self.at(&format!("{key}.dataset"), what))?;
        let (mut sources, mut datasets) = (Vec::new(), BTreeMap::new());
        for slot in slots {
            let (place, config) = match (task.datasets.get(&slot.name), only) {
                (Some(config), _) => (format!("{key}.datasets.{}", slot.name), config),
                (None, Some(config)) => (format!("{key}.dataset"), config),
                (None, None) if !slot.required => continue,
                (None, None) => {
                    let what = format!(
                        "{} needs the dataset \"{}\" ({}); add `datasets: {{ {}: {{ path: … }} }}`",
                        about.name, slot.name, slot.about, slot.name
                    );
                    return Err(self.at(key, what));
                }
            };
            let (source, identity) = self.source(&place, about, config)?;
            sources.push((slot.name.clone(), source));
            datasets.insert(slot.name.clone(), identity);
        }
        Ok(Found { data: TaskData::Named(sources), dataset: None, datasets })
    }

    /// One file: that it can be read and has the plugin's columns.
    fn source(
        &self,
        key: &str,
        about: &About,
        config: &DatasetConfig,
    ) -> Result<(PlannedDataset, DatasetIdentity), RunError> {
        let path = tidied(&self.loaded.resolve(&config.path));
        let (path_key, columns_key) = (format!("{key}.path"), format!("{key}.columns"));
        let columns = TaskColumns::new(&about.columns, &config.columns)
            .map_err(|error| self.at(&columns_key, error.to_string()))?;
        let present = dataset::first_columns(&path, config).map_err(|error| {
            let hint = if path.exists() { String::new() } else { neighbours(&path) };
            self.at(&path_key, format!("{error}{hint}"))
        })?;
        columns
            .check_columns(&present)
            .map_err(|error| self.at(&columns_key, format!("the dataset {}: {error}", path.display())))?;
        let identity = DatasetIdentity {
            path: path.display().to_string(),
            digest: self.digest_of(&path, &path_key)?,
            format: format_of(&path, config),
            columns: config.columns.iter().map(|(plugin, file)| (plugin.clone(), file.clone())).collect(),
            records: config.records.clone(),
        };
        Ok((PlannedDataset { path, config: config.clone(), columns }, identity))
    }
}

/// `dataset`, which a diagnostic may have in the place of its only entry of `datasets`.
fn only<'a>(about: &About, task: &'a TaskConfig) -> Result<Option<&'a DatasetConfig>, String> {
    let Some(dataset) = &task.dataset else { return Ok(None) };
    let names: Vec<&str> = about.datasets.iter().map(|slot| slot.name.as_str()).collect();
    let name = &about.name;
    match names.as_slice() {
        [] => Err(format!("{name} reads no dataset; remove `dataset`")),
        [_] if task.datasets.is_empty() => Ok(Some(dataset)),
        [slot] => Err(format!(
            "{name} reads one dataset; give it either as `dataset` or as `datasets: {{ {slot}: … }}`"
        )),
        slots => {
            let form: Vec<_> = slots.iter().map(|slot| format!("{slot}: …")).collect();
            Err(format!(
                "{name} reads {} datasets, each by its name; write `datasets: {{ {} }}` instead of `dataset`",
                slots.len(),
                form.join(", ")
            ))
        }
    }
}

fn format_of(path: &Path, dataset: &DatasetConfig) -> String {
    let format = dataset.format.or_else(|| Format::of(path));
    format
        .and_then(|format| serde_json::to_value(format).ok()?.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sonde_contract::Slot;

    use super::*;

    /// A diagnostic that reads these datasets.
    fn about(names: &[&str]) -> About {
        let slot = |name: &&str| Slot { name: (*name).to_owned(), about: String::new(), required: true };
        About {
            name: "spin".into(),
            version: "0.1.0".into(),
            title: String::new(),
            summary: String::new(),
            citation: String::new(),
            licence: String::new(),
            models: vec![],
            judges: vec![],
            datasets: names.iter().map(slot).collect(),
            columns: vec![],
            parameters_schema: String::new(),
        }
    }

    fn task(json: serde_json::Value) -> TaskConfig {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn dataset_stands_for_the_only_entry_of_datasets_and_for_nothing_else() {
        let one = task(serde_json::json!({"name": "a", "plugin": "spin", "dataset": {"path": "a.csv"}}));
        let found = only(&about(&["items"]), &one).unwrap().unwrap();
        assert_eq!(found.path, Path::new("a.csv"));
        let refusal = |names: &[&str], task: &TaskConfig| only(&about(names), task).unwrap_err();
        assert_eq!(
            refusal(&["dataset1", "dataset2"], &one),
            "spin reads 2 datasets, each by its name; write `datasets: { dataset1: …, dataset2: … }` instead of `dataset`"
        );
        assert_eq!(refusal(&[], &one), "spin reads no dataset; remove `dataset`");
        let both = task(serde_json::json!({"name": "a", "plugin": "spin", "dataset": {"path": "a.csv"},
                                           "datasets": {"items": {"path": "b.csv"}}}));
        assert_eq!(
            refusal(&["items"], &both),
            "spin reads one dataset; give it either as `dataset` or as `datasets: { items: … }`"
        );
        let none = task(serde_json::json!({"name": "a", "plugin": "spin"}));
        assert!(only(&about(&["items"]), &none).unwrap().is_none());
    }
}
