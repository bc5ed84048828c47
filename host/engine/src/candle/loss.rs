//! Losses over the vocabulary, and their gradient at the states after the final norm, in closed form.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::transformer::Transformer;

/// Logits computed at once.
const LOGITS: usize = 1 << 22;

/// What each row is to predict.
pub(crate) enum Targets<'a> {
    /// These tokens: cross-entropy.
    Tokens(&'a [u32]),
    /// What a reference predicts, given its states after the final norm: KL(reference ‖ row) over the whole vocabulary.
    Like(&'a Tensor),
}

/// The output matrix, dequantised.
pub(crate) struct Head {
    output: Tensor,
    cap: Option<f64>,
}

impl Head {
    pub(crate) fn of(transformer: &Transformer) -> Result<Self> {
        Ok(Self { output: transformer.output().dense()?, cap: transformer.description.logit_cap })
    }

    /// The loss of each row of `states` `[rows, width]`, in nats, and the gradient there of the sum of all, each times its
    /// weight. A row of weight 0 counts nothing and is not looked at.
    pub(crate) fn loss(
        &self,
        states: &Tensor,
        targets: &Targets,
        weights: &[f64],
    ) -> Result<(Vec<f64>, Tensor)> {
        let (vocabulary, _) = self.output.dims2()?;
        let together = (LOGITS / vocabulary).max(1);
        let (mut losses, mut gradients) = (Vec::with_capacity(weights.len()), Vec::new());
        for (piece, weights) in weights.chunks(together).enumerate() {
            let first = piece * together;
            let mut logits = self.logits(&states.narrow(0, first, weights.len())?)?;
            let rows = logits.par_chunks_mut(vocabulary).zip(weights);
            let found: Vec<f64> = match targets {
                Targets::Tokens(tokens) => {
                    let tokens = tokens.get(first..first + weights.len()).unwrap_or_default();
                    rows.zip(tokens)
                        .map(|((row, weight), token)| self.row(row, *weight, &Target::Token(*token)))
                        .collect()
                }
                Targets::Like(reference) => {
                    let like = self.logits(&reference.narrow(0, first, weights.len())?)?;
                    rows.zip(like.par_chunks(vocabulary))
                        .map(|((row, weight), like)| self.row(row, *weight, &Target::Like(like)))
                        .collect()
                }
            };
            losses.extend(found);
            let logits = Tensor::from_vec(logits, (weights.len(), vocabulary), &Device::Cpu)?;
            gradients.push(logits.matmul(&self.output)?);
        }
        Ok((losses, Tensor::cat(&gradients, 0)?))
    }

    /// Before the cap.
    fn logits(&self, states: &Tensor) -> Result<Vec<f32>> {
        states.matmul(&self.output.t()?)?.flatten_all()?.to_vec1()
    }

    fn row(&self, logits: &mut [f32], weight: f64, target: &Target) -> f64 {
        if weight == 0.0 {
            logits.fill(0.0);
            return 0.0;
        }
        row(logits, weight, target, self.cap)
    }
}

/// What one row is to predict: a token, or as these logits do.
enum Target<'a> {
    Token(u32),
    Like(&'a [f32]),
}

/// A row's logits after the cap, less the logarithm of their exponentials' sum: log probabilities.
fn log_probabilities(logits: &[f32], cap: Option<f64>) -> Vec<f64> {
    let capped = |logit: &f32| {
        let logit = f64::from(*logit);
        cap.map_or(logit, |cap| cap * (logit / cap).tanh())
    };
    let mut values: Vec<f64> = logits.iter().map(capped).collect();
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    let log_sum = largest + sum.ln();
    values.iter_mut().for_each(|value| *value -= log_sum);
    values
}

/// The loss of one row; its logits become the gradient there, before the cap, times the weight.
#[expect(clippy::cast_possible_truncation, reason = "probabilities are computed wider than they are kept")]
fn row(logits: &mut [f32], weight: f64, target: &Target, cap: Option<f64>) -> f64 {
    let log_probabilities_here = log_probabilities(logits, cap);
    // d/dx c tanh(x / c) = 1 − tanh²(x / c)
    let slope = |logit: f32| cap.map_or(1.0, |cap| 1.0 - (f64::from(logit) / cap).tanh().powi(2));
    let put = |place: &mut f32, off: f64| *place = (off * slope(*place) * weight) as f32;
    match target {
        Target::Token(target) => {
            let mut loss = 0.0;
            for (token, (logit, logprob)) in (0_u32..).zip(logits.iter_mut().zip(&log_probabilities_here)) {
                let hit = token == *target;
                if hit {
                    loss = -logprob;
                }
                put(logit, logprob.exp() - f64::from(u8::from(hit)));
            }
            loss
        }
        Target::Like(reference) => {
            let reference = log_probabilities(reference, cap);
            let mut loss = 0.0;
            for ((logit, logprob), like) in logits.iter_mut().zip(&log_probabilities_here).zip(&reference) {
                let probability = like.exp();
                loss += probability * (like - logprob);
                put(logit, logprob.exp() - probability);
            }
            loss
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden test T6 of the method's specification: reference and student logits, and KL(reference ‖ student) of each.
    const REFERENCE: [[f32; 3]; 3] = [[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [1.0, 1.0, 1.0]];
    const STUDENT: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]];
    const KL: [f64; 3] = [0.183_383_362_723_038_87, 0.206_392_647_383_745_2, 0.996_310_667_752_851];

    /// A head that is the identity: the states are the logits.
    fn identity() -> Head {
        Head { output: Tensor::eye(3, candle_core::DType::F32, &Device::Cpu).unwrap(), cap: None }
    }

    fn rows(rows: [[f32; 3]; 3]) -> Tensor {
        Tensor::new(&rows, &Device::Cpu).unwrap()
    }

    #[test]
    fn the_divergence_from_a_reference_is_the_published_one() {
        let (reference, student) = (rows(REFERENCE), rows(STUDENT));
        let like = Targets::Like(&reference);
        let (losses, _) = identity().loss(&student, &like, &[1.0 / 3.0; 3]).unwrap();
        for (found, expected) in losses.iter().zip(KL) {
            assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
        }
        let mean: f64 = losses.iter().map(|loss| loss / 3.0).sum();
        assert!((mean - 0.462_028_892_619_878_4).abs() < 1e-12);
        let (masked, gradient) = identity().loss(&student, &like, &[0.5, 0.5, 0.0]).unwrap();
        let mean: f64 = masked.iter().map(|loss| loss * 0.5).sum();
        assert!((mean - 0.194_888_005_053_392_04).abs() < 1e-12);
        assert_eq!(gradient.to_vec2::<f32>().unwrap()[2], [0.0; 3]);
        let (same, gradient) = identity().loss(&reference, &like, &[1.0; 3]).unwrap();
        assert_eq!(same, [0.0; 3]);
        assert!(gradient.to_vec2::<f32>().unwrap().into_iter().flatten().all(|number| number == 0.0));
    }

    /// Central differences in f64 of the function itself; f32 keeps seven digits of the gradient.
    #[test]
    fn the_gradient_of_both_losses_is_their_slope_with_a_cap_and_without() {
        let logits = [0.7_f32, -1.25, 2.5, 0.125];
        let like = [1.5_f32, 0.25, -0.5, 0.0];
        for cap in [None, Some(2.0)] {
            for target in [Target::Token(2), Target::Like(&like)] {
                let mut gradient = logits;
                row(&mut gradient, 0.5, &target, cap);
                for place in 0..4 {
                    let moved = |step: f32| {
                        let mut moved = logits;
                        moved[place] += step;
                        0.5 * row(&mut moved, 1.0, &target, cap)
                    };
                    // Exact in f32, so that the difference is that of the function.
                    let step = 1.0 / 1024.0;
                    let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                    assert!((slope - f64::from(gradient[place])).abs() < 1e-6, "{place}, {cap:?}");
                }
            }
        }
    }

    #[test]
    fn cross_entropy_is_the_negative_log_probability() {
        let (losses, _) = identity().loss(&rows(STUDENT), &Targets::Tokens(&[0, 1, 0]), &[1.0; 3]).unwrap();
        let e = std::f64::consts::E;
        let expected = [(e + 2.0).ln() - 1.0, (e * e + 2.0).ln() - 2.0, (e.powi(3) + 2.0).ln()];
        assert!(losses.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
    }
}
