//! The plugins' figures as drawings: what the page and the SVG files show.
//!
//! The data is a stranger's: whatever its size, a drawing stays within a few thousand shapes, and what is left out is
//! said below it. In a line figure, a series whose label begins with `peaks` is drawn as marks alone: points that lie
//! on the line of another series.

mod axis;
mod bars;
mod drawing;
mod heatmap;
mod marks;
mod plane;
mod strip;

use serde::Serialize;
use sonde_contract::{Chart, Figure};

pub(crate) use axis::Scale;
pub(crate) use drawing::{Drawing, Shape, tenth};
pub(crate) use strip::strip;

use crate::printable::{cut, shown};

/// Series of a figure that are drawn.
const MOST_SERIES: usize = 12;

/// How large a figure is drawn, in units of which its smallest letters are 11.5 high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// For itself.
    Full,
    /// In a grid with others of its kind.
    Small,
}

impl Size {
    fn width(self) -> f64 {
        match self {
            Self::Full => 640.0,
            Self::Small => 330.0,
        }
    }

    fn height(self) -> f64 {
        match self {
            Self::Full => 330.0,
            Self::Small => 260.0,
        }
    }

    /// Ticks across.
    fn ticks(self) -> f64 {
        match self {
            Self::Full => 7.0,
            Self::Small => 4.0,
        }
    }

    /// Letters of an axis's name that have room across and up.
    fn letters(self) -> (usize, usize) {
        match self {
            Self::Full => (90, 44),
            Self::Small => (44, 34),
        }
    }
}

/// A drawn figure with its words.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Picture {
    pub(crate) title: String,
    pub(crate) drawing: Drawing,
    /// The series in the order of their colours; empty when one needs no telling apart.
    pub(crate) legend: Vec<Entry>,
    /// What is left out or how to read it.
    pub(crate) remark: String,
}

/// A series in the legend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) label: String,
    /// SVG path data of its sign in a box 22 wide and 12 high.
    pub(crate) sign: String,
    /// `line`, `point` or `fill`, and the colour.
    pub(crate) class: String,
}

/// Draws a figure.
pub(crate) fn picture(figure: &Figure, size: Size) -> Picture {
    match figure {
        Figure::Line(chart) => plane::plane(chart, true, size),
        Figure::Scatter(chart) => plane::plane(chart, false, size),
        Figure::Bar(chart) => bars::bars(chart),
        Figure::Heatmap(heatmap) => heatmap::heatmap(heatmap),
    }
}

/// The classes of a series: six colours, and with the seventh series they come again with other marks and dashes.
fn series_class(kind: &str, index: usize) -> String {
    format!("{kind} s{} d{}", index % 6, (index + index / 6) % 4)
}

fn finish(chart: &Chart, drawing: Drawing, legend: Vec<Entry>, mut remarks: Vec<String>) -> Picture {
    if chart.series.len() > MOST_SERIES {
        remarks.insert(0, format!("The first {MOST_SERIES} of {} series are drawn.", chart.series.len()));
    }
    let telling = chart.series.len() > 1;
    Picture {
        title: shown(&chart.title),
        drawing,
        legend: if telling { legend } else { Vec::new() },
        remark: remarks.join(" "),
    }
}

/// Smallest and largest of finite numbers, within bounds whose difference is still a number.
fn extent(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    numbers.filter(|number| number.is_finite()).map(|number| number.clamp(-1e150, 1e150)).fold(
        None,
        |span: Option<(f64, f64)>, number| {
            Some(span.map_or((number, number), |(low, high)| (low.min(number), high.max(number))))
        },
    )
}

/// What a label says, on one line and no longer than its place.
fn label(text: &str, most: usize) -> String {
    cut(&shown(text).split_whitespace().collect::<Vec<_>>().join(" "), most)
}

#[cfg(test)]
mod tests;
