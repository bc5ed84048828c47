//! A linear probe that needs no training: how well the direction between two class means tells unseen samples apart.

use nalgebra::DMatrix;

use crate::resampling::{Null, Resampler};
use crate::{Error, Gram};

/// Folds by default.
pub const FOLDS: usize = 5;

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann & Whitney
/// 1947). 0 to 1. `None` if either is empty or any score is not a number.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Option<f64> {
    let mut scores: Vec<(f64, bool)> = positive.iter().map(|&score| (score, true)).collect();
    scores.extend(negative.iter().map(|&score| (score, false)));
    if positive.is_empty() || negative.is_empty() || scores.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    scores.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in scores.chunk_by(|one, other| one.0 == other.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let negatives = tied.len() as f64 - positives;
        wins += positives * (below + negatives / 2.0);
        below += negatives;
    }
    Some(wins / (positive.len() as f64 * negative.len() as f64))
}

/// AUROC of the difference-of-means direction on samples that did not help to find it: the mean over folds of the fold's
/// AUROC, as scikit-learn's `cross_val_score(..., scoring="roc_auc")` averages it. About 0.5 where classes do not differ.
///
/// The i-th sample of each class goes to fold i mod k, k = `folds` or the size of the smaller class if that is less:
/// stratified, without a seed, and even where samples are sorted by some category. Costs k·m².
///
/// # Errors
/// [`Error::Labels`], [`Error::ClassTooSmall`] below two samples in a class, [`Error::Parameter`] for fewer than two
/// folds.
pub fn difference_of_means(gram: &Gram, positive: &[bool], folds: usize) -> Result<f64, Error> {
    let folds = folds_for(gram, positive, folds)?;
    let order: Vec<usize> = (0..positive.len()).collect();
    Ok(difference_of_means_in_order(gram, positive, &order, folds))
}

/// [`difference_of_means`] against samples dealt at random to two classes of the same sizes; large is extreme. Costs
/// k·m² a permutation.
///
/// # Errors
/// As [`difference_of_means`], and [`Error::Parameter`] for no permutation.
pub fn null(
    gram: &Gram,
    positive: &[bool],
    folds: usize,
    permutations: usize,
    seed: u64,
) -> Result<Null, Error> {
    let observed = difference_of_means(gram, positive, folds)?;
    let folds = folds_for(gram, positive, folds)?;
    let positives = positive.iter().filter(|&&class| class).count();
    let mut order: Vec<usize> = (0..positive.len()).collect();
    let mut resampler = Resampler::new(seed);
    let permuted: Vec<f64> = (0..permutations)
        .map(|_| {
            let dealt = resampler.deal(&mut order, positives);
            difference_of_means_in_order(gram, &dealt, &order, folds)
        })
        .collect();
    let allowed = "a null needs at least one permutation; 200 are usual";
    let value = permutations.to_string();
    Null::upper(observed, &permuted).ok_or(Error::Parameter { name: "permutations", value, allowed })
}

/// How many folds there can be.
fn folds_for(gram: &Gram, positive: &[bool], folds: usize) -> Result<usize, Error> {
    if gram.count() != positive.len() {
        return Err(Error::Labels { vectors: gram.count(), labels: positive.len() });
    }
    if folds < 2 {
        let allowed = "a probe needs at least two folds, one to learn from and one to be tested on";
        return Err(Error::Parameter { name: "folds", value: folds.to_string(), allowed });
    }
    let sizes = [false, true].map(|class| positive.iter().filter(|&&found| found == class).count());
    for (class, found) in ["negative", "positive"].into_iter().zip(sizes) {
        if found < 2 {
            return Err(Error::ClassTooSmall { class: class.to_owned(), found, needed: 2 });
        }
    }
    let [negatives, positives] = sizes;
    Ok(folds.min(negatives).min(positives))
}

/// The same with the samples of each class dealt to the folds in this `order`; there are at least `folds` of each class.
pub(crate) fn difference_of_means_in_order(
    gram: &Gram,
    positive: &[bool],
    order: &[usize],
    folds: usize,
) -> f64 {
    let fold_of = fold_of(positive, order, folds);
    // One column per fold: +1/n on the training positives, -1/n on the training negatives. The Gram matrix times it is
    // every sample's product with that fold's direction, up to a constant.
    let mut weights = DMatrix::zeros(positive.len(), folds);
    for (fold, mut column) in weights.column_iter_mut().enumerate() {
        let training = |class: bool| {
            let members = positive.iter().zip(&fold_of);
            members.filter(|&(&found, &at)| found == class && at != fold).count() as f64
        };
        let (up, down) = (1.0 / training(true), -1.0 / training(false));
        for (weight, (&class, &at)) in column.iter_mut().zip(positive.iter().zip(&fold_of)) {
            *weight = if at == fold {
                0.0
            } else if class {
                up
            } else {
                down
            };
        }
    }
    let scores = gram.products() * &weights;
    let mut sum = 0.0;
    for (fold, column) in scores.column_iter().enumerate() {
        let tested = |class: bool| -> Vec<f64> {
            let samples = column.iter().zip(positive.iter().zip(&fold_of));
            samples
                .filter(|&(_, (&found, &at))| found == class && at == fold)
                .map(|(&score, _)| score)
                .collect()
        };
        sum += auroc(&tested(true), &tested(false)).unwrap_or(0.5);
    }
    sum / folds as f64
}

/// Which fold each sample is tested in, where the samples are dealt in `order`.
fn fold_of(positive: &[bool], order: &[usize], folds: usize) -> Vec<usize> {
    let mut seen = [0_usize; 2];
    let mut fold_of = vec![0; positive.len()];
    for &sample in order {
        let (Some(fold), Some(&class)) = (fold_of.get_mut(sample), positive.get(sample)) else { continue };
        let [negatives, positives] = &mut seen;
        let count = if class { positives } else { negatives };
        *fold = *count % folds;
        *count += 1;
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        // sklearn.metrics.roc_auc_score([1,1,1,0,0], [3,2,2,2,1]) = 0.8333333333333333
        assert!((auroc(&[3.0, 2.0, 2.0], &[2.0, 1.0]).unwrap() - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(auroc(&[1.0; 4], &[1.0; 7]), Some(0.5));
        assert_eq!(auroc(&[], &[1.0]), None);
        assert_eq!(auroc(&[f64::NAN], &[1.0]), None);
    }
}
