//! Models: one trait, the engine that executes GGUF files through llama.cpp, and the candle engine, which also reads
//! Hugging Face folders and has gradients.
//!
//! The runner opens a model with [`open`] or [`open_candle`] and shares the handle among all samples. Behind each handle
//! stands one worker thread with a queue; callers await. In llama.cpp, requests of many callers are computed together
//! (continuous batching) and prompts that begin alike share what is computed of their beginning. The engines know nothing
//! of plugins or runs.

mod adapter;
mod candle;
mod comparison;
mod error;
mod export;
mod inside;
mod llama;
mod model;
mod reasoning;
mod reply;
mod row_means;
mod template;
mod tokenize;
mod treated;

#[doc(hidden)]
pub use candle::LayerByLayer;
pub use comparison::{Comparison, LayerDrift, NextTokenDrift, compare};
pub use error::OpenError;
pub use export::{Agreement, Draft, ExportError, Exported, Exporter, Form, WriteError};
pub use llama::Tokenizer;
pub use model::{Following, GenerateRequest, Model, OpenOptions, Precision, TrainProgress, Usage};
pub use reply::{Streamed, so_far};
pub use treated::{at_strength, treated};

use std::path::Path;
use std::sync::Arc;

/// Looks at a file's header without loading it: whether it is a GGUF file that holds weights.
///
/// # Errors
/// When the file cannot be read, is no GGUF file, ends inside its header or holds only a tokenizer.
pub fn check(path: &Path) -> Result<(), OpenError> {
    llama::check(path)
}

/// Opens a GGUF file.
///
/// # Errors
/// When the file is no usable model, or its KV cache would not fit; the text says why and what would.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Arc<dyn Model>, OpenError> {
    llama::LlamaEngine::open(path, options).map(|model| Arc::new(model) as Arc<dyn Model>)
}

/// The engine's name and version, for the run file.
pub fn version() -> &'static str {
    llama::VERSION
}

/// Looks at a GGUF file's header, or at a folder's `config.json`, without loading weights: whether the candle engine
/// computes such a model.
///
/// # Errors
/// When the path cannot be read or holds no model of a family that the engine knows; the text says which it knows.
pub fn check_candle(path: &Path) -> Result<(), OpenError> {
    candle::check(path)
}

/// Opens a GGUF file, or a folder as Hugging Face saves models, in the candle engine.
///
/// # Errors
/// When the path holds no usable model; the text says what is missing or wrong.
pub fn open_candle(path: &Path, options: &OpenOptions) -> Result<Arc<dyn Model>, OpenError> {
    candle::CandleEngine::open(path, options).map(|model| Arc::new(model) as Arc<dyn Model>)
}

/// The candle engine's name and version, for the run file.
pub fn candle_version() -> &'static str {
    candle::VERSION
}
