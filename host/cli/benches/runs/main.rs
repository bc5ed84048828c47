//! What Sonde itself costs: replay, memory, start, large run files, resume. Part of `make bench`; see docs/bench.md.
//!
//! Prints a table for people and a line of JSON for each figure. Nothing is asserted: a missed target says so and the
//! program goes on. `SONDE_BENCH_QUICK=1` makes everything ten times smaller; naming parts (`-- start treated`) leaves out the
//! others.

mod copy;
mod figure;
mod gguf;
mod inside;
mod judged;
mod large;
mod program;
mod replay;
mod start;
mod treated;

use std::time::Instant;

use figure::Figures;
use program::Place;

/// How large the measured runs are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Samples of the small run, whose memory is compared with the large one's.
    few: u64,
    /// Samples of the large run.
    many: u64,
    /// Samples of the run file that is only looked at.
    shown: u64,
    /// Samples that an interrupted run still has to do.
    left: u64,
    /// Times that what varies is measured again, for the median.
    rounds: usize,
}

impl Sizes {
    fn chosen() -> Self {
        let quick =
            std::env::var_os("SONDE_BENCH_QUICK").is_some_and(|value| !value.is_empty() && value != "0");
        if quick {
            Self { few: 100, many: 2_000, shown: 10_000, left: 10, rounds: 3 }
        } else {
            Self { few: 100, many: 20_000, shown: 100_000, left: 10, rounds: 5 }
        }
    }
}

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let sizes = Sizes::chosen();
    let place = Place::new()?;
    let mut figures = Figures::default();
    let before = program::load_average();
    let named: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if wanted("start") {
        start::measure(&place, sizes, &mut figures)?;
    }
    if wanted("replay") {
        replay::measure(&place, sizes, &mut figures)?;
    }
    if wanted("large") {
        large::measure(&place, sizes, &mut figures)?;
    }
    if wanted("judged") {
        judged::measure(&place, sizes, &mut figures)?;
    }
    if wanted("inside") {
        inside::measure(&place, &mut figures)?;
    }
    if wanted("treated") {
        treated::measure(&place, sizes.rounds, &mut figures)?;
    }
    print!("{figures}");
    println!(
        "measured in {:.0} s; load average {before} before, {} after\n",
        started.elapsed().as_secs_f64(),
        program::load_average()
    );
    figures.print_json();
    Ok(())
}
