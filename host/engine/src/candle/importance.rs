//! First-order importance of weights: |W| · Σ |∂L/∂W|, one pass forward and back per example.
//!
//! L is the mean cross-entropy of the response's tokens given all before them; the absolute value is taken before the
//! sum over the examples (SPIN; DeepScan's evaluator).

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sonde_contract::{HostError, ImportanceRequest, MatrixImportance, Modules};

use super::gradients::{Gradients, Pack, ROOM};
use super::loss::{Head, Targets};
use super::names::Module;
use super::positions::Positions;
use super::prompts::{Prompts, check_length};
use super::tape::Tape;
use super::transformer::Transformer;
use super::work::{Counters, Work, failed};
use crate::inside::ids;
use crate::tokenize::Tokenize as _;

/// An example as tokens.
pub(crate) struct Sequence {
    tokens: Vec<u32>,
    /// Where the tokens begin that the loss is taken over; at least 1.
    start: usize,
}

/// Reads and checks a request's examples.
pub(crate) fn sequences(
    prompts: &Prompts,
    info: &sonde_contract::ModelInfo,
    request: &ImportanceRequest,
) -> Result<Vec<Sequence>, HostError> {
    let wrong = |what: String| Err(HostError::InvalidArgument(what));
    if !(request.fraction > 0.0 && request.fraction <= 1.0) {
        return wrong(format!("`fraction` is {}; it must lie above 0 and at most at 1", request.fraction));
    }
    if request.examples.is_empty() {
        return wrong("importance needs at least one example".to_owned());
    }
    let sequence = |(number, example): (usize, &sonde_contract::Example)| {
        let prompt = prompts.tokens.tokenize(&example.prompt, true, true)?;
        let response = prompts.tokens.tokenize(&example.response, false, true)?;
        let dropped = usize::from(request.drop_first_token);
        // Nothing comes before a sequence's first token, so it has no probability.
        let start = prompt.len().max(1);
        let whole = [prompt.as_slice(), response.get(dropped..).unwrap_or_default()].concat();
        if whole.len() <= start {
            return Err(HostError::InvalidArgument(format!(
                "example {} has no response token to take the loss over{}",
                number + 1,
                if dropped > 0 { " once the first is dropped" } else { "" }
            )));
        }
        check_length(whole.len(), info)?;
        Ok(Sequence { tokens: ids(&whole), start })
    };
    request.examples.iter().enumerate().map(sequence).collect()
}

/// The modules of every block that a request is about.
pub(crate) fn places(transformer: &Transformer, modules: Modules) -> Vec<(usize, Module)> {
    let attention = (modules != Modules::Mlp).then_some(Module::ATTENTION);
    let mlp = (modules != Modules::SelfAttn).then_some(Module::MLP);
    let wanted: Vec<Module> = attention.into_iter().flatten().chain(mlp.into_iter().flatten()).collect();
    (0..transformer.blocks.len())
        .flat_map(|block| wanted.iter().map(move |module| (block, *module)))
        .collect()
}

/// Where logits are computed; the loss is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logits {
    /// Where a token of the response is predicted.
    Response,
    /// Everywhere, as Hugging Face's models do.
    Everywhere,
}

/// Importance of these matrices, in their order.
pub(crate) fn importance(
    work: &Work,
    sequences: &[Sequence],
    places: &[(usize, Module)],
    fraction: f64,
    logits: Logits,
) -> Result<Vec<MatrixImportance>, HostError> {
    let transformer = work.transformer;
    let size =
        |(block, module): (usize, Module)| Some(transformer.blocks.get(block)?.module(module).matrix.size());
    let sized = places.iter().filter_map(|place| Some((*place, size(*place)?)));
    let tape = Tape::new(sized);
    for sequence in sequences {
        work.check_wanted()?;
        Counters::add(&work.counters.prompt, sequence.tokens.len());
        there_and_back(work, sequence, &tape, logits).map_err(failed)?;
    }
    work.check_wanted()?;
    let ranked = tape.finish().collect::<Vec<_>>().into_par_iter().filter_map(|((block, module), sum)| {
        let weights = transformer.blocks.get(block)?.module(module).matrix.dense();
        let weights = weights.and_then(|weights| weights.flatten_all()?.to_vec1());
        Some(weights.map(|weights: Vec<f32>| rank(block, module, &weights, sum, fraction)).map_err(failed))
    });
    ranked.collect()
}

