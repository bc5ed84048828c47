//! Proves a run file: its integrity, then every sample again on its recorded answers, then every metric.
//!
//! No model is needed. The plugins' exact bytes come from the run file; they cannot tell that they are replayed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sonde_contract::{Diagnosis, Finding};
use sonde_journal::{Damage, Ending, Integrity, RunFile, Sample};
use sonde_runtime::{Plugin, Runtime, World};
use tokio::task::JoinSet;

use crate::RunError;
use crate::caller::{Bound, Models, SampleState, Shared};
use crate::execute::outcome_of;
use crate::progress::{Event, Observer};
use crate::recorded;
use crate::summary::summarise;
use crate::{compare, treatment};

/// Samples replayed at once.
const IN_FLIGHT: usize = 16;
/// Differences kept; a file that differs everywhere is told from one that differs once.
const MOST_DIFFERENCES: usize = 100;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Damage of the file itself; nothing else was looked at then.
    pub damage: Option<Damage>,
    /// What the integrity check counted.
    pub integrity: Option<Integrity>,
    /// Samples replayed.
    pub samples: u64,
    /// Samples that have not ended: the run is unfinished.
    pub pending: u64,
    /// Metrics recomputed.
    pub metrics: u64,
    /// What differs, the first hundred.
    pub differences: Vec<String>,
}

impl Verification {
    /// Whether the run is proved: undamaged, finished, and every sample and metric the same again.
    pub fn passed(&self) -> bool {
        self.damage.is_none()
            && self.pending == 0
            && self.differences.is_empty()
            && self.integrity.as_ref().is_some_and(Integrity::is_sealed)
    }
}

/// Verifies a run file.
///
/// # Errors
/// When the file cannot be read, or one of its plugins cannot be loaded. Damage and differences are no errors:
/// they are in the result.
pub async fn verify(
    path: &Path,
    runtime: &Runtime,
    observer: Arc<dyn Observer>,
) -> Result<Verification, RunError> {
    let mut found = Verification::default();
    match sonde_journal::check(path) {
        Ok(integrity) => found.integrity = Some(integrity),
        Err(Damage::Unreadable(error)) => return Err(error.into()),
        Err(damage) => {
            found.damage = Some(damage);
            return Ok(found);
        }
    }
    let journal = RunFile::open_read(path)?;
    let mut plugins = BTreeMap::new();
    for identity in &journal.header().plugins {
        plugins.insert(identity.digest, recorded::plugin(&journal, identity, runtime).await?);
    }
    let plugin = |digest| -> Result<Plugin, RunError> {
        plugins
            .get(&digest)
            .cloned()
            .ok_or_else(|| RunError::Plan(format!("the run file names no plugin {digest}")))
    };
    let mut judges = BTreeMap::new();
    for judge in &journal.header().judges {
        judges.insert(judge.name.clone(), Arc::new(recorded::judge(plugin(judge.plugin)?, judge)?));
    }
    let shared = Arc::new(Shared::new(
        journal.clone(),
        Models::new(),
        Models::new(),
        judges,
        true,
        Arc::clone(&observer),
    ));
    for task in &journal.header().tasks {
        let bound = Arc::new(recorded::task(plugin(task.plugin)?, task)?);
        let before = found.pending;
        found.pending += journal.counts(&task.name)?.pending();
        replay(&shared, &bound, &task.name, observer.as_ref(), &mut found).await?;
        if bound.plugin.world() == World::Treatment {
            treatment::publish(&shared.treatments, &journal, &task.name)?;
        }
        if found.pending == before {
            let stored = journal.result(&task.name)?.unwrap_or_default();
            let again = summarise(&journal, &task.name, &bound, task.seed).await?;
            found.compare_metrics(&task.name, &stored, &again);
        }
    }
    if found.pending == 0 {
        found.differences.extend(compare::differs_from_kept(&journal, plugins.clone()).await?);
    }
    Ok(found)
}

