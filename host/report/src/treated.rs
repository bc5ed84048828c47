//! A run that measures its tasks before and after a treatment: the verdict, and what it rests on.
//!
//! The runner has made the comparison and kept it in the run file; here it becomes sentences: what fell, what rose, what
//! shows no difference, and what the treatment cost. Tables, pages and JSON put them first.

use serde::Serialize;
use sonde_journal::{BillLine, Header, RunFile, TaskIdentity, TreatmentSource};

use crate::ReportError;
use crate::compare::{Comparison, KEPT, Row, Told, words};
use crate::numbers::thousands;
use crate::statistics::TaskResult;

/// What stands before the names of tasks that are measured without the run's own treatment.
pub const BEFORE: &str = "before/";
/// What stands before the names of tasks that are measured with it.
pub const AFTER: &str = "after/";

/// A treatment that a run derived, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct TreatedView {
    /// The task that derived it.
    pub task: String,
    /// Name and version of the plugin.
    pub plugin: String,
    /// The model that has it, with its quantisation.
    pub model: String,
    /// What it was multiplied by.
    pub strength: f64,
    /// What was derived, in words; why nothing was, if it failed.
    pub told: String,
    /// What it cost: calls and tokens of the derivation, in words.
    pub cost: String,
    /// Before and after; `None` while the run goes on.
    pub comparison: Option<Comparison>,
}

/// Reads what a run did with a treatment of its own, if it derived one.
///
/// # Errors
/// When the file cannot be read, or the comparison in it has not the known form.
pub(crate) fn read(file: &RunFile, header: &Header) -> Result<Option<TreatedView>, ReportError> {
    let used = header.tasks.iter().find_map(|task| {
        let used = task.treatment.as_ref()?;
        let TreatmentSource::Task { task: derivation } = &used.source else { return None };
        Some((header.tasks.iter().find(|task| task.name == *derivation)?, task, used))
    });
    let Some((derivation, after, used)) = used else { return Ok(None) };
    let name = &derivation.name;
    let plugin = header.plugins.iter().find(|plugin| plugin.digest == derivation.plugin);
    let plugin = plugin.map(|plugin| format!("{} {}", plugin.about.name, plugin.about.version));
    let role = after.models.get(&used.role).cloned().unwrap_or_default();
    let model = header.models.iter().find(|model| model.role == role);
    let model = model.map(|model| format!("{} {}", model.info.name, model.info.quantisation)).unwrap_or(role);
    let told = match file.treatment(name)? {
        Some(treatment) => crate::read::treatment_in_words(&treatment),
        None => failure(file, derivation)?,
    };
    let wrong = |source| ReportError::Result { task: name.clone(), source };
    let kept = file.result(name)?.and_then(|mut result| result.get_mut(KEPT).map(serde_json::Value::take));
    Ok(Some(TreatedView {
        plugin: plugin.unwrap_or_default(),
        model,
        strength: used.strength,
        told,
        cost: cost(&file.bill()?, name),
        comparison: kept.map(serde_json::from_value).transpose().map_err(wrong)?,
        task: name.clone(),
    }))
}

/// Why there is no treatment.
fn failure(file: &RunFile, derivation: &TaskIdentity) -> Result<String, ReportError> {
    let result: Option<TaskResult> =
        file.result(&derivation.name)?.and_then(|result| serde_json::from_value(result).ok());
    let notes = result.map(|result| result.notes.join("; ")).filter(|notes| !notes.is_empty());
    Ok(notes.unwrap_or_else(|| "it has not been derived yet".to_owned()))
}

fn cost(bill: &[BillLine], task: &str) -> String {
    let mine = || bill.iter().filter(|line| line.task == task);
    format!(
        "{} calls, {} tokens read and {} written",
        thousands(mine().map(|line| line.calls).sum()),
        thousands(mine().map(|line| line.prompt_tokens).sum()),
        thousands(mine().map(|line| line.completion_tokens).sum())
    )
}

/// Which way a number went, for the order and the tone of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Beyond chance, the way one would wish.
    Better,
    /// Beyond chance, the other way.
    Worse,
    /// Beyond chance, and neither way is better.
    Otherwise,
    /// Chance alone could do that, or nothing was tested.
    NotShown,
}

impl Way {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Otherwise => "differs",
            Self::NotShown => "no difference shown",
        }
    }
}

/// A sentence of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// Which way.
    pub way: Way,
    /// For example "harmbench: attack_success_rate fell from 52.0 % to 8.0 % (−44.0 pp, −55.1 to −30.2 pp)".
    pub text: String,
}

impl TreatedView {
    /// What the run is about, on a line.
    pub fn heading(&self) -> String {
        format!("{} at strength {}, on {}", self.plugin, self.strength, self.model)
    }

    /// What every benchmark's own numbers did, the better ones first.
    pub fn sentences(&self) -> Vec<Sentence> {
        let tasks = self.comparison.iter().flat_map(|comparison| &comparison.tasks);
        let paired = tasks.filter(|task| task.paired);
        let rows = paired.flat_map(|task| task.rows.iter().map(move |row| (task, row)));
        let known = rows.filter(|(_, row)| row.headline && row.group.is_none());
        let mut sentences: Vec<Sentence> = known.map(|(task, row)| sentence(&task.name, row)).collect();
        sentences.sort_by_key(|sentence| sentence.way);
        sentences
    }
}

fn sentence(task: &str, row: &Row) -> Sentence {
    let [before, after, difference, interval, ..] = words::cells(row);
    let way = match row.told {
        Told::Better => Way::Better,
        Told::Worse => Way::Worse,
        Told::Differs => Way::Otherwise,
        Told::NotShown | Told::NotTested => Way::NotShown,
    };
    let moved = match row.difference {
        Some(difference) if difference < 0.0 => "fell",
        Some(difference) if difference > 0.0 => "rose",
        _ => "stayed",
    };
    let text = match (row.difference, moved) {
        (None, _) => format!("{task}: {} has no value before or after", row.metric),
        (_, "stayed") => {
            format!("{task}: {} stayed at {before} (95 % interval of the change {interval})", row.metric)
        }
        _ => {
            format!("{task}: {} {moved} from {before} to {after} ({difference}; 95 % {interval})", row.metric)
        }
    };
    Sentence { way, text }
}
