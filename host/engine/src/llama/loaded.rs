//! A model in memory, and the workers that compute with it.
//!
//! What is shared by every handle of a model: weights, vocabulary, template, sizes. A worker that looks inside or has
//! changes in force makes its context in its own thread; where that fails, the requests that wait get the reason and the
//! next one tries again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use llama_cpp_2::model::LlamaModel;
use sonde_contract::{HostError, Intervention, ModelInfo};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, error::SendError, unbounded_channel};

use super::adaptation::Adaptation;
use super::capturing::{CaptureJob, CaptureSizes, CaptureWorker};
use super::ffi::{Context, ContextOptions};
use super::ffi_adapter::Adapter;
use super::kv_cache;
use super::pass::Watched;
use super::vocabulary::Vocabulary;
use super::weights::Weights;
use super::worker::{Counters, Job, Sizes, Turn, Worker};
use super::{BATCH, BRANCHES};
use crate::template::ChatTemplate;
use crate::{OpenError, OpenOptions};

/// Prompts captured at once; a batch seldom has room for as many.
const CAPTURED_AT_ONCE: u32 = 64;
/// llama.cpp keeps room for a row of logits for every output, also in a pass that ends before them: at most so many
/// bytes, but enough rows for a batch worth computing.
const OUTPUT_BYTES: u64 = 64 << 20;
const LEAST_OUTPUTS: u32 = 32;

/// What changes in a handle's model.
#[derive(Clone)]
pub(crate) struct InForce {
    pub interventions: Arc<[Intervention]>,
    /// Of matrices.
    pub adaptation: Option<Arc<Adaptation>>,
}

/// See the module's header.
pub(crate) struct Loaded {
    pub path: PathBuf,
    pub model: Arc<LlamaModel>,
    pub info: ModelInfo,
    pub options: OpenOptions,
    pub vocabulary: Arc<Vocabulary>,
    pub template: Option<Result<ChatTemplate, String>>,
    pub counters: Arc<Counters>,
    pub turn: Arc<Turn>,
    pub weights: OnceLock<Result<Weights, HostError>>,
}

impl Loaded {
    fn context_options(&self, slots: u32) -> ContextOptions {
        let cells = self.info.context.saturating_mul(slots);
        let sequences = slots + BRANCHES;
        ContextOptions {
            cells,
            batch: BATCH.min(cells),
            outputs: sequences,
            sequences,
            threads: self.options.threads.unwrap_or(1),
            precision: self.options.precision,
            watched: false,
        }
    }

    fn sizes(&self, slots: u32) -> Sizes {
        // Recurrent memories cannot forget a part of a sequence, so nothing of one can be reused.
        let forgets = !self.model.is_recurrent() && !self.model.is_hybrid();
        Sizes {
            slots: slots as usize,
            context: self.info.context as usize,
            batch: BATCH.min(self.info.context.saturating_mul(slots)) as usize,
            branches: BRANCHES as usize,
            share: !self.options.reproducible && forgets,
        }
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        std::thread::Builder::new().name(format!("model {}", self.info.name)).spawn(work).map(drop)
    }

    /// The worker that generates and scores, in a context that nobody watches.
    pub(crate) fn start_plain(&self, queue: UnboundedReceiver<Job>) -> Result<(), OpenError> {
        let slots = self.options.slots.unwrap_or(1);
        let refused = |reason| OpenError::Refused { path: self.path.clone(), reason };
        let context = Context::new(Arc::clone(&self.model), self.context_options(slots)).map_err(refused)?;
        let worker = self.worker(context, None, slots);
        self.spawn(move || worker.run(queue))
            .map_err(|error| OpenError::Worker { path: self.path.clone(), reason: error.to_string() })
    }

    fn worker(&self, context: Context, watched: Option<Watched>, slots: u32) -> Worker {
        Worker::new(
            context,
            watched.map(|watched| (watched, self.info.clone())),
            Arc::clone(&self.vocabulary),
            Arc::clone(&self.counters),
            Arc::clone(&self.turn),
            self.sizes(slots),
        )
    }

    /// A worker that generates and scores with changes in force; watched where states change, and for traces.
    pub(crate) fn start(
        self: &Arc<Self>,
        in_force: &InForce,
        watched: bool,
        mut queue: UnboundedReceiver<Job>,
    ) -> Result<(), HostError> {
        let (loaded, in_force) = (Arc::clone(self), in_force.clone());
        let work = move || match loaded.changed_worker(&in_force, watched) {
            Ok(worker) => worker.run(queue),
            Err(error) => refuse(&mut queue, |job| job.fail(error.clone())),
        };
        self.spawn(work).map_err(|error| self.no_thread(&error))
    }

    fn changed_worker(&self, in_force: &InForce, watched: bool) -> Result<Worker, HostError> {
        let slots = self.room(self.options.slots.unwrap_or(1), 0)?;
        let options = self.context_options(slots);
        let adapter = self.adapter(in_force)?;
        if watched {
            let options = ContextOptions { batch: options.batch.max(3), ..options };
            let (context, watched) =
                Watched::new(&self.model, options, adapter, &in_force.interventions, &self.info)?;
            return Ok(self.worker(context, Some(watched), slots));
        }
        let context = self.context(options, adapter)?;
        Ok(self.worker(context, None, slots))
    }

