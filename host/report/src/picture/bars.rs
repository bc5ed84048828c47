//! Bars by category.

use std::borrow::Cow;

use sonde_contract::{Chart, Series};

use super::axis::Scale;
use super::drawing::{Drawing, Shape, tenth};
use super::{Entry, MOST_SERIES, Picture, extent, finish, label, series_class};
use crate::numbers::plain;

const WIDTH: f64 = 640.0;
/// Room for the names of the categories, and beside a bar for its number.
const NAMES: f64 = 176.0;
const NUMBER: f64 = 62.0;
const MOST_CATEGORIES: usize = 40;

/// Bars lie: names of categories are long, and read better beside a bar than below one.
pub(super) fn bars(chart: &Chart) -> Picture {
    let chart = &*named(chart);
    let series: Vec<&Series> = chart.series.iter().take(MOST_SERIES).collect();
    let categories = chart.categories.len().min(MOST_CATEGORIES);
    let (thick, gap) = (if series.len() > 1 { 11.0 } else { 15.0 }, 9.0);
    let row = thick * series.len().max(1) as f64 + gap;
    let height = row * categories.max(1) as f64 + 46.0;
    let ends = extent(series.iter().flat_map(|series| &series.points).map(|point| point.y));
    let (low, high) = ends.unwrap_or((0.0, 1.0));
    let start = if low < 0.0 { NAMES + NUMBER } else { NAMES };
    let across = Scale::new(low.min(0.0), high.max(0.0), start, WIDTH - NUMBER);
    let name = format!("{}: {} by {}", chart.title, chart.y, chart.x);
    let mut drawing = Drawing::new(WIDTH, height, label(&name, 400));
    let floor = row * categories.max(1) as f64 + 4.0;
    let columns = across.ticks(5.0);
    for tick in columns.ticks {
        drawing.line((tick.at, 0.0), (tick.at, floor), "rule");
        drawing.text(tick.at, floor + 15.0, "middle", "tick", tick.text);
    }
    let zero = across.at(0.0);
    for (index, name) in chart.categories.iter().take(categories).enumerate() {
        let top = row * index as f64 + gap / 2.0;
        drawing.text(NAMES - 10.0, top + (row - gap) / 2.0 + 4.0, "end", "name", both_ends(name));
        for (place, series) in series.iter().enumerate() {
            let mine = |at: f64| at == index as f64;
            let Some(point) = series.points.iter().find(|point| mine(point.x) && point.y.is_finite()) else {
                continue;
            };
            let (end, y) = (across.at(point.y), top + thick * place as f64);
            drawing.shapes.push(Shape::Rect {
                x: tenth(zero.min(end)),
                y: tenth(y),
                width: tenth((end - zero).abs()),
                height: thick - 2.0,
                class: series_class("fill", place),
                opacity: 1.0,
                title: format!("{}, {}: {}", label(name, 60), label(&series.label, 60), plain(point.y)),
            });
            let beside = if end < zero { (end - 6.0, "end") } else { (end + 6.0, "start") };
            drawing.text(beside.0, y + thick / 2.0 + 3.0, beside.1, "tick", plain(point.y));
        }
    }
    if categories == 0 {
        drawing.text(
            (start + WIDTH - NUMBER) / 2.0,
            floor / 2.0 + 4.0,
            "middle",
            "label",
            "no bars".to_owned(),
        );
    }
    drawing.line((zero, 0.0), (zero, floor), "axis");
    let name = format!("{}{}", label(&chart.y, 80), columns.note);
    drawing.text((start + WIDTH - NUMBER) / 2.0, height - 8.0, "middle", "label", name);
    let legend = series.iter().enumerate().map(|(index, series)| Entry {
        label: label(&series.label, 120),
        sign: "M5 1h12v10h-12z".to_owned(),
        class: series_class("fill", index),
    });
    let mut remarks = Vec::new();
    if chart.categories.len() > categories {
        remarks.push(format!("{} more categories are in the run file.", chart.categories.len() - categories));
    }
    finish(chart, drawing, legend.collect(), remarks)
}

/// A long name without its middle: categories often begin alike and differ at the end.
fn both_ends(name: &str) -> String {
    const MOST: usize = 24;
    let name = label(name, 400);
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MOST {
        return name;
    }
    let head = letters.iter().take(MOST / 2);
    let tail = letters.iter().skip(letters.len() - (MOST - MOST / 2 - 1));
    head.chain(&['…']).chain(tail).collect()
}

/// With names for the bars: where the plugin gave none, the numbers along x.
fn named(chart: &Chart) -> Cow<'_, Chart> {
    if !chart.categories.is_empty() {
        return Cow::Borrowed(chart);
    }
    let mut chart = chart.clone();
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let mut places: Vec<f64> = points().map(|point| point.x).filter(|x| x.is_finite()).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    chart.categories = places.iter().map(|place| plain(*place)).collect();
    for point in chart.series.iter_mut().flat_map(|series| &mut series.points) {
        if let Some(index) = places.iter().position(|place| *place == point.x) {
            point.x = index as f64;
        }
    }
    Cow::Owned(chart)
}
