//! Importance of weights against DeepScan's SPIN (`../shared/goldens`), PyTorch's gradients and finite differences.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sonde_contract::{
    Change, Example, ImportanceRequest, Intervention, MatrixImportance, Modules, Prompt, ScoreRequest, Site,
};
use sonde_engine::{LayerByLayer, Model, OpenOptions, Precision};
use support::shared;

fn options() -> OpenOptions {
    OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() }
}

fn open(path: &Path) -> Arc<dyn Model> {
    sonde_engine::open_candle(path, &options()).unwrap()
}

fn examples(file: &str) -> Option<Vec<Example>> {
    let text = std::fs::read_to_string(shared(file)?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn request(examples: Vec<Example>, modules: Modules, fraction: f64) -> ImportanceRequest {
    ImportanceRequest { examples, fraction, modules, drop_first_token: true }
}

/// The two last candidates' and the next one's scores: where a count differs, they must tie.
fn show_cut(of: &MatrixImportance, wider: &MatrixImportance) -> String {
    let count = of.top.len();
    format!("{:?} next {:?}", &of.scores[count.saturating_sub(2)..], wider.scores.get(count))
}

#[tokio::test]
async fn candidates_and_coupling_are_those_of_deepscan() {
    let (Some(file), Some(first), Some(second)) = (
        shared("models/wren/wren-chat-f32.gguf"),
        examples("goldens/wren-chat/spin.dataset1.jsonl"),
        examples("goldens/wren-chat/spin.dataset2.jsonl"),
    ) else {
        return;
    };
    let model = open(&file);
    for (modules, name) in [(Modules::Mlp, "mlp"), (Modules::SelfAttn, "self_attn"), (Modules::All, "all")] {
        let golden = shared(&format!("goldens/wren-chat/spin-{name}.output.json")).unwrap();
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
        let (one, two) = (
            model.importance(request(first.clone(), modules, 1e-3)).await.unwrap(),
            model.importance(request(second.clone(), modules, 1e-3)).await.unwrap(),
        );
        let wider = model.importance(request(second.clone(), modules, 2e-3)).await.unwrap();
        let mut checked = 0;
        for (place, (one, two)) in one.iter().zip(&two).enumerate() {
            let layer = &golden["layers"][one.layer as usize]["modules"];
            let of =
                layer.as_array().unwrap().iter().find(|module| module["name"] == one.name.as_str()).unwrap();
            assert_eq!(of["total_neurons"], one.size);
            assert_eq!(of["candidate_dataset1"], one.top.len());
            assert_eq!(of["candidate_dataset2"], two.top.len());
            let candidates: HashSet<_> = one.top.iter().collect();
            let coupled = two.top.iter().filter(|index| candidates.contains(index)).count();
            let cut = show_cut(two, &wider[place]);
            assert_eq!(of["coupled"], coupled, "{name}, block {}, {}: {cut}", one.layer, one.name);
            checked += 1;
        }
        assert_eq!(checked, golden["layers"].as_array().unwrap().len() * layer_modules(&golden));
    }
}

fn layer_modules(golden: &Value) -> usize {
    golden["layers"][0]["modules"].as_array().unwrap().len()
}

#[tokio::test]
async fn one_pass_for_all_layers_finds_what_one_pass_per_layer_finds() {
    let (Some(file), Some(examples)) =
        (shared("models/wren/wren-chat-q8_0.gguf"), examples("goldens/wren-chat/spin.dataset1.jsonl"))
    else {
        return;
    };
    let asked = request(examples[..4].to_vec(), Modules::All, 1e-2);
    let together = open(&file).importance(asked.clone()).await.unwrap();
    let apart = LayerByLayer::open(&file, &options()).unwrap().importance(asked).await.unwrap();
    assert_eq!(together.len(), 42);
    for (together, apart) in together.iter().zip(&apart) {
        assert_eq!((together.layer, &together.name), (apart.layer, &apart.name));
        // The forms with and without gradients round differently, so neighbours may change places.
        for (a, b) in together.scores.iter().zip(&apart.scores) {
            assert!((a - b).abs() <= 1e-4 * a.abs(), "{a} against {b}");
        }
    }
}

fn fixture(family: &str) -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/candle")).join(family)
}

fn words(ids: &Value) -> String {
    let words = ids.as_array().unwrap().iter().map(|id| format!("w{id}"));
    words.collect::<Vec<_>>().join(" ")
}

fn expected(family: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(family).join("expected.json")).unwrap()).unwrap()
}

fn whole(family: &str) -> ImportanceRequest {
    let expected = expected(family);
    let example = Example { prompt: words(&expected["prompt"]), response: words(&expected["response"]) };
    ImportanceRequest {
        examples: vec![example],
        fraction: 1.0,
        modules: Modules::All,
        drop_first_token: false,
    }
}

