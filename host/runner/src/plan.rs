//! A config becomes a plan: every file found and hashed, every plugin read and matched with what the config gives it.
//!
//! Everything that can be known to fail fails here, before a model is loaded. `sonde run --dry-run` stops after it.
//! `bindings` matches models, judges, grants, limits and parameters, `datasets` files of rows, `models` engines;
//! `rejudge` plans from a run file instead of a config's files.

pub(crate) mod bindings;
mod datasets;
mod models;
mod quality;
mod rejudge;
mod treating;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use sonde_contract::{Digest, Sampling};
use sonde_engine::OpenOptions;
use sonde_journal::{JudgeIdentity, ModelIdentity, Origin, PluginIdentity, TaskIdentity};
use sonde_runtime::{Plugin, Runtime, World};

use crate::RunError;
use crate::caller::{Bindings, Bound};
use crate::config::nearest::did_you_mean;
use crate::config::{Config, JudgeConfig, LoadedConfig, TaskConfig};
use crate::dataset::Selection;
use crate::engines::ModelEngine;
use crate::paths::tidied;
use crate::plugins;
use crate::reuse::Reuse;
use crate::treatment::TreatmentFile;
use datasets::Found;
pub use datasets::{PlannedDataset, TaskData};
pub use rejudge::{Rejudgement, rejudge};
use treating::{Phase, phases};

/// What a run will do.
pub struct Plan {
    /// The config, resolved.
    pub config: Config,
    /// Where it was read from.
    pub config_path: PathBuf,
    /// The run file.
    pub output: PathBuf,
    /// Models in use, in the config's order.
    pub models: Vec<PlannedModel>,
    /// Judges in use.
    pub judges: Vec<PlannedJudge>,
    /// Tasks, in the config's order.
    pub tasks: Vec<PlannedTask>,
    /// Identifies the plan: the same models, plugins, data and settings have the same digest, wherever the files lie
    /// and however many slots and threads compute.
    pub digest: Digest,
    /// Earlier runs whose answers are used again.
    pub reuse: Option<Reuse>,
    /// The run whose replies are judged again, if that is what this plan does.
    pub rejudged: Option<Origin>,
    /// Where the treatment that the run derives is written, if it derives one between two measurements.
    pub treatment_file: Option<PathBuf>,
    pub(crate) remarks: Vec<String>,
}

/// A model.
pub struct PlannedModel {
    /// Its name in the config.
    pub name: String,
    /// The file, or the folder.
    pub path: PathBuf,
    /// SHA-256 of the file; of a folder, over its files' names and digests.
    pub digest: Digest,
    /// Size of the file, or of the folder's files together.
    pub bytes: u64,
    /// What executes it.
    pub engine: ModelEngine,
    /// What executes it a second time, for gradients that the first engine has not.
    pub second: Option<ModelEngine>,
    /// Tasks that can ask for gradients and will be refused, because the config wants an engine that has none.
    pub without_gradients: Vec<String>,
    /// How to open it.
    pub options: OpenOptions,
    /// For a model that is not opened: what an earlier run recorded of it.
    pub recorded: Option<ModelIdentity>,
}

/// A judge plugin bound to its model.
pub struct PlannedJudge {
    /// What the run file says of it.
    pub identity: JudgeIdentity,
    pub(crate) bound: Bound,
    pub(crate) file: PluginFile,
}

/// A benchmark, diagnostic or treatment bound to its data, models and judges.
pub struct PlannedTask {
    /// What the run file says of it.
    pub identity: TaskIdentity,
    /// What its samples' seeds are derived from besides their numbers: its name in the config, so that a task draws the
    /// same before and after a treatment.
    pub(crate) seeded_by: String,
    /// The treatment file that it names.
    pub(crate) treatment: Option<TreatmentFile>,
    /// What it reads.
    pub data: TaskData,
    /// Which rows, of each dataset.
    pub selection: Selection,
    pub(crate) bound: Bound,
    pub(crate) file: PluginFile,
}

impl PlannedJudge {
    /// Its plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.bound.plugin
    }
}

impl PlannedTask {
    /// Its plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.bound.plugin
    }
}

