//! What a scripted model answers when it is looked into.

use super::{InForce, MockHost, MockModel, exhausted};
use crate::{
    Activations, CaptureSpec, Example, HostError, ImportanceSpec, Intervention, MatrixImportance, ModelInfo,
    Prompt, RankOne, RowMean, Sampling, TensorInfo, Traced, WhiteBox,
};

type Capture = Box<dyn FnMut(&Prompt, &CaptureSpec, &InForce) -> Result<Activations, HostError>>;
type Trace = Box<dyn FnMut(&Prompt, &Sampling, &CaptureSpec) -> Result<Traced, HostError>>;
type Importance = Box<dyn FnMut(&[Example], &ImportanceSpec) -> Result<Vec<MatrixImportance>, HostError>>;

/// A model's inside.
#[derive(Default)]
pub(super) struct Inside {
    capture: Option<Capture>,
    trace: Option<Trace>,
    importance: Option<Importance>,
    pub(super) tensors: Vec<(TensorInfo, Vec<f32>)>,
    pub(super) train: Option<super::treated::Train>,
    captured: Vec<(Prompt, CaptureSpec)>,
}

impl MockHost {
    /// Offers a model of this description.
    #[must_use]
    pub fn info(self, role: &str, info: ModelInfo) -> Self {
        self.script(role).borrow_mut().info = info;
        self
    }

    /// Offers a model whose captures a function gives, from the prompt, the specification, and the changes in force.
    #[must_use]
    pub fn captures(
        self,
        role: &str,
        mut capture: impl FnMut(&Prompt, &CaptureSpec, &[Intervention]) -> Result<Activations, HostError>
        + 'static,
    ) -> Self {
        self.captures_under(role, move |prompt, spec, in_force| {
            capture(prompt, spec, &in_force.interventions)
        })
    }

    /// Offers a model whose captures a function gives that sees all that was changed in the model.
    #[must_use]
    pub fn captures_under(
        self,
        role: &str,
        capture: impl FnMut(&Prompt, &CaptureSpec, &InForce) -> Result<Activations, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().inside.capture = Some(Box::new(capture));
        self
    }

    /// Offers a model whose traced replies a function gives.
    #[must_use]
    pub fn traces(
        self,
        role: &str,
        trace: impl FnMut(&Prompt, &Sampling, &CaptureSpec) -> Result<Traced, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().inside.trace = Some(Box::new(trace));
        self
    }

    /// Offers a model with these tensors.
    #[must_use]
    pub fn tensors(self, role: &str, tensors: impl IntoIterator<Item = (TensorInfo, Vec<f32>)>) -> Self {
        self.script(role).borrow_mut().inside.tensors = tensors.into_iter().collect();
        self
    }

    /// Offers a model whose important weights a function gives.
    #[must_use]
    pub fn importances(
        self,
        role: &str,
        importance: impl FnMut(&[Example], &ImportanceSpec) -> Result<Vec<MatrixImportance>, HostError> + 'static,
    ) -> Self {
        self.script(role).borrow_mut().inside.importance = Some(Box::new(importance));
        self
    }

    /// What was captured of a role's model, in order: prompts and specifications, traces included.
    pub fn captured(&self, role: &str) -> Vec<(Prompt, CaptureSpec)> {
        let models = self.models.borrow();
        models.get(role).map(|script| script.borrow().inside.captured.clone()).unwrap_or_default()
    }
}

impl WhiteBox for MockModel {
    fn capture(&self, prompts: &[Prompt], spec: &CaptureSpec) -> Vec<Result<Activations, HostError>> {
        let answer = |prompt: &Prompt| {
            let mut script = self.script.borrow_mut();
            script.inside.captured.push((prompt.clone(), spec.clone()));
            script.inside.capture.as_mut().ok_or_else(exhausted)?(prompt, spec, &self.in_force)
        };
        prompts.iter().map(answer).collect()
    }

