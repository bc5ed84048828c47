//! Seeded permutations and resamples, and what becomes of them: null distributions and percentile intervals. Every
//! diagnostic that states an uncertainty comes here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Room for rounding when a permuted statistic is compared with the observed one, relative to the latter: the same
/// division of the samples, summed in another order, must count as a tie.
const TIE: f64 = 1e-9;

/// Draws from a seed. Its draws are written out here, so that they stay the same whatever a library does later.
#[derive(Clone, Debug)]
pub struct Resampler {
    rng: ChaCha8Rng,
}

impl Resampler {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// An index below `n`; 0 if `n` is 0. The bias of multiply-and-shift is below n / 2⁶⁴.
    pub fn draw(&mut self, n: usize) -> usize {
        ((u128::from(self.rng.next_u64()) * n as u128) >> 64) as usize
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates, Durstenfeld's form).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.draw(last + 1);
            items.swap(last, chosen);
        }
    }

    /// Shuffles `order`, which holds the numbers below its length, and deals its first `positives` samples to the positive
    /// class: whether each sample, by number, is in it.
    ///
    /// For statistics that depend on the samples' order, as one with folds, take the shuffled order too: one in which
    /// the true classes still stand together is no part of a null.
    pub fn deal(&mut self, order: &mut [usize], positives: usize) -> Vec<bool> {
        self.shuffle(order);
        let mut is_positive = vec![false; order.len()];
        for &sample in order.iter().take(positives) {
            if let Some(dealt) = is_positive.get_mut(sample) {
                *dealt = true;
            }
        }
        is_positive
    }

    /// How often each of `n` samples is drawn in a resample of n with replacement.
    pub fn multiplicities(&mut self, n: usize) -> Vec<u32> {
        let mut counts = vec![0; n];
        for _ in 0..n {
            if let Some(count) = counts.get_mut(self.draw(n)) {
                *count += 1;
            }
        }
        counts
    }
}

/// An observed statistic against what permuted labels give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Null {
    /// The statistic under the true labels.
    pub observed: f64,
    /// Mean under permuted labels.
    pub mean: f64,
    /// Standard deviation under permuted labels (n - 1 in the denominator).
    pub sd: f64,
    /// (observed - mean) / sd; `None` if all permutations gave the same.
    pub z: Option<f64>,
    /// (1 + permutations at least as extreme) / (1 + permutations), so never zero (Phipson & Smyth 2010).
    pub p: f64,
    /// Permutations that gave a number.
    pub permutations: usize,
}

impl Null {
    /// One-sided: large values are extreme. `None` if no permutation gave a number or the observed one is none.
    pub fn upper(observed: f64, permuted: &[f64]) -> Option<Self> {
        let room = TIE * observed.abs();
        Self::counting(observed, permuted, |value| value >= observed - room)
    }

    /// Two-sided about zero: values far from zero are extreme. For statistics that are symmetric about zero when the
    /// labels say nothing, as a log ratio of two distances.
    pub fn two_sided(observed: f64, permuted: &[f64]) -> Option<Self> {
        let room = TIE * observed.abs();
        Self::counting(observed, permuted, |value| value.abs() >= observed.abs() - room)
    }

    fn counting(observed: f64, permuted: &[f64], extreme: impl Fn(f64) -> bool) -> Option<Self> {
        let values: Vec<f64> = permuted.iter().copied().filter(|value| value.is_finite()).collect();
        if values.is_empty() || !observed.is_finite() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = (squares / (count - 1.0).max(1.0)).sqrt();
        let beyond = values.iter().filter(|&&value| extreme(value)).count() as f64;
        Some(Self {
            observed,
            mean,
            sd,
            z: (sd > TIE * mean.abs()).then(|| (observed - mean) / sd),
            p: (1.0 + beyond) / (1.0 + count),
            permutations: values.len(),
        })
    }
}

/// The central 95 % of resampled numbers, interpolated linearly between neighbours (NumPy's default quantile, type 7 of
/// Hyndman & Fan 1996). `None` if fewer than 40 are finite, which say nothing about a tail of 2.5 %.
pub fn percentile_interval(resampled: &[f64]) -> Option<[f64; 2]> {
    let mut numbers: Vec<f64> = resampled.iter().copied().filter(|value| value.is_finite()).collect();
    if numbers.len() < 40 {
        return None;
    }
    numbers.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * (numbers.len() - 1) as f64;
        let below = numbers.get(place.floor() as usize)?;
        let above = numbers.get(place.ceil() as usize)?;
        Some(below + (above - below) * place.fract())
    };
    Some([quantile(0.025)?, quantile(0.975)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_is_what_its_definition_says() {
        // numpy: mean 2.5, std(ddof=1) 1.2909944487358056, (4 - 2.5) / std 1.161895003862225; one of four reaches 4.
        let null = Null::upper(4.0, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((null.mean - 2.5).abs() < 1e-12 && (null.sd - 1.290_994_448_735_805_6).abs() < 1e-12);
        assert!((null.z.unwrap() - 1.161_895_003_862_225).abs() < 1e-12 && (null.p - 0.4).abs() < 1e-12);
        assert!((Null::two_sided(-2.0, &[1.0, -3.0, 2.5, 0.0]).unwrap().p - 0.6).abs() < 1e-12);
    }

    #[test]
    fn a_null_without_spread_has_no_z_and_a_null_of_nothing_is_none() {
        assert_eq!(Null::upper(1.0, &[1.0, 1.0]).unwrap().z, None);
        assert_eq!(Null::upper(1.0, &[]), None);
        assert_eq!(Null::upper(f64::NAN, &[1.0]), None);
        assert_eq!(Null::upper(1.0, &[f64::INFINITY]), None);
    }

    #[test]
    fn every_order_of_three_comes_equally_often() {
        let mut resampler = Resampler::new(1);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            resampler.shuffle(&mut items);
            *seen.entry(items).or_insert(0_i32) += 1;
        }
        // Binomial(6000, 1/6) has standard deviation 29; five of them.
        assert!(seen.len() == 6 && seen.values().all(|count| (count - 1000).abs() < 145), "{seen:?}");
    }

    #[test]
    fn dealing_keeps_the_classes_sizes_and_follows_the_order() {
        let mut order: Vec<usize> = (0..9).collect();
        let dealt = Resampler::new(4).deal(&mut order, 4);
        let first: std::collections::BTreeSet<usize> = order.iter().take(4).copied().collect();
        let positive = (0..9).filter(|&sample| dealt[sample]).collect();
        assert!(first == positive && order.len() == 9 && first.len() == 4);
    }

    #[test]
    fn a_resample_draws_as_many_as_there_are() {
        assert_eq!(Resampler::new(3).multiplicities(50).iter().sum::<u32>(), 50);
        assert!(Resampler::new(3).multiplicities(0).is_empty());
    }

    #[test]
    fn percentiles_are_numpys() {
        // np.percentile(range(1, 42), [2.5, 97.5]) = [2.0, 40.0]
        let numbers: Vec<f64> = (1..=41).rev().map(f64::from).collect();
        assert_eq!(percentile_interval(&numbers), Some([2.0, 40.0]));
        assert_eq!(percentile_interval(&[1.0; 39]), None);
    }
}
