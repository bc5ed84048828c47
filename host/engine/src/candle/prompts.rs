//! Prompts as tokens: templates, limits, and where a continuation begins.
//!
//! Everything here happens in the caller's own task.

use sonde_contract::{Chat, HostError, ModelInfo, Prompt};

use super::tokens::Tokens;
use crate::llama::boundary;
use crate::template::{ChatTemplate, Piece};
use crate::tokenize::Tokenize as _;

/// A model's tokenizer and template.
pub(crate) struct Prompts {
    pub tokens: Tokens,
    pub template: Option<Result<ChatTemplate, String>>,
}

/// A prompt as text, where it is text, and as tokens.
pub(crate) struct Read {
    pub pieces: Vec<Piece>,
    pub tokens: Vec<i32>,
}

/// A prompt with a continuation.
pub(crate) struct Continuation {
    pub whole: Vec<i32>,
    /// Where the continuation's tokens begin.
    pub start: usize,
}

impl Prompts {
    /// With the template of this source, if it has one.
    pub(crate) fn new(tokens: Tokens, template: Option<String>) -> Self {
        let (bos, eos) = tokens.ends();
        let compile =
            |source: String| ChatTemplate::new(&source, &bos, &eos).map_err(|error| error.to_string());
        let template = template.filter(|source| !source.trim().is_empty()).map(compile);
        Self { tokens, template }
    }

    /// The prompt's pieces, for the two kinds of prompt that are text.
    pub(crate) fn pieces(&self, prompt: &Prompt, info: &ModelInfo) -> Result<Vec<Piece>, HostError> {
        match prompt {
            Prompt::Text(text) => Ok(vec![Piece { text: text.clone(), special: true }]),
            Prompt::Chat(chat) => self.chat(chat, info),
            Prompt::Tokens(_) => Ok(Vec::new()),
        }
    }

    fn chat(&self, chat: &Chat, info: &ModelInfo) -> Result<Vec<Piece>, HostError> {
        let unsupported = |reason: String| Err(HostError::Unsupported(reason));
        match &self.template {
            Some(Ok(template)) => template
                .render(chat, self.tokens.control())
                .map_err(|error| HostError::InvalidArgument(error.to_string())),
            Some(Err(error)) => unsupported(format!("{}: {error}", info.name)),
            None => unsupported(format!(
                "{} has no chat template, so it cannot be given a chat; use a chat model, or a plugin that asks with \
                 plain text",
                info.name
            )),
        }
    }

    /// Reads a prompt.
    pub(crate) fn read(&self, prompt: &Prompt, info: &ModelInfo) -> Result<Read, HostError> {
        let pieces = self.pieces(prompt, info)?;
        let tokens = match prompt {
            Prompt::Text(text) => self.tokens.tokenize(text, true, true)?,
            Prompt::Chat(_) => self.tokens.tokenize_pieces(&pieces)?,
            Prompt::Tokens(tokens) => {
                let ids = tokens.iter().map(|token| i32::try_from(*token).unwrap_or(i32::MAX));
                ids.collect()
            }
        };
        in_vocabulary(&tokens, info)?;
        Ok(Read { pieces, tokens })
    }

    /// Prompt and continuation as tokens.
    pub(crate) fn continued(
        &self,
        prompt: &Prompt,
        read: &Read,
        text: &str,
        info: &ModelInfo,
    ) -> Result<Continuation, HostError> {
        let apart = || -> Result<_, HostError> {
            let whole = [read.tokens.as_slice(), &self.tokens.tokenize_on(text, false)?].concat();
            Ok(Continuation { start: read.tokens.len(), whole })
        };
        let together = match prompt {
            Prompt::Tokens(_) => apart()?,
            Prompt::Text(before) => {
                self.joined(read, self.tokens.tokenize(&format!("{before}{text}"), true, true)?)
            }
            Prompt::Chat(_) => {
                let mut pieces = read.pieces.clone();
                match pieces.last_mut() {
                    Some(last) if last.special => last.text.push_str(text),
                    _ => pieces.push(Piece { text: text.to_owned(), special: false }),
                }
                self.joined(read, self.tokens.tokenize_pieces(&pieces)?)
            }
        };
        // A continuation that merges with the prompt's very first token would have nothing before it.
        let continuation = if together.start == 0 { apart()? } else { together };
        if continuation.start >= continuation.whole.len() {
            return Err(HostError::InvalidArgument(format!(
                "the continuation {text:?} has no token of its own"
            )));
        }
        in_vocabulary(&continuation.whole, info)?;
        Ok(continuation)
    }

    fn joined(&self, read: &Read, whole: Vec<i32>) -> Continuation {
        let start = boundary(&read.tokens, &whole, |token| self.tokens.bytes(token).len());
        Continuation { whole, start }
    }
}

/// Refuses tokens that the model has no embedding for.
pub(crate) fn in_vocabulary(tokens: &[i32], info: &ModelInfo) -> Result<(), HostError> {
    match tokens.iter().find(|token| token.unsigned_abs() >= info.vocabulary) {
        None => Ok(()),
        Some(token) => Err(HostError::InvalidArgument(format!(
            "the prompt has token {token}, and the vocabulary of {} ends at {}",
            info.name,
            info.vocabulary.saturating_sub(1)
        ))),
    }
}

/// Refuses what is empty or does not fit.
pub(crate) fn check_length(asked: usize, info: &ModelInfo) -> Result<(), HostError> {
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    if asked > info.context {
        return Err(HostError::ContextOverflow { asked, room: info.context });
    }
    Ok(())
}
