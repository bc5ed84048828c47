//! The keys of a config: what a user may write, with its meaning, range and default.
//!
//! Each struct is one mapping of the YAML file. `super::load` reads them, `super::reference` prints them.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sonde_contract::{Digest, Sampling};

use super::described::{Described, Group, Key, Kind, config_group};

config_group! {
    /// A run: which models answer, who judges, what is measured, and where the result goes.
    pub struct Config {
        /// The models, by the name under which tasks and judges refer to them.
        #[serde(default)]
        pub models: IndexMap<String, ModelConfig> = "none",
        /// The judges, by the name under which tasks refer to them.
        #[serde(default)]
        pub judges: IndexMap<String, JudgeConfig> = "none",
        /// What is measured, in this order; at least one.
        pub tasks: Vec<TaskConfig> = "required",
        /// Tasks that belong together, by a name of your choice: the report gives their mean and their worst group.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        pub suites: IndexMap<String, SuiteConfig> = "none",
        /// A treatment to derive and to measure the tasks with, before and after: `sonde treat` does so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub treat: Option<TreatConfig> = "none",
        /// The run file to write. If it holds an unfinished run of this same config, that run goes on.
        pub output: PathBuf = "required",
        /// Whether the same config gives the same tokens whatever the number of slots and the order of requests.
        /// Slower: sequences are decoded one at a time with a fixed number of threads.
        #[serde(default)]
        pub reproducible: bool = "false",
        /// The seed that every task without one of its own uses.
        #[serde(default)]
        pub seed: u64 = "0",
    }
}

config_group! {
    /// A model and how to load it.
    pub struct ModelConfig {
        /// The GGUF file, or the folder of a Hugging Face model (`config.json`, `*.safetensors`).
        pub path: PathBuf = "required",
        /// What executes the model. `auto` takes llama for a GGUF file and candle for a folder, and opens a GGUF file a
        /// second time with candle where a task needs gradients, which llama has not.
        #[serde(default)]
        pub engine: Engine = "auto",
        /// Tokens that one sequence, prompt and reply together, has room for; at least 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub context: Option<u32> = "the model's own, at most 4096",
        /// Sequences decoded at the same time, 1 to 64. More is faster and takes more memory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slots: Option<u32> = "chosen from cores and memory",
        /// CPU threads, 1 to 1024.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub threads: Option<u32> = "the number of physical cores",
        /// Transformer blocks kept on the GPU, counted from the last; a number above the model's own means all.
        /// Needs a build with a GPU back end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub gpu_layers: Option<u32> = "all in a build with a GPU back end, else 0",
        /// `exact` keeps the KV cache in 32-bit floats and turns flash attention off: activations then agree with a
        /// reference implementation to seven digits. `fast` is what llama.cpp does by itself.
        #[serde(default)]
        pub precision: Precision = "fast",
        /// Refuse to run unless the file has this SHA-256. That of a folder is taken over its files' names and digests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub digest: Option<Digest> = "any file is accepted",
        /// How this model chooses tokens, where neither task nor judge says otherwise.
        #[serde(default)]
        pub sampling: SamplingConfig = "greedy",
    }
}

config_group! {
    /// A judge: a plugin that reads replies, bound to the model it asks, if it asks one.
    pub struct JudgeConfig {
        /// A name among the built-in plugins, or the path of a `.wasm` file.
        pub plugin: String = "required",
        /// Refuse to run unless the plugin has this SHA-256.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub digest: Option<Digest> = "any plugin is accepted",
        /// The model that the judge asks: a name under `models`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub model: Option<String> = "none",
        /// The judges that this judge asks, if it asks any: the plugin's name for each, then a name under `judges`. Those
        /// ask no further ones.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        pub judges: IndexMap<String, String> = "{}",
        /// What the plugin is told. Its keys are the plugin's own: see `sonde plugin inspect`.
        #[serde(default)]
        pub parameters: Map<String, Value> = "{}",
        /// How the judge's model chooses tokens; overrides the model's own settings.
        #[serde(default)]
        pub sampling: SamplingConfig = "the model's",
        /// The plugin's limits, where they differ from the defaults, for example `compute_seconds: 60`.
        #[serde(default)]
        pub limits: Map<String, Value> = "{}",
        /// What the plugin may ask of the host: `generation` (its model), `judging` (its judges), `activations` and
        /// `weights` (its model's), `reply-stream` (replies as they come about), `log`. An empty list grants nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub grants: Option<Vec<String>> = "all of them",
        /// The run file of `sonde judge-quality` that measured this judge: shares that it counts are then shown corrected
        /// for its errors too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub quality: Option<PathBuf> = "not corrected",
    }
}

