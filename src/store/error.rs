//! What can go wrong in the store, said to the person who has to mend it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::hook::Mistakes;

/// Why the store would not open, or would not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory of the database is missing and cannot be made, or cannot be written to.
    #[error(
        "cannot use {path} for the database: {source}; make it a directory that this user may write to, or set [store] path"
    )]
    Directory {
        /// The directory, or the file in it that could not be made.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the database.
    #[error(
        "{path} is in use by another switchhook{}; stop it, or give this one its own [store] path",
        pid.map_or(String::new(), |pid| format!(" (process {pid})"))
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other process, where it says who it is.
        pid: Option<u32>,
    },
    /// The file is something else.
    #[error(
        "{path} is not a SQLite database; it was left untouched: move it away, or set [store] path"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database, but none of ours.
    #[error(
        "{path} is a database of another program; it was left untouched: set [store] path to another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a later version.
    #[error(
        "{path} has schema version {found}, and this switchhook knows up to {known}; it was left untouched: run the later version, or set [store] path to another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version (`PRAGMA user_version`).
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// SQLite could not open the file or bring it up to date.
    #[error("cannot open the database {path}: {source}{}", what_helps(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A migration failed; the database is as it was before it.
    #[error("cannot bring the database {path} up to date: {source}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite_migration::Error,
    },
    /// A backup cannot be put in the database's place.
    #[error("cannot restore {file}: {source}")]
    Restore {
        /// The backup.
        file: PathBuf,
        /// What is in the way.
        source: std::io::Error,
    },
    /// What was to be restored is no backup of ours, or a damaged one.
    #[error("{file} cannot be restored, and nothing was changed: {why}")]
    NoBackup {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// A backup cannot be written.
    #[error("cannot write the backup {file}: {source}")]
    Backup {
        /// Where it was to be.
        file: PathBuf,
        /// What is in the way.
        source: std::io::Error,
    },
    /// A backup did not pass SQLite's integrity check, and was thrown away.
    #[error(
        "the copy is damaged, and so is the database that it was made from; no backup was written: {found}"
    )]
    DamagedCopy {
        /// The first thing that SQLite found.
        found: String,
    },
    /// The system gave us no thread for the writer.
    #[error("cannot start the database's writer thread: {0}")]
    Thread(std::io::Error),
    /// SQLite refused one operation.
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It was not done in time, and will not be done: the database is stalled or behind.
    #[error("the database did not answer in time; nothing was changed, try again")]
    Busy,
    /// The store is closed or closing.
    #[error("the database is closed: switchhook is stopping")]
    Closed,
    /// The store was closed while it was stalled.
    #[error(
        "the database was closed with {0} operations that it could not commit: their events are lost, their outcomes will be tried again"
    )]
    Abandoned(usize),
    /// What was asked for contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// A document that cannot be kept.
    #[error("the document has mistakes: {0}")]
    Document(Mistakes),
    /// A row that does not say what it should.
    #[error("{table} row {row} cannot be read: {problem}")]
    Damaged {
        /// Its table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The operation itself panicked; it was rolled back.
    #[error(
        "an operation on the database panicked and was rolled back: this is a bug in switchhook"
    )]
    Panicked,
}

impl StoreError {
    /// Whether the same operation may succeed later: the disk is full, the file is locked.
    pub(super) fn is_stall(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_stall(error))
    }

    /// Says which database it was, and what helps: whoever starts the daemon reads this and nothing else.
    pub(crate) fn at_opening(self, path: &Path) -> Self {
        match self {
            Self::Sqlite(source) => Self::Open {
                path: path.into(),
                source,
            },
            other => other,
        }
    }

    pub(crate) fn damaged(
        table: &'static str,
        row: impl ToString,
        problem: impl std::fmt::Display,
    ) -> Self {
        Self::Damaged {
            table,
            row: row.to_string(),
            problem: problem.to_string(),
        }
    }
}

/// What whoever reads the error can do, where that is not plain.
fn what_helps(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => {
            "; the file is damaged: `switchhook restore` puts a backup in its place and keeps it aside"
        }
        _ => "",
    }
}

/// Whether an error speaks of the database as a whole, not of one operation.
pub(super) fn is_stall(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                // Nothing would be won by failing each operation by itself: health says what is wrong.
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}
