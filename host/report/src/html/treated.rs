//! The verdict on a treatment, first on the page: what fell, what rose, what it cost, and the model's inside before and
//! after.

use serde::Serialize;
use sonde_contract::{Chart, Figure, Series};

use super::figures::{FigureGroup, alone};
use crate::compare::{Section, sections, words};
use crate::picture::{Size, picture};
use crate::printable::shown;
use crate::treated::{AFTER, BEFORE, Way};
use crate::view::RunView;

/// Pairs of pictures of a diagnostic.
const MOST_PAIRS: usize = 16;

#[derive(Serialize)]
pub(super) struct Treated {
    heading: String,
    told: String,
    cost: String,
    task: String,
    sentences: Vec<Line>,
    waiting: bool,
    sections: Vec<Section>,
    methods: Vec<String>,
    inside: Vec<Inside>,
}

#[derive(Serialize)]
struct Line {
    tone: &'static str,
    mark: &'static str,
    text: String,
}

/// A diagnostic's pictures: lines with both measurements in them, and the others side by side.
#[derive(Serialize)]
struct Inside {
    task: String,
    together: Vec<FigureGroup>,
    pairs: Vec<[FigureGroup; 2]>,
}

/// The section, of a run that derived a treatment.
pub(super) fn treated(run: &RunView) -> Option<Treated> {
    let treated = run.treated.as_ref()?;
    let line = |sentence: crate::treated::Sentence| {
        let tone = match sentence.way {
            Way::Better => "favourable",
            Way::Worse => "adverse",
            Way::Otherwise => "between",
            Way::NotShown => "unclear",
        };
        Line { tone, mark: sentence.way.as_str(), text: shown(&sentence.text) }
    };
    let comparison = treated.comparison.as_ref();
    Some(Treated {
        heading: shown(&treated.heading()),
        told: shown(&treated.told),
        cost: shown(&treated.cost),
        task: shown(&treated.task),
        sentences: treated.sentences().into_iter().map(line).collect(),
        waiting: comparison.is_none(),
        sections: comparison.map(sections).unwrap_or_default(),
        methods: comparison.map(words::methods).unwrap_or_default(),
        inside: inside(run),
    })
}

/// The figures of the same name of every task that has some, before and after.
fn inside(run: &RunView) -> Vec<Inside> {
    let figures = |name: String| {
        let task = run.tasks.iter().find(|task| task.name == name);
        task.and_then(|task| task.result.as_ref()).map(|result| result.figures.as_slice()).unwrap_or_default()
    };
    let names = run.tasks.iter().filter_map(|task| task.name.strip_prefix(BEFORE));
    let pairs = names.map(|name| {
        let (before, after) = (figures(format!("{BEFORE}{name}")), figures(format!("{AFTER}{name}")));
        let mut inside = Inside { task: shown(name), together: Vec::new(), pairs: Vec::new() };
        for first in before {
            let Some(second) = after.iter().find(|second| name_of(second) == name_of(first)) else {
                continue;
            };
            match (first, second) {
                (Figure::Line(first), Figure::Line(second)) => {
                    let both = Figure::Line(overlaid(first, second));
                    inside.together.push(alone(picture(&both, Size::Full)));
                }
                _ if inside.pairs.len() < MOST_PAIRS => {
                    inside.pairs.push([first, second].map(|figure| alone(picture(figure, Size::Small))));
                }
                _ => {}
            }
        }
        inside
    });
    pairs.filter(|inside| !inside.together.is_empty() || !inside.pairs.is_empty()).collect()
}

/// One chart with the lines of both.
fn overlaid(before: &Chart, after: &Chart) -> Chart {
    let named = |chart: &Chart, when: &str| -> Vec<Series> {
        let label = |series: &Series| Series { label: format!("{}, {when}", series.label), ..series.clone() };
        chart.series.iter().map(label).collect()
    };
    Chart { series: [named(before, "before"), named(after, "after")].concat(), ..before.clone() }
}

fn name_of(figure: &Figure) -> &str {
    match figure {
        Figure::Line(chart) | Figure::Scatter(chart) | Figure::Bar(chart) => &chart.name,
        Figure::Heatmap(heatmap) => &heatmap.name,
    }
}
