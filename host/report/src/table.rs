//! The run as tables for a terminal.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};

use crate::earlier::sentences;
use crate::layered::{Layered, cell, counted, layered};
use crate::numbers::{interval, percent, plain, range, thousands, value};
use crate::overall;
use crate::placement::{PlaceSummary, diagnostics, of, summaries, tasks};
use crate::printable::printable_line;
use crate::rows::{Row, remarks, rows};
use crate::statistics::{Interval, Measured, MetricKind};
use crate::treated::{Sentence, TreatedView, Way};
use crate::verdict::{Tone, missing, verdict};
use crate::view::{Counts, RunView, TaskView};

/// How a table is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Columns of the terminal; `None` takes what the content needs.
    pub width: Option<u16>,
    /// Whether to colour.
    pub colour: bool,
}

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Columns that a metric's number at a layer needs with its interval.
const NUMBER_WIDTH: u16 = 24;
/// Metrics beside each other where the terminal's width is not known.
const MOST_BESIDE: usize = 4;

/// Per task a table: every metric with value, n and 95 % interval, its groups folded under it; and one of its metrics per
/// layer. At the end, behaviour beside representation in short.
pub fn table(run: &RunView, look: Look) -> String {
    let mut out = run.treated.as_ref().map(|treated| treated_lines(treated, look)).unwrap_or_default();
    for task in &run.tasks {
        out.push_str(&task_table(task, look));
        out.push('\n');
    }
    for section in overall::sections(run) {
        out.push_str(&overall_table(&section, look));
    }
    for diagnostic in diagnostics(&run.placements) {
        let placements = of(diagnostic, &run.placements);
        out.push_str(&bold("Behaviour beside representation", look));
        let line = format!("{diagnostic} — {} samples of {}", placements.len(), tasks(&placements));
        out.push_str(&format!(" — {}\n", printable_line(&line)));
        out.push_str(&places_table(diagnostic, &summaries(&run.placements), look));
        out.push_str("  place: 0 at the safe centroid, 1 at the harmful one; AUROC: of the place for compliance, 0.5 is chance\n\n");
    }
    for sentence in sentences(run) {
        out.push_str(&format!("{}\n", printable_line(&sentence)));
    }
    out
}

/// The verdict on a treatment.
fn treated_lines(treated: &TreatedView, look: Look) -> String {
    let mut out = bold("Verdict", look);
    out.push_str(&format!(" — {}\n", printable_line(&treated.heading())));
    for Sentence { way, text } in treated.sentences() {
        let colour = match way {
            Way::Better => 32,
            Way::Worse => 31,
            Way::Otherwise => 33,
            Way::NotShown => 0,
        };
        let mark = format!("{:>21}", way.as_str());
        let mark = if look.colour { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark };
        out.push_str(&format!("{mark}  {}\n", printable_line(&text)));
    }
    if treated.comparison.is_none() {
        out.push_str("  not compared yet: the run is not finished\n");
    }
    let (told, cost) = (printable_line(&treated.told), printable_line(&treated.cost));
    out.push_str(&format!("  the treatment: {told}\n  its derivation: {cost}\n\n"));
    out
}

