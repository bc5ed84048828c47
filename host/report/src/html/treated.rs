//! The verdict on a treatment, first on the page: what fell, what rose, what it cost, and the model's inside before and
//! after.

use serde::Serialize;
use sonde_contract::Figure;

use super::figures::{FigureGroup, alone};
use crate::compare::{Section, sections, words};
use crate::picture::{Size, picture};
use crate::printable::shown;
use crate::treated::{AFTER, BEFORE, Way};
use crate::view::RunView;

/// Figures of a diagnostic that are shown before and after.
const MOST_FIGURES: usize = 8;

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

/// A diagnostic's pictures.
#[derive(Serialize)]
struct Inside {
    task: String,
    pairs: Vec<[FigureGroup; 2]>,
}

/// The section, of a run that derived a treatment.
pub(super) fn treated(run: &RunView) -> Option<Treated> {
    let treated = run.treated.as_ref()?;
    let line = |sentence: crate::treated::Sentence| {
        let (tone, mark) = match sentence.way {
            Way::Better => ("favourable", "better"),
            Way::Worse => ("adverse", "worse"),
            Way::Otherwise => ("between", "differs"),
            Way::NotShown => ("unclear", "no difference shown"),
        };
        Line { tone, mark, text: shown(&sentence.text) }
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
        let both = before.iter().filter_map(|first| {
            let second = after.iter().find(|second| name_of(second) == name_of(first))?;
            Some([first, second].map(|figure| alone(picture(figure, Size::Small))))
        });
        Inside { task: shown(name), pairs: both.take(MOST_FIGURES).collect() }
    });
    pairs.filter(|inside| !inside.pairs.is_empty()).collect()
}

fn name_of(figure: &Figure) -> &str {
    match figure {
        Figure::Line(chart) | Figure::Scatter(chart) | Figure::Bar(chart) => &chart.name,
        Figure::Heatmap(heatmap) => &heatmap.name,
    }
}
