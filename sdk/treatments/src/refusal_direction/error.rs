//! Why a direction could not be had.

use super::Rejected;

/// What was wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A list has another length than the rest.
    #[error("{what}: {found} numbers where {expected} were expected")]
    Length {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// States are counted by layer and position.
    #[error("there is no layer {layer}: the states have the layers 0 to {last}", last = layers.saturating_sub(1))]
    Layer {
        /// Which was asked for.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// A group of prompts without any.
    #[error("no {group} prompt was counted at layer {layer}; a mean needs at least one")]
    NoPrompts {
        /// Which group.
        group: &'static str,
        /// At which layer.
        layer: usize,
    },
    /// Not a number, or infinite.
    #[error("{what}: number {place} is {value}; look for an overflow in the model, or leave the prompt out")]
    NotFinite {
        /// Of what.
        what: &'static str,
        /// Which, from 0.
        place: usize,
        /// What it is.
        value: f64,
    },
    /// A token past the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocabulary} tokens")]
    Token {
        /// Its id.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// No candidate passes the rule. There is no second best: a direction that fails it is not used.
    #[error(
        "none of {candidates} candidate directions passes the rule: {rejected}. Widen the thresholds, use more or other \
         prompts, or look at the candidates' scores: this model may not keep refusal in one direction"
    )]
    NoSurvivor {
        /// How many there were.
        candidates: usize,
        /// Why they were rejected.
        rejected: Rejected,
    },
}
