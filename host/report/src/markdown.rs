//! The run as markdown, for an issue or a readme.

use crate::earlier::sentences;
use crate::layered::{Layered, cell, counted, layered};
use crate::numbers::{interval, percent, plain, range, thousands, value};
use crate::overall;
use crate::placement::{Behaviour, Placement, diagnostics, of, summaries, tasks};
use crate::printable::{cut, printable_line};
use crate::rows::{remarks, rows};
use crate::statistics::MetricKind;
use crate::table::{counts_line, place_cells};
use crate::verdict::{missing, verdict};
use crate::view::{RunView, TaskView};

/// Metrics per layer beside each other.
const MOST_BESIDE: usize = 6;
/// Samples listed with their places.
const MOST_PLACED: usize = 50;

/// A heading, the models, a table per task, and behaviour beside representation.
pub fn markdown(run: &RunView) -> String {
    let mut out = format!("# {}\n\n", inert(&run.path));
    for model in &run.models {
        out.push_str(&format!(
            "- {}: {} ({}), `{}`\n",
            inert(&model.role),
            inert(&model.info.name),
            inert(&model.info.quantisation),
            model.digest.chars().take(12).collect::<String>(),
        ));
    }
    let unfinished = if run.finished { "" } else { " The run is not finished." };
    out.push_str(&format!(
        "\nMeasured by Sonde {} on {}.{unfinished}\n",
        inert(&run.sonde),
        inert(&run.created)
    ));
    for sentence in sentences(run) {
        out.push_str(&format!("\n- {}", inert(&sentence)));
    }
    if !sentences(run).is_empty() {
        out.push('\n');
    }
    if let Some(treated) = &run.treated {
        out.push_str(&format!("\n## Verdict\n\n{}\n\n", inert(&treated.heading())));
        for sentence in treated.sentences() {
            out.push_str(&format!("- **{}**: {}\n", sentence.way.as_str(), inert(&sentence.text)));
        }
        out.push_str(&format!(
            "\nThe treatment: {}. Its derivation: {}.\n",
            inert(&treated.told),
            inert(&treated.cost)
        ));
    }
    for task in &run.tasks {
        out.push_str(&section(task));
    }
    overall::sections(run).iter().for_each(|section| out.push_str(&overall_table(section)));
    for diagnostic in diagnostics(&run.placements) {
        out.push_str(&beside(diagnostic, &run.placements));
    }
    out.push_str(
        "\nIntervals are 95 %: Wilson for shares, bootstrap for means and for computed numbers whose plugin gives none.\n",
    );
    out
}

fn section(task: &TaskView) -> String {
    let mut out = format!(
        "\n## {}\n\n{} {}: {}.\n",
        inert(&task.name),
        inert(&task.plugin),
        inert(&task.version),
        counts_line(&task.counts)
    );
    let Some(result) = &task.result else {
        out.push_str("\nNo result yet.\n");
        return out;
    };
    let rows = rows(&result.metrics);
    let layered = layered(&result.metrics);
    if !rows.is_empty() {
        out.push_str(
            "\n| metric | value | 95 % interval | n | better | |\n| --- | ---: | ---: | ---: | --- | --- |\n",
        );
    }
    for row in rows {
        let measured = row.measured;
        let headline = measured.headline && row.depth == 0;
        let mark = if headline { "**" } else { "" };
        let better = match measured.higher_is_better {
            Some(true) => "higher",
            Some(false) => "lower",
            None => "",
        };
        out.push_str(&format!(
            "| {}{mark}{}{mark} | {mark}{}{mark} | {} | {} | {better} | {} |\n",
            if row.depth > 0 { "&nbsp;&nbsp;" } else { "" },
            inert(&row.label),
            value(measured),
            interval(measured),
            thousands(measured.n),
            if headline { inert(&verdict(measured).phrase) } else { String::new() },
        ));
        if let Some(corrected) = &measured.corrected {
            out.push_str(&format!(
                "| &nbsp;&nbsp;corrected for {}'s errors | {} | {} | {} | | |\n",
                inert(&corrected.judge),
                percent(corrected.value),
                range(corrected.interval, MetricKind::Proportion),
                thousands(measured.n),
            ));
        }
    }
    layered.iter().for_each(|table| out.push_str(&layered_table(table)));
    let missing = missing(&task.counts);
    let mut remarks = remarks(&result.metrics)
        .into_iter()
        .map(|(name, remark)| format!("{name}: {remark}"))
        .chain(result.notes.iter().cloned())
        .chain(missing)
        .peekable();
    if remarks.peek().is_some() {
        out.push('\n');
    }
    for remark in remarks {
        out.push_str(&format!("- {}\n", inert(&remark)));
    }
    out
}

