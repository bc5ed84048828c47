//! What may be set, and what may not be set together.

use serde::Deserialize;
use sonde_sdk::{Error, Parameter, Purpose as Kept};
use sonde_treatments::refusal_direction::Rule;

/// What is done with the direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is added to the states at the input of a block.
    #[default]
    Addition,
    /// It is taken out of the states, everywhere.
    Projection,
}

/// What for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To be used.
    #[default]
    Safety,
    /// To find out how easily refusal is taken away.
    RobustnessAudit,
}

/// What may be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    pub(crate) change: Change,
    pub(crate) coefficient: f32,
    pub(crate) layers: Option<Vec<u32>>,
    pub(crate) purpose: Purpose,
    pub(crate) positions: Option<u32>,
    pub(crate) refusal_words: Vec<String>,
    pub(crate) filter: bool,
    pub(crate) n_train: usize,
    pub(crate) n_val: usize,
    pub(crate) prune_layer_percentage: f64,
    pub(crate) kl_threshold: f64,
    pub(crate) induce_refusal_threshold: f64,
    pub(crate) kl_tokens: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        let rule = Rule::default();
        Self {
            change: Change::Addition,
            coefficient: 1.0,
            layers: None,
            purpose: Purpose::Safety,
            positions: None,
            refusal_words: Vec::new(),
            filter: true,
            n_train: 128,
            n_val: 32,
            prune_layer_percentage: rule.prune_layer_percentage,
            kl_threshold: rule.kl_threshold,
            induce_refusal_threshold: rule.induce_refusal_threshold,
            kl_tokens: 256,
        }
    }
}

impl Parameters {
    /// As the description lists them.
    pub fn described() -> [Parameter; 13] {
        [
            Parameter::one_of(
                "change",
                &["addition", "projection"],
                "addition",
                "addition adds coefficient · r to every token's state at the input of the chosen block; projection takes \
                 the direction out of the input of every block and of what every attention and MLP writes.",
            ),
            Parameter::number(
                "coefficient",
                1.0,
                "Of the addition, in units of the direction as found (above 0 towards refusal), or the share that is \
                 taken out.",
            ),
            Parameter::counts(
                "layers",
                "Blocks at which the change applies. Default: for an addition the block at whose input the direction was \
                 found, for a projection all.",
            ),
            Parameter::one_of(
                "purpose",
                &["safety", "robustness-audit"],
                "safety",
                "What takes refusal away (a projection, an addition with a coefficient below 0) needs robustness-audit, \
                 and then lives in this run's memory only.",
            ),
            Parameter::whole(
                "positions",
                "How many of a prompt's last tokens to look at. Default: those that the chat template puts after the \
                 instruction, as published.",
            ),
            Parameter::words(
                "refusal_words",
                &[],
                "First words of this model's refusals, one token each. Empty: found from its greedy replies to harmful \
                 prompts.",
            ),
            Parameter::flag(
                "filter",
                true,
                "Keep only harmful prompts that the model is inclined to refuse and harmless ones that it is not.",
            ),
            Parameter::count("n_train", 128, "Most prompts of each kind behind the directions."),
            Parameter::count("n_val", 32, "Most prompts of each kind behind a candidate's scores."),
            Parameter::number(
                "prune_layer_percentage",
                0.2,
                "Share of the last layers that is not considered, from 0 to below 1.",
            ),
            Parameter::number(
                "kl_threshold",
                0.1,
                "Largest mean KL divergence on harmless prompts, in nats.",
            ),
            Parameter::number(
                "induce_refusal_threshold",
                0.0,
                "Smallest mean refusal score on harmless prompts with the direction added.",
            ),
            Parameter::count(
                "kl_tokens",
                256,
                "Likeliest next tokens whose probabilities the KL divergence knows; the others share what is left over \
                 evenly. The size of the vocabulary, or more, makes it exact.",
            ),
        ]
    }

    /// The published rule with these thresholds.
    pub fn rule(&self) -> Rule {
        Rule {
            prune_layer_percentage: self.prune_layer_percentage,
            kl_threshold: self.kl_threshold,
            induce_refusal_threshold: self.induce_refusal_threshold,
        }
    }

    /// Refuses what makes no sense, and what takes refusal away without saying so.
    pub fn check(&self) -> Result<(), Error> {
        if !self.coefficient.is_finite() {
            return Err(format!("`coefficient` is {}; it must be finite", self.coefficient).into());
        }
        let what = match self.change {
            Change::Projection => Some("`change: projection`"),
            Change::Addition if self.coefficient < 0.0 => Some("an addition with a coefficient below 0"),
            Change::Addition => None,
        };
        if let (Some(what), Purpose::Safety) = (what, self.purpose) {
            return Err(format!(
                "{what} takes refusal away from the model; that is offered to measure how easily it goes: set `purpose: \
                 robustness-audit`, and the treatment lives in this run's memory only, or add the direction with a \
                 coefficient above 0"
            )
            .into());
        }
        let nothing = [("n_train", self.n_train == 0), ("n_val", self.n_val == 0)];
        let nothing = nothing.into_iter().chain([
            ("kl_tokens", self.kl_tokens == 0),
            ("positions", self.positions == Some(0)),
            ("layers", self.layers.as_ref().is_some_and(Vec::is_empty)),
        ]);
        if let Some((name, _)) = nothing.into_iter().find(|(_, nothing)| *nothing) {
            return Err(format!("`{name}` names nothing; it must be at least 1").into());
        }
        if !(0.0..1.0).contains(&self.prune_layer_percentage) {
            let share = self.prune_layer_percentage;
            return Err(format!("`prune_layer_percentage` is {share}; it must be from 0 to below 1").into());
        }
        Ok(())
    }
}

impl From<Purpose> for Kept {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Safety => Self::Safety,
            Purpose::RobustnessAudit => Self::RobustnessAudit,
        }
    }
}
