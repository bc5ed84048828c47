//! Tiny models of other architectures with random weights, written by llama.cpp's own GGUF functions over the vocabulary
//! of stories260K.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::ffi::CString;
use std::path::Path;

use llama_cpp_sys_2 as sys;

pub const WIDTH: i64 = 64;
pub const BLOCKS: u32 = 3;
/// The block whose attention, and the one whose MLP, adds nothing: the last matrices are zero.
pub const NO_ATTENTION: u32 = 1;
pub const NO_MLP: u32 = 2;

const FF: i64 = 96;
const EXPERT_FF: i64 = 32;
const EXPERTS: i64 = 4;
const VOCABULARY: i64 = 512;

/// A tensor's name within a block, and its lengths, innermost first.
type Part = (&'static str, &'static [i64]);

const NORMS: &[Part] = &[("attn_norm.weight", &[WIDTH]), ("ffn_norm.weight", &[WIDTH])];
const ATTENTION: &[Part] = &[
    ("attn_q.weight", &[WIDTH, WIDTH]),
    ("attn_k.weight", &[WIDTH, WIDTH]),
    ("attn_v.weight", &[WIDTH, WIDTH]),
    ("attn_output.weight", &[WIDTH, WIDTH]),
];
const GATED: &[Part] =
    &[("ffn_gate.weight", &[WIDTH, FF]), ("ffn_up.weight", &[WIDTH, FF]), ("ffn_down.weight", &[FF, WIDTH])];
const MIXTURE: &[Part] = &[
    ("ffn_gate_inp.weight", &[WIDTH, EXPERTS]),
    ("ffn_gate_exps.weight", &[WIDTH, EXPERT_FF, EXPERTS]),
    ("ffn_up_exps.weight", &[WIDTH, EXPERT_FF, EXPERTS]),
    ("ffn_down_exps.weight", &[EXPERT_FF, WIDTH, EXPERTS]),
];
const SHARED_EXPERT: &[Part] = &[
    ("ffn_gate_inp_shexp.weight", &[WIDTH]),
    ("ffn_gate_shexp.weight", &[WIDTH, FF]),
    ("ffn_up_shexp.weight", &[WIDTH, FF]),
    ("ffn_down_shexp.weight", &[FF, WIDTH]),
];
const POST_NORMS: &[Part] = &[("post_attention_norm.weight", &[WIDTH]), ("post_ffw_norm.weight", &[WIDTH])];
const QK_NORMS: &[Part] = &[("attn_q_norm.weight", &[16]), ("attn_k_norm.weight", &[16])];
/// GPT-NeoX and GPT-2: one matrix for queries, keys and values, biases everywhere, no gate.
const BIASED: &[Part] = &[
    ("attn_norm.weight", &[WIDTH]),
    ("attn_norm.bias", &[WIDTH]),
    ("attn_qkv.weight", &[WIDTH, 3 * WIDTH]),
    ("attn_qkv.bias", &[3 * WIDTH]),
    ("attn_output.weight", &[WIDTH, WIDTH]),
    ("attn_output.bias", &[WIDTH]),
    ("ffn_norm.weight", &[WIDTH]),
    ("ffn_norm.bias", &[WIDTH]),
    ("ffn_up.weight", &[WIDTH, FF]),
    ("ffn_up.bias", &[FF]),
    ("ffn_down.weight", &[FF, WIDTH]),
    ("ffn_down.bias", &[WIDTH]),
];

/// An architecture, the tensors of its blocks, and what the model has beside them.
type Architecture = (&'static str, &'static [&'static [Part]], &'static [Part]);

/// Architectures that build their blocks differently.
const ARCHITECTURES: &[Architecture] = &[
    ("llama", &[NORMS, ATTENTION, GATED], &[]),
    ("qwen3moe", &[NORMS, ATTENTION, QK_NORMS, MIXTURE], &[]),
    ("qwen2moe", &[NORMS, ATTENTION, MIXTURE, SHARED_EXPERT], &[]),
    ("gemma2", &[NORMS, ATTENTION, GATED, POST_NORMS], &[]),
    ("granite", &[NORMS, ATTENTION, GATED], &[]),
    ("command-r", &[&[("attn_norm.weight", &[WIDTH])], ATTENTION, GATED], &[]),
    ("gptneox", &[BIASED], &[("output_norm.bias", &[WIDTH])]),
    ("gpt2", &[BIASED], &[("output_norm.bias", &[WIDTH]), ("position_embd.weight", &[WIDTH, 128])]),
];

pub fn architectures() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|(name, ..)| *name)
}

