//! States of many prompts at several places, one row each: what most diagnostics begin with.

use crate::{CaptureSpec, Error, Host, HostError, ModelInfo, Prompt, Rows, Site, WhiteBox};

/// Prompts captured in one call: enough to fill the engine's batches, few enough that an interruption loses little.
const AT_ONCE: usize = 64;
/// Prompts that did not fit and are named in a note.
const NAMED: usize = 5;

/// A layer at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub site: Site,
    /// As the site counts them.
    pub layer: u32,
}

impl Place {
    /// An entry of Hugging Face's `hidden_states`: 0 is the embedding, i the output of block i−1, the last one the state
    /// after the final norm.
    ///
    /// # Errors
    /// An index past the last.
    pub fn hidden_state(index: u32, model: &ModelInfo) -> Result<Self, Error> {
        match index {
            index if index < model.layers => Ok(Self { site: Site::Residual, layer: index }),
            index if index == model.layers => Ok(Self { site: Site::FinalNorm, layer: index }),
            index => Err(Error::new(format!(
                "layer {index} does not exist: {} has {} blocks, so `layers` go from 0 (embeddings) to {} (after the \
                 final norm)",
                model.name, model.layers, model.layers
            ))),
        }
    }

    /// The output of a block, which negative numbers count from the last: −1.
    ///
    /// # Errors
    /// A block that is not there.
    pub fn block_output(block: i64, model: &ModelInfo) -> Result<Self, Error> {
        let blocks = i64::from(model.layers);
        let place = if block < 0 { block + blocks } else { block };
        match u32::try_from(place) {
            Ok(place) if place < model.layers => Ok(Self { site: Site::Residual, layer: place + 1 }),
            _ => Err(Error::new(format!(
                "block {block} does not exist: {} has the blocks 0 to {}, or −{blocks} to −1 counted from the last",
                model.name,
                blocks - 1
            ))),
        }
    }
}

/// One row per prompt at each place.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// The prompts that were read, by their place in the list, ascending.
    pub kept: Vec<usize>,
    /// Those that do not fit into the context, and why.
    pub left_out: Vec<(usize, Error)>,
    /// For each place, in the order asked for: one vector per kept prompt.
    pub layers: Vec<Vec<Vec<f32>>>,
}

impl States {
    /// Reads one row (the last, or the mean) of each prompt at each place. Prompts that do not fit into the context are
    /// left out; [`States::note`] says so.
    ///
    /// # Errors
    /// Any other host error, with the number of the prompt.
    pub fn read<H: Host<Model: WhiteBox>>(
        host: &H,
        model: &H::Model,
        prompts: &[Prompt],
        places: &[Place],
        rows: &Rows,
    ) -> Result<Self, Error> {
        let mut read =
            Self { layers: vec![Vec::with_capacity(prompts.len()); places.len()], ..Self::default() };
        let total = u64::try_from(prompts.len()).unwrap_or(u64::MAX);
        for (chunk, prompts) in prompts.chunks(AT_ONCE).enumerate() {
            let first = chunk * AT_ONCE;
            host.progress(u64::try_from(first).unwrap_or(total), total, "prompts read");
            let mut rows_of: Vec<Vec<Option<Vec<f32>>>> = vec![vec![None; places.len()]; prompts.len()];
            let mut refused: Vec<Option<Error>> = prompts.iter().map(|_| None).collect();
            for site in sites(places) {
                let layers = places.iter().filter(|place| place.site == site).map(|place| place.layer);
                let spec = CaptureSpec::new(site, layers).rows(rows.clone());
                for (at, captured) in model.capture(prompts, &spec).into_iter().enumerate() {
                    let captured = match captured {
                        Ok(captured) => captured,
                        Err(error @ HostError::ContextOverflow(_)) => {
                            if let Some(refused) = refused.get_mut(at) {
                                *refused = Some(error.into());
                            }
                            continue;
                        }
                        Err(error) => return Err(Error::from(error).during(&format!("row {}", first + at))),
                    };
                    for (place, row) in places.iter().zip(rows_of.get_mut(at).into_iter().flatten()) {
                        if place.site == site {
                            *row = Some(captured.row(place.layer, 0)?);
                        }
                    }
                }
            }
            for (at, (rows, refused)) in rows_of.into_iter().zip(refused).enumerate() {
                if let Some(error) = refused {
                    read.left_out.push((first + at, error));
                    continue;
                }
                read.kept.push(first + at);
                for (layer, row) in read.layers.iter_mut().zip(rows) {
                    layer.push(row.ok_or("the host did not answer for every prompt")?);
                }
            }
        }
        host.progress(total, total, "prompts read");
        Ok(read)
    }

    /// What a reader must know of prompts that were left out.
    pub fn note(&self) -> Option<String> {
        let (_, why) = self.left_out.first()?;
        let rows: Vec<_> = self.left_out.iter().take(NAMED).map(|(row, _)| row.to_string()).collect();
        let more = if self.left_out.len() > NAMED { ", …" } else { "" };
        Some(format!(
            "{} of {} rows are left out, because they do not fit into the context (rows {}{more}, counted from 0): {why}",
            self.left_out.len(),
            self.left_out.len() + self.kept.len(),
            rows.join(", ")
        ))
    }
}

fn sites(places: &[Place]) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for place in places {
        if !sites.contains(&place.site) {
            sites.push(place.site);
        }
    }
    sites
}
