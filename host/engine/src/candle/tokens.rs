//! Text to tokens and back: for a GGUF file through llama.cpp, so that ids equal the other engine's; for a folder
//! through Hugging Face's `tokenizers`.

use sonde_contract::HostError;

use super::folder_tokens::FolderTokens;
use crate::Tokenizer;
use crate::tokenize::Tokenize;

/// A model's tokenizer.
pub(crate) enum Tokens {
    Gguf(Tokenizer),
    Folder(Box<FolderTokens>),
}

impl Tokens {
    /// Texts of the control tokens.
    pub(crate) fn control(&self) -> &[String] {
        match self {
            Self::Gguf(tokenizer) => tokenizer.vocabulary().control(),
            Self::Folder(tokens) => tokens.control(),
        }
    }

    /// The bytes a generated token adds to the reply: control tokens add none, think tags are kept.
    pub(crate) fn reply_bytes(&self, token: i32, into: &mut Vec<u8>) {
        match self {
            Self::Gguf(tokenizer) => tokenizer.vocabulary().reply_bytes(token, into),
            Self::Folder(tokens) => tokens.reply_bytes(token, into),
        }
    }

    /// The bytes of a token, whatever it is.
    pub(crate) fn bytes(&self, token: i32) -> Vec<u8> {
        match self {
            Self::Gguf(tokenizer) => tokenizer.vocabulary().bytes(token),
            Self::Folder(tokens) => tokens.bytes(token),
        }
    }

    /// Whether the token ends a turn.
    pub(crate) fn ends_turn(&self, token: i32) -> bool {
        match self {
            Self::Gguf(tokenizer) => tokenizer.vocabulary().ends_turn(token),
            Self::Folder(tokens) => tokens.ends_turn(token),
        }
    }

    /// The token that a text ends with.
    pub(crate) fn text_end(&self) -> Option<i32> {
        match self {
            Self::Gguf(tokenizer) => {
                let vocab = tokenizer.vocabulary().model().vocab();
                [vocab.eos().0, vocab.eot().0].into_iter().find(|token| *token >= 0)
            }
            Self::Folder(tokens) => tokens.text_end(),
        }
    }

    /// Texts of BOS and EOS, empty where there is none.
    pub(crate) fn ends(&self) -> (String, String) {
        match self {
            Self::Gguf(tokenizer) => {
                let vocabulary = tokenizer.vocabulary();
                let vocab = vocabulary.model().vocab();
                (vocabulary.special_text(vocab.bos()), vocabulary.special_text(vocab.eos()))
            }
            Self::Folder(tokens) => tokens.ends(),
        }
    }
}

impl Tokenize for Tokens {
    fn ids(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<i32>, HostError> {
        match self {
            Self::Gguf(tokenizer) => tokenizer.vocabulary().ids(text, add_special, parse_special),
            Self::Folder(tokens) => tokens.ids(text, add_special, parse_special),
        }
    }
}
