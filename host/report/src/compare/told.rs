//! What a test lets one say of a difference.

use serde::{Deserialize, Serialize};

use super::{Comparison, Row};
use crate::statistics::holm;

/// Adjusted p values below this are told as differences.
pub const LEVEL: f64 = 0.05;

/// What can be said of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// It moved the way one would wish, beyond chance.
    Better,
    /// It moved the other way, beyond chance.
    Worse,
    /// It moved beyond chance, and neither way is better.
    Differs,
    /// Chance alone could do that.
    NotShown,
    /// There was no test.
    #[default]
    NotTested,
}

impl Told {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Differs => "differs",
            Self::NotShown => "no difference shown",
            Self::NotTested => "not tested",
        }
    }
}

/// Adjusts the p values of all rows together, and says of each what it shows.
pub fn adjust(comparison: &mut Comparison) {
    let rows = comparison.tasks.iter_mut().flat_map(|task| &mut task.rows);
    let mut tested: Vec<(&mut Row, f64)> = rows.filter_map(|row| row.p.map(|p| (row, p))).collect();
    comparison.tests = tested.len();
    let adjusted = holm(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    for ((row, _), p) in tested.iter_mut().zip(adjusted) {
        row.p_holm = Some(p);
        let rose = row.difference.is_some_and(|difference| difference > 0.0);
        row.told = match row.higher_is_better {
            _ if p >= LEVEL => Told::NotShown,
            Some(higher) if higher == rose => Told::Better,
            Some(_) => Told::Worse,
            None => Told::Differs,
        };
    }
}
