//! Changes in force: what they do to the state they are made at, and to nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::sync::Arc;

use sonde_contract::{CaptureSpec, Change, Intervention, Prompt, Rows, ScoreRequest, Site, TraceRequest};
use sonde_engine::{Model, OpenOptions, Precision};
use support::{
    capture, dot, exact_wren, generate, greedy, open, quantised_wren, relative, shared, slots, text, user,
};

/// A direction that is no axis, of about this length.
fn direction(model: &Arc<dyn Model>, length: f32, salt: u32) -> Vec<f32> {
    let width = model.info().width;
    let raw: Vec<f32> =
        (0..width).map(|place| ((place * 37 + salt * 101) % 61) as f32 / 30.0 - 1.0).collect();
    let norm = dot(&raw, &raw).sqrt() as f32;
    raw.iter().map(|number| number / norm * length).collect()
}

fn add(site: Site, layers: &[u32], vector: &[f32], coefficient: f32) -> Intervention {
    let change = Change::Add { vector: vector.to_vec(), coefficient };
    Intervention { layers: layers.to_vec(), site, change }
}

fn project_out(site: Site, layers: &[u32], direction: &[f32], coefficient: f32) -> Intervention {
    let change = Change::ProjectOut { direction: direction.to_vec(), coefficient };
    Intervention { layers: layers.to_vec(), site, change }
}

async fn all(model: &Arc<dyn Model>, site: Site, layer: u32) -> Vec<f32> {
    let prompt = text("The capital of France is Paris, and that of Italy is Rome.");
    capture(model, prompt, site, &[layer], Rows::All).await.unwrap().layers.remove(0)
}

fn plus(rows: &[f32], vector: &[f32], factor: f32) -> Vec<f32> {
    rows.chunks(vector.len()).flat_map(|row| row.iter().zip(vector).map(|(x, v)| x + factor * v)).collect()
}

/// Sites with a layer, and the layer of the residual stream that comes right after.
const PLACES: [(Site, u32, u32); 8] = [
    (Site::Residual, 0, 0),
    (Site::Residual, 1, 1),
    (Site::Residual, 3, 3),
    (Site::Residual, 6, 6),
    (Site::Attention, 2, 3),
    (Site::Attention, 5, 6),
    (Site::Mlp, 0, 1),
    (Site::Mlp, 5, 6),
];

#[tokio::test]
async fn a_state_is_changed_as_asked_and_what_lies_before_it_is_not() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let vector = direction(&model, 2.0, 1);
    let unit = direction(&model, 1.0, 1);
    for (site, layer, after) in PLACES {
        let before = all(&model, site, layer).await;
        let added = model.intervene(vec![add(site, &[layer], &vector, 1.5)]).unwrap();
        assert!(
            relative(&all(&added, site, layer).await, &plus(&before, &vector, 1.5)) < 1e-5,
            "{site:?} {layer}"
        );

        let without = model.intervene(vec![project_out(site, &[layer], &vector, 1.0)]).unwrap();
        let found = all(&without, site, layer).await;
        for (found, before) in found.chunks(unit.len()).zip(before.chunks(unit.len())) {
            let size = dot(before, before).sqrt();
            assert!(dot(found, &unit).abs() < 1e-5 * size, "{site:?} {layer}: {}", dot(found, &unit));
            // The rest of the state is as it was.
            let rest = plus(before, &unit, -dot(before, &unit) as f32);
            assert!(relative(found, &rest) < 1e-5, "{site:?} {layer}");
        }
        if after > 0 {
            let untouched = after - 1;
            let expected = all(&model, Site::Residual, untouched).await;
            assert!(relative(&all(&added, Site::Residual, untouched).await, &expected) < 1e-6);
        }
        // What a block adds reaches the stream: a change of the last block's shows in full, in the others the MLP answers.
        if (site, layer) == (Site::Mlp, 5) {
            let stream = plus(&all(&model, Site::Residual, 6).await, &vector, 1.5);
            assert!(relative(&all(&added, Site::Residual, 6).await, &stream) < 1e-5);
        }
        if layer < 6 {
            let far =
                relative(&all(&added, Site::FinalNorm, 6).await, &all(&model, Site::FinalNorm, 6).await);
            assert!(far > 1e-2, "{site:?} {layer}: nothing downstream has changed");
        }
    }
}

