//! Models that can be looked into: their states, changes to these, their weights, and gradients.
//!
//! Diagnostics, treatments and streaming judges get a host whose models are white boxes. Inside the sandbox they are the contract's models; natively
//! `mock::MockModel` gives what a test scripts.

use crate::activations::Activations;
use crate::bindings::benchmark::sonde::plugin::generation;
use crate::bindings::diagnostic::sonde::plugin::{activations, gradients, weights};
use crate::{
    CaptureSpec, Completion, Error, Example, HostError, ImportanceSpec, Intervention, MatrixImportance,
    Model, Prompt, RankOne, RowMean, Sampling, TensorInfo,
};

/// Numbers read from the host in one call: 8 MiB, far below any limit that leaves room for work.
pub(crate) const PIECE: usize = 2 << 20;

/// A reply and what was kept while it came about.
#[derive(Debug)]
pub struct Traced {
    /// The reply.
    pub completion: Completion,
    /// One row per step: row 0 is the prompt's last token, row t the state that predicts generated token t.
    pub activations: Activations,
}

/// A model that can be looked into.
pub trait WhiteBox: Model + Sized {
    /// Runs each prompt and keeps what the specification names; answers come in the order of the prompts and are
    /// computed together. Drop each [`Activations`] when it has been read: the host holds its numbers.
    fn capture(&self, prompts: &[Prompt], spec: &CaptureSpec) -> Vec<Result<Activations, HostError>>;

    /// Continues each prompt and keeps the last position at every step; the specification's rows must be `last`.
    fn trace(
        &self,
        prompts: &[Prompt],
        sampling: &Sampling,
        spec: &CaptureSpec,
    ) -> Vec<Result<Traced, HostError>>;

    /// The same model with these changes in force on top of this handle's, which stays as it is.
    ///
    /// # Errors
    /// A layer that is not there, a vector of another width, a direction of length zero.
    fn intervene(&self, changes: &[Intervention]) -> Result<Self, HostError>;

    /// The model's tensors, in the order of the file. Needs the grant `weights`.
    ///
    /// # Errors
    /// What the engine cannot do.
    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError>;

    /// `count` numbers of a tensor from flat row-major index `first` on, dequantised. Needs the grant `weights`.
    ///
    /// # Errors
    /// A tensor that is not there, numbers past its end, more than the host hands over in one call.
    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError>;

    /// The mean of a matrix's rows and its Frobenius norm, for each matrix of a tensor: for one, or for as many as it has
    /// experts. The host goes through the tensor, whose numbers the plugin never holds. Needs the grant `weights`.
    ///
    /// # Errors
    /// A tensor that is not there, or that is no matrix.
    fn row_means(&self, name: &str) -> Result<Vec<RowMean>, HostError>;

    /// The same model with these changes of its matrices in force on top of this handle's, which stays as it is. Needs
    /// the grant `weights`.
    ///
    /// # Errors
    /// A matrix that is not there or that has another shape, a number that is not finite.
    fn edit(&self, edits: &[RankOne]) -> Result<Self, HostError>;

    /// The most important weights for given answers; one pass forward and back per example. Needs the grant
    /// `gradients`.
    ///
    /// # Errors
    /// `unsupported` from an engine without gradients.
    fn importance(
        &self,
        examples: &[Example],
        spec: &ImportanceSpec,
    ) -> Result<Vec<MatrixImportance>, HostError>;

    /// All numbers of a tensor, dequantised, in row-major order, read in bounded pieces. They must fit into the
    /// plugin's memory.
    ///
    /// # Errors
    /// As [`WhiteBox::read_tensor`].
    fn whole_tensor(&self, tensor: &TensorInfo) -> Result<Vec<f32>, Error> {
        let size = tensor.shape.iter().try_fold(1_u64, |size, length| size.checked_mul(*length));
        let size = size.ok_or("a tensor's shape cannot be true")?;
        let mut numbers = Vec::new();
        let mut first = 0;
        while first < size {
            let count = u32::try_from((size - first).min(PIECE as u64)).unwrap_or(u32::MAX);
            numbers.extend(self.read_tensor(&tensor.name, first, count)?);
            first += u64::from(count);
        }
        Ok(numbers)
    }
}

impl WhiteBox for generation::Model {
    fn capture(&self, prompts: &[Prompt], spec: &CaptureSpec) -> Vec<Result<Activations, HostError>> {
        let answers = activations::capture(self, prompts, spec);
        answers.into_iter().map(|answer| answer.map(|captured| Activations::held(captured, spec))).collect()
    }

    fn trace(
        &self,
        prompts: &[Prompt],
        sampling: &Sampling,
        spec: &CaptureSpec,
    ) -> Vec<Result<Traced, HostError>> {
        let traced = |traced: activations::Traced| Traced {
            completion: traced.completion,
            activations: Activations::held(traced.captured, spec),
        };
        let answers = activations::trace(self, prompts, sampling, spec);
        answers.into_iter().map(|answer| answer.map(traced)).collect()
    }

    fn intervene(&self, changes: &[Intervention]) -> Result<Self, HostError> {
        activations::intervene(self, changes)
    }

    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        weights::tensors(self)
    }

    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        weights::read(self, name, first, count)
    }

    fn row_means(&self, name: &str) -> Result<Vec<RowMean>, HostError> {
        weights::row_means(self, name)
    }

    fn edit(&self, edits: &[RankOne]) -> Result<Self, HostError> {
        weights::edit(self, edits)
    }

    fn importance(
        &self,
        examples: &[Example],
        spec: &ImportanceSpec,
    ) -> Result<Vec<MatrixImportance>, HostError> {
        gradients::importance(self, examples, *spec)
    }
}