config_group! {
    /// A task: a benchmark over one dataset, once per row, or a diagnostic or treatment over datasets by name, once.
    #[derive(Default)]
    pub struct TaskConfig {
        /// Names the task in results; unlike any other task's.
        #[serde(default)]
        pub name: String = "required, unless `suite` is given",
        /// A name among the built-in plugins, or the path of a `.wasm` file.
        #[serde(default)]
        pub plugin: String = "required, unless `suite` is given",
        /// Another config file, all of whose tasks are taken over in this place; with `limit`, `shuffle` and `seed`, which
        /// then hold for each of them, and no other key. Models and judges of that file are taken over where this one
        /// has none of the same name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub suite: Option<PathBuf> = "none",
        /// Refuse to run unless the plugin has this SHA-256.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub digest: Option<Digest> = "any plugin is accepted",
        /// Which model plays which role: the plugin's name for the role, then a name under `models`.
        #[serde(default)]
        pub models: IndexMap<String, String> = "{}",
        /// Which judge stands where: the plugin's name for it, then a name under `judges`.
        #[serde(default)]
        pub judges: IndexMap<String, String> = "{}",
        /// The rows of a benchmark; each is one sample. A diagnostic that reads only one dataset may have it here too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dataset: Option<DatasetConfig> = "none",
        /// The datasets of a diagnostic or a treatment, by its name for each; `sonde plugin inspect` lists them.
        #[serde(default)]
        pub datasets: IndexMap<String, DatasetConfig> = "{}",
        /// What the plugin is told. Its keys are the plugin's own: see `sonde plugin inspect`.
        #[serde(default)]
        pub parameters: Map<String, Value> = "{}",
        /// How models choose tokens in this task; overrides the models' own settings.
        #[serde(default)]
        pub sampling: SamplingConfig = "the model's",
        /// A streaming judge that reads the target's replies as they come about and ends them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub guard: Option<GuardConfig> = "none",
        /// A treatment that one of the task's models has: a `.sonde-treatment` file that was derived from the same model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub treatment: Option<PathBuf> = "none",
        /// What the treatment is multiplied by, 0 or more; 0 leaves the model as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub strength: Option<f64> = "1",
        /// The plugin's name for the model that has the treatment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub treated: Option<String> = "target",
        /// At most this many rows of `dataset`, or of each of `datasets`; at least 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u64> = "all rows",
        /// Whether `limit` draws rows at random with the seed instead of taking the first ones. The drawn rows keep
        /// the file's order, and a larger limit draws the same rows and more.
        #[serde(default)]
        pub shuffle: bool = "false",
        /// The seed of `shuffle` and of sampling.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub seed: Option<u64> = "the run's seed",
        /// What the plugin may ask of the host: `generation` (its models), `judging` (its judges), `log`; a diagnostic
        /// also `activations` (the models' states), `weights` and `gradients`; a treatment `activations`, `weights` and
        /// `training`. An empty list grants nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub grants: Option<Vec<String>> = "all that its world has, but for a diagnostic's weights and gradients",
        /// The plugin's limits, where they differ from the defaults, for example `compute_seconds: 60`.
        #[serde(default)]
        pub limits: Map<String, Value> = "{}",
    }
}

config_group! {
    /// A treatment between two measurements.
    pub struct TreatConfig {
        /// The plugin that derives it, with what it needs: the keys of a task. Its `name` is the plugin's unless it has one.
        pub derive: TaskConfig = "required",
        /// What the treatment is multiplied by when the tasks are measured again, 0 or more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub strength: Option<f64> = "1",
        /// Where the treatment is written. One that audits robustness is never written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub file: Option<PathBuf> = "the output, with the extension sonde-treatment",
    }
}

config_group! {
    /// A streaming judge on guard over replies.
    pub struct GuardConfig {
        /// A name under `judges`, of a judge that streams: see `sonde plugin inspect`.
        pub judge: String = "required",
        /// From which level on a token counts as flagged.
        #[serde(default)]
        pub stop: GuardLevel = "unsafe",
        /// How many flagged tokens one after another end the reply, at least 1.
        #[serde(default = "two")]
        pub consecutive: u32 = "2",
        /// The plugin's name for the model whose replies are guarded.
        #[serde(default = "target")]
        pub role: String = "target",
    }
}

fn two() -> u32 {
    2
}

fn target() -> String {
    "target".to_owned()
}

config_group! {
    /// Tasks that belong together.
    #[derive(Default)]
    pub struct SuiteConfig {
        /// What the report calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub title: Option<String> = "its name",
        /// What it is about, in a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub about: Option<String> = "nothing",
        /// The names of its tasks.
        #[serde(default)]
        pub tasks: Vec<String> = "all tasks of the file",
    }
}

