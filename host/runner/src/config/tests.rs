//! Configs as users write them, well and badly, and the messages they get.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sonde_contract::Sampling;
use tempfile::TempDir;

use super::described::{Described, Group, Kind};
use super::*;

const GOOD: &str = "\
models:
  target: { path: target.gguf, slots: 8 }
  other: { path: other.gguf }
judges:
  guard: { plugin: qwen3guard, model: other, parameters: { mode: strict } }
tasks:
  - name: harmbench
    plugin: harmbench
    models: { target: target }
    judges: { main: guard }
    dataset: { path: prompts.csv }
    limit: 100
  - name: mmlu-v1.2
    plugin: multiple-choice
output: runs/first.sonde
";

/// A config file in a folder of its own, and the folder.
fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.yaml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: impl AsRef<[u8]>) -> LoadedConfig {
    let (_folder, path) = file(text);
    Config::load(&path).unwrap()
}

/// The message for a broken config, with the file's folder cut away.
fn refusal(text: impl AsRef<[u8]>) -> String {
    let (folder, path) = file(text);
    let message = Config::load(&path).unwrap_err().to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn invalid(text: &str) -> String {
    let (folder, path) = file(text);
    let message = Config::load(&path).unwrap().validate().unwrap_err().to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn set(assignment: &str) -> Result<LoadedConfig, String> {
    let mut loaded = load(GOOD);
    loaded.set(assignment).map(|()| loaded).map_err(|error| error.to_string())
}

#[test]
fn a_config_is_read_in_the_order_it_is_written() {
    let config = load(GOOD).config;
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["target", "other"]);
    assert_eq!(config.models["target"].slots, Some(8));
    assert_eq!(config.tasks[0].limit, Some(100));
    assert_eq!(config.tasks[1].plugin, "multiple-choice");
    assert_eq!(config.judges["guard"].parameters["mode"], json!("strict"));
    load(GOOD).validate().unwrap();
}

#[test]
fn a_mistyped_key_is_named_with_file_line_and_the_key_meant() {
    let text = GOOD.replace("plugin: qwen3guard, model", "plugin: qwen3guard, modle");
    assert_eq!(refusal(text), "unknown key \"modle\" in x.yaml:5; did you mean \"model\"?");
    let text = GOOD.replace("limit: 100", "limt: 100");
    assert_eq!(refusal(text), "unknown key \"limt\" in x.yaml:12; did you mean \"limit\"?");
    assert_eq!(
        refusal(format!("colour: red\n{GOOD}")),
        "unknown key \"colour\" in x.yaml:1; known keys: models, judges, tasks, suites, treat, output, reproducible, seed"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_what_it_should_be() {
    let limit = |value: &str| refusal(GOOD.replace("limit: 100", &format!("limit: {value}")));
    let whole = "\"tasks.0.limit\" should be a whole number from 0 to 18446744073709551615";
    assert_eq!(limit("many"), format!("{whole}, not \"many\", in x.yaml:12"));
    assert_eq!(limit("-1"), format!("{whole}, not -1, in x.yaml:12"));
    assert_eq!(limit("1.5"), format!("{whole}, not 1.5, in x.yaml:12"));
    assert_eq!(limit("[1]"), format!("{whole} in x.yaml:12"));
    assert_eq!(
        refusal(GOOD.replace("slots: 8", "slots: 99999999999")),
        "\"models.target.slots\" should be a whole number from 0 to 4294967295, not 99999999999, in x.yaml:2"
    );
    assert_eq!(
        refusal(format!("{GOOD}reproducible: yes\n")),
        "\"reproducible\" should be true or false, not \"yes\", in x.yaml:16"
    );
    assert_eq!(
        refusal("tasks: { name: a }\noutput: x\n"),
        "\"tasks\" should be a list of mappings, each entry after a \"-\" in x.yaml:1"
    );
    assert_eq!(
        refusal(GOOD.replace("{ mode: strict }", "strict")),
        "\"judges.guard.parameters\" should be a mapping, not \"strict\", in x.yaml:5"
    );
    assert_eq!(
        refusal(GOOD.replace("slots: 8", "engine: lama")),
        "\"models.target.engine\" cannot be \"lama\" in x.yaml:2; did you mean \"llama\"?"
    );
    assert_eq!(
        refusal(GOOD.replace("slots: 8", "digest: abc")),
        "\"models.target.digest\": \"abc\" is not a SHA-256 digest (64 hexadecimal digits) in x.yaml:2"
    );
    assert_eq!(refusal("- a\n- b\n"), refusal("just text\n").replace(", not \"just text\",", ""));
}

#[test]
fn a_missing_key_is_named_with_what_it_is_for() {
    assert_eq!(
        refusal(GOOD.replace("plugin: harmbench\n", "seed: 1\n")),
        "\"tasks.0\" has no \"plugin\" in x.yaml:7; it is required: A name among the built-in plugins, or the path of \
         a `.wasm` file."
    );
    assert!(refusal(GOOD.replace("output", "#")).starts_with("the config has no \"output\" in x.yaml"));
    assert!(refusal("null\n").starts_with("the config has no \"tasks\" in x.yaml"));
}

#[test]
fn keys_given_twice_and_second_documents_are_refused() {
    assert_eq!(
        refusal(GOOD.replace("    limit: 100\n", "    limit: 100\n    limit: 10\n")),
        "the key \"limit\" occurs a second time in x.yaml:13; remove one of them"
    );
    assert_eq!(
        refusal(format!("{GOOD}---\na: 1\n")),
        "a second YAML document begins in x.yaml:17; a config is one document; remove the \"---\""
    );
}

#[test]
fn broken_yaml_is_shown_with_line_and_column() {
    assert_eq!(refusal("tasks: [\noutput: x\n"), "broken YAML (unclosed bracket '[') in x.yaml:1:8");
    let tab = refusal("models:\n\ta: x\n");
    assert!(tab.starts_with("broken YAML (tabs disallowed") && tab.ends_with("in x.yaml:2:2"), "{tab}");
}

#[test]
fn a_yaml_bomb_is_refused_quickly() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, last) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let aliases = vec![format!("*{last}"); 10].join(", ");
        bomb.push_str(&format!("{this}: &{this} [{aliases}]\n"));
    }
    let indented: String = bomb.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!("tasks:\n  - name: a\n    plugin: b\n    parameters:\n{indented}output: x\n");
    let begin = std::time::Instant::now();
    let message = refusal(text);
    assert!(message.contains("use fewer aliases") && message.contains("x.yaml:"), "{message}");
    assert!(begin.elapsed().as_secs() < 5);
    let deep = format!("tasks: {}{}\noutput: x\n", "[".repeat(5000), "]".repeat(5000));
    assert!(refusal(deep).contains("x.yaml"));
}

