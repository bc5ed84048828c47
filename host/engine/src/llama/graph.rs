//! Where in llama.cpp's graph the contract's sites are.
//!
//! llama.cpp names the output of block i `l_out-i` and the state after the final norm `result_norm` in every
//! architecture that takes part in the evaluation callback; those names are the whole table. What a block's attention and
//! MLP *add* has no common name (`attn_out`, `kqv_out` before or after the output projection, `attn_post_norm`,
//! `ffn_out`, `ffn_moe_out`, or nothing at all, as the attention of Qwen 3), and a name does not say whether a norm, a
//! scale or a shared expert still follows. So those places are read from the graph itself: the block's output is a sum
//! that leads back to the block's input, and the addends beside that path are what the block adds. An addend that rests
//! on the block's `ffn_*` weights is the MLP's, one that rests on its `attn_*` (or recurrent) weights the attention's.
//! That holds for serial and parallel blocks, with norms before or after, dense and mixture-of-experts. The embedding is
//! where the path of block 0 ends: after scaling, position embeddings and norms of the embedding.
//!
//! [`Collector`] records a graph once when a context is made; [`Plan`] keeps each place's number in the order in which
//! llama.cpp asks. [`super::pass`] counts along and compares names and weights, so that a graph built otherwise is noticed.

use std::collections::HashMap;

use sonde_contract::Site;

use super::ffi::{Node, Operation, Watch};

/// A node, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub name: String,
    pub operation: Operation,
    pub sources: Vec<Source>,
    pub width: usize,
    pub rows: usize,
}

/// What a node is computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Another node, by its place in the list.
    Node(usize),
    /// A weight, an input or a cache, by name.
    Leaf(String),
}

/// Records every node of a pass and asks for none.
#[derive(Default)]
pub(crate) struct Collector {
    records: Vec<Record>,
    places: HashMap<usize, usize>,
}

impl Collector {
    pub(crate) fn records(self) -> Vec<Record> {
        self.records
    }

    fn source(&self, node: &Node<'_>) -> Source {
        if let Some(place) = self.places.get(&node.address()) {
            return Source::Node(*place);
        }
        // Between devices a node is handed on as a copy named "device#name#number".
        let name = node.name();
        let copied = name.split('#').nth(1);
        let place = copied.and_then(|copied| self.records.iter().rposition(|record| record.name == copied));
        place.map_or(Source::Leaf(name), Source::Node)
    }
}

impl Watch for Collector {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        let sources = node.sources().map(|source| self.source(&source)).collect();
        self.places.insert(node.address(), self.records.len());
        self.records.push(Record {
            name: node.name(),
            operation: node.operation(),
            sources,
            width: node.width(),
            rows: node.rows(),
        });
        false
    }

    fn computed(&mut self, _: &mut Node<'_>) -> bool {
        true
    }
}

/// A place in a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The node's number in the order of asking.
    pub index: usize,
    pub name: String,
    pub operation: Operation,
    /// The block's weight it is computed from, if one is: the name of an unnamed node says no more than its number.
    pub weight: Option<String>,
    /// Whether it has only the rows whose token asked for logits.
    pub limited: bool,
}

impl Place {
    /// Whether the node with this place's number is the one that was there.
    pub(crate) fn is(&self, node: &Node<'_>) -> bool {
        node.is_named(&self.name)
            && node.operation() == self.operation
            && self.weight.as_ref().is_none_or(|weight| node.sources().any(|source| source.is_named(weight)))
    }
}

/// Where the sites of a graph are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    places: HashMap<(Site, u32), Place>,
    /// Number of nodes.
    pub nodes: usize,
    /// Blocks, from 0, whose output is a sum with a vector that is no weight of theirs: a control vector.
    pub steered: Vec<u32>,
}

