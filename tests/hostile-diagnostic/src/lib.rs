//! A diagnostic whose parameters say which evil to do: `{"evil": "layer-99"}`.
//!
//! The tests of `sonde-runtime` load it and expect each evil to end in its own error and to leave the host with nothing
//! held. It speaks the raw bindings instead of the SDK, so that nothing stands between an evil and the host. Without an
//! evil it is well behaved: it looks into the model in every way there is and tells what it saw.

use std::hint::black_box;
use std::mem;

wit_bindgen::generate!({ world: "diagnostic-plugin", path: "../../wit/sonde-0.1.0" });

use exports::sonde::plugin::diagnostic::{Dataset, Guest};
use sonde::plugin::activations::{
    self, Addition, CaptureSpec, Captured, Change, Intervention, Projection, Rows, Site,
};
use sonde::plugin::generation::Model;
use sonde::plugin::gradients::{self, Example, ImportanceSpec, Modules};
use sonde::plugin::log::{self, Level};
use sonde::plugin::results::{
    About, Diagnosis, Estimate, Field, Figure, Finding, Given, Heatmap, Interval, Metric, Slot, Summary,
    Value,
};
use sonde::plugin::types::{Error, Prompt};
use sonde::plugin::weights;

/// The component's exports.
pub struct Hostile;
// Native linkers refuse the names of a component's exports.
#[cfg(target_family = "wasm")]
export!(Hostile);

impl Guest for Hostile {
    fn describe() -> About {
        let slot = |name: &str| Slot { name: name.into(), about: "abused".into(), required: true };
        About {
            name: "hostile-diagnostic".into(),
            version: "0.1.0".into(),
            title: "Hostile diagnostic".into(),
            summary: "Misbehaves as its parameters say.".into(),
            citation: String::new(),
            licence: "Apache-2.0 OR MIT".into(),
            models: vec![slot("target")],
            judges: Vec::new(),
            datasets: vec![slot("items")],
            columns: Vec::new(),
            parameters_schema: r#"{"properties":{"evil":{"type":"string"}}}"#.into(),
        }
    }

    fn run(datasets: Vec<Dataset>, parameters: String, seed: u64) -> Result<Diagnosis, String> {
        report_panics();
        let parameters: serde_json::Value = serde_json::from_str(&parameters).unwrap_or_default();
        let evil = parameters["evil"].as_str().unwrap_or_default();
        let model = Model::open("target").map_err(words)?;
        match (asked(evil, &model), said(evil)) {
            (Some(answer), _) => answer.map(|()| diagnosis()),
            (None, Some(diagnosis)) => Ok(diagnosis),
            (None, None) if evil.is_empty() => behave(&model, &datasets, seed),
            (None, None) => Err(format!("no such evil: {evil}")),
        }
    }
}

