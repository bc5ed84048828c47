//! Figures as SVG files: each stands for itself, with its title, its legend and its own white ground.

use std::collections::BTreeSet;

use minijinja::context;
use serde::Serialize;
use sonde_contract::Figure;

use crate::ReportError;
use crate::picture::{Drawing, Entry, Picture, Size, picture, strip};
use crate::placement::{CENTROIDS, charts};
use crate::printable::cut;
use crate::templates::environment;
use crate::view::RunView;

/// A figure to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureFile {
    /// A file name that every system takes, unlike any other of the run even where case does not count.
    pub name: String,
    /// The SVG text.
    pub svg: String,
}

const MARGIN: f64 = 18.0;
const WIDTH: f64 = 640.0 + 2.0 * MARGIN;
/// Heights of a line of the title, the legend and the remark.
const TITLE: f64 = 21.0;
const LEGEND: f64 = 19.0;
const REMARK: f64 = 16.0;
/// Letters that a file name takes from the names of task and figure.
const LETTERS: usize = 100;

/// Every figure of a run, as `TASK-NAME.svg`: those of its tasks, and behaviour beside representation.
///
/// # Errors
/// When the template does not render, which no view should make it do.
pub fn figures(run: &RunView) -> Result<Vec<FigureFile>, ReportError> {
    let environment = environment()?;
    let template = environment.get_template("figure.xml")?;
    let mut taken = BTreeSet::new();
    let mut files = Vec::new();
    for (task, name, picture) in pictures(run) {
        let sheet = minijinja::value::Serde(Sheet::new(picture));
        let svg = template.render(context! { sheet })?;
        files.push(FigureFile { name: file_name(&task, &name, &mut taken), svg });
    }
    Ok(files)
}

/// Task, name and drawing of every figure.
fn pictures(run: &RunView) -> Vec<(String, String, Picture)> {
    let mut pictures = Vec::new();
    for task in &run.tasks {
        for figure in task.result.iter().flat_map(|result| &result.figures) {
            let name = match figure {
                Figure::Line(chart) | Figure::Scatter(chart) | Figure::Bar(chart) => &chart.name,
                Figure::Heatmap(heatmap) => &heatmap.name,
            };
            pictures.push((task.name.clone(), name.clone(), picture(figure, Size::Full)));
        }
    }
    for (diagnostic, charts) in charts(&run.placements) {
        for chart in charts {
            let drawn = strip(&chart, &CENTROIDS, Size::Full);
            pictures.push((diagnostic.clone(), chart.name, drawn));
        }
    }
    pictures
}

/// Letters, digits, dots, equals signs and underscores stay; what lies between becomes one hyphen.
fn file_name(task: &str, name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut stem = String::new();
    for character in format!("{task}-{name}").chars() {
        if character.is_ascii_alphanumeric() || "._=".contains(character) {
            stem.push(character);
        } else if !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem: String = stem.trim_matches(['-', '.']).chars().take(LETTERS).collect();
    let stem = if stem.is_empty() { "figure".to_owned() } else { stem };
    let mut free = stem.clone();
    let mut number = 2_u32;
    while !taken.insert(free.to_lowercase()) {
        free = format!("{stem}-{number}");
        number = number.saturating_add(1);
    }
    format!("{free}.svg")
}

/// What stands on a picture of its own, and where.
#[derive(Serialize)]
struct Sheet {
    width: f64,
    height: f64,
    margin: f64,
    title: Vec<(f64, String)>,
    drawing: Drawing,
    /// Where the drawing begins.
    top: f64,
    legend: Vec<Placed>,
    remark: Vec<(f64, String)>,
}

#[derive(Serialize)]
struct Placed {
    x: f64,
    y: f64,
    entry: Entry,
}

impl Sheet {
    fn new(picture: Picture) -> Self {
        let room = WIDTH - 2.0 * MARGIN;
        let mut y = MARGIN;
        let lines = |text: &str, size: f64, height: f64, y: &mut f64| -> Vec<(f64, String)> {
            wrapped(text, room, size)
                .into_iter()
                .map(|line| {
                    *y += height;
                    (*y - height * 0.28, line)
                })
                .collect()
        };
        let title = lines(&picture.title, 15.5, TITLE, &mut y);
        let top = y + 8.0;
        y = top + picture.drawing.height + 4.0;
        let legend = flow(picture.legend, room, &mut y);
        if !legend.is_empty() {
            y += 8.0;
        }
        let remark = lines(&picture.remark, 11.5, REMARK, &mut y);
        Self {
            width: WIDTH,
            height: (y + MARGIN).ceil(),
            margin: MARGIN,
            title,
            drawing: picture.drawing,
            top,
            legend,
            remark,
        }
    }
}

/// The legend's entries one after another, on as many lines as they need.
fn flow(entries: Vec<Entry>, room: f64, y: &mut f64) -> Vec<Placed> {
    let mut x = 0.0;
    let mut placed = Vec::new();
    for mut entry in entries {
        // What does not fit a line of its own is cut.
        while width(&entry.label, 12.5) > room - 30.0 {
            entry.label = cut(&entry.label, entry.label.chars().count() * 9 / 10);
        }
        let wide = 28.0 + width(&entry.label, 12.5) + 18.0;
        if placed.is_empty() || x + wide - 18.0 > room {
            x = 0.0;
            *y += LEGEND;
        }
        placed.push(Placed { x: MARGIN + x, y: *y, entry });
        x += wide;
    }
    placed
}

/// Lines of at most so much room.
fn wrapped(text: &str, room: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, 60);
        match lines.last_mut() {
            Some(line) if width(line, size) + width(&word, size) + size * 0.3 <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.truncate(6);
    lines
}

/// About how wide a sans serif font sets a text.
fn width(text: &str, size: f64) -> f64 {
    let wide = |character: char| if u32::from(character) >= 0x1100 { 1.0 } else { 0.56 };
    text.chars().map(wide).sum::<f64>() * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain_and_differ_where_case_does_not_count() {
        let mut taken = BTreeSet::new();
        let mut name = |task: &str, figure: &str| file_name(task, figure, &mut taken);
        assert_eq!(name("x-boundary", "pca layer=3"), "x-boundary-pca-layer=3.svg");
        assert_eq!(name("X-boundary", "pca/layer=3"), "X-boundary-pca-layer=3-2.svg");
        assert_eq!(name("..", "/../../etc/passwd"), "etc-passwd.svg");
        assert_eq!(name("…", "…"), "figure.svg");
        assert!(name("long", &"n".repeat(400)).len() < 110);
    }

    #[test]
    fn a_long_legend_is_broken_into_lines_within_the_sheet() {
        let entry = |label: &str| Entry { label: label.into(), sign: String::new(), class: String::new() };
        let mut y = 0.0;
        let long = "a label of words ".repeat(20);
        let placed =
            flow(vec![entry("short"), entry("the middle one"), entry(&long), entry("last")], 640.0, &mut y);
        let lines: Vec<f64> = placed.iter().map(|placed| placed.y).collect();
        assert_eq!(lines, [LEGEND, LEGEND, LEGEND * 2.0, LEGEND * 3.0]);
        assert!(placed.iter().all(|placed| placed.x + 28.0 + width(&placed.entry.label, 12.5) < WIDTH));
    }
}
