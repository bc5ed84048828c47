//! Rank-one safety injection (ROSI, version 1 of 28 August 2025): W' = W + alpha · ŝ · w̄ᵀ for every matrix W that writes to
//! the residual stream, with ŝ the unit difference of harmful and harmless means and w̄ the mean of W's rows.
//!
//! The difference of means is [`Directions`](crate::refusal_direction::Directions). From there: [`unit`] → for each of
//! the [`writer`]s a [`RankOne`] → [`choose`] among strengths. What W' adds to W x is alpha (w̄·x) ŝ: neither the size of
//! alpha nor its sign means anything by itself, so strengths are counted in the [`relative_size`] of the edit.

mod calibration;
mod error;
mod rank_one;
mod writers;

pub use calibration::{Aim, Choice, Trial, choose};
pub use error::Error;
pub use rank_one::{RankOne, alpha_of_size, relative_size, row_mean, unit};
pub use writers::{Part, Writer, has_norm_after_projection, writer};
