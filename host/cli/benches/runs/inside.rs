//! What the diagnostics need: peak memory and time of each, on wren and on a model of half a billion random parameters.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::figure::Figures;
use crate::program::{self, Place};

const MIB: f64 = (1 << 20) as f64;
/// Where `scripts/bench` puts the large model.
const RANDOM: &str = "target/tmp/random-model.gguf";
/// It reads every so-and-so-many-th row only.
const THINNED: usize = 8;

pub fn measure(place: &Place, figures: &mut Figures) -> anyhow::Result<()> {
    let wren = place.ours("models/wren-chat-q8_0.gguf");
    measure_on(place, "wren", &wren, 1, figures)?;
    let random = place.ours(RANDOM);
    if !random.exists() {
        eprintln!("no {RANDOM}: the diagnostics are not measured on a large model (scripts/bench makes it)");
        return Ok(());
    }
    measure_on(place, "random-0.5b", &random, THINNED, figures)
}

fn measure_on(
    place: &Place,
    name: &str,
    model: &Path,
    stride: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let rows = |file: &str| thinned(place, file, stride);
    let items = |file: &str| anyhow::Ok(json!({"items": {"path": rows(file)?}}));
    let tokens = if stride > 1 { 8 } else { 48 };
    for (plugin, parameters, datasets) in [
        ("x-boundary", json!({"tsne": false}), items("x-boundary")?),
        ("tellme", json!({}), items("tellme")?),
        (
            "spin",
            json!({"fraction": 1e-5}),
            json!({"dataset1": {"path": rows("spin-privacy")?}, "dataset2": {"path": rows("spin-unethical")?}}),
        ),
        ("mi-peaks", json!({"max_tokens": tokens}), items("mi-peaks")?),
    ] {
        eprintln!("memory: {plugin} on {name}");
        let config = write_config(place, &format!("{plugin}-{name}"), model, plugin, &parameters, &datasets)?;
        let cost = program::cost(&mut place.run(&config, &place.at(&format!("{plugin}-{name}.sonde"))))?;
        if cost.peak > 0 {
            let label = format!("peak memory of {plugin} on {name}");
            figures.report(format!("inside.memory.{plugin}.{name}"), label, cost.peak as f64 / MIB, "MiB");
        }
        let label = format!("time of {plugin} on {name}, start to end");
        figures.report(format!("inside.time.{plugin}.{name}"), label, cost.wall.as_secs_f64(), "s");
    }
    Ok(())
}

/// Every so-and-so-many-th row of a file of the inspect config.
fn thinned(place: &Place, file: &str, stride: usize) -> anyhow::Result<PathBuf> {
    let rows = fs::read_to_string(place.ours(&format!("configs/prompts/{file}.jsonl")))?;
    let rows: String = rows.lines().step_by(stride).map(|row| format!("{row}\n")).collect();
    let path = place.at(&format!("{file}-{stride}.jsonl"));
    fs::write(&path, rows)?;
    Ok(path)
}

fn write_config(
    place: &Place,
    name: &str,
    model: &Path,
    plugin: &str,
    parameters: &Value,
    datasets: &Value,
) -> anyhow::Result<PathBuf> {
    let config = json!({
        "models": { "target": { "path": model, "context": 512 } },
        "tasks": [{
            "name": plugin,
            "plugin": plugin,
            "grants": ["generation", "activations", "gradients", "log"],
            "parameters": parameters,
            "datasets": datasets,
        }],
        "output": "unused.sonde",
    });
    let path = place.at(&format!("{name}.yaml"));
    // JSON is YAML.
    fs::write(&path, config.to_string())?;
    Ok(path)
}