#[test]
fn files_that_are_no_config_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &Path| Config::load(path).unwrap_err().to_string();
    let missing = folder.path().join("none.yaml");
    assert_eq!(of(&missing), format!("cannot read the config {}: there is no such file", missing.display()));
    assert!(of(folder.path()).ends_with("it is a folder; name the YAML file in it"));
    assert!(refusal("").contains("it is empty"));
    assert!(refusal("# only\n\n  # remarks\n").contains("it is empty"));
    assert!(refusal(b"models:\n  a: \xff\n").contains("line 2 is not UTF-8 text"));
    assert!(refusal(vec![b'#'; (1 << 20) + 1]).contains("hardly a config"));
    assert!(refusal(b"tasks: \0\n").contains("x.yaml"));
    assert!(refusal(b"PAR1\0\0\0\x01").contains("x.yaml"));
}

#[test]
fn texts_stay_texts_in_typed_keys_and_yaml_decides_in_parameters() {
    let text = GOOD
        .replace("name: harmbench", "name: 012")
        .replace("{ mode: strict }", "{ a: no, b: 7, c: 0.5, d: '7' }");
    let config = load(text).config;
    assert_eq!(config.tasks[0].name, "012");
    assert_eq!(json!(config.judges["guard"].parameters), json!({"a": "no", "b": 7, "c": 0.5, "d": "7"}));
}

#[test]
fn anchors_share_settings() {
    let text = "\
tasks:
  - { name: a, plugin: p, sampling: &greedy { temperature: 0 } }
  - { name: b, plugin: p, sampling: *greedy }
output: x.sonde
";
    assert_eq!(load(text).config.tasks[1].sampling.temperature, Some(0.0));
}