impl Plan {
    /// Of a graph for some tokens of which one asked for logits.
    pub(crate) fn new(records: &[Record], blocks: u32, width: usize) -> Self {
        let mut plan = Self { nodes: records.len(), ..Self::default() };
        let named = |name: &str| records.iter().rposition(|record| record.name == name);
        let mut below = None;
        for block in 0..blocks {
            let top = named(&format!("l_out-{block}"));
            if let Some(top) = top {
                plan.set(Site::Residual, block + 1, top, records);
                if is_steered(records, top) {
                    plan.steered.push(block);
                }
            }
            if let (Some(top), true) = (top, block == 0 || below.is_some()) {
                let parts = Parts::of(records, below, top, width);
                if let ([one], true) = (parts.attention.as_slice(), parts.whole) {
                    plan.set(Site::Attention, block, *one, records);
                }
                if let ([one], true) = (parts.mlp.as_slice(), parts.whole) {
                    plan.set(Site::Mlp, block, *one, records);
                }
                if let (0, Some(embedding)) = (block, parts.input) {
                    plan.set(Site::Residual, 0, embedding, records);
                }
            }
            below = top;
        }
        if let Some(norm) = named("result_norm") {
            plan.set(Site::FinalNorm, blocks, norm, records);
        }
        plan.places.retain(|_, place| records.get(place.index).is_some_and(|record| record.width == width));
        plan
    }

    fn set(&mut self, site: Site, layer: u32, index: usize, records: &[Record]) {
        if let Some(record) = records.get(index) {
            let weight = record.sources.iter().find_map(|source| match source {
                Source::Leaf(name) if name.starts_with("blk.") => Some(name.clone()),
                _ => None,
            });
            let (name, operation) = (record.name.clone(), record.operation);
            let place = Place { index, name, operation, weight, limited: record.rows == 1 };
            self.places.insert((site, layer), place);
        }
    }

    /// The node of a site's layer, if this architecture shows it.
    pub(crate) fn place(&self, site: Site, layer: u32) -> Option<&Place> {
        self.places.get(&(site, layer))
    }
}

fn is_steered(records: &[Record], top: usize) -> bool {
    let Some(record) = records.get(top) else { return false };
    record.operation == Operation::Add
        && record.sources.iter().filter(|source| matches!(source, Source::Node(_))).count() == 1
        && record.sources.iter().any(|source| matches!(source, Source::Leaf(name) if !name.contains("blk.")))
}

/// Whose weights a node rests on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Weights {
    attention: bool,
    mlp: bool,
    any: bool,
}

/// The addends of a block's output.
struct Parts<'a> {
    records: &'a [Record],
    width: usize,
    /// The output of the block before; `None` for the first one.
    below: Option<usize>,
    path: HashMap<usize, bool>,
    /// Where the path through the block begins.
    input: Option<usize>,
    attention: Vec<usize>,
    mlp: Vec<usize>,
    /// Whether every addend is one or the other.
    whole: bool,
}

impl<'a> Parts<'a> {
    fn of(records: &'a [Record], below: Option<usize>, top: usize, width: usize) -> Self {
        let (path, input) = (HashMap::new(), None);
        let mut parts =
            Self { records, width, below, path, input, attention: Vec::new(), mlp: Vec::new(), whole: true };
        if parts.is_on_path(top) {
            parts.split(top);
        }
        parts.whole &= parts.input.is_some();
        parts
    }

