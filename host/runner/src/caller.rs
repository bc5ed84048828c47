//! The host's answers to one plugin working on one sample: from the journal where it has them, else from the model.
//!
//! A live run answers recorded calls from the journal and the rest from models and judges, and records each answer before
//! it hands it over. A replay has nothing but the journal: a call that is not there is a difference, and judges are run
//! again on their own recorded calls, so that their verdicts are checked too.
//!
//! `asked` has the forms that requests and answers take on record, `treating` changes of
//! matrices and training, `guarded` replies that a streaming judge may end,
//! `captures` what diagnostics hold of a model's states, `reused` calls answered
//! from earlier runs, `shared` what callers have in common.

mod asked;
mod captures;
mod guarded;
mod reused;
mod shared;
#[cfg(test)]
mod tests;
mod treating;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sonde_contract::{
    CaptureSpec, Completion, ContinuationScore, Digest, Exchange, Floats, HostError, ImportanceRequest,
    Intervention, LowRank, MatrixImportance, ModelInfo, Prompt, RowMean, Sampling, ScoreRequest, TensorInfo,
    TrainRequest, Trained, Verdict,
};
use sonde_engine::{GenerateRequest, Model};
use sonde_journal::{CallKind, CallPath, Entry, JournalError, LogLine};
use sonde_runtime::{Invocation, Kept, LogLevel, ModelRef, PluginError, Services};

use crate::progress::Event;
use crate::seeds;
use crate::treatment::InForce;
use asked::{
    Asked, AssessCall, ChangeForm, GenerateCall, ImportanceCall, InterveneCall, MatrixForm, ReadTensorCall,
    RowMeansCall, ScoreCall, TensorsCall, TextCall, Whom,
};
use captures::Captures;
pub use guarded::Guard;
pub(crate) use shared::{Bindings, Bound, Models, SampleState, Shared};

/// Changed models kept ready for one invocation; a plugin that goes through more of them has them made again.
const CHANGED_MODELS: usize = 64;

/// The services of one plugin on one sample.
pub(crate) struct Caller {
    shared: Arc<Shared>,
    sample: Arc<SampleState>,
    bound: Arc<Bindings>,
    /// The assess call that this judge answers; `None` for the task's own plugin.
    parent: Option<CallPath>,
    calls: AtomicU32,
    captures: Mutex<Captures>,
    changed: Mutex<Changed>,
}

/// Models with changes in force, by role, digest of the changes, and whether of the engine with gradients.
type Changed = HashMap<(String, Digest, bool), Arc<dyn Model>>;

/// A model as a call asks it: by its name in the config, and with the changes that are in force.
struct Handle<'a> {
    name: &'a str,
    /// The plugin's name for it.
    role: &'a str,
    changes: &'a [Intervention],
    edits: &'a [Arc<LowRank>],
    /// Of changes and edits.
    digest: Option<Digest>,
    /// What the run treats the model with.
    treatment: Option<InForce>,
}

impl Handle<'_> {
    fn whom(&self) -> Whom<'_> {
        Whom { model: self.name, treatment: self.treatment, changes: self.digest }
    }
}

impl Caller {
    /// An invocation of the task's own plugin.
    pub(crate) fn invocation(
        shared: &Arc<Shared>,
        sample: &Arc<SampleState>,
        bound: &Arc<Bound>,
    ) -> Invocation {
        Self::under(shared, sample, bound, None)
    }

    fn under(
        shared: &Arc<Shared>,
        sample: &Arc<SampleState>,
        bound: &Arc<Bound>,
        parent: Option<CallPath>,
    ) -> Invocation {
        Arc::new(Self::new(shared, sample, &bound.bindings, parent)).invoked_by(bound)
    }

    /// The services of the task's own plugin.
    pub(crate) fn of(shared: &Arc<Shared>, sample: &Arc<SampleState>, bound: &Arc<Bound>) -> Arc<Self> {
        Arc::new(Self::new(shared, sample, &bound.bindings, None))
    }

