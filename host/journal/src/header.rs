//! What identifies a run. Its JSON is stored once, and the JSON's digest is the genesis of the chain, so no identity
//! can change under a run's entries. Field names are part of the run file's format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sonde_contract::{About, Digest, ModelInfo, Safety, Sampling};

/// Everything that identifies a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of Sonde that began the run.
    pub sonde: String,
    /// When it began, RFC 3339 in UTC.
    pub created: String,
    /// The machine.
    pub host: HostIdentity,
    /// Whether sequences were decoded one at a time with fixed threads.
    pub reproducible: bool,
    /// The config, resolved: defaults filled in, overrides applied, no secrets.
    pub config: Value,
    /// Where the config was read from.
    pub config_path: String,
    /// Identifies the plan: a run file with the same one can be gone on with.
    pub plan: Digest,
    /// The run whose replies were judged again, if this is such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejudged: Option<Origin>,
    /// The models.
    pub models: Vec<ModelIdentity>,
    /// The plugins; their bytes are in the file too.
    pub plugins: Vec<PluginIdentity>,
    /// The judges.
    pub judges: Vec<JudgeIdentity>,
    /// The tasks, in the config's order.
    pub tasks: Vec<TaskIdentity>,
}

/// An earlier run that this one rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its file.
    pub path: String,
    /// Its seal: SHA-256 of the file.
    pub seal: Digest,
}

/// The machine a run was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// Target triple, for example `x86_64-unknown-linux-gnu`.
    pub triple: String,
    /// The processor's own name.
    pub cpu: String,
    /// Logical cores.
    pub cores: u32,
}

/// A model, as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Its name in the config.
    pub role: String,
    /// The file, or the folder.
    pub path: String,
    /// SHA-256 of the file; of a folder, over its files' names and digests.
    pub digest: Digest,
    /// Size of the file, or of the folder's files together.
    pub bytes: u64,
    /// What the file says of itself.
    pub info: ModelInfo,
    /// The engine that executes it.
    pub engine: String,
    /// The engine's version.
    pub engine_version: String,
    /// Name and version of the second engine, if one was opened on the same file for its gradients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradients: Option<String>,
    /// Threads the engine computes with.
    pub threads: u32,
    /// Sequences decoded together.
    pub slots: u32,
    /// Seed of the engine.
    pub seed: u64,
}

/// A plugin, as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Where it was read from.
    pub path: String,
    /// Its world, for example `benchmark`.
    pub world: String,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// Size of the component.
    pub bytes: u64,
    /// Its description of itself.
    pub about: About,
}

/// A judge: a plugin bound to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeIdentity {
    /// Its name in the config.
    pub name: String,
    /// The plugin.
    pub plugin: Digest,
    /// The config's name of its model.
    pub model: Option<String>,
    /// The plugin's judge slot: the config's judge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judges: BTreeMap<String, String>,
    /// Its parameters.
    pub parameters: Value,
    /// How its model chooses tokens.
    pub sampling: Sampling,
    /// What the config grants the plugin.
    pub grants: Vec<String>,
    /// The plugin's limits.
    pub limits: Value,
    /// How well it agrees with labels, where the config names a run that measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<JudgeQuality>,
}

/// A judge's agreement with labelled exchanges, measured by another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeQuality {
    /// That run's file.
    pub path: String,
    /// Its seal: SHA-256 of the file.
    pub seal: Digest,
    /// With controversial as unsafe.
    pub strict: Agreement,
    /// With controversial as safe.
    pub loose: Agreement,
}

/// How often a judge agrees with labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Harmful replies that it called so.
    pub sensitivity: Share,
    /// Harmless replies that it called so.
    pub specificity: Share,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub n: u64,
}

/// A task: a benchmark run over a dataset, or a diagnostic over some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskIdentity {
    /// Its name in the config; unique in a run.
    pub name: String,
    /// The plugin.
    pub plugin: Digest,
    /// The rows of a benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetIdentity>,
    /// The datasets of a diagnostic, by its names for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub datasets: BTreeMap<String, DatasetIdentity>,
    /// The plugin's model slot: the config's model.
    pub models: BTreeMap<String, String>,
    /// The plugin's judge slot: the config's judge.
    pub judges: BTreeMap<String, String>,
    /// The streaming judge that guards replies, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardIdentity>,
    /// The treatment that one of its models has, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<TreatmentUse>,
    /// Its parameters.
    pub parameters: Value,
    /// The plugin's model slot: how that model chooses tokens.
    pub sampling: BTreeMap<String, Sampling>,
    /// At most this many rows, of each dataset.
    pub limit: Option<u64>,
    /// Whether those rows are drawn with the seed instead of taken from the front.
    pub shuffle: bool,
    /// Seed of the task.
    pub seed: u64,
    /// What the config grants the plugin.
    pub grants: Vec<String>,
    /// The plugin's limits.
    pub limits: Value,
}

/// A streaming judge on guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardIdentity {
    /// The config's name of the judge.
    pub judge: String,
    /// The level from which on a token is flagged.
    pub stop: Safety,
    /// Flagged tokens one after another that end a reply.
    pub consecutive: u32,
    /// The plugin's model slot whose replies are guarded.
    pub role: String,
}

/// A treatment in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreatmentUse {
    /// Where it comes from.
    #[serde(flatten)]
    pub source: TreatmentSource,
    /// What it is multiplied by; 0 is the model as it is.
    pub strength: f64,
    /// The plugin's model slot that has it.
    pub role: String,
}

/// Where a treatment comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum TreatmentSource {
    /// A file.
    File {
        /// The file.
        path: String,
        /// Of the JSON of what changes.
        digest: Digest,
    },
    /// A task of the same run.
    Task {
        /// Its name.
        task: String,
    },
}

impl TaskIdentity {
    /// Every dataset of the task: a benchmark's one, or a diagnostic's in the order of their names.
    pub fn sources(&self) -> impl Iterator<Item = &DatasetIdentity> {
        self.dataset.iter().chain(self.datasets.values())
    }
}

/// A dataset, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetIdentity {
    /// The file.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// For example `csv`.
    pub format: String,
    /// The plugin's column: the file's column.
    pub columns: BTreeMap<String, String>,
    /// Where in a JSON file the list of rows is.
    pub records: Option<String>,
}
