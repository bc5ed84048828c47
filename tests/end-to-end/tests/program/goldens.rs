//! The four diagnostics, run as a user runs them, against what DeepScan's own code returned for the same model and data
//! (`../shared/goldens`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{Folder, results, shared};

/// What the goldens ask of X-Boundary, TELLME and MI-Peaks: DeepScan computes in float32.
const TOLERANCE: f64 = 1e-3;

/// The order in which DeepScan saw TELLME's rows: `torch.argsort` of `is_safe`, which is not stable, on the machine that
/// made the golden (PyTorch 2.15). `cos_sim` and `pcc` pair the i-th safe with the i-th unsafe row, so they depend on it.
const TELLME_ORDER: [usize; 80] = [
    60, 31, 35, 36, 37, 39, 0, 41, 46, 47, 51, 53, 54, 56, 58, 40, 61, 62, 63, 65, 66, 68, 69, 70, 73, 74,
    75, 76, 79, 17, 10, 9, 18, 5, 25, 26, 27, 3, 2, 16, 7, 59, 14, 13, 12, 11, 64, 15, 67, 8, 1, 6, 71, 72,
    4, 77, 78, 29, 43, 30, 28, 32, 33, 34, 38, 24, 23, 22, 42, 57, 44, 45, 21, 20, 48, 49, 50, 19, 52, 55,
];

fn golden(name: &str) -> Value {
    let folder = shared("goldens/wren-chat").unwrap();
    let text = std::fs::read_to_string(Path::new(&folder).join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The results of one run of everything that has a golden; `None` without the shared collections.
fn diagnosed() -> Option<&'static Value> {
    static RESULTS: OnceLock<Option<Value>> = OnceLock::new();
    RESULTS.get_or_init(run_all).as_ref()
}

fn run_all() -> Option<Value> {
    let (inputs, model) = (shared("goldens/wren-chat")?, shared("models/wren/wren-chat-f32.gguf")?);
    let inputs = Path::new(&inputs);
    let folder = Folder::new();
    let rows = std::fs::read_to_string(inputs.join("tellme.input.jsonl")).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    folder.write("tellme.jsonl", TELLME_ORDER.map(|row| rows[row]).join("\n"));
    let items = |name: &str| format!("datasets: {{ items: {{ path: {} }} }}", inputs.join(name).display());
    let mut tasks = vec![
        format!(
            "  - name: x-boundary\n    plugin: x-boundary\n    parameters: {{ layers: [0, 1, 2, 3, 4, 5, 6], tsne: false }}\n    {}",
            items("x-boundary.input.jsonl")
        ),
        "  - name: tellme\n    plugin: tellme\n    parameters: { definitions: deepscan }\n    datasets: { items: { path: tellme.jsonl } }"
            .to_owned(),
    ];
    for kernel in ["gaussian", "linear", "IMQ"] {
        tasks.push(format!(
            "  - name: mi-peaks-{kernel}\n    plugin: mi-peaks\n    parameters: {{ block: 4, kernel: {kernel}, max_tokens: 48 }}\n    {}",
            items("mi-peaks.input.jsonl")
        ));
    }
    for modules in ["mlp", "self_attn", "all"] {
        tasks.push(format!(
            "  - name: spin-{modules}\n    plugin: spin\n    grants: [generation, activations, gradients, log]\n    \
             parameters: {{ fraction: 0.001, modules: {modules}, definitions: deepscan }}\n    \
             datasets:\n      dataset1: {{ path: {inputs}/spin.dataset1.jsonl }}\n      dataset2: {{ path: {inputs}/spin.dataset2.jsonl }}",
            inputs = inputs.display()
        ));
    }
    folder.write(
        "c.yaml",
        format!(
            "models:\n  target: {{ path: {}, context: 512, precision: exact }}\ntasks:\n{}\noutput: run.sonde\n",
            model,
            tasks.join("\n")
        ),
    );
    folder.sonde(["run", "c.yaml"]).ended_with(0);
    Some(results(&folder.path("run.sonde")))
}

fn task<'a>(results: &'a Value, name: &str) -> &'a Value {
    let tasks = results["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["name"] == name).unwrap_or_else(|| panic!("no task {name}"))
}

