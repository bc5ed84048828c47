//! The text by which a request is recognised: what the user said last.

use serde_json::Value;
use sonde_contract::{Prompt, Role};

/// Columns that hold a request, in the order in which they are looked for.
const COLUMNS: [&str; 6] = ["prompt", "Behavior", "goal", "question", "problem", "instruction"];

/// Of a dataset's row: the last user message of `messages`, else a column that holds the request.
pub(crate) fn of_row(row: &Value) -> Option<String> {
    if let Some(Value::Array(messages)) = row.get("messages") {
        let said = messages
            .iter()
            .rev()
            .find(|message| message.get("role").and_then(Value::as_str) == Some("user"))
            .and_then(|message| message.get("content"));
        return said.and_then(Value::as_str).and_then(trimmed);
    }
    COLUMNS.iter().find_map(|column| row.get(column).and_then(Value::as_str).and_then(trimmed))
}

/// Of what a model was given to read; `None` of token ids.
pub(crate) fn of_prompt(prompt: &Prompt) -> Option<String> {
    match prompt {
        Prompt::Text(text) => trimmed(text),
        Prompt::Tokens(_) => None,
        Prompt::Chat(chat) => {
            let said = chat.messages.iter().rev().find(|message| message.role == Role::User);
            said.and_then(|message| trimmed(&message.content))
        }
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
