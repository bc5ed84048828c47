//! The direction: the difference between the mean states of harmful and harmless prompts at the last prompt token, read in
//! one pass per prompt; and its layer, by the rule of Arditi et al. (2024), which ROSI names as its ancestor and for which
//! it has none of its own.

use sonde_sdk::{Error, Host, Model as _, WhiteBox};
use sonde_steering::candidates::{self, Validation};
use sonde_steering::refusals;
use sonde_treatments::refusal_direction::{Candidate, Directions, Place, Rejected};

use crate::parameters::Parameters;
use crate::prompts::{Requests, Wording};

/// s and where it was found.
#[derive(Debug)]
pub struct Found {
    pub layer: u32,
    /// Not normalised.
    pub vector: Vec<f64>,
    /// How the layer came about, unless it was given.
    pub chosen: Option<Chosen>,
}

/// Candidates and what became of them.
#[derive(Debug)]
pub struct Chosen {
    pub candidates: Vec<Candidate>,
    pub rejected: Rejected,
    /// With which the model's refusals begin.
    pub words: Vec<String>,
    /// The most probability, at any prompt, of tokens that the KL divergence does not know.
    pub left_over: f64,
}

/// Finds the direction at the given layer, or at the one that the rule picks.
///
/// # Errors
/// A layer that is not there or tells nothing, no layer that passes the rule, what the host cannot do.
pub fn find<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    requests: &Requests,
    held_out: &Requests,
    wording: &Wording<'_>,
    parameters: &Parameters,
) -> Result<Found, Error> {
    let info = model.info();
    let layers = match parameters.layer {
        Some(layer) if layer > info.layers => {
            return Err(Error::new(format!(
                "layer {layer} does not exist: {} has {} blocks, so the layers go from 0 (embeddings) to {}",
                info.name, info.layers, info.layers
            )));
        }
        Some(layer) => layer + 1,
        None => parameters.rule().first_pruned(info.layers),
    };
    let means =
        |requests, kind| candidates::means(host, model, &wording.prompts(requests), [1, layers], kind);
    let (harmful, harmless) = (means(&requests.harmful, "harmful")?, means(&requests.harmless, "harmless")?);
    let directions = Directions::between(&harmful, &harmless).map_err(said)?;
    let (layer, chosen) = match parameters.layer {
        Some(layer) => (layer, None),
        None => {
            let held_out = held_out.first(parameters.n_val);
            let (layer, chosen) = choose(host, model, &directions, &held_out, wording, parameters)?;
            (layer, Some(chosen))
        }
    };
    let vector = directions.at(Place { position: -1, layer }).unwrap_or_default().to_vec();
    if candidates::is_rounding(&vector) {
        return Err(Error::new(format!(
            "harmful and harmless prompts have the same mean state at layer {layer}: the prompts' last token is the chat \
             template's own, and tells nothing there; take a later `layer`"
        )));
    }
    Ok(Found { layer, vector, chosen })
}

fn choose<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    directions: &Directions,
    held_out: &Requests,
    wording: &Wording<'_>,
    parameters: &Parameters,
) -> Result<(u32, Chosen), Error> {
    let (harmful, harmless) = (wording.prompts(&held_out.harmful), wording.prompts(&held_out.harmless));
    let words = match parameters.refusal_words.as_slice() {
        [] => refusals::first_words(model, &harmful).map_err(|error| {
            Error::new(format!(
                "{error}; or give a `system_prompt` under which it refuses, or name a `layer`"
            ))
        })?,
        given => given.to_vec(),
    };
    refusals::check(model, harmful.first().ok_or("there is no harmful prompt")?, &words)?;
    let validation = Validation::new(model, &words, &harmful, &harmless, parameters.kl_tokens)?;
    let measured = candidates::measured(host, &validation, directions)?;
    let candidates: Vec<_> = measured.iter().map(|(place, scores)| scores.candidate(*place)).collect();
    let selection = parameters.rule().select(&candidates, model.info().layers).map_err(|error| {
        let scores: Vec<_> = candidates.iter().map(shown).collect();
        Error::new(format!("{error}. Or name a `layer`. Candidates: {}", scores.join("; ")))
    })?;
    let left_over = validation.left_over();
    let chosen = Chosen { rejected: selection.rejected, candidates, words, left_over };
    Ok((selection.best.place.layer, chosen))
}

/// A candidate's scores, for people.
pub fn shown(candidate: &Candidate) -> String {
    let Candidate { place, bypass, induce, kl } = candidate;
    format!("layer {}: bypass {bypass:.2}, induce {induce:.2}, KL {kl:.3}", place.layer)
}

fn said(error: sonde_treatments::refusal_direction::Error) -> Error {
    Error::new(error.to_string())
}
