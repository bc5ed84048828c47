//! What was kept of one prompt's pass, and how to ask for it.

use crate::bindings::diagnostic::sonde::plugin::activations::Captured;
use crate::bindings::diagnostic::sonde::plugin::activations::{Addition, Projection};
use crate::whitebox::PIECE;
use crate::{CaptureSpec, Change, Error, Intervention, Rows, Site};

/// Rows of states at some layers. Inside the sandbox the host holds the numbers until this is dropped.
#[derive(Debug)]
pub struct Activations {
    layers: Vec<u32>,
    rows: usize,
    width: usize,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Host(Captured),
    Given { tokens: Vec<u32>, numbers: Vec<Vec<f32>> },
}

impl Activations {
    /// Of a capture that the host holds.
    pub(crate) fn held(captured: Captured, spec: &CaptureSpec) -> Self {
        let (rows, width) = (captured.rows() as usize, captured.width() as usize);
        Self { layers: spec.layers.clone(), rows, width, source: Source::Host(captured) }
    }

    /// Of given numbers, for tests: for each layer its rows one after another, `width` numbers each.
    ///
    /// # Panics
    /// When a layer's numbers are not whole rows, or layers have unequal numbers of rows.
    pub fn given(
        tokens: impl Into<Vec<u32>>,
        width: usize,
        layers: impl IntoIterator<Item = (u32, Vec<f32>)>,
    ) -> Self {
        let (layers, numbers): (Vec<_>, Vec<Vec<f32>>) = layers.into_iter().unzip();
        let size = numbers.first().map_or(0, Vec::len);
        assert!(
            numbers.iter().all(|numbers| numbers.len() == size) && width > 0 && size.is_multiple_of(width),
            "each layer has the same rows of {width} numbers"
        );
        Self { layers, rows: size / width, width, source: Source::Given { tokens: tokens.into(), numbers } }
    }

    /// Rows kept per layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The layers that were kept, ascending.
    pub fn layers(&self) -> &[u32] {
        &self.layers
    }

    /// The prompt's token ids, in full.
    pub fn tokens(&self) -> Vec<u32> {
        match &self.source {
            Source::Host(captured) => captured.tokens(),
            Source::Given { tokens, .. } => tokens.clone(),
        }
    }

    /// All rows of a layer, one after another: `rows · width` numbers, read in bounded pieces.
    ///
    /// # Errors
    /// A layer that was not kept.
    pub fn read(&self, layer: u32) -> Result<Vec<f32>, Error> {
        self.read_rows(layer, 0, self.rows)
    }

    /// One row of a layer: `width` numbers.
    ///
    /// # Errors
    /// A layer that was not kept, a row past the end.
    pub fn row(&self, layer: u32, row: usize) -> Result<Vec<f32>, Error> {
        self.read_rows(layer, row, 1)
    }

    /// Some rows of a layer, one after another, read in bounded pieces.
    ///
    /// # Errors
    /// A layer that was not kept, rows past the end.
    pub fn read_rows(&self, layer: u32, first: usize, rows: usize) -> Result<Vec<f32>, Error> {
        let end = first.checked_add(rows).filter(|end| *end <= self.rows);
        let end =
            end.ok_or_else(|| format!("row {first} and {rows} rows in all: there are {}", self.rows))?;
        match &self.source {
            Source::Host(captured) => {
                let piece = (PIECE / self.width.max(1)).max(1);
                let mut numbers = Vec::with_capacity(rows.saturating_mul(self.width));
                for start in (first..end).step_by(piece) {
                    let count = piece.min(end - start);
                    numbers.extend(captured.read(layer, index(start)?, index(count)?)?);
                }
                Ok(numbers)
            }
            Source::Given { numbers, .. } => {
                let place = self.layers.iter().position(|kept| *kept == layer);
                let numbers = place.and_then(|place| numbers.get(place));
                let numbers = numbers.ok_or_else(|| format!("layer {layer} was not captured"))?;
                let part = numbers.get(first * self.width..end * self.width).unwrap_or_default();
                Ok(part.to_vec())
            }
        }
    }
}

fn index(row: usize) -> Result<u32, Error> {
    u32::try_from(row).map_err(|_| Error::new("there are more rows than can be counted"))
}

impl CaptureSpec {
    /// The last token's states at these layers; sorted, and each taken once.
    pub fn new(site: Site, layers: impl IntoIterator<Item = u32>) -> Self {
        let mut layers: Vec<u32> = layers.into_iter().collect();
        layers.sort_unstable();
        layers.dedup();
        Self { layers, site, rows: Rows::Last }
    }

    /// Other tokens than the last.
    #[must_use]
    pub fn rows(self, rows: Rows) -> Self {
        Self { rows, ..self }
    }
}

impl Intervention {
    /// Adds `coefficient · vector` to every token's state at these layers.
    pub fn add(
        site: Site,
        layers: impl IntoIterator<Item = u32>,
        vector: impl Into<Vec<f32>>,
        coefficient: f32,
    ) -> Self {
        let change = Change::Add(Addition { vector: vector.into(), coefficient });
        Self { layers: layers.into_iter().collect(), site, change }
    }

    /// Takes a direction, which need not be of unit length, out of every token's state at these layers; a coefficient
    /// of 1 takes all of it.
    pub fn project_out(
        site: Site,
        layers: impl IntoIterator<Item = u32>,
        direction: impl Into<Vec<f32>>,
        coefficient: f32,
    ) -> Self {
        let change = Change::ProjectOut(Projection { direction: direction.into(), coefficient });
        Self { layers: layers.into_iter().collect(), site, change }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_where_they_are_and_nowhere_else() {
        let kept =
            Activations::given([5, 6], 2, [(1, vec![1.0, 2.0, 3.0, 4.0]), (3, vec![5.0, 6.0, 7.0, 8.0])]);
        assert_eq!(
            (kept.rows(), kept.width(), kept.layers(), kept.tokens()),
            (2, 2, &[1, 3][..], vec![5, 6])
        );
        assert_eq!(kept.read(3).unwrap(), [5.0, 6.0, 7.0, 8.0]);
        assert_eq!(kept.row(1, 1).unwrap(), [3.0, 4.0]);
        assert_eq!(kept.read_rows(1, 2, 0).unwrap(), [0.0; 0]);
        assert_eq!(kept.row(1, 2).unwrap_err().to_string(), "row 2 and 1 rows in all: there are 2");
        assert_eq!(kept.read(2).unwrap_err().to_string(), "layer 2 was not captured");
        assert!(kept.read_rows(1, usize::MAX, 2).is_err());
    }

    #[test]
    fn layers_of_a_specification_ascend_without_repeats() {
        assert_eq!(CaptureSpec::new(Site::Residual, [4, 0, 4, 2]).layers, [0, 2, 4]);
    }
}
