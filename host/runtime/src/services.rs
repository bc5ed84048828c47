//! What the host answers when a plugin calls it. The runner implements this once per sample.

use std::sync::Arc;

use async_trait::async_trait;
use sonde_contract::{
    CaptureSpec, Completion, ContinuationScore, Exchange, HostError, ImportanceRequest, Intervention,
    LowRank, MatrixImportance, ModelInfo, Prompt, RowMean, Sampling, ScoreRequest, StreamEvent, TensorInfo,
    TokenVerdict, TrainRequest, Trained, Verdict,
};

/// A model as a plugin holds it: a role of the run, and the changes in force in this handle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRef {
    /// The name under which the plugin opened it.
    pub role: String,
    /// Changes of states in the order in which they were made; empty for the model itself.
    pub changes: Vec<Intervention>,
    /// Changes of matrices; empty for the model itself.
    pub edits: Vec<Arc<LowRank>>,
}

/// What the host keeps of one prompt's pass, without its numbers; those are read piece by piece.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// Names it among the captures of one invocation.
    pub id: u64,
    /// Rows per layer.
    pub rows: u32,
    /// Numbers per row.
    pub width: u32,
    /// The prompt's token ids.
    pub tokens: Vec<u32>,
}

/// How much a plugin's log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is off.
    Warn,
    /// The last words before a failure.
    Error,
}

/// The host's side of the contract.
///
/// Calls of one invocation come one after another, never two at once. Arguments are already checked against the
/// plugin's limits; answers are checked on their way in. A list's answers stand in the order of its requests and are
/// as many: a shorter list stops the plugin, since a missing answer must never look like an empty one. Time spent
/// here is not counted as the plugin's. A call may be dropped before it ends when the run is interrupted.
#[async_trait]
pub trait Services: Send + Sync {
    /// The model offered under this role, or why there is none.
    ///
    /// # Errors
    /// `Denied` for a role that the run does not bind.
    fn open(&self, role: &str) -> Result<ModelInfo, HostError>;

    /// The answer to everything that is left out below: services that offer little implement little.
    fn refusal(&self) -> HostError {
        HostError::Unsupported("the host does not offer this here".to_owned())
    }

    /// The run's sampling settings for a role that was opened.
    fn sampling(&self, _role: &str) -> Sampling {
        Sampling::default()
    }

    /// The number of tokens of a prompt.
    ///
    /// # Errors
    /// What the engine cannot do.
    async fn count_tokens(&self, _model: &ModelRef, _prompt: Prompt) -> Result<u32, HostError> {
        Err(self.refusal())
    }

    /// The token ids of a prompt.
    ///
    /// # Errors
    /// What the engine cannot do.
    async fn tokenize(&self, _model: &ModelRef, _prompt: Prompt) -> Result<Vec<u32>, HostError> {
        Err(self.refusal())
    }

    /// The prompt as the tokenizer sees it.
    ///
    /// # Errors
    /// What the engine cannot do.
    async fn render(&self, _model: &ModelRef, _prompt: Prompt) -> Result<String, HostError> {
        Err(self.refusal())
    }

    /// Continues each prompt.
    async fn generate(
        &self,
        _model: &ModelRef,
        prompts: Vec<Prompt>,
        _sampling: Sampling,
    ) -> Vec<Result<Completion, HostError>> {
        prompts.iter().map(|_| Err(self.refusal())).collect()
    }

    /// Log-likelihoods of continuations.
    async fn score(
        &self,
        _model: &ModelRef,
        requests: Vec<ScoreRequest>,
    ) -> Vec<Result<Vec<ContinuationScore>, HostError>> {
        requests.iter().map(|_| Err(self.refusal())).collect()
    }

    /// Verdicts of the judge bound to a name.
    async fn assess(&self, _judge: &str, exchanges: Vec<Exchange>) -> Vec<Result<Verdict, HostError>> {
        exchanges.iter().map(|_| Err(self.refusal())).collect()
    }

    /// Takes a streaming judge's verdicts on what it was given last, or why they cannot be believed, and gives it what
    /// the reply went on with. Comes only from [`crate::Plugin::watch`], unless the plugin is at fault: then the reply
    /// is at its end.
    async fn next_of_reply(&self, _verdicts: Result<Vec<TokenVerdict>, String>) -> StreamEvent {
        StreamEvent::End
    }

