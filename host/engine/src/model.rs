//! What every engine offers, and how a model is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sonde_contract::{
    CaptureRequest, Captured, Completion, ContinuationScore, HostError, ImportanceRequest, Intervention,
    LowRank, MatrixImportance, ModelInfo, Prompt, RowMean, Sampling, ScoreRequest, TensorInfo, TraceRequest,
    Traced, TrainRequest, Trained,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::{Streamed, row_means};

/// A loaded model. Cheap to share; every method may be called from many tasks at once.
#[async_trait]
pub trait Model: Send + Sync {
    /// What the model is.
    fn info(&self) -> &ModelInfo;

    /// How it was opened, every default resolved.
    fn options(&self) -> &OpenOptions;

    /// The prompt's token ids.
    ///
    /// # Errors
    /// A chat without a chat template, or one that the template rejects.
    fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, HostError>;

    /// The token ids of a text that goes on after others, as a reply after its prompt: without BOS, and special tokens
    /// written out in it are plain text.
    ///
    /// # Errors
    /// A text that is too long.
    fn tokenize_on(&self, text: &str) -> Result<Vec<u32>, HostError>;

    /// How many tokens the prompt comes to.
    ///
    /// # Errors
    /// As [`Model::tokenize`].
    fn count_tokens(&self, prompt: &Prompt) -> Result<u32, HostError> {
        Ok(u32::try_from(self.tokenize(prompt)?.len()).unwrap_or(u32::MAX))
    }

    /// The prompt as text: a chat rendered with the model's template, tokens as their pieces.
    ///
    /// # Errors
    /// As [`Model::tokenize`].
    fn render(&self, prompt: &Prompt) -> Result<String, HostError>;

    /// Continues a prompt. Dropping the future cancels the request and frees its slot.
    ///
    /// # Errors
    /// A prompt that is empty or does not fit, settings out of range, a grammar that does not parse.
    async fn generate(&self, request: GenerateRequest) -> Result<Completion, HostError>;

    /// Log-likelihoods of continuations, in their order.
    ///
    /// # Errors
    /// A prompt or continuation that is empty or does not fit.
    async fn score(&self, request: ScoreRequest) -> Result<Vec<ContinuationScore>, HostError>;

    /// Runs a prompt and keeps the rows named before. Requests of many callers are computed together; the pass ends at
    /// the deepest layer asked for, and memory does not grow with the prompt under [`sonde_contract::Rows::Mean`] and
    /// `Last`.
    ///
    /// # Errors
    /// A layer that the site does not have, a row that the prompt does not have; a prompt that is empty or does not fit.
    async fn capture(&self, request: CaptureRequest) -> Result<Captured, HostError>;

    /// Continues a prompt as [`Model::generate`] does and keeps the last position at every step.
    ///
    /// # Errors
    /// As [`Model::generate`] and [`Model::capture`]; rows other than `Last`.
    async fn trace(&self, request: TraceRequest) -> Result<Traced, HostError>;

    /// The same model with these changes in force; this handle stays as it was. Changes already in force come first.
    ///
    /// # Errors
    /// A layer that the site does not have, a vector of another width, a direction of length zero, no finite number.
    fn intervene(&self, changes: Vec<Intervention>) -> Result<Arc<dyn Model>, HostError>;

    /// The same model with these changes of its matrices in force; this handle stays as it was. Changes already in
    /// force, of matrices and of states, stay in force too. Quantised matrices are not touched: B · (A · x) is computed
    /// beside W · x in f32.
    ///
    /// # Errors
    /// A matrix that the model does not have or that has another shape, a number that is not finite.
    fn adapt(&self, edits: Arc<[LowRank]>) -> Result<Arc<dyn Model>, HostError>;

    /// The model's tensors, in the order of the file.
    ///
    /// # Errors
    /// When the file can no longer be read.
    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError>;

    /// Numbers of a tensor from flat row-major index `first` on, dequantised to f32.
    ///
    /// # Errors
    /// A tensor that is not there, numbers past its end, a quantisation that cannot be read.
    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError>;

    /// The row mean and the norm of each matrix of a tensor: one, or one for each expert.
    ///
    /// # Errors
    /// A tensor that is not there or is no matrix, a quantisation that cannot be read.
    fn row_means(&self, name: &str) -> Result<Vec<RowMean>, HostError> {
        row_means::row_means(self, name)
    }

    /// The most important weights for given answers: one pass forward and back per example.
    ///
    /// # Errors
    /// `Unsupported` from an engine without gradients; an example without response tokens or that does not fit.
    async fn importance(&self, request: ImportanceRequest) -> Result<Vec<MatrixImportance>, HostError>;

    /// Trains a low-rank adapter; the model stays as it was. The same request gives the same adapter, interrupted and
    /// gone on with or not.
    ///
    /// # Errors
    /// `Unsupported` from an engine without gradients; settings out of range, a lesson without tokens or that does not
    /// fit; a checkpoint that cannot be written.
    async fn train(&self, request: TrainRequest, following: Following) -> Result<Trained, HostError>;

    /// Whether [`Model::importance`] and [`Model::train`] work.
    fn has_gradients(&self) -> bool;

    /// Tokens computed since the model was opened.
    fn usage(&self) -> Usage;
}

/// How far a training has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainProgress {
    /// Steps done.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
    /// The last step's loss.
    pub loss: f32,
    /// What is left at the pace so far; `None` before there is one.
    pub left: Option<Duration>,
}

/// How a training is followed, and gone on with after an interruption.
#[derive(Default)]
pub struct Following {
    /// Where the state is kept while it trains, replaced as a whole every now and then, and removed at the end. A state of
    /// the same request, model and changes in force that lies there is gone on with; another is written over.
    pub checkpoint: Option<PathBuf>,
    /// Is told after each step.
    pub progress: Option<Box<dyn Fn(TrainProgress) + Send + Sync>>,
}

/// A prompt to continue.
pub struct GenerateRequest {
    /// What the model reads.
    pub prompt: Prompt,
    /// How it chooses tokens.
    pub sampling: Sampling,
    /// Gets the reply piece by piece, reasoning included, as it is generated.
    pub stream: Option<UnboundedSender<Streamed>>,
}

/// Numeric mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Flash attention where the model allows it, F16 KV cache.
    #[default]
    Fast,
    /// No flash attention, F32 KV cache: agrees with a float32 reference to about seven digits on an F32 file.
    Exact,
}

/// How to open a model. `None` lets the engine choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOptions {
    /// Tokens one sequence has room for. Default: what the model was trained with, at most 4,096.
    pub context: Option<u32>,
    /// Sequences computed together, 1 to 64. Default: four per core up to 8, as far as memory allows.
    pub slots: Option<u32>,
    /// CPU threads. Default: physical cores.
    pub threads: Option<u32>,
    /// Blocks computed on the GPU. Default: all where the build has a GPU back end, else none.
    pub gpu_layers: Option<u32>,
    /// Numeric mode.
    pub precision: Precision,
    /// One sequence at a time, nothing shared between requests: the same request gives the same tokens whatever else
    /// is asked, in whatever order.
    pub reproducible: bool,
}

/// Tokens computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that went through the model.
    pub prompt_tokens: u64,
    /// Prompt tokens that did not have to, because another prompt began alike.
    pub reused_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
}
