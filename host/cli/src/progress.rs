//! Progress of a run: a bar on a terminal, a line now and then elsewhere, JSON lines for programs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sonde_runner::{Event, Observer};
use sonde_runtime::printable;

use crate::words;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often, at most, programs hear of a plugin's own progress; a plugin may report as often as it likes.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Failures shown one by one; the report has them all.
const FAILURES_SHOWN: u64 = 10;

/// Shows a run's events.
pub(crate) struct Progress {
    form: Form,
    state: Mutex<State>,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Json,
}

struct State {
    task: String,
    total: u64,
    done: u64,
    failed: u64,
    /// Done when this process began, so that speed and time left speak of this process.
    before: u64,
    tokens_before: u64,
    started: Instant,
    last_line: Instant,
}

impl State {
    /// Whether a line may be written again; if so, the time until the next one begins.
    fn is_due(&mut self, every: Duration) -> bool {
        let due = self.last_line.elapsed() >= every;
        if due {
            self.last_line = Instant::now();
        }
        due
    }
}

impl Progress {
    /// A bar if standard error is a terminal.
    pub(crate) fn new(json: bool) -> Self {
        let form = if json {
            Form::Json
        } else if console::user_attended_stderr() {
            Form::Bar(ProgressBar::hidden())
        } else {
            Form::Lines
        };
        let now = Instant::now();
        let state = State {
            task: String::new(),
            total: 0,
            done: 0,
            failed: 0,
            before: 0,
            tokens_before: 0,
            started: now,
            last_line: now,
        };
        Self { form, state: Mutex::new(state) }
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &str) {
        match &self.form {
            Form::Bar(bar) => bar.suspend(|| remark!("{text}")),
            Form::Lines => remark!("{text}"),
            Form::Json => {}
        }
    }

    fn show(&self, state: &mut State, tokens: u64) {
        let elapsed = state.started.elapsed();
        let here = state.done.saturating_sub(state.before);
        let speed = tokens.saturating_sub(state.tokens_before) as f64 / elapsed.as_secs_f64().max(1e-3);
        let left = state.total.saturating_sub(state.done);
        let left = if here == 0 { None } else { Some(elapsed.mul_f64(left as f64 / here as f64)) };
        let left = left.map(|left| format!(" · {} left", words::time(left))).unwrap_or_default();
        let failed = if state.failed == 0 { String::new() } else { format!(" · {} failed", state.failed) };
        let message = format!("{failed} · {speed:.0} tokens/s{left}");
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position(state.done);
                bar.set_message(message);
            }
            Form::Lines
                if state.last_line.elapsed() >= LINE_EVERY
                    || left.is_empty()
                    || state.done == state.total =>
            {
                state.last_line = Instant::now();
                remark!("{}: {} of {}{message}", state.task, state.done, state.total);
            }
            _ => {}
        }
    }
}

impl Observer for Progress {
    fn notice(&self, event: Event) {
        if let Form::Json = self.form {
            if matches!(event, Event::Progress { .. }) && !self.state().is_due(REPORT_EVERY) {
                return;
            }
            let _ = out!("{}", words::json(&as_json(&event)));
            return;
        }
        let mut state = self.state();
        match event {
            Event::Loading { model } => self.say(&format!("loading the model {model}")),
            Event::Notice { text } => self.say(&printable(&text)),
            Event::Task { name, counts } => {
                if let Form::Bar(bar) = &self.form {
                    let style =
                        ProgressStyle::with_template("{prefix} {wide_bar:.cyan/dim} {pos}/{len}{msg}");
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                    bar.set_length(counts.total);
                    bar.set_prefix(name.clone());
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
                if counts.ended() > 0 && counts.pending() > 0 {
                    self.say(&format!("{name}: going on after {}", words::count(counts.ended(), "sample")));
                }
                *state = State {
                    task: name,
                    total: counts.total,
                    done: counts.ended(),
                    failed: counts.failed,
                    before: counts.ended(),
                    tokens_before: state.tokens_before,
                    started: Instant::now(),
                    last_line: Instant::now(),
                };
            }
            Event::Sample { id, failure, usage, .. } => {
                state.done += 1;
                if let Some(failure) = failure {
                    state.failed += 1;
                    if state.failed <= FAILURES_SHOWN {
                        self.say(&format!("{} failed: {}", printable(&id), printable(&failure)));
                    } else if state.failed == FAILURES_SHOWN + 1 {
                        self.say("further failures are in the report");
                    }
                }
                let tokens = usage.prompt_tokens + usage.generated_tokens;
                self.show(&mut state, tokens);
                if state.done == state.total {
                    state.tokens_before = tokens;
                }
            }
            Event::Progress { id, done, total, what, .. } => {
                let of = if total == 0 { String::new() } else { format!(" ({done} of {total})") };
                let text = format!("{}: {what}{of}", printable(&id));
                match &self.form {
                    Form::Bar(bar) => bar.set_message(format!(" · {}", text.replace('\n', " "))),
                    _ if state.is_due(LINE_EVERY) => self.say(&text),
                    _ => {}
                }
            }
            Event::Summarising { .. } => {}
            Event::NotSummarised { task, reason } => {
                self.say(&format!("{} has no metrics: {}", printable(&task), printable(&reason)));
            }
            Event::Verified { .. } => {
                state.done += 1;
                if let Form::Bar(bar) = &self.form {
                    bar.set_position(state.done);
                }
            }
        }
    }
}

fn as_json(event: &Event) -> serde_json::Value {
    match event {
        Event::Loading { model } => json!({"event": "loading", "model": model}),
        Event::Notice { text } => json!({"event": "notice", "text": text}),
        Event::Task { name, counts } => json!({
            "event": "task", "task": name, "total": counts.total, "ended": counts.ended(), "failed": counts.failed,
        }),
        Event::Sample { task, id, failure, usage } => json!({
            "event": "sample", "task": task, "sample": id, "failure": failure,
            "prompt_tokens": usage.prompt_tokens, "generated_tokens": usage.generated_tokens,
        }),
        Event::Progress { id, plugin, done, total, what } => json!({
            "event": "progress", "sample": id, "plugin": plugin, "done": done, "total": total, "what": what,
        }),
        Event::Summarising { task } => json!({"event": "summarising", "task": task}),
        Event::NotSummarised { task, reason } => {
            json!({"event": "not-summarised", "task": task, "reason": reason})
        }
        Event::Verified { id, differences } => {
            json!({"event": "verified", "sample": id, "differences": differences})
        }
    }
}
