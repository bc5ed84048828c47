//! The strength: sizes of both signs are put in force, and the model's replies counted.

use sonde_sdk::{Error, Host, Model, Prompt, WhiteBox};
use sonde_treatments::rosi::{Choice, Trial, choose};

use crate::matrices::{Matrices, Strength};
use crate::parameters::Parameters;
use crate::prompts::{Requests, Wording};
use crate::replies::{self, Shares};

/// How the model did at one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Signed; 0 is the untreated model.
    pub size: f64,
    pub harmful: Shares,
    pub harmless: Shares,
}

impl Measured {
    fn trial(&self) -> Trial {
        Trial { strength: self.size, refusal: self.harmful.refusal(), compliance: self.harmless.compliance() }
    }
}

/// All that was tried.
#[derive(Debug)]
pub struct Sweep {
    pub untreated: Measured,
    pub tried: Vec<Measured>,
    pub choice: Choice,
}

impl Sweep {
    /// The chosen size; 0 where none is worth it.
    pub fn size(&self) -> f64 {
        match self.choice {
            Choice::Met(trial) | Choice::Best(trial) => trial.strength,
            Choice::Nothing => 0.0,
        }
    }

    /// How the model did at the chosen size.
    pub fn treated(&self) -> &Measured {
        self.tried.iter().find(|measured| measured.size == self.size()).unwrap_or(&self.untreated)
    }
}

/// Tries sizes from the smallest on, both signs of each, and ends with the first that meets the target, unless the whole
/// sweep is asked for.
///
/// # Errors
/// What the host cannot do.
pub fn sweep<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    (matrices, direction): (&Matrices, &[f64]),
    requests: &Requests,
    wording: &Wording<'_>,
    parameters: &Parameters,
) -> Result<Sweep, Error> {
    let mut sizes = parameters.sizes.clone();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let total = u64::try_from(1 + 2 * sizes.len()).unwrap_or(u64::MAX);
    let asked: Vec<String> = requests.harmful.iter().chain(&requests.harmless).cloned().collect();
    let prompts = wording.prompts(&asked);
    let (harmful, aim) = (requests.harmful.len(), parameters.aim());
    let untreated = measure(host, model, 0.0, (&asked, &prompts, harmful))?;
    let mut tried = Vec::new();
    for size in sizes {
        for size in [size, -size] {
            host.progress(1 + tried.len() as u64, total, "strengths tried");
            let edits = matrices.edits(direction, Strength::Size(size, parameters.scale))?;
            let edited = model.edit(&edits)?;
            tried.push(measure(host, &edited, size, (&asked, &prompts, harmful))?);
        }
        let met = tried.iter().any(|measured| aim.is_met_by(&measured.trial(), &untreated.trial()));
        if met && !parameters.whole_sweep {
            break;
        }
    }
    host.progress(total, total, "strengths tried");
    let trials: Vec<Trial> = tried.iter().map(Measured::trial).collect();
    Ok(Sweep { untreated, choice: choose(&trials, &untreated.trial(), &aim), tried })
}

fn measure<H: Host>(
    host: &H,
    model: &H::Model,
    size: f64,
    (asked, prompts, harmful): (&[String], &[Prompt], usize),
) -> Result<Measured, Error> {
    let replies = replies::ask(host, model, asked, prompts, &model.sampling())
        .map_err(|error| error.during(&format!("size {size} of the edit")))?;
    let (harmful, harmless) = replies.split_at(harmful.min(replies.len()));
    Ok(Measured { size, harmful: Shares::of(harmful), harmless: Shares::of(harmless) })
}
