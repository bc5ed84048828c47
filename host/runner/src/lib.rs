//! A config becomes a plan, a plan becomes a run, a run can be proved.
//!
//! [`config`] reads what the user wrote, [`plan`] checks it against files, plugins and models and fails early,
//! [`run`] carries it out or goes on with it, [`verify`] replays a run file without any model, [`compare`] puts runs beside
//! each other. The command line is the
//! only caller.

mod agreement;
mod caller;
mod compare;
pub mod config;
pub mod dataset;
mod engines;
mod error;
mod execute;
mod host;
mod judge_quality;
mod paths;
mod plan;
pub mod plugins;
mod progress;
mod quality;
mod recorded;
mod reuse;
mod samples;
mod seeds;
mod summary;
mod treatment;
mod verify;
mod watching;

pub use caller::Guard;
pub use compare::{CompareOptions, compare};
pub use engines::ModelEngine;
pub use error::RunError;
pub use execute::{RunEnd, run};
pub use judge_quality::{JudgeTrial, MeasuredJudge, judge_quality};
pub use paths::tidied;
pub use plan::{
    Plan, PlannedDataset, PlannedJudge, PlannedModel, PlannedTask, Rejudgement, TaskData, plan, rejudge,
};
pub use progress::{Event, Observer};
pub use reuse::Reuse;
pub use treatment::{EXTENSION, Maker, Measurement, TreatedModel, TreatmentError, TreatmentFile};
pub use verify::{Verification, verify};
pub use watching::{
    Debounced, Followed, Latency, LatencyTable, StreamingJudge, WatchError, Watcher, bin_of, by_evaluator,
    first_run,
};
