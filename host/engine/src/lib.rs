//! Models: one trait, and the engine that executes GGUF files through llama.cpp.
//!
//! The runner opens a model with [`open`] and shares the handle among all samples. Behind each handle stands one worker
//! thread with a queue; callers await. Requests of many callers are computed together (continuous batching), prompts
//! that begin alike share what is computed of their beginning. The engine knows nothing of plugins or runs.

mod comparison;
mod error;
mod inside;
mod llama;
mod model;
mod reasoning;
mod template;

pub use comparison::{Comparison, LayerDrift, NextTokenDrift, compare};
pub use error::OpenError;
pub use llama::Tokenizer;
pub use model::{GenerateRequest, Model, OpenOptions, Precision, Usage};

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
