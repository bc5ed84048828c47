//! The mean trajectory, each trajectory with its peaks, and the words at them.

use sonde_sdk::Plot;

use crate::Trajectory;

/// Trajectories that are drawn, the first ones.
const DRAWN: usize = 20;

/// All pictures.
pub fn all(trajectories: &[Trajectory], mean: &[f64], words: &[(String, u64)]) -> Vec<Plot> {
    let mut pictures = vec![
        Plot::line("mi_mean_trajectory", "Mean trajectory")
            .axes("step", "MI with the solution")
            .values("mean over the problems that last so long", mean.iter().copied()),
    ];
    pictures.extend(trajectories.iter().take(DRAWN).map(|of| {
        let peaks = of.peaks.iter().filter_map(|step| Some((*step as f64, *of.mi.get(*step)?)));
        Plot::line(&format!("trajectory-{}", of.row), &format!("Problem {}", of.row))
            .axes("step", "MI with the solution")
            .values("MI", of.mi.iter().copied())
            .series("peaks", peaks)
    }));
    if !words.is_empty() {
        pictures.push(
            Plot::bar("words-at-peaks", "Words at peaks")
                .axes("word", "count")
                .categories(words.iter().map(|(word, _)| word.as_str()))
                .values("count", words.iter().map(|(_, count)| *count as f64)),
        );
    }
    pictures
}
