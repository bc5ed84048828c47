//! TELLME: how disentangled two classes of behaviour (safe and unsafe replies) are at one layer.
//!
//! [`CodingRates`] has R_diff, R_same and R_gap, with a permutation null, which DeepScan lacks and without which R_gap
//! says little: it mostly measures width and spectrum. [`effective_rank`] and [`distances`] are DeepScan's other metrics
//! under its own names and definitions; [`Geometry`] is what those names promise. For separability use
//! [`crate::probe`].

mod coding_rate;
mod distances;
mod effective_rank;
mod geometry;

pub use coding_rate::{CodingRate, CodingRates, EPSILON};
pub use distances::{Distances, distances};
pub use effective_rank::effective_rank;
pub use geometry::Geometry;

use crate::vectors::places;

/// The samples of each class, classes in ascending order.
fn classes(labels: &[u32]) -> Vec<(u32, Vec<usize>)> {
    let mut found = labels.to_vec();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|label| (label, places(labels, &label))).collect()
}
