//! Between the component's types and the contract's. Nothing a guest sends is believed before it is checked here:
//! lengths, counts, finiteness of numbers, and that names can be printed.
//!
//! `describe`, `outcome`, `summary`, `verdict` and `diagnosis` read what a plugin gives back; `request` reads what it
//! asks; `answer` writes what the host says; `inside` and `treatment` do both for what only diagnostics and treatments
//! ask.

mod answer;
mod describe;
mod diagnosis;
mod inside;
mod outcome;
mod request;
mod summary;
mod treatment;
mod verdict;

use crate::limits::{LimitReached, Limits};
use crate::printable::printable;

pub use answer::{Budget, host_error, model_info, outcomes_for_guest, sampling_for_guest, stream_event};
pub use describe::about;
pub use diagnosis::{datasets_for_guest, diagnosis};
pub use inside::{capture_spec, example, importance_request, intervention, trace_spec};
pub use outcome::outcome;
pub use request::{exchange, level, prompt, sampling, score_request};
pub use summary::summary;
pub use treatment::{derived, edits, lesson, train_request};
pub use verdict::{token_verdict, verdict};

/// Longest name, label of an axis, or group, in characters.
const NAME_CHARACTERS: usize = 200;

/// Why something from a guest is not believed.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// It is too much.
    Limit(LimitReached),
    /// It makes no sense; continues a sentence.
    Wrong(String),
}

impl From<LimitReached> for Fault {
    fn from(limit: LimitReached) -> Self {
        Self::Limit(limit)
    }
}

/// Refuses texts longer than the limit.
pub fn check_text(limits: &Limits, what: &str, text: &str) -> Result<(), LimitReached> {
    if text.len() <= limits.string_bytes() {
        return Ok(());
    }
    Err(LimitReached::Text { what: what.to_owned(), length: text.len(), mib: limits.string_mib })
}

fn check_count(key: &'static str, what: &'static str, count: usize, most: u32) -> Result<(), LimitReached> {
    if count <= most as usize { Ok(()) } else { Err(LimitReached::Count { what, count, most, key }) }
}

/// A text that people will read: within the limit, and stripped of what a terminal would obey.
fn words(limits: &Limits, what: &str, text: &str) -> Result<String, Fault> {
    check_text(limits, what, text)?;
    Ok(printable(text))
}

fn optional_words(limits: &Limits, what: &str, text: Option<String>) -> Result<Option<String>, Fault> {
    text.map(|text| words(limits, what, &text)).transpose()
}

/// A short text on one line that is not empty.
fn name(what: &str, text: &str) -> Result<String, Fault> {
    let clean = label(what, text)?;
    if clean.trim().is_empty() { Err(Fault::Wrong(format!("{what} is empty"))) } else { Ok(clean) }
}

/// A short text on one line.
fn label(what: &str, text: &str) -> Result<String, Fault> {
    if text.chars().nth(NAME_CHARACTERS).is_some() {
        return Err(Fault::Wrong(format!("{what} is longer than {NAME_CHARACTERS} characters")));
    }
    Ok(printable(text).replace(['\n', '\t'], " "))
}

fn finite(what: impl FnOnce() -> String, number: f64) -> Result<f64, Fault> {
    if number.is_finite() { Ok(number) } else { Err(Fault::Wrong(format!("{} is {number}", what()))) }
}
