//! The directions, and how each does: three passes over validation prompts.

use sonde_sdk::{CaptureSpec, Error, Host, Intervention, Model as _, Prompt, Rows, Sampling, Site, WhiteBox};
use sonde_treatments::refusal_direction::{Candidate, Directions, Likeliest, Means, Place};

use crate::refusals;

/// Prompts captured in one call.
const AT_ONCE: usize = 64;
/// Below this length a direction is rounding: at the input of block 0 the states after the instruction are those of the
/// template's own tokens, the same in every prompt.
const SHORTEST: f64 = 1e-9;

/// Sums the states of prompts at the inputs of the first `layers` blocks, at their last `positions` tokens; in one pass
/// per prompt.
///
/// # Errors
/// What the host cannot do, with the number of the prompt.
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
        for (row, captured) in model.capture(chunk, &spec).into_iter().enumerate() {
            let during = || format!("{kind} prompt {}", at * AT_ONCE + row);
            let captured = captured.map_err(|error| Error::from(error).during(&during()))?;
            for layer in 0..layers {
                let added = means.add(layer as usize, &captured.read(layer)?);
                added.map_err(|error| Error::new(error.to_string()).during(&during()))?;
            }
        }
    }
    host.progress(total, total, &format!("{kind} prompts read"));
    Ok(means)
}

/// The scores of one direction, or of none, on each validation prompt.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Refusal scores of the harmful prompts, with the direction taken out.
    pub bypass: Vec<f64>,
    /// Refusal scores of the harmless prompts, with it added.
    pub induce: Vec<f64>,
    /// KL divergences on the harmless prompts, with it taken out.
    pub kl: Vec<f64>,
}

impl Scores {
    /// As the rule compares them.
    pub fn candidate(&self, place: Place) -> Candidate {
        let [bypass, induce, kl] = [&self.bypass, &self.induce, &self.kl].map(|scores| mean(scores));
        Candidate { place, bypass, induce, kl }
    }
}

/// What directions are measured with.
pub struct Validation<'a, M> {
    model: &'a M,
    words: &'a [String],
    harmful: &'a [Prompt],
    harmless: &'a [Prompt],
    next: Sampling,
    /// Of the unmodified model, on the harmless prompts.
    next_tokens: Vec<Likeliest>,
    /// The scores of the unmodified model.
    pub unmodified: Scores,
}

impl<'a, M: WhiteBox> Validation<'a, M> {
    /// Measures the unmodified model. `words` are those with which its refusals begin, one token each; `kl_tokens` is how
    /// many of the likeliest next tokens the KL divergence knows.
    ///
    /// # Errors
    /// What the host cannot do, and a model that ends its turn at once on a harmless prompt.
    pub fn new(
        model: &'a M,
        words: &'a [String],
        harmful: &'a [Prompt],
        harmless: &'a [Prompt],
        kl_tokens: u32,
    ) -> Result<Self, Error> {
        let next = Sampling { logprobs: Some(kl_tokens), ..refusals::greedy(model, 1) };
        let unmodified = Scores {
            bypass: refusals::scores(model, harmful, words)?,
            induce: refusals::scores(model, harmless, words)?,
            kl: vec![0.0; harmless.len()],
        };
        let mut made = Self { model, words, harmful, harmless, next, next_tokens: Vec::new(), unmodified };
        let found: Option<Vec<_>> = made.distributions(model)?.into_iter().collect();
        made.next_tokens =
            found.ok_or("the model ends its turn at once on a harmless prompt; leave it out")?;
        Ok(made)
    }

    /// The largest probability that the likeliest tokens of the unmodified model leave over.
    pub fn left_over(&self) -> f64 {
        self.next_tokens.iter().map(Likeliest::left_over).fold(0.0, f64::max)
    }

    /// The scores of a direction that was found at the input of a block.
    ///
    /// # Errors
    /// What the host cannot do.
    pub fn measure(&self, layer: u32, direction: &[f64]) -> Result<Scores, Error> {
        if is_rounding(direction) {
            // Nothing changes: r̂ = r / (‖r‖ + 1e-8) is next to nothing.
            return Ok(self.unmodified.clone());
        }
        let ablated = self.model.intervene(&ablation(direction, 0..self.model.info().layers, 1.0))?;
        let addition = Intervention::add(Site::Residual, [layer], narrowed(direction), 1.0);
        let added = self.model.intervene(&[addition])?;
        Ok(Scores {
            bypass: refusals::scores(&ablated, self.harmful, self.words)?,
            induce: refusals::scores(&added, self.harmless, self.words)?,
            kl: self.divergences(&ablated)?,
        })
    }

    /// Divergence on each harmless prompt. NaN where the changed model has no distribution to compare.
    fn divergences(&self, changed: &M) -> Result<Vec<f64>, Error> {
        let changed = self.distributions(changed)?;
        let divergence = |(unmodified, changed): (&Likeliest, &Option<Likeliest>)| match changed {
            Some(changed) => unmodified.kl_divergence(changed),
            None => Ok(f64::NAN),
        };
        let found: Result<Vec<f64>, _> = self.next_tokens.iter().zip(&changed).map(divergence).collect();
        found.map_err(|error| Error::new(error.to_string()))
    }

    /// The next-token distribution after each harmless prompt; none where the model ends its turn at once, or where its
    /// probabilities are no numbers.
    fn distributions(&self, model: &M) -> Result<Vec<Option<Likeliest>>, Error> {
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

/// Of scores.
pub fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// Every direction's scores, in the order in which they are compared.
///
/// # Errors
/// What the host cannot do.
pub fn measured<H: Host<Model: WhiteBox>>(
    host: &H,
    validation: &Validation<'_, H::Model>,
    directions: &Directions,
) -> Result<Vec<(Place, Scores)>, Error> {
    let total = directions.places().count() as u64;
    let mut measured = Vec::new();
    for (done, place) in (0..).zip(directions.places()) {
        host.progress(done, total, "directions measured");
        let direction = directions.at(place).ok_or("a direction is missing")?;
        measured.push((place, validation.measure(place.layer, direction)?));
    }
    host.progress(total, total, "directions measured");
    Ok(measured)
}
