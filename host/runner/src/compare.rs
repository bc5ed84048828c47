//! Puts runs beside each other, paired by sample: `sonde compare`.
//!
//! A metric's data does not say which sample gave which part of it, and only the plugin knows. So the plugin, whose bytes
//! are in the run file, sums up again: each sample alone, which shows what it adds to every metric. Where these parts
//! together are the metric, samples are paired by them (`rows`); where they are not, the plugin sums up resampled and
//! exchanged pairs (`resummed`). No model is needed.
//! `treated` does the same within one run, for tasks measured before and after a treatment.

mod beside;
mod differences;
mod flips;
mod pairing;
mod parts;
mod resummed;
mod rows;
mod summing;
mod treated;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sonde_contract::Digest;
use sonde_journal::{ModelIdentity, PluginIdentity, RunFile, TaskIdentity};
use sonde_report::compare::{ComparedRun, ComparedTask, Comparison, adjust};
use sonde_runtime::{Plugin, Runtime};

use crate::RunError;
use pairing::Pairing;
use summing::Summing;
pub(crate) use treated::{differs_from_kept, keep_before_and_after};

/// Runs that have a letter.
const MOST_RUNS: usize = 26;

/// What to compare, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// Rows for groups of samples too, all of them tested.
    pub groups: bool,
    /// Flipped samples listed per task.
    pub flips: usize,
}

/// A run that takes part.
struct Run {
    file: RunFile,
    label: ComparedRun,
}

/// Compares runs with the first of them.
///
/// # Errors
/// When there are fewer than two runs, one is named twice, a file or plugin cannot be read, or no task is in two of them.
pub async fn compare(
    paths: &[PathBuf],
    options: CompareOptions,
    runtime: &Runtime,
) -> Result<Comparison, RunError> {
    let runs = open(paths)?;
    let Some((baseline, others)) = runs.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err(RunError::Plan("a comparison needs two run files or more".to_owned()));
    };
    let mut comparer = Comparer { runtime: Some(runtime), options, plugins: BTreeMap::new() };
    let mut comparison = Comparison {
        baseline: baseline.label.clone(),
        others: others.iter().map(|run| run.label.clone()).collect(),
        groups: options.groups,
        ..Comparison::default()
    };
    for run in &runs {
        if !run.file.finished()? {
            comparison.remarks.push(format!(
                "{} is not finished: only samples that have ended are compared",
                run.label.letter
            ));
        }
    }
    for task in &baseline.file.header().tasks {
        for other in others {
            match other.file.header().tasks.iter().find(|candidate| candidate.name == task.name) {
                Some(second) => {
                    comparison.tasks.push(comparer.task(&task.name, [baseline, other], [task, second]).await?)
                }
                None => {
                    comparison.remarks.push(format!("task {} is not in {}", task.name, other.label.letter))
                }
            }
        }
    }
    for other in others {
        let of_baseline = |name: &str| baseline.file.header().tasks.iter().any(|task| task.name == name);
        for task in other.file.header().tasks.iter().filter(|task| !of_baseline(&task.name)) {
            comparison.remarks.push(format!("task {} is in {} only", task.name, other.label.letter));
        }
    }
    if comparison.tasks.is_empty() {
        return Err(RunError::Plan(format!(
            "{} has no task in common with the others; tasks are matched by their names",
            baseline.label.path
        )));
    }
    adjust(&mut comparison);
    Ok(comparison)
}

fn open(paths: &[PathBuf]) -> Result<Vec<Run>, RunError> {
    if paths.len() > MOST_RUNS {
        return Err(RunError::Plan(format!(
            "{} run files are too many; compare {MOST_RUNS} at most",
            paths.len()
        )));
    }
    let mut runs: Vec<Run> = Vec::new();
    for (letter, path) in ('A'..='Z').zip(paths) {
        let file = RunFile::open_read(path)?;
        if runs.iter().any(|known| known.file.path() == file.path()) {
            return Err(RunError::Plan(format!(
                "{} is named twice; a run cannot be compared with itself",
                path.display()
            )));
        }
        let header = file.header();
        let label = ComparedRun {
            letter: letter.to_string(),
            path: path.display().to_string(),
            created: header.created.clone(),
            models: header.models.iter().map(model).collect(),
        };
        runs.push(Run { file, label });
    }
    Ok(runs)
}

fn model(model: &ModelIdentity) -> String {
    let ModelIdentity { role, info, digest, .. } = model;
    format!("{role} {} {} ({})", info.name, info.quantisation, digest.short())
}

struct Comparer<'a> {
    /// None where all plugins are loaded already.
    runtime: Option<&'a Runtime>,
    options: CompareOptions,
    plugins: BTreeMap<Digest, Plugin>,
}

impl Comparer<'_> {
    async fn task(
        &mut self,
        name: &str,
        runs: [&Run; 2],
        tasks: [&TaskIdentity; 2],
    ) -> Result<ComparedTask, RunError> {
        let [first, second] = [identity(runs[0], tasks[0])?, identity(runs[1], tasks[1])?];
        let [_, other] = runs;
        let names = tasks.map(|task| task.name.as_str());
        let mut compared = ComparedTask {
            name: name.to_owned(),
            plugin: format!("{} {}", first.about.name, first.about.version),
            other: other.label.letter.clone(),
            ..ComparedTask::default()
        };
        if first.about.name != second.about.name || first.world != second.world {
            compared.remarks.push(format!(
                "not compared: A measured it with {} and {} with {}",
                first.about.name, compared.other, second.about.name
            ));
            return Ok(compared);
        }
        compared.remarks = differences::between(
            [runs[0].file.header(), other.file.header()],
            tasks,
            [first, second],
            &compared.other,
        );
        if first.world == "diagnostic" {
            beside::fill(&mut compared, runs.map(|run| &run.file), names, self.options.groups)?;
            return Ok(compared);
        }
        compared.paired = true;
        let pairing = Pairing::of(runs.map(|run| &run.file), names)?;
        compared.pairs = pairing.pairs.len() as u64;
        compared.remarks.extend(pairing.remarks(&compared.other));
        if pairing.pairs.is_empty() {
            return Ok(compared);
        }
        let sums = [
            Summing::new(self.plugin(runs[0], first).await?, tasks[0])?,
            Summing::new(self.plugin(other, second).await?, tasks[1])?,
        ];
        rows::fill(&mut compared, &pairing.pairs, sums, self.options, tasks[0].seed).await?;
        flips::describe(&mut compared.flips, runs.map(|run| &run.file))?;
        Ok(compared)
    }

    /// Loads a plugin out of the run file, once.
    async fn plugin(&mut self, run: &Run, identity: &PluginIdentity) -> Result<Plugin, RunError> {
        if let Some(plugin) = self.plugins.get(&identity.digest) {
            return Ok(plugin.clone());
        }
        let Some(runtime) = self.runtime else {
            return Err(RunError::Plan(format!("the plugin {} is not loaded", identity.about.name)));
        };
        let bytes = run.file.plugin(identity.digest)?;
        let plugin = runtime.load(&bytes, &identity.path).await?;
        self.plugins.insert(identity.digest, plugin.clone());
        Ok(plugin)
    }
}

fn identity<'a>(run: &'a Run, task: &TaskIdentity) -> Result<&'a PluginIdentity, RunError> {
    run.file.header().plugins.iter().find(|plugin| plugin.digest == task.plugin).ok_or_else(|| {
        RunError::Plan(format!(
            "{} names no plugin {}; run `sonde verify` on it",
            run.label.path, task.plugin
        ))
    })
}
