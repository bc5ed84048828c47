//! DeepScan's numbers of a layer, and companions that do not depend on the scale of the residual stream.

use super::Layer;
use super::classes::Geometry;
use crate::vectors::cosine;
use crate::{Error, probe, silhouette};

/// One layer's scores. Distances are in the activations' own unit, which differs between layers and by orders of
/// magnitude between model families: compare the companions, not the distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// ‖C_safe - C_harmful‖₂ (DeepScan).
    pub separation_score: f64,
    /// ‖C_boundary - C_safe‖ / ‖C_boundary - C_harmful‖ (DeepScan); below 1, boundary prompts lie with the safe ones.
    /// Infinite if the denominator is below 1e-9.
    pub boundary_ratio: f64,
    /// ‖C_boundary - C_safe‖₂ (DeepScan).
    pub dist_bound_safe: f64,
    /// ‖C_boundary - C_harmful‖₂ (DeepScan).
    pub dist_bound_harmful: f64,
    /// Cosine of the centroids C_safe and C_harmful as they are, -1 to 1; `None` if one is zero. Near 1 in most models,
    /// since all activations of a layer share a large mean.
    pub cosine_safe_harmful: Option<f64>,
    /// Cosine of C_boundary and C_safe.
    pub cosine_boundary_safe: Option<f64>,
    /// Cosine of C_boundary and C_harmful.
    pub cosine_boundary_harmful: Option<f64>,
    /// ‖C_safe - C_harmful‖² / (tr Σ_safe + tr Σ_harmful), Σ a class's covariance with n in the denominator: Fisher's
    /// criterion with traces, no inverse. At least 0, no unit; `None` if neither class has any scatter.
    pub fisher_ratio: Option<f64>,
    /// Mean silhouette of the harmful and the safe samples as two clusters, Euclidean, -1 to 1; see [`silhouette`].
    pub silhouette: f64,
    /// Mean silhouette with the boundary samples as third cluster.
    pub silhouette_three: f64,
    /// How well the direction from the safe to the harmful mean tells unseen harmful from unseen safe samples, 0.5 to 1
    /// for chance to perfect; see [`probe::difference_of_means`]. `None` below two samples in either class.
    pub auroc: Option<f64>,
    /// Mean norm of all vectors, in the activations' own unit.
    pub mean_norm: f64,
}

impl Layer<'_> {
    /// The scores under the true classes. `folds` is for [`Scores::auroc`]; usually [`probe::FOLDS`].
    ///
    /// # Errors
    /// [`Error::Parameter`] for fewer than two folds.
    pub fn scores(&self, folds: usize) -> Result<Scores, Error> {
        let members = &self.members;
        let geometry = Geometry::of(&self.gram, &members.harmful, &members.safe, &members.boundary);
        let centroid = |places: &[usize]| self.vectors.centroid(places).ok_or(Error::Empty);
        let (harmful, safe) = (centroid(&members.harmful)?, centroid(&members.safe)?);
        let boundary = centroid(&members.boundary)?;

        let distances = self.gram.distances();
        let labels = self.members.labels(self.vectors.count());
        let (pair, is_harmful) = (self.pair(), self.pair_is_harmful());
        let of_pair = distances.select_rows(&pair).select_columns(&pair);
        let pair_labels: Vec<u32> = is_harmful.iter().copied().map(u32::from).collect();

        let auroc = match probe::difference_of_means(&self.gram.select(&pair), &is_harmful, folds) {
            Ok(auroc) => Some(auroc),
            Err(Error::ClassTooSmall { .. }) => None,
            Err(other) => return Err(other),
        };
        Ok(Scores {
            separation_score: geometry.harmful_safe.sqrt(),
            boundary_ratio: geometry.boundary_ratio(),
            dist_bound_safe: geometry.boundary_safe.sqrt(),
            dist_bound_harmful: geometry.boundary_harmful.sqrt(),
            cosine_safe_harmful: cosine(&safe, &harmful),
            cosine_boundary_safe: cosine(&boundary, &safe),
            cosine_boundary_harmful: cosine(&boundary, &harmful),
            fisher_ratio: geometry.fisher_ratio(),
            silhouette: silhouette(&of_pair, &pair_labels)?,
            silhouette_three: silhouette(&distances, &labels)?,
            auroc,
            mean_norm: self.vectors.mean_norm(),
        })
    }

    /// The harmful and then the safe samples.
    pub(super) fn pair(&self) -> Vec<usize> {
        self.members.harmful.iter().chain(&self.members.safe).copied().collect()
    }

    /// For each of [`Self::pair`].
    pub(super) fn pair_is_harmful(&self) -> Vec<bool> {
        let harmful = self.members.harmful.len();
        (0..harmful + self.members.safe.len()).map(|place| place < harmful).collect()
    }
}
