//! Treatments as files that other programs load.

#![allow(dead_code, reason = "the exports themselves follow")]
mod draft;
mod factors;
mod gguf;
mod lora;

pub use draft::{Draft, WriteError};
pub(crate) use factors::Factors;
pub(crate) use lora::write as write_lora;
