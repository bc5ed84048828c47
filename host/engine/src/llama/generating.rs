//! One reply while it is being generated: its tokens, its text, and when it ends.

use sonde_contract::{CaptureSpec, Captured, Completion, Finish, HostError, Sampling, TokenLogprobs, Traced};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::pass::Keep;
use super::sampler::{Sampler, token_logprobs};
use super::vocabulary::Vocabulary;
use crate::reasoning;

/// Where an answer goes; dropped by a caller that no longer wants it.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, HostError>>;

/// A request for a reply, its prompt tokenized and its settings checked.
pub(crate) struct GenerateJob {
    pub prompt: Vec<i32>,
    pub sampling: Sampling,
    /// The grammar of `sampling`, checked.
    pub gbnf: Option<String>,
    /// The closing think tag, if the prompt has opened the reasoning.
    pub opened_think: Option<&'static str>,
    pub stream: Option<UnboundedSender<String>>,
    pub answer: Answer,
}

/// Where the finished reply goes.
pub(crate) enum Answer {
    Completion(Reply<Completion>),
    /// With the states that came about on the way.
    Traced(Reply<Traced>, Trace),
}

impl Answer {
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Completion(reply) => reply.is_closed(),
            Self::Traced(reply, _) => reply.is_closed(),
        }
    }

    pub(crate) fn fail(self, error: HostError) {
        match self {
            Self::Completion(reply) => drop(reply.send(Err(error))),
            Self::Traced(reply, _) => drop(reply.send(Err(error))),
        }
    }
}

/// The last position's states, step by step.
pub(crate) struct Trace {
    pub spec: CaptureSpec,
    width: usize,
    /// Per layer of the specification: a row per step.
    layers: Vec<Vec<f32>>,
}

impl Trace {
    pub(crate) fn new(spec: CaptureSpec, width: usize) -> Self {
        Self { layers: vec![Vec::new(); spec.layers.len()], spec, width }
    }

    /// The layers to take at every step, and where they go.
    pub(crate) fn taking(&mut self) -> (&CaptureSpec, &mut dyn Keep) {
        let Self { spec, layers, .. } = self;
        (spec, layers)
    }

    fn finish(self, prompt: &[i32]) -> Captured {
        let length = self.layers.first().map_or(0, Vec::len);
        Captured {
            tokens: prompt.iter().map(|token| token.unsigned_abs()).collect(),
            rows: u32::try_from(length / self.width.max(1)).unwrap_or(u32::MAX),
            width: u32::try_from(self.width).unwrap_or(u32::MAX),
            layers: self.layers,
        }
    }
}

impl Keep for Vec<Vec<f32>> {
    fn keep(&mut self, layer: usize, _: usize, row: &[f32]) {
        if let Some(rows) = self.get_mut(layer) {
            rows.extend_from_slice(row);
        }
    }
}

/// A reply in progress.
pub(crate) struct Generating {
    job: GenerateJob,
    sampler: Sampler,
    tokens: Vec<i32>,
    bytes: Vec<u8>,
    streamed: usize,
    logprobs: Vec<TokenLogprobs>,
}

/// What to do after a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Decode this token.
    Decode(i32),
    /// The reply is complete.
    Done(Finish),
    /// Nobody waits any more.
    Abandoned,
}

impl Generating {
    pub(crate) fn start(job: GenerateJob, vocabulary: &Vocabulary) -> Option<Self> {
        match Sampler::new(vocabulary.model(), &job.sampling, job.gbnf.as_deref(), &job.prompt) {
            Ok(sampler) => Some(Self {
                job,
                sampler,
                tokens: Vec::new(),
                bytes: Vec::new(),
                streamed: 0,
                logprobs: Vec::new(),
            }),
            Err(error) => {
                job.answer.fail(error);
                None
            }
        }
    }

    pub(crate) fn prompt(&self) -> &[i32] {
        &self.job.prompt
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.job.answer.is_abandoned()
    }

    /// Chooses the next token from the logits that follow everything decoded so far. `room` is how many more tokens
    /// the context can hold.
    pub(crate) fn advance(&mut self, logits: &[f32], room: usize, vocabulary: &Vocabulary) -> Next {
        if self.is_abandoned() {
            return Next::Abandoned;
        }
        let Some(token) = self.sampler.choose(logits).filter(|token| !vocabulary.ends_turn(*token)) else {
            return Next::Done(Finish::Stop);
        };
        if let Some(count) = self.job.sampling.logprobs {
            self.logprobs.push(token_logprobs(logits, token, count));
        }
        self.tokens.push(token);
        let before = self.bytes.len();
        vocabulary.reply_bytes(token, &mut self.bytes);
        if self.cut_at_stop(before) {
            return Next::Done(Finish::Stop);
        }
        self.pass_on();
        let enough = self.tokens.len() >= self.job.sampling.max_tokens as usize;
        if enough || room == 0 { Next::Done(Finish::Length) } else { Next::Decode(token) }
    }