async fn replay(
    shared: &Arc<Shared>,
    bound: &Arc<Bound>,
    task: &str,
    observer: &dyn Observer,
    found: &mut Verification,
) -> Result<(), RunError> {
    let mut samples = shared.journal.samples(task)?;
    let mut running: JoinSet<Result<(String, Vec<String>), RunError>> = JoinSet::new();
    loop {
        while running.len() < IN_FLIGHT
            && let Some(sample) = samples.next().transpose()?
        {
            if let Some(ending) = shared.journal.ending(sample.key)? {
                running.spawn(replay_sample(Arc::clone(shared), Arc::clone(bound), sample, ending));
            }
        }
        let Some(replayed) = running.join_next().await else { return Ok(()) };
        let (id, differences) =
            replayed.map_err(|error| RunError::Plan(format!("a replay ended unexpectedly: {error}")))??;
        found.samples += 1;
        let room = MOST_DIFFERENCES.saturating_sub(found.differences.len());
        found
            .differences
            .extend(differences.iter().take(room).map(|difference| format!("sample {id}: {difference}")));
        observer.notice(Event::Verified { id, differences });
    }
}

async fn replay_sample(
    shared: Arc<Shared>,
    bound: Arc<Bound>,
    sample: Sample,
    recorded: Ending,
) -> Result<(String, Vec<String>), RunError> {
    let Ok(row) = &sample.row else {
        // The row was unreadable: nothing ran, so there is nothing to replay.
        return Ok((sample.id, Vec::new()));
    };
    let state = Arc::new(SampleState::of(&sample, &shared.journal)?);
    let again = outcome_of(&shared, &state, &bound, row).await;
    let mut differences = state.differences();
    if again != recorded {
        differences.push(match (&recorded, &again) {
            (Ending::Failed(then), Ending::Failed(now)) => {
                format!("it failed with \"{then}\" and now fails with \"{now}\"")
            }
            (Ending::Failed(then), _) => format!("it failed with \"{then}\" and now has an outcome"),
            (_, Ending::Failed(now)) => format!("it had an outcome and now fails with \"{now}\""),
            (Ending::Outcome(then), Ending::Outcome(now)) => {
                let json = |outcome| serde_json::to_string(outcome).unwrap_or_default();
                format!("its outcome was {} and is now {}", json(then), json(now))
            }
            (Ending::Diagnosis(then), Ending::Diagnosis(now)) => diagnosis_difference(then, now),
            (Ending::Treatment(then), Ending::Treatment(now)) if then.digest != now.digest => {
                format!("its treatment was {} and is now {}", then.digest.short(), now.digest.short())
            }
            (Ending::Treatment(_), Ending::Treatment(_)) => {
                "what is said of its treatment differs, or its documents do".to_owned()
            }
            _ => "it ended with something else than its plugin gives".to_owned(),
        });
    }
    Ok((sample.id, differences))
}

/// Where two diagnoses part; in full they can be megabytes.
fn diagnosis_difference(then: &Diagnosis, now: &Diagnosis) -> String {
    let json = |finding: Option<&Finding>| serde_json::to_string(&finding).unwrap_or_default();
    let places = 0..then.findings.len().max(now.findings.len());
    let mut findings = places.map(|place| (then.findings.get(place), now.findings.get(place)));
    match findings.find(|(then, now)| then != now) {
        Some((then, now)) => format!("a finding was {} and is now {}", json(then), json(now)),
        None => "its metrics, figures or notes differ".to_owned(),
    }
}

impl Verification {
    fn compare_metrics(&mut self, task: &str, stored: &serde_json::Value, again: &serde_json::Value) {
        let metrics = |result: &serde_json::Value| {
            result.get("metrics").and_then(serde_json::Value::as_array).cloned().unwrap_or_default()
        };
        let (then, now) = (metrics(stored), metrics(again));
        self.metrics += now.len() as u64;
        let name = |metric: &serde_json::Value| {
            metric.get("name").and_then(serde_json::Value::as_str).unwrap_or("a metric").to_owned()
        };
        for (then, now) in then.iter().zip(&now).filter(|(then, now)| then != now) {
            self.differences.push(format!("task {task}: {} was {then} and is now {now}", name(now)));
        }
        if then.len() != now.len() {
            self.differences.push(format!(
                "task {task}: it had {} metrics and now has {}",
                then.len(),
                now.len()
            ));
        } else if stored.get("figures") != again.get("figures") || stored.get("notes") != again.get("notes") {
            self.differences.push(format!("task {task}: its figures or notes differ"));
        }
    }
}
