//! Treatments as files that other programs load.

mod draft;

pub use draft::{Draft, WriteError};
