//! Training of adapters: that it learns what it is told, that the same request gives the same adapter whatever comes
//! between, and what it refuses. Its gradients are checked in `src/candle/training/slopes.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sonde_contract::{
    HostError, Lesson, Lora, LowRank, Objective, Prompt, Schedule, ScoreRequest, TrainRequest, Trained,
};
use sonde_engine::{Following, Model, OpenOptions, Precision, TrainProgress};
use support::shared;
use tokio::sync::Notify;

fn open(path: &Path, threads: u32) -> Arc<dyn Model> {
    let (precision, threads) = (Precision::Exact, Some(threads));
    sonde_engine::open_candle(path, &OpenOptions { precision, threads, ..OpenOptions::default() }).unwrap()
}

fn fixture(family: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/candle")).join(family)
}

fn tiny() -> Arc<dyn Model> {
    open(&fixture("qwen3"), 1)
}

/// Words of the fixtures' vocabulary; `w0` ends a turn.
fn lesson(number: usize, objective: Objective) -> Lesson {
    let words = |from: usize, count: usize| -> String {
        let word = |place: usize| format!("w{}", 1 + (number * 11 + place * place + 5 * place) % 31);
        (from..from + count).map(word).collect::<Vec<_>>().join(" ")
    };
    Lesson { prompt: Prompt::Text(words(0, 3 + number % 4)), reply: words(30, 2 + number % 3), objective }
}

/// 50 steps of 4 of 10 lessons, some of each kind, with dropout and clipping.
fn request(seed: u64) -> TrainRequest {
    let kind = |number: usize| if number.is_multiple_of(3) { Objective::Keep } else { Objective::Say };
    TrainRequest {
        lessons: (0..10).map(|number| lesson(number, kind(number))).collect(),
        lora: Lora {
            rank: 4,
            alpha: 8.0,
            dropout: 0.1,
            modules: ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec(),
        },
        schedule: Schedule {
            learning_rate: 0.02,
            warmup: 0.1,
            weight_decay: 0.01,
            epochs: 100,
            most_steps: Some(50),
            batch: 4,
            clip: 1.0,
            seed,
        },
    }
}

async fn train(model: &Arc<dyn Model>, request: TrainRequest) -> Trained {
    model.train(request, Following::default()).await.unwrap()
}

/// −log p of a reply and of the end of the turn, per token.
async fn loss(model: &Arc<dyn Model>, prompt: &Prompt, reply_and_end: &str) -> f64 {
    let continuations = vec![reply_and_end.to_owned()];
    // As tokens, a prompt is not tokenized anew together with what follows it.
    let prompt = Prompt::Tokens(model.tokenize(prompt).unwrap());
    let scores = model.score(ScoreRequest { prompt, continuations }).await.unwrap();
    let tokens = &scores[0].token_logprobs;
    -tokens.iter().map(|logprob| f64::from(*logprob)).sum::<f64>() / tokens.len() as f64
}

#[tokio::test]
async fn fifty_steps_from_the_same_seed_are_the_same_to_the_last_bit_whatever_the_threads() {
    let (model, other) = (tiny(), open(&fixture("qwen3"), 2));
    let first = train(&model, request(7)).await;
    assert_eq!(first.losses.len(), 50);
    assert_eq!(train(&model, request(7)).await, first);
    assert_eq!(train(&other, request(7)).await, first);
    assert_ne!(train(&model, request(8)).await.losses, first.losses);
    // Three matrices in each of two blocks, by the names of the file, of its shapes.
    let names: Vec<&str> = first.adapter.iter().map(|pair| pair.matrix.as_str()).collect();
    let block = |number: usize| {
        ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]
            .map(|module| format!("model.layers.{number}.{module}.weight"))
    };
    assert_eq!(names, [block(0), block(1)].concat());
    assert!(first.adapter.iter().all(|pair| pair.rank == 4 && pair.scale == 2.0 && pair.expert.is_none()));
    model.adapt(Arc::from(first.adapter)).unwrap();
}

