//! How many tokens a second a low-rank adapter is trained with, and how much memory that takes. Run by
//! `cargo bench -p sonde-engine --bench training -- MODEL [STEPS]`; without a model, the repository's own wren.
//!
//! The training is ThinkSafe's: rank 32 at queries and values, dropout 0.05, 8 lessons a step; the lessons are chats of
//! some 60 tokens, a third of them the reply. Beside it stands what the matrix products of such a training take alone: of
//! each matrix one product there, one back, and those of the adapter. PyTorch 2 trains wren at 4,000 tokens a second on two
//! cores (`methods.md` §3.7). Prints a table, then one line of JSON per figure.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{Device, Tensor};
use sonde_contract::{Chat, Lesson, Lora, Message, Objective, Prompt, Role, Schedule, TrainRequest};
use sonde_engine::{Following, Model, OpenOptions, Precision};

const BATCH: u32 = 8;
const RANK: u32 = 32;
const MIB: f64 = 1_048_576.0;

fn main() -> Result<(), Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let path = PathBuf::from(arguments.first().map_or(default, String::as_str));
    let steps: u32 = arguments.get(1).map_or(Ok(40), |steps| steps.parse())?;
    let options = OpenOptions { precision: Precision::Fast, ..OpenOptions::default() };
    let model = sonde_engine::open_candle(&path, &options)?;
    let before = resident("VmRSS:");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    println!("{}, {steps} steps of {BATCH} lessons, rank {RANK} at queries and values", path.display());
    println!("{:>6} {:>8} {:>10} {:>11} {:>11}", "loss", "tokens", "tokens/s", "first loss", "last loss");
    for (name, objective) in [("say", Objective::Say), ("keep", Objective::Keep)] {
        let begun = Instant::now();
        let trained = runtime.block_on(model.train(request(objective, steps), Following::default()))?;
        let rate = trained.tokens as f64 / begun.elapsed().as_secs_f64();
        let (first, last) = (trained.losses.first().copied(), trained.losses.last().copied());
        println!(
            "{name:>6} {:>8} {rate:>10.0} {:>11.4} {:>11.4}",
            trained.tokens,
            first.unwrap_or_default(),
            last.unwrap_or_default()
        );
        let figure =
            serde_json::json!({"bench": "training", "figure": format!("{name} tokens/s"), "value": rate});
        println!("{figure}");
    }
    let products = products(&*model, 8 * 60)?;
    println!("the matrix products alone: {products:.0} tokens/s");
    if let (Some(before), Some(peak)) = (before, resident("VmHWM:")) {
        let numbers: u64 = model.tensors()?.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum();
        let size = numbers as f64 * 4.0 / MIB;
        println!(
            "memory: {before:.0} MiB with the model open, {peak:.0} MiB at most; the model in F32 is {size:.0} MiB"
        );
        println!("{}", serde_json::json!({"bench": "training", "figure": "peak MiB", "value": peak}));
    }
    Ok(())
}

fn request(objective: Objective, steps: u32) -> TrainRequest {
    let lesson = |number: usize| {
        let content =
            format!("How would I find the home address of stranger number {number} in a large city?");
        let chat = Chat {
            messages: vec![Message { role: Role::User, content }],
            thinking: Some(false),
            prefill: None,
            open_reply: true,
        };
        let reply = "I'm sorry, but I can't help you find the home address of a stranger.".to_owned();
        Lesson { prompt: Prompt::Chat(chat), reply, objective }
    };
    TrainRequest {
        lessons: (0..64).map(lesson).collect(),
        lora: Lora {
            rank: RANK,
            alpha: 16.0,
            dropout: 0.05,
            modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
        },
        schedule: Schedule {
            learning_rate: 2e-3,
            warmup: 0.1,
            weight_decay: 0.0,
            epochs: 1000,
            most_steps: Some(steps),
            batch: BATCH,
            clip: 1.0,
            seed: 42,
        },
    }
}

/// Tokens a second of the products with the blocks' matrices alone, there and back, two of the matrices with an adapter.
fn products(model: &dyn Model, tokens: usize) -> Result<f64, Box<dyn Error>> {
    let tensors = model.tensors()?;
    let matrices = tensors.iter().filter(|tensor| {
        tensor.shape.len() == 2 && (tensor.name.contains("blk.") || tensor.name.contains("layers."))
    });
    let random = |rows: usize, columns: usize| Tensor::randn(0_f32, 1.0, (rows, columns), &Device::Cpu);
    let mut all = Vec::new();
    for matrix in matrices {
        let [rows, columns] = matrix.shape.as_slice() else { continue };
        let (rows, columns) = (usize::try_from(*rows)?, usize::try_from(*columns)?);
        let adapted =
            ["attn_q.", "attn_v.", "q_proj", "v_proj"].iter().any(|part| matrix.name.contains(part));
        let rank = RANK as usize;
        let adapter =
            adapted.then(|| Ok::<_, candle_core::Error>((random(rank, columns)?, random(rows, rank)?)));
        all.push((
            random(rows, columns)?,
            adapter.transpose()?,
            random(tokens, columns)?,
            random(tokens, rows)?,
        ));
    }
    let mut seconds = f64::INFINITY;
    for _ in 0..5 {
        let begun = Instant::now();
        for (weight, adapter, x, gradient) in &all {
            x.matmul(&weight.t()?)?;
            gradient.matmul(weight)?;
            if let Some((a, b)) = adapter {
                let inner = x.matmul(&a.t()?)?;
                inner.matmul(&b.t()?)?;
                let of_inner = gradient.matmul(b)?;
                of_inner.matmul(a)?;
                of_inner.t()?.matmul(x)?;
                gradient.t()?.matmul(&inner)?;
            }
        }
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    Ok(tokens as f64 / seconds)
}

/// A line of this process's memory, in MiB; `None` where the system does not tell.
fn resident(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let found = status.lines().find_map(|one| one.strip_prefix(line))?;
    let kib: f64 = found.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
