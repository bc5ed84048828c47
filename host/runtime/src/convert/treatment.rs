//! What a treatment asks of the host, and what it gives back.

use std::collections::BTreeSet;
use std::sync::Arc;

use sonde_contract::{
    Changes, Derived, Document, HostError, Intervention, Lesson, Lora, LowRank, Objective, Purpose, RowMean,
    Schedule, TrainRequest, Trained,
};

use super::answer::Budget;
use super::inside::placed_change;
use super::request::prompt;
use super::summary::summary;
use super::{Fault, check_count, check_text};
use crate::bindings::{training, treatment, types, weights};
use crate::limits::{LimitReached, Limits};

/// Longest file name of a document, and longest name of a tensor, in bytes.
const NAME: usize = 200;

fn wrong<T>(text: String) -> Result<T, Fault> {
    Err(Fault::Wrong(text))
}

/// Checks rank-one edits. Whether the matrices exist and fit is the engine's to say.
pub fn edits(limits: &Limits, from: Vec<weights::RankOne>) -> Result<Vec<LowRank>, Fault> {
    check_count("edits", "the edits", from.len(), limits.edits)?;
    from.into_iter().map(edit).collect()
}

fn edit(from: weights::RankOne) -> Result<LowRank, Fault> {
    if from.matrix.len() > NAME {
        return wrong(format!(
            "an edit names a matrix with {} bytes, which no tensor has",
            from.matrix.len()
        ));
    }
    if from.output.is_empty() || from.input.is_empty() {
        return wrong(format!("the edit of {:?} has an empty vector", from.matrix));
    }
    let numbers = from.output.iter().chain(&from.input).chain([&from.coefficient]);
    if let Some(number) = numbers.copied().find(|number| !number.is_finite()) {
        return wrong(format!("the edit of {:?} has the number {number}; all must be finite", from.matrix));
    }
    Ok(LowRank {
        matrix: from.matrix,
        expert: from.expert,
        rank: 1,
        a: from.input,
        b: from.output,
        scale: from.coefficient,
    })
}

/// Checks a prompt and the reply to it.
pub fn lesson(limits: &Limits, from: training::Lesson) -> Result<Lesson, LimitReached> {
    check_text(limits, "a reply to learn from", &from.reply)?;
    let objective = match from.objective {
        training::Objective::Say => Objective::Say,
        training::Objective::Keep => Objective::Keep,
    };
    Ok(Lesson { prompt: prompt(limits, from.prompt)?, reply: from.reply, objective })
}

/// Checks what to train. Whether the numbers make sense is the engine's to say; here they are finite.
pub fn train_request(
    limits: &Limits,
    lessons: Vec<Lesson>,
    lora: training::Lora,
    schedule: training::Schedule,
) -> Result<TrainRequest, Fault> {
    check_count("edits", "the modules to train", lora.modules.len(), limits.edits)?;
    for (name, number) in [
        ("alpha", f64::from(lora.alpha)),
        ("dropout", f64::from(lora.dropout)),
        ("learning-rate", schedule.learning_rate),
        ("warmup", schedule.warmup),
        ("weight-decay", schedule.weight_decay),
        ("clip", schedule.clip),
    ] {
        if !number.is_finite() {
            return wrong(format!("the training's {name} is {number}; it must be a finite number"));
        }
    }
    let training::Lora { rank, alpha, dropout, modules } = lora;
    let schedule = Schedule {
        learning_rate: schedule.learning_rate,
        warmup: schedule.warmup,
        weight_decay: schedule.weight_decay,
        epochs: schedule.epochs,
        most_steps: schedule.most_steps,
        batch: schedule.batch,
        clip: schedule.clip,
        seed: schedule.seed,
    };
    Ok(TrainRequest { lessons, lora: Lora { rank, alpha, dropout, modules }, schedule })
}

/// Checks a treatment. `trained` is the adapter that it is, if it is one.
pub fn derived(
    limits: &Limits,
    from: treatment::Derived,
    trained: Option<Arc<Trained>>,
) -> Result<Derived, Fault> {
    let changes = match (from.change, trained) {
        (treatment::Change::Edits(from), _) => Changes { edits: edits(limits, from)?, ..Changes::default() },
        (treatment::Change::Interventions(from), _) => {
            check_count("edits", "the interventions", from.len(), limits.edits)?;
            let interventions =
                from.into_iter().map(placed_change).collect::<Result<Vec<Intervention>, _>>()?;
            Changes { interventions, ..Changes::default() }
        }
        (treatment::Change::Trained(_), Some(trained)) => {
            Changes { edits: trained.adapter.clone(), ..Changes::default() }
        }
        (treatment::Change::Trained(_), None) => return wrong("its adapter is gone".to_owned()),
    };
    if changes.edits.is_empty() && changes.interventions.is_empty() {
        return wrong("its treatment changes nothing".to_owned());
    }
    let purpose = match from.purpose {
        treatment::Purpose::Safety => Purpose::Safety,
        treatment::Purpose::RobustnessAudit => Purpose::RobustnessAudit,
    };
    let documents = documents(limits, from.documents)?;
    Ok(Derived { changes, purpose, summary: summary(limits, from.summary)?, documents })
}

