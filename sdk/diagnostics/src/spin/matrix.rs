//! One weight matrix with its two top sets, and which matrices count.

use crate::Error;

/// A linear layer's weight matrix and the indices of its most important weights under each objective.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Block number, from 0.
    pub layer: u32,
    /// Name within the block, as `mlp.down_proj`.
    pub name: &'a str,
    /// Weights it has (rows × columns).
    pub weights: u64,
    /// Row-major indices of the top weights under the first objective, ascending. `None` if no gradient reached the
    /// matrix, as an expert of a mixture to which nothing was routed; an empty slice if it was to have none.
    pub first: Option<&'a [u64]>,
    /// The same under the second objective.
    pub second: Option<&'a [u64]>,
}

impl Matrix<'_> {
    /// That the indices ascend and lie within the matrix.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fits = |set: &[u64]| {
            set.windows(2).all(|pair| matches!(pair, [one, next] if one < next))
                && set.last().is_none_or(|&last| last < self.weights)
        };
        if [self.first, self.second].into_iter().flatten().all(fits) {
            return Ok(());
        }
        Err(Error::Indices { layer: self.layer, name: self.name.to_owned(), weights: self.weights })
    }

    /// Indices in both sets.
    pub(super) fn coupled(&self) -> u64 {
        let (mut first, mut second) = (self.first.unwrap_or_default(), self.second.unwrap_or_default());
        let mut coupled = 0;
        while let ([one, rest @ ..], [other, others @ ..]) = (first, second) {
            coupled += u64::from(one == other);
            if one <= other {
                first = rest;
            }
            if other <= one {
                second = others;
            }
        }
        coupled
    }
}

/// Which matrices count, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modules {
    /// All whose name does not contain `self_attn` (DeepScan's default).
    #[default]
    Mlp,
    /// All whose name does not contain `mlp`.
    SelfAttention,
    /// All.
    All,
}

impl Modules {
    /// DeepScan's `target_module`: `mlp`, `self_attn` or `all`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another name.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        match name {
            "mlp" => Ok(Self::Mlp),
            "self_attn" => Ok(Self::SelfAttention),
            "all" => Ok(Self::All),
            other => Err(Error::Parameter {
                name: "target_module",
                value: format!("`{other}`"),
                allowed: "choose `mlp`, `self_attn` or `all`",
            }),
        }
    }

    /// Whether a matrix of this name counts.
    pub fn contains(self, name: &str) -> bool {
        match self {
            Self::Mlp => !name.contains("self_attn"),
            Self::SelfAttention => !name.contains("mlp"),
            Self::All => true,
        }
    }
}

/// What becomes of a matrix that no gradient of one objective reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unreached {
    /// It counts nowhere: it had no chance to be coupled, and its weights in the denominator would make every mixture of
    /// experts look less coupled.
    #[default]
    LeaveOut,
    /// It has no candidates, and its weights count (DeepScan).
    Count,
}

/// How many weights the top `fraction` of a matrix has: ⌊fraction · weights⌋, as DeepScan's `int(q * numel)`. 0 for small
/// matrices; 0 for a fraction that is negative or not a number.
pub fn top_count(fraction: f64, weights: u64) -> u64 {
    ((fraction * weights as f64) as u64).min(weights)
}
