//! Samples on the page: grouped by how they ended, the ones that went wrong first.

use serde::Serialize;

use crate::printable::shown;
use crate::sample::{cost, field_text};
use crate::transcript::{Block, Scored, blocks, columns};
use crate::view::{CallView, Ending, LogLine, SampleView, Standing, TaskView};

/// Calls per sample on the page.
const MOST_CALLS: usize = 40;

/// What the template shows of a folded sample.
const FIELDS_IN_LINE: usize = 4;
const GROUPS_IN_LINE: usize = 2;

#[derive(Serialize)]
pub(super) struct SampleGroup {
    heading: &'static str,
    lead: &'static str,
    class: &'static str,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    id: String,
    origin: String,
    fields: Vec<(String, String)>,
    groups: Vec<String>,
    note: Option<String>,
    reason: Option<String>,
    /// Whether the line that is always visible leaves out some of the fields and groups.
    more: bool,
    columns: Vec<(String, String)>,
    calls: Vec<Call>,
    left_out: usize,
    logs: Vec<LogLine>,
}

#[derive(Serialize)]
struct Call {
    plugin: String,
    /// The words before and after the name of who was asked.
    asked: (String, &'static str),
    model: String,
    cost: String,
    /// What may be read at once: verdicts, scores and errors.
    plain: Vec<Block>,
    /// What is folded until asked for: prompts and replies.
    veiled: Vec<Block>,
    inner: Vec<Call>,
}

const ORDER: [(Standing, &str, &str, &str); 7] = [
    (Standing::NotGood, "Not good", "Measured, and not as one would wish.", "adverse"),
    (
        Standing::Failed,
        "Failed",
        "No outcome came about. These say nothing of the model and count in no metric.",
        "error",
    ),
    (Standing::Unparsable, "Unparsable", "A reply or a verdict could not be read.", "error"),
    (Standing::Scored, "Scored", "Measured; good or not is no question here.", "neutral"),
    (Standing::Good, "Good", "Measured, and as one would wish.", "favourable"),
    (Standing::Skipped, "Skipped", "Left out by the benchmark's protocol.", "neutral"),
    (Standing::Pending, "Pending", "The run has not come to these.", "neutral"),
];

pub(super) fn groups(task: &TaskView) -> Vec<SampleGroup> {
    ORDER
        .into_iter()
        .map(|(standing, heading, lead, class)| SampleGroup {
            heading,
            lead,
            class,
            samples: task.samples.iter().filter(|sample| sample.standing() == standing).map(sample).collect(),
        })
        .filter(|group| !group.samples.is_empty())
        .collect()
}

fn sample(sample: &SampleView) -> Sample {
    let outcome = match &sample.ending {
        Some(Ending::Outcome(outcome)) => Some(outcome),
        _ => None,
    };
    let fields = outcome.map(|outcome| outcome.fields.as_slice()).unwrap_or_default();
    let diagnosed = match &sample.ending {
        Some(Ending::Diagnosed { findings }) => Some(("rows with findings".to_owned(), findings.to_string())),
        Some(Ending::Treated { told, .. }) => Some(("treatment".to_owned(), shown(told))),
        _ => None,
    };
    let groups = outcome.map(|outcome| outcome.groups.as_slice()).unwrap_or_default();
    Sample {
        id: shown(&sample.id),
        origin: shown(&sample.origin),
        fields: fields
            .iter()
            .map(|field| (shown(&field.name), shown(&field_text(&field.value))))
            .chain(diagnosed)
            .collect(),
        groups: groups.iter().map(|group| shown(&format!("{}: {}", group.kind, group.name))).collect(),
        note: outcome.and_then(|outcome| outcome.note.as_deref()).map(shown),
        reason: sample.ending.as_ref().and_then(Ending::reason).map(shown),
        more: fields.len() > FIELDS_IN_LINE
            || groups.len() > GROUPS_IN_LINE
            || fields.iter().any(|field| field_text(&field.value).len() > 40),
        columns: if sample.row.is_empty() {
            Vec::new()
        } else {
            columns(&sample.row).into_iter().map(|(name, text)| (shown(&name), shown(&text))).collect()
        },
        calls: sample.calls.iter().take(MOST_CALLS).map(call).collect(),
        left_out: sample.calls.len().saturating_sub(MOST_CALLS),
        logs: sample.logs.iter().map(|line| LogLine { text: shown(&line.text), ..line.clone() }).collect(),
    }
}

fn call(call: &CallView) -> Call {
    let (mut plain, mut veiled) = (Vec::new(), Vec::new());
    for block in blocks(call) {
        match clean(block) {
            Block::Verdict { label, facts, explanation, parsed } => {
                // Judges quote what they judge, and often explain with their model's words, which follow below.
                if let Some(text) = explanation.filter(|text| !said_within(call, text)) {
                    veiled.push(Block::Turn { who: "the judge's explanation".to_owned(), text });
                }
                plain.push(Block::Verdict { label, facts, explanation: None, parsed });
            }
            block @ Block::Error { .. } => plain.push(block),
            block => veiled.push(block),
        }
    }
    Call {
        asked: match call.kind.as_str() {
            "generate" => ("asked".to_owned(), "to write"),
            "score" => ("asked".to_owned(), "how likely texts are"),
            "assess" => ("asked the judge".to_owned(), ""),
            "count-tokens" => ("asked".to_owned(), "how many tokens a prompt has"),
            "render" => ("asked".to_owned(), "what a prompt looks like"),
            "capture" => ("asked".to_owned(), "to read a prompt and keep states"),
            "trace" => ("asked".to_owned(), "to write and keep a state per step"),
            "read-capture" => ("read kept states of".to_owned(), ""),
            "intervene" => ("changed states of".to_owned(), ""),
            "tensors" => ("listed the weights of".to_owned(), ""),
            "read-tensor" => ("read weights of".to_owned(), ""),
            "importance" => ("asked".to_owned(), "which weights matter most"),
            other => (shown(&format!("made a call ({other}) to")), ""),
        },
        plugin: shown(&call.plugin),
        model: shown(&call.model),
        cost: cost(call),
        plain,
        veiled,
        inner: call.inner.iter().take(MOST_CALLS).map(self::call).collect(),
    }
}

/// Whether a model that the judge asked said just this.
fn said_within(call: &CallView, words: &str) -> bool {
    let reply = |block: &Block| matches!(block, Block::Reply { text, .. } if text.trim() == words.trim());
    call.inner.iter().any(|inner| blocks(inner).iter().any(reply))
}

fn clean(block: Block) -> Block {
    match block {
        Block::Turn { who, text } => Block::Turn { who: shown(&who), text: shown(&text) },
        Block::Reply { reasoning, text, finish } => {
            Block::Reply { reasoning: reasoning.as_deref().map(shown), text: shown(&text), finish }
        }
        Block::Scores { continuations } => {
            let clean = |scored: Scored| Scored { text: shown(&scored.text), ..scored };
            Block::Scores { continuations: continuations.into_iter().take(64).map(clean).collect() }
        }
        Block::Verdict { label, facts, explanation, parsed } => Block::Verdict {
            label: shown(&label),
            facts: facts.iter().map(|fact| shown(fact)).collect(),
            explanation: explanation.as_deref().map(shown),
            parsed,
        },
        Block::Error { text } => Block::Error { text: shown(&text) },
        Block::Raw { title, text } => Block::Raw { title, text: shown(&text) },
    }
}
