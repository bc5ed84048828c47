//! With which words this model's refusals begin, and how likely they are to come next.

use std::collections::BTreeMap;

use sonde_sdk::refusal::{ARDITI, PhraseList, XSTEST};
use sonde_sdk::{Error, Model, NextWord, Prompt, Sampling, ScoreRequest};
use sonde_treatments::refusal_direction::refusal_score_of_logprobs;

/// What tells a refusal: the authors' own list, and the openings of another, which know "Sorry, …".
const PHRASES: [&PhraseList; 2] = [&ARDITI, &XSTEST];
/// Tokens of a reply in which a phrase of refusal shows.
const ENOUGH: u32 = 32;
/// A first token counts where at least this share of the refusals begins with it.
const SHARE: f64 = 0.1;

/// Finds the first tokens of the model's refusals among its greedy replies to harmful prompts, as text. Each is checked:
/// it must be one token, and the one with which a reply began.
///
/// # Errors
/// No reply is a refusal, or the model thinks before it refuses.
pub fn first_words(model: &impl Model, prompts: &[Prompt]) -> Result<Vec<String>, Error> {
    let sampling = greedy(model, ENOUGH);
    let mut began: BTreeMap<u32, Vec<&Prompt>> = BTreeMap::new();
    for (prompt, reply) in prompts.iter().zip(model.generate(prompts, &sampling)) {
        let reply = reply?;
        if reply.reasoning.is_some() {
            return Err(Error::new(
                "the model thinks before it replies, so that the first word of its refusals is no sign of them; ask for \
                 `thinking: false`",
            ));
        }
        let refuses = PHRASES.iter().any(|list| list.find(&reply.text).is_some());
        if let Some(first) = reply.tokens.first().filter(|_| refuses) {
            began.entry(*first).or_default().push(prompt);
        }
    }
    let refusals: usize = began.values().map(Vec::len).sum();
    let mut words = Vec::new();
    for (token, prompts) in began {
        if (prompts.len() as f64) < SHARE * refusals as f64 {
            continue;
        }
        if let Some(prompt) = prompts.first() {
            words.extend(word(model, prompt, token)?);
        }
    }
    if words.is_empty() {
        let asked = prompts.len();
        return Err(format!(
            "the model refuses {refusals} of {asked} harmful prompts with a known phrase, and no first word of its \
             refusals could be found; give them with `refusal_words`, or use prompts that it refuses"
        )
        .into());
    }
    Ok(words)
}

/// The text of a token that begins the reply to this prompt, if it can be told by its text.
fn word(model: &impl Model, prompt: &Prompt, token: u32) -> Result<Option<String>, Error> {
    let text = model.render(&Prompt::Tokens(vec![token]))?;
    // Some tokenizers put a space in front of a word that begins a text, and write it out when they are asked.
    let spellings: Vec<String> = [text.as_str(), text.trim_start()]
        .into_iter()
        .filter(|spelling| !spelling.is_empty())
        .map(str::to_owned)
        .collect();
    if spellings.is_empty() {
        return Ok(None);
    }
    let scores = model.compare(prompt.clone(), spellings.clone())?;
    let found = spellings.into_iter().zip(scores);
    Ok(found
        .filter(|(_, score)| score.is_greedy && score.token_logprobs.len() == 1)
        .map(|(text, _)| text)
        .next())
}

/// That the words' first tokens differ, so that none is counted twice.
///
/// # Errors
/// A word that stands there twice, or two that begin alike.
pub fn check(model: &impl Model, prompt: &Prompt, words: &[String]) -> Result<(), Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let twice =
        words.iter().enumerate().find(|(at, word)| words.iter().take(*at).any(|other| other == *word));
    if let Some((_, word)) = twice {
        return Err(format!("`refusal_words` names \"{word}\" twice").into());
    }
    NextWord::by_first_token(model, prompt.clone(), &words).map(|_| ())
}

/// The refusal score of each prompt. NaN where the model's probabilities are.
///
/// # Errors
/// What the host cannot do.
pub fn scores(model: &impl Model, prompts: &[Prompt], words: &[String]) -> Result<Vec<f64>, Error> {
    let request = |prompt: &Prompt| ScoreRequest { prompt: prompt.clone(), continuations: words.to_vec() };
    let requests: Vec<_> = prompts.iter().map(request).collect();
    let answers = model.score(&requests);
    if answers.len() != prompts.len() {
        return Err(
            format!("asked for the scores of {} prompts and got {}", prompts.len(), answers.len()).into()
        );
    }
    let mut scores = Vec::with_capacity(answers.len());
    for answer in answers {
        let answer = answer?;
        let first = answer.iter().map(|score| score.token_logprobs.first().map(|p| f64::from(*p)));
        let logprobs: Option<Vec<f64>> = first.collect();
        let logprobs = logprobs.filter(|logprobs| logprobs.len() == words.len());
        scores.push(refusal_score_of_logprobs(logprobs.ok_or("a refusal word has no token to score")?));
    }
    Ok(scores)
}

/// The likeliest token each time, whatever the run's settings are.
pub fn greedy(model: &impl Model, max_tokens: u32) -> Sampling {
    Sampling {
        max_tokens,
        temperature: 0.0,
        repetition_penalty: 1.0,
        stop: Vec::new(),
        grammar: None,
        logprobs: None,
        ..model.sampling()
    }
}