pub(crate) fn bold(text: &str, look: Look) -> String {
    if look.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

/// A table without rows, its columns but the first to the right.
pub(crate) fn blank(header: Vec<String>, look: Look) -> Table {
    let mut drawn = Table::new();
    let columns = header.len();
    drawn.load_style(STYLE).set_header(header);
    if let Some(width) = look.width {
        drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if look.colour {
        drawn.enforce_styling();
    } else {
        drawn.force_no_tty();
    }
    for column in 1..columns {
        if let Some(column) = drawn.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawn
}

fn task_table(task: &TaskView, look: Look) -> String {
    let mut out = bold(&printable_line(&task.name), look);
    let plugin = printable_line(&format!("{} {}", task.plugin, task.version));
    out.push_str(&format!(" — {plugin} — {}\n", counts_line(&task.counts)));
    let Some(result) = &task.result else {
        out.push_str("  no result yet: ");
        out.push_str(&format!("{} samples are pending\n", thousands(task.counts.pending())));
        return out;
    };
    let rows = rows(&result.metrics);
    let layered = layered(&result.metrics);
    if !rows.is_empty() {
        let header = ["metric", "value", "95 % interval", "n", "better"].map(String::from).to_vec();
        let mut drawn = blank(header, look);
        rows.iter().for_each(|row| {
            drawn.add_row(cells(row));
            drawn.add_rows(corrected_cells(row.measured));
        });
        if let Some(column) = drawn.column_mut(4) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        out.push_str(&drawn.trim_fmt());
        out.push('\n');
    }
    layered.iter().for_each(|table| out.push_str(&layered_table(table, look)));
    for metric in result.metrics.iter().filter(|metric| metric.headline && metric.group.is_none()) {
        out.push_str(&format!("  {}: {}\n", printable_line(&metric.name), verdict(metric).phrase));
    }
    for (name, remark) in remarks(&result.metrics) {
        out.push_str(&format!("  {}: {}\n", printable_line(name), printable_line(remark)));
    }
    for note in result.notes.iter().map(String::as_str).chain(missing(&task.counts).as_deref()) {
        out.push_str(&format!("  note: {}\n", printable_line(note)));
    }
    out
}

/// Steps down, metrics across, as many beside each other as the terminal has room for.
fn layered_table(table: &Layered<'_>, look: Look) -> String {
    let fit = look.width.map_or(MOST_BESIDE, |width| usize::from(width.saturating_sub(10) / NUMBER_WIDTH));
    let mut out = String::new();
    for columns in table.columns.chunks(fit.max(1)) {
        let names = columns.iter().map(|column| printable_line(column.name));
        let mut drawn = blank(std::iter::once(printable_line(table.kind)).chain(names).collect(), look);
        for (index, step) in table.steps.iter().enumerate() {
            let numbers = columns.iter().map(|column| {
                let number = Cell::new(cell(column.cells.get(index).copied().flatten()));
                if column.headline { number.add_attribute(Attribute::Bold) } else { number }
            });
            drawn.add_row(std::iter::once(Cell::new(printable_line(step))).chain(numbers));
        }
        out.push_str(&drawn.trim_fmt());
        out.push_str(&format!("\n  {}; in parentheses 95 % intervals\n", printable_line(&counted(columns))));
    }
    out
}

fn overall_table(section: &overall::Section, look: Look) -> String {
    let mut drawn = blank(section.header.iter().map(|name| printable_line(name)).collect(), look);
    for column in (1..section.words).chain(5..section.header.len()) {
        if let Some(column) = drawn.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Left);
        }
    }
    let last = section.rows.len().saturating_sub(1);
    for (index, row) in section.rows.iter().enumerate() {
        let bold = section.summed && index == last;
        let cell = |text: &String| {
            let cell = Cell::new(printable_line(text));
            if bold { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        drawn.add_row(row.iter().map(cell));
    }
    let mut out = format!("{}\n{}\n", bold(&printable_line(&section.heading), look), drawn.trim_fmt());
    section.lines.iter().for_each(|line| out.push_str(&format!("  {}\n", printable_line(line))));
    out.push('\n');
    out
}

fn places_table(diagnostic: &str, summaries: &[PlaceSummary], look: Look) -> String {
    let header = ["layer", "refused", "complied", "AUROC"].map(String::from).to_vec();
    let mut drawn = blank(header, look);
    for summary in summaries.iter().filter(|summary| summary.diagnostic == diagnostic) {
        drawn.add_row(place_cells(summary).map(|text| printable_line(&text)));
    }
    format!("{}\n", drawn.trim_fmt())
}

/// Layer, places of the refused, of the complied, and how well the place tells them apart.
pub(crate) fn place_cells(summary: &PlaceSummary) -> [String; 4] {
    let within = |interval: Option<Interval>| {
        interval.map_or_else(String::new, |[low, high]| format!(" ({} – {})", plain(low), plain(high)))
    };
    let spread = |spread: &crate::placement::Spread| {
        let mean = spread.mean.map_or_else(|| "–".to_owned(), plain);
        format!("{mean}{}, n = {}", within(spread.interval), thousands(spread.n))
    };
    let layer = match &summary.label {
        Some(label) => format!("{}, label {label}", summary.layer),
        None => summary.layer.clone(),
    };
    let auroc = summary.auroc.map_or_else(|| "–".to_owned(), plain);
    [
        layer,
        spread(&summary.refused),
        spread(&summary.complied),
        format!("{auroc}{}", within(summary.auroc_interval)),
    ]
}

fn cells(row: &Row<'_>) -> Vec<Cell> {
    let measured = row.measured;
    // A mark and not spaces: those would be lost where a narrow terminal wraps the label.
    let indent = if row.depth > 0 { "· " } else { "" };
    let mut label = Cell::new(format!("{indent}{}", printable_line(&row.label)));
    let verdict = verdict(measured);
    let mut number = Cell::new(value(measured));
    if measured.headline && row.depth == 0 {
        label = label.add_attribute(Attribute::Bold);
        number = number.add_attribute(Attribute::Bold);
    }
    number = match verdict.tone {
        Tone::Favourable => number.fg(Color::Green),
        Tone::Adverse => number.fg(Color::Red),
        Tone::Between => number.fg(Color::Yellow),
        Tone::Unclear | Tone::Neutral => number,
    };
    let better = match measured.higher_is_better {
        Some(true) => "higher",
        Some(false) => "lower",
        None => "",
    };
    vec![label, number, Cell::new(interval(measured)), Cell::new(thousands(measured.n)), Cell::new(better)]
}

/// The line below a share that is corrected for its judge's errors.
fn corrected_cells(measured: &Measured) -> Option<Vec<Cell>> {
    let corrected = measured.corrected.as_ref()?;
    let label = format!("· corrected for {}'s errors", printable_line(&corrected.judge));
    let interval = range(corrected.interval, MetricKind::Proportion);
    let cells = [label, percent(corrected.value), interval, thousands(measured.n), String::new()];
    Some(cells.map(Cell::new).to_vec())
}

/// Counts in a sentence; what is zero is said too, as silence could mean that it was not counted.
pub(crate) fn counts_line(counts: &Counts) -> String {
    let mut line = format!(
        "{} done, {} failed, {} skipped, {} unparsable of {} samples",
        thousands(counts.done()),
        thousands(counts.failed),
        thousands(counts.skipped),
        thousands(counts.unparsable),
        thousands(counts.total),
    );
    if counts.pending() > 0 {
        line.push_str(&format!(", {} pending", thousands(counts.pending())));
    }
    line
}