/// Sums agree to float32's rounding over the pass back; the largest entry is the same one.
#[tokio::test]
async fn every_familys_gradients_are_pytorchs() {
    for family in ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"] {
        let found = open(&fixture(family)).importance(whole(family)).await.unwrap();
        assert_eq!(found.len(), 14);
        for of in found {
            let reference = &expected(family)["importance"][format!("{}.{}", of.layer, of.name)];
            let (sum, largest) = (reference[0].as_f64().unwrap(), reference[1].as_u64().unwrap());
            let total: f64 = of.scores.iter().map(|score| f64::from(*score)).sum();
            assert!(
                (total - sum).abs() < 1e-5 * sum,
                "{family} {} {}: {total} against {sum}",
                of.layer,
                of.name
            );
            assert_eq!(of.top[0], largest, "{family} {} {}", of.layer, of.name);
            assert_eq!(of.top.len() as u64, of.size);
            assert!(of.has_gradient && of.scores.is_sorted_by(|a, b| a >= b));
        }
    }
}

/// The mean cross-entropy of the response, by the engine's scores.
async fn loss(folder: &Path, example: &Example) -> f64 {
    let request = ScoreRequest {
        prompt: Prompt::Text(example.prompt.clone() + " "),
        continuations: vec![example.response.clone()],
    };
    let scores = open(folder).score(request).await.unwrap();
    let tokens = &scores[0].token_logprobs;
    -tokens.iter().map(|logprob| f64::from(*logprob)).sum::<f64>() / tokens.len() as f64
}

/// Central differences: with this step the third derivative leaves about 4e-4 of gradients of this size, and float32's
/// rounding of the loss as much.
#[tokio::test]
async fn gradients_are_the_slopes_of_the_loss() {
    const STEP: f32 = 0.005;
    let family = "gemma2";
    let request = whole(family);
    let found = open(&fixture(family)).importance(request.clone()).await.unwrap();
    let file = std::fs::read(fixture(family).join("model.safetensors")).unwrap();
    let header = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let entries: HashMap<String, Value> = serde_json::from_slice(&file[8..8 + header]).unwrap();
    for of in found.iter().filter(|of| of.layer == 0) {
        let name = format!("model.layers.{}.{}.weight", of.layer, of.name);
        let first =
            usize::try_from(entries[&name]["data_offsets"][0].as_u64().unwrap()).unwrap() + 8 + header;
        for rank in [0, 7] {
            let place = first + 4 * usize::try_from(of.top[rank]).unwrap();
            let weight = f32::from_le_bytes(file[place..place + 4].try_into().unwrap());
            let mut losses = Vec::new();
            for step in [STEP, -STEP] {
                let folder = tempfile::tempdir().unwrap();
                for other in ["config.json", "tokenizer.json"] {
                    std::fs::copy(fixture(family).join(other), folder.path().join(other)).unwrap();
                }
                let mut changed = file.clone();
                changed[place..place + 4].copy_from_slice(&(weight + step).to_le_bytes());
                std::fs::write(folder.path().join("model.safetensors"), changed).unwrap();
                losses.push(loss(folder.path(), &request.examples[0]).await);
            }
            let slope = ((losses[0] - losses[1]) / f64::from(2.0 * STEP)).abs();
            let gradient = f64::from(of.scores[rank] / weight.abs());
            let error = (slope - gradient).abs() / gradient;
            assert!(error < 2e-3, "{name}, rank {rank}: slope {slope}, gradient {gradient}");
        }
    }
}

#[tokio::test]
async fn importance_is_that_of_the_changed_model_under_an_intervention() {
    let model = open(&fixture("qwen3"));
    let plain = model.importance(whole("qwen3")).await.unwrap();
    // A vector of zeros changes nothing; one that moves the residual stream does.
    let change = |layers, site, vector: Vec<f32>| Intervention {
        layers,
        site,
        change: Change::Add { vector, coefficient: 1.0 },
    };
    let zero = model.intervene(vec![change(vec![0], Site::Residual, vec![0.0; 16])]).unwrap();
    assert_eq!(zero.importance(whole("qwen3")).await.unwrap(), plain);
    let moved = model.intervene(vec![change(vec![1], Site::Mlp, vec![0.5; 16])]).unwrap();
    assert_ne!(moved.importance(whole("qwen3")).await.unwrap(), plain);
    assert_eq!(model.importance(whole("qwen3")).await.unwrap(), plain);
}

#[tokio::test]
async fn what_importance_cannot_use_is_refused() {
    let model = open(&fixture("llama"));
    let refused = async |change: &dyn Fn(&mut ImportanceRequest)| {
        let mut request = whole("llama");
        change(&mut request);
        model.importance(request).await.unwrap_err().to_string()
    };
    assert!(refused(&|request| request.fraction = 0.0).await.contains("`fraction` is 0"));
    assert!(refused(&|request| request.fraction = f64::NAN).await.contains("must lie above 0"));
    assert!(refused(&|request| request.examples.clear()).await.contains("at least one example"));
    assert!(
        refused(&|request| request.examples[0].response.clear()).await.contains("example 1 has no response")
    );
    let one = refused(&|request| {
        request.examples[0].response = "w3".into();
        request.drop_first_token = true;
    });
    assert!(one.await.contains("once the first is dropped"));
    assert!(
        refused(&|request| request.examples[0].response = "w1 ".repeat(300))
            .await
            .contains("needs 304 tokens")
    );
}
