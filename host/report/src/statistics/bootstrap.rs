//! Seeded percentile bootstrap: of a mean, and of whatever a plugin computes from resampled outcomes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::Interval;

/// Resamples behind the interval of a mean.
pub const RESAMPLES: usize = 2_000;

/// Values drawn per resample at most; more data than this is subsampled (see [`bootstrap_mean`]).
const MOST_DRAWS: usize = 10_000;

/// Share of resamples that may give no number before the interval is withheld.
const MOST_MISSING: f64 = 0.05;

/// Fewer resampled numbers than this say nothing about a 2.5 % tail.
const FEWEST_RESAMPLES: usize = 40;

/// An index below `n`. Written out so that the numbers stay the same whatever `rand` does in later versions; the bias of
/// multiply-and-shift is below n / 2⁶⁴.
pub(super) fn draw(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// The arithmetic mean; `None` of nothing, or if any value is not finite.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty() && sum.is_finite()).then(|| sum / values.len() as f64)
}

/// 95 % percentile interval of the mean from [`RESAMPLES`] resamples (Efron 1979).
///
/// Up to 10,000 values every resample draws as many as there are. Beyond, each draws 10,000 and its distance from the
/// mean is scaled by √(10,000 / n), the m-out-of-n bootstrap (Bickel, Götze & van Zwet 1997), so that the time stays
/// below half a second whatever `n`. `None` for fewer than two values, or if any is not finite.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Interval> {
    let centre = mean(values).filter(|_| values.len() > 1)?;
    let n = values.len();
    let draws = n.min(MOST_DRAWS);
    let scale = (draws as f64 / n as f64).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..draws).filter_map(|_| values.get(draw(&mut rng, n))).sum();
            let resampled = sum / draws as f64;
            if draws == n { resampled } else { centre + scale * (resampled - centre) }
        })
        .collect();
    percentile_interval(&means)
}

/// From the 2.5th to the 97.5th percentile of resampled numbers, interpolated linearly between neighbours (NumPy's
/// default, type 7 of Hyndman & Fan 1996).
///
/// A resample that gave no number is passed as NaN and left out. `None` when more than one in twenty did so, or when
/// fewer than 40 numbers are left.
pub fn percentile_interval(resampled: &[f64]) -> Option<Interval> {
    let mut numbers: Vec<f64> = resampled.iter().copied().filter(|value| value.is_finite()).collect();
    let missing = (resampled.len() - numbers.len()) as f64;
    if numbers.len() < FEWEST_RESAMPLES || missing > MOST_MISSING * resampled.len() as f64 {
        return None;
    }
    numbers.sort_by(f64::total_cmp);
    Some([quantile(&numbers, 0.025)?, quantile(&numbers, 0.975)?])
}

/// The quantile of sorted numbers.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

/// Draws whole sets of samples with replacement: index vectors for resampling a task's outcomes.
///
/// An iterator of vectors, each holding `n` indices below `n` in ascending order, so that a `summarize` that relies on
/// the dataset's order sees an order it knows. Gives nothing when `n` is 0.
#[derive(Clone, Debug)]
pub struct Resampler {
    rng: ChaCha8Rng,
    n: usize,
    left: usize,
}

impl Resampler {
    /// Resamples of `n` samples each.
    pub fn new(n: usize, resamples: usize, seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), n, left: if n == 0 { 0 } else { resamples } }
    }
}

