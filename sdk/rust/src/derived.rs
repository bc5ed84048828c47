//! Building treatments: what changes in the model, what for, and what is said of it.

use crate::bindings::treatment::exports::sonde::plugin::treatment;
use crate::{Adapter, Document, Error, Intervention, Purpose, RankOne, Summary};

/// A treatment and what is said of it.
#[derive(Debug)]
pub struct Derived {
    /// What changes.
    pub change: ModelChange,
    /// What for.
    pub purpose: Purpose,
    /// Metrics, figures and remarks.
    pub summary: Summary,
    /// Texts to keep.
    pub documents: Vec<Document>,
}

/// What a treatment changes in a model.
#[derive(Debug)]
pub enum ModelChange {
    /// Matrices.
    Edits(Vec<RankOne>),
    /// States: vectors to add, directions to take out.
    Interventions(Vec<Intervention>),
    /// Matrices, by what was trained.
    Trained(Adapter),
}

impl Derived {
    /// Changes matrices.
    pub fn edits(edits: impl Into<Vec<RankOne>>) -> Self {
        Self::new(ModelChange::Edits(edits.into()))
    }

    /// Changes states.
    pub fn interventions(interventions: impl Into<Vec<Intervention>>) -> Self {
        Self::new(ModelChange::Interventions(interventions.into()))
    }

    /// Puts a trained adapter in force.
    pub fn trained(adapter: Adapter) -> Self {
        Self::new(ModelChange::Trained(adapter))
    }

    fn new(change: ModelChange) -> Self {
        Self { change, purpose: Purpose::Safety, summary: Summary::empty(), documents: Vec::new() }
    }

    /// Says that it takes safety away to find out how easily that goes: the host then neither keeps nor exports it.
    #[must_use]
    pub fn for_robustness_audit(self) -> Self {
        Self { purpose: Purpose::RobustnessAudit, ..self }
    }

    /// What is said of it.
    #[must_use]
    pub fn summary(self, summary: Summary) -> Self {
        Self { summary, ..self }
    }

    /// Keeps a text that came about on the way. The name is a file's: letters, digits, dots, hyphens and underscores.
    #[must_use]
    pub fn document(mut self, name: &str, text: impl Into<String>) -> Self {
        self.documents.push(Document { name: name.to_owned(), text: text.into() });
        self
    }
}

impl TryFrom<Derived> for treatment::Derived {
    type Error = Error;

    /// As the host takes it; an adapter of given numbers is none of its own.
    fn try_from(derived: Derived) -> Result<Self, Error> {
        let Derived { change, purpose, summary, documents } = derived;
        let change = match change {
            ModelChange::Edits(edits) => treatment::Change::Edits(edits),
            ModelChange::Interventions(changes) => treatment::Change::Interventions(changes),
            ModelChange::Trained(adapter) => treatment::Change::Trained(adapter.into_held()?),
        };
        Ok(Self { change, purpose, summary, documents })
    }
}

impl RankOne {
    /// W + `coefficient` · `output` · `input`ᵀ: for a matrix of d rows and n columns `output` has d numbers and `input` n.
    pub fn new(
        matrix: &str,
        output: impl Into<Vec<f32>>,
        input: impl Into<Vec<f32>>,
        coefficient: f32,
    ) -> Self {
        let (output, input) = (output.into(), input.into());
        Self { matrix: matrix.to_owned(), expert: None, output, input, coefficient }
    }

    /// Names one of the matrices of a tensor that holds one for each expert.
    #[must_use]
    pub fn expert(self, expert: u32) -> Self {
        Self { expert: Some(expert), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_treatment_is_handed_over_as_it_was_built() {
        let edit = RankOne::new("blk.0.ffn_down_exps.weight", [1.0, 2.0], [3.0], 0.5).expert(1);
        let derived = Derived::edits([edit.clone()])
            .for_robustness_audit()
            .summary(Summary::empty().note("done"))
            .document("set.jsonl", "{}");
        let treatment::Derived { change, purpose, summary, documents } = derived.try_into().unwrap();
        assert!(matches!(change, treatment::Change::Edits(edits) if edits == [edit]));
        assert_eq!((purpose, summary.notes.as_slice()), (Purpose::RobustnessAudit, &["done".to_owned()][..]));
        assert_eq!(documents, [Document { name: "set.jsonl".into(), text: "{}".into() }]);
    }

    #[test]
    fn a_treatment_is_for_safety_unless_it_says_otherwise() {
        assert_eq!(Derived::interventions([]).purpose, Purpose::Safety);
    }

    #[test]
    fn an_adapter_that_no_host_trained_is_not_handed_over() {
        let refused = treatment::Derived::try_from(Derived::trained(Adapter::given([1.0], 5))).map(|_| ());
        assert!(refused.unwrap_err().to_string().contains("for tests"));
    }
}
