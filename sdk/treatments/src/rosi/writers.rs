//! Which matrices write to the residual stream, by the names that GGUF files and Hugging Face folders give them.

/// What a matrix is the last of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Attention: its output projection.
    Attention,
    /// The MLP, or an expert: its down projection.
    Mlp,
}

/// A matrix, or one matrix per expert, whose output is added to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writer {
    /// Its block, from 0.
    pub block: u32,
    /// What it is the last of.
    pub part: Part,
}

/// What of the residual stream a tensor writes; `None` for any other. The embedding, which the paper does not name, is
/// none.
pub fn writer(name: &str) -> Option<Writer> {
    if let Some((block, rest)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        let part = match rest {
            "attn_output.weight" => Part::Attention,
            "ffn_down.weight" | "ffn_down_exps.weight" | "ffn_down_shexp.weight" => Part::Mlp,
            _ => return None,
        };
        return Some(Writer { block: block.parse().ok()?, part });
    }
    let (_, rest) = name.split_once("layers.")?;
    let (block, rest) = rest.split_once('.')?;
    let part = match rest.strip_suffix(".weight")? {
        "self_attn.o_proj" => Part::Attention,
        "mlp.down_proj" | "mlp.shared_expert.down_proj" | "mlp.shared_experts.down_proj" => Part::Mlp,
        rest => {
            let expert = rest.strip_prefix("mlp.experts.").and_then(|rest| rest.strip_suffix(".down_proj"));
            let mixtral =
                || rest.strip_prefix("block_sparse_moe.experts.").and_then(|rest| rest.strip_suffix(".w2"));
            expert.or_else(mixtral)?.parse::<u32>().ok()?;
            Part::Mlp
        }
    };
    Some(Writer { block: block.parse().ok()?, part })
}

/// Whether a tensor's name tells that the model normalises what a block writes before adding it (Gemma 2 and 3, OLMo 2):
/// then an edit is rescaled by that norm, and its alpha compares with no other model's.
pub fn has_norm_after_projection(name: &str) -> bool {
    name.contains("post_ffw_norm") || name.contains("post_feedforward_layernorm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_the_last_projections_of_attention_and_mlp_in_both_spellings() {
        let written = |name| writer(name).map(|Writer { block, part }| (block, part));
        for (name, expected) in [
            ("blk.0.attn_output.weight", (0, Part::Attention)),
            ("blk.11.ffn_down.weight", (11, Part::Mlp)),
            ("blk.3.ffn_down_exps.weight", (3, Part::Mlp)),
            ("blk.3.ffn_down_shexp.weight", (3, Part::Mlp)),
            ("model.layers.7.self_attn.o_proj.weight", (7, Part::Attention)),
            ("model.layers.7.mlp.down_proj.weight", (7, Part::Mlp)),
            ("model.layers.2.mlp.experts.13.down_proj.weight", (2, Part::Mlp)),
            ("model.layers.2.mlp.shared_expert.down_proj.weight", (2, Part::Mlp)),
            ("model.layers.2.block_sparse_moe.experts.1.w2.weight", (2, Part::Mlp)),
        ] {
            assert_eq!(written(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn nothing_else_is_a_writer() {
        for name in [
            "token_embd.weight",
            "output.weight",
            "blk.0.attn_q.weight",
            "blk.0.attn_output.bias",
            "blk.0.attn_output_norm.weight",
            "blk.0.ffn_up.weight",
            "blk.0.ffn_gate_exps.weight",
            "blk.x.ffn_down.weight",
            "model.layers.0.mlp.up_proj.weight",
            "model.layers.0.mlp.experts.x.down_proj.weight",
            "model.layers.0.block_sparse_moe.experts.1.w1.weight",
            "lm_head.weight",
        ] {
            assert_eq!(writer(name), None, "{name}");
        }
    }

    #[test]
    fn a_norm_between_projection_and_residual_stream_is_told_from_one_before_the_mlp() {
        assert!(has_norm_after_projection("blk.0.post_ffw_norm.weight"));
        assert!(has_norm_after_projection("model.layers.0.post_feedforward_layernorm.weight"));
        assert!(!has_norm_after_projection("model.layers.0.post_attention_layernorm.weight"));
        assert!(!has_norm_after_projection("blk.0.ffn_norm.weight"));
    }
}
