//! What callers share: the run's journal, models and judges, a plugin's bindings, and what is on record of a sample.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use sonde_contract::{HostError, ModelInfo, Sampling};
use sonde_engine::{Model, Usage};
use sonde_journal::{
    CallPath, Entry, GuardIdentity, JournalError, LogLine, RunFile, Sample, SampleKey, TreatmentUse,
};
use sonde_runtime::{Grants, Limits, Plugin};

use super::lock;
use crate::progress::Observer;
use crate::reuse::Reusing;
use crate::treatment::Treatments;

/// A plugin bound to what a run gives it.
pub(crate) struct Bound {
    pub plugin: Plugin,
    pub bindings: Arc<Bindings>,
    /// JSON.
    pub parameters: String,
    pub grants: Grants,
    pub limits: Limits,
}

/// What the plugin's own names stand for in a run.
#[derive(Clone)]
pub(crate) struct Bindings {
    /// `name version` of the plugin, as the journal and the bill show it.
    pub title: String,
    /// The plugin's slot: the config's model.
    pub models: BTreeMap<String, String>,
    /// The plugin's slot: how that model chooses tokens.
    pub sampling: BTreeMap<String, Sampling>,
    /// The plugin's slot: the config's judge.
    pub judges: BTreeMap<String, String>,
    /// Who guards the replies of one of its models.
    pub guard: Option<GuardIdentity>,
    /// What one of its models is treated with.
    pub treatment: Option<TreatmentUse>,
    /// Whether it may ask models what no earlier run has an answer to.
    pub asks: bool,
}

/// Open models, by their names in the config.
pub(crate) type Models = BTreeMap<String, Arc<dyn Model>>;

/// What all samples of a run share.
pub(crate) struct Shared {
    pub journal: RunFile,
    /// Open models; empty in a replay.
    pub models: Models,
    /// The same models opened a second time, by an engine that has gradients, where the first has none.
    pub with_gradients: Models,
    pub infos: BTreeMap<String, ModelInfo>,
    pub judges: BTreeMap<String, Arc<Bound>>,
    pub treatments: Treatments,
    pub replay: bool,
    /// Earlier runs that are asked before the models.
    pub reuse: Option<Reusing>,
    pub observer: Arc<dyn Observer>,
    pub(super) fatal: Mutex<Option<JournalError>>,
}

impl Shared {
    pub(crate) fn new(
        journal: RunFile,
        models: Models,
        with_gradients: Models,
        judges: BTreeMap<String, Arc<Bound>>,
        replay: bool,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let infos =
            journal.header().models.iter().map(|model| (model.role.clone(), model.info.clone())).collect();
        Self {
            journal,
            models,
            with_gradients,
            infos,
            judges,
            treatments: Treatments::default(),
            replay,
            reuse: None,
            observer,
            fatal: Mutex::new(None),
        }
    }

    /// The same, with earlier runs that are asked before the models, and the treatments that tasks name.
    pub(crate) fn with(self, reuse: Option<Reusing>, treatments: Treatments) -> Self {
        Self { reuse, treatments, ..self }
    }

    /// Tokens computed by all models so far.
    pub(crate) fn usage(&self) -> Usage {
        self.models.values().chain(self.with_gradients.values()).map(|model| model.usage()).fold(
            Usage::default(),
            |sum, one| Usage {
                prompt_tokens: sum.prompt_tokens + one.prompt_tokens,
                reused_tokens: sum.reused_tokens + one.reused_tokens,
                generated_tokens: sum.generated_tokens + one.generated_tokens,
            },
        )
    }

    /// The run file's failure that makes going on pointless, if there was one.
    pub(crate) fn take_fatal(&self) -> Option<JournalError> {
        lock(&self.fatal).take()
    }
}

/// What one sample's plugins share: what was recorded of it, and what they say.
pub(crate) struct SampleState {
    pub key: SampleKey,
    pub id: String,
    pub seed: u64,
    pub(super) recorded: Mutex<HashMap<CallPath, Entry>>,
    pub(super) logs: Mutex<Vec<LogLine>>,
    differences: Mutex<Vec<String>>,
}

impl SampleState {
    pub(crate) fn new(key: SampleKey, id: String, seed: u64, recorded: Vec<Entry>) -> Self {
        let recorded = recorded.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        Self {
            key,
            id,
            seed,
            recorded: Mutex::new(recorded),
            logs: Mutex::default(),
            differences: Mutex::default(),
        }
    }

    /// A sample with what is on record of it.
    pub(crate) fn of(sample: &Sample, journal: &RunFile) -> Result<Self, JournalError> {
        Ok(Self::new(sample.key, sample.id.clone(), sample.seed, journal.recorded(sample.key)?))
    }

    pub(crate) fn take_logs(&self) -> Vec<LogLine> {
        std::mem::take(&mut lock(&self.logs))
    }

    /// What a replay found to differ; recorded calls that were not asked for again are among it.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut found = lock(&self.differences).clone();
        let mut left: Vec<_> = lock(&self.recorded).keys().cloned().collect();
        left.sort();
        found.extend(left.into_iter().map(|path| format!("call {path} is recorded and was not made again")));
        found
    }

    pub(super) fn differ(&self, what: String) -> HostError {
        lock(&self.differences).push(what.clone());
        HostError::Engine(format!("the replay differs from the record: {what}"))
    }
}