/// Metrics by group (empty for the whole) and name.
fn metrics(task: &Value) -> BTreeMap<(String, String), f64> {
    let metric = |metric: &Value| {
        let group = metric["group"].as_str().unwrap_or("").to_owned();
        Some(((group, metric["name"].as_str()?.to_owned()), metric["value"].as_f64()?))
    };
    task["metrics"].as_array().unwrap().iter().filter_map(metric).collect()
}

#[track_caller]
fn close(what: &str, found: Option<&f64>, expected: &Value) {
    let (found, expected) = (*found.unwrap_or_else(|| panic!("no {what}")), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= TOLERANCE * expected.abs(), "{what}: {found} instead of {expected}");
}

#[test]
fn x_boundary_is_deepscans_at_every_layer() {
    let Some(results) = diagnosed() else { return };
    let found = metrics(task(results, "x-boundary"));
    let expected = golden("x-boundary.output.json");
    for (layer, expected) in expected["metrics"].as_object().unwrap() {
        let of = |name: &str| found.get(&(format!("layer={layer}"), name.to_owned()));
        for name in ["separation_score", "boundary_ratio"] {
            close(&format!("{name} at {layer}"), of(name), &expected[name]);
        }
        for name in ["dist_bound_safe", "dist_bound_harmful"] {
            close(&format!("{name} at {layer}"), of(name), &expected["details"][name]);
        }
    }
}

#[test]
fn tellme_is_deepscans_at_its_default_block() {
    let Some(results) = diagnosed() else { return };
    let found = metrics(task(results, "tellme"));
    let expected = golden("tellme.output.json");
    for (name, expected) in expected["metrics"].as_object().unwrap() {
        close(name, found.get(&(String::new(), name.clone())), expected);
    }
}

#[test]
fn spin_counts_are_deepscans_in_every_module() {
    let Some(results) = diagnosed() else { return };
    for modules in ["mlp", "self_attn", "all"] {
        let task = task(results, &format!("spin-{modules}"));
        let notes = task["notes"].to_string();
        assert!(!notes.contains("within float32 rounding"), "a tie at the cut may change a count: {notes}");
        let found = metrics(task);
        let expected = golden(&format!("spin-{modules}.output.json"));
        let same = |group: &str, of: &Value| {
            for name in ["candidate_dataset1", "candidate_dataset2", "coupled", "total_neurons"] {
                let found = found.get(&(group.to_owned(), name.to_owned())).copied();
                assert_eq!(found, of[name].as_f64(), "{modules} {group} {name}");
            }
        };
        same("", &expected["totals"]);
        for name in ["coupled_rate_vs_candidate_mean", "fairness_privacy_neurons_coupling_ratio"] {
            close(name, found.get(&(String::new(), name.to_owned())), &expected["totals"][name]);
        }
        for layer in expected["layers"].as_array().unwrap() {
            let group = format!("layer={}", layer["layer_idx"]);
            same(&group, &layer["totals"]);
            for module in layer["modules"].as_array().unwrap() {
                same(&format!("{group} {}", module["name"].as_str().unwrap()), module);
            }
        }
    }
}

/// The float64 values; where MI is below 1 the tolerance is absolute, since a value near 0 is a difference of larger
/// numbers.
#[test]
fn mi_trajectories_are_deepscans_formula_in_float64() {
    let Some(results) = diagnosed() else { return };
    for kernel in ["gaussian", "linear", "IMQ"] {
        let task = task(results, &format!("mi-peaks-{kernel}"));
        let figures = task["figures"].as_array().unwrap();
        let expected = golden(&format!("mi-peaks-{kernel}.output.json"));
        for (row, expected) in expected["per_sample"].as_array().unwrap().iter().enumerate() {
            let name = format!("trajectory-{row}");
            let figure = figures.iter().find(|figure| figure["name"] == name.as_str()).unwrap();
            let found = figure["series"][0]["points"].as_array().unwrap();
            let expected = expected["mi_float64"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{kernel} {name}");
            for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
                let (found, expected) = (found[1].as_f64().unwrap(), expected.as_f64().unwrap());
                let apart = (found - expected).abs() / expected.abs().max(1.0);
                assert!(apart <= TOLERANCE, "{kernel} {name} step {step}: {found} instead of {expected}");
            }
        }
        assert!(figures.iter().any(|figure| figure["name"] == "mi_mean_trajectory"));
    }
}
