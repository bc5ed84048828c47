//! Difference-of-means directions: scores, selection, interventions (Arditi et al., NeurIPS 2024, "Refusal in Language
//! Models Is Mediated by a Single Direction", and its published code).
//!
//! The way of a direction: [`Means`] of harmful and of harmless prompts → [`Directions`], one for each position and
//! layer → for each a [`Candidate`] with its three scores ([`refusal_score`], [`kl_divergence`]) → [`Rule::select`].
//! [`interventions`](ablated) are what a model is measured under. Refusals are told by phrase in the SDK, not here:
//! `sonde_sdk::refusal::ARDITI`.

mod error;
mod interventions;
mod kl;
mod likeliest;
mod means;
mod score;
mod selection;

pub use error::Error;
pub use interventions::{ablated, added, orthogonalised, orthogonalised_rows};
pub use kl::{KL_FLOOR, kl_divergence};
pub use likeliest::Likeliest;
pub use means::{Directions, Means, Place};
pub use score::{
    SCORE_FLOOR, refusal_score, refusal_score_of_logprobs, refusal_score_of_probability, softmax,
};
pub use selection::{Candidate, Rejected, Rule, Selection};
