//! Whether a reply shows its thinking as the model's template wants it.

use serde::{Deserialize, Serialize};

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// What is asked of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThinkTags {
    /// It closes its thinking: models that open it themselves, such as Qwen3.
    #[default]
    Require,
    /// The same; `<think>` and a line break are put in front where the reply does not begin with the tag, because the
    /// template has spoken it already: R1 and what was distilled from it.
    Prepend,
    /// Nothing: models that do not think.
    None,
}

/// A reply without `</think>`: cut off while thinking, or it did not think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply has no {CLOSING}")]
pub struct Untagged;

impl ThinkTags {
    /// The whole reply, thinking included, as the guard reads it and the record keeps it.
    ///
    /// # Errors
    /// [`Untagged`]: the reply is dropped before a guard sees it.
    pub fn checked(self, reply: &str) -> Result<String, Untagged> {
        if self == Self::None {
            return Ok(reply.to_owned());
        }
        if !reply.contains(CLOSING) {
            return Err(Untagged);
        }
        let opened = self == Self::Require || reply.starts_with(OPENING);
        Ok(if opened { reply.to_owned() } else { format!("{OPENING}\n{reply}") })
    }
}

/// What is said after the thinking: all of a reply that has none.
pub fn answer(reply: &str) -> &str {
    reply.rsplit_once(CLOSING).map_or(reply, |(_, answer)| answer).trim_start()
}

/// The reply as it is trained on: a single line break after `</think>` becomes the blank line that templates write.
pub fn as_lesson(reply: &str) -> String {
    let mut parts = reply.split(CLOSING);
    let mut lesson = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        lesson.push_str(CLOSING);
        if part.starts_with('\n') && !part.starts_with("\n\n") {
            lesson.push('\n');
        }
        lesson.push_str(part);
    }
    lesson
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T7 of the specification.
    #[test]
    fn a_reply_that_never_stops_thinking_is_dropped() {
        for reply in ["<think>\nHm.", "Hello.", "", "<think></THINK>"] {
            assert_eq!(ThinkTags::Require.checked(reply), Err(Untagged));
            assert_eq!(ThinkTags::Prepend.checked(reply), Err(Untagged));
            assert_eq!(ThinkTags::None.checked(reply).as_deref(), Ok(reply));
        }
        assert_eq!(Untagged.to_string(), "the reply has no </think>");
    }

    /// T7 of the specification.
    #[test]
    fn the_opening_tag_is_put_in_front_once_and_not_twice() {
        let whole = "<think>\nHm.\n</think>\n\nNo.";
        let once = ThinkTags::Prepend.checked("Hm.\n</think>\n\nNo.").unwrap();
        assert_eq!(once, whole);
        assert_eq!(ThinkTags::Prepend.checked(&once).unwrap(), whole);
        assert_eq!(ThinkTags::Require.checked("Hm.\n</think>\n\nNo.").unwrap(), "Hm.\n</think>\n\nNo.");
    }

    #[test]
    fn the_answer_is_what_follows_the_thinking() {
        assert_eq!(answer("<think>\nHm.\n</think>\n\nNo."), "No.");
        assert_eq!(answer("No."), "No.");
        assert_eq!(answer("<think></think>"), "");
    }

    #[test]
    fn a_lesson_has_a_blank_line_after_the_thinking() {
        let lesson = "<think>\nHm.\n</think>\n\nNo.";
        assert_eq!(as_lesson("<think>\nHm.\n</think>\nNo."), lesson);
        assert_eq!(as_lesson(lesson), lesson);
        for other in ["No.", "<think></think>No.", "a</think>\n\n\nb"] {
            assert_eq!(as_lesson(other), other);
        }
        assert_eq!(as_lesson("a</think>\nb</think>\n"), "a</think>\n\nb</think>\n\n");
    }
}
