use sonde_contract::{Heatmap, Point, Series};

use super::*;

fn chart(points: Vec<Point>, categories: Vec<String>) -> Chart {
    Chart {
        name: "n".into(),
        title: "t".into(),
        x: "x".into(),
        y: "y".into(),
        categories,
        series: vec![Series { label: "s".into(), points }],
    }
}

fn map(width: u32, cells: Vec<f64>) -> Figure {
    let (name, title, x, y) = (String::new(), String::new(), String::new(), String::new());
    Figure::Heatmap(Heatmap { name, title, x, y, width, cells })
}

fn drawn(figure: &Figure) -> Picture {
    picture(figure, Size::Full)
}

/// The paths of a class.
fn paths<'a>(picture: &'a Picture, kind: &str) -> Vec<&'a str> {
    let shapes = picture.drawing.shapes.iter().filter_map(|shape| match shape {
        Shape::Path { d, class, .. } => class.starts_with(kind).then_some(d.as_str()),
        _ => None,
    });
    shapes.collect()
}

fn texts(picture: &Picture) -> Vec<&str> {
    let shapes = picture.drawing.shapes.iter().filter_map(|shape| match shape {
        Shape::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    shapes.collect()
}

#[test]
fn a_hundred_thousand_points_become_a_bounded_drawing_that_says_so() {
    let points = (0..100_000).map(|i| Point { x: f64::from(i), y: f64::from(i % 7) }).collect();
    let drawn = drawn(&Figure::Scatter(chart(points, vec![])));
    assert!(drawn.drawing.shapes.len() < 60, "{}", drawn.drawing.shapes.len());
    assert_eq!(paths(&drawn, "point")[0].matches('M').count(), 2_000);
    assert!(drawn.remark.contains("thinned"));
}

#[test]
fn a_thinned_line_keeps_its_highest_point() {
    let height = |i: u32| if i == 54_321 { 9.0 } else { 1.0 };
    let points = (0..100_000).map(|i| Point { x: f64::from(i), y: height(i) }).collect();
    let drawn = drawn(&Figure::Line(chart(points, vec![])));
    // The frame goes from 12 to 284 and ends 4 % above the peak: 12 + 272 × 0.04 / 1.04.
    let line = paths(&drawn, "line")[0];
    assert!(line.contains(" 22.5"), "the peak is drawn");
    assert!(line.matches('L').count() < 2_100);
}

#[test]
fn each_class_of_points_has_its_colour_and_its_mark() {
    let mut chart = chart(vec![Point { x: 0.0, y: 0.0 }], vec![]);
    for index in 1..9 {
        chart.series.push(Series { label: format!("class {index}"), points: vec![Point { x: 1.0, y: 2.0 }] });
    }
    let drawn = drawn(&Figure::Scatter(chart));
    let mut signs: Vec<(&str, &str)> =
        drawn.legend.iter().map(|entry| (entry.class.as_str(), entry.sign.as_str())).collect();
    assert_eq!(signs.len(), 9);
    signs.sort_unstable();
    signs.dedup();
    assert_eq!(signs.len(), 9, "no two look alike");
    let first_six: std::collections::BTreeSet<&str> =
        drawn.legend.iter().take(6).map(|entry| entry.sign.as_str()).collect();
    assert_eq!(first_six.len(), 6, "six marks before one comes again");
}

#[test]
fn peaks_of_a_line_are_marks_without_a_line() {
    let mut chart = chart((0..100).map(|i| Point { x: f64::from(i), y: f64::from(i % 9) }).collect(), vec![]);
    chart.series.push(Series { label: "Peaks (mean + 2 sd)".into(), points: vec![Point { x: 8.0, y: 8.0 }] });
    let drawn = drawn(&Figure::Line(chart));
    assert_eq!((paths(&drawn, "line").len(), paths(&drawn, "point").len()), (1, 1));
    assert!(drawn.legend[0].class.starts_with("line") && drawn.legend[1].class.starts_with("point"));
}

#[test]
fn a_heatmap_of_a_million_cells_is_averaged() {
    let drawn = drawn(&map(1_000, vec![1.0; 1_000_000]));
    assert!(drawn.drawing.shapes.len() <= 64 * 64 + 40);
    assert!(drawn.remark.contains("16 × 16"), "{}", drawn.remark);
}

#[test]
fn cells_far_from_zero_still_differ_in_colour() {
    let drawn = drawn(&map(2, vec![0.98, 0.985, 0.99, 1.0]));
    let fullness = drawn.drawing.shapes.iter().filter_map(|shape| match shape {
        Shape::Rect { opacity, width, .. } => (*width > 12.0).then_some(*opacity),
        _ => None,
    });
    assert_eq!(fullness.collect::<Vec<f64>>(), [0.06, 0.295, 0.53, 1.0]);
}

#[test]
fn bars_without_names_have_their_numbers_and_negative_ones_room() {
    let points = vec![Point { x: 64.0, y: -2.0 }, Point { x: 32.0, y: 3.0 }];
    let drawn = drawn(&Figure::Bar(chart(points, vec![])));
    assert!(texts(&drawn).contains(&"32") && texts(&drawn).contains(&"64"));
    let bars = drawn.drawing.shapes.iter().filter(|shape| matches!(shape, Shape::Rect { .. }));
    assert_eq!(bars.count(), 2);
}

#[test]
fn figures_without_data_and_with_absurd_numbers_are_drawn_without_a_crash() {
    let empty = chart(vec![], vec![]);
    let one = chart(vec![Point { x: 3.0, y: -1e-300 }], vec![]);
    let absurd =
        chart(vec![Point { x: f64::MAX, y: -f64::MAX }, Point { x: -f64::MAX, y: f64::MAX }], vec![]);
    let nothing = Chart { series: vec![], ..empty.clone() };
    for chart in [empty, one, absurd, nothing] {
        for size in [Size::Full, Size::Small] {
            for figure in
                [Figure::Line(chart.clone()), Figure::Scatter(chart.clone()), Figure::Bar(chart.clone())]
            {
                let drawn = picture(&figure, size);
                let finite = |d: &str| !d.contains("NaN") && !d.contains("inf");
                assert!(paths(&drawn, "").into_iter().all(finite), "{drawn:?}");
            }
            strip(&chart, &[(0.0, "zero")], size);
        }
    }
    for width in [0, u32::MAX] {
        drawn(&map(width, vec![f64::NAN, 1.0, 2.0]));
    }
    drawn(&map(0, vec![]));
}

#[test]
fn a_figure_without_points_says_so() {
    assert!(texts(&drawn(&Figure::Scatter(chart(vec![], vec![])))).contains(&"no points"));
    assert!(texts(&drawn(&Figure::Bar(chart(vec![], vec![])))).contains(&"no bars"));
    assert!(texts(&drawn(&map(3, vec![]))).contains(&"no cells"));
}
