//! The layer: the rule of Arditi et al. (2024) on the directions at the last prompt token. ROSI names that paper as its
//! ancestor and gives no rule of its own.

use std::collections::BTreeMap;

use sonde_sdk::{Completion, Error, Finish, Host, Intervention, Model, Prompt, Sampling, Site, WhiteBox};
use sonde_treatments::refusal_direction::{
    Candidate, Likeliest, Place, Rejected, Rule, refusal_score_of_logprobs,
};

use crate::extraction::Direction;
use crate::prompts::{Requests, Wording};
use crate::replies::{self, Reply};

/// Tokens whose probability is asked for at a position. What is left over is spread evenly over the others, and said.
const LISTED: u32 = 512;
/// A token opens refusals if this share of them begins with it.
const COMMON: f64 = 0.1;

/// How the layer came about.
#[derive(Debug)]
pub struct Chosen {
    pub best: Candidate,
    pub candidates: Vec<Candidate>,
    pub rejected: Rejected,
    /// Tokens with which refusals begin.
    pub openings: Vec<u32>,
    /// The most probability, at any prompt, of tokens that are not listed.
    pub left_over: f64,
}

/// Scores every direction and picks one.
///
/// # Errors
/// No direction passes the rule, or the refusals' first tokens are not known.
pub fn choose<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    directions: &[Direction],
    requests: &Requests,
    wording: &Wording<'_>,
    (rule, openings): (&Rule, Option<&[u32]>),
) -> Result<Chosen, Error> {
    let info = model.info();
    let (harmful, harmless) = (wording.prompts(&requests.harmful), wording.prompts(&requests.harmless));
    let openings = match openings {
        Some(openings) => openings.to_vec(),
        None => openings_of(host, model, &requests.harmful, &harmful)?,
    };
    let before = next_tokens(model, &harmless, &openings)?;
    let all: Vec<Prompt> = harmful.iter().chain(&harmless).cloned().collect();
    let mut left_over = before.iter().map(Next::left_over).fold(0.0, f64::max);
    let mut candidates = Vec::new();
    let total = u64::try_from(directions.len()).unwrap_or(u64::MAX);
    for (done, direction) in (0..).zip(directions) {
        host.progress(done, total, "layers compared");
        let vector: Vec<f32> = direction.vector.iter().map(|number| *number as f32).collect();
        let ablated = next_tokens(&model.intervene(&ablation(&vector, info.layers))?, &all, &openings)?;
        let (ablated_harmful, ablated_harmless) = ablated.split_at(harmful.len().min(ablated.len()));
        let addition = Intervention::add(Site::Residual, [direction.layer], vector, 1.0);
        let induced = next_tokens(&model.intervene(&[addition])?, &harmless, &openings)?;
        let kl = before.iter().zip(ablated_harmless).map(|(p, q)| p.kl(q)).collect::<Result<Vec<_>, _>>()?;
        left_over = ablated_harmless.iter().map(Next::left_over).fold(left_over, f64::max);
        candidates.push(Candidate {
            place: Place { position: -1, layer: direction.layer },
            bypass: mean(ablated_harmful.iter().map(|next| next.refusal)),
            induce: mean(induced.iter().map(|next| next.refusal)),
            kl: mean(kl.into_iter()),
        });
    }
    host.progress(total, total, "layers compared");
    let selection = rule.select(&candidates, info.layers).map_err(|error| {
        let scores: Vec<_> = candidates.iter().map(shown).collect();
        Error::new(format!("{error}. Or name a `layer`. Candidates: {}", scores.join("; ")))
    })?;
    Ok(Chosen { best: selection.best, candidates, rejected: selection.rejected, openings, left_over })
}

/// A candidate's scores, for people.
pub fn shown(candidate: &Candidate) -> String {
    let Candidate { place, bypass, induce, kl } = candidate;
    format!("layer {}: bypass {bypass:.2}, induce {induce:.2}, KL {kl:.3}", place.layer)
}

