//! The run as JSON, for other programs.

mod flat;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sonde_contract::{Chart, Figure, Heatmap, Point};

use crate::placement::{Behaviour, PlaceSummary, Placement, summaries};
use crate::risks::RiskRow;
use crate::statistics::{Corrected, Interval, Measured, MetricKind};
use crate::suites::SuiteView;
use crate::treated::{Sentence, TreatedView};
use crate::view::{ModelView, RunView, SavingView, SourceView, TaskView};

#[derive(Serialize)]
struct Document<'a> {
    tasks: Vec<Task<'a>>,
    /// Those of all tasks.
    figures: Vec<Drawn<'a>>,
    /// Means over tasks, with what each contributes.
    suites: &'a [SuiteView],
    /// What all tasks say of each risk.
    risks: &'a [RiskRow],
    placements: Vec<Placed<'a>>,
    placement_summary: Vec<PlaceSummary>,
    run: Run<'a>,
    models: Vec<Model<'a>>,
    /// What answers of earlier runs saved.
    reused: &'a [SavingView],
    /// What the run did with a treatment of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    treatment: Option<Treated<'a>>,
}

#[derive(Serialize)]
struct Treated<'a> {
    verdict: Vec<Sentence>,
    #[serde(flatten)]
    view: &'a TreatedView,
}

#[derive(Serialize)]
struct Run<'a> {
    path: &'a str,
    sonde: &'a str,
    created: &'a str,
    finished: bool,
    reproducible: bool,
    plan: &'a str,
    /// The run whose replies were judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejudged: Option<&'a SourceView>,
}

#[derive(Serialize)]
struct Model<'a> {
    role: &'a str,
    name: &'a str,
    quantisation: &'a str,
    digest: &'a str,
}

#[derive(Serialize)]
struct Task<'a> {
    name: &'a str,
    plugin: &'a str,
    plugin_version: &'a str,
    samples: Samples,
    metrics: Vec<Metric<'a>>,
    figures: Vec<Drawn<'a>>,
    notes: &'a [String],
}

/// A figure. Charts have axes and series; a heatmap has its width and its cells, row by row, null where there is no number.
#[derive(Serialize)]
struct Drawn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    name: &'a str,
    title: &'a str,
    kind: &'static str,
    x: &'a str,
    y: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    categories: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<Series<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cells: Option<&'a [f64]>,
}

#[derive(Serialize)]
struct Series<'a> {
    label: &'a str,
    #[serde(serialize_with = "pairs")]
    points: &'a [Point],
}

/// A request's place in the model beside what became of it.
#[derive(Serialize)]
struct Placed<'a> {
    diagnostic: &'a str,
    dataset: &'a str,
    row: u32,
    label: Option<&'a str>,
    request: &'a str,
    task: &'a str,
    sample: &'a str,
    behaviour: Option<Behaviour>,
    good: Option<bool>,
    places: serde_json::Map<String, serde_json::Value>,
}

/// `done` counts the samples that ended with an outcome and were not skipped, the unparsable ones among them, so that
/// done, failed and skipped together are the finished samples.
#[derive(Serialize)]
struct Samples {
    done: u64,
    failed: u64,
    skipped: u64,
    unparsable: u64,
    total: u64,
}

#[derive(Serialize)]
struct Metric<'a> {
    name: &'a str,
    group: Option<&'a str>,
    group_kind: Option<&'a str>,
    value: Option<f64>,
    n: u64,
    interval: Option<Interval>,
    kind: MetricKind,
    higher_is_better: Option<bool>,
    headline: bool,
    about: &'a str,
    /// The share corrected for its judge's errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected: Option<&'a Corrected>,
    remark: Option<&'a str>,
}

