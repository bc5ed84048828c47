//! Why a treatment was not exported. Whatever it was, files that were there before are whole.

use std::path::PathBuf;

use sonde_contract::HostError;

use super::{Agreement, WriteError};
use crate::OpenError;

/// A treatment that was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The form has no place for a part of it.
    #[error("this treatment {what}, which the form {form} cannot express: {table}")]
    NotInThisForm {
        /// The form.
        form: &'static str,
        /// The part.
        what: String,
        /// What goes where.
        table: &'static str,
    },
    /// It changes nothing.
    #[error("{0}, so there is nothing to export")]
    Nothing(String),
    /// It does not fit the model, or the engine cannot put it in force.
    #[error(transparent)]
    Engine(#[from] HostError),
    /// The model's file cannot be changed in this way.
    #[error("{0}")]
    Unsupported(String),
    /// The model's file cannot be read any more.
    #[error("cannot read {path}: {reason}; nothing was written")]
    Source {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Unwritten(#[from] WriteError),
    /// What was written cannot be read back.
    #[error(
        "what was written cannot be read back ({0}), so it was not kept; this is a fault of Sonde, please report it"
    )]
    Damaged(String),
    /// The merged file cannot be opened.
    #[error("the merged model cannot be opened, so it was not kept: {0}")]
    Unreadable(OpenError),
    /// What was written does something else.
    #[error(
        "what was written does not do what the treatment does: {0}; it was not kept. In a form of few bits a change that is \
         small against the weights' steps is lost: try gguf-lora, or a model of more bits"
    )]
    Disagrees(Agreement),
}
