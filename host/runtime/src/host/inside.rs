//! `activations`, `weights` and `gradients` as one guest meets them.
//!
//! What a call could come to hold is counted before anything is computed, and what the services promise is checked
//! against what was asked.

mod captures;

use std::sync::Arc;

use sonde_contract::{Completion, HostError, ModelInfo};
use wasmtime::component::Resource;

use super::{Host, NAME_BYTES, OpenModel, as_many, refuse_all};
use crate::bindings::{activations, generation, gradients, types, weights};
use crate::convert::{self, Budget, Fault};
use crate::limits::LimitReached;
use crate::services::ModelRef;
use captures::{Promise, bytes};

pub use captures::OpenCapture;

impl Host {
    pub(super) fn opened(
        &self,
        model: &Resource<OpenModel>,
    ) -> wasmtime::Result<(Arc<ModelRef>, Arc<ModelInfo>)> {
        let open = self.handles.get(model)?;
        Ok((Arc::clone(&open.model), Arc::clone(&open.info)))
    }

    /// Refuses a list of numbers that could not be handed over, before anybody makes it.
    pub(super) fn fits_one_call(&self, what: &str, numbers: u64) -> Result<(), HostError> {
        let size = numbers.saturating_mul(size_of::<f32>() as u64);
        if size <= self.limits.host_data_bytes() as u64 {
            return Ok(());
        }
        let limit = LimitReached::HostData { what: what.to_owned(), mib: self.limits.host_data_mib };
        Err(HostError::Limit(limit.to_string()))
    }

    /// Puts a reply and its capture together. A reply that does not fit into one call takes its capture with it.
    fn traced(
        &mut self,
        budget: &mut Budget<'_>,
        info: &ModelInfo,
        promise: &Promise,
        completion: Completion,
        capture: OpenCapture,
    ) -> wasmtime::Result<Result<activations::Traced, types::Error>> {
        let completion = match budget.completion(Ok(completion)) {
            Ok(completion) => completion,
            Err(error) => return Ok(Err(error)),
        };
        let captured = self.hand_capture(info, promise, Ok(capture))?;
        Ok(captured.map(|captured| activations::Traced { completion, captured }))
    }
}

/// As many numbers as were asked for.
fn exactly(asked: u64, answer: Result<Vec<f32>, HostError>) -> Result<Vec<f32>, types::Error> {
    let answer = answer.and_then(|numbers| {
        if numbers.len() as u64 == asked {
            return Ok(numbers);
        }
        Err(HostError::Engine(format!(
            "the host gave {} numbers where {asked} were asked for",
            numbers.len()
        )))
    });
    answer.map_err(convert::host_error)
}

/// What came of reading a request: a limit stops the guest, a mistake is told to it.
pub(super) fn told<T>(read: Result<T, Fault>) -> wasmtime::Result<Result<T, types::Error>> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(Fault::Limit(limit)) => Err(limit.into()),
        Err(Fault::Wrong(text)) => Ok(Err(types::Error::InvalidArgument(text))),
    }
}

impl activations::Host for Host {
    async fn capture(
        &mut self,
        model: Resource<OpenModel>,
        prompts: Vec<types::Prompt>,
        spec: activations::CaptureSpec,
    ) -> wasmtime::Result<Vec<Result<Resource<OpenCapture>, types::Error>>> {
        let services = self.enter("activations.capture")?;
        let ((model, info), prompts) = (self.opened(&model)?, self.all(prompts, convert::prompt)?);
        let asked = prompts.len();
        let spec = match told(convert::capture_spec(&info, spec))? {
            Ok(spec) => spec,
            Err(error) => return Ok(refuse_all(asked, &error)),
        };
        let promise = Promise::of(&spec);
        self.room_for(asked, 0)?;
        let most = self.could_hold(&services, &model, &info, &prompts, &promise).await;
        self.room_for(asked, most)?;
        let answers = self.waiting(services.capture(&model, prompts, spec)).await;
        let owned = |kept| OpenCapture::new(&services, &promise, kept);
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(owned)).collect();
        let answers = as_many(asked, answers).into_iter();
        answers.map(|answer| self.hand_capture(&info, &promise, answer)).collect()
    }

    async fn trace(
        &mut self,
        model: Resource<OpenModel>,
        prompts: Vec<types::Prompt>,
        sampling: generation::Sampling,
        spec: activations::CaptureSpec,
    ) -> wasmtime::Result<Vec<Result<activations::Traced, types::Error>>> {
        let services = self.enter("activations.trace")?;
        let ((model, info), prompts) = (self.opened(&model)?, self.all(prompts, convert::prompt)?);
        let asked = prompts.len();
        let read = convert::sampling(&self.limits, sampling)
            .and_then(|sampling| Ok((sampling, convert::trace_spec(&info, spec)?)));
        let (sampling, spec) = match told(read)? {
            Ok(read) => read,
            Err(error) => return Ok(refuse_all(asked, &error)),
        };
        let promise = Promise::of_steps(&spec, sampling.max_tokens.min(info.context));
        let most = self.could_hold(&services, &model, &info, &prompts, &promise).await;
        self.room_for(asked, most)?;
        let answers = self.waiting(services.trace(&model, prompts, sampling, spec)).await;
        let owned = |(completion, kept)| (completion, OpenCapture::new(&services, &promise, kept));
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(owned)).collect();
        let limits = self.limits.clone();
        let mut budget = Budget::new(&limits);
        let mut traced = Vec::with_capacity(asked);
        for answer in as_many(asked, answers) {
            traced.push(match answer {
                Ok((completion, capture)) => {
                    self.traced(&mut budget, &info, &promise, completion, capture)?
                }
                Err(error) => Err(convert::host_error(error)),
            });
        }
        Ok(traced)
    }

    async fn intervene(
        &mut self,
        handle: Resource<OpenModel>,
        changes: Vec<activations::Intervention>,
    ) -> wasmtime::Result<Result<Resource<OpenModel>, types::Error>> {
        let services = self.enter("activations.intervene")?;
        self.batch(changes.len())?;
        let (model, info) = self.opened(&handle)?;
        let changes = changes.into_iter().map(|change| convert::intervention(&info, change));
        let changes: Vec<_> = match told(changes.collect())? {
            Ok(changes) => changes,
            Err(error) => return Ok(Err(error)),
        };
        self.one_more_model()?;
        let vectors = changes.iter().map(|change| bytes(1, 1, info.width, change.layers.len()));
        let held = vectors.sum::<usize>().saturating_add(self.handles.get(&handle)?.held);
        self.room_for(0, held)?;
        if let Err(error) = self.waiting(services.intervene(&model, changes.clone())).await {
            return Ok(Err(convert::host_error(error)));
        }
        let changed = ModelRef {
            role: model.role.clone(),
            changes: model.changes.iter().cloned().chain(changes).collect(),
            edits: model.edits.clone(),
        };
        Ok(Ok(self.hand_model(OpenModel { model: changed.into(), info, held })?))
    }
}

