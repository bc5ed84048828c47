//! What files call the parts of a transformer, and in which order they keep a matrix's rows.

use super::description::Description;
use super::tensors::RowOrder;

/// A matrix of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Module {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Module {
    pub(crate) const ATTENTION: [Self; 4] = [Self::Query, Self::Key, Self::Value, Self::Output];
    pub(crate) const MLP: [Self; 3] = [Self::Gate, Self::Up, Self::Down];
    pub(crate) const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Hugging Face's name within the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::Output => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// Its last part, by which the contract names what is trained: `q_proj` for example.
    pub(crate) fn projection(self) -> &'static str {
        let name = self.name();
        name.rsplit_once('.').map_or(name, |(_, last)| last)
    }

    fn in_gguf(self) -> &'static str {
        match self {
            Self::Query => "attn_q",
            Self::Key => "attn_k",
            Self::Value => "attn_v",
            Self::Output => "attn_output",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
        }
    }
}

/// A norm of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norm {
    BeforeAttention,
    Query,
    Key,
    AfterAttention,
    BeforeMlp,
    AfterMlp,
}

/// How a file names its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Gguf,
    /// Hugging Face, with what stands before `embed_tokens`, for example `model.`.
    HuggingFace {
        prefix: String,
        post_norms: bool,
    },
}

impl Names {
    pub(crate) fn embedding(&self) -> String {
        match self {
            Self::Gguf => "token_embd.weight".to_owned(),
            Self::HuggingFace { prefix, .. } => format!("{prefix}embed_tokens.weight"),
        }
    }

    pub(crate) fn final_norm(&self) -> String {
        match self {
            Self::Gguf => "output_norm.weight".to_owned(),
            Self::HuggingFace { prefix, .. } => format!("{prefix}norm.weight"),
        }
    }

    /// Where the output matrix may stand; models that have none use the embedding.
    pub(crate) fn head(&self) -> Vec<String> {
        match self {
            Self::Gguf => vec!["output.weight".to_owned()],
            Self::HuggingFace { prefix, .. } => {
                let outer = prefix.strip_suffix("model.").unwrap_or(prefix);
                vec![format!("{outer}lm_head.weight"), "lm_head.weight".to_owned()]
            }
        }
    }

    pub(crate) fn module(&self, block: usize, module: Module, part: &str) -> String {
        match self {
            Self::Gguf => format!("blk.{block}.{}.{part}", module.in_gguf()),
            Self::HuggingFace { prefix, .. } => format!("{prefix}layers.{block}.{}.{part}", module.name()),
        }
    }

    /// Block and module of a matrix by its tensor's name; `None` for tensors that are no projection of a block.
    pub(crate) fn place(&self, name: &str) -> Option<(usize, Module)> {
        let inner = match self {
            Self::Gguf => name.strip_prefix("blk.")?,
            Self::HuggingFace { prefix, .. } => {
                name.strip_prefix(prefix.as_str())?.strip_prefix("layers.")?
            }
        };
        let block = inner.split_once('.')?.0.parse().ok()?;
        let module = Module::ALL.into_iter().find(|module| self.module(block, *module, "weight") == name)?;
        Some((block, module))
    }

    /// llama.cpp's converter interleaves the halves of Llama's queries and keys; they are put back, so that positions are
    /// turned in one way only and weights have Hugging Face's indices.
    pub(crate) fn row_order(&self, about: &Description, module: Module) -> RowOrder {
        let interleaved = *self == Self::Gguf && about.architecture == "llama";
        match module {
            Module::Query if interleaved => RowOrder::PairsToHalves { heads: about.heads },
            Module::Key if interleaved => RowOrder::PairsToHalves { heads: about.key_heads },
            _ => RowOrder::AsStored,
        }
    }

    pub(crate) fn norm(&self, block: usize, norm: Norm) -> String {
        match self {
            Self::Gguf => {
                let name = match norm {
                    Norm::BeforeAttention => "attn_norm",
                    Norm::Query => "attn_q_norm",
                    Norm::Key => "attn_k_norm",
                    Norm::AfterAttention => "post_attention_norm",
                    Norm::BeforeMlp => "ffn_norm",
                    Norm::AfterMlp => "post_ffw_norm",
                };
                format!("blk.{block}.{name}.weight")
            }
            Self::HuggingFace { prefix, post_norms } => {
                let name = match norm {
                    Norm::BeforeAttention => "input_layernorm",
                    Norm::Query => "self_attn.q_norm",
                    Norm::Key => "self_attn.k_norm",
                    Norm::AfterAttention => "post_attention_layernorm",
                    // Without norms after attention, this name means the norm before the MLP.
                    Norm::BeforeMlp if !post_norms => "post_attention_layernorm",
                    Norm::BeforeMlp => "pre_feedforward_layernorm",
                    Norm::AfterMlp => "post_feedforward_layernorm",
                };
                format!("{prefix}layers.{block}.{name}.weight")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_found_by_the_name_its_file_gives_it() {
        let folder = Names::HuggingFace { prefix: "model.".to_owned(), post_norms: false };
        assert_eq!(Names::Gguf.place("blk.12.attn_output.weight"), Some((12, Module::Output)));
        assert_eq!(folder.place("model.layers.3.mlp.up_proj.weight"), Some((3, Module::Up)));
        for none in
            ["blk.0.attn_norm.weight", "blk.0.attn_q.bias", "blk.x.attn_q.weight", "blk.01.attn_q.weight"]
        {
            assert_eq!(Names::Gguf.place(none), None, "{none}");
        }
        assert_eq!(folder.place("blk.0.attn_q.weight"), None);
        assert_eq!(Names::Gguf.place("token_embd.weight"), None);
    }

    #[test]
    fn projections_go_by_peft_s_names() {
        let names = Module::ALL.map(Module::projection);
        assert_eq!(names, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    }
}
