//! What a run tells while it goes on.

use sonde_engine::Usage;
use sonde_journal::Counts;

/// A step of a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A model is being loaded.
    Loading {
        /// Its name in the config.
        model: String,
    },
    /// Something about the plan that a reader will want to know.
    Notice {
        /// A sentence.
        text: String,
    },
    /// A task begins, or goes on.
    Task {
        /// Its name.
        name: String,
        /// How it stands.
        counts: Counts,
    },
    /// A sample ended.
    Sample {
        /// Its task.
        task: String,
        /// Its id.
        id: String,
        /// Why it failed, if it did.
        failure: Option<String>,
        /// Tokens computed by all models so far.
        usage: Usage,
    },
    /// A plugin says how far it has come with a sample.
    Progress {
        /// The sample's id.
        id: String,
        /// The plugin, with its version.
        plugin: String,
        /// Steps done.
        done: u64,
        /// Of how many; 0 when it cannot tell.
        total: u64,
        /// What it is doing, free of terminal escapes.
        what: String,
    },
    /// A task's samples are all there; its metrics are being computed.
    Summarising {
        /// Its name.
        task: String,
    },
    /// A task's plugin could not sum up; the task has no metrics.
    NotSummarised {
        /// Its name.
        task: String,
        /// Why not.
        reason: String,
    },
    /// A replayed sample was compared with its record.
    Verified {
        /// Its id.
        id: String,
        /// What differs, if anything does.
        differences: Vec<String>,
    },
}

/// Watches a run.
pub trait Observer: Send + Sync {
    /// Called at each step, from the run's own task: it must not block.
    fn notice(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Observer for F {
    fn notice(&self, event: Event) {
        self(event);
    }
}
