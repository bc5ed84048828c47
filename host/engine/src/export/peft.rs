//! LoRA adapters as Hugging Face's PEFT saves and loads them: a folder with `adapter_model.safetensors` and
//! `adapter_config.json`.
//!
//! Matrices go by Hugging Face's names, `base_model.model.` before them and `lora_A` or `lora_B` behind; rows of queries
//! and keys that a Llama's GGUF file keeps in interleaved pairs stand in two halves, as in Hugging Face's own weights. The
//! scale is in B, so alpha is the rank, of each matrix its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use sonde_contract::LowRank;

use super::{Draft, ExportError, Factors, WriteError};
use crate::candle::Projections;
use crate::llama::Probe;

const PREFIX: &str = "base_model.model.";

/// The folder, which goes again if nothing comes to stand in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn make(path: &Path) -> Result<Self, ExportError> {
        match std::fs::create_dir(path) {
            Ok(()) => {}
            Err(_) if path.is_dir() => {}
            Err(reason) => return Err(WriteError::new(path, reason).into()),
        }
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Refused, as it should be, where it holds anything.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Writes both files for a folder that exists.
pub(super) fn write(probe: &Probe, factors: &[Factors], to: &Path) -> Result<[Draft; 2], ExportError> {
    let names = Projections::open(probe.path()).map_err(unsupported)?;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, BTreeSet<Option<usize>>> = BTreeMap::new();
    for of in factors {
        let projection = names.of_tensor(&of.tensor).filter(|_| of.experts.is_none());
        let projection = projection.ok_or_else(|| {
            unsupported(format!("PEFT has no name for {}; export gguf-lora or gguf instead", of.tensor))
        })?;
        let mut b = Vec::with_capacity(of.b.len());
        for source in projection.rows(of.rows).map_err(unsupported)? {
            b.extend(of.b.iter().skip(source * of.rank).take(of.rank));
        }
        let name = |side: &str| format!("{PREFIX}{}.{side}.weight", projection.module);
        tensors.push((name("lora_A"), vec![of.rank, of.columns], bytes(&of.a)));
        tensors.push((name("lora_B"), vec![of.rows, of.rank], bytes(&b)));
        kinds.entry(projection.kind).or_default().insert(projection.block);
        ranks.insert(projection.module, of.rank);
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((name.as_str(), view.map_err(|error| unsupported(error.to_string()))?));
    }
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let weights =
        safetensors::serialize(views, Some(about)).map_err(|error| unsupported(error.to_string()))?;
    let config = config(&probe.info().name, &ranks, &kinds, names.blocks());
    let config = serde_json::to_string_pretty(&config).map_err(|error| unsupported(error.to_string()))?;
    Ok([
        Draft::write(&to.join("adapter_model.safetensors"), |file| file.write_all(&weights))?,
        Draft::write(&to.join("adapter_config.json"), |file| writeln!(file, "{config}"))?,
    ])
}

fn unsupported(why: String) -> ExportError {
    ExportError::Unsupported(why)
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn config(
    base: &str,
    ranks: &BTreeMap<String, usize>,
    kinds: &BTreeMap<&str, BTreeSet<Option<usize>>>,
    blocks: usize,
) -> Value {
    let most = ranks.values().copied().max().unwrap_or(1);
    // A kind's short name stands for it in every block; PEFT would add empty adapters where there are none.
    let everywhere =
        |kind: &str| kinds.get(kind).is_some_and(|found| found.len() == blocks || found.contains(&None));
    let target = |module: &String| {
        let kind = module.rsplit('.').next().unwrap_or(module);
        if everywhere(kind) { kind.to_owned() } else { module.clone() }
    };
    let targets: BTreeSet<String> = ranks.keys().map(target).collect();
    let others: BTreeMap<&String, usize> =
        ranks.iter().filter(|(_, rank)| **rank != most).map(|(module, rank)| (module, *rank)).collect();
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": most,
        "lora_alpha": most,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": targets,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_dora": false,
        "use_rslora": false,
    })
}

/// Reads both files as PEFT does, and gives the changes the names and rows of the GGUF file.
pub(super) fn read(drafts: &[Draft; 2], probe: &Probe) -> Result<Vec<LowRank>, ExportError> {
    let [weights, config] = drafts;
    let damaged = |reason: String| ExportError::Damaged(reason);
    let file = |draft: &Draft| std::fs::read(draft.path()).map_err(|error| damaged(error.to_string()));
    let (weights, config) = (file(weights)?, file(config)?);
    let weights = SafeTensors::deserialize(&weights).map_err(|error| damaged(error.to_string()))?;
    let config: Value = serde_json::from_slice(&config).map_err(|error| damaged(error.to_string()))?;
    let names = Projections::open(probe.path()).map_err(unsupported)?;
    let mut edits = Vec::new();
    for (name, a) in weights.iter() {
        let module = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".lora_A.weight"));
        let Some(module) = module else { continue };
        let missing = |what: &str| damaged(format!("{module} has no {what}"));
        let b = weights
            .tensor(&format!("{PREFIX}{module}.lora_B.weight"))
            .map_err(|error| damaged(error.to_string()))?;
        let (matrix, projection) = names.of_module(module).ok_or_else(|| missing("tensor"))?;
        let ([rank, _], [rows, _]) = (a.shape(), b.shape()) else { return Err(missing("rank")) };
        let (a, b_there) = (numbers(a.data()), numbers(b.data()));
        let mut b = vec![0.0; b_there.len()];
        let sources = projection.rows(*rows).map_err(damaged)?;
        for (row, source) in b_there.chunks((*rank).max(1)).zip(sources) {
            let room = b.get_mut(source * rank..(source + 1) * rank).ok_or_else(|| missing("row"))?;
            room.copy_from_slice(row);
        }
        let number = |pattern: &str, all: &str| {
            let own = config.get(pattern).and_then(|pattern| pattern.get(module));
            own.or_else(|| config.get(all)).and_then(Value::as_f64)
        };
        let alpha = number("alpha_pattern", "lora_alpha").ok_or_else(|| missing("alpha"))?;
        let r = number("rank_pattern", "r").filter(|r| *r == *rank as f64).ok_or_else(|| missing("rank"))?;
        #[expect(clippy::cast_possible_truncation, reason = "a quotient of small integers")]
        let scale = (alpha / r) as f32;
        let rank = u32::try_from(*rank).unwrap_or(u32::MAX);
        edits.push(LowRank { matrix, expert: None, rank, a, b, scale });
    }
    Ok(edits)
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_differ_have_patterns_and_kinds_in_every_block_their_short_name() {
        let module = |block: usize, name: &str| format!("model.layers.{block}.{name}");
        let ranks = BTreeMap::from([
            (module(0, "self_attn.o_proj"), 4),
            (module(1, "self_attn.o_proj"), 2),
            (module(1, "mlp.down_proj"), 4),
        ]);
        let kinds = BTreeMap::from([("o_proj", [Some(0), Some(1)].into()), ("down_proj", [Some(1)].into())]);
        let config = config("wren", &ranks, &kinds, 2);
        assert_eq!((config["r"].as_u64(), config["lora_alpha"].as_u64()), (Some(4), Some(4)));
        assert_eq!(config["rank_pattern"], json!({ "model.layers.1.self_attn.o_proj": 2 }));
        assert_eq!(config["alpha_pattern"], config["rank_pattern"]);
        assert_eq!(config["target_modules"], json!(["model.layers.1.mlp.down_proj", "o_proj"]));
        assert_eq!(config["base_model_name_or_path"], "wren");
    }
}
