//! `sonde verify`: passes on what was run, and fails, saying where, on anything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::Connection;
use serde_json::Value;
use sonde_journal::{CallKind, Ending, Entry, RunFile, SampleRow};

use crate::support::{Folder, Ran, demo, finished_demo, model, root, run, sonde};

fn verify(run_file: &Path) -> Ran {
    run(sonde(["verify"]).arg(run_file))
}

/// A copy of the finished demo with other bytes.
fn altered(folder: &Folder, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(finished_demo()).unwrap();
    change(&mut bytes);
    folder.write(name, bytes)
}

#[test]
fn a_finished_run_is_verified() {
    let verified = verify(finished_demo());
    verified.ended_with(0);
    for words in ["the seal fits every byte", "182 samples on recorded answers", "is verified"] {
        assert!(verified.out.contains(words), "{words}: {verified:?}");
    }
}

#[test]
fn no_byte_can_change_unnoticed() {
    let folder = Folder::new();
    let length = fs::metadata(finished_demo()).unwrap().len() as usize;
    let seed: u64 = rand::rng().random_range(0..1_000_000);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The file's mark and version, both ends of each of the first pages, the last byte, and anywhere.
    let fixed = [0, 18, 27, 68, 96, 4095, 4096, 8191, 8192, length - 1];
    let anywhere: Vec<usize> = (0..50).map(|_| random.random_range(0..length)).collect();
    for place in fixed.into_iter().chain(anywhere) {
        let bit = 1_u8 << random.random_range(0..8);
        let file = altered(&folder, "changed.sonde", |bytes| bytes[place] ^= bit);
        let verified = verify(&file);
        let said = format!("{}{}", verified.out, verified.err);
        assert!(matches!(verified.code, Some(1 | 2)), "byte {place} of {length}, seed {seed}: {verified:?}");
        let says_what = [
            "is torn: ",
            "has been changed since it was written: ",
            "is not a run file",
            "has schema version",
        ]
        .iter()
        .any(|what| said.contains(what));
        assert!(says_what, "byte {place} of {length}, seed {seed}: {said}");
        assert!(!said.contains("is verified"), "byte {place}: {said}");
    }
}

#[test]
fn a_file_that_was_cut_off_or_grew_is_damaged() {
    let folder = Folder::new();
    for kept in [0.999, 0.5, 0.01] {
        let file =
            altered(&folder, "cut.sonde", |bytes| bytes.truncate((bytes.len() as f64 * kept) as usize));
        let verified = verify(&file);
        assert_eq!(verified.code, Some(1), "{kept}: {verified:?}");
        assert!(verified.out.contains("is torn: "), "{kept}: {verified:?}");
    }
    let page = altered(&folder, "page.sonde", |bytes| bytes.truncate(bytes.len() - 4096));
    assert_eq!(verify(&page).code, Some(1));
    for tail in [&b"\0"[..], &[7; 4096]] {
        let file = altered(&folder, "longer.sonde", |bytes| bytes.extend_from_slice(tail));
        let verified = verify(&file);
        assert_eq!(verified.code, Some(1), "{verified:?}");
        let told = ["is torn: it ends after ", "has been changed since it was written: outside"];
        assert!(told.iter().any(|told| verified.out.contains(told)), "{verified:?}");
    }
}

#[test]
fn a_file_that_is_no_run_file_is_said_to_be_none() {
    let folder = Folder::new();
    for (name, content) in [("text.sonde", &b"hello\n"[..]), ("zeros.sonde", &[0; 20_000])] {
        let verified = verify(&folder.write(name, content));
        verified.ended_with(1);
        assert!(verified.out.contains("is not a run file"), "{name}: {verified:?}");
    }
    let empty = verify(&folder.write("empty.sonde", ""));
    assert!(empty.ended_with(1).out.contains("is torn: it ends after 0 bytes"), "{empty:?}");
    let database = folder.path("database.sonde");
    Connection::open(&database).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let verified = verify(&database);
    assert!(format!("{}{}", verified.out, verified.err).contains("is not a run file"), "{verified:?}");
    verify(&folder.path("none.sonde")).refused_with(2, &["there is no run file"]);
    verify(Path::new(env!("CARGO_TARGET_TMPDIR"))).refused_with(2, &[]);
}

