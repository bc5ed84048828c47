//! The directions, and how each does: three passes over validation prompts.

use sonde_sdk::{CaptureSpec, Error, Host, Intervention, Model as _, Prompt, Rows, Sampling, Site, WhiteBox};
use sonde_treatments::refusal_direction::{Candidate, Directions, Likeliest, Means, Place};

use crate::refusals;

/// Prompts captured in one call.
const AT_ONCE: usize = 16;
/// Below this length a direction is rounding: at the input of block 0 the states after the instruction are those of the
/// template's own tokens, the same in every prompt.
const SHORTEST: f64 = 1e-9;

/// Sums the states of prompts at the inputs of the first `layers` blocks, at their last `positions` tokens.
pub fn means<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    prompts: &[Prompt],
    [positions, layers]: [u32; 2],
    kind: &str,
) -> Result<Means, Error> {
    let back = i32::try_from(positions).map_err(|_| "there are too many positions")?;
    let spec = CaptureSpec::new(Site::Residual, 0..layers).rows(Rows::At((-back..0).collect()));
    let mut means = Means::new(positions as usize, layers as usize, model.info().width as usize);
    let total = prompts.len() as u64;
    for (at, chunk) in prompts.chunks(AT_ONCE).enumerate() {
        host.progress((at * AT_ONCE) as u64, total, &format!("{kind} prompts read"));
        for (row, captured) in chunk.iter().zip(model.capture(chunk, &spec)).enumerate() {
            let during = || format!("{kind} prompt {}", at * AT_ONCE + row);
            let captured = captured.1.map_err(|error| Error::from(error).during(&during()))?;
            for layer in 0..layers {
                let added = means.add(layer as usize, &captured.read(layer)?);
                added.map_err(|error| Error::new(error.to_string()).during(&during()))?;
            }
        }
    }
    host.progress(total, total, &format!("{kind} prompts read"));
    Ok(means)
}

/// What candidates are measured with.
pub struct Validation<'a, M> {
    pub model: &'a M,
    pub words: &'a [String],
    pub harmful: &'a [Prompt],
    pub harmless: &'a [Prompt],
    next: Sampling,
    /// Of the unmodified model, on the harmless prompts.
    unmodified: Vec<Likeliest>,
    /// Mean refusal scores of the unmodified model.
    pub baseline: Baseline,
}

/// How the unmodified model does on the validation prompts.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    pub harmful: f64,
    pub harmless: f64,
    /// How many prompts of each kind.
    pub prompts: [u64; 2],
    /// The largest probability that the likeliest tokens left over.
    pub left_over: f64,
}

impl<'a, M: WhiteBox> Validation<'a, M> {
    /// Measures the unmodified model.
    pub fn new(
        model: &'a M,
        words: &'a [String],
        harmful: &'a [Prompt],
        harmless: &'a [Prompt],
        kl_tokens: u32,
    ) -> Result<Self, Error> {
        let next = Sampling { logprobs: Some(kl_tokens), ..refusals::greedy(model, 1) };
        let baseline = Baseline {
            harmful: mean(&refusals::scores(model, harmful, words)?),
            harmless: mean(&refusals::scores(model, harmless, words)?),
            prompts: [harmful.len() as u64, harmless.len() as u64],
            left_over: 0.0,
        };
        let mut made = Self { model, words, harmful, harmless, next, unmodified: Vec::new(), baseline };
        let found: Option<Vec<_>> = made.next_tokens(model)?.into_iter().collect();
        made.unmodified =
            found.ok_or("the model ends its turn at once on a harmless prompt; leave it out")?;
        made.baseline.left_over = made.unmodified.iter().map(Likeliest::left_over).fold(0.0, f64::max);
        Ok(made)
    }