#[test]
fn paths_start_at_the_folder_of_the_config() {
    let (folder, path) = file(GOOD);
    let loaded = Config::load(&path).unwrap();
    assert_eq!(loaded.resolve(&loaded.config.output), folder.path().join("runs/first.sonde"));
    assert_eq!(loaded.resolve(Path::new("/models/x.gguf")), Path::new("/models/x.gguf"));
}

#[test]
fn set_reaches_tasks_by_position_and_by_name_even_with_dots() {
    assert_eq!(set("tasks.0.limit=10").unwrap().config.tasks[0].limit, Some(10));
    assert_eq!(set("tasks.harmbench.limit=10").unwrap().config.tasks[0].limit, Some(10));
    assert_eq!(set("tasks.mmlu-v1.2.limit=10").unwrap().config.tasks[1].limit, Some(10));
    assert_eq!(
        set("models.target.path=a=b.gguf").unwrap().config.models["target"].path,
        Path::new("a=b.gguf")
    );
    assert_eq!(
        set("tasks.0.dataset.columns.Behavior=my request").unwrap().config.tasks[0]
            .dataset
            .as_ref()
            .unwrap()
            .columns["Behavior"],
        "my request"
    );
}

#[test]
fn set_takes_any_yaml_value() {
    assert_eq!(set("tasks.0.name=123").unwrap().config.tasks[0].name, "123");
    assert_eq!(
        set("tasks.0.sampling={temperature: 0.7, stop: [a, 1]}").unwrap().config.tasks[0].sampling.stop,
        Some(vec!["a".to_owned(), "1".to_owned()])
    );
    assert_eq!(
        set("judges.guard.parameters.deep.er=[1, two]").unwrap().config.judges["guard"].parameters["deep"],
        json!({"er": [1, "two"]})
    );
    assert_eq!(set("tasks.0.limit=").unwrap().config.tasks[0].limit, None);
    assert_eq!(set("models.target.slots=null").unwrap().config.models["target"].slots, None);
    assert_eq!(set("models.third={path: c.gguf}").unwrap().config.models["third"].path, Path::new("c.gguf"));
    assert_eq!(
        set("tasks.1.dataset.path=d.csv").unwrap().config.tasks[1].dataset.as_ref().unwrap().path,
        Path::new("d.csv")
    );
    assert_eq!(set("seed=18446744073709551615").unwrap().config.seed, u64::MAX);
    assert_eq!(
        set("tasks.0.sampling.temperature=1").unwrap().config.tasks[0].sampling.temperature,
        Some(1.0)
    );
}

#[test]
fn set_errors_name_the_assignment() {
    let error = |assignment| set(assignment).unwrap_err();
    assert_eq!(
        error("tasks.0.lmit=10"),
        "unknown key \"lmit\" in --set tasks.0.lmit=10; did you mean \"limit\"?"
    );
    assert_eq!(
        error("model.target.path=x"),
        "unknown key \"model\" in --set model.target.path=x; did you mean \"models\"?"
    );
    assert_eq!(
        error("models.targte.path=x"),
        "\"models\" has no \"targte\" in --set models.targte.path=x; did you mean \"target\"?"
    );
    assert_eq!(
        error("tasks.harmbnch.limit=1"),
        "\"tasks\" has no \"harmbnch\" in --set tasks.harmbnch.limit=1; did you mean \"harmbench\"?"
    );
    assert_eq!(
        error("tasks.2.limit=10"),
        "\"tasks\" has 2 entries, 0 to 1, and none numbered 2 in --set tasks.2.limit=10"
    );
    assert_eq!(
        error("tasks.0.limit=ten"),
        "\"tasks.0.limit\" should be a whole number from 0 to 18446744073709551615, not \"ten\", in --set tasks.0.limit=ten"
    );
    assert_eq!(
        error("tasks.0.limit.x=1"),
        "\"tasks.0.limit\" is a whole number from 0 to 18446744073709551615 and has no keys in --set tasks.0.limit.x=1"
    );
    assert_eq!(
        error("models.target={pth: x}"),
        "unknown key \"pth\" in --set models.target={pth: x}; did you mean \"path\"?"
    );
    assert!(error("tasks.0.plugin=").starts_with("\"tasks.0\" has no \"plugin\" in --set tasks.0.plugin=;"));
    assert!(error("tasks.0.sampling={a").starts_with("the value is not YAML (unclosed bracket"));
    assert_eq!(
        error("limit"),
        "no \"=\" in --set limit; write --set key=value, for example --set tasks.0.limit=10"
    );
    assert!(error("=3").starts_with("no key before the \"=\""));
    assert!(error("models.target.engine=lama").contains("did you mean \"llama\"?"));
}

