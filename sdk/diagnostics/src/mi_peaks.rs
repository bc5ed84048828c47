//! MI-Peaks: how much a model's state at each step of its reasoning shares with its state after the right solution, and
//! at which tokens that is most.
//!
//! The "mutual information" is HSIC in its normalised, CCA-like form (Fukumizu et al. 2008; Ma et al. 2020), with the d
//! hidden dimensions taken as d scalar samples. [`Factor`] holds one state in low rank, so that a step costs d·r² and
//! not d³ and the reference is factored once ([`Factor::trajectory`]); [`dense`] is the definition as written, for
//! checks. [`peaks`], [`mean_trajectory`] and [`count_words`] report.
//!
//! The level depends on the scale of the activations against the kernel's width, so it can be compared along a
//! trajectory, not between models.

pub mod dense;
mod factor;
mod kernel;
mod median;
mod report;

pub use factor::{Factor, squared_correlation};
pub use kernel::Kernel;
pub use report::{count_words, mean_trajectory, peaks};

/// ε of the regulariser ε·d.
const EPSILON: f64 = 1e-5;
