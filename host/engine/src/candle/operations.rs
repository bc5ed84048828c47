//! The few operations between the matrices, each with its way back: the gradient at the input, given the one at the
//! result.

use std::ops::Range;

use candle_core::{D, Result, Tensor};
use candle_nn::ops;

use super::description::Activation;
use super::rows::by_rows;

/// x / rms(x) · weight over the last axis.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    #[expect(clippy::cast_possible_truncation, reason = "candle takes it in f32")]
    let epsilon = epsilon as f32;
    ops::rms_norm(&x.contiguous()?, weight, epsilon)
}

/// With r = 1 / rms(x): r · (w g) − x r³ · mean(w g x).
pub(crate) fn rms_norm_back(x: &Tensor, weight: &Tensor, epsilon: f64, gradient: &Tensor) -> Result<Tensor> {
    #[expect(clippy::cast_possible_truncation, reason = "as on the way there")]
    let epsilon = epsilon as f32;
    let weight: Vec<f32> = weight.to_vec1()?;
    let width = weight.len();
    by_rows([x, gradient], width, |(_, [x, gradient]), out| {
        let (mut squares, mut along) = (0.0, 0.0);
        for ((x, gradient), weight) in x.iter().zip(gradient).zip(&weight) {
            squares += x * x;
            along += weight * gradient * x;
        }
        let root = 1.0 / (squares / width as f32 + epsilon).sqrt();
        let share = root * root * root * along / width as f32;
        for (((out, x), gradient), weight) in out.iter_mut().zip(x).zip(gradient).zip(&weight) {
            *out = root * weight * gradient - share * x;
        }
    })
}

/// Softmax over the last axis, of the numbers that each row sees alone; the others become 0.
pub(crate) fn softmax(x: &Tensor, sees: impl Fn(usize) -> Range<usize> + Sync) -> Result<Tensor> {
    by_rows([x], x.dim(D::Minus1)?, |(row, [x]), out| {
        let seen = sees(row);
        let (Some(x), Some(out)) = (x.get(seen.clone()), out.get_mut(seen)) else { return };
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (out, x) in out.iter_mut().zip(x) {
            *out = (x - largest).exp();
            sum += *out;
        }
        let share = 1.0 / sum;
        out.iter_mut().for_each(|out| *out *= share);
    })
}

/// p · (g − Σ p g).
pub(crate) fn softmax_back(probabilities: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let width = gradient.dim(D::Minus1)?;
    by_rows([probabilities, gradient], width, |(_, [probabilities, gradient]), out| {
        let mean: f32 = probabilities.iter().zip(gradient).map(|(p, g)| p * g).sum();
        for ((out, p), g) in out.iter_mut().zip(probabilities).zip(gradient) {
            *out = p * (g - mean);
        }
    })
}

/// a + b. As the two below, in place of candle's own, whose threads wait for each other by spinning.
pub(crate) fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_rows([a, b], a.dim(D::Minus1)?, |(_, [a, b]), out| {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a + b);
    })
}

/// a · b, number by number.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_rows([a, b], a.dim(D::Minus1)?, |(_, [a, b]), out| {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b);
    })
}

/// factor · x.
pub(crate) fn scaled(x: &Tensor, factor: f64) -> Result<Tensor> {
    #[expect(clippy::cast_possible_truncation, reason = "as wide as what it multiplies")]
    let factor = factor as f32;
    by_rows([x], x.dim(D::Minus1)?, |(_, [x]), out| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = factor * x);
    })
}

/// Adds the same numbers to each row.
pub(crate) fn add_to_rows(x: &Tensor, numbers: &Tensor) -> Result<Tensor> {
    let numbers: Vec<f32> = numbers.to_vec1()?;
    by_rows([x], x.dim(D::Minus1)?, |(_, [x]), out| {
        out.iter_mut().zip(x).zip(&numbers).for_each(|((out, x), number)| *out = x + number);
    })
}

/// Turns the two halves of each head `[tokens, heads, width]` by their position's angles `[tokens, width / 2]`. The way
/// back is the turn by the opposite angles.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (tokens, heads, width) = x.dims3()?;
    let turned =
        by_rows([&x.reshape((tokens, heads * width))?, cos, sin], heads * width, |(_, row), out| {
            let [x, cos, sin] = row;
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                let (first, second) = x.split_at(width / 2);
                let (out_first, out_second) = out.split_at_mut(width / 2);
                let angles = cos.iter().zip(sin);
                let halves = first.iter().zip(second).zip(out_first.iter_mut().zip(out_second));
                for (((first, second), (out_first, out_second)), (cos, sin)) in halves.zip(angles) {
                    *out_first = first * cos - second * sin;
                    *out_second = first * sin + second * cos;
                }
            }
        })?;
    turned.reshape((tokens, heads, width))
}

/// c tanh(x / c).
pub(crate) fn cap(x: Tensor, cap: Option<f64>) -> Result<Tensor> {
    match cap {
        None => Ok(x),
        Some(cap) => (x / cap)?.tanh()? * cap,
    }
}

/// With y = c tanh(x / c): g · (1 − (y / c)²).
pub(crate) fn cap_back(capped: &Tensor, cap: Option<f64>, gradient: Tensor) -> Result<Tensor> {
    match cap {
        None => Ok(gradient),
        Some(cap) => product(&gradient, &(1.0 - (capped / cap)?.sqr()?)?),
    }
}

