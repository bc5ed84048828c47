//! What treatments ask, and models under a treatment of the run.

use sonde_contract::{Changes, Lesson, Lora, Objective, Schedule};
use sonde_journal::{TreatmentSource, TreatmentUse};

use super::*;
use crate::treatment::TARGET;

fn edit(matrix: &str, by: f32) -> Arc<LowRank> {
    let (a, b) = (vec![1.0, 2.0], vec![by]);
    Arc::new(LowRank { matrix: matrix.into(), expert: None, rank: 1, a, b, scale: 2.0 })
}

fn edited(by: f32) -> ModelRef {
    ModelRef { edits: vec![edit("w", by)], ..target() }
}

fn request() -> TrainRequest {
    let lesson = Lesson { prompt: text("a"), reply: "b".into(), objective: Objective::Say };
    let schedule = Schedule {
        learning_rate: 0.1,
        warmup: 0.1,
        weight_decay: 0.0,
        epochs: 1,
        most_steps: None,
        batch: 1,
        clip: 1.0,
        seed: 0,
    };
    TrainRequest {
        lessons: vec![lesson; 3],
        lora: Lora { rank: 1, alpha: 1.0, dropout: 0.0, modules: vec!["q_proj".into()] },
        schedule,
    }
}

async fn say(caller: &Caller, model: &ModelRef) -> String {
    let reply = caller.generate(model, vec![text("a")], Sampling::default()).await.remove(0);
    reply.map_or_else(|error| error.to_string(), |reply| reply.text)
}

/// All that a treatment does besides what a diagnostic does, and everything it got to see.
async fn treat(caller: &Caller) -> Vec<String> {
    let trained = caller.train(&target(), request()).await;
    vec![
        format!("{:?}", caller.row_means(&target(), "w").await),
        format!("{:?}", caller.edit(&target(), &[edit("w", 3.0)]).await),
        say(caller, &edited(3.0)).await,
        format!("{:?}", caller.edit(&edited(3.0), &[edit("v", 1.0)]).await),
        format!("{trained:?}"),
        say(caller, &target()).await,
    ]
}

#[tokio::test]
async fn edits_row_means_and_training_are_answered_once_and_from_the_record_after_that() {
    let bench = Bench::new();
    let first = {
        let (model, log) = open(true, MANY, 0);
        let Life { caller, .. } = bench.life(Some(model), None);
        let seen = treat(&caller).await;
        assert!(lock(&log.passes)[0].starts_with("train "), "{:?}", lock(&log.passes));
        seen
    };
    // The tensor "w" holds 0, 1/3, 2/3 and 1, 4/3, 5/3.
    assert!(first[0].starts_with("Ok([RowMean { mean: [0.5, 0.83333"), "{}", first[0]);
    assert!(first[2].ends_with("with 6"), "{}", first[2]);
    assert!(first[3].contains("there is no matrix"), "{}", first[3]);
    assert!(first[4].contains("b: [3.0], scale: 0.5") && first[5].ends_with("with 0"), "{first:?}");
    {
        let (model, log) = open(true, MANY, 0);
        let Life { caller, .. } = bench.life(Some(model), None);
        assert_eq!(treat(&caller).await, first);
        assert_eq!(*lock(&log.passes), [""; 0]);
    }
    {
        let Life { caller, state } = bench.life(None, None);
        assert_eq!(treat(&caller).await, first);
        assert_eq!(state.differences(), [""; 0]);
    }
    let Life { caller, .. } = bench.life(None, None);
    let other = caller.edit(&target(), &[edit("w", 3.5)]).await.unwrap_err().to_string();
    assert!(other.contains("not recorded") || other.contains("something else"), "{other}");
}

/// A caller whose target has a treatment of this strength, that adds `by`.
fn under(bench: &Bench, model: Option<Arc<dyn Model>>, strength: f64, by: f32) -> (Caller, Arc<SampleState>) {
    let changes = Changes { edits: vec![LowRank::clone(&edit("w", by))], ..Changes::default() };
    let digest = Digest::of_json(&changes).unwrap();
    let life = bench.life(model, None);
    life.caller.shared.treatments.keep(digest, changes);
    let source = TreatmentSource::File { path: "made".into(), digest };
    let used = TreatmentUse { source, strength, role: TARGET.into() };
    let bindings = Bindings { treatment: Some(used), ..Bindings::clone(&life.caller.bound) };
    (Caller::new(&life.caller.shared, &life.state, &Arc::new(bindings), None), life.state)
}

#[tokio::test]
async fn a_task_s_treatment_is_in_force_at_its_strength_and_under_the_plugin_s_own_changes() {
    let bench = Bench::new();
    let (model, log) = open(true, MANY, 0);
    let (caller, _) = under(&bench, Some(model), 0.5, 3.0);
    assert!(say(&caller, &target()).await.ends_with("with 3"));
    assert!(say(&caller, &target()).await.ends_with("with 3"));
    assert!(say(&caller, &edited(1.0)).await.ends_with("with 5"));
    assert!(say(&caller, &changed(0.5)).await.ends_with("with 4"));
    let made = lock(&log.passes).iter().filter(|pass| pass.as_str() == "change by 3").count();
    assert_eq!(made, 1, "the treated model is made once");
    let asked = &bench.recorded()[0].request_json;
    assert!(asked.contains(r#""treatment":{"digest":""#) && asked.contains(r#""strength":0.5"#), "{asked}");
}

#[tokio::test]
async fn at_strength_0_a_task_asks_what_it_asks_without_a_treatment() {
    let bench = Bench::new();
    let without = {
        let (model, _) = open(true, MANY, 0);
        say(&bench.life(Some(model), None).caller, &target()).await
    };
    let (caller, state) = under(&bench, None, 0.0, 3.0);
    assert_eq!(say(&caller, &target()).await, without);
    assert_eq!(state.differences(), [""; 0]);
}

#[tokio::test]
async fn a_treatment_that_did_not_come_about_is_no_answer() {
    let bench = Bench::new();
    let (model, log) = open(true, MANY, 0);
    let life = bench.life(Some(model), None);
    life.caller.shared.treatments.note("rosi", Err("no direction".into()));
    let source = TreatmentSource::Task { task: "rosi".into() };
    let used = TreatmentUse { source, strength: 1.0, role: TARGET.into() };
    let bindings = Bindings { treatment: Some(used), ..Bindings::clone(&life.caller.bound) };
    let caller = Caller::new(&life.caller.shared, &life.state, &Arc::new(bindings), None);
    let refusal = say(&caller, &target()).await;
    assert!(refusal.contains("there is no treatment: rosi failed: no direction"), "{refusal}");
    assert_eq!(*lock(&log.passes), [""; 0]);
}
