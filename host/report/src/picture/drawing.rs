//! Vector shapes as data; the templates write them as SVG, so that every label passes their escaping.

use serde::Serialize;

/// A picture: its size, what it says to those who cannot see it, and its shapes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) label: String,
    pub(crate) shapes: Vec<Shape>,
}

/// A shape; `class` chooses its colours in the style sheet.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub(crate) enum Shape {
    /// SVG path data; `title` is shown when pointed at.
    Path { d: String, class: String, title: String },
    /// A rectangle.
    Rect { x: f64, y: f64, width: f64, height: f64, class: String, opacity: f64, title: String },
    /// A point.
    Circle { x: f64, y: f64, r: f64, class: String, title: String },
    /// Words.
    Text { x: f64, y: f64, anchor: &'static str, class: &'static str, text: String, turned: bool },
}

impl Drawing {
    pub(crate) fn new(width: f64, height: f64, label: String) -> Self {
        Self { width: tenth(width), height: tenth(height), label, shapes: Vec::new() }
    }

    pub(crate) fn path(&mut self, d: String, class: impl Into<String>) {
        self.shapes.push(Shape::Path { d, class: class.into(), title: String::new() });
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.path(format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1), class);
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: &'static str, class: &'static str, text: String) {
        self.shapes.push(Shape::Text { x: tenth(x), y: tenth(y), anchor, class, text, turned: false });
    }

    /// Words that read upwards.
    pub(crate) fn upright(&mut self, x: f64, y: f64, text: String) {
        let (x, y) = (tenth(x), tenth(y));
        self.shapes.push(Shape::Text { x, y, anchor: "middle", class: "label", text, turned: true });
    }

    pub(crate) fn circle(&mut self, x: f64, y: f64, r: f64, class: impl Into<String>, title: String) {
        self.shapes.push(Shape::Circle { x: tenth(x), y: tenth(y), r, class: class.into(), title });
    }
}

/// Rounded to a tenth of a unit: nobody sees more, and the file is smaller.
pub(crate) fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
