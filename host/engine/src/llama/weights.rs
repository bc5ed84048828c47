//! Tensors of a model's files, read in pieces: only the blocks that hold the numbers asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sonde_contract::{HostError, TensorInfo};

use super::ffi_file::{FileTensor, file_tensors};

/// The headers of a model's files.
pub(crate) struct Weights {
    tensors: Vec<(PathBuf, FileTensor)>,
    places: HashMap<String, usize>,
}

impl Weights {
    /// Reads the headers. A model split into several files is named by its first.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        let mut tensors = Vec::new();
        for file in parts(path) {
            let found = file_tensors(&file).ok_or_else(|| {
                HostError::Engine(format!("the header of {} can no longer be read", file.display()))
            })?;
            tensors.extend(found.into_iter().map(|tensor| (file.clone(), tensor)));
        }
        let names = tensors.iter().enumerate();
        let places = names.map(|(place, (_, tensor))| (tensor.name.clone(), place)).collect();
        Ok(Self { tensors, places })
    }

    /// What tensors there are.
    pub(crate) fn list(&self) -> Vec<TensorInfo> {
        let info = |(_, tensor): &(PathBuf, FileTensor)| TensorInfo {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            quantisation: tensor.storage.name(),
        };
        self.tensors.iter().map(info).collect()
    }

    /// Which file a tensor lies in, and where.
    pub(crate) fn find(&self, name: &str) -> Option<(&Path, &FileTensor)> {
        let (path, tensor) = self.tensors.get(*self.places.get(name)?)?;
        Some((path, tensor))
    }

    /// See [`crate::Model::read_tensor`].
    pub(crate) fn read(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        let Some((path, tensor)) = self.find(name) else { return Err(self.unknown(name)) };
        let length: u64 = tensor.shape.iter().product();
        let Some(end) = first.checked_add(u64::from(count)).filter(|end| *end <= length) else {
            return Err(HostError::InvalidArgument(format!(
                "{count} numbers from {first} on lie past the end of the tensor {name:?}, which has {length} of them \
                 (shape {:?})",
                tensor.shape
            )));
        };
        let block = tensor.storage.block();
        let (from, to) = (first / block, end.div_ceil(block));
        let failed = |reason: String| {
            HostError::Engine(format!("cannot read the tensor {name:?} of {}: {reason}", path.display()))
        };
        let bytes = usize::try_from((to - from) * tensor.storage.block_bytes())
            .map_err(|error| failed(error.to_string()))?;
        let mut raw = vec![0; bytes];
        let start = tensor.offset + from * tensor.storage.block_bytes();
        File::open(path)
            .and_then(|mut file| file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut raw)))
            .map_err(|error| failed(error.to_string()))?;
        let mut numbers = tensor.storage.decode(&raw).ok_or_else(|| {
            let quantisation = tensor.storage.name();
            HostError::Unsupported(format!(
                "llama.cpp cannot turn the {quantisation} numbers of {name:?} to f32"
            ))
        })?;
        let skip = usize::try_from(first - from * block).unwrap_or(usize::MAX).min(numbers.len());
        numbers.drain(..skip);
        numbers.truncate(count as usize);
        Ok(numbers)
    }

    fn unknown(&self, name: &str) -> HostError {
        let names = self.tensors.iter().map(|(_, tensor)| tensor.name.as_str());
        let distance = |near: &&str| strsim::damerau_levenshtein(near, name);
        let nearest = names.min_by_key(distance).unwrap_or_default();
        HostError::InvalidArgument(format!("there is no tensor {name:?}; did you mean {nearest:?}?"))
    }
}

/// All files of a model: "name-00001-of-00003.gguf" has two more.
fn parts(path: &Path) -> Vec<PathBuf> {
    let split = || {
        let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (start, count) = stem.rsplit_once("-of-")?;
        let name = start.strip_suffix("-00001")?;
        let total: u32 = count.parse().ok().filter(|_| count.len() == 5)?;
        let part = |number| path.with_file_name(format!("{name}-{number:05}-of-{count}.gguf"));
        Some((1..=total).map(part).collect())
    };
    split().unwrap_or_else(|| vec![path.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_model_has_all_its_files() {
        let files = parts(Path::new("models/big-00001-of-00003.gguf"));
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(names, [1, 2, 3].map(|part| format!("models/big-0000{part}-of-00003.gguf")));
        let alone = Path::new("models/one-of-many.gguf");
        assert_eq!(parts(alone), [alone]);
    }
}
