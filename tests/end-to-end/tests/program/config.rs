//! What a user meets who made a mistake: a sentence with the place and what to do, exit code 2, and nothing begun.

use std::fs;
use std::process::Stdio;

use rusqlite::Connection;

use crate::support::{Folder, count, model, plugin, results, run, shared, signal, sonde};

const ROWS: &str =
    "question,answer\nWhat is the capital of France?,Paris\nWhat is the capital of Peru?,Lima\n";

/// A folder with a dataset, and a config that works; the target's line is 2, the task begins on line 4.
fn working() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("rows.csv", ROWS);
    let config = format!(
        "models:
  target: {{ path: {}, context: 256, sampling: {{ max_tokens: 16, thinking: false }} }}
tasks:
  - name: capitals
    plugin: exact-match
    dataset:
      path: rows.csv
output: out/run.sonde
",
        model("wren-chat-q8_0.gguf")
    );
    (folder, config)
}

/// The working config with one text in place of another, run; nothing may be left behind.
#[track_caller]
fn refused(from: &str, to: &str, sentences: &[&str]) {
    let (folder, config) = working();
    assert!(config.contains(from), "{from}");
    folder.write("c.yaml", config.replacen(from, to, 1));
    folder.sonde(["run", "c.yaml"]).refused_with(2, sentences);
    assert_eq!(folder.names(), ["c.yaml", "rows.csv"]);
}

#[test]
fn the_config_these_tests_break_works() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    folder.sonde(["run", "c.yaml"]).ended_with(0);
    assert_eq!(folder.names(), ["c.yaml", "out", "rows.csv"]);
    let results = results(&folder.path("out/run.sonde"));
    assert_eq!((count(&results, 0, "done"), count(&results, 0, "total")), (2, 2));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    refused("plugin:", "plugn:", &["sonde: unknown key \"plugn\" in c.yaml:5; did you mean \"plugin\"?"]);
    refused("context:", "contxt:", &["unknown key \"contxt\" in c.yaml:2; did you mean \"context\"?"]);
    refused("output:", "ouptut:", &["unknown key \"ouptut\" in c.yaml:8; did you mean \"output\"?"]);
}

