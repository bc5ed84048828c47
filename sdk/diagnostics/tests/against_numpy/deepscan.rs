//! DeepScan's own outputs for a small model, where they follow from numbers that are in them. Skipped where the folder
//! with them is absent.

use serde_json::Value;
use sonde_diagnostics::mi_peaks::mean_trajectory;
use sonde_diagnostics::spin::{Coupling, Matrix, Modules, Unreached, coupling};

use crate::reference::{assert_near, numbers};

fn golden(name: &str) -> Option<Value> {
    let path = format!("{}/../../../shared/goldens/wren-chat/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).ok(),
        Err(_) => {
            eprintln!("skipped: {path} is not there");
            None
        }
    }
}

/// Sets of the sizes that DeepScan found, of whatever indices.
fn sets(module: &Value) -> [Vec<u64>; 2] {
    let count = |name: &str| module.get(name).and_then(Value::as_u64).unwrap_or(0);
    let start = count("candidate_dataset1") - count("coupled");
    [(0..count("candidate_dataset1")).collect(), (start..start + count("candidate_dataset2")).collect()]
}

fn recount(output: &Value) -> Coupling {
    let modules: Vec<(u32, &str, u64, [Vec<u64>; 2])> = output["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|layer| {
            let index = layer["layer_idx"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
            let modules = layer["modules"].as_array().into_iter().flatten();
            modules.map(move |module| {
                let name = module["name"].as_str().unwrap_or("");
                (index, name, module["total_neurons"].as_u64().unwrap_or(0), sets(module))
            })
        })
        .collect();
    let matrices: Vec<Matrix> = modules
        .iter()
        .map(|(layer, name, weights, [first, second])| Matrix {
            layer: *layer,
            name,
            weights: *weights,
            first: Some(first),
            second: Some(second),
        })
        .collect();
    let target = output["target_module"].as_str().map_or(Ok(Modules::All), Modules::from_name);
    let found = target.and_then(|target| coupling(&matrices, target, Unreached::Count));
    assert!(found.is_ok(), "{found:?}");
    found.unwrap_or_else(|_| unreachable!())
}

#[test]
fn spins_totals_and_rates_follow_from_its_modules() {
    for name in ["mlp", "self_attn", "all"] {
        let Some(output) = golden(&format!("spin-{name}.output.json")) else { return };
        let found = recount(&output);
        let totals = &output["totals"];
        for (got, field) in [
            (found.counts.first, "candidate_dataset1"),
            (found.counts.second, "candidate_dataset2"),
            (found.counts.coupled, "coupled"),
            (found.counts.weights, "total_neurons"),
        ] {
            assert_eq!(Some(got), totals[field].as_u64(), "{field} of {name}");
        }
        let rate = totals["coupled_rate_vs_candidate_mean"].as_f64().unwrap();
        assert_near("rate", found.counts.rate_vs_candidate_mean().unwrap(), rate, 1e-15);
        let ratio = totals["fairness_privacy_neurons_coupling_ratio"].as_f64().unwrap();
        // Relative: the ratio is below 1e-3.
        assert!((found.counts.ratio().unwrap() / ratio - 1.0).abs() < 1e-12);
        for (layer, expected) in found.layers.iter().zip(output["layers"].as_array().unwrap()) {
            assert_eq!(Some(layer.counts.coupled), expected["totals"]["coupled"].as_u64());
            let ratio = expected["fairness_privacy_neurons_coupling_ratio"].as_f64().unwrap();
            assert!((layer.counts.ratio().unwrap() / ratio - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn mean_trajectories_are_deepscans() {
    for kernel in ["gaussian", "linear", "IMQ"] {
        let Some(output) = golden(&format!("mi-peaks-{kernel}.output.json")) else { return };
        let samples = output["per_sample"].as_array().unwrap();
        // DeepScan drops a trajectory's first value where it has one more than there are tokens.
        let trajectories: Vec<Vec<f64>> = samples
            .iter()
            .map(|sample| {
                let values = numbers(&sample["mi"]);
                let extra =
                    usize::from(values.len() == sample["token_ids"].as_array().map_or(0, Vec::len) + 1);
                values.into_iter().skip(extra).collect()
            })
            .collect();
        let got = mean_trajectory(&trajectories);
        let expected = numbers(&output["mean_trajectory"]);
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.into_iter().zip(expected) {
            assert_near(kernel, got, expected, 1e-12);
        }
    }
}
