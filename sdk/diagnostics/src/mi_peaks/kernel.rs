//! The kernels of DeepScan's MI-Peaks, between scalars.

use super::median::squared_distance_median;
use crate::Error;

/// A kernel of two numbers x and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// exp(-(x - y)² / (2 σ²)).
    Gaussian {
        /// σ; DeepScan's default is 50.
        sigma: f64,
    },
    /// The same with σ the median **squared** distance of the vector's own elements, at least 0.01 (DeepScan's
    /// `sigma: 0`).
    GaussianMedian,
    /// x y.
    Linear,
    /// 1 / √((x - y)² + 1), inverse multiquadric (DeepScan's `IMQ`).
    InverseMultiquadric,
}

impl Kernel {
    /// Of DeepScan's `ktype` (`gaussian`, `linear`, `IMQ`) and `sigma`, 0 for the median rule.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another name, and for a σ that is negative or not finite.
    pub fn from_name(ktype: &str, sigma: f64) -> Result<Self, Error> {
        match ktype {
            "gaussian" if sigma == 0.0 => Ok(Self::GaussianMedian),
            "gaussian" => {
                let kernel = Self::Gaussian { sigma };
                kernel.check().map(|()| kernel)
            }
            "linear" => Ok(Self::Linear),
            "IMQ" => Ok(Self::InverseMultiquadric),
            other => Err(Error::Parameter {
                name: "ktype",
                value: format!("`{other}`"),
                allowed: "choose `gaussian`, `linear` or `IMQ`",
            }),
        }
    }

    fn check(self) -> Result<(), Error> {
        match self {
            Self::Gaussian { sigma } if !(sigma > 0.0 && sigma.is_finite()) => {
                let allowed = "it must be positive; 50 is DeepScan's default, 0 chooses the median rule";
                Err(Error::Parameter { name: "sigma", value: sigma.to_string(), allowed })
            }
            _ => Ok(()),
        }
    }

    /// The function of two numbers, with its width settled for this vector.
    pub(super) fn settle(self, vector: &[f64]) -> Result<impl Fn(f64, f64) -> f64 + use<>, Error> {
        self.check()?;
        let width = match self {
            Self::Gaussian { sigma } => sigma,
            Self::GaussianMedian => squared_distance_median(vector),
            Self::Linear | Self::InverseMultiquadric => 1.0,
        };
        let factor = -1.0 / (2.0 * width * width);
        Ok(move |x: f64, y: f64| match self {
            Self::Gaussian { .. } | Self::GaussianMedian => (factor * (x - y) * (x - y)).exp(),
            Self::Linear => x * y,
            Self::InverseMultiquadric => ((x - y) * (x - y) + 1.0).sqrt().recip(),
        })
    }
}
