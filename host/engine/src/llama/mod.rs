//! The llama.cpp engine: GGUF files, quantised or not.
//!
//! `open` looks at the file, chooses sizes and starts the worker; everything that is about text (templates, tokens,
//! limits) happens in the caller's own task, so that the workers' threads only ever compute.
//!
//! A handle has up to three workers, each with a context of its own over the same weights: one that generates and
//! scores and that nobody watches, started with the model; one that captures and one that traces, started when first
//! asked. A handle with changes of states in force generates and scores through the last of these too, and has no
//! unwatched one; one with changes of matrices alone has all three.

mod adaptation;
mod capturing;
mod changes;
mod ffi;
mod ffi_adapter;
mod ffi_file;
mod file;
mod generating;
mod grammar;
mod graph;
mod kv_cache;
mod loaded;
mod opening;
mod pass;
mod probing;
mod sampler;
mod scoring;
mod vocabulary;
mod weights;
mod worker;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use sonde_contract::{
    CaptureRequest, Captured, Chat, Completion, ContinuationScore, HostError, ImportanceRequest,
    Intervention, LowRank, MatrixImportance, ModelInfo, Prompt, Rows, Sampling, ScoreRequest, TensorInfo,
    TraceRequest, Traced, TrainRequest, Trained,
};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::ffi_file::{FileTensor, Storage};
pub(crate) use self::file::check;
pub(crate) use self::probing::Probe;
pub(crate) use self::sampler::{greedy, log_sum_exp, logprob, token_logprobs};
pub(crate) use self::scoring::{boundary, common_prefix};

use self::adaptation::Adaptation;
use self::capturing::CaptureJob;
use self::changes::Changes;
use self::generating::{Answer, GenerateJob, Trace};
use self::loaded::{InForce, Lazy, Loaded};
use self::scoring::{Continuation, ScoreJob};
use self::vocabulary::Vocabulary;
use self::weights::Weights;
use self::worker::Job;
use crate::inside::{self, Reduction, ids};
use crate::template::Piece;
use crate::tokenize::Tokenize as _;
use crate::{Following, GenerateRequest, Model, OpenError, OpenOptions, Usage, reasoning};

/// The crate that carries llama.cpp, at the version `Cargo.toml` pins.
pub(crate) const VERSION: &str = "llama.cpp of llama-cpp-2 0.1.160";

/// Tokens in one batch.
const BATCH: u32 = 512;
/// Sequences beside the slots, for continuations that branch off. Rows of logits, each as wide as the vocabulary, are
/// bounded by the number of sequences.
const BRANCHES: u32 = 32;

/// A model loaded by llama.cpp, with or without changes in force.
pub(crate) struct LlamaEngine {
    loaded: Arc<Loaded>,
    in_force: InForce,
    /// Generates and scores where no state changes.
    plain: Lazy<Job>,
    /// Traces, and generates and scores where a state changes.
    watched: Lazy<Job>,
    capturing: Lazy<CaptureJob>,
}

/// The tokenizer of a GGUF file, without its weights.
pub struct Tokenizer(Vocabulary);

impl Tokenizer {
    /// Reads the vocabulary of a GGUF file, which may hold nothing else.
    ///
    /// # Errors
    /// When the file is no GGUF file or its vocabulary cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        match file::check(path) {
            Ok(()) | Err(OpenError::TokenizerOnly { .. }) => {}
            Err(error) => return Err(error),
        }
        let refused = |reason: String| OpenError::Refused { path: path.to_owned(), reason };
        let backend = backend().map_err(refused)?;
        let params = LlamaModelParams::default().with_vocab_only(true);
        let (model, said) = ffi::logged(|| LlamaModel::load_from_file(backend, path, &params));
        let model = model.map_err(|error| file::explain(path, &said, &error.to_string()))?;
        Ok(Self(Vocabulary::new(Arc::new(model))))
    }

    /// Token ids of a text. `add_special` adds what the model expects around a text (BOS), `parse_special` recognises
    /// special tokens written out in it.
    ///
    /// # Errors
    /// A text of more than 16 MiB.
    pub fn tokenize(
        &self,
        text: &str,
        add_special: bool,
        parse_special: bool,
    ) -> Result<Vec<u32>, HostError> {
        let tokens = self.0.tokenize(text, add_special, parse_special)?;
        Ok(tokens.into_iter().map(i32::unsigned_abs).collect())
    }

    /// For the other engine, whose tokens are to be the same.
    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.0
    }
}

fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    ffi::capture_log();
    BACKEND
        .get_or_init(|| LlamaBackend::init().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(Clone::clone)
}

impl LlamaEngine {
    /// See [`crate::open`].
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let loaded = Arc::new(opening::load(path, options)?);
        let (jobs, queue) = mpsc::unbounded_channel();
        loaded.start_plain(queue)?;
        let in_force = InForce { interventions: Arc::new([]), adaptation: None };
        let plain = Lazy::started(jobs);
        Ok(Self { loaded, in_force, plain, watched: Lazy::new(), capturing: Lazy::new() })
    }

    /// The same model with these changes in force.
    fn with(&self, in_force: InForce) -> Arc<dyn Model> {
        let loaded = Arc::clone(&self.loaded);
        let (plain, watched, capturing) = (Lazy::new(), Lazy::new(), Lazy::new());
        Arc::new(Self { loaded, in_force, plain, watched, capturing })
    }

    /// The prompt's pieces, for the two kinds of prompt that are text.
    fn chat_pieces(&self, chat: &Chat) -> Result<Vec<Piece>, HostError> {
        let template = match &self.loaded.template {
            Some(Ok(template)) => template,
            Some(Err(error)) => {
                return Err(HostError::Unsupported(format!("{}: {error}", self.loaded.info.name)));
            }
            None => {
                return Err(HostError::Unsupported(format!(
                    "{} has no chat template, so it cannot be given a chat; use a chat model, or a plugin that asks with \
                     plain text",
                    self.loaded.info.name
                )));
            }
        };
        template
            .render(chat, self.loaded.vocabulary.control())
            .map_err(|error| HostError::InvalidArgument(error.to_string()))
    }

    fn pieces(&self, prompt: &Prompt) -> Result<Vec<Piece>, HostError> {
        match prompt {
            Prompt::Text(text) => Ok(vec![Piece { text: text.clone(), special: true }]),
            Prompt::Chat(chat) => self.chat_pieces(chat),
            Prompt::Tokens(_) => Ok(Vec::new()),
        }
    }

    fn read(&self, prompt: &Prompt, pieces: &[Piece]) -> Result<Vec<i32>, HostError> {
        match prompt {
            Prompt::Text(text) => self.loaded.vocabulary.tokenize(text, true, true),
            Prompt::Chat(_) => self.loaded.vocabulary.tokenize_pieces(pieces),
            Prompt::Tokens(tokens) => tokens
                .iter()
                .map(|token| match i32::try_from(*token) {
                    Ok(id) if *token < self.loaded.info.vocabulary => Ok(id),
                    _ => Err(HostError::InvalidArgument(format!(
                        "the prompt has token {token}, and the vocabulary of {} ends at {}",
                        self.loaded.info.name,
                        self.loaded.info.vocabulary.saturating_sub(1)
                    ))),
                })
                .collect(),
        }
    }

    /// Refuses what does not fit; one token of the context is left for an answer.
    fn check_length(&self, asked: usize) -> Result<(), HostError> {
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        if asked > self.loaded.info.context {
            return Err(HostError::ContextOverflow { asked, room: self.loaded.info.context });
        }
        Ok(())
    }

    /// Prompt and continuation as tokens, and where the continuation begins.
    fn continuation(
        &self,
        prompt: &Prompt,
        pieces: &[Piece],
        tokens: &[i32],
        text: &str,
    ) -> Result<Continuation, HostError> {
        let apart = || -> Result<_, HostError> {
            let whole = [tokens, &self.loaded.vocabulary.tokenize_on(text, false)?].concat();
            Ok(Continuation { start: tokens.len(), whole })
        };
        let together = match prompt {
            Prompt::Tokens(_) => apart()?,
            Prompt::Text(before) => {
                self.joined(tokens, self.loaded.vocabulary.tokenize(&format!("{before}{text}"), true, true)?)
            }
            Prompt::Chat(_) => {
                let mut pieces = pieces.to_vec();
                match pieces.last_mut() {
                    Some(last) if last.special => last.text.push_str(text),
                    _ => pieces.push(Piece { text: text.to_owned(), special: false }),
                }
                self.joined(tokens, self.loaded.vocabulary.tokenize_pieces(&pieces)?)
            }
        };
        // A continuation that merges with the prompt's very first token would have nothing before it.
        let continuation = if together.start == 0 { apart()? } else { together };
        if continuation.start >= continuation.whole.len() {
            return Err(HostError::InvalidArgument(format!(
                "the continuation {text:?} has no token of its own"
            )));
        }
        Ok(continuation)
    }

    fn joined(&self, prompt: &[i32], whole: Vec<i32>) -> Continuation {
        let start = boundary(prompt, &whole, |token| self.loaded.vocabulary.bytes(token).len());
        Continuation { whole, start }
    }

    /// To the worker that generates and scores; `watched` for a trace.
    fn send(&self, job: Job, watched: bool) -> Result<(), HostError> {
        let watched = watched || !self.in_force.interventions.is_empty();
        let way = if watched { &self.watched } else { &self.plain };
        way.send(job, |queue| self.loaded.start(&self.in_force, watched, queue))
    }

    fn no_gradients(&self) -> HostError {
        HostError::Unsupported(format!(
            "{} runs in llama.cpp, which computes no gradients; open it with `engine: candle`",
            self.loaded.info.name
        ))
    }

    fn ended(&self) -> HostError {
        HostError::Engine(format!("the worker of {} has ended", self.loaded.info.name))
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T, HostError>>) -> Result<T, HostError> {
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Checks a request for a reply and tokenizes its prompt.
    fn generating(&self, request: GenerateRequest, answer: Answer) -> Result<Job, HostError> {
        let GenerateRequest { mut prompt, sampling, stream } = request;
        check_sampling(&sampling)?;
        let gbnf = sampling.grammar.as_ref().map(grammar::to_gbnf).transpose()?;
        if let Prompt::Chat(chat) = &mut prompt {
            chat.thinking = chat.thinking.or(sampling.thinking);
        }
        let pieces = self.pieces(&prompt)?;
        let tokens = self.read(&prompt, &pieces)?;
        if tokens.is_empty() {
            return Err(HostError::InvalidArgument(
                "the prompt has no tokens; a model needs at least one to go on from".into(),
            ));
        }
        self.check_length(tokens.len() + 1)?;
        let opened_think = pieces.last().and_then(|piece| reasoning::opened_by(&piece.text));
        Ok(Job::Generate(Box::new(GenerateJob {
            prompt: tokens,
            sampling,
            gbnf,
            opened_think,
            stream,
            answer,
        })))
    }
}

