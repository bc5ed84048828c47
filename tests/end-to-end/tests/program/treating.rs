//! `sonde treat`, and treatments in tasks: measured, derived, measured again; killed and gone on with; refused where they
//! do not belong.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::kill::ends_like_the_unbroken_run;
use crate::support::{Folder, model, results, root, run, shared, sonde};

/// A config's treatment, measured on so many rows of each benchmark; x-boundary needs rows of every kind.
fn treat(config: &str, run_file: &Path, rows: u32, settings: &[&str]) -> Command {
    let mut command = sonde(["treat"]);
    command.arg(root().join("configs").join(config)).arg("--output").arg(run_file);
    for task in ["harmbench", "jailbreakbench", "xstest", "exact-match", "multiple-choice"] {
        command.arg("--set").arg(format!("tasks.{task}.limit={rows}"));
    }
    for setting in settings {
        command.arg("--set").arg(format!("treat.derive.{setting}"));
    }
    command
}

/// A short treatment by ROSI of one known strength.
fn rosi(run_file: &Path) -> Command {
    treat("treat-rosi.yaml", run_file, 12, &["limit=12", "parameters.alpha=-64", "parameters.sign_prompts=2"])
}

/// A short training.
fn thinksafe(run_file: &Path) -> Command {
    let settings = ["limit=6", "parameters.most_steps=40", "parameters.epochs=40", "parameters.batch=4"];
    treat("treat-thinksafe.yaml", run_file, 3, &settings)
}

/// The direction of refusal taken out, to see what is left.
fn audit(run_file: &Path) -> Command {
    let settings = [
        "plugin=refusal-direction",
        "judges={}",
        "datasets.calibration-harmful=",
        "datasets.calibration-harmless=",
        "parameters={purpose: robustness-audit, change: projection, prune_layer_percentage: 0, kl_threshold: 10, induce_refusal_threshold: -30}",
    ];
    treat("treat-rosi.yaml", run_file, 3, &settings)
}

/// The treatment that `rosi` leaves, derived once.
fn derived() -> &'static (PathBuf, PathBuf) {
    static DERIVED: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    DERIVED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("treated-{}", std::process::id()));
        let file = folder.join("rosi.sonde");
        let ran = run(rosi(&file));
        ran.ended_with(0);
        assert!(ran.out.contains("Verdict — rosi 0.1.0 at strength 1, on "), "{}", ran.out);
        (file, folder.join("rosi.sonde-treatment"))
    })
}

