//! `results` of the contract: descriptions, outcomes, metrics, figures.

use serde::{Deserialize, Serialize};

/// A column that a benchmark reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The plugin's name for it.
    pub name: String,
    /// Other names publishers use; renamed by the host.
    pub aliases: Vec<String>,
    /// What it holds.
    pub about: String,
    /// Whether a row without it is an error.
    pub required: bool,
}

/// A model role, judge or dataset to be bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The plugin's name for it.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Whether the plugin needs it.
    pub required: bool,
}

/// A plugin's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Lower-case letters, digits, hyphens.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// For people.
    pub title: String,
    /// What it measures and what not.
    pub summary: String,
    /// The publication it follows.
    pub citation: String,
    /// SPDX expression.
    pub licence: String,
    /// Models it opens.
    pub models: Vec<Slot>,
    /// Judges it asks.
    pub judges: Vec<Slot>,
    /// Datasets besides its rows.
    pub datasets: Vec<Slot>,
    /// Columns of its rows.
    pub columns: Vec<Column>,
    /// JSON Schema of its parameters.
    pub parameters_schema: String,
}

/// A value measured on one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A label.
    Text(String),
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Membership in a group of samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Kind of group, for example `functional category`.
    pub kind: String,
    /// Its name, for example `copyright`.
    pub name: String,
}

/// What became of a sample that did not fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Measured.
    Scored,
    /// A reply or verdict could not be read.
    Unparsable(String),
    /// Left out by the protocol.
    Skipped(String),
}

/// What a plugin says of one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What became of it.
    pub status: Status,
    /// Whether it went the way one would wish.
    pub good: Option<bool>,
    /// Values measured.
    pub fields: Vec<Field>,
    /// Groups it belongs to.
    pub groups: Vec<Group>,
    /// A remark.
    pub note: Option<String>,
}

/// The data behind a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimate {
    /// A share of n.
    Proportion {
        /// How many.
        hits: u64,
        /// Of how many.
        n: u64,
    },
    /// The mean of per-sample values.
    Mean(Vec<f64>),
    /// Computed otherwise.
    Given {
        /// The number.
        value: f64,
        /// Samples it rests on.
        n: u64,
        /// Its 95 % interval, low and high, if the plugin computed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<[f64; 2]>,
    },
}

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its published name.
    pub name: String,
    /// What it is, with its denominator.
    pub about: String,
    /// The data behind it.
    pub estimate: Estimate,
    /// Which way is better.
    pub higher_is_better: Option<bool>,
    /// The group it speaks of; `None` for all samples.
    pub group: Option<Group>,
    /// Whether the benchmark is known by it.
    pub headline: bool,
}

/// A picture, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Points joined in order.
    Line(Chart),
    /// Points.
    Scatter(Chart),
    /// Bars.
    Bar(Chart),
    /// A grid of cells.
    Heatmap(Heatmap),
}

/// A picture with two axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Identifies it within its task.
    pub name: String,
    /// For people.
    pub title: String,
    /// X axis label.
    pub x: String,
    /// Y axis label.
    pub y: String,
    /// Names of the x values, where x counts categories.
    pub categories: Vec<String>,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// One set of points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend.
    pub label: String,
    /// The points.
    pub points: Vec<Point>,
}

/// A point of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Along x.
    pub x: f64,
    /// Along y.
    pub y: f64,
}

/// A grid of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heatmap {
    /// Identifies it within its task.
    pub name: String,
    /// For people.
    pub title: String,
    /// X axis label.
    pub x: String,
    /// Y axis label.
    pub y: String,
    /// Cells per row.
    pub width: u32,
    /// Cells, row by row.
    pub cells: Vec<f64>,
}

/// A task's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Pictures.
    pub figures: Vec<Figure>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// What a diagnostic says of one row of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The dataset's name in the description.
    pub dataset: String,
    /// Its row, from 0, as it was handed over.
    pub row: u32,
    /// The values found.
    pub fields: Vec<Field>,
}

/// A diagnostic's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Metrics, figures and remarks.
    pub summary: Summary,
    /// What it says of single rows.
    pub findings: Vec<Finding>,
}
