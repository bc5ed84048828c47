//! A plan becomes a run: samples, many at once, each recorded before the next step relies on it.
//!
//! Going on with an unfinished run is the same code: samples that ended are left alone, calls that are recorded are not
//! made again. A finished run is sealed and left as it is.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use sonde_journal::{
    Counts, Ending, Header, HostIdentity, JournalError, ModelIdentity, RunFile, Sample, TaskIdentity,
};
use sonde_runtime::World;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::RunError;
use crate::caller::{Bound, Caller, Models, SampleState, Shared};
use crate::plan::Plan;
use crate::progress::{Event, Observer};
use crate::treatment::{self, Treatments};
use crate::{compare, samples, summary};

/// Samples in flight for every slot of the widest model: enough that no slot waits while plugins think.
const SAMPLES_PER_SLOT: usize = 2;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Whether it was stopped before its end; the same command goes on with it.
    pub interrupted: bool,
    /// Whether the run file held the finished run already.
    pub already_done: bool,
    /// How each task stands.
    pub counts: Vec<(String, Counts)>,
    /// Tasks whose plugin could not sum up its outcomes.
    pub unsummarised: Vec<String>,
}

impl RunEnd {
    /// Whether any sample failed, or a task has no metrics because its plugin failed.
    pub fn any_failed(&self) -> bool {
        self.counts.iter().any(|(_, counts)| counts.failed > 0) || !self.unsummarised.is_empty()
    }
}

/// Carries out a plan, or goes on with it. `stop` turning true interrupts it cleanly: what is recorded stays.
///
/// # Errors
/// When a model cannot be opened, the run file holds another run, or it cannot be written.
pub async fn run(
    plan: Plan,
    observer: Arc<dyn Observer>,
    stop: watch::Receiver<bool>,
) -> Result<RunEnd, RunError> {
    let existing = plan.output.exists().then(|| open_existing(&plan)).transpose()?;
    if let Some(journal) = &existing
        && journal.is_sealed()?
    {
        let mut unsummarised = Vec::new();
        for task in &plan.tasks {
            let name = &task.identity.name;
            if journal.result(name)?.as_ref().and_then(summary::failure).is_some() {
                unsummarised.push(name.clone());
            }
        }
        let counts = counts(journal, plan.names())?;
        return Ok(RunEnd { interrupted: false, already_done: true, counts, unsummarised });
    }
    if existing.is_none() {
        check_writable(&plan.output)?;
    }
    let Some((models, with_gradients)) = open_models(&plan, observer.as_ref(), &stop)? else {
        let counts = existing.map(|journal| counts(&journal, plan.names())).transpose()?.unwrap_or_default();
        return Ok(RunEnd { interrupted: true, already_done: false, counts, unsummarised: Vec::new() });
    };
    let journal = match existing {
        Some(journal) => journal,
        None => create(&plan, &models)?,
    };
    samples::add(&journal, &plan)?;

    let treatments = known_treatments(&plan, &models, observer.as_ref())?;
    let mut tasks = Vec::new();
    let mut judges = BTreeMap::new();
    let Plan { tasks: planned, judges: planned_judges, reuse, treatment_file, .. } = plan;
    for text in reuse.iter().flat_map(|reuse| reuse.notices(journal.header())) {
        observer.notice(Event::Notice { text });
    }
    let reuse = reuse.map(|reuse| reuse.bound_to(journal.header()));
    for task in planned {
        tasks.push((task.identity, Arc::new(task.bound)));
    }
    for judge in planned_judges {
        judges.insert(judge.identity.name, Arc::new(judge.bound));
    }
    let slots = models.values().filter_map(|model| model.options().slots).max().unwrap_or(1) as usize;
    let shared = Shared::new(journal.clone(), models, with_gradients, judges, false, Arc::clone(&observer));
    let shared = Arc::new(shared.with(reuse, treatments));
    let mut execution = Execution { shared, observer, stop, in_flight: slots.max(4) * SAMPLES_PER_SLOT };
    let (mut interrupted, mut unsummarised) = (false, Vec::new());
    for (identity, bound) in &tasks {
        let (name, seed) = (&identity.name, identity.seed);
        interrupted = execution.task(name, bound).await?;
        if interrupted {
            break;
        }
        if bound.plugin.world() == World::Treatment {
            execution.treatment(identity, bound, treatment_file.as_deref()).await?;
        }
        execution.observer.notice(Event::Summarising { task: name.clone() });
        let result = tokio::select! {
            biased;
            _ = execution.stop.wait_for(|stop| *stop) => {
                interrupted = true;
                break;
            }
            result = summary::summarise(&journal, name, bound, seed) => result?,
        };
        journal.put_result(name, &result)?;
        if let Some(reason) = summary::failure(&result) {
            let (task, reason) = (name.clone(), reason.to_owned());
            execution.observer.notice(Event::NotSummarised { task, reason });
            unsummarised.push(name.clone());
        }
    }
    let counts = counts(&journal, tasks.iter().map(|(task, _)| &task.name))?;
    drop(execution);
    if !interrupted {
        let plugins = tasks.iter().map(|(_, bound)| (bound.plugin.digest(), bound.plugin.clone())).collect();
        compare::keep_before_and_after(&journal, plugins).await?;
        journal.seal()?;
    }
    Ok(RunEnd { interrupted, already_done: false, counts, unsummarised })
}

