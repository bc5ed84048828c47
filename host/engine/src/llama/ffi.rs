//! A llama.cpp context behind safe methods, the nodes of its graph, and llama.cpp's log. `unsafe` stands here, in
//! [`super::ffi_adapter`] and in [`super::ffi_file`], and nowhere else.
//!
//! `llama-cpp-2` keeps its context parameters private and offers no control over the evaluation callback, so the context
//! is made here over `llama-cpp-sys-2`. Callers: the workers (decoding), what looks at a pass (`graph`, `pass`), `weights`
//! and the loader (what llama.cpp said when it failed). A [`Context`] belongs to one thread at a time; it keeps its
//! model alive. A [`Node`] lives as long as the call that hands it out.
#![expect(
    unsafe_code,
    reason = "llama.cpp is a C library; every call into it that `llama-cpp-2` lacks stands here"
)]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Once};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use sonde_contract::HostError;

use super::ffi_adapter::{self, Adapter};
use crate::Precision;

/// How to make a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextOptions {
    /// Tokens of KV cache, shared by all sequences.
    pub cells: u32,
    /// Most tokens in one batch.
    pub batch: u32,
    /// Most rows of logits in one batch.
    pub outputs: u32,
    /// Sequence ids go from 0 to this, exclusive; at most 256.
    pub sequences: u32,
    /// CPU threads.
    pub threads: u32,
    /// Numeric mode.
    pub precision: Precision,
    /// Whether passes can be watched.
    pub watched: bool,
}

/// Tokens to decode together. Row `i` of the logits belongs to token `i`, if it asked for them.
#[derive(Default)]
pub(crate) struct Batch {
    tokens: Vec<i32>,
    positions: Vec<i32>,
    sequences: Vec<i32>,
    wants_logits: Vec<i8>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.wants_logits.clear();
    }

    /// Adds a token and returns its row.
    pub(crate) fn push(&mut self, token: i32, position: usize, sequence: i32, wants_logits: bool) -> usize {
        self.tokens.push(token);
        self.positions.push(i32::try_from(position).unwrap_or(i32::MAX));
        self.sequences.push(sequence);
        self.wants_logits.push(i8::from(wants_logits));
        self.tokens.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The rows that asked for logits, ascending.
    pub(crate) fn outputs(&self) -> Vec<usize> {
        self.wants_logits.iter().enumerate().filter(|(_, wants)| **wants != 0).map(|(row, _)| row).collect()
    }
}

/// Why a batch was not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// No room in the KV cache.
    NoRoom,
    /// llama.cpp's own code.
    Failed(i32),
    /// The pass could not be watched as it should; the text says why.
    Unwatched(String),
}

impl DecodeError {
    /// As a caller is told.
    pub(crate) fn explain(self) -> HostError {
        match self {
            Self::NoRoom => {
                HostError::Engine("the KV cache is full; lower `slots` or raise `context`".to_owned())
            }
            Self::Failed(code) => HostError::Engine(format!("llama_decode returned {code}")),
            Self::Unwatched(what) => HostError::Unsupported(format!("looking inside this model: {what}")),
        }
    }
}

/// A llama.cpp context: the KV cache and the compute buffers of one model.
pub(crate) struct Context {
    raw: NonNull<sys::llama_context>,
    vocabulary: usize,
    /// Who watches the pass being computed: points to a `&mut dyn Watch`, or is null.
    watch: Box<AtomicPtr<c_void>>,
    // Dropped after `raw` is freed in `Drop`: a context must not outlive its adapter and its model.
    _adapter: Option<Arc<Adapter>>,
    _model: Arc<LlamaModel>,
}

// SAFETY: llama.cpp contexts have no thread affinity; `&mut self` on every method that touches the context, and the
// lack of `Sync`, keep calls from overlapping.
unsafe impl Send for Context {}

