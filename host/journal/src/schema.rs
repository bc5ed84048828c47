//! The file's identity and tables: what `RunFile::create` lays down and every opening checks first.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::JournalError;

/// "SOND", at byte 68 of the file.
pub(crate) const APPLICATION_ID: i64 = 0x534F_4E44;

/// Raised with every change of `schema.sql` or of the JSON that is stored. 2 added diagnoses and what they ask,
/// 3 what was answered from earlier runs, 4 treatments and what they ask.
pub(crate) const VERSION: i64 = 4;

/// The first version with the tables of `reused.sql`.
const REUSE: i64 = 3;

/// Whether a file of this version can be read: what later ones added is all that it lacks.
pub(crate) fn is_known(version: i64) -> bool {
    (1..=VERSION).contains(&version)
}

/// Bytes per page. Fixed, so that the seal is found without trusting the file.
pub(crate) const PAGE: u64 = 4096;

const TABLES: &str = include_str!("schema.sql");
const REUSE_TABLES: &str = include_str!("reused.sql");

/// Marks a new, empty database as a run file and lays down its tables.
pub(crate) fn lay_down(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(REUSE_TABLES)
}

/// The file's version.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the file has the tables of what was answered from earlier runs.
pub(crate) fn knows_reuse(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? >= REUSE)
}

/// Brings an older file that is about to be written to this version.
pub(crate) fn upgrade(connection: &Connection) -> rusqlite::Result<()> {
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    if !knows_reuse(connection)? {
        transaction.execute_batch(REUSE_TABLES)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Opens an existing file; for writing only if `write`.
pub(crate) fn connect(path: &Path, write: bool) -> rusqlite::Result<Connection> {
    let access = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // A run file may come from a stranger.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Refuses files that are not run files of this version with exactly our tables.
pub(crate) fn validate(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let sqlite = JournalError::sqlite(path);
    if pragma("application_id").map_err(&sqlite)? != APPLICATION_ID {
        return Err(JournalError::NotARunFile(path.to_owned()));
    }
    let found = pragma("user_version").map_err(&sqlite)?;
    if !is_known(found) {
        return Err(JournalError::Version { path: path.to_owned(), found, known: VERSION });
    }
    if has_our_tables(connection).map_err(&sqlite)? {
        Ok(())
    } else {
        Err(JournalError::Damaged {
            path: path.to_owned(),
            detail: "its tables have been changed".to_owned(),
        })
    }
}

/// Whether the tables are those of the file's version, to the letter: no views, no triggers, nothing added.
pub(crate) fn has_our_tables(connection: &Connection) -> rusqlite::Result<bool> {
    static BEFORE_REUSE: OnceLock<Vec<Definition>> = OnceLock::new();
    static OURS: OnceLock<Vec<Definition>> = OnceLock::new();
    let reuse = knows_reuse(connection)?;
    let known = if reuse { &OURS } else { &BEFORE_REUSE };
    let found = definitions(connection)?;
    if let Some(ours) = known.get() {
        return Ok(found == *ours);
    }
    let empty = Connection::open_in_memory()?;
    empty.execute_batch(TABLES)?;
    if reuse {
        empty.execute_batch(REUSE_TABLES)?;
    }
    let ours = definitions(&empty)?;
    Ok(found == *known.get_or_init(|| ours))
}

type Definition = (String, String, String, Option<String>);

fn definitions(connection: &Connection) -> rusqlite::Result<Vec<Definition>> {
    connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
}
