//! A reply as it comes about: text, stop texts, stream, log-probabilities, reasoning.

use sonde_contract::{Completion, Finish, Sampling, TokenLogprobs};
use tokio::sync::mpsc::UnboundedSender;

use super::tokens::Tokens;
use crate::llama::{find, held_back, token_logprobs, unfinished};
use crate::reasoning;

/// What has been said so far.
pub(crate) struct Reply<'a> {
    sampling: &'a Sampling,
    vocabulary: &'a Tokens,
    /// The closing think tag, if the prompt has opened the reasoning.
    opened: Option<&'static str>,
    stream: Option<UnboundedSender<String>>,
    tokens: Vec<u32>,
    bytes: Vec<u8>,
    streamed: usize,
    logprobs: Vec<TokenLogprobs>,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(
        sampling: &'a Sampling,
        vocabulary: &'a Tokens,
        opened: Option<&'static str>,
        stream: Option<UnboundedSender<String>>,
    ) -> Self {
        Self {
            sampling,
            vocabulary,
            opened,
            stream,
            tokens: Vec::new(),
            bytes: Vec::new(),
            streamed: 0,
            logprobs: Vec::new(),
        }
    }

    /// Takes the token chosen from these logits and says whether the reply ends with it. `room` is how many more tokens
    /// the context can hold.
    pub(crate) fn push(&mut self, token: i32, logits: &[f32], room: usize) -> Option<Finish> {
        if let Some(count) = self.sampling.logprobs {
            self.logprobs.push(token_logprobs(logits, token, count));
        }
        self.tokens.push(token.unsigned_abs());
        let before = self.bytes.len();
        self.vocabulary.reply_bytes(token, &mut self.bytes);
        if self.cut_at_stop(before) {
            return Some(Finish::Stop);
        }
        self.pass_on();
        let enough = self.tokens.len() >= self.sampling.max_tokens as usize;
        (enough || room == 0).then_some(Finish::Length)
    }

    /// Tokens so far.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The finished reply.
    pub(crate) fn finish(mut self, finish: Finish, prompt_tokens: usize) -> Completion {
        self.stream_up_to(self.bytes.len());
        let text = String::from_utf8_lossy(&self.bytes);
        let parts = reasoning::split(&text, self.opened);
        Completion {
            text: parts.answer.to_owned(),
            reasoning: parts.reasoning.map(str::to_owned),
            tokens: self.tokens,
            prompt_tokens: u32::try_from(prompt_tokens).unwrap_or(u32::MAX),
            finish,
            logprobs: self.logprobs,
        }
    }

    /// Cuts the reply before the first stop text that the latest bytes completed; those inside reasoning do not count.
    fn cut_at_stop(&mut self, before: usize) -> bool {
        if self.sampling.stop.is_empty() {
            return false;
        }
        let Some(answer) = reasoning::answer_start(&self.bytes, self.opened) else { return false };
        let from = |stop: &String| before.saturating_sub(stop.len()).max(answer);
        let stops = self.sampling.stop.iter().filter(|stop| !stop.is_empty());
        let found = stops.filter_map(|stop| find(&self.bytes, stop.as_bytes(), from(stop))).min();
        if let Some(at) = found {
            self.bytes.truncate(at);
        }
        found.is_some()
    }

    /// Streams the text that is complete in UTF-8 and cannot be the beginning of a stop text.
    fn pass_on(&mut self) {
        if self.stream.is_some() {
            let pending = self.bytes.get(self.streamed..).unwrap_or_default();
            let whole = pending.len() - unfinished(pending);
            let held = held_back(pending.get(..whole).unwrap_or_default(), &self.sampling.stop);
            self.stream_up_to(self.streamed + whole - held);
        }
    }

    fn stream_up_to(&mut self, end: usize) {
        let Some(stream) = &self.stream else { return };
        let ready = self.bytes.get(self.streamed..end).unwrap_or_default();
        if !ready.is_empty() {
            let _ = stream.send(String::from_utf8_lossy(ready).into_owned());
            self.streamed = end;
        }
    }
}
