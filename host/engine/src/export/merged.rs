//! A model's file with changes added to its weights.
//!
//! The file is copied, and the rows that change are read, added to and stored again as the type they had, in their place:
//! everything else is the same, byte for byte. Memory is that of some rows, however large the model.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rayon::prelude::*;

use super::agreement::Loss;
use super::{Draft, ExportError, Factors};
use crate::llama::{FileTensor, Probe, Storage};

/// Numbers changed at once.
const AT_ONCE: usize = 1 << 22;

/// Writes the file, and says what storing the changed matrices lost.
pub(super) fn write(
    probe: &Probe,
    factors: &[Factors],
    to: &Path,
) -> Result<(Draft, Vec<Loss>), ExportError> {
    let mut places = Vec::new();
    for of in factors {
        let Some((path, tensor)) = probe.tensor(&of.tensor)? else { continue };
        if path != probe.path() {
            return Err(ExportError::Unsupported(format!(
                "{} is split into several files; join them with llama.cpp's `llama-gguf-split --merge` and give the whole, \
                 or export gguf-lora",
                probe.path().display()
            )));
        }
        if !tensor.storage.is_written() {
            return Err(ExportError::Unsupported(format!(
                "{} is stored as {}, which is not written without an importance matrix, or not at all; export gguf-lora, or \
                 merge into a file of another quantisation",
                of.tensor,
                tensor.storage.name()
            )));
        }
        places.push((of, tensor));
    }
    let source = |reason| ExportError::Source { path: probe.path().to_owned(), reason };
    let mut base = File::open(probe.path()).map_err(source)?;
    let mut losses = Vec::new();
    let mut refused = None;
    let draft = Draft::filled(to, |file| {
        std::io::copy(&mut base, file)?;
        for (of, tensor) in places {
            match change(file, of, tensor)? {
                Ok(loss) => losses.push(loss),
                Err(why) => {
                    refused = Some(why);
                    return Err(std::io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    });
    match refused {
        Some(why) => Err(ExportError::Unsupported(why)),
        None => Ok((draft?, losses)),
    }
}

/// Sums of squares over a matrix.
#[derive(Clone, Copy, Default)]
struct Squares {
    lost: f64,
    exact: f64,
}

impl Squares {
    fn and(self, other: Self) -> Self {
        Self { lost: self.lost + other.lost, exact: self.exact + other.exact }
    }
}

/// Adds the change to a tensor in the file, or says why it cannot be stored.
fn change(file: &mut File, of: &Factors, tensor: &FileTensor) -> std::io::Result<Result<Loss, String>> {
    let storage = tensor.storage;
    let row = of.columns / length(storage.block()).max(1) * length(storage.block_bytes());
    let rows = of.rows * of.experts.unwrap_or(1);
    let at_once = (AT_ONCE / of.columns.max(1)).max(1);
    let mut squares = Squares::default();
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let start = tensor.offset + (first as u64) * (row as u64);
        let mut bytes = vec![0; count * row];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        let changed = bytes.par_chunks_mut(row.max(1)).enumerate().map(|(place, bytes)| {
            let at = first + place;
            let delta = of.row(at / of.rows.max(1), at % of.rows.max(1));
            change_row(storage, bytes, &delta)
        });
        match changed.try_reduce(Squares::default, |one, other| Ok(one.and(other))) {
            Ok(more) => squares = squares.and(more),
            Err(why) => return Ok(Err(format!("the changed {} {why}", of.tensor))),
        }
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&bytes)?;
    }
    let relative = |square: f64| (square / squares.exact.max(f64::MIN_POSITIVE)).sqrt();
    Ok(Ok(Loss { stored: relative(squares.lost), activations: storage.activation_rounding() }))
}

/// Adds to one row; a row that does not change keeps its bytes.
fn change_row(storage: Storage, bytes: &mut [u8], delta: &[f64]) -> Result<Squares, String> {
    let unread = || format!("is stored as {}, which cannot be read", storage.name());
    let before = storage.decode(bytes).ok_or_else(unread)?;
    let mut squares =
        Squares { exact: before.iter().map(|number| f64::from(*number).powi(2)).sum(), ..Squares::default() };
    if delta.iter().all(|number| *number == 0.0) {
        return Ok(squares);
    }
    let exact: Vec<f64> =
        before.iter().zip(delta).map(|(number, change)| f64::from(*number) + change).collect();
    #[expect(clippy::cast_possible_truncation, reason = "stored in f32 at most")]
    let numbers: Vec<f32> = exact.iter().map(|number| *number as f32).collect();
    let stored = storage.encode(&numbers, numbers.len()).filter(|stored| stored.len() == bytes.len());
    let stored = stored.ok_or_else(|| format!("cannot be stored as {}", storage.name()))?;
    let after = storage.decode(&stored).ok_or_else(unread)?;
    if after.iter().any(|number| !number.is_finite()) {
        return Err(format!(
            "is too large for its type, {}; make the strength smaller, or export gguf-lora",
            storage.name()
        ));
    }
    let lost = |(exact, after): (&f64, &f32)| (f64::from(*after) - exact).powi(2);
    squares.exact = exact.iter().map(|number| number.powi(2)).sum();
    squares.lost = exact.iter().zip(&after).map(lost).sum();
    bytes.copy_from_slice(&stored);
    Ok(squares)
}

fn length(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
