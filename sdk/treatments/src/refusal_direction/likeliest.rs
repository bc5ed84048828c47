//! A next-token distribution of which the likeliest tokens are known: what a host tells of it.

use std::collections::BTreeMap;

use super::Error;
use super::kl::term;

/// The probabilities of some tokens of a vocabulary. The others share what is left over evenly. With all tokens listed
/// nothing is left over, and everything here is exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeliest {
    vocabulary: usize,
    listed: BTreeMap<u32, f64>,
    left_over: f64,
}

impl Likeliest {
    /// Of natural-log probabilities by token.
    ///
    /// # Errors
    /// A token past the vocabulary, a log-probability that is NaN or above 0 by more than rounding.
    pub fn new(vocabulary: usize, logprobs: impl IntoIterator<Item = (u32, f64)>) -> Result<Self, Error> {
        let mut listed = BTreeMap::new();
        for (place, (token, logprob)) in logprobs.into_iter().enumerate() {
            if !usize::try_from(token).is_ok_and(|token| token < vocabulary) {
                return Err(Error::Token { token, vocabulary });
            }
            if logprob.is_nan() || logprob > 1e-3 {
                return Err(Error::NotFinite { what: "log-probabilities", place, value: logprob });
            }
            listed.insert(token, logprob.exp());
        }
        let known: f64 = listed.values().sum();
        let left_over = if listed.len() < vocabulary { (1.0 - known).max(0.0) } else { 0.0 };
        Ok(Self { vocabulary, listed, left_over })
    }

    /// The probability of the tokens that are not listed, all together: what is not known.
    pub fn left_over(&self) -> f64 {
        self.left_over
    }

    /// [`kl_divergence`](super::kl_divergence) from this distribution to a changed model's, over the whole vocabulary.
    ///
    /// # Errors
    /// Vocabularies of unequal size.
    pub fn kl_divergence(&self, changed: &Self) -> Result<f64, Error> {
        if self.vocabulary != changed.vocabulary {
            let what = "vocabulary of the changed model";
            return Err(Error::Length { what, found: changed.vocabulary, expected: self.vocabulary });
        }
        let (p_rest, q_rest) = (self.unlisted(), changed.unlisted());
        let here = self
            .listed
            .iter()
            .map(|(token, p)| term(*p, changed.listed.get(token).copied().unwrap_or(q_rest)));
        let only_there: Vec<f64> = changed
            .listed
            .iter()
            .filter(|(token, _)| !self.listed.contains_key(token))
            .map(|(_, q)| term(p_rest, *q))
            .collect();
        let neither = self.vocabulary.saturating_sub(self.listed.len() + only_there.len());
        Ok(here.sum::<f64>() + only_there.iter().sum::<f64>() + neither as f64 * term(p_rest, q_rest))
    }

    /// Of each token that is not listed.
    fn unlisted(&self) -> f64 {
        match self.vocabulary - self.listed.len() {
            0 => 0.0,
            unlisted => self.left_over / unlisted as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal_direction::kl_divergence;

    fn of(probabilities: &[(u32, f64)]) -> Likeliest {
        Likeliest::new(5, probabilities.iter().map(|(token, p)| (*token, p.ln()))).unwrap()
    }

    #[test]
    fn with_every_token_listed_the_divergence_is_that_of_the_whole_vocabulary() {
        let (p, q) = ([0.5, 0.1, 0.1, 0.2, 0.1], [0.2, 0.2, 0.05, 0.05, 0.5]);
        let listed = |numbers: [f64; 5]| of(&(0..).zip(numbers).collect::<Vec<_>>());
        let found = listed(p).kl_divergence(&listed(q)).unwrap();
        // Sums of five terms in another order: rounding only.
        assert!((found - kl_divergence(&p, &q).unwrap()).abs() < 1e-14);
        assert_eq!(listed(p).left_over(), 0.0);
    }

    #[test]
    fn tokens_that_are_not_listed_share_what_is_left_over() {
        let (p, q) = (of(&[(4, 0.6), (1, 0.1)]), of(&[(0, 0.7), (4, 0.2)]));
        let found = p.kl_divergence(&q).unwrap();
        let third = 0.1 / 3.0;
        let expected = kl_divergence(&[0.1, 0.1, 0.1, 0.1, 0.6], &[0.7, third, third, third, 0.2]).unwrap();
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        assert!((p.left_over() - 0.3).abs() < 1e-15);
    }

    #[test]
    fn a_list_that_cannot_be_true_is_refused() {
        assert_eq!(Likeliest::new(5, [(5, -1.0)]), Err(Error::Token { token: 5, vocabulary: 5 }));
        assert!(matches!(Likeliest::new(5, [(1, f64::NAN)]), Err(Error::NotFinite { .. })));
        assert!(matches!(Likeliest::new(5, [(1, 0.5)]), Err(Error::NotFinite { .. })));
        let other = Likeliest::new(4, [(1, -1.0)]).unwrap();
        assert!(matches!(of(&[(1, 0.5)]).kl_divergence(&other), Err(Error::Length { .. })));
    }
}
