//! What a run came to: statistics, and every form of the report.
//!
//! The runner calls [`statistics`] when a task's samples have ended. `sonde show` reads a run file into a
//! [`view::RunView`] as deep as the form needs it ([`Format::depth`]) and renders that ([`render`]); [`figures`] are the
//! plugins' figures as SVG files. What is promised:
//!
//! - No number is shown without its n and its 95 % interval, if it has one, and beside it how many samples failed, were
//!   skipped or could not be read.
//! - Whatever a model or a plugin wrote is escaped: no markup, no terminal escape, no spreadsheet formula of theirs takes
//!   effect.
//! - The HTML page is one file without scripts that asks nothing of the network.

pub mod compare;
mod delimited;
mod earlier;
mod error;
mod html;
mod json;
mod junit;
mod layered;
mod markdown;
mod numbers;
mod overall;
mod picture;
pub mod placement;
mod printable;
mod read;
pub mod risks;
mod rows;
mod sample;
pub mod statistics;
pub mod suites;
mod svg;
mod table;
mod templates;
mod transcript;
mod treated;
pub mod verdict;
pub mod view;

use std::fmt;
use std::str::FromStr;

pub use error::ReportError;
pub use read::{Depth, read_sample};
pub use sample::sample;
pub use svg::{FigureFile, figures};
pub use table::Look;
pub use treated::{AFTER, BEFORE, TreatedView};
use view::RunView;

/// Samples per task that the HTML page shows.
pub const SAMPLES_ON_A_PAGE: usize = 200;

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For an issue or a readme.
    Markdown,
    /// For programs.
    Json,
    /// For spreadsheets; one row per metric.
    Csv,
    /// For reading: one self-contained page.
    Html,
    /// For continuous integration.
    Junit,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Table, Self::Markdown, Self::Json, Self::Csv, Self::Html, Self::Junit];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Junit => "junit",
        }
    }

    /// How much of the samples it shows.
    pub fn depth(self) -> Depth {
        match self {
            Self::Html => Depth::Samples(SAMPLES_ON_A_PAGE),
            Self::Junit => Depth::Endings,
            _ => Depth::Summary,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no format.
#[derive(Debug, thiserror::Error)]
#[error("there is no report format \"{0}\"; choose table, markdown, json, csv, html or junit")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// The report. `look` matters to [`Format::Table`] alone.
///
/// # Errors
/// When a serialiser fails, which no view should make it do.
pub fn render(run: &RunView, format: Format, look: Look) -> Result<String, ReportError> {
    match format {
        Format::Table => Ok(table::table(run, look)),
        Format::Markdown => Ok(markdown::markdown(run)),
        Format::Json => json::json(run).map_err(ReportError::Json),
        Format::Csv => Ok(delimited::csv(run)?),
        Format::Html => Ok(html::html(run)?),
        Format::Junit => Ok(junit::junit(run)),
    }
}
