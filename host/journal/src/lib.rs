//! The run file: one SQLite database, `*.sonde`, that holds all of a run.
//!
//! The runner writes it, `sonde show` and the reports read it, `sonde verify` checks it. What it promises:
//!
//! - When [`RunFile::append`] or [`RunFile::finish`] returns, what it was given survives the end of the process at
//!   any later moment.
//! - Calls and endings form a hash chain that begins with the [`Header`], and a finished run is sealed with the
//!   SHA-256 of its file, so [`check`] tells an altered or torn file from a good one and says where.
//! - Reading and writing take memory for a page of samples, never for all of them.
//! - One process writes a run at a time; any number may read it meanwhile.

mod answers;
mod bill;
mod chain;
mod damage;
mod endings;
mod entries;
mod error;
mod header;
mod integrity;
mod lock;
mod pages;
mod readers;
mod results;
mod reused;
mod run_file;
mod samples;
mod schema;
mod seal;
mod walk;
mod writer;

pub use answers::{Answer, Answers};
pub use bill::BillLine;
pub use damage::{Damage, Place};
pub use endings::{EndedSample, Ending, LogLevel, LogLine};
pub use entries::{CallKind, CallPath, Entry, NotACallPath};
pub use error::JournalError;
pub use header::{
    Agreement, DatasetIdentity, GuardIdentity, Header, HostIdentity, JudgeIdentity, JudgeQuality,
    ModelIdentity, Origin, PluginIdentity, Share, TaskIdentity, TreatmentSource, TreatmentUse,
};
pub use integrity::{Integrity, check, sealed};
pub use pages::Pages;
pub use reused::{Cost, Reused, Saving, Source};
pub use run_file::RunFile;
pub use samples::{Counts, Sample, SampleKey, SampleRow};