/// The demo, stopped after some samples.
fn unfinished(folder: &Folder) -> PathBuf {
    let file = folder.path("unfinished.sonde");
    let mut child = demo(&file).arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.map(Result::unwrap).filter(|line| line.contains("\"event\":\"sample\"")).nth(30).is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    file
}

#[test]
fn an_unfinished_run_is_not_verified_and_a_changed_answer_in_it_is_found() {
    let folder = Folder::new();
    let file = unfinished(&folder);
    // Whoever opens it for writing takes what the killed process left behind into the file.
    drop(RunFile::open(&file).unwrap());
    let verified = verify(&file);
    verified.ended_with(1);
    assert!(verified.out.contains("there is no seal yet"), "{verified:?}");
    assert!(verified.out.contains("is not finished"), "{verified:?}");

    let connection = Connection::open(&file).unwrap();
    let first_verdict = "number = (SELECT min(number) FROM calls WHERE answer_json LIKE '%Safe%')";
    let change = format!(
        "UPDATE calls SET answer_json = replace(answer_json, 'Safe', 'Unsafe') WHERE {first_verdict}"
    );
    let changed = connection.execute(&change, []).unwrap();
    assert_eq!(changed, 1);
    drop(connection);
    let verified = verify(&file);
    verified.ended_with(1);
    assert!(verified.out.contains("has been changed since it was written: entry "), "{verified:?}");
}

/// Writes the demo's run anew, call by call and rightly chained and sealed, with whatever `forge` changes: what
/// somebody would do who wants better results and knows the format.
fn forged(
    folder: &Folder,
    mut call: impl FnMut(&str, &mut Entry),
    mut ending: impl FnMut(&str, &mut Ending),
    mut result: impl FnMut(&str, &mut Value),
) -> PathBuf {
    let source = RunFile::open_read(finished_demo()).unwrap();
    let header = source.header().clone();
    let plugins: Vec<_> =
        header.plugins.iter().map(|plugin| (plugin.digest, source.plugin(plugin.digest).unwrap())).collect();
    let path = folder.path("forged.sonde");
    let _ = fs::remove_file(&path);
    let copy = RunFile::create(&path, &header, &plugins).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for task in &header.tasks {
        let samples: Vec<_> = source.samples(&task.name).unwrap().map(Result::unwrap).collect();
        let rows = samples.iter().cloned().map(|sample| {
            let sonde_journal::Sample { task, ordinal, id, origin, row, seed, .. } = sample;
            Ok::<_, sonde_journal::JournalError>(SampleRow { task, ordinal, id, origin, row, seed })
        });
        copy.add_samples(&task.name, rows).unwrap();
        for sample in &samples {
            let key = copy.sample(&sample.id).unwrap().unwrap().key;
            for mut entry in source.recorded(sample.key).unwrap() {
                call(&sample.id, &mut entry);
                runtime.block_on(copy.append(key, entry)).unwrap();
            }
            let mut end = source.ending(sample.key).unwrap().unwrap();
            ending(&sample.id, &mut end);
            runtime.block_on(copy.finish(key, end, Vec::new())).unwrap();
        }
        let mut computed = source.result(&task.name).unwrap().unwrap();
        result(&task.name, &mut computed);
        copy.put_result(&task.name, &computed).unwrap();
    }
    copy.seal().unwrap();
    path
}

