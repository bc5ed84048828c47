//! A whole diagnostic: how long the mean state of each text is, layer by layer.

use serde::Deserialize;
use sonde_sdk::{
    About, CaptureSpec, Datasets, Diagnosis, Diagnostic, Error, Finding, Host, Measure, Model, NoParameters,
    Plot, Prompt, Rows, Site, Summary, WhiteBox, about,
};

/// The diagnostic.
pub struct Norms;

#[derive(Deserialize)]
struct Row {
    text: String,
}

impl Diagnostic for Norms {
    type Parameters = NoParameters;

    fn about() -> About {
        about!("Norms of states")
            .summary("The Euclidean norm of the residual stream's mean over a text, at every layer.")
            .model("target", "The model to look into.")
            .dataset("items", "Texts.")
            .column("text", "A text.")
    }

    fn run(
        host: &impl Host<Model: WhiteBox>,
        datasets: &Datasets,
        _: &NoParameters,
        _seed: u64,
    ) -> Result<Diagnosis, Error> {
        let model = host.model("target")?;
        let prompts: Vec<_> =
            datasets.rows("items")?.into_iter().map(|row: Row| Prompt::plain(row.text)).collect();
        let spec = CaptureSpec::new(Site::Residual, 0..=model.info().layers).rows(Rows::Mean);
        let mut findings = Vec::new();
        let mut sums = vec![0.0; spec.layers.len()];
        for (row, kept) in model.capture(&prompts, &spec).into_iter().enumerate() {
            let kept = kept?;
            let mut finding = Finding::new("items", row);
            for (layer, sum) in kept.layers().iter().zip(&mut sums) {
                let norm = kept.read(*layer)?.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                *sum += norm;
                finding = finding.field(&format!("norm at layer {layer}"), norm);
            }
            findings.push(finding);
        }
        let measure = Measure::new("mean_norm", "The mean of the norms over all texts.");
        let n = prompts.len() as u64;
        let means: Vec<f64> = sums.iter().map(|sum| sum / n.max(1) as f64).collect();
        let metrics =
            spec.layers.iter().zip(&means).map(|(layer, mean)| measure.given(*mean, n).at_layer(*layer));
        let plot =
            Plot::line("norms", "Norms by layer").axes("layer", "mean norm").values("all", means.clone());
        Ok(Diagnosis::new(Summary::empty().metrics(metrics).figure(plot)).findings(findings))
    }
}

sonde_sdk::export_diagnostic!(Norms);

#[cfg(test)]
mod tests {
    use super::*;
    use sonde_sdk::mock::MockHost;
    use sonde_sdk::{Activations, Estimate, Value};

    #[test]
    fn norms_are_those_of_the_mean_states() {
        // A model of one block has the layers 0 and 1; its states are twice as long after the block.
        let host = MockHost::new().captures("target", |_, spec, _| {
            let state = |layer: u32| vec![3.0 * (layer + 1) as f32, 4.0 * (layer + 1) as f32];
            Ok(Activations::given([7], 2, spec.layers.iter().map(|layer| (*layer, state(*layer)))))
        });
        let items = [serde_json::json!({"text": "a"}), serde_json::json!({"text": "b"})];
        let datasets = Datasets::new().with("items", items);
        let diagnosis = Norms::run(&host, &datasets, &NoParameters {}, 0).unwrap();
        let value = |metric: &sonde_sdk::Metric| match &metric.estimate {
            Estimate::Given(given) => given.value,
            other => panic!("{other:?}"),
        };
        assert_eq!(diagnosis.summary.metrics.iter().map(value).collect::<Vec<_>>(), [5.0, 10.0]);
        assert_eq!(diagnosis.findings[1].fields[1].value, Value::Number(10.0));
    }
}
