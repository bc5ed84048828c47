//! The coupling that two unrelated objectives would have.

use statrs::function::factorial::ln_binomial;

use super::{Counts, ModuleCoupling};

/// Expected coupling if each matrix's two sets were drawn at random and independently: hypergeometric in each matrix,
/// independent between matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Expected number of coupled weights, Σ first · second / weights.
    pub mean: f64,
    /// Standard deviation of that number.
    pub sd: f64,
    /// Natural logarithm of the probability of at least as many coupled weights as were found; a logarithm because the
    /// probability is often below what a float can hold. Exact for one matrix. For several it is an upper bound, so
    /// that the evidence is never overstated: Chernoff's for a sum of independent indicators, of which a hypergeometric
    /// number is one (Vatutin & Mikhailov 1982): x - mean - x ln(x/mean) for x > mean, else 0.
    pub ln_p: f64,
    /// Whether `ln_p` is exact.
    pub exact: bool,
}

impl Chance {
    /// Of one matrix.
    pub(super) fn of_matrix(counts: Counts) -> Self {
        let Counts { first, second, coupled, weights } = counts;
        if weights == 0 {
            return Self { mean: 0.0, sd: 0.0, ln_p: 0.0, exact: true };
        }
        let [first_, second_, weights_] = [first, second, weights].map(|count| count as f64);
        let share = first_ / weights_;
        let mean = second_ * share;
        let variance = mean * (1.0 - share) * (weights_ - second_) / (weights_ - 1.0).max(1.0);
        Self {
            mean,
            sd: variance.max(0.0).sqrt(),
            ln_p: ln_tail(first, second, coupled, weights),
            exact: true,
        }
    }

    /// Of several matrices together.
    pub(super) fn of_sum<'a>(modules: impl IntoIterator<Item = &'a ModuleCoupling>) -> Self {
        let (mut mean, mut variance, mut coupled, mut seen) = (0.0, 0.0, 0, 0);
        let mut only = Self { mean: 0.0, sd: 0.0, ln_p: 0.0, exact: true };
        for module in modules {
            mean += module.chance.mean;
            variance += module.chance.sd.powi(2);
            coupled += module.counts.coupled;
            only = module.chance;
            seen += 1;
        }
        if seen < 2 {
            return only;
        }
        let found = coupled as f64;
        let ln_p = if found > mean { found - mean - found * (found / mean).ln() } else { 0.0 };
        Self { mean, sd: variance.sqrt(), ln_p, exact: false }
    }
}

/// ln P(X ≥ coupled) of the hypergeometric distribution.
fn ln_tail(first: u64, second: u64, coupled: u64, weights: u64) -> f64 {
    if coupled <= (first + second).saturating_sub(weights) {
        return 0.0;
    }
    let largest = first.min(second);
    if coupled > largest {
        return f64::NEG_INFINITY;
    }
    let ln_least = ln_binomial(first, coupled) + ln_binomial(weights - first, second - coupled)
        - ln_binomial(weights, second);
    // The tail relative to its first term; terms grow up to the mode and then fall faster and faster.
    let (mut term, mut sum, mut scale) = (1.0_f64, 1.0_f64, 0.0_f64);
    for x in coupled..largest {
        let up = (first - x) as f64 * (second - x) as f64;
        let down = (x + 1) as f64 * ((weights - first) as f64 - second as f64 + x as f64 + 1.0);
        term *= up / down;
        sum += term;
        if up < down && term < 1e-18 * sum {
            break;
        }
        if sum > 1e200 {
            term /= 1e200;
            sum /= 1e200;
            scale += 200.0 * std::f64::consts::LN_10;
        }
    }
    (ln_least + sum.ln() + scale).min(0.0)
}
