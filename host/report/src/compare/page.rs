//! The comparison as one HTML page without scripts.

use serde::Serialize;

use super::{ComparedTask, Comparison, Told, words};
use crate::html::STYLE;
use crate::printable::shown;
use crate::templates::environment;

#[derive(Serialize)]
struct Page {
    runs: Vec<String>,
    remarks: Vec<String>,
    tasks: Vec<Section>,
    methods: Vec<String>,
}

/// A task's table on a page.
#[derive(Serialize)]
pub(crate) struct Section {
    heading: String,
    header: Vec<String>,
    rows: Vec<Line>,
    remarks: Vec<String>,
    flips: Option<String>,
    flipped: Vec<[String; 4]>,
}

#[derive(Serialize)]
struct Line {
    label: String,
    about: String,
    headline: bool,
    numbers: Vec<String>,
    told: String,
    tone: &'static str,
}

/// The page.
///
/// # Errors
/// When the template does not render, which no comparison should make it do.
pub(super) fn html(comparison: &Comparison) -> Result<String, minijinja::Error> {
    let runs = std::iter::once(&comparison.baseline).chain(&comparison.others);
    let page = Page {
        runs: runs.map(|run| shown(&words::run(run))).collect(),
        remarks: comparison.remarks.iter().map(|remark| shown(remark)).collect(),
        tasks: sections(comparison),
        methods: words::methods(comparison),
    };
    let style = minijinja::Value::from_safe_string(STYLE.to_owned());
    environment()?
        .get_template("compare.html")?
        .render(minijinja::context! { style, page => minijinja::value::Serde(page) })
}

/// A section per task.
pub(crate) fn sections(comparison: &Comparison) -> Vec<Section> {
    comparison.tasks.iter().map(section).collect()
}

fn section(task: &ComparedTask) -> Section {
    let remarks = words::row_remarks(task);
    Section {
        heading: shown(&words::heading(task)),
        header: words::header(task).to_vec(),
        rows: task.rows.iter().map(line).collect(),
        remarks: remarks.iter().chain(&task.remarks).map(|remark| shown(remark)).collect(),
        flips: words::flips(&task.flips).map(|text| shown(&text)),
        flipped: task
            .flips
            .shown
            .iter()
            .map(|flip| {
                let way = if flip.to_better { "better" } else { "worse" };
                let cells = [words::sample(flip), way.to_owned(), words::changes(flip), flip.request.clone()];
                cells.map(|cell| shown(&cell))
            })
            .collect(),
    }
}

fn line(row: &super::Row) -> Line {
    let [numbers @ .., told] = words::cells(row);
    Line {
        label: shown(&words::label(row)),
        about: shown(&row.about),
        headline: row.headline,
        numbers: numbers.to_vec(),
        told,
        tone: match row.told {
            Told::Better => "favourable",
            Told::Worse => "adverse",
            Told::Differs => "between",
            Told::NotShown | Told::NotTested => "unclear",
        },
    }
}
