//! Figures with two axes of numbers: lines and points.

use sonde_contract::{Chart, Point, Series};

use super::axis::{Scale, Ticks};
use super::drawing::{Drawing, Shape};
use super::marks::mark;
use super::{Entry, MOST_SERIES, Picture, Size, extent, finish, label, series_class};
use crate::numbers::plain;

const TOP: f64 = 12.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 46.0;

/// Points of a series that are drawn.
const MOST_POINTS: usize = 2_000;
/// Up to so many points of a figure can be pointed at one by one.
const MOST_TITLES: usize = 150;
/// From so many points of a series on, their outlines would hide them.
const MANY_MARKS: usize = 600;
/// Up to so many points of a line have marks.
const MOST_MARKS_ON_A_LINE: usize = 40;

/// The area between the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) floor: f64,
    pub(super) size: Size,
}

pub(super) fn plane(chart: &Chart, joined: bool, size: Size) -> Picture {
    let series: Vec<&Series> = chart.series.iter().take(MOST_SERIES).collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let across = extent(points().map(|point| point.x));
    let (left, right) = across.unwrap_or((0.0, 1.0));
    let (low, high) = extent(points().map(|point| point.y)).unwrap_or((0.0, 1.0));
    let (top, floor) = (TOP, size.height() - BOTTOM);
    // Zero is shown where it is near, so that heights can be compared.
    let from_zero = joined && low >= 0.0 && low < 0.5 * high;
    let up = Scale::new(if from_zero { 0.0 } else { low }, high, floor, top);
    let up = if from_zero { up.roomy_above(0.04) } else { up.roomy(0.04) };
    let rows = up.ticks(5.0);
    let frame = Frame { left: margin(&rows), right: size.width() - RIGHT, top, floor, size };
    let across_scale = Scale::new(left, right, frame.left, frame.right);
    let across_scale = if joined { across_scale } else { across_scale.roomy(0.04) };
    let name = format!("{}: {} against {}", chart.title, chart.y, chart.x);
    let mut drawing = Drawing::new(size.width(), size.height(), label(&name, 400));
    upward(&mut drawing, &frame, &rows, &chart.y);
    crosswise(&mut drawing, &frame, &across_scale, chart);
    if across.is_none() {
        let (x, y) = ((frame.left + frame.right) / 2.0, (frame.top + frame.floor) / 2.0);
        drawing.text(x, y, "middle", "label", "no points".to_owned());
    }
    let counted = points().count();
    let mut remarks = Vec::new();
    let mut legend = Vec::new();
    for (index, series) in series.iter().enumerate() {
        let line = joined && !is_peaks(&series.label);
        let (shown, thinned) = if line { thinned_line(&series.points) } else { thinned(&series.points) };
        if thinned && remarks.is_empty() {
            remarks.push("Drawn thinned out; the run file holds every point.".to_owned());
        }
        if line {
            drawing.path(polyline(&shown, &across_scale, &up), series_class("line", index));
        }
        if !line || shown.len() <= MOST_MARKS_ON_A_LINE {
            let radius = radius(if joined { 0 } else { counted });
            let place = |point: &Point| mark(index, across_scale.at(point.x), up.at(point.y), radius);
            points_of(&mut drawing, index, &series.label, &shown, counted <= MOST_TITLES, place);
        }
        legend.push(entry(index, &series.label, line));
    }
    finish(chart, drawing, legend, remarks)
}

/// Whether a series of a line figure holds points on another one's line.
fn is_peaks(label: &str) -> bool {
    label.trim_start().to_lowercase().starts_with("peaks")
}

pub(super) fn entry(index: usize, name: &str, line: bool) -> Entry {
    let (sign, kind) =
        if line { ("M1 6L21 6".to_owned(), "line") } else { (mark(index, 11.0, 6.0, 4.0), "point") };
    Entry { label: label(name, 120), sign, class: series_class(kind, index) }
}

