//! Plugins, tasks and judges as a run file has them: bound without a config, to be replayed or judged again.

use std::sync::Arc;

use sonde_journal::{JudgeIdentity, PluginIdentity, RunFile, TaskIdentity};
use sonde_runtime::{Grants, Limits, Plugin, Runtime};

use crate::RunError;
use crate::caller::{Bindings, Bound};
use crate::plan::bindings;

/// A plugin from its bytes in the run file.
pub(crate) async fn plugin(
    journal: &RunFile,
    identity: &PluginIdentity,
    runtime: &Runtime,
) -> Result<Plugin, RunError> {
    let bytes = journal.plugin(identity.digest)?;
    Ok(runtime.load(&bytes, &identity.path).await?)
}

/// A judge; its plugin is the one that its identity names.
pub(crate) fn judge(plugin: Plugin, judge: &JudgeIdentity) -> Result<Bound, RunError> {
    bindings::judge(plugin, judge, judge.grants.iter().collect(), limits(&judge.limits)?)
}

/// A task; its plugin is the one that its identity names.
pub(crate) fn task(plugin: Plugin, task: &TaskIdentity) -> Result<Bound, RunError> {
    Ok(Bound {
        bindings: Arc::new(Bindings {
            title: plugin.name().to_string(),
            models: task.models.clone(),
            sampling: task.sampling.clone(),
            judges: task.judges.clone(),
            guard: task.guard.clone(),
            treatment: task.treatment.clone(),
            asks: true,
        }),
        plugin,
        parameters: serde_json::to_string(&task.parameters)?,
        grants: task.grants.iter().collect::<Grants>(),
        limits: limits(&task.limits)?,
    })
}

/// Limits as a run file states them, which anybody may have written.
fn limits(limits: &serde_json::Value) -> Result<Limits, RunError> {
    let limits: Limits = serde_json::from_value(limits.clone())?;
    limits.check().map_err(|what| RunError::Plan(format!("the run file's {what}")))?;
    Ok(limits)
}
