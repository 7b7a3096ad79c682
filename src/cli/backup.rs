//! `switchhook backup` and `restore`: the database in a file, while it is in use, and back in its place.

use std::path::PathBuf;
use std::process::ExitCode;

use switchhook::config::Config;
use switchhook::store::{self, StoreError};

use super::{EXIT_FAILURE, counted};

/// What `backup` takes.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// Where the copy goes; nothing may be there yet
    file: PathBuf,
    /// Replace what is there, when the copy is whole
    #[arg(long)]
    force: bool,
}

/// What `restore` takes.
#[derive(clap::Args)]
pub(super) struct Restore {
    /// What `backup` has written; it stays where it is
    file: PathBuf,
    /// Do not keep the database that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up(config: &Config, options: &Backup) -> ExitCode {
    let done = store::back_up(&config.store.path, &options.file, options.force);
    finish(done.map(|backup| {
        format!(
            "{}: {}; its integrity was checked",
            options.file.display(),
            in_words(&backup)
        )
    }))
}

pub(super) fn restore(config: &Config, options: &Restore) -> ExitCode {
    let database = &config.store.path;
    let done = store::restore(database, &options.file, !options.force);
    finish(done.map(|restored| {
        let kept = match restored.kept {
            Some(kept) => format!("; what was there is kept as {}", kept.display()),
            None => String::new(),
        };
        let backup = in_words(&restored.backup);
        format!("{} restored: {backup}{kept}", database.display())
    }))
}

fn in_words(backup: &store::Backup) -> String {
    format!(
        "{}, {} bytes, schema {}",
        counted(backup.hooks, "hook"),
        backup.bytes,
        backup.schema
    )
}

fn finish(done: Result<String, StoreError>) -> ExitCode {
    match done {
        Ok(said) => {
            say!("{said}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