    /// A context that nobody watches.
    pub(crate) fn context(
        &self,
        options: ContextOptions,
        adapter: Option<Arc<Adapter>>,
    ) -> Result<Context, HostError> {
        Context::with_adapter(Arc::clone(&self.model), options, adapter).map_err(|reason| {
            HostError::Engine(format!("no context to change {} could be made: {reason}", self.info.name))
        })
    }

    /// The adapter of what is in force; for a worker's thread.
    fn adapter(&self, in_force: &InForce) -> Result<Option<Arc<Adapter>>, HostError> {
        let Some(adaptation) = &in_force.adaptation else { return Ok(None) };
        // Making one computes a little.
        let _turn = self.turn.take();
        adaptation.adapter(self).map(Some)
    }

    /// A worker that captures.
    pub(crate) fn start_capturing(
        self: &Arc<Self>,
        in_force: &InForce,
        mut queue: UnboundedReceiver<CaptureJob>,
    ) -> Result<(), HostError> {
        let (loaded, in_force) = (Arc::clone(self), in_force.clone());
        let work = move || match loaded.capture_worker(&in_force) {
            Ok(worker) => worker.run(queue),
            Err(error) => refuse(&mut queue, |job| {
                let _ = job.reply.send(Err(error.clone()));
            }),
        };
        self.spawn(work).map_err(|error| self.no_thread(&error))
    }

    fn capture_worker(&self, in_force: &InForce) -> Result<CaptureWorker, HostError> {
        self.room(1, BATCH)?;
        // Memories with a recurrent part mix the batch's rows, so one prompt at a time; likewise where a result may
        // depend on its request alone.
        let alone = self.options.reproducible || self.model.is_recurrent() || self.model.is_hybrid();
        let sequences = if alone { 1 } else { CAPTURED_AT_ONCE };
        let row = 4 * u64::from(self.info.vocabulary.max(1));
        let outputs = u32::try_from(OUTPUT_BYTES / row).unwrap_or(u32::MAX).clamp(LEAST_OUTPUTS, BATCH);
        let cells = self.info.context.saturating_add(BATCH);
        let options = ContextOptions {
            cells,
            batch: BATCH,
            outputs: outputs.max(sequences),
            sequences,
            ..self.context_options(1)
        };
        let adapter = self.adapter(in_force)?;
        let watched = Watched::new(&self.model, options, adapter, &in_force.interventions, &self.info)?;
        let sizes = CaptureSizes {
            batch: BATCH as usize,
            cells: cells as usize,
            outputs: outputs as usize,
            sequences: sequences as usize,
        };
        let (counters, turn) = (Arc::clone(&self.counters), Arc::clone(&self.turn));
        Ok(CaptureWorker::new(watched, self.info.clone(), counters, turn, sizes))
    }

    /// How many slots a further KV cache can have, up to `slots`, beside some tokens of its own.
    fn room(&self, slots: u32, further: u32) -> Result<u32, HostError> {
        let plan = kv_cache::Plan {
            context: self.info.context.saturating_add(further),
            slots,
            per_token: kv_cache::bytes_per_token(&self.model, self.options.precision, BATCH),
            available: kv_cache::available(),
        };
        let plan = plan.with_fitting_slots();
        if plan.fits() {
            return Ok(plan.slots);
        }
        Err(HostError::Engine(format!(
            "looking inside {} or changing it needs another KV cache of {} MiB, and {} MiB are free; lower `context` or \
             `slots` of this model in the config",
            self.info.name,
            kv_cache::Plan::mib(plan.bytes()),
            plan.available >> 20
        )))
    }

    fn no_thread(&self, error: &std::io::Error) -> HostError {
        HostError::Engine(format!("no thread to look inside {} or to change it: {error}", self.info.name))
    }

    /// The headers of the model's files, read once.
    pub(crate) fn weights(&self) -> Result<&Weights, HostError> {
        self.weights.get_or_init(|| Weights::open(&self.path)).as_ref().map_err(Clone::clone)
    }
}

/// Answers what waits, and what comes before the queue closes, with a refusal.
fn refuse<T>(queue: &mut UnboundedReceiver<T>, mut answer: impl FnMut(T)) {
    queue.close();
    while let Some(job) = queue.blocking_recv() {
        answer(job);
    }
}

/// The way to a worker that is started when it is first needed, and again if it has ended.
pub(crate) struct Lazy<T>(Mutex<Option<UnboundedSender<T>>>);

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// To a worker that is there already.
    pub(crate) fn started(sender: UnboundedSender<T>) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    pub(crate) fn send(
        &self,
        job: T,
        start: impl FnOnce(UnboundedReceiver<T>) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match &*known {
            Some(sender) => match sender.send(job) {
                Ok(()) => return Ok(()),
                Err(SendError(job)) => job,
            },
            None => job,
        };
        let (sender, queue) = unbounded_channel();
        let _ = sender.send(job);
        start(queue)?;
        *known = Some(sender);
        Ok(())
    }
}

/// The path as it is shown in errors.
pub(crate) fn refused(path: &Path) -> impl Fn(String) -> OpenError + '_ {
    |reason| OpenError::Refused { path: path.to_owned(), reason }
}
