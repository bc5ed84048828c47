//! The two rankings of each matrix, and the sets cut from them.

use std::collections::BTreeMap;

use sonde_diagnostics::spin::{Matrix, Ranked, top_count};
use sonde_sdk::{Error, MatrixImportance};

/// Two importances this close, relative to their size, may be in either order after float32 rounding.
const ROUNDING: f32 = 4.0 * f32::EPSILON;

/// One matrix under both objectives.
pub struct Pair {
    first: MatrixImportance,
    second: MatrixImportance,
}

/// Its most important weights under both, ascending, and whether the cut falls between equals.
pub struct Cut<'a> {
    of: &'a MatrixImportance,
    first: Option<Vec<u64>>,
    second: Option<Vec<u64>>,
    tied: bool,
}

/// Puts the answers for both objectives side by side.
///
/// # Errors
/// When they do not speak of the same matrices.
pub fn pairs(first: Vec<MatrixImportance>, second: Vec<MatrixImportance>) -> Result<Vec<Pair>, Error> {
    let mut others: BTreeMap<_, _> =
        second.into_iter().map(|matrix| ((matrix.layer, matrix.name.clone()), matrix)).collect();
    let pairs = first.into_iter().map(|first| {
        let second = others.remove(&(first.layer, first.name.clone()));
        let second = second.filter(|second| second.size == first.size);
        Some(Pair { second: second?, first })
    });
    let pairs: Option<Vec<_>> = pairs.collect();
    pairs
        .filter(|_| others.is_empty())
        .ok_or_else(|| Error::new("the host named other matrices for dataset2 than for dataset1"))
}

impl Pair {
    /// The top sets at this fraction.
    pub fn cut(&self, fraction: f64) -> Cut<'_> {
        let count = usize::try_from(top_count(fraction, self.first.size)).unwrap_or(usize::MAX);
        let top = |of: &MatrixImportance| {
            let mut top: Vec<u64> = of.top.iter().take(count).copied().collect();
            top.sort_unstable();
            of.has_gradient.then_some(top)
        };
        let tied = |of: &MatrixImportance| {
            let last = count.checked_sub(1).and_then(|last| of.scores.get(last));
            last.zip(of.scores.get(count)).is_some_and(|(last, next)| last - next <= ROUNDING * last)
        };
        Cut {
            of: &self.first,
            first: top(&self.first),
            second: top(&self.second),
            tied: tied(&self.first) || tied(&self.second),
        }
    }

    /// For the sweep.
    pub fn ranked(&self) -> Ranked<'_> {
        let top = |of: &'_ MatrixImportance| -> bool { of.has_gradient };
        Ranked {
            layer: self.first.layer,
            name: &self.first.name,
            weights: self.first.size,
            first: top(&self.first).then_some(&self.first.top[..]),
            second: top(&self.second).then_some(&self.second.top[..]),
        }
    }
}

impl Cut<'_> {
    /// For the count.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix {
            layer: self.of.layer,
            name: &self.of.name,
            weights: self.of.size,
            first: self.first.as_deref(),
            second: self.second.as_deref(),
        }
    }
}

/// Names the matrices whose count may be another on another machine.
pub fn ties(cuts: &[Cut<'_>]) -> Option<String> {
    let tied: Vec<_> = cuts
        .iter()
        .filter(|cut| cut.tied)
        .map(|cut| format!("layer {} {}", cut.of.layer, cut.of.name))
        .collect();
    (!tied.is_empty()).then(|| {
        format!(
            "the cut falls between importances that are equal within float32 rounding, so a count may be off by one on \
             another machine: {}",
            tied.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(layer: u32, top: &[u64], scores: &[f32]) -> MatrixImportance {
        MatrixImportance {
            layer,
            name: "mlp.up_proj".into(),
            size: 100,
            has_gradient: !top.is_empty(),
            top: top.to_vec(),
            scores: scores.to_vec(),
        }
    }

    #[test]
    fn a_cut_takes_the_most_important_and_names_a_tie_at_its_edge() {
        let first = matrix(3, &[9, 2, 7], &[3.0, 2.0, 1.0]);
        let second = matrix(3, &[2, 4, 9], &[3.0, 2.0, 2.0]);
        let pairs = pairs(vec![first], vec![second]).unwrap();
        let cut = pairs[0].cut(0.02);
        assert_eq!((cut.matrix().first, cut.matrix().second), (Some(&[2, 9][..]), Some(&[2, 4][..])));
        assert!(ties(&[cut]).unwrap().ends_with("layer 3 mlp.up_proj"));
        assert_eq!(ties(&[pairs[0].cut(0.01)]), None);
    }

    #[test]
    fn a_matrix_without_gradient_has_no_set() {
        let pairs = pairs(vec![matrix(0, &[], &[])], vec![matrix(0, &[1], &[1.0])]).unwrap();
        assert_eq!(pairs[0].cut(0.01).matrix().first, None);
    }

    #[test]
    fn answers_about_different_matrices_are_refused() {
        assert!(pairs(vec![matrix(0, &[1], &[1.0])], vec![matrix(1, &[1], &[1.0])]).is_err());
        assert!(pairs(vec![], vec![matrix(1, &[1], &[1.0])]).is_err());
    }
}