/// One example.
fn there_and_back(work: &Work, sequence: &Sequence, tape: &Tape, logits: Logits) -> candle_core::Result<()> {
    let (transformer, changes) = (work.transformer, work.changes);
    let gradients = Gradients { transformer, changes, first: tape.first(), room: ROOM };
    // The last token predicts nothing that is asked about.
    let read = sequence.tokens.len() - 1;
    let tokens = sequence.tokens.get(..read).unwrap_or_default().to_vec();
    let positions = Positions::packed(&work.transformer.description, vec![read])?;
    let packs = [Pack { tokens, positions, beside: Some(tape) }];
    let first = sequence.start - 1;
    let unasked = if logits == Logits::Everywhere { first } else { 0 };
    let asked = sequence.tokens.get(sequence.start..).unwrap_or_default();
    let targets: Vec<u32> = std::iter::repeat_n(0, unasked).chain(asked.iter().copied()).collect();
    let weights: Vec<f64> = std::iter::repeat_n(0.0, unasked)
        .chain(std::iter::repeat_n(1.0 / asked.len() as f64, asked.len()))
        .collect();
    let begin = u32::try_from(first - unasked).unwrap_or(u32::MAX);
    let rows = Tensor::arange(begin, u32::try_from(read).unwrap_or(u32::MAX), &Device::Cpu)?;

    let head = Head::of(work.transformer)?;
    let journeys = gradients.there(&packs)?.into_iter().map(|journey| {
        let before = journey.state.index_select(&rows, 0)?;
        let (_, gradient) = head.loss(&gradients.normed(&before)?, &Targets::Tokens(&targets), &weights)?;
        let gradient = gradients.before_norm(read, &rows, &before, gradient)?;
        Ok((journey, Some(gradient)))
    });
    let journeys = journeys.collect::<candle_core::Result<Vec<_>>>()?;
    gradients.back(&packs, journeys)
}

/// The most important entries of a matrix.
fn rank(block: usize, module: Module, weights: &[f32], sum: Vec<f32>, fraction: f64) -> MatrixImportance {
    let has_gradient = sum.par_iter().any(|gradient| *gradient > 0.0);
    let mut scores = sum;
    scores.par_iter_mut().zip(weights).for_each(|(score, weight)| *score *= weight.abs());
    let top = if has_gradient { top(&scores, fraction) } else { Vec::new() };
    let score = |index: &u64| usize::try_from(*index).ok().and_then(|index| scores.get(index).copied());
    MatrixImportance {
        layer: u32::try_from(block).unwrap_or(u32::MAX),
        name: module.name().to_owned(),
        size: scores.len() as u64,
        has_gradient,
        scores: top.iter().filter_map(score).collect(),
        top,
    }
}

/// Indices of the ⌊fraction · size⌋ largest, the largest first, equal ones ascending.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the floor of a number between 0 and the size is what is wanted"
)]
fn top(scores: &[f32], fraction: f64) -> Vec<u64> {
    let count = ((fraction * scores.len() as f64) as usize).min(scores.len());
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let mut ranked = scores.to_vec();
    // The least score that is still named; looked for among the numbers alone, which is faster than among indices.
    let (_, least, _) = ranked.select_nth_unstable_by(last, |a, b| b.total_cmp(a));
    let least = *least;
    let places = || (0_u64..).zip(scores.iter().copied());
    let mut named: Vec<(u64, f32)> = places().filter(|(_, score)| *score > least).collect();
    let left = count - named.len();
    named.extend(places().filter(|(_, score)| *score == least).take(left));
    named.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    named.into_iter().map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_named_in_ascending_order() {
        assert_eq!(top(&[1.0, 3.0, 2.0, 3.0, 0.0], 0.6), [1, 3, 2]);
        assert_eq!(top(&[1.0; 10], 0.39), [0, 1, 2]);
        assert_eq!(top(&[1.0; 10], 0.09), [0; 0]);
        assert_eq!(top(&[1.0, 2.0], 1.0), [1, 0]);
    }

    #[test]
    fn a_matrix_without_gradient_has_no_candidates() {
        let found = rank(0, Module::Gate, &[1.0, 2.0], vec![0.0, 0.0], 1.0);
        assert!(!found.has_gradient && found.top.is_empty() && found.scores.is_empty());
        assert_eq!((found.size, found.name.as_str()), (2, "mlp.gate_proj"));
    }
}
