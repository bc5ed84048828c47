//! Seals, damage and its place.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::fixture::{call, small_run};
use rusqlite::Connection;
use sonde_journal::{Damage, JournalError, Place, RunFile, check};

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

async fn sealed(folder: &Path) -> PathBuf {
    let path = folder.join("a.sonde");
    let run = small_run(&path).await;
    run.seal().unwrap();
    path
}

#[tokio::test]
async fn a_sealed_file_stands_alone_and_reading_leaves_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    assert_eq!(files(folder.path()), ["a.sonde"]);
    let bytes = std::fs::read(&path).unwrap();

    let integrity = check(&path).unwrap();
    assert_eq!((integrity.entries, integrity.samples, integrity.is_sealed()), (9, 5, true));
    let run = RunFile::open_read(&path).unwrap();
    assert!(run.is_sealed().unwrap());
    assert_eq!(run.counts("harm").unwrap().scored, 3);
    let refused = run.put_result("harm", &serde_json::json!({})).unwrap_err();
    assert!(matches!(refused, JournalError::ReadOnly(_)));
    drop(run);
    // Opening to go on, without going on, changes nothing either.
    let run = RunFile::open(&path).unwrap();
    assert_eq!(run.pending("harm").unwrap().count(), 2);
    assert_eq!(Some(run.seal().unwrap()), integrity.seal);
    drop(run);
    assert_eq!(files(folder.path()), ["a.sonde"]);
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn the_first_write_takes_the_seal_off_and_a_new_one_can_be_put_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let run = RunFile::open(&path).unwrap();
    let key = run.sample("harm/4").unwrap().unwrap().key;
    run.append(key, call("0", "question 4")).await.unwrap();
    assert!(!run.is_sealed().unwrap());
    run.seal().unwrap();
    assert!(run.is_sealed().unwrap());
    // The same handle goes on after its own seal.
    run.append(key, call("1", "more")).await.unwrap();
    assert_eq!(run.recorded(key).unwrap().len(), 2);
    drop(run);
    let integrity = check(&path).unwrap();
    assert_eq!((integrity.entries, integrity.is_sealed()), (11, false));
    RunFile::open(&path).unwrap().seal().unwrap();
    assert!(check(&path).unwrap().is_sealed());
    assert_eq!(files(folder.path()), ["a.sonde"]);
}

#[tokio::test]
async fn any_changed_byte_of_a_sealed_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let good = std::fs::read(&path).unwrap();
    // A stride of 11 meets every page some 370 times, each kind of byte in it, and every bit of a byte.
    let dense = (0..200).chain(8192 - 80..8192);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut put = |position: usize, byte: u8| {
        file.seek(SeekFrom::Start(position as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    for position in dense.chain((0..good.len()).step_by(11)) {
        put(position, good[position] ^ (1 << (position % 8)));
        let verdict = check(&path);
        assert!(
            matches!(verdict, Err(Damage::Torn { .. } | Damage::Tampered { .. })),
            "byte {position}: {verdict:?}"
        );
        put(position, good[position]);
    }
    assert!(check(&path).unwrap().is_sealed());
}

#[tokio::test]
async fn a_file_that_breaks_off_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let good = std::fs::read(&path).unwrap();
    for length in [0, 1, 50, 99, 100, 4096, 5000, 8192, good.len() / 2, good.len() - 4096, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        let verdict = check(&path);
        assert!(matches!(verdict, Err(Damage::Torn { .. })), "{length} bytes: {verdict:?}");
    }
    std::fs::write(&path, &good[..8192]).unwrap();
    let sentence = check(&path).unwrap_err().to_string();
    assert!(
        sentence.ends_with(&format!("is torn: it ends after 8192 of {} bytes", good.len())),
        "{sentence}"
    );
}

#[tokio::test]
async fn bytes_added_at_the_end_of_a_sealed_file_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([0; 4096]);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(check(&path), Err(Damage::Tampered { place: Place::Outside { .. }, .. })));
}

#[tokio::test]
async fn a_byte_changed_in_free_space_is_said_to_be_outside_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let mut bytes = std::fs::read(&path).unwrap();
    // The second page holds only the seal, at its end; its middle is free.
    bytes[6000] = 1;
    std::fs::write(&path, &bytes).unwrap();
    let sentence = check(&path).unwrap_err().to_string();
    assert!(sentence.contains("outside the recorded content"), "{sentence}");
}

