//! The worker that captures: many prompts in one pass, each row straight to its reduction.
//!
//! It has a thread and a context of its own, made when the first capture is asked for, so that generation keeps a
//! context that nobody watches and captures may have as many sequences and rows of output as suits them. Every step
//! decodes one batch: what is left of prompts already begun, then as many waiting prompts as fit, all with the site of
//! the oldest; the pass ends at the deepest layer any of them asks for. Workers of one model take turns (see
//! [`super::worker::Turn`]), so captures and generation go on side by side.

use std::collections::VecDeque;
use std::sync::Arc;

use sonde_contract::{CaptureSpec, Captured, ModelInfo};
use tokio::sync::mpsc::UnboundedReceiver;

use super::ffi::{Batch, Context};
use super::generating::Reply;
use super::pass::{Taker, Watched};
use super::worker::{Counters, Turn};
use crate::inside::Reduction;

/// How long the first request after a pause waits for others. Those of one call come one after another, and a pass for the
/// first alone would read all weights once more.
const GATHERING: std::time::Duration = std::time::Duration::from_millis(1);

/// A capture, its prompt tokenized and its specification checked.
pub(crate) struct CaptureJob {
    pub prompt: Vec<i32>,
    pub spec: CaptureSpec,
    pub reduction: Reduction,
    pub reply: Reply<Captured>,
}

/// Sizes the worker keeps to.
#[derive(Clone, Copy)]
pub(crate) struct CaptureSizes {
    /// Tokens in one batch.
    pub batch: usize,
    /// Tokens of all prompts being read; at least what the longest prompt has.
    pub cells: usize,
    /// Most rows of output in one batch.
    pub outputs: usize,
    /// Prompts read at once.
    pub sequences: usize,
}

struct Reading {
    job: CaptureJob,
    sequence: i32,
    read: usize,
    /// Whether its states are there only for tokens that ask for logits.
    needs_outputs: bool,
    /// Tokens in the batch being made.
    added: usize,
    /// Rows of that batch to take, with their tokens.
    rows: Vec<(usize, usize)>,
}

/// See the module's header.
pub(crate) struct CaptureWorker {
    context: Context,
    watched: Watched,
    info: ModelInfo,
    counters: Arc<Counters>,
    turn: Arc<Turn>,
    sizes: CaptureSizes,
    waiting: VecDeque<CaptureJob>,
    reading: Vec<Reading>,
    free: Vec<i32>,
    batch: Batch,
}

impl CaptureWorker {
    pub(crate) fn new(
        (context, watched): (Context, Watched),
        info: ModelInfo,
        counters: Arc<Counters>,
        turn: Arc<Turn>,
        sizes: CaptureSizes,
    ) -> Self {
        Self {
            context,
            watched,
            info,
            counters,
            turn,
            sizes,
            waiting: VecDeque::new(),
            reading: Vec::new(),
            free: (0..).take(sizes.sequences).collect(),
            batch: Batch::default(),
        }
    }

    /// Works until the last handle that could ask is gone.
    pub(crate) fn run(mut self, mut queue: UnboundedReceiver<CaptureJob>) {
        loop {
            if self.waiting.is_empty() && self.reading.is_empty() {
                match queue.blocking_recv() {
                    Some(job) => self.waiting.push_back(job),
                    None => return,
                }
                std::thread::sleep(GATHERING);
            }
            while let Ok(job) = queue.try_recv() {
                self.waiting.push_back(job);
            }
            self.drop_abandoned();
            self.step();
        }
    }

