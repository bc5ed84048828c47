//! What may be set. The defaults are the published ones.

use serde::Deserialize;
use sonde_sdk::{Error, Lora, Model, Parameter, Sampling, Schedule};
use sonde_treatments::thinksafe::ThinkTags;

/// What the guard is shown of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GuardReads {
    /// All of it, thinking included.
    #[default]
    Whole,
    /// What follows the thinking.
    Answer,
}

/// What may be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    pub(crate) think_tags: ThinkTags,
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) top_k: u32,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) guard_reads: GuardReads,
    pub(crate) drop_benign_refusals: bool,
    pub(crate) keep_benign: bool,
    pub(crate) rank: u32,
    pub(crate) alpha: f32,
    pub(crate) dropout: f32,
    pub(crate) modules: Vec<String>,
    pub(crate) learning_rate: f64,
    pub(crate) warmup: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epochs: u32,
    pub(crate) most_steps: Option<u32>,
    pub(crate) batch: u32,
    pub(crate) clip: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            think_tags: ThinkTags::Require,
            temperature: 0.6,
            top_p: 0.95,
            top_k: 20,
            max_tokens: None,
            guard_reads: GuardReads::Whole,
            drop_benign_refusals: false,
            keep_benign: false,
            rank: 32,
            alpha: 16.0,
            dropout: 0.05,
            modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
            learning_rate: 1e-5,
            warmup: 0.1,
            weight_decay: 0.0,
            epochs: 3,
            most_steps: None,
            batch: 8,
            clip: 1.0,
        }
    }
}

impl Parameters {
    /// As the description lists them.
    pub(crate) fn described() -> [Parameter; 19] {
        [
            Parameter::one_of(
                "think_tags",
                &["require", "prepend", "none"],
                "require",
                "require drops replies without </think>; prepend does too, and puts <think> in front of those that do not \
                 begin with it, for R1 and its kin; none is for models that do not think, and does not ask them to.",
            ),
            Parameter::number("temperature", 0.6, "Of the replies that are trained on."),
            Parameter::number("top_p", 0.95, "Of the same."),
            Parameter::count("top_k", 20, "Of the same; 0 for none, as published for R1."),
            Parameter::whole(
                "max_tokens",
                "Longest reply (published: 16,384). Default: the run's own setting for the model.",
            ),
            Parameter::one_of(
                "guard_reads",
                &["whole", "answer"],
                "whole",
                "answer shows the guard what follows the thinking only: for guards that cannot read thoughts.",
            ),
            Parameter::flag(
                "drop_benign_refusals",
                false,
                "Leave out replies to benign prompts that refuse, where the guard tells that.",
            ),
            Parameter::flag(
                "keep_benign",
                false,
                "Train replies to benign prompts towards the untrained model's probabilities instead of towards their \
                 words; published as +KL.",
            ),
            Parameter::count("rank", 32, "Of the adapter."),
            Parameter::number("alpha", 16.0, "Of the adapter: its change is multiplied by alpha / rank."),
            Parameter::number("dropout", 0.05, "Share of the adapter's inputs left out in each step."),
            Parameter::words(
                "modules",
                &["q_proj", "v_proj"],
                "Projections that get a trained part, in every block.",
            ),
            Parameter::number("learning_rate", 1e-5, "Of AdamW at its highest; it falls as a half cosine."),
            Parameter::number("warmup", 0.1, "Share of the steps in which the learning rate rises."),
            Parameter::number("weight_decay", 0.0, "AdamW's."),
            Parameter::count("epochs", 3, "How often each reply is trained on."),
            Parameter::whole("most_steps", "At most so many steps. Default: as the epochs come to."),
            Parameter::count("batch", 8, "Replies per step."),
            Parameter::number("clip", 1.0, "Longest gradient; 0 leaves it as it is."),
        ]
    }

    /// Finds what training would refuse before replies are generated for it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = [
            ("rank", self.rank == 0, "at least 1"),
            ("modules", self.modules.is_empty(), "at least one projection, such as q_proj"),
            ("epochs", self.epochs == 0, "at least 1"),
            ("batch", self.batch == 0, "at least 1"),
            ("most_steps", self.most_steps == Some(0), "at least 1"),
            ("max_tokens", self.max_tokens == Some(0), "at least 1"),
            ("dropout", !(0.0..1.0).contains(&self.dropout), "from 0 to below 1"),
            ("warmup", !(0.0..=1.0).contains(&self.warmup), "from 0 to 1"),
            ("learning_rate", !(self.learning_rate > 0.0 && self.learning_rate.is_finite()), "above 0"),
        ];
        match wrong.into_iter().find(|(_, wrong, _)| *wrong) {
            Some((name, _, allowed)) => Err(format!("`{name}` must be {allowed}").into()),
            None => Ok(()),
        }
    }

    /// Whether the model is asked to think.
    pub(crate) fn thinking(&self) -> bool {
        self.think_tags != ThinkTags::None
    }

    /// How the replies are drawn.
    pub(crate) fn sampling(&self, model: &impl Model) -> Sampling {
        let run = model.sampling();
        Sampling {
            max_tokens: self.max_tokens.unwrap_or(run.max_tokens),
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: 0.0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            grammar: None,
            logprobs: None,
            ..run
        }
    }

    /// Which matrices are trained.
    pub(crate) fn lora(&self) -> Lora {
        Lora { rank: self.rank, alpha: self.alpha, dropout: self.dropout, modules: self.modules.clone() }
    }

    /// How.
    pub(crate) fn schedule(&self, seed: u64) -> Schedule {
        Schedule {
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            epochs: self.epochs,
            most_steps: self.most_steps,
            batch: self.batch,
            clip: self.clip,
            seed,
        }
    }
}
