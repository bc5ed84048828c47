//! What the scores would be if harmful and safe prompts were the same to the model.

use super::Layer;
use super::classes::Geometry;
use crate::resampling::{Null, Resampler};
use crate::{Error, probe, silhouette};

/// Permutation nulls. The harmful and the safe samples are shuffled together and dealt anew to two classes of the same
/// sizes; boundary samples stay. A field is `None` where the observed score is not a finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nulls {
    /// Of the separation score; large is extreme. Its mean is what noise alone separates centroids of so few samples by.
    pub separation_score: Option<Null>,
    /// Of the natural logarithm of the boundary ratio, whose null is symmetric about zero; two-sided.
    pub ln_boundary_ratio: Option<Null>,
    /// Of the Fisher ratio; large is extreme.
    pub fisher_ratio: Option<Null>,
    /// Of the silhouette of harmful and safe; large is extreme.
    pub silhouette: Option<Null>,
    /// Of the probe's AUROC; large is extreme.
    pub auroc: Option<Null>,
}

impl Layer<'_> {
    /// Permutes `permutations` times. The same seed deals the same permutations on every layer of the same samples, so
    /// that layers can be compared.
    ///
    /// # Errors
    /// As [`Layer::scores`].
    pub fn null(&self, permutations: usize, folds: usize, seed: u64) -> Result<Nulls, Error> {
        let scores = self.scores(folds)?;
        let pair = self.pair();
        let gram = self.gram.select(&pair);
        let distances = gram.distances();
        let harmful = self.members.harmful.len();
        let folds = folds.min(harmful).min(self.members.safe.len());
        let mut order: Vec<usize> = (0..pair.len()).collect();
        let mut permuted: [Vec<f64>; 5] = Default::default();
        let mut resampler = Resampler::new(seed);
        for _ in 0..permutations {
            let is_harmful = resampler.deal(&mut order, harmful);
            let labelled = |class: bool| -> Vec<usize> {
                let places = pair.iter().zip(&is_harmful);
                places.filter(|&(_, &found)| found == class).map(|(&place, _)| place).collect()
            };
            let geometry =
                Geometry::of(&self.gram, &labelled(true), &labelled(false), &self.members.boundary);
            let labels: Vec<u32> = is_harmful.iter().copied().map(u32::from).collect();
            let values = [
                geometry.harmful_safe.sqrt(),
                geometry.boundary_ratio().ln(),
                geometry.fisher_ratio().unwrap_or(f64::NAN),
                silhouette(&distances, &labels)?,
                match scores.auroc {
                    Some(_) => probe::difference_of_means_in_order(&gram, &is_harmful, &order, folds),
                    None => f64::NAN,
                },
            ];
            permuted.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
        }
        let [separation, ln_ratio, fisher, silhouettes, aurocs] = &permuted;
        Ok(Nulls {
            separation_score: Null::upper(scores.separation_score, separation),
            ln_boundary_ratio: Null::two_sided(scores.boundary_ratio.ln(), ln_ratio),
            fisher_ratio: scores.fisher_ratio.and_then(|observed| Null::upper(observed, fisher)),
            silhouette: Null::upper(scores.silhouette, silhouettes),
            auroc: scores.auroc.and_then(|observed| Null::upper(observed, aurocs)),
        })
    }
}