impl Context {
    /// Makes a context, or returns what llama.cpp logged.
    pub(crate) fn new(model: Arc<LlamaModel>, options: ContextOptions) -> Result<Self, String> {
        // SAFETY: returns plain data.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = options.cells;
        params.n_batch = options.batch;
        params.n_ubatch = options.batch;
        params.n_outputs_max = options.outputs;
        params.n_seq_max = options.sequences;
        params.n_threads = i32::try_from(options.threads).unwrap_or(i32::MAX);
        params.n_threads_batch = params.n_threads;
        params.kv_unified = true;
        params.swa_full = true;
        params.no_perf = true;
        match options.precision {
            Precision::Fast => {}
            Precision::Exact => {
                params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
                params.type_k = sys::GGML_TYPE_F32;
                params.type_v = sys::GGML_TYPE_F32;
            }
        }
        let watch = Box::new(AtomicPtr::new(std::ptr::null_mut()));
        if options.watched {
            params.cb_eval = Some(watch_node);
            params.cb_eval_user_data = std::ptr::from_ref(&*watch).cast_mut().cast();
        }
        // SAFETY: the pointer is that of a live model, kept alive by `_model`; the only pointer in `params` is to `watch`,
        // which stays where it is on the heap and is freed after the context.
        let made = || unsafe { sys::llama_init_from_model(raw_model(&model), params) };
        let (raw, said) = {
            let _reading = ffi_adapter::reading();
            logged(made)
        };
        let raw = NonNull::new(raw).ok_or(said)?;
        let vocabulary = usize::try_from(model.n_vocab()).unwrap_or(0);
        Ok(Self { raw, vocabulary, watch, _adapter: None, _model: model })
    }

    /// The same with an adapter in force.
    pub(crate) fn with_adapter(
        model: Arc<LlamaModel>,
        options: ContextOptions,
        adapter: Option<Arc<Adapter>>,
    ) -> Result<Self, String> {
        let mut context = Self::new(model, options)?;
        if adapter.as_ref().is_some_and(|adapter| !adapter.set_in(context.raw)) {
            return Err("llama.cpp refuses the adapter".to_owned());
        }
        context._adapter = adapter;
        Ok(context)
    }

