//! Building prompts.

use crate::{Chat, Message, ModelInfo, Prompt, Role};

impl Message {
    /// Instructions above the conversation.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// A turn of the person asking.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// A turn of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

impl Prompt {
    /// Text to be continued as it is, without a chat template.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One question in the model's chat template, with the reply opened.
    pub fn user(text: impl Into<String>) -> Self {
        Self::conversation(vec![Message::user(text)])
    }

    /// A conversation in the model's chat template, with the reply opened.
    pub fn conversation(messages: Vec<Message>) -> Self {
        Self::Chat(Chat { messages, thinking: None, prefill: None, open_reply: true })
    }

    /// Puts instructions above the conversation, or in front of plain text. An empty text changes nothing.
    #[must_use]
    pub fn with_system(self, instructions: &str) -> Self {
        match self {
            unchanged if instructions.is_empty() => unchanged,
            Self::Text(text) => Self::Text(format!("{instructions}\n\n{text}")),
            Self::Chat(mut chat) => {
                chat.messages.insert(0, Message::system(instructions));
                Self::Chat(chat)
            }
            tokens @ Self::Tokens(_) => tokens,
        }
    }

    /// Puts solved examples before the last message, as turns of the conversation, or in front of plain text.
    #[must_use]
    pub fn with_examples<'a>(self, examples: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        match self {
            Self::Text(text) => {
                let solved: String =
                    examples.into_iter().map(|(asked, said)| format!("{asked} {said}\n\n")).collect();
                Self::Text(solved + &text)
            }
            Self::Chat(mut chat) => {
                let question = chat.messages.pop();
                for (asked, said) in examples {
                    chat.messages.extend([Message::user(asked), Message::assistant(said)]);
                }
                chat.messages.extend(question);
                Self::Chat(chat)
            }
            tokens @ Self::Tokens(_) => tokens,
        }
    }

    /// The first words of the reply, already spoken. They are not repeated in the completion.
    #[must_use]
    pub fn with_prefill(self, spoken: &str) -> Self {
        match self {
            Self::Text(text) => Self::Text(text + spoken),
            Self::Chat(chat) => Self::Chat(Chat { prefill: Some(spoken.to_owned()), ..chat }),
            tokens @ Self::Tokens(_) => tokens,
        }
    }

    /// Asks the model to think before it replies, or not to; only chat templates that know the switch obey.
    #[must_use]
    pub fn thinking(self, wish: bool) -> Self {
        match self {
            Self::Chat(chat) => Self::Chat(Chat { thinking: Some(wish), ..chat }),
            other => other,
        }
    }

    /// A conversation that is over: no reply is opened after its last message.
    #[must_use]
    pub fn finished(self) -> Self {
        match self {
            Self::Chat(chat) => Self::Chat(Chat { open_reply: false, ..chat }),
            other => other,
        }
    }

    /// The conversation as plain text: its turns with blank lines between them, then the prefill.
    #[must_use]
    pub fn without_template(self) -> Self {
        match self {
            Self::Chat(chat) => {
                let turns = chat.messages.into_iter().map(|message| message.content).chain(chat.prefill);
                Self::Text(turns.collect::<Vec<_>>().join("\n\n"))
            }
            other => other,
        }
    }

    /// Fit for this model: unchanged if it has a chat template, else [`Prompt::without_template`].
    #[must_use]
    pub fn fitted(self, model: &ModelInfo) -> Self {
        if model.has_chat_template { self } else { self.without_template() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_stand_between_the_instructions_and_the_question() {
        let prompt =
            Prompt::user("3 + 3?").with_examples([("1 + 1?", "2"), ("2 + 2?", "4")]).with_system("Add.");
        let Prompt::Chat(chat) = prompt else { panic!("a chat became {prompt:?}") };
        let spoken: Vec<_> =
            chat.messages.iter().map(|message| (message.role, message.content.as_str())).collect();
        let expected = [
            (Role::System, "Add."),
            (Role::User, "1 + 1?"),
            (Role::Assistant, "2"),
            (Role::User, "2 + 2?"),
            (Role::Assistant, "4"),
            (Role::User, "3 + 3?"),
        ];
        assert_eq!(spoken, expected);
        assert!(chat.open_reply);
    }

    #[test]
    fn a_conversation_becomes_plain_text_for_a_model_without_a_template() {
        let prompt = Prompt::user("Tell a story.").with_system("Be brief.").with_prefill("Once");
        assert_eq!(prompt.without_template(), Prompt::Text("Be brief.\n\nTell a story.\n\nOnce".to_owned()));
    }

    #[test]
    fn examples_and_instructions_precede_plain_text() {
        let prompt = Prompt::plain("Q: c\nA:").with_examples([("Q: a\nA:", "b")]).with_system("Answer.");
        assert_eq!(prompt, Prompt::Text("Answer.\n\nQ: a\nA: b\n\nQ: c\nA:".to_owned()));
    }

    #[test]
    fn no_instructions_leave_the_prompt_as_it_is() {
        assert_eq!(Prompt::user("Hi").with_system(""), Prompt::user("Hi"));
    }
}
