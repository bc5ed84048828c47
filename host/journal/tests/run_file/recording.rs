//! What goes into a run file comes out again.

use crate::fixture::{call, create, diagnosis, header, line, outcome, row, rows, scored, small_run};
use serde_json::json;
use sonde_contract::{Digest, Status};
use sonde_journal::{CallKind, Counts, Ending, JournalError, RunFile, SampleRow, check};

#[test]
fn a_new_run_gives_back_its_header_and_its_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs/a.sonde");
    let run = create(&path);
    assert_eq!(run.header(), &header());
    assert_eq!(run.plugin(Digest::of(crate::fixture::PLUGIN)).unwrap(), crate::fixture::PLUGIN);
    drop(run);
    let again = RunFile::open_read(&path).unwrap();
    assert_eq!(again.header(), &header());
    let unknown = again.plugin(Digest::of("other")).unwrap_err();
    assert!(matches!(unknown, JournalError::UnknownPlugin(_)));
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    std::fs::write(&path, "precious").unwrap();
    let refused = RunFile::create(
        &path,
        &header(),
        &[(Digest::of(crate::fixture::PLUGIN), crate::fixture::PLUGIN.to_vec())],
    );
    assert!(matches!(refused.err().unwrap(), JournalError::Exists(_)));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_run_without_its_plugins_bytes_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    let refused =
        RunFile::create(&path, &header(), &[(Digest::of(crate::fixture::PLUGIN), b"other bytes".to_vec())]);
    assert!(matches!(refused.err().unwrap(), JournalError::PluginBytes(_)));
    assert!(!path.exists());
}

#[test]
fn samples_come_back_in_dataset_order_with_their_faults() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    assert!(!run.samples_complete("harm").unwrap());
    assert_eq!(run.add_samples("harm", rows("harm", 200)).unwrap(), 200);
    assert_eq!(run.add_samples("over", rows("over", 3)).unwrap(), 3);
    assert!(run.samples_complete("harm").unwrap());
    assert_eq!(run.sample_count("harm").unwrap(), 200);

    let read: Vec<SampleRow> = run
        .samples("harm")
        .unwrap()
        .map(|sample| {
            let sample = sample.unwrap();
            let (task, ordinal, id) = (sample.task, sample.ordinal, sample.id);
            SampleRow { task, ordinal, id, origin: sample.origin, row: sample.row, seed: sample.seed }
        })
        .collect();
    let written: Vec<SampleRow> = (1..=200).map(|n| row("harm", n)).collect();
    assert_eq!(read, written);
    assert_eq!(run.sample("over/2").unwrap().unwrap().ordinal, 2);
    assert_eq!(run.sample("over/4").unwrap(), None);
}

#[test]
fn a_dataset_that_breaks_off_leaves_no_samples() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    let broken = rows("harm", 4).chain([Err(JournalError::NotWritten("the dataset broke off".into()))]);
    let error = run.add_samples("harm", broken).unwrap_err();
    assert!(error.to_string().contains("the dataset broke off"));
    assert!(!run.samples_complete("harm").unwrap());
    assert_eq!(run.samples("harm").unwrap().count(), 0);
    run.add_samples("harm", rows("harm", 4)).unwrap();
    let twice = run.add_samples("harm", rows("harm", 4)).unwrap_err();
    assert!(matches!(twice, JournalError::SamplesComplete(_)), "{twice}");
}

#[test]
fn samples_that_share_an_id_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    let same = [Ok(row("harm", 1)), Ok(SampleRow { ordinal: 2, ..row("harm", 1) })];
    let error = run.add_samples::<JournalError>("harm", same).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sample harm/1 cannot be added to task \"harm\": its id or its place is taken"
    );
}