/// Draws marks: one by one with what they are, or all as one shape.
pub(super) fn points_of(
    drawing: &mut Drawing,
    index: usize,
    name: &str,
    shown: &[Point],
    titled: bool,
    place: impl Fn(&Point) -> String,
) {
    if !titled {
        let dense = shown.len() > MANY_MARKS;
        let class = series_class(if dense { "point dense" } else { "point" }, index);
        let d: String = shown.iter().map(place).collect();
        drawing.path(d, class);
        return;
    }
    let class = series_class("point", index);
    for point in shown {
        let title = format!("{} {}, {}", label(name, 60), plain(point.x), plain(point.y));
        drawing.shapes.push(Shape::Path { d: place(point), class: class.clone(), title });
    }
}

/// The radius of marks of which there are so many.
pub(super) fn radius(points: usize) -> f64 {
    match points {
        0..=200 => 3.6,
        201..=1_000 => 2.8,
        _ => 2.0,
    }
}

fn polyline(points: &[Point], across: &Scale, up: &Scale) -> String {
    let mut d = String::new();
    for (place, point) in points.iter().enumerate() {
        let pen = if place == 0 { 'M' } else { 'L' };
        d.push_str(&format!("{pen}{:.1} {:.1}", across.at(point.x), up.at(point.y)));
    }
    d
}

fn finite(points: &[Point]) -> Vec<Point> {
    points.iter().copied().filter(|point| point.x.is_finite() && point.y.is_finite()).collect()
}

/// Every so-manyth point, and whether some are left out.
fn thinned(points: &[Point]) -> (Vec<Point>, bool) {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    (finite(points).into_iter().step_by(step).collect(), step > 1)
}

/// The highest and the lowest point of each stretch, so that no peak is lost, and whether some are left out.
fn thinned_line(points: &[Point]) -> (Vec<Point>, bool) {
    let points = finite(points);
    if points.len() <= MOST_POINTS {
        return (points, false);
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let kept = points.chunks(stretch).flat_map(|stretch| {
        let by_height = |one: &(usize, &Point), other: &(usize, &Point)| one.1.y.total_cmp(&other.1.y);
        let ends =
            [stretch.iter().enumerate().min_by(by_height), stretch.iter().enumerate().max_by(by_height)];
        let mut ends: Vec<(usize, &Point)> = ends.into_iter().flatten().collect();
        ends.sort_by_key(|(place, _)| *place);
        ends.dedup_by_key(|(place, _)| *place);
        ends.into_iter().map(|(_, point)| *point)
    });
    (kept.collect(), true)
}

/// Room for the numbers and the name of the upward axis.
fn margin(rows: &Ticks) -> f64 {
    let longest = rows.ticks.iter().map(|tick| tick.text.chars().count()).max().unwrap_or(1);
    34.0 + 6.6 * longest as f64
}

fn upward(drawing: &mut Drawing, frame: &Frame, rows: &Ticks, name: &str) {
    for tick in &rows.ticks {
        drawing.line((frame.left, tick.at), (frame.right, tick.at), "rule");
        drawing.text(frame.left - 7.0, tick.at + 4.0, "end", "tick", tick.text.clone());
    }
    let room = frame.size.letters().1.saturating_sub(rows.note.chars().count());
    let name = format!("{}{}", label(name, room), rows.note);
    drawing.upright(13.0, (frame.top + frame.floor) / 2.0, name);
}

fn crosswise(drawing: &mut Drawing, frame: &Frame, across: &Scale, chart: &Chart) {
    let mut note = String::new();
    if chart.categories.is_empty() {
        let columns = across.ticks(frame.size.ticks());
        for tick in columns.ticks {
            drawing.line((tick.at, frame.floor), (tick.at, frame.floor + 4.0), "axis");
            drawing.text(tick.at, frame.floor + 17.0, "middle", "tick", tick.text);
        }
        note = columns.note;
    } else {
        let step = chart.categories.len().div_ceil(frame.size.ticks() as usize).max(1);
        for (index, name) in chart.categories.iter().enumerate().step_by(step) {
            let at = across.at(index as f64);
            drawing.text(at, frame.floor + 17.0, "middle", "tick", label(name, 12));
        }
    }
    drawing.line((frame.left, frame.floor), (frame.right, frame.floor), "axis");
    let name = format!("{}{note}", label(&chart.x, frame.size.letters().0));
    drawing.text((frame.left + frame.right) / 2.0, frame.size.height() - 8.0, "middle", "label", name);
}