/// How the one sample of a task that derives a treatment ended.
fn treatment_in(run_file: &Path) -> Value {
    let file = Connection::open_with_flags(run_file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let body: String =
        file.query_row("SELECT body FROM endings WHERE status = 'treated'", [], |row| row.get(0)).unwrap();
    serde_json::from_str(&body).unwrap()
}

/// Starts a command and kills it when it says this for the `number`th time.
fn killed_when(mut command: Command, said: &str, number: usize) {
    let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.filter(|line| line.contains(said)).nth(number - 1);
    assert!(told.is_some(), "{said:?} was not said {number} times");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn tasks_are_measured_before_and_after_and_the_run_begins_with_the_verdict() {
    let (file, treatment) = derived();
    let results = results(file);
    let names: Vec<&str> =
        results["tasks"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    let measured = ["harmbench", "jailbreakbench", "xstest", "exact-match", "multiple-choice", "x-boundary"];
    let before = measured.map(|name| format!("before/{name}"));
    let after = measured.map(|name| format!("after/{name}"));
    let expected: Vec<&str> =
        before.iter().map(String::as_str).chain(["rosi"]).chain(after.iter().map(String::as_str)).collect();
    assert_eq!(names, expected);
    // One sentence for each headline share of the five benchmarks; xstest has two.
    assert_eq!(results["treatment"]["verdict"].as_array().unwrap().len(), 6);
    let compared = results["treatment"]["comparison"]["tasks"].as_array().unwrap();
    assert_eq!(compared.len(), 6);
    assert_eq!(compared[1]["pairs"], 12);
    run(sonde(["verify"]).arg(file)).ended_with(0);
    let kept = treatment_in(file);
    assert_eq!(kept["changes"]["edits"].as_array().unwrap().len(), 12);
    let written: Value = serde_json::from_slice(&fs::read(treatment).unwrap()).unwrap();
    assert_eq!(written["changes"], kept["changes"]);
    let page = fs::read_to_string(file.with_extension("html")).unwrap();
    let verdict = page.find("<h2>Verdict</h2>").unwrap();
    assert!(verdict < page.find("<h2>Results</h2>").unwrap());
}

#[test]
fn a_treatment_that_was_killed_at_any_stage_ends_like_the_unbroken_one() {
    let folder = Folder::new();
    for (number, said) in
        ["\"task\":\"before/xstest\"", "\"event\":\"progress\"", "\"task\":\"after/harmbench\""]
            .iter()
            .enumerate()
    {
        let file = folder.path(&format!("{number}.sonde"));
        killed_when(rosi(&file), said, 1);
        run(rosi(&file)).ended_with(0);
        ends_like_the_unbroken_run(&file, &derived().0, said);
    }
}

#[test]
fn a_training_that_was_killed_goes_on_where_it_was_and_gives_the_same_adapter() {
    let folder = Folder::new();
    let (whole, broken) = (folder.path("whole.sonde"), folder.path("broken.sonde"));
    run(thinksafe(&whole)).ended_with(0);
    killed_when(thinksafe(&broken), "training, loss", 1);
    run(thinksafe(&broken)).ended_with(0);
    assert_eq!(treatment_in(&broken)["digest"], treatment_in(&whole)["digest"]);
    let documents = treatment_in(&whole)["documents"].as_array().unwrap().len();
    assert_eq!(documents, 1, "the training set is kept");
    run(sonde(["verify"]).arg(&broken)).ended_with(0);
    let left: Vec<String> = folder.names().into_iter().filter(|name| name.contains("training")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn an_audit_leaves_no_numbers_and_a_run_that_goes_on_derives_them_again() {
    let folder = Folder::new();
    let file = folder.path("audit.sonde");
    killed_when(audit(&file), "\"task\":\"after/harmbench\"", 1);
    run(audit(&file)).ended_with(0);
    let kept = treatment_in(&file);
    assert_eq!(kept["purpose"], "robustness-audit");
    assert!(kept.get("changes").is_none(), "{kept}");
    assert!(!folder.path("audit.sonde-treatment").exists());
    run(sonde(["verify"]).arg(&file)).ended_with(0);
}

/// A run of a few harmful requests, with these lines in its task.
fn config(folder: &Folder, name: &str, path: &str, treatment: &str) -> PathBuf {
    let prompts = root().join("configs/prompts/treat/jailbreaks.json").display().to_string();
    let config = format!(
        "models:\n  target: {{ path: '{path}', context: 512, sampling: {{ max_tokens: 16, thinking: false }} }}\n\
         judges:\n  phrases: {{ plugin: refusal-phrases }}\n\
         tasks:\n  - name: asked\n    plugin: jailbreakbench\n    judges: {{ main: phrases }}\n    \
         dataset: {{ path: '{prompts}' }}\n    limit: 5\n{treatment}\n\
         reproducible: true\noutput: {name}.sonde\n"
    );
    folder.write(&format!("{name}.yaml"), config)
}

/// What was asked of models, and what they said.
fn asked(folder: &Folder, name: &str) -> Vec<(String, String)> {
    let file =
        Connection::open_with_flags(folder.path(&format!("{name}.sonde")), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let file = file.unwrap();
    let mut query = file
        .prepare("SELECT request_json, answer_json FROM calls WHERE kind = 'generate' ORDER BY sample")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn any_task_may_name_a_treatment_and_at_strength_0_nothing_differs() {
    let folder = Folder::new();
    let treatment = derived().1.display().to_string();
    let target = model("wren-chat-q8_0.gguf");
    for (name, lines) in [
        ("without", String::new()),
        ("none", format!("    treatment: '{treatment}'\n    strength: 0")),
        ("with", format!("    treatment: '{treatment}'")),
    ] {
        let config = config(&folder, name, &target, &lines);
        folder.sonde([Path::new("run"), &config]).ended_with(0);
    }
    let without = asked(&folder, "without");
    assert_eq!(asked(&folder, "none"), without);
    let with = asked(&folder, "with");
    assert!(with.iter().all(|(request, _)| request.contains("\"treatment\":{\"digest\":")), "{with:?}");
    assert!(with.iter().zip(&without).any(|(with, without)| with.1 != without.1), "{with:?}");
    folder.sonde(["verify", "with.sonde"]).ended_with(0);
}

#[test]
fn a_treatment_of_another_model_or_a_broken_one_is_refused_in_a_sentence() {
    let folder = Folder::new();
    let treatment = derived().1.display().to_string();
    let guard = model("wren-guard-q8_0.gguf");
    let other = config(&folder, "other", &guard, &format!("    treatment: '{treatment}'"));
    folder
        .sonde([Path::new("run"), &other])
        .refused_with(2, &["task asked", "this treatment was made for", "not for"]);
    let whole = fs::read(&treatment).unwrap();
    folder.write("short.sonde-treatment", &whole[..whole.len() / 2]);
    let target = model("wren-chat-q8_0.gguf");
    let short = config(&folder, "short", &target, "    treatment: short.sonde-treatment");
    folder.sonde([Path::new("run"), &short]).refused_with(2, &["tasks.asked.treatment", "is cut short"]);
    let turned =
        config(&folder, "turned", &target, &format!("    treatment: '{treatment}'\n    strength: -1"));
    folder
        .sonde([Path::new("run"), &turned])
        .refused_with(2, &["strength", "a treatment is not turned round"]);
    let plain = root().join("configs/quickstart.yaml");
    folder.sonde([Path::new("treat"), &plain]).refused_with(2, &["has no `treat`"]);
    folder
        .sonde([Path::new("run"), &root().join("configs/treat-rosi.yaml")])
        .refused_with(2, &["`sonde treat "]);
}

#[test]
fn another_quantisation_of_the_same_model_is_accepted_and_said() {
    let Some(whole) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let folder = Folder::new();
    let lines = format!("    treatment: '{}'", derived().1.display());
    let config = config(&folder, "wide", &whole, &lines);
    let ran = folder.sonde([Path::new("run"), &config]);
    ran.ended_with(0);
    assert!(ran.err.contains("the treatment was made for another file of"), "{}", ran.err);
}
