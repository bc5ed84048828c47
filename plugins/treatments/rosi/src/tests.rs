//! A model of five blocks whose states, signs and replies are known.
//!
//! At layer 2 harmful prompts have the state (3, 0) and harmless ones (0, 4): the unit direction is (0.6, −0.8). At layer 0
//! all have the same. Requests that hold "bad" are harmful; those that hold "jailbroken" too are
//! refused once the model is edited with negative alpha.

mod choosing;
mod editing;
mod layers;

use sonde_sdk::mock::{InForce, MockHost, completion};
use sonde_sdk::{
    Activations, CaptureSpec, Change, Completion, ContinuationScore, Datasets, Derived, Error, Estimate,
    HostError, Metric, ModelChange, ModelInfo, Prompt, RankOne, Role, Sampling, ScoreRequest, Site,
    TensorInfo, TokenLogprob, TokenLogprobs,
};

use super::*;

/// W of every attention output: its rows have the mean (2, 5), and ‖W‖² = 78.
const ATTENTION: [f32; 4] = [1.0, 2.0, 3.0, 8.0];
/// W of every down projection: its rows have the mean (0, 3, 0), and ‖W‖² = 50.
const MLP: [f32; 6] = [4.0, 3.0, 0.0, -4.0, 3.0, 0.0];
/// ‖W‖ / ‖w̄‖ of each.
const UNITS: [f64; 2] = [1.640_016_820_771_602_4, 2.357_022_603_955_158_5];
const REFUSAL: u32 = 7;

fn info() -> ModelInfo {
    ModelInfo {
        name: "small".into(),
        architecture: "qwen3".into(),
        quantisation: "F32".into(),
        layers: 5,
        width: 2,
        vocabulary: 8,
        context: 100,
        has_chat_template: true,
    }
}

fn tensor(name: &str, shape: &[u64], numbers: &[f32]) -> (TensorInfo, Vec<f32>) {
    let tensor = TensorInfo { name: name.into(), shape: shape.to_vec(), quantisation: "F32".into() };
    (tensor, numbers.to_vec())
}

fn tensors() -> Vec<(TensorInfo, Vec<f32>)> {
    let block = |block: u32| {
        [
            tensor(&format!("blk.{block}.attn_q.weight"), &[2, 2], &[0.0; 4]),
            tensor(&format!("blk.{block}.attn_output.weight"), &[2, 2], &ATTENTION),
            tensor(&format!("blk.{block}.ffn_down.weight"), &[2, 3], &MLP),
        ]
    };
    (0..5).flat_map(block).collect()
}

/// The user's words.
fn asked(prompt: &Prompt) -> &str {
    let Prompt::Chat(chat) = prompt else { panic!("{prompt:?}") };
    &chat.messages.last().unwrap().content
}

fn has_system(prompt: &Prompt) -> bool {
    matches!(prompt, Prompt::Chat(chat) if chat.messages[0].role == Role::System)
}

fn state(prompt: &Prompt, spec: &CaptureSpec) -> Activations {
    let bad = asked(prompt).contains("bad");
    let at = |layer: u32| match (spec.site, bad) {
        (Site::Residual, bad) => match (layer, bad) {
            (0, _) => vec![0.3, 0.7],
            (1, true) => vec![2.0, 1.0],
            (1, false) => vec![1.0, 1.0],
            (2, true) => vec![3.0, 0.0],
            (2, false) => vec![0.0, 4.0],
            (_, true) => vec![1.0, 0.0],
            (_, false) => vec![1.0, 2.0],
        },
        // Means 1 and −1; of the last two blocks' MLPs they are positive everywhere.
        (Site::Attention, true) => vec![3.0, -1.0],
        (Site::Attention, false) => vec![-3.0, 1.0],
        _ if layer >= 3 => vec![1.0, 0.0],
        _ => vec![-1.0, 0.0],
    };
    Activations::given([1], 2, spec.layers.iter().map(|layer| (*layer, at(*layer))))
}

/// The signed size of the edits in force, as the first attention output has it.
fn size(in_force: &InForce) -> f64 {
    in_force.edits.first().map_or(0.0, |edit| f64::from(edit.coefficient) / UNITS[0])
}

/// Refuses plain harmful requests always, jailbroken ones from −0.04 on, and everything from 0.3 on.
fn reply(request: &str, size: f64) -> &'static str {
    let refuses = match request {
        _ if size.abs() > 0.3 => true,
        request if request.contains("jailbroken") => size < -0.039,
        request => request.contains("bad"),
    };
    if refuses { "I cannot help." } else { "Sure, first" }
}

