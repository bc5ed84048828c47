//! Numbers along an axis: where they lie, and round ones to read.

/// Maps a range of numbers onto a stretch of the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

/// A number written beside an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// The ticks of an axis, and what the axis's name must add for them to be read: a common factor or summand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ticks {
    pub(super) ticks: Vec<Tick>,
    pub(super) note: String,
}

/// A range this narrow beside its distance from zero has ticks counted from a number near it.
const NARROW: f64 = 1e-4;

impl Scale {
    /// A range without width is widened, so that every number has a place.
    pub(crate) fn new(low: f64, high: f64, start: f64, end: f64) -> Self {
        if high > low {
            Self { low, high, start, end }
        } else {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.5 };
            Self { low: low - room, high: low + room, start, end }
        }
    }

    /// With room at both ends, as a share of the range.
    pub(super) fn roomy(self, share: f64) -> Self {
        let room = (self.high - self.low) * share;
        Self { low: self.low - room, high: self.high + room, ..self }
    }

    /// With room at the high end.
    pub(super) fn roomy_above(self, share: f64) -> Self {
        Self { high: self.high + (self.high - self.low) * share, ..self }
    }

    /// Where a number lies; one absurdly far out is held near.
    pub(crate) fn at(&self, number: f64) -> f64 {
        let at = self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start);
        at.clamp(-1e5, 1e5)
    }

    /// Round numbers in the range, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: f64) -> Ticks {
        let step = round_step((self.high - self.low) / wanted);
        let offset = self.offset(step);
        let size = (self.low - offset).abs().max((self.high - offset).abs());
        let power = if (1e-3..1e6).contains(&size) { 0 } else { size.log10().floor() as i32 };
        let unit = 10_f64.powi(power);
        let decimals = (-(step / unit * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 12.0) as usize;
        let first = ((self.low - offset) / step).ceil();
        let mut ticks: Vec<Tick> = Vec::new();
        for index in 0..50 {
            let tick = (first + f64::from(index)) * step;
            let at = self.at(offset + tick);
            if tick + offset > self.high + step * 1e-9 || !at.is_finite() {
                break;
            }
            let text = written(tick / unit, decimals);
            // Where a double's digits end, neighbours fall on one number.
            if ticks.last().is_none_or(|last| last.text != text) {
                ticks.push(Tick { at, text });
            }
        }
        Ticks { ticks, note: note(power, offset) }
    }

    /// A round number near a narrow range that lies far from zero, else 0.
    fn offset(&self, step: f64) -> f64 {
        let far = self.low.abs().max(self.high.abs());
        if (self.high - self.low) >= NARROW * far {
            return 0.0;
        }
        let coarse = step * 100.0;
        (self.low / coarse).floor() * coarse
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let share = rough / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|step| share <= *step).unwrap_or(10.0)
}

fn written(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    // No minus before a zero.
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|digit| "0.".contains(digit)) => rest.to_owned(),
        _ => text.replace('-', "−"),
    }
}

fn note(power: i32, offset: f64) -> String {
    let mut parts = Vec::new();
    if power != 0 {
        parts.push(format!("×10{}", raised(power)));
    }
    if offset != 0.0 {
        let size = offset.abs();
        let text = if (1e-3..1e9).contains(&size) { format!("{size}") } else { format!("{size:e}") };
        parts.push(format!("{} {text}", if offset < 0.0 { "−" } else { "+" }));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(" ")) }
}

/// As an exponent is written.
fn raised(power: i32) -> String {
    let digit = |digit: char| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        other => other.to_digit(10).and_then(|value| char::from_u32(0x2070 + value)).unwrap_or(other),
    };
    power.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64) -> (Vec<String>, String) {
        let ticks = Scale::new(low, high, 0.0, 100.0).ticks(5.0);
        (ticks.ticks.into_iter().map(|tick| tick.text).collect(), ticks.note)
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(labels(0.0, 1.0).0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-7.0, 17.0).0, ["−5", "0", "5", "10", "15"]);
        assert_eq!(labels(0.002, 0.011).0, ["0.002", "0.004", "0.006", "0.008", "0.010"]);
    }

    #[test]
    fn large_and_small_numbers_share_a_power_of_ten_beside_the_axis() {
        assert_eq!(
            labels(0.0, 4e9),
            (["0", "1", "2", "3", "4"].map(String::from).to_vec(), " (×10⁹)".into())
        );
        let (ticks, note) = labels(-2e-12, 3e-12);
        assert_eq!((ticks.join(" "), note.as_str()), ("−2 0 2".to_owned(), " (×10⁻¹²)"));
    }

    #[test]
    fn a_narrow_range_far_from_zero_is_told_apart() {
        let (ticks, note) = labels(1_000_000.000_1, 1_000_000.000_5);
        assert_eq!(ticks, ["1", "2", "3", "4", "5"]);
        assert_eq!(note, " (×10⁻⁴ + 1000000)");
    }

    #[test]
    fn a_range_without_width_still_has_places() {
        let scale = Scale::new(4.0, 4.0, 0.0, 100.0);
        assert_eq!(scale.at(4.0), 50.0);
        assert!(!scale.ticks(5.0).ticks.is_empty());
    }

    #[test]
    fn an_absurd_range_gives_few_ticks_that_differ() {
        for (low, high) in [(-f64::MAX / 4.0, f64::MAX / 4.0), (1.0, 1.0 + f64::EPSILON), (0.0, 1e-310)] {
            let (ticks, _) = labels(low, high);
            assert!(ticks.len() <= 50);
            assert!(ticks.windows(2).all(|pair| pair[0] != pair[1]), "{ticks:?}");
        }
    }
}
