//! Why a model could not be opened.

use std::path::PathBuf;

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the model {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: std::io::Error,
    },
    /// Not a GGUF file.
    #[error(
        "{path} is not a GGUF model (it begins with {found:?}, not \"GGUF\"); convert it with llama.cpp's \
         convert_hf_to_gguf.py, or point `path` at a .gguf file"
    )]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: String,
    },
    /// The file ends too early.
    #[error("{path} is truncated: {reason}; fetch the file again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The file holds a vocabulary at most.
    #[error(
        "{path} holds no weights, at most a tokenizer, so it cannot generate; point `path` at the model itself"
    )]
    TokenizerOnly {
        /// The file.
        path: PathBuf,
    },
    /// llama.cpp does not know the architecture.
    #[error(
        "{path} has the architecture \"{architecture}\", which this build's llama.cpp ({version}) does not know; use \
         another model or a newer Sonde"
    )]
    UnknownArchitecture {
        /// The file.
        path: PathBuf,
        /// `general.architecture`.
        architecture: String,
        /// The engine's version.
        version: &'static str,
    },
    /// llama.cpp refused for another reason.
    #[error("llama.cpp cannot load {path}: {reason}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// llama.cpp's words.
        reason: String,
    },
    /// The candle engine does not know the family.
    #[error("{path} has the architecture \"{family}\"; the candle engine computes {known}")]
    UnknownFamily {
        /// The file or folder.
        path: PathBuf,
        /// `general.architecture`, or `model_type`.
        family: String,
        /// The families it knows.
        known: &'static str,
    },
    /// The candle engine cannot load a file or folder of a known family.
    #[error("the candle engine cannot load {path}: {reason}")]
    Candle {
        /// The file or folder.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The KV cache does not fit into memory.
    #[error(
        "the KV cache of {path}, with its buffers, needs {needed_mib} MiB for {slots} slots of {context} tokens, and \
         {available_mib} MiB are free; {fits}"
    )]
    KvCache {
        /// The file.
        path: PathBuf,
        /// Size of the cache asked for, with its buffers.
        needed_mib: u64,
        /// Memory free for it.
        available_mib: u64,
        /// Slots asked for.
        slots: u32,
        /// Context asked for.
        context: u32,
        /// A sentence that says what would fit.
        fits: String,
    },
    /// An option is out of range.
    #[error("{path}: {reason}")]
    Option {
        /// The file.
        path: PathBuf,
        /// Which option, and its range.
        reason: String,
    },
    /// The worker thread could not start.
    #[error("cannot start the worker of {path}: {reason}")]
    Worker {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
}
