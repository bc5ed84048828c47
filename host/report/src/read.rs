//! Fills the view from a run file.

mod placements;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sonde_contract::Treatment;
use sonde_journal::{
    Agreement, DatasetIdentity, EndedSample, Entry, Header, JudgeQuality, RunFile, Sample, SampleKey, Share,
    TaskIdentity,
};

use crate::transcript::pretty;
use crate::treated::{AFTER, BEFORE};
use crate::view::{
    BillLine, CallView, Counts, Ending, JudgeView, LogLine, ModelView, PluginView, RunView, SampleView,
    SavingView, SourceView, Standing, TaskView,
};
use crate::{ReportError, risks, suites, treated};

/// How much of the samples to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None: counts and results only. Takes the same time whatever the number of samples, unless a diagnostic placed
    /// single requests: then all samples are looked through for those that asked the same.
    Summary,
    /// Every sample's ending, without its row and calls.
    Endings,
    /// At most this many samples per task with everything, the ones that went wrong first.
    Samples(usize),
}

/// Of the samples shown in full, failed and unparsable ones have at least this share each if there are so many, so that
/// a model that does badly does not hide them.
const SHARE_OF_TROUBLE: usize = 5;

impl RunView {
    /// Reads a run.
    ///
    /// # Errors
    /// When the file cannot be read, or a task's result in it has not the known form.
    pub fn read(file: &RunFile, depth: Depth) -> Result<Self, ReportError> {
        let header = file.header();
        let mut tasks = Vec::with_capacity(header.tasks.len());
        for task in &header.tasks {
            tasks.push(read_task(file, header, task, depth)?);
        }
        Ok(Self {
            path: as_named(file.path()),
            sonde: header.sonde.clone(),
            created: header.created.clone(),
            finished: file.finished()?,
            reproducible: header.reproducible,
            triple: header.host.triple.clone(),
            cpu: header.host.cpu.clone(),
            cores: u64::from(header.host.cores),
            config_path: header.config_path.clone(),
            config: pretty(&header.config),
            plan: header.plan.to_string(),
            models: header.models.iter().map(model).collect(),
            plugins: header.plugins.iter().map(plugin).collect(),
            judges: header.judges.iter().map(|judge| self::judge(header, judge)).collect(),
            treated: treated::read(file, header)?,
            suites: suites::read(&header.config, &tasks),
            risks: risks::read(&measured_last(&tasks)),
            tasks,
            placements: placements::read_placements(file, header)?,
            bill: file.bill()?.into_iter().map(bill_line).collect(),
            rejudged: header
                .rejudged
                .as_ref()
                .map(|origin| SourceView { path: origin.path.clone(), seal: origin.seal.to_string() }),
            savings: file.savings()?.into_iter().map(saving).collect(),
        })
    }
}

/// The tasks as they stand at the end: of those that are measured before and after a treatment the second measurement.
fn measured_last(tasks: &[TaskView]) -> Vec<TaskView> {
    let again = |task: &TaskView| {
        let name = task.name.strip_prefix(BEFORE);
        name.is_some_and(|name| tasks.iter().any(|other| other.name.strip_prefix(AFTER) == Some(name)))
    };
    tasks.iter().filter(|task| !again(task)).cloned().collect()
}

/// The path as a user in this folder would write it: reports are sent around, and the folder is nobody's business.
fn as_named(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let within = here.as_ref().and_then(|here| path.strip_prefix(here).ok());
    within.unwrap_or(path).display().to_string()
}

/// Reads one sample with its task; `None` if the run has no sample with this id.
///
/// # Errors
/// When the file cannot be read.
pub fn read_sample(file: &RunFile, id: &str) -> Result<Option<(TaskView, SampleView)>, ReportError> {
    let Some(sample) = file.sample(id)? else { return Ok(None) };
    let header = file.header();
    let Some(identity) = header.tasks.iter().find(|task| task.name == sample.task) else { return Ok(None) };
    let task = read_task(file, header, identity, Depth::Summary)?;
    Ok(Some((task, whole_sample(file, sample)?)))
}

