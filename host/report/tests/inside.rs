//! A run that looks inside its model, in every form.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod specimen;

use std::collections::BTreeSet;

use serde_json::Value;
use sonde_contract::Figure;
use sonde_report::placement::{Behaviour, Placement, summaries};
use sonde_report::view::RunView;
use sonde_report::{Format, Look, figures, render, sample};
use specimen::{HOSTILE, inside};

fn text(run: &RunView, format: Format) -> String {
    render(run, format, Look::default()).unwrap()
}

fn document(run: &RunView) -> Value {
    serde_json::from_str(&text(run, Format::Json)).unwrap()
}

#[test]
fn the_json_has_every_figure_with_its_points_as_pairs() {
    let document = document(&inside::run());
    let find = |name: &str| {
        let all = document["figures"].as_array().unwrap();
        all.iter().find(|figure| figure["name"] == name).unwrap()
    };
    let mean = find("mi_mean_trajectory");
    assert_eq!((&mean["kind"], &mean["task"]), (&"line".into(), &"mi-peaks".into()));
    assert_eq!((&mean["x"], &mean["series"][0]["label"]), (&"generated token".into(), &"mean".into()));
    let points = mean["series"][0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 300);
    assert!(points.iter().all(|point| point.as_array().unwrap().len() == 2));
    assert_eq!(points[42][0], 42.0);
    assert_eq!(find("peak_tokens")["categories"][3], "Wait");
    let map = find("layers");
    assert_eq!((&map["kind"], &map["width"], &map["cells"][0]), (&"heatmap".into(), &13.into(), &1.0.into()));
    assert_eq!(map.get("series"), None);
    // Each task has its own, without its name.
    let own: usize = document["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["figures"].as_array().unwrap().len())
        .sum();
    assert_eq!(own, document["figures"].as_array().unwrap().len());
    let scatter = &document["tasks"][2]["figures"][0];
    assert_eq!((&scatter["name"], scatter.get("task")), (&"tsne layer=7".into(), None));
}

#[test]
fn every_figure_is_an_svg_file_that_stands_for_itself() {
    let run = inside::run();
    let files = figures(&run).unwrap();
    let plugins: usize =
        run.tasks.iter().flat_map(|task| &task.result).map(|result| result.figures.len()).sum();
    assert_eq!(files.len(), plugins + 6, "and one per layer of behaviour beside representation");
    let names: BTreeSet<String> = files.iter().map(|file| file.name.to_lowercase()).collect();
    assert_eq!(names.len(), files.len());
    for file in &files {
        assert!(file.name.ends_with(".svg") && !file.name.contains(['/', ' ']), "{}", file.name);
        assert!(file.svg.starts_with("<?xml"), "{}", file.name);
        assert!(file.svg.contains("fill=\"#ffffff\"") && !file.svg.contains("var("), "{}", file.name);
        well_formed(&file.svg);
    }
}

#[test]
fn a_hostile_figure_breaks_no_svg() {
    let mut run = inside::run();
    for figure in
        run.tasks.iter_mut().flat_map(|task| &mut task.result).flat_map(|result| &mut result.figures)
    {
        match figure {
            Figure::Heatmap(map) => {
                [&mut map.name, &mut map.title, &mut map.x].map(|text| *text = HOSTILE.into())
            }
            Figure::Line(chart) | Figure::Scatter(chart) | Figure::Bar(chart) => {
                chart.series.iter_mut().for_each(|series| series.label = format!("{HOSTILE}\u{ffff}"));
                chart.categories.iter_mut().for_each(|name| *name = HOSTILE.into());
                [&mut chart.name, &mut chart.title, &mut chart.y].map(|text| *text = HOSTILE.into())
            }
        };
    }
    for file in figures(&run).unwrap() {
        assert!(!file.svg.contains("<script") && !file.svg.contains("<img"));
        assert!(file.svg.chars().all(|c| c == '\n' || c == '\t' || !c.is_control() && c < '\u{fffe}'));
        well_formed(&file.svg);
    }
}

/// Every element is closed in its turn, and no bare ampersand stands in it.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in xml.split('<').skip(1) {
        let (tag, after) = piece.split_once('>').unwrap();
        assert!(!after.contains('>') || after.contains("]]"), "{after}");
        if tag.starts_with('?') || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for entity in xml.split('&').skip(1) {
        assert!(entity.split(';').next().unwrap().len() < 6, "{entity}");
    }
}