fn documents(limits: &Limits, from: Vec<treatment::Document>) -> Result<Vec<Document>, Fault> {
    check_count("documents", "the documents", from.len(), limits.documents)?;
    let mut names = BTreeSet::new();
    from.into_iter()
        .map(|treatment::Document { name, text }| {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
            if name.is_empty() || name.len() > NAME || name.starts_with('.') || !name.chars().all(plain) {
                let shown: String = name.chars().take(60).collect();
                return wrong(format!(
                    "a document is called {shown:?}; a name is made of letters, digits, dots, hyphens and underscores, and \
                     begins with no dot"
                ));
            }
            if !names.insert(name.to_lowercase()) {
                return wrong(format!("two documents are called {name:?}"));
            }
            Ok(Document { name, text })
        })
        .collect()
}

impl Budget<'_> {
    /// Means of rows.
    pub fn row_means(
        &mut self,
        answer: Result<Vec<RowMean>, HostError>,
    ) -> Result<Vec<weights::RowMean>, types::Error> {
        let fits = |budget: &mut Self, means: &Vec<RowMean>| {
            means.iter().try_for_each(|mean| {
                budget.take("the list of row means", &[], 16 + size_of_val(mean.mean.as_slice()))
            })
        };
        let mean = |from: RowMean| weights::RowMean { mean: from.mean, norm: from.norm };
        self.hand(answer, fits, |means| means.into_iter().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::results as guest;

    fn rank_one(output: &[f32], input: &[f32], coefficient: f32) -> weights::RankOne {
        weights::RankOne {
            matrix: "blk.0.ffn_down.weight".into(),
            expert: None,
            output: output.to_vec(),
            input: input.to_vec(),
            coefficient,
        }
    }

    fn treatment(change: treatment::Change, documents: &[&str]) -> Result<Derived, String> {
        let document = |name: &&str| treatment::Document { name: (*name).into(), text: "a".into() };
        let from = treatment::Derived {
            change,
            purpose: treatment::Purpose::Safety,
            summary: guest::Summary { metrics: vec![], figures: vec![], notes: vec![] },
            documents: documents.iter().map(document).collect(),
        };
        derived(&Limits::default(), from, None).map_err(|fault| match fault {
            Fault::Wrong(text) => text,
            Fault::Limit(limit) => limit.to_string(),
        })
    }

    fn of_edits(edits: Vec<weights::RankOne>) -> Result<Derived, String> {
        treatment(treatment::Change::Edits(edits), &[])
    }

    #[test]
    fn a_rank_one_edit_is_a_change_of_rank_one_with_its_vectors_in_their_places() {
        let derived = of_edits(vec![rank_one(&[1.0, 2.0], &[3.0], -0.5)]).unwrap();
        let [edit] = derived.changes.edits.as_slice() else { panic!("one edit") };
        assert_eq!((edit.b.as_slice(), edit.a.as_slice()), (&[1.0, 2.0][..], &[3.0][..]));
        assert_eq!((edit.rank, edit.scale, edit.rows(), edit.columns()), (1, -0.5, Some(2), Some(1)));
    }

    #[test]
    fn numbers_that_are_none_empty_vectors_and_changes_of_nothing_are_refused() {
        let nan = of_edits(vec![rank_one(&[1.0], &[f32::NAN], 1.0)]).unwrap_err();
        assert_eq!(nan, "the edit of \"blk.0.ffn_down.weight\" has the number NaN; all must be finite");
        let endless = of_edits(vec![rank_one(&[1.0], &[1.0], f32::INFINITY)]).unwrap_err();
        assert!(endless.contains("has the number inf"), "{endless}");
        let empty = of_edits(vec![rank_one(&[], &[1.0], 1.0)]).unwrap_err();
        assert_eq!(empty, "the edit of \"blk.0.ffn_down.weight\" has an empty vector");
        assert_eq!(of_edits(vec![]).unwrap_err(), "its treatment changes nothing");
        let many = vec![rank_one(&[1.0], &[1.0], 1.0); 100_001];
        assert!(of_edits(many).unwrap_err().contains("`limits.edits` raises this"));
    }

    #[test]
    fn a_document_s_name_leads_nowhere_and_stands_once() {
        let named =
            |names: &[&str]| treatment(treatment::Change::Edits(vec![rank_one(&[1.0], &[1.0], 1.0)]), names);
        assert_eq!(named(&["thinksafe.jsonl", "notes-2.txt"]).unwrap().documents.len(), 2);
        for name in ["../up", "/etc/passwd", "a b", "", ".hidden", "a\nb"] {
            assert!(named(&[name]).unwrap_err().contains("a document is called"), "{name:?}");
        }
        assert_eq!(named(&["a.txt", "A.txt"]).unwrap_err(), "two documents are called \"A.txt\"");
    }
}
