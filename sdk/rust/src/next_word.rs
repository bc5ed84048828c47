//! Which of a few words comes next: verdicts read from a model's next-token distribution, without generating.

use crate::{ContinuationScore, Error, Model, Prompt, ScoreRequest};

/// How likely each of a few words is to come next.
#[derive(Clone, Debug, PartialEq)]
pub struct NextWord {
    probabilities: Vec<f64>,
    /// Log-probabilities, so that shares of very unlikely words keep their digits.
    logprobs: Vec<f64>,
}

impl NextWord {
    /// By the words' first tokens, as published judges do that compare logits. The tokens must differ.
    ///
    /// # Errors
    /// When the host gives no answer, or the tokenizer begins two of the words alike.
    pub fn by_first_token(model: &impl Model, prompt: Prompt, words: &[&str]) -> Result<Self, Error> {
        let continuations = words.iter().map(|&word| word.to_owned()).collect();
        Self::of_first_tokens(&model.compare(prompt, continuations)?, words)
    }

    /// [`NextWord::by_first_token`] for several prompts, which are computed together.
    ///
    /// # Errors
    /// The first one, when there is one.
    pub fn by_first_token_of_each(
        model: &impl Model,
        prompts: Vec<Prompt>,
        words: &[&str],
    ) -> Result<Vec<Self>, Error> {
        let continuations: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let request = |prompt| ScoreRequest { prompt, continuations: continuations.clone() };
        let requests: Vec<_> = prompts.into_iter().map(request).collect();
        let answers = model.score(&requests);
        if answers.len() != requests.len() {
            let (asked, got) = (requests.len(), answers.len());
            return Err(format!("asked for the scores of {asked} prompts and got {got}").into());
        }
        answers.into_iter().map(|scores| Self::of_first_tokens(&scores?, words)).collect()
    }

    /// By whole words that may be spelt in several ways ("safe", "\n\nsafe"): a word's probability is the sum over its
    /// spellings. No spelling may begin with another one.
    ///
    /// # Errors
    /// When the host gives no answer.
    pub fn by_spellings(model: &impl Model, prompt: Prompt, words: &[&[&str]]) -> Result<Self, Error> {
        let continuations = words.iter().copied().flatten().map(|&spelling| spelling.to_owned()).collect();
        let scores = model.compare(prompt, continuations)?;
        let mut scores = scores.iter().map(|score| f64::from(score.logprob));
        let of_word =
            |spellings: &&[&str]| log_sum(&scores.by_ref().take(spellings.len()).collect::<Vec<_>>());
        Ok(Self::new(words.iter().map(of_word).collect()))
    }

    fn of_first_tokens(scores: &[ContinuationScore], words: &[&str]) -> Result<Self, Error> {
        if scores.len() != words.len() {
            return Err(format!("asked for {} scores and got {}", words.len(), scores.len()).into());
        }
        let first = |score: &ContinuationScore| score.token_logprobs.first().copied().filter(|p| !p.is_nan());
        let logprobs = scores
            .iter()
            .map(|score| {
                first(score).ok_or_else(|| Error::new("a word has no first token with a probability"))
            })
            .collect::<Result<Vec<f32>, Error>>()?;
        // The contract gives no token ids. Two words with the same first token have the same number there, to the last
        // bit, and cannot both end with it.
        let alike = |one: usize, other: usize| {
            let same = |at: usize| logprobs.get(at).filter(|p| p.is_finite()).map(|p| p.to_bits());
            let longer = |at: usize| scores.get(at).is_some_and(|score| score.token_logprobs.len() > 1);
            same(one).is_some() && same(one) == same(other) && (longer(one) || longer(other))
        };
        let pairs = (0..words.len()).flat_map(|one| (one + 1..words.len()).map(move |other| (one, other)));
        let twins = pairs.into_iter().find(|(one, other)| alike(*one, *other));
        if let Some((one, other)) = twins {
            let word = |at: usize| words.get(at).copied().unwrap_or_default();
            return Err(format!(
                "this model's tokenizer seems to begin \"{}\" and \"{}\" with the same token, so the next token does \
                 not tell them apart; use a model with the published tokenizer, or let the judge write its answer",
                word(one),
                word(other)
            )
            .into());
        }
        Ok(Self::new(logprobs.into_iter().map(f64::from).collect()))
    }

    fn new(logprobs: Vec<f64>) -> Self {
        Self { probabilities: logprobs.iter().map(|logprob| logprob.exp()).collect(), logprobs }
    }

    /// The probability of a word, counted from 0, among everything that could come next.
    pub fn probability(&self, word: usize) -> f64 {
        self.probabilities.get(word).copied().unwrap_or_default()
    }

    /// The probability that it is one of the words at all.
    pub fn together(&self) -> f64 {
        self.probabilities.iter().sum()
    }

    /// Whether the words hold less than half of the probability: the model is about to say something else, and what
    /// their shares tell is not its judgement.
    pub fn says_something_else(&self) -> bool {
        self.together() < 0.5
    }

    /// The probabilities of the words among themselves (softmax of their logits); they sum to 1.
    pub fn shares(&self) -> Vec<f64> {
        let all = log_sum(&self.logprobs);
        self.logprobs.iter().map(|logprob| (logprob - all).exp()).collect()
    }