    /// An invocation of the plugin that these are the services of.
    pub(crate) fn invoked_by(self: &Arc<Self>, bound: &Bound) -> Invocation {
        Invocation {
            services: Arc::clone(self) as Arc<dyn Services>,
            grants: bound.grants.clone(),
            limits: bound.limits.clone(),
            asked_by_judge: self.parent.as_ref().is_some_and(|path| path.steps().len() > 1),
            subject: format!("sample {}", self.sample.id),
        }
    }

    fn new(
        shared: &Arc<Shared>,
        sample: &Arc<SampleState>,
        bound: &Arc<Bindings>,
        parent: Option<CallPath>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            sample: Arc::clone(sample),
            bound: Arc::clone(bound),
            parent,
            calls: AtomicU32::new(0),
            captures: Mutex::default(),
            changed: Mutex::default(),
        }
    }

    fn next_path(&self) -> CallPath {
        let index = self.calls.fetch_add(1, Ordering::Relaxed);
        self.parent.as_ref().map_or_else(|| CallPath::top(index), |parent| parent.child(index))
    }

    fn model_name(&self, role: &str) -> Result<&str, HostError> {
        self.bound.models.get(role).map(String::as_str).ok_or_else(|| {
            let bound: Vec<_> = self.bound.models.keys().map(String::as_str).collect();
            HostError::Denied(format!(
                "the run offers no model \"{role}\" to {}, only [{}]; bind one with `models: {{ {role}: … }}`",
                self.bound.title,
                bound.join(", ")
            ))
        })
    }

    fn handle<'a>(&'a self, model: &'a ModelRef) -> Result<Handle<'a>, HostError> {
        let ModelRef { role, changes, edits } = model;
        let digest = ChangeForm::digest(changes, edits)?;
        let used = self.bound.treatment.as_ref().filter(|used| used.role == *role);
        let treatment = used.map(|used| self.shared.treatments.in_force(used)).transpose()?.flatten();
        Ok(Handle { name: self.model_name(role)?, role, changes, edits, digest, treatment })
    }

    /// The model that answers what is asked of a handle.
    fn model(&self, handle: &Handle<'_>) -> Result<Arc<dyn Model>, HostError> {
        self.changed_model(handle, false)
    }

    /// The one that has gradients, if the run opened one.
    fn model_with_gradients(&self, handle: &Handle<'_>) -> Result<Arc<dyn Model>, HostError> {
        self.changed_model(handle, self.shared.with_gradients.contains_key(handle.name))
    }

    fn changed_model(&self, handle: &Handle<'_>, gradients: bool) -> Result<Arc<dyn Model>, HostError> {
        let name = handle.name;
        let models = if gradients { &self.shared.with_gradients } else { &self.shared.models };
        let model =
            models.get(name).ok_or_else(|| HostError::Engine(format!("the model \"{name}\" is not open")))?;
        let model = match handle.treatment {
            None => Arc::clone(model),
            Some(treatment) => self.shared.treatments.model(name, model, treatment, gradients)?,
        };
        let Some(digest) = handle.digest else { return Ok(model) };
        let mut changed = lock(&self.changed);
        let key = (handle.role.to_owned(), digest, gradients);
        if let Some(ready) = changed.get(&key) {
            return Ok(Arc::clone(ready));
        }
        let mut ready = model;
        if !handle.edits.is_empty() {
            ready = ready.adapt(handle.edits.iter().map(|edit| LowRank::clone(edit)).collect())?;
        }
        if !handle.changes.is_empty() {
            ready = ready.intervene(handle.changes.to_vec())?;
        }
        if changed.len() >= CHANGED_MODELS {
            changed.clear();
        }
        changed.insert(key, Arc::clone(&ready));
        Ok(ready)
    }

    /// The recorded answer of a call, if there is one. `None` means: ask, and record.
    fn recall<Answer: DeserializeOwned>(&self, asked: &Asked) -> Option<Result<Answer, HostError>> {
        let recorded = lock(&self.sample.recorded).remove(&asked.path);
        let Some(entry) = recorded else {
            return self.shared.replay.then(|| {
                Err(self.sample.differ(format!(
                    "{} makes a {} call {} that is not recorded",
                    self.bound.title,
                    asked.kind.as_str(),
                    asked.path
                )))
            });
        };
        if entry.kind != asked.kind || entry.request != asked.digest {
            return Some(Err(self.sample.differ(format!(
                "{} asks at call {} for something else than recorded",
                self.bound.title, asked.path
            ))));
        }
        Some(serde_json::from_str(&entry.answer_json).unwrap_or_else(|error| {
            Err(self
                .sample
                .differ(format!("the recorded answer of call {} cannot be read: {error}", asked.path)))
        }))
    }

    /// Records an answer; only then may the plugin have it.
    async fn record<Answer: Serialize>(
        &self,
        asked: Asked,
        model: Option<&str>,
        answer: Result<Answer, HostError>,
        tokens: (u32, u32),
        started: Instant,
    ) -> Result<Answer, HostError> {
        let answer_json = serde_json::to_string(&answer)
            .map_err(|error| HostError::Engine(format!("the answer has no JSON form: {error}")))?;
        let entry = Entry {
            path: asked.path,
            kind: asked.kind,
            plugin: self.bound.title.clone(),
            model: model.map(str::to_owned),
            request: asked.digest,
            request_json: asked.json,
            answer_json,
            prompt_tokens: tokens.0,
            completion_tokens: tokens.1,
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        let recorded = self.shared.journal.append(self.sample.key, entry).await;
        self.once_recorded(recorded, answer)
    }

    /// The answer, if it is on record; else the run cannot go on.
    fn once_recorded<Answer>(
        &self,
        recorded: Result<(), JournalError>,
        answer: Result<Answer, HostError>,
    ) -> Result<Answer, HostError> {
        match recorded {
            Ok(()) => answer,
            Err(error) => {
                let text = format!("the answer could not be recorded: {error}");
                lock(&self.shared.fatal).get_or_insert(error);
                Err(HostError::Engine(text))
            }
        }
    }

    async fn generate_one(
        &self,
        handle: &Handle<'_>,
        path: CallPath,
        prompt: Prompt,
        mut sampling: Sampling,
    ) -> Result<Completion, HostError> {
        seeds::fill(&mut sampling, self.sample.seed, &path);
        let guard = self.bound.guard.as_ref().filter(|guard| guard.role == handle.role);
        let form = guard.map(|guard| self.guard_form(guard)).transpose()?;
        let call = GenerateCall { whom: handle.whom(), prompt: &prompt, sampling: &sampling, guard: form };
        let asked = Asked::new(path, CallKind::Generate, &call)?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let asked = match self.earlier(asked, handle.name).await {
            ControlFlow::Break(answer) => return answer,
            ControlFlow::Continue(asked) => asked,
        };
        let started = Instant::now();
        let model = self.model(handle)?;
        let answer = match guard {
            None => model.generate(GenerateRequest { prompt, sampling, stream: None }).await,
            Some(guard) => {
                let subject = format!("the reply of {} to sample {}", handle.name, self.sample.id);
                self.guard(guard)?.generate(model.as_ref(), prompt, sampling, subject).await
            }
        };
        let tokens = answer
            .as_ref()
            .map_or((0, 0), |completion: &Completion| (completion.prompt_tokens, length(&completion.tokens)));
        self.record(asked, Some(handle.name), answer, tokens, started).await
    }

    async fn score_one(
        &self,
        handle: &Handle<'_>,
        path: CallPath,
        request: ScoreRequest,
    ) -> Result<Vec<ContinuationScore>, HostError> {
        let call = ScoreCall { whom: handle.whom(), request: &request };
        let asked = Asked::new(path, CallKind::Score, &call)?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let asked = match self.earlier(asked, handle.name).await {
            ControlFlow::Break(answer) => return answer,
            ControlFlow::Continue(asked) => asked,
        };
        let started = Instant::now();
        let model = self.model(handle)?;
        let prompt_tokens = model.count_tokens(&request.prompt).unwrap_or(0);
        let answer = model.score(request).await;
        let scored = answer.iter().flatten().map(|score| length(&score.token_logprobs)).sum::<u32>();
        self.record(asked, Some(handle.name), answer, (prompt_tokens + scored, 0), started).await
    }

    async fn assess_one(&self, slot: &str, path: CallPath, exchange: Exchange) -> Result<Verdict, HostError> {
        let name = self.bound.judges.get(slot).ok_or_else(|| {
            HostError::Denied(format!(
                "the run binds no judge \"{slot}\" for {}; bind one with `judges: {{ {slot}: … }}`",
                self.bound.title
            ))
        })?;
        let Some(judge) = self.shared.judges.get(name) else {
            return Err(HostError::Engine(format!("the judge \"{name}\" is not loaded")));
        };
        let asked =
            Asked::new(path.clone(), CallKind::Assess, &AssessCall { judge: name, exchange: &exchange })?;
        let recorded = self.recall::<Verdict>(&asked);
        if let Some(recorded) = recorded {
            if self.shared.replay {
                let again = self.judge(name, judge, &path, &exchange).await;
                if again != recorded {
                    return Err(self
                        .sample
                        .differ(format!("the judge \"{name}\" gives another verdict at call {path}")));
                }
            } else {
                // What the judge asked to come to this verdict is not asked again.
                lock(&self.sample.recorded).retain(|call, _| !call.steps().starts_with(path.steps()));
            }
            return recorded;
        }
        let started = Instant::now();
        let answer = self.judge(name, judge, &path, &exchange).await;
        self.record(asked, None, answer, (0, 0), started).await
    }

    async fn judge(
        &self,
        name: &str,
        judge: &Arc<Bound>,
        path: &CallPath,
        exchange: &Exchange,
    ) -> Result<Verdict, HostError> {
        let invocation = Self::under(&self.shared, &self.sample, judge, Some(path.clone()));
        let verdict = judge.plugin.assess(invocation, exchange, &judge.parameters).await;
        verdict.map_err(|error| no_verdict(name, &error))
    }

    /// A question to the tokenizer.
    async fn look_up<Answer: Serialize + DeserializeOwned>(
        &self,
        role: &str,
        kind: CallKind,
        prompt: &Prompt,
        ask: impl FnOnce(&dyn Model) -> Result<Answer, HostError> + Send,
    ) -> Result<Answer, HostError> {
        let model = self.model_name(role)?;
        let asked = Asked::new(self.next_path(), kind, &TextCall { model, prompt })?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let asked = match self.earlier(asked, model).await {
            ControlFlow::Break(answer) => return answer,
            ControlFlow::Continue(asked) => asked,
        };
        let started = Instant::now();
        let answer = ask(self.model(&unchanged(model))?.as_ref());
        self.record(asked, Some(model), answer, (0, 0), started).await
    }

    /// A question about the model's file, away from the tasks that must not wait for a disk.
    async fn look_into<Answer: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        model: &str,
        asked: Asked,
        ask: impl FnOnce(&dyn Model) -> Result<Answer, HostError> + Send + 'static,
    ) -> Result<Answer, HostError> {
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let started = Instant::now();
        let open = self.model(&unchanged(model))?;
        let answer = tokio::task::spawn_blocking(move || ask(open.as_ref())).await;
        let answer = answer.unwrap_or_else(|error| Err(HostError::Engine(error.to_string())));
        self.record(asked, Some(model), answer, (0, 0), started).await
    }
}

