//! The matrices that write to the residual stream, their row means, and their edits.

use sonde_sdk::{Error, ModelInfo, RankOne, TensorInfo, WhiteBox};
use sonde_treatments::rosi::{
    Part, Writer, alpha_of_size, has_norm_after_projection, relative_size, unit, writer,
};

use crate::parameters::Scale;

/// A matrix W of as many rows as the residual stream is wide.
#[derive(Debug)]
pub struct Matrix {
    pub tensor: String,
    pub expert: Option<u32>,
    pub writer: Writer,
    mean: Vec<f32>,
    mean_norm: f64,
    norm: f64,
}

/// How strong an edit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strength {
    /// This alpha for every matrix.
    Alpha(f64),
    /// The share of a matrix by which it changes, with the sign of alpha.
    Size(f64, Scale),
}

/// All of a model's.
#[derive(Debug)]
pub struct Matrices {
    pub all: Vec<Matrix>,
    pub notes: Vec<String>,
}

impl Matrices {
    /// Reads names and row means.
    ///
    /// # Errors
    /// A model none of whose matrices are known to write to the residual stream, or in which they stand transposed.
    pub fn read(model: &impl WhiteBox, info: &ModelInfo) -> Result<Self, Error> {
        let tensors = model.tensors()?;
        let mut all = Vec::new();
        for (tensor, writer) in tensors.iter().filter_map(|tensor| Some((tensor, writer(&tensor.name)?))) {
            all.extend(matrices(model, tensor, writer, info)?);
        }
        if all.is_empty() {
            return Err(Error::new(format!(
                "none of the {} tensors of {} is known to write to the residual stream: looked for attn_output, ffn_down \
                 and ffn_down_exps (GGUF), o_proj and down_proj (Hugging Face)",
                tensors.len(),
                info.name
            )));
        }
        let names = || tensors.iter().map(|tensor| tensor.name.as_str());
        let mut found = Self { notes: notes(&all, names().any(has_norm_after_projection), info), all };
        let still = found.all.iter().filter(|matrix| matrix.mean_norm == 0.0).count();
        found.all.retain(|matrix| matrix.mean_norm > 0.0);
        if found.all.is_empty() {
            return Err(Error::new(
                "the rows of every matrix have a mean of zero, so that ROSI changes nothing",
            ));
        }
        if still > 0 {
            found.notes.push(format!("{still} matrices whose rows have a mean of zero are left out."));
        }
        Ok(found)
    }

    /// The alpha of a matrix.
    pub fn alpha(&self, matrix: &Matrix, strength: Strength) -> f64 {
        match strength {
            Strength::Alpha(alpha) => alpha,
            // A row mean of zero is not among `all`.
            Strength::Size(size, Scale::Relative) => {
                alpha_of_size(size, matrix.mean_norm, matrix.norm).unwrap_or_default()
            }
            Strength::Size(size, Scale::Common) => {
                let of_one: f64 = self.all.iter().filter_map(|matrix| matrix.size(1.0)).sum();
                if of_one > 0.0 { size * self.all.len() as f64 / of_one } else { 0.0 }
            }
        }
    }

    /// alpha · ŝ · w̄ᵀ for every matrix.
    ///
    /// # Errors
    /// A direction of length zero.
    pub fn edits(&self, direction: &[f64], strength: Strength) -> Result<Vec<RankOne>, Error> {
        let unit = unit(direction).map_err(|error| Error::new(error.to_string()))?;
        let output: Vec<f32> = unit.into_iter().map(|number| number as f32).collect();
        let edit = |matrix: &Matrix| {
            let alpha = self.alpha(matrix, strength) as f32;
            let edit = RankOne::new(&matrix.tensor, output.as_slice(), matrix.mean.as_slice(), alpha);
            match matrix.expert {
                Some(expert) => edit.expert(expert),
                None => edit,
            }
        };
        Ok(self.all.iter().map(edit).collect())
    }
}

impl Matrix {
    /// The share by which alpha changes it.
    pub fn size(&self, alpha: f64) -> Option<f64> {
        relative_size(alpha, self.mean_norm, self.norm)
    }

    /// The tensor, and which of its matrices.
    pub fn name(&self) -> String {
        match self.expert {
            Some(expert) => format!("{} expert {expert}", self.tensor),
            None => self.tensor.clone(),
        }
    }
}

fn matrices(
    model: &impl WhiteBox,
    tensor: &TensorInfo,
    writer: Writer,
    info: &ModelInfo,
) -> Result<Vec<Matrix>, Error> {
    let name = &tensor.name;
    let (has_experts, rows) = match *tensor.shape.as_slice() {
        [rows, _] => (false, rows),
        [_, rows, _] => (true, rows),
        _ => return Err(Error::new(format!("`{name}` has the shape {:?} and is no matrix", tensor.shape))),
    };
    if rows != u64::from(info.width) {
        return Err(Error::new(format!(
            "`{name}` has {rows} rows, and the residual stream has {} numbers: it is not stored as rows of outputs",
            info.width
        )));
    }
    let means = model.row_means(name).map_err(|error| Error::from(error).during(name))?;
    let matrix = |(expert, found): (u32, sonde_sdk::RowMean)| {
        let mean_norm = found.mean.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        if !(mean_norm.is_finite() && found.norm.is_finite()) {
            return Err(Error::new(format!("`{name}` holds numbers that are not finite")));
        }
        let expert = has_experts.then_some(expert);
        Ok(Matrix { tensor: name.clone(), expert, writer, mean: found.mean, mean_norm, norm: found.norm })
    };
    (0..).zip(means).map(matrix).collect()
}

fn notes(all: &[Matrix], normed_after: bool, info: &ModelInfo) -> Vec<String> {
    let mut notes = Vec::new();
    if normed_after {
        notes.push(
            "This model normalises what its blocks write before adding it to the residual stream: the edits are rescaled by \
             that norm, so alpha and the sizes compare with those of no other model, and the signs of w̄·x are those after \
             the norm."
                .to_owned(),
        );
    }
    for (part, what) in [(Part::Attention, "attention output"), (Part::Mlp, "MLP down projection")] {
        let has = |block: &u32| all.iter().any(|m| m.writer == Writer { block: *block, part });
        let without: Vec<_> = (0..info.layers).filter(|block| !has(block)).map(|b| b.to_string()).collect();
        if !without.is_empty() {
            notes.push(format!(
                "{} of {} blocks have no {what} under a known name and are not edited there: {}.",
                without.len(),
                info.layers,
                without.join(", ")
            ));
        }
    }
    notes
}