/// The gate's function, and its slope.
fn activate(activation: Activation, x: f32) -> (f32, f32) {
    match activation {
        Activation::Silu => {
            let sigmoid = 1.0 / (1.0 + (-x).exp());
            (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)))
        }
        Activation::Gelu => {
            const ROOT: f32 = 0.797_884_6; // √(2 / π)
            let inner = (ROOT * x * (1.0 + 0.044_715 * x * x)).tanh();
            let slope = ROOT * (1.0 + 3.0 * 0.044_715 * x * x) * (1.0 - inner * inner);
            (0.5 * x * (1.0 + inner), 0.5 * (1.0 + inner) + 0.5 * x * slope)
        }
    }
}

/// activation(gate) · up.
pub(crate) fn gated(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    by_rows([gate, up], gate.dim(D::Minus1)?, |(_, [gate, up]), out| {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = activate(activation, *gate).0 * up;
        }
    })
}

/// The gradients at gate and at up.
pub(crate) fn gated_back(
    gate: &Tensor,
    up: &Tensor,
    activation: Activation,
    gradient: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let width = gate.dim(D::Minus1)?;
    let both = by_rows([gate, up, gradient], 2 * width, |(_, [gate, up, gradient]), out| {
        let (of_gate, of_up) = out.split_at_mut(width);
        let inputs = gate.iter().zip(up).zip(gradient);
        for (((gate, up), gradient), (of_gate, of_up)) in inputs.zip(of_gate.iter_mut().zip(of_up)) {
            let (value, slope) = activate(activation, *gate);
            *of_gate = gradient * up * slope;
            *of_up = gradient * value;
        }
    })?;
    Ok((both.narrow(D::Minus1, 0, width)?, both.narrow(D::Minus1, width, width)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn random(shape: impl Into<candle_core::Shape>) -> Tensor {
        Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap()
    }

    fn numbers(x: &Tensor) -> Vec<f64> {
        x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn dot(a: &Tensor, b: &Tensor) -> f64 {
        numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum()
    }

    /// Along a random direction d, the slope of ⟨f(x), g⟩ is ⟨back(g), d⟩. A central difference with step 1e-2 of a
    /// smooth function leaves errors of 1e-4, and f32's rounding, 1e-7 · |f| / step, as much.
    fn assert_slope(x: &Tensor, f: impl Fn(&Tensor) -> Tensor, back: impl Fn(&Tensor) -> Tensor) {
        let gradient = random(f(x).shape().clone());
        let direction = random(x.shape().clone());
        let moved = |step: f64| dot(&f(&(x + (&direction * step).unwrap()).unwrap()), &gradient);
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let found = dot(&back(&gradient), &direction);
        let size = numbers(&gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((slope - found).abs() < 2e-3 * size.max(1.0), "slope {slope}, gradient {found}");
    }

    #[test]
    fn gradients_are_slopes() {
        let (x, weight) = (random((4, 5, 8)), random(8));
        assert_slope(
            &x,
            |x| rms_norm(x, &weight, 1e-6).unwrap(),
            |g| rms_norm_back(&x, &weight, 1e-6, g).unwrap(),
        );
        let seen = |x: &Tensor| softmax(x, |row| row % 2..3 + row % 5).unwrap();
        assert_slope(&x, seen, |g| softmax_back(&seen(&x), g).unwrap());
        let capped = |x: &Tensor| cap(x.clone(), Some(1.5)).unwrap();
        assert_slope(&x, capped, |g| cap_back(&capped(&x), Some(1.5), g.clone()).unwrap());
        let angles = random((4, 4));
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        assert_slope(
            &x,
            |x| rotate(x, &cos, &sin).unwrap(),
            |g| rotate(g, &cos, &sin.neg().unwrap()).unwrap(),
        );
        let up = random((4, 5, 8));
        for activation in [Activation::Silu, Activation::Gelu] {
            assert_slope(
                &x,
                |x| gated(x, &up, activation).unwrap(),
                |g| gated_back(&x, &up, activation, g).unwrap().0,
            );
            assert_slope(
                &up,
                |up| gated(&x, up, activation).unwrap(),
                |g| gated_back(&x, &up, activation, g).unwrap().1,
            );
        }
    }

    #[test]
    fn the_gate_s_functions_are_candle_s() {
        let (x, ones) = (random((3, 50)), Tensor::ones((3, 50), DType::F32, &Device::Cpu).unwrap());
        for (activation, expected) in
            [(Activation::Silu, x.silu().unwrap()), (Activation::Gelu, x.gelu().unwrap())]
        {
            let found = numbers(&gated(&x, &ones, activation).unwrap());
            // A few units in the last place of numbers up to 4.
            assert!(found.iter().zip(numbers(&expected)).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_row_s_softmax_is_over_what_it_sees() {
        let x =
            Tensor::new(&[[5.0_f32, 0.0, 2.0_f32.ln(), 9.0], [0.0, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let found = softmax(&x, |row| if row == 0 { 1..3 } else { 0..4 }).unwrap();
        let expected = [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0, 0.25, 0.25, 0.25, 0.25];
        assert!(numbers(&found).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7));
    }

    #[test]
    fn heads_are_turned_as_candle_turns_them() {
        let (x, angles) = (random((5, 3, 8)), random((5, 4)));
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let found = numbers(&rotate(&x, &cos, &sin).unwrap());
        let expected = candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0).unwrap(), &cos, &sin).unwrap();
        assert_eq!(found, numbers(&expected));
    }
}
