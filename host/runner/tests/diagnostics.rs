//! Diagnostics from config to proof, with the hostile diagnostic and a small model: what a config may say, that an evil
//! fails its own task only, and that the run file is all that `verify` needs.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sonde_journal::{Ending, RunFile};
use sonde_runner::config::{Config, LoadedConfig};
use sonde_runner::{Event, ModelEngine, Plan, RunEnd, RunError, TaskData};
use sonde_runtime::{Runtime, RuntimeOptions};
use tempfile::TempDir;
use tokio::sync::watch;

const CONFIG: &str = "\
models:
  target: { path: MODEL, context: 256, slots: 1, threads: 1 }
tasks:
  - name: look
    plugin: DIAGNOSTIC
    grants: [generation, activations, weights, gradients, log]
    parameters: { evil: leak-captures }
    datasets:
      items: { path: items.csv }
output: run.sonde
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn plugin(name: &str) -> String {
    let path = root().join("target/plugins/dist").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is not there: run `make plugins` first", path.display());
    path.display().to_string()
}

fn runtime() -> Runtime {
    Runtime::new(RuntimeOptions { cache: false, instances: 2 }).unwrap()
}

/// A folder with a dataset and a config.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = root().join("models/wren-chat-q8_0.gguf").display().to_string();
        let config = config
            .replace("MODEL", &model)
            .replace("DIAGNOSTIC", &plugin("hostile-diagnostic"))
            .replace("BENCHMARK", &plugin("exact-match"));
        std::fs::write(folder.path().join("x.yaml"), config).unwrap();
        std::fs::write(folder.path().join("items.csv"), "prompt,label\none,0\ntwo,1\nthree,0\n").unwrap();
        Self { folder }
    }

    fn load(&self) -> LoadedConfig {
        Config::load(&self.folder.path().join("x.yaml")).unwrap()
    }

    async fn plan(&self) -> Result<Plan, RunError> {
        sonde_runner::plan(&self.load(), &runtime()).await
    }

    /// Why there is no plan, without the folder and the plugin's path.
    async fn refusal(&self) -> String {
        let error = self.plan().await.err().expect("it was to be refused").to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("run.sonde")
    }
}

async fn refused(from: &str, to: &str) -> String {
    assert!(CONFIG.contains(from), "{from}");
    Desk::new(&CONFIG.replace(from, to)).refusal().await
}

#[tokio::test]
async fn what_a_config_says_wrongly_of_a_diagnostic_is_named_with_its_place() {
    assert_eq!(
        refused("items:", "itms:").await,
        "tasks.look.datasets.itms in x.yaml:9: hostile-diagnostic has no dataset \"itms\"; did you mean \"items\"?"
    );
    assert_eq!(
        refused("    datasets:\n      items: { path: items.csv }\n", "").await,
        "tasks.look in x.yaml:4: hostile-diagnostic needs the dataset \"items\" (abused); add \
         `datasets: { items: { path: … } }`"
    );
    assert_eq!(
        refused("    datasets:\n", "    dataset: { path: items.csv }\n    datasets:\n").await,
        "tasks.look.dataset in x.yaml:8: hostile-diagnostic reads one dataset; give it either as `dataset` or as \
         `datasets: { items: … }`"
    );
    let missing = refused("items.csv", "itms.csv").await;
    assert!(
        missing
            .starts_with("tasks.look.datasets.items.path in x.yaml:9: the dataset itms.csv does not exist"),
        "{missing}"
    );
    let limits = refused("    datasets:\n", "    limits: { memory_mb: 5 }\n    datasets:\n").await;
    assert!(limits.contains("there is no limit \"memory_mb\"; did you mean \"memory_mib\"?"), "{limits}");
    assert_eq!(
        refused("    grants: [generation, activations, weights, gradients, log]\n", "").await,
        "tasks.look.grants in x.yaml:4: plugin hostile-diagnostic 0.1.0 imports weights and gradients, which the run does \
         not grant; `grants: [activations, generation, log, weights, gradients]` would"
    );
}

