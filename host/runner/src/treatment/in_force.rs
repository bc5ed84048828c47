//! The treatments of a run, and the models that have them: what a task's model is when a treatment is in force.
//!
//! Numbers of a treatment come from a file or from a task of the run. The derived models are shared by all samples, since
//! each has workers and a KV cache of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sonde_contract::{Changes, Digest, HostError};
use sonde_engine::Model;
use sonde_journal::{TreatmentSource, TreatmentUse};

/// A treatment as requests under it are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct InForce {
    /// Of the JSON of what changes.
    pub digest: Digest,
    /// What it is multiplied by.
    pub strength: f32,
}

/// A model under a treatment: the model's name, the treatment with its strength, and whether the engine has gradients.
type Place = (String, Digest, u32, bool);

/// See the module's header.
#[derive(Default)]
pub(crate) struct Treatments {
    numbers: Mutex<HashMap<Digest, Arc<Changes>>>,
    /// What became of tasks that derive one: its digest, or why there is none.
    derived: Mutex<BTreeMap<String, Result<Digest, String>>>,
    models: Mutex<HashMap<Place, Arc<dyn Model>>>,
}

impl Treatments {
    /// Keeps a treatment's numbers.
    pub(crate) fn keep(&self, digest: Digest, changes: Changes) {
        lock(&self.numbers).insert(digest, Arc::new(changes));
    }

    /// Whether its numbers are here.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        lock(&self.numbers).contains_key(&digest)
    }

    /// Notes what became of a task that derives a treatment.
    pub(crate) fn note(&self, task: &str, derived: Result<Digest, String>) {
        lock(&self.derived).insert(task.to_owned(), derived);
    }

    /// What is in force where a task says so; `None` at strength 0, where everything is as without.
    ///
    /// # Errors
    /// When the run's own treatment did not come about.
    pub(crate) fn in_force(&self, used: &TreatmentUse) -> Result<Option<InForce>, HostError> {
        #[expect(clippy::cast_possible_truncation, reason = "engines compute in f32")]
        let strength = used.strength as f32;
        if strength == 0.0 {
            return Ok(None);
        }
        let digest = match &used.source {
            TreatmentSource::File { digest, .. } => *digest,
            TreatmentSource::Task { task } => match lock(&self.derived).get(task) {
                Some(Ok(digest)) => *digest,
                Some(Err(reason)) => {
                    return Err(HostError::Unsupported(format!(
                        "there is no treatment: {task} failed: {reason}"
                    )));
                }
                None => {
                    let text = format!("there is no treatment yet: {task} has not ended");
                    return Err(HostError::Unsupported(text));
                }
            },
        };
        Ok(Some(InForce { digest, strength }))
    }

    /// A model with a treatment in force, made once.
    ///
    /// # Errors
    /// What the engine says of changes that do not fit.
    pub(crate) fn model(
        &self,
        name: &str,
        base: &Arc<dyn Model>,
        treatment: InForce,
        gradients: bool,
    ) -> Result<Arc<dyn Model>, HostError> {
        let InForce { digest, strength } = treatment;
        let place = (name.to_owned(), digest, strength.to_bits(), gradients);
        let mut models = lock(&self.models);
        if let Some(ready) = models.get(&place) {
            return Ok(Arc::clone(ready));
        }
        let changes = lock(&self.numbers).get(&digest).cloned();
        let changes = changes.ok_or_else(|| {
            HostError::Engine(format!("the numbers of the treatment {} are not at hand", digest.short()))
        })?;
        let ready = sonde_engine::treated(base, &changes, strength)?;
        models.insert(place, Arc::clone(&ready));
        Ok(ready)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
