//! Captures and traces of one invocation: what was kept, and how its numbers are had again.
//!
//! A capture's answer says what was kept; its numbers enter the run file only where they are read. So a run that goes on
//! knows from the record what every capture held, and runs the model again only when the plugin reads what was never
//! read before. A capture is named by the number of the call that made it, which is the same in every run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use sonde_contract::{
    CaptureRequest, CaptureSpec, Captured, Completion, Floats, HostError, Prompt, Rows, Sampling,
    TraceRequest, Traced,
};
use sonde_engine::Model;
use sonde_journal::{CallKind, CallPath};
use sonde_runtime::{Kept, ModelRef};

use super::asked::{Asked, CaptureCall, ReadCaptureCall, TraceAnswer, TraceCall};
use super::{Caller, Handle, length, lock};
use crate::seeds;

/// Passes asked of the engine at once: more than it computes together, fewer than would fill memory with prompts.
pub(super) const AT_ONCE: usize = 256;

/// One list of numbers per layer of the specification.
type Layers = Arc<Vec<Vec<f32>>>;

/// Those that the plugin holds, by their names.
pub(super) type Captures = BTreeMap<u64, Capture>;

/// What the plugin holds of one pass.
pub(super) struct Capture {
    model: ModelRef,
    layers: Vec<u32>,
    kept: Kept,
    numbers: Numbers,
}

enum Numbers {
    /// Computed by this process.
    Here(Layers),
    /// The capture is on record; a read that is not runs the pass again.
    OnRecord {
        pass: Box<Pass>,
        /// The first capture of the same call of the plugin.
        list: u64,
        /// Whether a read of it was on record: then it is reduced already, and is not computed for company.
        read: bool,
    },
}

/// What to run for a capture's numbers.
#[derive(Clone)]
enum Pass {
    Capture(CaptureRequest),
    /// With the reply on record.
    Trace(Box<(TraceRequest, Completion)>),
}

