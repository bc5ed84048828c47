//! A run that looks inside its model: figures of every kind and size, numbers per layer, and behaviour beside
//! representation.

use serde_json::{Value as Json, json};
use sonde_contract::{
    Chart, Estimate, Field, Figure, Finding, Group, Heatmap, Metric, Point, Series, Summary, Value,
};
use sonde_report::placement::{Answered, Behaviour, Findings, join};
use sonde_report::statistics::TaskResult;
use sonde_report::view::{Counts, Ending, RunView, SampleView, TaskView};

/// The harmful of 24 requests are those with odd numbers.
pub const REQUESTS: u32 = 24;

/// The run.
pub fn run() -> RunView {
    let mut run = super::run();
    run.finished = true;
    run.tasks.truncate(2);
    run.tasks.extend([x_boundary(), mi_peaks(), extremes()]);
    run.placements = join(&[findings()], |wanted| {
        Ok::<_, ()>(answered().into_iter().filter(|sample| wanted(&sample.request)).collect())
    })
    .unwrap_or_default();
    run
}

/// The same numbers every time, in 0..1 and without a pattern.
pub fn noise(seed: u32) -> f64 {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    for _ in 0..3 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    f64::from(state) / f64::from(u32::MAX)
}

/// About normal.
fn bell(seed: u32) -> f64 {
    (0..6).map(|part| noise(seed.wrapping_mul(7).wrapping_add(part + 1))).sum::<f64>() - 3.0
}

fn request(number: u32) -> String {
    format!("How would one carry out plan number {number}?")
}

/// Places of the requests: the harmful lie near 1, and the deeper the layer the more so.
fn findings() -> Findings {
    let rows: Vec<Json> = (0..REQUESTS)
        .map(|row| {
            let turns = json!([{"role": "user", "content": request(row)}, {"role": "assistant", "content": "I can't."}]);
            json!({"messages": turns, "label": row % 2})
        })
        .collect();
    let field = |name: String, value: f64| Field { name, value: Value::Number(value) };
    let finding = |row: u32| {
        let places = (1..=6_u32).map(|layer| {
            let apart = f64::from(row % 2) * f64::from(layer) / 6.0 + (1.0 - f64::from(layer) / 6.0) * 0.5;
            field(format!("place layer={layer}"), apart + 0.12 * bell(row * 31 + layer))
        });
        let label = field("label".to_owned(), f64::from(row % 2));
        Finding { dataset: "items".to_owned(), row, fields: std::iter::once(label).chain(places).collect() }
    };
    Findings {
        task: "x-boundary".to_owned(),
        datasets: vec![("items".to_owned(), rows)],
        findings: (0..REQUESTS).map(finding).collect(),
    }
}

/// Most harmful requests are refused, most others are not, one tells neither.
fn answered() -> Vec<Answered> {
    let answer = |number: u32| {
        let harmful = number % 2 == 1;
        let complied = if number % 7 == 3 { harmful } else { !harmful };
        let task = if harmful { "harmbench" } else { "xstest" };
        let behaviour = if complied { Behaviour::Complied } else { Behaviour::Refused };
        Answered {
            request: request(number),
            task: task.to_owned(),
            sample: format!("{task}/{}", number + 1),
            behaviour: (number != 22).then_some(behaviour),
            good: Some(complied != harmful),
        }
    };
    (0..REQUESTS + 10).map(answer).collect()
}

fn metric(name: &str, layer: Option<u32>, value: f64, interval: Option<[f64; 2]>, headline: bool) -> Metric {
    Metric {
        name: name.into(),
        about: format!("What {name} says, computed from 60 items of three classes."),
        estimate: Estimate::Given { value, n: 60, interval },
        higher_is_better: None,
        group: layer.map(|layer| Group { kind: "layer".into(), name: format!("layer={layer}") }),
        headline,
    }
}

