//! A plan from a finished run: the same tasks over the same samples, with other judges.
//!
//! Tasks, samples and the judges that stay come out of the run file; only what is new is read from elsewhere. Of the
//! models, those that the new judges ask are opened. All other calls are answered from the run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sonde_contract::Digest;
use sonde_engine::OpenOptions;
use sonde_journal::{Header, JudgeIdentity, ModelIdentity, Origin, PluginIdentity, RunFile};
use sonde_runtime::{Plugin, Runtime, World};

use super::{Plan, PlannedJudge, PlannedModel, PlannedTask, Planner, PluginFile, TaskData, anywhere};
use crate::caller::Bound;
use crate::config::nearest::did_you_mean;
use crate::config::{Config, LoadedConfig};
use crate::dataset::Selection;
use crate::engines::ModelEngine;
use crate::reuse::Reuse;
use crate::{RunError, recorded};

/// What to judge again, and how.
#[derive(Clone, Debug, Default)]
pub struct Rejudgement {
    /// The finished run.
    pub run: PathBuf,
    /// Judges in the place of the run's, `NAME=YAML`, as under `judges` in a config; at least one, or an assignment that
    /// changes one.
    pub judges: Vec<String>,
    /// Models for them, `NAME=YAML`, as under `models`.
    pub models: Vec<String>,
    /// Settings of judges and models, `KEY=VALUE`.
    pub assignments: Vec<String>,
    /// The run file to write.
    pub output: PathBuf,
}

/// Plans to judge a finished run's replies again. Paths in `judges` and `models` are seen from the current folder.
///
/// # Errors
/// When the run cannot be read, is not finished or is not as it was sealed; when a judge or model is not one of the
/// run's, or cannot be had; and when nothing would be judged anew.
pub async fn rejudge(wanted: &Rejudgement, runtime: &Runtime) -> Result<Plan, RunError> {
    let reuse = Reuse::open(std::slice::from_ref(&wanted.run))?;
    let run = RunFile::open_read(&wanted.run)?;
    let header = run.header();
    let before: Config = serde_json::from_value(header.config.clone()).map_err(|error| {
        RunError::Plan(format!("the config in {} cannot be read: {error}", wanted.run.display()))
    })?;
    if before.treat.is_some() {
        return Err(RunError::Plan(format!(
            "{} has a treatment between two measurements; to judge it again, change the judges in its config and run \
             `sonde treat` with `--reuse {}`, which asks the models nothing anew",
            wanted.run.display(),
            wanted.run.display()
        )));
    }
    let (loaded, named) = changed(wanted, header, &before)?;
    loaded.validate()?;
    let new = new_judges(header, &before, &loaded.config, &named)?;
    let planner = Planner { loaded: &loaded, runtime };

    let from_run = FromRun { run: &run, runtime };
    let (mut tasks, mut remarks) = (Vec::new(), Vec::new());
    for identity in &header.tasks {
        let (plugin, file) = from_run.plugin(identity.plugin).await?;
        if matches!(plugin.world(), World::Diagnostic | World::Treatment) {
            let world = plugin.world();
            remarks.push(format!("{} is a {world} and is not judged: it is left out", identity.name));
            continue;
        }
        let bound = silent(recorded::task(plugin, identity)?);
        let data = TaskData::Recorded(run.clone());
        let selection = Selection::default();
        let (identity, seeded_by) = (identity.clone(), identity.name.clone());
        tasks.push(PlannedTask { identity, seeded_by, treatment: None, data, selection, bound, file });
    }
    let mut judges = Vec::new();
    for identity in &header.judges {
        match loaded.config.judges.get(&identity.name).filter(|_| new.contains(&identity.name)) {
            Some(config) => judges.push(planner.judge(&identity.name, config).await?),
            None => {
                let (plugin, file) = from_run.plugin(identity.plugin).await?;
                let bound = silent(recorded::judge(plugin, identity)?);
                judges.push(PlannedJudge { identity: identity.clone(), bound, file });
            }
        }
    }
    // Those that only new judges ask.
    for name in new.iter().filter(|name| !header.judges.iter().any(|judge| judge.name == **name)) {
        if let Some(config) = loaded.config.judges.get(name) {
            judges.push(planner.judge(name, config).await?);
        }
    }
    let models = models(&planner, header, &tasks, &judges, &new)?;
    planner.qualities(&mut judges, &models)?;
    let mut config = loaded.config.clone();
    config.tasks.retain(|task| tasks.iter().any(|kept| kept.identity.name == task.name));
    let source = Origin { path: wanted.run.display().to_string(), seal: reuse.seal(0) };
    let opened: Vec<_> = models.iter().filter(|model| model.recorded.is_none()).collect();
    let opened: Vec<_> = opened
        .iter()
        .map(|model| json!([model.name, model.digest, model.options.context, model.options.precision]))
        .collect();
    let identities: Vec<JudgeIdentity> = judges.iter().map(|judge| anywhere(&judge.identity)).collect();
    Ok(Plan {
        config_path: loaded.path.clone(),
        output: wanted.output.clone(),
        models,
        tasks,
        digest: Digest::of_json(&json!(["rejudge", source.seal, identities, opened]))?,
        judges,
        config,
        reuse: Some(reuse),
        rejudged: Some(source),
        treatment_file: None,
        remarks,
    })
}

