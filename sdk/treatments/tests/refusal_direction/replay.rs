//! G6: the five published selections.

use serde_json::Value;
use sonde_treatments::refusal_direction::{Candidate, Place, Rejected, Rule};

use crate::{assert_near, published};

struct Run {
    name: &'static str,
    layers: u32,
    positions: usize,
    first_pruned: u32,
    not_a_number: usize,
    rejected: [usize; 3],
    kept: usize,
    best: (i32, u32),
    scores: [f64; 3],
    runner_up: (i32, u32),
}

/// The table of `methods.md` §1.8.
const RUNS: [Run; 5] = [
    Run {
        name: "gemma-2b-it",
        layers: 18,
        positions: 5,
        first_pruned: 14,
        not_a_number: 0,
        rejected: [20, 4, 68],
        kept: 13,
        best: (-2, 10),
        scores: [-14.419_295, 6.788_568, 0.065_931],
        runner_up: (-1, 12),
    },
    Run {
        name: "llama-2-7b-chat-hf",
        layers: 32,
        positions: 6,
        first_pruned: 25,
        // Two candidates of the published file: position −6, layers 30 and 31.
        not_a_number: 2,
        rejected: [42, 132, 132],
        kept: 5,
        best: (-1, 14),
        scores: [-5.616_917, 5.986_252, 0.071_209],
        runner_up: (-4, 15),
    },
    Run {
        name: "meta-llama-3-8b-instruct",
        layers: 32,
        positions: 5,
        first_pruned: 25,
        not_a_number: 0,
        rejected: [35, 50, 90],
        kept: 25,
        best: (-5, 12),
        scores: [-9.855_093, 7.675_727, 0.058_820],
        runner_up: (-2, 12),
    },
    Run {
        name: "qwen-1_8b-chat",
        layers: 24,
        positions: 5,
        first_pruned: 19,
        not_a_number: 0,
        rejected: [25, 53, 91],
        kept: 12,
        best: (-2, 15),
        scores: [-5.057_485, 1.651_358, 0.065_843],
        runner_up: (-1, 15),
    },
    Run {
        name: "yi-6b-chat",
        layers: 32,
        positions: 6,
        first_pruned: 25,
        not_a_number: 0,
        rejected: [42, 52, 165],
        kept: 7,
        best: (-5, 20),
        scores: [-6.747_891, 1.639_156, 0.047_241],
        runner_up: (-1, 22),
    },
];

fn candidates(run: &str, file: &str) -> Option<Vec<Candidate>> {
    let path = published(run, &format!("select_direction/{file}"))?;
    // Python writes NaN where JSON has no word for it.
    let text = std::fs::read_to_string(path).unwrap().replace("NaN", "null");
    let json: Value = serde_json::from_str(&text).unwrap();
    let candidate = |entry: &Value| {
        let number = |name: &str| entry[name].as_f64().unwrap_or(f64::NAN);
        Candidate {
            place: Place { position: number("position") as i32, layer: number("layer") as u32 },
            bypass: number("refusal_score"),
            induce: number("steering_score"),
            kl: number("kl_div_score"),
        }
    };
    Some(json.as_array().unwrap().iter().map(candidate).collect())
}

#[test]
fn the_rule_makes_the_five_published_selections() {
    for run in RUNS {
        let Some(all) = candidates(run.name, "direction_evaluations.json") else { return };
        let filtered = candidates(run.name, "direction_evaluations_filtered.json").unwrap();
        let rule = Rule::default();
        assert_eq!(all.len(), run.positions * run.layers as usize);
        assert_eq!(rule.first_pruned(run.layers), run.first_pruned);

        let found = rule.select(&all, run.layers).unwrap();
        assert_eq!(found.kept, filtered, "{}: the same candidates in the same order", run.name);
        assert_eq!(found.kept.len(), run.kept);
        let [layer, kl, induce] = run.rejected;
        assert_eq!(
            found.rejected,
            Rejected { not_a_number: run.not_a_number, layer, kl, induce },
            "{}",
            run.name
        );
        let places: Vec<_> =
            found.kept.iter().map(|kept| (kept.place.position, kept.place.layer)).take(2).collect();
        assert_eq!(places, [run.best, run.runner_up]);
        // The table rounds to six places.
        assert_near(&[found.best.bypass, found.best.induce, found.best.kl], &run.scores, 5e-7);

        let file = published(run.name, "direction_metadata.json").unwrap();
        let chosen: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(chosen["pos"], run.best.0);
        assert_eq!(chosen["layer"], run.best.1);
    }
}
