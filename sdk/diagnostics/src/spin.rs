//! SPIN: how many single weights are among the most important ones of two objectives at once (DeepScan: fairness and
//! privacy), so that changing the model for one disturbs the other.
//!
//! [`coupling`] takes each weight matrix's two sets of top indices and counts what they share, per matrix, layer and in
//! total, with DeepScan's two rates and the coupling that chance alone would bring. [`sweep`] does so for several sizes
//! of the top sets, cut from one ranking each.

mod chance;
mod counts;
mod matrix;
mod sweep;

pub use chance::Chance;
pub use counts::{Counts, Coupling, LayerCoupling, ModuleCoupling, coupling};
pub use matrix::{Matrix, Modules, Unreached, top_count};
pub use sweep::{Ranked, SweepPoint, sweep};
