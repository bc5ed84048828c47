//! What a run lets a plugin import.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::World;

/// Names of the contract's interfaces that a plugin may import, such as `generation`. An interface that holds types
/// only (`types`, `results`) gives no power and needs no grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(pub BTreeSet<String>);

impl Grants {
    /// Every grant that exists.
    pub const KNOWN: [&str; 8] =
        ["generation", "judging", "log", "activations", "weights", "gradients", "reply-stream", "training"];

    /// What a plugin of this world may import unless the config says otherwise. All may ask models and log. Benchmarks
    /// and judges may ask judges. Judges may look into the model that the run gives them, weights included, and watch
    /// replies come about. Diagnostics may look at states; `weights` and `gradients` of a model under test hand out the
    /// model itself and need a grant in so many words. A treatment is there to change the model, and may do all that
    /// takes.
    #[must_use]
    pub fn of(world: World) -> Self {
        match world {
            World::Benchmark => Self::from_iter(["generation", "judging", "log"]),
            World::Judge => {
                Self::from_iter(["generation", "judging", "log", "activations", "weights", "reply-stream"])
            }
            World::Diagnostic => Self::from_iter(["generation", "activations", "log"]),
            World::Treatment => {
                Self::from_iter(["generation", "judging", "log", "activations", "weights", "training"])
            }
        }
    }

    /// Everything that exists.
    pub(crate) fn all() -> Self {
        Self::from_iter(Self::KNOWN)
    }

    /// Whether the interface is granted.
    #[must_use]
    pub fn allows(&self, interface: &str) -> bool {
        self.0.contains(interface)
    }
}

impl Default for Grants {
    /// Those of a benchmark.
    fn default() -> Self {
        Self::of(World::Benchmark)
    }
}

impl<S: Into<String>> FromIterator<S> for Grants {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(String::as_str).collect();
        write!(f, "[{}]", names.join(", "))
    }
}