fn read_task(
    file: &RunFile,
    header: &Header,
    task: &TaskIdentity,
    depth: Depth,
) -> Result<TaskView, ReportError> {
    let counts = file.counts(&task.name)?;
    let about =
        header.plugins.iter().find(|plugin| plugin.digest == task.plugin).map(|plugin| plugin.about.clone());
    let about =
        about.ok_or_else(|| ReportError::NoSuchPlugin { task: task.name.clone(), digest: task.plugin })?;
    let result = file.result(&task.name)?;
    let wrong = |source| ReportError::Result { task: task.name.clone(), source };
    Ok(TaskView {
        name: task.name.clone(),
        plugin: about.name,
        version: about.version,
        title: about.title,
        about: about.summary,
        citation: about.citation,
        dataset: datasets(task, |dataset| dataset.path.clone()),
        dataset_digest: datasets(task, |dataset| dataset.digest.to_string()),
        models: task.models.clone().into_iter().collect(),
        judges: task.judges.clone().into_iter().collect(),
        parameters: pretty(&task.parameters),
        sampling: pretty(&serde_json::to_value(&task.sampling).unwrap_or_default()),
        grants: task.grants.clone(),
        limits: pretty(&task.limits),
        limit: task.limit,
        shuffle: task.shuffle,
        seed: task.seed,
        counts: Counts {
            total: counts.total,
            scored: counts.scored,
            unparsable: counts.unparsable,
            skipped: counts.skipped,
            failed: counts.failed,
        },
        result: result.map(serde_json::from_value).transpose().map_err(wrong)?,
        samples: read_samples(file, &task.name, depth)?,
    })
}

/// Something of a task's dataset; of a diagnostic's datasets under their names.
fn datasets(task: &TaskIdentity, what: fn(&DatasetIdentity) -> String) -> String {
    let named = task.datasets.iter().map(|(name, dataset)| format!("{name}: {}", what(dataset)));
    task.dataset.as_ref().map(what).into_iter().chain(named).collect::<Vec<_>>().join(", ")
}

fn read_samples(file: &RunFile, task: &str, depth: Depth) -> Result<Vec<SampleView>, ReportError> {
    match depth {
        Depth::Summary => Ok(Vec::new()),
        Depth::Endings => file.endings(task)?.map(|ended| Ok(bare_sample(ended?))).collect(),
        Depth::Samples(most) => {
            let mut standings = Vec::new();
            for ended in file.endings(task)? {
                let EndedSample { id, ending, .. } = ended?;
                standings.push((self::ending(ending).standing(), id));
            }
            let mut samples = Vec::new();
            for id in choose(standings, most) {
                if let Some(sample) = file.sample(&id)? {
                    samples.push(whole_sample(file, sample)?);
                }
            }
            Ok(samples)
        }
    }
}

/// At most `most` ids, the ones that went wrong first, each kind in the dataset's order.
fn choose(ended: Vec<(Standing, String)>, most: usize) -> Vec<String> {
    let mut kinds: BTreeMap<Standing, Vec<String>> = BTreeMap::new();
    for (standing, id) in ended {
        kinds.entry(standing).or_default().push(id);
    }
    let share = most / SHARE_OF_TROUBLE;
    let numbers: BTreeMap<Standing, usize> =
        kinds.iter().map(|(standing, ids)| (*standing, ids.len())).collect();
    let kept_after = |standing: Standing| -> usize {
        let later = [Standing::Failed, Standing::Unparsable].into_iter().filter(|later| *later > standing);
        later.map(|later| numbers.get(&later).copied().unwrap_or_default().min(share)).sum()
    };
    let mut chosen = Vec::new();
    for (standing, ids) in kinds {
        let room = most.saturating_sub(chosen.len()).saturating_sub(kept_after(standing));
        chosen.extend(ids.into_iter().take(room));
    }
    chosen
}

fn bare_sample(ended: EndedSample) -> SampleView {
    SampleView {
        id: ended.id,
        ordinal: ended.ordinal,
        ending: Some(ending(ended.ending)),
        ..SampleView::default()
    }
}