impl Caller {
    pub(super) async fn capture_all(
        &self,
        model: &ModelRef,
        prompts: Vec<Prompt>,
        spec: &CaptureSpec,
    ) -> Vec<Result<Kept, HostError>> {
        let handle = self.handle(model);
        let calls: Vec<_> = prompts.into_iter().map(|prompt| (self.next_path(), prompt)).collect();
        let list = calls.first().map_or(0, |(path, _)| name_of(path));
        let handle = &handle;
        let passes = calls.into_iter().map(|(path, prompt)| {
            let request = CaptureRequest { prompt, spec: spec.clone() };
            let pass: BoxFuture<'_, Result<Kept, HostError>> = Box::pin(async move {
                let handle = handle.as_ref().map_err(Clone::clone)?;
                self.capture_one(handle, model, path, list, request).await
            });
            pass
        });
        in_order(passes.collect()).await
    }

    async fn capture_one(
        &self,
        handle: &Handle<'_>,
        model: &ModelRef,
        path: CallPath,
        list: u64,
        request: CaptureRequest,
    ) -> Result<Kept, HostError> {
        let id = name_of(&path);
        let CaptureRequest { prompt, spec } = &request;
        let asked = Asked::new(path, CallKind::Capture, &CaptureCall { whom: handle.whom(), prompt, spec })?;
        let layers = spec.layers.clone();
        if let Some(recorded) = self.recall::<Kept>(&asked) {
            let kept = Kept { id, ..recorded? };
            let numbers = Numbers::OnRecord { pass: Box::new(Pass::Capture(request)), list, read: false };
            return Ok(self.keep(Capture { model: model.clone(), layers, kept, numbers }));
        }
        let started = Instant::now();
        let captured = self.model(handle)?.capture(request).await;
        let (answer, numbers) = split(id, captured);
        let tokens = answer.as_ref().map_or(0, |kept| length(&kept.tokens));
        let kept = self.record(asked, Some(handle.name), answer, (tokens, 0), started).await?;
        Ok(self.keep(Capture { model: model.clone(), layers, kept, numbers: Numbers::Here(numbers) }))
    }

    pub(super) async fn trace_all(
        &self,
        model: &ModelRef,
        prompts: Vec<Prompt>,
        sampling: &Sampling,
        spec: &CaptureSpec,
    ) -> Vec<Result<(Completion, Kept), HostError>> {
        let handle = self.handle(model);
        let calls: Vec<_> = prompts.into_iter().map(|prompt| (self.next_path(), prompt)).collect();
        let list = calls.first().map_or(0, |(path, _)| name_of(path));
        let handle = &handle;
        let passes = calls.into_iter().map(|(path, prompt)| {
            let request = TraceRequest { prompt, sampling: sampling.clone(), spec: spec.clone() };
            let pass: BoxFuture<'_, Result<(Completion, Kept), HostError>> = Box::pin(async move {
                let handle = handle.as_ref().map_err(Clone::clone)?;
                self.trace_one(handle, model, path, list, request).await
            });
            pass
        });
        in_order(passes.collect()).await
    }

    async fn trace_one(
        &self,
        handle: &Handle<'_>,
        model: &ModelRef,
        path: CallPath,
        list: u64,
        mut request: TraceRequest,
    ) -> Result<(Completion, Kept), HostError> {
        let id = name_of(&path);
        seeds::fill(&mut request.sampling, self.sample.seed, &path);
        let TraceRequest { prompt, sampling, spec } = &request;
        let call = TraceCall { whom: handle.whom(), prompt, sampling, spec };
        let asked = Asked::new(path, CallKind::Trace, &call)?;
        let layers = spec.layers.clone();
        if let Some(recorded) = self.recall::<TraceAnswer>(&asked) {
            let TraceAnswer { completion, captured } = recorded?;
            let kept = Kept { id, ..captured };
            let pass = Box::new(Pass::Trace(Box::new((request, completion.clone()))));
            let numbers = Numbers::OnRecord { pass, list, read: false };
            let kept = self.keep(Capture { model: model.clone(), layers, kept, numbers });
            return Ok((completion, kept));
        }
        let started = Instant::now();
        let (answer, numbers) = match self.model(handle)?.trace(request).await {
            Ok(Traced { completion, captured }) => {
                let (kept, numbers) = split(id, Ok(captured));
                (kept.map(|captured| TraceAnswer { completion, captured }), numbers)
            }
            Err(error) => (Err(error), Layers::default()),
        };
        let tokens = answer
            .as_ref()
            .map_or((0, 0), |answer| (answer.completion.prompt_tokens, length(&answer.completion.tokens)));
        let answer = self.record(asked, Some(handle.name), answer, tokens, started).await?;
        let (completion, kept) = (answer.completion, answer.captured);
        let kept = self.keep(Capture { model: model.clone(), layers, kept, numbers: Numbers::Here(numbers) });
        Ok((completion, kept))
    }

    pub(super) async fn read_kept(
        &self,
        capture: u64,
        layer: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Vec<f32>, HostError> {
        let path = self.next_path();
        let call = ReadCaptureCall { capture, layer, first_row, rows };
        let asked = Asked::new(path, CallKind::ReadCapture, &call)?;
        let (role, place, width) = {
            let captures = lock(&self.captures);
            let Some(held) = captures.get(&capture) else {
                return Err(HostError::InvalidArgument(format!("there is no capture {capture}")));
            };
            let place = held.place(layer, first_row, rows)?;
            (held.model.role.clone(), place, held.kept.width as usize)
        };
        if let Some(recorded) = self.recall::<Floats>(&asked) {
            if let Some(Capture { numbers: Numbers::OnRecord { read, .. }, .. }) =
                lock(&self.captures).get_mut(&capture)
            {
                *read = true;
            }
            let Floats(numbers) = recorded?;
            if numbers.len() == rows as usize * width {
                return Ok(numbers);
            }
            let what = format!("the recorded read at call {} has {} numbers", asked.path, numbers.len());
            return Err(self.sample.differ(what));
        }
        let started = Instant::now();
        let layers = self.numbers_of(capture).await?;
        let (from, to) = (first_row as usize * width, (first_row as usize + rows as usize) * width);
        let piece = layers.get(place).and_then(|layer| layer.get(from..to)).map(<[f32]>::to_vec);
        let Some(piece) = piece else {
            return Err(HostError::Engine(format!("capture {capture} has fewer numbers than it should")));
        };
        let name = self.model_name(&role)?;
        self.record(asked, Some(name), Ok(Floats(piece)), (0, 0), started).await.map(|Floats(piece)| piece)
    }

    pub(super) fn release(&self, capture: u64) {
        lock(&self.captures).remove(&capture);
    }

    fn keep(&self, capture: Capture) -> Kept {
        let kept = capture.kept.clone();
        lock(&self.captures).insert(kept.id, capture);
        kept
    }

    /// A capture's numbers; if they are not here, the model computes them again, and with them those of its list that
    /// were not read either.
    async fn numbers_of(&self, capture: u64) -> Result<Layers, HostError> {
        let mut again: Vec<(u64, ModelRef, Kept, Box<Pass>)> = Vec::new();
        {
            let captures = lock(&self.captures);
            let mine = match captures.get(&capture).map(|capture| &capture.numbers) {
                Some(Numbers::Here(layers)) => return Ok(Arc::clone(layers)),
                Some(Numbers::OnRecord { list, .. }) => *list,
                None => return Err(HostError::InvalidArgument(format!("there is no capture {capture}"))),
            };
            for (id, held) in captures.iter() {
                if let Numbers::OnRecord { pass, list, read } = &held.numbers
                    && (*id == capture || (*list == mine && !read))
                {
                    again.push((*id, held.model.clone(), held.kept.clone(), pass.clone()));
                }
            }
        }
        let passes = again.into_iter().map(|(id, model, kept, pass)| {
            let pass: BoxFuture<'_, Result<(u64, Layers), HostError>> = Box::pin(async move {
                let handle = self.handle(&model)?;
                let layers = Arc::new(repeat(self.model(&handle)?.as_ref(), *pass, &kept).await?);
                if let Some(held) = lock(&self.captures).get_mut(&id) {
                    held.numbers = Numbers::Here(Arc::clone(&layers));
                }
                Ok((id, layers))
            });
            pass
        });
        let mut found = Err(HostError::Engine(format!("capture {capture} was not computed again")));
        for computed in in_order(passes.collect()).await {
            match computed {
                Ok((id, layers)) if id == capture => found = Ok(layers),
                Ok(_) => {}
                // The others fail when they are read.
                Err(error) if found.is_err() => found = Err(error),
                Err(_) => {}
            }
        }
        found
    }
}