    /// Runs the model over the batch.
    pub(crate) fn decode(&mut self, batch: &mut Batch) -> Result<(), DecodeError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut counts = vec![1_i32; batch.len()];
        let mut sequences: Vec<*mut i32> = batch.sequences.iter_mut().map(std::ptr::from_mut).collect();
        let raw_batch = sys::llama_batch {
            n_tokens: i32::try_from(batch.tokens.len()).unwrap_or(i32::MAX),
            token: batch.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: batch.positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: sequences.as_mut_ptr(),
            logits: batch.wants_logits.as_mut_ptr(),
        };
        let _reading = ffi_adapter::reading();
        // SAFETY: every array has `n_tokens` entries and outlives the call; llama.cpp only reads them.
        match unsafe { sys::llama_decode(self.raw.as_ptr(), raw_batch) } {
            0 => Ok(()),
            1 => Err(DecodeError::NoRoom),
            code => Err(DecodeError::Failed(code)),
        }
    }

    /// Runs the model over the batch with somebody looking at every node. The context was made to be watched.
    pub(crate) fn decode_watched(
        &mut self,
        batch: &mut Batch,
        mut watch: &mut dyn Watch,
    ) -> Result<(), DecodeError> {
        self.watch.store((&raw mut watch).cast(), Ordering::Release);
        let decoded = self.decode(batch);
        self.watch.store(std::ptr::null_mut(), Ordering::Release);
        decoded
    }

    /// Adds vectors to the outputs of the blocks `first` to `last` in every later pass, block 1 at the earliest. `rows`
    /// has one row for each block from block 1 on.
    pub(crate) fn set_control_vector(&mut self, rows: &[f32], width: usize, first: u32, last: u32) -> bool {
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let width = i32::try_from(width).unwrap_or(0);
        // SAFETY: the length is that of the slice, which llama.cpp copies from during the call.
        let failed = unsafe {
            sys::llama_set_adapter_cvec(
                self.raw.as_ptr(),
                rows.as_ptr(),
                rows.len(),
                width,
                number(first),
                number(last),
            )
        };
        failed == 0
    }

    /// Takes the control vector away.
    pub(crate) fn clear_control_vector(&mut self) {
        // SAFETY: null takes the vector away, as llama.h says.
        unsafe { sys::llama_set_adapter_cvec(self.raw.as_ptr(), std::ptr::null(), 0, 0, 0, 0) };
    }

    /// The logits of a row of the last decoded batch, one per token of the vocabulary; `None` if that row did not ask.
    pub(crate) fn logits(&mut self, row: usize) -> Option<&[f32]> {
        let row = i32::try_from(row).ok()?;
        // SAFETY: llama.cpp checks the row and returns null for one without logits.
        let first = NonNull::new(unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), row) })?;
        // SAFETY: a row of logits has one value per token of the vocabulary and stays valid until the next decode,
        // which needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(first.as_ptr(), self.vocabulary) })
    }

    /// Lets `to` begin with the first `tokens` tokens of `from`; nothing is computed or copied.
    pub(crate) fn share_prefix(&mut self, from: i32, to: i32, tokens: usize) {
        if tokens == 0 {
            return;
        }
        let end = i32::try_from(tokens).unwrap_or(i32::MAX);
        // SAFETY: sequence ids below `n_seq_max`; the memory belongs to this context.
        unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.as_ptr()), from, to, 0, end) };
    }

    /// Forgets what follows the first `keep` tokens of a sequence. False if the model's memory cannot do so.
    pub(crate) fn truncate(&mut self, sequence: i32, keep: usize) -> bool {
        let from = i32::try_from(keep).unwrap_or(i32::MAX);
        // SAFETY: as above.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), sequence, from, -1) }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        // SAFETY: as above.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), false) };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `llama_init_from_model` and freed once.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}

/// Looks at the nodes of a graph while a batch is computed.
pub(crate) trait Watch {
    /// Whether the node is wanted once it is computed. Asked of every node once, in their order, before it is computed;
    /// everything from the last node that was wanted up to this one is computed at once.
    fn wants(&mut self, node: &Node<'_>) -> bool;

    /// The node is computed, and nothing after it is. False ends the pass here.
    fn computed(&mut self, node: &mut Node<'_>) -> bool;
}

unsafe extern "C" fn watch_node(tensor: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
    // SAFETY: `data` is the context's `watch`, which outlives the context.
    let watch = unsafe { &*data.cast::<AtomicPtr<c_void>>() }.load(Ordering::Acquire);
    let (Some(mut watch), Some(tensor)) =
        (NonNull::new(watch.cast::<&mut dyn Watch>()), NonNull::new(tensor))
    else {
        // Nobody watches: ask for nothing, and go on.
        return !ask;
    };
    // SAFETY: `decode_watched` lends the watch for the whole decode and does not touch it meanwhile; llama.cpp calls back
    // from the thread that called it.
    let watch = unsafe { watch.as_mut() };
    let mut node = Node { tensor, _graph: PhantomData };
    if ask { watch.wants(&node) } else { watch.computed(&mut node) }
}

/// What a node does, as far as it matters where in the network it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A weight, an input or a cache: not computed.
    Leaf,
    /// The sum of its two sources.
    Add,
    /// Some rows of its first source.
    Rows,
    /// The numbers of its first source in another place or shape.
    Same,
    /// Anything else.
    Other,
}

/// A tensor of the graph being computed.
pub(crate) struct Node<'graph> {
    tensor: NonNull<sys::ggml_tensor>,
    _graph: PhantomData<&'graph ()>,
}

impl<'graph> Node<'graph> {
    fn tensor(&self) -> &sys::ggml_tensor {
        // SAFETY: the graph is alive during the callback that handed this out, and nobody changes it.
        unsafe { self.tensor.as_ref() }
    }

    /// Tells this node from the graph's others.
    pub(crate) fn address(&self) -> usize {
        self.tensor.as_ptr().addr()
    }

    /// Its name, for example `l_out-3`.
    pub(crate) fn name(&self) -> String {
        // SAFETY: a tensor's name is zero-ended within its array.
        unsafe { CStr::from_ptr(self.tensor().name.as_ptr()) }.to_string_lossy().into_owned()
    }

    /// Whether it has this name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(self.tensor().name.as_ptr()) }.to_bytes() == name.as_bytes()
    }

    pub(crate) fn operation(&self) -> Operation {
        match self.tensor().op {
            sys::GGML_OP_NONE => Operation::Leaf,
            sys::GGML_OP_ADD => Operation::Add,
            sys::GGML_OP_GET_ROWS => Operation::Rows,
            sys::GGML_OP_DUP
            | sys::GGML_OP_CPY
            | sys::GGML_OP_CONT
            | sys::GGML_OP_RESHAPE
            | sys::GGML_OP_VIEW => Operation::Same,
            _ => Operation::Other,
        }
    }

    /// What it is computed from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Node<'graph>> {
        let sources = self.tensor().src.into_iter();
        sources.filter_map(NonNull::new).map(|tensor| Node { tensor, _graph: PhantomData })
    }

    /// Numbers in a row.
    pub(crate) fn width(&self) -> usize {
        self.tensor().ne.first().and_then(|width| usize::try_from(*width).ok()).unwrap_or(0)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        let rows = self.tensor().ne.iter().skip(1).product::<i64>();
        usize::try_from(rows).unwrap_or(0)
    }

    /// Whether it holds plain f32, one row after another.
    pub(crate) fn is_plain(&self) -> bool {
        // SAFETY: only looks at the tensor's shape.
        self.tensor().type_ == sys::GGML_TYPE_F32 && unsafe { sys::ggml_is_contiguous(self.tensor.as_ptr()) }
    }

    /// Replaces `numbers` with the node's, row by row. False if it is not plain.
    pub(crate) fn read(&self, numbers: &mut Vec<f32>) -> bool {
        if !self.is_plain() {
            return false;
        }
        numbers.resize(self.width() * self.rows(), 0.0);
        let bytes = std::mem::size_of_val(numbers.as_slice());
        if bytes > 0 {
            // SAFETY: contiguous f32 of exactly this many bytes, computed before the callback.
            unsafe {
                sys::ggml_backend_tensor_get(self.tensor.as_ptr(), numbers.as_mut_ptr().cast(), 0, bytes);
            };
        }
        true
    }

    /// Replaces the node's numbers. False if it is not plain or has another number of them.
    pub(crate) fn write(&mut self, numbers: &[f32]) -> bool {
        if !self.is_plain() || numbers.len() != self.width() * self.rows() {
            return false;
        }
        if !numbers.is_empty() {
            // SAFETY: as above; nothing is being computed during the callback.
            unsafe {
                sys::ggml_backend_tensor_set(
                    self.tensor.as_ptr(),
                    numbers.as_ptr().cast(),
                    0,
                    std::mem::size_of_val(numbers),
                );
            };
        }
        true
    }
}

