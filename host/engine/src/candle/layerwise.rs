//! Importance with one pass per layer and example, gradients for that layer's weights only, logits
//! at every position: DeepScan's way.
//!
//! The bench measures the one pass for all layers against it, and a test shows that both find the same.

use std::path::Path;

use sonde_contract::{HostError, ImportanceRequest, MatrixImportance};

use super::importance::Logits;
use super::{CandleEngine, importance};
use crate::{OpenError, OpenOptions};

/// A model opened to be measured.
pub struct LayerByLayer(CandleEngine);

impl LayerByLayer {
    /// Opens a model.
    ///
    /// # Errors
    /// As [`crate::open_candle`].
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        CandleEngine::open(path, options).map(Self)
    }

    /// What [`crate::Model::importance`] returns, computed layer by layer.
    ///
    /// # Errors
    /// As [`crate::Model::importance`].
    pub async fn importance(&self, request: ImportanceRequest) -> Result<Vec<MatrixImportance>, HostError> {
        let sequences = importance::sequences(&self.0.model.prompts, &self.0.model.info, &request)?;
        let job = move |work: &super::Work| {
            let places = importance::places(work.transformer, request.modules);
            let mut all = Vec::new();
            for of_block in places.chunk_by(|a, b| a.0 == b.0) {
                let fraction = request.fraction;
                all.extend(importance::importance(work, &sequences, of_block, fraction, Logits::Everywhere)?);
            }
            Ok(all)
        };
        self.0.ask(job).await
    }
}
