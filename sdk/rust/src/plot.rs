//! Building figures.

use crate::{Chart, Figure, Heatmap, Point, Series};

/// A chart to be: name, title, axes, and what is drawn. All numbers must be finite, or the host refuses the figure.
#[derive(Clone, Debug)]
pub struct Plot {
    kind: fn(Chart) -> Figure,
    chart: Chart,
}

impl Plot {
    /// Points joined in their order. The name identifies the figure within its task.
    pub fn line(name: &str, title: &str) -> Self {
        Self::new(Figure::Line, name, title)
    }

    /// Points.
    pub fn scatter(name: &str, title: &str) -> Self {
        Self::new(Figure::Scatter, name, title)
    }

    /// Bars; x counts the categories.
    pub fn bar(name: &str, title: &str) -> Self {
        Self::new(Figure::Bar, name, title)
    }

    fn new(kind: fn(Chart) -> Figure, name: &str, title: &str) -> Self {
        let (x, y) = (String::new(), String::new());
        let (categories, series) = (Vec::new(), Vec::new());
        Self {
            kind,
            chart: Chart { name: name.to_owned(), title: title.to_owned(), x, y, categories, series },
        }
    }

    /// Labels of the axes.
    #[must_use]
    pub fn axes(mut self, x: &str, y: &str) -> Self {
        (self.chart.x, self.chart.y) = (x.to_owned(), y.to_owned());
        self
    }

    /// Names of the x values, which then count from 0.
    #[must_use]
    pub fn categories<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.chart.categories = names.into_iter().map(Into::into).collect();
        self
    }

    /// Draws a set of points, given as x and y.
    #[must_use]
    pub fn series(mut self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().map(|(x, y)| Point { x, y }).collect();
        self.chart.series.push(Series { label: label.to_owned(), points });
        self
    }

    /// Draws values whose x counts from 0.
    #[must_use]
    pub fn values(self, label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        self.series(label, values.into_iter().enumerate().map(|(x, y)| (x as f64, y)))
    }
}

impl From<Plot> for Figure {
    fn from(plot: Plot) -> Self {
        (plot.kind)(plot.chart)
    }
}

impl Heatmap {
    /// A grid of cells, row by row, `width` in each.
    pub fn new(name: &str, title: &str, width: u32, cells: impl Into<Vec<f64>>) -> Self {
        let (name, title, cells) = (name.to_owned(), title.to_owned(), cells.into());
        Self { name, title, x: String::new(), y: String::new(), width, cells }
    }

    /// Labels of the axes.
    #[must_use]
    pub fn axes(mut self, x: &str, y: &str) -> Self {
        (self.x, self.y) = (x.to_owned(), y.to_owned());
        self
    }
}

impl From<Heatmap> for Figure {
    fn from(heatmap: Heatmap) -> Self {
        Self::Heatmap(heatmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_becomes_the_figure_of_its_kind() {
        let figure = Figure::from(
            Plot::bar("tokens", "Tokens at peaks")
                .axes("token", "count")
                .categories(["So", "Let"])
                .values("peaks", [3.0, 1.0]),
        );
        let Figure::Bar(chart) = figure else { panic!("bars became {figure:?}") };
        assert_eq!((chart.name.as_str(), chart.title.as_str()), ("tokens", "Tokens at peaks"));
        assert_eq!((chart.x.as_str(), chart.y.as_str()), ("token", "count"));
        assert_eq!(chart.categories, ["So", "Let"]);
        assert_eq!(chart.series[0].points, [Point { x: 0.0, y: 3.0 }, Point { x: 1.0, y: 1.0 }]);
        assert!(matches!(Plot::line("a", "").into(), Figure::Line(_)));
        assert!(matches!(Plot::scatter("a", "").into(), Figure::Scatter(_)));
    }
}
