//! A Hugging Face `config.json` as a [`Description`].

use serde_json::{Map, Value};

use super::description::{Activation, Description, Family, KNOWN, Rope, Scaling};

/// Where a key is missing, what Hugging Face's configuration class takes.
const DEFAULT_THETA: f64 = 10_000.0;

/// Why a configuration cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownFamily(String),
    Other(String),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// Reads the configuration of a causal language model, or of the language part of a larger one.
pub(crate) fn describe(config: &Map<String, Value>) -> Result<Description, Refusal> {
    let outer = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let keys = Keys(config.get("text_config").and_then(Value::as_object).unwrap_or(config));
    let name = keys.text("model_type").unwrap_or(outer);
    let experts = ["num_experts", "num_local_experts", "n_routed_experts"];
    if let Some(key) = experts.into_iter().find(|key| keys.integer(key).is_some_and(|count| count > 1)) {
        return Err(Refusal::Other(format!(
            "it is a mixture of experts (`{key}`), which the candle engine does not compute; use `engine: llama` on a \
             GGUF file of it"
        )));
    }
    let family = Family::named(name).ok_or_else(|| Refusal::UnknownFamily(name.to_owned()))?;
    Ok(keys.description(family, name)?)
}

struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.as_f64()
    }

    fn integer(&self, key: &str) -> Option<usize> {
        usize::try_from(self.0.get(key)?.as_u64()?).ok()
    }

    /// `null` says that there is none; a missing key says the default.
    fn unless_null(&self, key: &str, default: Option<f64>) -> Option<f64> {
        self.0.get(key).map_or(default, Value::as_f64)
    }

    fn description(&self, family: Family, name: &str) -> Result<Description, String> {
        let multimodal = matches!(family, Family::Gemma3);
        // Configurations of larger Gemma 3 models leave out what equals the class's defaults.
        let needed = |key: &str, default: usize| {
            self.integer(key)
                .or(multimodal.then_some(default))
                .ok_or_else(|| format!("`{key}` is missing from config.json"))
        };
        let (width, heads) = (needed("hidden_size", 2304)?, needed("num_attention_heads", 8)?);
        let blocks = needed("num_hidden_layers", 26)?;
        let head_default = if family.is_gemma() { 256 } else { width.checked_div(heads).unwrap_or(0) };
        let head_width = self.integer("head_dim").unwrap_or(head_default);
        let (attention_cap, logit_cap, scale_default) = match family {
            Family::Gemma2 => (Some(50.0), Some(30.0), 256.0),
            Family::Gemma3 => (None, None, 256.0),
            _ => (None, None, head_width as f64),
        };
        let scaled_by = self.number("query_pre_attn_scalar").filter(|_| family.has_post_norms());
        let (rope, sliding_rope) = self.ropes(family)?;
        let sliding = self.sliding(family, blocks);
        let window = self.integer("sliding_window").or(family.has_post_norms().then_some(4096));
        if sliding.contains(&true) && window.is_none_or(|window| window == 0) {
            return Err("some layers have sliding attention and `sliding_window` is missing".to_owned());
        }
        let description = Description {
            family,
            architecture: name.to_owned(),
            blocks,
            width,
            heads,
            key_heads: self.integer("num_key_value_heads").unwrap_or(if multimodal { 4 } else { heads }),
            head_width,
            mlp_width: needed("intermediate_size", 9216)?,
            vocabulary: needed("vocab_size", 262_208)?,
            context: needed("max_position_embeddings", 131_072)?,
            norm_epsilon: self.number("rms_norm_eps").unwrap_or(1e-6),
            activation: self.activation(family)?,
            attention_scale: scaled_by.unwrap_or(scale_default).powf(-0.5),
            attention_cap: self.unless_null("attn_logit_softcapping", attention_cap),
            logit_cap: self.unless_null("final_logit_softcapping", logit_cap),
            window: window.unwrap_or(0),
            sliding,
            rope,
            sliding_rope,
            norms_lack_one: family.is_gemma(),
        };
        description.check().map_err(|reason| format!("config.json: {reason}"))?;
        Ok(description)
    }

    fn activation(&self, family: Family) -> Result<Activation, String> {
        if family.is_gemma() {
            // The first Gemma's files say "gelu" and mean the tanh form, as Hugging Face reads them.
            return Ok(Activation::Gelu);
        }
        match self.text("hidden_act") {
            None | Some("silu") => Ok(Activation::Silu),
            Some(other) => {
                Err(format!("config.json asks for the activation {other:?}; this family's is \"silu\""))
            }
        }
    }

    /// Which blocks slide.
    fn sliding(&self, family: Family, blocks: usize) -> Vec<bool> {
        if let Some(types) = self.0.get("layer_types").and_then(Value::as_array) {
            let sliding = |at: usize| types.get(at).and_then(Value::as_str) == Some("sliding_attention");
            return (0..blocks).map(sliding).collect();
        }
        let windowed = self.integer("sliding_window").is_some();
        let asked = self.0.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(false);
        let first = self.integer("max_window_layers").unwrap_or(28);
        let pattern =
            self.integer("sliding_window_pattern").or(self.integer("_sliding_window_pattern")).unwrap_or(6);
        let slides = |block: usize| match family {
            Family::Llama | Family::Gemma => false,
            Family::Mistral => windowed,
            Family::Qwen2 | Family::Qwen3 => windowed && asked && block >= first,
            Family::Gemma2 => block.is_multiple_of(2),
            Family::Gemma3 => !(block + 1).is_multiple_of(pattern.max(1)),
        };
        (0..blocks).map(slides).collect()
    }

    /// Of all blocks, and of the sliding ones where theirs differs.
    fn ropes(&self, family: Family) -> Result<(Rope, Option<Rope>), String> {
        let share = self.number("partial_rotary_factor");
        if share.is_some_and(|share| share != 1.0) {
            return Err("config.json turns only a part of each head (`partial_rotary_factor`), which the candle engine \
                        does not compute"
                .to_owned());
        }
        let theta = self.number("rope_theta");
        let object = |key: &str| self.0.get(key).and_then(Value::as_object);
        if let Some(parameters) = object("rope_parameters") {
            let of = |kind: &str| parameters.get(kind).and_then(Value::as_object);
            return match (of("full_attention"), of("sliding_attention")) {
                (Some(full), sliding) => {
                    Ok((rope(full, theta)?, sliding.map(|sliding| rope(sliding, theta)).transpose()?))
                }
                _ => Ok((rope(parameters, theta)?, None)),
            };
        }
        let scaled = object("rope_scaling").cloned().unwrap_or_default();
        let gemma3 = family == Family::Gemma3;
        let global = rope(&scaled, theta.or(gemma3.then_some(1_000_000.0)))?;
        let local = gemma3.then(|| Rope {
            theta: self.number("rope_local_base_freq").unwrap_or(DEFAULT_THETA),
            scaling: Scaling::None,
        });
        Ok((global, local))
    }
}

