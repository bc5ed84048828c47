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
    About, Datasets, Diagnosis, Diagnostic, Error, Host, Message, Model as _, Parameter, Place, Prompt, Role,
    Rows, States, Summary, WhiteBox, about, row,
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
                    return Err(Error::new(format!(
                        "a role must be system, user or assistant, not {role:?}"
                    )));
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
            let named = |error: sonde_diagnostics::Error| {
                Error::new(error.to_string()).during(&format!("layer {layer}"))
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use sonde_sdk::mock::MockHost;
    use sonde_sdk::{Activations, CaptureSpec, Estimate, HostError, ModelInfo, Overflow, Site, Value};

    fn info() -> ModelInfo {
        ModelInfo {
            name: "small".into(),
            architecture: "qwen3".into(),
            quantisation: "F32".into(),
            layers: 6,
            width: 2,
            vocabulary: 10,
            context: 100,
            has_chat_template: true,
        }
    }

    /// A state whose first number is the length of the user's text, at every layer the same.
    fn state(prompt: &Prompt, spec: &CaptureSpec) -> Result<Activations, HostError> {
        let Prompt::Chat(chat) = prompt else { panic!("not a chat") };
        assert!(!chat.open_reply && spec.rows == Rows::Mean);
        let length = chat.messages[0].content.len();
        if length > 50 {
            return Err(HostError::ContextOverflow(Overflow { asked: 200, room: 100 }));
        }
        Ok(Activations::given([1], 2, spec.layers.iter().map(|layer| (*layer, vec![length as f32, 1.0]))))
    }

    fn datasets(extra: Option<serde_json::Value>) -> Datasets {
        let row = |length: usize, label: u32| serde_json::json!({"messages": [{"role": "user", "content": "x".repeat(length)}], "label": label});
        let rows = [(10, 0), (12, 0), (11, 0), (2, 1), (4, 1), (3, 1), (5, 2), (4, 2), (6, 2)];
        Datasets::new().with("items", rows.map(|(length, label)| row(length, label)).into_iter().chain(extra))
    }

    fn run(datasets: &Datasets, parameters: Parameters) -> Result<Diagnosis, Error> {
        let host =
            MockHost::new().info("target", info()).captures("target", |prompt, spec, _| state(prompt, spec));
        let diagnosis = XBoundary::run(&host, datasets, &parameters, 1);
        let sites: Vec<Site> = host.captured("target").iter().map(|(_, spec)| spec.site).collect();
        assert!(sites.iter().all(|site| matches!(site, Site::Residual | Site::FinalNorm)));
        diagnosis
    }

    fn value(diagnosis: &Diagnosis, name: &str, layer: u32) -> f64 {
        let group = format!("layer={layer}");
        let metric =
            diagnosis.summary.metrics.iter().find(|metric| {
                metric.name == name && metric.group.as_ref().is_some_and(|of| of.name == group)
            });
        match &metric.unwrap().estimate {
            Estimate::Given(given) => given.value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scores_are_those_of_the_centroids_at_the_default_layers() {
        let diagnosis = run(&datasets(None), Parameters { tsne: false, ..Parameters::default() }).unwrap();
        // Centroids at 11, 3 and 5.
        for layer in [2, 4] {
            assert!((value(&diagnosis, "separation_score", layer) - 8.0).abs() < 1e-6);
            assert!((value(&diagnosis, "boundary_ratio", layer) - 2.0 / 6.0).abs() < 1e-6);
        }
        let places: Vec<f64> = diagnosis
            .findings
            .iter()
            .map(|finding| match &finding.fields[1].value {
                Value::Number(place) => *place,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!((places[0] - 7.0 / 8.0).abs() < 1e-6 && (places[8] - 3.0 / 8.0).abs() < 1e-6);
        assert_eq!(diagnosis.findings[8].fields[0].value, Value::Text("boundary".into()));
    }

    #[test]
    fn a_row_that_does_not_fit_is_left_out_and_named() {
        let long =
            serde_json::json!({"messages": [{"role": "user", "content": "x".repeat(60)}], "label": "0"});
        let diagnosis =
            run(&datasets(Some(long)), Parameters { tsne: false, ..Parameters::default() }).unwrap();
        assert!((value(&diagnosis, "separation_score", 2) - 8.0).abs() < 1e-6);
        assert!(
            diagnosis.summary.notes[0].starts_with("1 of 10 rows are left out"),
            "{:?}",
            diagnosis.summary.notes
        );
        assert_eq!(diagnosis.findings.len(), 9);
    }

    #[test]
    fn layers_and_labels_that_do_not_exist_are_named() {
        let refused = run(&datasets(None), Parameters { layers: Some(vec![0, 99]), ..Parameters::default() });
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with("layer 99 does not exist: small has 6 blocks"), "{refused}");
        let wrong = serde_json::json!({"messages": [], "label": 7});
        let refused = run(&datasets(Some(wrong)), Parameters::default()).unwrap_err().to_string();
        assert!(refused.starts_with("row 9 of `items`: the label must be 0"), "{refused}");
    }
}
