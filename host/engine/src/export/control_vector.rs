//! GGUF control vectors, as llama.cpp's `llama-cvector-generator` writes them and its `--control-vector` reads them.
//!
//! The tensor `direction.N` is added to the output of block N, from block 1 on: to layer N + 1 of the residual stream as
//! Sonde counts it.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::gguf_file::Content;
use sonde_contract::{Intervention, ModelInfo};

use super::gguf::{self, Part, Value};
use super::{Draft, ExportError};
use crate::llama::Probe;

/// Writes vectors that have been checked to be nothing but additions to the residual stream.
pub(super) fn write(probe: &Probe, interventions: &[Intervention], to: &Path) -> Result<Draft, ExportError> {
    let rows = probe.control_vector(interventions).map_err(|(_, layer)| {
        ExportError::Unsupported(format!(
            "the vectors added at layer {layer} of the residual stream have no finite sum; make their coefficients smaller"
        ))
    })?;
    let info = probe.info();
    let rows = (1..).zip(rows.chunks(info.width.max(1) as usize));
    let parts: Vec<_> = rows
        .filter(|(_, row)| row.iter().any(|number| *number != 0.0))
        .map(|(block, row)| Part { name: format!("direction.{block}"), shape: vec![row.len()], numbers: row })
        .collect();
    if parts.is_empty() {
        return Err(ExportError::Nothing("the treatment's vectors add up to zero".to_owned()));
    }
    let layers = i32::try_from(info.layers.saturating_sub(1)).unwrap_or(i32::MAX);
    let metadata = [
        ("general.architecture", Value::Text("controlvector")),
        ("controlvector.model_hint", Value::Text(&info.architecture)),
        ("controlvector.layer_count", Value::Count(layers)),
    ];
    Ok(Draft::write(to, |file| gguf::write(file, &metadata, &parts))?)
}

/// Reads a file as llama.cpp's `common_control_vector_load` does: a row for each block from block 1 on.
pub(super) fn read(path: &Path, info: &ModelInfo) -> Result<Vec<f32>, ExportError> {
    let damaged = |reason: String| ExportError::Damaged(reason);
    let mut file = BufReader::new(File::open(path).map_err(|error| damaged(error.to_string()))?);
    let content = Content::read(&mut file).map_err(|error| damaged(error.to_string()))?;
    let width = info.width as usize;
    let mut rows = vec![0.0; width * info.layers.saturating_sub(1) as usize];
    for name in content.tensor_infos.keys() {
        let block = name.strip_prefix("direction.").and_then(|number| number.parse::<usize>().ok());
        let block = block.filter(|block| *block > 0).ok_or_else(|| damaged(format!("a tensor {name}")))?;
        let numbers = content
            .tensor(&mut file, name, &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu)?.to_vec1::<f32>())
            .map_err(|error| damaged(error.to_string()))?;
        let room = rows.get_mut((block - 1) * width..block * width);
        let room = room.filter(|room| room.len() == numbers.len());
        room.ok_or_else(|| damaged(format!("the shape of {name}")))?.copy_from_slice(&numbers);
    }
    Ok(rows)
}
