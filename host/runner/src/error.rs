//! Why a run could not start or had to stop.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::dataset::{ColumnError, DatasetError};

/// What went wrong with a run as a whole. A sample that fails is no such error: it is recorded, and the run goes on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The plan cannot be carried out.
    #[error("{0}")]
    Plan(String),
    /// A dataset cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A dataset lacks a column.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A plugin cannot be loaded.
    #[error(transparent)]
    Plugin(#[from] sonde_runtime::PluginError),
    /// A model cannot be opened.
    #[error(transparent)]
    Model(#[from] sonde_engine::OpenError),
    /// A treatment file cannot be read, written or used.
    #[error(transparent)]
    Treatment(#[from] crate::treatment::TreatmentError),
    /// The run file cannot be read or written.
    #[error(transparent)]
    Journal(#[from] sonde_journal::JournalError),
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: std::io::Error,
    },
    /// The output holds another run.
    #[error(
        "{output} holds a run of another plan ({difference}); give another `output` (--output FILE), or remove the file"
    )]
    OtherRun {
        /// The run file.
        output: PathBuf,
        /// What differs.
        difference: String,
    },
    /// A value has no JSON form.
    #[error("cannot write as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