/// The evils that ask the host for something; none if the word is not one of them.
fn asked(evil: &str, model: &Model) -> Option<Result<(), String>> {
    let text = || Prompt::Text("Hello".into());
    let one = |spec: CaptureSpec| capture(model, &spec).map(drop);
    Some(match evil {
        "layer-99" => one(spec(vec![99], Rows::Last)),
        "no-layers" => one(spec(vec![], Rows::Last)),
        "many-layers" => one(spec((0..5000).collect(), Rows::Last)),
        "rows-past-the-prompt" => one(spec(vec![1], Rows::At(vec![50]))),
        "many-rows" => one(spec(vec![1], Rows::At(vec![0; 5000]))),
        "read-another-layer" => read(model, 3, 0, 1),
        "read-past-the-end" => read(model, 2, 10, 3),
        "read-past-every-end" => read(model, 2, u32::MAX, 1),
        "billion-floats" => read(model, 2, 0, 1_000_000_000 / 256),
        "trace-the-mean" => {
            let answers = activations::trace(model, &[text()], &model.sampling(), &spec(vec![1], Rows::Mean));
            every(answers).map(drop)
        }
        "wrong-width" => intervene(model, vec![1.0; 255], 1.0),
        "nan-vector" => intervene(model, [vec![1.0; 255], vec![f32::NAN]].concat(), 1.0),
        "infinite-coefficient" => intervene(model, vec![1.0; 256], f32::INFINITY),
        "huge-vector" => intervene(model, vec![1.0; 40 << 20], 1.0),
        "many-changes" => {
            activations::intervene(model, &vec![addition(vec![1.0; 256]); 5000]).map(drop).map_err(words)
        }
        "chain-of-changes" => {
            let mut chain = Vec::new();
            while let Ok(next) =
                activations::intervene(chain.last().unwrap_or(model), &vec![addition(vec![1.0; 256]); 100])
            {
                chain.push(next);
            }
            Err("the chain broke".into())
        }
        "hoard-changed-models" => {
            let hoard: Vec<_> = (0..5000).map(|_| activations::intervene(model, &[])).collect();
            drop(black_box(hoard));
            Ok(())
        }
        "hoard-captures" => {
            let (prompts, mut hoard) = (vec![text(); 4000], Vec::new());
            while hoard.len() < 1_000_000 {
                hoard.extend(activations::capture(model, &prompts, &spec(vec![1], Rows::Last)));
            }
            Ok(())
        }
        "hoard-numbers" => {
            let (prompt, mut hoard) = (Prompt::Tokens(vec![7; 1000]), Vec::new());
            loop {
                hoard.extend(activations::capture(
                    model,
                    std::slice::from_ref(&prompt),
                    &spec((0..7).collect(), Rows::All),
                ));
            }
        }
        "hoard-steps" => {
            let mut sampling = model.sampling();
            sampling.max_tokens = u32::MAX;
            let prompts = vec![text(); 1000];
            every(activations::trace(model, &prompts, &sampling, &spec((0..7).collect(), Rows::Last)))
                .map(drop)
        }
        "capture-loop" => loop {
            drop(activations::capture(model, &[text()], &spec(vec![1], Rows::Last)));
        },
        "leak-captures" => {
            mem::forget(capture(model, &spec(vec![1], Rows::All)));
            Ok(())
        }
        "panic-holding-captures" => {
            let held = capture(model, &spec(vec![1], Rows::All));
            panic!("cannot go on with {}", held.map_or(0, |held| held.rows()));
        }
        "billion-weights" => weights::read(model, "w", 0, 1_000_000_000).map(drop).map_err(words),
        "endless-tensor-name" => weights::read(model, &"w".repeat(201), 0, 1).map(drop).map_err(words),
        "gradients" => importance(model, 0.5),
        "nan-fraction" => importance(model, f64::NAN),
        "more-than-all" => importance(model, 1.5),
        _ => return None,
    })
}

/// The evils that say something absurd; none if the word is not one of them.
fn said(evil: &str) -> Option<Diagnosis> {
    let mut said = diagnosis();
    let number = |value| Field { name: "projection".into(), value: Value::Number(value) };
    let finding = |row, fields| Finding { dataset: "items".into(), row, fields };
    let interval = |low, high| vec![metric(Some(Interval { low, high }))];
    match evil {
        "inverted-interval" => said.summary.metrics = interval(0.7, 0.6),
        "nan-interval" => said.summary.metrics = interval(f64::NAN, 0.6),
        "many-figures" => {
            let cells = Heatmap {
                name: "grid".into(),
                title: "Grid".into(),
                x: "x".into(),
                y: "y".into(),
                width: 1,
                cells: vec![0.0],
            };
            said.summary.figures = vec![Figure::Heatmap(cells); 1001];
        }
        "many-findings" => said.findings = vec![finding(0, vec![]); 1001],
        "many-fields" => said.findings = vec![finding(0, vec![number(0.0); 1001])],
        "nan-finding" => said.findings = vec![finding(0, vec![number(f64::NAN)])],
        "row-past-the-dataset" => said.findings = vec![finding(2, vec![])],
        "unknown-dataset" => {
            said.findings = vec![Finding { dataset: "\u{1b}[31msecrets".into(), row: 0, fields: vec![] }];
        }
        _ => return None,
    }
    Some(said)
}