fn unchanged(name: &str) -> Handle<'_> {
    Handle { name, role: "", changes: &[], edits: &[], digest: None, treatment: None }
}

#[async_trait]
impl Services for Caller {
    fn open(&self, role: &str) -> Result<ModelInfo, HostError> {
        let name = self.model_name(role)?;
        let info = self.shared.infos.get(name).cloned();
        info.ok_or_else(|| HostError::Engine(format!("the run file does not describe the model \"{name}\"")))
    }

    fn sampling(&self, role: &str) -> Sampling {
        self.bound.sampling.get(role).cloned().unwrap_or_default()
    }

    async fn count_tokens(&self, model: &ModelRef, prompt: Prompt) -> Result<u32, HostError> {
        self.look_up(&model.role, CallKind::CountTokens, &prompt, |model| model.count_tokens(&prompt)).await
    }

    async fn tokenize(&self, model: &ModelRef, prompt: Prompt) -> Result<Vec<u32>, HostError> {
        self.look_up(&model.role, CallKind::Tokenize, &prompt, |model| model.tokenize(&prompt)).await
    }

    async fn render(&self, model: &ModelRef, prompt: Prompt) -> Result<String, HostError> {
        self.look_up(&model.role, CallKind::Render, &prompt, |model| model.render(&prompt)).await
    }