impl Plan {
    /// What a reader may not expect of the plan, a sentence each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.remarks.clone();
        for PlannedModel { name, engine, second, without_gradients, .. } in &self.models {
            if let Some(second) = second {
                notices.push(format!(
                    "opening {name} a second time with {}, which has gradients",
                    second.as_str()
                ));
            }
            if !without_gradients.is_empty() {
                notices.push(format!(
                    "{} may ask for gradients, and {}, with which {name} is opened, has none; without `engine` it is opened \
                     a second time with candle",
                    without_gradients.join(", "),
                    engine.as_str()
                ));
            }
        }
        notices
    }

    /// The names of the tasks, in the config's order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.tasks.iter().map(|task| &task.identity.name)
    }
}

/// A plugin as it lies on disk.
#[derive(Clone)]
pub(crate) struct PluginFile {
    pub identity: PluginIdentity,
    pub bytes: Vec<u8>,
}

/// Plans a run.
///
/// # Errors
/// Anything that would make the run fail: see [`RunError`]. The text says where in the config, and what to do.
pub async fn plan(loaded: &LoadedConfig, runtime: &Runtime) -> Result<Plan, RunError> {
    loaded.validate()?;
    let planner = Planner { loaded, runtime };
    let config = &loaded.config;
    let mut tasks = Vec::new();
    for (key, task, phase) in phases(config) {
        tasks.push(planner.task(&key, task, phase).await?);
    }
    treating::check(&planner, &tasks)?;
    let used = judges_in_use(config, &tasks);
    let mut judges = Vec::new();
    for (name, judge) in config.judges.iter().filter(|(name, _)| used.contains(name.as_str())) {
        judges.push(planner.judge(name, judge).await?);
    }
    planner.check_guards(&tasks, &judges)?;
    let mut models = Vec::new();
    for (name, model) in &config.models {
        let by_task = tasks.iter().any(|task| task.identity.models.values().any(|used| used == name));
        let by_judge = judges.iter().any(|judge| judge.identity.model.as_ref() == Some(name));
        if by_task || by_judge {
            models.push(planner.model(name, model, &tasks)?);
        }
    }
    planner.qualities(&mut judges, &models)?;
    let digest = digest(config, &models, &judges, &tasks)?;
    Ok(Plan {
        config: config.clone(),
        config_path: loaded.path.clone(),
        output: tidied(&loaded.resolve(&config.output)),
        models,
        judges,
        tasks,
        digest,
        reuse: None,
        rejudged: None,
        treatment_file: treating::file(loaded),
        remarks: Vec::new(),
    })
}

/// The judges that tasks ask or put on guard, and the judges that those ask.
fn judges_in_use<'a>(config: &'a Config, tasks: &'a [PlannedTask]) -> BTreeSet<&'a str> {
    let identities = tasks.iter().map(|task| &task.identity);
    let by_tasks = identities.flat_map(|task| {
        task.judges.values().chain(task.guard.iter().map(|guard| &guard.judge)).map(String::as_str)
    });
    let by_tasks: BTreeSet<&str> = by_tasks.collect();
    let asked = by_tasks.iter().filter_map(|name| config.judges.get(*name));
    let by_judges: Vec<&str> = asked.flat_map(|judge| judge.judges.values().map(String::as_str)).collect();
    by_tasks.into_iter().chain(by_judges).collect()
}