/// Writes a model of the architecture; `vocabulary` is a GGUF file to take the tokenizer from.
#[expect(unsafe_code, reason = "llama.cpp writes GGUF in C alone")]
pub fn write(architecture: &str, vocabulary: &Path, to: &Path) {
    let (_, blocks, model) = ARCHITECTURES.iter().find(|(name, ..)| *name == architecture).unwrap();
    let text = |text: &str| CString::new(text).unwrap();
    let key = |name: &str| text(&format!("{architecture}.{name}"));
    // SAFETY: plain calls with zero-ended names; everything made here is freed here, once.
    unsafe {
        let all = sys::ggml_init(sys::ggml_init_params {
            mem_size: 64 << 20,
            mem_buffer: std::ptr::null_mut(),
            no_alloc: false,
        });
        let params = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
        let from = sys::gguf_init_from_file(text(vocabulary.to_str().unwrap()).as_ptr(), params);
        let file = sys::gguf_init_empty();
        sys::gguf_set_kv(file, from);
        sys::gguf_set_val_str(file, c"general.architecture".as_ptr(), text(architecture).as_ptr());
        sys::gguf_set_val_str(file, c"general.name".as_ptr(), text(architecture).as_ptr());
        let numbers = [
            ("context_length", 128),
            ("embedding_length", 64),
            ("block_count", BLOCKS),
            ("feed_forward_length", 96),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 4),
            ("attention.key_length", 16),
            ("attention.value_length", 16),
            ("rope.dimension_count", 16),
            ("vocab_size", 512),
            ("expert_count", if blocks.contains(&MIXTURE) { 4 } else { 0 }),
            ("expert_used_count", if blocks.contains(&MIXTURE) { 2 } else { 0 }),
            ("expert_feed_forward_length", 32),
            ("expert_shared_feed_forward_length", 96),
        ];
        for (name, number) in numbers {
            sys::gguf_set_val_u32(file, key(name).as_ptr(), number);
        }
        let factors = [
            ("attention.layer_norm_rms_epsilon", 1e-5),
            ("attention.layer_norm_epsilon", 1e-5),
            ("logit_scale", 0.5),
            // Granite's, each of which moves a place.
            ("embedding_scale", 3.0),
            ("residual_scale", 0.4),
        ];
        for (name, number) in factors {
            sys::gguf_set_val_f32(file, key(name).as_ptr(), number);
        }
        sys::gguf_set_val_bool(file, key("use_parallel_residual").as_ptr(), true);

        let mut random = 0x9E37_79B9_u32;
        let mut add = |name: &str, lengths: &[i64]| {
            let dimensions = i32::try_from(lengths.len()).unwrap();
            let tensor = sys::ggml_new_tensor(all, sys::GGML_TYPE_F32, dimensions, lengths.as_ptr());
            sys::ggml_set_name(tensor, text(name).as_ptr());
            let count = usize::try_from(lengths.iter().product::<i64>()).unwrap();
            let numbers = std::slice::from_raw_parts_mut(sys::ggml_get_data_f32(tensor), count);
            let silent = name.starts_with(&format!("blk.{NO_ATTENTION}.attn_output"))
                || name.starts_with(&format!("blk.{NO_MLP}.ffn_down"));
            for number in numbers {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let noise = random as f32 / u32::MAX as f32 - 0.5;
                *number = match name {
                    _ if silent => 0.0,
                    _ if name.contains("norm.weight") => 1.0 + 0.5 * noise,
                    _ => 0.4 * noise,
                };
            }
            sys::gguf_add_tensor(file, tensor);
        };
        add("token_embd.weight", &[WIDTH, VOCABULARY]);
        if !["gemma2", "command-r"].contains(&architecture) {
            // These two read out with the embedding.
            add("output.weight", &[WIDTH, VOCABULARY]);
        }
        add("output_norm.weight", &[WIDTH]);
        model.iter().for_each(|(name, lengths)| add(name, lengths));
        for block in 0..BLOCKS {
            for (name, lengths) in blocks.iter().copied().flatten() {
                add(&format!("blk.{block}.{name}"), lengths);
            }
        }
        assert!(sys::gguf_write_to_file(file, text(to.to_str().unwrap()).as_ptr(), false));
        sys::gguf_free(file);
        sys::gguf_free(from);
        sys::ggml_free(all);
    }
}
