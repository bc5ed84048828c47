//! A GGUF file: its metadata as a [`Description`], and where its tensors lie.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};

use super::config::Refusal;
use super::description::{Activation, Description, Family, Rope, Scaling};
use super::tensors::{Entry, Tensors};
use crate::OpenError;

/// What a GGUF file says of its model.
pub(crate) struct Gguf {
    pub tensors: Tensors,
    pub description: Description,
    /// `general.name`.
    pub name: Option<String>,
    /// `tokenizer.chat_template`.
    pub template: Option<String>,
}

/// Reads a file's header.
///
/// # Errors
/// A file that is no GGUF file, ends too early, or holds a model that this engine does not compute.
pub(crate) fn open(path: &Path) -> Result<Gguf, OpenError> {
    crate::llama::check(path)?;
    let unreadable = |reason| OpenError::Unreadable { path: path.to_owned(), reason };
    let refused = |reason: String| OpenError::Candle { path: path.to_owned(), reason };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let content = Content::read(&mut reader).map_err(|error| refused(error.to_string()))?;
    let mut found: Vec<_> = content.tensor_infos.iter().collect();
    found.sort_by_key(|(_, info)| info.offset);
    let entries = found.into_iter().map(|(name, info)| Entry {
        name: name.clone(),
        shape: info.shape.dims().to_vec(),
        kind: Some(info.ggml_dtype),
        stored: kind_name(info.ggml_dtype).to_owned(),
        file: 0,
        offset: content.tensor_data_offset.saturating_add(info.offset),
    });
    let truncated = |reason| OpenError::Truncated { path: path.to_owned(), reason };
    let tensors = Tensors::new(vec![path.to_owned()], entries.collect()).map_err(truncated)?;
    let metadata = Metadata::new(&content.metadata);
    let description = metadata.describe(&tensors).map_err(|refusal| refusal.about(path))?;
    let text = |key: &str| metadata.text(key).filter(|text| !text.trim().is_empty()).map(str::to_owned);
    Ok(Gguf { description, name: text("general.name"), template: text("tokenizer.chat_template"), tensors })
}

/// llama.cpp's names.
fn kind_name(kind: GgmlDType) -> &'static str {
    match kind {
        GgmlDType::F32 => "F32",
        GgmlDType::F16 => "F16",
        GgmlDType::BF16 => "BF16",
        GgmlDType::Q4_0 => "Q4_0",
        GgmlDType::Q4_1 => "Q4_1",
        GgmlDType::Q5_0 => "Q5_0",
        GgmlDType::Q5_1 => "Q5_1",
        GgmlDType::Q8_0 => "Q8_0",
        GgmlDType::Q8_1 => "Q8_1",
        GgmlDType::Q2K => "Q2_K",
        GgmlDType::Q3K => "Q3_K",
        GgmlDType::Q4K => "Q4_K",
        GgmlDType::Q5K => "Q5_K",
        GgmlDType::Q6K => "Q6_K",
        GgmlDType::Q8K => "Q8_K",
    }
}

struct Metadata<'a> {
    values: &'a HashMap<String, Value>,
    architecture: &'a str,
}

impl<'a> Metadata<'a> {
    fn new(values: &'a HashMap<String, Value>) -> Self {
        let architecture = values.get("general.architecture").and_then(|value| value.to_string().ok());
        Self { values, architecture: architecture.map_or("", String::as_str) }
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.values.get(key)?.to_string().ok().map(String::as_str)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.values.get(&format!("{}.{key}", self.architecture))
    }

    fn integer(&self, key: &str) -> Option<usize> {
        let value = self.value(key)?;
        let number = value.to_u64().ok().or_else(|| u64::try_from(value.to_i32().ok()?).ok())?;
        usize::try_from(number).ok()
    }

    fn number(&self, key: &str) -> Option<f64> {
        let value = self.value(key)?;
        value.to_f32().map(f64::from).or_else(|_| value.to_f64()).ok()
    }

    fn needed(&self, key: &str) -> Result<usize, String> {
        self.integer(key).ok_or_else(|| {
            format!("the file's `{}.{key}` is missing or differs from block to block", self.architecture)
        })
    }