    fn drop_abandoned(&mut self) {
        self.waiting.retain(|job| !job.reply.is_closed());
        let (kept, dropped): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.reading).into_iter().partition(|reading| !reading.job.reply.is_closed());
        self.reading = kept;
        dropped.iter().for_each(|reading| self.forget(reading.sequence));
    }

    fn forget(&mut self, sequence: i32) {
        self.context.truncate(sequence, 0);
        self.free.push(sequence);
    }

    fn step(&mut self) {
        let oldest = self.reading.first().map(|reading| &reading.job).or(self.waiting.front());
        let Some(site) = oldest.map(|job| job.spec.site) else { return };
        self.batch.clear();
        let mut outputs = self.sizes.outputs;
        for reading in &mut self.reading {
            reading.added = 0;
            if reading.job.spec.site == site {
                reading.fill(&mut self.batch, self.sizes.batch, &mut outputs);
            }
        }
        let mut cells: usize = self.reading.iter().map(|reading| reading.job.prompt.len()).sum();
        let mut next = 0;
        while self.batch.len() < self.sizes.batch && outputs > 0 {
            let of_site = |job: &CaptureJob| job.spec.site == site;
            let Some(place) = self.waiting.iter().skip(next).position(of_site).map(|place| place + next)
            else {
                break;
            };
            let fits = |job: &CaptureJob| cells + job.prompt.len() <= self.sizes.cells;
            if self.free.is_empty() || !self.waiting.get(place).is_some_and(fits) {
                break;
            }
            next = place;
            let Some(mut reading) = self.waiting.remove(place).and_then(|job| self.begin(job)) else {
                continue;
            };
            cells += reading.job.prompt.len();
            reading.fill(&mut self.batch, self.sizes.batch, &mut outputs);
            self.reading.push(reading);
        }
        if !self.batch.is_empty() {
            self.decode();
        }
    }

    fn begin(&mut self, job: CaptureJob) -> Option<Reading> {
        if let Err(error) = self.watched.check(&job.spec, &self.info) {
            let _ = job.reply.send(Err(error));
            return None;
        }
        if self.reading.is_empty() {
            // Alone in an empty cache: where its keys and values lie depends on the prompt alone.
            self.context.clear();
        }
        let sequence = self.free.pop()?;
        let needs_outputs = self.watched.needs_outputs(&job.spec);
        Some(Reading { job, sequence, read: 0, needs_outputs, added: 0, rows: Vec::new() })
    }

    fn decode(&mut self) {
        let in_batch = self.reading.iter_mut().filter(|reading| reading.added > 0);
        let takers = in_batch.map(Reading::taker).collect();
        let decoded = {
            let _turn = self.turn.take();
            self.watched.decode(&mut self.context, &mut self.batch, takers, false)
        };
        self.counters.add_prompt(self.batch.len());
        if let Err(error) = decoded {
            let error = error.explain();
            for reading in std::mem::take(&mut self.reading) {
                self.forget(reading.sequence);
                let _ = reading.job.reply.send(Err(error.clone()));
            }
            self.context.clear();
            return;
        }
        let (done, unfinished): (Vec<_>, Vec<_>) = std::mem::take(&mut self.reading)
            .into_iter()
            .partition(|reading| reading.read == reading.job.prompt.len());
        self.reading = unfinished;
        for Reading { job, sequence, .. } in done {
            self.forget(sequence);
            let _ = job.reply.send(Ok(job.reduction.finish()));
        }
    }
}

impl Reading {
    /// Adds as much of the prompt as batch and outputs have room for.
    fn fill(&mut self, batch: &mut Batch, most: usize, outputs: &mut usize) {
        self.rows.clear();
        self.added = 0;
        for (token, id) in self.job.prompt.iter().enumerate().skip(self.read) {
            let wanted = self.job.reduction.wants(token);
            let output = wanted && self.needs_outputs;
            if batch.len() == most || (output && *outputs == 0) {
                break;
            }
            let row = batch.push(*id, token, self.sequence, output);
            *outputs -= usize::from(output);
            if wanted {
                self.rows.push((row, token));
            }
            self.read += 1;
            self.added += 1;
        }
    }

    fn taker(&mut self) -> Taker<'_> {
        Taker {
            site: self.job.spec.site,
            layers: &self.job.spec.layers,
            rows: std::mem::take(&mut self.rows),
            into: &mut self.job.reduction,
        }
    }
}