/// Everything a handle says of some prompts: hidden states, replies, scores.
async fn behaviour(model: &Arc<dyn Model>) -> (Vec<Vec<f32>>, Vec<Vec<u32>>, Vec<f32>) {
    let layers: Vec<u32> = (0..=6).collect();
    let mut states = Vec::new();
    let mut replies = Vec::new();
    for question in ["What is the capital of France?", "How do I bake an apple pie?"] {
        let rows = capture(model, user(question), Site::Residual, &layers, Rows::All).await.unwrap();
        states.extend(rows.layers);
        replies.push(generate(model, user(question), greedy(24)).await.unwrap().tokens);
    }
    let request = ScoreRequest {
        prompt: text("The capital of France is"),
        continuations: vec![" Paris".into(), " Rome, of course".into()],
    };
    let scores = model.score(request).await.unwrap();
    (states, replies, scores.into_iter().flat_map(|score| score.token_logprobs).collect())
}

async fn behave_alike(a: &Arc<dyn Model>, b: &Arc<dyn Model>, what: &str) {
    let ((states, replies, scores), expected) = (behaviour(a).await, behaviour(b).await);
    for (found, expected) in states.iter().zip(&expected.0) {
        assert!(relative(found, expected) < 1e-5, "{what}: {:e}", relative(found, expected));
    }
    assert_eq!(replies, expected.1, "{what}");
    for (found, expected) in scores.iter().zip(&expected.2) {
        assert!((found - expected).abs() < 1e-3, "{what}: {found} {expected}");
    }
}

#[tokio::test]
async fn changes_that_cancel_out_change_nothing_and_the_first_handle_stays_as_it_was() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let vector = direction(&model, 3.0, 2);
    let untouched = behaviour(&model).await;
    let layers: Vec<u32> = (0..=6).collect();
    let nothing = model.intervene(vec![project_out(Site::Residual, &layers, &vector, 0.0)]).unwrap();
    behave_alike(&nothing, &model, "projection with factor 0").await;
    let there = model.intervene(vec![add(Site::Residual, &[0, 2, 3], &vector, 1.0)]).unwrap();
    let and_back = there.intervene(vec![add(Site::Residual, &[0, 2, 3], &vector, -1.0)]).unwrap();
    behave_alike(&and_back, &model, "there and back").await;
    let zero = model.intervene(vec![]).unwrap();
    behave_alike(&zero, &model, "no change").await;
    assert_ne!(behaviour(&there).await.1, untouched.1, "a large vector changes the replies");
    assert_eq!(behaviour(&model).await.1, untouched.1);
    // And a handle outlives the one it came from.
    let layer = all(&there, Site::Residual, 4).await;
    drop((model, and_back, nothing, zero));
    assert_eq!(all(&there, Site::Residual, 4).await, layer);
}

#[tokio::test]
async fn a_control_vector_adds_what_the_callback_adds() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let (one, two) = (direction(&model, 2.0, 3), direction(&model, 1.0, 4));
    let changes = vec![add(Site::Residual, &[2, 3, 5], &one, 0.7), add(Site::Residual, &[3, 6], &two, -1.2)];
    let by_control_vector = model.intervene(changes.clone()).unwrap();
    // A layer at which something is projected out is left to the callback; factor 0 takes nothing out.
    let hold = project_out(Site::Residual, &[2, 3, 4, 5, 6], &one, 0.0);
    let by_callback = model.intervene([changes, vec![hold]].concat()).unwrap();
    behave_alike(&by_control_vector, &by_callback, "control vector").await;
    let expected = plus(&all(&model, Site::Residual, 2).await, &one, 0.7);
    assert!(relative(&all(&by_control_vector, Site::Residual, 2).await, &expected) < 1e-5);
}