    fn describe(&self, tensors: &Tensors) -> Result<Description, Refusal> {
        if self.integer("expert_count").is_some_and(|experts| experts > 0)
            || self.architecture.contains("moe")
        {
            return Err(Refusal::Other(
                "it is a mixture of experts, which the candle engine does not compute; use `engine: llama`"
                    .into(),
            ));
        }
        let family = Family::named(self.architecture).filter(|family| *family != Family::Mistral);
        let family = family.ok_or_else(|| Refusal::UnknownFamily(self.architecture.to_owned()))?;
        Ok(self.description(family, tensors)?)
    }

    fn description(&self, family: Family, tensors: &Tensors) -> Result<Description, String> {
        let (width, heads) = (self.needed("embedding_length")?, self.needed("attention.head_count")?);
        let blocks = self.needed("block_count")?;
        let head_width =
            self.integer("attention.key_length").unwrap_or(width.checked_div(heads).unwrap_or(0));
        if self.integer("attention.value_length").is_some_and(|length| length != head_width) {
            return Err("its values are not as wide as its keys".to_owned());
        }
        if self.integer("rope.dimension_count").is_some_and(|turned| turned != head_width) {
            return Err("it turns only a part of each head, which the candle engine does not compute".into());
        }
        let key_heads = match self.value("attention.head_count_kv") {
            None => heads,
            Some(_) => self.needed("attention.head_count_kv")?,
        };
        let vocabulary =
            tensors.get("token_embd.weight").and_then(|entry| entry.shape.first().copied()).unwrap_or(0);
        // The largest of each generation scales by its width, as llama.cpp knows from their depths.
        let by_width = matches!((family, blocks), (Family::Gemma2, 46) | (Family::Gemma3, 62));
        let scaled_by = if by_width { width as f64 / heads as f64 } else { head_width as f64 };
        let gemma2 = family == Family::Gemma2;
        let sliding = (0..blocks).map(|block| match family {
            Family::Gemma2 => block.is_multiple_of(2),
            Family::Gemma3 => !(block + 1).is_multiple_of(6),
            _ => false,
        });
        let description = Description {
            family,
            architecture: self.architecture.to_owned(),
            blocks,
            width,
            heads,
            key_heads,
            head_width,
            mlp_width: self.needed("feed_forward_length")?,
            vocabulary,
            context: self.needed("context_length")?,
            norm_epsilon: self.number("attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
            activation: if family.is_gemma() { Activation::Gelu } else { Activation::Silu },
            attention_scale: self.number("attention.scale").unwrap_or_else(|| scaled_by.powf(-0.5)),
            attention_cap: self.number("attn_logit_softcapping").or(gemma2.then_some(50.0)),
            logit_cap: self.number("final_logit_softcapping").or(gemma2.then_some(30.0)),
            window: self.integer("attention.sliding_window").filter(|window| *window > 0).unwrap_or(4096),
            sliding: sliding.collect(),
            rope: self.rope(tensors)?,
            sliding_rope: (family == Family::Gemma3).then(|| Rope {
                theta: self.number("rope.freq_base_swa").unwrap_or(10_000.0),
                scaling: Scaling::None,
            }),
            // llama.cpp's converter has added it.
            norms_lack_one: false,
        };
        description.check()?;
        Ok(description)
    }

    fn rope(&self, tensors: &Tensors) -> Result<Rope, String> {
        let default = if self.architecture == "gemma3" { 1_000_000.0 } else { 10_000.0 };
        let theta = self.number("rope.freq_base").unwrap_or(default);
        if let Some(entry) = tensors.get("rope_freqs.weight") {
            let factors = tensors.floats(entry, 0, entry.elements()).map_err(|error| error.to_string())?;
            return Ok(Rope { theta, scaling: Scaling::Factors(factors) });
        }
        let factor = self.number("rope.scaling.factor").or(self.number("rope.scale_linear"));
        let scaling = match (self.value("rope.scaling.type").and_then(|value| value.to_string().ok()), factor)
        {
            (None, Some(factor)) if factor != 1.0 => Scaling::Linear(factor),
            (Some(kind), Some(factor)) if kind == "linear" => Scaling::Linear(factor),
            (Some(kind), _) if kind != "none" && kind != "linear" => {
                return Err(format!(
                    "it has rope scaling {kind:?}, which the candle engine does not compute; use `engine: llama`"
                ));
            }
            _ => Scaling::None,
        };
        Ok(Rope { theta, scaling })
    }
}
