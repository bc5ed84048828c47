//! The command line's grammar. The doc comments here are what `--help` says.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use sonde_engine::Form;
use sonde_report::Format;

/// Measure how safe a language model is, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "sonde", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the benchmarks of a config, or go on with a run that was interrupted
    Run(RunArguments),
    /// Measure a model, derive a treatment for it, measure it again with the treatment, and say what it bought and cost
    Treat(RunArguments),
    /// Judge the replies of a finished run again, with other judges; the models under test are not asked
    Rejudge(RejudgeArguments),
    /// Measure a judge by labelled exchanges: precision, recall, F1 and kappa, strict and loose
    JudgeQuality(JudgeQualityArguments),
    /// Show a run file: results, or one sample
    Show(ShowArguments),
    /// List run files
    Runs(RunsArguments),
    /// Prove a run file: integrity, then every sample replayed on its recorded answers, then every metric recomputed
    Verify(VerifyArguments),
    /// Compare runs of the same tasks, sample by sample: two models, two quantisations, before and after a treatment
    Compare(CompareRunsArguments),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at treatments, and export them for other programs
    #[command(subcommand)]
    Treatment(TreatmentCommand),
    /// Let a model continue a prompt
    Generate(GenerateArguments),
    /// Watch a reply with a streaming judge: a verdict for every token, as the text comes
    Guard(GuardArguments),
    /// Log-likelihoods of continuations
    Score(ScoreArguments),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The config (YAML); see docs/config.md
    pub(crate) config: PathBuf,
    /// Override a setting, for example `--set tasks.harmbench.limit=10`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) assignments: Vec<String>,
    /// Check everything that can be checked without loading a model, show the plan, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take at most this many rows of every task
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// The run file, instead of the config's `output`
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Answer calls from this finished run where the same model was asked the same; may be repeated
    #[arg(long, value_name = "RUN")]
    pub(crate) reuse: Vec<PathBuf>,
    /// Print progress and results as JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejudgeArguments {
    /// The finished run whose replies are to be judged
    pub(crate) run: PathBuf,
    /// A judge in the place of the run's of that name, as in a config: `--judge main='{plugin: refusal-phrases}'`; may be
    /// repeated
    #[arg(long = "judge", value_name = "NAME=JUDGE")]
    pub(crate) judges: Vec<String>,
    /// A model for it, as in a config: `--model judge='{path: guard.gguf}'`; may be repeated
    #[arg(long = "model", value_name = "NAME=MODEL")]
    pub(crate) models: Vec<String>,
    /// Change a setting of a judge or a model, for example `--set judges.main.parameters.mode=loose`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) assignments: Vec<String>,
    /// The run file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Check everything that can be checked without loading a model, show the plan, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print progress and results as JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JudgeQualityArguments {
    /// The judge: the name of a built-in plugin, or a .wasm file
    #[arg(value_name = "JUDGE", required_unless_present = "config", conflicts_with = "config")]
    pub(crate) plugin: Option<String>,
    /// The model that the judge asks: a GGUF file or a folder
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) model: Option<PathBuf>,
    /// What the judge is told, a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "config")]
    pub(crate) parameters: Option<String>,
    /// Measure a judge of this config instead
    #[arg(long, value_name = "CONFIG", requires = "judge")]
    pub(crate) config: Option<PathBuf>,
    /// The judge's name in the config
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) judge: Option<String>,
    /// The labelled exchanges: CSV, TSV, JSON, JSON lines or Parquet; see docs/judge-quality.md for the columns
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Which column of the file is which, for example `response=reply,response_label=harmful`
    #[arg(long, value_name = "NAME=COLUMN,…")]
    pub(crate) columns: Option<String>,
    /// Take at most this many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// The run file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Check everything that can be checked without loading a model, show the plan, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print progress and results as JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The run file
    pub(crate) run: PathBuf,
    /// Show one sample, for example `harmbench/17`
    #[arg(long, value_name = "ID")]
    pub(crate) sample: Option<String>,
    /// The form
    #[arg(long, default_value = "table", value_parser = formats())]
    pub(crate) format: Format,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write every figure into this folder too, as TASK-NAME.svg
    #[arg(long, value_name = "FOLDER", conflicts_with = "sample")]
    pub(crate) figures: Option<PathBuf>,
    /// Write the documents of every treatment into this folder too, as TASK-NAME: training sets, for example
    #[arg(long, value_name = "FOLDER", conflicts_with = "sample")]
    pub(crate) documents: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Folders or files to look at
    #[arg(default_value = "runs")]
    pub(crate) places: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The run file
    pub(crate) run: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareRunsArguments {
    /// The run files; the first is the baseline
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The run to compare all the others with
    #[arg(long, value_name = "RUN")]
    pub(crate) baseline: Option<PathBuf>,
    /// Compare groups of samples too; every row counts among the tests
    #[arg(long)]
    pub(crate) groups: bool,
    /// Flipped samples to list per task
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) flips: usize,
    /// The form
    #[arg(long, default_value = "table", value_parser = comparison_formats())]
    pub(crate) format: Format,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// What a plugin is and what it may do: name, version, world, imports, size, digest
    Inspect(InspectArguments),
    /// The built-in plugins
    List,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A .wasm file, or the name of a built-in plugin
    pub(crate) plugin: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// What a GGUF file holds
    Info(InfoArguments),
    /// How far two models of the same shape lie apart inside, layer by layer: a quantised file and its original
    Compare(CompareArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The model to compare with, for example the F32 or F16 file
    pub(crate) a: PathBuf,
    /// The model to look at, for example a Q4_K_M file
    pub(crate) b: PathBuf,
    /// What executes the first: auto (llama for a file, candle for a folder), llama or candle
    #[arg(long, default_value = "auto", value_parser = ["auto", "llama", "candle"])]
    pub(crate) engine_a: String,
    /// What executes the second
    #[arg(long, default_value = "auto", value_parser = ["auto", "llama", "candle"])]
    pub(crate) engine_b: String,
    /// Texts to read, one per line, instead of the built-in ones
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    /// Numeric mode: fast or exact
    #[arg(long, default_value = "exact", value_parser = ["fast", "exact"])]
    pub(crate) precision: String,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// The GGUF file
    pub(crate) model: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TreatmentCommand {
    /// What a treatment file holds: what made it, for which model, what it changes
    Show(ShowTreatmentArguments),
    /// Write a treatment for other programs, and check that what was written does what the treatment does
    Export(ExportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ShowTreatmentArguments {
    /// The treatment file
    pub(crate) file: PathBuf,
    /// Print as JSON, without the changes' numbers
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The treatment file
    pub(crate) file: PathBuf,
    /// The model it was made for, or another quantisation of it: a GGUF file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The form: gguf-lora and peft (adapters), gguf (the model with the changes in its weights), control-vector
    #[arg(long, value_name = "FORM", value_parser = export_forms())]
    pub(crate) to: Form,
    /// The file to write; for peft a folder
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// A factor for the whole treatment, 0 or more
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) strength: f32,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// The GGUF file
    pub(crate) model: PathBuf,
    /// What the model is asked; read from standard input when absent
    pub(crate) prompt: Option<String>,
    /// Give the prompt as it is, without the chat template
    #[arg(long)]
    pub(crate) raw: bool,
    /// A system message
    #[arg(long, conflicts_with = "raw")]
    pub(crate) system: Option<String>,
    /// The first words of the reply
    #[arg(long, conflicts_with = "raw")]
    pub(crate) prefill: Option<String>,
    /// Ask the model to think first, or not to
    #[arg(long, value_name = "BOOL", conflicts_with = "raw")]
    pub(crate) thinking: Option<bool>,
    /// Most tokens to generate
    #[arg(long, default_value_t = 256)]
    pub(crate) max_tokens: u32,
    /// 0 is greedy
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Keep the likeliest tokens that reach this probability together
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Keep this many likeliest tokens; 0 keeps all
    #[arg(long, default_value_t = 0)]
    pub(crate) top_k: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Text that ends the reply; may be repeated
    #[arg(long)]
    pub(crate) stop: Vec<String>,
    /// A JSON Schema file that the reply must follow
    #[arg(long, value_name = "FILE")]
    pub(crate) json_schema: Option<PathBuf>,
    /// Tokens of context
    #[arg(long)]
    pub(crate) context: Option<u32>,
    /// Put a streaming judge on guard: the folder of its model
    #[arg(long, value_name = "FOLDER")]
    pub(crate) guard: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guarding: GuardingArguments,
    /// Print the completion as JSON, with tokens
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a streaming judge watches.
#[derive(Debug, Args)]
pub(crate) struct GuardingArguments {
    /// The streaming judge's plugin, by name or path
    #[arg(long, value_name = "PLUGIN", default_value = "qwen3guard-stream")]
    pub(crate) judge: String,
    /// What the plugin is told, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) parameters: String,
    /// The level from which on a token is flagged
    #[arg(long = "stop-at", value_name = "LEVEL", default_value = "unsafe", value_parser = ["unsafe", "controversial"])]
    pub(crate) stop_at: String,
    /// Flagged tokens one after another that flag the reply
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) consecutive: u32,
}

#[derive(Debug, Args)]
pub(crate) struct GuardArguments {
    /// The folder of the judge's model
    pub(crate) model: PathBuf,
    /// The reply to watch; read from standard input, as it comes, when absent
    pub(crate) file: Option<PathBuf>,
    /// The user's message that the reply answers
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) guarding: GuardingArguments,
    /// Go on after the reply is flagged
    #[arg(long)]
    pub(crate) to_the_end: bool,
    /// The file holds labelled replies (JSON lines, CSV, …): measure how soon their harmful spans are flagged
    #[arg(long, requires = "file")]
    pub(crate) evaluate: bool,
    /// Print as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArguments {
    /// The GGUF file
    pub(crate) model: PathBuf,
    /// What comes before
    #[arg(long)]
    pub(crate) prompt: String,
    /// The texts to compare
    #[arg(required = true)]
    pub(crate) continuations: Vec<String>,
    /// Render the prompt with the model's chat template, as a user's message
    #[arg(long)]
    pub(crate) chat: bool,
    /// Print as JSON, with per-token values
    #[arg(long)]
    pub(crate) json: bool,
}

fn export_forms() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|name| name.parse::<Form>())
}

fn comparison_formats() -> impl TypedValueParser<Value = Format> {
    let names = sonde_report::compare::FORMATS.map(Format::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Format>())
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str)).try_map(|name| name.parse::<Format>())
}
