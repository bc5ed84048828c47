//! From a run file on disk to a report.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sonde_contract::{
    About, Diagnosis, Digest, Estimate, Field, Finding, Metric, Outcome, Status, Summary, Value,
};
use sonde_journal::{
    CallKind, DatasetIdentity, Ending, Entry, Header, HostIdentity, JournalError, LogLevel, LogLine,
    PluginIdentity, RunFile, SampleRow, TaskIdentity,
};
use sonde_report::placement::Behaviour;
use sonde_report::statistics::TaskResult;
use sonde_report::view::{RunView, Standing};
use sonde_report::{Depth, Format, Look, read_sample, render};

const PLUGIN: &[u8] = b"\0asm pretend component";
const DIAGNOSTIC: &[u8] = b"\0asm pretend diagnostic";

fn header() -> Header {
    let about = About {
        name: "harmbench".into(),
        version: "0.1.0".into(),
        title: "HarmBench".into(),
        summary: "Direct requests.".into(),
        citation: String::new(),
        licence: "MIT".into(),
        models: vec![],
        judges: vec![],
        datasets: vec![],
        columns: vec![],
        parameters_schema: "{}".into(),
    };
    Header {
        sonde: "0.1.0".into(),
        created: "2026-01-02T03:04:05Z".into(),
        host: HostIdentity { triple: "x86_64-unknown-linux-gnu".into(), cpu: "a CPU".into(), cores: 2 },
        reproducible: true,
        config: json!({ "tasks": [] }),
        config_path: "run.yaml".into(),
        plan: Digest::of("plan"),
        rejudged: None,
        models: vec![],
        plugins: vec![PluginIdentity {
            digest: Digest::of(PLUGIN),
            path: "harmbench.wasm".into(),
            world: "benchmark".into(),
            imports: vec!["sonde:plugin/generation@0.1.0".into()],
            bytes: PLUGIN.len() as u64,
            about,
        }],
        judges: vec![],
        tasks: vec![TaskIdentity {
            name: "harm".into(),
            plugin: Digest::of(PLUGIN),
            dataset: Some(dataset("prompts.csv")),
            datasets: BTreeMap::new(),
            models: BTreeMap::from([("target".into(), "wren".into())]),
            judges: BTreeMap::new(),
            guard: None,
            treatment: None,
            parameters: json!({}),
            sampling: BTreeMap::new(),
            limit: None,
            shuffle: false,
            seed: 0,
            grants: vec![],
            limits: json!({}),
        }],
    }
}

fn dataset(path: &str) -> DatasetIdentity {
    DatasetIdentity {
        path: path.into(),
        digest: Digest::of("rows"),
        format: "csv".into(),
        columns: BTreeMap::new(),
        records: None,
    }
}

/// The same run with a diagnostic before the benchmark.
#[expect(clippy::indexing_slicing, reason = "a test may fail loudly")]
fn header_inside() -> Header {
    let mut header = header();
    let mut plugin = header.plugins[0].clone();
    plugin.digest = Digest::of(DIAGNOSTIC);
    plugin.world = "diagnostic".into();
    plugin.bytes = DIAGNOSTIC.len() as u64;
    plugin.about.name = "x-boundary".into();
    let task = TaskIdentity {
        name: "inside".into(),
        plugin: plugin.digest,
        dataset: None,
        datasets: BTreeMap::from([("items".into(), dataset("items.jsonl"))]),
        ..header.tasks[0].clone()
    };
    header.plugins.push(plugin);
    header.tasks.insert(0, task);
    header
}

fn entry(path: &str, kind: CallKind, request: serde_json::Value, answer: serde_json::Value) -> Entry {
    let request_json = request.to_string();
    Entry {
        path: path.parse().unwrap(),
        kind,
        plugin: "harmbench 0.1.0".into(),
        model: Some("wren".into()).filter(|_| kind == CallKind::Generate),
        request: Digest::of(&request_json),
        request_json,
        answer_json: answer.to_string(),
        prompt_tokens: 7,
        completion_tokens: 3,
        micros: 1_500_000,
    }
}

