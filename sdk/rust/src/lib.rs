//! What a plugin author depends on: the contract's types, prompts, parsers for replies, sums over outcomes, and a
//! mock host so that a plugin's tests run natively and without a model.
//!
//! A plugin is a pure function of its input and of the host's answers. It reaches the host only through the [`Host`]
//! it is handed, so the same code runs in the sandbox and against [`mock::MockHost`].
//!
//! A whole benchmark:
//!
//! ```
//! use sonde_sdk::{About, Benchmark, Error, Host, Measure, NoParameters, Outcome, Prompt, Summary, text};
//!
//! /// Capitals of the world.
//! struct Capitals;
//!
//! #[derive(serde::Deserialize)]
//! struct Row {
//!     country: String,
//!     capital: String,
//! }
//!
//! impl Benchmark for Capitals {
//!     type Row = Row;
//!     type Parameters = NoParameters;
//!
//!     fn about() -> About {
//!         About::new("capitals", "1.0.0", "Capitals of the world")
//!             .summary("Asks for capitals. A reply that names the capital is right.")
//!             .model("target", "The model under test.")
//!             .column("country", "A country.")
//!             .column("capital", "Its capital.")
//!     }
//!
//!     fn run(host: &impl Host, row: Row, _: &NoParameters, _seed: u64) -> Result<Outcome, Error> {
//!         let reply = host.ask("target", Prompt::user(format!("What is the capital of {}?", row.country)))?;
//!         Ok(match reply.spoken() {
//!             Ok(said) => Outcome::scored().good(text::mentions(said, &row.capital)),
//!             Err(why) => Outcome::unparsable(why),
//!         })
//!     }
//!
//!     fn summarize(outcomes: &[Outcome], _: &NoParameters) -> Summary {
//!         let accuracy = Measure::new("accuracy", "Right answers among the replies that could be read.");
//!         Summary::of(outcomes)
//!             .metric(accuracy.higher_is_better().headline().proportion(outcomes, |outcome| outcome.good))
//!     }
//! }
//!
//! sonde_sdk::export_benchmark!(Capitals);
//!
//! # fn main() -> Result<(), Error> {
//! let host = sonde_sdk::mock::MockHost::new().replies("target", ["It is Paris."]);
//! let row = Row { country: "France".into(), capital: "Paris".into() };
//! assert_eq!(Capitals::run(&host, row, &NoParameters {}, 0)?.good, Some(true));
//! # Ok(())
//! # }
//! ```
//!
//! Rules that the contract sets and the SDK helps to keep: a host call that failed is the `Err` of `run` (use `?`),
//! never a score; a reply that cannot be read is [`Outcome::unparsable`], never a wrong answer or a safe one; every
//! metric says its denominator.

// The generated code names its runtime by this crate's path, so that plugins need no dependency of their own.
extern crate self as sonde_sdk;

mod about;
mod activations;
#[doc(hidden)]
pub mod bindings;
mod boxed;
pub mod choice;
mod clipped;
mod confusion;
mod constrained;
mod datasets;
mod derived;
mod diagnosis;
mod draws;
mod error;
mod exchange;
#[doc(hidden)]
pub mod export;
mod host;
pub mod labelled;
pub mod latex;
mod likeliest;
mod measure;
pub mod mock;
mod mode;
mod next_word;
pub mod number;
mod outcome;
mod plot;
mod plugin;
mod prompt;
pub mod published;
mod ranking;
pub mod refusal;
mod reply;
pub mod row;
mod statement;
mod states;
mod summary;
pub mod text;
mod training;
mod verdict;
mod whitebox;
#[doc(hidden)]
pub use wit_bindgen;

pub use about::Parameter;
pub use activations::Activations;
pub use bindings::benchmark::sonde::plugin::generation::{
    Completion, ContinuationScore, Finish, Flag, Grammar, ModelInfo, Sampling, ScoreRequest, TokenLogprob,
    TokenLogprobs,
};
pub use bindings::benchmark::sonde::plugin::judging::{Exchange, Safety, Verdict};
pub use bindings::benchmark::sonde::plugin::log::Level;
pub use bindings::benchmark::sonde::plugin::results::{
    About, Chart, Column, Diagnosis, Estimate, Field, Figure, Finding, Given, Group, Heatmap, Interval,
    Metric, Outcome, Point, Series, Share, Slot, Status, Summary, Value,
};
pub use bindings::benchmark::sonde::plugin::types::{
    Chat, Error as HostError, Message, Overflow, Prompt, Role,
};
pub use bindings::diagnostic::sonde::plugin::activations::{
    Addition, CaptureSpec, Change, Intervention, Projection, Rows, Site,
};
pub use bindings::diagnostic::sonde::plugin::gradients::{
    Example, ImportanceSpec, MatrixImportance, Modules,
};
pub use bindings::diagnostic::sonde::plugin::weights::{RankOne, RowMean, TensorInfo};
pub use bindings::treatment::exports::sonde::plugin::treatment::{Document, Purpose};
pub use bindings::treatment::sonde::plugin::training::{Lesson, Lora, Objective, Schedule};
pub use bindings::watcher::sonde::plugin::reply_stream::{Event as StreamEvent, TokenVerdict};
pub use boxed::boxed;
pub use clipped::clipped;
pub use confusion::Confusion;
pub use constrained::{json_object, replies_in_form};
pub use datasets::Datasets;
pub use derived::{Derived, ModelChange};
pub use draws::Draws;
pub use error::Error;
pub use host::{GuestHost, Host, Model};
pub use likeliest::likeliest;
pub use measure::Measure;
pub use mode::Mode;
pub use next_word::NextWord;
pub use plot::Plot;
pub use plugin::{
    Benchmark, Diagnostic, GuestReply, Judge, NoParameters, ReplyStream, StreamingJudge, Treatment,
};
pub use ranking::average_precision;
pub use statement::stated;
pub use states::{Place, States};
pub use training::{Adapter, Trainable};
pub use whitebox::{Traced, WhiteBox};
