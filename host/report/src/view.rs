//! What a report shows, as plain data.
//!
//! `read` fills these from a run file; every renderer takes them and nothing else, so a renderer never touches SQLite
//! and a test builds what it likes.

use serde::Serialize;
use serde_json::Value;
use sonde_contract::{ModelInfo, Outcome, Status};

use crate::placement::Placement;
use crate::risks::RiskRow;
use crate::statistics::TaskResult;
use crate::suites::SuiteView;
use crate::treated::TreatedView;

/// A run.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    /// The run file, as the user would name it to `sonde show`.
    pub path: String,
    /// Version of Sonde that made it.
    pub sonde: String,
    /// When it began, for people.
    pub created: String,
    /// Whether every sample ended and every task has a result.
    pub finished: bool,
    /// Whether tokens were decoded one sequence at a time with fixed threads.
    pub reproducible: bool,
    /// Target triple of the host.
    pub triple: String,
    /// Name of its processor.
    pub cpu: String,
    /// Cores it has.
    pub cores: u64,
    /// The config file's path.
    pub config_path: String,
    /// The config as it was resolved.
    pub config: String,
    /// Digest of the plan.
    pub plan: String,
    /// Models by role.
    pub models: Vec<ModelView>,
    /// Plugins, benchmarks and judges alike.
    pub plugins: Vec<PluginView>,
    /// Judges by name.
    pub judges: Vec<JudgeView>,
    /// Tasks, in the order of the config.
    pub tasks: Vec<TaskView>,
    /// What the run did with a treatment of its own.
    pub treated: Option<TreatedView>,
    /// The suites that the config names.
    pub suites: Vec<SuiteView>,
    /// What all tasks together say of each risk.
    pub risks: Vec<RiskRow>,
    /// Where requests lie in the model, beside what it did with them; empty without a diagnostic that says so.
    pub placements: Vec<Placement>,
    /// Calls, tokens and seconds.
    pub bill: Vec<BillLine>,
    /// The run whose replies were judged again, if this is such a run.
    pub rejudged: Option<SourceView>,
    /// What answers of earlier runs saved, by model and run.
    pub savings: Vec<SavingView>,
}

/// An earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceView {
    /// Its file.
    pub path: String,
    /// Its seal: SHA-256 of the file.
    pub seal: String,
}

/// What answers of one earlier run saved in the place of one model's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SavingView {
    /// The config's name of the model that was not asked.
    pub model: String,
    /// The earlier run.
    pub source: SourceView,
    /// Calls.
    pub calls: u64,
    /// Tokens that were not read.
    pub prompt_tokens: u64,
    /// Tokens that were not written.
    pub completion_tokens: u64,
    /// Seconds that the answers took then.
    pub seconds: f64,
}

/// A model under its role.
#[derive(Clone, Debug)]
pub struct ModelView {
    /// For example `target`.
    pub role: String,
    /// Its file.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Size of the file.
    pub bytes: u64,
    /// What it is.
    pub info: ModelInfo,
    /// Engine and its version; the second one too, where it has one for gradients.
    pub engine: String,
    /// Threads it computed with.
    pub threads: u64,
    /// Sequences it decoded together.
    pub slots: u64,
    /// Seed of its sampling.
    pub seed: u64,
}

/// A plugin.
#[derive(Clone, Debug, Default)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// For people.
    pub title: String,
    /// What it measures and what not.
    pub summary: String,
    /// The publication it follows.
    pub citation: String,
    /// SPDX expression.
    pub licence: String,
    /// SHA-256 of its component.
    pub digest: String,
    /// Where it came from.
    pub path: String,
    /// The world it implements.
    pub world: String,
    /// What it could do: the interfaces it imports, all of them granted.
    pub imports: Vec<String>,
    /// Size of the component.
    pub bytes: u64,
}

/// A judge: a plugin bound to a model.
#[derive(Clone, Debug, Default)]
pub struct JudgeView {
    /// Its name in the config.
    pub name: String,
    /// The plugin's name.
    pub plugin: String,
    /// The role of its model.
    pub model: Option<String>,
    /// Its parameters, as JSON.
    pub parameters: String,
    /// How well it agrees with labels, in words, where that is known.
    pub quality: Option<String>,
}

/// A task.
#[derive(Clone, Debug, Default)]
pub struct TaskView {
    /// Its name in the config.
    pub name: String,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's title.
    pub title: String,
    /// What it measures and what not.
    pub about: String,
    /// The publication it follows.
    pub citation: String,
    /// The dataset's path; a diagnostic's datasets, each with its name before it.
    pub dataset: String,
    /// SHA-256 of the dataset or datasets.
    pub dataset_digest: String,
    /// The plugin's name for a model, the run's role.
    pub models: Vec<(String, String)>,
    /// The plugin's name for a judge, the run's name.
    pub judges: Vec<(String, String)>,
    /// Parameters, as JSON.
    pub parameters: String,
    /// Sampling settings, as JSON.
    pub sampling: String,
    /// What the config grants the plugin.
    pub grants: Vec<String>,
    /// The plugin's limits, as JSON.
    pub limits: String,
    /// Rows taken at most.
    pub limit: Option<u64>,
    /// Whether the rows were shuffled, by the seed.
    pub shuffle: bool,
    /// Its seed.
    pub seed: u64,
    /// How its samples ended.
    pub counts: Counts,
    /// What it came to; `None` while samples are pending.
    pub result: Option<TaskResult>,
    /// The samples read, in the order in which to show them; see [`crate::Depth`].
    pub samples: Vec<SampleView>,
}

