//! Coupling at several sizes of the top sets: one size is a choice, a curve is a finding.

use super::{Chance, Counts, Matrix, Modules, Unreached, coupling, top_count};
use crate::Error;

/// Coupling at one fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepPoint {
    /// The share of each matrix's weights in its top sets.
    pub fraction: f64,
    /// Over all matrices that count.
    pub counts: Counts,
    /// What chance would bring.
    pub chance: Chance,
}

/// A matrix whose top weights come in order of importance, so that one ranking serves every smaller fraction.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// Block number, from 0.
    pub layer: u32,
    /// Name within the block.
    pub name: &'a str,
    /// Weights it has (rows × columns).
    pub weights: u64,
    /// Row-major indices by descending importance under the first objective; `None` if no gradient reached it.
    pub first: Option<&'a [u64]>,
    /// The same under the second objective.
    pub second: Option<&'a [u64]>,
}

/// Coupling in total at each fraction, cut from the rankings.
///
/// # Errors
/// [`Error::Parameter`] if a ranking is shorter than a fraction asks for; else as [`coupling`].
pub fn sweep(
    ranked: &[Ranked],
    fractions: &[f64],
    modules: Modules,
    unreached: Unreached,
) -> Result<Vec<SweepPoint>, Error> {
    fractions
        .iter()
        .map(|&fraction| {
            let cut = |matrix: &Ranked, ranking: Option<&[u64]>| -> Result<Option<Vec<u64>>, Error> {
                let Some(ranking) = ranking else { return Ok(None) };
                let count = top_count(fraction, matrix.weights) as usize;
                let top = ranking.get(..count).ok_or_else(|| Error::Parameter {
                    name: "fraction",
                    value: format!(
                        "{fraction}, for which `{}` would need {count} ranked weights",
                        matrix.name
                    ),
                    allowed: "ask the host for as many as the largest fraction needs",
                })?;
                let mut top = top.to_vec();
                top.sort_unstable();
                Ok(Some(top))
            };
            let sets = ranked
                .iter()
                .map(|matrix| Ok((matrix, cut(matrix, matrix.first)?, cut(matrix, matrix.second)?)))
                .collect::<Result<Vec<_>, Error>>()?;
            let matrices: Vec<Matrix> = sets
                .iter()
                .map(|(matrix, first, second)| Matrix {
                    layer: matrix.layer,
                    name: matrix.name,
                    weights: matrix.weights,
                    first: first.as_deref(),
                    second: second.as_deref(),
                })
                .collect();
            let found = coupling(&matrices, modules, unreached)?;
            Ok(SweepPoint { fraction, counts: found.counts, chance: found.chance })
        })
        .collect()
}
