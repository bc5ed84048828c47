//! A request for training, checked and tokenized, before anything is computed.

use sonde_contract::{
    Chat, HostError, Lesson, Lora, Message, ModelInfo, Objective, Prompt, Role, Schedule, TrainRequest,
};

use crate::candle::names::Module;
use crate::candle::prompts::{Prompts, check_length, in_vocabulary};
use crate::inside::ids;
use crate::tokenize::Tokenize as _;

/// A lesson as tokens.
pub(crate) struct Sequence {
    /// Prompt, reply, and the token that ends the turn.
    pub tokens: Vec<u32>,
    /// Where the reply begins; at least 1.
    pub start: usize,
    pub objective: Objective,
}

/// What is to be learned, and how.
pub(crate) struct Course {
    pub lessons: Vec<Sequence>,
    pub lora: Lora,
    /// Without repeats, in the order in which a block has them.
    pub modules: Vec<Module>,
    pub schedule: Schedule,
}

fn wrong<T>(what: String) -> Result<T, HostError> {
    Err(HostError::InvalidArgument(what))
}

impl Course {
    /// Reads a request.
    pub(crate) fn read(
        request: TrainRequest,
        prompts: &Prompts,
        info: &ModelInfo,
    ) -> Result<Self, HostError> {
        let TrainRequest { lessons, lora, schedule } = request;
        check_schedule(&schedule)?;
        check_lora(&lora, info)?;
        let modules = modules(&lora.modules)?;
        if lessons.is_empty() {
            return wrong("there are no lessons to train on; give at least one".to_owned());
        }
        let Some(end) = turn_end(prompts, info) else {
            return Err(HostError::Unsupported(format!(
                "{} has no token that ends a turn, so no reply to it has an end to learn",
                info.name
            )));
        };
        let numbered = lessons.iter().enumerate();
        let lessons = numbered
            .map(|(number, lesson)| sequence(number + 1, lesson, end, prompts, info))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { lessons, lora, modules, schedule })
    }
}

/// The token that a reply ends with: the last one that ends a turn in a finished conversation as the model's own template
/// writes it. What a vocabulary itself calls the end of a turn can be a token that the model was never shown.
fn turn_end(prompts: &Prompts, info: &ModelInfo) -> Option<i32> {
    let said = |role, content: &str| Message { role, content: content.to_owned() };
    let chat = Chat {
        messages: vec![said(Role::User, "a"), said(Role::Assistant, "b")],
        thinking: None,
        prefill: None,
        open_reply: false,
    };
    let written = prompts.read(&Prompt::Chat(chat), info).map(|read| read.tokens).unwrap_or_default();
    let ends = |token: &i32| prompts.tokens.ends_turn(*token);
    written.into_iter().rev().find(ends).or_else(|| prompts.tokens.text_end())
}

fn sequence(
    number: usize,
    lesson: &Lesson,
    end: i32,
    prompts: &Prompts,
    info: &ModelInfo,
) -> Result<Sequence, HostError> {
    let prompt = prompts.read(&lesson.prompt, info)?.tokens;
    if prompt.is_empty() {
        return wrong(format!("the prompt of lesson {number} has no tokens; a reply needs one to follow"));
    }
    let reply = prompts.tokens.tokenize_on(&lesson.reply, true)?;
    if reply.is_empty() {
        return wrong(format!("the reply of lesson {number} has no tokens, so there is nothing to learn"));
    }
    let whole = [prompt.as_slice(), &reply, &[end]].concat();
    in_vocabulary(&whole, info)?;
    check_length(whole.len(), info)?;
    Ok(Sequence { tokens: ids(&whole), start: prompt.len(), objective: lesson.objective })
}

fn check_schedule(schedule: &Schedule) -> Result<(), HostError> {
    let Schedule { learning_rate, warmup, weight_decay, epochs, most_steps, batch, clip, seed: _ } = schedule;
    if !(learning_rate.is_finite() && *learning_rate > 0.0) {
        return wrong(format!("`learning-rate` is {learning_rate}; it must be a number above 0"));
    }
    if !(0.0..=1.0).contains(warmup) {
        return wrong(format!("`warmup` is {warmup}; it is a share of the steps, from 0 to 1"));
    }
    for (name, number) in [("weight-decay", weight_decay), ("clip", clip)] {
        if !(number.is_finite() && *number >= 0.0) {
            return wrong(format!("`{name}` is {number}; it must be a number from 0 on"));
        }
    }
    for (name, number) in [("epochs", Some(*epochs)), ("batch", Some(*batch)), ("most-steps", *most_steps)] {
        if number == Some(0) {
            return wrong(format!("`{name}` is 0; it must be at least 1"));
        }
    }
    Ok(())
}

fn check_lora(lora: &Lora, info: &ModelInfo) -> Result<(), HostError> {
    // Every projection has the residual stream on one side.
    if !(1..=info.width).contains(&lora.rank) {
        return wrong(format!(
            "`rank` is {}; it must lie between 1 and {}, the width of {}, beyond which it adds nothing",
            lora.rank, info.width, info.name
        ));
    }
    if !(lora.alpha.is_finite() && lora.alpha > 0.0) {
        return wrong(format!("`alpha` is {}; it must be a number above 0", lora.alpha));
    }
    if !(0.0..1.0).contains(&lora.dropout) {
        return wrong(format!("`dropout` is {}; it must lie from 0 to below 1", lora.dropout));
    }
    Ok(())
}

fn modules(names: &[String]) -> Result<Vec<Module>, HostError> {
    let known = Module::ALL.map(Module::projection);
    if names.is_empty() {
        return wrong(format!("no module is named to be trained; name some of {}", known.join(", ")));
    }
    let named = |name: &String| {
        let found = Module::ALL.into_iter().find(|module| module.projection() == name);
        found.ok_or_else(|| {
            let nearest = known.iter().min_by_key(|near| strsim::damerau_levenshtein(near, name));
            HostError::InvalidArgument(format!(
                "there is no module {name:?} to train; did you mean {:?}? There are {}",
                nearest.copied().unwrap_or_default(),
                known.join(", ")
            ))
        })
    };
    let mut modules = names.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    modules.sort_unstable();
    modules.dedup();
    Ok(modules)
}
