//! Low-rank changes of matrices in force in llama.cpp, against files into whose weights the same changes were added.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "support/edits.rs"]
mod edits;
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::path::Path;
use std::sync::Arc;

use edits::{edit, patch};
use sonde_contract::{
    CaptureSpec, Change, Changes, Intervention, LowRank, Prompt, Rows, Sampling, Site, TraceRequest,
};
use sonde_engine::{Model, OpenOptions, Precision, treated};
use support::{
    capture, exact_wren, generate, greedy, open, quantised_wren, relative, shared, slots, text, tokens, user,
};

const QUESTION: &str = "How do I bake an apple pie?";

/// Every kind of matrix, one of them twice, in several blocks.
fn several(model: &Arc<dyn Model>) -> Vec<LowRank> {
    let change = |block: u32, name: &str, rank, size| {
        edit(model, &format!("blk.{block}.{name}.weight"), None, rank, size, block * 31 + rank)
    };
    vec![
        change(0, "attn_output", 1, 0.5),
        change(5, "ffn_down", 2, -0.3),
        change(2, "attn_q", 1, 0.2),
        change(2, "attn_k", 3, 0.2),
        change(3, "attn_v", 1, 0.4),
        change(0, "attn_output", 2, 0.3),
        change(1, "ffn_gate", 1, 0.2),
        change(4, "ffn_up", 1, 0.2),
    ]
}

fn exact(path: &Path) -> Arc<dyn Model> {
    let options =
        OpenOptions { context: Some(512), slots: Some(2), threads: Some(1), ..OpenOptions::default() };
    open(path, OpenOptions { precision: Precision::Exact, ..options })
}

/// Natural-log probabilities of every token after a prompt.
async fn next(model: &Arc<dyn Model>, prompt: Prompt) -> Vec<f32> {
    let sampling = Sampling { logprobs: Some(model.info().vocabulary), ..greedy(1) };
    let mut completion = generate(model, prompt, sampling).await.unwrap();
    let mut all = vec![f32::NEG_INFINITY; model.info().vocabulary as usize];
    for entry in &completion.logprobs.remove(0).top {
        all[entry.token as usize] = entry.logprob;
    }
    all
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

const SITES: [Site; 4] = [Site::Residual, Site::Attention, Site::Mlp, Site::FinalNorm];

/// f32 sums in another order, W·x + B·(A·x) here and (W + B·A)·x there: some hundred roundings.
const IN_ORDER: f64 = 2e-5;
/// ggml's GELU looks its value up in a table of f16 numbers, so that a last bit may become one of 11.
const BY_TABLE: f64 = 5e-4;

/// Every layer of every site, the same tokens in both.
async fn same_inside(what: &str, a: &Arc<dyn Model>, b: &Arc<dyn Model>, most: f64) {
    for site in SITES {
        let layers: Vec<u32> = site.layers(a.info().layers).collect();
        let ours = capture(a, tokens(a, 13, 2), site, &layers, Rows::All).await.unwrap();
        let theirs = capture(b, tokens(b, 13, 2), site, &layers, Rows::All).await.unwrap();
        assert_eq!(ours.tokens, theirs.tokens);
        for ((ours, theirs), layer) in ours.layers.iter().zip(&theirs.layers).zip(layers) {
            if theirs.iter().all(|number| *number == 0.0) {
                assert!(ours.iter().all(|number| *number == 0.0), "{what} {site:?} {layer}");
                continue;
            }
            let error = relative(ours, theirs);
            assert!(error < most, "{what} {site:?} {layer}: {error:e}");
        }
    }
}

#[tokio::test]
async fn changes_in_force_are_those_of_a_file_with_changed_weights() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.gguf");
    let edits = several(&model);
    patch(&shared("models/wren/wren-chat-f32.gguf").unwrap(), &changed, &edits);
    let changed = exact(&changed);
    let adapted = model.adapt(edits.into()).unwrap();

    same_inside("wren", &adapted, &changed, IN_ORDER).await;
    let plain = next(&model, user(QUESTION)).await;
    let (ours, theirs) = (next(&adapted, user(QUESTION)).await, next(&changed, user(QUESTION)).await);
    assert!(furthest(&ours, &theirs) < 1e-4, "{}", furthest(&ours, &theirs));
    assert!(furthest(&ours, &plain) > 0.1, "the changes do nothing");
    let reply = generate(&adapted, user(QUESTION), greedy(40)).await.unwrap();
    assert_eq!(reply.text, generate(&changed, user(QUESTION), greedy(40)).await.unwrap().text);
    // The handle it came from is as it was.
    let again = next(&model, user(QUESTION)).await;
    assert!(furthest(&again, &plain) < 1e-5, "{}", furthest(&again, &plain));
}