    async fn generate(
        &self,
        model: &ModelRef,
        prompts: Vec<Prompt>,
        sampling: Sampling,
    ) -> Vec<Result<Completion, HostError>> {
        let handle = &self.handle(model);
        // Paths are given out in the order of the prompts, whichever is answered first.
        let calls: Vec<_> = prompts.into_iter().map(|prompt| (self.next_path(), prompt)).collect();
        join_all(calls.into_iter().map(|(path, prompt)| {
            let sampling = sampling.clone();
            async move {
                let handle = handle.as_ref().map_err(Clone::clone)?;
                self.generate_one(handle, path, prompt, sampling).await
            }
        }))
        .await
    }

    async fn score(
        &self,
        model: &ModelRef,
        requests: Vec<ScoreRequest>,
    ) -> Vec<Result<Vec<ContinuationScore>, HostError>> {
        let handle = &self.handle(model);
        let calls: Vec<_> = requests.into_iter().map(|request| (self.next_path(), request)).collect();
        join_all(calls.into_iter().map(|(path, request)| async move {
            let handle = handle.as_ref().map_err(Clone::clone)?;
            self.score_one(handle, path, request).await
        }))
        .await
    }

    async fn assess(&self, judge: &str, exchanges: Vec<Exchange>) -> Vec<Result<Verdict, HostError>> {
        let calls: Vec<_> = exchanges.into_iter().map(|exchange| (self.next_path(), exchange)).collect();
        join_all(calls.into_iter().map(|(path, exchange)| self.assess_one(judge, path, exchange))).await
    }

