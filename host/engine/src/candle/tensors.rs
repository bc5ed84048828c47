//! Tensors of files, GGUF or safetensors alike: where each lies, and its numbers as f32, whole or in pieces.
//!
//! Nothing stays in memory and no file is mapped: what is asked for is read, in whole quantisation blocks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Error, Result};
use sonde_contract::{HostError, TensorInfo};

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: String,
    /// Lengths, outermost first.
    pub shape: Vec<usize>,
    /// How its numbers are stored; `None` for kinds that hold no weights, such as integers.
    pub kind: Option<GgmlDType>,
    /// The file's name for that.
    pub stored: String,
    /// Which of the files.
    pub file: usize,
    /// First byte.
    pub offset: u64,
}

impl Entry {
    /// Numbers.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().fold(1, |product, length| product.saturating_mul(*length))
    }

    fn bytes(&self) -> Option<u64> {
        let kind = self.kind?;
        let blocks = self.elements().div_ceil(kind.block_size());
        u64::try_from(blocks.checked_mul(kind.type_size())?).ok()
    }
}

/// Order of a matrix's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As they stand.
    AsStored,
    /// Each head's rows stand in interleaved pairs, as llama.cpp stores Llama's queries and keys; they are put back into
    /// two halves.
    PairsToHalves {
        /// Heads of the matrix.
        heads: usize,
    },
}

impl RowOrder {
    /// For each row of the matrix as it is computed with, which row of the file it is.
    ///
    /// # Errors
    /// Rows that do not make whole heads of pairs.
    pub(crate) fn sources(self, rows: usize) -> Result<Vec<usize>> {
        let Self::PairsToHalves { heads } = self else { return Ok((0..rows).collect()) };
        let head = rows.checked_div(heads).unwrap_or(0);
        if head == 0 || head * heads != rows || !head.is_multiple_of(2) {
            candle_core::bail!("{rows} rows do not make {heads} heads of pairs")
        }
        let source = |row: usize| {
            let (first, place) = (row / head * head, row % head);
            first + 2 * (place % (head / 2)) + place / (head / 2)
        };
        Ok((0..rows).map(source).collect())
    }
}

/// All tensors of a model.
pub(crate) struct Tensors {
    files: Vec<PathBuf>,
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

impl Tensors {
    /// Entries in the order of the files.
    ///
    /// # Errors
    /// A tensor that reaches past its file's end.
    pub(crate) fn new(files: Vec<PathBuf>, entries: Vec<Entry>) -> std::result::Result<Self, String> {
        let lengths: Vec<u64> =
            files.iter().map(|file| std::fs::metadata(file).map_or(0, |data| data.len())).collect();
        for entry in &entries {
            let length = lengths.get(entry.file).copied().unwrap_or(0);
            if entry.bytes().is_some_and(|bytes| entry.offset.saturating_add(bytes) > length) {
                return Err(format!("the tensor {} reaches past the file's end", entry.name));
            }
        }
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.name.clone(), place)).collect();
        Ok(Self { files, entries, places })
    }

    /// Name and length of each file, by which the model is known again.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, u64)> {
        self.files.iter().map(|file| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_default(), std::fs::metadata(file).map_or(0, |data| data.len()))
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.places.get(name)?)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The kind that most numbers of the model's matrices have.
    pub(crate) fn commonest_kind(&self) -> String {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.shape.len() > 1) {
            *counts.entry(&entry.stored).or_default() += entry.elements();
        }
        let commonest = counts.into_iter().max_by_key(|(name, count)| (*count, *name));
        commonest.map_or_else(|| "unknown".to_owned(), |(name, _)| name.to_owned())
    }

    /// For the contract.
    pub(crate) fn list(&self) -> Vec<TensorInfo> {
        let info = |entry: &Entry| TensorInfo {
            name: entry.name.clone(),
            shape: entry.shape.iter().map(|length| *length as u64).collect(),
            quantisation: entry.stored.clone(),
        };
        self.entries.iter().map(info).collect()
    }

    /// Numbers from flat index `first` on.
    pub(crate) fn read(
        &self,
        name: &str,
        first: u64,
        count: u32,
    ) -> std::result::Result<Vec<f32>, HostError> {
        let entry = self.get(name).ok_or_else(|| {
            HostError::InvalidArgument(format!(
                "the model has no tensor {name:?}; `tensors` lists those it has"
            ))
        })?;
        if entry.kind.is_none() {
            return Err(HostError::Unsupported(format!(
                "the tensor {name} is stored as {}, which this engine cannot read as numbers",
                entry.stored
            )));
        }
        let elements = entry.elements() as u64;
        let end = first.checked_add(u64::from(count)).filter(|end| *end <= elements);
        let (Some(_), Ok(first)) = (end, usize::try_from(first)) else {
            return Err(HostError::InvalidArgument(format!(
                "the tensor {name} has {elements} numbers, and {count} from {first} on were asked for"
            )));
        };
        self.floats(entry, first, count as usize)
            .map_err(|error| HostError::Engine(format!("cannot read the tensor {name}: {error}")))
    }

    /// Numbers of an entry, dequantised; the caller has checked that they are there.
    pub(crate) fn floats(&self, entry: &Entry, first: usize, count: usize) -> Result<Vec<f32>> {
        let kind = entry.kind.ok_or_else(|| unreadable(entry))?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let block = kind.block_size();
        let (from, to) = (first / block, (first + count).div_ceil(block));
        let bytes = self.bytes(entry, from * kind.type_size(), (to - from) * kind.type_size())?;
        if kind == GgmlDType::F32 {
            let number = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
            return Ok(bytes.as_chunks::<4>().0.iter().map(number).collect());
        }
        let storage = QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, kind)?;
        let numbers = QTensor::new(storage, (to - from) * block)?.dequantize(&Device::Cpu)?.to_vec1()?;
        Ok(numbers.into_iter().skip(first - from * block).take(count).collect())
    }

    /// A whole matrix as it is stored, its rows in the order asked for.
    pub(crate) fn quantised(&self, entry: &Entry, order: RowOrder) -> Result<QTensor> {
        let kind = entry.kind.ok_or_else(|| unreadable(entry))?;
        let length = entry.bytes().and_then(|bytes| usize::try_from(bytes).ok());
        let mut bytes = self.bytes(entry, 0, length.ok_or_else(|| unreadable(entry))?)?;
        if order != RowOrder::AsStored {
            bytes = ordered(&bytes, entry.shape.first().copied().unwrap_or(0), order)?;
        }
        QTensor::new(QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, kind)?, entry.shape.as_slice())
    }

    fn bytes(&self, entry: &Entry, from: usize, length: usize) -> Result<Vec<u8>> {
        let path = self.files.get(entry.file).ok_or_else(|| unreadable(entry))?;
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(entry.offset.saturating_add(from as u64)))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn unreadable(entry: &Entry) -> Error {
    Error::Msg(format!("the tensor {} is stored as {}", entry.name, entry.stored))
}

