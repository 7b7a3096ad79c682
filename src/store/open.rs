//! Opening the database file: refusals first, while nothing has been touched, then pragmas and migrations.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tracing::warn;

use super::schema;
use super::{Durability, StoreError};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How long an opening database waits for somebody else's transaction.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

/// How long a transaction waits inside SQLite; beyond that the writer pauses by itself and says so.
const WRITE_PATIENCE: Duration = Duration::from_millis(20);

/// How long a read waits, for a WAL that is being recovered: nothing else holds up a reader.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// The right to be the only switchhook on a database, until it is dropped.
///
/// A file of its own beside the database: to open and close the database file itself would take away
/// SQLite's own locks on it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close our own descriptor is not enough: a child that is just being started has a copy until it execs.
        if let Err(error) = self.file.unlock() {
            warn!("the lock beside the database is released only when this process ends: {error}");
        }
    }
}

impl Lock {
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let refused = |source| StoreError::Directory {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(database, file)),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(refused)?;
        Ok(Self { file })
    }
}

/// The refusal of a database whose lock somebody else holds.
pub(super) fn held(database: &Path, mut lock: File) -> StoreError {
    let mut holder = String::new();
    // Only for the message: without it we still refuse.
    let pid = match lock.read_to_string(&mut holder) {
        Ok(_) => holder.trim().parse().ok(),
        Err(_) => None,
    };
    StoreError::InUse {
        path: database.into(),
        pid,
    }
}

/// The path of a file that stands beside the database and is named after it.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The one connection that writes, on a database that is ours and up to date.
pub(super) fn writer(
    path: &Path,
    durability: Durability,
) -> Result<(Connection, Lock), StoreError> {
    directory(path)?;
    let lock = Lock::take(path)?;
    file(path)?;
    let open = |source| StoreError::Open {
        path: path.into(),
        source,
    };
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(open)?;
    refuse_strangers(&conn, path)?;
    prepare(&conn, durability).map_err(open)?;
    schema::migrate(&mut conn).map_err(|source| StoreError::Migration {
        path: path.into(),
        source,
    })?;
    conn.busy_timeout(WRITE_PATIENCE).map_err(open)?;
    conn.pragma_update(None, "foreign_keys", true)
        .map_err(open)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok((conn, lock))
}

/// A connection that only looks, on a database that is ours.
pub(super) fn onlooker(path: &Path) -> Result<Connection, StoreError> {
    let conn = reader(path).map_err(|source| StoreError::Open {
        path: path.into(),
        source,
    })?;
    refuse_strangers(&conn, path)?;
    Ok(conn)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(READ_PATIENCE)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// A connection that copies the log into the database file, and nothing else.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(conn)
}

/// Makes the directory where it is missing, for this user alone: bodies hold numbers and names.
pub(super) fn directory(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| StoreError::Directory {
            path: directory.into(),
            source,
        })
}

/// Makes the file where it is missing, for this user alone; refuses one that is no database by its first
/// bytes, before SQLite opens it.
fn file(path: &Path) -> Result<(), StoreError> {
    let refused = |source| StoreError::Directory {
        path: path.into(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    let mut start = Vec::with_capacity(MAGIC.len());
    (&file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(refused)?;
    if start.is_empty() || start == MAGIC {
        return Ok(());
    }
    Err(StoreError::NotADatabase { path: path.into() })
}

fn refuse_strangers(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let look = || -> rusqlite::Result<(i64, i64, i64)> {
        conn.busy_timeout(OPEN_PATIENCE)?;
        // Closing after a refusal must not move the log into the file.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get(0));
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        Ok((number("application_id")?, number("user_version")?, tables))
    };
    let (application, version, tables) =
        look().map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => {
                StoreError::NotADatabase { path: path.into() }
            }
            _ => StoreError::Open {
                path: path.into(),
                source,
            },
        })?;
    let is_new = application == 0 && version == 0 && tables == 0;
    if !is_new && application != schema::APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if version > schema::VERSION {
        return Err(StoreError::Newer {
            path: path.into(),
            found: version,
            known: schema::VERSION,
        });
    }
    Ok(())
}

/// The settings of the file and of the writing connection. The numbers among them were measured.
fn prepare(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // Counts only while the file is empty: 8 KiB pages are an eighth cheaper.
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    conn.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    conn.pragma_update(
        None,
        "synchronous",
        match durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        },
    )?;
    // `Checkpoints` does it, beside the writer.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}