fn whole_sample(file: &RunFile, sample: Sample) -> Result<SampleView, ReportError> {
    Ok(SampleView {
        ending: file.ending(sample.key)?.map(ending),
        calls: calls_of(file, sample.key)?,
        logs: file.logs(sample.key)?.into_iter().map(log_line).collect(),
        row: sample.row.unwrap_or_default(),
        id: sample.id,
        ordinal: sample.ordinal,
        origin: sample.origin,
    })
}

/// What a sample asked of the host, inner calls under those in whose course they were made.
fn calls_of(file: &RunFile, sample: SampleKey) -> Result<Vec<CallView>, ReportError> {
    let mut calls = Vec::new();
    for entry in file.recorded(sample)? {
        let reused = file.answered_from(sample, &entry.path)?;
        calls.push(CallView { reused, ..call(entry) });
    }
    Ok(nest(calls.into_iter()))
}

fn log_line(line: sonde_journal::LogLine) -> LogLine {
    LogLine { level: line.level.as_str().to_owned(), text: line.text, plugin: line.plugin }
}

fn ending(ending: sonde_journal::Ending) -> Ending {
    match ending {
        sonde_journal::Ending::Outcome(outcome) => Ending::Outcome(outcome),
        sonde_journal::Ending::Diagnosis(diagnosis) => {
            Ending::Diagnosed { findings: diagnosis.findings.len() as u64 }
        }
        sonde_journal::Ending::Treatment(treatment) => Ending::Treated {
            told: treatment_in_words(&treatment),
            documents: treatment.documents.into_iter().map(|document| document.name).collect(),
        },
        sonde_journal::Ending::Failed(reason) => Ending::Failed(reason),
    }
}

/// "12 matrices changed, for safety, 1f0c…"
pub(crate) fn treatment_in_words(treatment: &Treatment) -> String {
    let Treatment { purpose, digest, changes, .. } = treatment;
    let what = changes.as_ref().map_or_else(
        || "its numbers were not kept".to_owned(),
        |changes| match (changes.edits.len(), changes.interventions.len()) {
            (edits, 0) => format!("{edits} matrices changed"),
            (0, interventions) => format!("{interventions} changes of states"),
            (edits, interventions) => format!("{edits} matrices and {interventions} states changed"),
        },
    );
    format!("{what}; purpose {}, digest {}", purpose.as_str(), digest.short())
}

/// Puts each call under the one in whose course it was made. Calls come in the order of their paths.
fn nest(calls: impl Iterator<Item = CallView>) -> Vec<CallView> {
    let mut top = Vec::new();
    calls.for_each(|call| place(&mut top, call));
    top
}

fn place(level: &mut Vec<CallView>, call: CallView) {
    match level.last_mut() {
        Some(parent) if call.path.starts_with(&format!("{}.", parent.path)) => place(&mut parent.inner, call),
        _ => level.push(call),
    }
}

fn call(entry: Entry) -> CallView {
    let request = json_or_text(entry.request_json);
    let judge = request.get("judge").and_then(Value::as_str).map(str::to_owned);
    CallView {
        path: entry.path.to_string(),
        kind: entry.kind.as_str().to_owned(),
        plugin: entry.plugin,
        model: entry.model.or(judge).unwrap_or_default(),
        answer: json_or_text(entry.answer_json),
        request,
        prompt_tokens: u64::from(entry.prompt_tokens),
        completion_tokens: u64::from(entry.completion_tokens),
        micros: entry.micros,
        reused: None,
        inner: Vec::new(),
    }
}