/// The direction taken out at the input of every block and of what its attention and its MLP write.
fn ablation(direction: &[f32], blocks: u32) -> [Intervention; 3] {
    [Site::Residual, Site::Attention, Site::Mlp]
        .map(|site| Intervention::project_out(site, 0..blocks, direction, 1.0))
}

/// What the model would say next.
struct Next {
    /// None where it would end its turn at once: then no distribution is told.
    likeliest: Option<Likeliest>,
    /// Refusal score.
    refusal: f64,
}

impl Next {
    fn left_over(&self) -> f64 {
        self.likeliest.as_ref().map_or(0.0, Likeliest::left_over)
    }

    /// NaN, which the rule rejects, where one distribution is not told.
    fn kl(&self, changed: &Self) -> Result<f64, Error> {
        match (&self.likeliest, &changed.likeliest) {
            (Some(p), Some(q)) => p.kl_divergence(q).map_err(|error| Error::new(error.to_string())),
            _ => Ok(f64::NAN),
        }
    }
}

fn next_tokens<M: Model>(model: &M, prompts: &[Prompt], openings: &[u32]) -> Result<Vec<Next>, Error> {
    let vocabulary = model.info().vocabulary;
    let sampling = Sampling {
        max_tokens: 1,
        temperature: 0.0,
        stop: Vec::new(),
        grammar: None,
        logprobs: Some(LISTED.min(vocabulary)),
        ..model.sampling()
    };
    let next = |completion: Result<Completion, _>| {
        let completion = completion.map_err(Error::from)?;
        if completion.finish == Finish::Cancelled {
            return Err(Error::new("the run was interrupted while layers were compared"));
        }
        let Some(position) = completion.logprobs.first() else {
            return Ok(Next { likeliest: None, refusal: f64::NAN });
        };
        let top = || position.top.iter().map(|one| (one.token, f64::from(one.logprob)));
        let likeliest = Likeliest::new(vocabulary as usize, top());
        let likeliest = likeliest.map_err(|error| Error::new(error.to_string()))?;
        let refusing = top().filter(|(token, _)| openings.contains(token)).map(|(_, logprob)| logprob);
        Ok(Next { likeliest: Some(likeliest), refusal: refusal_score_of_logprobs(refusing) })
    };
    let completions = model.generate(prompts, &sampling);
    if completions.len() != prompts.len() {
        return Err(Error::new("the host did not give one answer for each prompt"));
    }
    completions.into_iter().map(next).collect()
}

/// The tokens with which the model's own greedy refusals begin.
fn openings_of<H: Host>(
    host: &H,
    model: &H::Model,
    requests: &[String],
    prompts: &[Prompt],
) -> Result<Vec<u32>, Error> {
    let sampling = Sampling { temperature: 0.0, ..model.sampling() };
    let replies = replies::ask(host, model, requests, prompts, &sampling)?;
    let refusals: Vec<&Reply> = replies.iter().filter(|reply| reply.refused == Ok(true)).collect();
    if refusals.iter().any(|reply| reply.reasoned) {
        return Err(Error::new(
            "the model thinks before it refuses, so that its refusals' first token is no sign of them; set `thinking: \
             false` in the model's sampling, or name a `layer`",
        ));
    }
    let mut counts = BTreeMap::<u32, usize>::new();
    for opening in refusals.iter().filter_map(|reply| reply.opening) {
        *counts.entry(opening).or_default() += 1;
    }
    let enough = COMMON * refusals.len() as f64;
    let openings: Vec<u32> =
        counts.into_iter().filter(|(_, count)| *count as f64 >= enough).map(|(token, _)| token).collect();
    if openings.is_empty() {
        return Err(Error::new(format!(
            "the model refuses none of {} harmful prompts, so that how its refusals begin is not known; give a \
             `system_prompt` under which it refuses, name `refusal_tokens`, or name a `layer`",
            requests.len()
        )));
    }
    Ok(openings)
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len();
    numbers.sum::<f64>() / count as f64
}
