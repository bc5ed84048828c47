//! What a diagnostic asks about a model's inside, and the host's answers to it.
//!
//! Whether layers and rows exist is the engine's to say; here lists are bounded by what could exist at all, and
//! numbers are finite, because the journal could not hold others.

use sonde_contract::{
    CaptureSpec, Change, Example, HostError, ImportanceRequest, Intervention, MatrixImportance, ModelInfo,
    Modules, Rows, Site, TensorInfo,
};

use super::answer::Budget;
use super::{Fault, check_text};
use crate::bindings::{activations, gradients, types, weights};
use crate::limits::{LimitReached, Limits};

fn wrong<T>(text: String) -> Result<T, Fault> {
    Err(Fault::Wrong(text))
}

/// Checks what to keep of a pass.
pub fn capture_spec(info: &ModelInfo, from: activations::CaptureSpec) -> Result<CaptureSpec, Fault> {
    let rows = match from.rows {
        activations::Rows::Last => Rows::Last,
        activations::Rows::All => Rows::All,
        activations::Rows::Mean => Rows::Mean,
        activations::Rows::At(rows) if rows.len() > info.context as usize => {
            let (rows, name, context) = (rows.len(), &info.name, info.context);
            return wrong(format!(
                "a capture names {rows} rows; a prompt of {name} has at most {context} in this run"
            ));
        }
        activations::Rows::At(rows) => Rows::At(rows),
    };
    few_layers("a capture", info, &from.layers)?;
    Ok(CaptureSpec { layers: from.layers, site: site(from.site), rows })
}

/// Checks what to keep of a reply's steps.
pub fn trace_spec(info: &ModelInfo, from: activations::CaptureSpec) -> Result<CaptureSpec, Fault> {
    if !matches!(from.rows, activations::Rows::Last) {
        return wrong("a trace keeps the last token at every step; its rows must be `last`".into());
    }
    capture_spec(info, from)
}

/// Checks a change of a model's states and where it applies.
pub fn intervention(info: &ModelInfo, from: activations::Intervention) -> Result<Intervention, Fault> {
    few_layers("an intervention", info, &from.layers)?;
    let (what, length) = match &from.change {
        activations::Change::Add(addition) => (ADDED, addition.vector.len()),
        activations::Change::ProjectOut(projection) => (TAKEN_OUT, projection.direction.len()),
    };
    if length != info.width as usize {
        return wrong(format!(
            "{what} has {length} numbers, and the residual stream of {} is {} wide",
            info.name, info.width
        ));
    }
    placed_change(from)
}

const ADDED: &str = "the vector to add";
const TAKEN_OUT: &str = "the direction to take out";

/// Checks the numbers of a change of states, of whatever model.
pub fn placed_change(from: activations::Intervention) -> Result<Intervention, Fault> {
    let change = match from.change {
        activations::Change::Add(addition) => {
            finite_vector(ADDED, &addition.vector, addition.coefficient)?;
            Change::Add { vector: addition.vector, coefficient: addition.coefficient }
        }
        activations::Change::ProjectOut(projection) => {
            finite_vector(TAKEN_OUT, &projection.direction, projection.coefficient)?;
            Change::ProjectOut { direction: projection.direction, coefficient: projection.coefficient }
        }
    };
    Ok(Intervention { layers: from.layers, site: site(from.site), change })
}

/// Checks a prompt and its answer.
pub fn example(limits: &Limits, from: gradients::Example) -> Result<Example, LimitReached> {
    check_text(limits, "a prompt", &from.prompt)?;
    check_text(limits, "a response", &from.response)?;
    Ok(Example { prompt: from.prompt, response: from.response })
}

/// Checks what importance to compute.
pub fn importance_request(
    examples: Vec<Example>,
    from: gradients::ImportanceSpec,
) -> Result<ImportanceRequest, Fault> {
    if !(from.fraction > 0.0 && from.fraction <= 1.0) {
        return wrong(format!("the fraction is {}; it must be above 0 and at most 1", from.fraction));
    }
    let modules = match from.modules {
        gradients::Modules::Mlp => Modules::Mlp,
        gradients::Modules::SelfAttn => Modules::SelfAttn,
        gradients::Modules::All => Modules::All,
    };
    let (fraction, drop_first_token) = (from.fraction, from.drop_first_token);
    Ok(ImportanceRequest { examples, fraction, modules, drop_first_token })
}

fn site(from: activations::Site) -> Site {
    match from {
        activations::Site::Residual => Site::Residual,
        activations::Site::Attention => Site::Attention,
        activations::Site::Mlp => Site::Mlp,
        activations::Site::FinalNorm => Site::FinalNorm,
    }
}

fn few_layers(what: &str, info: &ModelInfo, layers: &[u32]) -> Result<(), Fault> {
    // No site has more layers than the residual stream: one after each block, and the embedding.
    let most = info.layers.saturating_add(1);
    if layers.len() <= most as usize {
        return Ok(());
    }
    wrong(format!("{what} names {} layers; {} has at most {most}", layers.len(), info.name))
}

fn finite_vector(what: &str, vector: &[f32], coefficient: f32) -> Result<(), Fault> {
    if let Some(number) = vector.iter().chain([&coefficient]).find(|number| !number.is_finite()) {
        return wrong(format!("{what} or its coefficient has the number {number}; all must be finite"));
    }
    Ok(())
}

impl Budget<'_> {
    /// A list of tensors.
    pub fn tensors(
        &mut self,
        answer: Result<Vec<TensorInfo>, HostError>,
    ) -> Result<Vec<weights::TensorInfo>, types::Error> {
        let fits = |budget: &mut Self, tensors: &Vec<TensorInfo>| {
            tensors.iter().try_for_each(|tensor| {
                let texts = [tensor.name.as_str(), &tensor.quantisation];
                budget.take("the list of tensors", &texts, 24 + 8 * tensor.shape.len())
            })
        };
        let tensor = |from: TensorInfo| weights::TensorInfo {
            name: from.name,
            shape: from.shape,
            quantisation: from.quantisation,
        };
        self.hand(answer, fits, |tensors| tensors.into_iter().map(tensor).collect())
    }

    /// The most important weights of each matrix.
    pub fn importance(
        &mut self,
        answer: Result<Vec<MatrixImportance>, HostError>,
    ) -> Result<Vec<gradients::MatrixImportance>, types::Error> {
        let answer = answer.and_then(|matrices| match matrices.iter().find(|m| !is_sound(m)) {
            None => Ok(matrices),
            Some(odd) => Err(HostError::Engine(format!(
                "the importance of {} in block {} came back with {} indices and {} scores for {} entries",
                odd.name,
                odd.layer,
                odd.top.len(),
                odd.scores.len(),
                odd.size
            ))),
        });
        let fits = |budget: &mut Self, matrices: &Vec<MatrixImportance>| {
            matrices.iter().try_for_each(|matrix| {
                let size = 48 + 8 * matrix.top.len() + 4 * matrix.scores.len();
                budget.take("the list of important weights", &[&matrix.name], size)
            })
        };
        let matrix = |from: MatrixImportance| gradients::MatrixImportance {
            layer: from.layer,
            name: from.name,
            size: from.size,
            has_gradient: from.has_gradient,
            top: from.top,
            scores: from.scores,
        };
        self.hand(answer, fits, |matrices| matrices.into_iter().map(matrix).collect())
    }
}

/// A score for each index, and no index past the matrix.
fn is_sound(matrix: &MatrixImportance) -> bool {
    matrix.top.len() == matrix.scores.len() && matrix.top.iter().all(|index| *index < matrix.size)
}
