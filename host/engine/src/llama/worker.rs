//! The worker of a model: one thread that owns the context and computes everybody's requests together.
//!
//! Each active request holds a slot, that is a sequence of the KV cache. Every step decodes one batch: the next token of
//! each reply, then as much of the waiting prompts and branches as fits. Requests join and leave at any step. A finished
//! slot keeps its tokens, so that a later prompt which begins alike starts from there; a prompt that begins like one
//! being read right now waits for it instead of reading the same again. In reproducible mode there is one slot and
//! it starts from nothing each time, so that a request's result depends on the request alone.
//!
//! The worker of a model as it is in the file watches no pass. One with changes in force, or that traces, decodes through
//! [`Watched`]. All workers of a model take turns, batch by batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sonde_contract::{HostError, ModelInfo};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, MutexGuard};

use super::ffi::{Batch, Context, DecodeError};
use super::generating::{Answer, GenerateJob, Generating, Next};
use super::pass::{Taker, Watched};
use super::sampler::{greedy, log_sum_exp};
use super::scoring::{ScoreJob, common_prefix};
use super::vocabulary::Vocabulary;
use crate::Usage;

/// Sharing fewer tokens than this is not worth waiting for.
const WORTH_WAITING: usize = 16;

/// A request.
pub(crate) enum Job {
    Generate(Box<GenerateJob>),
    Score(ScoreJob),
}

impl Job {
    fn prompt(&self) -> &[i32] {
        match self {
            Self::Generate(job) => &job.prompt,
            Self::Score(job) => &job.base,
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Generate(job) => job.answer.is_abandoned(),
            Self::Score(job) => job.is_abandoned(),
        }
    }

    pub(crate) fn fail(self, error: HostError) {
        match self {
            Self::Generate(job) => job.answer.fail(error),
            Self::Score(job) => job.fail(error),
        }
    }
}

/// Lets the workers of one model compute one after another, first come, first served: side by side each would slow the
/// other's threads down by more than it gains.
#[derive(Default)]
pub(crate) struct Turn(Mutex<()>);

impl Turn {
    pub(crate) fn take(&self) -> MutexGuard<'_, ()> {
        self.0.blocking_lock()
    }
}

/// Sizes the worker keeps to.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Requests computed together.
    pub slots: usize,
    /// Tokens one sequence has room for.
    pub context: usize,
    /// Tokens in one batch.
    pub batch: usize,
    /// Sequences that branch off for scoring.
    pub branches: usize,
    /// Whether prompts may share what was computed.
    pub share: bool,
}

/// Tokens computed so far, read by other threads.
#[derive(Default)]
pub(crate) struct Counters {
    prompt: AtomicU64,
    reused: AtomicU64,
    generated: AtomicU64,
}

impl Counters {
    /// Counts tokens of prompts that went through the model.
    pub(crate) fn add_prompt(&self, tokens: usize) {
        self.prompt.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt.load(Ordering::Relaxed),
            reused_tokens: self.reused.load(Ordering::Relaxed),
            generated_tokens: self.generated.load(Ordering::Relaxed),
        }
    }
}

enum Work {
    /// Also while the prompt is being read.
    Generate(Box<Generating>, Option<i32>),
    Score(ScoreJob),
}

impl Work {
    fn prompt(&self) -> &[i32] {
        match self {
            Self::Generate(generating, _) => generating.prompt(),
            Self::Score(job) => &job.base,
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Generate(generating, _) => generating.is_abandoned(),
            Self::Score(job) => job.is_abandoned(),
        }
    }

    fn fail(self, error: HostError) {
        match self {
            Self::Generate(generating, _) => generating.fail(error),
            Self::Score(job) => job.fail(error),
        }
    }
}

#[derive(Default)]
struct Slot {
    /// The tokens whose keys and values the cache holds for this sequence.
    cached: Vec<i32>,
    work: Option<Work>,
    last_used: u64,
}

impl Slot {
    /// How much of the prompt is still to be read.
    fn unread(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.prompt().len().saturating_sub(self.cached.len()))
    }
}

/// What a row of logits is for.
enum Row {
    /// The next token of this slot.
    Next { slot: usize },
    /// The next probability of this branch.
    Branch { slot: usize, branch: usize },
}