/// Steps down, metrics across.
fn layered_table(table: &Layered<'_>) -> String {
    let mut out = String::new();
    for columns in table.columns.chunks(MOST_BESIDE) {
        out.push_str(&format!("\n| {} |", inert(table.kind)));
        for column in columns {
            let mark = if column.headline { "**" } else { "" };
            out.push_str(&format!(" {mark}{}{mark} |", inert(column.name)));
        }
        out.push_str(&format!("\n| --- |{}\n", " ---: |".repeat(columns.len())));
        for (index, step) in table.steps.iter().enumerate() {
            out.push_str(&format!("| {} |", inert(step)));
            for column in columns {
                out.push_str(&format!(" {} |", cell(column.cells.get(index).copied().flatten())));
            }
            out.push('\n');
        }
        out.push_str(&format!("\n{}; in parentheses 95 % intervals.\n", inert(&counted(columns))));
    }
    out
}

/// What several tasks say together.
fn overall_table(section: &overall::Section) -> String {
    let row = |cells: &[String], mark: &str| {
        let cells = cells
            .iter()
            .map(|cell| if cell.is_empty() { String::new() } else { format!("{mark}{}{mark}", inert(cell)) });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut out = format!("\n## {}\n\n{}", inert(&section.heading), row(&section.header, ""));
    let rule = |index| if (section.words..5).contains(&index) { "---:" } else { "---" };
    let rules: Vec<&str> = (0..section.header.len()).map(rule).collect();
    out.push_str(&format!("| {} |\n", rules.join(" | ")));
    let last = section.rows.len().saturating_sub(1);
    for (index, cells) in section.rows.iter().enumerate() {
        out.push_str(&row(cells, if section.summed && index == last { "**" } else { "" }));
    }
    out.push('\n');
    section.lines.iter().for_each(|line| out.push_str(&format!("- {}\n", inert(line))));
    out
}

/// Where requests lie in the model, and what it did with them.
fn beside(diagnostic: &str, placements: &[Placement]) -> String {
    let mine = of(diagnostic, placements);
    let mut out = format!(
        "\n## Behaviour beside representation: {}\n\nSamples of {} whose request is a row of the diagnostic. The place \
         of a request is 0 at the safe centroid and 1 at the harmful one; the AUROC is that of the place for compliance, \
         0.5 being chance.\n\n| layer | refused | complied | AUROC |\n| --- | ---: | ---: | ---: |\n",
        inert(diagnostic),
        inert(&tasks(&mine)),
    );
    for summary in summaries(placements).iter().filter(|summary| summary.diagnostic == diagnostic) {
        let cells = place_cells(summary).map(|text| inert(&text));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    let shown = mine.len().min(MOST_PLACED);
    out.push_str(&format!(
        "\n<details><summary>{shown} of {} samples</summary>\n\n| request | label | sample | | place |\n\
         | --- | --- | --- | --- | --- |\n",
        mine.len()
    ));
    for placement in mine.iter().take(MOST_PLACED) {
        let places = placement.places.iter().map(|(layer, place)| format!("{layer}: {}", plain(*place)));
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            inert(&cut(&placement.request, 90)),
            inert(placement.label.as_deref().unwrap_or_default()),
            inert(&placement.sample),
            placement.behaviour.map_or("neither", Behaviour::as_str),
            inert(&places.collect::<Vec<_>>().join(", ")),
        ));
    }
    out.push_str("\n</details>\n");
    out
}

/// On one line, with nothing in it that markdown or HTML would act on.
pub(crate) fn inert(text: &str) -> String {
    let mut out = String::new();
    for character in printable_line(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '!' | '~' | '$' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}
