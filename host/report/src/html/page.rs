//! What stands on the page, in order.

use std::collections::BTreeMap;

use serde::Serialize;
use sonde_journal::Share;

use super::beside::{Beside, beside};
use super::figures::{FigureGroup, figure_groups};
use super::interval::{bar, range};
use super::provenance::{Provenance, bill, permissions, provenance};
use super::samples::{SampleGroup, groups};
use super::treated::{Treated, treated};
use crate::layered::{Layered, counted, layered, step};
use crate::numbers::{interval, percent, range as range_of, thousands, value};
use crate::overall::{Section, sections};
use crate::picture::Drawing;
use crate::printable::shown;
use crate::rows::{names, remarks};
use crate::statistics::{Corrected, Measured, MetricKind};
use crate::verdict::{Verdict, badness, missing, verdict};
use crate::view::{Counts, RunView, TaskView};

#[derive(Serialize)]
pub(super) struct Page {
    title: String,
    path: String,
    /// The run file and the config, as a shell takes them.
    run_argument: String,
    config_argument: String,
    created: String,
    sonde: String,
    unfinished: bool,
    models: Vec<String>,
    tally: String,
    headlines: Vec<Headline>,
    tasks: Vec<Task>,
    treated: Option<Treated>,
    overall: Vec<Section>,
    beside: Vec<Beside>,
    bill: super::provenance::Bill,
    permissions: Vec<super::provenance::Permission>,
    provenance: Provenance,
}

/// Suites and risks, their texts made visible.
fn overall(run: &RunView) -> Vec<Section> {
    let mut all = sections(run);
    for section in &mut all {
        section.heading = shown(&section.heading);
        section.rows.iter_mut().flatten().chain(&mut section.lines).for_each(|text| *text = shown(text));
    }
    all
}

/// A headline metric.
#[derive(Serialize)]
struct Headline {
    task: String,
    anchor: String,
    row: MetricRow,
    counts: CountsRow,
}

#[derive(Serialize)]
struct MetricRow {
    name: String,
    label: String,
    about: String,
    value: String,
    interval: String,
    n: String,
    direction: &'static str,
    verdict: Verdict,
    bar: Option<Drawing>,
    headline: bool,
    remark: Option<String>,
    corrected: String,
}

#[derive(Serialize)]
struct CountsRow {
    total: String,
    done: String,
    failed: String,
    skipped: String,
    unparsable: String,
    pending: String,
    missing: Option<String>,
}

#[derive(Serialize)]
struct Task {
    anchor: String,
    name: String,
    title: String,
    plugin: String,
    about: String,
    citation: String,
    bindings: Vec<String>,
    counts: CountsRow,
    has_result: bool,
    metrics: Vec<MetricRow>,
    groups: Vec<MetricGroup>,
    layered: Vec<LayeredTables>,
    figures: Vec<FigureGroup>,
    notes: Vec<String>,
    samples: Vec<SampleGroup>,
    shown: usize,
    left_out: String,
    example: String,
}

/// Metrics by one kind of group.
#[derive(Serialize)]
struct MetricGroup {
    kind: String,
    /// The metric's name where there is only one, else empty.
    only: String,
    metrics: Vec<MetricRow>,
}

/// Metrics per layer, as tables that fit beside each other on the page.
#[derive(Serialize)]
struct LayeredTables {
    kind: String,
    parts: Vec<LayeredPart>,
    remarks: Vec<(String, String)>,
}

#[derive(Serialize)]
struct LayeredPart {
    counted: String,
    /// Name, whether the diagnostic is known by it, and what it is.
    columns: Vec<(String, bool, String)>,
    /// The step, and per column the number and its interval.
    rows: Vec<(String, Vec<(String, String)>)>,
}

/// Metrics beside each other.
const MOST_BESIDE: usize = 6;
/// A task without a headline for all samples shows those of its layers, if they are no more than this.
const MOST_LAYER_HEADLINES: usize = 4;

