//! What depends on the tokens' positions alone: the angles of the rotary embedding, and the masks of attention.

use candle_core::{Device, Result, Tensor};

use super::description::{Description, Rope, Scaling};

/// Angles per token and frequency.
pub(crate) struct Angles {
    pub cos: Tensor,
    pub sin: Tensor,
}

/// For a piece of a sequence, or for several whole sequences one after another.
pub(crate) struct Positions {
    /// Tokens of each sequence.
    lengths: Vec<usize>,
    angles: Angles,
    sliding_angles: Option<Angles>,
    mask: Option<Tensor>,
    sliding_mask: Option<Tensor>,
}

impl Positions {
    /// Of `tokens` tokens that follow `before` others.
    pub(crate) fn new(description: &Description, before: usize, tokens: usize) -> Result<Self> {
        Self::of(description, before, vec![tokens])
    }

    /// Of whole sequences of these lengths, one after another.
    pub(crate) fn packed(description: &Description, lengths: Vec<usize>) -> Result<Self> {
        Self::of(description, 0, lengths)
    }

    fn of(description: &Description, before: usize, lengths: Vec<usize>) -> Result<Self> {
        let positions: Vec<usize> = lengths.iter().flat_map(|length| before..before + length).collect();
        let angles = |rope: &Rope| angles(&frequencies(rope, description.head_width), &positions);
        let slides = description.sliding.contains(&true);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Ok(Self {
            angles: angles(&description.rope)?,
            sliding_angles: description.sliding_rope.as_ref().map(angles).transpose()?,
            mask: mask(before, longest, usize::MAX)?,
            sliding_mask: if slides { mask(before, longest, description.window)? } else { None },
            lengths,
        })
    }

    /// Each sequence's first row, and its tokens.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lengths.iter().scan(0, |first, length| {
            let found = (*first, *length);
            *first += length;
            Some(found)
        })
    }

    pub(crate) fn angles(&self, slides: bool) -> &Angles {
        self.sliding_angles.as_ref().filter(|_| slides).unwrap_or(&self.angles)
    }

    /// Minus infinity where a token of a sequence of so many must not look; `None` if it may look everywhere.
    pub(crate) fn mask(&self, slides: bool, tokens: usize) -> Result<Option<Tensor>> {
        let mask = if slides { self.sliding_mask.as_ref() } else { self.mask.as_ref() };
        let cut = |mask: &Tensor| {
            let (longest, all) = mask.dims2()?;
            // Whole sequences alone differ in length, and they begin at the first token.
            mask.narrow(0, 0, tokens)?.narrow(1, 0, all - (longest - tokens))
        };
        mask.map(cut).transpose()
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

fn angles(frequencies: &[f32], positions: &[usize]) -> Result<Angles> {
    let mut turns = Vec::with_capacity(positions.len() * frequencies.len());
    for position in positions {
        turns.extend(frequencies.iter().map(|frequency| *position as f32 * frequency));
    }
    let table =
        |values: Vec<f32>| Tensor::from_vec(values, (positions.len(), frequencies.len()), &Device::Cpu);
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

    #[test]
    fn packed_sequences_lie_one_after_another_and_the_longest_mask_is_cut_for_the_others() {
        let lengths = vec![2, 3, 1];
        let longest = mask(0, 3, usize::MAX).unwrap();
        let angles = angles(&[1.0], &[0, 1, 0, 1, 2, 0]).unwrap();
        let positions =
            Positions { lengths, angles, sliding_angles: None, mask: longest, sliding_mask: None };
        assert_eq!(positions.sequences().collect::<Vec<_>>(), [(0, 2), (2, 3), (5, 1)]);
        let two: Vec<Vec<f32>> = positions.mask(false, 2).unwrap().unwrap().to_vec2().unwrap();
        assert_eq!(two, [[0.0, f32::NEG_INFINITY], [0.0, 0.0]]);
        let cos: Vec<f32> = positions.angles(false).cos.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(cos, [0.0_f32, 1.0, 0.0, 1.0, 2.0, 0.0].map(f32::cos));
    }
}