#[test]
fn a_refused_set_changes_nothing() {
    let mut loaded = load(GOOD);
    let before = loaded.config.clone();
    loaded.set("tasks.0.limit=ten").unwrap_err();
    assert_eq!(loaded.config, before);
}

#[test]
fn references_to_nothing_are_found_with_the_name_meant() {
    assert_eq!(
        invalid(&GOOD.replace("{ target: target }", "{ target: targt }")),
        "\"tasks.0.models.target\" is \"targt\", which is not under \"models\" in x.yaml:9; did you mean \"target\"?"
    );
    assert_eq!(
        invalid(&GOOD.replace("{ main: guard }", "{ main: phrases }")),
        "\"tasks.0.judges.main\" is \"phrases\", which is not under \"judges\" in x.yaml:10; known judges: guard"
    );
    assert!(
        invalid(&GOOD.replace("model: other", "model: othr")).contains("x.yaml:5; did you mean \"other\"?")
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let text = GOOD.replace("slots: 8", "slots: 65, threads: 0, context: 0").replace("limit: 100", "limit: 0").replace(
        "    plugin: multiple-choice\n",
        "    plugin: ''\n    sampling: { temperature: -1, top_p: 0, min_p: 2, max_tokens: 0, repetition_penalty: 0, stop: [''] }\n",
    );
    let message = invalid(&text);
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines.contains(&"\"models.target.slots\" is 65 in x.yaml:2; it should be 1 to 64"), "{message}");
    assert!(
        lines.contains(&"\"tasks.1.sampling.top_p\" is 0 in x.yaml:15; it should be above 0 and at most 1"),
        "{message}"
    );
    for key in [
        "threads",
        "context",
        "limit",
        "plugin",
        "temperature",
        "min_p",
        "max_tokens",
        "repetition_penalty",
        "stop",
    ] {
        assert!(message.contains(&format!(".{key}\"")), "{key}: {message}");
    }
    assert_eq!(lines.len(), 11);
}

#[test]
fn nan_and_infinity_are_out_of_range() {
    for value in [".nan", ".inf", "-.inf"] {
        let text =
            GOOD.replace("limit: 100", &format!("sampling: {{ temperature: {value}, top_p: {value} }}"));
        assert_eq!(invalid(&text).lines().count(), 2, "{value}");
    }
}

#[test]
fn names_must_be_unlike_and_printable() {
    assert_eq!(
        invalid(&GOOD.replace("mmlu-v1.2", "harmbench")),
        "tasks 0 and 1 are both named \"harmbench\" in x.yaml:13; give each task a name of its own"
    );
    assert!(invalid(&GOOD.replace("mmlu-v1.2", "\"a\\u001b[31m\"")).contains("cannot be a name"));
    assert!(invalid(&GOOD.replace("mmlu-v1.2", "' '")).contains("cannot be a name"));
    assert_eq!(
        invalid("tasks: []\noutput: x.sonde\n"),
        "\"tasks\" is empty in x.yaml:1; a run needs at least one task"
    );
}

#[test]
fn the_run_file_is_never_an_input() {
    let output = |name: &str| invalid(&GOOD.replace("runs/first.sonde", name));
    assert!(
        output("prompts.csv")
            .contains("\"output\" is the same file as \"tasks.0.dataset.path\" in x.yaml:15")
    );
    assert!(output("./target.gguf").contains("models.target.path"));
    assert!(output("x.yaml").contains("the config itself"));
    assert!(output("'.'").contains("not a file's name"));
    assert!(output("''").contains("not a file's name"));
}