    fn trace(
        &self,
        prompts: &[Prompt],
        sampling: &Sampling,
        spec: &CaptureSpec,
    ) -> Vec<Result<Traced, HostError>> {
        let answer = |prompt: &Prompt| {
            let mut script = self.script.borrow_mut();
            script.inside.captured.push((prompt.clone(), spec.clone()));
            script.inside.trace.as_mut().ok_or_else(exhausted)?(prompt, sampling, spec)
        };
        prompts.iter().map(answer).collect()
    }

    fn intervene(&self, changes: &[Intervention]) -> Result<Self, HostError> {
        Ok(self.with(|in_force| in_force.interventions.extend_from_slice(changes)))
    }

    fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        Ok(self.script.borrow().inside.tensors.iter().map(|(tensor, _)| tensor.clone()).collect())
    }

    fn read_tensor(&self, name: &str, first: u64, count: u32) -> Result<Vec<f32>, HostError> {
        let script = self.script.borrow();
        let found = script.inside.tensors.iter().find(|(tensor, _)| tensor.name == name);
        let missing = || HostError::InvalidArgument(format!("no numbers from {first} on of `{name}`"));
        let (_, numbers) = found.ok_or_else(missing)?;
        let first = usize::try_from(first).map_err(|_| missing())?;
        let end = first.checked_add(count as usize).ok_or_else(missing)?;
        numbers.get(first..end).map(<[f32]>::to_vec).ok_or_else(missing)
    }

    /// Of the numbers of [`MockHost::tensors`].
    fn row_means(&self, name: &str) -> Result<Vec<RowMean>, HostError> {
        self.scripted_row_means(name)
    }

    /// Matrices must be among those of [`MockHost::tensors`] and fit.
    fn edit(&self, edits: &[RankOne]) -> Result<Self, HostError> {
        self.check_edits(edits)?;
        Ok(self.with(|in_force| in_force.edits.extend_from_slice(edits)))
    }

    fn importance(
        &self,
        examples: &[Example],
        spec: &ImportanceSpec,
    ) -> Result<Vec<MatrixImportance>, HostError> {
        let mut script = self.script.borrow_mut();
        let unscripted = || HostError::Unsupported("no gradients are scripted".to_owned());
        script.inside.importance.as_mut().ok_or_else(unscripted)?(examples, spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Host, Rows, Site};

    #[test]
    fn a_changed_model_is_captured_under_its_changes_and_the_first_handle_is_not() {
        let host = MockHost::new().captures("target", |_, spec, changes| {
            let changed = changes.len() as f32;
            Ok(Activations::given([7], 1, spec.layers.iter().map(|layer| (*layer, vec![changed]))))
        });
        let model = host.model("target").unwrap();
        let spec = CaptureSpec::new(Site::Residual, [2]).rows(Rows::Mean);
        let changed = model.intervene(&[Intervention::add(Site::Mlp, [0], [1.0], 2.0)]).unwrap();
        let read = |model: &MockModel| {
            model.capture(&[Prompt::plain("Hi")], &spec).remove(0).unwrap().row(2, 0).unwrap()
        };
        assert_eq!((read(&changed), read(&model)), (vec![1.0], vec![0.0]));
        assert_eq!(host.captured("target").len(), 2);
    }

    #[test]
    fn a_tensor_larger_than_a_piece_is_read_whole() {
        let size = 2 * crate::whitebox::PIECE + 3;
        let numbers: Vec<f32> = (0..size).map(|at| (at % 1000) as f32).collect();
        let tensor = TensorInfo { name: "w".into(), shape: vec![1, size as u64], quantisation: "F32".into() };
        let host = MockHost::new().tensors("target", [(tensor.clone(), numbers.clone())]);
        let model = host.model("target").unwrap();
        assert!(model.whole_tensor(&tensor).unwrap() == numbers);
        assert!(model.read_tensor("w", size as u64, 1).is_err());
    }

    #[test]
    fn a_model_without_gradients_says_so() {
        let host = MockHost::new().tensors("target", []);
        let spec = ImportanceSpec { fraction: 0.1, modules: crate::Modules::Mlp, drop_first_token: false };
        let refusal = host.model("target").unwrap().importance(&[], &spec);
        assert!(matches!(refusal, Err(HostError::Unsupported(_))));
    }
}