impl Iterator for Resampler {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        self.left = self.left.checked_sub(1)?;
        let mut indices: Vec<usize> = (0..self.n).map(|_| draw(&mut self.rng, self.n)).collect();
        indices.sort_unstable();
        Some(indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWENTY: [f64; 20] = [
        0.12, 0.94, 0.33, 0.58, 0.71, 0.05, 0.88, 0.41, 0.27, 0.66, 0.99, 0.18, 0.53, 0.77, 0.36, 0.09, 0.84,
        0.61, 0.45, 0.22,
    ];

    fn assert_near(got: Option<Interval>, expected: Interval, tolerance: f64) {
        let [low, high] = got.unwrap();
        let [expected_low, expected_high] = expected;
        assert!((low - expected_low).abs() < tolerance, "{low} against {expected_low}");
        assert!((high - expected_high).abs() < tolerance, "{high} against {expected_high}");
    }

    #[test]
    fn interval_of_twenty_values_is_scipys_within_a_tenth_of_the_standard_error() {
        // scipy.stats.bootstrap(np.mean, method="percentile", n_resamples=1_000_000), scipy 1.17.1; standard error 0.0645.
        // A percentile from 2,000 resamples itself scatters by about 0.06 standard errors.
        for seed in 0..5 {
            assert_near(bootstrap_mean(&TWENTY, seed), [0.374, 0.626], 0.0097);
        }
    }

    #[test]
    fn interval_of_skewed_values_is_scipys_and_not_symmetric() {
        // exp(linspace(-2, 3, 40)): scipy as above gives [2.6305, 5.8602] around 4.1484, standard error 0.8272.
        let values: Vec<f64> = (0..40).map(|i| (-2.0 + 5.0 * f64::from(i) / 39.0).exp()).collect();
        let interval = bootstrap_mean(&values, 1);
        assert_near(interval, [2.6305, 5.8602], 0.13);
    }

    #[test]
    fn forty_thousand_values_have_the_analytic_interval() {
        // (0..40000) mod 100 / 100: mean 0.495, standard error 0.0014433 (numpy), hence 0.495 ± 1.96 · 0.0014433.
        let values: Vec<f64> = (0..40_000).map(|i| f64::from(i % 100) / 100.0).collect();
        assert_near(bootstrap_mean(&values, 3), [0.492_171, 0.497_829], 0.000_2);
    }

    #[test]
    fn one_hundred_thousand_values_take_less_than_half_a_second() {
        let values: Vec<f64> = (0..100_000).map(f64::from).collect();
        let start = std::time::Instant::now();
        assert!(bootstrap_mean(&values, 0).is_some());
        // The bound is half a second on an idle core; other tests may hold it.
        assert!(start.elapsed().as_secs_f64() < 2.0, "took {:?}", start.elapsed());
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_another_seed_does_not() {
        assert_eq!(bootstrap_mean(&TWENTY, 7), bootstrap_mean(&TWENTY, 7));
        assert_ne!(bootstrap_mean(&TWENTY, 7), bootstrap_mean(&TWENTY, 8));
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(bootstrap_mean(&[0.5], 0), None);
    }

    #[test]
    fn a_value_that_is_no_number_has_no_interval() {
        assert_eq!(bootstrap_mean(&[0.5, f64::NAN, 0.1], 0), None);
    }

    #[test]
    fn percentiles_are_interpolated_as_numpy_does() {
        // np.percentile(range(1, 42), [2.5, 97.5]) = [2.0, 40.0]
        let numbers: Vec<f64> = (1..=41).rev().map(f64::from).collect();
        assert_near(percentile_interval(&numbers), [2.0, 40.0], 1e-12);
        // np.percentile([3, 1, 4, 1, 5, 9, 2, 6, 5, 3], [2.5, 97.5]) = [1.0, 8.325]
        let mut sorted = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0];
        sorted.sort_by(f64::total_cmp);
        assert!((quantile(&sorted, 0.975).unwrap() - 8.325).abs() < 1e-12);
    }

    #[test]
    fn an_interval_is_withheld_when_many_resamples_gave_no_number() {
        let mut numbers = vec![1.0; 95];
        numbers.extend([f64::NAN; 5]);
        assert_eq!(percentile_interval(&numbers), Some([1.0, 1.0]));
        numbers.push(f64::NAN);
        assert_eq!(percentile_interval(&numbers), None);
    }

    #[test]
    fn resamples_leave_out_each_sample_with_the_probability_of_the_bootstrap() {
        // A sample is missing from a resample with probability (1 - 1/n)^n; for n = 50 that is 0.364170.
        let resamples: Vec<Vec<usize>> = Resampler::new(50, 2_000, 11).collect();
        assert_eq!(resamples.len(), 2_000);
        let missing: usize =
            resamples.iter().map(|drawn| (0..50).filter(|index| !drawn.contains(index)).count()).sum();
        assert!((missing as f64 / 100_000.0 - 0.364_170).abs() < 0.005);
        assert!(resamples.iter().all(|drawn| drawn.len() == 50 && drawn.is_sorted()));
    }

    #[test]
    fn nothing_cannot_be_resampled() {
        assert_eq!(Resampler::new(0, 100, 0).count(), 0);
    }
}
