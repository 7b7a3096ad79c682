//! `switchhook completions` and `man`: what shells and readers are told of the commands, from the commands themselves.

use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::EXIT_FAILURE;

pub(super) fn completions(mut commands: Command, shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands, "switchhook", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

pub(super) fn man(commands: Command, directory: &Path) -> ExitCode {
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(commands, directory));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "cannot write manual pages to {}: {error}",
                directory.display()
            );
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
