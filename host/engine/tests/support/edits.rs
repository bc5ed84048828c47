//! Low-rank changes to test with, and files into whose f32 tensors they are added by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use sonde_contract::LowRank;
use sonde_engine::Model;

/// A change of so much relative size: `size` is ‖scale·B·A‖ over ‖W‖, as far as random numbers have a norm.
pub fn edit(
    model: &Arc<dyn Model>,
    matrix: &str,
    expert: Option<u32>,
    rank: u32,
    size: f64,
    salt: u32,
) -> LowRank {
    let tensors = model.tensors().unwrap();
    let tensor = tensors.iter().find(|tensor| tensor.name == matrix).unwrap();
    let [rows, columns] = tensor.shape[tensor.shape.len() - 2..] else { unreachable!() };
    let mut random = 0x9E37_79B9_u32 ^ (salt + 1).wrapping_mul(0x85EB_CA6B);
    let mut side = |count: u64| -> Vec<f32> {
        let number = |_| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random as f32 / u32::MAX as f32 - 0.5
        };
        (0..count).map(number).collect()
    };
    let (a, b) = (side(columns * u64::from(rank)), side(rows * u64::from(rank)));
    let norm = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let first = u64::from(expert.unwrap_or(0)) * rows * columns;
    let weights = model.read_tensor(matrix, first, u32::try_from(rows * columns).unwrap()).unwrap();
    // Independent columns of B and rows of A: ‖B·A‖ is near ‖B‖·‖A‖/√rank.
    let whole = norm(&a) * norm(&b) / f64::from(rank).sqrt();
    let scale = (size * norm(&weights) / whole) as f32;
    LowRank { matrix: matrix.to_owned(), expert, rank, a, b, scale }
}

/// The entry of scale · B · A.
pub fn entry(edit: &LowRank, row: usize, column: usize) -> f64 {
    let (rank, columns) = (edit.rank as usize, edit.a.len() / edit.rank as usize);
    let product = |k: usize| f64::from(edit.b[row * rank + k]) * f64::from(edit.a[k * columns + column]);
    f64::from(edit.scale) * (0..rank).map(product).sum::<f64>()
}

/// Where a tensor's bytes are, and its lengths from the outermost.
pub fn place(path: &Path, name: &str) -> (GgmlDType, u64, Vec<usize>) {
    let content = Content::read(&mut File::open(path).unwrap()).unwrap();
    let info = &content.tensor_infos[name];
    (info.ggml_dtype, content.tensor_data_offset + info.offset, info.shape.dims().to_vec())
}

/// Copies an F32 file and adds the changes to its tensors.
pub fn patch(from: &Path, to: &Path, edits: &[LowRank]) {
    // The shared file may be read-only, and a copy would be too.
    std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
    let mut file = File::options().read(true).write(true).open(to).unwrap();
    for edit in edits {
        let (kind, start, shape) = place(from, &edit.matrix);
        assert_eq!(kind, GgmlDType::F32);
        let [rows, columns] = shape[shape.len() - 2..] else { unreachable!() };
        let start = start + 4 * (edit.expert.unwrap_or(0) as usize * rows * columns) as u64;
        let mut bytes = vec![0; 4 * rows * columns];
        file.seek(SeekFrom::Start(start)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        for (place, number) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let sum = f64::from(f32::from_le_bytes(*number)) + entry(edit, place / columns, place % columns);
            *number = (sum as f32).to_le_bytes();
        }
        file.seek(SeekFrom::Start(start)).unwrap();
        file.write_all(&bytes).unwrap();
    }
}