#[tokio::test]
async fn a_benchmark_is_not_given_datasets_by_name() {
    let refusal = refused(
        "    plugin: DIAGNOSTIC\n    grants: [generation, activations, weights, gradients, log]\n    parameters: { evil: leak-captures }\n",
        "    plugin: BENCHMARK\n",
    )
    .await;
    assert_eq!(
        refusal,
        "tasks.look.datasets in x.yaml:6: exact-match is a benchmark and runs once per row of its one dataset; write \
         `dataset: { path: … }` instead of `datasets: { items: … }`"
    );
}

#[tokio::test]
async fn a_diagnostic_has_the_limits_of_its_world_and_may_take_its_only_dataset_plainly() {
    let plain = CONFIG.replace("datasets:\n      items: {", "dataset: {");
    let desk = Desk::new(&plain);
    let plan = desk.plan().await.unwrap();
    let identity = &plan.tasks[0].identity;
    assert_eq!((identity.limits["memory_mib"].as_u64(), identity.dataset.is_none()), (Some(1024), true));
    assert_eq!(identity.datasets.keys().collect::<Vec<_>>(), ["items"]);
    let TaskData::Named(sources) = &plan.tasks[0].data else { panic!("datasets by name") };
    assert_eq!(sources[0].0, "items");
    // Both forms are the same plan, wherever the files lie.
    let other = Desk::new(CONFIG);
    assert_eq!(other.plan().await.unwrap().digest, plan.digest);
}

#[tokio::test]
async fn a_second_engine_is_opened_for_gradients_unless_the_config_wants_one_alone() {
    let desk = Desk::new(CONFIG);
    let plan = desk.plan().await.unwrap();
    assert_eq!(
        (plan.models[0].engine, plan.models[0].second),
        (ModelEngine::Llama, Some(ModelEngine::Candle))
    );
    assert_eq!(plan.notices(), ["opening target a second time with candle, which has gradients"]);

    let alone = Desk::new(&CONFIG.replace("context:", "engine: llama, context:"));
    let alone = alone.plan().await.unwrap();
    assert_eq!((alone.models[0].engine, alone.models[0].second), (ModelEngine::Llama, None));
    assert_eq!(
        alone.notices(),
        [
            "look may ask for gradients, and llama, with which target is opened, has none; without `engine` it is opened a \
          second time with candle"
        ]
    );
    let candle = Desk::new(&CONFIG.replace("context:", "engine: candle, context:")).plan().await.unwrap();
    assert_eq!((candle.models[0].engine, candle.models[0].second), (ModelEngine::Candle, None));
    assert!(candle.notices().is_empty());
    let fewer = Desk::new(&CONFIG.replace("context:", "gpu_layers: 0, context:")).plan().await.unwrap();
    let digests = [plan.digest, alone.digest, candle.digest, fewer.digest];
    assert!(digests.iter().enumerate().all(|(index, digest)| !digests[..index].contains(digest)));
}

/// Three tasks on llama alone: one that works, two whose evil the host refuses, and one whose data has a fault.
const TASKS: &str = "\
models:
  target: { path: MODEL, engine: llama, context: 256, slots: 1, threads: 1 }
tasks:
  - &task
    name: works
    plugin: DIAGNOSTIC
    grants: [generation, activations, weights, gradients, log]
    parameters: { evil: leak-captures }
    dataset: { path: items.csv }
    limit: 2
  - { <<: *task, name: layer, parameters: { evil: layer-99 } }
  - { <<: *task, name: gradients, parameters: { evil: gradients } }
  - { <<: *task, name: broken, dataset: { path: broken.jsonl }, limit: 3 }
output: run.sonde
";

