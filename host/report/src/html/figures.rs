//! Figures on the page: alone, or in a grid where a task has many of one kind.

use serde::Serialize;
use sonde_contract::{Chart, Figure};

use crate::picture::{Entry, Picture, Size, picture};

/// From so many figures with the same axes and series on, they stand in a grid.
const FEWEST_IN_A_GRID: usize = 3;
/// Figures of a grid that are not folded away.
const MOST_OPEN: usize = 12;

/// Figures that belong together.
#[derive(Serialize)]
pub(super) struct FigureGroup {
    /// Whether they stand in a grid.
    pub(super) grid: bool,
    /// The legend of all of them, where they stand in a grid.
    pub(super) legend: Vec<Entry>,
    pub(super) pictures: Vec<Picture>,
    /// What is folded away.
    pub(super) more: Vec<Picture>,
}

/// Figures in their order, those of one kind together at the place of the first.
pub(super) fn figure_groups(figures: &[Figure]) -> Vec<FigureGroup> {
    let mut kinds: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        match kinds.iter_mut().find(|kind| kind.first().is_some_and(|first| alike(first, figure))) {
            Some(kind) => kind.push(figure),
            None => kinds.push(vec![figure]),
        }
    }
    kinds
        .into_iter()
        .flat_map(|kind| {
            if kind.len() >= FEWEST_IN_A_GRID {
                vec![grid(kind.into_iter().map(|figure| picture(figure, Size::Small)).collect())]
            } else {
                kind.into_iter().map(|figure| alone(picture(figure, Size::Full))).collect()
            }
        })
        .collect()
}

/// One figure by itself, with its own legend.
pub(super) fn alone(picture: Picture) -> FigureGroup {
    FigureGroup { grid: false, legend: Vec::new(), pictures: vec![picture], more: Vec::new() }
}

/// Small pictures under one legend.
pub(super) fn grid(mut pictures: Vec<Picture>) -> FigureGroup {
    let legend = pictures.first().map(|picture| picture.legend.clone()).unwrap_or_default();
    pictures.iter_mut().for_each(|picture| picture.legend.clear());
    let more = pictures.split_off(pictures.len().min(MOST_OPEN));
    FigureGroup { grid: true, legend, pictures, more }
}

/// Whether two figures differ in their points and names alone.
fn alike(one: &Figure, other: &Figure) -> bool {
    let same = |one: &Chart, other: &Chart| {
        let labels = |chart: &Chart| -> Vec<String> {
            chart.series.iter().map(|series| series.label.clone()).collect()
        };
        one.x == other.x && one.y == other.y && labels(one) == labels(other)
    };
    match (one, other) {
        (Figure::Line(one), Figure::Line(other)) | (Figure::Scatter(one), Figure::Scatter(other)) => {
            same(one, other)
        }
        _ => false,
    }
}
