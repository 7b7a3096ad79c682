//! A copy of the database while it is in use: consistent, checked, and under its name only when it is whole.
//!
//! Pages are copied as they are, with SQLite's backup, inside of one read transaction. In a WAL database a reader
//! holds up nobody: the writer goes on, and because the snapshot stands still the copy never has to begin
//! anew, which a backup without one does whenever something is written. `VACUUM INTO` reads in such a snapshot, too, but
//! builds every table and index again: more work for the cores of a media server, for a smaller file. The price of a
//! snapshot is that the log grows by what is written meanwhile; the next checkpoint takes that back.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{self, StepResult};
use rusqlite::{Connection, ErrorCode};
use tempfile::{NamedTempFile, TempDir};

use super::{StoreError, open};

/// Pages copied at a time (1 MiB of 8 KiB pages), and the pause after each: the disk belongs to others, too.
const STEP_PAGES: i32 = 128;
const PAUSE: Duration = Duration::from_millis(2);

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The size of the copy.
    pub bytes: u64,
    /// The version of its schema (`PRAGMA user_version`).
    pub schema: i64,
    /// How many hooks are in it.
    pub hooks: i64,
}

/// Copies the database at `database` to `file`, for this user alone. What stands at `file` is replaced only where
/// `replace` says so, and only when the copy is whole, has passed SQLite's integrity check and is on the disk.
///
/// # Errors
/// The database is none of ours or cannot be read; `file` is there already, is the database itself, or cannot be
/// written; or the copy is damaged, as the database must then be.
pub fn back_up(database: &Path, file: &Path, replace: bool) -> Result<Backup, StoreError> {
    refuse_what_is_there(database, file, replace)?;
    let failed = |source| StoreError::Backup {
        file: file.into(),
        source,
    };
    let source = open::onlooker(database)?;
    let draft = Draft::of(&source, directory_of(file), failed)?;
    draft.name(file, replace).map_err(failed)
}

/// A whole, checked copy that has no name yet.
pub(super) struct Draft {
    pub(super) copy: NamedTempFile,
    pub(super) about: Backup,
    /// Its own, so that whatever SQLite makes beside the copy is gone with it. Dropped last.
    _directory: TempDir,
}

impl Draft {
    /// Copies and checks a database, on the file system of `directory`.
    pub(super) fn of(
        source: &Connection,
        directory: &Path,
        failed: impl Fn(std::io::Error) -> StoreError,
    ) -> Result<Self, StoreError> {
        let directory = tempfile::Builder::new()
            .prefix(".switchhook-backup-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(directory)
            .map_err(&failed)?;
        let copy = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(&directory)
            .map_err(&failed)?;
        copy_pages(source, copy.path()).map_err(|error| failed(reason(error, directory.path())))?;
        let about = check(copy.path())?;
        copy.as_file().sync_all().map_err(&failed)?;
        Ok(Self {
            copy,
            about,
            _directory: directory,
        })
    }

    /// Gives the copy its name. Where nothing is to be replaced this does not replace what came there meanwhile.
    pub(super) fn name(self, file: &Path, replace: bool) -> std::io::Result<Backup> {
        let named = match replace {
            true => self.copy.persist(file),
            false => self.copy.persist_noclobber(file),
        };
        named.map_err(|error| error.error)?;
        // The name, too, is to be there after the power was lost.
        File::open(directory_of(file))?.sync_all()?;
        Ok(self.about)
    }
}

/// The directory that a file stands in.
pub(super) fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Why a copy could not be written to `directory`: SQLite's word for a full disk is mostly "disk I/O error", and the
/// system has a plain one.
fn reason(error: rusqlite::Error, directory: &Path) -> std::io::Error {
    static SOME: [u8; 64 << 10] = [0; 64 << 10];
    let probe = || {
        let mut file = tempfile::tempfile_in(directory)?;
        file.write_all(&SOME)?;
        file.sync_all()
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            let plain = probe().err();
            plain.unwrap_or_else(|| std::io::Error::other(error))
        }
        _ => std::io::Error::other(error),
    }
}

fn refuse_what_is_there(database: &Path, file: &Path, replace: bool) -> Result<(), StoreError> {
    let Ok(there) = file.metadata() else {
        return Ok(());
    };
    let is_there = |path: &Path| {
        path.metadata()
            .is_ok_and(|other| (other.dev(), other.ino()) == (there.dev(), there.ino()))
    };
    let refuse = |why: &str| {
        Err(StoreError::Backup {
            file: file.into(),
            source: std::io::Error::new(std::io::ErrorKind::AlreadyExists, why),
        })
    };
    let of_the_database = ["", "-wal", "-shm", ".lock"]
        .iter()
        .any(|ending| is_there(&open::beside(database, ending)));
    if of_the_database {
        return refuse("it belongs to the database itself; name another file");
    }
    match replace {
        true => Ok(()),
        false => refuse("it is there already; name another file, or replace it with --force"),
    }
}

fn copy_pages(source: &Connection, copy: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(copy)?;
    // Nobody sees the copy before it is whole: it needs neither a journal nor to be on the disk page by page.
    target.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    target.pragma_update(None, "synchronous", "off")?;
    let snapshot = source.unchecked_transaction()?;
    // A transaction has its snapshot from its first read on.
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    {
        let copying = backup::Backup::new(&snapshot, &mut target)?;
        while copying.step(STEP_PAGES)? != StepResult::Done {
            std::thread::sleep(PAUSE);
        }
    }
    // One file that needs no log beside it; the daemon that opens it makes it WAL again.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)
}

fn check(copy: &Path) -> Result<Backup, StoreError> {
    let conn = open::onlooker(copy)?;
    let found: String = conn.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::DamagedCopy { found });
    }
    Ok(Backup {
        bytes: super::file_bytes(copy),
        schema: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        hooks: super::inspect::hooks(&conn)?,
    })
}
