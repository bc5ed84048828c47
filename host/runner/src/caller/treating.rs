//! What treatments ask besides: changes of matrices put into force, adapters trained.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sonde_contract::{Changes, HostError, LowRank, TrainRequest, Trained};
use sonde_engine::{Following, TrainProgress};
use sonde_journal::{CallKind, CallPath};
use sonde_runtime::{ModelRef, Services as _};

use super::Caller;
use super::asked::{Asked, EditCall, EditForm, TrainCall};
use crate::progress::Event;

impl Caller {
    pub(super) async fn edit_model(&self, model: &ModelRef, edits: &[Arc<LowRank>]) -> Result<(), HostError> {
        let handle = self.handle(model)?;
        let call = EditCall { whom: handle.whom(), edit: EditForm::of(edits) };
        let asked = Asked::new(self.next_path(), CallKind::Edit, &call)?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let started = Instant::now();
        let all = ModelRef { edits: model.edits.iter().chain(edits).cloned().collect(), ..model.clone() };
        let answer = self.model(&self.handle(&all)?).map(drop);
        self.record(asked, Some(handle.name), answer, (0, 0), started).await
    }

    pub(super) async fn train_adapter(
        &self,
        model: &ModelRef,
        request: TrainRequest,
    ) -> Result<Trained, HostError> {
        let handle = self.handle(model)?;
        let path = self.next_path();
        let following = self.following(&path);
        let asked = Asked::new(path, CallKind::Train, &TrainCall { whom: handle.whom(), request: &request })?;
        if let Some(answer) = self.recall(&asked) {
            return answer;
        }
        let started = Instant::now();
        let answer = self.model_with_gradients(&handle)?.train(request, following).await;
        let tokens = answer.as_ref().map_or(0, |trained| trained.tokens);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.record(asked, Some(handle.name), answer, (tokens, 0), started).await
    }

    /// Where a training's state is kept until its answer is on record, and who is told of its steps.
    fn following(&self, path: &CallPath) -> Following {
        let mut checkpoint = self.shared.journal.path().as_os_str().to_owned();
        checkpoint.push(format!("-training-{}-{path}", self.sample.id.replace(['/', '\\'], "-")));
        let (id, plugin) = (self.sample.id.clone(), self.bound.title.clone());
        let observer = Arc::clone(&self.shared.observer);
        let progress = move |TrainProgress { step, steps, loss, left }| {
            let left = left.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
            let what = format!("training, loss {loss:.4}{left}");
            let (id, plugin) = (id.clone(), plugin.clone());
            observer.notice(Event::Progress { id, plugin, done: step.into(), total: steps.into(), what });
        };
        Following { checkpoint: Some(PathBuf::from(checkpoint)), progress: Some(Box::new(progress)) }
    }

    /// Whether a derived treatment fits the model it is for: asked, answered and put on record as if the plugin had asked.
    ///
    /// # Errors
    /// What the engine says of changes that do not fit.
    pub(crate) async fn check_fit(&self, role: &str, changes: &Changes) -> Result<(), HostError> {
        let model = ModelRef { role: role.to_owned(), ..ModelRef::default() };
        if !changes.edits.is_empty() {
            let edits: Vec<_> = changes.edits.iter().cloned().map(Arc::new).collect();
            self.edit_model(&model, &edits).await?;
        }
        if !changes.interventions.is_empty() {
            self.intervene(&model, changes.interventions.clone()).await?;
        }
        Ok(())
    }
}
