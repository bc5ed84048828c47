//! Where the shared models and goldens are, and short ways to ask.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;

use sonde_contract::{
    CaptureRequest, CaptureSpec, Captured, Chat, Completion, HostError, Message, Prompt, Role, Rows,
    Sampling, Site,
};
use sonde_engine::{GenerateRequest, Model, OpenOptions, Precision};

/// A file of `../shared`; `None`, with a message, where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    if !file.exists() {
        eprintln!("skipped: {} is not there", file.display());
        return None;
    }
    Some(file)
}

/// A model of the repository's own.
pub fn wren(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).join(name)
}

pub fn open(path: &std::path::Path, options: OpenOptions) -> Arc<dyn Model> {
    sonde_engine::open(path, &options).unwrap()
}

pub async fn generate(
    model: &Arc<dyn Model>,
    prompt: Prompt,
    sampling: Sampling,
) -> Result<Completion, HostError> {
    model.generate(GenerateRequest { prompt, sampling, stream: None }).await
}

/// Tests run side by side; one thread each keeps them from waiting for each other's.
fn small(options: OpenOptions) -> OpenOptions {
    OpenOptions { context: options.context.or(Some(512)), threads: options.threads.or(Some(1)), ..options }
}

/// wren in the precision that makes batched results comparable; `None`, with a message, where it is absent.
pub fn exact_wren(options: OpenOptions) -> Option<Arc<dyn Model>> {
    let file = shared("models/wren/wren-chat-f32.gguf")?;
    Some(open(&file, OpenOptions { precision: Precision::Exact, ..small(options) }))
}

/// The repository's own chat model.
pub fn quantised_wren(options: OpenOptions) -> Arc<dyn Model> {
    open(&wren("wren-chat-q8_0.gguf"), small(options))
}

pub fn slots(slots: u32) -> OpenOptions {
    OpenOptions { slots: Some(slots), ..OpenOptions::default() }
}

pub fn user(text: &str) -> Prompt {
    Prompt::Chat(Chat {
        messages: vec![Message { role: Role::User, content: text.to_owned() }],
        thinking: Some(false),
        prefill: None,
        open_reply: true,
    })
}

pub fn text(text: &str) -> Prompt {
    Prompt::Text(text.to_owned())
}

pub fn greedy(max_tokens: u32) -> Sampling {
    Sampling { max_tokens, ..Sampling::default() }
}

/// Captures one prompt.
pub async fn capture(
    model: &Arc<dyn Model>,
    prompt: Prompt,
    site: Site,
    layers: &[u32],
    rows: Rows,
) -> Result<Captured, HostError> {
    let spec = CaptureSpec { layers: layers.to_vec(), site, rows };
    model.capture(CaptureRequest { prompt, spec }).await
}

/// |a − b| / |b|
pub fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    (difference / dot(b, b)).sqrt()
}

/// a · b
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// A prompt of so many ordinary tokens.
pub fn tokens(model: &Arc<dyn Model>, count: u32, salt: u32) -> Prompt {
    let vocabulary = model.info().vocabulary;
    let (least, room) = (vocabulary / 8, vocabulary / 2);
    Prompt::Tokens((0..count).map(|place| least + (salt * 7919 + place * 104_729) % room).collect())
}

/// Writes a file again in another quantisation, by llama.cpp's own tool.
#[expect(unsafe_code, reason = "llama.cpp offers it in C alone")]
pub fn quantise(from: &std::path::Path, to: &std::path::Path, kind: llama_cpp_sys_2::llama_ftype) {
    let name = |path: &std::path::Path| std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let (from, to) = (name(from), name(to));
    // SAFETY: the parameters are plain data with defaults, the names zero-ended.
    let failed = unsafe {
        let mut params = llama_cpp_sys_2::llama_model_quantize_default_params();
        params.ftype = kind;
        params.nthread = 1;
        llama_cpp_sys_2::llama_model_quantize(from.as_ptr(), to.as_ptr(), &raw const params)
    };
    assert_eq!(failed, 0);
}