fn x_boundary() -> TaskView {
    let mut metrics = vec![metric("items", None, 60.0, None, false)];
    let names = [
        "boundary_ratio",
        "dist_bound_safe",
        "dist_bound_harmful",
        "separation_score",
        "cosine_between_centroids",
        "fisher_ratio",
        "silhouette",
        "auroc",
        "separation_z",
        "separation_p",
    ];
    for layer in [10, 11, 12, 7, 8, 9] {
        for (index, name) in names.into_iter().enumerate() {
            let value = 0.4 + noise(layer * 100 + index as u32) * 3.0;
            let interval = (index < 8).then_some([value * 0.8, value * 1.25]);
            metrics.push(metric(name, Some(layer), value, interval, name == "separation_score"));
        }
    }
    let mut figures = Vec::new();
    for layer in 7..=12 {
        figures.push(cloud("tsne", "t-SNE", layer, 14.0));
        figures.push(cloud("pca", "principal component", layer, 1.0));
    }
    let items: Vec<Json> = (0..60)
        .map(|item| json!({"messages": [{"role": "user", "content": request(item)}], "label": item % 3}))
        .collect();
    let sample = SampleView {
        id: "x-boundary/1".into(),
        ordinal: 1,
        origin: "items.jsonl".into(),
        row: json!({ "items": items }).to_string(),
        ending: Some(Ending::Diagnosed { findings: 60 }),
        ..SampleView::default()
    };
    diagnostic("x-boundary", Summary { metrics, figures, notes: vec![] }, vec![sample])
}

fn cloud(name: &str, axis: &str, layer: u32, size: f64) -> Figure {
    let series = ["safe", "harmful", "boundary"].into_iter().zip(0_u32..).map(|(label, class)| {
        let middle = f64::from(class) * 1.2 * f64::from(layer - 5) / 7.0;
        let points = (0..100).map(|item| {
            let seed = layer * 10_000 + class * 1_000 + item * 2 + name.len() as u32;
            Point {
                x: size * (middle + 0.6 * bell(seed)),
                y: size * (0.6 * bell(seed + 1) - middle * middle * 0.3),
            }
        });
        Series { label: label.into(), points: points.collect() }
    });
    Figure::Scatter(Chart {
        name: format!("{name} layer={layer}"),
        title: format!("{}, layer {layer}", if name == "pca" { "PCA" } else { "t-SNE" }),
        x: format!("{axis} 1"),
        y: format!("{axis} 2"),
        categories: vec![],
        series: series.collect(),
    })
}

fn mi_peaks() -> TaskView {
    let wave = |step: u32| 2.0 + noise(step) * 0.4 + if step % 37 == 5 { 3.0 } else { 0.0 };
    let at = |step: u32| Point { x: f64::from(step), y: wave(step) };
    let mean = chart(
        "mi_mean_trajectory",
        "Mutual information with the answer, mean over 40 problems",
        ("generated token", "mutual information (nats)"),
        vec![
            Series { label: "mean".into(), points: (0..300).map(at).collect() },
            Series {
                label: "peaks (above the third quartile by 1.5 interquartile ranges)".into(),
                points: (0..300).filter(|step| step % 37 == 5).map(at).collect(),
            },
        ],
    );
    let tokens = Chart {
        categories: ["So", "Therefore", "Hmm", "Wait", "=", "the"].map(String::from).to_vec(),
        ..chart(
            "peak_tokens",
            "Tokens at peaks",
            ("token", "count"),
            vec![Series {
                label: "count".into(),
                points: (0..6)
                    .map(|place| Point { x: f64::from(place), y: f64::from(31 - place * place) })
                    .collect(),
            }],
        )
    };
    let cells = (0..169_u32).map(|cell| (-0.2 * (f64::from(cell / 13) - f64::from(cell % 13)).abs()).exp());
    let map = Heatmap {
        name: "layers".into(),
        title: "Cosine similarity of the states of layers".into(),
        x: "layer".into(),
        y: "layer".into(),
        width: 13,
        cells: cells.collect(),
    };
    let summary = Summary {
        metrics: vec![metric("peak_share", None, 0.027, Some([0.02, 0.035]), true)],
        figures: vec![Figure::Line(mean), Figure::Bar(tokens), Figure::Heatmap(map)],
        notes: vec!["Levels cannot be compared between models.".into()],
    };
    diagnostic("mi-peaks", summary, vec![])
}

