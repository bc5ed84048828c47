//! Random numbers of a training. Each draw begins a stream of its own, named by the seed and by what it is for, so that a
//! training that was interrupted, or computed by another number of threads, draws the same.

use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// A's first numbers, by block and module.
    Start = 1,
    /// An epoch's order.
    Order = 2,
    /// Which inputs are left out, by step, lesson, block and module.
    Dropout = 3,
}

/// A stream.
pub(super) fn draws(seed: u64, purpose: Purpose, numbers: [u32; 4]) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    let names = [purpose as u32].into_iter().chain(numbers);
    let bytes = seed.to_le_bytes().into_iter().chain(names.flat_map(u32::to_le_bytes));
    key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    ChaCha8Rng::from_seed(key)
}

/// Numbers drawn evenly between −bound and bound.
#[expect(clippy::cast_possible_truncation, reason = "drawn wider than it is kept")]
pub(super) fn uniform(stream: &mut ChaCha8Rng, bound: f64, into: &mut [f32]) {
    for number in into {
        let share = (f64::from(stream.next_u32()) + 0.5) / f64::from(u32::MAX);
        *number = ((2.0 * share - 1.0) * bound) as f32;
    }
}

/// 0 for a share of the numbers, and what keeps their mean at 1 for the others.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share from 0 to below 1 of what a u32 holds"
)]
pub(super) fn mask(stream: &mut ChaCha8Rng, share: f32, into: &mut [f32]) {
    let least = (f64::from(share) * f64::from(u32::MAX)).ceil() as u32;
    let kept = 1.0 / (1.0 - share);
    let mut bytes = [0_u8; 1024];
    for piece in into.chunks_mut(bytes.len() / 4) {
        stream.fill_bytes(&mut bytes);
        for (number, drawn) in piece.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = if u32::from_le_bytes(*drawn) < least { 0.0 } else { kept };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40,000 draws: the standard error of a share of 0.05 is 0.0011, that of a uniform mean 0.003.
    #[test]
    fn draws_are_spread_as_asked_and_every_name_has_its_own() {
        let mut masked = vec![0.0; 40_000];
        mask(&mut draws(1, Purpose::Dropout, [0; 4]), 0.05, &mut masked);
        let dropped = masked.iter().filter(|number| **number == 0.0).count() as f64 / 40_000.0;
        assert!((dropped - 0.05).abs() < 0.005, "{dropped}");
        assert!(masked.iter().all(|number| *number == 0.0 || *number == 1.0 / 0.95));
        let mut even = vec![0.0; 40_000];
        uniform(&mut draws(1, Purpose::Start, [0; 4]), 0.5, &mut even);
        let mean = even.iter().sum::<f32>() / 40_000.0;
        assert!(mean.abs() < 0.006 && even.iter().all(|number| number.abs() <= 0.5), "{mean}");
        let first = |numbers| draws(1, Purpose::Dropout, numbers).next_u32();
        let names = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
        let found: std::collections::HashSet<u32> = names.into_iter().map(first).collect();
        assert_eq!(found.len(), names.len());
        assert_ne!(first([0; 4]), draws(2, Purpose::Dropout, [0; 4]).next_u32());
    }
}
