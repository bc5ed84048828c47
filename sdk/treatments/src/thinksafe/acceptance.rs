//! Why steering makes rejection sampling cheap: the paper's algebra.

/// The share of steered replies that refuse, where a share `a` of the plain ones does and steering multiplies the odds
/// of a refusal by `odds`: a' = ω a / (1 + (ω − 1) a).
pub fn acceptance(a: f64, odds: f64) -> f64 {
    odds * a / (1.0 + (odds - 1.0) * a)
}

/// The expected importance ratio of steered refusals against plain ones: a + (1 − a) / ω. The nearer to 1, the more
/// alike they are.
pub fn importance_ratio(a: f64, odds: f64) -> f64 {
    a + (1.0 - a) / odds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding.
    const TOLERANCE: f64 = 1e-15;

    /// T1 of the specification.
    #[test]
    fn steering_raises_the_acceptance_as_published() {
        let goldens = [
            (0.05, 19.0, 0.5, 0.1),
            (0.05, 100.0, 0.840_336_134_453_781_5, 0.0595),
            (0.5, 10.0, 0.909_090_909_090_909_1, 0.55),
        ];
        for (a, odds, accepted, ratio) in goldens {
            assert!((acceptance(a, odds) - accepted).abs() < TOLERANCE, "{a} {odds}");
            assert!((importance_ratio(a, odds) - ratio).abs() < TOLERANCE, "{a} {odds}");
        }
    }

    #[test]
    fn odds_of_one_change_nothing() {
        for a in [0.0, 0.05, 0.3, 1.0] {
            assert!((acceptance(a, 1.0) - a).abs() < TOLERANCE);
            assert!((importance_ratio(a, 1.0) - 1.0).abs() < TOLERANCE);
        }
    }
}
