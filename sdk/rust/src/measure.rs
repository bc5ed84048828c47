//! Metrics over outcomes: a share, a mean, a number, for all samples and for each group.

use std::collections::BTreeMap;

use crate::{Estimate, Given, Group, Interval, Metric, Outcome, Share};

/// A metric to be: its name, its meaning with the denominator in words, and which way is better.
///
/// Only measured samples are looked at, and of those the ones for which the given function has a value.
#[derive(Clone, Debug)]
pub struct Measure {
    name: String,
    about: String,
    higher_is_better: Option<bool>,
    headline: bool,
}

impl Measure {
    /// A metric of which neither direction is better.
    pub fn new(name: &str, about: &str) -> Self {
        Self { name: name.to_owned(), about: about.to_owned(), higher_is_better: None, headline: false }
    }

    /// More is better.
    #[must_use]
    pub fn higher_is_better(self) -> Self {
        Self { higher_is_better: Some(true), ..self }
    }

    /// Less is better.
    #[must_use]
    pub fn lower_is_better(self) -> Self {
        Self { higher_is_better: Some(false), ..self }
    }

    /// One of the one or two numbers by which the benchmark is known. Says nothing of its groups.
    #[must_use]
    pub fn headline(self) -> Self {
        Self { headline: true, ..self }
    }

    /// The share of samples for which `hit` is true among those for which it has a value.
    pub fn proportion(&self, outcomes: &[Outcome], hit: impl Fn(&Outcome) -> Option<bool>) -> Metric {
        self.metric(share(scored(outcomes).filter_map(hit)), None)
    }

    /// [`Measure::proportion`] for each group of a kind, sorted by name.
    pub fn proportion_by(
        &self,
        kind: &str,
        outcomes: &[Outcome],
        hit: impl Fn(&Outcome) -> Option<bool>,
    ) -> Vec<Metric> {
        let groups = by_group(kind, outcomes, hit).into_iter();
        groups.map(|(name, hits)| self.metric(share(hits.into_iter()), Some(group(kind, name)))).collect()
    }

    /// The mean of the samples' values.
    pub fn mean(&self, outcomes: &[Outcome], value: impl Fn(&Outcome) -> Option<f64>) -> Metric {
        self.metric(Estimate::Mean(scored(outcomes).filter_map(value).collect()), None)
    }

    /// [`Measure::mean`] for each group of a kind, sorted by name.
    pub fn mean_by(
        &self,
        kind: &str,
        outcomes: &[Outcome],
        value: impl Fn(&Outcome) -> Option<f64>,
    ) -> Vec<Metric> {
        let groups = by_group(kind, outcomes, value).into_iter();
        groups.map(|(name, values)| self.metric(Estimate::Mean(values), Some(group(kind, name)))).collect()
    }

    /// A share that was counted elsewhere.
    pub fn counted(&self, hits: u64, n: u64) -> Metric {
        self.metric(Estimate::Proportion(Share { hits, n }), None)
    }

    /// A number computed in another way from `n` samples. A benchmark's interval the host bootstraps by summing up
    /// again; a diagnostic gives its own with [`Metric::with_interval`], or has none.
    pub fn given(&self, value: f64, n: u64) -> Metric {
        self.metric(Estimate::Given(Given { value, n, interval: None }), None)
    }

    fn metric(&self, estimate: Estimate, group: Option<Group>) -> Metric {
        Metric {
            name: self.name.clone(),
            about: self.about.clone(),
            estimate,
            higher_is_better: self.higher_is_better,
            headline: self.headline && group.is_none(),
            group,
        }
    }
}

impl Measure {
    /// How this metric stands to its null, as up to three metrics beside it: `…_null_mean`, the mean under shuffled
    /// labels; `…_z`, the distance from it in the null's standard deviations (none where these are zero); `…_p`, the
    /// share of shuffled labellings at least as extreme.
    pub fn against_null(&self, mean: f64, z: Option<f64>, p: f64, n: u64) -> Vec<Metric> {
        let beside = |ending: &str, about: &str| Self::new(&format!("{}_{ending}", self.name), about);
        let name = &self.name;
        let mean = beside("null_mean", &format!("Mean of {name} under shuffled labels.")).given(mean, n);
        let z = z.map(|z| {
            let about = format!("{name} less its mean under shuffled labels, in their standard deviations.");
            beside("z", &about).given(z, n)
        });
        let about = format!(
            "Share of shuffled labellings whose {name} is at least as extreme, the true one counted among them."
        );
        [Some(mean), z, Some(beside("p", &about).given(p, n))].into_iter().flatten().collect()
    }
}

