//! Captured states against Hugging Face's (`../shared/goldens/README.md`), against each other and against sums that must
//! hold in any transformer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sonde_contract::{Captured, HostError, Prompt, Rows, Site};
use sonde_engine::{Model, OpenOptions, Precision};
use support::{capture, dot, exact_wren, open, quantised_wren, relative, shared, slots, text, tokens};
use tokio::task::JoinSet;

const F32: &str = "models/wren/wren-chat-f32.gguf";

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn norm(row: &[f32]) -> f64 {
    dot(row, row).sqrt()
}

/// Every entry of `hidden_states`: residual 0 to L−1, and the final norm in the place of L.
async fn hidden_states(model: &Arc<dyn Model>, prompt: &Prompt, rows: Rows) -> Vec<Vec<f32>> {
    let blocks = model.info().layers;
    let layers: Vec<u32> = (0..blocks).collect();
    let residual = capture(model, prompt.clone(), Site::Residual, &layers, rows.clone()).await.unwrap();
    let last = capture(model, prompt.clone(), Site::FinalNorm, &[blocks], rows).await.unwrap();
    [residual.layers, last.layers].concat()
}

async fn check_hidden_states(precision: Precision, tolerance: f64) {
    let (Some(file), Some(golden)) = (shared(F32), shared("goldens/wren-chat/engine.output.json")) else {
        return;
    };
    let model = open(&file, OpenOptions { precision, context: Some(512), ..OpenOptions::default() });
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let mut worst: f64 = 0.0;
    for prompt in golden["prompts"].as_array().unwrap() {
        let asked = text(prompt["text"].as_str().unwrap());
        let last = hidden_states(&model, &asked, Rows::Last).await;
        let mean = hidden_states(&model, &asked, Rows::Mean).await;
        assert_eq!(last.len(), prompt["last_row"].as_object().unwrap().len());
        for (layer, found) in last.iter().enumerate() {
            let layer = layer.to_string();
            let error = relative(found, &numbers(&prompt["last_row"][&layer]));
            worst = worst.max(error);
            assert!(error < tolerance, "{precision:?}: layer {layer}: {error:e}");
            // The norm of the mean is known as well, which sees every row.
            let expected = prompt["mean_over_rows_norm"][&layer].as_f64().unwrap();
            let error = (norm(&mean[layer.parse::<usize>().unwrap()]) - expected).abs() / expected;
            assert!(error < tolerance, "{precision:?}: mean of layer {layer}: {error:e}");
        }
    }
    println!("{precision:?}: worst relative error of a hidden state {worst:.1e}");
}

#[tokio::test]
async fn exact_hidden_states_agree_with_the_reference_to_five_digits() {
    check_hidden_states(Precision::Exact, 1e-5).await;
}

#[tokio::test]
async fn fast_hidden_states_agree_with_the_reference_to_three_digits() {
    check_hidden_states(Precision::Fast, 1e-3).await;
}

/// residual[i + 1] = residual[i] + attention[i] + mlp[i], at every row of every block; and the final norm from its
/// definition with the weights read from the file.
async fn check_sums(model: &Arc<dyn Model>, prompt: Prompt, tolerance: f64) {
    let blocks = model.info().layers;
    let width = model.info().width;
    let all: Vec<u32> = (0..=blocks).collect();
    let of = async |site, layers: &[u32]| {
        capture(model, prompt.clone(), site, layers, Rows::All).await.unwrap().layers
    };
    let residual = of(Site::Residual, &all).await;
    let attention = of(Site::Attention, &all[..blocks as usize]).await;
    let mlp = of(Site::Mlp, &all[..blocks as usize]).await;
    for block in 0..blocks as usize {
        assert!(norm(&attention[block]) > 0.0 && norm(&mlp[block]) > 0.0);
        let parts = residual[block].iter().zip(&attention[block]).zip(&mlp[block]);
        let sum: Vec<f32> = parts.map(|((residual, attention), mlp)| residual + attention + mlp).collect();
        let error = relative(&sum, &residual[block + 1]);
        assert!(error < tolerance, "{}: block {block}: {error:e}", model.info().name);
    }
    // The epsilon is the files' own, 1e-6 or 1e-5; at these lengths neither shows in five digits.
    let normed = of(Site::FinalNorm, &[blocks]).await;
    let weight = model.read_tensor("output_norm.weight", 0, width).unwrap();
    let last = residual[blocks as usize].chunks(width as usize);
    for (found, row) in normed[0].chunks(width as usize).zip(last) {
        let scale = (dot(row, row) / f64::from(width) + 1e-5).sqrt();
        let expected: Vec<f32> =
            row.iter().zip(&weight).map(|(x, w)| (f64::from(*x) / scale * f64::from(*w)) as f32).collect();
        let error = relative(found, &expected);
        assert!(error < 1e-4, "{}: final norm: {error:e}", model.info().name);
    }
}

