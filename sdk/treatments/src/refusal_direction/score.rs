//! The refusal score: how likely the reply is to begin as a refusal does.

use super::Error;

/// Keeps the score finite where a probability is 0 or 1: its range is ±18.42.
pub const SCORE_FLOOR: f64 = 1e-8;

/// ln(p + 1e-8) − ln(1 − p + 1e-8), with p the probability that the next token is one of those with which this model's
/// refusals begin. Above 0, a refusal is likelier than not.
///
/// # Errors
/// A token past the vocabulary, a logit that is no number.
pub fn refusal_score(logits: &[f64], tokens: &[u32]) -> Result<f64, Error> {
    let probabilities = softmax(logits)?;
    let mut probability = 0.0;
    for token in tokens {
        let found = usize::try_from(*token).ok().and_then(|place| probabilities.get(place));
        probability += found.ok_or(Error::Token { token: *token, vocabulary: logits.len() })?;
    }
    Ok(refusal_score_of_probability(probability))
}

/// The same, from the natural-log probabilities of those tokens. NaN where one is NaN, which the selection rejects.
pub fn refusal_score_of_logprobs(logprobs: impl IntoIterator<Item = f64>) -> f64 {
    refusal_score_of_probability(logprobs.into_iter().map(f64::exp).sum())
}

/// The same, from p. Rounding that takes p past 1 is taken back.
pub fn refusal_score_of_probability(probability: f64) -> f64 {
    let probability = if probability > 1.0 { 1.0 } else { probability };
    (probability + SCORE_FLOOR).ln() - (1.0 - probability + SCORE_FLOOR).ln()
}

/// exp(logit) / Σ exp(logit), without overflow. A logit of −∞ is a probability of 0.
///
/// # Errors
/// A logit that is NaN or +∞, and logits that are all −∞.
pub fn softmax(logits: &[f64]) -> Result<Vec<f64>, Error> {
    let what = "logits";
    let wrong = logits.iter().enumerate().find(|(_, logit)| logit.is_nan() || **logit == f64::INFINITY);
    if let Some((place, value)) = wrong {
        return Err(Error::NotFinite { what, place, value: *value });
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return Err(Error::NotFinite { what, place: 0, value: largest });
    }
    let mut numbers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = numbers.iter().sum();
    numbers.iter_mut().for_each(|number| *number /= sum);
    Ok(numbers)
}
