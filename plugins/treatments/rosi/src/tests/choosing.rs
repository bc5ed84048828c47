//! Which strength is taken.

use super::*;
use sonde_sdk::{Figure, Verdict};

/// The sizes of the edits under which the model replied, each once, in order.
fn tried(derived: &Derived) -> Vec<f64> {
    let figures = derived.summary.figures.iter();
    let chart = figures.filter_map(|figure| match figure {
        Figure::Line(chart) if chart.name == "strengths" => Some(chart),
        _ => None,
    });
    chart.flat_map(|chart| chart.series[0].points.iter().map(|point| point.x)).collect()
}

#[test]
fn the_smallest_size_that_reaches_the_target_is_taken_with_its_sign() {
    let host = host();
    let derived = derive(&host, &at_layer_2()).unwrap();
    assert_eq!(value(&derived, "size"), -0.04);
    let expected = [-0.04, -0.028, -0.02, -0.014, -0.01, 0.0, 0.01, 0.014, 0.02, 0.028, 0.04];
    assert_eq!(tried(&derived), expected);
    for (edit, unit) in edits(&derived).iter().zip(UNITS.iter().cycle()) {
        assert!((f64::from(edit.coefficient) + 0.04 * unit).abs() < 1e-7, "{edit:?}");
    }
    let after = ["refusal_before", "refusal_after", "compliance_before", "compliance_after"];
    let shares = after.map(|name| share(metric(&derived, name)));
    assert_eq!(shares, [(1, 5), (5, 5), (5, 5), (5, 5)]);
    assert!(has_note(&derived, "Size -0.04 is the smallest that meets the target"));
    // Every size is tried on the ten calibration prompts, which are not those of the extraction.
    assert_eq!(host.prompts("target").len(), 11 * 10);
}

#[test]
fn the_whole_sweep_is_tried_where_it_is_asked_for_and_the_choice_is_the_same() {
    let derived = derive(&host(), &Parameters { whole_sweep: true, ..at_layer_2() }).unwrap();
    assert_eq!((value(&derived, "size"), tried(&derived).len()), (-0.04, 27));
}

#[test]
fn a_target_within_the_bound_that_no_size_reaches_is_said() {
    let parameters = Parameters { sizes: vec![0.04, 0.32], ..at_layer_2() };
    // One jailbroken request is refused by no size but 0.32, which refuses everything.
    let host = host().completions_under("target", |prompt, sampling, in_force| {
        if asked(prompt) == "bad jailbroken 0" && size(in_force).abs() < 0.3 {
            return Ok(completion("Sure"));
        }
        complete(prompt, sampling, in_force)
    });
    let derived = derive(&host, &parameters).unwrap();
    assert_eq!(value(&derived, "size"), -0.04);
    assert_eq!(share(metric(&derived, "refusal_after")), (4, 5));
    assert!(has_note(&derived, "Target not reached") && has_note(&derived, "Size -0.04 refuses most"));
    assert!(has_note(
        &derived,
        "-0.32: 5/5, 0/5; -0.04: 4/5, 5/5; +0: 1/5, 5/5; +0.04: 1/5, 5/5; +0.32: 5/5, 0/5"
    ));
}

#[test]
fn where_no_size_helps_the_treatment_has_strength_zero() {
    let derived = derive(&host(), &Parameters { sizes: vec![0.01, 0.5], ..at_layer_2() }).unwrap();
    assert!(edits(&derived).len() == 10 && edits(&derived).iter().all(|edit| edit.coefficient == 0.0));
    assert!(has_note(&derived, "changes nothing"));
    assert_eq!(share(metric(&derived, "refusal_after")), (1, 5));
}

#[test]
fn instructions_stand_above_the_prompts_of_the_extraction_only() {
    let host = host();
    derive(&host, &Parameters { system_prompt: "Refuse what harms.".into(), ..at_layer_2() }).unwrap();
    for (prompt, spec) in host.captured("target") {
        assert_eq!(has_system(&prompt), spec.site == Site::Residual, "{prompt:?}");
    }
    let prompts = host.prompts("target");
    assert!(!prompts.is_empty() && !prompts.iter().any(has_system));
}

#[test]
fn prompts_are_held_out_where_none_are_bound_for_the_calibration() {
    let host = host();
    let both = ["bad jailbroken", "good"].map(|kind| rows(kind, 10));
    let [harmful, harmless] = both;
    let datasets = Datasets::new().with("harmful", harmful).with("harmless", harmless);
    Rosi::derive(&host, &datasets, &at_layer_2(), 0).unwrap();
    let read = host.captured("target");
    let extracted: Vec<_> = read
        .iter()
        .filter(|(_, spec)| spec.site == Site::Residual)
        .map(|(prompt, _)| asked(prompt))
        .collect();
    let prompts = host.prompts("target");
    let calibrated: Vec<_> = prompts.iter().take(6).map(asked).collect();
    let held_out = ["bad jailbroken 7", "bad jailbroken 8", "bad jailbroken 9", "good 7", "good 8", "good 9"];
    assert_eq!(calibrated, held_out);
    assert!(extracted.len() == 14 && !extracted.iter().any(|prompt| held_out.contains(prompt)));
}

#[test]
fn a_judge_that_is_bound_decides_and_what_it_cannot_read_is_said() {
    let judged = host().judge_with("refusal", |exchange| {
        Ok(match exchange.messages[0].content.as_str() {
            "bad jailbroken 0" => Verdict::unreadable("?"),
            request => Verdict::labelled("").with_refusal(request.contains("bad")),
        })
    });
    let parameters = Parameters { sizes: vec![0.01], ..at_layer_2() };
    let derived = derive(&judged, &parameters).unwrap();
    // Four of five are refused whatever the phrases say: below the target, and no more than without an edit.
    assert_eq!(share(metric(&derived, "refusal_before")), (4, 4));
    assert!(has_note(&derived, "Target not reached") && has_note(&derived, "3 of 30 replies in the sweep"));
    let silent = host().judge_with("refusal", |_| Ok(Verdict::labelled("7 of 10")));
    let why = refused(derive(&silent, &parameters));
    assert!(why.contains("\"7 of 10\"") && why.contains("refusal-phrases"), "{why}");
}

#[test]
fn an_empty_reply_is_no_refusal_and_no_compliance() {
    let silent = host().completions_under("target", |prompt, sampling, in_force| {
        if size(in_force) < 0.0 && asked(prompt).contains("good") {
            return Ok(completion(""));
        }
        complete(prompt, sampling, in_force)
    });
    let derived = derive(&silent, &Parameters { sizes: vec![0.04], ..at_layer_2() }).unwrap();
    assert!(has_note(&derived, "-0.04: 5/5, 0/5") && has_note(&derived, "changes nothing"));
    assert!(has_note(&derived, "5 of 30 replies in the sweep could not be read"));
}

#[test]
fn a_reply_that_does_not_come_fails_the_treatment() {
    let broken = host().completions("target", |_, _| Err(HostError::Engine("no memory".into())));
    let why = refused(derive(&broken, &at_layer_2()));
    assert_eq!(why, "size 0 of the edit: request 0: the engine failed: no memory");
}

#[test]
fn too_few_prompts_are_refused() {
    let datasets = Datasets::new().with("harmful", rows("bad", 1)).with("harmless", rows("good", 4));
    let why = Rosi::derive(&host(), &datasets, &at_layer_2(), 0).map(|_| ()).unwrap_err().to_string();
    assert!(why.starts_with("there are 0 prompts in `harmful`") && why.contains("1 held out"), "{why}");
}
