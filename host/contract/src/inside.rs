//! `activations`, `weights` and `gradients` of the contract: captures, interventions, tensors, importance.
//!
//! Vectors of activations are f32, row-major, as wide as the residual stream.

use serde::{Deserialize, Serialize};

use crate::{Completion, Prompt, Sampling};

/// Where in the network; see `wit/` for how layers are counted at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The residual stream: layer 0 is the embedding, layer i the output of block i−1, up to the number of blocks.
    Residual,
    /// What a block's attention adds; layer i is block i.
    Attention,
    /// What a block's MLP adds; layer i is block i.
    Mlp,
    /// After the last block and the final norm; its one layer is the number of blocks.
    FinalNorm,
}

impl Site {
    /// The contract's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Residual => "residual",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::FinalNorm => "final-norm",
        }
    }

    /// The layers this site has in a model of `blocks` blocks.
    pub fn layers(self, blocks: u32) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::Residual => 0..=blocks,
            Self::Attention | Self::Mlp => 0..=blocks.saturating_sub(1),
            Self::FinalNorm => blocks..=blocks,
        }
    }
}

/// Which tokens of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// The last token.
    Last,
    /// Every token.
    All,
    /// One row: the mean over all tokens.
    Mean,
    /// These tokens; negative ones count from the end.
    At(Vec<i32>),
}

/// What to keep of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureSpec {
    /// Ascending, without repeats.
    pub layers: Vec<u32>,
    /// Where.
    pub site: Site,
    /// Which tokens.
    pub rows: Rows,
}

/// One prompt to run, and what to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRequest {
    /// What the model reads.
    pub prompt: Prompt,
    /// What to keep.
    pub spec: CaptureSpec,
}

/// One prompt to continue, and what to keep at every step; `spec.rows` is [`Rows::Last`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceRequest {
    /// What the model reads.
    pub prompt: Prompt,
    /// How it chooses tokens.
    pub sampling: Sampling,
    /// What to keep.
    pub spec: CaptureSpec,
}

/// What was kept of one prompt's pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Captured {
    /// The prompt's token ids.
    pub tokens: Vec<u32>,
    /// Rows per layer.
    pub rows: u32,
    /// Numbers per row.
    pub width: u32,
    /// One entry per layer of the specification, in its order: `rows · width` numbers.
    pub layers: Vec<Vec<f32>>,
}

/// How to change a state h.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// h + coefficient · vector
    Add {
        /// As wide as the residual stream.
        vector: Vec<f32>,
        /// Its factor.
        coefficient: f32,
    },
    /// h − coefficient · (h·d) d, d the direction at unit length
    ProjectOut {
        /// As wide as the residual stream, not zero.
        direction: Vec<f32>,
        /// 1 takes all of it out.
        coefficient: f32,
    },
}

/// A change to every token at each of these layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// Layers of the site.
    pub layers: Vec<u32>,
    /// Where.
    pub site: Site,
    /// What happens there.
    pub change: Change,
}

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// As the file names it.
    pub name: String,
    /// Lengths, outermost first.
    pub shape: Vec<u64>,
    /// How its numbers are stored, for example `Q8_0`.
    pub quantisation: String,
}

/// A prompt and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Tokenised with what the model expects around a text (BOS).
    pub prompt: String,
    /// Tokenised by itself without BOS; the loss is taken over its tokens.
    pub response: String,
}

/// Which matrices of each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Modules {
    /// Gate, up and down projection.
    Mlp,
    /// Query, key, value and output projection.
    SelfAttn,
    /// Both.
    All,
}

/// What importance to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportanceRequest {
    /// Each gives one gradient.
    pub examples: Vec<Example>,
    /// Share of each matrix's entries to name, above 0 and at most 1.
    pub fraction: f64,
    /// Which matrices.
    pub modules: Modules,
    /// Leaves out the first token of every response.
    pub drop_first_token: bool,
}

/// The most important entries of one matrix W, by |W| · Σ |∂L/∂W| over the examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixImportance {
    /// The block, from 0.
    pub layer: u32,
    /// Hugging Face's name within the block, for example `mlp.down_proj`.
    pub name: String,
    /// Entries of the matrix.
    pub size: u64,
    /// Whether any example has a gradient here.
    pub has_gradient: bool,
    /// Flat row-major indices of the ⌊fraction · size⌋ most important entries, the most important first, equal ones
    /// ascending.
    pub top: Vec<u64>,
    /// The importance of each of them.
    pub scores: Vec<f32>,
}

/// A reply and what was kept while it came about: row t predicts generated token t.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The reply.
    pub completion: Completion,
    /// One row per step.
    pub captured: Captured,
}
