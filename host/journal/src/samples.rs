//! Samples: the rows of the datasets, written before anything runs.

use std::fmt;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, named_params, params};
use sonde_contract::Digest;

use crate::{JournalError, Pages, RunFile, chain};

/// Identifies a sample within its run file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleKey(pub(crate) i64);

impl fmt::Display for SampleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with key {}", self.0)
    }
}

/// A sample to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRow {
    /// The task it belongs to.
    pub task: String,
    /// Its place among the task's samples, from 1.
    pub ordinal: u64,
    /// Unique in the run, for example `harmbench/17`.
    pub id: String,
    /// Where the row stands, for example `prompts.csv line 18`.
    pub origin: String,
    /// The row as a JSON object, or why it could not be read.
    pub row: Result<String, String>,
    /// The sample's own seed.
    pub seed: u64,
}

/// A sample of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Identifies it to `append`, `recorded` and `finish`.
    pub key: SampleKey,
    /// The task it belongs to.
    pub task: String,
    /// Its place among the task's samples, from 1.
    pub ordinal: u64,
    /// Unique in the run, for example `harmbench/17`.
    pub id: String,
    /// Where the row stands, for example `prompts.csv line 18`.
    pub origin: String,
    /// The row as a JSON object, or why it could not be read.
    pub row: Result<String, String>,
    /// The sample's own seed.
    pub seed: u64,
}

impl Sample {
    /// The columns that [`Sample::read`] takes, of `samples s JOIN tasks t`.
    pub(crate) const COLUMNS: &str = "s.key, t.name, s.ordinal, s.id, s.origin, s.row, s.fault, s.seed";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let content: Option<String> = row.get(5)?;
        let fault: Option<String> = row.get(6)?;
        Ok(Self {
            key: SampleKey(row.get(0)?),
            task: row.get(1)?,
            ordinal: row.get::<_, i64>(2)?.cast_unsigned(),
            id: row.get(3)?,
            origin: row.get(4)?,
            row: content.ok_or_else(|| fault.unwrap_or_default()),
            seed: row.get::<_, i64>(7)?.cast_unsigned(),
        })
    }

    /// The digest under which the chain refers to it.
    pub(crate) fn digest(&self) -> Digest {
        let row = self.row.as_deref().map_err(String::as_str);
        chain::sample(&self.task, self.ordinal, &self.id, &self.origin, row, self.seed)
    }
}

/// How a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples of the task; 0 until they are complete.
    pub total: u64,
    /// Measured, or diagnosed.
    pub scored: u64,
    /// A reply or verdict could not be read.
    pub unparsable: u64,
    /// Left out by the protocol.
    pub skipped: u64,
    /// No outcome came about.
    pub failed: u64,
}

impl Counts {
    /// Samples that ended, in whatever way.
    pub fn ended(&self) -> u64 {
        self.scored + self.unparsable + self.skipped + self.failed
    }

    /// Samples still to be run.
    pub fn pending(&self) -> u64 {
        self.total.saturating_sub(self.ended())
    }
}

impl RunFile {
    /// Adds all samples of a task, as they stream in, in one transaction, and marks them complete. Gives their number.
    ///
    /// # Errors
    /// The iterator's own error, or that the run file could not be written; in both cases no sample was added.
    pub fn add_samples<E: From<JournalError>>(
        &self,
        task: &str,
        samples: impl IntoIterator<Item = Result<SampleRow, E>>,
    ) -> Result<u64, E> {
        let number = self.task(task)?;
        let sqlite = JournalError::sqlite(self.path());
        let writer = self.writer()?;
        let mut store = writer.store();
        let transaction = store.begin()?;
        let open = "SELECT samples IS NULL FROM tasks WHERE id = ?";
        if !transaction.query_row(open, [number], |row| row.get::<_, bool>(0)).map_err(&sqlite)? {
            return Err(JournalError::SamplesComplete(task.to_owned()).into());
        }
        let mut added = 0_u64;
        for sample in samples {
            insert(&transaction, task, number, &sample?, &sqlite)?;
            added += 1;
        }
        let complete = "UPDATE tasks SET samples = ?2 WHERE id = ?1";
        transaction.execute(complete, params![number, added.cast_signed()]).map_err(&sqlite)?;
        transaction.commit().map_err(&sqlite)?;
        Ok(added)
    }

