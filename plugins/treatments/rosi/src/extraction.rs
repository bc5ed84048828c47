//! The directions: at each layer, the difference between the mean states of harmful and harmless prompts at the last
//! prompt token. One pass per prompt, whatever the number of layers.

use sonde_sdk::{Error, Host, Place, Prompt, Rows, Site, States, WhiteBox};
use sonde_treatments::refusal_direction::{Directions, Means, Place as At};

/// A difference this small beside the states themselves is rounding: where the template's last token is the same for all,
/// layer 0 is.
const ROUNDING: f64 = 1e-6;

/// s of one layer, not normalised.
#[derive(Clone, Debug)]
pub struct Direction {
    pub layer: u32,
    pub vector: Vec<f64>,
}

/// What was found.
#[derive(Debug)]
pub struct Extracted {
    /// For each layer at which the means differ.
    pub directions: Vec<Direction>,
    /// Prompts read, of both kinds.
    pub prompts: usize,
    /// Prompts that did not fit.
    pub notes: Vec<String>,
}

/// Reads the states and compares the means.
///
/// # Errors
/// A layer that is not there, and what the host cannot do.
pub fn extract<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    layers: &[u32],
    harmful: &[Prompt],
    harmless: &[Prompt],
) -> Result<Extracted, Error> {
    let (harmful, size, note) = means(host, model, layers, harmful, "harmful")?;
    let (harmless, _, other_note) = means(host, model, layers, harmless, "harmless")?;
    let between = Directions::between(&harmful.0, &harmless.0).map_err(said)?;
    let mut directions = Vec::new();
    for ((index, layer), size) in (0..).zip(layers).zip(size) {
        let vector = between.at(At { position: -1, layer: index }).unwrap_or_default().to_vec();
        let norm = vector.iter().map(|number| number * number).sum::<f64>().sqrt();
        if norm > ROUNDING * size {
            directions.push(Direction { layer: *layer, vector });
        }
    }
    let notes = note.into_iter().chain(other_note).collect();
    Ok(Extracted { directions, prompts: harmful.1 + harmless.1, notes })
}

/// Sums of the states and how many there are; their mean size at each layer; which prompts are left out.
type Summed = ((Means, usize), Vec<f64>, Option<String>);

fn means<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    layers: &[u32],
    prompts: &[Prompt],
    kind: &str,
) -> Result<Summed, Error> {
    let places: Vec<Place> =
        layers.iter().map(|layer| Place { site: Site::Residual, layer: *layer }).collect();
    let states = States::read(host, model, prompts, &places, &Rows::Last)?;
    let width = states.layers.first().and_then(|layer| layer.first()).map_or(0, Vec::len);
    let mut means = Means::new(1, layers.len(), width);
    let mut sizes = Vec::with_capacity(layers.len());
    for (index, rows) in states.layers.iter().enumerate() {
        let mut size = 0.0;
        for row in rows {
            means.add(index, row).map_err(said)?;
            size += row.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        }
        sizes.push(size / rows.len().max(1) as f64);
    }
    let note = states.note().map(|note| format!("`{kind}`: {note}"));
    Ok(((means, states.kept.len()), sizes, note))
}

fn said(error: sonde_treatments::refusal_direction::Error) -> Error {
    Error::new(error.to_string())
}