#[test]
fn a_problem_made_by_set_names_the_assignment() {
    let mut loaded = load(GOOD);
    loaded.set("tasks.0.models.target=targt").unwrap();
    let message = loaded.validate().unwrap_err().to_string();
    assert!(message.contains("in --set tasks.0.models.target=targt; did you mean \"target\"?"), "{message}");
}

#[test]
fn a_planner_can_ask_where_a_setting_stands() {
    let mut loaded = load(GOOD);
    let line = |loaded: &LoadedConfig, key: &str| match loaded.origin(key) {
        Origin::File { line, .. } => line,
        Origin::Set(_) => None,
    };
    assert_eq!(line(&loaded, "tasks.mmlu-v1.2.plugin"), Some(14));
    assert_eq!(line(&loaded, "tasks.1.grants"), Some(13));
    assert_eq!(line(&loaded, "judges.guard"), Some(5));
    assert_eq!(line(&loaded, "seed"), Some(1));
    loaded.set("tasks.harmbench.plugin=other").unwrap();
    assert_eq!(loaded.origin("tasks.harmbench").to_string(), "--set tasks.harmbench.plugin=other");
    assert_eq!(line(&loaded, "tasks.harmbench.dataset.path"), Some(11));
}

#[test]
fn a_delimiter_is_one_plain_character() {
    let with = |text: &str| GOOD.replace("prompts.csv", &format!("prompts.csv, delimiter: {text}"));
    load(with("';'")).validate().unwrap();
    load(with("\"\\t\"")).validate().unwrap();
    assert!(invalid(&with("'; '")).contains("\"tasks.0.dataset.delimiter\" is \"; \" in x.yaml:11"));
    assert!(invalid(&with("é")).contains("one ASCII character"));
}

#[test]
fn a_task_without_a_seed_has_the_run_s() {
    let loaded = set("tasks.0.seed=5").unwrap();
    assert_eq!(
        (loaded.config.seed_of(&loaded.config.tasks[0]), loaded.config.seed_of(&loaded.config.tasks[1])),
        (5, 0)
    );
}

#[test]
fn sampling_settings_override_only_what_they_name() {
    let sampling =
        SamplingConfig { temperature: Some(0.7), stop: Some(vec!["\n".to_owned()]), ..Default::default() };
    let base = Sampling { max_tokens: 9, top_k: 4, ..Sampling::default() };
    let expected = Sampling { temperature: 0.7, stop: vec!["\n".to_owned()], ..base.clone() };
    assert_eq!(sampling.over(base), expected);
}

#[test]
fn the_resolved_config_is_itself_a_config() {
    let config = load(GOOD).config;
    let resolved = config.resolved().unwrap();
    assert_eq!(resolved["tasks"][0]["shuffle"], json!(false));
    assert_eq!(resolved["models"]["target"]["engine"], json!("auto"));
    assert_eq!(serde_json::from_value::<Config>(resolved.clone()).unwrap(), config);
    assert_eq!(load(resolved.to_string()).config, config);
}

fn groups(kind: Kind, found: &mut Vec<(Kind, &'static Group)>) {
    match kind {
        Kind::Group(group) if !found.iter().any(|(_, known)| known.name == group.name) => {
            found.push((kind, group));
            group.keys.iter().for_each(|key| groups(key.kind, found));
        }
        Kind::List(inner) | Kind::Named(inner) => groups(*inner, found),
        _ => {}
    }
}

/// The keys that serde itself expects, as it says when it meets another.
fn keys_serde_expects<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<&'static str> {
    let error = serde_saphyr::from_str::<T>("unknown key of a test: 1\n").unwrap_err();
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { expected, .. } => expected.clone(),
        other => panic!("{other}"),
    }
}