/// The run's config with what is wanted in it, and the judges that were named.
fn changed(
    wanted: &Rejudgement,
    header: &Header,
    before: &Config,
) -> Result<(LoadedConfig, BTreeSet<String>), RunError> {
    let mut loaded = LoadedConfig::of(before.clone(), Path::new(&header.config_path));
    let mut named = BTreeSet::new();
    for judge in &wanted.judges {
        let name = name_in(judge, "--judge guard='{plugin: llama-guard, model: judge}'")?;
        if !header.judges.iter().any(|known| known.name == name) {
            let known = header.judges.iter().map(|judge| judge.name.as_str());
            return Err(RunError::Plan(format!(
                "{} has no judge \"{name}\"; {}",
                wanted.run.display(),
                did_you_mean(&name, "its judges", known)
            )));
        }
        loaded.set(&format!("judges.{judge}"))?;
        if let Some(judge) = loaded.config.judges.get_mut(&name)
            && judge.plugin.ends_with(".wasm")
        {
            judge.plugin = here(Path::new(&judge.plugin))?.display().to_string();
        }
        named.insert(name);
    }
    for model in &wanted.models {
        let name = name_in(model, "--model judge='{path: guard.gguf}'")?;
        loaded.set(&format!("models.{model}"))?;
        if let Some(model) = loaded.config.models.get_mut(&name) {
            model.path = here(&model.path)?;
        }
    }
    for assignment in &wanted.assignments {
        if !["judges.", "models."].iter().any(|start| assignment.trim_start().starts_with(start)) {
            return Err(RunError::Plan(format!(
                "--set {assignment}: judging again changes judges and their models only, `judges.…` and `models.…`; for \
                 anything else run the config again, with `sonde run` and `--reuse`"
            )));
        }
        loaded.set(assignment)?;
    }
    loaded.config.output = wanted.output.clone();
    Ok((loaded, named))
}

fn name_in(assignment: &str, example: &str) -> Result<String, RunError> {
    match assignment.split_once('=') {
        Some((name, _)) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => Err(RunError::Plan(format!("\"{assignment}\" has no name; write {example}"))),
    }
}

fn here(path: &Path) -> Result<PathBuf, RunError> {
    std::path::absolute(path).map_err(|reason| RunError::Unreadable { path: path.to_owned(), reason })
}

