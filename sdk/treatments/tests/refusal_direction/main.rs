//! The refusal direction against the numbers of `methods.md` §1.8 and against the authors' published runs, which are not
//! in this repository: where they are absent, those tests say so and pass.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod equivalences;
mod goldens;
mod replay;
mod tensors;
mod tiny;

use std::path::PathBuf;

/// A file of a published run.
fn published(run: &str, file: &str) -> Option<PathBuf> {
    let runs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/refusal_direction/runs");
    let path = PathBuf::from(runs).join(run).join(file);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// Test data of the specification: sin(1 + 0.7 i + 1.3 j + s), row by row.
fn generated(rows: u32, columns: u32, shift: f64) -> Vec<f64> {
    let row = |i| (0..columns).map(move |j| (1.0 + 0.7 * f64::from(i) + 1.3 * f64::from(j) + shift).sin());
    (0..rows).flat_map(row).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(near),
        "{found:?}\nis not, up to {tolerance},\n{expected:?}"
    );
}