#[tokio::test]
async fn calls_come_back_in_path_order_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    let run = create(&path);
    run.add_samples("harm", rows("harm", 2)).unwrap();
    let key = run.sample("harm/2").unwrap().unwrap().key;
    // A batch's nested calls may end in any order.
    for call_path in ["0", "1.1", "1.0", "1", "10", "2"] {
        run.append(key, call(call_path, call_path)).await.unwrap();
    }
    drop(run);

    let run = RunFile::open(&path).unwrap();
    let expected: Vec<_> = ["0", "1", "1.0", "1.1", "2", "10"].iter().map(|path| call(path, path)).collect();
    let key = run.sample("harm/2").unwrap().unwrap().key;
    assert_eq!(run.recorded(key).unwrap(), expected);
    assert!(run.recorded(run.sample("harm/1").unwrap().unwrap().key).unwrap().is_empty());
    run.append(key, call("11", "after reopening")).await.unwrap();
    assert_eq!(run.recorded(key).unwrap().len(), 7);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    run.add_samples("harm", rows("harm", 1)).unwrap();
    let key = run.sample("harm/1").unwrap().unwrap().key;
    run.append(key, call("0", "question")).await.unwrap();

    let twice = run.append(key, call("0", "another")).await.unwrap_err();
    assert_eq!(twice.to_string(), "call 0 of sample harm/1 is recorded already");
    let mut wrong = call("1", "question");
    wrong.request_json.push(' ');
    assert!(matches!(run.append(key, wrong).await.unwrap_err(), JournalError::WrongDigest(_)));
    let infinite = Ending::Outcome(outcome(Status::Scored, f64::NAN));
    let error = run.finish(key, infinite, vec![]).await.unwrap_err();
    assert!(error.to_string().contains("\"refusal\" is not a finite number"), "{error}");

    run.finish(key, scored(), vec![]).await.unwrap();
    assert!(matches!(run.finish(key, scored(), vec![]).await.unwrap_err(), JournalError::AlreadyEnded(_)));
    assert!(matches!(run.append(key, call("1", "late")).await.unwrap_err(), JournalError::AlreadyEnded(_)));
    assert!(matches!(run.counts("nothing").unwrap_err(), JournalError::UnknownTask(_)));
}

#[tokio::test]
async fn endings_are_counted_by_status_and_only_open_samples_are_pending() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    run.add_samples("harm", rows("harm", 6)).unwrap();
    run.add_samples("over", rows("over", 2)).unwrap();
    let endings = [
        scored(),
        Ending::Failed("the plugin trapped".into()),
        Ending::Outcome(outcome(Status::Unparsable("no label".into()), 1.0)),
        Ending::Outcome(outcome(Status::Skipped("no context".into()), 2.0)),
    ];
    // Samples end in any order.
    for (n, ending) in (1..5_usize).zip(&endings).rev() {
        let key = run.sample(&format!("harm/{n}")).unwrap().unwrap().key;
        run.finish(key, ending.clone(), vec![line("one"), line("two")]).await.unwrap();
        assert_eq!(run.ending(key).unwrap().as_ref(), Some(ending));
    }
    let counts = run.counts("harm").unwrap();
    assert_eq!(counts, Counts { total: 6, scored: 1, unparsable: 1, skipped: 1, failed: 1 });
    assert_eq!((counts.ended(), counts.pending()), (4, 2));
    let pending: Vec<String> = run.pending("harm").unwrap().map(|sample| sample.unwrap().id).collect();
    assert_eq!(pending, ["harm/5", "harm/6"]);

    let outcomes: Vec<u64> = run.outcomes("harm").unwrap().map(|outcome| outcome.unwrap().0).collect();
    assert_eq!(outcomes, [1, 3, 4]);
    // 0.1 + 0.2 is not 0.3, and reads back as itself.
    let first = run.outcomes("harm").unwrap().next().unwrap().unwrap().1;
    assert_eq!(first, outcome(Status::Scored, 0.1 + 0.2));
    let all: Vec<Ending> = run.endings("harm").unwrap().map(|ended| ended.unwrap().ending).collect();
    assert_eq!(all, endings);
    let key = run.sample("harm/2").unwrap().unwrap().key;
    assert_eq!(run.logs(key).unwrap(), [line("one"), line("two")]);
    assert_eq!(run.counts("over").unwrap(), Counts { total: 2, ..Counts::default() });
}

#[tokio::test]
async fn a_diagnosis_is_kept_to_the_last_bit_and_its_findings_are_read_by_task() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    let run = create(&path);
    run.add_samples("harm", rows("harm", 1)).unwrap();
    run.add_samples("over", rows("over", 1)).unwrap();
    let found = diagnosis(0.1 + 0.2);
    let key = run.sample("harm/1").unwrap().unwrap().key;
    let refused = run.finish(key, Ending::Diagnosis(diagnosis(f64::NAN)), vec![]).await.unwrap_err();
    assert!(refused.to_string().starts_with("the diagnosis holds a number that is not finite"), "{refused}");
    assert_eq!(run.diagnosis("harm").unwrap(), None);
    run.finish(key, Ending::Diagnosis(found.clone()), vec![]).await.unwrap();
    assert_eq!(run.ending(key).unwrap(), Some(Ending::Diagnosis(found.clone())));
    assert_eq!(run.diagnosis("harm").unwrap().as_ref(), Some(&found));
    assert_eq!(run.findings("harm").unwrap(), found.findings);
    assert_eq!(run.outcomes("harm").unwrap().count(), 0);
    assert_eq!(run.counts("harm").unwrap(), Counts { total: 1, scored: 1, ..Counts::default() });
    // A task of outcomes has no findings.
    let other = run.sample("over/1").unwrap().unwrap().key;
    run.finish(other, scored(), vec![]).await.unwrap();
    assert_eq!((run.diagnosis("over").unwrap(), run.findings("over").unwrap()), (None, vec![]));
    drop(run);
    check(&path).unwrap();
}

