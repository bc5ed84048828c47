//! Each thing a diagnostic must not be able to do ends in its own error, and the host is left holding nothing for it.

use std::sync::Arc;

use sonde_contract::{CaptureSpec, Change, Diagnosis, Estimate, Intervention, Rows, Site, Value};
use sonde_runtime::{Grants, Invocation, Limits, ModelRef, PluginError, Services, World};

use crate::answers::{Answers, Inside, invocation};
use crate::guests::{evil, hostile, hostile_diagnostic};

fn diagnosing(services: &Arc<Answers>, limits: Limits) -> Invocation {
    Invocation {
        services: Arc::clone(services) as Arc<dyn Services>,
        grants: Grants::from_iter(Grants::KNOWN),
        limits,
        asked_by_judge: false,
        subject: "task spin".into(),
    }
}

fn items() -> Vec<(String, Vec<String>)> {
    vec![("items".into(), vec![r#"{"label":0}"#.into(), r#"{"label":1}"#.into()])]
}

async fn diagnosis_of(name: &str, limits: Limits, services: &Arc<Answers>) -> Result<Diagnosis, PluginError> {
    let result =
        hostile_diagnostic().await.diagnose(diagnosing(services, limits), &items(), &evil(name), 5).await;
    assert!(services.inside.held.lock().unwrap().is_empty(), "captures outlived the call");
    result
}

/// What the plugin or the host says of an evil, after the plugin's name.
async fn error_with(name: &str, limits: Limits, services: Answers) -> String {
    let error = diagnosis_of(name, limits, &Arc::new(services)).await.unwrap_err().to_string();
    error.strip_prefix("plugin hostile-diagnostic 0.1.0 ").unwrap().to_owned()
}

async fn error_of(name: &str) -> String {
    error_with(name, Limits::of(World::Diagnostic), Answers::default()).await
}

async fn limited(name: &str, set: impl FnOnce(&mut Limits)) -> String {
    let mut limits = Limits::of(World::Diagnostic);
    set(&mut limits);
    error_with(name, limits, Answers::default()).await
}

#[tokio::test]
async fn questions_about_the_inside_and_their_answers_arrive_unchanged() {
    let services = Arc::new(Answers::default());
    let diagnosis = diagnosis_of("", Limits::of(World::Diagnostic), &services).await.unwrap();
    let estimate = Estimate::Given { value: 0.9, n: 2, interval: Some([0.8, 0.95]) };
    assert_eq!(diagnosis.summary.metrics[0].estimate, estimate);
    let finding = &diagnosis.findings[0];
    assert_eq!((finding.dataset.as_str(), finding.row), ("items", 1));
    let found: Vec<_> = finding.fields.iter().map(|field| (field.name.as_str(), &field.value)).collect();
    let number = |number: f64| Value::Number(number);
    let text = |text: &str| Value::Text(text.into());
    let expected = [
        ("seed", number(5.0)),
        ("rows", number(2.0)),
        ("captured rows", number(12.0)),
        ("captured width", number(256.0)),
        ("captured tokens", number(12.0)),
        ("numbers", number(512.0)),
        ("first of row 3 at layer 2", number(f64::from(3.2_f32))),
        ("steps", number(3.0)),
        ("reply", text("Sorry.")),
        ("tensor", text("w")),
        ("weight 5", number(5.0)),
    ];
    assert_eq!(found, expected.iter().map(|(name, value)| (*name, value)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_changed_model_carries_its_changes_in_their_order_and_the_first_handle_none() {
    let services = Arc::new(Answers::default());
    diagnosis_of("", Limits::of(World::Diagnostic), &services).await.unwrap();
    let add = Intervention {
        layers: vec![1],
        site: Site::Residual,
        change: Change::Add { vector: vec![2.0; 256], coefficient: 1.0 },
    };
    let out = Intervention {
        layers: vec![3],
        site: Site::Mlp,
        change: Change::ProjectOut { direction: vec![0.5; 256], coefficient: 1.0 },
    };
    let plain = ModelRef { role: "target".into(), ..ModelRef::default() };
    let changed = ModelRef { changes: vec![add.clone(), out.clone()], ..plain.clone() };
    let spec = |layers: &[u32], rows| CaptureSpec { layers: layers.to_vec(), site: Site::Residual, rows };
    let asked = [
        (plain, spec(&[1, 2], Rows::All)),
        (changed.clone(), spec(&[4], Rows::Mean)),
        (changed, spec(&[2], Rows::Last)),
    ];
    assert_eq!(*services.inside.asked.lock().unwrap(), asked);
    assert_eq!(*services.inside.changes.lock().unwrap(), [(0, vec![add]), (1, vec![out])]);
}

#[tokio::test]
async fn weights_and_gradients_need_a_grant_in_so_many_words() {
    let plugin = hostile_diagnostic().await;
    let mut invocation = diagnosing(&Arc::default(), Limits::of(World::Diagnostic));
    invocation.grants = Grants::of(World::Diagnostic);
    assert_eq!(plugin.missing_grants(&invocation.grants), ["weights", "gradients"]);
    assert_eq!(
        plugin.diagnose(invocation.clone(), &items(), "{}", 0).await.unwrap_err().to_string(),
        "plugin hostile-diagnostic 0.1.0 imports `weights`, `gradients`, which this run does not grant; add them to \
         `grants` of the task or judge that uses it: `grants: [activations, generation, gradients, log, weights]`"
    );
    invocation.grants = Grants::from_iter(["activations", "generation", "log", "weights"]);
    assert_eq!(
        plugin.diagnose(invocation, &items(), "{}", 0).await.unwrap_err().to_string(),
        "plugin hostile-diagnostic 0.1.0 imports `gradients`, which this run does not grant; add it to `grants` of the \
         task or judge that uses it: `grants: [activations, generation, gradients, log, weights]`"
    );
}

#[tokio::test]
async fn each_world_is_asked_for_its_own_export() {
    let plugin = hostile_diagnostic().await;
    assert_eq!(plugin.world(), World::Diagnostic);
    let everything = |plugin| diagnosing(plugin, Limits::default());
    let error = plugin.run(everything(&Arc::default()), "{}", "{}", 0).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin hostile-diagnostic 0.1.0 is a diagnostic, and run was asked of it");
    let error = hostile().await.diagnose(invocation(&Arc::default()), &items(), "{}", 0).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin hostile-plugin 0.1.0 is a benchmark, and diagnose was asked of it");
}

#[tokio::test]
async fn layers_and_rows_that_are_not_there_are_told_to_the_plugin() {
    assert_eq!(
        error_of("layer-99").await,
        "failed on task spin: invalid: layer 99 does not exist: Wren has layers 0 to 6"
    );
    assert_eq!(
        error_of("rows-past-the-prompt").await,
        "failed on task spin: invalid: row 50 does not exist: the prompt has 12 tokens"
    );
    assert_eq!(
        error_of("read-another-layer").await,
        "failed on task spin: invalid: layer 3 was not captured; this capture has layer 1, 2"
    );
    assert_eq!(
        error_of("read-past-the-end").await,
        "failed on task spin: invalid: 3 rows from row 10 on do not exist; this capture has 12 per layer"
    );
    assert_eq!(
        error_of("read-past-every-end").await,
        "failed on task spin: invalid: 1 rows from row 4294967295 on do not exist; this capture has 12 per layer"
    );
}

#[tokio::test]
async fn more_layers_or_rows_than_a_model_can_have_are_refused_before_anybody_looks_at_them() {
    assert_eq!(
        error_of("many-layers").await,
        "failed on task spin: invalid: a capture names 5000 layers; Wren has at most 7"
    );
    assert_eq!(
        error_of("many-rows").await,
        "failed on task spin: invalid: a capture names 5000 rows; a prompt of Wren has at most 1024 in this run"
    );
    assert_eq!(
        error_of("trace-the-mean").await,
        "failed on task spin: invalid: a trace keeps the last token at every step; its rows must be `last`"
    );
}

#[tokio::test]
async fn a_billion_numbers_are_refused_with_the_limit_that_they_break() {
    assert_eq!(
        error_of("billion-floats").await,
        "failed on task spin: limit: the list of captured numbers is larger than 256 MiB; `limits.host_data_mib` \
         raises this"
    );
    assert_eq!(
        error_of("billion-weights").await,
        "failed on task spin: limit: the list of a tensor's numbers is larger than 256 MiB; `limits.host_data_mib` \
         raises this"
    );
    assert_eq!(
        error_of("endless-tensor-name").await,
        "failed on task spin: invalid: a name of 201 bytes has no tensor"
    );
}

#[tokio::test]
async fn vectors_that_make_no_sense_are_told_to_the_plugin() {
    assert_eq!(
        error_of("wrong-width").await,
        "failed on task spin: invalid: the vector to add has 255 numbers, and the residual stream of Wren is 256 wide"
    );
    assert_eq!(
        error_of("nan-vector").await,
        "failed on task spin: invalid: the vector to add or its coefficient has the number NaN; all must be finite"
    );
    assert_eq!(
        error_of("infinite-coefficient").await,
        "failed on task spin: invalid: the vector to add or its coefficient has the number inf; all must be finite"
    );
    assert_eq!(
        error_of("huge-vector").await,
        "was stopped on task spin: it handed over more than 128 MiB in one call; `limits.plugin_data_mib` raises this"
    );
}

#[tokio::test]
async fn changes_without_end_are_stopped() {
    assert_eq!(
        error_of("many-changes").await,
        "was stopped on task spin: it asked 5000 things in one call, more than 4096; `limits.batch` raises this"
    );
    // Handle k carries 100·k vectors of 1,028 bytes: the fifth would make 1,542,000 bytes of all.
    assert_eq!(
        limited("chain-of-changes", |limits| limits.captured_mib = 1).await,
        "was stopped on task spin: what the host holds for it would be more than 1 MiB; drop captures, or \
         `limits.captured_mib` raises this"
    );
    assert_eq!(
        error_of("hoard-changed-models").await,
        "was stopped on task spin: it holds more than 100 open models; `limits.open_models` raises this"
    );
}

#[tokio::test]
async fn a_million_captures_held_are_stopped() {
    assert_eq!(
        error_of("hoard-captures").await,
        "was stopped on task spin: it holds more than 100000 captures; `limits.captures` raises this"
    );
}

#[tokio::test]
async fn captures_without_end_are_stopped_even_if_each_is_dropped() {
    assert_eq!(
        limited("capture-loop", |limits| limits.host_calls = 2000).await,
        "was stopped on task spin: it called the host more than 2000 times; `limits.host_calls` raises this"
    );
}

#[tokio::test]
async fn more_numbers_than_the_host_will_hold_are_refused_before_they_are_computed() {
    let services = Arc::new(Answers::default());
    let limits = Limits { captured_mib: 32, ..Limits::of(World::Diagnostic) };
    let error = diagnosis_of("hoard-numbers", limits, &services).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "plugin hostile-diagnostic 0.1.0 was stopped on task spin: what the host holds for it would be more than 32 \
         MiB; drop captures, or `limits.captured_mib` raises this"
    );
    // 1000 rows at 7 layers of 256 numbers are 6.84 MiB, so four fit.
    assert_eq!(services.inside.asked.lock().unwrap().len(), 4);
    let services = Arc::new(Answers::default());
    let limits = Limits::of(World::Diagnostic);
    let error = diagnosis_of("hoard-steps", limits, &services).await.unwrap_err().to_string();
    assert!(error.contains("would be more than 1024 MiB"), "{error}");
    assert!(services.inside.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn captures_that_a_plugin_forgets_are_released_when_it_ends() {
    let services = Arc::new(Answers::default());
    diagnosis_of("leak-captures", Limits::of(World::Diagnostic), &services).await.unwrap();
    assert_eq!(services.inside.asked.lock().unwrap().len(), 1);
    let text = error_of("panic-holding-captures").await;
    assert!(text.starts_with("panicked on task spin: ") && text.contains("cannot go on with 12"), "{text}");
}

#[tokio::test]
async fn gradients_from_an_engine_that_has_none_are_told_to_the_plugin() {
    assert_eq!(
        error_of("gradients").await,
        "failed on task spin: unsupported: llama.cpp has no gradients; open the model with `engine: candle`"
    );
    assert_eq!(
        error_of("nan-fraction").await,
        "failed on task spin: invalid: the fraction is NaN; it must be above 0 and at most 1"
    );
    assert_eq!(
        error_of("more-than-all").await,
        "failed on task spin: invalid: the fraction is 1.5; it must be above 0 and at most 1"
    );
}

#[tokio::test]
async fn captures_that_are_not_what_was_asked_for_never_reach_the_plugin() {
    let odd = |odd| {
        let inside = Inside { odd, ..Inside::default() };
        error_with(
            "read-past-the-end",
            Limits::of(World::Diagnostic),
            Answers { inside, ..Answers::default() },
        )
    };
    assert_eq!(
        odd((1, 0)).await,
        "failed on task spin: engine: a capture of 12 tokens came back with 13 rows of 256 numbers, which is not what \
         was asked for"
    );
    assert_eq!(
        odd((0, 1)).await,
        "failed on task spin: engine: a capture of 12 tokens came back with 12 rows of 257 numbers, which is not what \
         was asked for"
    );
    let inside = Inside { short: 1, ..Inside::default() };
    let services = Answers { inside, ..Answers::default() };
    assert_eq!(
        error_with("", Limits::of(World::Diagnostic), services).await,
        "failed on task spin: engine: the host gave 511 numbers where 512 were asked for"
    );
    let inside = Inside { twice: true, ..Inside::default() };
    let services = Answers { inside, ..Answers::default() };
    assert_eq!(
        error_with("read-past-the-end", Limits::of(World::Diagnostic), services).await,
        "failed on task spin: engine: the host gave 2 answers to 1 requests"
    );
    let services = Answers { forget: true, ..Answers::default() };
    assert_eq!(
        error_with("layer-99", Limits::of(World::Diagnostic), services).await,
        "failed on task spin: engine: the host gave 0 answers to 1 requests"
    );
}

#[tokio::test]
async fn absurd_diagnoses_are_refused_by_name() {
    let unusable = "gave an unusable answer on task spin: ";
    for (name, fault) in [
        ("inverted-interval", "the interval of metric \"auroc\" begins at 0.7 and ends at 0.6"),
        ("nan-interval", "an end of the interval of metric \"auroc\" is NaN"),
        ("nan-finding", "field \"projection\" is NaN"),
        ("row-past-the-dataset", "a finding speaks of row 2 of the dataset \"items\", which has 2 rows"),
        ("unknown-dataset", "a finding speaks of the dataset \"secrets\", which it was not given"),
    ] {
        assert_eq!(error_of(name).await, format!("{unusable}{fault}"));
    }
    assert_eq!(
        limited("many-findings", |limits| limits.findings = 1000).await,
        "was stopped on task spin: the findings are 1001, more than 1000; `limits.findings` raises this"
    );
    assert_eq!(
        error_of("many-fields").await,
        "was stopped on task spin: a finding's fields are 1001, more than 1000; `limits.fields` raises this"
    );
    assert_eq!(
        error_of("many-figures").await,
        "was stopped on task spin: the figures are 1001, more than 1000; `limits.figures` raises this"
    );
}

#[tokio::test]
async fn datasets_that_do_not_fit_never_reach_the_plugin() {
    let datasets = vec![("items".to_owned(), vec!["a".repeat(1 << 20); 3])];
    let limits = Limits { host_data_mib: 2, ..Limits::of(World::Diagnostic) };
    let error = hostile_diagnostic()
        .await
        .diagnose(diagnosing(&Arc::default(), limits), &datasets, "{}", 0)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin hostile-diagnostic 0.1.0 was stopped on task spin: the list of datasets is larger than 2 MiB; \
         `limits.host_data_mib` raises this"
    );
}
