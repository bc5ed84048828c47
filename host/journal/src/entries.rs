//! Calls: what plugins asked of the host and what they were answered.

use std::fmt;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use sonde_contract::Digest;

use crate::{JournalError, RunFile, SampleKey};

/// A call's place in its sample: "3" is the sample's fourth call, "3.0" the first one made by the judge that call 3
/// asked. Ordered as the calls were made: 3, 3.0, 3.1, 4.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallPath(Vec<u32>);

impl CallPath {
    /// A call of the benchmark itself, counted from 0.
    pub fn top(index: u32) -> Self {
        Self(vec![index])
    }

    /// A call made in the course of this one, counted from 0.
    pub fn child(&self, index: u32) -> Self {
        let mut steps = self.0.clone();
        steps.push(index);
        Self(steps)
    }

    /// The index at each level; never empty.
    pub fn steps(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for CallPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            if depth > 0 {
                f.write_str(".")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// Text that is not a call's path.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not the path of a call, such as 3 or 3.0")]
pub struct NotACallPath(String);

impl FromStr for CallPath {
    type Err = NotACallPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let steps = text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let path = steps.map(Self).map_err(|_| NotACallPath(text.to_owned()))?;
        // "03" and "+3" would be second names of 3.
        if path.to_string() == text { Ok(path) } else { Err(NotACallPath(text.to_owned())) }
    }
}

impl FromSql for CallPath {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// Continue prompts.
    Generate,
    /// Score continuations.
    Score,
    /// Ask a judge.
    Assess,
    /// Count a prompt's tokens.
    CountTokens,
    /// Divide a prompt into tokens.
    Tokenize,
    /// Render a prompt.
    Render,
    /// Run a prompt and keep some of its states. The answer says what is kept; its numbers are read.
    Capture,
    /// Continue a prompt and keep a state at every step; as with a capture, the numbers are read.
    Trace,
    /// Read numbers of a capture or a trace.
    ReadCapture,
    /// Put changes of a model's states into force.
    Intervene,
    /// List a model's tensors.
    Tensors,
    /// Read numbers of a tensor.
    ReadTensor,
    /// Find the most important weights.
    Importance,
    /// Put changes of a model's matrices into force.
    Edit,
    /// Means of a matrix's rows.
    RowMeans,
    /// Train an adapter.
    Train,
}

impl CallKind {
    /// All of them.
    const ALL: [Self; 16] = [
        Self::Generate,
        Self::Score,
        Self::Assess,
        Self::CountTokens,
        Self::Tokenize,
        Self::Render,
        Self::Capture,
        Self::Trace,
        Self::ReadCapture,
        Self::Intervene,
        Self::Tensors,
        Self::ReadTensor,
        Self::Importance,
        Self::Edit,
        Self::RowMeans,
        Self::Train,
    ];

    /// Its name in the run file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Score => "score",
            Self::Assess => "assess",
            Self::CountTokens => "count-tokens",
            Self::Tokenize => "tokenize",
            Self::Render => "render",
            Self::Capture => "capture",
            Self::Trace => "trace",
            Self::ReadCapture => "read-capture",
            Self::Intervene => "intervene",
            Self::Tensors => "tensors",
            Self::ReadTensor => "read-tensor",
            Self::Importance => "importance",
            Self::Edit => "edit",
            Self::RowMeans => "row-means",
            Self::Train => "train",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromSql for CallKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(FromSqlError::InvalidType)
    }
}

/// One call of a plugin and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the sample.
    pub path: CallPath,
    /// What was asked.
    pub kind: CallKind,
    /// Who asked, for example `harmbench 0.1.0`.
    pub plugin: String,
    /// The config's name of the model that answered, if one did.
    pub model: Option<String>,
    /// SHA-256 of `request_json`.
    pub request: Digest,
    /// The request.
    pub request_json: String,
    /// The answer, or the error that was given in its place.
    pub answer_json: String,
    /// Tokens the model read.
    pub prompt_tokens: u32,
    /// Tokens the model wrote.
    pub completion_tokens: u32,
    /// How long the answer took.
    pub micros: u64,
}

impl Entry {
    /// The columns that [`Entry::read`] takes, of `calls c`.
    pub(crate) const COLUMNS: &str = "c.path, c.kind, c.plugin, c.model, c.request, c.request_json, c.answer_json, \
                                      c.prompt_tokens, c.completion_tokens, c.micros";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            path: row.get(0)?,
            kind: row.get(1)?,
            plugin: row.get(2)?,
            model: row.get(3)?,
            request: Digest::from_bytes(row.get(4)?),
            request_json: row.get(5)?,
            answer_json: row.get(6)?,
            prompt_tokens: row.get(7)?,
            completion_tokens: row.get(8)?,
            micros: row.get::<_, i64>(9)?.cast_unsigned(),
        })
    }
}

impl RunFile {
    /// Records a call. When this returns, the call is on disk: only then hand the answer to the plugin.
    ///
    /// # Errors
    /// When the sample has ended or has this call already, when the request does not fit its digest, or when the
    /// file cannot be written; in all of them nothing was recorded.
    pub async fn append(&self, sample: SampleKey, entry: Entry) -> Result<(), JournalError> {
        if Digest::of(&entry.request_json) != entry.request {
            return Err(JournalError::WrongDigest(entry.path));
        }
        self.writer()?.append(sample, entry, None).await
    }

    /// The calls of a sample that are recorded, in the order of their paths.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recorded(&self, sample: SampleKey) -> Result<Vec<Entry>, JournalError> {
        let mut entries = self.readers().read(|connection| {
            let sql = format!("SELECT {} FROM calls c WHERE c.sample = ?", Entry::COLUMNS);
            connection
                .prepare_cached(&sql)?
                .query_map([sample.0], Entry::read)?
                .collect::<Result<Vec<_>, _>>()
        })?;
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_ordered_by_number_and_a_call_comes_before_its_children() {
        let mut paths: Vec<CallPath> =
            ["10", "3.1", "4", "3", "3.0.2", "3.0"].iter().map(|path| path.parse().unwrap()).collect();
        paths.sort();
        let sorted: Vec<String> = paths.iter().map(CallPath::to_string).collect();
        assert_eq!(sorted, ["3", "3.0", "3.0.2", "3.1", "4", "10"]);
    }

    #[test]
    fn a_path_has_only_one_spelling() {
        for text in ["", "3.", ".3", "03", "+3", "3.-1", "x", "4294967296"] {
            assert!(text.parse::<CallPath>().is_err(), "{text}");
        }
        assert_eq!("3.0".parse::<CallPath>().unwrap(), CallPath::top(3).child(0));
    }
}
