//! What may be set.

use serde::Deserialize;
use sonde_sdk::{Error, Parameter};
use sonde_treatments::refusal_direction::Rule;
use sonde_treatments::rosi::Aim;

/// The sizes tried, each with both signs: half octaves from one per cent of a matrix to two thirds of it. Useful ones lie
/// between a few per cent, in models of billions of parameters, and a quarter, in one of a few million, where the next
/// octave already costs compliance.
const SIZES: [f64; 13] = [0.01, 0.014, 0.02, 0.028, 0.04, 0.057, 0.08, 0.113, 0.16, 0.226, 0.32, 0.453, 0.64];

/// What may be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    pub(crate) layer: Option<u32>,
    pub(crate) alpha: Option<f64>,
    pub(crate) sizes: Vec<f64>,
    pub(crate) scale: Scale,
    pub(crate) whole_sweep: bool,
    pub(crate) refusal_target: f64,
    pub(crate) compliance_bound: f64,
    pub(crate) calibration_share: f64,
    pub(crate) system_prompt: String,
    pub(crate) n_val: usize,
    pub(crate) refusal_words: Vec<String>,
    pub(crate) kl_threshold: f64,
    pub(crate) induce_refusal_threshold: f64,
    pub(crate) kl_tokens: u32,
    pub(crate) thinking: bool,
    pub(crate) sign_prompts: usize,
}

/// How one size becomes the alpha of each matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Each matrix has the alpha that changes it by this share.
    #[default]
    Relative,
    /// One alpha for all, which changes them by this share on average.
    Common,
}

impl Default for Parameters {
    fn default() -> Self {
        let rule = Rule::default();
        Self {
            layer: None,
            alpha: None,
            sizes: SIZES.to_vec(),
            scale: Scale::Relative,
            whole_sweep: false,
            refusal_target: 0.9,
            compliance_bound: 5.0,
            calibration_share: 0.3,
            system_prompt: String::new(),
            n_val: 32,
            refusal_words: Vec::new(),
            kl_threshold: rule.kl_threshold,
            induce_refusal_threshold: rule.induce_refusal_threshold,
            kl_tokens: 256,
            thinking: false,
            sign_prompts: 4,
        }
    }
}

impl Parameters {
    /// As the description lists them.
    pub fn described() -> [Parameter; 16] {
        let rule = Rule::default();
        [
            Parameter::whole(
                "layer",
                "Layer of the residual stream at which the direction is taken: 0 is the embedding, i the output of block \
                 i−1. Default: chosen by the rule of Arditi et al.",
            ),
            Parameter::real(
                "alpha",
                "The published form: this alpha for every matrix, without calibration. Default: calibrated.",
            ),
            Parameter::numbers(
                "sizes",
                &SIZES,
                "Sizes of the edit to try, each with both signs, as shares of a matrix: ‖W' − W‖ / ‖W‖ (Frobenius).",
            ),
            Parameter::one_of(
                "scale",
                &["relative", "common"],
                "relative",
                "relative: each matrix gets the alpha that changes it by this size; common: one alpha for all, as \
                 published, that changes them by this size on average.",
            ),
            Parameter::flag(
                "whole_sweep",
                false,
                "Whether to try the larger sizes too after one has met the target.",
            ),
            Parameter::number(
                "refusal_target",
                0.9,
                "The share of harmful calibration prompts to be refused.",
            ),
            Parameter::number(
                "compliance_bound",
                5.0,
                "Points by which the share of harmless calibration prompts that are answered may fall.",
            ),
            Parameter::number(
                "calibration_share",
                0.3,
                "The share of `harmful` and of `harmless`, from the end, that is held out for the calibration and the \
                 choice of the layer, where no dataset of its own is bound for that.",
            ),
            Parameter::text(
                "system_prompt",
                "",
                "Instructions above the prompts while direction and layer are found, for models that do not refuse by \
                 themselves. Absent when strengths are tried.",
            ),
            Parameter::count("n_val", 32, "Most prompts of each kind on which layers are compared."),
            Parameter::words(
                "refusal_words",
                &[],
                "First words of this model's refusals, one token each. Empty: found from its greedy replies to harmful \
                 prompts.",
            ),
            Parameter::number(
                "kl_threshold",
                rule.kl_threshold,
                "A layer is left out whose direction, taken out of the model, moves harmless prompts' next token further \
                 than this (mean KL divergence, nats).",
            ),
            Parameter::number(
                "induce_refusal_threshold",
                rule.induce_refusal_threshold,
                "A layer is left out whose direction, added, leaves harmless prompts' mean refusal score below this.",
            ),
            Parameter::count(
                "kl_tokens",
                256,
                "Likeliest next tokens whose probabilities the KL divergence knows; the others share what is left over \
                 evenly.",
            ),
            Parameter::flag(
                "thinking",
                false,
                "Whether the chat template is asked to let the model think, while direction and layer are found.",
            ),
            Parameter::count(
                "sign_prompts",
                4,
                "Prompts of each kind for the sign statistics of w̄·x; 0 leaves them out.",
            ),
        ]
    }

    /// # Errors
    /// A number out of its range, by name.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(what));
        if self.sizes.is_empty() || !self.sizes.iter().all(|size| size.is_finite() && *size > 0.0) {
            return wrong(
                "`sizes` must be positive numbers, one at least; each is tried with both signs".into(),
            );
        }
        if self.alpha.is_some_and(|alpha| !alpha.is_finite()) {
            return wrong("`alpha` must be a finite number".into());
        }
        if !(0.0..=1.0).contains(&self.refusal_target) {
            return wrong(format!("`refusal_target` is a share from 0 to 1, not {}", self.refusal_target));
        }
        if !(0.0..=100.0).contains(&self.compliance_bound) {
            return wrong(format!(
                "`compliance_bound` is points from 0 to 100, not {}",
                self.compliance_bound
            ));
        }
        if !(self.calibration_share > 0.0 && self.calibration_share < 1.0) {
            return wrong(format!(
                "`calibration_share` must lie between 0 and 1, and is {}",
                self.calibration_share
            ));
        }
        if self.n_val == 0 && self.layer.is_none() {
            return wrong("`n_val` is 0, and without `layer` layers must be compared".into());
        }
        Ok(())
    }

    /// What a strength is to do.
    pub fn aim(&self) -> Aim {
        Aim { refusal: self.refusal_target, compliance_fall: self.compliance_bound / 100.0 }
    }

    /// The rule that picks a layer.
    pub fn rule(&self) -> Rule {
        Rule {
            kl_threshold: self.kl_threshold,
            induce_refusal_threshold: self.induce_refusal_threshold,
            ..Rule::default()
        }
    }

    /// Whether prompts are needed from which the direction is not taken.
    pub fn needs_held_out(&self) -> bool {
        self.layer.is_none() || self.alpha.is_none()
    }
}