fn words_serde_expects<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<&'static str> {
    let error = serde_saphyr::from_str::<T>("unknown-word\n").unwrap_err();
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownVariant { expected, .. } => expected.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn the_reference_lists_exactly_the_keys_that_are_read() {
    let mut found = Vec::new();
    groups(Config::KIND, &mut found);
    let expected = [
        ("Config", keys_serde_expects::<Config>()),
        ("ModelConfig", keys_serde_expects::<ModelConfig>()),
        ("SamplingConfig", keys_serde_expects::<SamplingConfig>()),
        ("JudgeConfig", keys_serde_expects::<JudgeConfig>()),
        ("TaskConfig", keys_serde_expects::<TaskConfig>()),
        ("DatasetConfig", keys_serde_expects::<DatasetConfig>()),
        ("GuardConfig", keys_serde_expects::<GuardConfig>()),
        ("SuiteConfig", keys_serde_expects::<SuiteConfig>()),
        ("TreatConfig", keys_serde_expects::<TreatConfig>()),
    ];
    let described: Vec<_> = found.iter().map(|(_, group)| (group.name, group.names())).collect();
    assert_eq!(described, expected);
    let words = [
        (Engine::KIND, words_serde_expects::<Engine>()),
        (Precision::KIND, words_serde_expects::<Precision>()),
        (Format::KIND, words_serde_expects::<Format>()),
        (GuardLevel::KIND, words_serde_expects::<GuardLevel>()),
    ];
    for (kind, expected) in words {
        let Kind::Choice(words) = kind else { panic!("no choice") };
        assert_eq!(words, expected);
    }
}

#[test]
fn defaults_told_as_values_are_the_values_taken() {
    let resolved = load("models: { m: { path: m } }\njudges: { j: { plugin: p } }\ntasks: [{ name: t, plugin: p, dataset: { path: d } }]\noutput: o\n").config.resolved().unwrap();
    let samples = [
        ("Config", &resolved),
        ("ModelConfig", &resolved["models"]["m"]),
        ("JudgeConfig", &resolved["judges"]["j"]),
        ("TaskConfig", &resolved["tasks"][0]),
        ("DatasetConfig", &resolved["tasks"][0]["dataset"]),
    ];
    let mut found = Vec::new();
    groups(Config::KIND, &mut found);
    let mut compared = 0;
    for (name, sample) in samples {
        let (_, group) = found.iter().find(|(_, group)| group.name == name).unwrap();
        for key in group.keys {
            let value: serde_json::Value = serde_saphyr::from_str(key.default).unwrap();
            let literal = !value.is_string() || matches!(key.kind, Kind::Choice(_));
            if literal && !sample[key.name].is_null() {
                assert_eq!(sample[key.name], value, "{name}.{}", key.name);
                compared += 1;
            }
            assert_eq!(
                key.default == "required",
                matches!(
                    (name, key.name),
                    ("Config", "tasks" | "output")
                        | ("ModelConfig" | "DatasetConfig", "path")
                        | ("JudgeConfig", "plugin")
                ),
                "{name}.{}",
                key.name
            );
        }
    }
    assert!(compared >= 12, "{compared}");
    let told = serde_json::to_value(Sampling::default()).unwrap();
    let (_, sampling) = found.iter().find(|(_, group)| group.name == "SamplingConfig").unwrap();
    for key in sampling.keys.iter().filter(|key| told.get(key.name).is_some()) {
        assert_eq!(told[key.name].as_f64(), key.default.parse().ok(), "{}", key.name);
    }
}

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md"))
}

#[test]
fn the_reference_page_is_up_to_date() {
    const HEADING: &str = "## Reference\n\n";
    let text = fs::read_to_string(page()).unwrap();
    let (prose, reference) = text.split_once(HEADING).expect("docs/config.md has a Reference section");
    if std::env::var_os("SONDE_UPDATE_DOCS").is_some() {
        fs::write(page(), format!("{prose}{HEADING}{}", reference_markdown())).unwrap();
        return;
    }
    assert_eq!(
        reference,
        reference_markdown(),
        "docs/config.md differs from the code; run `SONDE_UPDATE_DOCS=1 cargo test --release -p sonde-runner reference_page`"
    );
}

#[test]
fn the_example_of_the_reference_page_is_a_valid_config() {
    let text = fs::read_to_string(page()).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let loaded = load(example);
    loaded.validate().unwrap();
    assert_eq!(loaded.config.tasks.len(), 3);
    let mut from_the_prose = loaded;
    from_the_prose.set("tasks.harmbench.limit=10").unwrap();
    from_the_prose.set("models.target.path=other.gguf").unwrap();
    from_the_prose.set("models.judge={path: guard.gguf}").unwrap();
    from_the_prose.validate().unwrap();
}
