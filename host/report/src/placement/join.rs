//! Findings and samples, joined by the request.

use std::collections::HashMap;

use sonde_contract::{Field, Value as FieldValue};

use super::request::of_row;
use super::{Answered, Findings, PLACE, Placement};
use crate::sample::field_text;
use crate::treated::{AFTER, BEFORE};

/// A placement for every sample whose request is, after trimming, that of a row with places; in the diagnostic's order of
/// rows. Where rows share a request, the first one stands for it.
///
/// `answered` is asked once for the samples that a set of requests has, so that it need not hold all samples in memory.
///
/// # Errors
/// That of `answered`.
pub fn join<E>(
    findings: &[Findings],
    answered: impl FnOnce(&dyn Fn(&str) -> bool) -> Result<Vec<Answered>, E>,
) -> Result<Vec<Placement>, E> {
    let mut placed: Vec<Placement> = Vec::new();
    let mut by_request: HashMap<String, Vec<usize>> = HashMap::new();
    for found in findings {
        for placement in place(found) {
            let same = by_request.entry(placement.request.clone()).or_default();
            let known = |index: &usize| placed.get(*index).is_some_and(|one| one.diagnostic == found.task);
            if !same.iter().any(known) {
                same.push(placed.len());
                placed.push(placement);
            }
        }
    }
    if placed.is_empty() {
        return Ok(Vec::new());
    }
    let answered = answered(&|request| by_request.contains_key(request))?;
    let mut asked: HashMap<&str, Vec<&Answered>> = HashMap::new();
    for sample in &answered {
        asked.entry(&sample.request).or_default().push(sample);
    }
    let joined = placed.iter().flat_map(|placement| {
        let samples = asked.get(placement.request.as_str()).into_iter().flatten();
        let samples = samples.filter(|sample| phase(&sample.task) == phase(&placement.diagnostic));
        samples.map(|sample| Placement {
            task: sample.task.clone(),
            sample: sample.sample.clone(),
            behaviour: sample.behaviour,
            good: sample.good,
            ..placement.clone()
        })
    });
    Ok(joined.collect())
}

/// Whether a task is measured before a treatment of the run, with it, or in a run without one.
fn phase(task: &str) -> Option<&str> {
    [BEFORE, AFTER].into_iter().find(|phase| task.starts_with(phase))
}

/// The findings that have places and whose row has a request, as placements without a sample.
fn place(found: &Findings) -> Vec<Placement> {
    let placed = found.findings.iter().filter_map(|finding| {
        let places: Vec<(String, f64)> = finding.fields.iter().filter_map(place_of).collect();
        let rows = found.datasets.iter().find(|(name, _)| *name == finding.dataset).map(|(_, rows)| rows)?;
        let request = of_row(rows.get(finding.row as usize)?)?;
        let label = finding.fields.iter().find(|field| field.name == "label");
        (!places.is_empty()).then(|| Placement {
            diagnostic: found.task.clone(),
            dataset: finding.dataset.clone(),
            row: finding.row,
            label: label.map(|field| match field.value {
                FieldValue::Number(number) => number.to_string(),
                ref other => field_text(other),
            }),
            places,
            request,
            task: String::new(),
            sample: String::new(),
            behaviour: None,
            good: None,
        })
    });
    placed.collect()
}

fn place_of(field: &Field) -> Option<(String, f64)> {
    match (field.name.strip_prefix(PLACE), &field.value) {
        (Some(layer), FieldValue::Number(number)) if number.is_finite() => Some((layer.to_owned(), *number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sonde_contract::Finding;

    use super::*;
    use crate::placement::Behaviour;

    fn finding(row: u32, place: f64) -> Finding {
        let field = |name: &str, value| Field { name: name.into(), value };
        let fields = vec![
            field("label", FieldValue::Number(1.0)),
            field("place layer=2", FieldValue::Number(place)),
            field("place layer=4", FieldValue::Number(place / 2.0)),
        ];
        Finding { dataset: "items".into(), row, fields }
    }

    fn findings(rows: Vec<Value>) -> Vec<Findings> {
        let found = (0..rows.len() as u32).map(|row| finding(row, 0.5 + f64::from(row))).collect();
        vec![Findings { task: "x-boundary".into(), datasets: vec![("items".into(), rows)], findings: found }]
    }

    fn answered(request: &str, sample: &str) -> Answered {
        Answered {
            request: request.into(),
            task: "harmbench".into(),
            sample: sample.into(),
            behaviour: Some(Behaviour::Complied),
            good: Some(false),
        }
    }

    fn joined(findings: &[Findings], samples: Vec<Answered>) -> Vec<Placement> {
        let of = |wanted: &dyn Fn(&str) -> bool| {
            Ok::<_, ()>(samples.into_iter().filter(|sample| wanted(&sample.request)).collect())
        };
        join(findings, of).unwrap()
    }

    #[test]
    fn a_row_meets_every_sample_that_asked_the_same() {
        let turns = |text: &str| json!({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "No."}]});
        let rows = vec![turns("pick a lock\n"), json!({"prompt": " bake bread"}), turns("unasked")];
        let samples = vec![
            answered("bake bread", "h/1"),
            answered("pick a lock", "h/2"),
            answered("pick a lock", "h/3"),
        ];
        let placements = joined(&findings(rows), samples);
        let pairs: Vec<(u32, &str)> =
            placements.iter().map(|placement| (placement.row, placement.sample.as_str())).collect();
        assert_eq!(pairs, [(0, "h/2"), (0, "h/3"), (1, "h/1")]);
        assert_eq!(placements[0].places, [("layer=2".to_owned(), 0.5), ("layer=4".to_owned(), 0.25)]);
        assert_eq!(placements[0].label.as_deref(), Some("1"));
    }

    #[test]
    fn rows_with_one_request_count_once() {
        let rows = vec![json!({"prompt": "a"}), json!({"prompt": "a "})];
        let placements = joined(&findings(rows), vec![answered("a", "h/1")]);
        assert_eq!(placements.iter().map(|placement| placement.row).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn samples_are_not_looked_at_when_no_row_has_a_place() {
        let mut found = findings(vec![json!({"prompt": "a"})]);
        found[0].findings[0].fields.retain(|field| field.name == "label");
        let never = |_: &dyn Fn(&str) -> bool| Err("looked");
        assert_eq!(join(&found, never), Ok(vec![]));
        assert_eq!(join(&[], never), Ok(vec![]));
        let outside = vec![Findings { findings: vec![finding(7, 0.1)], ..findings(vec![])[0].clone() }];
        assert_eq!(join(&outside, never), Ok(vec![]), "a row that is not there");
    }
}
