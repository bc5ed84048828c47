//! The three classes, and which samples are in them.

use nalgebra::DVector;

use crate::vectors::places;
use crate::{Error, Gram};

/// What a prompt is. DeepScan's labels are 0, 1 and 2 in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for harm.
    Harmful,
    /// Harmless, and looks it.
    Safe,
    /// Harmless, and looks harmful.
    Boundary,
}

impl Class {
    /// Its name in a sentence and in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmful => "harmful",
            Self::Safe => "safe",
            Self::Boundary => "boundary",
        }
    }
}

/// The samples of each class, by place.
#[derive(Clone, Debug)]
pub(super) struct Members {
    /// Ascending, as the others.
    pub harmful: Vec<usize>,
    pub safe: Vec<usize>,
    pub boundary: Vec<usize>,
}

impl Members {
    pub fn new(classes: &[Class]) -> Result<Self, Error> {
        let of = |class: Class| {
            let found = places(classes, &class);
            if found.is_empty() {
                return Err(Error::ClassTooSmall { class: class.name().to_owned(), found: 0, needed: 1 });
            }
            Ok(found)
        };
        Ok(Self { harmful: of(Class::Harmful)?, safe: of(Class::Safe)?, boundary: of(Class::Boundary)? })
    }

    /// DeepScan's label of each of the samples.
    pub fn labels(&self, count: usize) -> Vec<u32> {
        let label = |place| match place {
            place if self.harmful.binary_search(&place).is_ok() => 0,
            place if self.safe.binary_search(&place).is_ok() => 1,
            _ => 2,
        };
        (0..count).map(label).collect()
    }
}

/// Squared distances between the three centroids, and the scatter of two classes, from inner products alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub harmful_safe: f64,
    pub boundary_safe: f64,
    pub boundary_harmful: f64,
    /// Mean squared distance of the harmful samples to their centroid, plus that of the safe ones to theirs.
    pub scatter: f64,
}

impl Geometry {
    /// `weights` are of the harmful, the safe and the boundary class: how often each of the m samples counts in it, more
    /// than zero in sum. Costs 5 m².
    pub fn new(gram: &Gram, mut weights: [DVector<f64>; 3]) -> Self {
        for class in &mut weights {
            *class /= class.sum();
        }
        let [harmful, safe, boundary] = &weights;
        let square = |one: &DVector<f64>, other: &DVector<f64>| {
            let apart = one - other;
            apart.dot(&(gram.products() * &apart)).max(0.0)
        };
        let squares = gram.products().diagonal();
        let scatter =
            |class: &DVector<f64>| (class.dot(&squares) - class.dot(&(gram.products() * class))).max(0.0);
        Self {
            harmful_safe: square(harmful, safe),
            boundary_safe: square(boundary, safe),
            boundary_harmful: square(boundary, harmful),
            scatter: scatter(harmful) + scatter(safe),
        }
    }

    /// Of these samples, each counted once.
    pub fn of(gram: &Gram, harmful: &[usize], safe: &[usize], boundary: &[usize]) -> Self {
        let weights = [harmful, safe, boundary].map(|members| {
            let counted = members.iter().map(|&member| (member, 1.0));
            weights(gram.count(), counted)
        });
        Self::new(gram, weights)
    }

    /// ‖C_b - C_s‖ / ‖C_b - C_h‖; infinite where DeepScan says so.
    pub fn boundary_ratio(&self) -> f64 {
        let below = self.boundary_harmful.sqrt();
        if below < 1e-9 { f64::INFINITY } else { self.boundary_safe.sqrt() / below }
    }

    /// See [`super::Scores::fisher_ratio`].
    pub fn fisher_ratio(&self) -> Option<f64> {
        (self.scatter > 0.0).then(|| self.harmful_safe / self.scatter)
    }
}

/// m weights, zero except for the samples named.
pub(super) fn weights(count: usize, named: impl Iterator<Item = (usize, f64)>) -> DVector<f64> {
    let mut weights = DVector::zeros(count);
    for (member, weight) in named {
        if let Some(of_member) = weights.get_mut(member) {
            *of_member = weight;
        }
    }
    weights
}
