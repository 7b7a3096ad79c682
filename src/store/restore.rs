//! A backup in the database's place, while no daemon has it.
//!
//! What belongs to the old database goes with it: a log that stayed behind would be played into the new one.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::backup::{Backup, Draft, directory_of};
use super::open::{self, Lock, beside};
use super::{StoreError, inspect};

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What is in the database now.
    pub backup: Backup,
    /// Where the database is that was there before, if one is kept.
    pub kept: Option<PathBuf>,
}

/// Puts a copy of the backup `file` in the place of the database, once it was checked. The database that was there is
/// kept beside it, or removed where `keep` does not say so.
///
/// # Errors
/// A daemon has the database; `file` is no backup of ours, or a damaged one; one that was kept earlier is in the way;
/// or the files cannot be written.
pub fn restore(database: &Path, file: &Path, keep: bool) -> Result<Restored, StoreError> {
    let failed = |source| StoreError::Restore {
        file: file.into(),
        source,
    };
    // Before anything is made, and in the system's words: SQLite has none for a file that is missing.
    File::open(file).map_err(failed)?;
    open::directory(database)?;
    let _lock = Lock::take(database)?;
    give_away(&beside(database, ".lock"), directory_of(database)).map_err(failed)?;
    // SQLite has its log beside the file that a link leads to.
    let database = &database.canonicalize().unwrap_or(database.into());
    let kept = (keep && database.exists()).then(|| beside(database, ".replaced"));
    if let Some(kept) = kept.as_deref().filter(|kept| kept.exists()) {
        let why = format!(
            "{} is there from an earlier time; remove it, or say --force to keep nothing",
            kept.display()
        );
        return Err(failed(io::Error::new(ErrorKind::AlreadyExists, why)));
    }
    let draft = checked(file, directory_of(database)).map_err(|problem| match problem {
        StoreError::Restore { .. } => problem,
        problem => StoreError::NoBackup {
            file: file.into(),
            why: in_short(problem),
        },
    })?;
    let owner = match database.exists() {
        true => database,
        false => directory_of(database),
    };
    give_away(draft.copy.path(), owner).map_err(failed)?;
    clear(database, kept.as_deref()).map_err(failed)?;
    let backup = draft.name(database, true).map_err(failed)?;
    Ok(Restored { backup, kept })
}

/// A copy of the backup that may take the database's place.
fn checked(file: &Path, directory: &Path) -> Result<Draft, StoreError> {
    let source = open::onlooker(file)?;
    if inspect::is_empty(&source)? {
        return Err(StoreError::NotADatabase { path: file.into() });
    }
    Draft::of(&source, directory, |source| StoreError::Restore {
        file: file.into(),
        source,
    })
}

/// What is wrong with a backup, without the advice that is for a database.
fn in_short(problem: StoreError) -> String {
    match problem {
        StoreError::NotADatabase { .. } => "it is no backup".into(),
        StoreError::Foreign { .. } => "it is a database of another program".into(),
        StoreError::Newer { found, known, .. } => format!(
            "it has schema version {found}, and this switchhook knows up to {known}: run the later version"
        ),
        StoreError::DamagedCopy { found } => format!("it is damaged: {found}"),
        StoreError::Open { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Gives a file that root has made to whoever has `owner`: the daemon is mostly somebody else.
fn give_away(file: &Path, owner: &Path) -> io::Result<()> {
    let owner = owner.metadata()?;
    match file.metadata()?.uid() {
        0 => chown(file, Some(owner.uid()), Some(owner.gid())),
        _ => Ok(()),
    }
}

/// Takes the old database with its log out of the way: to where it is kept, or for good.
fn clear(database: &Path, kept: Option<&Path>) -> io::Result<()> {
    if let Some(kept) = kept {
        for ending in ["-wal", "-shm"] {
            if_there(std::fs::remove_file(beside(kept, ending)))?;
        }
        std::fs::rename(database, kept)?;
        if_there(std::fs::rename(
            beside(database, "-wal"),
            beside(kept, "-wal"),
        ))?;
    }
    for ending in ["-wal", "-shm"] {
        if_there(std::fs::remove_file(beside(database, ending)))?;
    }
    Ok(())
}

fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