/// The treatments that tasks name by their files. Whether they were made for these models, and fit them, is known before
/// any sample runs.
fn known_treatments(plan: &Plan, models: &Models, observer: &dyn Observer) -> Result<Treatments, RunError> {
    let treatments = Treatments::default();
    for task in &plan.tasks {
        let (Some(file), Some(used)) = (&task.treatment, &task.identity.treatment) else { continue };
        let name = task.identity.models.get(&used.role);
        let planned = name.and_then(|name| plan.models.iter().find(|model| model.name == *name));
        let (Some(planned), Some(model)) = (planned, name.and_then(|name| models.get(name))) else {
            continue;
        };
        let of_task = |reason: String| RunError::Plan(format!("task {}: {reason}", task.identity.name));
        let notice = file.check_for(model.info(), planned.digest);
        if let Some(text) = notice.map_err(|error| of_task(error.to_string()))? {
            observer.notice(Event::Notice { text: format!("task {}: {text}", task.identity.name) });
        }
        treatments.keep(file.digest(), file.changes.clone());
        if let Some(in_force) = treatments.in_force(used).map_err(|error| of_task(error.to_string()))? {
            let made = treatments.model(&planned.name, model, in_force, false);
            made.map_err(|error| of_task(format!("its treatment does not fit {}: {error}", planned.name)))?;
        }
    }
    Ok(treatments)
}

struct Execution {
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    stop: watch::Receiver<bool>,
    in_flight: usize,
}

impl Execution {
    /// Hands a derived treatment on to the tasks that follow, and writes its file.
    async fn treatment(
        &self,
        task: &TaskIdentity,
        bound: &Arc<Bound>,
        file: Option<&Path>,
    ) -> Result<(), RunError> {
        let journal = &self.shared.journal;
        let Some(derived) = treatment::publish(&self.shared.treatments, journal, &task.name)? else {
            return Ok(());
        };
        if let Some(file) = file {
            treatment::write(journal, task, &derived, file)?;
        }
        if !self.shared.treatments.has(derived.digest) {
            // An earlier process derived it and, as it audits robustness, its numbers went with that process. They come
            // again from the recorded answers.
            for sample in journal.samples(&task.name)? {
                let sample = sample?;
                let Ok(row) = &sample.row else { continue };
                let state = Arc::new(SampleState::of(&sample, journal)?);
                outcome_of(&self.shared, &state, bound, row).await;
            }
        }
        Ok(())
    }

    /// Runs a task's pending samples. True if it was interrupted.
    async fn task(&mut self, name: &str, bound: &Arc<Bound>) -> Result<bool, RunError> {
        let journal = self.shared.journal.clone();
        self.observer.notice(Event::Task { name: name.to_owned(), counts: journal.counts(name)? });
        let mut pending = journal.pending(name)?;
        let mut running: JoinSet<Result<Event, JournalError>> = JoinSet::new();
        loop {
            while running.len() < self.in_flight
                && let Some(sample) = pending.next().transpose()?
            {
                running.spawn(run_sample(Arc::clone(&self.shared), Arc::clone(bound), sample));
            }
            let ended = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => {
                    // Dropped calls are not recorded; the samples stay pending.
                    running.shutdown().await;
                    return Ok(true);
                }
                ended = running.join_next() => ended,
            };
            match ended {
                None => return Ok(false),
                Some(Ok(event)) => self.observer.notice(event?),
                // A host task that panics is a bug of ours; the sample stays pending and the run says so.
                Some(Err(error)) => {
                    return Err(RunError::Plan(format!("a sample's task ended unexpectedly: {error}")));
                }
            }
        }
    }
}

