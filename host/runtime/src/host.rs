//! The host as one guest meets it: a store's data, the host functions, and the count of what the guest uses. What
//! diagnostics ask besides is in `inside`, what treatments ask in `treating`.

mod inside;
mod treating;

use std::sync::Arc;

use sonde_contract::{HostError, ModelInfo, StreamEvent};
use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable};

use crate::bindings::{generation, judging, log, reply_stream, results, types};
use crate::clock::ComputeClock;
use crate::convert::{self, Budget, Fault};
use crate::limits::{LimitReached, Limits};
use crate::printable::printable;
use crate::services::{LogLevel, ModelRef, Services};

pub use inside::OpenCapture;
pub use treating::OpenAdapter;

/// Longest role or judge name that is passed on.
const NAME_BYTES: usize = 200;
/// How much of a plugin's last error line is kept for the message about its crash.
const LAST_WORDS: usize = 4096;

/// A model that a guest opened.
pub struct OpenModel {
    model: Arc<ModelRef>,
    info: Arc<ModelInfo>,
    /// Bytes of the vectors of its changes.
    held: usize,
}

/// Whom the guest can reach.
pub enum Peer {
    /// Nobody: it describes itself.
    Nobody,
    /// A run.
    Services {
        /// Who answers.
        services: Arc<dyn Services>,
        /// False for a judge that a judge asks.
        may_ask_judges: bool,
    },
}

/// Ends a description that called the host.
#[derive(Debug, thiserror::Error)]
#[error("it called `{call}` while describing itself, and `describe` must not call the host")]
pub struct CalledWhileDescribing {
    call: &'static str,
}

/// The data of one store: one invocation of one plugin.
pub struct Host {
    peer: Peer,
    limits: Limits,
    clock: Arc<ComputeClock>,
    /// Models and captures.
    handles: ResourceTable,
    open_models: u32,
    captures: u32,
    /// Bytes that the services and this store hold for the guest.
    held: usize,
    calls: u32,
    /// The watched reply is over.
    reply_ended: bool,
    logged: usize,
    last_error: Option<String>,
    memory: usize,
    memory_asked: usize,
    table_elements: usize,
}

impl Host {
    /// For one invocation.
    pub fn new(peer: Peer, limits: Limits) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(limits.handles());
        Self {
            peer,
            limits,
            clock: Arc::default(),
            handles,
            open_models: 0,
            captures: 0,
            held: 0,
            calls: 0,
            reply_ended: false,
            logged: 0,
            last_error: None,
            memory: 0,
            memory_asked: 0,
            table_elements: 0,
        }
    }

    /// The guest's compute clock.
    pub fn clock(&self) -> &Arc<ComputeClock> {
        &self.clock
    }

    /// What the guest may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The last line that the guest logged as an error.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Whether the guest has computed for too long.
    pub fn compute_limit(&self) -> Result<(), LimitReached> {
        let seconds = self.limits.compute_seconds;
        if self.clock.used().as_secs_f64() > seconds {
            Err(LimitReached::Compute { seconds })
        } else {
            Ok(())
        }
    }

    /// Counts a call and finds who answers it.
    fn enter(&mut self, call: &'static str) -> wasmtime::Result<Arc<dyn Services>> {
        let Peer::Services { services, .. } = &self.peer else {
            return Err(CalledWhileDescribing { call }.into());
        };
        let found = Arc::clone(services);
        self.calls = self.calls.saturating_add(1);
        if self.calls > self.limits.host_calls {
            return Err(LimitReached::HostCalls { calls: self.limits.host_calls }.into());
        }
        Ok(found)
    }

    /// Waits for an answer with the guest's clock stopped.
    async fn waiting<T>(&mut self, answer: impl Future<Output = T> + Send) -> T {
        self.clock.stop();
        let answer = answer.await;
        self.clock.start();
        answer
    }

    fn paused<T>(&self, answer: impl FnOnce() -> T) -> T {
        self.clock.stop();
        let answer = answer();
        self.clock.start();
        answer
    }

    fn batch(&self, asked: usize) -> Result<(), LimitReached> {
        let batch = self.limits.batch;
        if asked <= batch as usize { Ok(()) } else { Err(LimitReached::Batch { asked, batch }) }
    }

    fn model(&self, model: &Resource<OpenModel>) -> wasmtime::Result<Arc<ModelRef>> {
        Ok(Arc::clone(&self.handles.get(model)?.model))
    }

    /// Refuses one more open model than allowed.
    fn one_more_model(&self) -> Result<(), LimitReached> {
        let models = self.limits.open_models;
        if self.open_models < models { Ok(()) } else { Err(LimitReached::OpenModels { models }) }
    }

    fn hand_model(&mut self, model: OpenModel) -> wasmtime::Result<Resource<OpenModel>> {
        self.open_models += 1;
        self.held = self.held.saturating_add(model.held);
        Ok(self.handles.push(model)?)
    }

    fn all<G, T>(
        &self,
        from: Vec<G>,
        read: impl Fn(&Limits, G) -> Result<T, LimitReached>,
    ) -> Result<Vec<T>, LimitReached> {
        self.batch(from.len())?;
        from.into_iter().map(|from| read(&self.limits, from)).collect()
    }
}

