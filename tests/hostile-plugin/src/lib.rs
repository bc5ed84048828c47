//! A benchmark whose parameters say which evil to do: `{"evil": "loop"}`.
//!
//! The tests of `sonde-runtime` load it and expect each evil to end in its own error and to leave later calls alone.
//! It speaks the raw bindings instead of the SDK, so that nothing stands between an evil and the host. Without an evil
//! it is well behaved: it returns how often this instance has run, which must always be 1.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

wit_bindgen::generate!({ world: "benchmark-plugin", path: "../../wit/sonde-0.1.0" });

use exports::sonde::plugin::benchmark::Guest;
use sonde::plugin::generation::{Model, Sampling};
use sonde::plugin::judging::{self, Exchange};
use sonde::plugin::log::{self, Level};
use sonde::plugin::results::{
    About, Chart, Column, Estimate, Field, Figure, Given, Group, Heatmap, Metric, Outcome, Point, Series,
    Share, Slot, Status, Summary, Value,
};
use sonde::plugin::types::{Chat, Error, Message, Prompt, Role};

/// The component's exports.
pub struct Hostile;
// Native linkers refuse the names of a component's exports.
#[cfg(target_family = "wasm")]
export!(Hostile);

/// The last byte says what `describe` does; tests change it in the compiled file, because `describe` has no input.
static DESCRIBE_MODE: [u8; 15] = *b"describe-mode:0";
static RUNS: AtomicU32 = AtomicU32::new(0);

impl Guest for Hostile {
    fn describe() -> About {
        match black_box(DESCRIBE_MODE).last() {
            Some(b'1') => log::write(Level::Info, "hello from describe"),
            Some(b'2') => forever(),
            Some(b'3') => {
                report_panics();
                panic!("describe gave up");
            }
            _ => {}
        }
        About {
            name: "hostile-plugin".into(),
            version: "0.1.0".into(),
            title: "Hostile plugin".into(),
            summary: "Misbehaves as its parameters say.".into(),
            citation: String::new(),
            licence: "Apache-2.0 OR MIT".into(),
            models: vec![Slot { name: "target".into(), about: "asked nonsense".into(), required: true }],
            judges: vec![Slot { name: "main".into(), about: "asked nonsense".into(), required: false }],
            datasets: Vec::new(),
            columns: vec![Column {
                name: "prompt".into(),
                aliases: vec!["Prompt".into()],
                about: "what to ask".into(),
                required: true,
            }],
            parameters_schema: r#"{"properties":{"evil":{"type":"string"}}}"#.into(),
        }
    }

