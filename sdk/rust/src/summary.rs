//! Building a summary.

use std::collections::BTreeMap;

use crate::{Figure, Metric, Outcome, Status, Summary};

/// Most reasons that a note about unread samples lists.
const REASONS: usize = 5;

impl Summary {
    /// A summary that says nothing yet; benchmarks begin with [`Summary::of`].
    pub fn empty() -> Self {
        Self { metrics: Vec::new(), figures: Vec::new(), notes: Vec::new() }
    }

    /// A summary that says how many samples could not be read and how many were left out, with the reasons: no metric
    /// is over the read ones only without saying so.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut notes = Vec::new();
        let unread = outcomes.iter().filter_map(|outcome| match &outcome.status {
            Status::Unparsable(why) => Some(why.as_str()),
            Status::Scored | Status::Skipped(_) => None,
        });
        notes.extend(counted(
            unread,
            outcomes.len(),
            "could not be read and are in no denominator unless a metric says so",
        ));
        let left_out = outcomes.iter().filter_map(|outcome| match &outcome.status {
            Status::Skipped(why) => Some(why.as_str()),
            Status::Scored | Status::Unparsable(_) => None,
        });
        notes.extend(counted(left_out, outcomes.len(), "were left out"));
        Self { metrics: Vec::new(), figures: Vec::new(), notes }
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Adds metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.metrics.extend(metrics);
        self
    }

    /// Adds a picture.
    #[must_use]
    pub fn figure(mut self, figure: impl Into<Figure>) -> Self {
        self.figures.push(figure.into());
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// "3 of 80 samples were left out: 2 because …; 1 because …", or nothing if there are none.
fn counted<'a>(reasons: impl Iterator<Item = &'a str>, all: usize, what: &str) -> Option<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    if total == 0 {
        return None;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let mut listed: Vec<_> =
        counts.iter().take(REASONS).map(|(reason, count)| format!("{count} × {reason}")).collect();
    if counts.len() > REASONS {
        listed.push(format!("{} other reasons", counts.len() - REASONS));
    }
    Some(format!("{total} of {all} samples {what}: {}.", listed.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_were_not_read_are_counted_out_loud_commonest_reason_first() {
        let outcomes = [
            Outcome::unparsable("the reply is empty"),
            Outcome::scored(),
            Outcome::unparsable("two letters"),
            Outcome::unparsable("two letters"),
            Outcome::skipped("no prompt"),
        ];
        let notes = Summary::of(&outcomes).notes;
        assert!(notes[0].starts_with("3 of 5 samples could not be read"), "{notes:?}");
        assert!(notes[0].ends_with(": 2 × two letters; 1 × the reply is empty."), "{notes:?}");
        assert_eq!(notes[1], "1 of 5 samples were left out: 1 × no prompt.");
        assert!(Summary::of(&[Outcome::scored()]).notes.is_empty());
    }
}