#[test]
fn what_is_no_config_is_said_to_be_none() {
    let (folder, config) = working();
    let broken = [
        ("empty.yaml", "".to_owned(), "it is empty"),
        ("comment.yaml", "# nothing\n".to_owned(), "it is empty"),
        ("broken.yaml", "models: [\n".to_owned(), "broken.yaml"),
        ("tabs.yaml", "models:\n\ttarget: {}\n".to_owned(), "tabs.yaml:2"),
        ("list.yaml", "- a\n- b\n".to_owned(), "list.yaml"),
        (
            "twice.yaml",
            format!("{config}output: b.sonde\n"),
            "the key \"output\" occurs a second time in twice.yaml:9",
        ),
        (
            "huge.yaml",
            "# padding\n".repeat(5 << 20),
            "it is larger than 1048576 bytes and so hardly a config",
        ),
        ("deep.yaml", format!("models: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)), "deep.yaml"),
    ];
    for (name, text, sentence) in broken {
        folder.write(name, text);
        folder.sonde(["run", name]).refused_with(2, &[sentence]);
    }
    folder.write("bytes.yaml", b"models:\n  \xff\xfe: 1\n");
    folder.sonde(["run", "bytes.yaml"]).refused_with(2, &["line 2 is not UTF-8 text"]);
    folder
        .sonde(["run", "none.yaml"])
        .refused_with(2, &["cannot read the config none.yaml: there is no such file"]);
    folder.sonde(["run", "."]).refused_with(2, &["it is a folder"]);
    folder.sonde(["run", "rows.csv"]).refused_with(2, &["rows.csv"]);
    folder.sonde(["run"]).refused_with(2, &["CONFIG"]);
}

#[test]
fn an_unknown_plugin_is_named_with_the_nearest_built_in_one() {
    refused(
        "exact-match",
        "exactmatch",
        &[
            "tasks.capitals.plugin in c.yaml:5: there is no built-in plugin \"exactmatch\"",
            "did you mean \"exact-match\"?",
        ],
    );
    refused("plugin: exact-match", "plugin: ./mine.wasm", &["c.yaml:5", "there is no plugin file mine.wasm"]);
    refused(
        "plugin: exact-match",
        "plugin: ./rows.csv",
        &["c.yaml:5", "rows.csv is not a plugin that can be loaded"],
    );
}

#[test]
fn a_plugin_of_the_wrong_kind_is_refused() {
    refused(
        "plugin: exact-match",
        "plugin: refusal-phrases",
        &[
            "tasks.capitals.plugin in c.yaml:5: a benchmark, a diagnostic or a treatment is needed here, and refusal-phrases is a judge",
        ],
    );
    refused(
        "tasks:\n  - name: capitals\n    plugin: exact-match\n",
        "judges: { main: { plugin: exact-match } }\ntasks:\n  - name: capitals\n    plugin: harmbench\n",
        &["no column \"Behavior\""],
    );
    let (folder, config) = working();
    folder.write("rows.csv", "Behavior\nhello\n");
    folder.write(
        "c.yaml",
        config
            .replace("exact-match", "harmbench")
            .replace("tasks:", "judges: { main: { plugin: exact-match } }\ntasks:"),
    );
    folder.sonde(["run", "c.yaml"]).refused_with(
        2,
        &["judges.main.plugin in c.yaml:3: a judge is needed here, and exact-match is a benchmark"],
    );
}

#[test]
fn a_missing_file_is_named_with_what_lies_there_instead() {
    refused(
        "path: rows.csv",
        "path: row.csv",
        &[
            "tasks.capitals.dataset.path in c.yaml:7: the dataset row.csv does not exist",
            "did you mean \"rows.csv\"?",
        ],
    );
    refused(
        "path: rows.csv",
        "path: no/rows.csv",
        &["c.yaml:7", "no/rows.csv does not exist", "there is no folder"],
    );
    refused(
        "wren-chat-q8_0.gguf",
        "wren-chat-q8.gguf",
        &["models.target.path in c.yaml:2: cannot read", "did you mean \"wren-chat-q8_0.gguf\"?"],
    );
}

#[test]
fn a_missing_column_is_named_with_those_there_are() {
    refused(
        "path: rows.csv",
        "path: rows.csv\n      columns: { question: ask }",
        &[
            "tasks.capitals.dataset.columns in c.yaml:8",
            "from \"ask\", which the file does not have",
            "question, answer",
        ],
    );
    refused(
        "path: rows.csv",
        "path: rows.csv\n      columns: { qestion: question }",
        &["c.yaml:8", "feeds \"qestion\", which the plugin does not read; did you mean \"question\"?"],
    );
    refused(
        "exact-match",
        "xstest\n    judges: { }",
        &["xstest needs \"main\" among its judges", "the config defines no judges"],
    );
    let (folder, config) = working();
    folder.write("rows.csv", "text,answer\na,b\n");
    folder.write("c.yaml", config);
    folder.sonde(["run", "c.yaml"]).refused_with(
        2,
        &["tasks.capitals.dataset", "the dataset rows.csv: no column \"question\"", "it has text, answer"],
    );
}

#[test]
fn a_missing_grant_is_named_with_plugin_import_and_line() {
    refused(
        "output:",
        "    grants: [log]\noutput:",
        &[
            "tasks.capitals.grants in c.yaml:8: plugin exact-match 0.1.0 imports generation, which the run does not grant; \
           `grants: [log, generation]` would",
        ],
    );
    refused(
        "output:",
        "    grants: [log, generaton]\noutput:",
        &["c.yaml:8: there is no grant \"generaton\"; did you mean \"generation\"?"],
    );
}

#[test]
fn limits_and_parameters_are_checked_before_anything_runs() {
    let limits = |text: &str| format!("    limits: {{ {text} }}\noutput:");
    refused(
        "output:",
        &limits("memory: 5"),
        &["c.yaml:8: there is no limit \"memory\"; known limits: memory_mib"],
    );
    refused("output:", &limits("memory_mb: 5"), &["c.yaml:8", "did you mean \"memory_mib\"?"]);
    refused(
        "output:",
        &limits("memory_mib: 0"),
        &["c.yaml:8", "`limits.memory_mib` is 0; it must be between 1 and 4096"],
    );
    refused("output:", &limits("memory_mib: much"), &["c.yaml:8", "`limits` cannot be read"]);
    refused("output:", &limits("compute_seconds: -1"), &["c.yaml:8", "`limits.compute_seconds` is -1"]);
    let parameters = |text: &str| format!("    parameters: {{ {text} }}\noutput:");
    refused(
        "output:",
        &parameters("extrct: text"),
        &[
            "tasks.capitals.parameters.extrct in c.yaml:8: exact-match has no parameter \"extrct\"; did you mean \"extract\"?",
        ],
    );
    refused(
        "output:",
        &parameters("extract: txt"),
        &["c.yaml:8: \"txt\" is no choice here; did you mean \"text\"?"],
    );
    refused("output:", &parameters("system: 5"), &["c.yaml:8: 5 is no string"]);
}

#[test]
fn a_pin_holds_file_and_plugin_to_their_digest() {
    let pin = "00".repeat(32);
    refused(
        "context: 256",
        &format!("digest: {pin}"),
        &["models.target.digest in c.yaml:2", "has the SHA-256", &pin],
    );
    refused(
        "exact-match",
        &format!("exact-match\n    digest: {pin}"),
        &["tasks.capitals.digest in c.yaml:6", &pin],
    );
    refused("context: 256", "digest: abc", &["64 hexadecimal digits) in c.yaml:2"]);
    let (folder, config) = working();
    let inspected = folder.sonde(["plugin", "inspect", "exact-match"]);
    let digest = inspected.out.lines().find_map(|line| line.strip_prefix("SHA-256")).unwrap().trim();
    folder.write("c.yaml", config.replace("exact-match", &format!("exact-match\n    digest: {digest}")));
    folder.sonde(["run", "c.yaml", "--dry-run"]).ended_with(0);
}

#[test]
fn a_wrong_set_is_named_as_it_was_written() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    let set = |assignment: &str, sentences: &[&str]| {
        folder.sonde(["run", "c.yaml", "--set", assignment]).refused_with(2, sentences);
    };
    set(
        "tasks.capital.limit=3",
        &["has no \"capital\" in --set tasks.capital.limit=3; did you mean \"capitals\"?"],
    );
    set("tasks.capitals.limt=3", &["did you mean \"limit\"?"]);
    set("tasks.capitals.limit=many", &["--set tasks.capitals.limit=many"]);
    set("tasks.capitals.limit", &["no \"=\""]);
    set("tasks.7.limit=1", &["none numbered 7"]);
    set(
        "models.target.slots=65",
        &["\"models.target.slots\" is 65 in --set models.target.slots=65; it should be 1 to 64"],
    );
    folder.sonde(["run", "c.yaml", "--limit", "0"]).refused_with(2, &["at least 1"]);
    folder.sonde(["run", "c.yaml", "--limit", "-1"]).refused_with(2, &["-1"]);
    assert_eq!(folder.names(), ["c.yaml", "rows.csv"]);
}

#[test]
fn a_model_that_is_none_is_told_before_anything_runs() {
    let (folder, config) = working();
    folder.write("text.gguf", "hello, I am a text\n");
    folder.write("empty.gguf", "");
    folder.write("c.yaml", config);
    let with = |path: &str, sentences: &[&str]| {
        let set = format!("models.target.path={path}");
        folder.sonde(["run", "c.yaml", "--set", &set]).refused_with(2, sentences);
        assert!(!folder.path("out/run.sonde").exists());
    };
    with("text.gguf", &["is not a GGUF model (it begins with \"hell\""]);
    with("empty.gguf", &["empty.gguf"]);
    with(
        ".",
        &["it has no config.json; point `path` at a folder as Hugging Face saves models, or at a .gguf file"],
    );
    let whole = fs::read(model("wren-chat-q8_0.gguf")).unwrap();
    folder.write("cut.gguf", &whole[..whole.len() / 2]);
    with("cut.gguf", &["is truncated"]);
    if let Some(tokenizer) = shared("models/ggml-vocab/ggml-vocab-gpt-2.gguf") {
        with(&tokenizer, &["holds no weights, at most a tokenizer"]);
    }
}

#[test]
fn a_prompt_longer_than_the_context_fails_its_sample_with_both_numbers() {
    let (folder, config) = working();
    let long = "the cat sat on the mat ".repeat(200);
    folder.write("rows.csv", format!("{ROWS}{long},cat\n"));
    folder.write("c.yaml", config);
    let ran = folder.sonde(["run", "c.yaml"]);
    ran.ended_with(1);
    let line = ran.err.lines().find(|line| line.contains("capitals/3 failed")).expect(&ran.err);
    assert!(line.contains("and the context has room for 256; raise `context`"), "{line}");
    assert!(line.contains("the request needs "), "{line}");
    let results = results(&folder.path("out/run.sonde"));
    assert_eq!((count(&results, 0, "done"), count(&results, 0, "failed")), (2, 1));
}

#[test]
fn a_judge_that_asks_a_model_needs_one() {
    let (folder, config) = working();
    folder.write("rows.csv", "Behavior\nhello\n");
    let judged = config
        .replace("exact-match", "harmbench")
        .replace("tasks:", "judges:\n  main: { plugin: qwen3guard }\ntasks:");
    folder.write("c.yaml", &judged);
    folder
        .sonde(["run", "c.yaml"])
        .refused_with(2, &["judges.main in c.yaml:4: needs a model: qwen3guard asks one"]);
    folder.write("c.yaml", judged.replace("qwen3guard }", "qwen3guard, model: gaurd }"));
    folder.sonde(["run", "c.yaml"]).refused_with(2, &["\"judges.main.model\" is \"gaurd\"", "c.yaml:4"]);
}

#[test]
fn an_output_with_another_run_is_left_alone_and_the_difference_named() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    folder.sonde(["run", "c.yaml"]).ended_with(0);
    let before = fs::read(folder.path("out/run.sonde")).unwrap();
    folder.sonde(["run", "c.yaml", "--set", "tasks.capitals.limit=1"]).refused_with(
        2,
        &[
            "out/run.sonde holds a run of another plan (`tasks.0.limit` was nothing and is 1)",
            "--output FILE",
        ],
    );
    folder.write("rows.csv", ROWS.replace("Peru", "Chile"));
    folder.sonde(["run", "c.yaml"]).refused_with(2, &["a model, plugin or dataset file has other content"]);
    assert_eq!(fs::read(folder.path("out/run.sonde")).unwrap(), before);
    folder.write("rows.csv", ROWS);
    let again = folder.sonde(["run", "c.yaml"]);
    again.ended_with(0);
    assert!(again.err.contains("holds this run already, finished"), "{}", again.err);
    assert_eq!(fs::read(folder.path("out/run.sonde")).unwrap(), before);
}