/// See the module's header.
pub(crate) struct Worker {
    context: Context,
    watched: Option<(Watched, ModelInfo)>,
    turn: Arc<Turn>,
    vocabulary: Arc<Vocabulary>,
    counters: Arc<Counters>,
    sizes: Sizes,
    slots: Vec<Slot>,
    free_branches: Vec<i32>,
    waiting: VecDeque<Job>,
    batch: Batch,
    clock: u64,
}

impl Worker {
    pub(crate) fn new(
        context: Context,
        watched: Option<(Watched, ModelInfo)>,
        vocabulary: Arc<Vocabulary>,
        counters: Arc<Counters>,
        turn: Arc<Turn>,
        sizes: Sizes,
    ) -> Self {
        let first_branch = i32::try_from(sizes.slots).unwrap_or(i32::MAX);
        Self {
            context,
            watched,
            turn,
            vocabulary,
            counters,
            sizes,
            slots: (0..sizes.slots).map(|_| Slot::default()).collect(),
            free_branches: (first_branch..).take(sizes.branches).collect(),
            waiting: VecDeque::new(),
            batch: Batch::default(),
            clock: 0,
        }
    }

    /// Works until the model's last handle is gone.
    pub(crate) fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        loop {
            if self.is_idle() {
                match jobs.blocking_recv() {
                    Some(job) => self.waiting.push_back(job),
                    None => return,
                }
            }
            while let Ok(job) = jobs.try_recv() {
                self.waiting.push_back(job);
            }
            self.drop_abandoned();
            self.admit();
            self.step();
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.slots.iter().all(|slot| slot.work.is_none())
    }

    fn drop_abandoned(&mut self) {
        self.waiting.retain(|job| !job.is_abandoned());
        for index in 0..self.slots.len() {
            let abandoned = |slot: &Slot| slot.work.as_ref().is_some_and(Work::is_abandoned);
            if self.slots.get(index).is_some_and(abandoned)
                && let Some(Work::Score(mut job)) = self.release(index)
            {
                self.free(&mut job);
            }
        }
    }

    /// Gives waiting requests a slot, in their order.
    fn admit(&mut self) {
        let mut index = 0;
        while index < self.waiting.len() && self.slots.iter().any(|slot| slot.work.is_none()) {
            let Some(prompt) = self.waiting.get(index).map(Job::prompt) else { break };
            let (source, shared) = self.longest_shared(prompt);
            if self.sizes.share && self.worth_waiting(prompt, shared) {
                index += 1;
                continue;
            }
            let Some(job) = self.waiting.remove(index) else { break };
            self.place(job, source, shared);
        }
    }

    /// The slot whose cache begins most like the prompt. The prompt's last token is always computed anew: its logits
    /// are wanted.
    fn longest_shared(&self, prompt: &[i32]) -> (usize, usize) {
        if !self.sizes.share {
            return (0, 0);
        }
        let shared = |slot: &Slot| common_prefix(&slot.cached, prompt).min(prompt.len().saturating_sub(1));
        // On a tie a free slot wins: it need not be copied.
        let by_length = |(_, slot): &(usize, &Slot)| (shared(slot), slot.work.is_none());
        let best = self.slots.iter().enumerate().max_by_key(by_length);
        best.map_or((0, 0), |(index, slot)| (index, shared(slot)))
    }

    /// Whether a prompt being read right now will soon share more than any cache does.
    fn worth_waiting(&self, prompt: &[i32], shared: usize) -> bool {
        self.slots.iter().filter(|slot| slot.unread() > 0).filter_map(|slot| slot.work.as_ref()).any(|work| {
            let soon = common_prefix(work.prompt(), prompt).min(prompt.len().saturating_sub(1));
            soon > shared + WORTH_WAITING
        })
    }

    /// Refuses a trace of states that the model's graph does not show.
    fn refuse_trace(&self, job: &GenerateJob) -> Option<HostError> {
        let Answer::Traced(_, trace) = &job.answer else { return None };
        match &self.watched {
            Some((watched, info)) => watched.check(&trace.spec, info).err(),
            None => Some(HostError::Engine("a trace came to a worker that watches nothing".to_owned())),
        }
    }

