//! Opens a model: looks at the path, chooses defaults, loads tokenizer and weights.

use std::path::Path;

use sonde_contract::ModelInfo;

use super::description::Description;
#[cfg(test)]
use super::description::KNOWN;
use super::folder;
use super::folder_tokens::FolderTokens;
use super::gguf;
use super::loading::load;
use super::names::Names;
use super::prompts::Prompts;
use super::tensors::Tensors;
use super::tokens::Tokens;
use super::transformer::Transformer;
use crate::{OpenError, OpenOptions, Precision, Tokenizer};

const MOST_SLOTS: u32 = 64;
const MOST_THREADS: u32 = 512;
/// Most context chosen without being asked, as in the llama.cpp engine.
const DEFAULT_CONTEXT: u32 = 4096;

/// Everything of an opened model that does not change.
pub(crate) struct Opened {
    pub info: ModelInfo,
    pub options: OpenOptions,
    pub prompts: Prompts,
    pub transformer: Transformer,
    pub tensors: Tensors,
    pub names: Names,
}

/// See [`crate::check_candle`].
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return folder::configuration(path).map(|_| ());
    }
    gguf::open(path).map(|_| ())
}

/// See [`crate::open_candle`].
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Opened, OpenError> {
    // Exactness needs inputs that are not rounded to the weights' blocks.
    let dense = options.precision == Precision::Exact;
    let file_name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (tensors, description, names, prompts, name) = if path.is_dir() {
        let found = folder::open(path)?;
        let mut tokens = FolderTokens::open(path, &found.config)?;
        let template = tokens.template.take();
        let post_norms = found.description.family.has_post_norms();
        let names = Names::HuggingFace { prefix: found.prefix, post_norms };
        let prompts = Prompts::new(Tokens::Folder(Box::new(tokens)), template);
        let folder = path.file_name().map(|name| name.to_string_lossy().into_owned());
        (found.tensors, found.description, names, prompts, folder.unwrap_or(file_name))
    } else {
        let found = gguf::open(path)?;
        let prompts = Prompts::new(Tokens::Gguf(Tokenizer::open(path)?), found.template);
        (found.tensors, found.description, Names::Gguf, prompts, found.name.unwrap_or(file_name))
    };
    let options = resolve(path, &description, options.clone())?;
    let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let info = ModelInfo {
        name,
        architecture: description.architecture.clone(),
        quantisation: tensors.commonest_kind(),
        layers: short(description.blocks),
        width: short(description.width),
        vocabulary: short(description.vocabulary),
        context: options.context.unwrap_or(0),
        has_chat_template: prompts.template.is_some(),
    };
    let transformer = load(path, &tensors, &names, description, dense)?;
    Ok(Opened { info, options, prompts, transformer, tensors, names })
}

/// Fills in the defaults. One sequence is computed at a time, on the CPU.
fn resolve(
    path: &Path,
    description: &Description,
    mut options: OpenOptions,
) -> Result<OpenOptions, OpenError> {
    let out_of_range = |reason: String| OpenError::Option { path: path.to_owned(), reason };
    let trained = u32::try_from(description.context).unwrap_or(u32::MAX);
    let context = options.context.unwrap_or_else(|| trained.clamp(1, DEFAULT_CONTEXT));
    if context == 0 {
        return Err(out_of_range("`context` must be at least 1".into()));
    }
    let cores = u32::try_from(sysinfo::System::physical_core_count().unwrap_or(1)).unwrap_or(1).max(1);
    let threads = options.threads.unwrap_or(cores);
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(out_of_range(format!("`threads` must lie between 1 and {MOST_THREADS}")));
    }
    if options.slots.is_some_and(|slots| !(1..=MOST_SLOTS).contains(&slots)) {
        return Err(out_of_range(format!("`slots` must lie between 1 and {MOST_SLOTS}")));
    }
    options.context = Some(context);
    options.threads = Some(threads);
    options.slots = Some(1);
    options.gpu_layers = Some(0);
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        open(folder.path(), &OpenOptions::default()).err().unwrap().to_string()
    }

    const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 4, "max_position_embeddings": 16}"#;

    #[test]
    fn what_a_folder_lacks_is_named() {
        assert!(refusal(&[]).contains("it has no config.json"));
        let unknown = refusal(&[("config.json", r#"{"model_type": "mamba"}"#)]);
        assert!(unknown.contains("\"mamba\"") && unknown.contains(KNOWN), "{unknown}");
        assert!(refusal(&[("config.json", CONFIG)]).contains("neither model.safetensors nor"));
        let index = r#"{"weight_map": {"a": "model-00001.safetensors", "b": "../b"}}"#;
        let lost = refusal(&[("config.json", CONFIG), ("model.safetensors.index.json", index)]);
        assert!(lost.contains("its index names ../b, which is not in the folder"), "{lost}");
        assert!(refusal(&[("config.json", CONFIG), ("model.safetensors", "abc")]).contains("truncated"));
    }
}
