//! Looking at a database without opening it for work: what `switchhook check` says of it.

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, open};

/// What is wrong with `path`, or in a few words what it is. Nothing is changed, and a running daemon is not
/// disturbed.
///
/// # Errors
/// A daemon would refuse it, too.
pub fn inspect(path: &Path) -> Result<String, StoreError> {
    if !path.exists() {
        return can_be_made(path).map(|()| "not there yet; the first start makes it".into());
    }
    let conn = open::onlooker(path)?;
    let failed = |source| StoreError::Open {
        path: path.into(),
        source,
    };
    Ok(match hooks(&conn).map_err(failed)? {
        1 => "1 hook".into(),
        hooks => format!("{hooks} hooks"),
    })
}

/// Whether nobody has worked with a database yet.
pub(super) fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.table_exists(None, "hooks")
        .map(|worked_with| !worked_with)
}

/// How many hooks there are; none in a database that nobody has worked with yet.
pub(super) fn hooks(conn: &Connection) -> rusqlite::Result<i64> {
    match is_empty(conn)? {
        true => Ok(0),
        false => {
            let living = "SELECT count(*) FROM hooks WHERE deleted IS NULL";
            conn.query_row(living, (), |row| row.get(0))
        }
    }
}

/// Reads a database that is there. Nothing is changed, and a running daemon is not disturbed.
///
/// # Errors
/// It is no database of ours, or those of `read`.
pub fn look<T>(
    path: &Path,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    read(&open::onlooker(path)?)
}

/// Whether a file can be made there: by making one and taking it away, which is the only question that the
/// system answers truly.
fn can_be_made(path: &Path) -> Result<(), StoreError> {
    let mut directory = path.parent().unwrap_or(Path::new("."));
    while !directory.as_os_str().is_empty() && !directory.exists() {
        directory = directory.parent().unwrap_or(Path::new("."));
    }
    let probe = directory.join(format!(".switchhook-check-{}", std::process::id()));
    File::create(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|source| StoreError::Directory {
            path: directory.into(),
            source,
        })
}

/// Whether a running daemon has the database: what another one would be refused with.
pub fn in_use(path: &Path) -> Option<StoreError> {
    let file = File::open(open::beside(path, ".lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(open::held(path, file)),
        _ => None,
    }
}
