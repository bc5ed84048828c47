//! Places as figures, one per layer.

use sonde_contract::{Chart, Point, Series};

use super::summary::{layers, places};
use super::{Behaviour, Placement, diagnostics, of};

/// Where the centroids lie along x.
pub const CENTROIDS: [(f64, &str); 2] = [(0.0, "safe centroid"), (1.0, "harmful centroid")];

/// A diagnostic's task and its charts, one per layer: x is the place, y counts the series, which are the refused and the
/// complied.
pub fn charts(placements: &[Placement]) -> Vec<(String, Vec<Chart>)> {
    let of_diagnostic = |diagnostic: &str| {
        let mine = of(diagnostic, placements);
        let charts: Vec<Chart> = layers(&mine).iter().filter_map(|layer| chart(layer, &mine)).collect();
        (diagnostic.to_owned(), charts)
    };
    diagnostics(placements).into_iter().map(of_diagnostic).filter(|(_, charts)| !charts.is_empty()).collect()
}

fn chart(layer: &str, placements: &[&Placement]) -> Option<Chart> {
    let kinds = [Behaviour::Refused, Behaviour::Complied];
    let series: Vec<Series> = kinds
        .into_iter()
        .enumerate()
        .map(|(y, kind)| Series {
            label: kind.as_str().to_owned(),
            points: places(placements, layer, None, kind)
                .into_iter()
                .map(|x| Point { x, y: y as f64 })
                .collect(),
        })
        .collect();
    series.iter().any(|series| !series.points.is_empty()).then(|| Chart {
        name: format!("behaviour-{layer}"),
        title: format!("Refused and complied, {layer}"),
        x: "place between the centroids".to_owned(),
        y: "refused (0) or complied (1)".to_owned(),
        categories: Vec::new(),
        series,
    })
}
