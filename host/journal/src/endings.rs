//! How samples ended: outcomes, diagnoses, failures, and what their plugins logged.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sonde_contract::{Diagnosis, Finding, Outcome, Status, Treatment, Value};

use crate::{JournalError, Pages, RunFile, SampleKey};

/// How a sample ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The plugin measured it.
    Outcome(Outcome),
    /// The sample was a diagnostic's whole work, and this came of it.
    Diagnosis(Diagnosis),
    /// The sample was a treatment's whole work, and this was derived.
    Treatment(Treatment),
    /// No outcome came about; the text says why.
    Failed(String),
}

impl Ending {
    /// Status and body as they are stored.
    pub(crate) fn stored(&self) -> Result<(&'static str, String), JournalError> {
        let outcome = match self {
            Self::Failed(reason) => return Ok(("failed", reason.clone())),
            Self::Diagnosis(diagnosis) => return Ok((DIAGNOSED, exact_json("the diagnosis", diagnosis)?)),
            Self::Treatment(treatment) => return Ok((TREATED, exact_json("the treatment", treatment)?)),
            Self::Outcome(outcome) => outcome,
        };
        let infinite = |value: &Value| matches!(value, Value::Number(number) if !number.is_finite());
        if let Some(field) = outcome.fields.iter().find(|field| infinite(&field.value)) {
            return Err(JournalError::NotFinite(field.name.clone()));
        }
        let status = match outcome.status {
            Status::Scored => "scored",
            Status::Unparsable(_) => "unparsable",
            Status::Skipped(_) => "skipped",
        };
        let body = serde_json::to_string(outcome);
        body.map(|body| (status, body)).map_err(|source| JournalError::Json { what: "the outcome", source })
    }

    fn read(row: &rusqlite::Row<'_>, status: usize, body: usize) -> rusqlite::Result<Self> {
        match row.get_ref(status)?.as_str()? {
            "failed" => row.get(body).map(Self::Failed),
            DIAGNOSED => from_json(row, body).map(Self::Diagnosis),
            TREATED => from_json(row, body).map(Self::Treatment),
            _ => from_json(row, body).map(Self::Outcome),
        }
    }
}

/// The status of a sample that ended with a diagnosis.
const DIAGNOSED: &str = "diagnosed";

/// The status of a sample that ended with a treatment.
const TREATED: &str = "treated";

fn exact_json<T: Serialize + DeserializeOwned>(
    what: &'static str,
    value: &T,
) -> Result<String, JournalError> {
    let json = serde_json::to_string(value).map_err(|source| JournalError::Json { what, source })?;
    // A number that is not finite is written as null, and null is no number.
    match serde_json::from_str::<T>(&json) {
        Ok(_) => Ok(json),
        Err(_) => Err(JournalError::HoldsNotFinite(what)),
    }
}

/// A sample that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedSample {
    /// The sample.
    pub key: SampleKey,
    /// Its place among the task's samples, from 1.
    pub ordinal: u64,
    /// Its id.
    pub id: String,
    /// How it ended.
    pub ending: Ending,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is off.
    Warn,
    /// The last words before a failure.
    Error,
}

impl LogLevel {
    /// Its name in the run file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl FromSql for LogLevel {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let levels = [Self::Debug, Self::Info, Self::Warn, Self::Error];
        levels.into_iter().find(|level| level.as_str() == name).ok_or(FromSqlError::InvalidType)
    }
}

/// A line that a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
    /// Who says it, for example `harmbench 0.1.0`.
    pub plugin: String,
}

impl RunFile {
    /// Ends a sample: its ending and its log, in one transaction. When this returns, both are on disk.
    ///
    /// # Errors
    /// When the sample has ended already, when the outcome or diagnosis holds a number that is not finite, or when the
    /// file cannot be written; in all of them nothing was recorded.
    pub async fn finish(
        &self,
        sample: SampleKey,
        ending: Ending,
        logs: Vec<LogLine>,
    ) -> Result<(), JournalError> {
        let (status, body) = ending.stored()?;
        self.writer()?.finish(sample, status, body, logs).await
    }

