//! llama.cpp as another program uses it: its C functions alone, nothing of the engine's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use std::ffi::CString;
use std::path::Path;

use llama_cpp_sys_2 as sys;

/// The likeliest tokens after a prompt, with a GGUF LoRA adapter in force or without.
#[expect(unsafe_code, reason = "llama.cpp's own interface")]
pub fn greedy_with_adapter(model: &Path, adapter: Option<&Path>, prompt: &[u32], count: usize) -> Vec<u32> {
    let name = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: plain calls in the order that llama.h asks for; everything made here is freed here, once.
    unsafe {
        sys::llama_backend_init();
        let model = sys::llama_model_load_from_file(name(model).as_ptr(), sys::llama_model_default_params());
        assert!(!model.is_null());
        let loaded = adapter.map(|adapter| sys::llama_adapter_lora_init(model, name(adapter).as_ptr()));
        let mut params = sys::llama_context_default_params();
        params.n_ctx = 512;
        params.n_threads = 1;
        params.n_threads_batch = 1;
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.type_k = sys::GGML_TYPE_F32;
        params.type_v = sys::GGML_TYPE_F32;
        let context = sys::llama_init_from_model(model, params);
        assert!(!context.is_null());
        if let Some(mut loaded) = loaded {
            assert!(!loaded.is_null());
            let mut scale = 1.0_f32;
            assert_eq!(sys::llama_set_adapters_lora(context, &raw mut loaded, 1, &raw mut scale), 0);
        }
        let vocabulary =
            usize::try_from(sys::llama_vocab_n_tokens(sys::llama_model_get_vocab(model))).unwrap();
        let mut next: Vec<i32> = prompt.iter().map(|token| i32::try_from(*token).unwrap()).collect();
        let mut reply = Vec::new();
        while reply.len() < count {
            let batch = sys::llama_batch_get_one(next.as_mut_ptr(), i32::try_from(next.len()).unwrap());
            assert_eq!(sys::llama_decode(context, batch), 0);
            let logits = std::slice::from_raw_parts(sys::llama_get_logits_ith(context, -1), vocabulary);
            let (token, _) = logits.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
            reply.push(u32::try_from(token).unwrap());
            next = vec![i32::try_from(token).unwrap()];
        }
        sys::llama_free(context);
        if let Some(loaded) = loaded {
            sys::llama_adapter_lora_free(loaded);
        }
        sys::llama_model_free(model);
        reply
    }
}
