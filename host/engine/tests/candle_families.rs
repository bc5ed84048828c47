//! Each family against what PyTorch computes with the same random weights (`fixtures/candle_families.py`), and the ways
//! of looking inside against each other.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sonde_contract::{
    CaptureRequest, CaptureSpec, Captured, Change, HostError, Intervention, Prompt, Rows, Sampling, Site,
    TraceRequest,
};
use sonde_engine::{Model, OpenOptions, Precision};
use support::{generate, greedy};

const FAMILIES: [&str; 7] = ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];

fn fixture(family: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/candle")).join(family)
}

fn open(family: &str) -> Arc<dyn Model> {
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    sonde_engine::open_candle(&fixture(family), &options).unwrap()
}

fn expected(family: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(family).join("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn tokens(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|number| number as u32).collect()
}

async fn capture(
    model: &Arc<dyn Model>,
    tokens: &[u32],
    layers: Vec<u32>,
    site: Site,
    rows: Rows,
) -> Captured {
    let spec = CaptureSpec { layers, site, rows };
    model.capture(CaptureRequest { prompt: Prompt::Tokens(tokens.to_vec()), spec }).await.unwrap()
}

fn relative(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let squares: f64 = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (squares / expected.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit - sum).collect()
}

/// 1e-5: float32's rounding through two blocks; the reference is printed to seven digits.
#[tokio::test]
async fn every_familys_states_and_logits_are_pytorchs() {
    for family in FAMILIES {
        let (model, expected) = (open(family), expected(family));
        let sequence = tokens(&expected["tokens"]);
        let residual = capture(&model, &sequence, vec![0, 1], Site::Residual, Rows::Last).await;
        let normed = capture(&model, &sequence, vec![2], Site::FinalNorm, Rows::Last).await;
        for (layer, found) in residual.layers.iter().chain(&normed.layers).enumerate() {
            let error = relative(found, &numbers(&expected["hidden_states"][layer]));
            assert!(error < 1e-5, "{family}, layer {layer}: {error}");
        }
        for (place, logits) in expected["logits"].as_array().unwrap().iter().enumerate() {
            let sampling = Sampling { logprobs: Some(32), ..greedy(1) };
            let prompt = Prompt::Tokens(sequence[..=6 * place].to_vec());
            let reply = generate(&model, prompt, sampling).await.unwrap();
            let logprobs = log_softmax(&numbers(logits));
            if let Some(first) = reply.logprobs.first() {
                assert_eq!(first.top.len(), 32);
                for top in &first.top {
                    let difference = f64::from(top.logprob) - logprobs[top.token as usize];
                    assert!(difference.abs() < 2e-5, "{family}, position {}: {difference}", 6 * place);
                }
            } else {
                // Token 0 ends a reply.
                assert!(logprobs.iter().all(|logprob| *logprob <= logprobs[0]), "{family}, {place}");
            }
        }
    }
}

/// One token at a time through the cache against the whole sequence at once: sliding windows and pieces included. The
/// sequence passes the engine's piece of 256 tokens in one case.
#[tokio::test]
async fn a_trace_keeps_the_states_that_a_capture_of_the_whole_finds() {
    for family in FAMILIES {
        let model = open(family);
        for length in [3_u32, 251] {
            let prompt: Vec<u32> = (0..length).map(|place| 1 + (place * place + 5 * place) % 31).collect();
            let room = if length > 200 { 5 } else { 12 };
            let spec = CaptureSpec { layers: vec![0, 1, 2], site: Site::Residual, rows: Rows::Last };
            let sampling = Sampling { temperature: 1.0, seed: Some(3), ..greedy(room) };
            let request =
                TraceRequest { prompt: Prompt::Tokens(prompt.clone()), sampling: sampling.clone(), spec };
            let traced = model.trace(request).await.unwrap();
            let reply = generate(&model, Prompt::Tokens(prompt.clone()), sampling).await.unwrap();
            assert_eq!(traced.completion, reply);
            assert_eq!(traced.captured.tokens, prompt);
            let ended = usize::from(reply.tokens.len() < room as usize);
            assert_eq!(traced.captured.rows as usize, reply.tokens.len() + ended);
            let whole = [prompt.clone(), reply.tokens.clone()].concat();
            let all = capture(&model, &whole, vec![0, 1, 2], Site::Residual, Rows::All).await;
            for (stepwise, at_once) in traced.captured.layers.iter().zip(&all.layers) {
                for row in 0..traced.captured.rows as usize {
                    let first = (prompt.len() - 1 + row) * 16;
                    let expected: Vec<f64> =
                        at_once[first..first + 16].iter().map(|x| f64::from(*x)).collect();
                    let error = relative(&stepwise[row * 16..(row + 1) * 16], &expected);
                    assert!(error < 1e-5, "{family}, step {row}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn attention_and_mlp_are_what_each_block_adds() {
    for family in FAMILIES {
        let (model, sequence) = (open(family), tokens(&expected(family)["tokens"]));
        let at = async |layers, site| capture(&model, &sequence, layers, site, Rows::Mean).await.layers;
        let residual = at(vec![0, 1, 2], Site::Residual).await;
        let (attention, mlp) = (at(vec![0, 1], Site::Attention).await, at(vec![0, 1], Site::Mlp).await);
        for block in 0..2 {
            for place in 0..16 {
                let sum = residual[block][place] + attention[block][place] + mlp[block][place];
                assert!((sum - residual[block + 1][place]).abs() < 1e-4 * sum.abs().max(1.0), "{family}");
            }
        }
    }
}

fn add(site: Site, layer: u32, vector: Vec<f32>, coefficient: f32) -> Intervention {
    Intervention { layers: vec![layer], site, change: Change::Add { vector, coefficient } }
}

#[tokio::test]
async fn interventions_change_the_state_that_is_captured_and_leave_the_first_handle_alone() {
    let (model, sequence) = (open("gemma3"), tokens(&expected("gemma3")["tokens"]));
    let vector: Vec<f32> = (0..16).map(|place| 0.1 * place as f32 - 0.5).collect();
    let last = async |model: &Arc<dyn Model>, layer, site| {
        capture(model, &sequence, vec![layer], site, Rows::Last).await.layers.remove(0)
    };
    for (layer, site) in
        [(0, Site::Residual), (2, Site::Residual), (1, Site::Attention), (0, Site::Mlp), (2, Site::FinalNorm)]
    {
        let before = last(&model, layer, site).await;
        let added = model.intervene(vec![add(site, layer, vector.clone(), 2.0)]).unwrap();
        for (place, (a, b)) in last(&added, layer, site).await.iter().zip(&before).enumerate() {
            assert!((a - b - 2.0 * vector[place]).abs() < 1e-5);
        }
        // A change upon the change, in a handle of its own: the direction is gone, the rest stays.
        let gone = Change::ProjectOut { direction: vector.clone(), coefficient: 1.0 };
        let gone = added.intervene(vec![Intervention { layers: vec![layer], site, change: gone }]).unwrap();
        let state = last(&gone, layer, site).await;
        let dot: f32 = state.iter().zip(&vector).map(|(a, b)| a * b).sum();
        assert!(dot.abs() < 1e-4, "{dot}");
        assert_eq!(last(&model, layer, site).await, before);
    }
}

/// At the final norm a vector moves the logits by its product with the output matrix, here the embedding's.
#[tokio::test]
async fn a_vector_at_the_final_norm_moves_the_logits_by_its_product_with_the_output_matrix() {
    let model = open("qwen2");
    let sequence = tokens(&expected("qwen2")["tokens"]);
    let table = model.read_tensor("model.embed_tokens.weight", 0, 32 * 16).unwrap();
    let vector: Vec<f32> = table[7 * 16..8 * 16].to_vec();
    let moved = model.intervene(vec![add(Site::FinalNorm, 2, vector.clone(), 3.0)]).unwrap();
    let all = async |model: &Arc<dyn Model>| {
        let spec = CaptureSpec { layers: vec![0], site: Site::Residual, rows: Rows::Last };
        let sampling = Sampling { logprobs: Some(32), ..greedy(1) };
        let prompt = Prompt::Tokens(sequence.clone());
        model.trace(TraceRequest { prompt: prompt.clone(), sampling: sampling.clone(), spec }).await.unwrap();
        let mut top = generate(model, prompt, sampling).await.unwrap().logprobs.remove(0).top;
        top.sort_by_key(|top| top.token);
        top.into_iter().map(|top| f64::from(top.logprob)).collect::<Vec<_>>()
    };
    let (before, after) = (all(&model).await, all(&moved).await);
    let push = |token: usize| -> f64 {
        let row = &table[token * 16..(token + 1) * 16];
        3.0 * row.iter().zip(&vector).map(|(a, b)| f64::from(a * b)).sum::<f64>()
    };
    let expected = log_softmax(&(0..32).map(|token| before[token] + push(token)).collect::<Vec<_>>());
    assert!(after.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-5));
}

#[tokio::test]
async fn a_layer_or_row_that_is_not_there_is_refused_and_the_model_goes_on() {
    let model = open("mistral");
    let refused = async |layers: Vec<u32>, rows| {
        let spec = CaptureSpec { layers, site: Site::Residual, rows };
        model
            .capture(CaptureRequest { prompt: Prompt::Tokens(vec![1, 2]), spec })
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(refused(vec![99], Rows::Last).await.contains("layer 99 does not exist"));
    assert!(refused(vec![1], Rows::At(vec![2])).await.contains("row 2 does not exist"));
    let grammar = Some(sonde_contract::Grammar::Gbnf("root ::= \"a\"".into()));
    let reply = generate(&model, Prompt::Tokens(vec![1]), Sampling { grammar, ..greedy(2) }).await;
    assert!(matches!(reply, Err(HostError::Unsupported(reason)) if reason.contains("`engine: llama`")));
    let chat = generate(&model, support::user("hi"), greedy(1)).await.unwrap_err().to_string();
    assert!(chat.contains("no chat template"), "{chat}");
    let outside = generate(&model, Prompt::Tokens(vec![32]), greedy(1)).await.unwrap_err().to_string();
    assert!(outside.contains("token 32") && outside.contains("ends at 31"), "{outside}");
    let long = generate(&model, Prompt::Tokens(vec![1; 256]), greedy(1)).await.unwrap_err();
    assert_eq!(long, HostError::ContextOverflow { asked: 257, room: 256 });
    assert!(generate(&model, Prompt::Tokens(vec![1]), greedy(2)).await.is_ok());
}
