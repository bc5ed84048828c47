//! What a treatment in force costs: tokens per second with one, against without. Run by `make bench`; a model file as
//! argument measures that one.
//!
//! A rank-one change of every matrix that writes to the residual stream, as ROSI makes it, and a LoRA of rank 32 on
//! queries and values, as ThinkSafe trains it. Both sides take turns and a ratio is the median of neighbouring runs'. The
//! changes are too small to change a token, so both have the same work. Prints a table, then one line of JSON per figure.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sonde_contract::{LowRank, Prompt, Sampling, TensorInfo};
use sonde_engine::{GenerateRequest, Model, OpenOptions};

const REPLY: u32 = 48;
const REPETITIONS: usize = 15;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let wren = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let random = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tmp/random-model.gguf");
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let files = match given {
        Some(file) => vec![("given", PathBuf::from(file), Some(">= 0.95"))],
        // In a model as small as wren the steps between operations cost more than the operations.
        None => vec![("wren", wren.into(), None), ("random_0.5b", random.into(), Some(">= 0.95"))],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    println!(
        "{:>12} {:>28} {:>14} {:>14} {:>7}",
        "model", "treatment", "treated, t/s", "plain, t/s", "ratio"
    );
    let mut figures = Vec::new();
    for (name, path, target) in files.into_iter().filter(|(_, path, _)| path.exists()) {
        let options = OpenOptions { context: Some(256), slots: Some(1), ..OpenOptions::default() };
        let model = sonde_engine::open(&path, &options)?;
        for (treatment, parts, rank) in
            [("rosi", ["attn_output", "ffn_down"], 1), ("lora-32", ["attn_q", "attn_v"], 32)]
        {
            let treated = model.adapt(edits(&model.tensors()?, parts, rank).into())?;
            let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for repetition in 0..=REPETITIONS {
                let pace = |model: &Arc<dyn Model>| runtime.block_on(pace(model, repetition));
                let (treated, plain) = if repetition % 2 == 0 {
                    let treated = pace(&treated)?;
                    (treated, pace(&model)?)
                } else {
                    let plain = pace(&model)?;
                    (pace(&treated)?, plain)
                };
                // The first one warms up.
                if repetition > 0 {
                    with.push(treated);
                    without.push(plain);
                    ratios.push(treated / plain);
                }
            }
            let (with, without, ratio) = (median(with), median(without), median(ratios));
            println!("{name:>12} {treatment:>28} {with:>14.1} {without:>14.1} {ratio:>7.3}");
            figures.push((format!("engine.treated.{name}.{treatment}"), with, "tokens/s", None));
            figures.push((format!("engine.treated.{name}.{treatment}.to_plain"), ratio, "ratio", target));
        }
    }
    for (name, value, unit, target) in figures {
        println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit, "target": target }));
    }
    Ok(())
}

/// A change of each such matrix in every block.
fn edits(tensors: &[TensorInfo], parts: [&str; 2], rank: u32) -> Vec<LowRank> {
    let changed = tensors
        .iter()
        .filter(|tensor| parts.iter().any(|part| tensor.name.ends_with(&format!(".{part}.weight"))));
    let side = |length: Option<&u64>| {
        let count = usize::try_from(length.copied().unwrap_or(0)).unwrap_or(0) * rank as usize;
        (0..count).map(|place| ((place * 37) % 61) as f32 / 30.0 - 1.0).collect()
    };
    let edit = |tensor: &TensorInfo| LowRank {
        matrix: tensor.name.clone(),
        expert: None,
        rank,
        a: side(tensor.shape.last()),
        b: side(tensor.shape.first()),
        scale: 1e-12,
    };
    changed.map(edit).collect()
}

/// Tokens per second of one reply.
async fn pace(model: &Arc<dyn Model>, salt: usize) -> Result<f64> {
    let vocabulary = model.info().vocabulary;
    let first = u32::try_from(salt)?.wrapping_mul(7919) % (vocabulary / 2) + vocabulary / 8;
    let sampling = Sampling { max_tokens: REPLY, ..Sampling::default() };
    let prompt = Prompt::Tokens(vec![first, vocabulary / 3]);
    let start = Instant::now();
    let completion = model.generate(GenerateRequest { prompt, sampling, stream: None }).await?;
    Ok(completion.tokens.len().max(1) as f64 / start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