/// llama.cpp's one-line description of a model: architecture, size and quantisation.
pub(crate) fn describe(model: &LlamaModel) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: the buffer's true length is given; llama.cpp ends the text with a zero.
    unsafe { sys::llama_model_desc(raw_model(model), text.as_mut_ptr().cast::<c_char>(), text.len()) };
    CStr::from_bytes_until_nul(&text).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn raw_model(model: &LlamaModel) -> *mut sys::llama_model {
    // SAFETY: `LlamaModel` is `repr(transparent)` over the pointer (the version is pinned exactly).
    unsafe { *std::ptr::from_ref(model).cast::<*mut sys::llama_model>() }
}

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Sends llama.cpp's log nowhere but to [`logged`].
pub(crate) fn capture_log() {
    static ONCE: Once = Once::new();
    // SAFETY: the callback lives for the whole program and needs no data.
    ONCE.call_once(|| unsafe { sys::llama_log_set(Some(keep_line), std::ptr::null_mut()) });
}

/// Runs a call on this thread and returns beside its result the warnings and errors that llama.cpp logged.
pub(crate) fn logged<T>(call: impl FnOnce() -> T) -> (T, String) {
    LOG.with_borrow_mut(Vec::clear);
    let result = call();
    (result, LOG.with_borrow(|lines| lines.concat().trim().to_owned()))
}

unsafe extern "C" fn keep_line(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    const MOST_LINES: usize = 64;
    if text.is_null() || !matches!(level, sys::GGML_LOG_LEVEL_WARN | sys::GGML_LOG_LEVEL_ERROR) {
        return;
    }
    // SAFETY: llama.cpp hands a zero-ended text that lives through the call.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    LOG.with_borrow_mut(|lines| {
        if lines.len() < MOST_LINES {
            lines.push(line);
        }
    });
}
