//! How much faster TELLME's coding rates are from inner products of samples than from the definition's d × d matrices.
//! Run by `make bench`. Prints a table, then one line of JSON per figure. The d × d side has the linear algebra
//! library's own Cholesky factorisation, the other side this crate's.

use std::error::Error;
use std::time::Instant;

use nalgebra::DMatrix;
use sonde_diagnostics::Vectors;
use sonde_diagnostics::resampling::Resampler;
use sonde_diagnostics::tellme::{CodingRates, EPSILON};

const WIDTH: usize = 2048;
const SAMPLES: usize = 400;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut draws = Resampler::new(1);
    let values: Vec<f64> =
        (0..WIDTH * SAMPLES).map(|_| draws.draw(1 << 53) as f64 / (1_u64 << 53) as f64 - 0.5).collect();
    let labels: Vec<u32> = (0..SAMPLES).map(|sample| u32::from(sample % 2 == 1)).collect();

    let vectors = Vectors::flat(WIDTH, values.clone())?;
    let start = Instant::now();
    let rate = CodingRates::new(&vectors, EPSILON)?.rate_of_classes(&labels)?;
    let small = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let gap = defined(&DMatrix::from_vec(WIDTH, SAMPLES, values), &labels).ok_or("not positive definite")?;
    let large = start.elapsed().as_secs_f64();

    println!(
        "{SAMPLES} samples of {WIDTH}: {small:.3} s from m × m, {large:.3} s from d × d, {:.0} times",
        large / small
    );
    println!("the two values of R_gap differ by {:.1e}", (gap - rate.r_gap()).abs());
    for (name, value, unit) in [
        ("diagnostics.tellme.gram", small, "s"),
        ("diagnostics.tellme.d_by_d", large, "s"),
        ("diagnostics.tellme.d_by_d_to_gram", large / small, "ratio"),
    ] {
        println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit, "target": null }));
    }
    Ok(())
}

/// R_gap by the definition.
fn defined(vectors: &DMatrix<f64>, labels: &[u32]) -> Option<f64> {
    let mut normalised = vectors.clone();
    for mut row in normalised.row_iter_mut() {
        let norm = row.norm();
        row /= norm;
    }
    let rate = |columns: &DMatrix<f64>| {
        let scale = WIDTH as f64 / (columns.ncols() as f64 * EPSILON);
        let matrix = DMatrix::identity(WIDTH, WIDTH) + columns * columns.transpose() * scale;
        let logarithms: f64 = matrix.cholesky()?.l_dirty().diagonal().iter().map(|entry| entry.ln()).sum();
        Some(2.0 * logarithms)
    };
    let mut gap = rate(&normalised)? / 2.0;
    for class in [0, 1] {
        let places: Vec<usize> =
            (0..labels.len()).filter(|&place| labels.get(place) == Some(&class)).collect();
        let share = places.len() as f64 / labels.len() as f64;
        gap -= share / 2.0 * rate(&normalised.select_columns(&places))?;
    }
    Some(gap)
}
