//! What a treatment in force costs: tokens a second with a rank-one edit of every matrix that writes to the residual
//! stream, against the same model without. Run by `make bench`; `cargo bench -p sonde-engine --bench treated --
//! MODEL.gguf` measures another model.
//!
//! Both sides generate in turns in one process, and the ratio is the median over neighbouring runs.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sonde_contract::{LowRank, Prompt, Sampling};
use sonde_engine::{GenerateRequest, Model, OpenOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Tokens of each reply, long enough that reading the prompt hardly counts.
const REPLY: u32 = 64;
const REPLIES: u32 = 8;
const PROMPT: u32 = 16;
const REPETITIONS: usize = 9;
/// The least that a treatment may leave.
const TARGET: f64 = 0.95;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = PathBuf::from(argument.unwrap_or_else(|| default.to_owned()));
    let options = OpenOptions { context: Some(256), slots: Some(REPLIES), ..OpenOptions::default() };
    let plain = sonde_engine::open(&path, &options)?;
    let edits = edits(plain.as_ref())?;
    let count = edits.len();
    let treated = plain.adapt(edits.into())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    for model in [&plain, &treated] {
        rate(&runtime, model, 0)?;
    }
    let mut runs = Vec::new();
    for turn in 1..=REPETITIONS {
        let mut rates = [0.0; 2];
        for side in [turn % 2, 1 - turn % 2] {
            let model = if side == 0 { &plain } else { &treated };
            if let Some(place) = rates.get_mut(side) {
                *place = rate(&runtime, model, u32::try_from(turn)?)?;
            }
        }
        let [without, with] = rates;
        runs.push([without, with, with / without]);
    }
    runs.sort_by(|[.., a], [.., b]| a.total_cmp(b));
    let [without, with, ratio] = runs.get(REPETITIONS / 2).copied().unwrap_or_default();
    println!("{}: {count} matrices edited, {REPLIES} replies at once", path.display());
    println!(
        "tokens/s {with:.0} with the treatment, {without:.0} without: {ratio:.3} times (target at least {TARGET})"
    );
    let target = format!(">= {TARGET}");
    let (name, ok) = ("engine.treated.ratio", ratio >= TARGET);
    println!(
        "{}",
        serde_json::json!({"name": name, "value": ratio, "unit": "ratio", "target": target, "ok": ok})
    );
    Ok(())
}

/// Small edits of every attention output and MLP down projection, so that replies stay about as long as they are.
fn edits(model: &dyn Model) -> Result<Vec<LowRank>> {
    let writes = |name: &str| name.ends_with("attn_output.weight") || name.ends_with("ffn_down.weight");
    let tensors = model.tensors()?;
    let writing = tensors.iter().filter(|tensor| writes(&tensor.name));
    let edit = |tensor: &sonde_contract::TensorInfo| {
        let [rows, columns] = *tensor.shape.as_slice() else { return Err("a matrix has two lengths".into()) };
        Ok(LowRank {
            matrix: tensor.name.clone(),
            expert: None,
            rank: 1,
            a: vec![1e-3; usize::try_from(columns)?],
            b: vec![1e-3; usize::try_from(rows)?],
            scale: 1.0,
        })
    };
    writing.map(edit).collect()
}

/// Tokens generated a second.
fn rate(runtime: &Runtime, model: &Arc<dyn Model>, turn: u32) -> Result<f64> {
    let (least, count) = (model.info().vocabulary / 8, model.info().vocabulary / 2);
    let start = Instant::now();
    let replies = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..REPLIES {
            let salt = (turn * REPLIES + number).wrapping_mul(7919);
            let tokens =
                (0..PROMPT).map(|place| least + salt.wrapping_add(place * 104_729) % count).collect();
            let (model, prompt) = (Arc::clone(model), Prompt::Tokens(tokens));
            let sampling = Sampling { max_tokens: REPLY, ..Sampling::default() };
            tasks.spawn(
                async move { model.generate(GenerateRequest { prompt, sampling, stream: None }).await },
            );
        }
        tasks.join_all().await
    });
    let seconds = start.elapsed().as_secs_f64();
    let mut tokens = 0;
    for reply in replies {
        tokens += reply?.tokens.len();
    }
    Ok(tokens as f64 / seconds)
}
