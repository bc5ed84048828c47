//! Which sample of the one run is which of the other: the one with the same row.

use std::collections::{HashMap, VecDeque};

use sonde_contract::{Digest, Outcome, Status};
use sonde_journal::{Ending, RunFile, SampleKey};

use crate::RunError;

/// A sample with an outcome in both runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    /// Its ids.
    pub ids: [String; 2],
    /// Its outcomes.
    pub outcomes: [Outcome; 2],
}

impl Pair {
    /// Whether it was measured in both runs.
    pub(super) fn is_scored(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.status == Status::Scored)
    }
}

/// The pairs of a task, and what is not among them.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// In the baseline's order.
    pub pairs: Vec<Pair>,
    /// Samples of each run.
    samples: [u64; 2],
    /// Samples whose row is in both runs.
    same_row: u64,
    /// Of these, how many failed in each run.
    failed: [u64; 2],
    /// Of these, how many have not ended.
    pending: [u64; 2],
}

/// A sample of one run.
struct One {
    id: String,
    ending: Option<Ending>,
}

impl Pairing {
    /// Pairs the samples of a task by their rows: ids number the rows taken, which another limit or a shuffle changes. Of
    /// rows that are alike, the first of the one run goes with the first of the other.
    pub(super) fn of(
        [first, second]: [&RunFile; 2],
        [first_task, second_task]: [&str; 2],
    ) -> Result<Self, RunError> {
        let samples = [first.sample_count(first_task)?, second.sample_count(second_task)?];
        let mut found = Self { samples, ..Self::default() };
        let mut waiting: HashMap<Digest, VecDeque<One>> = HashMap::new();
        each(second, second_task, |row, one| waiting.entry(row).or_default().push_back(one))?;
        each(first, first_task, |row, one| {
            if let Some(other) = waiting.get_mut(&row).and_then(VecDeque::pop_front) {
                found.add(one, other);
            }
        })?;
        Ok(found)
    }

    fn add(&mut self, first: One, second: One) {
        self.same_row += 1;
        let both = [&first.ending, &second.ending];
        for ((ending, failed), pending) in both.into_iter().zip(&mut self.failed).zip(&mut self.pending) {
            match ending {
                Some(Ending::Outcome(_)) => {}
                Some(_) => *failed += 1,
                None => *pending += 1,
            }
        }
        if let (Some(Ending::Outcome(a)), Some(Ending::Outcome(b))) = (first.ending, second.ending) {
            self.pairs.push(Pair { ids: [first.id, second.id], outcomes: [a, b] });
        }
    }

    /// What a reader has to know of the pairs, a sentence each.
    pub(super) fn remarks(&self, other: &str) -> Vec<String> {
        let mut remarks = Vec::new();
        let [first, second] = self.samples;
        if self.same_row == 0 {
            remarks.push(format!(
                "not compared: A has {first} samples and {other} {second}, and no row is the same in both"
            ));
            return remarks;
        }
        if first != self.same_row || second != self.same_row {
            remarks.push(format!(
                "A has {first} samples and {other} {second}; {} rows are the same in both, and the others are left out",
                self.same_row
            ));
        }
        let mut say = |what: &str, counts: [u64; 2], then: &str| {
            if counts != [0, 0] {
                remarks.push(format!("{what}: {} in A, {} in {other}; {then}", counts[0], counts[1]));
            }
        };
        say("failed", self.failed, "left out");
        say("not ended yet", self.pending, "left out");
        let count = |is: fn(&Status) -> bool| {
            let of = |which: fn(&Pair) -> &Outcome| {
                self.pairs.iter().filter(|pair| is(&which(pair).status)).count() as u64
            };
            [of(|pair| &pair.outcomes[0]), of(|pair| &pair.outcomes[1])]
        };
        let not_read = count(|status| matches!(status, Status::Unparsable(_)));
        say("could not be read", not_read, "out of every metric that does not count them in both runs");
        let skipped = count(|status| matches!(status, Status::Skipped(_)));
        say("skipped by the protocol", skipped, "out of every metric that does not count them in both runs");
        remarks
    }
}

/// Goes through the samples of a task whose row could be read.
fn each(file: &RunFile, task: &str, mut take: impl FnMut(Digest, One)) -> Result<(), RunError> {
    let mut endings: HashMap<SampleKey, Ending> = HashMap::new();
    for ended in file.endings(task)? {
        let ended = ended?;
        endings.insert(ended.key, ended.ending);
    }
    for sample in file.samples(task)? {
        let sample = sample?;
        if let Ok(row) = &sample.row {
            take(Digest::of(row), One { ending: endings.remove(&sample.key), id: sample.id });
        }
    }
    Ok(())
}
