//! Treatments: what a plugin derives for a model, as a file, in force in a run, and as the run file keeps it.

mod deriving;
mod file;
mod in_force;

use std::collections::BTreeMap;

pub use file::{Maker, Measurement, TreatedModel, TreatmentError, TreatmentFile};

pub(crate) use deriving::{derive, publish, write};
pub(crate) use in_force::{InForce, Treatments};

/// How names of treatment files end.
pub const EXTENSION: &str = "sonde-treatment";

/// The role that a treatment is for, unless something else is said.
pub(crate) const TARGET: &str = "target";

/// The role whose model a derivation changes: the target, or the first of its roles.
pub(crate) fn treated_role(models: &BTreeMap<String, String>) -> Option<&str> {
    models.keys().find(|role| *role == TARGET).or_else(|| models.keys().next()).map(String::as_str)
}
