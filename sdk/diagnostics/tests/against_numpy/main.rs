//! The crate against NumPy, SciPy and scikit-learn, and against DeepScan's own outputs where they can be had without a
//! model. `tests/reference/make.py` made the expected numbers of `tests/reference/reference.json`.

mod deepscan;
mod mi_peaks;
mod reference;
mod scatter;
mod spin;
mod tellme;
mod x_boundary;