impl activations::HostCaptured for Host {
    async fn rows(&mut self, capture: Resource<OpenCapture>) -> wasmtime::Result<u32> {
        self.enter("captured.rows")?;
        Ok(self.handles.get(&capture)?.rows())
    }

    async fn width(&mut self, capture: Resource<OpenCapture>) -> wasmtime::Result<u32> {
        self.enter("captured.width")?;
        Ok(self.handles.get(&capture)?.width())
    }

    async fn tokens(&mut self, capture: Resource<OpenCapture>) -> wasmtime::Result<Vec<u32>> {
        self.enter("captured.tokens")?;
        let tokens = self.handles.get(&capture)?.tokens();
        Budget::new(&self.limits).take("the list of tokens", &[], size_of_val(tokens))?;
        Ok(tokens.to_vec())
    }

    async fn read(
        &mut self,
        capture: Resource<OpenCapture>,
        layer: u32,
        first_row: u32,
        rows: u32,
    ) -> wasmtime::Result<Result<Vec<f32>, types::Error>> {
        let services = self.enter("captured.read")?;
        let open = self.handles.get(&capture)?;
        let (id, numbers) = (open.id(), u64::from(rows) * u64::from(open.width()));
        // What is too large to hand over is refused for that, whether it exists or not.
        let readable = self.fits_one_call("the list of captured numbers", numbers);
        if let Err(error) = readable.and_then(|()| open.has(layer, first_row, rows)) {
            return Ok(Err(convert::host_error(error)));
        }
        let answer = self.waiting(services.read_capture(id, layer, first_row, rows)).await;
        Ok(exactly(numbers, answer))
    }

    async fn drop(&mut self, capture: Resource<OpenCapture>) -> wasmtime::Result<()> {
        self.release(capture)
    }
}

impl weights::Host for Host {
    async fn tensors(
        &mut self,
        model: Resource<OpenModel>,
    ) -> wasmtime::Result<Result<Vec<weights::TensorInfo>, types::Error>> {
        let services = self.enter("weights.tensors")?;
        let model = self.model(&model)?;
        let answer = self.waiting(services.tensors(&model)).await;
        Ok(Budget::new(&self.limits).tensors(answer))
    }

    async fn read(
        &mut self,
        model: Resource<OpenModel>,
        name: String,
        first: u64,
        count: u32,
    ) -> wasmtime::Result<Result<Vec<f32>, types::Error>> {
        let services = self.enter("weights.read")?;
        let model = self.model(&model)?;
        if let Err(error) = check_name(&name) {
            return Ok(Err(error));
        }
        if let Err(error) = self.fits_one_call("the list of a tensor's numbers", count.into()) {
            return Ok(Err(convert::host_error(error)));
        }
        let answer = self.waiting(services.read_tensor(&model, &name, first, count)).await;
        Ok(exactly(count.into(), answer))
    }

    async fn row_means(
        &mut self,
        model: Resource<OpenModel>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<weights::RowMean>, types::Error>> {
        let services = self.enter("weights.row-means")?;
        let model = self.model(&model)?;
        if let Err(error) = check_name(&name) {
            return Ok(Err(error));
        }
        let answer = self.waiting(services.row_means(&model, &name)).await;
        Ok(Budget::new(&self.limits).row_means(answer))
    }

    async fn edit(
        &mut self,
        model: Resource<OpenModel>,
        edits: Vec<weights::RankOne>,
    ) -> wasmtime::Result<Result<Resource<OpenModel>, types::Error>> {
        let services = self.enter("weights.edit")?;
        match told(convert::edits(&self.limits, edits))? {
            Ok(edits) => self.edited(&services, &model, edits).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

fn check_name(name: &str) -> Result<(), types::Error> {
    if name.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(types::Error::InvalidArgument(format!("a name of {} bytes has no tensor", name.len())))
}

impl gradients::Host for Host {
    async fn importance(
        &mut self,
        model: Resource<OpenModel>,
        examples: Vec<gradients::Example>,
        spec: gradients::ImportanceSpec,
    ) -> wasmtime::Result<Result<Vec<gradients::MatrixImportance>, types::Error>> {
        let services = self.enter("gradients.importance")?;
        let (model, examples) = (self.model(&model)?, self.all(examples, convert::example)?);
        let request = match told(convert::importance_request(examples, spec))? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let answer = self.waiting(services.importance(&model, request)).await;
        Ok(Budget::new(&self.limits).importance(answer))
    }
}
