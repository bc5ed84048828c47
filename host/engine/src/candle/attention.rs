//! Attention of one sequence, there and back. Nothing of its way there is kept but queries, keys and values: the weights,
//! a number per head and pair of tokens, are computed again.

use candle_core::{Result, Tensor};

use super::description::Description;
use super::operations::{cap, cap_back, scaled, softmax, softmax_back};
use super::positions::Positions;

/// Queries `[heads, tokens, width]`, keys and values `[key heads, all, width]` of a sequence, positions turned.
pub(crate) struct Attention<'a> {
    pub about: &'a Description,
    pub queries: Tensor,
    pub keys: Tensor,
    pub values: Tensor,
    pub positions: &'a Positions,
    pub slides: bool,
}

/// What each token looks at, heads that share a key head as rows of one product.
struct Weights {
    /// `[key heads, heads · tokens / key heads, width]`, scaled
    queries: Tensor,
    /// `[key heads, heads · tokens / key heads, all]`
    capped: Tensor,
    weights: Tensor,
}

impl Attention<'_> {
    fn weights(&self) -> Result<Weights> {
        let (heads, tokens, width) = self.queries.dims3()?;
        let key_heads = self.keys.dim(0)?;
        let together = heads * tokens / key_heads;
        let queries =
            scaled(&self.queries, self.about.attention_scale)?.reshape((key_heads, together, width))?;
        let capped = cap(queries.matmul(&self.keys.transpose(1, 2)?)?, self.about.attention_cap)?;
        let weights = softmax(&capped, |row| self.positions.sees(self.slides, row % tokens))?;
        Ok(Weights { queries, capped, weights })
    }

    /// The values as each token sees them, `[tokens, heads · width]`.
    pub(crate) fn mixed(&self) -> Result<Tensor> {
        let (heads, tokens, width) = self.queries.dims3()?;
        let mixed = self.weights()?.weights.matmul(&self.values)?.reshape((heads, tokens, width))?;
        mixed.transpose(0, 1)?.reshape((tokens, heads * width))
    }

    /// The gradients at queries, keys and values `[tokens, heads, width]`.
    pub(crate) fn back(&self, gradient: &Tensor) -> Result<[Tensor; 3]> {
        let (heads, tokens, width) = self.queries.dims3()?;
        let (key_heads, together) = (self.keys.dim(0)?, heads * tokens / self.keys.dim(0)?);
        let Weights { queries, capped, weights } = self.weights()?;
        let gradient = gradient.reshape((tokens, heads, width))?.transpose(0, 1)?.contiguous()?;
        let gradient = gradient.reshape((key_heads, together, width))?;
        let of_values = weights.transpose(1, 2)?.matmul(&gradient)?;
        let of_weights = gradient.matmul(&self.values.transpose(1, 2)?)?;
        let of_scores = cap_back(&capped, self.about.attention_cap, softmax_back(&weights, &of_weights)?)?;
        let of_queries = scaled(&of_scores.matmul(&self.keys)?, self.about.attention_scale)?;
        let of_keys = of_scores.transpose(1, 2)?.matmul(&queries)?;
        let of_queries = of_queries.reshape((heads, tokens, width))?;
        let tokens_first = |gradient: Tensor| gradient.transpose(0, 1)?.contiguous();
        Ok([tokens_first(of_queries)?, tokens_first(of_keys)?, tokens_first(of_values)?])
    }
}