#[tokio::test]
async fn changes_of_matrices_and_states_go_together_in_any_order() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.gguf");
    let edits = several(&model);
    patch(&shared("models/wren/wren-chat-f32.gguf").unwrap(), &file, &edits);
    let width = model.info().width;
    let vector: Vec<f32> = (0..width).map(|place| ((place * 37) % 61) as f32 / 30.0 - 1.0).collect();
    let place = |layers: &[u32], site, change| Intervention { layers: layers.to_vec(), site, change };
    let states = vec![
        // One that llama.cpp adds by itself, and two at nodes of the graph that the adapter has moved.
        place(&[3], Site::Residual, Change::Add { vector: vector.clone(), coefficient: 0.5 }),
        place(&[0, 5], Site::Attention, Change::ProjectOut { direction: vector.clone(), coefficient: 1.0 }),
        place(&[1], Site::Mlp, Change::Add { vector, coefficient: -0.25 }),
    ];
    let expected = exact(&file).intervene(states.clone()).unwrap();
    let (first, second) = edits.split_at(3);
    let (first, second): (Arc<[LowRank]>, Arc<[LowRank]>) = (first.into(), second.into());
    let adapt = |model: &Arc<dyn Model>, edits: &Arc<[LowRank]>| model.adapt(Arc::clone(edits)).unwrap();
    let orders = [
        adapt(&adapt(&model, &first), &second).intervene(states.clone()).unwrap(),
        adapt(&adapt(&model, &second).intervene(states.clone()).unwrap(), &first),
        adapt(&adapt(&model.intervene(states.clone()).unwrap(), &first), &second),
        treated(&model, &Changes { edits, interventions: states }, 1.0).unwrap(),
    ];
    let theirs = next(&expected, user(QUESTION)).await;
    for (number, handle) in orders.iter().enumerate() {
        same_inside(&format!("order {number}"), handle, &expected, IN_ORDER).await;
        let ours = next(handle, user(QUESTION)).await;
        assert!(furthest(&ours, &theirs) < 1e-4, "order {number}: {}", furthest(&ours, &theirs));
        let spec = CaptureSpec { layers: vec![2], site: Site::Mlp, rows: Rows::Last };
        let request = TraceRequest { prompt: user(QUESTION), sampling: greedy(12), spec };
        let (ours, theirs) =
            (handle.trace(request.clone()).await.unwrap(), expected.trace(request).await.unwrap());
        assert_eq!(ours.completion.text, theirs.completion.text);
        assert!(relative(&ours.captured.layers[0], &theirs.captured.layers[0]) < 1e-5);
    }
}

#[tokio::test]
async fn strength_multiplies_and_strength_0_is_the_same_handle() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let edits = several(&model);
    let changes = Changes { edits: edits.clone(), interventions: Vec::new() };
    assert!(Arc::ptr_eq(&treated(&model, &changes, 0.0).unwrap(), &model));
    let half: Arc<[LowRank]> =
        edits.iter().map(|edit| LowRank { scale: edit.scale * 0.5, ..edit.clone() }).collect();
    let expected = next(&model.adapt(half).unwrap(), text(QUESTION)).await;
    let found = next(&treated(&model, &changes, 0.5).unwrap(), text(QUESTION)).await;
    assert!(furthest(&found, &expected) < 1e-5, "{}", furthest(&found, &expected));
}

#[tokio::test]
async fn quantised_matrices_are_not_touched() {
    let model = quantised_wren(OpenOptions { precision: Precision::Exact, ..slots(2) });
    let plain = next(&model, user(QUESTION)).await;
    // A change and its opposite: were they added to the stored weights, each would be rounded to their steps.
    let there = several(&model);
    let back: Vec<_> = there.iter().map(|edit| LowRank { scale: -edit.scale, ..edit.clone() }).collect();
    let both: Arc<[LowRank]> = there.iter().cloned().chain(back).collect();
    let nothing = next(&model.adapt(both).unwrap(), user(QUESTION)).await;
    assert!(furthest(&nothing, &plain) < 2e-3, "{}", furthest(&nothing, &plain));
    let changed = next(&model.adapt(there.into()).unwrap(), user(QUESTION)).await;
    assert!(furthest(&changed, &plain) > 0.1, "the changes do nothing");
}

#[tokio::test]
async fn every_kind_of_block_takes_changes_experts_too() {
    let Some(vocabulary) = shared("models/stories260K/stories260K.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    for architecture in tiny::architectures() {
        let path = folder.path().join(format!("{architecture}.gguf"));
        tiny::write(architecture, &vocabulary, &path);
        let model = exact(&path);
        let matrices = model.tensors().unwrap().into_iter().filter(|tensor| {
            let writes =
                ["attn_output.weight", "ffn_down.weight", "_exps.weight", "attn_qkv.weight", "shexp.weight"];
            let silent = format!("blk.{}.", tiny::NO_ATTENTION);
            tensor.shape.len() > 1
                && writes.iter().any(|end| tensor.name.ends_with(end))
                && !tensor.name.starts_with(&silent)
                && !tensor.name.starts_with(&format!("blk.{}.ffn_down", tiny::NO_MLP))
        });
        let mut edits = Vec::new();
        for (salt, tensor) in (0..).zip(matrices) {
            if tensor.shape.len() == 3 {
                // Not every expert, and not all of one rank.
                edits.extend(
                    [(1, 2), (3, 1), (1, 1)]
                        .map(|(expert, rank)| edit(&model, &tensor.name, Some(expert), rank, 0.5, salt)),
                );
            } else {
                edits.push(edit(&model, &tensor.name, None, 1, 0.3, salt));
            }
        }
        assert!(edits.len() >= 3, "{architecture}: {}", edits.len());
        let changed = folder.path().join("changed.gguf");
        patch(&path, &changed, &edits);
        let adapted = model.adapt(edits.into()).unwrap();
        let changed = exact(&changed);
        let gelu = ["gemma2", "gptneox", "gpt2"].contains(&architecture);
        let most = if gelu { BY_TABLE } else { IN_ORDER };
        same_inside(architecture, &adapted, &changed, most).await;
        let prompt = || Prompt::Tokens(vec![1, 300, 301, 17]);
        let (ours, theirs) = (next(&adapted, prompt()).await, next(&changed, prompt()).await);
        let apart = f64::from(furthest(&ours, &theirs));
        assert!(apart < 10.0 * most, "{architecture}: {apart}");
        println!("{architecture}: all matrices");
    }
}

