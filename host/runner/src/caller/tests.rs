//! Callers as a diagnostic meets them, with a model that counts its passes: what is computed when a run goes on, what is
//! on record, and that a replay needs no model.

mod treating;

use std::path::PathBuf;

use serde_json::json;
use sonde_contract::{
    CaptureRequest, Captured, Change, Example, Finish, Modules, Rows, Site, TraceRequest, Traced,
};
use sonde_engine::{Following, OpenOptions, Usage};
use sonde_journal::{Header, HostIdentity, JournalError, ModelIdentity, RunFile, SampleRow, TaskIdentity};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;

/// A model of width 2 whose states tell layer, token and change. It counts its passes and can stop answering.
struct Counting {
    gradients: bool,
    added: f32,
    shared: Arc<Log>,
    info: ModelInfo,
    options: OpenOptions,
}

struct Log {
    passes: Mutex<Vec<String>>,
    /// Passes before it answers no more.
    budget: usize,
    exhausted: Notify,
    /// Added to the tokens of a traced reply.
    mood: u32,
}

impl Log {
    async fn pass(&self, what: String) {
        let left = {
            let mut passes = lock(&self.passes);
            passes.push(what);
            passes.len() <= self.budget
        };
        if !left {
            self.exhausted.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

fn tokens_of(prompt: &Prompt) -> Vec<u32> {
    match prompt {
        Prompt::Text(text) => text.bytes().map(u32::from).collect(),
        Prompt::Tokens(tokens) => tokens.clone(),
        Prompt::Chat(_) => vec![],
    }
}

impl Counting {
    fn states(&self, tokens: &[u32], layers: &[u32], rows: &[usize]) -> Vec<Vec<f32>> {
        let state = |layer: u32, row: &usize| {
            let seen: u32 = tokens.iter().take(row + 1).sum();
            [seen as f32 + self.added, layer as f32]
        };
        layers.iter().map(|layer| rows.iter().flat_map(|row| state(*layer, row)).collect()).collect()
    }
}

#[async_trait]
impl Model for Counting {
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    fn options(&self) -> &OpenOptions {
        &self.options
    }
    fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, HostError> {
        Ok(tokens_of(prompt))
    }
    fn tokenize_on(&self, text: &str) -> Result<Vec<u32>, HostError> {
        Ok(vec![length(text.as_bytes())])
    }
    fn render(&self, _prompt: &Prompt) -> Result<String, HostError> {
        Ok("rendered".into())
    }
    async fn generate(&self, request: GenerateRequest) -> Result<Completion, HostError> {
        self.shared.pass("generate".into()).await;
        Ok(completion(&format!("{:?} with {}", request.prompt, self.added), vec![1]))
    }
    async fn score(&self, _request: ScoreRequest) -> Result<Vec<ContinuationScore>, HostError> {
        self.shared.pass("score".into()).await;
        Ok(vec![ContinuationScore { logprob: self.added, token_logprobs: vec![], is_greedy: true }])
    }
    async fn capture(&self, request: CaptureRequest) -> Result<Captured, HostError> {
        let tokens = tokens_of(&request.prompt);
        self.shared.pass(format!("capture {tokens:?}")).await;
        if tokens.is_empty() {
            return Err(HostError::InvalidArgument("the prompt is empty".into()));
        }
        let rows: Vec<usize> = match &request.spec.rows {
            Rows::All => (0..tokens.len()).collect(),
            Rows::At(rows) => rows.iter().map(|row| usize::try_from(*row).unwrap()).collect(),
            Rows::Last | Rows::Mean => vec![tokens.len() - 1],
        };
        let layers = self.states(&tokens, &request.spec.layers, &rows);
        Ok(Captured { rows: length(&rows), width: 2, layers, tokens })
    }
    async fn trace(&self, request: TraceRequest) -> Result<Traced, HostError> {
        let tokens = tokens_of(&request.prompt);
        self.shared.pass(format!("trace {tokens:?}")).await;
        let reply = vec![10 + self.shared.mood, 20, 30];
        let whole: Vec<u32> = tokens.iter().chain(&reply).copied().collect();
        let rows: Vec<usize> = (tokens.len() - 1..whole.len()).collect();
        let layers = self.states(&whole, &request.spec.layers, &rows);
        let captured = Captured { rows: 4, width: 2, layers, tokens };
        Ok(Traced { completion: completion("reply", reply), captured })
    }
    fn intervene(&self, changes: Vec<Intervention>) -> Result<Arc<dyn Model>, HostError> {
        let mut added = self.added;
        for Intervention { change, .. } in changes {
            match change {
                Change::Add { vector, coefficient } => added += coefficient * vector[0],
                Change::ProjectOut { .. } => {
                    return Err(HostError::Unsupported("no projections here".into()));
                }
            }
        }
        lock(&self.shared.passes).push(format!("change by {added}"));
        Ok(Arc::new(Self {
            added,
            shared: Arc::clone(&self.shared),
            info: self.info.clone(),
            options: self.options.clone(),
            gradients: self.gradients,
        }))
    }
    fn adapt(&self, edits: Arc<[LowRank]>) -> Result<Arc<dyn Model>, HostError> {
        if let Some(unknown) = edits.iter().find(|edit| edit.matrix != "w") {
            return Err(HostError::InvalidArgument(format!("there is no matrix {:?}", unknown.matrix)));
        }
        let added = edits.iter().map(|edit| edit.scale * edit.b[0]).sum::<f32>();
        let change = Change::Add { vector: vec![added], coefficient: 1.0 };
        self.intervene(vec![Intervention { layers: vec![0], site: Site::Mlp, change }])
    }
    async fn train(&self, request: TrainRequest, following: Following) -> Result<Trained, HostError> {
        self.shared.pass(format!("train {}", following.checkpoint.unwrap().display())).await;
        let adapter = LowRank {
            matrix: "w".into(),
            expert: None,
            rank: 1,
            a: vec![1.0],
            b: vec![request.lessons.len() as f32],
            scale: 0.5,
        };
        Ok(Trained { adapter: vec![adapter], losses: vec![0.1], tokens: 11 })
    }
    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        Ok(vec![TensorInfo { name: "w".into(), shape: vec![2, 3], quantisation: "F32".into() }])
    }
    fn read_tensor(&self, _name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        Ok((first..first + u64::from(count)).map(|index| index as f32 / 3.0).collect())
    }
    async fn importance(&self, request: ImportanceRequest) -> Result<Vec<MatrixImportance>, HostError> {
        self.shared.pass("importance".into()).await;
        if !self.gradients {
            return Err(HostError::Unsupported("this engine has no gradients".into()));
        }
        let scores = vec![0.1, request.examples.len() as f32];
        let top = vec![5, 1 << 40];
        Ok(vec![MatrixImportance {
            layer: 0,
            name: "mlp.up_proj".into(),
            size: 9,
            has_gradient: true,
            top,
            scores,
        }])
    }
    fn has_gradients(&self) -> bool {
        self.gradients
    }
    fn usage(&self) -> Usage {
        Usage { prompt_tokens: 7 * lock(&self.shared.passes).len() as u64, ..Usage::default() }
    }
}

fn completion(text: &str, tokens: Vec<u32>) -> Completion {
    Completion {
        text: text.into(),
        reasoning: None,
        tokens,
        prompt_tokens: 3,
        finish: Finish::Stop,
        logprobs: vec![],
        flagged: None,
    }
}

fn info() -> ModelInfo {
    ModelInfo {
        name: "wren".into(),
        architecture: "qwen3".into(),
        quantisation: "F32".into(),
        layers: 6,
        width: 2,
        vocabulary: 256,
        context: 100,
        has_chat_template: false,
    }
}

fn open(gradients: bool, budget: usize, mood: u32) -> (Arc<dyn Model>, Arc<Log>) {
    let log = Arc::new(Log { passes: Mutex::default(), budget, exhausted: Notify::new(), mood });
    let options = OpenOptions::default();
    let model = Counting { gradients, added: 0.0, shared: Arc::clone(&log), info: info(), options };
    (Arc::new(model), log)
}

/// A run file with one sample, and every life that works on it.
struct Bench {
    _folder: TempDir,
    path: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sonde");
        let plugin = b"pretend".to_vec();
        let digest = Digest::of(&plugin);
        let header = Header {
            sonde: "0.1.0".into(),
            created: "2026-01-02T03:04:05Z".into(),
            host: HostIdentity { triple: "here".into(), cpu: "a CPU".into(), cores: 2 },
            reproducible: false,
            config: json!({}),
            config_path: "run.yaml".into(),
            plan: digest,
            rejudged: None,
            models: vec![ModelIdentity {
                role: "wren".into(),
                path: "wren.gguf".into(),
                digest,
                bytes: 1,
                info: info(),
                engine: "llama".into(),
                engine_version: "1".into(),
                gradients: None,
                threads: 1,
                slots: 1,
                seed: 0,
            }],
            plugins: vec![sonde_journal::PluginIdentity {
                digest,
                path: "look.wasm".into(),
                world: "diagnostic".into(),
                imports: vec![],
                bytes: 7,
                about: sonde_contract::About {
                    name: "look".into(),
                    version: "0.1.0".into(),
                    title: String::new(),
                    summary: String::new(),
                    citation: String::new(),
                    licence: String::new(),
                    models: vec![],
                    judges: vec![],
                    datasets: vec![],
                    columns: vec![],
                    parameters_schema: String::new(),
                },
            }],
            judges: vec![],
            tasks: vec![TaskIdentity {
                name: "look".into(),
                plugin: digest,
                dataset: None,
                datasets: [].into(),
                models: [("target".into(), "wren".into())].into(),
                judges: [].into(),
                guard: None,
                treatment: None,
                parameters: json!({}),
                sampling: [].into(),
                limit: None,
                shuffle: false,
                seed: 0,
                grants: vec![],
                limits: json!({}),
            }],
        };
        let journal = RunFile::create(&path, &header, &[(digest, plugin)]).unwrap();
        let row = SampleRow {
            task: "look".into(),
            ordinal: 1,
            id: "look/1".into(),
            origin: String::new(),
            row: Ok("{}".into()),
            seed: 0,
        };
        journal.add_samples("look", [Ok::<_, JournalError>(row)]).unwrap();
        Self { _folder: folder, path }
    }

    /// A process that opens the run file anew; without a model it replays.
    fn life(&self, model: Option<Arc<dyn Model>>, with_gradients: Option<Arc<dyn Model>>) -> Life {
        let journal = RunFile::open(&self.path).unwrap();
        let sample = journal.sample("look/1").unwrap().unwrap();
        let state =
            SampleState::new(sample.key, sample.id, sample.seed, journal.recorded(sample.key).unwrap());
        let replay = model.is_none();
        let named = |model: Option<Arc<dyn Model>>| {
            model.into_iter().map(|model| ("wren".to_owned(), model)).collect::<Models>()
        };
        let observer = Arc::new(|_: Event| {});
        let shared = Shared::new(journal, named(model), named(with_gradients), [].into(), replay, observer);
        let bindings = Bindings {
            treatment: None,
            asks: true,
            title: "look 0.1.0".into(),
            models: [("target".to_owned(), "wren".to_owned())].into(),
            sampling: [].into(),
            judges: [].into(),
            guard: None,
        };
        let state = Arc::new(state);
        let caller = Caller::new(&Arc::new(shared), &state, &Arc::new(bindings), None);
        Life { caller, state }
    }

    fn recorded(&self) -> Vec<Entry> {
        let journal = RunFile::open_read(&self.path).unwrap();
        let sample = journal.sample("look/1").unwrap().unwrap();
        journal.recorded(sample.key).unwrap()
    }
}

struct Life {
    caller: Caller,
    state: Arc<SampleState>,
}

fn target() -> ModelRef {
    ModelRef { role: "target".into(), ..ModelRef::default() }
}

fn changed(by: f32) -> ModelRef {
    let change = Change::Add { vector: vec![by, 0.0], coefficient: 2.0 };
    ModelRef { changes: vec![Intervention { layers: vec![1], site: Site::Residual, change }], ..target() }
}

fn spec(rows: Rows) -> CaptureSpec {
    CaptureSpec { layers: vec![2, 5], site: Site::Residual, rows }
}

fn text(text: &str) -> Prompt {
    Prompt::Text(text.into())
}

/// All that a diagnostic does, and everything it got to see.
async fn diagnose(caller: &Caller) -> String {
    let mut seen = Vec::new();
    let kept = caller.capture(&target(), ["a", "bc", "", "d"].map(text).to_vec(), spec(Rows::All)).await;
    seen.push(format!("{kept:?}"));
    for kept in kept.iter().flatten() {
        for layer in [2, 5] {
            seen.push(format!("{:?}", caller.read_capture(kept.id, layer, 0, kept.rows).await));
        }
        caller.release_capture(kept.id);
    }
    let by = changed(0.5).changes;
    seen.push(format!("{:?}", caller.intervene(&target(), by).await));
    for prompt in ["a", "e"] {
        let kept = caller.capture(&changed(0.5), vec![text(prompt)], spec(Rows::Last)).await;
        let kept = kept[0].as_ref().unwrap();
        seen.push(format!("{:?}", caller.read_capture(kept.id, 5, 0, 1).await));
    }
    let traced =
        caller.trace(&target(), vec![text("xy"), text("z")], Sampling::default(), spec(Rows::Last)).await;
    seen.push(format!("{traced:?}"));
    for (_, kept) in traced.iter().flatten() {
        seen.push(format!("{:?}", caller.read_capture(kept.id, 2, 1, 3).await));
    }
    seen.push(format!("{:?}", caller.tensors(&target()).await));
    seen.push(format!("{:?}", caller.read_tensor(&target(), "w", 4, 3).await));
    seen.push(format!("{:?}", caller.importance(&target(), important()).await));
    seen.join("\n")
}

fn important() -> ImportanceRequest {
    let example = Example { prompt: "1 + 1 =".into(), response: " 2".into() };
    ImportanceRequest {
        examples: vec![example],
        fraction: 0.5,
        modules: Modules::All,
        drop_first_token: false,
    }
}

const MANY: usize = 1000;

#[tokio::test]
async fn a_run_stopped_at_any_pass_and_gone_on_with_sees_the_same_and_proves_without_a_model() {
    let whole = {
        let bench = Bench::new();
        let (model, _) = open(true, MANY, 0);
        diagnose(&bench.life(Some(model), None).caller).await
    };
    assert!(whole.contains("Err(InvalidArgument(\"the prompt is empty\"))"), "{whole}");
    for budget in 0..8 {
        let bench = Bench::new();
        {
            let (model, log) = open(true, budget, 0);
            let life = bench.life(Some(model), None);
            tokio::select! {
                _ = diagnose(&life.caller) => panic!("it was to be stopped at pass {budget}"),
                () = log.exhausted.notified() => {}
            }
        }
        let (model, _) = open(true, MANY, 0);
        assert_eq!(diagnose(&bench.life(Some(model), None).caller).await, whole, "stopped at pass {budget}");
        let replay = bench.life(None, None);
        assert_eq!(diagnose(&replay.caller).await, whole);
        assert_eq!(replay.state.differences(), [""; 0]);
    }
}

#[tokio::test]
async fn what_was_read_is_not_computed_again_and_what_was_not_is_computed_together() {
    let bench = Bench::new();
    let prompts = ["a", "b", "c", "d"].map(text).to_vec();
    {
        let (model, _) = open(true, MANY, 0);
        let Life { caller, .. } = bench.life(Some(model), None);
        caller.capture(&target(), prompts.clone(), spec(Rows::Last)).await;
        caller.read_capture(0, 2, 0, 1).await.unwrap();
        caller.read_capture(1, 2, 0, 1).await.unwrap();
    }
    let (model, log) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    let kept = caller.capture(&target(), prompts, spec(Rows::Last)).await;
    assert_eq!(kept.iter().flatten().map(|kept| kept.id).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(caller.read_capture(0, 2, 0, 1).await, Ok(vec![97.0, 2.0]));
    assert_eq!(caller.read_capture(1, 2, 0, 1).await, Ok(vec![98.0, 2.0]));
    assert_eq!(*lock(&log.passes), [""; 0]);
    assert_eq!(caller.read_capture(2, 5, 0, 1).await, Ok(vec![99.0, 5.0]));
    assert_eq!(*lock(&log.passes), ["capture [99]", "capture [100]"]);
    assert_eq!(caller.read_capture(3, 5, 0, 1).await, Ok(vec![100.0, 5.0]));
    // A layer that was not read before the stop.
    assert_eq!(caller.read_capture(1, 5, 0, 1).await, Ok(vec![98.0, 5.0]));
    assert_eq!(*lock(&log.passes), ["capture [99]", "capture [100]", "capture [98]"]);
}

#[tokio::test]
async fn a_trace_whose_reply_comes_out_otherwise_is_read_through_the_recorded_reply() {
    let bench = Bench::new();
    let whole = {
        let (model, _) = open(true, MANY, 0);
        let Life { caller, .. } = bench.life(Some(model), None);
        caller.trace(&target(), vec![text("a")], Sampling::default(), spec(Rows::Last)).await
    };
    let (model, log) = open(true, MANY, 1);
    let Life { caller, .. } = bench.life(Some(model), None);
    let again = caller.trace(&target(), vec![text("a")], Sampling::default(), spec(Rows::Last)).await;
    assert_eq!(again, whole);
    // The states of "a", 10, 20, 30: each tells the sum of the tokens up to it.
    let states = caller.read_capture(0, 5, 0, 4).await.unwrap();
    assert_eq!(states, [97.0, 5.0, 107.0, 5.0, 127.0, 5.0, 157.0, 5.0]);
    assert_eq!(*lock(&log.passes), ["trace [97]", "capture [97, 10, 20, 30]"]);
}

#[tokio::test]
async fn requests_without_changes_are_recorded_as_ever_and_with_changes_by_their_digest() {
    let bench = Bench::new();
    let (model, _) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    let ask = |model: ModelRef| {
        let caller = &caller;
        async move {
            let said = caller.generate(&model, vec![text("hi")], Sampling::default()).await;
            let request = ScoreRequest { prompt: text("hi"), continuations: vec!["yes".into()] };
            caller.score(&model, vec![request]).await.remove(0).unwrap();
            said[0].as_ref().unwrap().text.clone()
        }
    };
    assert_eq!(ask(target()).await, "Text(\"hi\") with 0");
    assert_eq!(ask(changed(0.5)).await, "Text(\"hi\") with 1");
    assert_eq!(ask(changed(0.25)).await, "Text(\"hi\") with 0.5");
    caller.count_tokens(&changed(0.5), text("hi")).await.unwrap();
    let requests: Vec<String> = bench.recorded().into_iter().map(|entry| entry.request_json).collect();
    let sampling =
        r#"{"max_tokens":256,"temperature":0.0,"top_p":1.0,"top_k":0,"min_p":0.0,"repetition_penalty":1.0}"#;
    let rest = format!(r#""prompt":{{"text":"hi"}},"sampling":{sampling}}}"#);
    assert_eq!(requests[0], format!(r#"{{"model":"wren",{rest}"#));
    assert_eq!(requests[1], r#"{"model":"wren","prompt":{"text":"hi"},"continuations":["yes"]}"#);
    // Python: sha256(json.dumps([{"layers": [1], "site": "residual", "change": "add", "vector":
    // b64encode(struct.pack("<2f", 0.5, 0)).decode(), "coefficient": 2.0}], separators=(",", ":")).encode())
    let digest = "e467d6c3bf6bcff3e9e378c3e674f784be453657ea534da7a69afcccb4121df2";
    assert_eq!(requests[2], format!(r#"{{"model":"wren","changes":"{digest}",{rest}"#));
    assert_ne!(requests[4], requests[2]);
    assert_eq!(requests[6], r#"{"model":"wren","prompt":{"text":"hi"}}"#);
}

#[tokio::test]
async fn numbers_are_on_record_as_base64_and_only_where_they_were_read() {
    let bench = Bench::new();
    let (model, _) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    caller.capture(&target(), vec![text("a")], spec(Rows::Last)).await[0].as_ref().unwrap();
    caller.read_capture(0, 5, 0, 1).await.unwrap();
    caller.intervene(&target(), changed(0.5).changes).await.unwrap();
    let [capture, read, intervene] = &bench.recorded()[..] else { panic!("three calls") };
    assert_eq!(capture.answer_json, r#"{"Ok":{"id":0,"rows":1,"width":2,"tokens":[97]}}"#);
    assert_eq!((capture.kind, capture.prompt_tokens), (CallKind::Capture, 1));
    assert_eq!(read.request_json, r#"{"capture":0,"layer":5,"first_row":0,"rows":1}"#);
    // Python: b64encode(struct.pack("<2f", 97, 5))
    assert_eq!(read.answer_json, r#"{"Ok":"AADCQgAAoEA="}"#);
    assert_eq!(
        intervene.request_json,
        r#"{"model":"wren","add":[{"layers":[1],"site":"residual","change":"add","vector":"AAAAPwAAAAA=","coefficient":2.0}]}"#
    );
    assert_eq!(intervene.answer_json, r#"{"Ok":null}"#);
}

#[tokio::test]
async fn a_read_of_what_was_not_kept_is_refused() {
    let bench = Bench::new();
    let (model, _) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    caller.capture(&target(), vec![text("abc")], spec(Rows::All)).await[0].as_ref().unwrap();
    let refusal = |answer: Result<Vec<f32>, HostError>| answer.unwrap_err().to_string();
    let layer = refusal(caller.read_capture(0, 99, 0, 1).await);
    assert_eq!(layer, "layer 99 was not captured; layers 2, 5 were");
    let rows = refusal(caller.read_capture(0, 2, 2, 2).await);
    assert_eq!(rows, "rows 2 and on, 2 of them, were asked for; the capture has 3");
    assert!(caller.read_capture(0, 2, u32::MAX, u32::MAX).await.is_err());
    caller.release_capture(0);
    assert_eq!(refusal(caller.read_capture(0, 2, 0, 1).await), "there is no capture 0");
}

#[tokio::test]
async fn importance_is_asked_of_the_second_engine_where_there_is_one() {
    let bench = Bench::new();
    let (model, first) = open(false, MANY, 0);
    let (second, other) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), Some(second));
    let found = caller.importance(&target(), important()).await.unwrap();
    assert_eq!((found[0].top.clone(), found[0].scores.clone()), (vec![5, 1 << 40], vec![0.1, 1.0]));
    assert_eq!((lock(&first.passes).len(), lock(&other.passes).len()), (0, 1));
    assert_eq!(bench.recorded()[0].prompt_tokens, 7);

    let bench = Bench::new();
    let (model, _) = open(false, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    let refusal = caller.importance(&target(), important()).await.unwrap_err();
    assert_eq!(refusal.to_string(), "not supported: this engine has no gradients");
}

#[tokio::test]
async fn a_replay_that_asks_for_something_else_differs() {
    let bench = Bench::new();
    let (model, _) = open(true, MANY, 0);
    let Life { caller, .. } = bench.life(Some(model), None);
    caller.capture(&target(), vec![text("a")], spec(Rows::Last)).await[0].as_ref().unwrap();
    drop(caller);
    let Life { caller, state } = bench.life(None, None);
    assert!(caller.capture(&changed(0.5), vec![text("a")], spec(Rows::Last)).await[0].is_err());
    assert_eq!(state.differences(), ["look 0.1.0 asks at call 0 for something else than recorded"]);
}
