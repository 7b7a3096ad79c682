//! `switchhook check`: line by line, what is right and what is wrong.

use std::process::ExitCode;

use switchhook::app::client_config;
use switchhook::config::{Config, Loaded};
use switchhook::esl::Client;
use switchhook::store;
use switchhook::time::Clock;
use tokio::net::TcpListener;

use super::rest::{Rest, RestError};
use super::{EXIT_FAILURE, running, runtime};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Ask the running daemon how it is, by [api] listen of this configuration
    #[arg(long)]
    running: bool,
}

pub(super) fn run(loaded: &Loaded, options: &Options) -> ExitCode {
    if options.running {
        return running::run(&loaded.config);
    }
    match runtime() {
        Ok(runtime) => runtime.block_on(check(loaded)).exit_code(),
        Err(error) => {
            eprintln!("cannot start: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Checks everything, and goes on after what is wrong.
async fn check(loaded: &Loaded) -> Report {
    let config = &loaded.config;
    let mut report = Report::default();
    report.line("configuration", Ok(no_mistakes(loaded)));
    let path = &config.store.path;
    let holder = store::in_use(path);
    // Who holds the database holds the ports.
    let running = holder.is_some() && answers(config).await;
    let database = match holder {
        Some(stranger) if !running => Err(stranger),
        _ => store::inspect(path),
    };
    let use_of_it = match running {
        true => ", in use by the running switchhook",
        false => "",
    };
    let database = database.map(|found| format!("{} ({found}{use_of_it})", path.display()));
    report.line("database", database.map_err(|error| error.to_string()));
    report.line("switch", switch(config).await);
    report.line("[api] listen", port(&config.api.listen, running).await);
    match config.outbound.listen.as_str() {
        "" => report.line("[outbound] listen", Ok("switched off".into())),
        listen => report.line("[outbound] listen", port(listen, running).await),
    }
    report
}

fn no_mistakes(loaded: &Loaded) -> String {
    match loaded.files.is_empty() {
        true => "no file, the defaults".to_owned(),
        false => format!("no mistakes in {}", loaded.files.join(", ")),
    }
}

async fn switch(config: &Config) -> Result<String, String> {
    let login = client_config(config, Clock::system()).map_err(|error| error.to_string())?;
    match Client::try_login(&login).await {
        Ok(()) => Ok(format!(
            "logged in at {}:{}",
            config.switch.host, config.switch.port
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a switchhook is at this configuration's API port, even if it hangs: not one that was started with another
/// configuration and has the same database.
async fn answers(config: &Config) -> bool {
    let Ok(rest) = Rest::without_token(config) else {
        return false;
    };
    match rest.health("/health").await {
        Ok(_) => true,
        Err(RestError::Unreachable { source, .. }) => source.is_timeout(),
        Err(_) => false,
    }
}

/// Whether a port can be had, or is held by the daemon that is `running`.
async fn port(address: &str, running: bool) -> Result<String, String> {
    match TcpListener::bind(address).await {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
            Ok(format!("{address} is the running switchhook's"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(format!("{address} is taken by another program"))
        }
        Err(error) => Err(format!("{address}: {error}")),
    }
}

/// Lines, and whether all that they say is right.
#[derive(Default)]
pub(super) struct Report {
    has_wrong: bool,
}

impl Report {
    pub(super) fn line(&mut self, what: &str, found: Result<String, String>) {
        match found {
            Ok(found) => mention!("ok     {what}: {found}"),
            Err(problem) => {
                self.has_wrong = true;
                mention!("WRONG  {what}: {problem}")
            }
        };
    }

    /// Says what somebody should know who has nothing to mend here.
    pub(super) fn note(&self, what: &str, found: &str) {
        mention!("note   {what}: {found}");
    }

    pub(super) fn is_good(&self) -> bool {
        !self.has_wrong
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self.has_wrong {
            false => ExitCode::SUCCESS,
            true => ExitCode::from(EXIT_FAILURE),
        }
    }
}