impl Capture {
    /// Where the layer stands among those kept, if these rows of it are.
    fn place(&self, layer: u32, first_row: u32, rows: u32) -> Result<usize, HostError> {
        let wrong = |what: String| Err(HostError::InvalidArgument(what));
        let Some(place) = self.layers.iter().position(|kept| *kept == layer) else {
            let kept: Vec<_> = self.layers.iter().map(ToString::to_string).collect();
            return wrong(format!("layer {layer} was not captured; layers {} were", kept.join(", ")));
        };
        match first_row.checked_add(rows) {
            Some(end) if end <= self.kept.rows => Ok(place),
            _ => wrong(format!(
                "rows {first_row} and on, {rows} of them, were asked for; the capture has {}",
                self.kept.rows
            )),
        }
    }
}

/// The name of what a call captured: the call's number in its invocation.
fn name_of(path: &CallPath) -> u64 {
    path.steps().last().copied().unwrap_or_default().into()
}

/// What the plugin is told of a pass, and the numbers it may read.
fn split(id: u64, captured: Result<Captured, HostError>) -> (Result<Kept, HostError>, Layers) {
    match captured {
        Ok(Captured { tokens, rows, width, layers }) => {
            (Ok(Kept { id, rows, width, tokens }), Arc::new(layers))
        }
        Err(error) => (Err(error), Layers::default()),
    }
}

/// Waits for all, so many of them at once, and answers in their order.
async fn in_order<T>(passes: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(passes).buffered(AT_ONCE).collect().await
}

/// Runs a recorded pass again.
async fn repeat(model: &dyn Model, pass: Pass, kept: &Kept) -> Result<Vec<Vec<f32>>, HostError> {
    let captured = match pass {
        Pass::Capture(request) => model.capture(request).await?,
        Pass::Trace(traced) => {
            let (request, recorded) = *traced;
            let spec = request.spec.clone();
            let again = model.trace(request).await?;
            if again.completion.tokens == recorded.tokens && again.captured.rows == kept.rows {
                again.captured
            } else {
                // Requests that are computed in other company can round to another token. What is on record was
                // said; its states are those of reading it.
                Captured {
                    tokens: kept.tokens.clone(),
                    ..model.capture(reading(spec, kept, &recorded)?).await?
                }
            }
        }
    };
    if captured.tokens == kept.tokens && captured.rows == kept.rows && captured.width == kept.width {
        return Ok(captured.layers);
    }
    Err(HostError::Engine(format!(
        "the model keeps {} rows of {} numbers for {} tokens where {} rows of {} for {} are on record",
        captured.rows,
        captured.width,
        captured.tokens.len(),
        kept.rows,
        kept.width,
        kept.tokens.len()
    )))
}

/// The pass over a prompt and its recorded reply that keeps what the trace kept while the reply came about.
fn reading(spec: CaptureSpec, kept: &Kept, recorded: &Completion) -> Result<CaptureRequest, HostError> {
    let steps = kept.rows.saturating_sub(1) as usize;
    let replied = recorded.tokens.get(..steps).ok_or_else(|| {
        HostError::Engine(
            "the model gives another reply than the recorded one, which has too few tokens".into(),
        )
    })?;
    let first = i32::try_from(kept.tokens.len().saturating_sub(1)).unwrap_or(i32::MAX);
    let rows = (0..kept.rows).map(|step| first.saturating_add_unsigned(step)).collect();
    let prompt = Prompt::Tokens(kept.tokens.iter().chain(replied).copied().collect());
    Ok(CaptureRequest { prompt, spec: CaptureSpec { rows: Rows::At(rows), ..spec } })
}
