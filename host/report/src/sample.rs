//! One sample as text for a terminal: what was asked, what was answered, what was made of it.

use sonde_contract::{Outcome, Value};

use crate::numbers::{plain, seconds};
use crate::printable::{printable, printable_line};
use crate::transcript::{Block, blocks, columns};
use crate::view::{CallView, Ending, SampleView, TaskView};

/// The page of one sample.
pub fn sample(task: &TaskView, sample: &SampleView, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    let standing = sample.standing().as_str();
    page.heading(&format!(
        "{} · sample {} · {standing}",
        printable_line(&task.name),
        printable_line(&sample.id)
    ));
    page.heading(&format!("row ({})", printable_line(&sample.origin)));
    for (name, text) in columns(&sample.row) {
        page.text(1, &name, &text);
    }
    for call in &sample.calls {
        page.call(0, call);
    }
    if !sample.logs.is_empty() {
        page.heading("log");
        for line in &sample.logs {
            page.text(1, &line.level, &line.text);
        }
    }
    page.heading("outcome");
    match &sample.ending {
        None => page.line(1, "pending"),
        Some(Ending::Failed(reason)) => page.text(1, "failed", reason),
        Some(Ending::Diagnosed { findings }) => {
            page.line(
                1,
                &format!("diagnosed, with findings on {findings} rows; the task's result is what it came to"),
            );
        }
        Some(Ending::Treated { told, documents }) => {
            page.text(1, "derived", told);
            for name in documents {
                page.text(1, "document", name);
            }
        }
        Some(ending @ Ending::Outcome(outcome)) => {
            match ending.reason() {
                Some(reason) => page.text(1, standing, reason),
                None => page.line(1, standing),
            }
            page.outcome(outcome);
        }
    }
    page.out
}

/// A field's value in words.
pub(crate) fn field_text(value: &Value) -> String {
    match value {
        Value::Number(number) => plain(*number),
        Value::Flag(true) => "yes".to_owned(),
        Value::Flag(false) => "no".to_owned(),
        Value::Text(text) => text.clone(),
    }
}

/// What a call cost.
pub(crate) fn cost(call: &CallView) -> String {
    if let Some(source) = &call.reused {
        return format!("answered from {source}");
    }
    let time = seconds(call.micros as f64 / 1e6);
    if call.prompt_tokens + call.completion_tokens == 0 {
        time
    } else {
        format!("{} tokens read, {} written, {time}", call.prompt_tokens, call.completion_tokens)
    }
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let line = if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
        self.out.push_str(&line);
        self.out.push('\n');
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.out.push_str(&"  ".repeat(depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A labelled text; one of several lines stands below its label.
    fn text(&mut self, depth: usize, label: &str, text: &str) {
        let text = printable(text);
        let label = printable_line(label);
        let label = if self.colour { format!("\x1b[2m{label}\x1b[0m") } else { label };
        if text.contains('\n') {
            self.line(depth, &format!("{label}:"));
            for line in text.lines() {
                self.line(depth + 1, line);
            }
        } else {
            self.line(depth, &format!("{label}: {text}"));
        }
    }

    fn call(&mut self, depth: usize, call: &CallView) {
        let cost =
            format!("{} → {}, {}", printable_line(&call.plugin), printable_line(&call.model), cost(call));
        let kind = printable_line(&call.kind);
        if depth == 0 {
            self.heading(&format!("{kind} ({cost})"));
        } else {
            self.line(depth, &format!("{kind} ({cost})"));
        }
        for block in &blocks(call) {
            self.block(depth + 1, block);
        }
        for inner in &call.inner {
            self.call(depth + 1, inner);
        }
    }

    fn block(&mut self, depth: usize, block: &Block) {
        match block {
            Block::Turn { who, text } => self.text(depth, who, text),
            Block::Reply { reasoning, text, finish } => {
                if let Some(reasoning) = reasoning {
                    self.text(depth, "reasoning", reasoning);
                }
                self.text(depth, "reply", text);
                if let Some(finish) = finish {
                    self.line(depth, &format!("({finish})"));
                }
            }
            Block::Scores { continuations } => {
                for scored in continuations {
                    let mark = if scored.likeliest { " ← likeliest" } else { "" };
                    let greedy = if scored.greedy { ", greedy" } else { "" };
                    let label = format!("log-likelihood {:.3}{greedy}{mark}", scored.logprob);
                    self.text(depth, &label, &scored.text);
                }
            }
            Block::Verdict { label, facts, explanation, parsed } => {
                let label = if *parsed { label.clone() } else { format!("{label} (could not be read)") };
                let facts =
                    if facts.is_empty() { String::new() } else { format!(" — {}", facts.join(", ")) };
                self.text(depth, "verdict", &printable_line(&format!("{label}{facts}")));
                if let Some(explanation) = explanation {
                    self.text(depth + 1, "explanation", explanation);
                }
            }
            Block::Error { text } => self.text(depth, "no answer", text),
            Block::Raw { title, text } => self.text(depth, title, text),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        for field in &outcome.fields {
            self.text(1, &field.name, &field_text(&field.value));
        }
        for group in &outcome.groups {
            self.text(1, &group.kind, &group.name);
        }
        if let Some(note) = &outcome.note {
            self.text(1, "note", note);
        }
    }
}
