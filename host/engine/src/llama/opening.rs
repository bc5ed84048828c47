//! From a file to a model in memory: sizes chosen and checked, what the model is.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use sonde_contract::ModelInfo;

use super::loaded::{Loaded, refused};
use super::vocabulary::Vocabulary;
use super::{BATCH, backend, ffi, file, kv_cache};
use crate::template::ChatTemplate;
use crate::{OpenError, OpenOptions};

/// Most slots of a model.
const MOST_SLOTS: u32 = 64;
/// Most threads, as many as llama.cpp has room for.
const MOST_THREADS: u32 = 512;
/// Most context chosen without being asked.
const DEFAULT_CONTEXT: u32 = 4096;

/// Loads a file; nothing computes yet.
pub(super) fn load(path: &Path, options: &OpenOptions) -> Result<Loaded, OpenError> {
    file::check(path)?;
    let backend = backend().map_err(refused(path))?;
    let default_layers = if backend.supports_gpu_offload() { u32::MAX >> 1 } else { 0 };
    let gpu_layers = options.gpu_layers.unwrap_or(default_layers);
    let params = LlamaModelParams::default().with_n_gpu_layers(gpu_layers);
    let (model, said) = ffi::logged(|| LlamaModel::load_from_file(backend, path, &params));
    let model = Arc::new(model.map_err(|error| file::explain(path, &said, &error.to_string()))?);

    let options = resolve(path, &model, OpenOptions { gpu_layers: Some(gpu_layers), ..options.clone() })?;
    let vocabulary = Arc::new(Vocabulary::new(Arc::clone(&model)));
    let template = template_source(&model).map(|source| {
        let vocab = model.vocab();
        let (bos, eos) = (vocabulary.special_text(vocab.bos()), vocabulary.special_text(vocab.eos()));
        ChatTemplate::new(&source, &bos, &eos).map_err(|error| error.to_string())
    });
    let info = describe(path, &model, &vocabulary, options.context.unwrap_or(0), template.is_some());
    Ok(Loaded {
        path: path.to_owned(),
        model,
        info,
        options,
        vocabulary,
        template,
        counters: Arc::default(),
        turn: Arc::default(),
        weights: OnceLock::new(),
    })
}

/// Fills in the defaults and makes sure that the KV cache fits.
fn resolve(path: &Path, model: &LlamaModel, mut options: OpenOptions) -> Result<OpenOptions, OpenError> {
    let out_of_range = |reason: String| OpenError::Option { path: path.to_owned(), reason };
    let context = options.context.unwrap_or_else(|| model.n_ctx_train().clamp(1, DEFAULT_CONTEXT));
    if context == 0 {
        return Err(out_of_range("`context` must be at least 1".into()));
    }
    let cores = u32::try_from(sysinfo::System::physical_core_count().unwrap_or(1)).unwrap_or(1).max(1);
    let threads = options.threads.unwrap_or(cores);
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(out_of_range(format!("`threads` must lie between 1 and {MOST_THREADS}")));
    }
    let asked = if options.reproducible { Some(1) } else { options.slots };
    if asked.is_some_and(|slots| !(1..=MOST_SLOTS).contains(&slots)) {
        return Err(out_of_range(format!("`slots` must lie between 1 and {MOST_SLOTS}")));
    }
    let plan = kv_cache::Plan {
        context,
        slots: asked.unwrap_or((4 * cores).min(8)),
        per_token: kv_cache::bytes_per_token(model, options.precision, BATCH),
        available: kv_cache::available(),
    };
    let plan = if asked.is_none() { plan.with_fitting_slots() } else { plan };
    if !plan.fits() {
        return Err(OpenError::KvCache {
            path: path.to_owned(),
            needed_mib: kv_cache::Plan::mib(plan.bytes()),
            available_mib: plan.available >> 20,
            slots: plan.slots,
            context,
            fits: plan.advice(),
        });
    }
    options.context = Some(context);
    options.slots = Some(plan.slots);
    options.threads = Some(threads);
    Ok(options)
}

fn template_source(model: &LlamaModel) -> Option<String> {
    model.meta_val_str("tokenizer.chat_template").ok().filter(|source| !source.trim().is_empty())
}

fn describe(
    path: &Path,
    model: &LlamaModel,
    vocabulary: &Vocabulary,
    context: u32,
    has_chat_template: bool,
) -> ModelInfo {
    let meta = |key: &str| model.meta_val_str(key).ok().filter(|value| !value.is_empty());
    let file_name = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    // "qwen3 ?B Q8_0": the quantisation is what follows architecture and size.
    let description = ffi::describe(model);
    let quantisation = description.splitn(3, ' ').nth(2).unwrap_or("unknown").to_owned();
    ModelInfo {
        name: meta("general.name").unwrap_or_else(file_name),
        architecture: meta("general.architecture").unwrap_or_default(),
        quantisation,
        layers: model.n_layer(),
        width: u32::try_from(model.n_embd()).unwrap_or(0),
        vocabulary: vocabulary.size(),
        context,
        has_chat_template,
    }
}
