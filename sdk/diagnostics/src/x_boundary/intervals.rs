//! How far the scores would move with other prompts of the same kinds.

use super::Layer;
use super::classes::{Geometry, weights};
use crate::resampling::{Resampler, percentile_interval};

/// 95 % percentile intervals of a stratified bootstrap: each class is resampled with replacement to its own size.
/// `None` for fewer than 40 resamples with a finite number.
///
/// A resampled distance is longer on average than the observed one, since a resample repeats samples: a distance close
/// to its null lies near the lower end of its interval or below. Trust the null where the two disagree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Of the separation score.
    pub separation_score: Option<[f64; 2]>,
    /// Of the boundary ratio.
    pub boundary_ratio: Option<[f64; 2]>,
    /// Of the distance from the boundary to the safe centroid.
    pub dist_bound_safe: Option<[f64; 2]>,
    /// Of the distance from the boundary to the harmful centroid.
    pub dist_bound_harmful: Option<[f64; 2]>,
    /// Of the Fisher ratio.
    pub fisher_ratio: Option<[f64; 2]>,
}

impl Layer<'_> {
    /// Resamples `resamples` times. The same seed draws the same samples on every layer.
    pub fn intervals(&self, resamples: usize, seed: u64) -> Intervals {
        let mut resampler = Resampler::new(seed);
        let mut drawn: [Vec<f64>; 5] = Default::default();
        for _ in 0..resamples {
            let weights =
                [&self.members.harmful, &self.members.safe, &self.members.boundary].map(|members| {
                    let counts = resampler.multiplicities(members.len()).into_iter().map(f64::from);
                    weights(self.gram.count(), members.iter().copied().zip(counts))
                });
            let geometry = Geometry::new(&self.gram, weights);
            let values = [
                geometry.harmful_safe.sqrt(),
                geometry.boundary_ratio(),
                geometry.boundary_safe.sqrt(),
                geometry.boundary_harmful.sqrt(),
                geometry.fisher_ratio().unwrap_or(f64::NAN),
            ];
            drawn.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
        }
        let [separation, ratio, bound_safe, bound_harmful, fisher] = &drawn;
        Intervals {
            separation_score: percentile_interval(separation),
            boundary_ratio: percentile_interval(ratio),
            dist_bound_safe: percentile_interval(bound_safe),
            dist_bound_harmful: percentile_interval(bound_harmful),
            fisher_ratio: percentile_interval(fisher),
        }
    }
}