    /// Whether all samples of a task are in the file.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn samples_complete(&self, task: &str) -> Result<bool, JournalError> {
        let task = self.task(task)?;
        self.readers().read(|connection| {
            let sql = "SELECT samples IS NOT NULL FROM tasks WHERE id = ?";
            connection.prepare_cached(sql)?.query_row([task], |row| row.get(0))
        })
    }

    /// The number of a task's samples; 0 until they are complete.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn sample_count(&self, task: &str) -> Result<u64, JournalError> {
        let task = self.task(task)?;
        self.readers().read(|connection| total(connection, task))
    }

    /// All samples of a task in dataset order.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn samples(&self, task: &str) -> Result<Pages<Sample>, JournalError> {
        Pages::new(self, task, |connection, task, after, rows| page(connection, "", task, after, rows))
    }

    /// The samples of a task that have not ended, in dataset order. A sample that ends meanwhile may still come if
    /// its page was read before.
    ///
    /// # Errors
    /// When the run has no such task.
    pub fn pending(&self, task: &str) -> Result<Pages<Sample>, JournalError> {
        Pages::new(self, task, |connection, task, after, rows| {
            let open = "AND NOT EXISTS (SELECT 1 FROM endings e WHERE e.sample = s.key)";
            page(connection, open, task, after, rows)
        })
    }

    /// The sample with this id, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sample(&self, id: &str) -> Result<Option<Sample>, JournalError> {
        self.readers().read(|connection| {
            let columns = Sample::COLUMNS;
            let sql = format!("SELECT {columns} FROM samples s JOIN tasks t ON t.id = s.task WHERE s.id = ?");
            connection.prepare_cached(&sql)?.query_row([id], Sample::read).optional()
        })
    }

    /// How a task stands.
    ///
    /// # Errors
    /// When the run has no such task or the file cannot be read.
    pub fn counts(&self, task: &str) -> Result<Counts, JournalError> {
        let task = self.task(task)?;
        self.readers().read(|connection| {
            let mut counts = Counts { total: total(connection, task)?, ..Counts::default() };
            let sql = "SELECT status, count(*) FROM endings WHERE task = ? GROUP BY status";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([task])?;
            while let Some(row) = rows.next()? {
                let count = row.get::<_, i64>(1)?.cast_unsigned();
                match row.get_ref(0)?.as_str()? {
                    "scored" | "diagnosed" | "treated" => counts.scored += count,
                    "unparsable" => counts.unparsable = count,
                    "skipped" => counts.skipped = count,
                    _ => counts.failed = count,
                }
            }
            Ok(counts)
        })
    }
}

fn total(connection: &Connection, task: i64) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(samples, 0) FROM tasks WHERE id = ?";
    connection.prepare_cached(sql)?.query_row([task], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

fn page(
    connection: &Connection,
    condition: &str,
    task: i64,
    after: i64,
    rows: usize,
) -> rusqlite::Result<Vec<(i64, Sample)>> {
    let columns = Sample::COLUMNS;
    let sql = format!(
        "SELECT {columns} FROM samples s JOIN tasks t ON t.id = s.task
         WHERE s.task = ? AND s.ordinal > ? {condition} ORDER BY s.ordinal LIMIT {rows}"
    );
    connection
        .prepare_cached(&sql)?
        .query_map([task, after], |row| Ok((row.get(2)?, Sample::read(row)?)))?
        .collect()
}

fn insert(
    connection: &Connection,
    task: &str,
    number: i64,
    sample: &SampleRow,
    sqlite: &impl Fn(rusqlite::Error) -> JournalError,
) -> Result<(), JournalError> {
    let refused =
        |reason| JournalError::SampleRefused { id: sample.id.clone(), task: task.to_owned(), reason };
    if sample.task != task {
        return Err(refused("it belongs to another task"));
    }
    let row = sample.row.as_deref().map_err(String::as_str);
    let digest = chain::sample(task, sample.ordinal, &sample.id, &sample.origin, row, sample.seed);
    let sql = "INSERT INTO samples (task, ordinal, id, origin, row, fault, seed, digest)
               VALUES (:task, :ordinal, :id, :origin, :row, :fault, :seed, :digest)";
    let inserted = connection.prepare_cached(sql).and_then(|mut statement| {
        statement.execute(named_params! {
            ":task": number,
            ":ordinal": sample.ordinal.cast_signed(),
            ":id": sample.id,
            ":origin": sample.origin,
            ":row": row.ok(),
            ":fault": row.err(),
            ":seed": sample.seed.cast_signed(),
            ":digest": digest.as_bytes(),
        })
    });
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(refused("its id or its place is taken"))
        }
        Err(error) => Err(sqlite(error)),
    }
}