#[test]
fn an_output_that_another_process_writes_is_left_to_it() {
    let (folder, config) = working();
    folder.write(
        "rows.csv",
        format!("question,answer\n{}", "What is the capital of France?,Paris\n".repeat(2000)),
    );
    folder.write("c.yaml", config);
    let mut first = sonde(["run", "c.yaml", "--json"])
        .current_dir(folder.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(first.stdout.take().unwrap()));
    assert!(lines.map(Result::unwrap).any(|line| line.contains("\"event\":\"sample\"")));
    let process = format!("process {}", first.id());
    folder
        .sonde(["run", "c.yaml"])
        .refused_with(2, &["out/run.sonde is in use: ", &process, " is writing it"]);
    signal(first.id(), "KILL");
    first.wait().unwrap();
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_a_model_is_loaded() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    for output in ["rows.csv/run.sonde", "/proc/run.sonde", "/dev/null/run.sonde"] {
        let ran = folder.sonde(["run", "c.yaml", "--output", output]);
        ran.refused_with(2, &["run.sonde cannot be written"]);
        assert!(!ran.err.contains("loading"), "{}", ran.err);
    }
    folder.sonde(["run", "c.yaml", "--output", "rows.csv"]).refused_with(2, &["the same file as"]);
    folder.sonde(["run", "c.yaml", "--output", "."]).refused_with(2, &["which is not a file's name"]);
    folder.write("other.sonde", "a text of mine\n");
    folder
        .sonde(["run", "c.yaml", "--output", "other.sonde"])
        .refused_with(2, &["other.sonde is not a run file"]);
    assert_eq!(fs::read_to_string(folder.path("other.sonde")).unwrap(), "a text of mine\n");
    Connection::open(folder.path("foreign.sonde")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    folder
        .sonde(["run", "c.yaml", "--output", "foreign.sonde"])
        .refused_with(2, &["foreign.sonde is not a run file"]);
}

#[test]
fn a_dataset_without_rows_is_refused() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    for (content, sentence) in [
        ("", "the dataset rows.csv is empty"),
        ("question,answer\n", "the dataset rows.csv holds no rows"),
        ("question,answer\n\"never closed,1\n", "rows.csv"),
    ] {
        folder.write("rows.csv", content);
        folder
            .sonde(["run", "c.yaml"])
            .refused_with(2, &["tasks.capitals.dataset.path in c.yaml:7", sentence]);
    }
}