config_group! {
    /// A file of rows.
    #[derive(Default)]
    pub struct DatasetConfig {
        /// The file. Text formats may be compressed with gzip.
        pub path: PathBuf = "required",
        /// How the file is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub format: Option<Format> = "from the file's extension",
        /// Which column of the file feeds which column of the plugin: the plugin's name, then the file's.
        #[serde(default)]
        pub columns: IndexMap<String, String> = "columns of the plugin's own names or their published aliases",
        /// Where the list of rows stands inside a JSON object: keys joined by dots, for example `data.items`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub records: Option<String> = "the object's one list of objects",
        /// The one character between fields of a CSV or TSV file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub delimiter: Option<String> = "a comma for csv, a tab for tsv",
    }
}

config_group! {
    /// How to choose tokens. What is left out comes from the next place: judge or task, then model, then greedy.
    #[derive(Default)]
    pub struct SamplingConfig {
        /// Most tokens to generate per reply, at least 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_tokens: Option<u32> = "256",
        /// Spread of the choice, 0 or more; 0 always takes the likeliest token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub temperature: Option<f64> = "0",
        /// Keep the likeliest tokens that together reach this probability, above 0 and at most 1; 1 keeps all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub top_p: Option<f64> = "1",
        /// Keep this many likeliest tokens; 0 keeps all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub top_k: Option<u32> = "0",
        /// Drop tokens less likely than this share of the likeliest one, 0 to 1; 0 drops none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub min_p: Option<f64> = "0",
        /// Penalty on tokens among the last 64, above 0; 1 changes nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub repetition_penalty: Option<f64> = "1",
        /// One seed for every request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub seed: Option<u64> = "derived from the task's seed and the sample",
        /// Texts that end a reply and are not part of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub stop: Option<Vec<String>> = "[]",
        /// Asks chat templates that know the switch to think, or not to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thinking: Option<bool> = "what the template does",
    }
}

/// What executes a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// llama for a GGUF file, candle for a folder, and candle beside llama for gradients.
    #[default]
    Auto,
    /// llama.cpp.
    Llama,
    /// candle.
    Candle,
}

impl Described for Engine {
    const KIND: Kind = Kind::Choice(&["auto", "llama", "candle"]);
}

/// From which level on a token counts as flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardLevel {
    /// Unsafe only.
    #[default]
    Unsafe,
    /// Controversial or unsafe.
    Controversial,
}

impl Described for GuardLevel {
    const KIND: Kind = Kind::Choice(&["unsafe", "controversial"]);
}

/// How exactly a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As llama.cpp does by itself.
    #[default]
    Fast,
    /// 32-bit KV cache, no flash attention.
    Exact,
}

impl Described for Precision {
    const KIND: Kind = Kind::Choice(&["fast", "exact"]);
}

/// How a dataset file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A list of objects, an object with one such list, or JSON lines.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated, with a header.
    Csv,
    /// Tab-separated, with a header.
    Tsv,
    /// One prompt per line; the column is `text`.
    Txt,
    /// Apache Parquet.
    Parquet,
}

impl Described for Format {
    const KIND: Kind = Kind::Choice(&["json", "jsonl", "csv", "tsv", "txt", "parquet"]);
}

impl Config {
    /// The seed of a task: its own, or the run's.
    pub fn seed_of(&self, task: &TaskConfig) -> u64 {
        task.seed.unwrap_or(self.seed)
    }

    /// The whole config as JSON, defaults written out, for the run file.
    ///
    /// # Errors
    /// When a value has no JSON form, which no config read from a file has.
    pub fn resolved(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

impl SamplingConfig {
    /// `base` with every setting made here in its place.
    pub fn over(&self, base: Sampling) -> Sampling {
        Sampling {
            max_tokens: self.max_tokens.unwrap_or(base.max_tokens),
            temperature: self.temperature.map_or(base.temperature, |value| value as f32),
            top_p: self.top_p.map_or(base.top_p, |value| value as f32),
            top_k: self.top_k.unwrap_or(base.top_k),
            min_p: self.min_p.map_or(base.min_p, |value| value as f32),
            repetition_penalty: self.repetition_penalty.map_or(base.repetition_penalty, |value| value as f32),
            seed: self.seed.or(base.seed),
            stop: self.stop.clone().unwrap_or(base.stop),
            thinking: self.thinking.or(base.thinking),
            grammar: base.grammar,
            logprobs: base.logprobs,
        }
    }
}
