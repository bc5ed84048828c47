//! The contract's types (`wit/`) as the host holds them: plain data, serialisable, without wasmtime or llama.cpp.
//!
//! Every host crate speaks in these. `sonde-runtime` converts them from and to what a component sends; `sonde-journal`
//! stores their JSON, whose field names are therefore part of the run file's format.

mod digest;
mod error;
mod generation;
mod inside;
mod judging;
mod numbers;
mod results;
mod treatment;

pub use digest::{Digest, DigestWriter};
pub use error::HostError;
pub use generation::{
    Chat, Completion, ContinuationScore, Finish, Flag, Grammar, Message, ModelInfo, Prompt, Role, Sampling,
    ScoreRequest, TokenLogprob, TokenLogprobs,
};
pub use inside::{
    CaptureRequest, CaptureSpec, Captured, Change, Example, ImportanceRequest, Intervention,
    MatrixImportance, Modules, Rows, Site, TensorInfo, TraceRequest, Traced,
};
pub use judging::{Exchange, Safety, StreamEvent, TokenVerdict, Verdict};
pub use numbers::{Floats, Places, floats, floats_back};
pub use results::{
    About, Chart, Column, Diagnosis, Estimate, Field, Figure, Finding, Group, Heatmap, Metric, Outcome,
    Point, Series, Slot, Status, Summary, Value,
};
pub use treatment::{
    Changes, Derived, Document, Lesson, Lora, LowRank, Objective, Purpose, RowMean, Schedule, TrainRequest,
    Trained, Treatment,
};
