//! What a GGUF file's first bytes tell, and what llama.cpp's refusals mean.

use std::io::Read;
use std::path::Path;

use crate::OpenError;

/// Looks at the header, so that the commonest mistakes get a plain sentence.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let unreadable = |reason| OpenError::Unreadable { path: path.to_owned(), reason };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    let mut header = Vec::new();
    file.by_ref().take(24).read_to_end(&mut header).map_err(unreadable)?;
    if !header.starts_with(b"GGUF") {
        let found = String::from_utf8_lossy(header.get(..4).unwrap_or(&header)).into_owned();
        return Err(OpenError::NotGguf { path: path.to_owned(), found });
    }
    let Some(tensors) = header.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    else {
        return Err(OpenError::Truncated {
            path: path.to_owned(),
            reason: "it ends inside the header".into(),
        });
    };
    if tensors == 0 {
        return Err(OpenError::TokenizerOnly { path: path.to_owned() });
    }
    Ok(())
}

/// Turns what llama.cpp logged while it refused a file into an error; `otherwise` if it logged nothing.
pub(crate) fn explain(path: &Path, said: &str, otherwise: &str) -> OpenError {
    let path = path.to_owned();
    if let Some((_, after)) = said.split_once("unknown model architecture: '") {
        let architecture = after.split('\'').next().unwrap_or_default().to_owned();
        return OpenError::UnknownArchitecture { path, architecture, version: super::VERSION };
    }
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let truncated = [
        "is not within the file bounds",
        "failed to read",
        "failed to seek",
        "unexpectedly reached end of file",
    ];
    if let Some(line) = lines().find(|line| truncated.iter().any(|sign| line.contains(sign))) {
        return OpenError::Truncated { path, reason: after_prefix(line).to_owned() };
    }
    // Warnings about what it did load may stand before the error.
    let error = lines().find(|line| line.contains("error loading model")).or_else(|| lines().next());
    let reason = error.map_or(otherwise, after_prefix).to_owned();
    OpenError::Refused { path, reason }
}

/// llama.cpp begins its lines with the function's name.
fn after_prefix(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, rest)| rest)
}
