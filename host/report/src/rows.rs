//! The order in which metrics are shown: those first by which a task is known, each under its name, all samples first,
//! then its groups by kind. Metrics per layer have tables of their own; see [`crate::layered`].

use crate::layered::step;
use crate::statistics::Measured;

/// A metric in its place.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The metric.
    pub measured: &'a Measured,
    /// 1 for a group folded under the row of all samples, else 0.
    pub depth: u8,
    /// What to call it there: the metric's name, the group, or both where there is no row to fold it under.
    pub label: String,
}

/// Metrics in their order, each followed by its groups.
pub fn rows(metrics: &[Measured]) -> Vec<Row<'_>> {
    names(metrics).into_iter().flat_map(|name| rows_of(name, metrics)).collect()
}

/// Names of metrics in the order of their first appearance, headlines first.
pub fn names(metrics: &[Measured]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let headlines = metrics.iter().filter(|metric| metric.headline);
    for metric in headlines.chain(metrics).filter(|metric| step(metric).is_none()) {
        if !names.contains(&metric.name.as_str()) {
            names.push(&metric.name);
        }
    }
    names
}

/// What is odd about metrics, said once for all groups of which it is so.
pub fn remarks(metrics: &[Measured]) -> Vec<(&str, &str)> {
    let mut remarks: Vec<(&str, &str)> = Vec::new();
    for metric in metrics {
        let Some(remark) = &metric.remark else { continue };
        let one = (metric.name.as_str(), remark.as_str());
        if !remarks.contains(&one) {
            remarks.push(one);
        }
    }
    remarks
}

fn rows_of<'a>(name: &str, metrics: &'a [Measured]) -> Vec<Row<'a>> {
    let named = || metrics.iter().filter(|metric| metric.name == name && step(metric).is_none());
    let mut rows: Vec<Row<'a>> = named()
        .filter(|metric| metric.group.is_none())
        .map(|measured| Row { measured, depth: 0, label: name.to_owned() })
        .collect();
    let whole = !rows.is_empty();
    let mut kinds: Vec<&str> = Vec::new();
    for group in named().filter_map(|metric| metric.group.as_ref()) {
        if !kinds.contains(&group.kind.as_str()) {
            kinds.push(&group.kind);
        }
    }
    for kind in kinds {
        for measured in named() {
            let Some(group) = measured.group.as_ref().filter(|group| group.kind == kind) else { continue };
            let own = format!("{}: {}", group.kind, group.name);
            let label = if whole { own } else { format!("{name}, {own}") };
            rows.push(Row { measured, depth: u8::from(whole), label });
        }
    }
    rows
}
