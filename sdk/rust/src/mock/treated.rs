//! What a scripted model answers when it is edited and trained.

use super::{MockHost, MockModel};
use crate::{Adapter, HostError, Lesson, Lora, RankOne, RowMean, Schedule, TensorInfo, Trainable};

pub(super) type Train = Box<dyn FnMut(&[Lesson], &Lora, &Schedule) -> Result<Adapter, HostError>>;

impl MockHost {
    /// Offers a model whose training a function gives; see [`Adapter::given`].
    #[must_use]
    pub fn trains(
        self,
        role: &str,
        train: impl FnMut(&[Lesson], &Lora, &Schedule) -> Result<Adapter, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().inside.train = Some(Box::new(train));
        self
    }
}

impl Trainable for MockModel {
    fn train(&self, lessons: &[Lesson], lora: &Lora, schedule: &Schedule) -> Result<Adapter, HostError> {
        let unscripted = || HostError::Unsupported("no training is scripted".to_owned());
        let mut script = self.script.borrow_mut();
        script.inside.train.as_mut().ok_or_else(unscripted)?(lessons, lora, schedule)
    }

    fn attach(&self, _: &Adapter, strength: f32) -> Result<Self, HostError> {
        Ok(self.with(|in_force| in_force.attached.push(strength)))
    }
}

impl MockModel {
    /// See `WhiteBox::row_means`.
    pub(super) fn scripted_row_means(&self, name: &str) -> Result<Vec<RowMean>, HostError> {
        let script = self.script.borrow();
        let found = script.inside.tensors.iter().find(|(tensor, _)| tensor.name == name);
        let (tensor, numbers) = found.ok_or_else(|| wrong(format!("there is no tensor `{name}`")))?;
        let (matrices, rows, columns) = sides(tensor)?;
        if numbers.len() != matrices * rows * columns || numbers.is_empty() {
            return Err(wrong(format!("`{name}` has {} numbers", numbers.len())));
        }
        let row_mean = |matrix: &[f32]| {
            let mean = |column: usize| {
                let down = matrix.iter().skip(column).step_by(columns).map(|number| f64::from(*number));
                (down.sum::<f64>() / rows as f64) as f32
            };
            let norm = matrix.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
            RowMean { mean: (0..columns).map(mean).collect(), norm }
        };
        Ok(numbers.chunks(rows * columns).map(row_mean).collect())
    }

    /// See `WhiteBox::edit`.
    pub(super) fn check_edits(&self, edits: &[RankOne]) -> Result<(), HostError> {
        let script = self.script.borrow();
        for edit in edits {
            let name = &edit.matrix;
            let found = script.inside.tensors.iter().find(|(tensor, _)| tensor.name == *name);
            let (tensor, _) = found.ok_or_else(|| wrong(format!("there is no tensor `{name}`")))?;
            let (matrices, rows, columns) = sides(tensor)?;
            let expert = edit.expert.map_or(0, |expert| expert as usize);
            if (edit.output.len(), edit.input.len()) != (rows, columns) {
                return Err(wrong(format!("`{name}` has {rows} rows and {columns} columns")));
            }
            if expert >= matrices || edit.expert.is_none() != (tensor.shape.len() == 2) {
                return Err(wrong(format!("`{name}` has {matrices} matrices, and not {:?}", edit.expert)));
            }
            let mut numbers = edit.output.iter().chain(&edit.input).chain([&edit.coefficient]);
            if !numbers.all(|number| number.is_finite()) {
                return Err(wrong(format!("a change of `{name}` has numbers that are not finite")));
            }
        }
        Ok(())
    }
}

/// Matrices of a tensor, and the rows and columns of each.
fn sides(tensor: &TensorInfo) -> Result<(usize, usize, usize), HostError> {
    let side = |length: u64| usize::try_from(length).map_err(|_| wrong("a tensor is too large".to_owned()));
    match *tensor.shape.as_slice() {
        [rows, columns] => Ok((1, side(rows)?, side(columns)?)),
        [matrices, rows, columns] => Ok((side(matrices)?, side(rows)?, side(columns)?)),
        _ => Err(wrong(format!("`{}` is no matrix", tensor.name))),
    }
}

