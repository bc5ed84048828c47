//! Makes a model of half a billion random parameters in Qwen3's shape, Q8_0, for measuring memory and speed where no real
//! model of that size is at hand. It has wren's tokenizer and says nothing sensible.
//!
//! `cargo run --release -p sonde-engine --example random-model -- FILE.gguf`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// As Qwen3-0.6B, except for the vocabulary.
const BLOCKS: u32 = 28;
const WIDTH: usize = 1024;
const FEED_FORWARD: usize = 3072;
const HEADS: usize = 16;
const KV_HEADS: usize = 8;
const HEAD: usize = 128;
/// wren's tokens, and so many unused ones that the whole comes to half a billion parameters.
const VOCABULARY: usize = 65_536;
/// The marks of a GGUF vocabulary for a token that is never produced.
const UNUSED: i32 = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).ok_or("say which file to write: random-model FILE.gguf")?;
    let wren = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let metadata =
        metadata(Content::read(&mut BufReader::new(File::open(wren)?))?.metadata.into_iter().collect())?;
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut tensors = vec![("token_embd.weight".to_owned(), matrix(&mut random, VOCABULARY, WIDTH)?)];
    tensors.push(("output_norm.weight".to_owned(), ones(WIDTH)?));
    for block in 0..BLOCKS {
        let mut add = |name: &str, tensor| tensors.push((format!("blk.{block}.{name}.weight"), tensor));
        add("attn_norm", ones(WIDTH)?);
        add("attn_q", matrix(&mut random, HEADS * HEAD, WIDTH)?);
        add("attn_k", matrix(&mut random, KV_HEADS * HEAD, WIDTH)?);
        add("attn_v", matrix(&mut random, KV_HEADS * HEAD, WIDTH)?);
        add("attn_q_norm", ones(HEAD)?);
        add("attn_k_norm", ones(HEAD)?);
        add("attn_output", matrix(&mut random, WIDTH, HEADS * HEAD)?);
        add("ffn_norm", ones(WIDTH)?);
        add("ffn_gate", matrix(&mut random, FEED_FORWARD, WIDTH)?);
        add("ffn_up", matrix(&mut random, FEED_FORWARD, WIDTH)?);
        add("ffn_down", matrix(&mut random, WIDTH, FEED_FORWARD)?);
    }
    let parameters: usize = tensors.iter().map(|(_, tensor)| tensor.shape().elem_count()).sum();
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut BufWriter::new(File::create(&path)?), &metadata, &named)?;
    println!("{path}: {parameters} random parameters");
    Ok(())
}

/// wren's own, with another shape and more tokens.
fn metadata(mut of: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>> {
    let size = |size: usize| u32::try_from(size).map(Value::U32);
    of.insert("general.name".to_owned(), Value::String("random".to_owned()));
    for (key, value) in [
        ("block_count", Value::U32(BLOCKS)),
        ("embedding_length", size(WIDTH)?),
        ("feed_forward_length", size(FEED_FORWARD)?),
        ("attention.head_count", size(HEADS)?),
        ("attention.head_count_kv", size(KV_HEADS)?),
        ("attention.key_length", size(HEAD)?),
        ("attention.value_length", size(HEAD)?),
    ] {
        of.insert(format!("qwen3.{key}"), value);
    }
    of.remove("qwen3.vocab_size");
    let (Some(Value::Array(tokens)), Some(Value::Array(types))) =
        (of.remove("tokenizer.ggml.tokens"), of.remove("tokenizer.ggml.token_type"))
    else {
        return Err("wren's file has no vocabulary".into());
    };
    let unused = (tokens.len()..VOCABULARY).map(|token| Value::String(format!("[unused {token}]")));
    let tokens: Vec<_> = tokens.into_iter().chain(unused).collect();
    let types = types.into_iter().chain(std::iter::repeat(Value::I32(UNUSED))).take(VOCABULARY).collect();
    of.insert("tokenizer.ggml.tokens".to_owned(), Value::Array(tokens));
    of.insert("tokenizer.ggml.token_type".to_owned(), Value::Array(types));
    Ok(of)
}

/// Q8_0, uniform with the standard deviation that language models begin with, 0.02.
fn matrix(random: &mut ChaCha8Rng, rows: usize, columns: usize) -> Result<QTensor> {
    let bound = 0.02 * 3_f32.sqrt();
    let values: Vec<f32> = (0..rows * columns).map(|_| random.random_range(-bound..bound)).collect();
    let tensor = Tensor::from_vec(values, (rows, columns), &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, GgmlDType::Q8_0)?)
}

fn ones(length: usize) -> Result<QTensor> {
    let tensor = Tensor::ones(length, candle_core::DType::F32, &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, GgmlDType::F32)?)
}