#[async_trait]
impl Model for LlamaEngine {
    fn info(&self) -> &ModelInfo {
        &self.loaded.info
    }

    fn options(&self) -> &OpenOptions {
        &self.loaded.options
    }

    fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, HostError> {
        Ok(ids(&self.read(prompt, &self.pieces(prompt)?)?))
    }

    fn tokenize_on(&self, text: &str) -> Result<Vec<u32>, HostError> {
        Ok(ids(&self.loaded.vocabulary.tokenize_on(text, false)?))
    }

    fn render(&self, prompt: &Prompt) -> Result<String, HostError> {
        if let Prompt::Tokens(_) = prompt {
            let tokens = self.read(prompt, &[])?;
            let bytes: Vec<u8> =
                tokens.into_iter().flat_map(|token| self.loaded.vocabulary.bytes(token)).collect();
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(self.pieces(prompt)?.into_iter().map(|piece| piece.text).collect())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Completion, HostError> {
        let (reply, answer) = oneshot::channel();
        self.send(self.generating(request, Answer::Completion(reply))?, false)?;
        self.answer(answer).await
    }

    async fn score(&self, request: ScoreRequest) -> Result<Vec<ContinuationScore>, HostError> {
        let ScoreRequest { prompt, continuations } = request;
        if continuations.is_empty() {
            return Ok(Vec::new());
        }
        let pieces = self.pieces(&prompt)?;
        let tokens = self.read(&prompt, &pieces)?;
        if tokens.is_empty() {
            return Err(HostError::InvalidArgument(
                "the prompt has no tokens; a continuation is scored given what comes before it".into(),
            ));
        }
        let continuations =
            continuations.iter().map(|text| self.continuation(&prompt, &pieces, &tokens, text));
        let continuations = continuations.collect::<Result<Vec<_>, _>>()?;
        let (reply, answer) = oneshot::channel();
        let job = ScoreJob::new(continuations, reply);
        self.check_length(job.longest())?;
        self.send(Job::Score(job), false)?;
        self.answer(answer).await
    }

    async fn capture(&self, request: CaptureRequest) -> Result<Captured, HostError> {
        let CaptureRequest { prompt, spec } = request;
        inside::check_spec(&spec, &self.loaded.info)?;
        let tokens = self.read(&prompt, &self.pieces(&prompt)?)?;
        if tokens.is_empty() {
            return Err(HostError::InvalidArgument(
                "the prompt has no tokens; there is nothing to capture".into(),
            ));
        }
        self.check_length(tokens.len())?;
        let reduction = Reduction::new(&spec, ids(&tokens), self.loaded.info.width as usize)?;
        let (reply, answer) = oneshot::channel();
        let job = CaptureJob { prompt: tokens, spec, reduction, reply };
        self.capturing.send(job, |queue| self.loaded.start_capturing(&self.in_force, queue))?;
        self.answer(answer).await
    }

    async fn trace(&self, request: TraceRequest) -> Result<Traced, HostError> {
        let TraceRequest { prompt, sampling, spec } = request;
        inside::check_spec(&spec, &self.loaded.info)?;
        if spec.rows != Rows::Last {
            return Err(HostError::InvalidArgument(
                "a trace keeps the last position at every step; its rows must be `last`".into(),
            ));
        }
        let trace = Trace::new(spec, self.loaded.info.width as usize);
        let (reply, answer) = oneshot::channel();
        let request = GenerateRequest { prompt, sampling, stream: None };
        self.send(self.generating(request, Answer::Traced(reply, trace))?, true)?;
        self.answer(answer).await
    }

    fn intervene(&self, changes: Vec<Intervention>) -> Result<Arc<dyn Model>, HostError> {
        inside::check_interventions(&changes, &self.loaded.info)?;
        Changes::new(&changes).check()?;
        let interventions = self.in_force.interventions.iter().cloned().chain(changes).collect();
        Ok(self.with(InForce { interventions, ..self.in_force.clone() }))
    }

    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        self.loaded.weights().map(Weights::list)
    }

    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        self.loaded.weights()?.read(name, first, count)
    }