pub(super) fn page(run: &RunView) -> Page {
    let mut ranked: Vec<(f64, Headline)> = Vec::new();
    let mut tasks = Vec::new();
    for (index, task) in run.tasks.iter().enumerate() {
        let anchor = format!("task-{}", index + 1);
        for metric in headlines(task) {
            let mut row = metric_row(metric, range(&[metric]));
            if let Some(group) = &metric.group {
                row.name = format!("{}, {}", row.name, shown(&group.name));
            }
            let counts = counts_row(&task.counts);
            let headline = Headline { task: shown(&task.name), anchor: anchor.clone(), row, counts };
            ranked.push((badness(metric), headline));
        }
        tasks.push(task_section(task, anchor));
    }
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let samples: u64 = run.tasks.iter().map(|task| task.counts.total).sum();
    Page {
        title: measured(run),
        path: shown(&run.path),
        run_argument: argument(&run.path),
        config_argument: argument(&run.config_path),
        created: run.created.replace('T', " ").trim_end_matches('Z').to_owned(),
        sonde: run.sonde.clone(),
        unfinished: !run.finished,
        models: run
            .models
            .iter()
            .map(|model| {
                let info = &model.info;
                shown(&format!("{}: {} {} ({})", model.role, info.name, info.quantisation, info.architecture))
            })
            .collect(),
        tally: format!(
            "{} {}, {} samples",
            run.tasks.len(),
            if run.tasks.len() == 1 { "task" } else { "tasks" },
            thousands(samples)
        ),
        headlines: ranked.into_iter().map(|(_, headline)| headline).collect(),
        tasks,
        treated: treated(run),
        overall: overall(run),
        beside: beside(run),
        bill: bill(run),
        permissions: permissions(run),
        provenance: provenance(run),
    }
}

/// The numbers by which a task is known.
fn headlines(task: &TaskView) -> Vec<&Measured> {
    let all = || task.result.iter().flat_map(|result| &result.metrics).filter(|metric| metric.headline);
    let whole: Vec<&Measured> = all().filter(|metric| metric.group.is_none()).collect();
    let by_layer: Vec<&Measured> = all().filter(|metric| step(metric).is_some()).collect();
    if whole.is_empty() && by_layer.len() <= MOST_LAYER_HEADLINES { by_layer } else { whole }
}

fn layered_tables(table: &Layered<'_>, all: &[Measured]) -> LayeredTables {
    let part = |columns: &[crate::layered::Column<'_>]| LayeredPart {
        counted: shown(&counted(columns)),
        columns: columns
            .iter()
            .map(|column| (shown(column.name), column.headline, shown(column.about)))
            .collect(),
        rows: table
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let cells = columns.iter().map(|column| match column.cells.get(index).copied().flatten() {
                    Some(metric) if metric.interval.is_some() => (value(metric), interval(metric)),
                    Some(metric) => (value(metric), String::new()),
                    None => (String::new(), String::new()),
                });
                (shown(step), cells.collect())
            })
            .collect(),
    };
    let mine = |name: &str| table.columns.iter().any(|column| column.name == name);
    LayeredTables {
        kind: shown(table.kind),
        parts: table.columns.chunks(MOST_BESIDE).map(part).collect(),
        remarks: remarks(all)
            .into_iter()
            .filter(|(name, _)| mine(name))
            .map(|(name, remark)| (shown(name), shown(remark)))
            .collect(),
    }
}

/// The names of the models that the benchmarks measure: those bound as `target`, else all.
fn measured(run: &RunView) -> String {
    let bound = |role: &str| {
        run.tasks.iter().flat_map(|task| &task.models).any(|(slot, bound)| slot == "target" && bound == role)
    };
    let targets = run.models.iter().any(|model| bound(&model.role));
    let mut names: Vec<String> = Vec::new();
    for model in run.models.iter().filter(|model| !targets || bound(&model.role)) {
        let name = shown(&model.info.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "No model".to_owned() } else { names.join(", ") }
}

/// A path as a POSIX shell takes it.
fn argument(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@:".contains(character);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", shown(path).replace('\'', "'\\''"))
    }
}

fn metric_row(metric: &Measured, on: (f64, f64)) -> MetricRow {
    MetricRow {
        name: shown(&metric.name),
        label: metric.group.as_ref().map_or_else(|| shown(&metric.name), |group| shown(&group.name)),
        about: shown(metric.about.trim_end_matches('.')),
        value: value(metric),
        interval: interval(metric),
        n: thousands(metric.n),
        direction: match metric.higher_is_better {
            Some(true) => "higher is better",
            Some(false) => "lower is better",
            None => "",
        },
        verdict: verdict(metric),
        bar: bar(metric, on),
        headline: metric.headline,
        remark: metric.remark.clone(),
        corrected: metric.corrected.as_ref().map(corrected).unwrap_or_default(),
    }
}

