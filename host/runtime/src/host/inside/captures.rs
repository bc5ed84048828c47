//! Captures that the services hold for a guest: what they may come to, what they came to, and their release.

use std::sync::Arc;

use sonde_contract::{CaptureSpec, HostError, ModelInfo, Prompt, Rows};
use wasmtime::component::Resource;

use crate::bindings::types;
use crate::convert;
use crate::host::Host;
use crate::limits::LimitReached;
use crate::services::{Kept, ModelRef, Services};

/// A capture that the services hold for a guest. Released when the guest drops it, or with the store.
pub struct OpenCapture {
    services: Arc<dyn Services>,
    kept: Kept,
    layers: Arc<[u32]>,
    /// Bytes that it counts for.
    held: usize,
}

impl OpenCapture {
    /// Answers for a capture from now on: whatever becomes of it, it will be released.
    pub(super) fn new(services: &Arc<dyn Services>, promise: &Promise, kept: Kept) -> Self {
        let layers = Arc::clone(&promise.layers);
        let held = bytes(layers.len(), kept.rows, kept.width, kept.tokens.len());
        Self { services: Arc::clone(services), kept, layers, held }
    }

    pub(super) fn id(&self) -> u64 {
        self.kept.id
    }

    pub(super) fn rows(&self) -> u32 {
        self.kept.rows
    }

    pub(super) fn width(&self) -> u32 {
        self.kept.width
    }

    pub(super) fn tokens(&self) -> &[u32] {
        &self.kept.tokens
    }

    /// Whether it has these rows, or why they cannot be read.
    pub(super) fn has(&self, layer: u32, first: u32, rows: u32) -> Result<(), HostError> {
        if !self.layers.contains(&layer) {
            let layers = self.layers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(HostError::InvalidArgument(format!(
                "layer {layer} was not captured; this capture has layer {layers}"
            )));
        }
        if u64::from(first) + u64::from(rows) > u64::from(self.kept.rows) {
            return Err(HostError::InvalidArgument(format!(
                "{rows} rows from row {first} on do not exist; this capture has {} per layer",
                self.kept.rows
            )));
        }
        Ok(())
    }
}

impl Drop for OpenCapture {
    fn drop(&mut self) {
        self.services.release_capture(self.kept.id);
    }
}

/// What the captures of one call will have, as far as that is known before the pass.
pub(super) struct Promise {
    layers: Arc<[u32]>,
    rows: Promised,
}

enum Promised {
    Exactly(u32),
    /// One per token of the prompt.
    AllTokens,
    /// One per step of a reply.
    AtMost(u32),
}

impl Promise {
    pub(super) fn of(spec: &CaptureSpec) -> Self {
        let rows = match &spec.rows {
            Rows::Last | Rows::Mean => Promised::Exactly(1),
            Rows::At(rows) => Promised::Exactly(u32::try_from(rows.len()).unwrap_or(u32::MAX)),
            Rows::All => Promised::AllTokens,
        };
        Self { layers: spec.layers.as_slice().into(), rows }
    }

    /// A reply of at most so many tokens has one row for each and one for its end.
    pub(super) fn of_steps(spec: &CaptureSpec, tokens: u32) -> Self {
        let rows = Promised::AtMost(tokens.saturating_add(1));
        Self { layers: spec.layers.as_slice().into(), rows }
    }

    /// Whether what was kept is what was asked for.
    fn check(&self, kept: &Kept, info: &ModelInfo) -> Result<(), HostError> {
        let tokens = u32::try_from(kept.tokens.len()).unwrap_or(u32::MAX);
        let rows_fit = match self.rows {
            Promised::Exactly(rows) => kept.rows == rows,
            Promised::AllTokens => kept.rows == tokens,
            Promised::AtMost(rows) => (1..=rows).contains(&kept.rows),
        };
        if rows_fit && kept.width == info.width && (1..=info.context).contains(&tokens) {
            return Ok(());
        }
        Err(HostError::Engine(format!(
            "a capture of {tokens} tokens came back with {} rows of {} numbers, which is not what was asked for",
            kept.rows, kept.width
        )))
    }
}

/// Bytes of rows of f32 at each layer, and of token ids.
pub(super) fn bytes(layers: usize, rows: u32, width: u32, tokens: usize) -> usize {
    let row = (width as usize).saturating_mul(size_of::<f32>());
    let rows = row.saturating_mul(rows as usize).saturating_mul(layers);
    rows.saturating_add(tokens.saturating_mul(size_of::<u32>()))
}

impl Host {
    /// Whether the guest may come to hold so much more.
    pub(in crate::host) fn room_for(&self, captures: usize, bytes: usize) -> Result<(), LimitReached> {
        if captures > self.limits.captures.saturating_sub(self.captures) as usize {
            return Err(LimitReached::Captures { captures: self.limits.captures });
        }
        if bytes > self.limits.captured_bytes().saturating_sub(self.held) {
            return Err(LimitReached::Captured { mib: self.limits.captured_mib });
        }
        Ok(())
    }

    /// Bytes that captures of these prompts could come to. A prompt's tokens are counted only where its rows are.
    pub(super) async fn could_hold(
        &mut self,
        services: &Arc<dyn Services>,
        model: &ModelRef,
        info: &ModelInfo,
        prompts: &[Prompt],
        promise: &Promise,
    ) -> usize {
        let layers = promise.layers.len();
        let (Promised::Exactly(rows) | Promised::AtMost(rows)) = promise.rows else {
            let mut total = 0_usize;
            for prompt in prompts {
                // A prompt that cannot be counted cannot be captured either, and the capture says why.
                let counted = self.waiting(services.count_tokens(model, prompt.clone())).await;
                let tokens = counted.unwrap_or(0).min(info.context);
                total = total.saturating_add(bytes(layers, tokens, info.width, tokens as usize));
            }
            return total;
        };
        bytes(layers, rows, info.width, 0).saturating_mul(prompts.len())
    }

    /// Takes a capture into the guest's table. One that is refused is released at once.
    pub(super) fn hand_capture(
        &mut self,
        info: &ModelInfo,
        promise: &Promise,
        answer: Result<OpenCapture, HostError>,
    ) -> wasmtime::Result<Result<Resource<OpenCapture>, types::Error>> {
        match answer.and_then(|capture| promise.check(&capture.kept, info).map(|()| capture)) {
            Ok(capture) => {
                self.room_for(1, capture.held)?;
                self.captures = self.captures.saturating_add(1);
                self.held = self.held.saturating_add(capture.held);
                Ok(Ok(self.handles.push(capture)?))
            }
            Err(error) => Ok(Err(convert::host_error(error))),
        }
    }

    /// Gives up a capture.
    pub(super) fn release(&mut self, capture: Resource<OpenCapture>) -> wasmtime::Result<()> {
        let capture = self.handles.delete(capture)?;
        self.captures = self.captures.saturating_sub(1);
        self.held = self.held.saturating_sub(capture.held);
        self.paused(|| drop(capture));
        Ok(())
    }
}
