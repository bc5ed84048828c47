//! The candle engine: GGUF files and Hugging Face folders, in Rust throughout, with gradients.
//!
//! It computes one sequence at a time on the CPU, in f32 (quantised matrices as they are, unless the precision is exact).
//! The llama.cpp engine is the faster one; this one is there for [`Model::importance`], for folders without a GGUF file,
//! and as a second opinion on every number. Text is handled in the caller's own task; one thread computes
//! ([`work::Queue`]).

mod attention;
mod back;
mod block;
mod cache;
mod capturing;
mod changes;
mod config;
mod description;
mod edits;
mod folder;
mod folder_tokens;
mod generating;
mod gguf;
mod gradients;
mod importance;
mod layerwise;
mod loading;
mod loss;
mod matrix;
mod names;
mod opening;
mod operations;
mod positions;
mod prefixes;
mod projections;
mod prompts;
mod rows;
mod sampling;
mod scoring;
mod tape;
mod tensors;
mod tokens;
mod training;
mod transformer;
mod work;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sonde_contract::{
    CaptureRequest, Captured, Completion, ContinuationScore, Digest, DigestWriter, HostError,
    ImportanceRequest, Intervention, LowRank, MatrixImportance, ModelInfo, Prompt, Rows, Sampling,
    ScoreRequest, TensorInfo, TraceRequest, Traced, TrainRequest, Trained,
};
use tokio::sync::mpsc::UnboundedSender;

use self::changes::Changes;
use self::generating::Generation;
use self::importance::Logits;
use self::opening::Opened;
use self::prefixes::Prefixes;
use self::prompts::check_length;
use self::training::Course;
use self::work::{Counters, Queue, Work};
use crate::adapter::check_edits;
use crate::inside::{check_interventions, check_spec, chosen_rows, ids};
use crate::llama::check_sampling;
use crate::tokenize::Tokenize as _;
use crate::{Following, GenerateRequest, Model, OpenError, OpenOptions, Streamed, Usage, reasoning};

pub use self::layerwise::LayerByLayer;
pub(crate) use self::opening::check;
pub(crate) use self::projections::Projections;

/// The crate that computes, at the version `Cargo.toml` pins.
pub(crate) const VERSION: &str = "candle 0.11.1";

/// A handle to a model loaded by candle, with the changes in force.
pub(crate) struct CandleEngine {
    model: Arc<Opened>,
    counters: Arc<Counters>,
    changes: Arc<Changes>,
    /// Sequences that captures go on from.
    prefixes: Arc<Prefixes>,
    queue: Queue,
}

impl CandleEngine {
    /// See [`crate::open_candle`].
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let model = opening::open(path, options)?;
        let threads = model.options.threads.unwrap_or(1) as usize;
        let queue = Queue::start(path, &model.info.name, threads)?;
        let prefixes = Arc::new(Prefixes::new(!model.options.reproducible));
        let (counters, changes) = (Arc::default(), Arc::default());
        Ok(Self { model: Arc::new(model), counters, changes, prefixes, queue })
    }

    /// The same model under these changes.
    fn derived(&self, changes: Changes) -> Arc<dyn Model> {
        Arc::new(Self {
            model: Arc::clone(&self.model),
            counters: Arc::clone(&self.counters),
            changes: Arc::new(changes),
            prefixes: Arc::new(Prefixes::new(!self.model.options.reproducible)),
            queue: self.queue.clone(),
        })
    }

    /// Has a job done on the model's thread.
    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Work) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let (model, counters) = (Arc::clone(&self.model), Arc::clone(&self.counters));
        let changes = Arc::clone(&self.changes);
        let job = move |wanted: &dyn Fn() -> bool| {
            let Opened { transformer, prompts, info, .. } = &*model;
            job(&Work { transformer, prompts, info, counters: &counters, changes: &changes, wanted })
        };
        self.queue.ask(job).await
    }

    /// Checks a request for a reply and tokenizes its prompt.
    fn generation(
        &self,
        mut prompt: Prompt,
        sampling: Sampling,
        stream: Option<UnboundedSender<Streamed>>,
    ) -> Result<Generation, HostError> {
        check_sampling(&sampling)?;
        if sampling.grammar.is_some() {
            return Err(HostError::Unsupported(
                "the candle engine cannot hold a reply to a grammar; open the model with `engine: llama`"
                    .into(),
            ));
        }
        if let Prompt::Chat(chat) = &mut prompt {
            chat.thinking = chat.thinking.or(sampling.thinking);
        }
        let read = self.model.prompts.read(&prompt, &self.model.info)?;
        if read.tokens.is_empty() {
            return Err(empty("a model needs at least one to go on from"));
        }
        check_length(read.tokens.len() + 1, &self.model.info)?;
        let opened = read.pieces.last().and_then(|piece| reasoning::opened_by(&piece.text));
        Ok(Generation { prompt: read.tokens, sampling, opened, stream })
    }

    /// What decides what a training comes to.
    fn training(&self, request: &TrainRequest) -> Result<Digest, HostError> {
        let mut digest = DigestWriter::default();
        let request = serde_json::to_vec(request).map_err(|error| HostError::Engine(error.to_string()))?;
        digest.field(VERSION);
        digest.field(request);
        for (name, length) in self.model.tensors.files() {
            digest.field(name);
            digest.field(length.to_le_bytes());
        }
        self.changes.digests().iter().for_each(|change| digest.field(change.to_string()));
        Ok(digest.finish())
    }
}

