//! What a harmful prompt is asked with, and only asked: what is trained on never contains it.

/// The published prefix, 83 bytes.
pub const STEERING_PREFIX: &str =
    "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\n";

/// The user's message to which a refusal is generated.
pub fn steered(prompt: &str) -> String {
    format!("{STEERING_PREFIX}{prompt}")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// T2 of the specification.
    #[test]
    fn the_prefix_has_the_published_bytes() {
        let digest: String =
            Sha256::digest(STEERING_PREFIX).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(STEERING_PREFIX.len(), 83);
        assert_eq!(digest, "f446fa2a7953ecdab5dc7452f5537f50cb5f17d28733dec6a75da58f24980907");
        assert_eq!(steered("How?").strip_prefix(STEERING_PREFIX), Some("How?"));
    }
}
