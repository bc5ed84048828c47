//! Tensors of GGUF files as ggml sees them: where they lie, and how their numbers are stored and read.
#![expect(unsafe_code, reason = "llama.cpp is a C library; see `ffi`")]

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

/// A tensor as a GGUF file's header describes it.
pub(crate) struct FileTensor {
    pub name: String,
    /// Lengths, outermost first.
    pub shape: Vec<u64>,
    pub storage: Storage,
    /// Where its bytes begin in the file.
    pub offset: u64,
}

/// The tensors of a GGUF file, in its order; `None` if its header cannot be read.
pub(crate) fn file_tensors(path: &Path) -> Option<Vec<FileTensor>> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
    let params = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
    // SAFETY: the name is zero-ended; without a context only the header is read.
    let header = NonNull::new(unsafe { sys::gguf_init_from_file(name.as_ptr(), params) })?;
    let raw = header.as_ptr();
    // SAFETY: `raw` is a live header; ids below the count are valid, and a tensor has four lengths.
    let tensors = unsafe {
        let start = sys::gguf_get_data_offset(raw);
        (0..sys::gguf_get_n_tensors(raw))
            .map(|id| {
                let lengths = std::slice::from_raw_parts(sys::gguf_get_tensor_ne(raw, id), 4);
                let mut shape: Vec<u64> = lengths.iter().map(|length| length.unsigned_abs()).collect();
                while shape.len() > 1 && shape.last() == Some(&1) {
                    shape.pop();
                }
                shape.reverse();
                FileTensor {
                    name: CStr::from_ptr(sys::gguf_get_tensor_name(raw, id)).to_string_lossy().into_owned(),
                    shape,
                    storage: Storage(sys::gguf_get_tensor_type(raw, id)),
                    offset: (start + sys::gguf_get_tensor_offset(raw, id)) as u64,
                }
            })
            .collect()
    };
    // SAFETY: made above, freed once.
    unsafe { sys::gguf_free(raw) };
    Some(tensors)
}

/// How a tensor's numbers are stored: in blocks of so many numbers and bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage(sys::ggml_type);

impl Storage {
    /// ggml's name in capitals, for example `Q4_K`.
    pub(crate) fn name(self) -> String {
        // SAFETY: a zero-ended text that is never freed; the type came from llama.cpp, which checked it.
        let name = unsafe { CStr::from_ptr(sys::ggml_type_name(self.0)) };
        name.to_string_lossy().to_uppercase()
    }

    /// Numbers in a block.
    pub(crate) fn block(self) -> u64 {
        // SAFETY: as above.
        unsafe { sys::ggml_blck_size(self.0) }.unsigned_abs().max(1)
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(self) -> u64 {
        // SAFETY: as above.
        unsafe { sys::ggml_type_size(self.0) as u64 }
    }

    /// The numbers of whole blocks; `None` if llama.cpp cannot turn them to f32.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Vec<f32>> {
        if self.0 == sys::GGML_TYPE_F32 {
            let numbers = bytes.chunks_exact(4).filter_map(|four| four.try_into().ok());
            return Some(numbers.map(f32::from_le_bytes).collect());
        }
        // SAFETY: as above; the traits are never freed.
        let to_float = unsafe { sys::ggml_get_type_traits(self.0).as_ref() }?.to_float?;
        let block_bytes = usize::try_from(self.block_bytes()).ok().filter(|bytes| *bytes > 0)?;
        let count = bytes.len() / block_bytes * usize::try_from(self.block()).ok()?;
        // ggml reads blocks as structures, so they have to be aligned.
        let mut aligned = vec![0_u64; bytes.len().div_ceil(8)];
        let mut numbers = vec![0.0_f32; count];
        // SAFETY: `aligned` has room for all bytes; `count` numbers are what these blocks hold.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), aligned.as_mut_ptr().cast::<u8>(), bytes.len());
            to_float(aligned.as_ptr().cast(), numbers.as_mut_ptr(), i64::try_from(count).ok()?);
        }
        Some(numbers)
    }

    /// Stores rows of so many numbers, a row a whole number of blocks; `None` for what ggml does not write, or not without
    /// knowing which weights matter (an importance matrix).
    pub(crate) fn encode(self, numbers: &[f32], columns: usize) -> Option<Vec<u8>> {
        let block = usize::try_from(self.block()).ok()?;
        let whole = columns > 0 && columns.is_multiple_of(block) && numbers.len().is_multiple_of(columns);
        if !self.is_written() || !whole {
            return None;
        }
        let rows = numbers.len() / columns;
        let bytes = numbers.len() / block * usize::try_from(self.block_bytes()).ok()?;
        // ggml writes blocks as structures, so they have to be aligned.
        let mut aligned = vec![0_u64; bytes.div_ceil(8)];
        // SAFETY: `aligned` has room for every row's blocks; the type is one of those that ggml writes, without an
        // importance matrix; what it prepares for a type is made once, under its own lock.
        let written = unsafe {
            sys::ggml_quantize_chunk(
                self.0,
                numbers.as_ptr(),
                aligned.as_mut_ptr().cast(),
                0,
                i64::try_from(rows).ok()?,
                i64::try_from(columns).ok()?,
                std::ptr::null(),
            )
        };
        let mut raw: Vec<u8> = aligned.into_iter().flat_map(u64::to_ne_bytes).collect();
        raw.truncate(bytes);
        (written == bytes).then_some(raw)
    }

    /// Whether [`Storage::encode`] writes it. The smallest types are made with an importance matrix or not at all.
    pub(crate) fn is_written(self) -> bool {
        matches!(
            self.0,
            sys::GGML_TYPE_F32
                | sys::GGML_TYPE_F16
                | sys::GGML_TYPE_BF16
                | sys::GGML_TYPE_Q4_0
                | sys::GGML_TYPE_Q4_1
                | sys::GGML_TYPE_Q5_0
                | sys::GGML_TYPE_Q5_1
                | sys::GGML_TYPE_Q8_0
                | sys::GGML_TYPE_Q2_K
                | sys::GGML_TYPE_Q3_K
                | sys::GGML_TYPE_Q4_K
                | sys::GGML_TYPE_Q5_K
                | sys::GGML_TYPE_Q6_K
                | sys::GGML_TYPE_IQ3_XXS
                | sys::GGML_TYPE_IQ3_S
                | sys::GGML_TYPE_IQ4_NL
                | sys::GGML_TYPE_IQ4_XS
                | sys::GGML_TYPE_MXFP4
        )
    }

    /// Relative size of what an activation loses where ggml multiplies it with such a matrix: it is rounded to 24, 11 or 8
    /// bits, or to 8-bit numbers of 32 or 256 with one scale (steps of some 2.5 standard deviations / 127, uniform).
    pub(crate) fn activation_rounding(self) -> f64 {
        match self.0 {
            sys::GGML_TYPE_F32 => 2_f64.powi(-24),
            sys::GGML_TYPE_F16 => 2_f64.powi(-11),
            sys::GGML_TYPE_BF16 => 2_f64.powi(-8),
            _ => 2.5 / 127.0 / 12_f64.sqrt(),
        }
    }
}