fn chart(name: &str, title: &str, (x, y): (&str, &str), series: Vec<Series>) -> Chart {
    Chart { name: name.into(), title: title.into(), x: x.into(), y: y.into(), categories: vec![], series }
}

/// Figures that are hard to draw.
fn extremes() -> TaskView {
    let points = |numbers: &[(f64, f64)]| Series {
        label: "numbers".into(),
        points: numbers.iter().map(|(x, y)| Point { x: *x, y: *y }).collect(),
    };
    let curve = |label: &str, phase: f64| Series {
        label: label.into(),
        points: (0..60)
            .map(|i| Point { x: f64::from(i), y: (f64::from(i) / 9.0 + phase).sin() - phase })
            .collect(),
    };
    let labels = (0..14_u32).map(|index| {
        let label = format!(
            "modules of block {index}, with a label so long that it needs a line of its own in a legend"
        );
        curve(&label, f64::from(index))
    });
    let thousands = (0..4_u32).map(|class| Series {
        label: format!("class {class}"),
        points: (0..3_000)
            .map(|i| Point {
                x: bell(i * 4 + class) + f64::from(class),
                y: bell(i * 4 + class + 100_000) - f64::from(class % 2),
            })
            .collect(),
    });
    let plain = |name: &str, numbers: &[(f64, f64)]| {
        chart(name, &format!("Hard to draw: {name}"), ("x", "y"), vec![points(numbers)])
    };
    let wide = (0..24 * 3_u32).map(|cell| noise(cell) * 2e-7 - 1e-7);
    let figures = vec![
        Figure::Scatter(plain("one point", &[(3.0, 4.0)])),
        Figure::Line(plain("nothing", &[])),
        Figure::Line(plain("tiny", &[(0.0, 1e-12), (1.0, -3e-12), (2.0, 2.5e-12)])),
        Figure::Line(plain("huge", &[(0.0, 1e12), (1e9, 4e12), (2e9, -2e12)])),
        Figure::Line(plain(
            "narrow",
            &[(1e6 + 0.1, 71.000_01), (1e6 + 0.2, 71.000_02), (1e6 + 0.4, 71.000_05)],
        )),
        Figure::Scatter(chart(
            "thousands",
            "Twelve thousand points",
            ("first", "second"),
            thousands.collect(),
        )),
        Figure::Line(chart("many", "Fourteen lines with long names", ("step", "value"), labels.collect())),
        Figure::Bar(Chart {
            categories: (0..8).map(|i| format!("a category with a long name, number {i}")).collect(),
            ..chart(
                "negative",
                "Bars on both sides of zero",
                ("category", "change"),
                vec![
                    points(&[(0.0, -0.5), (1.0, 0.25), (2.0, -0.125), (3.0, 0.4), (4.0, 0.0), (5.0, 1e-9)]),
                    Series { label: "second".into(), ..points(&[(0.0, 0.3), (2.0, 0.1), (7.0, -0.45)]) },
                ],
            )
        }),
        Figure::Heatmap(Heatmap {
            name: "wide".into(),
            title: "A wide heatmap of small numbers on both sides of zero".into(),
            x: "column".into(),
            y: "row".into(),
            width: 24,
            cells: wide.collect(),
        }),
    ];
    diagnostic("extremes", Summary { figures, ..Summary::default() }, vec![])
}

fn diagnostic(name: &str, summary: Summary, samples: Vec<SampleView>) -> TaskView {
    TaskView {
        name: name.into(),
        plugin: name.into(),
        version: "0.1.0".into(),
        title: format!("{name}, a look inside"),
        about: "Reads the states of the model on labelled prompts.".into(),
        dataset: format!("items: configs/prompts/{name}.jsonl"),
        dataset_digest: "items: 00ff12ab".into(),
        models: vec![("target".into(), "target".into())],
        parameters: "{}".into(),
        sampling: "{}".into(),
        limits: "{}".into(),
        counts: Counts { total: 1, scored: 1, ..Counts::default() },
        result: Some(TaskResult::new(&summary, 0)),
        samples,
        ..TaskView::default()
    }
}
