//! `training` and `treatment` of the contract: changes of a model's matrices, how adapters are trained, and what a
//! treatment comes to.

use serde::{Deserialize, Serialize};

use crate::numbers::{floats, floats_back};
use crate::{Digest, Intervention, Prompt, Summary};

/// A low-rank change of a matrix W of d rows and n columns: W + scale · B · A.
///
/// Matrices go by the name that their file gives them, and the rows of B stand in that file's order; see
/// `sonde_engine`'s `matrices` for how names of GGUF files and Hugging Face folders stand for each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LowRank {
    /// For example `blk.0.attn_output.weight`, or `model.layers.0.self_attn.o_proj.weight`.
    pub matrix: String,
    /// Which of the tensor's matrices, where it holds one for each expert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<u32>,
    /// Rows of A, columns of B; at least 1.
    pub rank: u32,
    /// A, row by row: `rank · n` numbers.
    #[serde(serialize_with = "floats", deserialize_with = "floats_back")]
    pub a: Vec<f32>,
    /// B, row by row: `d · rank` numbers.
    #[serde(serialize_with = "floats", deserialize_with = "floats_back")]
    pub b: Vec<f32>,
    /// Its factor.
    pub scale: f32,
}

impl LowRank {
    /// Length of A's rows, the matrix's columns; `None` where the numbers make no whole matrices.
    pub fn columns(&self) -> Option<usize> {
        Self::side(self.a.len(), self.rank)
    }

    /// Rows of B, the matrix's rows; `None` where the numbers make no whole matrices.
    pub fn rows(&self) -> Option<usize> {
        Self::side(self.b.len(), self.rank)
    }

    fn side(numbers: usize, rank: u32) -> Option<usize> {
        let rank = rank as usize;
        (rank > 0 && numbers > 0 && numbers.is_multiple_of(rank)).then(|| numbers / rank)
    }
}

/// The mean of a matrix's rows, and its Frobenius norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowMean {
    /// As many numbers as the matrix has columns.
    #[serde(serialize_with = "floats", deserialize_with = "floats_back")]
    pub mean: Vec<f32>,
    /// Frobenius norm.
    pub norm: f64,
}

/// What a reply is trained towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Mean cross-entropy of the reply's tokens.
    Say,
    /// Mean over the reply's tokens of KL(untrained ‖ trained) over the whole vocabulary.
    Keep,
}

/// A prompt and a reply to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// What comes before.
    pub prompt: Prompt,
    /// The reply; special tokens in it are recognised, and the token that ends a turn is put after it.
    pub reply: String,
    /// What it is there for.
    pub objective: Objective,
}

/// Which matrices get a trained part (alpha / rank) · B · A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// At least 1.
    pub rank: u32,
    /// Its factor.
    pub alpha: f32,
    /// Share of A's inputs left out at random, from 0 to below 1.
    pub dropout: f32,
    /// `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`: in every block.
    pub modules: Vec<String>,
}

/// How to train: AdamW, linear warm-up, half cosine down to 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// At its highest.
    pub learning_rate: f64,
    /// Share of steps in which the learning rate rises, 0 to 1.
    pub warmup: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// How often each lesson is seen.
    pub epochs: u32,
    /// At most so many steps.
    pub most_steps: Option<u32>,
    /// Lessons per step.
    pub batch: u32,
    /// Longest gradient over all matrices together; 0 leaves it as it is.
    pub clip: f64,
    /// Of order, A and dropout.
    pub seed: u64,
}

/// What to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRequest {
    /// What is learned.
    pub lessons: Vec<Lesson>,
    /// What gets trained.
    pub lora: Lora,
    /// How.
    pub schedule: Schedule,
}

/// A trained adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// One per matrix, block by block.
    pub adapter: Vec<LowRank>,
    /// The loss of each step.
    #[serde(serialize_with = "floats", deserialize_with = "floats_back")]
    pub losses: Vec<f32>,
    /// Tokens computed forward and back.
    pub tokens: u64,
}

/// What a treatment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To be used, kept and exported.
    Safety,
    /// To find out how easily safety can be taken away; never kept.
    RobustnessAudit,
}

impl Purpose {
    /// The contract's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::RobustnessAudit => "robustness-audit",
        }
    }
}

/// What changes in a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Of matrices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<LowRank>,
    /// Of states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Intervention>,
}

/// A text that came about on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// A file name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A treatment and what is said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Derived {
    /// What changes.
    pub changes: Changes,
    /// What for.
    pub purpose: Purpose,
    /// Metrics, figures and remarks.
    pub summary: Summary,
    /// Texts to keep.
    pub documents: Vec<Document>,
}

/// A treatment as a run file keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Treatment {
    /// What for.
    pub purpose: Purpose,
    /// Of the JSON of what changes.
    pub digest: Digest,
    /// What changes; none where the purpose is an audit, whose numbers nobody keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Metrics, figures and remarks.
    pub summary: Summary,
    /// Texts that came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}

impl Treatment {
    /// What is kept of a derived treatment.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn of(derived: Derived) -> Result<Self, serde_json::Error> {
        let Derived { changes, purpose, summary, documents } = derived;
        let digest = Digest::of_json(&changes)?;
        let changes = (purpose == Purpose::Safety).then_some(changes);
        Ok(Self { purpose, digest, changes, summary, documents })
    }
}
