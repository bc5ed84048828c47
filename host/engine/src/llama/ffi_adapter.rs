//! llama.cpp's LoRA adapters behind a safe type: a low-rank part computed beside a model's matrices, as they are stored.
//!
//! llama.cpp keeps a list of a model's adapters without guarding it: loading and freeing change it, and a context looks at
//! it when it is made and when it decodes. [`reading`] and the lock behind it keep these apart.
#![expect(unsafe_code, reason = "llama.cpp is a C library; see `ffi`")]

use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;

use super::ffi::{logged, raw_model};

static LISTS: RwLock<()> = RwLock::new(());

/// Held while llama.cpp may look at a model's list of adapters.
pub(super) fn reading() -> RwLockReadGuard<'static, ()> {
    LISTS.read().unwrap_or_else(PoisonError::into_inner)
}

/// A LoRA adapter in memory. Every [`super::ffi::Context`] that it is set in keeps it alive.
pub(crate) struct Adapter {
    raw: NonNull<sys::llama_adapter_lora>,
    // Dropped after `raw` is freed in `Drop`: freeing takes it off its model's list.
    _model: Arc<LlamaModel>,
}

// SAFETY: once loaded an adapter is only read by llama.cpp, from any thread; its list is guarded by `LISTS`.
unsafe impl Send for Adapter {}
// SAFETY: as above.
unsafe impl Sync for Adapter {}

impl Adapter {
    /// Loads a GGUF adapter with llama.cpp's own loader, or returns what it logged.
    pub(crate) fn load(model: &Arc<LlamaModel>, path: &Path) -> Result<Self, String> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
        let _changing = LISTS.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a live model, whose list nobody else touches meanwhile; a zero-ended path.
        let (raw, said) = logged(|| unsafe { sys::llama_adapter_lora_init(raw_model(model), path.as_ptr()) });
        let raw = NonNull::new(raw).ok_or(said)?;
        Ok(Self { raw, _model: Arc::clone(model) })
    }

    /// In force in a context, which the caller keeps no longer than this adapter.
    pub(super) fn set_in(&self, context: NonNull<sys::llama_context>) -> bool {
        let (mut adapters, mut scales) = ([self.raw.as_ptr()], [1.0]);
        // SAFETY: one adapter and one scale, which llama.cpp copies during the call.
        let failed = unsafe {
            sys::llama_set_adapters_lora(
                context.as_ptr(),
                adapters.as_mut_ptr(),
                adapters.len(),
                scales.as_mut_ptr(),
            )
        };
        failed == 0
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _changing = LISTS.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: made by `llama_adapter_lora_init` and freed once; the contexts that used it are gone.
        unsafe { sys::llama_adapter_lora_free(self.raw.as_ptr()) };
    }
}