    /// The three scores of a direction.
    pub fn measure(&self, place: Place, direction: &[f64]) -> Result<Candidate, Error> {
        if is_rounding(direction) {
            // Nothing changes: r̂ = r / (‖r‖ + 1e-8) is next to nothing.
            let Baseline { harmful: bypass, harmless: induce, .. } = self.baseline;
            return Ok(Candidate { place, bypass, induce, kl: 0.0 });
        }
        let layers = self.model.info().layers;
        let ablated = self.model.intervene(&ablation(direction, 0..layers, 1.0))?;
        let bypass = mean(&refusals::scores(&ablated, self.harmful, self.words)?);
        let kl = self.divergence(&ablated)?;
        let addition = Intervention::add(Site::Residual, [place.layer], narrowed(direction), 1.0);
        let added = self.model.intervene(&[addition])?;
        let induce = mean(&refusals::scores(&added, self.harmless, self.words)?);
        Ok(Candidate { place, bypass, induce, kl })
    }

    /// Mean divergence on the harmless prompts. NaN where the changed model has no distribution to compare.
    fn divergence(&self, changed: &M) -> Result<f64, Error> {
        let mut divergences = Vec::with_capacity(self.unmodified.len());
        for (unmodified, changed) in self.unmodified.iter().zip(self.next_tokens(changed)?) {
            let Some(changed) = changed else { return Ok(f64::NAN) };
            let found = unmodified.kl_divergence(&changed);
            divergences.push(found.map_err(|error| Error::new(error.to_string()))?);
        }
        Ok(mean(&divergences))
    }

    /// The next-token distribution after each harmless prompt; none where the model ends its turn at once, or where its
    /// probabilities are no numbers.
    fn next_tokens(&self, model: &M) -> Result<Vec<Option<Likeliest>>, Error> {
        let vocabulary = self.model.info().vocabulary as usize;
        let mut found = Vec::with_capacity(self.harmless.len());
        for reply in model.generate(self.harmless, &self.next) {
            let reply = reply?;
            let top = reply.logprobs.first().map(|position| position.top.as_slice());
            let top = top.map(|top| top.iter().map(|listed| (listed.token, f64::from(listed.logprob))));
            found.push(top.and_then(|top| Likeliest::new(vocabulary, top).ok()));
        }
        if found.len() != self.harmless.len() {
            return Err(Error::new("the host did not answer for every prompt"));
        }
        Ok(found)
    }
}

/// Takes a direction out of the input of these blocks, and of what their attention and MLP write.
pub fn ablation(
    direction: &[f64],
    layers: impl IntoIterator<Item = u32>,
    coefficient: f32,
) -> [Intervention; 3] {
    let layers: Vec<u32> = layers.into_iter().collect();
    // At unit length, so that a short direction keeps its digits.
    let norm = norm(direction);
    let unit: Vec<f64> = direction.iter().map(|r| r / norm).collect();
    [Site::Residual, Site::Attention, Site::Mlp]
        .map(|site| Intervention::project_out(site, layers.iter().copied(), narrowed(&unit), coefficient))
}

/// Whether a direction is zero up to rounding.
pub fn is_rounding(direction: &[f64]) -> bool {
    norm(direction) < SHORTEST
}

/// ‖r‖.
pub fn norm(direction: &[f64]) -> f64 {
    direction.iter().map(|r| r * r).sum::<f64>().sqrt()
}

/// As the contract has it.
pub fn narrowed(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|number| *number as f32).collect()
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// Every direction's scores, in the order in which they are compared.
pub fn measured<H: Host<Model: WhiteBox>>(
    host: &H,
    validation: &Validation<'_, H::Model>,
    directions: &Directions,
) -> Result<Vec<Candidate>, Error> {
    let total = directions.places().count() as u64;
    let mut candidates = Vec::new();
    for (done, place) in (0..).zip(directions.places()) {
        host.progress(done, total, "directions measured");
        let direction = directions.at(place).ok_or("a direction is missing")?;
        candidates.push(validation.measure(place, direction)?);
    }
    host.progress(total, total, "directions measured");
    Ok(candidates)
}
