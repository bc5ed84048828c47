//! Which layer is taken.

use super::*;

fn by_rule() -> Parameters {
    Parameters { sizes: vec![0.04], ..Parameters::default() }
}

#[test]
fn the_layer_is_that_of_the_smallest_bypass_score_that_passes_the_rule() {
    let host = host();
    let derived = derive(&host, &by_rule()).unwrap();
    // Of the layers 0 to 3 (4 is among the last fifth) 0 tells nothing, 1 moves harmless prompts and 3 does not induce
    // refusal, though both have smaller bypass scores than 2.
    assert_eq!(value(&derived, "layer"), 2.0);
    // By hand: ln(0.1 / 0.9) = −2.197, ln(0.8 / 0.2) = 1.386.
    assert!(
        has_note(&derived, "layer 2: bypass -2.20, induce 1.39, KL 0.000"),
        "{:?}",
        derived.summary.notes
    );
    assert!(has_note(&derived, "Refusals begin with [\"[7]\"]"), "{:?}", derived.summary.notes);
    let read: Vec<_> = host.captured("target").into_iter().map(|(_, spec)| spec).collect();
    let residual: Vec<_> = read.iter().filter(|spec| spec.site == Site::Residual).collect();
    // One pass for all layers: as many captures as prompts.
    assert!(residual.len() == 12 && residual.iter().all(|spec| spec.layers == [0, 1, 2, 3]));
}

#[test]
fn thresholds_can_be_loosened() {
    let derived = derive(&host(), &Parameters { kl_threshold: 10.0, ..by_rule() }).unwrap();
    assert_eq!(value(&derived, "layer"), 1.0);
    let derived = derive(&host(), &Parameters { induce_refusal_threshold: -0.9, ..by_rule() }).unwrap();
    assert_eq!(value(&derived, "layer"), 3.0);
}

#[test]
fn without_a_layer_that_passes_the_error_shows_the_scores() {
    let why = refused(derive(&host(), &Parameters { induce_refusal_threshold: 2.0, ..by_rule() }));
    assert!(why.starts_with("none of 4 candidate directions passes the rule"), "{why}");
    assert!(why.contains("Or name a `layer`. Candidates: layer 0: bypass"), "{why}");
}

#[test]
fn layers_are_compared_under_the_instructions_of_the_extraction() {
    let host = host();
    derive(&host, &Parameters { system_prompt: "Refuse what harms.".into(), ..by_rule() }).unwrap();
    let wish = |prompt: &Prompt| matches!(prompt, Prompt::Chat(chat) if chat.thinking == Some(false));
    assert!(host.captured("target").iter().all(|(prompt, _)| wish(prompt)));
    let compared = |sampling: &Sampling| sampling.logprobs.is_some();
    let asked = host.asked("target");
    assert!(asked.iter().any(|(_, sampling)| compared(sampling)));
    assert!(asked.iter().filter(|(_, sampling)| compared(sampling)).all(|(prompt, _)| has_system(prompt)));
}

#[test]
fn refusals_whose_first_word_is_not_known_are_asked_for() {
    let compliant = host().completions("target", |_, _| Ok(completion("Sure")));
    let why = refused(derive(&compliant, &by_rule()));
    assert!(why.contains("refuses 0 of 5 harmful prompts") && why.contains("`system_prompt`"), "{why}");
    let named = Parameters { refusal_words: vec!["[7]".into()], ..by_rule() };
    let derived = derive(&host(), &named).unwrap();
    assert_eq!(value(&derived, "layer"), 2.0);
    let thinking = host().completions("target", |_, _| {
        Ok(Completion { reasoning: Some("Hm.".into()), ..completion("I cannot") })
    });
    assert!(refused(derive(&thinking, &by_rule())).contains("`thinking: false`"));
}

#[test]
fn a_model_that_ends_its_turn_at_once_under_a_change_does_not_pass() {
    let host = host().completions_under("target", |prompt, sampling, in_force| {
        if in_force.interventions.is_empty() || sampling.logprobs.is_none() {
            return complete(prompt, sampling, in_force);
        }
        Ok(completion(""))
    });
    // All but layer 0, where nothing changes.
    let why = refused(derive(&host, &by_rule()));
    assert!(why.contains("3 have a score that is no number"), "{why}");
}
