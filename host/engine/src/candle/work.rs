//! One thread that computes, and what a job on it has at hand.
//!
//! Jobs run one after another in the order in which they were asked for, each until it is done or nobody waits for its
//! answer any more. The thread ends with the model's last handle.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use candle_core::Tensor;
use sonde_contract::{HostError, ModelInfo};
use tokio::sync::oneshot;

use super::cache::Cache;
use super::changes::Changes;
use super::prompts::Prompts;
use super::transformer::{Pass, Transformer};
use crate::{OpenError, Usage};

/// Tokens computed together. Attention over them takes heads · piece · sequence numbers.
const PIECE: usize = 256;

/// candle walks the graph of a pass by recursion, some frames deep for every operation.
const STACK: usize = 32 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>);

impl Queue {
    /// Starts the thread, which computes with so many of its own.
    pub(crate) fn start(path: &Path, name: &str, threads: usize) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Worker { path: path.to_owned(), reason };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK).build();
        let pool = pool.map_err(|error| failed(error.to_string()))?;
        let (sender, jobs) = mpsc::channel::<Job>();
        let work = move || {
            for job in jobs {
                pool.install(job);
            }
        };
        let thread = std::thread::Builder::new().name(format!("candle {name}")).spawn(work);
        thread.map_err(|error| failed(error.to_string()))?;
        Ok(Self(sender))
    }

    /// Has a job done. The job is asked now and then whether its answer is still wanted.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Fn() -> bool) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let ended = || HostError::Engine("the worker of the candle engine has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let job = move || {
            let wanted = || !reply.is_closed();
            if !wanted() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| job(&wanted)));
            let failed = |_| Err(HostError::Engine("a computation of the candle engine panicked".to_owned()));
            let _ = reply.send(done.unwrap_or_else(failed));
        };
        self.0.send(Box::new(job)).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Tokens computed so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub prompt: AtomicU64,
    pub reused: AtomicU64,
    pub generated: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, tokens: usize) {
        counter.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt.load(Ordering::Relaxed),
            reused_tokens: self.reused.load(Ordering::Relaxed),
            generated_tokens: self.generated.load(Ordering::Relaxed),
        }
    }
}

/// A model as a job sees it.
pub(crate) struct Work<'a> {
    pub transformer: &'a Transformer,
    pub prompts: &'a Prompts,
    pub info: &'a ModelInfo,
    pub counters: &'a Counters,
    pub changes: &'a Changes,
    pub wanted: &'a dyn Fn() -> bool,
}

impl Work<'_> {
    /// A fresh cache.
    pub(crate) fn cache(&self) -> Cache {
        Cache::new(self.transformer.blocks.len())
    }

    /// Runs tokens after what the cache holds, in pieces. Returns the last piece's states after the final norm, `None`
    /// if the pass ends before.
    pub(crate) fn read(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        pass: &mut Pass,
    ) -> Result<Option<Tensor>, HostError> {
        let mut last = None;
        for piece in tokens.chunks(PIECE) {
            self.check_wanted()?;
            last = self.transformer.run(piece, cache, pass).map_err(failed)?;
        }
        Ok(last)
    }

    /// The logits that follow the last of these states.
    pub(crate) fn last_logits(&self, states: Option<Tensor>) -> Result<Vec<f32>, HostError> {
        let logits = || {
            let Some(states) = states else { candle_core::bail!("nothing was computed") };
            let last = states.narrow(0, states.dim(0)?.saturating_sub(1), 1)?;
            self.transformer.logits(&last)?.flatten_all()?.to_vec1()
        };
        logits().map_err(failed)
    }

    /// An error that nobody will read, once nobody waits.
    pub(crate) fn check_wanted(&self) -> Result<(), HostError> {
        match (self.wanted)() {
            true => Ok(()),
            false => Err(HostError::Engine("the request was abandoned".to_owned())),
        }
    }
}

/// What candle says, as the contract says it.
pub(crate) fn failed(error: candle_core::Error) -> HostError {
    HostError::Engine(error.to_string())
}
