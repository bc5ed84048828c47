//! X-Boundary: where a layer keeps harmful, safe and boundary-safe prompts (those that look harmful and are not).
//!
//! [`Layer`] takes one layer's vectors and their classes, computes all inner products once (m²·d) and answers from them:
//! DeepScan's distances between class centroids ([`Layer::scores`]), each sample's [place](Layer::places) between the
//! centroids, what permuted labels would give ([`Layer::null`]) and bootstrap [intervals](Layer::intervals). A
//! permutation costs m² for each of the probe's folds, a resample m².

mod classes;
mod intervals;
mod null;
mod scores;

pub use classes::Class;
pub use intervals::Intervals;
pub use null::Nulls;
pub use scores::Scores;

use classes::Members;

use crate::{Error, Gram, Vectors};

/// One layer's vectors, by class.
#[derive(Clone, Debug)]
pub struct Layer<'a> {
    vectors: &'a Vectors,
    members: Members,
    gram: Gram,
}

impl<'a> Layer<'a> {
    /// One class per vector, in any order; each of the three must occur.
    ///
    /// # Errors
    /// [`Error::Labels`], [`Error::ClassTooSmall`].
    pub fn new(vectors: &'a Vectors, classes: &[Class]) -> Result<Self, Error> {
        vectors.check_labels(classes.len())?;
        let members = Members::new(classes)?;
        Ok(Self { vectors, members, gram: Gram::new(vectors) })
    }

    /// Where each sample lies on the line through the centroids: 0 at the safe one, 1 at the harmful one, beyond either
    /// below 0 or above 1. (h - C_safe)·(C_harmful - C_safe) / ‖C_harmful - C_safe‖², in the order of the samples.
    ///
    /// The centroids contain the sample itself, which draws it towards its own class by about 1/n of the spread along
    /// the line.
    ///
    /// # Errors
    /// [`Error::Constant`] if the two centroids are the same point.
    pub fn places(&self) -> Result<Vec<f64>, Error> {
        let harmful = self.vectors.centroid(&self.members.harmful).ok_or(Error::Empty)?;
        let safe = self.vectors.centroid(&self.members.safe).ok_or(Error::Empty)?;
        let across = &harmful - &safe;
        let square = across.norm_squared();
        if square <= 0.0 {
            return Err(Error::Constant { vectors: self.vectors.count() });
        }
        let start = safe.dot(&across);
        Ok(self
            .vectors
            .columns()
            .column_iter()
            .map(|sample| (sample.dot(&across) - start) / square)
            .collect())
    }
}
