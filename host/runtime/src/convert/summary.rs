//! What a benchmark says of all samples: metrics, figures, remarks.

use sonde_contract::{Chart, Estimate, Figure, Heatmap, Metric, Point, Series, Summary};

use super::outcome::group;
use super::{Fault, check_count, finite, label, name, words};
use crate::bindings::results as guest;
use crate::limits::Limits;

/// Checks a summary.
pub fn summary(limits: &Limits, from: guest::Summary) -> Result<Summary, Fault> {
    check_count("metrics", "the metrics", from.metrics.len(), limits.metrics)?;
    check_count("figures", "the figures", from.figures.len(), limits.figures)?;
    check_count("notes", "the notes", from.notes.len(), limits.notes)?;
    let values = from.metrics.iter().map(|metric| match &metric.estimate {
        guest::Estimate::Mean(values) => values.len(),
        guest::Estimate::Proportion(_) | guest::Estimate::Given(_) => 0,
    });
    check_count("mean_values", "the values of all means", values.sum(), limits.mean_values)?;
    Ok(Summary {
        metrics: from.metrics.into_iter().map(|from| metric(limits, from)).collect::<Result<_, _>>()?,
        figures: from.figures.into_iter().map(|from| figure(limits, from)).collect::<Result<_, _>>()?,
        notes: from.notes.iter().map(|note| words(limits, "a note", note)).collect::<Result<_, _>>()?,
    })
}

fn metric(limits: &Limits, from: guest::Metric) -> Result<Metric, Fault> {
    let name = name("a metric's name", &from.name)?;
    let estimate = match from.estimate {
        guest::Estimate::Proportion(share) if share.hits > share.n => {
            let text = format!("metric \"{name}\" counts {} hits among {}", share.hits, share.n);
            return Err(Fault::Wrong(text));
        }
        guest::Estimate::Proportion(share) => Estimate::Proportion { hits: share.hits, n: share.n },
        guest::Estimate::Mean(values) => {
            for (index, value) in values.iter().enumerate() {
                finite(|| format!("value {index} of metric \"{name}\""), *value)?;
            }
            Estimate::Mean(values)
        }
        guest::Estimate::Given(given) => {
            let value = finite(|| format!("metric \"{name}\""), given.value)?;
            let interval = given.interval.map(|interval| ends(&name, interval)).transpose()?;
            Estimate::Given { value, n: given.n, interval }
        }
    };
    Ok(Metric {
        about: words(limits, "a metric's explanation", &from.about)?,
        estimate,
        higher_is_better: from.higher_is_better,
        group: from.group.map(group).transpose()?,
        headline: from.headline,
        name,
    })
}

/// The ends of a metric's interval. The value may lie outside: a bootstrap of a biased estimate can do that.
fn ends(name: &str, from: guest::Interval) -> Result<[f64; 2], Fault> {
    let what = || format!("an end of the interval of metric \"{name}\"");
    let [low, high] = [finite(what, from.low)?, finite(what, from.high)?];
    if low <= high {
        return Ok([low, high]);
    }
    Err(Fault::Wrong(format!("the interval of metric \"{name}\" begins at {low} and ends at {high}")))
}

fn figure(limits: &Limits, from: guest::Figure) -> Result<Figure, Fault> {
    Ok(match from {
        guest::Figure::Line(from) => Figure::Line(chart(limits, from)?),
        guest::Figure::Scatter(from) => Figure::Scatter(chart(limits, from)?),
        guest::Figure::Bar(from) => Figure::Bar(chart(limits, from)?),
        guest::Figure::Heatmap(from) => Figure::Heatmap(heatmap(limits, from)?),
    })
}

fn chart(limits: &Limits, from: guest::Chart) -> Result<Chart, Fault> {
    let name = name("a figure's name", &from.name)?;
    let points: usize = from.series.iter().map(|series| series.points.len().saturating_add(1)).sum();
    check_count("figure_points", "the points of a figure", points, limits.figure_points)?;
    check_count("figure_points", "the categories of a figure", from.categories.len(), limits.figure_points)?;
    let read = |series: guest::Series| {
        let point = |at: guest::Point| {
            let what = || format!("a point of figure \"{name}\"");
            Ok(Point { x: finite(what, at.x)?, y: finite(what, at.y)? })
        };
        let points = series.points.into_iter().map(point).collect::<Result<_, Fault>>()?;
        Ok(Series { label: label("a series' label", &series.label)?, points })
    };
    Ok(Chart {
        title: label("a figure's title", &from.title)?,
        x: label("an axis label", &from.x)?,
        y: label("an axis label", &from.y)?,
        categories: from.categories.iter().map(|text| label("a category", text)).collect::<Result<_, _>>()?,
        series: from.series.into_iter().map(read).collect::<Result<_, Fault>>()?,
        name,
    })
}

fn heatmap(limits: &Limits, from: guest::Heatmap) -> Result<Heatmap, Fault> {
    let name = name("a figure's name", &from.name)?;
    check_count("figure_points", "the cells of a figure", from.cells.len(), limits.figure_points)?;
    if from.width == 0 || !from.cells.len().is_multiple_of(from.width as usize) {
        let text = format!("figure \"{name}\" has {} cells in rows of {}", from.cells.len(), from.width);
        return Err(Fault::Wrong(text));
    }
    for cell in &from.cells {
        finite(|| format!("a cell of figure \"{name}\""), *cell)?;
    }
    Ok(Heatmap {
        title: label("a figure's title", &from.title)?,
        x: label("an axis label", &from.x)?,
        y: label("an axis label", &from.y)?,
        width: from.width,
        cells: from.cells,
        name,
    })
}
