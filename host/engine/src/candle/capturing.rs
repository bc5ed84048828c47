//! Captures: a pass that ends at the deepest layer asked for and gives its rows straight to their reduction.

use sonde_contract::{CaptureSpec, Captured, HostError};

use super::prompts::ids;
use super::transformer::{Pass, Seen};
use super::work::{Counters, Work};
use crate::inside::Reduction;

/// Runs a prompt; the specification has been checked.
pub(crate) fn capture(work: &Work, prompt: &[i32], spec: &CaptureSpec) -> Result<Captured, HostError> {
    let tokens = ids(prompt);
    let width = work.info.width as usize;
    let mut reduction = Reduction::new(spec, tokens.clone(), width)?;
    let mut tap = |seen: Seen| {
        let layer = |layer: &u32| *layer as usize == seen.layer;
        let Some(place) = spec.layers.iter().position(layer).filter(|_| seen.site == spec.site) else {
            return Ok(());
        };
        let rows = seen.first..seen.first + seen.state.dim(0)?;
        if !rows.clone().any(|token| reduction.wants(token)) {
            return Ok(());
        }
        let numbers: Vec<f32> = seen.state.flatten_all()?.to_vec1()?;
        for (token, row) in rows.zip(numbers.chunks_exact(width)) {
            if reduction.wants(token) {
                reduction.take(place, token, row);
            }
        }
        Ok(())
    };
    let deepest = spec.layers.last().map(|layer| (spec.site, *layer as usize));
    let mut pass = Pass::watched(work.changes, &mut tap);
    pass.stop = deepest;
    Counters::add(&work.counters.prompt, tokens.len());
    work.read(&tokens, &mut work.cache(), &mut pass)?;
    Ok(reduction.finish())
}
