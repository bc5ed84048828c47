//! Why there is no edit.

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
    /// The two means are equal.
    #[error(
        "the harmful and the harmless prompts have the same mean state, so no direction leads from one to the other; take \
         a later layer, or prompts that differ"
    )]
    NoDirection,
    /// Not a number, or infinite.
    #[error("{what}: number {place} is {value}; look for an overflow in the model")]
    NotFinite {
        /// Of what.
        what: &'static str,
        /// Which, from 0.
        place: usize,
        /// What it is.
        value: f64,
    },
}
