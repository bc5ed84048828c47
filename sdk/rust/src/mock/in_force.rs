//! What was changed in a scripted model.

use std::rc::Rc;

use super::MockModel;
use crate::{Intervention, RankOne};

/// The changes under which a handle of a scripted model answers, each kind in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// Of states.
    pub interventions: Vec<Intervention>,
    /// Of matrices.
    pub edits: Vec<RankOne>,
    /// The strength of each attached adapter.
    pub attached: Vec<f32>,
}

impl MockModel {
    /// Another handle, with more in force.
    pub(super) fn with(&self, change: impl FnOnce(&mut InForce)) -> Self {
        let mut in_force = self.in_force.clone();
        change(&mut in_force);
        Self { script: Rc::clone(&self.script), in_force }
    }
}
