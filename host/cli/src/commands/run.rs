//! `sonde run CONFIG`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sonde_report::Format;
use sonde_runner::config::{Config, LoadedConfig};
use sonde_runner::{Observer, Plan, PlannedDataset, Reuse, RunEnd};
use sonde_runtime::{Runtime, RuntimeOptions};
use tokio::sync::watch;

use super::show;
use crate::arguments::RunArguments;
use crate::progress::Progress;
use crate::{End, is_broken_pipe, words};

pub(crate) async fn run(arguments: RunArguments) -> anyhow::Result<End> {
    let loaded = load(&arguments)?;
    if loaded.config.treat.is_some() {
        let config = arguments.config.display();
        anyhow::bail!(
            "{config} derives a treatment and measures twice; carry it out with `sonde treat {config}`"
        );
    }
    planned(loaded, arguments).await
}

/// `sonde treat`: a run whose config says what to derive between two measurements.
pub(crate) async fn treat(arguments: RunArguments) -> anyhow::Result<End> {
    let loaded = load(&arguments)?;
    if loaded.config.treat.is_none() {
        anyhow::bail!(
            "{} has no `treat`, so there is nothing to treat the model with; add `treat: {{ derive: {{ plugin: … }} }}`, or \
             use `sonde run`",
            arguments.config.display()
        );
    }
    planned(loaded, arguments).await
}

fn load(arguments: &RunArguments) -> anyhow::Result<LoadedConfig> {
    let mut loaded = Config::load(&arguments.config)?;
    for assignment in &arguments.assignments {
        loaded.set(assignment)?;
    }
    Ok(loaded)
}

async fn planned(mut loaded: LoadedConfig, arguments: RunArguments) -> anyhow::Result<End> {
    if let Some(limit) = arguments.limit {
        for task in &mut loaded.config.tasks {
            task.limit = Some(task.limit.map_or(limit, |own| own.min(limit)));
        }
    }
    if let Some(output) = &arguments.output {
        // A path on the command line is seen from where the user stands, not from the config's folder.
        loaded.config.output = std::path::absolute(output)?;
    }
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let mut plan = sonde_runner::plan(&loaded, &runtime).await?;
    if !arguments.reuse.is_empty() {
        plan.reuse = Some(Reuse::open(&arguments.reuse)?);
    }
    carry_out(plan, arguments.json, arguments.dry_run).await
}

/// Shows a plan, carries it out unless this is a dry run, and reports.
pub(super) async fn carry_out(plan: Plan, json: bool, dry_run: bool) -> anyhow::Result<End> {
    if !json {
        remark!("{}", plan_table(&plan));
    }
    if dry_run {
        remark!("the plan holds; nothing was run");
        return Ok(End::Success);
    }
    let output = plan.output.clone();
    let progress = Arc::new(Progress::new(json));
    let end = sonde_runner::run(plan, Arc::clone(&progress) as Arc<dyn Observer>, interruption()).await;
    progress.finish();
    conclude(json, &output, &end?)
}

fn conclude(json: bool, output: &Path, end: &RunEnd) -> anyhow::Result<End> {
    let exit = match end {
        _ if end.interrupted => End::Interrupted,
        _ if end.any_failed() => End::Partial,
        _ => End::Success,
    };
    match report(json, output, end) {
        // Nobody reads on; the run ended as it did all the same.
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(exit),
    }
}