    async fn capture(
        &self,
        model: &ModelRef,
        prompts: Vec<Prompt>,
        spec: CaptureSpec,
    ) -> Vec<Result<Kept, HostError>> {
        self.capture_all(model, prompts, &spec).await
    }

    async fn trace(
        &self,
        model: &ModelRef,
        prompts: Vec<Prompt>,
        sampling: Sampling,
        spec: CaptureSpec,
    ) -> Vec<Result<(Completion, Kept), HostError>> {
        self.trace_all(model, prompts, &sampling, &spec).await
    }

    async fn read_capture(
        &self,
        capture: u64,
        layer: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Vec<f32>, HostError> {
        self.read_kept(capture, layer, first_row, rows).await
    }

    fn release_capture(&self, capture: u64) {
        self.release(capture);
    }

    async fn intervene(&self, model: &ModelRef, changes: Vec<Intervention>) -> Result<(), HostError> {
        let handle = self.handle(model)?;
        let call = InterveneCall { whom: handle.whom(), add: ChangeForm::of(&changes) };
        let asked = Asked::new(self.next_path(), CallKind::Intervene, &call)?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let started = Instant::now();
        let all = ModelRef { changes: [model.changes.as_slice(), &changes].concat(), ..model.clone() };
        let answer = self.model(&self.handle(&all)?).map(drop);
        self.record(asked, Some(handle.name), answer, (0, 0), started).await
    }

    async fn edit(&self, model: &ModelRef, edits: &[Arc<LowRank>]) -> Result<(), HostError> {
        self.edit_model(model, edits).await
    }

    async fn row_means(&self, model: &ModelRef, name: &str) -> Result<Vec<RowMean>, HostError> {
        let whose = self.model_name(&model.role)?;
        let asked = Asked::new(self.next_path(), CallKind::RowMeans, &RowMeansCall { model: whose, name })?;
        let name = name.to_owned();
        self.look_into(whose, asked, move |model| model.row_means(&name)).await
    }

    async fn train(&self, model: &ModelRef, request: TrainRequest) -> Result<Trained, HostError> {
        self.train_adapter(model, request).await
    }

    async fn tensors(&self, model: &ModelRef) -> Result<Vec<TensorInfo>, HostError> {
        let name = self.model_name(&model.role)?;
        let asked = Asked::new(self.next_path(), CallKind::Tensors, &TensorsCall { model: name })?;
        self.look_into(name, asked, |model| model.tensors()).await
    }

    async fn read_tensor(
        &self,
        model: &ModelRef,
        name: &str,
        first: u64,
        count: u32,
    ) -> Result<Vec<f32>, HostError> {
        let whose = self.model_name(&model.role)?;
        let call = ReadTensorCall { model: whose, name, first, count };
        let asked = Asked::new(self.next_path(), CallKind::ReadTensor, &call)?;
        let name = name.to_owned();
        let read = move |model: &dyn Model| model.read_tensor(&name, first, count).map(Floats);
        self.look_into(whose, asked, read).await.map(|Floats(numbers)| numbers)
    }

    async fn importance(
        &self,
        model: &ModelRef,
        request: ImportanceRequest,
    ) -> Result<Vec<MatrixImportance>, HostError> {
        let handle = self.handle(model)?;
        let call = ImportanceCall { whom: handle.whom(), request: &request };
        let asked = Asked::new(self.next_path(), CallKind::Importance, &call)?;
        let of_forms = |forms: Vec<MatrixForm>| forms.into_iter().map(MatrixImportance::from).collect();
        if let Some(answer) = self.recall(&asked) {
            return answer.map(of_forms);
        }
        let started = Instant::now();
        let model = self.model_with_gradients(&handle)?;
        // Nothing else runs beside a diagnostic, so what the model computes meanwhile is this.
        let before = model.usage().prompt_tokens;
        let answer = model.importance(request).await;
        let tokens = u32::try_from(model.usage().prompt_tokens.saturating_sub(before)).unwrap_or(u32::MAX);
        let answer =
            answer.map(|matrices| matrices.into_iter().map(MatrixForm::from).collect::<Vec<MatrixForm>>());
        self.record(asked, Some(handle.name), answer, (tokens, 0), started).await.map(of_forms)
    }

    fn log(&self, level: LogLevel, text: String) {
        let level = match level {
            LogLevel::Debug => sonde_journal::LogLevel::Debug,
            LogLevel::Info => sonde_journal::LogLevel::Info,
            LogLevel::Warn => sonde_journal::LogLevel::Warn,
            LogLevel::Error => sonde_journal::LogLevel::Error,
        };
        lock(&self.sample.logs).push(LogLine { level, text, plugin: self.bound.title.clone() });
    }

    fn progress(&self, done: u64, total: u64, what: String) {
        if !self.shared.replay {
            let (id, plugin) = (self.sample.id.clone(), self.bound.title.clone());
            self.shared.observer.notice(Event::Progress { id, plugin, done, total, what });
        }
    }
}

/// Why a judge gave no verdict, as the plugin that asked it is told: that plugin says that it speaks of a judge, and its
/// own failure names the sample.
fn no_verdict(name: &str, error: &PluginError) -> HostError {
    match error {
        PluginError::Failed { plugin, message, .. } => {
            HostError::InvalidArgument(format!("\"{name}\" ({plugin}) failed: {message}"))
        }
        PluginError::Limit { plugin, limit, .. } => {
            HostError::Limit(format!("\"{name}\" ({plugin}) was stopped: {limit}"))
        }
        other => HostError::Engine(format!("\"{name}\" gave no verdict: {other}")),
    }
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