#[tokio::test(flavor = "multi_thread")]
async fn evils_fail_their_own_tasks_and_the_run_file_alone_proves_the_rest() {
    let desk = Desk::new(TASKS);
    std::fs::write(desk.folder.path().join("broken.jsonl"), "{\"a\":1}\n{\"a\":\n{\"a\":3}\n").unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    let observer = Arc::new(move |event: Event| {
        if let Event::Notice { text } = event {
            heard.lock().unwrap().push(text);
        }
    });
    let (_stop, stopping) = watch::channel(false);
    let end: RunEnd = sonde_runner::run(desk.plan().await.unwrap(), observer, stopping).await.unwrap();
    assert!(!end.interrupted && end.unsummarised.is_empty() && end.any_failed());
    assert_eq!(notices.lock().unwrap().len(), 1);

    let file = RunFile::open_read(desk.output()).unwrap();
    let sample = file.sample("works/1").unwrap().unwrap();
    assert_eq!(
        sample.row.as_deref(),
        Ok(r#"{"items":[{"prompt":"one","label":"0"},{"prompt":"two","label":"1"}]}"#)
    );
    assert_eq!(sample.origin, "items: 2 rows of items.csv");
    let result = file.result("works").unwrap().unwrap();
    assert_eq!(result["metrics"][0]["name"], "auroc");
    assert_eq!(result["metrics"][0]["interval"], serde_json::json!([0.8, 0.95]));
    assert_eq!(file.findings("works").unwrap(), []);
    let reason = |task: &str| {
        let ended = file.endings(task).unwrap().next().unwrap().unwrap();
        let Ending::Failed(reason) = ended.ending else { panic!("{task} was to fail") };
        let notes = file.result(task).unwrap().unwrap()["notes"][0].as_str().unwrap().to_owned();
        assert_eq!(notes, format!("there is no diagnosis: {reason}"));
        reason
    };
    let layer = reason("layer");
    assert!(layer.contains("layer 99 does not exist"), "{layer}");
    assert!(layer.contains("has 6 blocks, so the site \"residual\" has layers 0 to 6"), "{layer}");
    let gradients = reason("gradients");
    assert!(gradients.contains("unsupported: ") && gradients.contains("candle"), "{gradients}");
    let broken = reason("broken");
    assert!(broken.starts_with("dataset \"items\", broken.jsonl line 2: "), "{broken}");
    assert!(broken.ends_with("; a diagnostic needs every row that `limit` takes"), "{broken}");
    drop(file);

    std::fs::remove_file(desk.folder.path().join("items.csv")).unwrap();
    let found = sonde_runner::verify(&desk.output(), &runtime(), Arc::new(|_: Event| {})).await.unwrap();
    assert_eq!(found.differences, [""; 0]);
    assert!(found.passed());
    assert_eq!(found.samples, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn gradients_come_from_the_second_engine_and_an_interrupted_run_goes_on() {
    let desk = Desk::new(&CONFIG.replace("leak-captures", "gradients"));
    let (stop, stopping) = watch::channel(false);
    // Stopped as soon as the task begins.
    let observer = Arc::new(move |event: Event| {
        if matches!(event, Event::Task { .. }) {
            stop.send_replace(true);
        }
    });
    let end = sonde_runner::run(desk.plan().await.unwrap(), observer, stopping).await.unwrap();
    assert!(end.interrupted);
    assert_eq!(end.counts[0].1.pending(), 1);

    let (_stop, stopping) = watch::channel(false);
    let end = sonde_runner::run(desk.plan().await.unwrap(), Arc::new(|_: Event| {}), stopping).await.unwrap();
    assert!(!end.interrupted && !end.any_failed());
    let file = RunFile::open_read(desk.output()).unwrap();
    let model = &file.header().models[0];
    assert_eq!(
        (model.engine.as_str(), model.gradients.as_deref()),
        ("llama", Some(ModelEngine::Candle.version()))
    );
    let asked: Vec<String> = file.bill().unwrap().iter().map(|line| line.kind.to_string()).collect();
    assert_eq!(asked, ["importance"]);
    drop(file);
    let found = sonde_runner::verify(&desk.output(), &runtime(), Arc::new(|_: Event| {})).await.unwrap();
    assert_eq!(found.differences, [""; 0]);
    assert!(found.passed());
}
