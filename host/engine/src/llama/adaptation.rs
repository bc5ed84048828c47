//! Low-rank changes in force: llama.cpp's own LoRA adapter, made of them when a worker first needs it.
//!
//! llama.cpp loads adapters from files alone, so one is written to the folder for temporary files and removed again at
//! once. It computes B · (A · x) in f32 beside W · x, whatever W is stored as, and W is not touched. Where its graph of an
//! architecture has no place for an adapter, it would say nothing and leave the change out; that is looked for, once, in a
//! graph for one token.

use std::collections::HashSet;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use llama_cpp_2::model::LlamaModel;
use sonde_contract::{HostError, LowRank, ModelInfo};

use super::ffi::{Batch, ContextOptions};
use super::ffi_adapter::Adapter;
use super::graph::{Collector, Source};
use super::loaded::Loaded;
use crate::adapter::check_edits;
use crate::export::{Factors, write_lora};

/// See the module's header.
pub(crate) struct Adaptation {
    edits: Arc<[LowRank]>,
    adapter: Mutex<Option<Arc<Adapter>>>,
}

impl Adaptation {
    /// These changes after those in force before.
    ///
    /// # Errors
    /// Changes that do not fit the model, or that llama.cpp makes at no architecture.
    pub(crate) fn new(loaded: &Loaded, before: Option<&Self>, edits: &[LowRank]) -> Result<Self, HostError> {
        check_edits(edits, &loaded.weights()?.list())?;
        if let Some(edit) = edits.iter().find(|edit| edit.matrix == "token_embd.weight") {
            return Err(HostError::Unsupported(format!(
                "llama.cpp makes no change of {:?}, the embedding; change the matrices of blocks, or open the model with \
                 `engine: candle`",
                edit.matrix
            )));
        }
        let before = before.map_or(&[] as &[LowRank], |before| &*before.edits);
        Ok(Self { edits: before.iter().chain(edits).cloned().collect(), adapter: Mutex::new(None) })
    }

    /// The adapter, made now if this is the first time.
    ///
    /// # Errors
    /// A temporary file that cannot be written; a matrix without a place for changes in the graph.
    pub(crate) fn adapter(&self, loaded: &Loaded) -> Result<Arc<Adapter>, HostError> {
        let mut made = self.adapter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(adapter) = &*made {
            return Ok(Arc::clone(adapter));
        }
        let factors = Factors::of(&self.edits, &loaded.weights()?.list())?;
        let adapter = Arc::new(load(&loaded.model, &loaded.info, &factors)?);
        check_attached(loaded, &adapter, factors.iter().map(|of| of.tensor.as_str()))?;
        Ok(Arc::clone(made.insert(adapter)))
    }
}

fn load(model: &Arc<LlamaModel>, info: &ModelInfo, factors: &[Factors]) -> Result<Adapter, HostError> {
    let unwritten = |error: std::io::Error| {
        HostError::Engine(format!(
            "llama.cpp reads low-rank changes of {} from a file, and none can be written in {}: {error}; make room there, or \
             set TMPDIR to another folder",
            info.name,
            std::env::temp_dir().display()
        ))
    };
    let mut file = tempfile::NamedTempFile::new().map_err(unwritten)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    write_lora(&mut writer, &info.architecture, "changes in force", factors)
        .and_then(|()| writer.flush())
        .map_err(unwritten)?;
    drop(writer);
    Adapter::load(model, file.path())
        .map_err(|said| HostError::Engine(format!("llama.cpp cannot change {}: {said}", info.name)))
}

/// Refuses an adapter of which llama.cpp's graph leaves a part out.
pub(crate) fn check_attached<'a>(
    loaded: &Loaded,
    adapter: &Arc<Adapter>,
    tensors: impl Iterator<Item = &'a str>,
) -> Result<(), HostError> {
    let options = ContextOptions {
        cells: 64,
        batch: 8,
        outputs: 1,
        sequences: 1,
        threads: loaded.options.threads.unwrap_or(1),
        precision: loaded.options.precision,
        watched: true,
    };
    let mut context = loaded.context(options, Some(Arc::clone(adapter)))?;
    let (mut batch, mut collector) = (Batch::default(), Collector::default());
    batch.push(0, 0, 0, true);
    context.decode_watched(&mut batch, &mut collector).map_err(|error| error.explain())?;
    let records = collector.records();
    let sources = records.iter().flat_map(|record| &record.sources);
    let leaves: HashSet<&str> = sources
        .filter_map(|source| match source {
            Source::Leaf(name) => name.split_once(".lora_a"),
            Source::Node(_) => None,
        })
        // Between devices a leaf is handed on as a copy named "device#name#number".
        .map(|(name, _)| name.rsplit('#').next().unwrap_or(name))
        .collect();
    match { tensors }.find(|tensor| !leaves.contains(tensor)) {
        None => Ok(()),
        Some(tensor) => Err(HostError::Unsupported(format!(
            "llama.cpp makes no change of {tensor:?} where it computes {} (architecture {}); leave that matrix out, or open \
             the model with `engine: candle`",
            loaded.info.name, loaded.info.architecture
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::opening;
    use super::*;
    use crate::OpenOptions;

    const WREN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");

    fn factors(tensor: &str, rows: usize, columns: usize) -> Factors {
        let (a, b) = (vec![0.1; columns], vec![0.1; rows]);
        Factors { tensor: tensor.to_owned(), experts: None, rank: 1, rows, columns, a, b }
    }

    /// What llama.cpp says of an adapter of which so much is there.
    fn said(loaded: &Loaded, architecture: &str, factors: &[Factors], share: f64) -> Result<(), String> {
        let mut bytes = Vec::new();
        write_lora(&mut bytes, architecture, "a test", factors).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let end = (share * bytes.len() as f64) as usize;
        std::fs::write(file.path(), &bytes[..end]).unwrap();
        Adapter::load(&loaded.model, file.path()).map(drop)
    }

    #[test]
    fn a_broken_adapter_is_refused_and_the_model_goes_on() {
        let options = OpenOptions { slots: Some(1), threads: Some(1), ..OpenOptions::default() };
        let loaded = opening::load(Path::new(WREN), &options).unwrap();
        let good = [factors("blk.0.ffn_down.weight", 256, 512)];
        assert_eq!(said(&loaded, "qwen3", &good, 1.0), Ok(()));
        for share in [0.9, 0.5, 0.05, 0.0] {
            let said = said(&loaded, "qwen3", &good, share).unwrap_err();
            assert!(!said.is_empty(), "{share}");
        }
        let cut = said(&loaded, "qwen3", &good, 0.9).unwrap_err();
        assert!(cut.contains("is not within the file bounds, file is corrupted or incomplete"), "{cut}");
        let other = said(&loaded, "llama", &good, 1.0).unwrap_err();
        assert!(other.contains("model arch and LoRA arch mismatch"), "{other}");
        let elsewhere = said(&loaded, "qwen3", &[factors("blk.9.ffn_down.weight", 256, 512)], 1.0);
        assert!(elsewhere.unwrap_err().contains("does not exist in base model"));
        let shape = said(&loaded, "qwen3", &[factors("blk.0.ffn_down.weight", 512, 256)], 1.0);
        assert!(shape.unwrap_err().contains("has incorrect shape"));
        assert_eq!(said(&loaded, "qwen3", &good, 1.0), Ok(()));
    }
}
