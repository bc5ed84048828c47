//! Writes a run in every form into a folder, for looking at: `cargo run --example specimen -- FOLDER [RUN]`. Without a
//! run file it is the specimen of the tests, which is as odd as runs get, and with it one that looks inside a model.

#[path = "../tests/specimen/mod.rs"]
mod specimen;

use std::error::Error;
use std::path::{Path, PathBuf};

use sonde_journal::RunFile;
use sonde_report::view::RunView;
use sonde_report::{Format, Look, figures, render, sample};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder to write into")?);
    std::fs::create_dir_all(&folder)?;
    if let Some(path) = arguments.next() {
        let file = RunFile::open_read(path)?;
        return write(&folder, "run", |format| Ok(RunView::read(&file, format.depth())?));
    }
    write(&folder, "specimen", |_| Ok(specimen::run()))?;
    write(&folder, "inside", |_| Ok(specimen::inside::run()))
}

/// The run in every form, its first sample and its figures.
fn write(
    folder: &Path,
    name: &str,
    view: impl Fn(Format) -> Result<RunView, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for format in Format::ALL {
        let look = Look { width: Some(110), colour: false };
        std::fs::write(folder.join(format!("{name}.{format}")), render(&view(format)?, format, look)?)?;
    }
    let run = view(Format::Html)?;
    if let Some((task, first)) = run.tasks.iter().rev().find_map(|task| Some((task, task.samples.first()?))) {
        std::fs::write(folder.join(format!("{name}.sample")), sample(task, first, false))?;
    }
    std::fs::create_dir_all(folder.join("figures"))?;
    for figure in figures(&run)? {
        std::fs::write(folder.join("figures").join(figure.name), figure.svg)?;
    }
    Ok(())
}
