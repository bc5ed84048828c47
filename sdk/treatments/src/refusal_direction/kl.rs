//! How far a change moves the model on prompts that it should leave alone.

use super::Error;

/// Stands beside every probability under the logarithm, as in the published code: a token that one distribution rules
/// out counts little instead of without bound.
pub const KL_FLOOR: f64 = 1e-6;

/// Σ_v p_v (ln(p_v + 1e-6) − ln(q_v + 1e-6)) over the vocabulary, with p the unmodified model's next-token probabilities
/// and q the changed one's. In nats; at least 0 but for the floor's small bias.
///
/// # Errors
/// Distributions over vocabularies of unequal size.
pub fn kl_divergence(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    if p.len() != q.len() {
        let what = "probabilities of the changed model";
        return Err(Error::Length { what, found: q.len(), expected: p.len() });
    }
    Ok(p.iter().zip(q).map(|(p, q)| term(*p, *q)).sum())
}

/// One token's part.
pub(super) fn term(p: f64, q: f64) -> f64 {
    p * ((p + KL_FLOOR).ln() - (q + KL_FLOOR).ln())
}
