//! The prompts that a direction is found with, and the tokens after their instructions.

use serde::Deserialize;
use sonde_sdk::{Datasets, Draws, Error, Model, ModelInfo, Prompt, row};

use crate::parameters::Parameters;

/// Two instructions that begin and end differently: what the tokens of both end with is the template's.
const UNLIKE: [&str; 2] = ["Write a poem", "What is this?"];

/// A line of a dataset.
#[derive(Clone, Deserialize)]
struct Row {
    #[serde(deserialize_with = "row::text")]
    prompt: String,
}

/// Prompts of one kind.
#[derive(Debug)]
pub struct Split {
    /// Behind the directions.
    pub train: Vec<Prompt>,
    /// Behind the candidates' scores.
    pub validation: Vec<Prompt>,
}

impl Split {
    /// Draws from `kind`, and from `kind-validation` where that is bound; else one dataset is split.
    pub fn draw(
        kind: &str,
        datasets: &Datasets,
        parameters: &Parameters,
        model: &ModelInfo,
        seed: u64,
    ) -> Result<Self, Error> {
        let (n_train, n_val) = (parameters.n_train, parameters.n_val);
        let mut draws = Draws::new(seed);
        let prompt = |row: &Row| asked(&row.prompt, model);
        let rows = datasets.rows::<Row>(kind)?;
        let apart = format!("{kind}-validation");
        let split = if datasets.has(&apart) {
            let validation = datasets.rows::<Row>(&apart)?;
            Self {
                train: draws.choose(&rows, n_train).into_iter().map(prompt).collect(),
                validation: draws.choose(&validation, n_val).into_iter().map(prompt).collect(),
            }
        } else {
            let mut train: Vec<_> =
                draws.choose(&rows, n_train.saturating_add(n_val)).into_iter().map(prompt).collect();
            let validation = train.split_off(train.len() - of_validation(train.len(), n_train, n_val));
            Self { train, validation }
        };
        if split.train.is_empty() || split.validation.is_empty() {
            return Err(format!(
                "`{kind}` has {} rows; it takes at least one to find directions with and one to compare them on",
                rows.len()
            )
            .into());
        }
        Ok(split)
    }
}

/// The request in the model's template, without thinking: a refusal is to be told by the first word of the reply.
fn asked(request: &str, model: &ModelInfo) -> Prompt {
    Prompt::user(request).thinking(false).fitted(model)
}

/// How many of the drawn prompts are for validation: the wanted share, should there be too few for both.
fn of_validation(drawn: usize, n_train: usize, n_val: usize) -> usize {
    let wanted = n_train.saturating_add(n_val);
    if drawn >= wanted { n_val } else { (drawn * n_val).div_ceil(wanted.max(1)) }
}

/// How many tokens the model's template puts after an instruction, at least 1.
pub fn after_instruction(model: &impl Model) -> Result<u32, Error> {
    let info = model.info();
    let tokens = |text: &str| model.tokenize(&asked(text, &info));
    let [one, other] = UNLIKE.map(tokens);
    let (one, other) = (one?, other?);
    let common = common_ending(&one, &other);
    if common == one.len().min(other.len()) {
        return Err(Error::new("the model's chat template leaves the instruction out; set `positions`"));
    }
    Ok(u32::try_from(common).unwrap_or(u32::MAX).max(1))
}

fn common_ending(one: &[u32], other: &[u32]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonde_sdk::Host;
    use sonde_sdk::mock::MockHost;

    fn rows(count: usize, word: &str) -> impl Iterator<Item = serde_json::Value> {
        (0..count).map(move |at| serde_json::json!({"prompt": format!("{word} {at}")}))
    }

    fn draw(datasets: &Datasets, seed: u64) -> Result<Split, Error> {
        let host = MockHost::new().replies("target", []);
        let info = host.model("target").unwrap().info();
        let parameters = Parameters { n_train: 8, n_val: 4, ..Parameters::default() };
        Split::draw("harmful", datasets, &parameters, &info, seed)
    }

    #[test]
    fn one_dataset_is_split_without_overlap_and_the_same_for_a_seed() {
        let datasets = Datasets::new().with("harmful", rows(30, "no"));
        let split = draw(&datasets, 1).unwrap();
        assert_eq!((split.train.len(), split.validation.len()), (8, 4));
        assert!(split.train.iter().all(|prompt| !split.validation.contains(prompt)));
        assert_eq!(draw(&datasets, 1).unwrap().train, split.train);
        assert_ne!(draw(&datasets, 2).unwrap().train, split.train);
    }

    #[test]
    fn too_few_rows_are_shared_out_and_fewer_than_two_are_an_error() {
        let split = draw(&Datasets::new().with("harmful", rows(5, "no")), 1).unwrap();
        assert_eq!((split.train.len(), split.validation.len()), (3, 2));
        let refused = draw(&Datasets::new().with("harmful", rows(1, "no")), 1).unwrap_err().to_string();
        assert!(refused.starts_with("`harmful` has 1 rows"), "{refused}");
    }

    #[test]
    fn validation_prompts_of_their_own_are_taken_where_they_are_bound() {
        let datasets =
            Datasets::new().with("harmful", rows(30, "no")).with("harmful-validation", rows(3, "never"));
        let split = draw(&datasets, 1).unwrap();
        assert_eq!((split.train.len(), split.validation.len()), (8, 3));
        let Prompt::Chat(chat) = &split.validation[0] else { panic!("{split:?}") };
        assert!(chat.messages[0].content.starts_with("never") && chat.thinking == Some(false));
    }

    #[test]
    fn the_tokens_after_an_instruction_are_those_that_two_prompts_end_with() {
        // Three tokens before, an instruction of two or three, `<|im_end|>` and four more after it.
        let (one, other) = ([1, 2, 3, 50, 51, 9, 4, 1, 5, 4], [1, 2, 3, 60, 61, 62, 9, 4, 1, 5, 4]);
        assert_eq!(common_ending(&one, &other), 5);
        assert_eq!(common_ending(&one, &one[..5]), 0);
        assert_eq!(common_ending(&one, &one[5..]), 5);
    }

    #[test]
    fn without_a_template_the_last_token_alone_is_looked_at() {
        let host = MockHost::new().replies("target", []).without_chat_template("target");
        assert_eq!(after_instruction(&host.model("target").unwrap()).unwrap(), 1);
    }
}
