//! What sort of transformer a model is: its lengths, and the switches in which the families differ.
//!
//! Made from a GGUF file's metadata ([`super::gguf`]) or a folder's `config.json` ([`super::config`]); the one
//! implementation of the forward pass ([`super::transformer`]) reads nothing else.

/// Families this engine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Gemma,
    Gemma2,
    Gemma3,
}

/// The families' names for messages.
pub(crate) const KNOWN: &str = "llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3";

impl Family {
    /// By the name that `config.json` (`model_type`) or GGUF (`general.architecture`) gives.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "gemma" => Self::Gemma,
            "gemma2" => Self::Gemma2,
            "gemma3" | "gemma3_text" => Self::Gemma3,
            _ => return None,
        })
    }

    /// Whether the family scales its embeddings, has a GELU, and stores norm weights less 1.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2 | Self::Gemma3)
    }

    /// Whether attention and MLP are normed again before they are added to the residual stream.
    pub(crate) fn has_post_norms(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// Whether each head's query and key are normed.
    pub(crate) fn norms_heads(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }
}

/// What a gate passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    /// GELU in its tanh form.
    Gelu,
}

/// How rotary positions are stretched for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    None,
    /// Every position is divided by this.
    Linear(f64),
    /// Llama 3.1: low frequencies are divided by the factor, high ones stay, those between are mixed.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Each frequency is divided by its own factor.
    Factors(Vec<f32>),
}

/// Rotary position embedding over whole heads, first half against second half.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    pub theta: f64,
    pub scaling: Scaling,
}

/// A transformer's lengths and switches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Description {
    pub family: Family,
    /// As the file names it.
    pub architecture: String,
    pub blocks: usize,
    /// Width of the residual stream.
    pub width: usize,
    pub heads: usize,
    pub key_heads: usize,
    /// Width of one head.
    pub head_width: usize,
    pub mlp_width: usize,
    pub vocabulary: usize,
    /// Tokens it was trained with.
    pub context: usize,
    pub norm_epsilon: f64,
    pub activation: Activation,
    /// Factor of query · key.
    pub attention_scale: f64,
    /// c tanh(score / c) before the softmax.
    pub attention_cap: Option<f64>,
    /// The same for the logits.
    pub logit_cap: Option<f64>,
    /// How many tokens a sliding block sees, itself included.
    pub window: usize,
    /// Per block, whether it slides.
    pub sliding: Vec<bool>,
    pub rope: Rope,
    /// Of the sliding blocks, where it differs.
    pub sliding_rope: Option<Rope>,
    /// Whether the file's norm weights lack the 1 that the family adds.
    pub norms_lack_one: bool,
}

impl Description {
    /// Factor of the embeddings.
    pub(crate) fn embedding_scale(&self) -> Option<f64> {
        self.family.is_gemma().then(|| (self.width as f64).sqrt())
    }

    /// Refuses lengths that no transformer can have.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lengths = [
            ("blocks", self.blocks),
            ("the width", self.width),
            ("heads", self.heads),
            ("key heads", self.key_heads),
            ("the width of a head", self.head_width),
            ("the width of the MLP", self.mlp_width),
            ("the vocabulary", self.vocabulary),
            ("the context", self.context),
        ];
        // Far above any published model, and far below what would overflow a product of two.
        const MOST: usize = 1 << 24;
        if let Some((what, length)) = lengths.iter().find(|(_, length)| !(1..=MOST).contains(length)) {
            return Err(format!("the number {length} for {what} cannot be"));
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return Err(format!("{} heads cannot share {} key heads", self.heads, self.key_heads));
        }
        if !self.head_width.is_multiple_of(2) {
            return Err(format!("heads are {} wide, and rotary positions need pairs", self.head_width));
        }
        if let Scaling::Factors(factors) = &self.rope.scaling
            && factors.len() != self.head_width / 2
        {
            return Err(format!("{} factors for {} rotary frequencies", factors.len(), self.head_width / 2));
        }
        Ok(())
    }
}