/// A corrected share in a sentence.
fn corrected(corrected: &Corrected) -> String {
    let share = |share: Share| format!("{} of {}", thousands(share.hits), thousands(share.n));
    shown(&format!(
        "corrected for {}'s errors (sensitivity {}, specificity {}): {} ({})",
        corrected.judge,
        share(corrected.sensitivity),
        share(corrected.specificity),
        percent(corrected.value),
        range_of(corrected.interval, MetricKind::Proportion)
    ))
}

fn counts_row(counts: &Counts) -> CountsRow {
    // A zero stays empty in the pending column alone: only an unfinished run has it.
    let pending = counts.pending();
    CountsRow {
        total: thousands(counts.total),
        done: thousands(counts.done()),
        failed: thousands(counts.failed),
        skipped: thousands(counts.skipped),
        unparsable: thousands(counts.unparsable),
        pending: if pending > 0 { thousands(pending) } else { String::new() },
        missing: missing(counts),
    }
}

fn task_section(task: &TaskView, anchor: String) -> Task {
    let all = task.result.as_ref().map(|result| result.metrics.as_slice()).unwrap_or_default();
    let metrics: Vec<&Measured> = all.iter().filter(|metric| step(metric).is_none()).collect();
    let ended = task.counts.done() + task.counts.failed + task.counts.skipped;
    let left_out = ended.saturating_sub(task.samples.len() as u64);
    let bound = |what: &str, slot: &str, name: &str| {
        if slot == name { format!("{what} {name}") } else { format!("{what} {name} as {slot}") }
    };
    let models = task.models.iter().map(|(slot, role)| bound("model", slot, role));
    let judges = task.judges.iter().map(|(slot, judge)| bound("judge", slot, judge));
    let dataset = std::iter::once(format!("rows of {}", task.dataset));
    let limit = task.limit.map(|limit| format!("at most {limit} rows"));
    let by_name = |name: &str| -> (f64, f64) {
        range(&metrics.iter().copied().filter(|metric| metric.name == name).collect::<Vec<_>>())
    };
    let mut kinds: BTreeMap<usize, MetricGroup> = BTreeMap::new();
    let mut places: Vec<&str> = Vec::new();
    let names = names(all);
    for metric in names.iter().flat_map(|name| metrics.iter().filter(move |metric| metric.name == *name)) {
        let Some(group) = &metric.group else { continue };
        let place = places.iter().position(|kind| *kind == group.kind).unwrap_or_else(|| {
            places.push(&group.kind);
            places.len() - 1
        });
        kinds
            .entry(place)
            .or_insert_with(|| MetricGroup {
                kind: shown(&group.kind),
                only: shown(&metric.name),
                metrics: Vec::new(),
            })
            .metrics
            .push(metric_row(metric, by_name(&metric.name)));
    }
    for group in kinds.values_mut() {
        if group.metrics.iter().any(|row| row.name != group.only) {
            group.only.clear();
        }
    }
    Task {
        anchor,
        name: shown(&task.name),
        title: shown(&task.title),
        plugin: shown(&format!("{} {}", task.plugin, task.version)),
        about: shown(&task.about),
        citation: shown(&task.citation),
        bindings: models.chain(judges).chain(dataset).chain(limit).map(|text| shown(&text)).collect(),
        counts: counts_row(&task.counts),
        has_result: task.result.is_some(),
        metrics: names
            .iter()
            .flat_map(|name| metrics.iter().filter(move |metric| metric.name == *name))
            .filter(|metric| metric.group.is_none())
            .map(|metric| metric_row(metric, by_name(&metric.name)))
            .collect(),
        groups: kinds.into_values().collect(),
        layered: layered(all).iter().map(|table| layered_tables(table, all)).collect(),
        figures: task.result.as_ref().map(|result| figure_groups(&result.figures)).unwrap_or_default(),
        notes: task.result.iter().flat_map(|result| &result.notes).map(|note| shown(note)).collect(),
        samples: groups(task),
        shown: task.samples.len(),
        left_out: if left_out > 0 { thousands(left_out) } else { String::new() },
        example: task.samples.first().map(|sample| shown(&sample.id)).unwrap_or_default(),
    }
}