#[tokio::test]
async fn an_answer_altered_in_a_sealed_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let answer = b"answer to verdict 2";
    let start = bytes.windows(answer.len()).position(|window| window == answer).unwrap();
    bytes[start] = b'A';
    std::fs::write(&path, &bytes).unwrap();
    // Sample 2's second call is the fifth link: call, call, ending, call, call.
    let Err(Damage::Tampered { place: Place::Call { number, sample, path, .. }, .. }) = check(&path) else {
        panic!("not named")
    };
    assert_eq!((number, sample.as_str(), path.unwrap().to_string().as_str()), (5, "harm/2", "1.0"));
}

/// Alters an unsealed run through SQL, and says what `check` finds.
async fn altered(sql: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    drop(small_run(&path).await);
    assert!(!check(&path).unwrap().is_sealed());
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
    match check(&path) {
        Err(Damage::Tampered { place, .. }) => place,
        verdict => panic!("{sql}: {verdict:?}"),
    }
}

#[tokio::test]
async fn what_is_altered_in_a_run_that_goes_on_is_named() {
    let cases = [
        (
            "UPDATE calls SET answer_json = '[]' WHERE number = 4",
            "entry 4, call 0 of sample harm/2: it does not fit",
        ),
        (
            "UPDATE calls SET micros = 1 WHERE number = 2",
            "entry 2, call 1.0 of sample harm/1: it does not fit",
        ),
        (
            "UPDATE calls SET request_json = '{}' WHERE number = 1",
            "entry 1, call 0 of sample harm/1: its request",
        ),
        ("UPDATE calls SET sample = 4 WHERE number = 5", "entry 5, call 1.0 of sample harm/4"),
        (
            "UPDATE calls SET kind = 'guess' WHERE number = 5",
            "entry 5, a call of sample harm/2: it cannot be read",
        ),
        ("DELETE FROM calls WHERE number = 5", "entry 5 is missing"),
        ("DELETE FROM endings WHERE sample = 1", "entry 3 is missing"),
        (
            "UPDATE endings SET body = replace(body, 'true', 'false') WHERE sample = 2",
            "entry 6, the ending of sample harm/2",
        ),
        ("UPDATE endings SET status = 'skipped' WHERE sample = 2", "entry 6, the ending of sample harm/2"),
        ("UPDATE endings SET task = 2 WHERE sample = 2", "entry 6, the ending of sample harm/2"),
        ("UPDATE logs SET text = 'nothing' WHERE sample = 3", "entry 9, the ending of sample harm/3"),
        ("UPDATE samples SET row = '{}' WHERE id = 'harm/3'", "sample harm/3"),
        ("UPDATE samples SET seed = 0 WHERE id = 'harm/5'", "sample harm/5"),
        ("DELETE FROM samples WHERE id = 'harm/5'", "task \"harm\" does not have the samples it had"),
        ("UPDATE header SET json = replace(json, 'Q8_0', 'F32')", "the header"),
        ("UPDATE plugins SET bytes = x'00'", "the bytes of plugin"),
        ("DELETE FROM plugins", "the bytes of plugin"),
        ("UPDATE tasks SET name = 'other' WHERE id = 2", "the list of tasks"),
        ("UPDATE tasks SET result = '{}' WHERE id = 1", "the result of task \"harm\""),
        ("UPDATE bill SET calls = calls - 1", "the bill"),
        ("CREATE VIEW v AS SELECT 1", "the definitions of its tables"),
    ];
    for (sql, expected) in cases {
        let place = altered(sql).await.to_string();
        assert!(place.starts_with(expected), "{sql}: {place}");
    }
}

#[tokio::test]
async fn a_header_changed_together_with_its_digest_breaks_the_first_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    drop(small_run(&path).await);
    let connection = Connection::open(&path).unwrap();
    let json: String = connection.query_row("SELECT json FROM header", [], |row| row.get(0)).unwrap();
    let forged = json.replace("Q8_0", "F16");
    let digest = sonde_contract::Digest::of(&forged);
    connection.execute("UPDATE header SET json = ?, digest = ?", (forged, digest.as_bytes())).unwrap();
    drop(connection);
    assert!(matches!(check(&path), Err(Damage::Tampered { place: Place::Call { number: 1, .. }, .. })));
}