/// The JSON text, indented, with a line end.
///
/// # Errors
/// Never for a [`RunView`]; the signature is that of the serialiser.
pub fn json(run: &RunView) -> Result<String, serde_json::Error> {
    let document = Document {
        tasks: run.tasks.iter().map(task).collect(),
        figures: run.tasks.iter().flat_map(|task| figures(task, Some(&task.name))).collect(),
        suites: &run.suites,
        risks: &run.risks,
        placements: run.placements.iter().map(placed).collect(),
        placement_summary: summaries(&run.placements),
        run: Run {
            path: &run.path,
            sonde: &run.sonde,
            created: &run.created,
            finished: run.finished,
            reproducible: run.reproducible,
            plan: &run.plan,
            rejudged: run.rejudged.as_ref(),
        },
        models: run.models.iter().map(model).collect(),
        reused: &run.savings,
        treatment: run.treated.as_ref().map(|view| Treated { verdict: view.sentences(), view }),
    };
    let mut bytes = Vec::new();
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, flat::Flat::default()))?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn task(task: &TaskView) -> Task<'_> {
    let counts = &task.counts;
    let result = task.result.as_ref();
    Task {
        name: &task.name,
        plugin: &task.plugin,
        plugin_version: &task.version,
        samples: Samples {
            done: counts.done(),
            failed: counts.failed,
            skipped: counts.skipped,
            unparsable: counts.unparsable,
            total: counts.total,
        },
        metrics: result.map(|result| result.metrics.iter().map(metric).collect()).unwrap_or_default(),
        figures: figures(task, None),
        notes: result.map(|result| result.notes.as_slice()).unwrap_or_default(),
    }
}

fn figures<'a>(task: &'a TaskView, named: Option<&'a str>) -> Vec<Drawn<'a>> {
    let chart = |chart: &'a Chart, kind: &'static str| Drawn {
        task: named,
        name: &chart.name,
        title: &chart.title,
        kind,
        x: &chart.x,
        y: &chart.y,
        categories: &chart.categories,
        series: Some(
            chart
                .series
                .iter()
                .map(|series| Series { label: &series.label, points: &series.points })
                .collect(),
        ),
        width: None,
        cells: None,
    };
    let heatmap = |map: &'a Heatmap| Drawn {
        task: named,
        name: &map.name,
        title: &map.title,
        kind: "heatmap",
        x: &map.x,
        y: &map.y,
        categories: &[],
        series: None,
        width: Some(map.width),
        cells: Some(&map.cells),
    };
    let figures = task.result.iter().flat_map(|result| &result.figures);
    figures
        .map(|figure| match figure {
            Figure::Line(line) => chart(line, "line"),
            Figure::Scatter(scatter) => chart(scatter, "scatter"),
            Figure::Bar(bar) => chart(bar, "bar"),
            Figure::Heatmap(map) => heatmap(map),
        })
        .collect()
}

fn pairs<S: Serializer>(points: &&[Point], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(points.len()))?;
    for point in *points {
        list.serialize_element(&[point.x, point.y])?;
    }
    list.end()
}

fn placed(placement: &Placement) -> Placed<'_> {
    Placed {
        diagnostic: &placement.diagnostic,
        dataset: &placement.dataset,
        row: placement.row,
        label: placement.label.as_deref(),
        request: &placement.request,
        task: &placement.task,
        sample: &placement.sample,
        behaviour: placement.behaviour,
        good: placement.good,
        places: placement.places.iter().map(|(layer, place)| (layer.clone(), (*place).into())).collect(),
    }
}

fn metric(measured: &Measured) -> Metric<'_> {
    let group = measured.group.as_ref();
    Metric {
        name: &measured.name,
        group: group.map(|group| group.name.as_str()),
        group_kind: group.map(|group| group.kind.as_str()),
        value: measured.value,
        n: measured.n,
        interval: measured.interval,
        kind: measured.kind,
        higher_is_better: measured.higher_is_better,
        headline: measured.headline,
        about: &measured.about,
        corrected: measured.corrected.as_ref(),
        remark: measured.remark.as_deref(),
    }
}

fn model(model: &ModelView) -> Model<'_> {
    Model {
        role: &model.role,
        name: &model.info.name,
        quantisation: &model.info.quantisation,
        digest: &model.digest,
    }
}