fn wrong(how: String) -> HostError {
    HostError::InvalidArgument(how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{InForce, completion, sampling};
    use crate::{Host, Model, Prompt, WhiteBox};

    fn tensor(name: &str, shape: &[u64]) -> TensorInfo {
        TensorInfo { name: name.into(), shape: shape.to_vec(), quantisation: "F32".into() }
    }

    fn host() -> MockHost {
        let matrix = (tensor("o", &[3, 2]), vec![1.0, 2.0, 3.0, 4.0, 5.0, -6.0]);
        let experts = (tensor("e", &[2, 1, 2]), vec![3.0, 4.0, 0.0, 2.0]);
        MockHost::new().tensors("target", [matrix, experts, (tensor("norm", &[2]), vec![1.0, 1.0])])
    }

    #[test]
    fn row_means_are_over_rows_for_each_matrix_of_a_tensor() {
        // By hand: (1 + 3 + 5) / 3 and (2 + 4 − 6) / 3; √91.
        let model = host().model("target").unwrap();
        let means = model.row_means("o").unwrap();
        assert_eq!(means, [RowMean { mean: vec![3.0, 0.0], norm: 91_f64.sqrt() }]);
        let means = model.row_means("e").unwrap();
        let expected = [(vec![3.0, 4.0], 5.0), (vec![0.0, 2.0], 2.0)];
        assert_eq!(means, expected.map(|(mean, norm)| RowMean { mean, norm }));
        assert!(model.row_means("norm").is_err() && model.row_means("q").is_err());
    }

    #[test]
    fn a_reply_can_depend_on_the_edits_in_force_and_the_first_handle_stays_as_it_was() {
        let host = host().completions_under("target", |_, _, InForce { edits, .. }| {
            Ok(completion(if edits.iter().any(|edit| edit.coefficient < 0.0) { "No." } else { "Yes." }))
        });
        let model = host.model("target").unwrap();
        let edited = model.edit(&[RankOne::new("o", [1.0, 0.0, 0.0], [1.0, 1.0], -2.0)]).unwrap();
        let said = |model: &MockModel| model.complete(Prompt::plain("?"), &sampling()).unwrap().text;
        assert_eq!((said(&edited), said(&model)), ("No.".to_owned(), "Yes.".to_owned()));
    }

    #[test]
    fn an_edit_that_does_not_fit_is_refused() {
        let model = host().model("target").unwrap();
        let fits = |edit: RankOne| model.edit(&[edit]).is_ok();
        assert!(fits(RankOne::new("o", [1.0, 0.0, 0.0], [1.0, 1.0], 1.0)));
        assert!(fits(RankOne::new("e", [1.0], [1.0, 1.0], 1.0).expert(1)));
        for wrong in [
            RankOne::new("q", [1.0, 0.0, 0.0], [1.0, 1.0], 1.0),
            RankOne::new("o", [1.0, 1.0], [1.0, 0.0, 0.0], 1.0),
            RankOne::new("o", [1.0, 0.0, 0.0], [1.0, 1.0], 1.0).expert(0),
            RankOne::new("o", [1.0, 0.0, 0.0], [1.0, f32::NAN], 1.0),
            RankOne::new("e", [1.0], [1.0, 1.0], 1.0).expert(2),
            RankOne::new("e", [1.0], [1.0, 1.0], 1.0),
        ] {
            assert!(!fits(wrong.clone()), "{wrong:?}");
        }
    }

    #[test]
    fn training_is_what_a_function_gives_and_an_attached_adapter_is_seen() {
        let host = host()
            .trains("target", |lessons, lora, schedule| {
                assert_eq!((lora.rank, schedule.epochs), (32, 3));
                Ok(Adapter::given(vec![0.5; lessons.len()], 7))
            })
            .completions_under("target", |_, _, in_force| {
                Ok(completion(&format!("{:?}", in_force.attached)))
            });
        let model = host.model("target").unwrap();
        let lessons = [Lesson::say(Prompt::user("Hi"), "Hello"), Lesson::keep(Prompt::user("2?"), "4")];
        let lora = Lora { rank: 32, ..Lora::default() };
        let adapter = model.train(&lessons, &lora, &Schedule::default()).unwrap();
        assert_eq!((adapter.losses(), adapter.tokens()), (vec![0.5, 0.5], 7));
        let attached = model.attach(&adapter, 0.5).unwrap();
        let said = |model: &MockModel| model.complete(Prompt::plain("?"), &sampling()).unwrap().text;
        assert_eq!((said(&attached), said(&model)), ("[0.5]".to_owned(), "[]".to_owned()));
        let untrained = MockHost::new().tensors("target", []).model("target").unwrap();
        assert!(matches!(untrained.train(&[], &lora, &Schedule::default()), Err(HostError::Unsupported(_))));
    }
}
