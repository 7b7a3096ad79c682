//! The commands. Each is a file here; what several of them need stands below.

/// Prints a line. Where nobody reads any more (`| head`) the command has done what it was asked.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::print_line(format_args!($($text)*)) };
}

/// The standard one panics where nobody takes what it says, and the exit code would be the panic's.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::print_error(format_args!($($text)*)) };
}

/// Prints a line about work that goes on, whether anybody reads it or not; `true` where it could be printed.
macro_rules! mention {
    ($($text:tt)*) => { $crate::cli::print_if_read(format_args!($($text)*)) };
}

mod backup;
mod check;
mod config;
mod demo;
mod explain;
mod log;
mod manage;
mod pages;
mod record;
mod replay;
mod rest;
mod running;
mod serve;
mod table;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use manage::Order;
use switchhook::config::{Config, Loaded};

/// Wrong configuration or arguments.
const EXIT_USAGE: u8 = 2;
/// Something did not work.
const EXIT_FAILURE: u8 = 1;

/// A sidecar beside FreeSWITCH: it listens to the event socket and tells your servers about calls by webhook.
#[derive(Parser)]
#[command(
    name = "switchhook",
    version,
    about,
    after_help = "Try it without a FreeSWITCH:  switchhook demo"
)]
struct Arguments {
    /// The configuration file, with conf.d/*.toml beside it [default: /etc/switchhook/switchhook.toml, which may be missing]
    #[arg(
        long,
        short,
        global = true,
        env = "SWITCHHOOK_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    #[command(
        after_help = "Example:  switchhook serve --config /etc/switchhook/switchhook.toml\n\nEvery key of the file can be overridden by the environment: SWITCHHOOK_SWITCH__PORT=8022\n\nSIGHUP reads the configuration again and says in the log what it applied and what needs a restart."
    )]
    Serve,
    /// Play a recorded call through everything and show the webhooks that arrive; no FreeSWITCH needed
    #[command(
        after_help = "Examples:\n  switchhook demo         one call, then a summary\n  switchhook demo --loop  calls without end, the API open: add a hook of your own"
    )]
    Demo(demo::Options),
    /// Say line by line what is right and what is wrong: configuration, database, switch, ports
    #[command(
        after_help = "Examples:\n  switchhook check              may it start: files, database, login at the switch, ports\n  switchhook check --running    does it do its work: asks the running daemon\n\nExit code 0: all is right. 1: something is wrong. 2: the configuration cannot be read."
    )]
    Check(check::Options),
    /// Print the configuration in force, every key with its value and where it is set; secrets are not shown
    #[command(
        after_help = "Examples:\n  switchhook config           as TOML, which is a configuration itself\n  switchhook config --json    for programs\n\nExit code 2: it has mistakes, which are listed."
    )]
    Config(config::Options),
    /// Copy the database to a file while the daemon runs, and check the copy
    #[command(
        after_help = "Example:  switchhook backup /var/backups/switchhook-$(date +%F).db\n\nThe daemon goes on meanwhile. The copy holds signing secrets and phone numbers: it is readable by its owner only."
    )]
    Backup(backup::Backup),
    /// Put a backup in the database's place, while the daemon does not run
    #[command(
        after_help = "Example:\n  systemctl stop switchhook\n  switchhook restore /var/backups/switchhook-2026-11-21.db\n  systemctl start switchhook\n\nThe backup is checked before anything is touched. The database that was there is kept beside the new one, with\n`.replaced` behind its name. What was pending in the backup is sent after the start."
    )]
    Restore(backup::Restore),
    /// Write accounts, webhooks and callflows of the running daemon to standard output, for git and other servers
    #[command(
        after_help = "Examples:\n  switchhook export > switchhook.json                       everything, the same text for the same things\n  switchhook export --format toml -A acme > acme.toml       one account and those below it\n  switchhook export --secrets | ssh other switchhook import -\n\nTokens are never in it. Signing secrets only with --secrets; a webhook that is imported without keeps the\none that it has. Values of custom_request_headers are in it as they are."
    )]
    Export(transfer::Export),
    /// Make accounts, webhooks and callflows of the running daemon what a file says
    #[command(
        after_help = "Examples:\n  switchhook import switchhook.json --dry-run      what would be another, field by field\n  switchhook import switchhook.json --prune        and remove webhooks and callflows that the file does not have\n  switchhook import --kazoo webhooks.json          webhooks of a Kazoo: curl …/webhooks/_all_docs?include_docs=true\n\nThe same file again changes nothing. Ids are those of the file. A field that the file leaves out gets its\ndefault, but for `secret`, which stays (null removes it). An account without `webhooks` or `callflows` in the file\nkeeps those that it has, also with --prune. Accounts are never removed.\n\nExit code 0: done, or nothing to do. 1: the daemon did not do it. 2: mistakes in the file, each named; nothing\nwas changed."
    )]
    Import(transfer::Import),
    /// List, add, test, enable … webhooks of the running daemon
    Hooks {
        #[command(flatten)]
        common: manage::Common,
        #[command(subcommand)]
        order: manage::Hooks,
    },
    /// Show what was sent and what came back, and send again
    Attempts {
        #[command(flatten)]
        common: manage::Common,
        #[command(subcommand)]
        order: manage::Attempts,
    },
    /// List, add and delete accounts
    Accounts {
        #[command(flatten)]
        output: manage::Output,
        #[command(subcommand)]
        order: manage::Accounts,
    },
    /// List, add and revoke tokens of the API
    Tokens {
        #[command(flatten)]
        common: manage::Common,
        #[command(subcommand)]
        order: manage::Tokens,
    },
    /// Tell the story of a call: what was seen, which hooks matched or why not, what was sent
    #[command(
        after_help = "Example:  switchhook explain 04e9a1b2-7c3d-4e5f-8a9b-0c1d2e3f4a5b\n\nThe id is that of any leg of the call: call_id or call_uuid of a webhook, Unique-ID on the switch."
    )]
    Explain(explain::Options),
    /// Write the event socket to a file, as it comes
    #[command(
        after_help = "Example:  switchhook record calls.esl --events ALL     (Ctrl-C ends it)\n\nIt holds whatever callers and dialplan say, digits included: keep it as you keep call records."
    )]
    Record(record::Options),
    /// Play a recorded event socket through the call model and the hooks, and show who would be told
    #[command(
        after_help = "Examples:\n  switchhook replay calls.esl                        what would be sent; sends nothing\n  switchhook replay calls.esl --deliver --realtime   for real, as fast as it happened\n\nEvents keep their webhook-id and their time: a receiver that deduplicates passes over what it has seen,\nand a hook with expires_seconds is sent nothing that old."
    )]
    Replay(replay::Options),
    /// Show facts, deliveries and attempts as they happen, one JSON object a line
    #[command(
        after_help = "Example:  switchhook tail | jq -c 'select(.hook_event == \"call_missed\")'"
    )]
    Tail(manage::Tail),
    /// Print what makes a shell complete these commands
    #[command(
        after_help = "Example:  switchhook completions bash > /etc/bash_completion.d/switchhook\n\nThe package has them for bash, fish and zsh."
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a directory; for packages
    #[command(hide = true)]
    Man {
        /// The directory, which is made where it is missing
        directory: PathBuf,
    },
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let file = arguments.config.as_deref();
    match arguments.command {
        Command::Serve => with_config(file, |config| serve::run(config, file)),
        Command::Demo(options) => demo::run(&options),
        Command::Check(options) => with_loaded(file, |loaded| check::run(&loaded, &options)),
        Command::Config(options) => with_loaded(file, |loaded| config::run(&loaded, &options)),
        Command::Backup(options) => with_config(file, |config| backup::back_up(&config, &options)),
        Command::Restore(options) => with_config(file, |config| backup::restore(&config, &options)),
        Command::Export(options) => with_config(file, |config| transfer::export(&config, &options)),
        Command::Import(options) => with_config(file, |config| transfer::import(&config, &options)),
        Command::Hooks { common, order } => manage(file, Order::Hooks(common, order)),
        Command::Attempts { common, order } => manage(file, Order::Attempts(common, order)),
        Command::Accounts { output, order } => manage(file, Order::Accounts(output, order)),
        Command::Tokens { common, order } => manage(file, Order::Tokens(common, order)),
        Command::Explain(options) => with_config(file, |config| explain::run(&config, &options)),
        Command::Record(options) => with_config(file, |config| record::run(&config, &options)),
        Command::Replay(options) => with_config(file, |config| replay::run(&config, &options)),
        Command::Tail(options) => manage(file, Order::Tail(options)),
        Command::Completions { shell } => pages::completions(Arguments::command(), shell),
        Command::Man { directory } => pages::man(Arguments::command(), &directory),
    }
}

fn manage(file: Option<&Path>, order: Order) -> ExitCode {
    with_config(file, |config| manage::run(&config, order))
}

fn with_config(file: Option<&Path>, command: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    with_loaded(file, |loaded| command(loaded.config))
}

/// Reads the configuration, or lists every mistake in it.
fn with_loaded(file: Option<&Path>, command: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match Loaded::read(file) {
        Ok(loaded) => command(loaded),
        Err(mistakes) => {
            for mistake in &mistakes {
                eprintln!("{mistake}");
            }
            eprintln!(
                "the configuration has {} mistake(s); nothing was started",
                mistakes.len()
            );
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The runtime that carries wire, delivery and API: one thread. Two measured slower on the machines this
/// runs on, and leave less to the media.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(std::time::Duration::from_secs(10))
        .build()
}

/// "1 hook", "2 hooks".
fn counted(count: impl std::fmt::Display, what: &str) -> String {
    let count = count.to_string();
    match count.as_str() {
        "1" => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What a caller or an owner wrote, for a terminal: it must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn print_if_read(line: std::fmt::Arguments<'_>) -> bool {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").is_ok()
}

fn print_error(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print_line(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("cannot print: {error}");
        std::process::exit(i32::from(EXIT_FAILURE));
    }
}
