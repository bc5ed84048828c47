//! The state of a training in a file, so that it can go on after an interruption.
//!
//! A line of JSON says what follows: the adapter's numbers and their moments, then the losses so far, as little-endian
//! f32. The file is replaced as a whole; one that is broken, or of another training, counts as none.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sonde_contract::{Digest, HostError};

use super::optimiser::Parameters;

/// Longest first line.
const MOST_HEADER: u64 = 4096;

/// How far a training has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Tokens computed.
    pub tokens: u64,
    /// Of each step done.
    pub losses: Vec<f32>,
    pub parameters: Parameters,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    /// Of what is trained, on what, how.
    training: Digest,
    tokens: u64,
    steps: usize,
    parameters: usize,
    /// Of the numbers that follow.
    numbers: Digest,
}

const FORMAT: &str = "sonde-training 1";

/// Where the state of one training is kept.
pub(super) struct Checkpoint<'a> {
    pub path: &'a Path,
    pub training: Digest,
}

impl Checkpoint<'_> {
    /// What lies there, if it is of this training, has so many parameters and is whole.
    pub(super) fn read(&self, parameters: usize, most_steps: usize) -> Option<State> {
        let mut file = BufReader::new(File::open(self.path).ok()?);
        let mut line = Vec::new();
        file.by_ref().take(MOST_HEADER).read_until(b'\n', &mut line).ok()?;
        let header: Header = serde_json::from_slice(&line).ok()?;
        let of_this = header.format == FORMAT && header.training == self.training;
        if !of_this || header.parameters != parameters || header.steps > most_steps {
            return None;
        }
        let length = (3 * parameters + header.steps) * size_of::<f32>();
        let mut bytes = Vec::new();
        file.take(length as u64 + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() != length || Digest::of(&bytes) != header.numbers {
            return None;
        }
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
        let mut next = |count: usize| numbers.by_ref().take(count).collect::<Vec<f32>>();
        let parameters =
            Parameters { values: next(parameters), first: next(parameters), second: next(parameters) };
        Some(State { tokens: header.tokens, losses: next(header.steps), parameters })
    }

    /// Puts a state there in place of what was.
    ///
    /// # Errors
    /// What the operating system says, such as a full disk; what lay there is whole.
    pub(super) fn write(&self, state: &State) -> Result<(), HostError> {
        let State { tokens, losses, parameters: Parameters { values, first, second } } = state;
        let all = [values, first, second, losses].into_iter().flatten();
        let numbers: Vec<u8> = all.flat_map(|number| number.to_le_bytes()).collect();
        let header = Header {
            format: FORMAT.to_owned(),
            training: self.training,
            tokens: *tokens,
            steps: losses.len(),
            parameters: values.len(),
            numbers: Digest::of(&numbers),
        };
        let beside = self.beside();
        let write = || {
            let mut file = File::create(&beside)?;
            serde_json::to_writer(&mut file, &header)?;
            file.write_all(b"\n")?;
            file.write_all(&numbers)?;
            file.sync_all()?;
            fs::rename(&beside, self.path)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&beside);
            HostError::Engine(format!(
                "the state of the training cannot be kept in {}: {error}; make room there, or name another place",
                self.path.display()
            ))
        })
    }

    /// The training is over.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(self.path);
        let _ = fs::remove_file(self.beside());
    }

    /// Where a state is written before it takes its place.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".part");
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let parameters = Parameters {
            values: vec![1.0, -2.5],
            first: vec![0.1, f32::MIN_POSITIVE],
            second: vec![3.0, 4.0],
        };
        State { tokens: 77, losses: vec![2.5, 1.25, 0.5], parameters }
    }

    #[test]
    fn a_state_is_read_back_as_it_was_and_only_by_its_own_training() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training");
        let checkpoint = Checkpoint { path: &path, training: Digest::of("one") };
        assert_eq!(checkpoint.read(2, 9), None);
        checkpoint.write(&State::default()).unwrap();
        checkpoint.write(&state()).unwrap();
        assert_eq!(checkpoint.read(2, 9), Some(state()));
        assert_eq!(checkpoint.read(3, 9), None);
        assert_eq!(checkpoint.read(2, 2), None);
        assert_eq!(Checkpoint { path: &path, training: Digest::of("two") }.read(2, 9), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        checkpoint.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training");
        let checkpoint = Checkpoint { path: &path, training: Digest::of("one") };
        checkpoint.write(&state()).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        let longer = [whole.as_slice(), &[0]].concat();
        for broken in [&whole[..whole.len() - 1], &whole[..10], &changed, &longer, b"\n", b""] {
            fs::write(&path, broken).unwrap();
            assert_eq!(checkpoint.read(2, 9), None);
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("training");
        let error = Checkpoint { path: &path, training: Digest::of("one") }.write(&state()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("absent/training") && said.contains("No such file"), "{said}");
    }
}
