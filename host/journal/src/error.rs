//! Why the run file could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_ROLLBACK;

use crate::CallPath;

/// Why the run file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A new run would overwrite a file.
    #[error("{} exists already; choose another output, or remove the file", .0.display())]
    Exists(PathBuf),
    /// There is no such file.
    #[error("there is no run file {}", .0.display())]
    Missing(PathBuf),
    /// Another process writes this run.
    #[error("{} is in use: {holder} is writing it; wait for that run to end, or stop it", .path.display())]
    InUse {
        /// The run file.
        path: PathBuf,
        /// Who holds it, for example `process 4711`.
        holder: String,
    },
    /// Some other kind of file.
    #[error("{} is not a run file", .0.display())]
    NotARunFile(PathBuf),
    /// Written by a Sonde with another schema.
    #[error(
        "{} has schema version {found} and this Sonde reads version {known}; open it with the Sonde that wrote it",
        .path.display()
    )]
    Version {
        /// The run file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this crate.
        known: i64,
    },
    /// The file's content cannot be what was written.
    #[error("{} is damaged: {detail}; `sonde verify` says where", .path.display())]
    Damaged {
        /// The run file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A process ended in the middle of writing, and reading alone cannot tidy up after it.
    #[error("{} was being written when its process ended; `sonde run` with its config tidies it up", .0.display())]
    Interrupted(PathBuf),
    /// A run whose answers were wanted before its end.
    #[error(
        "{} is not finished, and answers are taken from finished runs only; go on with it first (`sonde run` with its config)",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// Somebody reads the file for longer than we wait.
    #[error("{} is held by another process that reads it; close that one and try again", .0.display())]
    Busy(PathBuf),
    /// A write to a file opened with `open_read`.
    #[error("{} is open for reading only", .0.display())]
    ReadOnly(PathBuf),
    /// Too little room.
    #[error("there is no room left on the disk that holds {}", .0.display())]
    DiskFull(PathBuf),
    /// The header has no such task.
    #[error("the run has no task \"{0}\"")]
    UnknownTask(String),
    /// The file has no such sample.
    #[error("the run has no sample {0}")]
    UnknownSample(String),
    /// The file holds no plugin with this digest.
    #[error("the run holds no plugin with digest {0}")]
    UnknownPlugin(sonde_contract::Digest),
    /// A new run was to be begun without a plugin that its header names.
    #[error("the bytes of plugin {0} were not given, or they do not fit its digest")]
    PluginBytes(sonde_contract::Digest),
    /// The samples of a task are all there already.
    #[error("the samples of task \"{0}\" are complete; they cannot be added again")]
    SamplesComplete(String),
    /// A sample that is there already, or that belongs to another task.
    #[error("sample {id} cannot be added to task \"{task}\": {reason}")]
    SampleRefused {
        /// The sample.
        id: String,
        /// The task it was to be added to.
        task: String,
        /// Why not.
        reason: &'static str,
    },
    /// The same call was to be recorded twice.
    #[error("call {path} of sample {sample} is recorded already")]
    CallRecorded {
        /// The sample.
        sample: String,
        /// The call.
        path: CallPath,
    },
    /// A call or an ending came after the sample's ending.
    #[error("sample {0} has ended already")]
    AlreadyEnded(String),
    /// A request that is not what its digest says.
    #[error("the request of call {0} does not fit its digest, which must be the SHA-256 of `request_json`")]
    WrongDigest(CallPath),
    /// JSON has no infinities.
    #[error("the outcome's field \"{0}\" is not a finite number, and only those can be recorded")]
    NotFinite(String),
    /// The same of a diagnosis or a treatment.
    #[error("{0} holds a number that is not finite, and only finite ones can be recorded")]
    HoldsNotFinite(&'static str),
    /// A value without JSON form.
    #[error("{what} cannot be written as JSON: {source}")]
    Json {
        /// What was to be written.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// The transaction that held this entry failed; nothing of it was written.
    #[error("the journal could not be written: {0}")]
    NotWritten(String),
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused for a reason of its own.
    #[error("SQLite cannot work on {}: {source}", .path.display())]
    Sqlite {
        /// The run file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
}

impl JournalError {
    /// Maps an operating system error; for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }

    /// Maps an SQLite error to what it means for a run file; for `map_err`.
    pub(crate) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            match source.sqlite_error() {
                Some(error) if error.extended_code == SQLITE_READONLY_ROLLBACK => Self::Interrupted(path),
                Some(error) => match error.code {
                    ErrorCode::NotADatabase => Self::NotARunFile(path),
                    ErrorCode::DatabaseCorrupt => Self::Damaged { path, detail: source.to_string() },
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy(path),
                    ErrorCode::DiskFull => Self::DiskFull(path),
                    _ => Self::Sqlite { path, source },
                },
                None if is_foreign_content(&source) => Self::Damaged { path, detail: source.to_string() },
                None => Self::Sqlite { path, source },
            }
        }
    }
}

/// Whether a query succeeded but what it read is nothing this crate could have written.
pub(crate) fn is_foreign_content(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows
    )
}
