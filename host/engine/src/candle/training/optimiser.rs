//! AdamW, with gradients clipped by their length over all matrices.

use sonde_contract::Schedule;

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Parameters with their moments; all as long as each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters {
    pub values: Vec<f32>,
    /// Running means of gradients.
    pub first: Vec<f32>,
    /// Running means of squared gradients.
    pub second: Vec<f32>,
}

impl Parameters {
    pub(super) fn new(values: Vec<f32>) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { values, first: zeros.clone(), second: zeros }
    }

    /// One step, counted from 0 (Loshchilov and Hutter 2019, algorithm 2; PyTorch's `AdamW`).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "factors are computed wider than parameters are kept"
    )]
    pub(super) fn step(&mut self, gradients: &[f32], schedule: &Schedule, step: u32, learning_rate: f64) {
        let count = f64::from(step) + 1.0;
        let first_bias = 1.0 - FIRST_DECAY.powf(count);
        let second_root = (1.0 - SECOND_DECAY.powf(count)).sqrt();
        let rate = (learning_rate / first_bias) as f32;
        let (root, epsilon) = (second_root as f32, EPSILON as f32);
        let kept = (1.0 - learning_rate * schedule.weight_decay) as f32;
        let (first_share, second_share) = ((1.0 - FIRST_DECAY) as f32, (1.0 - SECOND_DECAY) as f32);
        let (first_decay, second_decay) = (FIRST_DECAY as f32, SECOND_DECAY as f32);
        let clip = clip_factor(gradients, schedule.clip);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in self.values.iter_mut().zip(gradients).zip(moments) {
            let gradient = gradient * clip;
            *first = first_decay * *first + first_share * gradient;
            *second = second_decay * *second + second_share * gradient * gradient;
            *value = *value * kept - rate * *first / (second.sqrt() / root + epsilon);
        }
    }
}

/// As PyTorch's `clip_grad_norm_`: at most 1, and nothing where the bound is 0.
#[expect(clippy::cast_possible_truncation, reason = "computed wider than gradients are kept")]
fn clip_factor(gradients: &[f32], longest: f64) -> f32 {
    if longest == 0.0 {
        return 1.0;
    }
    let length = gradients.iter().map(|gradient| f64::from(*gradient).powi(2)).sum::<f64>().sqrt();
    (longest / (length + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(weight_decay: f64, clip: f64) -> Schedule {
        let (learning_rate, warmup, epochs, batch, seed) = (0.1, 0.0, 1, 1, 0);
        Schedule { learning_rate, warmup, weight_decay, epochs, most_steps: None, batch, clip, seed }
    }

    /// By hand. Step 1: m = 0.1 g and v = 0.001 g² are scaled up to g and g², so the parameter moves by rate · sign(g).
    /// Step 2 with gradients (1, −2) after (2, −2): m̂ = (0.9 · 0.2 + 0.1) / 0.19 = 0.28 / 0.19 and −2, v̂ =
    /// (0.999 · 0.004 + 0.001) / 0.001999 = 0.004996 / 0.001999 and 4. f32 keeps seven digits.
    #[test]
    fn two_steps_of_adamw_are_those_worked_out_by_hand() {
        let mut parameters = Parameters::new(vec![1.0, 3.0]);
        let schedule = schedule(0.5, 0.0);
        parameters.step(&[2.0, -2.0], &schedule, 0, 0.1);
        let after_one = [0.95 - 0.1, 2.85 + 0.1];
        for (found, expected) in parameters.values.iter().zip(after_one) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} against {expected}");
        }
        parameters.step(&[1.0, -2.0], &schedule, 1, 0.1);
        let moved = (0.28 / 0.19) / (0.004_996_f64 / 0.001_999).sqrt();
        let after_two = [0.85 * 0.95 - 0.1 * moved, 2.95 * 0.95 + 0.1];
        for (found, expected) in parameters.values.iter().zip(after_two) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} against {expected}");
        }
    }

    #[test]
    fn a_gradient_that_is_too_long_is_scaled_down_over_all_matrices() {
        assert!((clip_factor(&[3.0, 4.0], 1.0) - 0.2).abs() < 1e-6);
        assert_eq!(clip_factor(&[3.0, 4.0], 10.0), 1.0);
        assert_eq!(clip_factor(&[3.0, 4.0], 0.0), 1.0);
        let (mut clipped, mut scaled) = (Parameters::new(vec![0.0; 2]), Parameters::new(vec![0.0; 2]));
        clipped.step(&[3.0, 4.0], &schedule(0.0, 1.0), 0, 0.1);
        let factor = clip_factor(&[3.0, 4.0], 1.0);
        scaled.step(&[3.0 * factor, 4.0 * factor], &schedule(0.0, 0.0), 0, 0.1);
        assert_eq!(clipped, scaled);
    }
}
