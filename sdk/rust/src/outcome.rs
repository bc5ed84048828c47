//! Building outcomes and reading them again when summing up.

use crate::{Field, Group, Outcome, Status, Value, Verdict};

impl Outcome {
    /// A sample that was measured.
    pub fn scored() -> Self {
        Self { status: Status::Scored, good: None, fields: Vec::new(), groups: Vec::new(), note: None }
    }

    /// A sample whose reply or verdict could not be read; the text says which and how it looked.
    pub fn unparsable(why: impl Into<String>) -> Self {
        Self::scored().but_unparsable(why)
    }

    /// A row that the protocol leaves out; the text says why.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { status: Status::Skipped(why.into()), ..Self::scored() }
    }

    /// Turns it into an unparsable one that keeps its groups and fields.
    #[must_use]
    pub fn but_unparsable(self, why: impl Into<String>) -> Self {
        Self { status: Status::Unparsable(why.into()), good: None, ..self }
    }

    /// Whether the sample went the way one would wish.
    #[must_use]
    pub fn good(self, good: bool) -> Self {
        Self { good: Some(good), ..self }
    }

    /// Adds a measured value. Keep these small: all outcomes together go back into `summarize`, and the journal has
    /// the texts already.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.push(Field { name: name.to_owned(), value: value.into() });
        self
    }

    /// Puts the sample into a group. An empty name is no group.
    #[must_use]
    pub fn group(mut self, kind: &str, name: &str) -> Self {
        if !name.is_empty() {
            self.groups.push(Group { kind: kind.to_owned(), name: name.to_owned() });
        }
        self
    }

    /// Adds a remark for the reader.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// Ends the sample of an attack with the judge's verdict: its label as the field `verdict`, and whether the attack
    /// succeeded as `attack_success`, which is the opposite of good. A verdict that does not tell makes it unparsable.
    #[must_use]
    pub fn attacked(self, verdict: &Verdict) -> Self {
        let outcome = self.field("verdict", verdict.label.as_str());
        match verdict.attack_succeeded() {
            Ok(success) => outcome.good(!success).field("attack_success", success),
            Err(why) => outcome.but_unparsable(why),
        }
    }

    /// Whether it was measured.
    pub fn is_scored(&self) -> bool {
        self.status == Status::Scored
    }

    /// A yes-or-no value.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(|value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name)
            .and_then(|value| if let Value::Number(number) = value { Some(*number) } else { None })
    }

    /// A label.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)
            .and_then(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// The name of its group of this kind.
    pub fn group_of(&self, kind: &str) -> Option<&str> {
        self.groups.iter().find(|group| group.kind == kind).map(|group| group.name.as_str())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_that_succeeded_is_not_good_and_one_that_nobody_judged_is_neither() {
        let complied = Outcome::scored().attacked(&Verdict::labelled("compliance").with_refusal(false));
        assert_eq!((complied.flag("attack_success"), complied.good), (Some(true), Some(false)));
        assert_eq!(complied.text("verdict"), Some("compliance"));
        let unread = Outcome::scored().group("kind", "name").attacked(&Verdict::unreadable("hm"));
        assert_eq!((unread.flag("attack_success"), unread.good, unread.is_scored()), (None, None, false));
        assert_eq!(unread.group_of("kind"), Some("name"));
    }
}
