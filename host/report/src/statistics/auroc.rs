//! How well one number tells two kinds of samples apart.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Interval;
use super::bootstrap::{RESAMPLES, draw, percentile_interval};

/// Area under the ROC curve: the probability that a number drawn from `positive` is larger than one drawn from
/// `negative`, ties counted half (Mann & Whitney 1947; Hanley & McNeil 1982). In 0..=1, 0.5 being chance. `None` if
/// either is empty or holds a number that is not finite.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Option<f64> {
    let ranked = Ranked::new(positive, negative)?;
    ranked.area(&vec![1; positive.len()], &vec![1; negative.len()])
}

/// 95 % percentile bootstrap interval of [`auroc`]; each kind is resampled by itself, so that both keep their number.
/// `None` where there is no area, or fewer than two of a kind.
pub fn bootstrap_auroc(positive: &[f64], negative: &[f64], seed: u64) -> Option<Interval> {
    let ranked = Ranked::new(positive, negative)?;
    if positive.len() < 2 || negative.len() < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = |n: usize| {
        let mut weights = vec![0_u32; n];
        for _ in 0..n {
            if let Some(weight) = weights.get_mut(draw(&mut rng, n)) {
                *weight += 1;
            }
        }
        weights
    };
    let areas: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let (ours, theirs) = (weights(positive.len()), weights(negative.len()));
            ranked.area(&ours, &theirs)
        })
        .collect();
    percentile_interval(&areas)
}

/// All numbers in ascending order, sorted once for all resamples.
struct Ranked {
    /// The number, whether it is positive, and its place among its kind.
    numbers: Vec<(f64, bool, usize)>,
}

impl Ranked {
    fn new(positive: &[f64], negative: &[f64]) -> Option<Self> {
        if positive.is_empty() || negative.is_empty() {
            return None;
        }
        let kind = |numbers: &[f64], is: bool| -> Vec<(f64, bool, usize)> {
            numbers.iter().enumerate().map(|(place, number)| (*number, is, place)).collect()
        };
        let mut numbers = kind(positive, true);
        numbers.extend(kind(negative, false));
        if numbers.iter().any(|(number, ..)| !number.is_finite()) {
            return None;
        }
        numbers.sort_by(|one, other| one.0.total_cmp(&other.0));
        Some(Self { numbers })
    }

    /// The area when each number counts so many times.
    fn area(&self, positive: &[u32], negative: &[u32]) -> Option<f64> {
        let (mut below, mut wins) = (0.0, 0.0);
        // −0 and 0 are one number.
        for equal in self.numbers.chunk_by(|one, other| one.0 == other.0) {
            let (mut ours, mut theirs) = (0.0, 0.0);
            for (_, is_positive, place) in equal {
                let (kind, sum) = if *is_positive { (positive, &mut ours) } else { (negative, &mut theirs) };
                *sum += f64::from(kind.get(*place).copied().unwrap_or_default());
            }
            wins += ours * (below + theirs / 2.0);
            below += theirs;
        }
        let total = |weights: &[u32]| weights.iter().map(|weight| f64::from(*weight)).sum::<f64>();
        let pairs = total(positive) * total(negative);
        (pairs > 0.0).then(|| wins / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIVE: [f64; 9] = [0.31, 0.12, 0.55, 0.47, 0.22, 0.47, 0.08, 0.66, 0.29];
    const NEGATIVE: [f64; 11] = [0.71, 0.47, 0.93, 0.88, 0.52, 0.66, 0.79, 0.31, 0.97, 0.61, 0.84];

    #[test]
    fn the_area_is_scikit_learns() {
        // sklearn.metrics.roc_auc_score([1] * 9 + [0] * 11, POSITIVE + NEGATIVE), scikit-learn 1.9.1.
        let area = 0.111_111_111_111_111_1;
        assert!((auroc(&POSITIVE, &NEGATIVE).unwrap() - area).abs() < 1e-12);
        assert!((auroc(&NEGATIVE, &POSITIVE).unwrap() - (1.0 - area)).abs() < 1e-12);
    }

    #[test]
    fn its_interval_is_scipys() {
        // scipy.stats.bootstrap over both samples (paired=False, method="percentile", n_resamples=200_000), scipy 1.17.1.
        // Areas are multiples of 1/198. Two such steps are allowed below, and above 0.022, three standard deviations of an
        // end from 2,000 resamples.
        for seed in 0..5 {
            let [low, high] = bootstrap_auroc(&POSITIVE, &NEGATIVE, seed).unwrap();
            assert!((low - 0.010_1).abs() < 0.0102 && (high - 0.277_8).abs() < 0.022, "{low} {high}");
        }
    }

    #[test]
    fn ties_count_half_and_nothing_has_no_area() {
        assert_eq!(auroc(&[0.5, 0.5], &[0.5]), Some(0.5));
        assert_eq!(auroc(&[-0.0], &[0.0]), Some(0.5));
        assert_eq!(auroc(&[], &[0.5]), None);
        assert_eq!(auroc(&[f64::NAN], &[0.5]), None);
        assert_eq!(bootstrap_auroc(&[0.1], &[0.5, 0.7], 0), None);
    }
}
