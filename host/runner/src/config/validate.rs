//! What a config's shape cannot say: ranges, references between its parts, files that must not be the same.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::nearest::did_you_mean;
use super::{Config, ConfigError, DatasetConfig, LoadedConfig, Problem, SamplingConfig, TaskConfig};

/// Longest name of a model, judge or task, in characters.
const LONGEST_NAME: usize = 100;

impl LoadedConfig {
    /// Checks what the config means: names, references, ranges, and that the run file is none of the inputs.
    ///
    /// Whether files exist and plugins fit is not looked at here.
    ///
    /// # Errors
    /// With every problem found, each with the line or the `--set` it comes from.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut findings = Findings::default();
        findings.config(&self.config);
        self.check_output(&mut findings);
        if findings.0.is_empty() {
            return Ok(());
        }
        let problem = |finding: Finding| Problem {
            origin: self.origin(&finding.path.join(".")),
            what: finding.what,
            hint: finding.hint,
        };
        Err(ConfigError::Invalid(findings.0.into_iter().map(problem).collect()))
    }

    /// Every file the config names as an input, with the path of its key.
    fn inputs(&self) -> Vec<(Vec<String>, PathBuf)> {
        let mut inputs = Vec::new();
        for (name, model) in &self.config.models {
            inputs.push((keys(&["models", name, "path"]), model.path.clone()));
        }
        for (name, judge) in &self.config.judges {
            inputs.push((keys(&["judges", name, "plugin"]), PathBuf::from(&judge.plugin)));
            if let Some(quality) = &judge.quality {
                inputs.push((keys(&["judges", name, "quality"]), quality.clone()));
            }
        }
        let numbered = self.config.tasks.iter().enumerate();
        let measured = numbered.map(|(index, task)| (keys(&["tasks", &index.to_string()]), task));
        let derived = self.config.treat.iter().map(|treat| (keys(&["treat", "derive"]), &treat.derive));
        for (place, task) in measured.chain(derived) {
            let at = |rest: &[&str]| [place.clone(), keys(rest)].concat();
            inputs.push((at(&["plugin"]), PathBuf::from(&task.plugin)));
            if let Some(treatment) = &task.treatment {
                inputs.push((at(&["treatment"]), treatment.clone()));
            }
            if let Some(dataset) = &task.dataset {
                inputs.push((at(&["dataset", "path"]), dataset.path.clone()));
            }
            for (name, dataset) in &task.datasets {
                inputs.push((at(&["datasets", name, "path"]), dataset.path.clone()));
            }
        }
        inputs
    }

    fn check_output(&self, findings: &mut Findings) {
        let output = &self.config.output;
        let path = keys(&["output"]);
        let resolved = self.resolve(output);
        if output.as_os_str().is_empty() || output.file_name().is_none() || resolved.is_dir() {
            let what =
                format!("\"output\" is {:?}, which is not a file's name", output.display().to_string());
            findings.add(path, what, "for example runs/first.sonde");
            return;
        }
        if same_file(&resolved, &self.path) {
            findings.add(path, "\"output\" is the config itself".to_owned(), "name another file");
            return;
        }
        for (input, file) in self.inputs() {
            if same_file(&resolved, &self.resolve(&file)) {
                let what = format!("\"output\" is the same file as {:?}", input.join("."));
                findings.add(path, what, "the run would overwrite it; name another file");
                return;
            }
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.components().eq(other.components()),
    }
}

