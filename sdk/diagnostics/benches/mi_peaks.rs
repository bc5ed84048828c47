//! How much faster MI-Peaks' low-rank form is than its definition, and how it grows with the width. Run by
//! `make bench`. Prints a table, then one line of JSON per figure.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use sonde_diagnostics::mi_peaks::{Factor, Kernel, dense};
use sonde_diagnostics::resampling::Resampler;

const KERNEL: Kernel = Kernel::Gaussian { sigma: 50.0 };
const COMPARED: usize = 1024;
const WIDTHS: [usize; 4] = [512, 1024, 2048, 4096];
/// Low-rank values are too quick to be timed alone.
const REPETITIONS: u32 = 50;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut figures = Vec::new();
    println!("{:>6} {:>5} {:>14} {:>14} {:>8}", "width", "rank", "low rank, s", "dense, s", "ratio");
    for width in WIDTHS {
        let (step, reference) = (state(width, 1), state(width, 2));
        let reference_factor = Factor::new(&reference, KERNEL)?;
        // A step of a trajectory: the reference has been factored before.
        let mut low_rank = f64::INFINITY;
        let (mut value, mut rank) = (0.0, 0);
        for _ in 0..5 {
            let start = Instant::now();
            for _ in 0..REPETITIONS {
                let factor = Factor::new(black_box(&step), KERNEL)?;
                rank = factor.rank();
                value = black_box(reference_factor.mutual_information(&factor)?);
            }
            low_rank = low_rank.min(start.elapsed().as_secs_f64() / f64::from(REPETITIONS));
        }
        figures.push((format!("diagnostics.mi_peaks.low_rank.{width}"), low_rank, "s", None));
        if width != COMPARED {
            println!("{width:>6} {rank:>5} {low_rank:>14.6} {:>14} {:>8}", "", "");
            continue;
        }
        let start = Instant::now();
        let defined = dense::mutual_information(&step, &reference, KERNEL)?;
        let seconds = start.elapsed().as_secs_f64();
        let ratio = seconds / low_rank;
        println!("{width:>6} {rank:>5} {low_rank:>14.6} {seconds:>14.3} {ratio:>8.0}");
        println!("       the two values differ by {:.1e}", (value - defined).abs());
        figures.push((format!("diagnostics.mi_peaks.dense.{width}"), seconds, "s", None));
        figures.push((
            format!("diagnostics.mi_peaks.dense_to_low_rank.{width}"),
            ratio,
            "ratio",
            Some(">= 100"),
        ));
    }
    for (name, value, unit, target) in figures {
        println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit, "target": target }));
    }
    Ok(())
}

/// Numbers spread like a residual stream's: near zero, a few percent of them twenty times as large.
fn state(width: usize, seed: u64) -> Vec<f64> {
    let mut draws = Resampler::new(seed);
    let mut uniform = || draws.draw(1 << 53) as f64 / (1_u64 << 53) as f64;
    (0..width)
        .map(|_| {
            let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
            if uniform() < 0.03 { 20.0 * normal } else { normal }
        })
        .collect()
}
