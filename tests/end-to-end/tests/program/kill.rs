//! `kill -9` at any moment, and the same command again: the run ends as if nothing had happened.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::{Connection, OpenFlags};

use crate::support::{Folder, demo, finished_demo, results, run, sonde};

/// Another one each time; `SONDE_KILL_SEED` brings one back.
fn seed() -> u64 {
    let given = std::env::var("SONDE_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("SONDE_KILL_SEED={seed}");
    seed
}

/// Every sample's ending, and every call with its question and its answer, as the file has them.
fn content(run_file: &Path) -> Vec<[String; 4]> {
    let file = Connection::open_with_flags(run_file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let query = "SELECT s.id, '', e.status, e.body FROM endings e JOIN samples s ON s.key = e.sample
        UNION ALL SELECT s.id, c.path, c.request_json, c.answer_json FROM calls c JOIN samples s ON s.key = c.sample
        ORDER BY 1, 2";
    let mut query = file.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The results without where and when.
fn figures(run_file: &Path) -> serde_json::Value {
    let mut results = results(run_file);
    for key in ["path", "created"] {
        results["run"].as_object_mut().unwrap().remove(key).unwrap();
    }
    results
}

pub fn ends_like_the_unbroken_run(run_file: &Path, whole: &Path, what: &str) {
    let (there, here) = (content(whole), content(run_file));
    for (there, here) in there.iter().zip(&here) {
        assert_eq!(here, there, "{what}");
    }
    assert_eq!(here.len(), there.len(), "{what}");
    assert_eq!(figures(run_file), figures(whole), "{what}");
    let verified = run(sonde(["verify"]).arg(run_file));
    assert_eq!(verified.code, Some(0), "{what}: {verified:?}");
}

/// The demo with fewer rows, for kills that need many runs or one moment only.
fn short_demo(run_file: &Path) -> Command {
    let mut command = demo(run_file);
    command.args(["--limit", "8"]);
    command
}

/// Starts this and kills it after this long. Whether it was still running.
fn killed_after(mut command: Command, moment: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// Starts the short demo and kills it a moment after the event of this kind is told for the `number`th time.
fn killed_at(run_file: &Path, kind: &str, number: usize, moment: Duration) {
    let mut child =
        short_demo(run_file).arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.filter(|line| line.contains(&format!("\"event\":\"{kind}\""))).nth(number - 1);
    assert!(told.is_some(), "{number} events of the kind {kind:?}");
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs the jobs on as many threads as there are processors, for the sake of those who wait.
fn at_once(jobs: usize, job: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < jobs) {
                    job(number);
                }
            });
        }
    });
}

#[test]
fn the_demo_killed_at_ten_random_moments_ends_each_time_with_the_unbroken_runs_outcomes() {
    finished_demo();
    // How long a run takes just now, beside whatever else this machine does.
    let folder = Folder::new();
    let started = Instant::now();
    run(demo(&folder.path("timed.sonde"))).ended_with(0);
    let whole = started.elapsed();
    let seed = seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // One moment in each tenth of the run: while planning, while loading, in each task, at the end.
    let moments: Vec<Duration> = (0..10)
        .map(|tenth| whole.mul_f64((f64::from(tenth) + random.random_range(0.0..1.0)) / 10.0))
        .collect();
    at_once(moments.len(), |number| {
        let what = format!("killed after {:?} of {whole:?}, seed {seed}", moments[number]);
        let file = folder.path(&format!("{number}.sonde"));
        let running = killed_after(demo(&file), moments[number]);
        println!("{what}{}", if running { "" } else { ": it had ended" });
        let resumed = run(demo(&file));
        assert_eq!(resumed.code, Some(0), "{what}: {resumed:?}");
        ends_like_the_unbroken_run(&file, finished_demo(), &what);
    });
}

#[test]
fn a_kill_while_samples_are_added_or_results_are_sealed_loses_nothing() {
    let seed = seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = Folder::new();
    let whole = folder.path("whole.sonde");
    run(short_demo(&whole)).ended_with(0);
    // After the second model is loaded the file is made and the samples are added; after the fifth task's samples the
    // last results are computed and the file is sealed.
    let places =
        [("loading", 2, 60_000), ("task", 1, 2_000), ("summarising", 5, 3_000), ("summarising", 5, 30_000)];
    let places = places
        .map(|(kind, number, most)| (kind, number, Duration::from_micros(random.random_range(0..most))));
    at_once(places.len(), |index| {
        let (kind, number, moment) = places[index];
        let what = format!("killed {moment:?} after {kind} {number}, seed {seed}");
        println!("{what}");
        let file = folder.path(&format!("{index}.sonde"));
        killed_at(&file, kind, number, moment);
        let resumed = run(short_demo(&file));
        assert_eq!(resumed.code, Some(0), "{what}: {resumed:?}");
        ends_like_the_unbroken_run(&file, &whole, &what);
    });
}

#[test]
fn a_run_killed_again_and_again_comes_to_its_end() {
    let seed = seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = Folder::new();
    let whole = folder.path("whole.sonde");
    run(short_demo(&whole)).ended_with(0);
    let file = folder.path("again.sonde");
    let mut kills = 0;
    // Longer each time, so that even a busy machine gets further than the last attempt did.
    while killed_after(short_demo(&file), Duration::from_millis(random.random_range(200..600) + 40 * kills)) {
        kills += 1;
        assert!(kills < 60, "killed {kills} times and still not done, seed {seed}");
    }
    println!("killed {kills} times");
    assert!(kills >= 1);
    run(short_demo(&file)).ended_with(0);
    ends_like_the_unbroken_run(&file, &whole, &format!("killed {kills} times, seed {seed}"));
}

#[test]
fn what_a_kill_leaves_can_be_looked_at_before_it_is_resumed() {
    let folder = Folder::new();
    let file = folder.path("half.sonde");
    killed_at(&file, "sample", 20, Duration::ZERO);
    let verified = run(sonde(["verify"]).arg(&file));
    assert!(
        verified.out.contains("is not finished") || verified.err.contains("being written"),
        "{verified:?}"
    );
    assert_ne!(verified.code, Some(0));
    let listed = run(sonde(["runs"]).arg(&file));
    assert!(
        listed.ended_with(0).out.contains("unfinished") || listed.out.contains("being written"),
        "{listed:?}"
    );
}
