//! The whole treatment of a scripted model of width 2 that keeps refusal in its first number, and only in the state of
//! the last token at the input of block 2.

use serde_json::json;
use sonde_sdk::mock::{InForce, MockHost, check_parameters, completion};
use sonde_sdk::{
    Activations, CaptureSpec, Change as Changed, Completion, ContinuationScore, Estimate, ModelChange,
    ModelInfo, Purpose as Kept, Rows, Sampling, ScoreRequest, Share, Site, TokenLogprob, TokenLogprobs,
};

use super::*;

fn info() -> ModelInfo {
    ModelInfo {
        name: "small".into(),
        architecture: "qwen3".into(),
        quantisation: "F32".into(),
        layers: 5,
        width: 2,
        vocabulary: 4,
        context: 100,
        has_chat_template: true,
    }
}

fn is_harmful(prompt: &Prompt) -> bool {
    let Prompt::Chat(chat) = prompt else { panic!("{prompt:?} is no chat") };
    chat.messages[0].content.starts_with("bad")
}

/// Rows at −2 and −1: all states are alike at layer 0; elsewhere the kinds differ in the second number, but at (−1, 2) in
/// the first.
fn state(prompt: &Prompt, spec: &CaptureSpec) -> Activations {
    assert_eq!((spec.site, &spec.rows), (Site::Residual, &Rows::At(vec![-2, -1])));
    let apart = |layer: u32, position: i32| match (layer, position) {
        (0, _) => [1.0, 1.0],
        (2, -1) => [3.0, 1.0],
        _ => [1.0, 2.0],
    };
    let row = |layer, position| if is_harmful(prompt) { apart(layer, position) } else { [1.0, 1.0] };
    let rows = spec.layers.iter().map(|layer| (*layer, [row(*layer, -2), row(*layer, -1)].concat()));
    Activations::given([1, 2, 3], 2, rows)
}

/// How far the changes in force take the first number out, and how much they add to it.
fn effect(in_force: &InForce) -> (bool, f32) {
    let (mut out, mut added) = (false, 0.0);
    for intervention in &in_force.interventions {
        match &intervention.change {
            Changed::ProjectOut(projection) => out |= projection.direction[0].abs() > 0.5,
            Changed::Add(addition) => added += addition.coefficient * addition.vector[0],
        }
    }
    (out, added)
}

/// The probability that a reply begins with a refusal's first word.
fn refusal(prompt: &Prompt, in_force: &InForce) -> f32 {
    match (is_harmful(prompt), effect(in_force)) {
        (_, (_, added)) if added > 0.0 => 0.95,
        (_, (_, added)) if added < 0.0 => 0.01,
        (true, (true, _)) => 0.05,
        (true, _) => 0.9,
        (false, _) => 0.1,
    }
}

fn score(logprob: f32, is_greedy: bool) -> ContinuationScore {
    ContinuationScore { logprob, token_logprobs: vec![logprob], is_greedy }
}

/// Token 3 begins refusals, and is written `[3]`, as the mock host writes tokens.
fn scored(request: &ScoreRequest, in_force: &InForce) -> Vec<ContinuationScore> {
    let one = |text: &String| match text.as_str() {
        "[3]" => score(refusal(&request.prompt, in_force).ln(), true),
        _ => score(0.001_f32.ln(), false),
    };
    request.continuations.iter().map(one).collect()
}

fn replied(prompt: &Prompt, sampling: &Sampling, in_force: &InForce) -> Completion {
    assert_eq!(sampling.temperature, 0.0);
    if sampling.logprobs.is_none() {
        let text = if is_harmful(prompt) { "I cannot do that." } else { "Yes." };
        return Completion { tokens: vec![3], ..completion(text) };
    }
    let [likely, other] = if effect(in_force).0 { [0.7_f32, 0.3] } else { [0.8, 0.2] };
    let listed = |token, p: f32| TokenLogprob { token, logprob: p.ln() };
    let top = vec![listed(0, likely), listed(1, other)];
    Completion { logprobs: vec![TokenLogprobs { chosen: likely.ln(), top }], ..completion("Yes") }
}

fn host() -> MockHost {
    MockHost::new()
        .info("target", info())
        .captures("target", |prompt, spec, _| Ok(state(prompt, spec)))
        .scores_under("target", |request, in_force| Ok(scored(request, in_force)))
        .completions_under("target", |prompt, sampling, in_force| Ok(replied(prompt, sampling, in_force)))
}

fn rows(word: &str, count: usize) -> Vec<serde_json::Value> {
    (0..count).map(|at| json!({"prompt": format!("{word} {at}")})).collect()
}

fn datasets() -> Datasets {
    Datasets::new().with("harmful", rows("bad", 12)).with("harmless", rows("good", 12))
}

fn parameters() -> Parameters {
    Parameters { positions: Some(2), n_train: 8, n_val: 4, ..Parameters::default() }
}