#[test]
fn a_forged_run_is_found_out_by_replaying_it() {
    let folder = Folder::new();
    let (leave_call, leave_ending, leave_result) =
        (|_: &str, _: &mut Entry| {}, |_: &str, _: &mut Ending| {}, |_: &str, _: &mut Value| {});

    let faithful = forged(&folder, leave_call, leave_ending, leave_result);
    verify(&faithful).ended_with(0);

    let reply = |id: &str, entry: &mut Entry| {
        if id == "exact-match/3" && entry.kind == CallKind::Generate {
            let mut answer: Value = serde_json::from_str(&entry.answer_json).unwrap();
            answer["Ok"]["text"] = "no idea".into();
            entry.answer_json = answer.to_string();
        }
    };
    let verified = verify(&forged(&folder, reply, leave_ending, leave_result));
    verified.ended_with(1);
    assert!(verified.out.contains("does not verify"), "{verified:?}");
    assert!(verified.out.contains("sample exact-match/3: its outcome was"), "{verified:?}");

    let verdict = |id: &str, entry: &mut Entry| {
        if id == "harmbench/5" && entry.kind == CallKind::Assess {
            entry.answer_json = entry.answer_json.replace("Safe", "Unsafe");
        }
    };
    let verified = verify(&forged(&folder, verdict, leave_ending, leave_result));
    verified.ended_with(1);
    assert!(
        verified.out.contains("sample harmbench/5: the judge \"guard\" gives another verdict"),
        "{verified:?}"
    );

    let question = |id: &str, entry: &mut Entry| {
        if id == "xstest/2" && entry.kind == CallKind::Generate {
            entry.request_json = entry.request_json.replacen("content\":\"", "content\":\"Please: ", 1);
            entry.request = sonde_contract::Digest::of(&entry.request_json);
        }
    };
    let verified = verify(&forged(&folder, question, leave_ending, leave_result));
    verified.ended_with(1);
    assert!(
        verified.out.contains("sample xstest/2: xstest 0.1.0 asks at call 0 for something else"),
        "{verified:?}"
    );

    let better = |id: &str, ending: &mut Ending| {
        if let (true, Ending::Outcome(outcome)) = (id == "xstest/2", ending) {
            outcome.good = outcome.good.map(|good| !good);
        }
    };
    let verified = verify(&forged(&folder, leave_call, better, leave_result));
    verified.ended_with(1);
    assert!(verified.out.contains("sample xstest/2: its outcome was"), "{verified:?}");

    let rounder = |task: &str, result: &mut Value| {
        if task == "harmbench" {
            result["metrics"][0]["value"] = 0.01.into();
        }
    };
    let verified = verify(&forged(&folder, leave_call, leave_ending, rounder));
    verified.ended_with(1);
    assert!(verified.out.contains("task harmbench: attack_success_rate was"), "{verified:?}");
}

#[test]
fn verifying_needs_neither_models_nor_plugins_nor_data() {
    let folder = Folder::new();
    fs::create_dir(folder.path("models")).unwrap();
    for name in ["wren-chat-q8_0.gguf", "wren-guard-q8_0.gguf"] {
        fs::copy(model(name), folder.path("models").join(name)).unwrap();
    }
    fs::create_dir_all(folder.path("configs/prompts")).unwrap();
    for entry in fs::read_dir(root().join("configs/prompts")).unwrap() {
        let from = entry.unwrap().path();
        if from.is_dir() {
            continue;
        }
        fs::copy(&from, folder.path("configs/prompts").join(from.file_name().unwrap())).unwrap();
    }
    fs::copy(root().join("configs/quickstart.yaml"), folder.path("configs/quickstart.yaml")).unwrap();
    folder.sonde(["run", "configs/quickstart.yaml", "--limit", "3"]).ended_with(0);
    fs::remove_dir_all(folder.path("models")).unwrap();
    fs::remove_dir_all(folder.path("configs")).unwrap();
    let empty = folder.path("no-plugins");
    fs::create_dir(&empty).unwrap();
    let file = folder.path("runs/quickstart.sonde");
    let verified = run(sonde(["verify"]).arg(&file).env("SONDE_PLUGINS", &empty));
    assert!(verified.ended_with(0).out.contains("15 samples on recorded answers"), "{verified:?}");
}