    /// How many tokens the reply has.
    pub(crate) fn count(&self) -> usize {
        self.tokens.len()
    }

    /// Sends the finished reply.
    pub(crate) fn finish(mut self, finish: Finish) {
        self.stream_up_to(self.bytes.len());
        let text = String::from_utf8_lossy(&self.bytes);
        let parts = reasoning::split(&text, self.job.opened_think);
        let completion = Completion {
            text: parts.answer.to_owned(),
            reasoning: parts.reasoning.map(str::to_owned),
            tokens: self.tokens.iter().map(|token| token.unsigned_abs()).collect(),
            prompt_tokens: u32::try_from(self.job.prompt.len()).unwrap_or(u32::MAX),
            finish,
            logprobs: self.logprobs,
        };
        match self.job.answer {
            Answer::Completion(reply) => drop(reply.send(Ok(completion))),
            Answer::Traced(reply, trace) => {
                let captured = trace.finish(&self.job.prompt);
                drop(reply.send(Ok(Traced { completion, captured })));
            }
        }
    }

    pub(crate) fn fail(self, error: HostError) {
        self.job.answer.fail(error);
    }

    /// The states to take at every step, if any are.
    pub(crate) fn trace(&mut self) -> Option<&mut Trace> {
        match &mut self.job.answer {
            Answer::Completion(_) => None,
            Answer::Traced(_, trace) => Some(trace),
        }
    }

    /// Cuts the reply before the first stop text that the latest bytes completed. Stop texts inside reasoning, or in
    /// the white space after it, do not count: they are about the answer.
    fn cut_at_stop(&mut self, before: usize) -> bool {
        if self.job.sampling.stop.is_empty() {
            return false;
        }
        let Some(answer) = reasoning::answer_start(&self.bytes, self.job.opened_think) else { return false };
        let stops = self.job.sampling.stop.iter().filter(|stop| !stop.is_empty());
        let found = stops
            .filter_map(|stop| {
                find(&self.bytes, stop.as_bytes(), before.saturating_sub(stop.len()).max(answer))
            })
            .min();
        if let Some(at) = found {
            self.bytes.truncate(at);
        }
        found.is_some()
    }

    /// Streams the text that is complete in UTF-8 and cannot be the beginning of a stop text.
    fn pass_on(&mut self) {
        if self.job.stream.is_some() {
            let pending = self.bytes.get(self.streamed..).unwrap_or_default();
            let whole = pending.len() - unfinished(pending);
            let held = held_back(pending.get(..whole).unwrap_or_default(), &self.job.sampling.stop);
            self.stream_up_to(self.streamed + whole - held);
        }
    }

    fn stream_up_to(&mut self, end: usize) {
        let Some(stream) = &self.job.stream else { return };
        let ready = self.bytes.get(self.streamed..end).unwrap_or_default();
        if !ready.is_empty() {
            let _ = stream.send(String::from_utf8_lossy(ready).into_owned());
            self.streamed = end;
        }
    }
}

/// How many bytes at the end are the beginning of a character.
pub(crate) fn unfinished(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last().map(|chunk| chunk.invalid()).unwrap_or_default();
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

/// How many bytes at the end may turn out to be a stop text.
pub(crate) fn held_back(text: &[u8], stops: &[String]) -> usize {
    let longest = |stop: &String| {
        (1..stop.len())
            .rev()
            .find(|length| stop.as_bytes().get(..*length).is_some_and(|start| text.ends_with(start)))
    };
    stops.iter().filter_map(longest).max().unwrap_or(0)
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_stop_text_is_not_streamed() {
        let stops = ["\nUser:".to_owned(), "###".to_owned()];
        assert_eq!(held_back(b"Hello\nUs", &stops), 3);
        assert_eq!(held_back(b"Hello #", &stops), 1);
        assert_eq!(held_back(b"Hello", &stops), 0);
    }

    #[test]
    fn half_a_character_is_not_streamed() {
        assert_eq!(unfinished("é".as_bytes()), 0);
        assert_eq!(unfinished(b"a\xc3"), 1);
        assert_eq!(unfinished(b"\xff\xe2\x82"), 2);
        assert_eq!(unfinished(b"\xff"), 0);
    }

    #[test]
    fn a_stop_text_is_found_where_it_begins() {
        assert_eq!(find(b"one two three", b"two", 0), Some(4));
        assert_eq!(find(b"one two three", b"two", 5), None);
        assert_eq!(find(b"on", b"one", 0), None);
    }
}