    fn sources(&self, node: usize) -> impl Iterator<Item = usize> + use<'a> {
        let sources = self.records.get(node).map(|record| record.sources.as_slice()).unwrap_or_default();
        sources.iter().filter_map(|source| match source {
            Source::Node(place) => Some(*place),
            Source::Leaf(_) => None,
        })
    }

    fn operation(&self, node: usize) -> Operation {
        self.records.get(node).map_or(Operation::Other, |record| record.operation)
    }

    /// Whether the block's input is handed on here, perhaps with something added.
    fn is_on_path(&mut self, node: usize) -> bool {
        if let Some(known) = self.path.get(&node) {
            return *known;
        }
        let is = self.is_input(node)
            || match self.operation(node) {
                Operation::Add => {
                    let sources: Vec<_> = self.sources(node).collect();
                    sources.into_iter().any(|source| self.is_on_path(source))
                }
                Operation::Rows | Operation::Same => {
                    self.sources(node).next().is_some_and(|source| self.is_on_path(source))
                }
                Operation::Leaf | Operation::Other => false,
            };
        self.path.insert(node, is);
        is
    }

    fn is_input(&self, node: usize) -> bool {
        match self.below {
            Some(below) => node == below,
            None => {
                let wide = self.records.get(node).is_some_and(|record| record.width == self.width);
                wide && self.weights(node, true) == Weights::default()
            }
        }
    }

    fn split(&mut self, node: usize) {
        if self.is_input(node) {
            self.input = Some(self.before_selection(node));
            return;
        }
        if self.is_on_path(node) {
            let sources: Vec<_> = self.sources(node).collect();
            let added = self.operation(node) == Operation::Add;
            let count = if added { sources.len() } else { 1 };
            sources.into_iter().take(count).for_each(|source| self.split(source));
            return;
        }
        match self.weights(node, false) {
            Weights { attention: true, mlp: false, .. } => self.attention.push(self.before_selection(node)),
            Weights { attention: false, mlp: true, .. } => self.mlp.push(self.before_selection(node)),
            Weights { attention: true, mlp: true, .. } if self.operation(node) == Operation::Add => {
                let sources: Vec<_> = self.sources(node).collect();
                sources.into_iter().for_each(|source| self.split(source));
            }
            _ => self.whole = false,
        }
    }

    /// In the last block llama.cpp drops the rows whose logits nobody wants; before that all are there.
    fn before_selection(&self, node: usize) -> usize {
        let selects = self.operation(node) == Operation::Rows
            && self.records.get(node).is_some_and(|record| {
                record
                    .sources
                    .iter()
                    .any(|source| matches!(source, Source::Leaf(name) if name.contains("out_ids")))
            });
        if selects { self.sources(node).next().unwrap_or(node) } else { node }
    }

    /// The blocks' weights that a node rests on; those of what is handed on along the path only if it is looked past.
    /// Norms do not tell attention and MLP apart.
    fn weights(&self, node: usize, past_path: bool) -> Weights {
        let mut found = Weights::default();
        let mut seen = std::collections::HashSet::from([node]);
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let sources = self.records.get(node).map(|record| record.sources.as_slice()).unwrap_or_default();
            for source in sources {
                match source {
                    Source::Leaf(name) => found.add(name),
                    Source::Node(place) => {
                        let ends = Some(*place) == self.below || self.path.get(place) == Some(&true);
                        if (past_path || !ends) && seen.insert(*place) {
                            open.push(*place);
                        }
                    }
                }
            }
        }
        found
    }
}

