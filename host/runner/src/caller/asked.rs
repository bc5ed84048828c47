//! Requests as the run file keeps them. Their JSON is what two runs are compared by, so a field's name, place and form
//! are part of the run file's format: what was never asked before may get a form, what was must keep its own.

use serde::{Deserialize, Serialize};
use sonde_contract::{
    CaptureSpec, Change, Completion, Digest, Exchange, Floats, HostError, ImportanceRequest, Intervention,
    MatrixImportance, Places, Prompt, Sampling, ScoreRequest, Site, floats,
};
use sonde_journal::{CallKind, CallPath, GuardIdentity};
use sonde_runtime::Kept;

/// A call about to be answered.
pub(super) struct Asked {
    pub(super) path: CallPath,
    pub(super) kind: CallKind,
    pub(super) json: String,
    pub(super) digest: Digest,
}

impl Asked {
    pub(super) fn new(path: CallPath, kind: CallKind, request: &impl Serialize) -> Result<Self, HostError> {
        let json = serde_json::to_string(request)
            .map_err(|error| HostError::InvalidArgument(format!("the request has no JSON form: {error}")))?;
        Ok(Self { path, kind, digest: Digest::of(&json), json })
    }
}

/// The model that is asked: its name in the config and, where it is changed, by what. Without changes this is the name
/// alone.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Whom<'a> {
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Digest>,
}

#[derive(Serialize)]
pub(super) struct GenerateCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    pub(super) prompt: &'a Prompt,
    pub(super) sampling: &'a Sampling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guard: Option<GuardForm<'a>>,
}

/// The guard over a reply, and what it is: two guards of one name are two guards.
#[derive(Serialize)]
pub(super) struct GuardForm<'a> {
    #[serde(flatten)]
    pub(super) identity: &'a GuardIdentity,
    /// Of its plugin, parameters and model.
    pub(super) digest: Digest,
}

#[derive(Serialize)]
pub(super) struct ScoreCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    #[serde(flatten)]
    pub(super) request: &'a ScoreRequest,
}

#[derive(Serialize)]
pub(super) struct AssessCall<'a> {
    pub(super) judge: &'a str,
    pub(super) exchange: &'a Exchange,
}

/// A question to the tokenizer, which no change of the model's states concerns.
#[derive(Serialize)]
pub(super) struct TextCall<'a> {
    pub(super) model: &'a str,
    pub(super) prompt: &'a Prompt,
}

#[derive(Serialize)]
pub(super) struct CaptureCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    pub(super) prompt: &'a Prompt,
    pub(super) spec: &'a CaptureSpec,
}

#[derive(Serialize)]
pub(super) struct TraceCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    pub(super) prompt: &'a Prompt,
    pub(super) sampling: &'a Sampling,
    pub(super) spec: &'a CaptureSpec,
}

/// The answer to a [`TraceCall`].
#[derive(Serialize, Deserialize)]
pub(super) struct TraceAnswer {
    pub(super) completion: Completion,
    pub(super) captured: Kept,
}

/// `capture` is the number of the call that made the capture.
#[derive(Serialize)]
pub(super) struct ReadCaptureCall {
    pub(super) capture: u64,
    pub(super) layer: u32,
    pub(super) first_row: u32,
    pub(super) rows: u32,
}

#[derive(Serialize)]
pub(super) struct InterveneCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    pub(super) add: Vec<ChangeForm<'a>>,
}

#[derive(Serialize)]
pub(super) struct TensorsCall<'a> {
    pub(super) model: &'a str,
}

#[derive(Serialize)]
pub(super) struct ReadTensorCall<'a> {
    pub(super) model: &'a str,
    pub(super) name: &'a str,
    pub(super) first: u64,
    pub(super) count: u32,
}

#[derive(Serialize)]
pub(super) struct ImportanceCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    #[serde(flatten)]
    pub(super) request: &'a ImportanceRequest,
}

/// An intervention with its vector as base64.
#[derive(Serialize)]
pub(super) struct ChangeForm<'a> {
    layers: &'a [u32],
    site: Site,
    change: &'static str,
    #[serde(serialize_with = "floats")]
    vector: &'a [f32],
    coefficient: f32,
}

impl<'a> ChangeForm<'a> {
    pub(super) fn of(changes: &'a [Intervention]) -> Vec<Self> {
        let form = |intervention: &'a Intervention| {
            let (change, vector, coefficient) = match &intervention.change {
                Change::Add { vector, coefficient } => ("add", vector, *coefficient),
                Change::ProjectOut { direction, coefficient } => ("project-out", direction, *coefficient),
            };
            Self { layers: &intervention.layers, site: intervention.site, change, vector, coefficient }
        };
        changes.iter().map(form).collect()
    }

    /// Of all changes of a handle together; none where it has none.
    pub(super) fn digest(changes: &'a [Intervention]) -> Result<Option<Digest>, HostError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let digest = Digest::of_json(&Self::of(changes));
        digest
            .map(Some)
            .map_err(|error| HostError::InvalidArgument(format!("the changes have no JSON form: {error}")))
    }
}

/// One matrix of an answer about importance, its lists as base64.
#[derive(Serialize, Deserialize)]
pub(super) struct MatrixForm {
    layer: u32,
    name: String,
    size: u64,
    has_gradient: bool,
    top: Places,
    scores: Floats,
}

impl From<MatrixImportance> for MatrixForm {
    fn from(from: MatrixImportance) -> Self {
        let MatrixImportance { layer, name, size, has_gradient, top, scores } = from;
        Self { layer, name, size, has_gradient, top: Places(top), scores: Floats(scores) }
    }
}

impl From<MatrixForm> for MatrixImportance {
    fn from(from: MatrixForm) -> Self {
        let MatrixForm { layer, name, size, has_gradient, top, scores } = from;
        Self { layer, name, size, has_gradient, top: top.0, scores: scores.0 }
    }
}
