//! Behaviour beside representation on the page.

use serde::Serialize;

use super::figures::{FigureGroup, alone, grid};
use crate::numbers::{plain, thousands};
use crate::picture::{Size, strip};
use crate::placement::{self, Behaviour, CENTROIDS, Placement, charts, diagnostics, summaries};
use crate::printable::shown;
use crate::table::place_cells;
use crate::view::RunView;

/// Samples listed per diagnostic.
const MOST_LISTED: usize = 200;

/// What one diagnostic's places say of the run's samples.
#[derive(Serialize)]
pub(super) struct Beside {
    diagnostic: String,
    tasks: String,
    samples: String,
    /// Samples that tell neither refusal nor compliance.
    neither: String,
    /// Layer, refused, complied, AUROC.
    layers: Vec<[String; 4]>,
    figures: FigureGroup,
    /// Names of the layers whose places are listed.
    columns: Vec<String>,
    listed: Vec<Listed>,
    left_out: String,
}

#[derive(Serialize)]
struct Listed {
    request: String,
    label: String,
    sample: String,
    behaviour: &'static str,
    tone: &'static str,
    places: Vec<String>,
}

/// A section per diagnostic that placed requests.
pub(super) fn beside(run: &RunView) -> Vec<Beside> {
    let summaries = summaries(&run.placements);
    let mut charts = charts(&run.placements);
    diagnostics(&run.placements)
        .into_iter()
        .map(|diagnostic| {
            let mut mine = placement::of(diagnostic, &run.placements);
            let tasks = shown(&placement::tasks(&mine));
            let neither = mine.iter().filter(|placement| placement.behaviour.is_none()).count() as u64;
            let drawn = charts.iter_mut().find(|(task, _)| task == diagnostic);
            let drawn = drawn.map(|(_, charts)| std::mem::take(charts)).unwrap_or_default();
            let size = if drawn.len() > 2 { Size::Small } else { Size::Full };
            let mut pictures: Vec<_> = drawn.iter().map(|chart| strip(chart, &CENTROIDS, size)).collect();
            let figures = match pictures.pop() {
                Some(only) if pictures.is_empty() => alone(only),
                last => grid(pictures.into_iter().chain(last).collect()),
            };
            mine.sort_by(|one, other| order(other).total_cmp(&order(one)));
            let columns = columns(&mine);
            Beside {
                diagnostic: shown(diagnostic),
                tasks,
                samples: thousands(mine.len() as u64),
                neither: if neither > 0 { thousands(neither) } else { String::new() },
                layers: summaries
                    .iter()
                    .filter(|summary| summary.diagnostic == diagnostic)
                    .map(|summary| place_cells(summary).map(|text| shown(&text)))
                    .collect(),
                figures,
                listed: mine.iter().take(MOST_LISTED).map(|placement| listed(placement, &columns)).collect(),
                columns: columns.iter().map(|column| shown(column)).collect(),
                left_out: match mine.len().saturating_sub(MOST_LISTED) {
                    0 => String::new(),
                    left => thousands(left as u64),
                },
            }
        })
        .collect()
}

/// Those first that were complied with, and of each kind those that lie nearest to the harmful centroid in the last layer.
fn order(placement: &Placement) -> f64 {
    let kind = match placement.behaviour {
        Some(Behaviour::Complied) => 2e9,
        Some(Behaviour::Refused) => 0.0,
        None => -2e9,
    };
    let place = placement.places.last().map_or(0.0, |(_, place)| place.clamp(-1e8, 1e8));
    kind + place
}

/// Up to six layers, evenly from all.
fn columns(placements: &[&Placement]) -> Vec<String> {
    const MOST: usize = 6;
    let all = placements.iter().max_by_key(|placement| placement.places.len());
    let all: Vec<String> =
        all.into_iter().flat_map(|placement| &placement.places).map(|(layer, _)| layer.clone()).collect();
    let last = all.len().saturating_sub(1);
    let shown = all.len().min(MOST);
    (0..shown)
        .filter_map(|index| all.get((index * last).checked_div(shown - 1).unwrap_or_default()).cloned())
        .collect()
}

fn listed(placement: &Placement, columns: &[String]) -> Listed {
    let place = |column: &String| {
        let found = placement.places.iter().find(|(layer, _)| layer == column);
        found.map_or_else(|| "–".to_owned(), |(_, place)| plain(*place))
    };
    Listed {
        request: shown(&placement.request),
        label: shown(placement.label.as_deref().unwrap_or("–")),
        sample: shown(&placement.sample),
        behaviour: placement.behaviour.map_or("neither", Behaviour::as_str),
        tone: match placement.good {
            Some(true) => "favourable",
            Some(false) => "adverse",
            None => "neutral",
        },
        places: columns.iter().map(place).collect(),
    }
}