/// One answer per question, whatever the services gave.
fn as_many<T>(asked: usize, answers: Vec<Result<T, HostError>>) -> Vec<Result<T, HostError>> {
    if answers.len() == asked {
        return answers;
    }
    let text = format!("the host gave {} answers to {asked} requests", answers.len());
    (0..asked).map(|_| Err(HostError::Engine(text.clone()))).collect()
}

fn refuse_all<T>(asked: usize, error: &types::Error) -> Vec<Result<T, types::Error>> {
    (0..asked).map(|_| Err(error.clone())).collect()
}

impl types::Host for Host {}
impl results::Host for Host {}
impl generation::Host for Host {}

impl generation::HostModel for Host {
    async fn open(&mut self, role: String) -> wasmtime::Result<Result<Resource<OpenModel>, types::Error>> {
        let services = self.enter("model.open")?;
        if role.len() > NAME_BYTES {
            return Ok(Err(types::Error::InvalidArgument(format!(
                "a role of {} bytes has no model",
                role.len()
            ))));
        }
        match self.paused(|| services.open(&role)) {
            Ok(info) => {
                self.one_more_model()?;
                let model = ModelRef { role, ..ModelRef::default() };
                Ok(Ok(self.hand_model(OpenModel { model: model.into(), info: info.into(), held: 0 })?))
            }
            Err(error) => Ok(Err(convert::host_error(error))),
        }
    }

    async fn info(&mut self, model: Resource<OpenModel>) -> wasmtime::Result<generation::ModelInfo> {
        self.enter("model.info")?;
        Ok(convert::model_info(&self.handles.get(&model)?.info))
    }

    async fn sampling(&mut self, model: Resource<OpenModel>) -> wasmtime::Result<generation::Sampling> {
        let services = self.enter("model.sampling")?;
        let model = self.model(&model)?;
        Ok(convert::sampling_for_guest(self.paused(|| services.sampling(&model.role))))
    }

    async fn count_tokens(
        &mut self,
        model: Resource<OpenModel>,
        prompt: types::Prompt,
    ) -> wasmtime::Result<Result<u32, types::Error>> {
        let services = self.enter("model.count-tokens")?;
        let (model, prompt) = (self.model(&model)?, convert::prompt(&self.limits, prompt)?);
        let answer = self.waiting(services.count_tokens(&model, prompt)).await;
        Ok(Budget::new(&self.limits).count(answer))
    }

    async fn tokenize(
        &mut self,
        model: Resource<OpenModel>,
        prompt: types::Prompt,
    ) -> wasmtime::Result<Result<Vec<u32>, types::Error>> {
        let services = self.enter("model.tokenize")?;
        let (model, prompt) = (self.model(&model)?, convert::prompt(&self.limits, prompt)?);
        let answer = self.waiting(services.tokenize(&model, prompt)).await;
        Ok(Budget::new(&self.limits).tokens(answer))
    }

    async fn render(
        &mut self,
        model: Resource<OpenModel>,
        prompt: types::Prompt,
    ) -> wasmtime::Result<Result<String, types::Error>> {
        let services = self.enter("model.render")?;
        let (model, prompt) = (self.model(&model)?, convert::prompt(&self.limits, prompt)?);
        let answer = self.waiting(services.render(&model, prompt)).await;
        Ok(Budget::new(&self.limits).text(answer))
    }

    async fn generate(
        &mut self,
        model: Resource<OpenModel>,
        prompts: Vec<types::Prompt>,
        sampling: generation::Sampling,
    ) -> wasmtime::Result<Vec<Result<generation::Completion, types::Error>>> {
        let services = self.enter("model.generate")?;
        let (model, prompts) = (self.model(&model)?, self.all(prompts, convert::prompt)?);
        let asked = prompts.len();
        let sampling = match convert::sampling(&self.limits, sampling) {
            Ok(sampling) => sampling,
            Err(Fault::Limit(limit)) => return Err(limit.into()),
            Err(Fault::Wrong(text)) => return Ok(refuse_all(asked, &types::Error::InvalidArgument(text))),
        };
        let answers = self.waiting(services.generate(&model, prompts, sampling)).await;
        let mut budget = Budget::new(&self.limits);
        Ok(as_many(asked, answers).into_iter().map(|answer| budget.completion(answer)).collect())
    }