impl Weights {
    fn add(&mut self, name: &str) {
        // "blk.3.ffn_down.weight", or "device#blk.3.ffn_down.weight#0".
        let Some((_, after)) = name.split_once("blk.") else { return };
        let Some((_, part)) = after.split_once('.') else { return };
        self.any = true;
        if part.contains("norm") {
            return;
        }
        self.mlp |= ["ffn", "exp_", "channel_mix"].iter().any(|start| part.starts_with(start));
        self.attention |=
            ["attn", "ssm", "shortconv", "time_mix", "wkv"].iter().any(|start| part.starts_with(start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph written down: name, operation, sources by name; a source that is no node before it is a leaf.
    fn graph(lines: &[(&str, Operation, &[&str])]) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for (name, operation, sources) in lines {
            let source = |name: &&str| {
                let place = records.iter().rposition(|record| record.name == *name);
                place.map_or_else(|| Source::Leaf((*name).to_owned()), Source::Node)
            };
            let sources = sources.iter().map(source).collect();
            let rows = if name.starts_with("last") { 1 } else { 3 };
            let (name, operation) = ((*name).to_owned(), *operation);
            records.push(Record { name, operation, sources, width: 8, rows });
        }
        records
    }

    fn found(plan: &Plan, site: Site, layer: u32) -> &str {
        &plan.place(site, layer).unwrap().name
    }

    use Operation::{Add, Other, Rows};

    #[test]
    fn a_serial_block_adds_attention_after_its_post_norm_and_then_the_experts_with_the_shared_one() {
        let records = graph(&[
            ("embd", Rows, &["token_embd.weight", "inp_tokens"]),
            ("scaled", Other, &["embd"]),
            ("norm", Other, &["scaled", "blk.0.attn_norm.weight"]),
            ("kqv", Other, &["norm", "blk.0.attn_q.weight", "cache"]),
            ("wo", Other, &["kqv", "blk.0.attn_output.weight"]),
            ("post", Other, &["wo", "blk.0.post_attention_norm.weight"]),
            ("ffn_inp-0", Add, &["post", "scaled"]),
            ("ffn_norm", Other, &["ffn_inp-0", "blk.0.ffn_norm.weight"]),
            ("experts", Other, &["ffn_norm", "blk.0.ffn_down_exps.weight"]),
            ("shared", Other, &["ffn_norm", "blk.0.ffn_down_shexp.weight"]),
            ("ffn_out", Add, &["experts", "shared"]),
            ("l_out-0", Add, &["ffn_out", "ffn_inp-0"]),
            ("result_norm", Other, &["l_out-0", "output_norm.weight"]),
        ]);
        let plan = Plan::new(&records, 1, 8);
        assert_eq!(found(&plan, Site::Residual, 0), "scaled");
        assert_eq!(found(&plan, Site::Attention, 0), "post");
        assert_eq!(found(&plan, Site::Mlp, 0), "ffn_out");
        assert_eq!(found(&plan, Site::Residual, 1), "l_out-0");
        assert_eq!(found(&plan, Site::FinalNorm, 1), "result_norm");
    }

    #[test]
    fn a_parallel_block_that_sums_both_before_the_residual_is_taken_apart() {
        let records = graph(&[
            ("tok", Rows, &["token_embd.weight", "inp_tokens"]),
            ("embd", Add, &["tok", "pos"]),
            ("norm", Other, &["embd", "blk.0.attn_norm.weight"]),
            ("attn", Other, &["norm", "blk.0.attn_output.weight"]),
            ("last_attn", Rows, &["attn", "out_ids"]),
            ("ffn", Other, &["norm", "blk.0.ffn_down.weight"]),
            ("both", Add, &["ffn", "last_attn"]),
            ("sum", Add, &["both", "embd"]),
            ("l_out-0", Add, &["sum", "leaf_9"]),
        ]);
        let plan = Plan::new(&records, 1, 8);
        assert_eq!(found(&plan, Site::Residual, 0), "embd");
        assert_eq!(found(&plan, Site::Attention, 0), "attn");
        assert_eq!(found(&plan, Site::Mlp, 0), "ffn");
        assert_eq!(plan.steered, [0]);
    }

    #[test]
    fn a_block_whose_output_is_no_sum_shows_only_its_output() {
        let records = graph(&[
            ("embd", Rows, &["token_embd.weight", "inp_tokens"]),
            ("attn", Other, &["embd", "blk.0.attn_output.weight"]),
            ("sum", Add, &["attn", "embd"]),
            ("l_out-0", Other, &["sum", "blk.0.layer_output_norm.weight"]),
        ]);
        let plan = Plan::new(&records, 1, 8);
        assert_eq!(found(&plan, Site::Residual, 1), "l_out-0");
        assert!(plan.place(Site::Attention, 0).is_none() && plan.place(Site::Mlp, 0).is_none());
        assert!(plan.steered.is_empty());
    }
}
