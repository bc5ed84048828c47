//! The marks that tell the points of series apart where colours cannot.

use super::drawing::tenth;

/// SVG path data of the mark of a series, around a place. The first six series have different ones, of about equal area.
pub(super) fn mark(series: usize, x: f64, y: f64, size: f64) -> String {
    // From the seventh series on the colours come again, and each colour has the mark of its neighbour.
    match (series + series / 6) % 6 {
        0 => format!(
            "M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",
            tenth(x - size),
            tenth(y),
            r = tenth(size),
            d = tenth(size) * 2.0,
        ),
        1 => polygon(x, y, size * 1.3, &[(0.0, -1.0), (0.9, 0.7), (-0.9, 0.7)]),
        2 => polygon(x, y, size * 0.9, &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
        3 => polygon(x, y, size * 1.3, &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]),
        4 => polygon(x, y, size * 1.3, &[(0.0, 1.0), (0.9, -0.7), (-0.9, -0.7)]),
        _ => polygon(x, y, size * 1.2, &CROSS),
    }
}

const CROSS: [(f64, f64); 12] = [
    (-0.35, -1.0),
    (0.35, -1.0),
    (0.35, -0.35),
    (1.0, -0.35),
    (1.0, 0.35),
    (0.35, 0.35),
    (0.35, 1.0),
    (-0.35, 1.0),
    (-0.35, 0.35),
    (-1.0, 0.35),
    (-1.0, -0.35),
    (-0.35, -0.35),
];

fn polygon(x: f64, y: f64, size: f64, corners: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (index, (right, down)) in corners.iter().enumerate() {
        let pen = if index == 0 { 'M' } else { 'L' };
        d.push_str(&format!("{pen}{} {}", tenth(x + right * size), tenth(y + down * size)));
    }
    d.push('z');
    d
}
