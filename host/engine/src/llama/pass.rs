//! One pass through the model that is watched: states are changed and read at their nodes while it runs.
//!
//! [`Watched`] belongs to a context that can be watched; the workers decode through it. What is read goes straight to
//! those who asked, row by row, and nothing else is kept. A capture at a place where something changes gets the state
//! after the change.

use std::collections::BTreeMap;
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use sonde_contract::{CaptureSpec, HostError, Intervention, ModelInfo, Site};

use super::changes::Changes;
use super::ffi::{Batch, Context, ContextOptions, DecodeError, Node, Watch};
use super::ffi_adapter::Adapter;
use super::graph::{Collector, Place, Plan};
use crate::inside::Reduction;

/// Takes the rows of one request.
pub(crate) trait Keep: Send {
    /// The state of a token at the layer with this number in the request's list.
    fn keep(&mut self, layer: usize, token: usize, row: &[f32]);
}

impl Keep for Reduction {
    fn keep(&mut self, layer: usize, token: usize, row: &[f32]) {
        self.take(layer, token, row);
    }
}

/// A request whose tokens are in the batch.
pub(crate) struct Taker<'a> {
    pub site: Site,
    pub layers: &'a [u32],
    /// Row of the batch, and which token of the request it is.
    pub rows: Vec<(usize, usize)>,
    pub into: &'a mut dyn Keep,
}

/// What a watched context knows of its graphs, and what changes in them.
pub(crate) struct Watched {
    /// For several tokens and for one alone: some architectures build these differently.
    plans: [Plan; 2],
    changes: Changes,
    width: usize,
}

impl Watched {
    /// Makes a context with these changes in force.
    ///
    /// # Errors
    /// What llama.cpp says, or that the architecture does not show a place at which something is to change.
    pub(crate) fn new(
        model: &Arc<LlamaModel>,
        options: ContextOptions,
        adapter: Option<Arc<Adapter>>,
        interventions: &[Intervention],
        info: &ModelInfo,
    ) -> Result<(Context, Self), HostError> {
        let engine = |reason: String| {
            HostError::Engine(format!("no context to look inside {} could be made: {reason}", info.name))
        };
        let options = ContextOptions { watched: true, ..options };
        // Before the graph is looked at, to which the adapter adds nodes.
        let mut context = Context::with_adapter(Arc::clone(model), options, adapter).map_err(engine)?;
        let width = info.width as usize;
        let mut changes = Changes::new(interventions);
        let mut plans = None;
        let mut by_callback = changes.clone();
        if let Some(vector) = by_callback.take_control_vector(info.layers, width)
            && context.set_control_vector(&vector.rows, width, vector.blocks.0, vector.blocks.1)
        {
            let found = plan(&mut context, info)?;
            let steers =
                |plan: &Plan| (vector.blocks.0..=vector.blocks.1).all(|block| plan.steered.contains(&block));
            if found.iter().all(steers) {
                changes = by_callback;
                plans = Some(found);
            } else {
                // An architecture without control vectors ignores them; the callback adds instead.
                context.clear_control_vector();
            }
        }
        let plans = match plans {
            Some(plans) => plans,
            None => plan(&mut context, info)?,
        };
        let watched = Self { plans, changes, width };
        for (site, layer) in watched.changes.places() {
            watched.shows(site, layer, info)?;
        }
        Ok((context, watched))
    }

    /// Refuses what this architecture's graph does not show.
    pub(crate) fn check(&self, spec: &CaptureSpec, info: &ModelInfo) -> Result<(), HostError> {
        spec.layers.iter().try_for_each(|layer| self.shows(spec.site, *layer, info))
    }

    fn shows(&self, site: Site, layer: u32, info: &ModelInfo) -> Result<(), HostError> {
        if self.plans.iter().all(|plan| plan.place(site, layer).is_some()) {
            return Ok(());
        }
        Err(HostError::Unsupported(format!(
            "llama.cpp's graph of {} (architecture {}) has no node that is the site \"{}\" at layer {layer}; try the site \
             \"residual\", or open the model with `engine: candle`",
            info.name,
            info.architecture,
            site.as_str()
        )))
    }

    /// Whether the rows of this layer are there only for tokens that ask for logits.
    pub(crate) fn needs_outputs(&self, spec: &CaptureSpec) -> bool {
        let limited = |layer: &u32| self.plans[0].place(spec.site, *layer).is_some_and(|place| place.limited);
        spec.layers.iter().any(limited)
    }