#[tokio::test]
async fn changes_apply_in_their_order_and_add_up_over_handles() {
    let Some(model) = exact_wren(slots(1)) else { return };
    let (one, two) = (direction(&model, 2.0, 5), direction(&model, 1.0, 6));
    let added = add(Site::Residual, &[3], &one, 1.0);
    let taken = project_out(Site::Residual, &[3], &two, 1.0);
    let both = model.intervene(vec![added.clone(), taken.clone()]).unwrap();
    let after_each_other =
        model.intervene(vec![added.clone()]).unwrap().intervene(vec![taken.clone()]).unwrap();
    let swapped = model.intervene(vec![taken, added]).unwrap();
    let before = all(&model, Site::Residual, 3).await;
    let expected: Vec<f32> = plus(&before, &one, 1.0)
        .chunks(two.len())
        .flat_map(|row| plus(row, &two, -dot(row, &two) as f32))
        .collect();
    for handle in [&both, &after_each_other] {
        assert!(relative(&all(handle, Site::Residual, 3).await, &expected) < 1e-5);
    }
    assert!(relative(&all(&swapped, Site::Residual, 3).await, &expected) > 1e-3);
}

#[tokio::test]
async fn the_callback_changes_every_token_that_is_generated() {
    let Some(model) = exact_wren(slots(2)) else { return };
    let vector = direction(&model, 1.5, 7);
    let unit = direction(&model, 1.0, 7);
    let handle =
        model.intervene(vec![project_out(Site::Residual, &[1, 2, 3, 4, 5, 6], &vector, 1.0)]).unwrap();
    let spec = CaptureSpec { layers: vec![1, 4, 6], site: Site::Residual, rows: Rows::Last };
    let request = TraceRequest { prompt: user("How do I bake an apple pie?"), sampling: greedy(20), spec };
    let traced = handle.trace(request).await.unwrap();
    let reply = generate(&handle, user("How do I bake an apple pie?"), greedy(20)).await.unwrap();
    assert_eq!(traced.completion, reply);
    for rows in &traced.captured.layers {
        for row in rows.chunks(unit.len()) {
            assert!(dot(row, &unit).abs() < 1e-5 * dot(row, row).sqrt());
        }
    }
    // The same reply, one token at a time from captures under the same changes.
    let read = [traced.captured.tokens.clone(), reply.tokens[..5].to_vec()].concat();
    let alone = capture(&handle, Prompt::Tokens(read), Site::Residual, &[4], Rows::Last).await.unwrap();
    assert!(relative(&traced.captured.layers[1][5 * unit.len()..][..unit.len()], &alone.layers[0]) < 1e-5);
}

#[tokio::test]
async fn other_architectures_and_quantised_files_are_changed_too() {
    let stories = shared("models/stories260K/stories260K.gguf");
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    let mut models = vec![quantised_wren(slots(1))];
    models.extend(stories.map(|file| open(&file, options)));
    for model in models {
        let vector = direction(&model, 1.0, 8);
        for (site, layer) in [(Site::Residual, 2), (Site::Residual, 0), (Site::Attention, 1), (Site::Mlp, 4)]
        {
            let take = async |model: &Arc<dyn Model>| {
                let rows = capture(model, support::tokens(model, 12, 1), site, &[layer], Rows::All).await;
                rows.unwrap().layers.remove(0)
            };
            let handle = model.intervene(vec![add(site, &[layer], &vector, 1.0)]).unwrap();
            let expected = plus(&take(&model).await, &vector, 1.0);
            assert!(relative(&take(&handle).await, &expected) < 1e-5, "{} {site:?}", model.info().name);
        }
    }
}

#[tokio::test]
async fn wrong_changes_are_refused() {
    let model = quantised_wren(slots(1));
    let vector = direction(&model, 1.0, 9);
    let refused = |change| match model.intervene(vec![change]) {
        Ok(_) => panic!("not refused"),
        Err(error) => error.to_string(),
    };
    assert!(refused(add(Site::Residual, &[99], &vector, 1.0)).starts_with("layer 99 does not exist"));
    assert!(refused(add(Site::Residual, &[], &vector, 1.0)).contains("names no layer"));
    assert!(
        refused(add(Site::Residual, &[1], &vector[1..], 1.0)).contains("numbers, and the residual stream of")
    );
    assert!(refused(add(Site::Residual, &[1], &vector, f32::NAN)).contains("not a finite number"));
    assert!(
        refused(add(Site::Residual, &[1], &vec![f32::MAX; vector.len()], 2.0)).contains("too large for f32")
    );
    let nothing = vec![0.0; vector.len()];
    assert!(refused(project_out(Site::Mlp, &[1], &nothing, 1.0)).contains("must point somewhere"));
}