#[tokio::test]
async fn every_kind_of_call_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(&folder.path().join("a.sonde"));
    run.add_samples("harm", rows("harm", 1)).unwrap();
    let key = run.sample("harm/1").unwrap().unwrap().key;
    let kinds = [
        (CallKind::Capture, "capture"),
        (CallKind::Trace, "trace"),
        (CallKind::ReadCapture, "read-capture"),
        (CallKind::Intervene, "intervene"),
        (CallKind::Tensors, "tensors"),
        (CallKind::ReadTensor, "read-tensor"),
        (CallKind::Importance, "importance"),
    ];
    for (index, (kind, name)) in kinds.iter().enumerate() {
        assert_eq!(kind.to_string(), *name);
        run.append(key, sonde_journal::Entry { kind: *kind, ..call(&index.to_string(), name) })
            .await
            .unwrap();
    }
    let recorded: Vec<CallKind> = run.recorded(key).unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(recorded, kinds.map(|(kind, _)| kind));
}

#[tokio::test]
async fn the_bill_sums_calls_by_plugin_model_and_kind() {
    let folder = tempfile::tempdir().unwrap();
    let run = small_run(&folder.path().join("a.sonde")).await;
    let key = run.sample("harm/4").unwrap().unwrap().key;
    let render = sonde_journal::Entry { model: None, kind: CallKind::Render, ..call("0", "template") };
    run.append(key, render).await.unwrap();
    let bill = run.bill().unwrap();
    let lines: Vec<_> =
        bill.iter().map(|line| (line.model.as_deref(), line.kind, line.calls, line.prompt_tokens)).collect();
    // Three samples with two calls of 20 tokens each, and one call that asks no model.
    assert_eq!(lines, [(None, CallKind::Render, 1, 20), (Some("wren"), CallKind::Generate, 6, 120)]);
    assert_eq!(bill[1].completion_tokens, 30);
    assert!((bill[1].seconds - 0.009).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_waiters_append_at_once_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    let run = create(&path);
    run.add_samples("harm", rows("harm", 80)).unwrap();
    let mut tasks = Vec::new();
    for waiter in 0..8_u64 {
        let run = run.clone();
        tasks.push(tokio::spawn(async move {
            for n in 1..=10 {
                let key = run.sample(&format!("harm/{}", waiter * 10 + n)).unwrap().unwrap().key;
                for index in 0..3 {
                    run.append(key, call(&index.to_string(), "question")).await.unwrap();
                }
                run.finish(key, scored(), vec![]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(run.counts("harm").unwrap().scored, 80);
    drop(run);
    let integrity = sonde_journal::check(&path).unwrap();
    assert_eq!((integrity.entries, integrity.samples, integrity.is_sealed()), (320, 80, false));
}

#[tokio::test]
async fn a_run_is_finished_when_every_task_has_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let run = small_run(&folder.path().join("a.sonde")).await;
    assert!(!run.finished().unwrap());
    for n in 4..=5 {
        let key = run.sample(&format!("harm/{n}")).unwrap().unwrap().key;
        run.finish(key, Ending::Failed("no".into()), vec![]).await.unwrap();
    }
    assert!(!run.finished().unwrap());
    run.put_result("over", &json!({ "metrics": [] })).unwrap();
    assert!(run.finished().unwrap());
    let result = run.result("harm").unwrap().unwrap();
    assert_eq!(result, json!({ "metrics": [{ "name": "asr", "value": 0.25 }] }));
}

#[test]
fn a_run_of_a_hundred_thousand_samples_opens_and_sums_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.sonde");
    let run = create(&path);
    assert_eq!(run.add_samples("harm", rows("harm", 100_000)).unwrap(), 100_000);
    run.put_result("harm", &json!({ "metrics": [] })).unwrap();
    run.seal().unwrap();
    drop(run);
    let run = RunFile::open_read(&path).unwrap();
    assert_eq!(run.counts("harm").unwrap().pending(), 100_000);
    assert!(run.result("harm").unwrap().is_some());
    assert_eq!(
        run.samples("harm").unwrap().last().unwrap().unwrap(),
        run.sample("harm/100000").unwrap().unwrap()
    );
}