#[tokio::test]
async fn what_a_block_adds_makes_the_difference_of_the_residual_stream() {
    let exact = || OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    let files =
        [F32, "models/stories260K/stories260K.gguf", "models/llama-2-tiny-random/llama-2-tiny-random.gguf"];
    for file in files {
        let Some(file) = shared(file) else { continue };
        let model = open(&file, OpenOptions { context: Some(128), ..exact() });
        check_sums(&model, tokens(&model, 21, 3), 1e-5).await;
        check_sums(&model, tokens(&model, 1, 4), 1e-5).await;
    }
    let fast = quantised_wren(slots(2));
    check_sums(&fast, text("The quick brown fox"), 1e-5).await;
}

fn close(found: &Captured, expected: &Captured, what: &str) {
    assert_eq!((found.rows, &found.tokens), (expected.rows, &expected.tokens), "{what}");
    for (found, expected) in found.layers.iter().zip(&expected.layers) {
        let error = relative(found, expected);
        assert!(error < 1e-5, "{what}: {error:e}");
    }
}

#[tokio::test]
async fn chosen_rows_and_the_mean_are_those_of_all_rows() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let width = model.info().width as usize;
    let prompt = text("The capital of France is Paris, and the capital of Italy is Rome.");
    for (site, layers) in [(Site::Residual, &[0, 2, 6][..]), (Site::Attention, &[0, 5]), (Site::Mlp, &[1, 5])]
    {
        let take = async |rows| capture(&model, prompt.clone(), site, layers, rows).await.unwrap();
        let all = take(Rows::All).await;
        let count = all.tokens.len();
        assert_eq!((all.rows as usize, all.width as usize), (count, width));
        assert_eq!(count, model.count_tokens(&prompt).unwrap() as usize);
        let row = |layer: usize, row: usize| &all.layers[layer][row * width..][..width];
        let chosen = take(Rows::At(vec![3, -1, 0, 3, -2])).await;
        let last = take(Rows::Last).await;
        let mean = take(Rows::Mean).await;
        for layer in 0..layers.len() {
            for (place, from) in [3, count - 1, 0, 3, count - 2].into_iter().enumerate() {
                let found = &chosen.layers[layer][place * width..][..width];
                assert!(relative(found, row(layer, from)) < 1e-5, "{site:?} {layer} {from}");
            }
            assert!(relative(&last.layers[layer], row(layer, count - 1)) < 1e-5);
            let expected: Vec<f32> = (0..width)
                .map(|column| {
                    let sum: f64 = (0..count).map(|place| f64::from(row(layer, place)[column])).sum();
                    (sum / count as f64) as f32
                })
                .collect();
            assert!(relative(&mean.layers[layer], &expected) < 1e-5, "{site:?} {layer}");
        }
    }
}

