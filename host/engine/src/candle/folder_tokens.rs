//! The tokenizer of a Hugging Face folder, and what its configuration says of turns and templates.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};
use sonde_contract::HostError;
use tokenizers::Tokenizer;

use super::folder::{json, refused};
use crate::tokenize::Tokenize;
use crate::{OpenError, reasoning};

/// Texts of special tokens that end a turn, whatever a configuration says; llama.cpp's list.
const TURN_ENDS: [&str; 8] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end|>",
    "<eos>",
];

/// A folder's tokenizer.
pub(crate) struct FolderTokens {
    /// Recognises special tokens written out.
    parsing: Tokenizer,
    /// Takes them for text.
    literal: Tokenizer,
    /// Special tokens, and other added ones, by id.
    added: HashMap<u32, Added>,
    control: Vec<String>,
    turn_ends: HashSet<u32>,
    /// The one that a text ends with.
    text_end: Option<u32>,
    ends: (String, String),
    /// For byte-level vocabularies: which byte each letter of a token stands for.
    letters: Option<HashMap<char, u8>>,
    /// The chat template.
    pub template: Option<String>,
}

struct Added {
    text: String,
    /// Whether it stays out of replies.
    hidden: bool,
}

impl FolderTokens {
    /// Reads `tokenizer.json` and what stands beside it.
    pub(crate) fn open(folder: &Path, config: &Map<String, Value>) -> Result<Self, OpenError> {
        let file = folder.join("tokenizer.json");
        if !file.exists() {
            return Err(refused(folder, "it has no tokenizer.json".into()));
        }
        let settings = object(json(&folder.join("tokenizer_config.json"))?);
        let generation = object(json(&folder.join("generation_config.json"))?);
        let mut parsing = Tokenizer::from_file(&file)
            .map_err(|error| refused(&file, format!("it cannot be read: {error}")))?;
        let plain = |error: tokenizers::Error| refused(&file, error.to_string());
        parsing.with_truncation(None).map_err(plain)?.with_padding(None);
        let mut literal = parsing.clone();
        literal.set_encode_special_tokens(true);

        let added: HashMap<u32, Added> = parsing
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| {
                let tag = reasoning::TAGS
                    .iter()
                    .any(|(open, close)| token.content == *open || token.content == *close);
                (id, Added { hidden: token.special && !tag, text: token.content })
            })
            .collect();
        let control = added.values().filter(|token| token.hidden && !token.text.is_empty());
        let control = control.map(|token| token.text.clone()).collect();
        let ends = (special(&settings, "bos_token"), special(&settings, "eos_token"));
        let mut turn_ends: HashSet<u32> = ids(config.get("eos_token_id"));
        turn_ends.extend(ids(generation.get("eos_token_id")));
        let texts = TURN_ENDS.into_iter().chain([ends.1.as_str()]);
        turn_ends.extend(texts.filter_map(|text| parsing.token_to_id(text)));
        let text_end = parsing.token_to_id(&ends.1).or_else(|| turn_ends.iter().min().copied());
        let template = template(folder, &settings)?;
        let letters = is_byte_level(&json(&file)?.unwrap_or_default()).then(byte_letters);
        Ok(Self { parsing, literal, added, control, turn_ends, text_end, ends, letters, template })
    }

    pub(crate) fn control(&self) -> &[String] {
        &self.control
    }

    pub(crate) fn reply_bytes(&self, token: i32, into: &mut Vec<u8>) {
        let hidden = self.added.get(&token.unsigned_abs()).is_some_and(|added| added.hidden);
        if !hidden {
            into.extend(self.bytes(token));
        }
    }

    pub(crate) fn bytes(&self, token: i32) -> Vec<u8> {
        let id = token.unsigned_abs();
        if let Some(added) = self.added.get(&id) {
            return added.text.clone().into_bytes();
        }
        let Some(text) = self.parsing.id_to_token(id) else { return Vec::new() };
        if let Some(letters) = &self.letters {
            return text.chars().filter_map(|letter| letters.get(&letter).copied()).collect();
        }
        let byte = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte.and_then(|byte| u8::from_str_radix(byte, 16).ok()) {
            Some(byte) => vec![byte],
            None => text.replace('▁', " ").into_bytes(),
        }
    }

    pub(crate) fn ends_turn(&self, token: i32) -> bool {
        self.turn_ends.contains(&token.unsigned_abs())
    }

    pub(crate) fn text_end(&self) -> Option<i32> {
        self.text_end.and_then(|token| i32::try_from(token).ok())
    }

    pub(crate) fn ends(&self) -> (String, String) {
        self.ends.clone()
    }
}

impl Tokenize for FolderTokens {
    fn ids(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<i32>, HostError> {
        let tokenizer = if parse_special { &self.parsing } else { &self.literal };
        let encoding = tokenizer
            .encode_fast(text, add_special)
            .map_err(|error| HostError::Engine(format!("the tokenizer failed: {error}")))?;
        Ok(encoding.get_ids().iter().map(|id| i32::try_from(*id).unwrap_or(i32::MAX)).collect())
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// A special token's text, given plainly or as an object.
fn special(settings: &Map<String, Value>, key: &str) -> String {
    let value = settings.get(key);
    let text = value.and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str()));
    text.unwrap_or_default().to_owned()
}

/// One id, or a list.
fn ids(value: Option<&Value>) -> HashSet<u32> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => HashSet::new(),
    }
}

/// The template's file, or the one in `tokenizer_config.json`: plainly, or of several the one named `default`.
fn template(folder: &Path, settings: &Map<String, Value>) -> Result<Option<String>, OpenError> {
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        let read = std::fs::read_to_string(&file);
        return read.map(Some).map_err(|reason| OpenError::Unreadable { path: file, reason });
    }
    Ok(match settings.get("chat_template") {
        Some(Value::String(template)) => Some(template.clone()),
        Some(Value::Array(named)) => named
            .iter()
            .find(|one| one.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|one| one.get("template")?.as_str())
            .map(str::to_owned),
        _ => None,
    })
}

/// Whether tokens are written in GPT-2's alphabet of bytes.
fn is_byte_level(tokenizer: &Value) -> bool {
    fn names_it(value: &Value) -> bool {
        match value {
            Value::Object(parts) => {
                parts.get("type").and_then(Value::as_str) == Some("ByteLevel") || parts.values().any(names_it)
            }
            Value::Array(parts) => parts.iter().any(names_it),
            _ => false,
        }
    }
    ["decoder", "pre_tokenizer"].iter().any(|part| tokenizer.get(part).is_some_and(names_it))
}

/// GPT-2's alphabet: printable bytes stand for themselves, the others for the letters from U+0100 on.
fn byte_letters() -> HashMap<char, u8> {
    let mut next = 0x100;
    let letter = |byte: u8| {
        let plain = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let letter = if plain { u32::from(byte) } else { next };
        next += u32::from(!plain);
        (char::from_u32(letter).unwrap_or_default(), byte)
    };
    (0..=u8::MAX).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_is_gpt_2s() {
        let letters = byte_letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[&'Ġ'], letters[&'Ċ'], letters[&'a'], letters[&'ł']), (b' ', b'\n', b'a', 0xA0));
    }
}