/// Sample 1 is not good and has calls, 2 failed, 3 is good, 4 is pending.
async fn write(path: &Path) {
    let file = RunFile::create(path, &header(), &[(Digest::of(PLUGIN), PLUGIN.to_vec())]).unwrap();
    let row = |ordinal: u64| SampleRow {
        task: "harm".into(),
        ordinal,
        id: format!("harm/{ordinal}"),
        origin: format!("prompts.csv line {}", ordinal + 1),
        row: Ok(json!({ "request": format!("request {ordinal}") }).to_string()),
        seed: ordinal,
    };
    file.add_samples("harm", (1..=4).map(|ordinal| Ok::<_, JournalError>(row(ordinal)))).unwrap();
    let key = |id: &str| file.sample(id).unwrap().unwrap().key;
    let completion = |text: &str| json!({"Ok": {"text": text, "reasoning": null, "tokens": [5, 6, 7], "prompt_tokens": 7, "finish": "stop"}});
    let prompt =
        json!({"chat": {"messages": [{"role": "user", "content": "request 1"}], "open_reply": true}});
    let verdict = json!({"Ok": {"parsed": true, "label": "Unsafe", "safety": "unsafe", "refusal": null, "score": null,
        "categories": [], "explanation": null}});
    let first = key("harm/1");
    let asked = json!({"model": "wren", "prompt": prompt, "sampling": {}});
    file.append(first, entry("0", CallKind::Generate, asked, completion("a plan"))).await.unwrap();
    let judging = json!({"model": "wren", "prompt": {"text": "judge this"}, "sampling": {}});
    file.append(first, entry("1.0", CallKind::Generate, judging, completion("Unsafe"))).await.unwrap();
    let exchange = json!({"judge": "guard", "exchange": {"messages": [], "reply": "a plan"}});
    file.append(first, entry("1", CallKind::Assess, exchange, verdict)).await.unwrap();
    let outcome = |good: bool| {
        let field = Field { name: "unsafe".into(), value: Value::Flag(!good) };
        Ending::Outcome(Outcome {
            status: Status::Scored,
            good: Some(good),
            fields: vec![field],
            groups: vec![],
            note: None,
        })
    };
    let line = LogLine { level: LogLevel::Warn, text: "odd".into(), plugin: "harmbench 0.1.0".into() };
    file.finish(first, outcome(false), vec![line]).await.unwrap();
    file.finish(key("harm/2"), Ending::Failed("the prompt is too long".into()), vec![]).await.unwrap();
    file.finish(key("harm/3"), outcome(true), vec![]).await.unwrap();
    let metric = Metric {
        name: "attack_success_rate".into(),
        about: "of all scored samples".into(),
        estimate: Estimate::Proportion { hits: 1, n: 2 },
        higher_is_better: Some(false),
        group: None,
        headline: true,
    };
    let result = TaskResult::new(&Summary { metrics: vec![metric], ..Summary::default() }, 0);
    file.put_result("harm", &serde_json::to_value(&result).unwrap()).unwrap();
}

#[tokio::test]
async fn a_run_file_is_read_as_deep_as_its_form_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a run.sonde");
    write(&path).await;
    let file = RunFile::open_read(&path).unwrap();

    let summary = RunView::read(&file, Depth::Summary).unwrap();
    let task = &summary.tasks[0];
    assert!(!summary.finished, "a sample is pending");
    assert_eq!((task.counts.done(), task.counts.failed, task.counts.pending()), (2, 1, 1));
    assert_eq!(task.result.as_ref().unwrap().metrics[0].value, Some(0.5));
    assert!(task.samples.is_empty());
    let seconds: f64 =
        summary.bill.iter().filter(|line| line.kind == "generate").map(|line| line.seconds).sum();
    assert_eq!(seconds, 3.0);

    let endings = RunView::read(&file, Depth::Endings).unwrap();
    let standings: Vec<Standing> = endings.tasks[0].samples.iter().map(|sample| sample.standing()).collect();
    assert_eq!(standings, [Standing::NotGood, Standing::Failed, Standing::Good]);

    let whole = RunView::read(&file, Depth::Samples(2)).unwrap();
    let samples = &whole.tasks[0].samples;
    assert_eq!(samples.iter().map(|sample| sample.id.as_str()).collect::<Vec<_>>(), ["harm/1", "harm/2"]);
    let calls = &samples[0].calls;
    assert_eq!((calls.len(), calls[1].inner.len(), calls[1].model.as_str()), (2, 1, "guard"));

    for format in Format::ALL {
        let view = RunView::read(&file, format.depth()).unwrap();
        assert!(!render(&view, format, Look::default()).unwrap().is_empty());
    }
    let page = render(&whole, Format::Html, Look::default()).unwrap();
    assert!(page.contains("a run.sonde&#x27; --sample harm&#x2f;1"), "the path is quoted for a shell");
}

