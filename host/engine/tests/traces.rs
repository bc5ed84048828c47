//! States on the way of a reply: the reply is the one without looking, and each state is the one a capture gives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::sync::Arc;

use sonde_contract::{
    CaptureSpec, Finish, Grammar, HostError, Prompt, Rows, Sampling, Site, TraceRequest, Traced,
};
use sonde_engine::{Model, OpenOptions};
use support::{capture, exact_wren, generate, greedy, quantised_wren, relative, slots, text, user};
use tokio::task::JoinSet;

async fn trace(
    model: &Arc<dyn Model>,
    prompt: Prompt,
    sampling: Sampling,
    site: Site,
    layers: &[u32],
) -> Result<Traced, HostError> {
    let spec = CaptureSpec { layers: layers.to_vec(), site, rows: Rows::Last };
    model.trace(TraceRequest { prompt, sampling, spec }).await
}

#[tokio::test]
async fn a_traced_reply_is_the_generated_one_and_its_states_are_those_of_a_capture() {
    let Some(model) = exact_wren(slots(2)) else { return };
    for (prompt, most) in [(user("What is the capital of France?"), 64), (text("One two three"), 9)] {
        for (site, layers) in [
            (Site::Residual, &[0, 4, 6][..]),
            (Site::Attention, &[5]),
            (Site::Mlp, &[2, 5]),
            (Site::FinalNorm, &[6]),
        ] {
            let expected = generate(&model, prompt.clone(), greedy(most)).await.unwrap();
            let Traced { completion, captured } =
                trace(&model, prompt.clone(), greedy(most), site, layers).await.unwrap();
            assert_eq!(completion, expected);
            assert_eq!(captured.tokens.len() as u32, completion.prompt_tokens);
            // A reply that ended by itself has the state that predicted its end, too.
            let ended = usize::from(completion.finish == Finish::Stop);
            assert_eq!(captured.rows as usize, completion.tokens.len() + ended);
            let width = captured.width as usize;
            for step in [0, 1, completion.tokens.len() / 2, captured.rows as usize - 1] {
                let read = [&captured.tokens, &completion.tokens[..step]].concat();
                let alone = capture(&model, Prompt::Tokens(read), site, layers, Rows::Last).await.unwrap();
                for (layer, rows) in captured.layers.iter().enumerate() {
                    let error = relative(&rows[step * width..][..width], &alone.layers[layer]);
                    assert!(error < 1e-5, "{site:?} {} step {step}: {error:e}", layers[layer]);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_side_by_side_are_those_made_alone() {
    let Some(model) = exact_wren(slots(4)) else { return };
    let Some(alone) = exact_wren(OpenOptions { reproducible: true, ..OpenOptions::default() }) else {
        return;
    };
    let asked = |number: u32| {
        let prompt = user(&format!("What is {number} + {}?", number * 3 % 7));
        (prompt, greedy(3 + number % 20), if number.is_multiple_of(2) { Site::Residual } else { Site::Mlp })
    };
    let mut set = JoinSet::new();
    for number in 0..24 {
        let model = Arc::clone(&model);
        set.spawn(async move {
            let (prompt, sampling, site) = asked(number);
            (number, trace(&model, prompt, sampling, site, &[1, 4]).await.unwrap())
        });
    }
    for (number, found) in set.join_all().await {
        let (prompt, sampling, site) = asked(number);
        let expected = trace(&alone, prompt, sampling, site, &[1, 4]).await.unwrap();
        assert_eq!(found.completion, expected.completion);
        for (found, expected) in found.captured.layers.iter().zip(&expected.captured.layers) {
            assert!(relative(found, expected) < 1e-5);
        }
    }
}

#[tokio::test]
async fn wrong_traces_are_refused_and_dropped_ones_free_their_slot() {
    let model = quantised_wren(slots(1));
    let spec = CaptureSpec { layers: vec![2], site: Site::Residual, rows: Rows::Mean };
    let request = TraceRequest { prompt: text("One"), sampling: greedy(4), spec };
    let rows = model.trace(request).await.unwrap_err();
    assert!(rows.to_string().ends_with("its rows must be `last`"), "{rows}");
    let layer = trace(&model, text("One"), greedy(4), Site::Attention, &[6]).await.unwrap_err();
    assert!(layer.to_string().contains("layers 0 to 5"), "{layer}");
    let none = trace(&model, text("One"), greedy(0), Site::Attention, &[5]).await.unwrap_err();
    assert!(none.to_string().contains("`max_tokens`"), "{none}");

    let endless =
        Sampling { grammar: Some(Grammar::Gbnf("root ::= ([a-z] \" \"){200}".into())), ..greedy(400) };
    let long = trace(&model, text("The"), endless, Site::Residual, &[2]);
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(20), long).await;
    let next = trace(&model, text("One two"), greedy(4), Site::Residual, &[2]).await.unwrap();
    assert!(given_up.is_err() && next.captured.rows >= 4);
}
