//! Why a report could not be made.

use sonde_contract::Digest;
use sonde_journal::JournalError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run file could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A task names a plugin that the run file does not have.
    #[error(
        "task \"{task}\" was made by plugin {digest}, which the run file does not hold; run `sonde verify` on it"
    )]
    NoSuchPlugin {
        /// The task.
        task: String,
        /// The plugin's digest.
        digest: Digest,
    },
    /// A task's result has another form.
    #[error(
        "the result of task \"{task}\" cannot be read ({source}); another version of Sonde may have written it"
    )]
    Result {
        /// The task.
        task: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The JSON could not be written.
    #[error("the JSON report could not be written: {0}")]
    Json(#[source] serde_json::Error),
    /// The CSV could not be written.
    #[error("the CSV report could not be written: {0}")]
    Csv(#[from] csv::Error),
    /// The page or a picture could not be written.
    #[error("the HTML report or a picture could not be written: {0}")]
    Html(#[from] minijinja::Error),
}
