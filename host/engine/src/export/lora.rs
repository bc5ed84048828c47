//! GGUF LoRA adapters, as llama.cpp's `convert_lora_to_gguf.py` lays them out.
//!
//! A tensor NAME has two beside it: NAME.lora_a, A as it is, and NAME.lora_b, B as it is. The alpha is 0, for which
//! llama.cpp takes the scale that a user gives by itself, without dividing by the rank: tensors may then differ in theirs.
//! The llama.cpp engine puts changes in force with it, and `export` writes it for others.

use std::io::{Result, Write};

use super::Factors;
use super::gguf::{self, Part, Value};

/// Writes an adapter for a model of an architecture.
pub(crate) fn write(
    file: &mut impl Write,
    architecture: &str,
    name: &str,
    factors: &[Factors],
) -> Result<()> {
    let metadata = [
        ("general.type", Value::Text("adapter")),
        ("general.architecture", Value::Text(architecture)),
        ("general.name", Value::Text(name)),
        ("adapter.type", Value::Text("lora")),
        ("adapter.lora.alpha", Value::Float(0.0)),
    ];
    let sides = factors.iter().flat_map(|of| {
        let part = |side: &str, lengths: [usize; 2], numbers| Part {
            name: format!("{}.{side}", of.tensor),
            shape: of.experts.into_iter().chain(lengths).collect(),
            numbers,
        };
        [part("lora_a", [of.rank, of.columns], &*of.a), part("lora_b", [of.rows, of.rank], &*of.b)]
    });
    gguf::write(file, &metadata, &sides.collect::<Vec<_>>())
}
