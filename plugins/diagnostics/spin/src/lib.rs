//! Diagnostic: SPIN, whether two objectives rest on the same weights: how many of the most important weights for one
//! set of answers are among the most important for another.
//!
//! DeepScan's counts per module, layer and in total, beside the coupling that chance alone would bring, and how both
//! change with the number of weights that are called important.

mod metrics;
mod ranking;

use serde::Deserialize;
use sonde_diagnostics::spin::{Modules as Chosen, Unreached, coupling, sweep};
use sonde_sdk::{
    About, Datasets, Diagnosis, Diagnostic, Error, Example, Host, ImportanceSpec, Modules, Parameter,
    Summary, WhiteBox, about,
};

use crate::ranking::Pair;

/// The most of a matrix's weights that a sweep calls important; beyond, a ranking is longer than it is of use.
const LARGEST_SWEPT: f64 = 0.05;

/// The diagnostic.
pub struct Spin;

/// Whose definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Definitions {
    /// Every token of a response counts; matrices without gradient leave the denominator.
    #[default]
    Sonde,
    /// The response's first token is dropped; matrices without gradient stay in the denominator.
    Deepscan,
}

/// Which matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The MLPs'.
    #[default]
    Mlp,
    /// The attentions'.
    SelfAttn,
    /// Both.
    All,
}

/// What may be set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    fraction: f64,
    modules: Target,
    definitions: Definitions,
    sweep: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { fraction: 5e-7, modules: Target::Mlp, definitions: Definitions::Sonde, sweep: true }
    }
}

impl Parameters {
    /// Ascending; the wanted one is among them.
    fn fractions(&self) -> Vec<f64> {
        let factors = if self.sweep { vec![0.1, 0.3, 1.0, 3.0, 10.0] } else { vec![1.0] };
        let swept = factors.into_iter().map(|factor| factor * self.fraction);
        swept.filter(|fraction| *fraction <= LARGEST_SWEPT.max(self.fraction)).collect()
    }
}

/// A line of a dataset.
#[derive(Deserialize)]
struct Row {
    prompt: String,
    response: String,
}

impl Diagnostic for Spin {
    type Parameters = Parameters;

    fn about() -> About {
        about!("SPIN")
            .summary(
                "How many weights are among the most important ones for two sets of answers at once, such as fair and \
                 private ones, so that training the model on one disturbs the other. Importance is |W| · Σ |∂L/∂W|, the \
                 sum over the answers; the most important are a fraction of each matrix. DeepScan's ratio cannot exceed \
                 that fraction, so look at coupled_rate_vs_candidate_mean, and at coupled against expected_coupled, what \
                 chance alone would bring.",
            )
            .citation("Qian et al. 2024, SPIN, arXiv 2410.16672; DeepSight's DeepScan 2026")
            .model("target", "The model to look into; the engine must have gradients.")
            .dataset("dataset1", "Answers of the first objective.")
            .dataset("dataset2", "Answers of the second objective.")
            .column("prompt", "What comes before the answer, as plain text.")
            .column("response", "The answer; the loss is taken over its tokens.")
            .parameters([
                Parameter::number("fraction", 5e-7, "Share of each matrix's weights that are called important."),
                Parameter::one_of("modules", &["mlp", "self_attn", "all"], "mlp", "Which matrices of each block."),
                Parameter::one_of(
                    "definitions",
                    &["sonde", "deepscan"],
                    "sonde",
                    "deepscan drops the first token of every response and counts the weights of matrices without gradient.",
                ),
                Parameter::flag("sweep", true, "Whether to count at a tenth to ten times the fraction too."),
            ])
    }

    fn run(
        host: &impl Host<Model: WhiteBox>,
        datasets: &Datasets,
        parameters: &Parameters,
        _seed: u64,
    ) -> Result<Diagnosis, Error> {
        if !(parameters.fraction > 0.0 && parameters.fraction <= 1.0) {
            return Err(Error::new(format!(
                "`fraction` is {}; it must be above 0 and at most 1",
                parameters.fraction
            )));
        }
        let model = host.model("target")?;
        let fractions = parameters.fractions();
        let spec = ImportanceSpec {
            fraction: fractions.last().copied().unwrap_or(parameters.fraction),
            modules: match parameters.modules {
                Target::Mlp => Modules::Mlp,
                Target::SelfAttn => Modules::SelfAttn,
                Target::All => Modules::All,
            },
            drop_first_token: parameters.definitions == Definitions::Deepscan,
        };
        let importance = |name: &str, done| {
            host.progress(done, 2, "datasets passed through the model");
            let examples: Vec<Example> = datasets.rows::<Row>(name)?.into_iter().map(example).collect();
            let found = model.importance(&examples, &spec);
            Ok::<_, Error>((found.map_err(|error| Error::from(error).during(name))?, examples.len()))
        };
        let (first, examples1) = importance("dataset1", 0)?;
        let (second, examples2) = importance("dataset2", 1)?;
        host.progress(2, 2, "datasets passed through the model");
        let pairs = ranking::pairs(first, second)?;

        let chosen = match parameters.modules {
            Target::Mlp => Chosen::Mlp,
            Target::SelfAttn => Chosen::SelfAttention,
            Target::All => Chosen::All,
        };
        let unreached = match parameters.definitions {
            Definitions::Sonde => Unreached::LeaveOut,
            Definitions::Deepscan => Unreached::Count,
        };
        let cut: Vec<_> = pairs.iter().map(|pair| pair.cut(parameters.fraction)).collect();
        let matrices: Vec<_> = cut.iter().map(ranking::Cut::matrix).collect();
        let said = |error: sonde_diagnostics::Error| Error::new(error.to_string());
        let found = coupling(&matrices, chosen, unreached).map_err(said)?;
        let ranked: Vec<_> = pairs.iter().map(Pair::ranked).collect();
        let swept = sweep(&ranked, &fractions, chosen, unreached).map_err(said)?;

        let n = (examples1 + examples2) as u64;
        let mut summary = Summary::empty().metrics(metrics::all(&found, n));
        for picture in metrics::pictures(&found, &swept) {
            summary = summary.figure(picture);
        }
        summary.notes.extend(metrics::notes(&found, parameters.fraction));
        summary.notes.extend(ranking::ties(&cut));
        Ok(summary.into())
    }
}

fn example(row: Row) -> Example {
    Example { prompt: row.prompt, response: row.response }
}

sonde_sdk::export_diagnostic!(Spin);