    fn adapt(&self, edits: Arc<[LowRank]>) -> Result<Arc<dyn Model>, HostError> {
        let mut in_force = self.in_force.clone();
        if !edits.is_empty() {
            let adaptation = Adaptation::new(&self.loaded, in_force.adaptation.as_deref(), &edits)?;
            in_force.adaptation = Some(Arc::new(adaptation));
        }
        Ok(self.with(in_force))
    }

    async fn importance(&self, _: ImportanceRequest) -> Result<Vec<MatrixImportance>, HostError> {
        Err(self.no_gradients())
    }

    async fn train(&self, _: TrainRequest, _: Following) -> Result<Trained, HostError> {
        Err(self.no_gradients())
    }

    fn has_gradients(&self) -> bool {
        false
    }

    fn usage(&self) -> Usage {
        self.loaded.counters.usage()
    }
}

pub(crate) fn check_sampling(sampling: &Sampling) -> Result<(), HostError> {
    let wrong = |what: &str| Err(HostError::InvalidArgument(what.to_owned()));
    match sampling {
        Sampling { max_tokens: 0, .. } => wrong("`max_tokens` must be at least 1"),
        Sampling { temperature, .. } if !temperature.is_finite() || *temperature < 0.0 => {
            wrong("`temperature` must be a number of at least 0 (0 is greedy)")
        }
        Sampling { top_p, .. } if !(*top_p > 0.0 && *top_p <= 1.0) => {
            wrong("`top_p` must lie above 0 and at most at 1")
        }
        Sampling { min_p, .. } if !(0.0..=1.0).contains(min_p) => wrong("`min_p` must lie between 0 and 1"),
        Sampling { repetition_penalty, .. }
            if !(repetition_penalty.is_finite() && *repetition_penalty > 0.0) =>
        {
            wrong("`repetition_penalty` must be a number above 0 (1 changes nothing)")
        }
        _ => Ok(()),
    }
}
