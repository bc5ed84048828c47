//! The published rule that picks one direction of the many.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Place};

/// A direction and how it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Where it was found.
    pub place: Place,
    /// Mean refusal score on harmful validation prompts with the direction ablated everywhere. The lower, the more of
    /// the model's refusing goes through this direction.
    pub bypass: f64,
    /// Mean refusal score on harmless validation prompts with the direction added, once, at the input of its block.
    pub induce: f64,
    /// Mean KL divergence on harmless validation prompts from the unmodified model to the ablated one, in nats.
    pub kl: f64,
}

/// What a candidate must pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The share of the last layers that are not considered: directions there act on single output tokens.
    pub prune_layer_percentage: f64,
    /// The largest KL divergence, in nats.
    pub kl_threshold: f64,
    /// The smallest induced refusal score.
    pub induce_refusal_threshold: f64,
}

impl Default for Rule {
    /// The published values: 0.2, 0.1 and 0.
    fn default() -> Self {
        Self { prune_layer_percentage: 0.2, kl_threshold: 0.1, induce_refusal_threshold: 0.0 }
    }
}

/// How many candidates each condition rejects. A candidate may fail several, and is then counted by each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// A score that is no number.
    pub not_a_number: usize,
    /// In one of the last layers.
    pub layer: usize,
    /// A KL divergence above the threshold.
    pub kl: usize,
    /// An induced refusal score below the threshold.
    pub induce: usize,
}

impl fmt::Display for Rejected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} lie in the last layers, {} move harmless prompts too far (KL), {} do not induce refusal, {} have a score \
             that is no number (some fail several)",
            self.layer, self.kl, self.induce, self.not_a_number
        )
    }
}

/// What the rule left.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The candidate with the smallest bypass score.
    pub best: Candidate,
    /// All that passed, the best first; equal ones in the order in which they came.
    pub kept: Vec<Candidate>,
    /// Why the others did not.
    pub rejected: Rejected,
}

impl Rule {
    /// The first layer, of `layers`, that is not considered: ⌊layers · (1 − share)⌋.
    pub fn first_pruned(&self, layers: u32) -> u32 {
        // Between 0 and `layers`: the conversion saturates, and takes NaN for 0.
        (f64::from(layers) * (1.0 - self.prune_layer_percentage)).clamp(0.0, f64::from(layers)) as u32
    }

    /// Picks among candidates of a model of `layers` blocks. They come by position, the earliest first, and within it by
    /// layer: of equal ones the first wins.
    ///
    /// # Errors
    /// [`Error::NoSurvivor`] where none passes.
    pub fn select(&self, candidates: &[Candidate], layers: u32) -> Result<Selection, Error> {
        let pruned = self.first_pruned(layers);
        let mut rejected = Rejected::default();
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            let broken =
                [candidate.bypass, candidate.induce, candidate.kl].iter().any(|score| score.is_nan());
            let late = candidate.place.layer >= pruned;
            let far = candidate.kl > self.kl_threshold;
            let weak = candidate.induce < self.induce_refusal_threshold;
            rejected.not_a_number += usize::from(broken);
            rejected.layer += usize::from(late);
            rejected.kl += usize::from(far);
            rejected.induce += usize::from(weak);
            if !(broken || late || far || weak) {
                kept.push(*candidate);
            }
        }
        // A stable sort; no score is NaN any more.
        kept.sort_by(|a, b| a.bypass.partial_cmp(&b.bypass).unwrap_or(std::cmp::Ordering::Equal));
        let best = kept.first().copied();
        let best = best.ok_or(Error::NoSurvivor { candidates: candidates.len(), rejected })?;
        Ok(Selection { best, kept, rejected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(position: i32, layer: u32, [bypass, induce, kl]: [f64; 3]) -> Candidate {
        Candidate { place: Place { position, layer }, bypass, induce, kl }
    }

    #[test]
    fn the_last_fifth_of_the_layers_begins_where_the_published_code_puts_it() {
        // methods.md §1.5.
        let published = [(18, 14), (24, 19), (28, 22), (32, 25), (36, 28), (40, 32), (64, 51)];
        for (layers, first) in published {
            assert_eq!(Rule::default().first_pruned(layers), first);
        }
        let odd = |share| Rule { prune_layer_percentage: share, ..Rule::default() }.first_pruned(10);
        assert_eq!([odd(0.0), odd(1.0), odd(7.0), odd(-7.0), odd(f64::NAN)], [10, 0, 0, 10, 0]);
    }

    #[test]
    fn of_equal_candidates_the_first_is_chosen_and_thresholds_themselves_pass() {
        let found = Rule::default()
            .select(
                &[
                    candidate(-2, 1, [-3.0, 0.0, 0.1]),
                    candidate(-1, 0, [-3.0, 1.0, 0.0]),
                    candidate(-1, 1, [-9.0, -0.1, 0.0]),
                ],
                10,
            )
            .unwrap();
        assert_eq!(found.best.place, Place { position: -2, layer: 1 });
        assert_eq!(found.kept.len(), 2);
        assert_eq!(found.rejected, Rejected { induce: 1, ..Rejected::default() });
    }

    #[test]
    fn without_a_survivor_the_error_counts_the_reasons() {
        let candidates = [
            candidate(-1, 0, [f64::NAN, -1.0, 1.0]),
            candidate(-1, 1, [0.0, -1.0, 1.0]),
            candidate(-1, 9, [0.0, 1.0, 1.0]),
        ];
        let Err(Error::NoSurvivor { candidates: counted, rejected }) =
            Rule::default().select(&candidates, 10)
        else {
            panic!("a candidate survived")
        };
        assert_eq!((counted, rejected), (3, Rejected { not_a_number: 1, layer: 1, kl: 3, induce: 2 }));
        let text = Rule::default().select(&candidates, 10).unwrap_err().to_string();
        assert!(
            text.starts_with("none of 3 candidate directions passes the rule: 1 lie in the last layers, 3 "),
            "{text}"
        );
        assert!(Rule::default().select(&[], 10).is_err());
    }
}