fn empty(why: &str) -> HostError {
    HostError::InvalidArgument(format!("the prompt has no tokens; {why}"))
}

#[async_trait]
impl Model for CandleEngine {
    fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    fn options(&self) -> &OpenOptions {
        &self.model.options
    }

    fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, HostError> {
        Ok(ids(&self.model.prompts.read(prompt, &self.model.info)?.tokens))
    }

    fn tokenize_on(&self, text: &str) -> Result<Vec<u32>, HostError> {
        Ok(ids(&self.model.prompts.tokens.tokenize_on(text, false)?))
    }

    fn render(&self, prompt: &Prompt) -> Result<String, HostError> {
        let Opened { prompts, info, .. } = &*self.model;
        if let Prompt::Tokens(_) = prompt {
            let tokens = prompts.read(prompt, info)?.tokens;
            let bytes: Vec<u8> = tokens.into_iter().flat_map(|token| prompts.tokens.bytes(token)).collect();
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(prompts.pieces(prompt, info)?.into_iter().map(|piece| piece.text).collect())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Completion, HostError> {
        let GenerateRequest { prompt, sampling, stream } = request;
        let generation = self.generation(prompt, sampling, stream)?;
        self.ask(move |work| generating::generate(work, generation)).await
    }

    async fn score(&self, request: ScoreRequest) -> Result<Vec<ContinuationScore>, HostError> {
        let ScoreRequest { prompt, continuations } = request;
        if continuations.is_empty() {
            return Ok(Vec::new());
        }
        let Opened { prompts, info, .. } = &*self.model;
        let read = prompts.read(&prompt, info)?;
        if read.tokens.is_empty() {
            return Err(empty("a continuation is scored given what comes before it"));
        }
        let continuations = continuations.iter().map(|text| prompts.continued(&prompt, &read, text, info));
        let continuations = continuations.collect::<Result<Vec<_>, _>>()?;
        check_length(continuations.iter().map(|one| one.whole.len()).max().unwrap_or(0), info)?;
        self.ask(move |work| scoring::score(work, &continuations)).await
    }

    async fn capture(&self, request: CaptureRequest) -> Result<Captured, HostError> {
        let CaptureRequest { prompt, spec } = request;
        check_spec(&spec, &self.model.info)?;
        let tokens = self.model.prompts.read(&prompt, &self.model.info)?.tokens;
        if tokens.is_empty() {
            return Err(empty("there is nothing to capture"));
        }
        check_length(tokens.len(), &self.model.info)?;
        chosen_rows(&spec.rows, tokens.len())?;
        let prefixes = Arc::clone(&self.prefixes);
        self.ask(move |work| capturing::capture(work, &tokens, &spec, &prefixes)).await
    }

    async fn trace(&self, request: TraceRequest) -> Result<Traced, HostError> {
        let TraceRequest { prompt, sampling, spec } = request;
        check_spec(&spec, &self.model.info)?;
        if spec.rows != Rows::Last {
            return Err(HostError::InvalidArgument(
                "a trace keeps the last position of every step; its `rows` must be `last`".into(),
            ));
        }
        let generation = self.generation(prompt, sampling, None)?;
        self.ask(move |work| generating::trace(work, generation, &spec)).await
    }

    fn intervene(&self, changes: Vec<Intervention>) -> Result<Arc<dyn Model>, HostError> {
        check_interventions(&changes, &self.model.info)?;
        Ok(self.derived(self.changes.and(changes)?))
    }

    fn adapt(&self, edits: Arc<[LowRank]>) -> Result<Arc<dyn Model>, HostError> {
        let Opened { transformer, names, tensors, .. } = &*self.model;
        check_edits(&edits, &tensors.list())?;
        Ok(self.derived(self.changes.adapted(&edits, names, &transformer.description)?))
    }

    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        Ok(self.model.tensors.list())
    }

    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        self.model.tensors.read(name, first, count)
    }

    async fn importance(&self, request: ImportanceRequest) -> Result<Vec<MatrixImportance>, HostError> {
        let Opened { prompts, info, .. } = &*self.model;
        let sequences = importance::sequences(prompts, info, &request)?;
        self.ask(move |work| {
            let places = importance::places(work.transformer, request.modules);
            importance::importance(work, &sequences, &places, request.fraction, Logits::Response)
        })
        .await
    }

    async fn train(&self, request: TrainRequest, following: Following) -> Result<Trained, HostError> {
        let training = self.training(&request)?;
        let course = Course::read(request, &self.model.prompts, &self.model.info)?;
        let model = Arc::clone(&self.model);
        self.ask(move |work| training::train(work, &course, &model.names, training, &following)).await
    }

    fn has_gradients(&self) -> bool {
        true
    }

    fn usage(&self) -> Usage {
        self.counters.usage()
    }
}