/// Runs one sample to its end, or to where the run file fails.
async fn run_sample(shared: Arc<Shared>, bound: Arc<Bound>, sample: Sample) -> Result<Event, JournalError> {
    let state = Arc::new(SampleState::of(&sample, &shared.journal)?);
    let Sample { key, task, id, row, .. } = sample;
    let ending = match row {
        Ok(row) => outcome_of(&shared, &state, &bound, &row).await,
        Err(reason) => Ending::Failed(reason),
    };
    if let Some(error) = shared.take_fatal() {
        return Err(error);
    }
    let failure = match &ending {
        Ending::Failed(reason) => Some(reason.clone()),
        Ending::Outcome(_) | Ending::Diagnosis(_) | Ending::Treatment(_) => None,
    };
    shared.journal.finish(key, ending, state.take_logs()).await?;
    Ok(Event::Sample { task, id, failure, usage: shared.usage() })
}

/// What the plugin says of a sample; a diagnostic's or a treatment's one sample is all its datasets.
pub(crate) async fn outcome_of(
    shared: &Arc<Shared>,
    state: &Arc<SampleState>,
    bound: &Arc<Bound>,
    row: &str,
) -> Ending {
    let world = bound.plugin.world();
    let (parameters, seed) = (&bound.parameters, state.seed);
    let ending = if matches!(world, World::Diagnostic | World::Treatment) {
        let datasets = match samples::datasets(row) {
            Ok(datasets) => datasets,
            Err(error) => return Ending::Failed(format!("the sample holds no datasets: {error}")),
        };
        if world == World::Treatment {
            return treatment::derive(shared, state, bound, &datasets).await;
        }
        let invocation = Caller::invocation(shared, state, bound);
        bound.plugin.diagnose(invocation, &datasets, parameters, seed).await.map(Ending::Diagnosis)
    } else {
        let invocation = Caller::invocation(shared, state, bound);
        bound.plugin.run(invocation, row, parameters, seed).await.map(Ending::Outcome)
    };
    ending.unwrap_or_else(|error| Ending::Failed(error.to_string()))
}

fn counts<'a>(
    journal: &RunFile,
    tasks: impl Iterator<Item = &'a String>,
) -> Result<Vec<(String, Counts)>, JournalError> {
    tasks.map(|task| Ok((task.clone(), journal.counts(task)?))).collect()
}

/// Loading takes long, so a folder that cannot be written is found before.
fn check_writable(output: &Path) -> Result<(), RunError> {
    let refused =
        |reason| RunError::Plan(format!("the output {} cannot be written: {reason}", output.display()));
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    let mut trial = output.as_os_str().to_owned();
    trial.push("-trial");
    std::fs::write(&trial, "").and_then(|()| std::fs::remove_file(&trial)).map_err(refused)
}

/// The models, and those among them that are opened a second time for their gradients. `None` when stopped on the way.
fn open_models(
    plan: &Plan,
    observer: &dyn Observer,
    stop: &watch::Receiver<bool>,
) -> Result<Option<(Models, Models)>, RunError> {
    let (mut models, mut with_gradients) = (Models::new(), Models::new());
    plan.notices().into_iter().for_each(|text| observer.notice(Event::Notice { text }));
    for model in plan.models.iter().filter(|model| model.recorded.is_none()) {
        let name = &model.name;
        if *stop.borrow() {
            return Ok(None);
        }
        observer.notice(Event::Loading { model: name.clone() });
        models.insert(name.clone(), model.engine.open(&model.path, &model.options)?);
        if let Some(second) = model.second {
            if *stop.borrow() {
                return Ok(None);
            }
            with_gradients.insert(name.clone(), second.open(&model.path, &model.options)?);
        }
    }
    Ok(Some((models, with_gradients)))
}