/// How the samples of a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Planned.
    pub total: u64,
    /// Measured.
    pub scored: u64,
    /// Ended with a reply or a verdict that could not be read.
    pub unparsable: u64,
    /// Left out by the protocol.
    pub skipped: u64,
    /// Failed.
    pub failed: u64,
}

impl Counts {
    /// Samples that ended with an outcome and were not left out, the unparsable ones among them.
    pub fn done(&self) -> u64 {
        self.scored.saturating_add(self.unparsable)
    }

    /// Samples without an ending.
    pub fn pending(&self) -> u64 {
        self.total.saturating_sub(self.done()).saturating_sub(self.skipped).saturating_sub(self.failed)
    }
}

/// A sample.
#[derive(Clone, Debug, Default)]
pub struct SampleView {
    /// Its id, as `sonde show --sample` takes it.
    pub id: String,
    /// Its place in the dataset, from 1.
    pub ordinal: u64,
    /// Where the row stands, for example `prompts.csv line 18`.
    pub origin: String,
    /// The row that the plugin got, as JSON; empty if it could not be read.
    pub row: String,
    /// How it ended; `None` while it is pending.
    pub ending: Option<Ending>,
    /// What it asked of the host, in order.
    pub calls: Vec<CallView>,
    /// What its plugins logged.
    pub logs: Vec<LogLine>,
}

/// How a sample ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The plugin said what became of it.
    Outcome(Outcome),
    /// It was a diagnostic's whole work, which came to the task's result.
    Diagnosed {
        /// Rows of which the diagnostic said something.
        findings: u64,
    },
    /// It was a treatment's whole work.
    Treated {
        /// What was derived, in words.
        told: String,
        /// Names of the texts that came about.
        documents: Vec<String>,
    },
    /// It failed, for this reason.
    Failed(String),
}

/// What a reader wants to know first of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Measured, and it did not go as one would wish.
    NotGood,
    /// Failed.
    Failed,
    /// A reply or verdict could not be read.
    Unparsable,
    /// Measured, and the question of good or not makes no sense.
    Scored,
    /// Measured, and as one would wish.
    Good,
    /// Left out by the protocol.
    Skipped,
    /// Not ended.
    Pending,
}

impl Standing {
    /// In a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotGood => "not good",
            Self::Failed => "failed",
            Self::Unparsable => "unparsable",
            Self::Scored => "scored",
            Self::Good => "good",
            Self::Skipped => "skipped",
            Self::Pending => "pending",
        }
    }
}

impl Ending {
    /// What to tell first.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Failed(_) => Standing::Failed,
            Self::Diagnosed { .. } | Self::Treated { .. } => Standing::Scored,
            Self::Outcome(outcome) => match (&outcome.status, outcome.good) {
                (Status::Unparsable(_), _) => Standing::Unparsable,
                (Status::Skipped(_), _) => Standing::Skipped,
                (Status::Scored, Some(false)) => Standing::NotGood,
                (Status::Scored, Some(true)) => Standing::Good,
                (Status::Scored, None) => Standing::Scored,
            },
        }
    }

    /// Why it failed, could not be read or was left out.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Outcome(outcome) => match &outcome.status {
                Status::Unparsable(reason) | Status::Skipped(reason) => Some(reason),
                Status::Scored => None,
            },
            Self::Diagnosed { .. } | Self::Treated { .. } => None,
        }
    }
}

impl SampleView {
    /// What to tell first.
    pub fn standing(&self) -> Standing {
        self.ending.as_ref().map_or(Standing::Pending, Ending::standing)
    }
}

/// A host call and, for a judgement, the calls that the judge made for it.
#[derive(Clone, Debug, Default)]
pub struct CallView {
    /// Its place in the sample: "3" is the fourth call, "3.0" the first one made by the judge that call 3 asked.
    pub path: String,
    /// What was asked: `generate`, `score`, `assess`, ….
    pub kind: String,
    /// Who asked, with version.
    pub plugin: String,
    /// The config's name of the model or judge that answered; empty if there is none.
    pub model: String,
    /// The request.
    pub request: Value,
    /// The answer.
    pub answer: Value,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// How long the answer took.
    pub micros: u64,
    /// The file of the earlier run that the answer comes from; `None` for one that was computed.
    pub reused: Option<String>,
    /// Calls that the judge made.
    pub inner: Vec<CallView>,
}

/// A line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What was written.
    pub text: String,
    /// Who wrote it, with version.
    pub plugin: String,
}

/// A line of the bill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BillLine {
    /// The task.
    pub task: String,
    /// Who asked, with version.
    pub plugin: String,
    /// The config's name of the model that answered; empty if none did.
    pub model: String,
    /// What was asked.
    pub kind: String,
    /// Calls.
    pub calls: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Seconds waited.
    pub seconds: f64,
}