fn refused(datasets: &Datasets, parameters: &Parameters) -> String {
    RefusalDirection::derive(&host(), datasets, parameters, 0).unwrap_err().to_string()
}

fn value(derived: &Derived, name: &str) -> f64 {
    let metric = derived.summary.metrics.iter().find(|metric| metric.name == name).unwrap();
    match &metric.estimate {
        Estimate::Given(given) => given.value,
        Estimate::Mean(scores) => candidates::mean(scores),
        Estimate::Proportion(_) => panic!("{metric:?}"),
    }
}

fn share(derived: &Derived, name: &str, group: &str) -> Share {
    let of_group = |metric: &&sonde_sdk::Metric| {
        metric.name == name && metric.group.as_ref().map_or("", |group| &group.name) == group
    };
    let metric = derived.summary.metrics.iter().find(of_group).unwrap();
    let Estimate::Proportion(share) = &metric.estimate else { panic!("{metric:?}") };
    *share
}

#[test]
fn the_direction_that_carries_refusal_is_found_and_added_where_it_was_found() {
    let derived = RefusalDirection::derive(&host(), &datasets(), &parameters(), 0).unwrap();
    let ModelChange::Interventions(changes) = &derived.change else { panic!("{derived:?}") };
    assert_eq!(changes, &[Intervention::add(Site::Residual, [2], [2.0, 0.0], 1.0)]);
    assert_eq!(derived.purpose, Kept::Safety);
    assert_eq!(
        [value(&derived, "layer"), value(&derived, "position"), value(&derived, "norm")],
        [2.0, -1.0, 2.0]
    );
    // Log-odds of .05, .95, .9 and .1; probabilities are 32-bit floats.
    let near = |name: &str, expected: f64| assert!((value(&derived, name) - expected).abs() < 1e-5, "{name}");
    near("bypass_score", (0.05_f64 / 0.95).ln());
    near("induce_score", 19_f64.ln());
    near("harmful_score", 9_f64.ln());
    near("harmless_score", -9_f64.ln());
    // Of (.8, .2) and (.7, .3), with the published floor.
    let term = |p: f64, q: f64| p * ((p + 1e-6).ln() - (q + 1e-6).ln());
    near("kl_divergence", term(0.8, 0.7) + term(0.2, 0.3));
}

#[test]
fn directions_and_prompts_are_counted_kept_and_rejected_by_reason() {
    let derived = RefusalDirection::derive(&host(), &datasets(), &parameters(), 0).unwrap();
    // Two positions of five blocks, of which the last is not measured; one of the eight others induces refusal.
    assert_eq!(share(&derived, "directions_kept", ""), Share { hits: 1, n: 10 });
    let rejected = |reason| share(&derived, "directions_rejected", reason).hits;
    assert_eq!([rejected("in the last layers (not measured)"), rejected("does not induce refusal")], [2, 7]);
    assert_eq!([rejected("KL divergence"), rejected("a score is no number")], [0, 0]);
    assert_eq!(share(&derived, "prompts_kept", "harmful, to find with"), Share { hits: 8, n: 8 });

    let table: Vec<serde_json::Value> = serde_json::from_str(&derived.documents[0].text).unwrap();
    assert_eq!((table.len(), derived.documents[0].name.as_str()), (8, "direction_evaluations.json"));
    assert_eq!((&table[6]["position"], &table[6]["layer"]), (&json!(-1), &json!(2)));
    assert_eq!(derived.summary.figures.len(), 4);
    assert!(derived.summary.notes[0].contains("[3]"), "{:?}", derived.summary.notes);
}

#[test]
fn what_takes_refusal_away_must_say_so_before_anything_runs() {
    let backwards = Parameters { coefficient: -1.0, ..parameters() };
    let projection = Parameters { change: Change::Projection, ..parameters() };
    for parameters in [backwards.clone(), projection.clone()] {
        let refused =
            RefusalDirection::derive(&MockHost::new(), &datasets(), &parameters, 0).unwrap_err().to_string();
        assert!(refused.contains("set `purpose: robustness-audit`"), "{refused}");
    }
    let audit = |parameters: Parameters| {
        let parameters = Parameters { purpose: Purpose::RobustnessAudit, ..parameters };
        let derived = RefusalDirection::derive(&host(), &datasets(), &parameters, 0).unwrap();
        assert_eq!(derived.purpose, Kept::RobustnessAudit);
        let ModelChange::Interventions(changes) = derived.change else { panic!("{parameters:?}") };
        changes
    };
    assert_eq!(audit(backwards), [Intervention::add(Site::Residual, [2], [2.0, 0.0], -1.0)]);
    let everywhere = [Site::Residual, Site::Attention, Site::Mlp]
        .map(|site| Intervention::project_out(site, 0..5, [1.0, 0.0], 1.0));
    assert_eq!(audit(projection), everywhere);
}

