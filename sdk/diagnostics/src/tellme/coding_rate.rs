//! Coding rates: how many nats the vectors take, together and class by class (Yu et al. 2020, eq. 2 and 3; TELLME's
//! R_diff, R_same, R_gap).

use nalgebra::DMatrix;

use super::classes;
use crate::gram::inner_products;
use crate::log_determinant::log_determinant_of_identity_plus;
use crate::resampling::{Null, Resampler};
use crate::{Error, Vectors};

/// TELLME's and DeepScan's precision ε.
pub const EPSILON: f64 = 0.1;

/// Rates in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodingRate {
    /// ½ ln det(I + d/(m ε) ẐᵀẐ), of all vectors together.
    pub r_diff: f64,
    /// Σ_j m_j/(2m) ln det(I + d/(m_j ε) Ẑ_jᵀẐ_j), class by class.
    pub r_same: f64,
}

impl CodingRate {
    /// R_diff - R_same, what the classes save. At least 0, up to rounding.
    pub fn r_gap(&self) -> f64 {
        self.r_diff - self.r_same
    }

    /// R_gap / R_diff: without the unit, and less dependent on the width. `None` if R_diff is 0.
    pub fn gap_share(&self) -> Option<f64> {
        (self.r_diff > 0.0).then(|| self.r_gap() / self.r_diff)
    }
}

/// Computes coding rates of the same vectors under several labellings.
///
/// Uses ln det(I_d + a ẐᵀẐ) = ln det(I_m + a ẐẐᵀ) and takes the smaller of the two for each class: k = min(m, d) gives
/// k³/3 after m²·d or m·d² for the products, which are shared by all labellings where a class has at most d samples.
#[derive(Clone, Debug)]
pub struct CodingRates {
    /// d × m, each row (one activation dimension over all samples) of norm 1, or 0.
    normalised: DMatrix<f64>,
    /// m × m, if some class may need it.
    products: DMatrix<f64>,
    epsilon: f64,
    r_diff: f64,
}

impl CodingRates {
    /// Of these vectors; [`EPSILON`] is the usual precision.
    ///
    /// Ẑ divides each dimension by its norm over all samples (not below 1e-12, so a dimension that is always zero stays
    /// zero), as DeepScan does.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `epsilon` is not positive and finite.
    pub fn new(vectors: &Vectors, epsilon: f64) -> Result<Self, Error> {
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            let allowed = "it must be positive; 0.1 is usual";
            return Err(Error::Parameter { name: "epsilon", value: epsilon.to_string(), allowed });
        }
        let mut normalised = vectors.columns().clone();
        for mut row in normalised.row_iter_mut() {
            let norm = row.norm().max(1e-12);
            row /= norm;
        }
        let products = inner_products(&normalised);
        let mut rates = Self { normalised, products, epsilon, r_diff: 0.0 };
        let all: Vec<usize> = (0..vectors.count()).collect();
        rates.r_diff = rates.rate(&all)? / 2.0;
        Ok(rates)
    }

    /// The rates under these labels, one per vector; any number of classes, also one.
    ///
    /// # Errors
    /// [`Error::Labels`].
    pub fn rate_of_classes(&self, labels: &[u32]) -> Result<CodingRate, Error> {
        let count = self.products.nrows();
        if labels.len() != count {
            return Err(Error::Labels { vectors: count, labels: labels.len() });
        }
        let mut r_same = 0.0;
        for (_, members) in classes(labels) {
            r_same += members.len() as f64 / (2.0 * count as f64) * self.rate(&members)?;
        }
        Ok(CodingRate { r_diff: self.r_diff, r_same })
    }

    /// R_gap against permuted labels; large is extreme. Each permutation costs Σ k_j³/3, k_j = min(m_j, d): with 2,000
    /// samples of 1,024 or more dimensions two thirds of a billion multiplications.
    ///
    /// # Errors
    /// [`Error::Labels`]; [`Error::Classes`] for fewer than two classes; [`Error::Parameter`] for no permutation.
    pub fn null(&self, labels: &[u32], permutations: usize, seed: u64) -> Result<Null, Error> {
        let found = classes(labels).len();
        let observed = self.rate_of_classes(labels)?.r_gap();
        if found < 2 {
            return Err(Error::Classes { found, needed: 2 });
        }
        let mut labels = labels.to_vec();
        let mut resampler = Resampler::new(seed);
        let mut permuted = Vec::with_capacity(permutations);
        for _ in 0..permutations {
            resampler.shuffle(&mut labels);
            permuted.push(self.rate_of_classes(&labels)?.r_gap());
        }
        let allowed = "a null needs at least one permutation; 200 are usual";
        let value = permutations.to_string();
        Null::upper(observed, &permuted).ok_or(Error::Parameter { name: "permutations", value, allowed })
    }

    /// ln det(I + d/(n ε) Ẑ_nᵀẐ_n) of the n samples at `places`.
    fn rate(&self, places: &[usize]) -> Result<f64, Error> {
        let width = self.normalised.nrows();
        let scale = width as f64 / (places.len() as f64 * self.epsilon);
        let rate = if places.len() <= width {
            let among = self.products.select_rows(places).select_columns(places);
            log_determinant_of_identity_plus(scale, &among)
        } else {
            let chosen = self.normalised.select_columns(places);
            log_determinant_of_identity_plus(scale, &(&chosen * chosen.transpose()))
        };
        let allowed = "it is so small that the determinant overflows; 0.1 is usual";
        rate.ok_or_else(|| Error::Parameter { name: "epsilon", value: self.epsilon.to_string(), allowed })
    }
}
