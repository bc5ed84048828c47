//! A Hugging Face folder: `config.json`, weights in safetensors files, and where their tensors lie.
//!
//! The format of safetensors: eight bytes with the header's length, the header in JSON, then the numbers
//! (<https://github.com/huggingface/safetensors>).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config;
use super::description::Description;
use super::tensors::{Entry, Tensors};
use crate::OpenError;

/// As safetensors itself limits it.
const MOST_HEADER: u64 = 100_000_000;
/// Far above any published configuration.
const MOST_JSON: u64 = 64 << 20;

/// What a folder says of its model.
pub(crate) struct Folder {
    pub tensors: Tensors,
    pub description: Description,
    /// What stands before `embed_tokens.weight`.
    pub prefix: String,
    pub config: Map<String, Value>,
}

/// Reads the configuration alone.
pub(crate) fn configuration(folder: &Path) -> Result<(Map<String, Value>, Description), OpenError> {
    let file = folder.join("config.json");
    let config = match json(&file)? {
        Some(Value::Object(config)) => config,
        Some(_) => return Err(refused(&file, "it is not a JSON object".into())),
        None => {
            return Err(refused(
                folder,
                "it has no config.json; point `path` at a folder as Hugging Face saves models, or at a .gguf file"
                    .into(),
            ));
        }
    };
    let description = config::describe(&config).map_err(|refusal| refusal.about(folder))?;
    Ok((config, description))
}

/// Reads the configuration and the headers of the weights.
pub(crate) fn open(folder: &Path) -> Result<Folder, OpenError> {
    let (config, description) = configuration(folder)?;
    let files = weight_files(folder)?;
    let mut entries = Vec::new();
    for (number, file) in files.iter().enumerate() {
        entries.extend(header(file, number)?);
    }
    let truncated = |reason| OpenError::Truncated { path: folder.to_owned(), reason };
    let tensors = Tensors::new(files, entries).map_err(truncated)?;
    let prefix = tensors.names().find_map(|name| name.strip_suffix("embed_tokens.weight"));
    let prefix = prefix
        .ok_or_else(|| refused(folder, "its weights have no tensor embed_tokens.weight".into()))?
        .to_owned();
    Ok(Folder { tensors, description, prefix, config })
}

/// A JSON file; `None` if it is not there.
pub(crate) fn json(file: &Path) -> Result<Option<Value>, OpenError> {
    let unreadable = |reason| OpenError::Unreadable { path: file.to_owned(), reason };
    let mut text = String::new();
    match File::open(file) {
        Ok(opened) => opened.take(MOST_JSON).read_to_string(&mut text).map_err(unreadable)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| refused(file, format!("it is not JSON: {error}")))
}

pub(crate) fn refused(path: &Path, reason: String) -> OpenError {
    OpenError::Candle { path: path.to_owned(), reason }
}

/// The one file, or those of the index, in order.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    let Some(found) = json(&index)? else {
        return Err(refused(
            folder,
            "it has neither model.safetensors nor model.safetensors.index.json".into(),
        ));
    };
    let map = found.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| refused(&index, "it has no `weight_map`".into()))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let file = |name: &str| {
        let plain = Path::new(name).file_name().is_some_and(|file| file == name);
        let path = folder.join(name);
        match plain && path.exists() {
            true => Ok(path),
            false => Err(refused(folder, format!("its index names {name}, which is not in the folder"))),
        }
    };
    names.into_iter().map(file).collect()
}

#[derive(Deserialize)]
struct Header {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

fn header(file: &Path, number: usize) -> Result<Vec<Entry>, OpenError> {
    let unreadable = |reason| OpenError::Unreadable { path: file.to_owned(), reason };
    let truncated =
        || OpenError::Truncated { path: file.to_owned(), reason: "it ends inside the header".into() };
    let mut opened = File::open(file).map_err(unreadable)?;
    let mut length = [0; 8];
    opened.read_exact(&mut length).map_err(|_| truncated())?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER {
        return Err(refused(file, "it is not a safetensors file: its header would be too long".into()));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    opened.read_exact(&mut text).map_err(|_| truncated())?;
    let headers: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| refused(file, format!("its header is not JSON: {error}")))?;
    let mut entries = Vec::new();
    for (name, value) in headers.into_iter().filter(|(name, _)| name != "__metadata__") {
        let broken = |reason: String| refused(file, format!("its header is wrong at {name}: {reason}"));
        let header: Header = serde_json::from_value(value).map_err(|error| broken(error.to_string()))?;
        let kind = match header.dtype.as_str() {
            "F32" => Some(GgmlDType::F32),
            "F16" => Some(GgmlDType::F16),
            "BF16" => Some(GgmlDType::BF16),
            _ => None,
        };
        let [first, last] = header.data_offsets;
        let elements = header.shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
        let bytes = kind.zip(elements).and_then(|(kind, elements)| elements.checked_mul(kind.type_size()));
        if elements.is_none() || bytes.is_some_and(|bytes| last.checked_sub(first) != Some(bytes as u64)) {
            return Err(broken("its offsets do not fit its shape".into()));
        }
        let offset = first.saturating_add(8 + length);
        entries.push(Entry { name, shape: header.shape, kind, stored: header.dtype, file: number, offset });
    }
    entries.sort_by_key(|entry| entry.offset);
    Ok(entries)
}
