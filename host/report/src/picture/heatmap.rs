//! A grid of cells.

use sonde_contract::Heatmap;

use super::drawing::{Drawing, Shape, tenth};
use super::{Picture, extent, label};
use crate::numbers::plain;
use crate::printable::shown;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 44.0;
/// Room for the scale of colours.
const RIGHT: f64 = 84.0;
const MOST_CELLS_ACROSS: usize = 64;
/// Steps of the scale of colours.
const STEPS: usize = 7;

/// Turns a cell's number into the fullness of its colour.
#[derive(Clone, Copy, Debug)]
struct Fullness {
    /// What is drawn palest: zero, or the number nearest to it where all are far from it and on one side.
    palest: f64,
    fullest: f64,
}

impl Fullness {
    fn new(low: f64, high: f64) -> Self {
        let (near, far) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
        let palest = if low * high > 0.0 && near > 0.5 * far { near } else { 0.0 };
        Self { palest, fullest: far }
    }

    /// Class and opacity.
    fn of(self, number: f64) -> (&'static str, f64) {
        let range = self.fullest - self.palest;
        let share = if range > 0.0 { ((number.abs() - self.palest) / range).clamp(0.0, 1.0) } else { 0.5 };
        let opacity = 0.06 + 0.94 * share;
        (if number < 0.0 { "fill s1" } else { "fill s0" }, (opacity * 1e3).round() / 1e3)
    }
}

pub(super) fn heatmap(heatmap: &Heatmap) -> Picture {
    let width = (heatmap.width as usize).min(heatmap.cells.len()).max(1);
    let height = heatmap.cells.len().div_ceil(width);
    let step = width.max(height).div_ceil(MOST_CELLS_ACROSS).max(1);
    let (columns, lines) = (width.div_ceil(step), height.div_ceil(step));
    let (low, high) = extent(heatmap.cells.iter().copied()).unwrap_or((0.0, 0.0));
    let fullness = Fullness::new(low, high);
    let size = ((WIDTH - LEFT - RIGHT) / columns.max(1) as f64).min(30.0);
    let floor = TOP + (size * lines as f64).max(90.0);
    let name =
        format!("{}: {} by {}, from {} to {}", heatmap.title, heatmap.y, heatmap.x, plain(low), plain(high));
    let mut drawing = Drawing::new(WIDTH, floor + BOTTOM, label(&name, 400));
    for line in 0..lines {
        for column in 0..columns {
            let Some(mean) = block_mean(heatmap, width, line * step, column * step, step) else { continue };
            let (class, opacity) = fullness.of(mean);
            drawing.shapes.push(Shape::Rect {
                x: tenth(LEFT + size * column as f64),
                y: tenth(TOP + size * line as f64),
                width: tenth(size - 0.5),
                height: tenth(size - 0.5),
                class: class.to_owned(),
                opacity,
                title: format!("{}, {}: {}", column * step, line * step, plain(mean)),
            });
        }
    }
    let under = TOP + size * lines as f64;
    for column in (0..columns).step_by(every(columns, size, 30.0)) {
        let x = LEFT + size * (column as f64 + 0.5);
        drawing.text(x, under + 15.0, "middle", "tick", (column * step).to_string());
    }
    for line in (0..lines).step_by(every(lines, size, 16.0)) {
        let y = TOP + size * (line as f64 + 0.5) + 4.0;
        drawing.text(LEFT - 6.0, y, "end", "tick", (line * step).to_string());
    }
    drawing.text(LEFT, under + 34.0, "start", "label", label(&heatmap.x, 80));
    let room = ((floor - TOP) / 6.5).clamp(12.0, 44.0) as usize;
    drawing.upright(13.0, (TOP + under.max(floor)) / 2.0, label(&heatmap.y, room));
    if low < high {
        scale_of_colours(&mut drawing, LEFT + size * columns as f64 + 16.0, low, high, fullness);
    }
    let mut remarks = vec![format!("Cells run from {} to {}.", plain(low), plain(high))];
    if low < 0.0 && high > 0.0 {
        remarks.push("Negative cells have the second colour.".to_owned());
    }
    if heatmap.cells.iter().any(|cell| !cell.is_finite()) {
        remarks.push("Empty cells have no number.".to_owned());
    }
    if step > 1 {
        remarks.push(format!("Each square is the mean of up to {step} × {step} cells."));
    }
    if heatmap.cells.is_empty() {
        drawing.text(LEFT, TOP + 40.0, "start", "label", "no cells".to_owned());
        remarks.clear();
    }
    Picture { title: shown(&heatmap.title), drawing, legend: Vec::new(), remark: remarks.join(" ") }
}

/// Every how-manyth row or column has a number, when numbers need so much room.
fn every(count: usize, size: f64, room: f64) -> usize {
    let fit = (room / size.max(0.1)).ceil() as usize;
    [1, 2, 5, 10, 20, 50].into_iter().find(|step| *step >= fit).unwrap_or(count.max(1))
}

fn scale_of_colours(drawing: &mut Drawing, x: f64, low: f64, high: f64, fullness: Fullness) {
    for step in 0..STEPS {
        let share = step as f64 / (STEPS - 1) as f64;
        let number = high + (low - high) * share;
        let (class, opacity) = fullness.of(number);
        drawing.shapes.push(Shape::Rect {
            x: tenth(x),
            y: TOP + 12.0 * step as f64,
            width: 11.0,
            height: 11.5,
            class: class.to_owned(),
            opacity,
            title: String::new(),
        });
        if step % 3 == 0 {
            drawing.text(x + 17.0, TOP + 12.0 * step as f64 + 9.5, "start", "tick", plain(number));
        }
    }
}

/// The mean of the finite cells of a square; `None` where there are none.
fn block_mean(heatmap: &Heatmap, width: usize, line: usize, column: usize, step: usize) -> Option<f64> {
    let height = heatmap.cells.len().div_ceil(width);
    let cells = (line..(line + step).min(height)).flat_map(|line| {
        (column..(column + step).min(width))
            .filter_map(move |column| heatmap.cells.get(line * width + column))
    });
    let (sum, count) = cells
        .filter(|cell| cell.is_finite())
        .fold((0.0, 0_u32), |(sum, count), cell| (sum + cell, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