/// At which layer this direction is found; the layers' directions differ.
fn layer(direction: &[f32]) -> u32 {
    match direction[0] / direction[0].hypot(direction[1]) {
        along if along > 0.9 => 1,
        along if along > 0.3 => 2,
        _ => 3,
    }
}

/// The probability that a refusal comes next, under what is done to the states: high on harmful prompts, less so with the
/// direction of a layer taken out, and high on harmless ones with it added.
fn refusal(prompt: &Prompt, in_force: &InForce) -> f32 {
    let bad = asked(prompt).contains("bad");
    match in_force.interventions.first().map(|intervention| &intervention.change) {
        Some(Change::Add(addition)) if layer(&addition.vector) == 3 => 0.3,
        Some(Change::Add(_)) => 0.8,
        Some(Change::ProjectOut(projection)) => match (layer(&projection.direction), bad) {
            (1, true) => 0.05,
            (1, false) => 0.7,
            (2, true) => 0.1,
            (3, true) => 0.08,
            _ => 0.1,
        },
        None if bad => 0.9,
        None => 0.1,
    }
}

fn scored(request: &ScoreRequest, in_force: &InForce) -> Result<Vec<ContinuationScore>, HostError> {
    let logprob = refusal(&request.prompt, in_force).ln();
    let score = |word: &String| {
        assert_eq!(word, "[7]");
        ContinuationScore { logprob, token_logprobs: vec![logprob], is_greedy: true }
    };
    Ok(request.continuations.iter().map(score).collect())
}

/// The next token's distribution: a refusal, or one of the seven others.
fn next(prompt: &Prompt, in_force: &InForce) -> Completion {
    let refusal = refusal(prompt, in_force);
    let other = (1.0 - refusal) / 7.0;
    let listed = |token| TokenLogprob { token, logprob: if token == REFUSAL { refusal } else { other }.ln() };
    let top: Vec<_> = (0..8).map(listed).collect();
    Completion { logprobs: vec![TokenLogprobs { chosen: top[0].logprob, top }], ..completion("I") }
}

fn complete(prompt: &Prompt, sampling: &Sampling, in_force: &InForce) -> Result<Completion, HostError> {
    if sampling.logprobs.is_some() {
        assert_eq!((sampling.max_tokens, sampling.temperature), (1, 0.0));
        return Ok(next(prompt, in_force));
    }
    let text = reply(asked(prompt), size(in_force));
    Ok(Completion { tokens: vec![if text.starts_with('I') { REFUSAL } else { 1 }], ..completion(text) })
}

fn host() -> MockHost {
    MockHost::new()
        .info("target", info())
        .tensors("target", tensors())
        .captures("target", |prompt, spec, _| Ok(state(prompt, spec)))
        .completions_under("target", complete)
        .scores_under("target", scored)
}

fn rows(kind: &str, count: usize) -> Vec<serde_json::Value> {
    (0..count).map(|at| serde_json::json!({ "prompt": format!("{kind} {at}") })).collect()
}

fn datasets() -> Datasets {
    Datasets::new()
        .with("harmful", rows("bad", 6))
        .with("harmless", rows("good", 6))
        .with("calibration-harmful", rows("bad jailbroken", 4).into_iter().chain(rows("bad", 1)))
        .with("calibration-harmless", rows("good", 5))
}

fn at_layer_2() -> Parameters {
    Parameters { layer: Some(2), ..Parameters::default() }
}

fn derive(host: &MockHost, parameters: &Parameters) -> Result<Derived, Error> {
    Rosi::derive(host, &datasets(), parameters, 0)
}

fn edits(derived: &Derived) -> &[RankOne] {
    match &derived.change {
        ModelChange::Edits(edits) => edits,
        other => panic!("{other:?}"),
    }
}

fn metric<'a>(derived: &'a Derived, name: &str) -> &'a Metric {
    derived.summary.metrics.iter().find(|metric| metric.name == name).unwrap()
}

fn share(metric: &Metric) -> (u64, u64) {
    match &metric.estimate {
        Estimate::Proportion(share) => (share.hits, share.n),
        other => panic!("{other:?}"),
    }
}

fn value(derived: &Derived, name: &str) -> f64 {
    match &metric(derived, name).estimate {
        Estimate::Given(given) => given.value,
        other => panic!("{other:?}"),
    }
}

fn has_note(derived: &Derived, words: &str) -> bool {
    derived.summary.notes.iter().any(|note| note.contains(words))
}

fn refused(answer: Result<Derived, Error>) -> String {
    answer.unwrap_err().to_string()
}