    async fn score(
        &mut self,
        model: Resource<OpenModel>,
        requests: Vec<generation::ScoreRequest>,
    ) -> wasmtime::Result<Vec<Result<Vec<generation::ContinuationScore>, types::Error>>> {
        let services = self.enter("model.score")?;
        let (model, requests) = (self.model(&model)?, self.all(requests, convert::score_request)?);
        let asked = requests.len();
        let answers = self.waiting(services.score(&model, requests)).await;
        let mut budget = Budget::new(&self.limits);
        Ok(as_many(asked, answers).into_iter().map(|answer| budget.scores(answer)).collect())
    }

    async fn drop(&mut self, model: Resource<OpenModel>) -> wasmtime::Result<()> {
        let model = self.handles.delete(model)?;
        self.open_models = self.open_models.saturating_sub(1);
        self.held = self.held.saturating_sub(model.held);
        Ok(())
    }
}

impl judging::Host for Host {
    async fn assess(
        &mut self,
        judge: String,
        exchanges: Vec<judging::Exchange>,
    ) -> wasmtime::Result<Vec<Result<judging::Verdict, types::Error>>> {
        let services = self.enter("judging.assess")?;
        let exchanges = self.all(exchanges, convert::exchange)?;
        let asked = exchanges.len();
        // Judges that wait for judges without end could come to hold every instance of the pool and wait for ever.
        if matches!(self.peer, Peer::Services { may_ask_judges: false, .. }) {
            let text = "a judge that another judge asks, or that watches a reply, cannot ask a judge; it can ask a model";
            return Ok(refuse_all(asked, &types::Error::Unsupported(text.into())));
        }
        if judge.len() > NAME_BYTES {
            let text = format!("a name of {} bytes has no judge", judge.len());
            return Ok(refuse_all(asked, &types::Error::InvalidArgument(text)));
        }
        let answers = self.waiting(services.assess(&judge, exchanges)).await;
        let mut budget = Budget::new(&self.limits);
        Ok(as_many(asked, answers).into_iter().map(|answer| budget.verdict(answer)).collect())
    }
}

impl reply_stream::Host for Host {
    async fn next(
        &mut self,
        verdicts: Vec<reply_stream::TokenVerdict>,
    ) -> wasmtime::Result<reply_stream::Event> {
        let services = self.enter("reply-stream.next")?;
        // A reply may be long: what counts is what the guest asks between one piece of it and the next.
        self.calls = 0;
        let verdicts = self.all(verdicts, convert::token_verdict)?;
        let verdicts = verdicts.into_iter().collect::<Result<Vec<_>, _>>();
        if self.reply_ended {
            wasmtime::bail!("it asks for more of a reply after the end");
        }
        let event = self.waiting(services.next_of_reply(verdicts)).await;
        self.reply_ended = event == StreamEvent::End;
        Ok(convert::stream_event(event))
    }
}

impl log::Host for Host {
    async fn write(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        let level = convert::level(level);
        // Kept before anything can refuse the line, so that a panic is told even where nobody may be called.
        if level == LogLevel::Error {
            self.last_error = Some(printable(&text).chars().take(LAST_WORDS).collect());
        }
        let services = self.enter("log.write")?;
        self.count_log(text.len())?;
        self.paused(|| services.log(level, printable(&text)));
        Ok(())
    }

    async fn progress(&mut self, done: u64, total: u64, what: String) -> wasmtime::Result<()> {
        let services = self.enter("log.progress")?;
        self.count_log(what.len())?;
        self.paused(|| services.progress(done, total, printable(&what)));
        Ok(())
    }
}

impl Host {
    fn count_log(&mut self, bytes: usize) -> Result<(), LimitReached> {
        self.logged = self.logged.saturating_add(bytes);
        if self.logged <= self.limits.log_bytes() {
            return Ok(());
        }
        Err(LimitReached::Log { kib: self.limits.log_kib })
    }
}

/// Growing past a limit stops the guest there and then: a guest told that memory is out would only abort, and the
/// reason would be lost.
impl ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory_asked = desired.saturating_sub(current);
        self.memory = self.memory.saturating_add(self.memory_asked);
        if self.memory > self.limits.memory_bytes() {
            return Err(LimitReached::Memory { mib: self.limits.memory_mib }.into());
        }
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory = self.memory.saturating_sub(self.memory_asked);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table_elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if self.table_elements > self.limits.table_elements as usize {
            return Err(LimitReached::Table { elements: self.limits.table_elements }.into());
        }
        Ok(true)
    }
}