/// Paths, slots and threads stay out: they do not change what is computed.
fn digest(
    config: &Config,
    models: &[PlannedModel],
    judges: &[PlannedJudge],
    tasks: &[PlannedTask],
) -> Result<Digest, serde_json::Error> {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            let options = &model.options;
            let second = model.second.map(ModelEngine::as_str);
            // Blocks computed on a GPU round otherwise than those on the CPU.
            json!([
                model.name,
                model.digest,
                options.context,
                options.precision,
                options.gpu_layers,
                model.engine.as_str(),
                second
            ])
        })
        .collect();
    let judges: Vec<JudgeIdentity> = judges.iter().map(|judge| anywhere(&judge.identity)).collect();
    let tasks = tasks
        .iter()
        .map(|task| {
            let mut identity = serde_json::to_value(&task.identity)?;
            let named = identity.get("datasets").and_then(Value::as_object).into_iter().flatten();
            let named: Vec<_> = named.map(|(name, _)| format!("/datasets/{}/path", pointed(name))).collect();
            for place in named.into_iter().chain(["/dataset/path", "/treatment/path"].map(str::to_owned)) {
                if let Some(path) = identity.pointer_mut(&place) {
                    *path = Value::Null;
                }
            }
            Ok(identity)
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()?;
    Digest::of_json(&json!([models, judges, tasks, config.reproducible]))
}

/// A judge's identity without the place of a file.
fn anywhere(judge: &JudgeIdentity) -> JudgeIdentity {
    let mut judge = judge.clone();
    if let Some(quality) = &mut judge.quality {
        quality.path.clear();
    }
    judge
}

/// A key as a JSON pointer has it.
fn pointed(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

struct Planner<'a> {
    loaded: &'a LoadedConfig,
    runtime: &'a Runtime,
}

impl Planner<'_> {
    async fn plugin(
        &self,
        named: &str,
        pin: Option<Digest>,
        key: &str,
    ) -> Result<(Plugin, PluginFile), RunError> {
        let at = |what: String| self.at(&format!("{key}.plugin"), what);
        let path = plugins::locate(named, &self.loaded.dir).map_err(|error| at(error.to_string()))?;
        let bytes =
            std::fs::read(&path).map_err(|reason| RunError::Unreadable { path: path.clone(), reason })?;
        let loading = self.runtime.load(&bytes, &path.display().to_string()).await;
        let plugin = loading.map_err(|error| at(error.to_string()))?;
        self.check_pin(pin, plugin.digest(), &path, &format!("{key}.digest"))?;
        let identity = PluginIdentity {
            digest: plugin.digest(),
            path: path.display().to_string(),
            world: plugin.world().to_string(),
            imports: plugin.imports().to_vec(),
            bytes: bytes.len() as u64,
            about: plugin.about().clone(),
        };
        Ok((plugin, PluginFile { identity, bytes }))
    }

    async fn task(&self, key: &str, task: &TaskConfig, phase: Phase) -> Result<PlannedTask, RunError> {
        let (plugin, file) = self.plugin(&task.plugin, task.digest, key).await?;
        let worlds: &[World] = match phase {
            Phase::Once => &[World::Benchmark, World::Diagnostic, World::Treatment],
            Phase::Before | Phase::After => &[World::Benchmark, World::Diagnostic],
            Phase::Derive => &[World::Treatment],
        };
        self.check_world(&plugin, worlds, key)?;
        let about = plugin.about();
        let config = &self.loaded.config;
        let models = bindings::models(self.loaded, key, about, &task.models)?;
        let judges = bindings::judges(self.loaded, key, about, &task.judges)?;
        let guard =
            task.guard.as_ref().map(|guard| bindings::guard(self.loaded, key, &models, guard)).transpose()?;
        let grants = bindings::grants(self.loaded, key, &plugin, task.grants.as_deref())?;
        let limits = bindings::limits(self.loaded, key, plugin.world(), &task.limits)?;
        bindings::check_parameters(self.loaded, key, about, &task.parameters)?;
        let sampling: BTreeMap<String, Sampling> = models
            .iter()
            .filter_map(|(slot, model)| Some((slot.clone(), task.sampling.over(self.base_sampling(model)?))))
            .collect();

        let (treatment, in_force) = self.treatment(key, task, phase, &models)?;
        let Found { data, dataset, datasets } = self.data(key, &plugin, task)?;
        let seeded_by = treating::name_of(task);
        let identity = TaskIdentity {
            name: phase.title(&seeded_by),
            plugin: plugin.digest(),
            dataset,
            datasets,
            models: models.clone(),
            judges: judges.clone(),
            guard: guard.clone(),
            treatment: in_force.clone(),
            parameters: Value::Object(task.parameters.clone()),
            sampling: sampling.clone(),
            limit: task.limit,
            shuffle: task.shuffle,
            seed: config.seed_of(task),
            grants: grants.0.iter().cloned().collect(),
            limits: serde_json::to_value(&limits)?,
        };
        let parameters = serde_json::to_string(&task.parameters)?;
        let title = plugin.name().to_string();
        let bindings = Bindings { title, models, sampling, judges, guard, treatment: in_force, asks: true };
        let bindings = Arc::new(bindings);
        Ok(PlannedTask {
            identity,
            seeded_by,
            treatment,
            data,
            selection: Selection::of(config, task),
            bound: Bound { plugin, bindings, parameters, grants, limits },
            file,
        })
    }

    async fn judge(&self, name: &str, judge: &JudgeConfig) -> Result<PlannedJudge, RunError> {
        let key = format!("judges.{name}");
        let named = plugins::judge_named(&judge.plugin);
        let (plugin, file) = self.plugin(&named, judge.digest, &key).await?;
        self.check_world(&plugin, &[World::Judge], &key)?;
        let about = plugin.about();
        let needs_model = about.models.iter().any(|slot| slot.required);
        if needs_model && judge.model.is_none() {
            return Err(self.at(&key, format!("needs a model: {} asks one; add `model: NAME`", about.name)));
        }
        let grants = bindings::grants(self.loaded, &key, &plugin, judge.grants.as_deref())?;
        let limits = bindings::limits(self.loaded, &key, plugin.world(), &judge.limits)?;
        bindings::check_parameters(self.loaded, &key, about, &judge.parameters)?;
        let base = judge.model.as_ref().and_then(|model| self.base_sampling(model)).unwrap_or_default();
        let sampling = judge.sampling.over(base);
        let judges = bindings::judges_of_judge(self.loaded, &key, name, about, &judge.judges)?;
        let identity = JudgeIdentity {
            name: name.to_owned(),
            plugin: plugin.digest(),
            model: judge.model.clone(),
            judges,
            parameters: Value::Object(judge.parameters.clone()),
            sampling: sampling.clone(),
            grants: grants.0.iter().cloned().collect(),
            limits: serde_json::to_value(&limits)?,
            quality: None,
        };
        let bound = bindings::judge(plugin, &identity, grants, limits)?;
        Ok(PlannedJudge { identity, bound, file })
    }

    /// A guard reads along, which not every judge can.
    fn check_guards(&self, tasks: &[PlannedTask], judges: &[PlannedJudge]) -> Result<(), RunError> {
        for task in tasks {
            let Some(guard) = &task.identity.guard else { continue };
            let judge = judges.iter().find(|judge| judge.identity.name == guard.judge);
            if let Some(judge) = judge.filter(|judge| !judge.bound.plugin.is_streaming()) {
                let key = format!("tasks.{}.guard.judge", task.identity.name);
                let what = format!(
                    "{} ({}) judges whole replies only; a guard must be a streaming judge, for example qwen3guard-stream",
                    guard.judge,
                    judge.bound.plugin.name()
                );
                return Err(self.at(&key, what));
            }
        }
        Ok(())
    }

    fn base_sampling(&self, model: &str) -> Option<Sampling> {
        self.loaded.config.models.get(model).map(|model| model.sampling.over(Sampling::default()))
    }

    fn check_world(&self, plugin: &Plugin, wanted: &[World], key: &str) -> Result<(), RunError> {
        if wanted.contains(&plugin.world()) {
            return Ok(());
        }
        let key = format!("{key}.plugin");
        let all: Vec<String> = wanted.iter().map(World::to_string).collect();
        let wanted = match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or a {last}", rest.join(", a ")),
            None => return Ok(()),
        };
        Err(self.at(
            &key,
            format!("a {wanted} is needed here, and {} is a {}", plugin.about().name, plugin.world()),
        ))
    }

    fn digest_of(&self, path: &Path, key: &str) -> Result<Digest, RunError> {
        models::digest(path).map_err(|reason| {
            let hint = if reason.kind() == ErrorKind::NotFound { neighbours(path) } else { String::new() };
            self.at(key, format!("cannot read {}: {reason}{hint}", path.display()))
        })
    }

    fn check_pin(&self, pin: Option<Digest>, found: Digest, path: &Path, key: &str) -> Result<(), RunError> {
        match pin {
            Some(pin) if pin != found => {
                let path = path.display();
                Err(self.at(
                    key,
                    format!(
                        "{path} has the SHA-256 {found}, not {pin}: it is another file than the one pinned"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    fn at(&self, key: &str, what: String) -> RunError {
        bindings::at(self.loaded, key, what)
    }
}

/// The end of a message about a file that is not there: what its folder holds instead.
fn neighbours(path: &Path) -> String {
    let wanted = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = folder.read_dir() else { return format!("; there is no folder {}", folder.display()) };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    format!("; {}", did_you_mean(&wanted, "files there", names.iter().map(String::as_str)))
}
