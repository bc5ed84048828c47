//! A small run: its header, its samples, and calls as a benchmark with a judge makes them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sonde_contract::{
    About, Diagnosis, Digest, Estimate, Field, Finding, Group, Metric, ModelInfo, Outcome, Sampling, Status,
    Summary, Value,
};
use sonde_journal::{
    CallKind, CallPath, DatasetIdentity, Ending, Entry, Header, HostIdentity, JournalError, LogLevel,
    LogLine, ModelIdentity, PluginIdentity, RunFile, SampleRow, TaskIdentity,
};

/// The only plugin's bytes.
pub const PLUGIN: &[u8] = b"\0asm pretend component";

pub fn header() -> Header {
    let about = About {
        name: "harmbench".into(),
        version: "0.1.0".into(),
        title: "HarmBench".into(),
        summary: String::new(),
        citation: String::new(),
        licence: "MIT".into(),
        models: vec![],
        judges: vec![],
        datasets: vec![],
        columns: vec![],
        parameters_schema: "{}".into(),
    };
    let info = ModelInfo {
        name: "wren".into(),
        architecture: "qwen3".into(),
        quantisation: "Q8_0".into(),
        layers: 6,
        width: 256,
        vocabulary: 4096,
        context: 1024,
        has_chat_template: true,
    };
    let task = |name: &str| TaskIdentity {
        name: name.into(),
        plugin: Digest::of(PLUGIN),
        dataset: Some(DatasetIdentity {
            path: "prompts.csv".into(),
            digest: Digest::of("rows"),
            format: "csv".into(),
            columns: BTreeMap::from([("Behavior".into(), "request".into())]),
            records: None,
        }),
        datasets: BTreeMap::new(),
        models: BTreeMap::from([("target".into(), "wren".into())]),
        judges: BTreeMap::new(),
        guard: None,
        treatment: None,
        parameters: json!({ "strict": true }),
        sampling: BTreeMap::from([("target".into(), Sampling { temperature: 0.7, ..Sampling::default() })]),
        limit: None,
        shuffle: false,
        seed: u64::MAX,
        grants: vec![],
        limits: json!({}),
    };
    Header {
        sonde: "0.1.0".into(),
        created: "2026-01-02T03:04:05Z".into(),
        host: HostIdentity { triple: "x86_64-unknown-linux-gnu".into(), cpu: "a CPU".into(), cores: 2 },
        reproducible: false,
        config: json!({ "zeta": 0.1, "alpha": [1, 2] }),
        config_path: "run.yaml".into(),
        plan: Digest::of("plan"),
        rejudged: None,
        models: vec![ModelIdentity {
            role: "wren".into(),
            path: "wren.gguf".into(),
            digest: Digest::of("model"),
            bytes: 12,
            info,
            engine: "llama".into(),
            engine_version: "b1".into(),
            gradients: None,
            threads: 2,
            slots: 8,
            seed: 0,
        }],
        plugins: vec![PluginIdentity {
            digest: Digest::of(PLUGIN),
            path: "harmbench.wasm".into(),
            world: "benchmark".into(),
            imports: vec!["sonde:plugin/generation@0.1.0".into()],
            bytes: PLUGIN.len() as u64,
            about,
        }],
        judges: vec![],
        tasks: vec![task("harm"), task("over")],
    }
}

pub fn create(path: &Path) -> RunFile {
    RunFile::create(path, &header(), &[(Digest::of(PLUGIN), PLUGIN.to_vec())]).unwrap()
}

/// Sample `n` of a task; every tenth row could not be read.
pub fn row(task: &str, n: u64) -> SampleRow {
    let row = if n.is_multiple_of(10) {
        Err("two columns where the header has three".into())
    } else {
        Ok(json!({ "request": format!("request {n}") }).to_string())
    };
    let id = format!("{task}/{n}");
    SampleRow {
        task: task.into(),
        ordinal: n,
        id,
        origin: format!("prompts.csv line {}", n + 1),
        row,
        seed: u64::MAX - n,
    }
}

pub fn rows(task: &str, count: u64) -> impl Iterator<Item = Result<SampleRow, JournalError>> {
    (1..=count).map(move |n| Ok(row(task, n)))
}

pub fn call(path: &str, request: &str) -> Entry {
    let request_json = json!({ "prompts": [request] }).to_string();
    Entry {
        path: path.parse::<CallPath>().unwrap(),
        kind: CallKind::Generate,
        plugin: "harmbench 0.1.0".into(),
        model: Some("wren".into()),
        request: Digest::of(&request_json),
        request_json,
        answer_json: json!([{ "ok": { "text": format!("answer to {request}") } }]).to_string(),
        prompt_tokens: 20,
        completion_tokens: 5,
        micros: 1500,
    }
}

pub fn outcome(status: Status, number: f64) -> Outcome {
    Outcome {
        status,
        good: Some(true),
        fields: vec![Field { name: "refusal".into(), value: Value::Number(number) }],
        groups: vec![Group { kind: "category".into(), name: "copyright".into() }],
        note: None,
    }
}

pub fn scored() -> Ending {
    Ending::Outcome(outcome(Status::Scored, 0.1 + 0.2))
}

/// One metric of this value, and a finding.
pub fn diagnosis(value: f64) -> Diagnosis {
    let metric = Metric {
        name: "separation_score".into(),
        about: "distance between two centroids".into(),
        estimate: Estimate::Given { value, n: 3, interval: Some([0.1, 0.7]) },
        higher_is_better: None,
        group: Some(Group { kind: "layer".into(), name: "2".into() }),
        headline: true,
    };
    let fields = vec![Field { name: "side".into(), value: Value::Number(1.0 / 3.0) }];
    Diagnosis {
        summary: Summary { metrics: vec![metric], figures: vec![], notes: vec!["a remark".into()] },
        findings: vec![Finding { dataset: "items".into(), row: 2, fields }],
    }
}

pub fn line(text: &str) -> LogLine {
    LogLine { level: LogLevel::Info, text: text.into(), plugin: "harmbench 0.1.0".into() }
}

/// A run of five samples of the first task, three of them ended, with results.
pub async fn small_run(path: &Path) -> RunFile {
    let run = create(path);
    run.add_samples("harm", rows("harm", 5)).unwrap();
    run.add_samples("over", rows("over", 0)).unwrap();
    for n in 1..=3 {
        let key = run.sample(&format!("harm/{n}")).unwrap().unwrap().key;
        run.append(key, call("0", &format!("question {n}"))).await.unwrap();
        run.append(key, call("1.0", &format!("verdict {n}"))).await.unwrap();
        run.finish(key, scored(), vec![line("a remark")]).await.unwrap();
    }
    run.put_result("harm", &json!({ "metrics": [{ "name": "asr", "value": 0.25 }] })).unwrap();
    run
}