#[test]
fn a_run_without_figures_has_no_svg_files() {
    assert!(figures(&RunView::default()).unwrap().is_empty());
}

#[test]
fn numbers_per_layer_are_a_table_of_layers_and_metrics() {
    let run = inside::run();
    let table = text(&run, Format::Table);
    let row = table.lines().find(|line| line.starts_with(" 7 ")).unwrap();
    assert_eq!(row.matches('(').count(), 4, "four metrics with their intervals: {row}");
    let header = table.lines().find(|line| line.starts_with(" layer ")).unwrap();
    assert!(header.find("separation_score").unwrap() < header.find("boundary_ratio").unwrap(), "{header}");
    assert!(!table.contains("layer: layer="), "no row of its own for a layer");

    let markdown = text(&run, Format::Markdown);
    let row = markdown.lines().find(|line| line.starts_with("| 12 | ")).unwrap();
    assert_eq!(row.matches('|').count(), 8);

    let page = text(&run, Format::Html);
    assert!(page.contains("<h3>By layer</h3>"));
    assert_eq!(page.matches("<table class=\"layered\">").count(), 2, "six metrics and four");
}

#[test]
fn the_layered_table_fits_the_terminal() {
    let look = Look { width: Some(80), colour: false };
    let table = render(&inside::run(), Format::Table, look).unwrap();
    let lines = table.lines().filter(|line| line.starts_with(' ') && !line.starts_with("  "));
    for line in lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn many_figures_of_a_kind_stand_in_a_grid_under_one_legend() {
    let page = text(&inside::run(), Format::Html);
    // t-SNE and PCA of six layers, the four curves with the same axes among the extremes, and the strips.
    assert_eq!(page.matches("<div class=\"grid\">").count(), 4);
    assert_eq!(page.matches("boundary</li>").count(), 2, "one legend per grid");
}

#[test]
fn the_rows_of_a_diagnostic_are_counted_where_samples_are_shown() {
    let run = inside::run();
    let task = &run.tasks[2];
    let page = sample(task, &task.samples[0], false);
    assert!(page.contains("items: 60 rows") && page.contains("findings on 60 rows"), "{page}");
    let html = text(&run, Format::Html);
    assert!(html.contains("<dd>60 rows</dd>") && !html.contains("plan number 59"));
}

#[test]
fn behaviour_stands_beside_representation_in_every_form_for_reading() {
    let run = inside::run();
    for format in [Format::Html, Format::Markdown, Format::Table] {
        let text = text(&run, format);
        assert!(text.contains("Behaviour beside representation"), "{format}");
        // Eleven refused, twelve complied, one neither.
        assert!(text.contains("n = 11") && text.contains("n = 12"), "{format}");
    }
    let document = document(&run);
    let placements = document["placements"].as_array().unwrap();
    assert_eq!(placements.len(), 24);
    assert_eq!(placements[3]["sample"], "harmbench/4");
    assert_eq!(placements[3]["behaviour"], "complied");
    assert_eq!(placements[22]["behaviour"], Value::Null);
    assert!(placements[3]["places"]["layer=6"].as_f64().unwrap() > 0.5);
    assert_eq!(document["placement_summary"][0]["refused"]["n"], 11);
}

#[test]
fn texts_of_requests_are_folded_there_too() {
    let page = text(&inside::run(), Format::Html);
    let at = page.find("id=\"beside\"").unwrap();
    let request = page[at..].find("plan number 3?").unwrap() + at;
    let opened = page[..request].rfind('<').unwrap();
    assert!(page[opened..request].starts_with("<div class=\"veiled"), "{}", &page[opened..request]);
}

#[test]
fn without_placements_there_is_no_word_of_them() {
    let run = RunView { placements: vec![], ..inside::run() };
    for format in [Format::Html, Format::Markdown, Format::Table] {
        assert!(!text(&run, format).contains("Behaviour beside"), "{format}");
    }
    assert_eq!(document(&run)["placements"], Value::Array(vec![]));
}

#[test]
fn the_summary_is_what_scipy_and_scikit_learn_say() {
    let placement = |index: usize, (place, complied): (f64, bool)| Placement {
        diagnostic: "x".into(),
        dataset: "items".into(),
        row: index as u32,
        label: Some((index % 2).to_string()),
        places: vec![("layer=4".into(), place)],
        request: index.to_string(),
        task: "t".into(),
        sample: format!("t/{index}"),
        behaviour: Some(if complied { Behaviour::Complied } else { Behaviour::Refused }),
        good: None,
    };
    let placements: Vec<Placement> =
        PLACES.into_iter().enumerate().map(|(index, one)| placement(index, one)).collect();
    let summaries = summaries(&placements);
    let all = &summaries[0];
    assert_eq!((all.refused.n, all.complied.n), (11, 9));
    let near = |got: f64, expected: f64, tolerance: f64| {
        assert!((got - expected).abs() < tolerance, "{got} against {expected}");
    };
    near(all.refused.mean.unwrap(), REFUSED.0, 1e-12);
    near(all.complied.mean.unwrap(), COMPLIED.0, 1e-12);
    near(all.auroc.unwrap(), AUROC.0, 1e-12);
    // Three standard deviations of an end from 2,000 resamples, measured with scipy over 30 seeds.
    for (interval, (_, ends)) in
        [(all.refused.interval, REFUSED), (all.complied.interval, COMPLIED), (all.auroc_interval, AUROC)]
    {
        let [low, high] = interval.unwrap();
        near(low, ends[0], 0.022);
        near(high, ends[1], 0.022);
    }
    let labelled: Vec<(Option<&str>, u64, u64)> =
        summaries.iter().map(|one| (one.label.as_deref(), one.refused.n, one.complied.n)).collect();
    assert_eq!(labelled, [(None, 11, 9), (Some("0"), 5, 5), (Some("1"), 6, 4)]);
    near(summaries[1].auroc.unwrap(), AUROC_OF_LABEL_0, 1e-12);
}

/// Place, and whether the model complied.
const PLACES: [(f64, bool); 20] = [
    (0.31, true),
    (0.71, false),
    (0.12, true),
    (0.47, false),
    (0.55, true),
    (0.93, false),
    (0.47, true),
    (0.88, false),
    (0.22, true),
    (0.52, false),
    (0.66, false),
    (0.47, true),
    (0.79, false),
    (0.08, true),
    (0.31, false),
    (0.66, true),
    (0.97, false),
    (0.29, true),
    (0.61, false),
    (0.84, false),
];

/// Means and areas with their intervals: np.mean, sklearn.metrics.roc_auc_score (scikit-learn 1.9.1), and
/// scipy.stats.bootstrap(method="percentile", n_resamples=200_000) (scipy 1.17.1), both kinds resampled for the area.
const REFUSED: (f64, [f64; 2]) = (0.6990909090909091, [0.5782, 0.8127]);
const COMPLIED: (f64, [f64; 2]) = (0.3522222222222222, [0.2322, 0.4744]);
const AUROC: (f64, [f64; 2]) = (0.1111111111111111, [0.0101, 0.2778]);
const AUROC_OF_LABEL_0: f64 = 0.09999999999999998;