    fn run(row: String, parameters: String, seed: u64) -> Result<Outcome, String> {
        report_panics();
        let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
        let mut outcome = scored(vec![number("runs", f64::from(runs)), number("seed", seed as f64)]);
        match evil(&parameters).as_str() {
            "" => {}
            "loop" => forever(),
            "fill" => fill_forever(),
            "memory" => eat_memory(),
            "panic" => panic!("index out of range: the length is 3 but the index is 7"),
            "silent-abort" => abort(),
            "deep-recursion" => drop(nest(0)),
            "wide-recursion" => drop(nest_with_arrays(0)),
            "host-call-flood" => flood(),
            "log-flood" => loop {
                log::write(Level::Info, &"spam ".repeat(1000));
            },
            "progress-flood" => loop {
                log::progress(0, 0, "spam");
            },
            "ask" => return ask(&row),
            "score" => return score(&row),
            "judge" => return judge(),
            "unknown-role" => return Model::open("nobody").map(|_| outcome).map_err(|error| words(&error)),
            "own-error" => return Err("row has no prompt \u{1b}[31min red\u{1b}[0m".into()),
            "nan-sampling" => {
                let model = open()?;
                let sampling = Sampling { temperature: f32::NAN, ..model.sampling() };
                model.generate(&[Prompt::Text("x".into())], &sampling).remove(0).map_err(|e| words(&e))?;
            }
            "huge-prompt" => {
                open()?.count_tokens(&Prompt::Text("a".repeat(5 << 20))).map_err(|e| words(&e))?;
            }
            "huge-transfer" => {
                let model = open()?;
                let prompt = Prompt::Tokens(vec![7; 40 << 20]);
                model.count_tokens(&prompt).map_err(|e| words(&e))?;
            }
            "many-prompts" => {
                let model = open()?;
                model.generate(&vec![Prompt::Text(String::new()); 5000], &model.sampling());
            }
            "hoard-models" => {
                let hoard: Vec<_> = (0..5000).map(|_| Model::open("target")).collect();
                drop(black_box(hoard));
            }
            "huge-string" => outcome.note = Some("a".repeat(5 << 20)),
            "huge-outcome" => outcome.fields = (0..1001).map(|i| number(&format!("f{i}"), 0.0)).collect(),
            "huge-groups" => {
                let group = Group { kind: "k".into(), name: "n".into() };
                outcome.groups = vec![group; 1001];
            }
            "long-name" => outcome.fields = vec![number(&"n".repeat(201), 0.0)],
            "empty-name" => outcome.fields = vec![number("\u{1b}[2J", 0.0)],
            "nan-field" => outcome.fields = vec![number("rate", f64::NAN)],
            "infinite-field" => outcome.fields = vec![number("rate", f64::NEG_INFINITY)],
            "escape-sequences" => {
                let field = Field {
                    name: "la\u{1b}[1mbel".into(),
                    value: Value::Text("\u{1b}]0;owned\u{7}red\u{1b}[31m, \u{202e}txet\r\n\tend".into()),
                };
                outcome.fields = vec![field];
                outcome.groups = vec![Group { kind: "ki\u{9b}nd".into(), name: "\u{1b}[5mname".into() }];
                outcome.note = Some("\u{1b}[2J\u{1b}[Hcleared\u{8}".into());
                log::write(Level::Warn, "\u{1b}[31mred\u{1b}[0m log");
                log::progress(1, 2, "\u{1b}[Ahalf");
            }
            other => return Err(format!("no such evil: {other}")),
        }
        Ok(outcome)
    }

    fn summarize(outcomes: Vec<Outcome>, parameters: String) -> Result<Summary, String> {
        report_panics();
        let n = outcomes.len() as u64;
        let share = Estimate::Proportion(Share { hits: n, n });
        let mut summary = Summary { metrics: vec![metric("share", share)], figures: vec![], notes: vec![] };
        match evil(&parameters).as_str() {
            "" => {}
            "panic" => panic!("division by zero"),
            "nan-metric" => {
                let given = Estimate::Given(Given { value: f64::NAN, n, interval: None });
                summary.metrics = vec![metric("auroc", given)];
            }
            "infinite-mean" => {
                summary.metrics = vec![metric("loss", Estimate::Mean(vec![0.5, f64::INFINITY]))]
            }
            "more-hits-than-samples" => {
                let share = Estimate::Proportion(Share { hits: n + 1, n });
                summary.metrics = vec![metric("share", share)];
            }
            "huge-mean" => summary.metrics = vec![metric("loss", Estimate::Mean(vec![0.0; 1001]))],
            "many-metrics" => summary.metrics = vec![metric("again", Estimate::Mean(vec![])); 10_001],
            "many-figures" => summary.figures = vec![Figure::Heatmap(heatmap(1, vec![0.0])); 101],
            "many-points" => summary.figures = vec![Figure::Line(line(vec![Point { x: 0.0, y: 0.0 }; 1001]))],
            "nan-point" => summary.figures = vec![Figure::Line(line(vec![Point { x: 0.0, y: f64::NAN }]))],
            "ragged-heatmap" => summary.figures = vec![Figure::Heatmap(heatmap(3, vec![0.0; 7]))],
            "many-notes" => summary.notes = vec!["again".into(); 1001],
            "escape-sequences" => summary.notes = vec!["\u{1b}[31mred\u{1b}[0m".into()],
            other => return Err(format!("no such evil: {other}")),
        }
        Ok(summary)
    }
}

fn evil(parameters: &str) -> String {
    let parameters: serde_json::Value = serde_json::from_str(parameters).unwrap_or_default();
    parameters["evil"].as_str().unwrap_or_default().to_owned()
}

/// Writes the panic's text to the log, as the SDK does.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<&str>().copied().unwrap_or("unknown");
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        log::write(Level::Error, &format!("{text}{place}"));
    }));
}

fn forever() {
    let spin = Cell::new(0_u64);
    loop {
        black_box(&spin).set(spin.get().wrapping_add(1));
    }
}