#[tokio::test]
async fn changes_that_do_not_fit_are_refused_in_sentences() {
    let model = quantised_wren(slots(1));
    let refused = |change: LowRank| match model.adapt(Arc::new([change])) {
        Ok(_) => panic!("not refused"),
        Err(error) => error.to_string(),
    };
    let good = edit(&model, "blk.1.attn_output.weight", None, 1, 0.1, 1);
    let unknown = refused(LowRank { matrix: "blk.1.attn_outptu.weight".to_owned(), ..good.clone() });
    assert!(unknown.contains("did you mean \"blk.1.attn_output.weight\"?"), "{unknown}");
    let shape = refused(LowRank { a: good.a[1..].to_vec(), ..good.clone() });
    assert!(shape.contains("does not fit"), "{shape}");
    let norm = refused(LowRank { matrix: "blk.1.attn_norm.weight".to_owned(), ..good.clone() });
    assert!(norm.contains("only matrices can be changed"), "{norm}");
    let embedding = refused(edit(&model, "token_embd.weight", None, 1, 0.1, 1));
    assert!(
        embedding.starts_with("not supported: llama.cpp makes no change of \"token_embd.weight\""),
        "{embedding}"
    );
    let large =
        LowRank { scale: f32::MAX, b: good.b.iter().map(|number| number * 1e3).collect(), ..good.clone() };
    let handle = model.adapt(Arc::new([large])).unwrap();
    let large = generate(&handle, user(QUESTION), greedy(2)).await.unwrap_err().to_string();
    assert!(large.contains("too large for f32"), "{large}");
}

#[tokio::test]
async fn a_matrix_that_llama_cpp_would_leave_as_it_is_is_refused() {
    let Some(vocabulary) = shared("models/stories260K/stories260K.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpt2.gguf");
    tiny::write("gpt2", &vocabulary, &path);
    let model = exact(&path);
    let handle = model.adapt(Arc::new([edit(&model, "position_embd.weight", None, 1, 0.5, 1)])).unwrap();
    let prompt = || Prompt::Tokens(vec![1, 300, 301]);
    let said = generate(&handle, prompt(), greedy(2)).await.unwrap_err().to_string();
    let expected = "not supported: llama.cpp makes no change of \"position_embd.weight\" where it computes gpt2 (architecture \
                    gpt2); leave that matrix out, or open the model with `engine: candle`";
    assert_eq!(said, expected);
    let inside = capture(&handle, prompt(), Site::Residual, &[1], Rows::Last).await.unwrap_err().to_string();
    assert_eq!(inside, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_treatments_of_one_model_come_go_and_work_side_by_side() {
    let model = quantised_wren(slots(2));
    let plain = generate(&model, user(QUESTION), greedy(24)).await.unwrap();
    let tasks = (0..12).map(|salt| {
        let model = Arc::clone(&model);
        tokio::spawn(async move {
            let change =
                edit(&model, &format!("blk.{}.ffn_down.weight", salt % 6), None, 1 + salt % 3, 0.8, salt);
            let handle = model.adapt(Arc::new([change])).unwrap();
            let further =
                handle.adapt(Arc::new([edit(&model, "blk.0.attn_q.weight", None, 2, 0.1, salt)])).unwrap();
            drop(model);
            let (one, two) = tokio::join!(
                generate(&handle, user(QUESTION), greedy(24)),
                generate(&further, user(QUESTION), greedy(24))
            );
            drop(handle);
            let again = generate(&further, user(QUESTION), greedy(24)).await.unwrap();
            assert_eq!(again.text, two.unwrap().text);
            one.unwrap().text
        })
    });
    let mut different = 0;
    for task in tasks.collect::<Vec<_>>() {
        let (while_others, treated) = tokio::join!(generate(&model, user(QUESTION), greedy(24)), task);
        assert_eq!(while_others.unwrap().text, plain.text);
        different += usize::from(treated.unwrap() != plain.text);
    }
    assert!(different > 0);
}