fn json_or_text(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn model(model: &sonde_journal::ModelIdentity) -> ModelView {
    ModelView {
        role: model.role.clone(),
        path: model.path.clone(),
        digest: model.digest.to_string(),
        bytes: model.bytes,
        info: model.info.clone(),
        engine: match &model.gradients {
            Some(second) => format!("{} {}; gradients by {second}", model.engine, model.engine_version),
            None => format!("{} {}", model.engine, model.engine_version),
        },
        threads: u64::from(model.threads),
        slots: u64::from(model.slots),
        seed: model.seed,
    }
}

fn plugin(plugin: &sonde_journal::PluginIdentity) -> PluginView {
    let about = plugin.about.clone();
    PluginView {
        name: about.name,
        version: about.version,
        title: about.title,
        summary: about.summary,
        citation: about.citation,
        licence: about.licence,
        digest: plugin.digest.to_string(),
        path: plugin.path.clone(),
        world: plugin.world.clone(),
        imports: plugin.imports.clone(),
        bytes: plugin.bytes,
    }
}

fn judge(header: &Header, judge: &sonde_journal::JudgeIdentity) -> JudgeView {
    let plugin = header.plugins.iter().find(|plugin| plugin.digest == judge.plugin);
    JudgeView {
        name: judge.name.clone(),
        plugin: plugin.map_or_else(
            || judge.plugin.short(),
            |plugin| format!("{} {}", plugin.about.name, plugin.about.version),
        ),
        model: judge.model.clone(),
        parameters: pretty(&judge.parameters),
        quality: judge.quality.as_ref().map(quality),
    }
}

/// A judge's agreement with labels, in words.
fn quality(quality: &JudgeQuality) -> String {
    let share = |share: Share| format!("{} of {}", share.hits, share.n);
    let reading = |name: &str, agreement: &Agreement| {
        format!(
            "{name}: sensitivity {}, specificity {}",
            share(agreement.sensitivity),
            share(agreement.specificity)
        )
    };
    format!(
        "{} (seal {}…); {}; {}",
        quality.path,
        quality.seal.short(),
        reading("strict", &quality.strict),
        reading("loose", &quality.loose)
    )
}

fn saving(saving: sonde_journal::Saving) -> SavingView {
    SavingView {
        model: saving.model.unwrap_or_default(),
        source: SourceView { path: saving.source.path, seal: saving.source.seal.to_string() },
        calls: saving.calls,
        prompt_tokens: saving.prompt_tokens,
        completion_tokens: saving.completion_tokens,
        seconds: saving.seconds,
    }
}

fn bill_line(line: sonde_journal::BillLine) -> BillLine {
    BillLine {
        task: line.task,
        plugin: line.plugin,
        model: line.model.unwrap_or_default(),
        kind: line.kind.as_str().to_owned(),
        calls: line.calls,
        prompt_tokens: line.prompt_tokens,
        completion_tokens: line.completion_tokens,
        seconds: line.seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(counts: &[(Standing, usize)]) -> Vec<(Standing, String)> {
        counts
            .iter()
            .flat_map(|&(standing, count)| {
                (0..count).map(move |index| (standing, format!("{standing:?}-{index}")))
            })
            .collect()
    }

    fn kept(ids: &[String], standing: Standing) -> usize {
        ids.iter().filter(|id| id.starts_with(&format!("{standing:?}-"))).count()
    }

    #[test]
    fn samples_that_went_wrong_come_first() {
        let ids = choose(ended(&[(Standing::Good, 50), (Standing::NotGood, 3), (Standing::Failed, 2)]), 6);
        assert_eq!(ids, ["NotGood-0", "NotGood-1", "NotGood-2", "Failed-0", "Failed-1", "Good-0"]);
    }

    #[test]
    fn many_samples_that_are_not_good_leave_room_for_failures() {
        let ids = choose(
            ended(&[(Standing::NotGood, 900), (Standing::Failed, 300), (Standing::Unparsable, 7)]),
            200,
        );
        assert_eq!(ids.len(), 200);
        let numbers =
            [Standing::NotGood, Standing::Failed, Standing::Unparsable].map(|kind| kept(&ids, kind));
        assert_eq!(numbers, [153, 40, 7]);
    }

    #[test]
    fn calls_stand_under_the_call_in_whose_course_they_were_made() {
        let paths = ["0", "1", "1.0", "1.1", "10", "11.0"];
        let calls = paths.map(|path| CallView { path: path.into(), ..CallView::default() });
        let top = nest(calls.into_iter());
        let shape: Vec<(&str, usize)> =
            top.iter().map(|call| (call.path.as_str(), call.inner.len())).collect();
        // Call 11 was interrupted before its own answer was recorded; what its judge asked is shown all the same.
        assert_eq!(shape, [("0", 0), ("1", 2), ("10", 0), ("11.0", 0)]);
    }

    #[test]
    fn few_samples_are_all_kept() {
        assert_eq!(choose(ended(&[(Standing::Good, 2), (Standing::Skipped, 1)]), 200).len(), 3);
    }
}