fn can_delimit(text: &str) -> bool {
    matches!(text.as_bytes(), [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r'))
}

fn keys(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

struct Finding {
    path: Vec<String>,
    what: String,
    hint: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: Vec<String>, what: String, hint: impl Into<String>) {
        self.0.push(Finding { path, what, hint: hint.into() });
    }

    /// Notes that the value at `path` is outside its range.
    fn range<T: Display>(&mut self, path: Vec<String>, value: Option<T>, holds: fn(&T) -> bool, range: &str) {
        if let Some(value) = value.filter(|value| !holds(value)) {
            self.add(
                path.clone(),
                format!("{:?} is {value}", path.join(".")),
                format!("it should be {range}"),
            );
        }
    }

    fn config(&mut self, config: &Config) {
        for (name, model) in &config.models {
            let at = |key: &str| keys(&["models", name, key]);
            self.name(keys(&["models", name]), name);
            self.path_given(at("path"), &model.path);
            self.range(at("context"), model.context, |tokens| *tokens >= 1, "at least 1");
            self.range(at("slots"), model.slots, |slots| (1..=64).contains(slots), "1 to 64");
            self.range(at("threads"), model.threads, |threads| (1..=1024).contains(threads), "1 to 1024");
            self.sampling(&at("sampling"), &model.sampling);
        }
        for (name, judge) in &config.judges {
            let at = |key: &str| keys(&["judges", name, key]);
            self.name(keys(&["judges", name]), name);
            self.text_given(at("plugin"), &judge.plugin);
            if let Some(model) = &judge.model {
                self.reference(at("model"), model, "models", &config.models);
            }
            for (slot, asked) in &judge.judges {
                self.reference(keys(&["judges", name, "judges", slot]), asked, "judges", &config.judges);
            }
            self.sampling(&at("sampling"), &judge.sampling);
        }
        if config.tasks.is_empty() {
            self.add(keys(&["tasks"]), "\"tasks\" is empty".to_owned(), "a run needs at least one task");
        }
        self.tasks(config);
        for (name, suite) in &config.suites {
            self.name(keys(&["suites", name]), name);
            for (index, task) in suite.tasks.iter().enumerate() {
                if !config.tasks.iter().any(|known| known.name == *task) {
                    let path = keys(&["suites", name, "tasks", &index.to_string()]);
                    let what = format!("{:?} is {task:?}, which is no task", path.join("."));
                    let names = config.tasks.iter().map(|task| task.name.as_str());
                    self.add(path, what, did_you_mean(task, "tasks", names));
                }
            }
        }
    }

    fn tasks(&mut self, config: &Config) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, task) in config.tasks.iter().enumerate() {
            let number = index.to_string();
            let at = |key: &str| keys(&["tasks", &number, key]);
            self.name(at("name"), &task.name);
            if let Some(first) = seen.insert(&task.name, index) {
                let what = format!("tasks {first} and {index} are both named {:?}", task.name);
                self.add(at("name"), what, "give each task a name of its own");
            }
            if config.treat.is_some() && task.treatment.is_some() {
                let what = format!("{:?} is set, and so is \"treat\"", at("treatment").join("."));
                self.add(
                    at("treatment"),
                    what,
                    "`treat` measures each task without and with what it derives",
                );
            }
            self.task(config, &keys(&["tasks", &number]), task);
        }
        let Some(treat) = &config.treat else { return };
        if !treat.derive.name.is_empty() {
            self.name(keys(&["treat", "derive", "name"]), &treat.derive.name);
        }
        for (key, set) in [
            ("treatment", treat.derive.treatment.is_some()),
            ("guard", treat.derive.guard.is_some()),
            ("strength", treat.derive.strength.is_some()),
        ] {
            if set {
                let path = keys(&["treat", "derive", key]);
                let what = format!("{:?} is set", path.join("."));
                self.add(path, what, "a treatment is derived from the model as it is; remove it");
            }
        }
        self.task(config, &keys(&["treat", "derive"]), &treat.derive);
        let path = keys(&["treat", "strength"]);
        self.strength(path, treat.strength);
    }

    /// What tasks and the derivation of a treatment have in common.
    fn task(&mut self, config: &Config, place: &[String], task: &TaskConfig) {
        let below = |rest: &[&str]| [place.to_vec(), keys(rest)].concat();
        let at = |key: &str| below(&[key]);
        self.text_given(at("plugin"), &task.plugin);
        if task.suite.is_some() {
            let what = format!("{:?} is set", at("suite").join("."));
            self.add(at("suite"), what, "suites are taken over from the file alone; name it there");
        }
        for (role, model) in &task.models {
            self.reference(below(&["models", role]), model, "models", &config.models);
        }
        for (slot, judge) in &task.judges {
            self.reference(below(&["judges", slot]), judge, "judges", &config.judges);
        }
        if let Some(dataset) = &task.dataset {
            self.dataset(&at("dataset"), dataset);
        }
        for (name, dataset) in &task.datasets {
            self.dataset(&below(&["datasets", name]), dataset);
        }
        if let Some(treatment) = &task.treatment {
            self.path_given(at("treatment"), treatment);
        }
        for (key, set) in [("strength", task.strength.is_some()), ("treated", task.treated.is_some())] {
            if set && task.treatment.is_none() {
                let what = format!("{:?} is set without a treatment", at(key).join("."));
                self.add(at(key), what, "name a file with `treatment: FILE`, or remove it");
            }
        }
        self.strength(at("strength"), task.strength);
        self.range(at("limit"), task.limit, |limit| *limit >= 1, "at least 1, or left out to take all rows");
        self.sampling(&at("sampling"), &task.sampling);
    }

    /// Below 0 a treatment would take away what it was derived to give.
    fn strength(&mut self, path: Vec<String>, strength: Option<f64>) {
        let range = "a number of 0 or more: a treatment is not turned round";
        self.range(path, strength, |strength| *strength >= 0.0 && strength.is_finite(), range);
    }

    fn dataset(&mut self, at: &[String], dataset: &DatasetConfig) {
        let key = |name: &str| at.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
        self.path_given(key("path"), &dataset.path);
        let delimiter = dataset.delimiter.as_ref().map(|text| format!("{text:?}"));
        if !dataset.delimiter.as_deref().is_none_or(can_delimit) {
            let range = "one ASCII character that is neither a quote nor a line end";
            self.range(key("delimiter"), delimiter, |_| false, range);
        }
    }

    fn sampling(&mut self, at: &[String], sampling: &SamplingConfig) {
        let key = |name: &str| at.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
        self.range(key("max_tokens"), sampling.max_tokens, |most| *most >= 1, "at least 1");
        self.range(key("temperature"), sampling.temperature, |t| *t >= 0.0 && t.is_finite(), "0 or more");
        self.range(key("top_p"), sampling.top_p, |p| *p > 0.0 && *p <= 1.0, "above 0 and at most 1");
        self.range(key("min_p"), sampling.min_p, |p| (0.0..=1.0).contains(p), "0 to 1");
        self.range(
            key("repetition_penalty"),
            sampling.repetition_penalty,
            |p| *p > 0.0 && p.is_finite(),
            "above 0",
        );
        if sampling.stop.iter().flatten().any(String::is_empty) {
            let what = format!(
                "{:?} holds an empty text, which would end every reply at once",
                key("stop").join(".")
            );
            self.add(key("stop"), what, "remove it");
        }
    }

    fn name(&mut self, path: Vec<String>, name: &str) {
        let printable = !name.is_empty() && name.trim() == name && !name.chars().any(char::is_control);
        if !printable || name.chars().count() > LONGEST_NAME {
            let what = format!("{name:?} cannot be a name");
            let hint = format!("1 to {LONGEST_NAME} printable characters, no space at the ends");
            self.add(path, what, hint);
        }
    }

    fn text_given(&mut self, path: Vec<String>, text: &str) {
        if text.trim().is_empty() {
            self.add(
                path.clone(),
                format!("{:?} is empty", path.join(".")),
                "name a built-in plugin or a .wasm file",
            );
        }
    }

    fn path_given(&mut self, path: Vec<String>, file: &Path) {
        if file.as_os_str().is_empty() {
            self.add(path.clone(), format!("{:?} is empty", path.join(".")), "name a file");
        }
    }

    fn reference<T>(&mut self, path: Vec<String>, name: &str, what: &str, known: &IndexMap<String, T>) {
        if !known.contains_key(name) {
            let hint = did_you_mean(name, what, known.keys().map(String::as_str));
            self.add(
                path.clone(),
                format!("{:?} is {name:?}, which is not under {what:?}", path.join(".")),
                hint,
            );
        }
    }
}
