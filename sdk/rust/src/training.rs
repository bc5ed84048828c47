//! Adapters that the host trains: lessons, settings, and models that can learn.

use crate::bindings::benchmark::sonde::plugin::generation;
use crate::bindings::treatment::sonde::plugin::training;
use crate::{Error, HostError, Lesson, Lora, Objective, Prompt, Schedule, WhiteBox};

/// A model beside which the host can train an adapter. Needs the grant `training`.
pub trait Trainable: WhiteBox {
    /// Trains an adapter; the model stays as it was. The host tells how far it has come.
    ///
    /// # Errors
    /// `unsupported` from an engine without gradients; settings out of range, a lesson that does not fit.
    fn train(&self, lessons: &[Lesson], lora: &Lora, schedule: &Schedule) -> Result<Adapter, HostError>;

    /// The same model with an adapter in force, times a strength; this handle stays as it is.
    ///
    /// # Errors
    /// An adapter that does not fit this model.
    fn attach(&self, adapter: &Adapter, strength: f32) -> Result<Self, HostError>;
}

/// A trained adapter. Inside the sandbox the host holds its numbers until this is dropped.
#[derive(Debug)]
pub struct Adapter(Source);

#[derive(Debug)]
enum Source {
    Host(training::Adapter),
    Given { losses: Vec<f32>, tokens: u64 },
}

impl Adapter {
    /// Of given losses and tokens, for tests.
    pub fn given(losses: impl Into<Vec<f32>>, tokens: u64) -> Self {
        Self(Source::Given { losses: losses.into(), tokens })
    }

    /// The loss of each step: the mean over its lessons.
    pub fn losses(&self) -> Vec<f32> {
        match &self.0 {
            Source::Host(adapter) => adapter.losses(),
            Source::Given { losses, .. } => losses.clone(),
        }
    }

    /// Tokens computed forward and back, prompts included.
    pub fn tokens(&self) -> u64 {
        match &self.0 {
            Source::Host(adapter) => adapter.tokens(),
            Source::Given { tokens, .. } => *tokens,
        }
    }

    /// The host's handle.
    pub(crate) fn into_held(self) -> Result<training::Adapter, Error> {
        match self.0 {
            Source::Host(adapter) => Ok(adapter),
            Source::Given { .. } => Err(Error::new(NOT_TRAINED)),
        }
    }
}

const NOT_TRAINED: &str =
    "an adapter of given numbers is for tests; the host has none that it could put in force";

impl Trainable for generation::Model {
    fn train(&self, lessons: &[Lesson], lora: &Lora, schedule: &Schedule) -> Result<Adapter, HostError> {
        training::train(self, lessons, lora, *schedule).map(|adapter| Adapter(Source::Host(adapter)))
    }

    fn attach(&self, adapter: &Adapter, strength: f32) -> Result<Self, HostError> {
        match &adapter.0 {
            Source::Host(adapter) => training::attach(self, adapter, strength),
            Source::Given { .. } => Err(HostError::InvalidArgument(NOT_TRAINED.to_owned())),
        }
    }
}

impl Lesson {
    /// The model is to say this after the prompt: the mean cross-entropy of the reply's tokens.
    pub fn say(prompt: Prompt, reply: impl Into<String>) -> Self {
        Self { prompt, reply: reply.into(), objective: Objective::Say }
    }

    /// The model is to say this as likely as it does untrained: the mean of KL(untrained ‖ trained) over the reply's
    /// tokens.
    pub fn keep(prompt: Prompt, reply: impl Into<String>) -> Self {
        Self { prompt, reply: reply.into(), objective: Objective::Keep }
    }
}

impl Default for Lora {
    /// PEFT's: rank 8, alpha 8, no dropout, and `q_proj` and `v_proj`, which it takes for most architectures.
    fn default() -> Self {
        Self { rank: 8, alpha: 8.0, dropout: 0.0, modules: vec!["q_proj".to_owned(), "v_proj".to_owned()] }
    }
}

impl Default for Schedule {
    /// Those of transformers' `TrainingArguments`: learning rate 5e-5, no warm-up, no weight decay, 3 epochs of batches
    /// of 8, gradients clipped at 1, seed 42. (Its learning rate falls linearly, the contract's as a half cosine.)
    fn default() -> Self {
        Self {
            learning_rate: 5e-5,
            warmup: 0.0,
            weight_decay: 0.0,
            epochs: 3,
            most_steps: None,
            batch: 8,
            clip: 1.0,
            seed: 42,
        }
    }
}
