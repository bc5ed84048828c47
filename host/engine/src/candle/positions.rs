//! What depends on the tokens' positions alone: the angles of the rotary embedding, and what attention sees.

use std::ops::Range;

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
    /// Tokens before the first.
    before: usize,
    /// Tokens that a sliding block sees.
    window: usize,
    angles: Angles,
    sliding_angles: Option<Angles>,
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
        Ok(Self {
            angles: angles(&description.rope)?,
            sliding_angles: description.sliding_rope.as_ref().map(angles).transpose()?,
            before,
            lengths,
            window: description.window,
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

    /// Which tokens a sequence's token looks at, given its place in the piece: those up to itself, and as many before it
    /// as the window lets it see.
    pub(crate) fn sees(&self, slides: bool, token: usize) -> Range<usize> {
        let end = self.before + token + 1;
        if slides { end.saturating_sub(self.window)..end } else { 0..end }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(before: usize, lengths: Vec<usize>) -> Positions {
        let angles = angles(&[1.0], &[0, 1, 0, 1, 2, 0]).unwrap();
        Positions { before, lengths, window: 2, angles, sliding_angles: None }
    }

    #[test]
    fn a_token_looks_back_and_a_window_hides_what_lies_too_far() {
        let seen = |before, slides| -> Vec<Range<usize>> {
            (0..3).map(|token| positions(before, vec![3]).sees(slides, token)).collect()
        };
        assert_eq!(seen(0, false), [0..1, 0..2, 0..3]);
        assert_eq!(seen(0, true), [0..1, 0..2, 1..3]);
        assert_eq!(seen(4, false), [0..5, 0..6, 0..7]);
        assert_eq!(seen(4, true), [3..5, 4..6, 5..7]);
    }

    #[test]
    fn packed_sequences_lie_one_after_another_and_each_begins_at_the_first_position() {
        let packed = positions(0, vec![2, 3, 1]);
        assert_eq!(packed.sequences().collect::<Vec<_>>(), [(0, 2), (2, 3), (5, 1)]);
        let cos: Vec<f32> = packed.angles(false).cos.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(cos, [0.0_f32, 1.0, 0.0, 1.0, 2.0, 0.0].map(f32::cos));
    }
}