    /// Runs a batch. Without `to_the_end` the pass ends at the last node that somebody takes. Returns how many nodes of
    /// the graph were reached.
    pub(crate) fn decode(
        &self,
        context: &mut Context,
        batch: &mut Batch,
        takers: Vec<Taker<'_>>,
        to_the_end: bool,
    ) -> Result<usize, DecodeError> {
        let plan = if batch.len() == 1 { &self.plans[1] } else { &self.plans[0] };
        let mut wanted: BTreeMap<usize, Wanted<'_>> = BTreeMap::new();
        let taking = takers.iter().filter(|taker| !taker.rows.is_empty());
        let places = taking.flat_map(|taker| taker.layers.iter().map(|layer| (taker.site, *layer)));
        for place in places.chain(self.changes.places()) {
            let Some(node) = plan.place(place.0, place.1) else { continue };
            let entry = wanted.entry(node.index).or_insert(Wanted { place: node, places: Vec::new() });
            if !entry.places.contains(&place) {
                entry.places.push(place);
            }
        }
        let last = takers
            .iter()
            .flat_map(|taker| taker.layers.iter().filter_map(|layer| plan.place(taker.site, *layer)))
            .max_by_key(|place| place.index)
            .filter(|_| !to_the_end);
        if let Some(last) = last {
            // Also where no row is taken: the keys and values up to here are what later batches need.
            wanted.entry(last.index).or_insert(Wanted { place: last, places: Vec::new() });
        }
        let mut pass = Pass {
            wanted,
            stop: last.map(|place| place.index),
            changes: &self.changes,
            width: self.width,
            batch_rows: batch.len(),
            outputs: batch.outputs(),
            takers,
            asked: 0,
            stopped: false,
            numbers: Vec::new(),
            wrong: None,
        };
        context.decode_watched(batch, &mut pass)?;
        let Pass { asked, stopped, wrong, .. } = pass;
        match wrong {
            Some(what) => Err(DecodeError::Unwatched(what)),
            None if !stopped && asked != plan.nodes => Err(DecodeError::Unwatched(format!(
                "llama.cpp built a graph of {asked} nodes where it had built one of {}",
                plan.nodes
            ))),
            None => Ok(asked),
        }
    }
}

/// Decodes a few tokens to see the graphs, and forgets them.
fn plan(context: &mut Context, info: &ModelInfo) -> Result<[Plan; 2], HostError> {
    let mut plans = [Plan::default(), Plan::default()];
    for (plan, tokens) in plans.iter_mut().zip([3, 1]) {
        let mut batch = Batch::default();
        for position in 0..tokens {
            batch.push(0, position, 0, position + 1 == tokens);
        }
        let mut collector = Collector::default();
        let decoded = context.decode_watched(&mut batch, &mut collector);
        context.clear();
        decoded.map_err(|error| {
            HostError::Engine(format!("the first pass to look inside {} failed: {error:?}", info.name))
        })?;
        *plan = Plan::new(&collector.records(), info.layers, info.width as usize);
    }
    Ok(plans)
}

struct Wanted<'a> {
    place: &'a Place,
    places: Vec<(Site, u32)>,
}

/// See the module's header.
struct Pass<'plan, 'takers> {
    /// By the node's number.
    wanted: BTreeMap<usize, Wanted<'plan>>,
    /// The node at which the pass ends.
    stop: Option<usize>,
    changes: &'plan Changes,
    width: usize,
    batch_rows: usize,
    /// Rows of the batch that asked for logits.
    outputs: Vec<usize>,
    takers: Vec<Taker<'takers>>,
    /// Nodes asked about so far.
    asked: usize,
    stopped: bool,
    numbers: Vec<f32>,
    wrong: Option<String>,
}

impl Watch for Pass<'_, '_> {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        // After the end other devices may still have a part of the graph to compute.
        if self.stopped || self.wrong.is_some() {
            return false;
        }
        let wanted = self.wanted.get(&self.asked);
        self.asked += 1;
        if let Some(wanted) = wanted
            && !wanted.place.is(node)
        {
            self.wrong = Some(format!(
                "llama.cpp built a graph with {} where {} had been",
                node.name(),
                wanted.place.name
            ));
            return false;
        }
        wanted.is_some()
    }

    fn computed(&mut self, node: &mut Node<'_>) -> bool {
        let index = self.asked.saturating_sub(1);
        if let Err(what) = self.look(index, node) {
            self.wrong = Some(what);
            return false;
        }
        self.stopped = self.stop == Some(index);
        !self.stopped
    }
}

