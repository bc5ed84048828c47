//! What a diagnostic is handed, and what it says.

use sonde_contract::{Diagnosis, Finding};

use super::answer::Budget;
use super::outcome::field;
use super::summary::summary;
use super::{Fault, check_count};
use crate::bindings::results as guest;
use crate::limits::{LimitReached, Limits};
use crate::printable::printable;

/// Longest part of an unknown dataset's name that is shown, in characters.
const SHOWN: usize = 60;

/// Datasets for `run`.
pub fn datasets_for_guest(
    budget: &mut Budget<'_>,
    from: &[(String, Vec<String>)],
) -> Result<Vec<guest::Dataset>, LimitReached> {
    let hand = |(name, rows): &(String, Vec<String>)| {
        budget.take("the list of datasets", &[name], 16)?;
        for row in rows {
            budget.take("the list of datasets", &[row], 8)?;
        }
        Ok(guest::Dataset { name: name.clone(), rows: rows.clone() })
    };
    from.iter().map(hand).collect()
}

/// Checks a diagnosis of these datasets.
pub fn diagnosis(
    limits: &Limits,
    from: guest::Diagnosis,
    datasets: &[(String, Vec<String>)],
) -> Result<Diagnosis, Fault> {
    check_count("findings", "the findings", from.findings.len(), limits.findings)?;
    let findings = from.findings.into_iter().map(|from| finding(limits, from, datasets));
    Ok(Diagnosis { findings: findings.collect::<Result<_, _>>()?, summary: summary(limits, from.summary)? })
}

fn finding(
    limits: &Limits,
    from: guest::Finding,
    datasets: &[(String, Vec<String>)],
) -> Result<Finding, Fault> {
    let Some((dataset, rows)) = datasets.iter().find(|(name, _)| *name == from.dataset) else {
        let shown: String = printable(&from.dataset).chars().take(SHOWN).collect();
        return Err(Fault::Wrong(format!(
            "a finding speaks of the dataset \"{shown}\", which it was not given"
        )));
    };
    if from.row as usize >= rows.len() {
        let text = format!(
            "a finding speaks of row {} of the dataset \"{dataset}\", which has {} rows",
            from.row,
            rows.len()
        );
        return Err(Fault::Wrong(text));
    }
    check_count("fields", "a finding's fields", from.fields.len(), limits.fields)?;
    let fields = from.fields.into_iter().map(|from| field(limits, from));
    Ok(Finding { dataset: dataset.clone(), row: from.row, fields: fields.collect::<Result<_, _>>()? })
}
