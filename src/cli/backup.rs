//! `switchhook backup`: the database in a file, while it is in use.

use std::path::PathBuf;
use std::process::ExitCode;

use switchhook::config::Config;
use switchhook::store;

use super::{EXIT_FAILURE, counted};

/// What `backup` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Where the copy goes; nothing may be there yet
    file: PathBuf,
    /// Replace what is there, when the copy is whole
    #[arg(long)]
    force: bool,
}

pub(super) fn run(config: &Config, options: &Options) -> ExitCode {
    match store::back_up(&config.store.path, &options.file, options.force) {
        Ok(backup) => {
            say!(
                "{}: {}, {} bytes, schema {}; its integrity was checked",
                options.file.display(),
                counted(backup.hooks, "hook"),
                backup.bytes,
                backup.schema
            );
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