    fn place(&mut self, job: Job, source: usize, shared: usize) {
        let work = match job {
            Job::Generate(job) => {
                if let Some(error) = self.refuse_trace(&job) {
                    return job.answer.fail(error);
                }
                match Generating::start(*job, &self.vocabulary) {
                    Some(generating) => Work::Generate(Box::new(generating), None),
                    None => return,
                }
            }
            Job::Score(job) => Work::Score(job),
        };
        if !self.sizes.share {
            self.context.clear();
            self.slots.iter_mut().for_each(|slot| slot.cached.clear());
        }
        // The source is taken itself if this prompt is mostly its own going on; else it is kept for others like it.
        let mostly = 2 * shared >= work.prompt().len();
        let source_is_free = self.slots.get(source).is_some_and(|slot| slot.work.is_none());
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.work.is_none());
        let oldest = free.min_by_key(|(_, slot)| slot.last_used).map(|(index, _)| index);
        let target = if mostly && source_is_free { Some(source) } else { oldest };
        let Some(target) = target else { return };
        let mut kept = shared;
        if target == source {
            if !self.context.truncate(sequence(target), shared) {
                kept = 0;
                self.context.truncate(sequence(target), 0);
            }
        } else {
            self.context.truncate(sequence(target), 0);
            self.context.share_prefix(sequence(source), sequence(target), shared);
        }
        self.counters.reused.fetch_add(kept as u64, Ordering::Relaxed);
        self.clock += 1;
        let clock = self.clock;
        if let Some(slot) = self.slots.get_mut(target) {
            slot.cached = work.prompt().iter().take(kept).copied().collect();
            slot.work = Some(work);
            slot.last_used = clock;
        }
    }

    /// Decodes one batch and hands out its logits.
    fn step(&mut self) {
        self.batch.clear();
        let mut rows: Vec<(usize, Row)> = Vec::new();
        self.add_reply_tokens(&mut rows);
        // A row is left for the last token of every prompt, however many branches there are.
        let most_rows = rows.len() + self.sizes.branches;
        self.add_branch_tokens(&mut rows, most_rows);
        self.add_prompt_tokens(&mut rows);
        if self.batch.is_empty() {
            return;
        }
        match self.decode(&rows) {
            Ok(()) => rows.into_iter().for_each(|(row, purpose)| self.hand_out(row, &purpose)),
            Err(error) => self.fail_everything(error),
        }
    }

    fn decode(&mut self, rows: &[(usize, Row)]) -> Result<(), DecodeError> {
        let _turn = self.turn.take();
        let Some((watched, _)) = &self.watched else { return self.context.decode(&mut self.batch) };
        let mut takers = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let row = rows.iter().find(|(_, row)| matches!(row, Row::Next { slot } if *slot == index));
            if let (Some((row, _)), Some(Work::Generate(generating, _))) = (row, &mut slot.work)
                && let Some(trace) = generating.trace()
            {
                let (spec, into) = trace.taking();
                takers.push(Taker { site: spec.site, layers: &spec.layers, rows: vec![(*row, 0)], into });
            }
        }
        watched.decode(&mut self.context, &mut self.batch, takers, true).map(drop)
    }

    fn add_reply_tokens(&mut self, rows: &mut Vec<(usize, Row)>) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(Work::Generate(_, pending)) = &mut slot.work
                && let Some(token) = pending.take()
            {
                let row = self.batch.push(token, slot.cached.len(), sequence(index), true);
                slot.cached.push(token);
                rows.push((row, Row::Next { slot: index }));
            }
        }
    }

    fn add_branch_tokens(&mut self, rows: &mut Vec<(usize, Row)>, most_rows: usize) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let unread = slot.unread();
            let Some(Work::Score(job)) = &mut slot.work else { continue };
            if unread > 0 {
                continue;
            }
            let base = slot.cached.len();
            let open = |job: &ScoreJob| -> usize {
                job.branches
                    .iter()
                    .filter(|branch| branch.sequence.is_some())
                    .map(|branch| branch.total())
                    .sum()
            };
            let mut used = base + open(job);
            for (number, branch) in job.branches.iter_mut().enumerate() {
                if !branch.needs_decoding() {
                    continue;
                }
                if branch.sequence.is_none() {
                    // The branches of a request together keep within its slot's own share of the cache.
                    let alone = used == base;
                    if !alone && used + branch.total() > self.sizes.context {
                        continue;
                    }
                    let Some(free) = self.free_branches.pop() else { break };
                    self.context.share_prefix(sequence(index), free, base);
                    branch.sequence = Some(free);
                    used += branch.total();
                }
                let Some(branch_sequence) = branch.sequence else { continue };
                while self.batch.len() < self.sizes.batch && rows.len() < most_rows {
                    let Some((token, place)) = branch.next() else { break };
                    let row = self.batch.push(token, base + place, branch_sequence, true);
                    rows.push((row, Row::Branch { slot: index, branch: number }));
                    self.counters.prompt.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn add_prompt_tokens(&mut self, rows: &mut Vec<(usize, Row)>) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(work) = &slot.work else { continue };
            let prompt = work.prompt();
            let count = slot.unread().min(self.sizes.batch.saturating_sub(self.batch.len()));
            let from = slot.cached.len();
            for (place, token) in prompt.iter().enumerate().skip(from).take(count) {
                let last = place + 1 == prompt.len();
                let row = self.batch.push(*token, place, sequence(index), last);
                if last {
                    rows.push((row, Row::Next { slot: index }));
                }
            }
            slot.cached.extend(prompt.iter().skip(from).take(count));
            self.counters.prompt.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    fn hand_out(&mut self, row: usize, purpose: &Row) {
        let Some(logits) = self.context.logits(row) else { return };
        match *purpose {
            Row::Next { slot: index } => {
                let Some(slot) = self.slots.get_mut(index) else { return };
                let room = self.sizes.context.saturating_sub(slot.cached.len() + 1);
                match &mut slot.work {
                    Some(Work::Generate(generating, pending)) => {
                        let before = generating.count();
                        let next = generating.advance(logits, room, &self.vocabulary);
                        let added = generating.count() - before;
                        self.counters.generated.fetch_add(added as u64, Ordering::Relaxed);
                        match next {
                            Next::Decode(token) => *pending = Some(token),
                            Next::Done(finish) => {
                                if let Some(Work::Generate(generating, _)) = self.release(index) {
                                    generating.finish(finish);
                                }
                            }
                            Next::Abandoned => drop(self.release(index)),
                        }
                    }
                    Some(Work::Score(job)) => {
                        job.observe_base(logits);
                        self.finish_score(index);
                    }
                    None => {}
                }
            }
            Row::Branch { slot: index, branch: number } => {
                let Some(Work::Score(job)) = self.slots.get_mut(index).and_then(|slot| slot.work.as_mut())
                else {
                    return;
                };
                let Some(branch) = job.branches.get_mut(number) else { return };
                branch.observe(logits, log_sum_exp(logits), greedy(logits));
                if !branch.needs_decoding()
                    && branch.is_known()
                    && let Some(done) = branch.sequence.take()
                {
                    self.context.truncate(done, 0);
                    self.free_branches.push(done);
                }
                self.finish_score(index);
            }
        }
    }

    fn finish_score(&mut self, index: usize) {
        let done = |slot: &Slot| matches!(&slot.work, Some(Work::Score(job)) if job.is_done());
        if self.slots.get(index).is_some_and(done)
            && let Some(Work::Score(mut job)) = self.release(index)
        {
            self.free(&mut job);
            job.finish();
        }
    }

    fn free(&mut self, job: &mut ScoreJob) {
        for used in job.branches.iter_mut().filter_map(|branch| branch.sequence.take()) {
            self.context.truncate(used, 0);
            self.free_branches.push(used);
        }
    }

    fn release(&mut self, index: usize) -> Option<Work> {
        self.clock += 1;
        let slot = self.slots.get_mut(index)?;
        slot.last_used = self.clock;
        slot.work.take()
    }

    /// A batch that failed leaves the cache in doubt: every request in it gets the error, and the cache is emptied.
    fn fail_everything(&mut self, error: DecodeError) {
        let error = error.explain();
        for index in 0..self.slots.len() {
            if let Some(mut work) = self.release(index) {
                if let Work::Score(job) = &mut work {
                    self.free(job);
                }
                work.fail(error.clone());
            }
        }
        self.context.clear();
        self.slots.iter_mut().for_each(|slot| slot.cached.clear());
    }
}

fn sequence(slot: usize) -> i32 {
    i32::try_from(slot).unwrap_or(i32::MAX)
}
