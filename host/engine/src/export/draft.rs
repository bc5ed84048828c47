//! Files that appear as a whole or not at all.
//!
//! A [`Draft`] is written under another name in the destination's folder and made durable there; only then does it take
//! the destination's name. Whatever goes wrong before leaves what was there untouched and nothing beside it. The exports
//! write through it, and the runner its treatment files.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that could not be written; what was there before is whole.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}; nothing there was changed; {advice}")]
pub struct WriteError {
    path: PathBuf,
    reason: std::io::Error,
    advice: &'static str,
}

impl WriteError {
    /// Of the operating system's refusal.
    pub(crate) fn new(path: &Path, reason: std::io::Error) -> Self {
        let advice = match reason.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "make room, or write to another disk"
            }
            ErrorKind::NotFound => "make its folder first, or give another path",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "give a path that may be written, or change the folder's permissions"
            }
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => "give the path of a file",
            _ => "give another path, or try again",
        };
        Self { path: path.to_owned(), reason, advice }
    }
}

/// A file that is whole and durable, but not yet under its name. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    to: PathBuf,
}

impl Draft {
    /// Writes a file for `to`, whose folder exists.
    ///
    /// # Errors
    /// What the closure says, a folder that cannot be written, a full disk.
    pub fn write(
        to: &Path,
        write: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
    ) -> Result<Self, WriteError> {
        Self::filled(to, |file| {
            let mut writer = BufWriter::with_capacity(1 << 20, file);
            write(&mut writer)?;
            writer.flush()
        })
    }

    /// The same with the bare file, for what is not written from its beginning to its end.
    ///
    /// # Errors
    /// As [`Draft::write`].
    pub fn filled(
        to: &Path,
        fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<Self, WriteError> {
        let failed = |reason| WriteError::new(to, reason);
        if to.is_dir() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sonde-").suffix(".part");
        // As any new file is made, not for the owner alone as temporary files are.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder(to)).map_err(|error| failed(bare(error)))?;
        fill(file.as_file_mut()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        Ok(Self { file, to: to.to_owned() })
    }

    /// Where it lies for now.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name it is to have.
    pub fn destination(&self) -> &Path {
        &self.to
    }

    /// Gives it its name, in the place of what had it.
    ///
    /// # Errors
    /// A destination that cannot be replaced.
    pub fn put_in_place(self) -> Result<(), WriteError> {
        let Self { file, to } = self;
        file.persist(&to).map_err(|error| WriteError::new(&to, error.error))?;
        flush_folder(&to).map_err(|reason| WriteError::new(&to, reason))
    }
}

fn folder(path: &Path) -> &Path {
    // A bare name lies in the current folder.
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Without the temporary file's name, which nobody knows.
fn bare(error: std::io::Error) -> std::io::Error {
    match error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        // `tempfile` wraps the error to add a path and keeps its kind.
        None => error.kind().into(),
    }
}

/// Makes the file's name as durable as its content.
#[cfg(unix)]
fn flush_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder(path)).and_then(|folder| folder.sync_all())
}

#[cfg(not(unix))]
fn flush_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_draft_replaces_what_was_there_only_when_it_is_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("a.txt");
        std::fs::write(&to, "old").unwrap();
        let draft = Draft::write(&to, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(draft.path()).unwrap(), b"new");
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        draft.put_in_place().unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_failure_while_writing_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("a.txt");
        std::fs::write(&to, "old").unwrap();
        let error = Draft::write(&to, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::from(ErrorKind::StorageFull))
        });
        let text = error.unwrap_err().to_string();
        assert!(text.ends_with("; nothing there was changed; make room, or write to another disk"), "{text}");
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("none/a.txt");
        let text = Draft::write(&to, |_| Ok(())).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot write {}: ", to.display())), "{text}");
        assert!(text.ends_with("make its folder first, or give another path"), "{text}");
        let text = Draft::write(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(text.ends_with("give the path of a file"), "{text}");
    }
}