/// Spends its time inside bulk memory instructions, which wasmtime runs in host code.
fn fill_forever() {
    let mut block = vec![0_u8; 64 << 20];
    for byte in (0..=u8::MAX).cycle() {
        black_box(&mut block).fill(byte);
    }
}

fn eat_memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn abort() {
    std::panic::set_hook(Box::new(|_| {}));
    panic!("never heard");
}

fn nest(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { nest(depth + 1).wrapping_add(depth) }
}

fn nest_with_arrays(depth: u8) -> u8 {
    let block = black_box([depth; 64 << 10]);
    if block.is_empty() { 0 } else { nest_with_arrays(block[0].wrapping_add(1)).wrapping_add(block[9]) }
}

fn flood() {
    if let Ok(model) = Model::open("target") {
        loop {
            black_box(model.info());
        }
    }
}

fn open() -> Result<Model, String> {
    Model::open("target").map_err(|error| words(&error))
}

/// Asks the target and returns its reply.
fn ask(row: &str) -> Result<Outcome, String> {
    let row: serde_json::Value = serde_json::from_str(row).map_err(|e| e.to_string())?;
    let content = row["prompt"].as_str().unwrap_or_default().to_owned();
    let model = open()?;
    let chat = Chat {
        messages: vec![Message { role: Role::User, content }],
        thinking: Some(false),
        prefill: None,
        open_reply: true,
    };
    let prompt = Prompt::Chat(chat);
    let tokens = model.count_tokens(&prompt).map_err(|e| words(&e))?;
    let rendered = model.render(&prompt).map_err(|e| words(&e))?;
    let reply = model.generate(&[prompt], &model.sampling()).remove(0).map_err(|e| words(&e))?;
    Ok(scored(vec![
        number("tokens", f64::from(tokens)),
        text("rendered", rendered),
        text("reply", reply.text),
        text("architecture", model.info().architecture),
    ]))
}

fn score(row: &str) -> Result<Outcome, String> {
    let request = sonde::plugin::generation::ScoreRequest {
        prompt: Prompt::Text(row.into()),
        continuations: vec!["yes".into(), "no".into()],
    };
    let scores = open()?.score(&[request]).remove(0).map_err(|e| words(&e))?;
    Ok(scored(scores.iter().map(|score| number("logprob", f64::from(score.logprob))).collect()))
}

fn judge() -> Result<Outcome, String> {
    let exchange = Exchange { messages: vec![], reply: Some("I cannot help".into()), context: None };
    let verdict = judging::assess("main", &[exchange]).remove(0).map_err(|e| words(&e))?;
    Ok(scored(vec![text("label", verdict.label)]))
}

fn words(error: &Error) -> String {
    match error {
        Error::ContextOverflow(overflow) => format!("overflow: {} of {}", overflow.asked, overflow.room),
        Error::Denied(text) => format!("denied: {text}"),
        Error::Unsupported(text) => format!("unsupported: {text}"),
        Error::InvalidArgument(text) => format!("invalid: {text}"),
        Error::Filtered(text) => format!("filtered: {text}"),
        Error::Limit(text) => format!("limit: {text}"),
        Error::Engine(text) => format!("engine: {text}"),
    }
}

fn scored(fields: Vec<Field>) -> Outcome {
    Outcome { status: Status::Scored, good: None, fields, groups: vec![], note: None }
}

fn number(name: &str, value: f64) -> Field {
    Field { name: name.into(), value: Value::Number(value) }
}

fn text(name: &str, value: String) -> Field {
    Field { name: name.into(), value: Value::Text(value) }
}

fn metric(name: &str, estimate: Estimate) -> Metric {
    Metric {
        name: name.into(),
        about: "of all samples".into(),
        estimate,
        higher_is_better: None,
        group: None,
        headline: true,
    }
}

fn line(points: Vec<Point>) -> Chart {
    Chart {
        name: "curve".into(),
        title: "Curve".into(),
        x: "x".into(),
        y: "y".into(),
        categories: vec![],
        series: vec![Series { label: "all".into(), points }],
    }
}

fn heatmap(width: u32, cells: Vec<f64>) -> Heatmap {
    Heatmap { name: "grid".into(), title: "Grid".into(), x: "x".into(), y: "y".into(), width, cells }
}
