//! Treatments in a plan: those that tasks name by a file, and one that is derived between two measurements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sonde_journal::{TreatmentSource, TreatmentUse};
use sonde_report::{AFTER, BEFORE};

use super::{PlannedTask, Planner};
use crate::RunError;
use crate::config::nearest::did_you_mean;
use crate::config::{Config, LoadedConfig, TaskConfig};
use crate::paths::tidied;
use crate::treatment::{EXTENSION, TARGET, TreatmentFile, treated_role};

/// When a task of the config is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Once: the config derives no treatment.
    Once,
    /// Before the treatment.
    Before,
    /// It derives the treatment.
    Derive,
    /// With the treatment in force.
    After,
}

impl Phase {
    /// What the task is called in the run.
    pub(super) fn title(self, name: &str) -> String {
        match self {
            Self::Once | Self::Derive => name.to_owned(),
            Self::Before => format!("{BEFORE}{name}"),
            Self::After => format!("{AFTER}{name}"),
        }
    }
}

/// The tasks of a run in their order, each with its key in the config.
pub(super) fn phases(config: &Config) -> Vec<(String, &TaskConfig, Phase)> {
    let tasks = |phase| config.tasks.iter().map(move |task| (format!("tasks.{}", task.name), task, phase));
    match &config.treat {
        None => tasks(Phase::Once).collect(),
        Some(treat) => {
            let derive = ("treat.derive".to_owned(), &treat.derive, Phase::Derive);
            tasks(Phase::Before).chain([derive]).chain(tasks(Phase::After)).collect()
        }
    }
}

/// A task's name; a derivation without one has its plugin's.
pub(super) fn name_of(task: &TaskConfig) -> String {
    if !task.name.is_empty() {
        return task.name.clone();
    }
    let stem = Path::new(&task.plugin).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Where the treatment that the run derives is written.
pub(super) fn file(loaded: &LoadedConfig) -> Option<PathBuf> {
    let treat = loaded.config.treat.as_ref()?;
    let beside = || loaded.config.output.with_extension(EXTENSION);
    Some(tidied(&loaded.resolve(&treat.file.clone().unwrap_or_else(beside))))
}

/// What only the whole list of tasks shows: that the treatment is measured on the model it is derived from, and that
/// means over suites would mix what was measured before and after.
pub(super) fn check(planner: &Planner<'_>, tasks: &[PlannedTask]) -> Result<(), RunError> {
    let config = &planner.loaded.config;
    let Some(treat) = &config.treat else { return Ok(()) };
    if !config.suites.is_empty() {
        let what = "suites and `treat` do not go together: a suite's mean would mix what was measured before and after";
        return Err(planner.at("suites", what.to_owned()));
    }
    let name = name_of(&treat.derive);
    let Some(derivation) = tasks.iter().find(|task| task.identity.name == name) else { return Ok(()) };
    let models = &derivation.identity.models;
    let Some(derived_from) = treated_role(models).and_then(|role| models.get(role)) else {
        let what =
            format!("{} opens no model, so there is nothing to treat", derivation.plugin().about().name);
        return Err(planner.at("treat.derive", what));
    };
    for task in tasks {
        let Some(used) = &task.identity.treatment else { continue };
        let measured = task.identity.models.get(&used.role);
        if let Some(measured) = measured.filter(|measured| *measured != derived_from) {
            let what = format!(
                "measures \"{measured}\", and the treatment is derived from \"{derived_from}\"; let both be the same model"
            );
            return Err(planner.at(&format!("tasks.{}.models", task.seeded_by), what));
        }
    }
    Ok(())
}

impl Planner<'_> {
    /// The treatment that a task's model has, and its file if it comes from one.
    pub(super) fn treatment(
        &self,
        key: &str,
        task: &TaskConfig,
        phase: Phase,
        models: &BTreeMap<String, String>,
    ) -> Result<(Option<TreatmentFile>, Option<TreatmentUse>), RunError> {
        let role = task.treated.clone().unwrap_or_else(|| TARGET.to_owned());
        if phase == Phase::After {
            return self.derived(key, role, models);
        }
        let Some(path) = &task.treatment else { return Ok((None, None)) };
        if !models.contains_key(&role) {
            let hint = did_you_mean(&role, "its models", models.keys().map(String::as_str));
            let what = format!("the task has no model \"{role}\"; {hint}");
            return Err(self.at(&format!("{key}.treated"), what));
        }
        let path = tidied(&self.loaded.resolve(path));
        let file = TreatmentFile::read(&path);
        let file = file.map_err(|error| self.at(&format!("{key}.treatment"), error.to_string()))?;
        let source = TreatmentSource::File { path: path.display().to_string(), digest: file.digest() };
        let strength = task.strength.unwrap_or(1.0);
        Ok((Some(file), Some(TreatmentUse { source, strength, role })))
    }

    /// The run's own treatment, where a task measures the model that it is derived for.
    fn derived(
        &self,
        key: &str,
        role: String,
        models: &BTreeMap<String, String>,
    ) -> Result<(Option<TreatmentFile>, Option<TreatmentUse>), RunError> {
        let Some(treat) = &self.loaded.config.treat else { return Ok((None, None)) };
        if !models.contains_key(&role) {
            let what = format!("the task has no model \"{role}\" that could have the treatment");
            return Err(self.at(&format!("{key}.models"), what));
        }
        let source = TreatmentSource::Task { task: name_of(&treat.derive) };
        Ok((None, Some(TreatmentUse { source, strength: treat.strength.unwrap_or(1.0), role })))
    }
}
