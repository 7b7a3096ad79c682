//! The command line: what was asked for, and the exit code that tells how it went.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
