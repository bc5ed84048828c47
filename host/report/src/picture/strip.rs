//! A strip of points per series along one axis, for telling apart where kinds of samples lie.

use sonde_contract::{Chart, Point};

use super::axis::Scale;
use super::drawing::Drawing;
use super::marks::mark;
use super::plane::{points_of, radius};
use super::{Picture, Size, extent, finish, label};
use crate::numbers::plain;

const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;
const ROW: f64 = 62.0;
const LEFT: f64 = 92.0;

/// Draws each series of a chart as a strip at its place along x, with a bar at its mean. `marks` are numbers along x
/// with their names.
pub(crate) fn strip(chart: &Chart, marks: &[(f64, &str)], size: Size) -> Picture {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let places = points().map(|point| point.x).chain(marks.iter().map(|(at, _)| *at));
    let (low, high) = extent(places).unwrap_or((0.0, 1.0));
    let floor = TOP + ROW * chart.series.len().max(1) as f64;
    let across = Scale::new(low, high, LEFT, size.width() - RIGHT).roomy(0.05);
    let name = format!("{}: {}", chart.title, chart.x);
    let mut drawing = Drawing::new(size.width(), floor + BOTTOM, label(&name, 400));
    let columns = across.ticks(size.ticks());
    for tick in columns.ticks {
        drawing.line((tick.at, TOP), (tick.at, floor), "rule");
        drawing.line((tick.at, floor), (tick.at, floor + 4.0), "axis");
        drawing.text(tick.at, floor + 17.0, "middle", "tick", tick.text);
    }
    for (at, name) in marks {
        let x = across.at(*at);
        drawing.line((x, TOP - 4.0), (x, floor), "reference");
        // A name near the edge ends there.
        let half = name.chars().count() as f64 * 3.1;
        let edge = size.width() - 2.0;
        let (x, anchor) = if x + half > edge { (edge, "end") } else { (x, "middle") };
        drawing.text(x, TOP - 9.0, anchor, "tick", (*name).to_owned());
    }
    let counted = points().count();
    for (index, series) in chart.series.iter().enumerate() {
        let middle = TOP + ROW * (index as f64 + 0.5);
        drawing.text(LEFT - 10.0, middle, "end", "name", label(&series.label, 13));
        drawing.text(LEFT - 10.0, middle + 14.0, "end", "tick", format!("n = {}", series.points.len()));
        let numbered: Vec<Point> = series
            .points
            .iter()
            .enumerate()
            .filter(|(_, point)| point.x.is_finite())
            .map(|(place, point)| Point { x: point.x, y: place as f64 })
            .collect();
        // Spread by the golden ratio: the same every time, and neighbours in the data lie apart.
        let place = |point: &Point| {
            let spread = (point.y * 0.618_033_988_749_895).fract() - 0.5;
            mark(index, across.at(point.x), middle + spread * ROW * 0.62, radius(counted))
        };
        points_of(&mut drawing, index, &series.label, &numbered, false, place);
        if !numbered.is_empty() {
            let mean = numbered.iter().map(|point| point.x).sum::<f64>() / numbered.len() as f64;
            let x = across.at(mean);
            drawing.line((x, middle - ROW * 0.4), (x, middle + ROW * 0.4), "mean");
        }
    }
    drawing.line((LEFT, floor), (size.width() - RIGHT, floor), "axis");
    let name = format!("{}{}", label(&chart.x, size.letters().0), columns.note);
    drawing.text((LEFT + size.width() - RIGHT) / 2.0, floor + BOTTOM - 8.0, "middle", "label", name);
    let means = chart.series.iter().filter(|series| !series.points.is_empty()).map(|series| {
        let sum: f64 = series.points.iter().map(|point| point.x).sum();
        format!("{} {}", label(&series.label, 40), plain(sum / series.points.len() as f64))
    });
    drawing.label = format!("{}; means: {}", drawing.label, means.collect::<Vec<_>>().join(", "));
    let mut picture = finish(chart, drawing, Vec::new(), Vec::new());
    picture.legend.clear();
    picture
}
