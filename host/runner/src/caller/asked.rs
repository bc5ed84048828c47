//! Requests as the run file keeps them. Their JSON is what two runs are compared by, so a field's name, place and form
//! are part of the run file's format: what was never asked before may get a form, what was must keep its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sonde_contract::{
    CaptureSpec, Change, Completion, Digest, DigestWriter, Exchange, Floats, HostError, ImportanceRequest,
    Intervention, LowRank, MatrixImportance, Places, Prompt, Sampling, ScoreRequest, Site, TrainRequest,
    floats,
};
use sonde_journal::{CallKind, CallPath, GuardIdentity};
use sonde_runtime::Kept;

use crate::treatment::InForce;

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

/// The model that is asked: its name in the config and, where it is treated or changed, by what. Without, this is the
/// name alone.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Whom<'a> {
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) treatment: Option<InForce>,
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
    pub(super) fn digest(
        changes: &'a [Intervention],
        edits: &[Arc<LowRank>],
    ) -> Result<Option<Digest>, HostError> {
        let digest = match (changes, edits) {
            ([], []) => return Ok(None),
            (changes, []) => Digest::of_json(&Self::of(changes)),
            (changes, edits) => Digest::of_json(&(Self::of(changes), EditForm::of(edits))),
        };
        digest
            .map(Some)
            .map_err(|error| HostError::InvalidArgument(format!("the changes have no JSON form: {error}")))
    }
}

#[derive(Serialize)]
pub(super) struct EditCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    pub(super) edit: Vec<EditForm<'a>>,
}

/// A change of a matrix, its numbers by their digests: a plugin makes the same ones again, and a calibration puts the same
/// ones into force many times.
#[derive(Serialize)]
pub(super) struct EditForm<'a> {
    matrix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert: Option<u32>,
    rank: u32,
    a: Digest,
    b: Digest,
    scale: f32,
}

impl<'a> EditForm<'a> {
    pub(super) fn of(edits: &'a [Arc<LowRank>]) -> Vec<Self> {
        let form = |edit: &'a Arc<LowRank>| Self {
            matrix: &edit.matrix,
            expert: edit.expert,
            rank: edit.rank,
            a: digest_of(&edit.a),
            b: digest_of(&edit.b),
            scale: edit.scale,
        };
        edits.iter().map(form).collect()
    }
}

fn digest_of(numbers: &[f32]) -> Digest {
    let mut writer = DigestWriter::default();
    numbers.iter().for_each(|number| writer.update(&number.to_le_bytes()));
    writer.finish()
}

#[derive(Serialize)]
pub(super) struct RowMeansCall<'a> {
    pub(super) model: &'a str,
    pub(super) name: &'a str,
}

#[derive(Serialize)]
pub(super) struct TrainCall<'a> {
    #[serde(flatten)]
    pub(super) whom: Whom<'a>,
    #[serde(flatten)]
    pub(super) request: &'a TrainRequest,
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