fn report(json: bool, output: &Path, end: &RunEnd) -> anyhow::Result<()> {
    if end.interrupted {
        let done: u64 = end.counts.iter().map(|(_, counts)| counts.ended()).sum();
        let total: u64 = end.counts.iter().map(|(_, counts)| counts.total).sum();
        let place = match total {
            0 => "before the first sample".to_owned(),
            _ => format!("after {done} of {}", words::count(total, "sample")),
        };
        remark!("stopped {place}; nothing recorded is lost. Go on with:\n  {}", again());
        if json {
            let event = json!({"event": "interrupted", "run": output, "ended": done, "total": total});
            out!("{}", words::json(&event))?;
        }
        return Ok(());
    }
    if end.already_done {
        remark!(
            "{} holds this run already, finished; another `--output FILE` runs it anew",
            output.display()
        );
    }
    if json {
        let results: serde_json::Value = serde_json::from_str(&show::render(output, Format::Json)?)?;
        let event = json!({"event": "finished", "run": output, "results": results});
        out!("{}", words::json(&event))?;
    } else {
        out!("{}", show::render(output, Format::Table)?)?;
        let run = quoted(&shown(output));
        out!("run file   {run}")?;
        if let Ok(page) = write_page(output) {
            out!("report     {}", shown(&page))?;
        }
        let (program, first) = (program(), end.counts.first().map_or("TASK", |(task, _)| task));
        let next = [
            (format!("{program} verify {run}"), "prove it: replay every sample, recompute every number"),
            (
                format!("{program} show {run} --sample {}", quoted(&format!("{first}/1"))),
                "read one transcript",
            ),
            (format!("{program} show {run} --format markdown"), "the tables, for an issue or a readme"),
        ];
        let width = next.iter().map(|(command, _)| console::measure_text_width(command)).max().unwrap_or(0);
        out!("\nnext:")?;
        for (command, what) in &next {
            out!("  {}   {what}", console::pad_str(command, width, console::Alignment::Left, None))?;
        }
    }
    Ok(())
}

/// The HTML report, beside the run file.
fn write_page(output: &Path) -> anyhow::Result<PathBuf> {
    let page = output.with_extension("html");
    std::fs::write(&page, show::render(output, Format::Html)?)?;
    Ok(page)
}

/// A path as short as it can be seen from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_ref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    short.display().to_string()
}

/// The program as it was called.
fn program() -> String {
    std::env::args_os().next().map_or("sonde".to_owned(), |name| quoted(&name.to_string_lossy()))
}

/// The command that was given.
fn again() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Becomes true when the user (Ctrl-C) or the system (SIGTERM) asks to stop; being asked again ends the program at
/// once, which loses nothing recorded either.
fn interruption() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        while asked_to_stop().await.is_ok() {
            if sender.send_replace(true) {
                crate::end_at_once(130);
            }
            remark!("stopping…");
        }
    });
    receiver
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn plan_table(plan: &Plan) -> String {
    let mut table = words::table(["task", "plugin", "data", "models", "judges", "may use"]);
    for task in &plan.tasks {
        let identity = &task.identity;
        let about = task.plugin().about();
        let pairs = |bound: &std::collections::BTreeMap<String, String>| {
            let pairs: Vec<_> = bound
                .iter()
                .map(|(slot, name)| if slot == name { name.clone() } else { format!("{slot}: {name}") })
                .collect();
            pairs.join("\n")
        };
        let data = |(name, source): &(Option<&str>, &PlannedDataset)| {
            name.map_or(String::new(), |name| format!("{name}: ")) + &shown(&source.path)
        };
        let data: Vec<_> = task.data.sources().iter().map(data).collect();
        let limit = identity.limit.map(|limit| format!("\nat most {limit} rows")).unwrap_or_default();
        table.add_row([
            identity.name.clone(),
            format!("{} {}", about.name, about.version),
            format!("{}{limit}", data.join("\n")),
            pairs(&identity.models),
            pairs(&identity.judges),
            task.plugin().imports().join("\n"),
        ]);
    }
    let models = plan.models.iter().map(|model| {
        format!(
            "\nmodel {}: {} ({}, SHA-256 {}…){}",
            model.name,
            shown(&model.path),
            words::size(model.bytes),
            model.digest.short(),
            if model.recorded.is_some() { ", not opened: its answers are recorded" } else { "" }
        )
    });
    let judges = plan.judges.iter().map(|judge| {
        let about = judge.plugin().about();
        let model = judge.identity.model.as_ref().map(|model| format!(" on {model}")).unwrap_or_default();
        format!("\njudge {}: {} {}{model}", judge.identity.name, about.name, about.version)
    });
    let treatment = plan.treatment_file.iter().map(|file| format!("\ntreatment: {}", shown(file)));
    let notices = plan.notices().into_iter().map(|notice| format!("\n{notice}"));
    let rest: String = models.chain(judges).chain(treatment).chain(notices).collect();
    format!("{}{rest}\noutput: {}", table.trim_fmt(), shown(&plan.output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        assert_eq!(quoted("configs/a.yaml"), "configs/a.yaml");
        assert_eq!(quoted("--set=a={b: 1}"), "'--set=a={b: 1}'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