/// Looks into the model in every way there is.
fn behave(model: &Model, datasets: &[Dataset], seed: u64) -> Result<Diagnosis, String> {
    let mut found = vec![field("seed", seed as f64), field("rows", datasets[0].rows.len() as f64)];
    let captured = capture(model, &spec(vec![1, 2], Rows::All))?;
    let size = (captured.rows(), captured.width(), captured.tokens().len());
    found.push(field("captured rows", f64::from(size.0)));
    found.push(field("captured width", f64::from(size.1)));
    found.push(field("captured tokens", size.2 as f64));
    let piece = captured.read(2, 3, 2).map_err(words)?;
    found.push(field("numbers", piece.len() as f64));
    found.push(field("first of row 3 at layer 2", f64::from(piece[0])));
    let change = Change::ProjectOut(Projection { direction: vec![0.5; 256], coefficient: 1.0 });
    let out = Intervention { layers: vec![3], site: Site::Mlp, change };
    let once = activations::intervene(model, &[addition(vec![2.0; 256])]).map_err(words)?;
    let twice = activations::intervene(&once, &[out]).map_err(words)?;
    capture(&twice, &spec(vec![4], Rows::Mean))?;
    let answers = activations::trace(
        &twice,
        &[Prompt::Text("Go".into())],
        &model.sampling(),
        &spec(vec![2], Rows::Last),
    );
    let traced = every(answers)?;
    found.push(field("steps", f64::from(traced[0].captured.rows())));
    found.push(Field { name: "reply".into(), value: Value::Text(traced[0].completion.text.clone()) });
    let tensors = weights::tensors(model).map_err(words)?;
    found.push(Field { name: "tensor".into(), value: Value::Text(tensors[0].name.clone()) });
    let numbers = weights::read(model, &tensors[0].name, 5, 3).map_err(words)?;
    found.push(field("weight 5", f64::from(numbers[0])));
    let mut diagnosis = diagnosis();
    diagnosis.findings = vec![Finding { dataset: datasets[0].name.clone(), row: 1, fields: found }];
    Ok(diagnosis)
}

fn spec(layers: Vec<u32>, rows: Rows) -> CaptureSpec {
    CaptureSpec { layers, site: Site::Residual, rows }
}

fn capture(model: &Model, spec: &CaptureSpec) -> Result<Captured, String> {
    activations::capture(model, &[Prompt::Text("Hello".into())], spec).remove(0).map_err(words)
}

fn read(model: &Model, layer: u32, first_row: u32, rows: u32) -> Result<(), String> {
    capture(model, &spec(vec![1, 2], Rows::All))?.read(layer, first_row, rows).map(drop).map_err(words)
}

fn addition(vector: Vec<f32>) -> Intervention {
    Intervention {
        layers: vec![1],
        site: Site::Residual,
        change: Change::Add(Addition { vector, coefficient: 1.0 }),
    }
}

fn intervene(model: &Model, vector: Vec<f32>, coefficient: f32) -> Result<(), String> {
    let change = Change::Add(Addition { vector, coefficient });
    let change = Intervention { layers: vec![1], site: Site::Residual, change };
    activations::intervene(model, &[change]).map(drop).map_err(words)
}

fn importance(model: &Model, fraction: f64) -> Result<(), String> {
    let example = Example { prompt: "1 + 1 =".into(), response: " 2".into() };
    let spec = ImportanceSpec { fraction, modules: Modules::Mlp, drop_first_token: false };
    gradients::importance(model, &[example], spec).map(drop).map_err(words)
}

fn every<T>(answers: Vec<Result<T, Error>>) -> Result<Vec<T>, String> {
    answers.into_iter().collect::<Result<_, _>>().map_err(words)
}

/// Writes the panic's text to the log, as the SDK does.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log::write(Level::Error, &panic.to_string())));
}

fn words(error: Error) -> String {
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

fn field(name: &str, value: f64) -> Field {
    Field { name: name.into(), value: Value::Number(value) }
}

fn metric(interval: Option<Interval>) -> Metric {
    Metric {
        name: "auroc".into(),
        about: "of all rows".into(),
        estimate: Estimate::Given(Given { value: 0.9, n: 2, interval }),
        higher_is_better: None,
        group: None,
        headline: true,
    }
}

fn diagnosis() -> Diagnosis {
    let metrics = vec![metric(Some(Interval { low: 0.8, high: 0.95 }))];
    Diagnosis { summary: Summary { metrics, figures: vec![], notes: vec![] }, findings: vec![] }
}