/// Rows are whole numbers of quantisation blocks, so they can be moved without being read.
fn ordered(bytes: &[u8], rows: usize, order: RowOrder) -> Result<Vec<u8>> {
    let sources = order.sources(rows)?;
    let row = bytes.len().checked_div(rows).unwrap_or(0);
    let mut ordered = Vec::with_capacity(bytes.len());
    for source in sources {
        let Some(found) = bytes.get(source * row..(source + 1) * row) else {
            candle_core::bail!("{} bytes do not make {rows} rows", bytes.len())
        };
        ordered.extend_from_slice(found);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_pairs_become_two_halves_head_by_head() {
        let order = RowOrder::PairsToHalves { heads: 2 };
        let found = ordered(&[0, 1, 2, 3, 4, 5, 6, 7], 8, order).unwrap();
        assert_eq!(found, [0, 2, 1, 3, 4, 6, 5, 7]);
        let pairs: Vec<u8> = (0..16).collect();
        let found = ordered(&pairs, 8, order).unwrap();
        assert_eq!(found, [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
        assert!(ordered(&[0; 6], 6, RowOrder::PairsToHalves { heads: 4 }).is_err());
    }

    #[test]
    fn a_piece_of_a_quantised_tensor_may_begin_and_end_inside_blocks() {
        // One Q8_0 block: an f16 scale (2.0 is 0x4000) and 32 signed bytes.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let blocks: Vec<u8> = (0..3_u8)
            .flat_map(|block| [0, 0x40].into_iter().chain((0..32).map(move |byte| block * 32 + byte)))
            .collect();
        std::io::Write::write_all(&mut file, &blocks).unwrap();
        let entry = Entry {
            name: "w".into(),
            shape: vec![3, 32],
            kind: Some(GgmlDType::Q8_0),
            stored: "Q8_0".into(),
            file: 0,
            offset: 0,
        };
        let tensors = Tensors::new(vec![file.path().to_owned()], vec![entry]).unwrap();
        let found = tensors.read("w", 30, 5).unwrap();
        assert_eq!(found, [60.0, 62.0, 64.0, 66.0, 68.0]);
        assert_eq!(tensors.read("w", 95, 1).unwrap(), [190.0]);
        assert!(tensors.read("w", 95, 2).unwrap_err().to_string().contains("has 96 numbers"));
        assert!(tensors.read("w", u64::MAX, 2).is_err());
        assert!(tensors.read("v", 0, 1).unwrap_err().to_string().contains("no tensor \"v\""));
    }
}
