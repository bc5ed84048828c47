//! `sonde show RUN`

use std::path::Path;

use anyhow::Context;
use console::Term;
use sonde_journal::RunFile;
use sonde_report::view::RunView;
use sonde_report::{Depth, Format, Look};

use crate::arguments::ShowArguments;
use crate::{End, words};

pub(crate) fn show(arguments: &ShowArguments) -> anyhow::Result<End> {
    let text = match &arguments.sample {
        Some(id) => one_sample(&arguments.run, id)?,
        None => render(&arguments.run, arguments.format)?,
    };
    deliver(&text, arguments.output.as_deref())?;
    if let Some(folder) = &arguments.figures {
        write_figures(&arguments.run, folder)?;
    }
    if let Some(folder) = &arguments.documents {
        write_documents(&arguments.run, folder)?;
    }
    Ok(End::Success)
}

/// Writes the figures and says so on standard error, for standard output holds the report.
fn write_figures(run: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = RunFile::open_read(run)?;
    let view = RunView::read(&file, Depth::Summary)?;
    let figures = sonde_report::figures(&view)?;
    if figures.is_empty() {
        let pending = view.tasks.iter().filter(|task| task.result.is_none()).count() as u64;
        let why = match pending {
            0 => "its plugins give none; diagnostics do".to_owned(),
            _ => format!("{} not summed up yet", words::count(pending, "task")),
        };
        remark!("{} has no figures ({why}); nothing was written", run.display());
        return Ok(());
    }
    let files: Vec<_> = figures.into_iter().map(|figure| (figure.name, figure.svg)).collect();
    write_all(folder, &files, "figure")
}

/// Writes what came about while treatments were derived.
fn write_documents(run: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = RunFile::open_read(run)?;
    let mut files = Vec::new();
    for task in &file.header().tasks {
        let treatment = file.treatment(&task.name)?;
        for document in treatment.into_iter().flat_map(|treatment| treatment.documents) {
            // The run file may be a stranger's: no name leads out of the folder.
            let name = format!("{}-{}", task.name, document.name).replace(['/', '\\'], "-");
            files.push((name, document.text));
        }
    }
    if files.is_empty() {
        remark!("{} has no documents (treatments can leave some); nothing was written", run.display());
        return Ok(());
    }
    write_all(folder, &files, "document")
}

fn write_all(folder: &Path, files: &[(String, String)], what: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        remark!("wrote {}", path.display());
    }
    remark!("{} in {}", words::count(files.len() as u64, what), folder.display());
    Ok(())
}

/// A run file in one of the report's forms.
pub(crate) fn render(run: &Path, format: Format) -> anyhow::Result<String> {
    let file = RunFile::open_read(run)?;
    let view = RunView::read(&file, format.depth())?;
    let text = sonde_report::render(&view, format, look())?;
    Ok(if format == Format::Json { words::inert(&text) } else { text })
}

/// How tables are drawn on standard output, whatever it is.
pub(crate) fn look() -> Look {
    let terminal = Term::stdout();
    if terminal.is_term() {
        Look { width: terminal.size_checked().map(|(_, width)| width), colour: console::colors_enabled() }
    } else {
        Look { width: None, colour: false }
    }
}

fn one_sample(run: &Path, id: &str) -> anyhow::Result<String> {
    let file = RunFile::open_read(run)?;
    let tasks: Vec<&str> = file.header().tasks.iter().map(|task| task.name.as_str()).collect();
    let Some((task, sample)) = sonde_report::read_sample(&file, id)? else {
        anyhow::bail!(
            "{} has no sample \"{id}\"; samples are named TASK/NUMBER from 1, and its tasks are {}",
            run.display(),
            tasks.join(", ")
        );
    };
    let colour = Term::stdout().is_term() && console::colors_enabled();
    Ok(sonde_report::sample(&task, &sample, colour))
}

/// Writes a text to the file, or prints it.
pub(crate) fn deliver(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    match file {
        Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display())),
        None => Ok(print(text)?),
    }
}

/// Whole texts end with a line break; a closed pipe is an error that `main` knows.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}