#[test]
fn a_read_only_run_file_can_be_read_and_says_why_it_cannot_go_on() {
    let (folder, config) = working();
    folder.write("c.yaml", config);
    folder.sonde(["run", "c.yaml"]).ended_with(0);
    let file = folder.path("out/run.sonde");
    let mut permissions = fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&file, permissions).unwrap();
    run(sonde(["show"]).arg(&file)).ended_with(0);
    run(sonde(["verify"]).arg(&file)).ended_with(0);
    folder.sonde(["run", "c.yaml"]).ended_with(0);
}

#[test]
fn commands_refuse_what_they_cannot_read() {
    let folder = Folder::new();
    folder.write("text.sonde", "hello\n");
    for (arguments, sentence) in [
        (vec!["show", "none.sonde"], "there is no run file"),
        (vec!["show", "text.sonde"], "is not a run file"),
        (vec!["show", "."], ""),
        (vec!["runs", "nowhere"], "cannot look into nowhere"),
        (vec!["plugin", "inspect", "exactmatch"], "did you mean \"exact-match\"?"),
        (vec!["plugin", "inspect", "text.sonde"], "is not a plugin that can be loaded"),
        (vec!["plugin", "inspect", "./none.wasm"], "there is no plugin file"),
        (vec!["model", "info", "none.gguf"], "cannot read the model"),
        (vec!["model", "info", "text.sonde"], "is not a GGUF model"),
        (vec!["generate", "text.sonde", "hi"], "is not a GGUF model"),
        (vec!["score", "text.sonde", "--prompt", "a", "b"], "is not a GGUF model"),
        (vec!["show", "text.sonde", "--format", "xml"], "xml"),
        (vec!["shwo"], "show"),
    ] {
        folder.sonde(&arguments).refused_with(2, &[sentence]);
    }
    let wasm = plugin("exact-match").display().to_string();
    folder.sonde(["plugin", "inspect", &wasm]).ended_with(0);
}
