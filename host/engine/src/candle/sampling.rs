//! Chooses the next token from a row of logits: the same settings in the same order as the llama.cpp engine, with a
//! random generator of its own, so that draws differ between the engines and greedy choices do not.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sonde_contract::Sampling;

use crate::llama::greedy;

/// How many of the latest tokens the repetition penalty looks at.
const PENALTY_WINDOW: usize = 64;

/// One request's way of choosing.
pub(crate) struct Sampler {
    settings: Sampling,
    /// Prompt and reply so far.
    seen: Vec<i32>,
    random: ChaCha8Rng,
}

impl Sampler {
    pub(crate) fn new(settings: &Sampling, prompt: &[i32]) -> Self {
        let random = ChaCha8Rng::seed_from_u64(settings.seed.unwrap_or(0));
        Self { settings: settings.clone(), seen: prompt.to_vec(), random }
    }

    /// The next token; `None` of no logits.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<i32> {
        let penalised = self.penalised(logits);
        let logits = penalised.as_deref().unwrap_or(logits);
        let chosen = if self.settings.temperature > 0.0 { self.draw(logits) } else { greedy(logits) }?;
        self.seen.push(chosen);
        Some(chosen)
    }

    /// Positive logits of recent tokens divided by the penalty, others multiplied (CTRL, Keskar et al. 2019).
    fn penalised(&self, logits: &[f32]) -> Option<Vec<f32>> {
        let penalty = self.settings.repetition_penalty;
        if penalty == 1.0 {
            return None;
        }
        let mut changed = logits.to_vec();
        let mut recent: Vec<_> = self.seen.iter().rev().take(PENALTY_WINDOW).collect();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            let logit = usize::try_from(*token).ok().and_then(|token| changed.get_mut(token));
            if let Some(logit) = logit {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        Some(changed)
    }

    /// Top k, top p, min p, temperature, draw.
    fn draw(&mut self, logits: &[f32]) -> Option<i32> {
        let Sampling { temperature, top_p, top_k, min_p, .. } = self.settings;
        let mut ranked: Vec<(i32, f64)> = (0..).zip(logits.iter().map(|logit| f64::from(*logit))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if top_k > 0 {
            ranked.truncate(top_k as usize);
        }
        let largest = ranked.first()?.1;
        let share = |logit: f64, heat: f64| ((logit - largest) / heat).exp();
        if top_p < 1.0 {
            let all: f64 = ranked.iter().map(|(_, logit)| share(*logit, 1.0)).sum();
            let mut reached = 0.0;
            let mut kept = 0;
            for (_, logit) in &ranked {
                kept += 1;
                reached += share(*logit, 1.0) / all;
                if reached >= f64::from(top_p) {
                    break;
                }
            }
            ranked.truncate(kept);
        }
        // Relative to the likeliest, so that the sum cancels.
        ranked.retain(|(_, logit)| share(*logit, 1.0) >= f64::from(min_p));
        let weights: Vec<f64> =
            ranked.iter().map(|(_, logit)| share(*logit, f64::from(temperature))).collect();
        let mut left = self.random.random::<f64>() * weights.iter().sum::<f64>();
        for ((token, _), weight) in ranked.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return Some(*token);
            }
        }
        ranked.last().map(|(token, _)| *token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// softmax = 1/16, 4/16, 8/16, 3/16
    fn logits() -> Vec<f32> {
        [1.0_f32, 4.0, 8.0, 3.0].iter().map(|share| share.ln()).collect()
    }

    /// Shares of 20,000 draws.
    fn shares(settings: Sampling) -> [f64; 4] {
        let mut counts = [0.0; 4];
        for seed in 0..20_000 {
            let settings = Sampling { seed: Some(seed), ..settings.clone() };
            let token = Sampler::new(&settings, &[]).choose(&logits()).unwrap();
            counts[usize::try_from(token).unwrap()] += 1.0 / 20_000.0;
        }
        counts
    }

    /// Four standard deviations of a share of one half are 0.014.
    fn near(found: [f64; 4], expected: [f64; 4]) {
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.014), "{found:?}");
    }

    #[test]
    fn draws_follow_the_softmax_and_what_the_settings_leave_of_it() {
        let plain = Sampling { temperature: 1.0, ..Sampling::default() };
        near(shares(plain.clone()), [1.0 / 16.0, 4.0 / 16.0, 8.0 / 16.0, 3.0 / 16.0]);
        near(shares(Sampling { top_k: 2, ..plain.clone() }), [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
        near(shares(Sampling { top_p: 0.7, ..plain.clone() }), [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
        near(shares(Sampling { min_p: 0.3, ..plain.clone() }), [0.0, 4.0 / 15.0, 8.0 / 15.0, 3.0 / 15.0]);
        // At temperature ½ the shares are squared.
        let squares = [1.0 / 90.0, 16.0 / 90.0, 64.0 / 90.0, 9.0 / 90.0];
        near(shares(Sampling { temperature: 0.5, ..plain }), squares);
    }

    #[test]
    fn a_penalty_falls_on_the_latest_sixty_four_tokens() {
        let settings = Sampling { repetition_penalty: 1.5, ..Sampling::default() };
        let choose = |seen: &[i32]| Sampler::new(&settings, seen).choose(&[2.0, 1.9, -1.0]).unwrap();
        assert_eq!(choose(&[]), 0);
        assert_eq!(choose(&[0]), 1);
        let mut long = vec![0];
        long.extend([2; 64]);
        assert_eq!(choose(&long), 0);
    }
}
