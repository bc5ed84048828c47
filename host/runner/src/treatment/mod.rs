//! Treatments: what a plugin derived for a model, kept for later.

mod file;

pub use file::{Maker, Measurement, TreatedModel, TreatmentError, TreatmentFile};
