//! Activation vectors of one layer, one per sample: the input of most measures.

use nalgebra::{DMatrix, DVector};

use crate::Error;

/// Beyond this, squares and products of a few more would overflow.
const LARGEST: f64 = 1e60;

/// m finite vectors of d numbers, m and d at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// d × m: each sample is a column, so that its numbers are neighbours in memory.
    columns: DMatrix<f64>,
}

impl Vectors {
    /// One slice per sample, all equally long.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Ragged`], [`Error::NotFinite`].
    pub fn new<T: Copy + Into<f64>>(samples: &[impl AsRef<[T]>]) -> Result<Self, Error> {
        let width = samples.first().map_or(0, |first| first.as_ref().len());
        let mut values = Vec::with_capacity(width * samples.len());
        for (sample, vector) in samples.iter().enumerate() {
            let vector = vector.as_ref();
            if vector.len() != width {
                return Err(Error::Ragged { sample, found: vector.len(), expected: width });
            }
            values.extend(vector.iter().map(|&value| value.into()));
        }
        Self::flat(width, values)
    }

    /// Vectors of `width` numbers one after the other.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], and [`Error::Ragged`] if the last vector is not complete.
    pub fn flat(width: usize, values: Vec<f64>) -> Result<Self, Error> {
        if width == 0 || values.is_empty() {
            return Err(Error::Empty);
        }
        let (samples, rest) = (values.len() / width, values.len() % width);
        if rest != 0 {
            return Err(Error::Ragged { sample: samples, found: rest, expected: width });
        }
        if let Some(place) = values.iter().position(|value| value.is_nan() || value.abs() > LARGEST) {
            let value = values.get(place).copied().unwrap_or(f64::NAN);
            return Err(Error::NotFinite { sample: place / width, element: place % width, value });
        }
        Ok(Self { columns: DMatrix::from_vec(width, samples, values) })
    }

    /// m, the number of vectors.
    pub fn count(&self) -> usize {
        self.columns.ncols()
    }

    /// d, the numbers in each.
    pub fn width(&self) -> usize {
        self.columns.nrows()
    }

    /// The d numbers of one vector; `None` if there are not so many.
    pub fn sample(&self, place: usize) -> Option<&[f64]> {
        self.columns.as_slice().chunks_exact(self.width()).nth(place)
    }

    /// d × m.
    pub(crate) fn columns(&self) -> &DMatrix<f64> {
        &self.columns
    }

    /// The mean of the vectors at `places`; `None` of no places.
    pub(crate) fn centroid(&self, places: &[usize]) -> Option<DVector<f64>> {
        let mut sum = DVector::zeros(self.width());
        for &place in places.iter().filter(|&&place| place < self.count()) {
            sum += self.columns.column(place);
        }
        (!places.is_empty()).then(|| sum / places.len() as f64)
    }

    /// d × m, the mean of all vectors taken from each.
    pub(crate) fn centred(&self) -> DMatrix<f64> {
        let mean = self.columns.column_mean();
        let mut centred = self.columns.clone();
        for mut column in centred.column_iter_mut() {
            column -= &mean;
        }
        centred
    }

    /// Mean Euclidean norm, in the activations' own unit. Tells how large the residual stream is at a layer, without
    /// which a distance means nothing.
    pub fn mean_norm(&self) -> f64 {
        self.columns.column_iter().map(|column| column.norm()).sum::<f64>() / self.count() as f64
    }

    /// That there is one label per vector.
    pub(crate) fn check_labels(&self, labels: usize) -> Result<(), Error> {
        if labels == self.count() { Ok(()) } else { Err(Error::Labels { vectors: self.count(), labels }) }
    }
}

/// The cosine of the angle between two vectors; `None` if one of them is zero.
pub(crate) fn cosine(one: &DVector<f64>, other: &DVector<f64>) -> Option<f64> {
    let norms = one.norm() * other.norm();
    (norms > 0.0).then(|| (one.dot(other) / norms).clamp(-1.0, 1.0))
}

/// The places at which `labels` has `label`.
pub(crate) fn places<L: PartialEq>(labels: &[L], label: &L) -> Vec<usize> {
    labels.iter().enumerate().filter_map(|(place, found)| (found == label).then_some(place)).collect()
}
