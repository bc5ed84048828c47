//! Changes of matrices and `training` as one guest meets them.
//!
//! A trained adapter stays in the store: a guest learns its losses, puts it into force, or gives it back as its treatment,
//! and never sees its numbers.

use std::sync::Arc;

use sonde_contract::{LowRank, Trained};
use wasmtime::component::Resource;

use super::inside::told;
use super::{Host, OpenModel};
use crate::bindings::{training, treatment, types};
use crate::convert::{self, Budget};
use crate::services::{ModelRef, Services};

/// An adapter that was trained for a guest.
pub struct OpenAdapter {
    trained: Arc<Trained>,
    held: usize,
}

fn bytes(edits: &[LowRank]) -> usize {
    edits
        .iter()
        .map(|edit| size_of_val(edit.a.as_slice()).saturating_add(size_of_val(edit.b.as_slice())))
        .sum()
}

impl Host {
    /// A handle with these changes of matrices besides.
    pub(super) async fn edited(
        &mut self,
        services: &Arc<dyn Services>,
        handle: &Resource<OpenModel>,
        edits: Vec<LowRank>,
    ) -> wasmtime::Result<Result<Resource<OpenModel>, types::Error>> {
        self.one_more_model()?;
        let (model, info) = self.opened(handle)?;
        let held = bytes(&edits).saturating_add(self.handles.get(handle)?.held);
        self.room_for(0, held)?;
        let edits: Vec<Arc<LowRank>> = edits.into_iter().map(Arc::new).collect();
        if let Err(error) = self.waiting(services.edit(&model, &edits)).await {
            return Ok(Err(convert::host_error(error)));
        }
        let edited = ModelRef {
            role: model.role.clone(),
            changes: model.changes.clone(),
            edits: model.edits.iter().cloned().chain(edits).collect(),
        };
        Ok(Ok(self.hand_model(OpenModel { model: edited.into(), info, held })?))
    }

    /// The adapter that a treatment is, if it is one.
    pub(crate) fn trained(&self, change: &treatment::Change) -> wasmtime::Result<Option<Arc<Trained>>> {
        match change {
            treatment::Change::Trained(adapter) => Ok(Some(Arc::clone(&self.handles.get(adapter)?.trained))),
            treatment::Change::Edits(_) | treatment::Change::Interventions(_) => Ok(None),
        }
    }
}

impl training::Host for Host {
    async fn train(
        &mut self,
        model: Resource<OpenModel>,
        lessons: Vec<training::Lesson>,
        lora: training::Lora,
        schedule: training::Schedule,
    ) -> wasmtime::Result<Result<Resource<OpenAdapter>, types::Error>> {
        let services = self.enter("training.train")?;
        let (model, lessons) = (self.model(&model)?, self.lessons(lessons)?);
        let request = match told(convert::train_request(&self.limits, lessons, lora, schedule))? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let trained = match self.waiting(services.train(&model, request)).await {
            Ok(trained) => trained,
            Err(error) => return Ok(Err(convert::host_error(error))),
        };
        let held = bytes(&trained.adapter);
        self.room_for(1, held)?;
        self.captures = self.captures.saturating_add(1);
        self.held = self.held.saturating_add(held);
        Ok(Ok(self.handles.push(OpenAdapter { trained: Arc::new(trained), held })?))
    }

    async fn attach(
        &mut self,
        model: Resource<OpenModel>,
        adapter: Resource<OpenAdapter>,
        strength: f32,
    ) -> wasmtime::Result<Result<Resource<OpenModel>, types::Error>> {
        let services = self.enter("training.attach")?;
        if !strength.is_finite() {
            let text = format!("the strength is {strength}; it must be a finite number");
            return Ok(Err(types::Error::InvalidArgument(text)));
        }
        let scaled = |edit: &LowRank| LowRank { scale: edit.scale * strength, ..edit.clone() };
        let edits = self.handles.get(&adapter)?.trained.adapter.iter().map(scaled).collect();
        self.edited(&services, &model, edits).await
    }
}

impl Host {
    fn lessons(&self, from: Vec<training::Lesson>) -> wasmtime::Result<Vec<sonde_contract::Lesson>> {
        // A training set is longer than what is asked of a model at once.
        let lessons = from.into_iter().map(|lesson| convert::lesson(&self.limits, lesson));
        Ok(lessons.collect::<Result<_, _>>()?)
    }
}

impl training::HostAdapter for Host {
    async fn losses(&mut self, adapter: Resource<OpenAdapter>) -> wasmtime::Result<Vec<f32>> {
        self.enter("adapter.losses")?;
        let losses = self.handles.get(&adapter)?.trained.losses.clone();
        Budget::new(&self.limits).take("the list of losses", &[], size_of_val(losses.as_slice()))?;
        Ok(losses)
    }

    async fn tokens(&mut self, adapter: Resource<OpenAdapter>) -> wasmtime::Result<u64> {
        self.enter("adapter.tokens")?;
        Ok(self.handles.get(&adapter)?.trained.tokens)
    }

    async fn drop(&mut self, adapter: Resource<OpenAdapter>) -> wasmtime::Result<()> {
        let adapter = self.handles.delete(adapter)?;
        self.captures = self.captures.saturating_sub(1);
        self.held = self.held.saturating_sub(adapter.held);
        Ok(())
    }
}
