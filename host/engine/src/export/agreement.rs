//! Whether an export does what the live treatment does: the same logits, within the rounding of the form.
//!
//! How far two sets of logits lie apart is the root mean square of their differences over that of the live ones, each row
//! taken around its mean, which the softmax does not see.
//!
//! What is allowed: formats that keep the changes in f32 get [`IN_F32`], as sums in another order are all that may differ.
//! A merged file stores each changed matrix anew, which makes two errors. Its rows are rounded once more: an error of
//! relative size ε = ‖stored − exact‖ / ‖exact‖, known to the last bit because what was stored is read again. And the
//! matrices' multiplications round activations, by η: however small a difference, later roundings may fall the other way.
//! Both are independent from matrix to matrix. A matrix's output is one of many terms of a residual stream that is normed
//! before it is read, so the stream's relative error is about the terms' own, √(mean ε² + η²), and so is that of the
//! logits. [`ON_THE_WAY`] is the room for terms that weigh more than others and for blocks that magnify what they read.

use std::fmt;

/// Texts on which an export and the live treatment are compared.
pub(super) const TEXTS: &[&str] = &[
    "The capital of France is Paris, and that of Italy is Rome. Which city is the capital of Spain?",
    "I'm sorry, but I can't help with that. Is there something else that I can do for you today?",
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
    "Wie backt man einen Apfelkuchen? Zuerst schält man sechs Äpfel und schneidet sie in Stücke.",
];

/// Relative difference of logits allowed where nothing but the order of f32 sums differs.
const IN_F32: f64 = 1e-5;
/// How much larger than the matrices' own relative errors that of the logits may be.
const ON_THE_WAY: f64 = 4.0;

/// What storing a changed matrix lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Loss {
    /// ‖stored − exact‖ / ‖exact‖
    pub stored: f64,
    /// Relative rounding of the activations it is multiplied with.
    pub activations: f64,
}

/// Relative difference of logits that is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowed(f64);

impl Allowed {
    pub(super) fn in_f32() -> Self {
        Self(IN_F32)
    }

    pub(super) fn after(losses: &[Loss]) -> Self {
        let mean = losses.iter().map(|loss| loss.stored.powi(2)).sum::<f64>() / losses.len().max(1) as f64;
        let activations = losses.iter().map(|loss| loss.activations).fold(0.0, f64::max);
        Self(IN_F32 + ON_THE_WAY * (mean + activations.powi(2)).sqrt())
    }
}

/// How an export's logits compare with the live treatment's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Rows of logits compared.
    pub positions: usize,
    /// Root mean square of the differences over that of the live logits, each row around its mean.
    pub relative: f64,
    /// Largest difference of two logits, each around its row's mean.
    pub largest: f64,
    /// Share of positions with the same likeliest token.
    pub same_top_token: f64,
    /// What `relative` may be.
    pub allowed: f64,
    /// How far the treatment itself moves the logits, as `relative` measures it.
    pub moved: f64,
}

/// How far rows of logits lie from others.
struct Apart {
    relative: f64,
    largest: f64,
    positions: usize,
    same_top_token: f64,
}

impl Apart {
    fn of(live: &[f32], other: &[f32], vocabulary: usize) -> Self {
        let (mut positions, mut apart, mut size, mut largest, mut same) = (0, 0.0, 0.0, 0.0_f64, 0);
        let rows = live.chunks(vocabulary.max(1)).zip(other.chunks(vocabulary.max(1)));
        for (live, other) in rows {
            let mean = |row: &[f32]| row.iter().map(|x| f64::from(*x)).sum::<f64>() / row.len() as f64;
            let (ours, theirs) = (mean(live), mean(other));
            for (x, y) in live.iter().zip(other) {
                let (x, y) = (f64::from(*x) - ours, f64::from(*y) - theirs);
                apart += (y - x).powi(2);
                size += x * x;
                largest = largest.max((y - x).abs());
            }
            let top = |row: &[f32]| {
                row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(token, _)| token)
            };
            positions += 1;
            same += u32::from(top(live) == top(other));
        }
        // Logits of another number, or none that are numbers, agree with nothing.
        let comparable = live.len() == other.len() && positions > 0 && apart.is_finite() && size > 0.0;
        let relative = if comparable { (apart / size).sqrt() } else { f64::INFINITY };
        Self { relative, largest, positions, same_top_token: f64::from(same) / positions.max(1) as f64 }
    }
}

impl Agreement {
    /// Of logits with the treatment live, from the export, and without a treatment.
    pub(super) fn of(
        live: &[f32],
        export: &[f32],
        plain: &[f32],
        vocabulary: usize,
        allowed: Allowed,
    ) -> Self {
        let Apart { relative, largest, positions, same_top_token } = Apart::of(live, export, vocabulary);
        let moved = Apart::of(live, plain, vocabulary).relative;
        Self { positions, relative, largest, same_top_token, allowed: allowed.0, moved }
    }

    /// Whether the difference is one of rounding.
    pub fn holds(&self) -> bool {
        self.relative <= self.allowed
    }

    /// Whether rounding took away more than half of what the treatment does.
    pub fn drowns(&self) -> bool {
        2.0 * self.relative > self.moved
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {} positions logits differ by {:.1e} of their size where the form's rounding allows {:.1e} and the treatment \
             itself moves them by {:.1e}; the likeliest token is the same at {:.1} %",
            self.positions,
            self.relative,
            self.allowed,
            self.moved,
            100.0 * self.same_top_token
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(live: &[f32], export: &[f32]) -> Agreement {
        Agreement::of(live, export, live, 2, Allowed::in_f32())
    }

    #[test]
    fn a_shift_of_a_whole_row_is_no_difference_and_a_change_within_it_is() {
        let live = [1.0, 3.0, 2.0, 0.0];
        let shifted = of(&live, &[2.0, 4.0, -1.0, -3.0]);
        assert_eq!((shifted.positions, shifted.relative, shifted.same_top_token), (2, 0.0, 1.0));
        assert!(shifted.holds());
        // Rows (−1, 1), (1, −1) against (1, −1), (1, −1): √(8/4), by hand.
        let turned = of(&live, &[3.0, 1.0, 2.0, 0.0]);
        assert!((turned.relative - 2_f64.sqrt()).abs() < 1e-12 && turned.largest == 2.0);
        assert_eq!(turned.same_top_token, 0.5);
        assert!(!turned.holds());
        let moved = Agreement::of(&live, &live, &[3.0, 1.0, 2.0, 0.0], 2, Allowed::in_f32());
        assert!(moved.moved == turned.relative && moved.holds() && !moved.drowns());
        assert!(turned.drowns());
    }

    #[test]
    fn logits_that_are_no_numbers_agree_with_nothing() {
        for export in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[1.0]] {
            assert!(!Agreement::of(&[1.0, 2.0], export, &[1.0, 2.0], 2, Allowed(1e9)).holds(), "{export:?}");
        }
        assert!(!Agreement::of(&[], &[], &[], 2, Allowed(1e9)).holds());
    }

    #[test]
    fn what_is_allowed_is_the_mean_loss_with_that_of_the_activations() {
        let loss = |stored, activations| Loss { stored, activations };
        let Allowed(allowed) =
            Allowed::after(&[loss(0.01, 0.0), loss(0.07, 0.12), loss(0.0, 0.0), loss(0.0, 0.0)]);
        // √((0.0001 + 0.0049) / 4 + 0.0144) = √0.01565
        assert!((allowed - IN_F32 - ON_THE_WAY * 0.015_65_f64.sqrt()).abs() < 1e-12);
    }
}
