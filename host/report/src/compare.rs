//! Two or more runs beside each other: what a comparison came to, and its forms.
//!
//! The runner fills a [`Comparison`]: it can call the plugins, which alone know what a sample adds to a metric. Here it
//! becomes a text. Everything a model or a plugin wrote is escaped, as in the report of one run.

mod delimited;
mod markdown;
mod page;
mod table;
mod told;
pub(crate) mod words;

use serde::{Deserialize, Serialize};
use sonde_contract::Group;

use crate::placement;
use crate::printable::cut;
use crate::statistics::{Interval, MetricKind};
use crate::{Format, Look, ReportError};

pub(crate) use page::{Section, sections};
pub use told::{LEVEL, Told, adjust};

/// Characters of a request shown.
const REQUEST: usize = 120;

/// The key under which a run file keeps the comparison of before and after with its treatment's result.
pub const KEPT: &str = "before_and_after";

/// Runs beside a baseline.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// The run that the others are compared with.
    pub baseline: ComparedRun,
    /// The others.
    pub others: Vec<ComparedRun>,
    /// Whether rows of groups are among the tests.
    pub groups: bool,
    /// Tests that Holm's adjustment is over: every row of every table with a p value.
    pub tests: usize,
    /// What concerns the comparison as a whole.
    pub remarks: Vec<String>,
    /// A table per task and other run.
    pub tasks: Vec<ComparedTask>,
}

/// A run and its name in the tables.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ComparedRun {
    /// `A` for the baseline, then `B`, `C`, ….
    pub letter: String,
    /// The run file.
    pub path: String,
    /// When it began.
    pub created: String,
    /// Its models: role, name, quantisation and the first digits of the file's SHA-256.
    pub models: Vec<String>,
}

/// A task in the baseline and in another run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ComparedTask {
    /// The task's name in both runs.
    pub name: String,
    /// The plugin with its version.
    pub plugin: String,
    /// The letter of the other run.
    pub other: String,
    /// Samples of the same row with an outcome in both runs.
    pub pairs: u64,
    /// False for diagnostics, whose numbers stand beside each other without a test.
    pub paired: bool,
    /// What differs between the two besides the model, and which samples were left out.
    pub remarks: Vec<String>,
    /// The metrics.
    pub rows: Vec<Row>,
    /// Samples that went one way in the one run and the other way in the other.
    pub flips: Flips,
}

/// A metric in both runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub metric: String,
    /// What it is, with its denominator.
    pub about: String,
    /// The group it speaks of.
    pub group: Option<Group>,
    /// Share, mean or other number.
    pub kind: MetricKind,
    /// Which way is better.
    pub higher_is_better: Option<bool>,
    /// Whether the benchmark is known by it.
    pub headline: bool,
    /// Pairs that count towards it in both runs; of a diagnostic, the samples behind the smaller of its two numbers.
    pub n: u64,
    /// The baseline's number over these pairs.
    pub baseline: Option<f64>,
    /// The other run's.
    pub other: Option<f64>,
    /// The baseline's own 95 % interval, where the two only stand beside each other.
    pub baseline_interval: Option<Interval>,
    /// The other run's own.
    pub other_interval: Option<Interval>,
    /// The other less the baseline.
    pub difference: Option<f64>,
    /// The difference's 95 % interval.
    pub interval: Option<Interval>,
    /// Of a share, samples that count in the baseline only and in the other run only.
    pub discordant: Option<[u64; 2]>,
    /// How interval and test were made.
    pub method: Method,
    /// Random assignments behind a p value that is not exact.
    pub drawn: Option<u64>,
    /// The p value by itself.
    pub p: Option<f64>,
    /// The p value adjusted for all tests of the comparison; see [`adjust`].
    pub p_holm: Option<f64>,
    /// What can be said of it.
    pub told: Told,
    /// What is odd about it.
    pub remark: Option<String>,
}

/// How a row was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A share: Newcombe's interval, McNemar's exact test.
    Newcombe,
    /// A mean: bootstrap of the samples' differences, paired permutation test.
    Differences,
    /// Any other number: bootstrap of the pairs and permutation within them, each summed up by the plugin.
    Resummed,
    /// Beside each other only.
    Beside,
}

/// Samples that changed sides.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flips {
    /// What a side is, in words; empty where the task has no two sides.
    pub by: String,
    /// Pairs in which both samples have a side.
    pub of: u64,
    /// Samples that went from the wished-for side to the other.
    pub to_worse: u64,
    /// Samples that went to the wished-for side.
    pub to_better: u64,
    /// The first of them, those to the worse before the others.
    pub shown: Vec<Flip>,
}

/// A sample that changed sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// Its id in the baseline.
    pub sample: String,
    /// Its id in the other run, where that is another one.
    pub other_sample: Option<String>,
    /// Whether it went to the wished-for side.
    pub to_better: bool,
    /// What was measured and is now otherwise: name, before, after.
    pub changes: Vec<(String, String, String)>,
    /// The first words of the request.
    pub request: String,
}

/// The first words of what a dataset's row asks.
pub fn request_of(row: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(row).unwrap_or_default();
    let first_text = || value.as_object()?.values().find_map(|value| value.as_str().map(str::to_owned));
    let request = placement::request_of_row(&value).or_else(first_text).unwrap_or_default();
    cut(&request.split_whitespace().collect::<Vec<_>>().join(" "), REQUEST)
}

/// Forms that a comparison has.
pub const FORMATS: [Format; 5] = [Format::Table, Format::Markdown, Format::Json, Format::Csv, Format::Html];

/// The comparison as a text. `look` matters to [`Format::Table`] alone. There is no [`Format::Junit`]; it gives the table.
///
/// # Errors
/// When a serialiser fails, which no comparison should make it do.
pub fn render(comparison: &Comparison, format: Format, look: Look) -> Result<String, ReportError> {
    match format {
        Format::Table | Format::Junit => Ok(table::table(comparison, look)),
        Format::Markdown => Ok(markdown::markdown(comparison)),
        Format::Json => serde_json::to_string_pretty(comparison).map_err(ReportError::Json),
        Format::Csv => Ok(delimited::csv(comparison)?),
        Format::Html => Ok(page::html(comparison)?),
    }
}
