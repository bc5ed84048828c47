//! What the names of DeepScan's distances promise: a cosine that is a cosine, a correlation that is one, distances that
//! are compared with those within the classes.

use nalgebra::DVector;

use super::classes;
use crate::vectors::cosine;
use crate::{Error, Gram, Vectors};

/// How two or more classes lie to each other; each number is the mean over pairs of classes. All samples count, in the
/// class they are in, whatever the classes' sizes, and the order of samples does not matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Mean cosine of all pairs across the two classes, -1 to 1. Zero vectors count as cosine 0.
    pub between_class_cosine: f64,
    /// Mean cosine of all pairs of different samples within a class, over the classes; `None` if one class has a single
    /// sample. Only a between-class cosine below this one speaks of separation.
    pub within_class_cosine: Option<f64>,
    /// Pearson correlation of the classes' centroids over the d dimensions, -1 to 1; `None` if a centroid is constant.
    pub centroid_correlation: Option<f64>,
    /// Mean Euclidean distance of all pairs across, in the activations' own unit.
    pub mean_pairwise_l2: f64,
    /// Energy distance 2 E‖x - y‖ - E‖x - x′‖ - E‖y - y′‖ (Székely & Rizzo 2013), same unit; 0 for equal distributions.
    pub energy_distance: f64,
    /// The energy distance over 2 E‖x - y‖, 0 to 1, without unit; `None` if all vectors are equal.
    pub energy_coefficient: Option<f64>,
}

impl Geometry {
    /// Computes it; m²·d once.
    ///
    /// # Errors
    /// [`Error::Labels`], [`Error::Classes`] for fewer than two classes.
    pub fn new(vectors: &Vectors, labels: &[u32]) -> Result<Self, Error> {
        vectors.check_labels(labels.len())?;
        let classes = classes(labels);
        if classes.len() < 2 {
            return Err(Error::Classes { found: classes.len(), needed: 2 });
        }
        let distances = Gram::new(vectors).distances();
        let mean_distance =
            |one: &[usize], other: &[usize]| distances.select_rows(one).select_columns(other).mean();
        let mut unit = vectors.columns().clone();
        for mut column in unit.column_iter_mut() {
            let norm = column.norm();
            if norm > 0.0 {
                column /= norm;
            }
        }
        let unit_sum = |members: &[usize]| -> DVector<f64> { unit.select_columns(members).column_sum() };

        let (mut cosines, mut correlations, mut l2, mut energy) = (0.0, Some(0.0), 0.0, 0.0);
        let mut pairs = 0.0;
        for (place, (_, one)) in classes.iter().enumerate() {
            for (_, other) in classes.iter().skip(place + 1) {
                cosines += unit_sum(one).dot(&unit_sum(other)) / (one.len() * other.len()) as f64;
                let across = mean_distance(one, other);
                l2 += across;
                energy += 2.0 * across - mean_distance(one, one) - mean_distance(other, other);
                correlations = correlations.zip(correlation(vectors, one, other)).map(|(sum, one)| sum + one);
                pairs += 1.0;
            }
        }
        let within = classes.iter().map(|(_, members)| {
            let count = members.len() as f64;
            let norms: f64 = members.iter().map(|&member| unit.column(member).norm_squared()).sum();
            (count > 1.0).then(|| (unit_sum(members).norm_squared() - norms) / (count * (count - 1.0)))
        });
        let within: Option<f64> = within.sum();
        Ok(Self {
            between_class_cosine: cosines / pairs,
            within_class_cosine: within.map(|sum| sum / classes.len() as f64),
            centroid_correlation: correlations.map(|sum| sum / pairs),
            mean_pairwise_l2: l2 / pairs,
            energy_distance: energy / pairs,
            energy_coefficient: (l2 > 0.0).then(|| energy / (2.0 * l2)),
        })
    }
}

fn correlation(vectors: &Vectors, one: &[usize], other: &[usize]) -> Option<f64> {
    let about_mean = |members: &[usize]| {
        let centroid = vectors.centroid(members)?;
        let mean = centroid.mean();
        Some(centroid.add_scalar(-mean))
    };
    cosine(&about_mean(one)?, &about_mean(other)?)
}
