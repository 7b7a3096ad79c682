//! `switchhook serve`: the daemon.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use switchhook::app::App;
use switchhook::config::{Change, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, error, info, warn};

use super::log::Log;
use super::{EXIT_FAILURE, runtime};

/// How long the files of the configuration may take to be read again: a disk that hangs must not keep us from
/// stopping.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Serves with `config`, which was read from `file`.
pub(super) fn run(config: Config, file: Option<&Path>) -> ExitCode {
    let log = Log::to_stderr(&config.log.level, config.log.format);
    let served = runtime().map_err(Into::into).and_then(|runtime| {
        let served = runtime.block_on(serve(config, file, &log));
        // Look-ups of names that never end must not keep the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn serve(
    config: Config,
    file: Option<&Path>,
    log: &Log,
) -> Result<(), Box<dyn std::error::Error>> {
    // First of all: unhandled, it would end us while we start.
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut app = App::start(config).await?;
    info!(api = %app.api_address(), "ready");
    tell_manager(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                info!("SIGTERM: stopping; once more to stop now");
                break;
            }
            _ = interrupt.recv() => {
                info!("SIGINT: stopping; once more to stop now");
                break;
            }
            _ = hang_up.recv() => reload(&mut app, file, log).await,
            () = keep_manager_informed(&app) => {}
        }
    }
    tell_manager(&[NotifyState::Stopping]);
    tokio::select! {
        stopped = app.stop() => match stopped {
            Ok(()) => info!("stopped, nothing is lost"),
            Err(problem) => warn!("stopped: {problem}"),
        },
        _ = terminate.recv() => warn!("stopped at once; what was under way will be sent again"),
        _ = interrupt.recv() => warn!("stopped at once; what was under way will be sent again"),
    }
    Ok(())
}

/// Reads the configuration again and takes over what can be. One with mistakes changes nothing.
async fn reload(app: &mut App, file: Option<&Path>, log: &Log) {
    info!("SIGHUP: reading the configuration again");
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell_manager(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the service manager does not hear of the reload: {error}"),
    }
    let file = file.map(Path::to_owned);
    // Not on this thread: a disk that hangs must not keep the switch waiting.
    let read = tokio::task::spawn_blocking(move || Config::load(file.as_deref()));
    match tokio::time::timeout(READ_WITHIN, read).await {
        Ok(Ok(Ok(config))) => take_over(app, config, log),
        Ok(Ok(Err(mistakes))) => {
            for mistake in &mistakes {
                error!("{mistake}");
            }
            let mistakes = mistakes.len();
            error!(
                mistakes,
                "the configuration was not reloaded, nothing is changed"
            );
        }
        Ok(Err(error)) => not_reloaded(&error),
        Err(_) => not_reloaded(&format_args!(
            "its files could not be read within {READ_WITHIN:?}"
        )),
    }
    tell_manager(&[NotifyState::Ready]);
}

fn not_reloaded(problem: &dyn std::fmt::Display) {
    error!("the configuration was not reloaded, nothing is changed: {problem}");
}

fn take_over(app: &mut App, config: Config, log: &Log) {
    let level = config.log.level.clone();
    match app.reload(config) {
        Ok(changes) => {
            let in_words = |changes: &[Change]| match changes {
                [] => "nothing".to_owned(),
                changes => {
                    let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
                    changes.join(", ")
                }
            };
            let applied = in_words(&changes.applied);
            let waiting = in_words(&changes.needs_restart);
            // The answer is for whichever level shows it.
            let is_shown = tracing::enabled!(Level::INFO);
            if !is_shown {
                log.set_level(&level);
            }
            match changes.needs_restart.is_empty() {
                true => info!("configuration reloaded; applied: {applied}"),
                false => {
                    warn!("configuration reloaded; applied: {applied}; needs a restart: {waiting}");
                }
            }
            if is_shown {
                log.set_level(&level);
            }
        }
        Err(problem) => not_reloaded(&problem),
    }
}

/// Tells systemd how things are, as often as its watchdog wants to hear of us. It speaks on the thread that
/// does the work: a thread that is stuck falls silent.
async fn keep_manager_informed(app: &App) {
    let Some(watchdog) = sd_notify::watchdog_enabled() else {
        tell_manager(&[NotifyState::Status(&app.status_line())]);
        return std::future::pending().await;
    };
    let mut often = tokio::time::interval(watchdog / 3);
    loop {
        often.tick().await;
        let line = app.status_line();
        tell_manager(&[NotifyState::Watchdog, NotifyState::Status(&line)]);
    }
}

fn tell_manager(states: &[NotifyState<'_>]) {
    // Without a service manager this does nothing; one that does not listen is no reason to stop.
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot speak to the service manager: {error}");
    }
}