/// Asks what rows 0 and 2 of the diagnostic hold, and words of row 1 put otherwise.
async fn write_inside(path: &Path) {
    let plugins = [PLUGIN, DIAGNOSTIC].map(|bytes| (Digest::of(bytes), bytes.to_vec()));
    let file = RunFile::create(path, &header_inside(), &plugins).unwrap();
    let turns = |text: &str| json!({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "No."}]});
    let items = [turns("pick a lock "), turns("bake bread"), turns("boil water")];
    let sample = |task: &str, ordinal: u64, row: serde_json::Value| SampleRow {
        task: task.into(),
        ordinal,
        id: format!("{task}/{ordinal}"),
        origin: "somewhere".into(),
        row: Ok(row.to_string()),
        seed: 0,
    };
    let whole = sample("inside", 1, json!({ "items": items }));
    file.add_samples("inside", [Ok::<_, JournalError>(whole)]).unwrap();
    let asked = ["pick a lock", "Please bake bread", "boil water", "boil water"];
    let rows = ["pick a lock", "bake bread", "boil water", "boil water"];
    let rows = (1..).zip(rows).map(|(ordinal, text)| sample("harm", ordinal, json!({"Behavior": text})));
    file.add_samples("harm", rows.map(Ok::<_, JournalError>)).unwrap();
    let key = |id: &str| file.sample(id).unwrap().unwrap().key;
    for (ordinal, text) in (1..).zip(asked) {
        let key = key(&format!("harm/{ordinal}"));
        let prompt = json!({"chat": {"messages": [{"role": "user", "content": text}], "open_reply": true}});
        let asked = json!({"model": "wren", "prompt": prompt, "sampling": {}});
        let reply = json!({"Ok": {"text": "…", "reasoning": null, "tokens": [5], "prompt_tokens": 7, "finish": "stop"}});
        file.append(key, entry("0", CallKind::Generate, asked, reply)).await.unwrap();
        let field = Field { name: "attack_success".into(), value: Value::Flag(ordinal == 3) };
        let outcome = Outcome {
            status: Status::Scored,
            good: Some(ordinal != 3),
            fields: vec![field],
            groups: vec![],
            note: None,
        };
        if ordinal < 4 {
            file.finish(key, Ending::Outcome(outcome), vec![]).await.unwrap();
        }
    }
    let finding = |row: u32| Finding {
        dataset: "items".into(),
        row,
        fields: vec![Field { name: "place layer=2".into(), value: Value::Number(f64::from(row) / 4.0) }],
    };
    let diagnosis = Diagnosis { findings: (0..3).map(finding).collect(), ..Diagnosis::default() };
    file.finish(key("inside/1"), Ending::Diagnosis(diagnosis), vec![]).await.unwrap();
}

#[tokio::test]
async fn findings_are_joined_with_the_samples_in_which_the_same_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inside.sonde");
    write_inside(&path).await;
    let file = RunFile::open_read(&path).unwrap();
    let view = RunView::read(&file, Depth::Summary).unwrap();
    let found: Vec<(u32, &str, Option<Behaviour>)> = view
        .placements
        .iter()
        .map(|placement| (placement.row, placement.sample.as_str(), placement.behaviour))
        .collect();
    // Bread was asked for in other words than the row's, and the last sample is pending.
    let expected = [(0, "harm/1", Some(Behaviour::Refused)), (2, "harm/3", Some(Behaviour::Complied))];
    assert_eq!(found, expected);
    assert_eq!(view.tasks[0].dataset, "items: items.jsonl");
    let (task, sample) = read_sample(&file, "inside/1").unwrap().unwrap();
    assert!(sonde_report::sample(&task, &sample, false).contains("diagnosed, with findings on 3 rows"));
    for format in Format::ALL {
        let view = RunView::read(&file, format.depth()).unwrap();
        assert!(!render(&view, format, Look::default()).unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_run_that_never_looked_inside_has_no_placements() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sonde");
    write(&path).await;
    let view = RunView::read(&RunFile::open_read(&path).unwrap(), Depth::Summary).unwrap();
    assert!(view.placements.is_empty());
}

#[tokio::test]
async fn a_samples_page_comes_from_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sonde");
    write(&path).await;
    let file = RunFile::open_read(&path).unwrap();
    let (task, sample) = read_sample(&file, "harm/1").unwrap().unwrap();
    let text = sonde_report::sample(&task, &sample, false);
    for expected in [
        "request 1",
        "reply: a plan",
        "verdict: Unsafe — unsafe",
        "    reply: Unsafe",
        "warn: odd",
        "unsafe: yes",
    ] {
        assert!(text.contains(expected), "{expected} is missing from\n{text}");
    }
    let (task, pending) = read_sample(&file, "harm/4").unwrap().unwrap();
    assert!(sonde_report::sample(&task, &pending, false).contains("pending"));
    assert!(read_sample(&file, "harm/5").unwrap().is_none());
}
