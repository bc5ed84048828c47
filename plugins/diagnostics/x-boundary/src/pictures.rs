//! Maps of each layer, and the scores over the layers.

use sonde_diagnostics::scatter::{TsneOptions, pca, tsne};
use sonde_diagnostics::x_boundary::Class;
use sonde_diagnostics::{Error, Vectors};
use sonde_sdk::Plot;

use crate::Parameters;
use crate::metrics::Measured;

/// PCA and, unless switched off, t-SNE of one layer, a series per class.
pub fn maps(
    layer: u32,
    vectors: &Vectors,
    classes: &[Class],
    parameters: &Parameters,
) -> Result<Vec<Plot>, Error> {
    let mut maps = Vec::new();
    // States that are all equal have no map.
    let found = match pca(vectors) {
        Ok(found) => found,
        Err(Error::Constant { .. }) => return Ok(maps),
        Err(error) => return Err(error),
    };
    let [first, second] = found.explained.map(|share| format!("{:.0} % of the variance", 100.0 * share));
    let plot = Plot::scatter(&format!("pca-layer-{layer}"), &format!("Layer {layer}, principal components"));
    maps.push(by_class(
        plot.axes(&format!("first: {first}"), &format!("second: {second}")),
        &found.points,
        classes,
    ));
    if parameters.tsne {
        let options = TsneOptions { perplexity: parameters.perplexity, ..TsneOptions::default() };
        let found = tsne(vectors, options)?;
        let title = format!("Layer {layer}, t-SNE (perplexity {})", found.perplexity);
        maps.push(by_class(Plot::scatter(&format!("tsne-layer-{layer}"), &title), &found.points, classes));
    }
    Ok(maps)
}

fn by_class(plot: Plot, points: &[[f64; 2]], classes: &[Class]) -> Plot {
    [Class::Harmful, Class::Safe, Class::Boundary].into_iter().fold(plot, |plot, class| {
        let of_class = points.iter().zip(classes).filter(|(_, of)| **of == class);
        plot.series(class.name(), of_class.map(|([x, y], _)| (*x, *y)))
    })
}

/// The scores over the layers, where there is more than one.
pub fn by_layer(measured: &[Measured]) -> Vec<Plot> {
    if measured.len() < 2 {
        return Vec::new();
    }
    let points = |value: &dyn Fn(&Measured) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = measured.iter().filter_map(|one| Some((f64::from(one.layer), value(one)?)));
        points.filter(|(_, y)| y.is_finite()).collect()
    };
    let null = |one: &Measured| Some(one.nulls.as_ref()?.separation_score?.mean);
    vec![
        Plot::line("separation-by-layer", "Distance between the centroids of safe and harmful")
            .axes("layer", "separation_score")
            .series("true labels", points(&|one| Some(one.scores.separation_score)))
            .series("shuffled labels, mean", points(&null)),
        Plot::line("boundary-ratio-by-layer", "Boundary requests: nearer to safe (below 1) or to harmful")
            .axes("layer", "boundary_ratio")
            .series("boundary_ratio", points(&|one| Some(one.scores.boundary_ratio))),
        Plot::line("companions-by-layer", "How well harmful and safe are told apart, without a unit")
            .axes("layer", "score")
            .series("auroc", points(&|one| one.scores.auroc))
            .series("silhouette", points(&|one| Some(one.scores.silhouette))),
    ]
}
