//! The whole treatment of a scripted model and a scripted guard.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use sonde_sdk::mock::{MockHost, check_parameters, completion, sampling};
use sonde_sdk::{
    Adapter, Completion, Estimate, Exchange, Finish, HostError, Lora, Message, ModelChange, Objective,
    Purpose, Role, Safety, Sampling, Schedule, Share, Verdict,
};
use sonde_treatments::thinksafe::{STEERING_PREFIX, ThinkTags};

use super::*;
use crate::parameters::GuardReads;

type Trained = Rc<RefCell<Vec<(Vec<Lesson>, Lora, Schedule)>>>;

/// A reply whose tokens are its letters.
fn reply(text: &str) -> Completion {
    Completion { tokens: text.chars().map(u32::from).collect(), ..completion("what the host makes of it") }
}

fn asked(prompt: &Prompt) -> &str {
    let Prompt::Chat(chat) = prompt else { panic!("{prompt:?} is no chat") };
    assert_eq!((chat.messages.len(), chat.messages[0].role, chat.open_reply), (1, Role::User, true));
    &chat.messages[0].content
}

/// A model that gives to each prompt the reply of the table, and a guard that says the word found in the reply.
fn host(replies: &'static [(&'static str, &'static str)]) -> (MockHost, Trained) {
    let trained = Trained::default();
    let kept = Rc::clone(&trained);
    let host = MockHost::new()
        .completions("target", move |prompt, _| {
            let asked = asked(prompt);
            let found = replies.iter().find(|(prompt, _)| asked == *prompt);
            let (_, said) = found.unwrap_or_else(|| panic!("asked {asked:?}"));
            Ok(match said.strip_suffix("…") {
                Some(said) => Completion { finish: Finish::Length, ..reply(said) },
                None => reply(said),
            })
        })
        .token_texts("target", |tokens| tokens.iter().filter_map(|token| char::from_u32(*token)).collect())
        .judge_with("guard", |exchange: &Exchange| {
            let said = exchange.reply.as_deref().unwrap_or_default();
            Ok(match said {
                said if said.contains("poison") => Verdict::labelled("Unsafe").with_safety(Safety::Unsafe),
                said if said.contains("maybe") => {
                    Verdict::labelled("Controversial").with_safety(Safety::Controversial)
                }
                said if said.contains("mumble") => Verdict::unreadable("hm"),
                said => {
                    Verdict::labelled("Safe").with_safety(Safety::Safe).with_refusal(said.contains("sorry"))
                }
            })
        })
        .trains("target", move |lessons, lora, schedule| {
            kept.borrow_mut().push((lessons.to_vec(), lora.clone(), *schedule));
            Ok(Adapter::given([2.0, 1.0, 0.5], 99))
        });
    (host, trained)
}

fn datasets(harmful: &[&str], benign: &[&str]) -> Datasets {
    let rows =
        |prompts: &[&str]| prompts.iter().map(|prompt| json!({ "prompt": prompt })).collect::<Vec<_>>();
    Datasets::new().with("harmful", rows(harmful)).with("benign", rows(benign))
}

fn share(derived: &Derived, name: &str, reason: Option<&str>) -> Share {
    let wanted = |metric: &&sonde_sdk::Metric| {
        metric.name == name && metric.group.as_ref().map(|group| group.name.as_str()) == reason
    };
    let metric = derived.summary.metrics.iter().find(wanted).unwrap();
    let Estimate::Proportion(share) = &metric.estimate else { panic!("{metric:?}") };
    *share
}

const STEERED: &str =
    "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nbad";

