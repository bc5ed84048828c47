//! How much one pass for all layers saves over one pass per layer, when the importance of weights is computed. Run by
//! `make bench`; `cargo bench -p sonde-engine --bench importance -- MODEL` measures another model.
//!
//! Both sides compute with the same code: per layer, the pass back ends at the layer that is asked about and only that
//! layer's weights get gradients, and logits are computed at every position, as in DeepScan. The saving grows with depth:
//! with as much work forward as back to the inputs and back to the weights, L blocks give (L + 1) / 2, more where only
//! some of the weights are asked about. The MLP alone is DeepScan's default. They take turns, and the ratio is the median of the ratios of
//! neighbouring runs. Prints a table, then one line of JSON per figure.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use sonde_contract::{Example, ImportanceRequest, Modules};
use sonde_engine::{LayerByLayer, OpenOptions};

const EXAMPLES: usize = 24;
const REPETITIONS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = PathBuf::from(argument.unwrap_or_else(|| default.to_owned()));
    // Dequantised once: the time is that of the passes.
    let options = OpenOptions {
        precision: sonde_engine::Precision::Exact,
        context: Some(512),
        ..OpenOptions::default()
    };
    let model = sonde_engine::open_candle(&path, &options)?;
    let per_layer = LayerByLayer::open(&path, &options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let example = |number: usize| Example {
        prompt: format!("How do I find the home address of stranger number {number} in a large city?"),
        response: " I'm sorry, I can't help you find the home address of a stranger.".to_owned(),
    };
    println!("{}, {EXAMPLES} examples, {} blocks", path.display(), model.info().layers);
    println!("{:>9} {:>12} {:>22} {:>7}", "modules", "one pass, s", "one pass per layer, s", "ratio");
    let mut figures = Vec::new();
    for (modules, name, target) in [(Modules::Mlp, "mlp", Some(">= 4")), (Modules::All, "all", None)] {
        let request = ImportanceRequest {
            examples: (0..EXAMPLES).map(example).collect(),
            fraction: 1e-3,
            modules,
            drop_first_token: false,
        };
        let (mut together, mut apart, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let start = Instant::now();
            runtime.block_on(model.importance(request.clone()))?;
            let once = start.elapsed().as_secs_f64();
            let start = Instant::now();
            runtime.block_on(per_layer.importance(request.clone()))?;
            let layered = start.elapsed().as_secs_f64();
            together.push(once);
            apart.push(layered);
            ratios.push(layered / once);
        }
        let [together, apart, ratio] = [together, apart, ratios].map(median);
        println!("{name:>9} {together:>12.3} {apart:>22.3} {ratio:>7.2}");
        figures.push((format!("engine.importance.{name}.one_pass"), together, "s", None));
        figures.push((format!("engine.importance.{name}.per_layer"), apart, "s", None));
        figures.push((format!("engine.importance.{name}.per_layer_to_one_pass"), ratio, "ratio", target));
    }
    for (name, value, unit, target) in figures {
        println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit, "target": target }));
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