fn create(plan: &Plan, models: &Models) -> Result<RunFile, RunError> {
    let mut files = Vec::new();
    let judges = plan.judges.iter().map(|judge| &judge.file);
    for file in plan.tasks.iter().map(|task| &task.file).chain(judges) {
        if !files.iter().any(|known: &&crate::plan::PluginFile| known.identity.digest == file.identity.digest)
        {
            files.push(file);
        }
    }
    let header = Header {
        sonde: env!("CARGO_PKG_VERSION").to_owned(),
        created: crate::host::now(),
        host: HostIdentity {
            triple: crate::host::triple().to_owned(),
            cpu: crate::host::cpu(),
            cores: crate::host::cores(),
        },
        reproducible: plan.config.reproducible,
        config: plan.config.resolved()?,
        config_path: plan.config_path.display().to_string(),
        plan: plan.digest,
        rejudged: plan.rejudged.clone(),
        models: plan
            .models
            .iter()
            .filter_map(|planned| {
                if planned.recorded.is_some() {
                    return planned.recorded.clone();
                }
                let model = models.get(&planned.name)?;
                Some(ModelIdentity {
                    role: planned.name.clone(),
                    path: planned.path.display().to_string(),
                    digest: planned.digest,
                    bytes: planned.bytes,
                    info: model.info().clone(),
                    engine: planned.engine.as_str().to_owned(),
                    engine_version: planned.engine.version().to_owned(),
                    gradients: planned.second.map(|second| second.version().to_owned()),
                    threads: model.options().threads.unwrap_or(0),
                    slots: model.options().slots.unwrap_or(0),
                    seed: plan.config.seed,
                })
            })
            .collect(),
        plugins: files.iter().map(|file| file.identity.clone()).collect(),
        judges: plan.judges.iter().map(|judge| judge.identity.clone()).collect(),
        tasks: plan.tasks.iter().map(|task| task.identity.clone()).collect(),
    };
    let plugins: Vec<_> = files.into_iter().map(|file| (file.identity.digest, file.bytes.clone())).collect();
    Ok(RunFile::create(&plan.output, &header, &plugins)?)
}

fn open_existing(plan: &Plan) -> Result<RunFile, RunError> {
    let journal = RunFile::open(&plan.output)?;
    if journal.header().plan == plan.digest {
        return Ok(journal);
    }
    let difference = difference(&journal.header().config, &plan.config.resolved()?)
        .unwrap_or_else(|| "a model, plugin or dataset file has other content".to_owned());
    Err(RunError::OtherRun { output: plan.output.clone(), difference })
}

/// The first place where two configs differ, in words.
fn difference(then: &serde_json::Value, now: &serde_json::Value) -> Option<String> {
    let mut open = VecDeque::from([(String::new(), Some(then), Some(now))]);
    while let Some((path, then, now)) = open.pop_front() {
        match (then, now) {
            (Some(serde_json::Value::Object(a)), Some(serde_json::Value::Object(b))) => {
                let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
                open.extend(keys.map(|key| (format!("{path}.{key}"), a.get(key), b.get(key))));
            }
            (Some(serde_json::Value::Array(a)), Some(serde_json::Value::Array(b))) => {
                let places = 0..a.len().max(b.len());
                open.extend(places.map(|place| (format!("{path}.{place}"), a.get(place), b.get(place))));
            }
            (then, now) if then == now => {}
            (then, now) => {
                let shown = |value: Option<&serde_json::Value>| {
                    value.map_or("nothing".to_owned(), ToString::to_string)
                };
                let path = path.trim_start_matches('.');
                if path == "output" {
                    continue;
                }
                return Some(format!("`{path}` was {} and is {}", shown(then), shown(now)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_of_two_configs_is_named() {
        let then = json!({"seed": 0, "tasks": [{"limit": 10}], "output": "a"});
        let now = json!({"seed": 0, "tasks": [{"limit": 20}], "output": "b"});
        assert_eq!(difference(&then, &now).unwrap(), "`tasks.0.limit` was 10 and is 20");
        assert_eq!(difference(&then, &then), None);
    }
}
