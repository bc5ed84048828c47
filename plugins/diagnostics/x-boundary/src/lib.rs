//! Diagnostic: X-Boundary, where a model keeps harmful, safe and boundary requests (those that only look harmful).
//!
//! DeepScan's scores at each layer, beside each the null that shuffled labels give, an interval, and companions without a
//! unit; a map of each layer; and each request's place between the centroids.

mod findings;
mod metrics;
mod pictures;

use serde::Deserialize;
use sonde_diagnostics::Vectors;
use sonde_diagnostics::x_boundary::{Class, Layer};
use sonde_sdk::{
    About, Datasets, Diagnosis, Diagnostic, Error, Host, Message, Model as _, Parameter, Place, Prompt, Role, Rows,
    States, Summary, WhiteBox, about, row,
};

use crate::metrics::Measured;

/// The diagnostic.
pub struct XBoundary;

/// What may be set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    layers: Option<Vec<u32>>,
    permutations: usize,
    resamples: usize,
    tsne: bool,
    perplexity: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { layers: None, permutations: 200, resamples: 200, tsne: true, perplexity: 30.0 }
    }
}

/// A line of the dataset.
#[derive(Deserialize)]
struct Row {
    messages: Vec<Turn>,
    #[serde(deserialize_with = "row::text")]
    label: String,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

impl Row {
    fn class(&self) -> Result<Class, Error> {
        match self.label.trim().to_lowercase().as_str() {
            "0" | "harmful" => Ok(Class::Harmful),
            "1" | "safe" => Ok(Class::Safe),
            "2" | "boundary" => Ok(Class::Boundary),
            label => Err(Error::new(format!(
                "the label must be 0 (harmful), 1 (safe) or 2 (boundary), not {label:?}"
            ))),
        }
    }

    /// The finished conversation, without a reply being opened.
    fn prompt(self) -> Result<Prompt, Error> {
        let message = |turn: Turn| {
            let role = match turn.role.as_str() {
                "system" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                role => {
                    return Err(Error::new(format!("a role must be system, user or assistant, not {role:?}")));
                }
            };
            Ok(Message { role, content: turn.content })
        };
        let messages = self.messages.into_iter().map(message).collect::<Result<_, _>>()?;
        Ok(Prompt::conversation(messages).finished())
    }
}

impl Diagnostic for XBoundary {
    type Parameters = Parameters;

    fn about() -> About {
        about!("X-Boundary")
            .summary(
                "Where the residual stream keeps harmful, safe and boundary-safe requests: the distance between the \
                 centroids of harmful and safe (separation_score), and whether boundary requests lie with the safe or \
                 the harmful ones (boundary_ratio; below 1, with the safe ones). Each state is the mean over a \
                 conversation's tokens. The distances have the unit of the activations, which differs between layers \
                 and by orders of magnitude between model families: compare models by the companions without a unit \
                 (auroc, fisher_ratio, silhouette, cosines) and by z and p against shuffled labels. Classes that \
                 differ in length or style differ here too, whatever their harm.",
            )
            .citation("Lu et al. 2025, X-Boundary, arXiv 2502.09990; DeepSight's DeepScan 2026")
            .model("target", "The model to look into.")
            .dataset("items", "Conversations of the three classes.")
            .column("messages", "The conversation: a list of {role, content}.")
            .column("label", "0 or harmful, 1 or safe, 2 or boundary.")
            .parameters([
                Parameter::counts(
                    "layers",
                    "Indices into Hugging Face's hidden_states: 0 the embedding, i the output of block i−1, the last \
                     one after the final norm. Default: a third and two thirds of the depth.",
                ),
                Parameter::count("permutations", 200, "Shuffled labellings behind each z and p; 0 leaves them out."),
                Parameter::count("resamples", 200, "Bootstrap resamples behind each interval; 0 leaves them out."),
                Parameter::flag("tsne", true, "Whether to draw a t-SNE map of each layer; PCA is always drawn."),
                Parameter::number("perplexity", 30.0, "Of t-SNE."),
            ])
    }

    fn run(
        host: &impl Host<Model: WhiteBox>,
        datasets: &Datasets,
        parameters: &Parameters,
        seed: u64,
    ) -> Result<Diagnosis, Error> {
        let model = host.model("target")?;
        let info = model.info();
        let layers = match &parameters.layers {
            Some(layers) if layers.is_empty() => return Err(Error::new("`layers` names no layer")),
            Some(layers) => layers.clone(),
            None => vec![info.layers / 3, 2 * info.layers / 3],
        };
        let places = layers.iter().map(|layer| Place::hidden_state(*layer, &info));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let (mut classes, mut prompts) = (Vec::new(), Vec::new());
        for (at, row) in datasets.rows::<Row>("items")?.into_iter().enumerate() {
            let named = |error: Error| error.during(&format!("row {at} of `items`"));
            classes.push(row.class().map_err(named)?);
            prompts.push(row.prompt().map_err(named)?);
        }
        let states = States::read(host, &model, &prompts, &places, &Rows::Mean)?;
        let classes: Vec<Class> = states.kept.iter().filter_map(|kept| classes.get(*kept).copied()).collect();

        let total = u64::try_from(layers.len()).unwrap_or(u64::MAX);
        let mut summary = Summary::empty();
        let mut measured = Vec::new();
        for ((done, layer), vectors) in (0..).zip(&layers).zip(&states.layers) {
            host.progress(done, total, "layers measured");
            let named = |error: sonde_diagnostics::Error| Error::new(error.to_string()).during(&format!("layer {layer}"));
            let vectors = Vectors::new(vectors).map_err(named)?;
            let geometry = Layer::new(&vectors, &classes).map_err(named)?;
            let one = Measured::new(*layer, &geometry, parameters, seed).map_err(named)?;
            summary = summary.metrics(one.metrics(&classes));
            for picture in pictures::maps(*layer, &vectors, &classes, parameters).map_err(named)? {
                summary = summary.figure(picture);
            }
            measured.push(one);
        }
        host.progress(total, total, "layers measured");
        for picture in pictures::by_layer(&measured) {
            summary = summary.figure(picture);
        }
        summary = summary.metrics(metrics::chosen(&measured, classes.len()));
        summary.notes.extend(states.note());
        summary.notes.extend(metrics::notes(&measured));
        Ok(Diagnosis::new(summary).findings(findings::findings(&states.kept, &classes, &measured)))
    }
}

sonde_sdk::export_diagnostic!(XBoundary);