#[test]
fn what_is_asked_with_the_prefix_is_judged_kept_and_trained_on_without_it() {
    let (host, trained) = host(&[
        (STEERED, "<think>\nHarmful.\n</think>\nI'm sorry."),
        ("good", "<think>\nFine.\n</think>\n\nYes."),
    ]);
    let derived =
        ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &Parameters::default(), 7).unwrap();

    // The guard reads the original prompt and the whole reply.
    let whole = ["<think>\nHarmful.\n</think>\nI'm sorry.", "<think>\nFine.\n</think>\n\nYes."];
    assert_eq!(host.exchanges("guard"), [Exchange::new("bad", whole[0]), Exchange::new("good", whole[1])]);

    let (lessons, lora, schedule) = trained.borrow_mut().remove(0);
    let prompt = |text: &str| Prompt::user(text).thinking(true);
    let blank_line = "<think>\nHarmful.\n</think>\n\nI'm sorry.";
    assert_eq!(lessons, [Lesson::say(prompt("bad"), blank_line), Lesson::say(prompt("good"), whole[1])]);
    // The published settings, and the task's own seed.
    let modules = vec!["q_proj".to_owned(), "v_proj".to_owned()];
    assert_eq!(lora, Lora { rank: 32, alpha: 16.0, dropout: 0.05, modules });
    let published = Schedule {
        learning_rate: 1e-5,
        warmup: 0.1,
        weight_decay: 0.0,
        epochs: 3,
        most_steps: None,
        batch: 8,
        clip: 1.0,
        seed: 7,
    };
    assert_eq!(schedule, published);

    assert!(matches!(derived.change, ModelChange::Trained(_)));
    assert_eq!((derived.purpose, derived.documents[0].name.as_str()), (Purpose::Safety, "thinksafe.jsonl"));
    let records: Vec<Value> =
        derived.documents[0].text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let record = |prompt: &str, reply: &str, label: &str| {
        json!({"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}],
               "prompt_label": label})
    };
    assert_eq!(records, [record("bad", whole[0], "harmful"), record("good", whole[1], "benign")]);
    assert!(!derived.documents[0].text.contains(STEERING_PREFIX.trim()));
}

#[test]
fn replies_are_drawn_as_published_whatever_the_run_asks_for() {
    let (host, _) = host(&[(STEERED, "<think></think>No."), ("good", "<think></think>Yes.")]);
    ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &Parameters::default(), 0).unwrap();
    let published = Sampling { temperature: 0.6, top_p: 0.95, top_k: 20, ..sampling() };
    assert!(host.asked("target").iter().all(|(_, sampling)| *sampling == published));
    let long = Parameters { max_tokens: Some(16_384), top_k: 0, ..Parameters::default() };
    let model = host.model("target").unwrap();
    let found = long.sampling(&model);
    assert_eq!((found.max_tokens, found.top_k), (16_384, 0));
}

/// Every way in which a reply is lost.
const MIXED: &[(&str, &str)] = &[
    (STEERED, "<think></think>I'm sorry."),
    (
        "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nloop",
        "<think>Hm…",
    ),
    (
        "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nblunt",
        "I'm sorry.",
    ),
    (
        "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nwilling",
        "<think></think>poison",
    ),
    (
        "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nunclear",
        "<think></think>maybe",
    ),
    (
        "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nodd",
        "<think></think>mumble",
    ),
    ("good", "<think></think>Yes."),
    ("shy", "<think></think>I'm sorry."),
];

#[test]
fn what_is_lost_is_counted_by_reason_and_never_kept() {
    let (host, trained) = host(MIXED);
    let harmful = ["bad", "loop", "blunt", "willing", "unclear", "odd"];
    let datasets = datasets(&harmful, &["good", "shy"]);
    let derived = ThinkSafe::derive(&host, &datasets, &Parameters::default(), 0).unwrap();
    assert_eq!(share(&derived, "harmful_kept", None), Share { hits: 1, n: 6 });
    for reason in
        ["cut off", "no </think>", "unsafe", "controversial", "the guard's verdict could not be read"]
    {
        assert_eq!(share(&derived, "harmful_dropped", Some(reason)), Share { hits: 1, n: 6 }, "{reason}");
    }
    assert_eq!(share(&derived, "benign_kept", None), Share { hits: 2, n: 2 });
    assert_eq!(trained.borrow()[0].0.len(), 3);
    // What has no closing tag never reaches the guard.
    let judged: Vec<_> = host
        .exchanges("guard")
        .into_iter()
        .map(|exchange| match exchange.messages.as_slice() {
            [Message { content, .. }] => content.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(judged, ["bad", "willing", "unclear", "odd", "good", "shy"]);

    let strict = Parameters { drop_benign_refusals: true, ..Parameters::default() };
    let derived = ThinkSafe::derive(&host, &datasets, &strict, 0).unwrap();
    assert_eq!(share(&derived, "benign_dropped", Some("refuses a benign prompt")), Share { hits: 1, n: 2 });
    assert_eq!(share(&derived, "harmful_kept", None).hits, 1);
}

#[test]
fn where_the_template_opens_the_thinking_the_tag_is_judged_and_kept_but_not_trained_twice() {
    let (host, trained) =
        host(&[(STEERED, "Hm.\n</think>\n\nNo."), ("good", "<think>\nOh.\n</think>\n\nYes.")]);
    let prepend = Parameters { think_tags: ThinkTags::Prepend, ..Parameters::default() };
    let derived = ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &prepend, 0).unwrap();
    let whole = ["<think>\nHm.\n</think>\n\nNo.", "<think>\nOh.\n</think>\n\nYes."];
    let judged: Vec<_> = host.exchanges("guard").into_iter().filter_map(|exchange| exchange.reply).collect();
    assert_eq!(judged, whole);
    assert!(derived.documents[0].text.contains(r"<think>\nHm."));
    let said: Vec<_> = trained.borrow()[0].0.iter().map(|lesson| lesson.reply.clone()).collect();
    assert_eq!(said, ["Hm.\n</think>\n\nNo.", whole[1]]);
}

#[test]
fn a_guard_that_cannot_read_thoughts_is_shown_the_answer() {
    // Its thoughts name the poison that the reply refuses.
    let replies = &[(STEERED, "<think>\nAbout poison.\n</think>\n\nNo."), ("good", "<think></think>Yes.")];
    let (host, trained) = host(replies);
    let answer = Parameters { guard_reads: GuardReads::Answer, ..Parameters::default() };
    ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &answer, 0).unwrap();
    assert_eq!(host.exchanges("guard"), [Exchange::new("bad", "No."), Exchange::new("good", "Yes.")]);
    assert_eq!(trained.borrow()[0].0[0].reply, replies[0].1);
}

