//! What deriving a treatment takes: ROSI on a model of half a billion random parameters, from its prompts to its edits,
//! against one forward pass over these prompts.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use sonde_contract::{Chat, Message, Prompt, Role, Sampling};
use sonde_engine::{GenerateRequest, OpenOptions};

use crate::figure::Figures;
use crate::program::{Place, Watched};

/// Where `scripts/bench` puts the large model.
const RANDOM: &str = "target/tmp/random-model.gguf";
const HARMFUL: &str = "configs/prompts/treat/harmful.jsonl";
const HARMLESS: &str = "configs/prompts/treat/harmless.jsonl";
/// The paper's own strength is not known; without calibration its size does not matter here.
const ALPHA: f64 = 1.0;
/// Times a forward pass that ROSI may take.
const TARGET: f64 = 1.5;

pub fn measure(place: &Place, rounds: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let model = place.ours(RANDOM);
    if !model.exists() {
        eprintln!("no {RANDOM}: ROSI is not measured on a large model (scripts/bench makes it)");
        return Ok(());
    }
    let mut ratios = Vec::new();
    for round in 0..rounds {
        eprintln!("treatment: ROSI on random-0.5b, round {}", round + 1);
        let pass = forward_pass(place, &model)?;
        let rosi = derivation(place, &model, round)?;
        ratios.push((rosi / pass, rosi, pass));
    }
    ratios.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let (ratio, rosi, pass) = ratios.get(rounds / 2).copied().unwrap_or_default();
    figures.report("treated.rosi", "ROSI on random-0.5b, without calibration", rosi, "s");
    figures.report("treated.pass", "one forward pass over its 48 prompts", pass, "s");
    figures.report("treated.rosi.ratio", "ROSI against the forward pass", ratio, "times");
    figures.at_most(TARGET);
    Ok(())
}

/// Seconds from the task's beginning to its end; the model is open before.
fn derivation(place: &Place, model: &Path, round: usize) -> anyhow::Result<f64> {
    let config = json!({
        "models": { "target": { "path": model, "context": 512 } },
        "tasks": [{
            "name": "rosi",
            "plugin": "rosi",
            "parameters": { "layer": 14, "alpha": ALPHA },
            "datasets": { "harmful": { "path": place.ours(HARMFUL) }, "harmless": { "path": place.ours(HARMLESS) } },
        }],
        "output": "unused.sonde",
    });
    let path = place.at("rosi.yaml");
    // JSON is YAML.
    fs::write(&path, config.to_string())?;
    let mut run = Watched::start(&mut place.run(&path, &place.at(&format!("rosi-{round}.sonde"))))?;
    let begun = run.until("task")?;
    let ended = run.until("sample")?;
    run.end()?;
    Ok(ended - begun)
}

/// Seconds of reading all prompts to the end, the next token of each included.
fn forward_pass(place: &Place, model: &Path) -> anyhow::Result<f64> {
    let mut prompts = Vec::new();
    for file in [HARMFUL, HARMLESS] {
        for row in fs::read_to_string(place.ours(file))?.lines() {
            let row: Value = serde_json::from_str(row)?;
            let content = row.get("prompt").and_then(Value::as_str).context("a row without a prompt")?;
            let messages = vec![Message { role: Role::User, content: content.to_owned() }];
            prompts.push(Prompt::Chat(Chat { messages, thinking: None, prefill: None, open_reply: true }));
        }
    }
    let options = OpenOptions { context: Some(512), ..OpenOptions::default() };
    let model = sonde_engine::open(model, &options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let started = Instant::now();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for prompt in prompts {
            let model = std::sync::Arc::clone(&model);
            let sampling = Sampling { max_tokens: 1, ..Sampling::default() };
            tasks.spawn(
                async move { model.generate(GenerateRequest { prompt, sampling, stream: None }).await },
            );
        }
        tasks.join_all().await.into_iter().try_for_each(|reply| reply.map(drop))
    })?;
    Ok(started.elapsed().as_secs_f64())
}