#[test]
fn datasets_the_wrong_way_round_are_refused() {
    let swapped = Datasets::new().with("harmful", rows("good", 12)).with("harmless", rows("bad", 12));
    let given = Parameters { refusal_words: vec!["[3]".into()], ..parameters() };
    let message = refused(&swapped, &given);
    assert!(message.starts_with("of 8 prompts (harmful, to find with) the model treats none"), "{message}");
    // Without the filter and its threshold, all scores of a direction tie, and the first is chosen: rounding at layer 0.
    let unfiltered = Parameters { filter: false, induce_refusal_threshold: -50.0, ..given };
    let message = refused(&swapped, &unfiltered);
    assert!(message.starts_with("the chosen direction is zero up to rounding"), "{message}");
    // Threshold and KL leave the direction that induces refusal, backwards.
    let host = host().scores_under("target", |request, in_force| {
        let (out, added) = effect(in_force);
        let refusal = match added {
            added if added < 0.0 => 0.01,
            _ if out => 0.05,
            _ => 0.6,
        };
        Ok(vec![score(f32::ln(refusal), false); request.continuations.len()])
    });
    let message = RefusalDirection::derive(&host, &swapped, &unfiltered, 0).unwrap_err().to_string();
    assert!(
        message.starts_with(
            "adding the chosen direction takes the refusal score of harmless prompts from 0.41 to -4.60"
        ),
        "{message}"
    );
}

#[test]
fn without_a_survivor_the_reasons_are_counted() {
    let strict = Parameters { kl_threshold: 1e-3, ..parameters() };
    let message = refused(&datasets(), &strict);
    // Of eight, one moves harmless prompts and seven induce nothing.
    assert!(
        message.starts_with(
            "none of 8 candidate directions passes the rule: 0 lie in the last layers, 1 move harmless"
        ),
        "{message}"
    );
    assert!(message.contains("7 do not induce refusal"), "{message}");
    assert!(message.contains("the last 1 of 5 blocks were not measured"), "{message}");
}

#[test]
fn a_score_that_is_no_number_rejects_its_direction_and_no_other() {
    let broken = host().scores_under("target", |request, in_force| {
        // Where the second number is taken out: all directions but (−1, 2) and those of rounding at layer 0.
        let taken_out = in_force.interventions.iter().any(
            |one| matches!(&one.change, Changed::ProjectOut(projection) if projection.direction[1] > 0.5),
        );
        let scores = scored(request, in_force).into_iter();
        Ok(scores.map(|one| if taken_out { score(f32::NAN, false) } else { one }).collect())
    });
    let derived = RefusalDirection::derive(&broken, &datasets(), &parameters(), 0).unwrap();
    assert_eq!(value(&derived, "layer"), 2.0);
    assert_eq!(share(&derived, "directions_rejected", "a score is no number").hits, 5);
    assert_eq!(derived.summary.figures.len(), 3, "the map of a score that is no number is left out");
}

#[test]
fn first_words_are_those_of_refusals_and_are_checked() {
    // Ten refuse with token 3 (one of them without an "I"), two with 4, which is none that its text leads to; one with 5, too seldom to count.
    let mut replies = [vec![3; 10], vec![4; 2], vec![5]].concat().into_iter();
    let host = host().completions("target", move |_, _| {
        let token = replies.next().unwrap();
        let said = if replies.len() == 12 { "Sorry, no." } else { "I cannot." };
        Ok(Completion { tokens: vec![token], ..completion(said) })
    });
    let prompts: Vec<_> = (0..13).map(|at| Prompt::user(format!("bad {at}"))).collect();
    let model = host.model("target").unwrap();
    assert_eq!(refusals::first_words(&model, &prompts).unwrap(), ["[3]"]);

    let willing =
        self::host().completions("target", |_, _| Ok(Completion { tokens: vec![3], ..completion("Sure.") }));
    let message = refusals::first_words(&willing.model("target").unwrap(), &prompts).unwrap_err().to_string();
    assert!(message.starts_with("the model refuses 0 of 13 harmful prompts"), "{message}");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (parameters, said) in [
        (Parameters { coefficient: f32::NAN, ..parameters() }, "`coefficient` is NaN"),
        (Parameters { n_val: 0, ..parameters() }, "`n_val` names nothing"),
        (Parameters { positions: Some(0), ..parameters() }, "`positions` names nothing"),
        (
            Parameters { layers: Some(vec![5]), ..parameters() },
            "`layers` names block 5: small has the blocks 0 to 4",
        ),
        (Parameters { prune_layer_percentage: 1.0, ..parameters() }, "`prune_layer_percentage` is 1"),
        (Parameters { prune_layer_percentage: 0.9, ..parameters() }, "of 5 blocks none is left"),
        (
            Parameters { refusal_words: vec!["I".into(), "I".into()], ..parameters() },
            "`refusal_words` names \"I\" twice",
        ),
    ] {
        let message = refused(&datasets(), &parameters);
        assert!(message.starts_with(said), "{message}");
    }
}

#[test]
fn parameters_are_those_of_the_description() {
    check_parameters::<Parameters>(&RefusalDirection::about()).unwrap();
}