#[test]
fn a_model_that_does_not_think_is_not_asked_to() {
    let (host, trained) = host(&[(STEERED, "No."), ("good", "Yes.")]);
    let plain = Parameters { think_tags: ThinkTags::None, ..Parameters::default() };
    ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &plain, 0).unwrap();
    assert_eq!(trained.borrow()[0].0[0], Lesson::say(Prompt::user("bad").thinking(false), "No."));
    assert!(
        host.prompts("target")
            .iter()
            .all(|prompt| matches!(prompt, Prompt::Chat(chat) if chat.thinking == Some(false)))
    );
}

#[test]
fn benign_replies_can_be_kept_as_likely_as_they_were() {
    let (host, trained) = host(&[(STEERED, "<think></think>No."), ("good", "<think></think>Yes.")]);
    let keep = Parameters { keep_benign: true, ..Parameters::default() };
    let derived = ThinkSafe::derive(&host, &datasets(&["bad"], &["good"]), &keep, 0).unwrap();
    let objectives: Vec<_> = trained.borrow()[0].0.iter().map(|lesson| lesson.objective).collect();
    assert_eq!(objectives, [Objective::Say, Objective::Keep]);
    let sonde_sdk::Figure::Line(loss) = &derived.summary.figures[0] else {
        panic!("{:?}", derived.summary.figures)
    };
    let points: Vec<_> = loss.series[0].points.iter().map(|point| (point.x, point.y)).collect();
    assert_eq!(points, [(1.0, 2.0), (2.0, 1.0), (3.0, 0.5)]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let datasets = datasets(&["bad"], &["good"]);
    let say = |host: &MockHost, parameters: &Parameters| {
        ThinkSafe::derive(host, &datasets, parameters, 0).unwrap_err().to_string()
    };
    let published = Parameters::default();
    // Before anything is generated.
    let untrainable = Parameters { rank: 0, ..Parameters::default() };
    assert_eq!(say(&MockHost::new(), &untrainable), "`rank` must be at least 1");
    let wild = Parameters { dropout: 1.0, ..Parameters::default() };
    assert_eq!(say(&MockHost::new(), &wild), "`dropout` must be from 0 to below 1");
    let plain = MockHost::new().replies("target", []).without_chat_template("target");
    assert!(say(&plain, &published).starts_with("target has no chat template"));

    let replies = &[(STEERED, "<think></think>poison"), ("good", "<think></think>Yes.")];
    let message = say(&host(replies).0, &published);
    assert_eq!(message, "of the replies to 1 harmful prompts none can be trained on: 1 × unsafe");
    let phrases =
        host(&[(STEERED, "<think></think>No.")]).0.verdicts("guard", [Verdict::labelled("refusal")]);
    assert!(say(&phrases, &published).contains("says \"refusal\", which tells no harm"));
    let failing = host(&[(STEERED, "<think></think>No.")])
        .0
        .judge_with("guard", |_| Err(HostError::Engine("out of memory".into())));
    assert_eq!(say(&failing, &published), "judge `guard`: the engine failed: out of memory");
}

#[test]
fn parameters_are_those_of_the_description() {
    check_parameters::<Parameters>(&ThinkSafe::about()).unwrap();
}