    /// The likeliest word, the first of equals.
    pub fn likeliest(&self) -> usize {
        let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
        self.logprobs.iter().copied().enumerate().reduce(better).map_or(0, |(word, _)| word)
    }
}

/// ln Σ exp.
fn log_sum(logprobs: &[f64]) -> f64 {
    let largest = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + logprobs.iter().map(|logprob| (logprob - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{MockHost, scores};
    use crate::{Host, HostError};

    fn ask<const N: usize>(logprobs: [f32; N], words: &[&str]) -> Result<NextWord, Error> {
        let host = MockHost::new().scores("judge", move |_| Ok(scores(logprobs)));
        NextWord::by_first_token(&host.model("judge").unwrap(), Prompt::plain("Answer:"), words)
    }

    #[test]
    fn shares_are_the_softmax_of_the_words_logits() {
        // Logits (1.2, −.3) differ by 1.5: 1 / (1 + exp(−1.5)) = .817574476194.
        let next = ask([-0.25, -1.75], &["Yes", "No"]).unwrap();
        assert!((next.shares()[0] - 0.817_574_476_194).abs() < 1e-12, "{next:?}");
        assert!((next.shares().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(next.likeliest(), 0);
        assert!((next.probability(0) - (-0.25_f64).exp()).abs() < 1e-12);
        // ThinkSafe's guard decision; the log-probabilities are 32-bit floats.
        let guard = ask([-0.2, -1.9], &["safe", "unsafe"]).unwrap();
        assert!((guard.shares()[0] - 0.845_534_734_916_465_2).abs() < 1e-7, "{guard:?}");
        assert_eq!((guard.likeliest(), guard.says_something_else()), (0, false));
    }

    #[test]
    fn words_with_less_than_half_of_the_probability_are_no_judgement() {
        assert!(ask([0.2_f32.ln(), 0.1_f32.ln()], &["Yes", "No"]).unwrap().says_something_else());
        assert!(!ask([0.4_f32.ln(), 0.2_f32.ln()], &["Yes", "No"]).unwrap().says_something_else());
    }

    #[test]
    fn only_the_first_token_of_a_word_counts() {
        let host = MockHost::new().scores("judge", |_| {
            let score = |token_logprobs: Vec<f32>| ContinuationScore {
                logprob: token_logprobs.iter().sum(),
                token_logprobs,
                is_greedy: false,
            };
            Ok(vec![score(vec![-0.5, -9.0]), score(vec![-1.0])])
        });
        let model = host.model("judge").unwrap();
        let next = NextWord::by_first_token(&model, Prompt::plain("Answer:"), &["unsafe", "safe"]).unwrap();
        assert_eq!(next.likeliest(), 0);
    }

    #[test]
    fn words_that_begin_with_the_same_token_are_an_error_and_equal_probabilities_are_not() {
        let with_rest = |rest: &'static [f32]| {
            let host = MockHost::new().scores("judge", move |_| {
                let mut both = scores([-1.0, -1.0]);
                both[0].token_logprobs.extend(rest);
                Ok(both)
            });
            let model = host.model("judge").unwrap();
            NextWord::by_first_token(&model, Prompt::plain("Answer:"), &["Yes", "Yeah"])
        };
        let error = with_rest(&[-0.5]).unwrap_err().to_string();
        assert!(error.contains("\"Yes\"") && error.contains("\"Yeah\""), "{error}");
        assert_eq!(with_rest(&[]).unwrap().shares(), [0.5, 0.5]);
    }

    #[test]
    fn the_spellings_of_a_word_add_up() {
        let host = MockHost::new().scores("judge", |request| {
            assert_eq!(request.continuations, ["safe", " safe", "unsafe"]);
            Ok(scores([0.25_f32.ln(), 0.125_f32.ln(), 0.5_f32.ln()]))
        });
        let model = host.model("judge").unwrap();
        let words: [&[&str]; 2] = [&["safe", " safe"], &["unsafe"]];
        let next = NextWord::by_spellings(&model, Prompt::plain("Answer:"), &words).unwrap();
        assert!((next.probability(0) - 0.375).abs() < 1e-7 && (next.probability(1) - 0.5).abs() < 1e-7);
        assert!((next.together() - 0.875).abs() < 1e-7);
        assert_eq!(next.likeliest(), 1);
    }

    #[test]
    fn several_prompts_are_asked_at_once_and_one_failure_is_an_error() {
        let mut rounds = 0;
        let host = MockHost::new().scores("judge", move |_| {
            rounds += 1;
            if rounds == 4 { Err(HostError::Engine("no memory".into())) } else { Ok(scores([-0.1, -3.0])) }
        });
        let model = host.model("judge").unwrap();
        let prompts = || vec![Prompt::plain("a"), Prompt::plain("b")];
        let found = NextWord::by_first_token_of_each(&model, prompts(), &["Yes", "No"]).unwrap();
        assert_eq!((found.len(), host.score_requests("judge").len()), (2, 2));
        assert!(NextWord::by_first_token_of_each(&model, prompts(), &["Yes", "No"]).is_err());
    }
}
