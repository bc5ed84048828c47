//! The mathematics of four diagnostics of a model's inside, X-Boundary, TELLME, SPIN and MI-Peaks: under DeepScan's
//! definitions, so that its numbers can be compared, and beside them what makes such a number mean something (nulls,
//! intervals, scale-free companions).
//!
//! Plain numbers in, plain numbers out: nothing here knows a model, a plugin or a host. It compiles for the plugins'
//! sandbox, so there are no threads of its own, no clock and no randomness but that of a seed it is handed; the same
//! input gives the same numbers. Everything is computed in `f64`. Input that has no answer (an empty class, a number
//! that is not finite) is an [`Error`], never a panic.
//!
//! Each module says what it costs: m is the number of samples, d their width.

mod error;
mod gram;
mod log_determinant;
pub mod mi_peaks;
pub mod probe;
pub mod resampling;
pub mod scatter;
mod silhouette;
pub mod spin;
pub mod tellme;
mod vectors;
pub mod x_boundary;

pub use error::Error;
pub use gram::Gram;
pub use silhouette::silhouette;
pub use vectors::Vectors;