fn rope(parameters: &Map<String, Value>, theta: Option<f64>) -> Result<Rope, String> {
    let keys = Keys(parameters);
    let needed = |key: &str| {
        keys.number(key).ok_or_else(|| format!("`{key}` is missing from config.json's rope settings"))
    };
    let scaling = match keys.text("rope_type").or(keys.text("type")) {
        None | Some("default") => Scaling::None,
        Some("linear") => Scaling::Linear(needed("factor")?),
        Some("llama3") => Scaling::Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed("high_freq_factor")?,
            original: needed("original_max_position_embeddings")?,
        },
        Some(other) => {
            return Err(format!(
                "config.json asks for rope scaling {other:?}; the candle engine computes \"default\", \"linear\" and \
                 \"llama3\""
            ));
        }
    };
    Ok(Rope { theta: keys.number("rope_theta").or(theta).unwrap_or(DEFAULT_THETA), scaling })
}

impl Refusal {
    /// As an error about this path.
    pub(crate) fn about(self, path: &std::path::Path) -> crate::OpenError {
        let path = path.to_owned();
        match self {
            Self::UnknownFamily(family) => crate::OpenError::UnknownFamily { path, family, known: KNOWN },
            Self::Other(reason) => crate::OpenError::Candle { path, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(config: &Value) -> Result<Description, Refusal> {
        describe(config.as_object().unwrap())
    }

    fn llama() -> Value {
        serde_json::json!({
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 512
        })
    }

    #[test]
    fn what_the_file_leaves_out_is_hugging_faces_default() {
        let found = described(&llama()).unwrap();
        assert_eq!((found.key_heads, found.head_width, found.attention_scale), (4, 16, 0.25));
        assert_eq!(found.rope, Rope { theta: 10_000.0, scaling: Scaling::None });
        assert_eq!(found.sliding, [false, false]);
    }

    #[test]
    fn rope_scaling_is_read_in_the_old_spelling_and_in_the_new() {
        let mut old = llama();
        old["rope_theta"] = 5e5.into();
        old["rope_scaling"] = serde_json::json!({"type": "linear", "factor": 2.0});
        let mut new = llama();
        new["rope_parameters"] = serde_json::json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5});
        assert_eq!(described(&old).unwrap().rope, Rope { theta: 5e5, scaling: Scaling::Linear(2.0) });
        assert_eq!(described(&new).unwrap(), described(&old).unwrap());
    }

    #[test]
    fn the_language_part_of_gemma_3_slides_five_blocks_of_six() {
        let config = serde_json::json!({
            "model_type": "gemma3",
            "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                "num_hidden_layers": 34, "sliding_window": 1024,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
        });
        let found = described(&config).unwrap();
        assert_eq!(found.sliding.iter().filter(|slides| !**slides).count(), 5);
        assert_eq!((found.heads, found.key_heads, found.head_width, found.window), (8, 4, 256, 1024));
        assert_eq!(found.rope, Rope { theta: 1e6, scaling: Scaling::Linear(8.0) });
        assert_eq!(found.sliding_rope.unwrap().theta, 1e4);
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        let refused = |key: &str, value: Value| {
            let mut config = llama();
            config[key] = value;
            match described(&config).unwrap_err() {
                Refusal::Other(reason) => reason,
                Refusal::UnknownFamily(family) => panic!("unknown family {family}"),
            }
        };
        assert!(refused("num_local_experts", 8.into()).contains("mixture of experts"));
        assert!(refused("rope_scaling", serde_json::json!({"rope_type": "yarn"})).contains("\"yarn\""));
        assert!(refused("num_key_value_heads", 3.into()).contains("4 heads cannot share 3"));
        assert!(refused("hidden_size", Value::Null).contains("`hidden_size` is missing"));
        let mut config = llama();
        config["model_type"] = "mamba".into();
        assert_eq!(described(&config), Err(Refusal::UnknownFamily("mamba".into())));
    }
}
