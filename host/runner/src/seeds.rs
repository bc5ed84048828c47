//! Seeds for everything that draws: one seed in the config decides them all.

use sonde_contract::{DigestWriter, Sampling};
use sonde_journal::CallPath;

/// The seed of a task's sample.
pub(crate) fn of_sample(task_seed: u64, task: &str, ordinal: u64) -> u64 {
    derive(task_seed, &[task.as_bytes(), &ordinal.to_le_bytes()])
}

/// Fills in the seed of a request that draws and has none: from its sample and its place among the sample's calls.
pub(crate) fn fill(sampling: &mut Sampling, sample_seed: u64, path: &CallPath) {
    if sampling.temperature > 0.0 && sampling.seed.is_none() {
        sampling.seed = Some(derive(sample_seed, &[path.to_string().as_bytes()]));
    }
}

fn derive(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut writer = DigestWriter::default();
    writer.field(seed.to_le_bytes());
    parts.iter().for_each(|part| writer.field(part));
    writer.finish().seed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_calls_have_seeds_of_their_own() {
        let seeds = [of_sample(0, "a", 1), of_sample(0, "a", 2), of_sample(0, "b", 1), of_sample(1, "a", 1)];
        assert!(seeds.iter().enumerate().all(|(index, seed)| !seeds[..index].contains(seed)));
        assert_eq!(of_sample(0, "a", 1), seeds[0]);
    }

    #[test]
    fn a_greedy_request_needs_no_seed() {
        let mut sampling = Sampling::default();
        fill(&mut sampling, 1, &CallPath::top(0));
        assert_eq!(sampling.seed, None);
        sampling.temperature = 0.7;
        fill(&mut sampling, 1, &CallPath::top(0));
        assert!(sampling.seed.is_some());
    }
}