impl Metric {
    /// Gives a number's own 95 % interval. Shares and means have the host's, and stay as they are.
    #[must_use]
    pub fn with_interval(mut self, low: f64, high: f64) -> Self {
        if let Estimate::Given(given) = &mut self.estimate {
            given.interval = Some(Interval { low, high });
        }
        self
    }

    /// Says that it speaks of a group only; then it is no headline.
    #[must_use]
    pub fn of_group(self, kind: &str, name: &str) -> Self {
        Self { group: Some(group(kind, name)), headline: false, ..self }
    }

    /// Says that it speaks of one layer: the group `layer=N`.
    #[must_use]
    pub fn at_layer(self, layer: u32) -> Self {
        self.of_group("layer", &format!("layer={layer}"))
    }
}

fn scored(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|outcome| outcome.is_scored())
}

fn share(values: impl Iterator<Item = bool>) -> Estimate {
    let (hits, n) = values.fold((0, 0), |(hits, n), hit| (hits + u64::from(hit), n + 1));
    Estimate::Proportion(Share { hits, n })
}

fn group(kind: &str, name: &str) -> Group {
    Group { kind: kind.to_owned(), name: name.to_owned() }
}

fn by_group<'a, T>(
    kind: &str,
    outcomes: &'a [Outcome],
    value: impl Fn(&Outcome) -> Option<T>,
) -> BTreeMap<&'a str, Vec<T>> {
    let mut groups = BTreeMap::<&str, Vec<T>>::new();
    for outcome in scored(outcomes) {
        if let (Some(name), Some(value)) = (outcome.group_of(kind), value(outcome)) {
            groups.entry(name).or_default().push(value);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_one_layer_has_its_own_interval_and_is_no_headline() {
        let metric =
            Measure::new("auroc", "").headline().given(0.9, 40).with_interval(0.8, 0.95).at_layer(12);
        let interval = Some(Interval { low: 0.8, high: 0.95 });
        assert_eq!(metric.estimate, Estimate::Given(Given { value: 0.9, n: 40, interval }));
        assert_eq!(metric.group, Some(Group { kind: "layer".into(), name: "layer=12".into() }));
        assert!(!metric.headline);
        let share = Measure::new("share", "").counted(1, 2).with_interval(0.0, 1.0);
        assert_eq!(share.estimate, Estimate::Proportion(Share { hits: 1, n: 2 }));
    }

    #[test]
    fn only_samples_with_a_value_are_in_the_denominator() {
        let outcomes = [
            Outcome::scored().field("hit", true).group("colour", "red"),
            Outcome::scored().field("hit", false).group("colour", "red"),
            Outcome::scored().field("hit", true).group("colour", "blue"),
            Outcome::scored(),
            Outcome::unparsable("mumbled").field("hit", true).group("colour", "red"),
            Outcome::skipped("no prompt"),
        ];
        let measure = Measure::new("hits", "").headline();
        let metric = measure.proportion(&outcomes, |outcome| outcome.flag("hit"));
        assert_eq!(metric.estimate, Estimate::Proportion(Share { hits: 2, n: 3 }));
        assert!(metric.headline);
        let by_colour = measure.proportion_by("colour", &outcomes, |outcome| outcome.flag("hit"));
        let read: Vec<_> = by_colour
            .iter()
            .map(|metric| (metric.group.as_ref().unwrap().name.as_str(), &metric.estimate))
            .collect();
        let expected = [("blue", Share { hits: 1, n: 1 }), ("red", Share { hits: 1, n: 2 })]
            .map(|(name, share)| (name, Estimate::Proportion(share)));
        assert_eq!(read, expected.iter().map(|(name, share)| (*name, share)).collect::<Vec<_>>());
        assert!(by_colour.iter().all(|metric| !metric.headline));
    }
}
