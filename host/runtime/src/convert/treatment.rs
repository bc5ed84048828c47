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
