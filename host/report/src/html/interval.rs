//! A metric's value as a bar with its interval as a whisker.

use crate::numbers::{interval, value};
use crate::picture::{Drawing, Scale, Shape, tenth};
use crate::statistics::{Measured, MetricKind};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 22.0;
/// Room for the end caps and points.
const PAD: f64 = 5.0;

/// The range that metrics of one name are drawn on, so that groups can be compared by eye: 0 to 1 for shares, else from
/// the lowest to the highest end, 0 included.
pub(super) fn range(metrics: &[&Measured]) -> (f64, f64) {
    if metrics.iter().all(|metric| metric.kind == MetricKind::Proportion) {
        return (0.0, 1.0);
    }
    let ends = metrics.iter().flat_map(|metric| metric.interval.into_iter().flatten().chain(metric.value));
    ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)))
}

/// The bar; `None` when there is no value to draw.
pub(super) fn bar(metric: &Measured, (low, high): (f64, f64)) -> Option<Drawing> {
    let number = metric.value?;
    let scale = Scale::new(low, high, PAD, WIDTH - PAD);
    let middle = HEIGHT / 2.0;
    let mut drawing =
        Drawing::new(WIDTH, HEIGHT, format!("{}, 95 % interval {}", value(metric), interval(metric)));
    drawing.line((PAD, middle), (WIDTH - PAD, middle), "track");
    let origin = scale.at(0.0_f64.clamp(low, high));
    for mark in [low, (low + high) / 2.0, high] {
        let x = scale.at(mark);
        drawing.line((x, middle - 4.0), (x, middle + 4.0), "track");
    }
    let (from, to) = (origin.min(scale.at(number)), origin.max(scale.at(number)));
    drawing.shapes.push(Shape::Rect {
        x: tenth(from),
        y: middle - 4.0,
        width: tenth(to - from),
        height: 8.0,
        class: "bar".to_owned(),
        opacity: 1.0,
        title: String::new(),
    });
    if let Some([from, to]) = metric.interval {
        let (from, to) = (scale.at(from), scale.at(to));
        drawing.line((from, middle), (to, middle), "whisker");
        drawing.line((from, middle - 6.0), (from, middle + 6.0), "whisker");
        drawing.line((to, middle - 6.0), (to, middle + 6.0), "whisker");
    }
    drawing.circle(scale.at(number), middle, 3.5, "dot", String::new());
    Some(drawing)
}