impl Pass<'_, '_> {
    fn look(&mut self, index: usize, node: &mut Node<'_>) -> Result<(), String> {
        let Some(Wanted { place, places }) = self.wanted.get(&index) else { return Ok(()) };
        let name = &place.name;
        if places.is_empty() {
            return Ok(());
        }
        if !node.read(&mut self.numbers) || node.width() != self.width {
            return Err(format!("the node {name} does not hold f32 rows of the residual stream's width"));
        }
        let rows = node.rows();
        let limited = rows != self.batch_rows;
        if limited && rows != self.outputs.len() {
            return Err(format!("the node {name} has {rows} rows for a batch of {}", self.batch_rows));
        }
        for (site, layer) in places {
            if self.changes.has((*site, *layer)) {
                self.changes.apply((*site, *layer), &mut self.numbers, self.width);
                if !node.write(&self.numbers) {
                    return Err(format!("the node {name} cannot be changed"));
                }
            }
            for taker in self.takers.iter_mut().filter(|taker| taker.site == *site) {
                let Ok(number) = taker.layers.binary_search(layer) else { continue };
                for (row, token) in &taker.rows {
                    let row = if limited { self.outputs.binary_search(row).ok() } else { Some(*row) };
                    let first = row.map(|row| row * self.width);
                    if let Some(state) = first.and_then(|first| self.numbers.get(first..first + self.width)) {
                        taker.into.keep(number, *token, state);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sonde_contract::{Change, Rows};

    use super::super::opening;
    use super::*;
    use crate::OpenOptions;

    const WREN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");

    fn watched(interventions: &[Intervention]) -> (Context, Watched, ModelInfo) {
        let options =
            OpenOptions { context: Some(64), slots: Some(1), threads: Some(1), ..OpenOptions::default() };
        let loaded = opening::load(std::path::Path::new(WREN), &options).unwrap();
        let options = ContextOptions {
            cells: 64,
            batch: 64,
            outputs: 64,
            sequences: 1,
            threads: 1,
            precision: loaded.options.precision,
            watched: true,
        };
        let (context, watched) =
            Watched::new(&loaded.model, options, None, interventions, &loaded.info).unwrap();
        (context, watched, loaded.info.clone())
    }

    #[test]
    fn a_pass_ends_at_the_deepest_layer_taken() {
        let (mut context, watched, _) = watched(&[]);
        let mut reached = Vec::new();
        for layer in [0, 1, 3, 6] {
            let spec = CaptureSpec { layers: vec![layer], site: Site::Residual, rows: Rows::All };
            let mut reduction = Reduction::new(&spec, vec![1, 2, 3], watched.width).unwrap();
            let mut batch = Batch::default();
            let rows = (0..3).map(|token| (batch.push(5, token, 0, true), token)).collect();
            let taker = Taker { site: spec.site, layers: &spec.layers, rows, into: &mut reduction };
            reached.push(watched.decode(&mut context, &mut batch, vec![taker], false).unwrap());
            context.clear();
        }
        assert!(reached.is_sorted_by(|a, b| a < b), "{reached:?}");
        let [embedding, first, half, whole] = reached.try_into().unwrap();
        // Only the final norm and the output matrix come after the last block.
        assert!(watched.plans[0].nodes - whole < 8 && embedding < 8);
        // Six equal blocks.
        assert!(first < whole / 5 && half > whole * 2 / 5 && half < whole * 3 / 5);
    }

    #[test]
    fn vectors_to_add_are_left_to_llama_cpp_where_it_can() {
        let (.., info) = watched(&[]);
        let add = |layers: &[u32]| Intervention {
            layers: layers.to_vec(),
            site: Site::Residual,
            change: Change::Add { vector: vec![1.0; info.width as usize], coefficient: 1.0 },
        };
        let (_, steered, _) = watched(&[add(&[2, 4, 6])]);
        assert_eq!(steered.changes.places().count(), 0);
        assert_eq!(steered.plans[0].steered, [1, 2, 3, 4, 5]);
        let (_, first, _) = watched(&[add(&[0, 1, 2])]);
        assert_eq!(first.changes.places().map(|(_, layer)| layer).collect::<Vec<_>>(), [0, 1]);
    }
}
