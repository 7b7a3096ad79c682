//! `switchhook serve`: the daemon.

use std::process::ExitCode;

use sd_notify::NotifyState;
use switchhook::app::App;
use switchhook::config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::{EXIT_FAILURE, log_to_stderr, runtime};

pub(super) fn run(config: Config) -> ExitCode {
    log_to_stderr(&config.log.level, config.log.format);
    let served = runtime().map_err(Into::into).and_then(|runtime| {
        let served = runtime.block_on(serve(config));
        // Look-ups of names that never end must not keep the process.
        runtime.shutdown_timeout(std::time::Duration::from_millis(200));
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

async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::start(config).await?;
    info!(api = %app.api_address(), "ready");
    tell_manager(&[NotifyState::Ready]);
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: stopping; once more to stop now"),
        _ = interrupt.recv() => info!("SIGINT: stopping; once more to stop now"),
        () = keep_manager_informed(&app) => {}
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
