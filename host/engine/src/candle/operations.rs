//! The few operations between the matrices, each in two forms: candle's fused one, and one made of steps that candle
//! can differentiate. Both compute the same function.

use candle_core::{D, Result, Tensor};
use candle_nn::{ops, rotary_emb};

use super::description::Activation;

/// x / rms(x) · weight over the last axis.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64, differentiable: bool) -> Result<Tensor> {
    if differentiable {
        let root = (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(weight)
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "candle takes it in f32")]
        let epsilon = epsilon as f32;
        ops::rms_norm(&x.contiguous()?, weight, epsilon)
    }
}

/// Softmax over the last axis.
pub(crate) fn softmax(x: &Tensor, differentiable: bool) -> Result<Tensor> {
    if differentiable {
        // The largest is subtracted for the numbers' sake only: the result does not depend on it.
        let largest = x.detach().max_keepdim(D::Minus1)?;
        let exponentials = x.broadcast_sub(&largest)?.exp()?;
        exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
    } else {
        ops::softmax_last_dim(&x.contiguous()?)
    }
}

/// Turns the two halves of each head `[heads, tokens, width]` by their position's angles `[tokens, width / 2]`.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor, differentiable: bool) -> Result<Tensor> {
    if differentiable {
        let half = x.dim(D::Minus1)? / 2;
        let (first, second) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let turned_first = (first.broadcast_mul(cos)? - second.broadcast_mul(sin)?)?;
        let turned_second = (second.broadcast_mul(cos)? + first.broadcast_mul(sin)?)?;
        Tensor::cat(&[turned_first, turned_second], D::Minus1)
    } else {
        rotary_emb::rope(&x.contiguous()?.unsqueeze(0)?, cos, sin)?.squeeze(0)
    }
}

/// c tanh(x / c).
pub(crate) fn cap(x: Tensor, cap: Option<f64>) -> Result<Tensor> {
    match cap {
        None => Ok(x),
        Some(cap) => (x / cap)?.tanh()? * cap,
    }
}

/// The gate's function; candle differentiates both.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn both_forms_of_an_operation_compute_the_same() {
        let x = Tensor::randn(0_f32, 3.0, (4, 5, 8), &Device::Cpu).unwrap();
        let weight = Tensor::randn(1_f32, 1.0, 8, &Device::Cpu).unwrap();
        let angles = Tensor::randn(0_f32, 2.0, (5, 4), &Device::Cpu).unwrap();
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let norm = |steps| rms_norm(&x, &weight, 1e-6, steps).unwrap();
        let soft = |steps| softmax(&x, steps).unwrap();
        let turned = |steps| rotate(&x, &cos, &sin, steps).unwrap();
        // A few units in the last place of numbers up to 10.
        assert!(difference(&norm(false), &norm(true)) < 5e-6);
        assert!(difference(&soft(false), &soft(true)) < 1e-6);
        assert!(difference(&turned(false), &turned(true)) < 5e-6);
    }
}
