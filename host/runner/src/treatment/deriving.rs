//! A treatment's task: the plugin derives, the host makes sure that what came out fits the model, and hands it on to the
//! tasks that are measured with it.

use std::path::Path;
use std::sync::Arc;

use sonde_contract::{Purpose, Treatment};
use sonde_journal::{Ending, RunFile, TaskIdentity};

use super::{Maker, TreatedModel, TreatmentFile, Treatments, treated_role};
use crate::RunError;
use crate::caller::{Bound, Caller, SampleState, Shared};

/// Derives a treatment and keeps its numbers for the run.
pub(crate) async fn derive(
    shared: &Arc<Shared>,
    state: &Arc<SampleState>,
    bound: &Arc<Bound>,
    datasets: &[(String, Vec<String>)],
) -> Ending {
    let caller = Caller::of(shared, state, bound);
    let invocation = caller.invoked_by(bound);
    let derived = bound.plugin.derive(invocation, datasets, &bound.parameters, state.seed).await;
    let derived = match derived {
        Ok(derived) => derived,
        Err(error) => return Ending::Failed(error.to_string()),
    };
    let Some(role) = treated_role(&bound.bindings.models) else {
        return Ending::Failed(format!(
            "{} opens no model that its treatment could be for",
            bound.bindings.title
        ));
    };
    if let Err(error) = caller.check_fit(role, &derived.changes).await {
        return Ending::Failed(format!(
            "the treatment of {} does not fit its model: {error}",
            bound.bindings.title
        ));
    }
    let changes = derived.changes.clone();
    match Treatment::of(derived) {
        Ok(treatment) => {
            shared.treatments.keep(treatment.digest, changes);
            Ending::Treatment(treatment)
        }
        Err(error) => Ending::Failed(format!("the treatment has no JSON form: {error}")),
    }
}

/// Tells the tasks that come after what became of a task that derives a treatment. Returns the treatment, if there is one.
pub(crate) fn publish(
    treatments: &Treatments,
    journal: &RunFile,
    task: &str,
) -> Result<Option<Treatment>, RunError> {
    let treatment = journal.treatment(task)?;
    match &treatment {
        Some(treatment) => {
            if let Some(changes) = &treatment.changes {
                treatments.keep(treatment.digest, changes.clone());
            }
            treatments.note(task, Ok(treatment.digest));
        }
        None => {
            let reason = match journal.endings(task)?.next().transpose()?.map(|ended| ended.ending) {
                Some(Ending::Failed(reason)) => reason,
                _ => "it did not end".to_owned(),
            };
            treatments.note(task, Err(reason));
        }
    }
    Ok(treatment)
}

/// Writes a treatment that the run has derived to a file of its own. One that audits robustness is not written.
///
/// # Errors
/// When the file cannot be written; what was there before stays.
pub(crate) fn write(
    journal: &RunFile,
    task: &TaskIdentity,
    treatment: &Treatment,
    path: &Path,
) -> Result<(), RunError> {
    let header = journal.header();
    let role = treated_role(&task.models).and_then(|role| task.models.get(role));
    let model = header.models.iter().find(|model| Some(&model.role) == role);
    let plugin = header.plugins.iter().find(|plugin| plugin.digest == task.plugin);
    let (Some(model), Some(plugin), Purpose::Safety) = (model, plugin, treatment.purpose) else {
        return Ok(());
    };
    let maker = Maker {
        name: plugin.about.name.clone(),
        version: plugin.about.version.clone(),
        digest: plugin.digest,
    };
    let made_for = TreatedModel::of(&model.info, model.digest);
    let file = TreatmentFile::new(made_for, maker, task.parameters.clone(), task.seed, treatment)?;
    Ok(file.write(path)?)
}