    /// Runs each prompt and keeps what the specification names, until [`Services::release_capture`]. Before a capture
    /// of all rows the runtime asks [`Services::count_tokens`] of each prompt, to know what the guest would hold.
    async fn capture(
        &self,
        _model: &ModelRef,
        prompts: Vec<Prompt>,
        _spec: CaptureSpec,
    ) -> Vec<Result<Kept, HostError>> {
        prompts.iter().map(|_| Err(self.refusal())).collect()
    }

    /// Continues each prompt and keeps the last position at every step.
    async fn trace(
        &self,
        _model: &ModelRef,
        prompts: Vec<Prompt>,
        _sampling: Sampling,
        _spec: CaptureSpec,
    ) -> Vec<Result<(Completion, Kept), HostError>> {
        prompts.iter().map(|_| Err(self.refusal())).collect()
    }

    /// Rows of one layer of a capture, one after another: `rows · width` numbers. The runtime has checked that the
    /// capture has them.
    ///
    /// # Errors
    /// A layer that was not asked for, rows past the end.
    async fn read_capture(
        &self,
        _capture: u64,
        _layer: u32,
        _first_row: u32,
        _rows: u32,
    ) -> Result<Vec<f32>, HostError> {
        Err(self.refusal())
    }

    /// The plugin no longer needs a capture. Comes once for every capture that was answered, at the latest when the
    /// call of the plugin's export ends or is dropped; must not block. What was kept for a request that was dropped
    /// before its answer is for the services to forget.
    fn release_capture(&self, _capture: u64) {}

    /// Whether these changes can be put into force on top of the handle's own; the runtime keeps the list.
    ///
    /// # Errors
    /// What the engine cannot do, and changes that do not fit the model.
    async fn intervene(&self, _model: &ModelRef, _changes: Vec<Intervention>) -> Result<(), HostError> {
        Err(self.refusal())
    }

    /// Whether these changes of matrices can be put into force on top of the handle's own; the runtime keeps the list.
    ///
    /// # Errors
    /// What the engine cannot do, and changes that do not fit the model.
    async fn edit(&self, _model: &ModelRef, _edits: &[Arc<LowRank>]) -> Result<(), HostError> {
        Err(self.refusal())
    }

    /// Trains an adapter.
    ///
    /// # Errors
    /// `Unsupported` from an engine without gradients, and what is wrong with the request.
    async fn train(&self, _model: &ModelRef, _request: TrainRequest) -> Result<Trained, HostError> {
        Err(self.refusal())
    }

    /// The row mean and the norm of each matrix of a tensor.
    ///
    /// # Errors
    /// A tensor that is not there or is no matrix.
    async fn row_means(&self, _model: &ModelRef, _name: &str) -> Result<Vec<RowMean>, HostError> {
        Err(self.refusal())
    }

    /// The model's tensors.
    ///
    /// # Errors
    /// What the engine cannot do.
    async fn tensors(&self, _model: &ModelRef) -> Result<Vec<TensorInfo>, HostError> {
        Err(self.refusal())
    }

    /// Numbers of a tensor, dequantised.
    ///
    /// # Errors
    /// A tensor that is not there, numbers past its end.
    async fn read_tensor(
        &self,
        _model: &ModelRef,
        _name: &str,
        _first: u64,
        _count: u32,
    ) -> Result<Vec<f32>, HostError> {
        Err(self.refusal())
    }

    /// The most important weights for given answers.
    ///
    /// # Errors
    /// `Unsupported` from an engine without gradients.
    async fn importance(
        &self,
        _model: &ModelRef,
        _request: ImportanceRequest,
    ) -> Result<Vec<MatrixImportance>, HostError> {
        Err(self.refusal())
    }

    /// A line for the reader; already free of terminal escapes.
    fn log(&self, _level: LogLevel, _text: String) {}

    /// How far a long computation has come; `what` is already free of terminal escapes.
    fn progress(&self, _done: u64, _total: u64, _what: String) {}
}