/// The judges that judge anew: those named, those that the new settings change, and those that such judges ask.
fn new_judges(
    header: &Header,
    before: &Config,
    after: &Config,
    named: &BTreeSet<String>,
) -> Result<BTreeSet<String>, RunError> {
    let mut new = named.clone();
    for judge in &header.judges {
        let settings = |config: &Config| -> Result<_, serde_json::Error> {
            let judge = config.judges.get(&judge.name);
            let model = judge.and_then(|judge| config.models.get(judge.model.as_ref()?));
            serde_json::to_value((judge, model))
        };
        if settings(before)? != settings(after)? {
            new.insert(judge.name.clone());
        }
    }
    if new.is_empty() {
        let known: Vec<&str> = header.judges.iter().map(|judge| judge.name.as_str()).collect();
        let what = match known.as_slice() {
            [] => "it asked no judge".to_owned(),
            _ => format!("name one of its judges, {}, with --judge NAME=…", known.join(", ")),
        };
        return Err(RunError::Plan(format!("nothing would be judged anew: {what}")));
    }
    let asked = new.iter().filter_map(|name| after.judges.get(name));
    let asked: Vec<String> = asked.flat_map(|judge| judge.judges.values().cloned()).collect();
    new.extend(asked);
    Ok(new)
}

/// The models that tasks and judges are bound to; those that no new judge asks stay closed.
fn models(
    planner: &Planner<'_>,
    header: &Header,
    tasks: &[PlannedTask],
    judges: &[PlannedJudge],
    new: &BTreeSet<String>,
) -> Result<Vec<PlannedModel>, RunError> {
    let mut models = Vec::new();
    for (name, config) in &planner.loaded.config.models {
        let uses = |judge: &&PlannedJudge| judge.identity.model.as_ref() == Some(name);
        let asked = judges.iter().filter(uses).any(|judge| new.contains(&judge.identity.name));
        let answered = tasks.iter().any(|task| task.identity.models.values().any(|used| used == name))
            || judges.iter().filter(uses).any(|judge| !new.contains(&judge.identity.name));
        let recorded = header.models.iter().find(|model| model.role == *name);
        match (asked, answered, recorded) {
            (true, false, _) | (true, true, None) => models.push(planner.model(name, config, &[])?),
            (true, true, Some(recorded)) => {
                let model = planner.model(name, config, &[])?;
                if model.digest != recorded.digest {
                    return Err(planner.at(
                        &format!("models.{name}.path"),
                        format!(
                            "{} is another file than the one whose answers are recorded under the name \"{name}\"; give the \
                             new judge's model a name of its own",
                            model.path.display()
                        ),
                    ));
                }
                models.push(model);
            }
            (false, true, Some(recorded)) => {
                models.push(closed(recorded)?);
            }
            (false, true, None) | (false, false, _) => {}
        }
    }
    Ok(models)
}

/// A model whose answers are recorded, and which need not exist any more.
fn closed(model: &ModelIdentity) -> Result<PlannedModel, RunError> {
    let engine = ModelEngine::named(&model.engine).ok_or_else(|| {
        RunError::Plan(format!("the run file names an engine \"{}\", which is unknown here", model.engine))
    })?;
    Ok(PlannedModel {
        name: model.role.clone(),
        path: PathBuf::from(&model.path),
        digest: model.digest,
        bytes: model.bytes,
        engine,
        second: None,
        without_gradients: Vec::new(),
        options: OpenOptions::default(),
        recorded: Some(model.clone()),
    })
}

/// What may ask no model.
fn silent(bound: Bound) -> Bound {
    let bindings = Arc::new(crate::caller::Bindings { asks: false, ..Arc::unwrap_or_clone(bound.bindings) });
    Bound { bindings, ..bound }
}

/// Plugins out of a run file.
struct FromRun<'a> {
    run: &'a RunFile,
    runtime: &'a Runtime,
}

impl FromRun<'_> {
    async fn plugin(&self, digest: Digest) -> Result<(Plugin, PluginFile), RunError> {
        let named = self.run.header().plugins.iter().find(|plugin| plugin.digest == digest);
        let identity: &PluginIdentity =
            named.ok_or_else(|| RunError::Plan(format!("the run file names no plugin {digest}")))?;
        let plugin = recorded::plugin(self.run, identity, self.runtime).await?;
        Ok((plugin, PluginFile { identity: identity.clone(), bytes: self.run.plugin(digest)? }))
    }
}