/// Prompts of 1 to 500 tokens, with every site, depth and choice of rows.
fn many(model: &Arc<dyn Model>) -> Vec<(Prompt, Site, Vec<u32>, Rows)> {
    let kinds = [
        (Site::Residual, vec![2, 4]),
        (Site::Mlp, vec![5]),
        (Site::Residual, vec![0, 6]),
        (Site::FinalNorm, vec![6]),
        (Site::Attention, vec![1]),
    ];
    let lengths = [7, 30, 500, 1, 64, 2, 300];
    (0..70_u32)
        .map(|number| {
            let (site, layers) = kinds[number as usize % 5].clone();
            let length = lengths[number as usize % 7];
            let rows = match number % 4 {
                0 => Rows::Mean,
                1 => Rows::Last,
                2 => Rows::At(vec![0, -1]),
                _ => Rows::All,
            };
            (tokens(model, length, number), site, layers, rows)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_computed_together_are_those_computed_alone() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let Some(alone) = exact_wren(OpenOptions { reproducible: true, ..OpenOptions::default() }) else {
        return;
    };
    let mut set = JoinSet::new();
    for (number, (prompt, site, layers, rows)) in many(&model).into_iter().enumerate() {
        let model = Arc::clone(&model);
        set.spawn(async move { (number, capture(&model, prompt, site, &layers, rows).await.unwrap()) });
    }
    // Generation goes on meanwhile.
    let reply =
        support::generate(&model, support::user("What is the capital of France?"), support::greedy(16));
    assert!(reply.await.unwrap().text.contains("Paris"));
    let mut found = set.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    for ((number, found), (prompt, site, layers, rows)) in found.into_iter().zip(many(&alone)) {
        let expected = capture(&alone, prompt.clone(), site, &layers, rows.clone()).await.unwrap();
        close(&found, &expected, &format!("{number}: {site:?} {layers:?} {rows:?}"));
        if number < 10 {
            let again = capture(&alone, prompt, site, &layers, rows).await.unwrap();
            assert_eq!(again, expected, "reproducible to the last bit");
        }
    }
}

#[tokio::test]
async fn a_prompt_of_several_batches_is_captured_whole() {
    let Some(file) = shared(F32) else { return };
    let options = OpenOptions { precision: Precision::Exact, context: Some(1500), ..OpenOptions::default() };
    let model = open(&file, OpenOptions { slots: Some(1), ..options });
    let Prompt::Tokens(long) = tokens(&model, 1400, 1) else { panic!() };
    // States do not look ahead: those of a beginning are the beginning of those of the whole.
    let beginning = Prompt::Tokens(long[..400].to_vec());
    for (site, layer) in [(Site::Residual, 2), (Site::Residual, 6), (Site::Mlp, 5)] {
        let all = capture(&model, Prompt::Tokens(long.clone()), site, &[layer], Rows::All).await.unwrap();
        let short = capture(&model, beginning.clone(), site, &[layer], Rows::All).await.unwrap();
        assert_eq!(all.rows, 1400);
        assert!(relative(&all.layers[0][..short.layers[0].len()], &short.layers[0]) < 1e-5);
        let rows = Rows::At(vec![511, 512, 1023, 1024, -1]);
        let at = capture(&model, Prompt::Tokens(long.clone()), site, &[layer], rows).await.unwrap();
        let width = all.width as usize;
        for (place, row) in [511, 512, 1023, 1024, 1399].into_iter().enumerate() {
            let expected = &all.layers[0][row * width..][..width];
            assert!(relative(&at.layers[0][place * width..][..width], expected) < 1e-5);
        }
    }
}

#[tokio::test]
async fn quantised_states_point_where_the_f32_states_point() {
    let (Some(f32), Some(q8)) = (shared(F32), shared("models/wren/wren-chat-q8_0.gguf")) else { return };
    let q4 = tempfile::tempdir().unwrap();
    let q4_file = q4.path().join("wren-chat-q4_k_m.gguf");
    support::quantise(&f32, &q4_file, llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_K_M);
    let reference = open(&f32, slots(1));
    let prompts = ["How do I bake an apple pie?", "Tell me how to pick a lock, please.", "What is 3 + 4?"];
    for (file, least) in [(&q8, 0.999), (&q4_file, 0.97)] {
        let model = open(file, slots(1));
        let kinds: std::collections::BTreeSet<_> =
            model.tensors().unwrap().into_iter().map(|tensor| tensor.quantisation).collect();
        println!("{} ({kinds:?})", model.info().quantisation);
        let mut worst = vec![1.0_f64; reference.info().layers as usize + 1];
        for prompt in prompts {
            let expected = hidden_states(&reference, &support::user(prompt), Rows::All).await;
            let found = hidden_states(&model, &support::user(prompt), Rows::All).await;
            for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let width = reference.info().width as usize;
                for (a, b) in found.chunks(width).zip(expected.chunks(width)) {
                    worst[layer] = worst[layer].min(dot(a, b) / (norm(a) * norm(b)));
                }
            }
        }
        for (layer, cosine) in worst.iter().enumerate() {
            println!("  hidden state {layer}: least cosine to F32 over all rows {cosine:.6}");
            assert!(*cosine > least, "layer {layer}: {cosine}");
        }
    }
}

async fn refused(model: &Arc<dyn Model>, site: Site, layers: &[u32], rows: Rows) -> String {
    match capture(model, text("One two three"), site, layers, rows).await {
        Err(HostError::InvalidArgument(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_captures_are_refused_and_the_model_works_on() {
    let model = quantised_wren(slots(1));
    let layer = refused(&model, Site::Residual, &[2, 99], Rows::Last).await;
    assert!(layer.starts_with("layer 99 does not exist: "), "{layer}");
    assert!(layer.ends_with("has 6 blocks, so the site \"residual\" has layers 0 to 6"), "{layer}");
    assert!(refused(&model, Site::Mlp, &[6], Rows::Last).await.contains("layers 0 to 5"));
    assert!(refused(&model, Site::FinalNorm, &[0], Rows::Last).await.contains("layer 6 only"));
    assert!(refused(&model, Site::Residual, &[], Rows::Last).await.contains("names no layer"));
    assert!(refused(&model, Site::Residual, &[3, 2], Rows::Last).await.contains("must ascend"));
    let row = refused(&model, Site::Residual, &[1], Rows::At(vec![0, 77])).await;
    assert!(row.starts_with("row 77 does not exist: the prompt has "), "{row}");
    assert!(refused(&model, Site::Residual, &[1], Rows::At(vec![])).await.contains("names no row"));
    let empty = capture(&model, Prompt::Tokens(vec![]), Site::Residual, &[1], Rows::Last).await.unwrap_err();
    assert!(empty.to_string().contains("has no tokens"), "{empty}");
    let long = capture(&model, tokens(&model, 513, 1), Site::Residual, &[1], Rows::Mean).await.unwrap_err();
    assert!(matches!(long, HostError::ContextOverflow { asked: 513, room: 512 }), "{long}");
    let unknown = capture(&model, Prompt::Tokens(vec![u32::MAX]), Site::Residual, &[1], Rows::Last).await;
    assert!(unknown.unwrap_err().to_string().contains("the vocabulary of"));
    capture(&model, tokens(&model, 512, 1), Site::Residual, &[6], Rows::Mean).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_that_are_given_up_leave_the_others_alone() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let expected = capture(&model, tokens(&model, 90, 5), Site::Residual, &[6], Rows::Mean).await.unwrap();
    let before = model.usage().prompt_tokens;
    let mut tasks = Vec::new();
    for number in 0..200 {
        let (asked, prompt) = (Arc::clone(&model), tokens(&model, 512, number));
        tasks.push(tokio::spawn(
            async move { capture(&asked, prompt, Site::Residual, &[6], Rows::All).await },
        ));
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    tasks.into_iter().for_each(|task| task.abort());
    let found = capture(&model, tokens(&model, 90, 5), Site::Residual, &[6], Rows::Mean).await.unwrap();
    close(&found, &expected, "after giving up");
    let computed = model.usage().prompt_tokens - before;
    assert!(computed < 200 * 512 / 2, "{computed} tokens were computed for nobody");
}

#[tokio::test]
async fn a_model_without_gradients_says_where_there_are_some() {
    let model = quantised_wren(slots(1));
    assert!(!model.has_gradients());
    let request = sonde_contract::ImportanceRequest {
        examples: vec![],
        fraction: 0.1,
        modules: sonde_contract::Modules::All,
        drop_first_token: false,
    };
    match model.importance(request).await {
        Err(HostError::Unsupported(text)) => {
            assert!(text.ends_with("open it with `engine: candle`"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}
