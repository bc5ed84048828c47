//! What looking inside costs: captures against generating one token, against padded prompts, by depth; generation through
//! a context that is watched for nothing. Run by `make bench`; `cargo bench -p sonde-engine --bench capture --
//! MODEL.gguf` measures another model.
//!
//! The two sides of a figure take turns, and a figure is the median over neighbouring runs. Prints a table, then one line
//! of JSON per figure.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sonde_contract::{CaptureRequest, CaptureSpec, Prompt, Rows, Sampling, Site};
use sonde_engine::{GenerateRequest, Model, OpenOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const PROMPTS: u32 = 300;
/// Lengths go from the least to the most, most of them short, as in chats.
const LEAST: u32 = 8;
const MOST: u32 = 400;
/// What DeepScan pads to.
const PADDED: u32 = 1024;
/// The padded side, and the one by depth, measure every tenth prompt: the first is slow.
const EVERY: usize = 10;
const REPETITIONS: usize = 3;
/// Generation with an idle callback differs by less than other work on the machine does: it needs more runs.
const IDLE_REPETITIONS: usize = 21;
/// Tokens of each reply in the comparison of generation.
const REPLY: u32 = 32;
const REPLIES: usize = 8;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Bench {
    runtime: Runtime,
    model: Arc<dyn Model>,
}

fn main() -> Result<()> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/wren-chat-q8_0.gguf");
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = PathBuf::from(argument.unwrap_or_else(|| default.to_owned()));
    let options = OpenOptions { context: Some(PADDED), slots: Some(8), ..OpenOptions::default() };
    let model = sonde_engine::open(&path, &options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let bench = Bench { runtime, model };

    let blocks = bench.model.info().layers;
    let middle = [blocks / 3, blocks * 2 / 3];
    let prompts = |salt: u32| -> Vec<Vec<u32>> {
        (0..PROMPTS).map(|number| bench.prompt(salt * PROMPTS + number, length(number))).collect()
    };
    let tokens: usize = prompts(0).iter().map(Vec::len).sum();

    let mut turns = 0;
    let overhead = median_of(REPETITIONS, || {
        turns += 1;
        let prompts = prompts(turns);
        let generate = bench.generate(&bench.model, &prompts, 1)?;
        let capture = bench.capture(&prompts, &middle)?;
        Ok([capture, generate, 100.0 * (capture / generate - 1.0)])
    })?;
    let padding = median_of(REPETITIONS, || {
        turns += 1;
        let short: Vec<_> = prompts(turns).into_iter().step_by(EVERY).collect();
        let mut long = short.clone();
        long.iter_mut().for_each(|prompt| prompt.resize(PADDED as usize, 0));
        let [short, long] = [bench.capture(&short, &middle)?, bench.capture(&long, &middle)?];
        Ok([short, long, long / short])
    })?;
    let depth = median_of(REPETITIONS, || {
        turns += 1;
        let prompts: Vec<_> = prompts(turns).into_iter().step_by(EVERY).collect();
        let [shallow, deep] = [bench.capture(&prompts, &[1])?, bench.capture(&prompts, &[blocks])?];
        Ok([shallow, deep, deep / shallow])
    })?;
    let watched = bench.model.intervene(Vec::new())?;
    let idle = median_of(IDLE_REPETITIONS, || {
        turns += 1;
        let prompts: Vec<_> = prompts(turns).into_iter().take(REPLIES).collect();
        let mut times = [0.0; 2];
        for turn in [turns % 2, 1 - turns % 2] {
            let (model, time) = match (turn, &mut times) {
                (0, [time, _]) => (&bench.model, time),
                (_, [_, time]) => (&watched, time),
            };
            *time = bench.generate(model, &prompts, REPLY)?;
        }
        let [plain, watched] = times;
        Ok([watched, plain, 100.0 * (watched / plain - 1.0)])
    })?;

    println!("{}, {PROMPTS} prompts of {LEAST} to {MOST} tokens, {tokens} in all", path.display());
    println!("{:<58} {:>9} {:>9}", "", "seconds", "against");
    let line = |name: &str, [one, other, _]: [f64; 3]| println!("{name:<58} {one:>9.3} {other:>9.3}");
    line("capture of two middle layers, mean; generating one token", overhead);
    line("capture as it is; padded to 1,024 tokens (every tenth)", padding);
    line("capture of layer 1; of the last layer (every tenth)", depth);
    line("generation watched for nothing; not watched", idle);
    let figures = [
        ("engine.capture.seconds", overhead[0], "s"),
        ("engine.capture.overhead_to_one_token", overhead[2], "%"),
        ("engine.capture.gain_over_padding", padding[2], "ratio"),
        ("engine.capture.last_to_first_layer", depth[2], "ratio"),
        ("engine.watched_for_nothing.overhead", idle[2], "%"),
    ];
    for (name, value, unit) in figures {
        println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit, "target": null }));
    }
    Ok(())
}

/// Short for most numbers, long for few.
fn length(number: u32) -> u32 {
    let share = f64::from(number * 73 % PROMPTS) / f64::from(PROMPTS);
    LEAST + (f64::from(MOST - LEAST) * share.powi(2)) as u32
}

/// The middle run by its last number; the first one warms up.
fn median_of(repetitions: usize, mut run: impl FnMut() -> Result<[f64; 3]>) -> Result<[f64; 3]> {
    run()?;
    let mut runs = (0..repetitions).map(|_| run()).collect::<Result<Vec<_>>>()?;
    runs.sort_by(|[.., a], [.., b]| a.total_cmp(b));
    Ok(runs.get(repetitions / 2).copied().unwrap_or_default())
}

impl Bench {
    /// A prompt that begins like no other number's, so that nothing is shared.
    fn prompt(&self, number: u32, length: u32) -> Vec<u32> {
        let (least, count) = (self.model.info().vocabulary / 8, self.model.info().vocabulary / 2);
        (0..length)
            .map(|place| least + number.wrapping_mul(7919).wrapping_add(place * 104_729) % count)
            .collect()
    }

    fn generate(&self, model: &Arc<dyn Model>, prompts: &[Vec<u32>], max_tokens: u32) -> Result<f64> {
        let start = Instant::now();
        let replies = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for tokens in prompts {
                let (model, prompt) = (Arc::clone(model), Prompt::Tokens(tokens.clone()));
                let sampling = Sampling { max_tokens, ..Sampling::default() };
                tasks.spawn(async move {
                    model.generate(GenerateRequest { prompt, sampling, stream: None }).await
                });
            }
            tasks.join_all().await
        });
        replies.into_iter().try_for_each(|reply| reply.map(drop))?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn capture(&self, prompts: &[Vec<u32>], layers: &[u32]) -> Result<f64> {
        let start = Instant::now();
        let captures = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for tokens in prompts {
                let (model, prompt) = (Arc::clone(&self.model), Prompt::Tokens(tokens.clone()));
                let spec = CaptureSpec { layers: layers.to_vec(), site: Site::Residual, rows: Rows::Mean };
                tasks.spawn(async move { model.capture(CaptureRequest { prompt, spec }).await });
            }
            tasks.join_all().await
        });
        captures.into_iter().try_for_each(|captured| captured.map(drop))?;
        Ok(start.elapsed().as_secs_f64())
    }
}
