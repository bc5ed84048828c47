//! A whole treatment: steering along the difference between the mean states of two kinds of texts.

use serde::Deserialize;
use sonde_sdk::{
    About, CaptureSpec, Datasets, Derived, Error, Host, Intervention, Measure, Parameter, Prompt, Rows, Site,
    Summary, Trainable, Treatment, WhiteBox, about,
};

/// The treatment.
pub struct Steering;

/// What may be set.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    layer: u32,
    coefficient: f32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { layer: 1, coefficient: 1.0 }
    }
}

#[derive(Deserialize)]
struct Row {
    text: String,
}

impl Treatment for Steering {
    type Parameters = Parameters;

    fn about() -> About {
        about!("Steering towards texts")
            .summary("Adds to the residual stream, at one layer, what sets wanted texts apart from others on average.")
            .model("target", "The model to treat.")
            .dataset("wanted", "Texts to be steered towards.")
            .dataset("other", "Texts to be steered away from.")
            .column("text", "A text.")
            .parameters([
                Parameter::count("layer", 1, "Where, as the residual stream counts its layers."),
                Parameter::number("coefficient", 1.0, "How much of the difference is added."),
            ])
    }

    fn derive(
        host: &impl Host<Model: Trainable>,
        datasets: &Datasets,
        parameters: &Parameters,
        _seed: u64,
    ) -> Result<Derived, Error> {
        let model = host.model("target")?;
        let wanted = mean(&model, datasets.rows("wanted")?, parameters.layer)?;
        let other = mean(&model, datasets.rows("other")?, parameters.layer)?;
        let vector: Vec<f32> = wanted.iter().zip(&other).map(|(wanted, other)| wanted - other).collect();
        let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let norm = Measure::new("norm", "The length of the difference.").given(norm, 1);
        let change = Intervention::add(Site::Residual, [parameters.layer], vector, parameters.coefficient);
        Ok(Derived::interventions([change]).summary(Summary::empty().metric(norm)))
    }
}

/// The mean over texts of their mean states.
fn mean(model: &impl WhiteBox, rows: Vec<Row>, layer: u32) -> Result<Vec<f32>, Error> {
    let prompts: Vec<_> = rows.into_iter().map(|row| Prompt::plain(row.text)).collect();
    let spec = CaptureSpec::new(Site::Residual, [layer]).rows(Rows::Mean);
    let mut mean = Vec::new();
    for kept in model.capture(&prompts, &spec) {
        let state = kept?.read(layer)?;
        mean.resize(state.len(), 0.0);
        mean.iter_mut().zip(state).for_each(|(mean, x)| *mean += x / prompts.len() as f32);
    }
    Ok(mean)
}

sonde_sdk::export_treatment!(Steering);

#[cfg(test)]
mod tests {
    use super::*;
    use sonde_sdk::mock::{MockHost, check_parameters};
    use sonde_sdk::{Activations, Estimate, ModelChange, Purpose};

    #[test]
    fn the_vector_is_the_difference_of_the_means() {
        let host = MockHost::new().captures("target", |prompt, spec, _| {
            let state = match prompt {
                Prompt::Text(text) if text == "yes" => vec![3.0, 6.0],
                Prompt::Text(text) if text == "maybe" => vec![3.0, 2.0],
                _ => vec![0.0, 0.0],
            };
            Ok(Activations::given([7], 2, spec.layers.iter().map(|layer| (*layer, state.clone()))))
        });
        let text = |text: &str| serde_json::json!({ "text": text });
        let datasets =
            Datasets::new().with("wanted", [text("yes"), text("maybe")]).with("other", [text("no")]);
        let derived = Steering::derive(&host, &datasets, &Parameters::default(), 0).unwrap();
        let ModelChange::Interventions(changes) = derived.change else { panic!("{derived:?}") };
        assert_eq!(changes, [Intervention::add(Site::Residual, [1], [3.0, 4.0], 1.0)]);
        assert_eq!(derived.purpose, Purpose::Safety);
        assert!(matches!(&derived.summary.metrics[0].estimate, Estimate::Given(given) if given.value == 5.0));
    }

    #[test]
    fn parameters_are_those_of_the_description() {
        check_parameters::<Parameters>(&Steering::about()).unwrap();
    }
}
