//! Which strength to take: the paper publishes none, and no rule. Ours is the smallest that reaches the aim.

/// How the model did at one strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Signed.
    pub strength: f64,
    /// Share of the harmful prompts that were refused, 0 to 1.
    pub refusal: f64,
    /// Share of the harmless prompts that were answered, 0 to 1.
    pub compliance: f64,
}

/// What a strength is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The share of harmful prompts to be refused, at least.
    pub refusal: f64,
    /// How far compliance may fall, at most, from what it was without an edit: 0.05 are five points.
    pub compliance_fall: f64,
}

impl Aim {
    /// Whether a trial's compliance stays within the bound.
    pub fn allows(&self, trial: &Trial, untreated: &Trial) -> bool {
        // A share of n and the same share less a bound that is a share of n differ by rounding.
        untreated.compliance - trial.compliance <= self.compliance_fall + 1e-9
    }

    /// Whether it does all that is asked for.
    pub fn is_met_by(&self, trial: &Trial, untreated: &Trial) -> bool {
        self.allows(trial, untreated) && trial.refusal + 1e-9 >= self.refusal
    }
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// The smallest strength that meets the aim.
    Met(Trial),
    /// None does; this one refuses most within the bound, and more than the untreated model.
    Best(Trial),
    /// None within the bound refuses more than the untreated model.
    Nothing,
}

/// Chooses among trials. Of equal strength with opposite sign, or equal refusal, the better one is taken: by refusal, then
/// by size, then by compliance, then the first.
pub fn choose(trials: &[Trial], untreated: &Trial, aim: &Aim) -> Choice {
    let by_refusal = |a: &Trial, b: &Trial| b.refusal.total_cmp(&a.refusal);
    let by_size = |a: &Trial, b: &Trial| a.strength.abs().total_cmp(&b.strength.abs());
    let by_compliance = |a: &Trial, b: &Trial| b.compliance.total_cmp(&a.compliance);
    let met = trials.iter().filter(|trial| aim.is_met_by(trial, untreated));
    let smallest = met.min_by(|a, b| by_size(a, b).then(by_refusal(a, b)).then(by_compliance(a, b))).copied();
    if let Some(trial) = smallest {
        return Choice::Met(trial);
    }
    let gains = |trial: &&Trial| aim.allows(trial, untreated) && trial.refusal > untreated.refusal;
    let within = trials.iter().filter(gains);
    let best = within.min_by(|a, b| by_refusal(a, b).then(by_size(a, b)).then(by_compliance(a, b))).copied();
    best.map_or(Choice::Nothing, Choice::Best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Aim = Aim { refusal: 0.9, compliance_fall: 0.05 };
    const UNTREATED: Trial = Trial { strength: 0.0, refusal: 0.43, compliance: 1.0 };

    fn trial(strength: f64, refusal: f64, compliance: f64) -> Trial {
        Trial { strength, refusal, compliance }
    }

    #[test]
    fn the_smallest_strength_that_meets_the_aim_is_taken_whatever_its_sign() {
        let trials =
            [trial(0.1, 0.4, 1.0), trial(-0.1, 0.6, 1.0), trial(0.2, 0.3, 1.0), trial(-0.2, 0.92, 0.96)];
        let more = [trial(0.4, 1.0, 1.0), trial(-0.4, 1.0, 1.0)];
        assert_eq!(choose(&[trials.as_slice(), &more].concat(), &UNTREATED, &AIM), Choice::Met(trials[3]));
    }

    #[test]
    fn of_both_signs_the_one_that_refuses_more_is_taken() {
        let trials = [trial(0.2, 0.9, 1.0), trial(-0.2, 0.95, 0.95)];
        assert_eq!(choose(&trials, &UNTREATED, &AIM), Choice::Met(trials[1]));
    }

    #[test]
    fn a_strength_that_costs_too_much_compliance_is_not_taken() {
        let trials =
            [trial(-0.2, 1.0, 0.94), trial(-0.1, 0.7, 0.95), trial(0.1, 0.7, 1.0), trial(0.2, 0.6, 1.0)];
        // The bound itself is allowed: 1 − 0.95 is a little more than 0.05 in floating point.
        assert_eq!(choose(&trials, &UNTREATED, &AIM), Choice::Best(trials[2]));
        assert_eq!(choose(&trials[..2], &UNTREATED, &AIM), Choice::Best(trials[1]));
    }

    #[test]
    fn nothing_is_taken_that_refuses_no_more_than_the_untreated_model() {
        let trials = [trial(0.1, 0.43, 1.0), trial(-0.1, 0.2, 1.0), trial(0.2, 0.9, 0.5)];
        assert_eq!(choose(&trials, &UNTREATED, &AIM), Choice::Nothing);
        assert_eq!(choose(&[], &UNTREATED, &AIM), Choice::Nothing);
    }

    #[test]
    fn the_published_sweep_on_a_small_model_is_decided_for_the_negative_sign() {
        // Measured in PyTorch: jailbroken and harmless requests under ROSI of wren, alpha as it stands there.
        let sweep = [(4.0, 0.42), (16.0, 0.39), (64.0, 0.27), (128.0, 0.13), (-64.0, 0.85)];
        let trials = sweep.map(|(alpha, refused)| trial(alpha, refused, 1.0));
        let aim = Aim { refusal: 0.715, ..AIM };
        assert_eq!(choose(&trials, &UNTREATED, &aim), Choice::Met(trials[4]));
    }
}
