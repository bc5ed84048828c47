//! What a benchmark says of one sample.

use sonde_contract::{Field, Group, Outcome, Status, Value};

use super::{Fault, check_count, finite, name, optional_words, words};
use crate::bindings::results as guest;
use crate::limits::Limits;

/// Checks an outcome.
pub fn outcome(limits: &Limits, from: guest::Outcome) -> Result<Outcome, Fault> {
    check_count("fields", "the outcome's fields", from.fields.len(), limits.fields)?;
    check_count("fields", "the outcome's groups", from.groups.len(), limits.fields)?;
    let status = match from.status {
        guest::Status::Scored => Status::Scored,
        guest::Status::Unparsable(text) => Status::Unparsable(words(limits, "the status", &text)?),
        guest::Status::Skipped(text) => Status::Skipped(words(limits, "the status", &text)?),
    };
    Ok(Outcome {
        status,
        good: from.good,
        fields: from.fields.into_iter().map(|from| field(limits, from)).collect::<Result<_, _>>()?,
        groups: from.groups.into_iter().map(group).collect::<Result<_, _>>()?,
        note: optional_words(limits, "the note", from.note)?,
    })
}

/// Checks a named value.
pub fn field(limits: &Limits, from: guest::Field) -> Result<Field, Fault> {
    let name = name("a field's name", &from.name)?;
    let value = match from.value {
        guest::Value::Number(number) => Value::Number(finite(|| format!("field \"{name}\""), number)?),
        guest::Value::Flag(flag) => Value::Flag(flag),
        guest::Value::Text(text) => Value::Text(words(limits, &format!("field \"{name}\""), &text)?),
    };
    Ok(Field { name, value })
}

/// Checks a group.
pub fn group(from: guest::Group) -> Result<Group, Fault> {
    Ok(Group { kind: name("a group's kind", &from.kind)?, name: name("a group's name", &from.name)? })
}