    /// The outcomes of a task with their ordinals, in dataset order; failed samples have none, and a diagnostic has a
    /// diagnosis instead.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn outcomes(&self, task: &str) -> Result<Pages<(u64, Outcome)>, JournalError> {
        Pages::new(self, task, |connection, task, after, rows| {
            let sql = format!(
                "SELECT s.ordinal, e.body FROM samples s JOIN endings e ON e.sample = s.key
                 WHERE s.task = ? AND s.ordinal > ? AND e.status NOT IN ('failed', '{DIAGNOSED}', '{TREATED}') ORDER BY s.ordinal LIMIT {rows}"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let outcomes = statement.query_map([task, after], |row| {
                let ordinal: i64 = row.get(0)?;
                Ok((ordinal, (ordinal.cast_unsigned(), from_json(row, 1)?)))
            })?;
            outcomes.collect()
        })
    }

    /// What a diagnostic's task came to; `None` while it has not ended, if it failed, and for a benchmark.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn diagnosis(&self, task: &str) -> Result<Option<Diagnosis>, JournalError> {
        self.only_ending(task, DIAGNOSED)
    }

    /// What a treatment's task derived; `None` while it has not ended, if it failed, and for other plugins.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn treatment(&self, task: &str) -> Result<Option<Treatment>, JournalError> {
        self.only_ending(task, TREATED)
    }

    fn only_ending<T: DeserializeOwned>(&self, task: &str, status: &str) -> Result<Option<T>, JournalError> {
        let task = self.task(task)?;
        self.readers().read(|connection| {
            let sql = "SELECT body FROM endings WHERE task = ?1 AND status = ?2";
            connection
                .prepare_cached(sql)?
                .query_row(params![task, status], |row| from_json(row, 0))
                .optional()
        })
    }

    /// What a diagnostic says of single rows of its datasets, in the plugin's order; empty where it says nothing. The
    /// rows stand in the task's only sample, a JSON object of a list of rows for each dataset: a finding's `row` counts
    /// in the list of its `dataset`.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn findings(&self, task: &str) -> Result<Vec<Finding>, JournalError> {
        Ok(self.diagnosis(task)?.map(|diagnosis| diagnosis.findings).unwrap_or_default())
    }

    /// All samples of a task that ended, in dataset order.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn endings(&self, task: &str) -> Result<Pages<EndedSample>, JournalError> {
        Pages::new(self, task, ended)
    }

    /// How a sample ended; `None` while it has not.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ending(&self, sample: SampleKey) -> Result<Option<Ending>, JournalError> {
        self.readers().read(|connection| {
            let sql = "SELECT status, body FROM endings WHERE sample = ?";
            connection.prepare_cached(sql)?.query_row([sample.0], |row| Ending::read(row, 0, 1)).optional()
        })
    }

    /// What was logged for a sample, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn logs(&self, sample: SampleKey) -> Result<Vec<LogLine>, JournalError> {
        self.readers().read(|connection| logs(connection, sample))
    }
}

pub(crate) fn logs(connection: &Connection, sample: SampleKey) -> rusqlite::Result<Vec<LogLine>> {
    let sql = "SELECT level, text, plugin FROM logs WHERE sample = ? ORDER BY line";
    let mut statement = connection.prepare_cached(sql)?;
    let lines = statement.query_map([sample.0], |row| {
        Ok(LogLine { level: row.get(0)?, text: row.get(1)?, plugin: row.get(2)? })
    })?;
    lines.collect()
}

fn ended(
    connection: &Connection,
    task: i64,
    after: i64,
    rows: usize,
) -> rusqlite::Result<Vec<(i64, EndedSample)>> {
    let sql = format!(
        "SELECT s.key, s.ordinal, s.id, e.status, e.body FROM samples s JOIN endings e ON e.sample = s.key
         WHERE s.task = ? AND s.ordinal > ? ORDER BY s.ordinal LIMIT {rows}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let samples = statement.query_map([task, after], |row| {
        let ordinal: i64 = row.get(1)?;
        let sample = EndedSample {
            key: SampleKey(row.get(0)?),
            ordinal: ordinal.cast_unsigned(),
            id: row.get(2)?,
            ending: Ending::read(row, 3, 4)?,
        };
        Ok((ordinal, sample))
    })?;
    samples.collect()
}

fn from_json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