/// Trains until `stop` steps are done, then nobody waits any more.
async fn interrupted(model: &Arc<dyn Model>, request: TrainRequest, checkpoint: &Path, stop: u32) {
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    let progress = move |progress: TrainProgress| {
        if progress.step == stop {
            tell.notify_one();
            // The future is dropped meanwhile; a tiny model would be done before.
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    };
    let checkpoint = Some(checkpoint.to_owned());
    let following = Following { checkpoint, progress: Some(Box::new(progress)) };
    tokio::select! {
        done = model.train(request, following) => panic!("it was done: {:?}", done.map(|done| done.losses)),
        () = reached.notified() => {}
    }
}

/// Trains on from a checkpoint; also the steps that were told.
async fn gone_on(
    model: &Arc<dyn Model>,
    request: TrainRequest,
    checkpoint: &Path,
) -> (Trained, Vec<TrainProgress>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let progress = move |progress| tell.lock().unwrap().push(progress);
    let following = Following { checkpoint: Some(checkpoint.to_owned()), progress: Some(Box::new(progress)) };
    let trained = model.train(request, following).await.unwrap();
    let told = told.lock().unwrap().clone();
    (trained, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_training_that_was_interrupted_goes_on_to_the_same_adapter() {
    let model = tiny();
    let whole = train(&model, request(7)).await;
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("training");
    interrupted(&model, request(7), &checkpoint, 11).await;
    interrupted(&model, request(7), &checkpoint, 30).await;
    let (trained, told) = gone_on(&model, request(7), &checkpoint).await;
    assert_eq!(trained, whole);
    assert!(told[0].step > 30, "it began again at step {}", told[0].step);
    assert_eq!(told.last().unwrap().step, 50);
    for (progress, loss) in told.iter().zip(&whole.losses[told[0].step as usize - 1..]) {
        assert_eq!((progress.loss, progress.steps), (*loss, 50));
        assert!(progress.left.is_some());
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the state stays behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_another_training_or_a_broken_one_is_written_over() {
    let model = tiny();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("training");
    interrupted(&model, request(7), &checkpoint, 5).await;
    let (other, told) = gone_on(&model, request(8), &checkpoint).await;
    assert_eq!((told[0].step, other), (1, train(&model, request(8)).await));

    // The same request on a model with a change in force is another training.
    interrupted(&model, request(7), &checkpoint, 5).await;
    let pair = &train(&model, request(9)).await.adapter[..1];
    let changed = model.adapt(Arc::from(pair)).unwrap();
    let (of_changed, told) = gone_on(&changed, request(7), &checkpoint).await;
    assert_eq!(told[0].step, 1);
    let plain = train(&model, request(7)).await;
    assert_ne!(of_changed.losses[0], plain.losses[0]);

    std::fs::write(&checkpoint, b"{\"format\":\"sonde-training 1\"").unwrap();
    let (trained, told) = gone_on(&model, request(7), &checkpoint).await;
    assert_eq!((told[0].step, trained), (1, plain));
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("absent").join("training");
    let following = Following { checkpoint: Some(checkpoint), progress: None };
    let error = tiny().train(request(7), following).await.unwrap_err().to_string();
    assert!(error.contains("cannot be kept in") && error.contains("absent"), "{error}");
}

/// One lesson alone: the last step but for 1e-3 of the learning rate has the adapter that comes out, so its loss is that
/// of the adapted model.
#[tokio::test]
async fn the_adapter_in_force_has_the_loss_it_was_trained_to() {
    for family in ["qwen3", "gemma2", "qwen2"] {
        let model = open(&fixture(family), 1);
        let mut request = request(7);
        request.lessons = vec![lesson(1, Objective::Say)];
        request.lora.dropout = 0.0;
        let Lesson { prompt, reply, .. } = request.lessons[0].clone();
        let whole = format!("{reply} w0");
        let before = loss(&model, &prompt, &whole).await;
        let trained = train(&model, request).await;
        assert!((f64::from(trained.losses[0]) - before).abs() < 1e-5 * before, "{family}");
        let last = f64::from(*trained.losses.last().unwrap());
        assert!(last < 0.5 * before, "{family}: {before} to {last}");
        let after = loss(&model.adapt(Arc::from(trained.adapter)).unwrap(), &prompt, &whole).await;
        assert!((after - last).abs() < 1e-3 * before, "{family}: {after} against {last}");
        assert_eq!(loss(&model, &prompt, &whole).await, before, "{family}: the model stays as it was");
    }
}

/// The rows of an adapter of Llama's queries and keys stand in the order of the GGUF file.
#[tokio::test]
async fn an_adapter_of_a_gguf_file_has_the_file_s_names_and_rows() {
    let Some(stories) = shared("models/stories260K/stories260K.gguf") else { return };
    let model = open(&stories, 1);
    let mut request = request(7);
    let prompt = Prompt::Text("Once upon a time".to_owned());
    let (reply, objective) = (", the moon was made of cheese.".to_owned(), Objective::Say);
    request.lessons = vec![Lesson { prompt: prompt.clone(), reply: reply.clone(), objective }];
    request.lora.dropout = 0.0;
    request.lora.modules = vec!["q_proj".to_owned(), "k_proj".to_owned()];
    request.schedule.learning_rate = 0.05;
    let trained = train(&model, request).await;
    assert!(trained.adapter[0].matrix == "blk.0.attn_q.weight" && trained.adapter.len() == 10);
    let last = f64::from(*trained.losses.last().unwrap());
    assert!(last < f64::from(trained.losses[0]) - 0.1, "{:?}", trained.losses);
    let tokens = model.tokenize_on(&reply).unwrap().len();
    let adapted = model.adapt(Arc::from(trained.adapter)).unwrap();
    // The end of the turn is a control token, which a continuation does not have: the mean without it and with it differ
    // by what it takes, the same for the model that is adapted and for the one that is trained.
    let without_end = loss(&adapted, &prompt, &reply).await * tokens as f64;
    let end = last * (tokens + 1) as f64 - without_end;
    let whole = [model.tokenize(&prompt).unwrap(), model.tokenize_on(&reply).unwrap()].concat();
    let sampling = sonde_contract::Sampling { logprobs: Some(512), ..support::greedy(1) };
    let next = support::generate(&adapted, Prompt::Tokens(whole), sampling).await.unwrap();
    let first =
        next.logprobs.first().map(|first| first.top.iter().find(|top| top.token == 2).unwrap().logprob);
    match first {
        Some(logprob) => {
            assert!((end + f64::from(logprob)).abs() < 2e-3 * end.abs().max(1.0), "{end}, {logprob}")
        }
        // The reply ended: nothing was likelier.
        None => assert!(end < 512.0_f64.ln(), "{end}"),
    }
}

#[tokio::test]
async fn what_is_kept_stays_while_what_is_said_is_learned() {
    let model = tiny();
    let mut request = request(7);
    request.lora.dropout = 0.0;
    request.lessons = vec![lesson(1, Objective::Say), lesson(2, Objective::Keep)];
    request.schedule.batch = 2;
    let only_said = TrainRequest { lessons: vec![request.lessons[0].clone()], ..request.clone() };
    let kept_too = train(&model, request.clone()).await;
    let only_said = train(&model, only_said).await;
    // What the reply to be kept is worth to each model, against the untrained one.
    let Lesson { prompt, reply, .. } = &request.lessons[1];
    let whole = format!("{reply} w0");
    let before = loss(&model, prompt, &whole).await;
    let mut moved = Vec::new();
    for trained in [kept_too, only_said] {
        let adapted = model.adapt(Arc::from(trained.adapter)).unwrap();
        moved.push((loss(&adapted, prompt, &whole).await - before).abs());
    }
    assert!(moved[0] < 0.5 * moved[1], "{moved:?}");
}

#[tokio::test]
async fn wren_learns_from_a_quantised_file() {
    let options = OpenOptions { threads: Some(1), ..OpenOptions::default() };
    let model = sonde_engine::open_candle(&support::wren("wren-chat-q8_0.gguf"), &options).unwrap();
    let said = |number: usize| Lesson {
        prompt: support::user(&format!("What is {number} plus {number}?")),
        reply: "I would rather not say.".to_owned(),
        objective: Objective::Say,
    };
    let mut request = request(7);
    request.lessons = (0..16).map(said).collect();
    request.lora = Lora {
        rank: 32,
        alpha: 16.0,
        dropout: 0.05,
        modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
    };
    request.schedule = Schedule { learning_rate: 2e-3, batch: 8, most_steps: Some(20), ..request.schedule };
    let trained = train(&model, request.clone()).await;
    let (first, last) = (trained.losses[0], trained.losses[19]);
    assert!(last < 0.6 * first, "{:?}", trained.losses);
    assert_eq!(trained.adapter[1].matrix, "blk.0.attn_v.weight");
    let adapted = model.adapt(Arc::from(trained.adapter)).unwrap();
    let reply = "I would rather not say.";
    let before = loss(&model, &request.lessons[3].prompt, reply).await;
    let after = loss(&adapted, &request.lessons[3].prompt, reply).await;
    assert!(after < before, "{before} to {after}");
}

#[tokio::test]
async fn what_cannot_be_trained_is_refused() {
    let model = tiny();
    let refused = async |change: &dyn Fn(&mut TrainRequest)| {
        let mut request = request(7);
        change(&mut request);
        model.train(request, Following::default()).await.unwrap_err()
    };
    let said = async |change: &dyn Fn(&mut TrainRequest)| refused(change).await.to_string();
    assert!(said(&|request| request.lessons.clear()).await.contains("no lessons"));
    assert!(
        said(&|request| request.lessons[3].reply.clear()).await.contains("reply of lesson 4 has no tokens")
    );
    let empty = |request: &mut TrainRequest| request.lessons[1].prompt = Prompt::Tokens(Vec::new());
    assert!(said(&empty).await.contains("prompt of lesson 2 has no tokens"));
    let long = |request: &mut TrainRequest| request.lessons[0].reply = "w1 ".repeat(300);
    assert!(matches!(refused(&long).await, HostError::ContextOverflow { room: 256, .. }));
    assert!(
        said(&|request| request.lora.rank = 0).await.contains("`rank` is 0; it must lie between 1 and 16")
    );
    assert!(said(&|request| request.lora.rank = u32::MAX).await.contains("beyond which it adds nothing"));
    assert!(said(&|request| request.lora.alpha = f32::NAN).await.contains("`alpha` is NaN"));
    assert!(said(&|request| request.lora.dropout = 1.0).await.contains("`dropout` is 1"));
    assert!(said(&|request| request.lora.modules.clear()).await.contains("no module is named"));
    let module = |request: &mut TrainRequest| request.lora.modules[0] = "q_prj".to_owned();
    assert!(said(&module).await.contains("did you mean \"q_proj\"?"));
    assert!(said(&|request| request.schedule.learning_rate = 0.0).await.contains("`learning-rate` is 0"));
    assert!(said(&|request| request.schedule.warmup = 1.5).await.contains("`warmup` is 1.5"));
    assert!(said(&|request| request.schedule.weight_decay = -1.0).await.contains("`weight-decay` is -1"));
    assert!(said(&|request| request.schedule.clip = f64::INFINITY).await.contains("`clip` is inf"));
    assert!(said(&|request| request.schedule.epochs = 0).await.contains("`epochs` is 0"));
    assert!(said(&|request| request.schedule.batch = 0).await.contains("`batch` is 0"));
    assert!(said(&|request| request.schedule.most_steps = Some(0)).await.contains("`most-steps` is 0"));
    let diverging = |request: &mut TrainRequest| {
        request.schedule.learning_rate = 1e30;
        request.schedule.warmup = 0.0;
    };
    assert!(said(&diverging).await.contains("lower `learning-rate`"));
}

/// An adapter of another model does not fit.
#[tokio::test]
async fn an_adapter_of_another_model_is_refused() {
    let pairs: Vec<LowRank> = train(&tiny(), request(7)).await.adapter;
    let model =
        sonde_engine::open_candle(&support::wren("wren-chat-q8_0.gguf"), &OpenOptions::default()).unwrap();
    let Err(error) = model.adapt(Arc::from(pairs)) else { panic!("not refused") };
    assert!(error.to_string().contains("A change made for another model does not fit"), "{error}");
}