#[tokio::test]
async fn entries_cut_from_the_end_of_a_sealed_file_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path()).await;
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("DELETE FROM endings WHERE number = 9; UPDATE bill SET calls = calls").unwrap();
    drop(connection);
    let sentence = check(&path).unwrap_err().to_string();
    assert!(sentence.ends_with("it was sealed with 9 entries and has 8"), "{sentence}");
}

#[test]
fn other_files_are_not_run_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    assert!(matches!(check(&path), Err(Damage::NotARunFile(_))));
    assert!(matches!(RunFile::open_read(&path).err().unwrap(), JournalError::NotARunFile(_)));
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); CREATE TABLE u (x)").unwrap();
    assert!(matches!(check(&path), Err(Damage::NotARunFile(_))));
    assert!(matches!(RunFile::open(&path).err().unwrap(), JournalError::NotARunFile(_)));
    let missing = folder.path().join("b.sonde");
    assert!(matches!(RunFile::open(&missing).err().unwrap(), JournalError::Missing(_)));
    assert!(matches!(check(&missing), Err(Damage::Unreadable(JournalError::Missing(_)))));
}

#[tokio::test]
async fn another_schema_version_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    drop(small_run(&path).await);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert!(matches!(check(&path), Err(Damage::Version { found: 7, known: 4, .. })));
    let sentence = RunFile::open(&path).err().unwrap().to_string();
    assert!(sentence.contains("has schema version 7 and this Sonde reads version 4"), "{sentence}");
}

/// Takes away what version 3 added.
pub fn make_older(path: &Path, version: i64) {
    let file = Connection::open(path).unwrap();
    file.execute_batch("DROP TABLE sources; DROP TABLE reused; DROP TABLE savings").unwrap();
    file.pragma_update(None, "user_version", version).unwrap();
}

/// The file with the seal that it would have been given at its end, by another computation of it.
pub fn sealed_bytes(path: &Path) -> Vec<u8> {
    let sql = "INSERT INTO closing SELECT 1, number, hash FROM (SELECT number, hash FROM calls UNION ALL
               SELECT number, hash FROM endings ORDER BY number DESC LIMIT 1)";
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let mark = b"sealed with SHA-256:";
    let place =
        4096 + bytes[4096..8192].windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    bytes[place..place + 32].fill(0);
    let digest = sonde_contract::Digest::of(&bytes);
    bytes[place..place + 32].copy_from_slice(digest.as_bytes());
    bytes
}

#[tokio::test]
async fn files_of_the_versions_before_are_read_and_proved() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sonde");
        drop(small_run(&path).await);
        make_older(&path, version);
        let run = RunFile::open_read(&path).unwrap();
        assert_eq!(run.counts("harm").unwrap().scored, 3);
        assert_eq!(run.savings().unwrap(), []);
        drop(run);
        check(&path).unwrap();
    }
}

#[tokio::test]
async fn a_run_whose_seal_another_reader_prevents_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    let run = small_run(&path).await;
    let reader = RunFile::open_read(&path).unwrap();
    assert_eq!(reader.counts("harm").unwrap().scored, 3);
    let refused = run.seal().unwrap_err();
    assert!(matches!(refused, JournalError::Busy(_)), "{refused}");
    let key = run.sample("harm/4").unwrap().unwrap().key;
    run.append(key, call("0", "question 4")).await.unwrap();
    assert_eq!(reader.recorded(key).unwrap().len(), 1);
    drop(reader);
    drop(run);
    assert_eq!(check(&path).unwrap().entries, 10);
    RunFile::open(&path).unwrap().seal().unwrap();
    assert!(check(&path).unwrap().is_sealed());
}

#[tokio::test]
async fn a_write_that_its_process_did_not_end_is_tidied_up_by_opening_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde");
    drop(small_run(&path).await);
    // What the disk holds in the middle of a rollback-journal transaction, as when a seal comes off.
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE samples SET seed = 1").unwrap();
    connection.execute("UPDATE header SET json = json || printf('%.*c', 100000, ' ')", []).unwrap();
    let copy = folder.path().join("b.sonde");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(folder.path().join("a.sonde-journal"), folder.path().join("b.sonde-journal")).unwrap();
    drop(connection);

    assert!(matches!(check(&copy), Err(Damage::Unreadable(JournalError::Interrupted(_)))));
    assert!(matches!(RunFile::open_read(&copy).err().unwrap(), JournalError::Interrupted(_)));
    drop(RunFile::open(&copy).unwrap());
    assert_eq!(check(&copy).unwrap().entries, 9);
}
