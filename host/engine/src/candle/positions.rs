//! What depends on the tokens' positions alone: the angles of the rotary embedding, and the masks of attention.

use candle_core::{Device, Result, Tensor};

use super::description::{Description, Rope, Scaling};

/// Angles per token and frequency.
pub(crate) struct Angles {
    pub cos: Tensor,
    pub sin: Tensor,
}

/// For a piece of a sequence.
pub(crate) struct Positions {
    angles: Angles,
    sliding_angles: Option<Angles>,
    mask: Option<Tensor>,
    sliding_mask: Option<Tensor>,
}

impl Positions {
    /// Of `tokens` tokens that follow `before` others.
    pub(crate) fn new(description: &Description, before: usize, tokens: usize) -> Result<Self> {
        let angles = |rope: &Rope| angles(&frequencies(rope, description.head_width), before, tokens);
        let slides = description.sliding.contains(&true);
        Ok(Self {
            angles: angles(&description.rope)?,
            sliding_angles: description.sliding_rope.as_ref().map(angles).transpose()?,
            mask: mask(before, tokens, usize::MAX)?,
            sliding_mask: if slides { mask(before, tokens, description.window)? } else { None },
        })
    }

    pub(crate) fn angles(&self, slides: bool) -> &Angles {
        self.sliding_angles.as_ref().filter(|_| slides).unwrap_or(&self.angles)
    }

    /// Minus infinity where a token must not look; `None` if it may look everywhere.
    pub(crate) fn mask(&self, slides: bool) -> Option<&Tensor> {
        if slides { self.sliding_mask.as_ref() } else { self.mask.as_ref() }
    }
}

/// Radians per token, for each pair of a head. Computed in f32 where Hugging Face does.
#[expect(clippy::cast_possible_truncation, reason = "angles are f32, as in the reference")]
fn frequencies(rope: &Rope, width: usize) -> Vec<f32> {
    let plain = |pair: usize| (1.0 / rope.theta.powf(2.0 * pair as f64 / width as f64)) as f32;
    let scaled = |pair: usize| match &rope.scaling {
        Scaling::None => plain(pair),
        Scaling::Linear(factor) => (f64::from(plain(pair)) / factor) as f32,
        Scaling::Llama3 { factor, low, high, original } => {
            llama3(f64::from(plain(pair)), *factor, *low, *high, *original) as f32
        }
        Scaling::Factors(factors) => plain(pair) / factors.get(pair).copied().unwrap_or(1.0),
    };
    (0..width / 2).map(scaled).collect()
}

/// `_compute_llama3_parameters` of Hugging Face's `modeling_rope_utils`.
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let wavelength = std::f64::consts::TAU / frequency;
    if wavelength < original / high {
        frequency
    } else if wavelength > original / low {
        frequency / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

fn angles(frequencies: &[f32], before: usize, tokens: usize) -> Result<Angles> {
    let mut turns = Vec::with_capacity(tokens * frequencies.len());
    for position in before..before + tokens {
        turns.extend(frequencies.iter().map(|frequency| position as f32 * frequency));
    }
    let table = |values: Vec<f32>| Tensor::from_vec(values, (tokens, frequencies.len()), &Device::Cpu);
    Ok(Angles {
        cos: table(turns.iter().map(|turn| turn.cos()).collect())?,
        sin: table(turns.iter().map(|turn| turn.sin()).collect())?,
    })
}

/// Token i sees the tokens j ≤ i that are fewer than `window` before it.
fn mask(before: usize, tokens: usize, window: usize) -> Result<Option<Tensor>> {
    let all = before + tokens;
    if tokens == 1 && all <= window {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(tokens * all);
    for token in before..all {
        let sees = |other: usize| other <= token && token - other < window;
        values.extend((0..all).map(|other| if sees(other) { 0.0 } else { f32::NEG_INFINITY }));
    }
    Tensor::from_vec(values, (tokens, all), &Device::Cpu).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_hides_what_lies_too_far_back() {
        let visible = |before, tokens, window| {
            let rows: Vec<Vec<f32>> = mask(before, tokens, window).unwrap().unwrap().to_vec2().unwrap();
            rows.into_iter()
                .map(|row| row.into_iter().map(|value| u8::from(value == 0.0)).collect())
                .collect()
        };
        let found: Vec<Vec<u8>> = visible(0, 3, usize::MAX);
        assert_eq!(found, [[1, 0, 0], [1, 1, 0], [1, 1, 1]]);
        let found: Vec<Vec<u8>> = visible(2, 2, 2);
        assert_eq!(found, [[0, 1, 1, 0], [0, 0, 1, 1]]);
        assert!(mask(9, 1, 10).unwrap().is_none());
    }
}
