//! What is done to states and to weights. The host does the same in `f32` to a running model; these are the definitions
//! that it is held against, and what turns one into the other.

use super::Error;

/// Stands beside the norm in r̂ = r / (‖r‖ + 1e-8), as in the published code: a direction of zero changes nothing.
const NORM_FLOOR: f64 = 1e-8;

/// Directional ablation of a state: x − (x·r̂) r̂ with r̂ = r / (‖r‖ + 1e-8). To be done at the input of every block and
/// at the output of every attention and MLP.
///
/// # Errors
/// Vectors of unequal length.
pub fn ablated(state: &[f64], direction: &[f64]) -> Result<Vec<f64>, Error> {
    let unit = unit(direction, NORM_FLOOR);
    whole("direction", &unit, state.len())?;
    let along: f64 = state.iter().zip(&unit).map(|(x, r)| x * r).sum();
    Ok(state.iter().zip(&unit).map(|(x, r)| x - along * r).collect())
}

/// Activation addition to a state: x + c·r, r as it was found. To be done at the input of one block. A positive c
/// induces refusal, a negative one bypasses it.
///
/// # Errors
/// Vectors of unequal length.
pub fn added(state: &[f64], direction: &[f64], coefficient: f64) -> Result<Vec<f64>, Error> {
    whole("direction", direction, state.len())?;
    Ok(state.iter().zip(direction).map(|(x, r)| x + coefficient * r).collect())
}

/// Orthogonalisation of a matrix that writes to the residual stream, which equals ablation of what it writes:
/// W − r̂ (r̂ᵀ W), with r̂ = r / ‖r‖. W has as many rows as r has numbers, row by row. An output bias b would need
/// [`ablated`] too.
///
/// # Errors
/// A matrix of another number of rows.
pub fn orthogonalised(matrix: &[f64], columns: usize, direction: &[f64]) -> Result<Vec<f64>, Error> {
    let unit = unit(direction, 0.0);
    whole("matrix", matrix, columns * unit.len())?;
    let mut along = vec![0.0; columns];
    for (row, r) in matrix.chunks_exact(columns.max(1)).zip(&unit) {
        for (sum, weight) in along.iter_mut().zip(row) {
            *sum += r * weight;
        }
    }
    let rows = matrix.chunks_exact(columns.max(1)).zip(&unit);
    Ok(rows
        .flat_map(|(row, r)| row.iter().zip(&along).map(move |(weight, along)| weight - r * along))
        .collect())
}

/// Orthogonalisation of an embedding, whose rows are states: E − (E r̂) r̂ᵀ, with r̂ = r / ‖r‖.
///
/// # Errors
/// Rows of another length than the direction.
pub fn orthogonalised_rows(embedding: &[f64], direction: &[f64]) -> Result<Vec<f64>, Error> {
    let unit = unit(direction, 0.0);
    let width = unit.len().max(1);
    whole("embedding", embedding, embedding.len() / width * width)?;
    let row = |row: &[f64]| {
        let along: f64 = row.iter().zip(&unit).map(|(x, r)| x * r).sum();
        row.iter().zip(&unit).map(|(x, r)| x - along * r).collect::<Vec<_>>()
    };
    Ok(embedding.chunks_exact(width).flat_map(row).collect())
}

/// The direction at unit length; zero stays zero.
fn unit(direction: &[f64], floor: f64) -> Vec<f64> {
    let norm = direction.iter().map(|r| r * r).sum::<f64>().sqrt() + floor;
    let factor = if norm > 0.0 { norm.recip() } else { 0.0 };
    direction.iter().map(|r| r * factor).collect()
}

fn whole(what: &'static str, found: &[f64], expected: usize) -> Result<(), Error> {
    if found.len() == expected {
        return Ok(());
    }
    Err(Error::Length { what, found: found.len(), expected })
}
