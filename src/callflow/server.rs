//! Where the switch connects to from the dialplan's `socket`: a task for each call, and the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::desk::Desk;
use super::path::Path;
use super::report::Report;
use super::runner::{CallflowConfig, Ended, Walk};
use crate::esl::{Outbound, OutboundError};

/// How long it waits after the system had no socket left.
const NO_SOCKETS: Duration = Duration::from_millis(100);

/// Numbers for health and metrics.
#[derive(Debug, Default)]
pub struct CallflowStats {
    /// Calls that are here now.
    pub live: AtomicUsize,
    /// Calls that have come.
    pub calls: AtomicU64,
    /// Calls that were handed back at once, because there were too many.
    pub refused: AtomicU64,
}

/// Takes calls from the switch until `stop` says so; then hands back those that are here.
pub async fn serve<D: Desk>(
    listener: TcpListener,
    desk: Arc<D>,
    config: CallflowConfig,
    stats: Arc<CallflowStats>,
    mut stop: watch::Receiver<bool>,
) {
    let config = Arc::new(config);
    let calls = TaskTracker::new();
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let session = Session {
                    desk: Arc::clone(&desk),
                    config: Arc::clone(&config),
                    stop: stop.clone(),
                };
                calls.spawn(session.take(stream, Guest::admit(&stats)));
            }
            Err(error) => {
                warn!(%error, "a call from the switch cannot be accepted");
                tokio::time::sleep(NO_SOCKETS).await;
            }
        }
    }
    drop(listener);
    calls.close();
    calls.wait().await;
}

/// Counts a call for as long as it is here.
struct Guest {
    stats: Arc<CallflowStats>,
    /// How many there are with this one.
    live: usize,
}

impl Guest {
    fn admit(stats: &Arc<CallflowStats>) -> Self {
        stats.calls.fetch_add(1, Ordering::Relaxed);
        Self {
            live: stats.live.fetch_add(1, Ordering::Relaxed) + 1,
            stats: Arc::clone(stats),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stats.live.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Session<D> {
    desk: Arc<D>,
    config: Arc<CallflowConfig>,
    stop: watch::Receiver<bool>,
}

impl<D: Desk> Session<D> {
    async fn take(mut self, stream: TcpStream, guest: Guest) {
        let config = &*self.config;
        let call = match Outbound::accept(stream, config.limits, config.patience).await {
            Ok(call) => call,
            Err(error) => return warn!(%error, "a connection to [outbound] listen brought no call"),
        };
        let call_id = call.uuid().to_owned();
        let done = match guest.live > config.sessions {
            false => self.run(call).await,
            true => {
                guest.stats.refused.fetch_add(1, Ordering::Relaxed);
                warn!(
                    %call_id,
                    "more than {} calls at once: handed back", config.sessions
                );
                let mut report = Report::failed("too many calls at once");
                hand_back(call, Ended::Done, &mut report).await
            }
        };
        if let Err(end) = done {
            debug!(%call_id, "a call is over: {end}");
        }
    }

    async fn run(&mut self, mut call: Outbound) -> Result<(), OutboundError> {
        let path = Path::of(call.channel());
        let mut report = Report::default();
        let walk = Walk::new(&mut call, &self.desk, &self.config, &mut report);
        let ended = select! {
            ended = walk.run(path) => Some(ended?),
            _ = self.stop.wait_for(|stop| *stop) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None if call.is_let_go() => Ended::Answered,
            None => {
                report.complain("switchhook is shutting down");
                Ended::Done
            }
        };
        hand_back(call, ended, &mut report).await
    }
}

/// Lets a call go: back to the dialplan, or elsewhere in it, with the variables of the report.
async fn hand_back(
    mut call: Outbound,
    ended: Ended,
    report: &mut Report,
) -> Result<(), OutboundError> {
    if let Ended::Answered = ended {
        return call.release().await;
    }
    let variables = report.variables();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    match call.set(&variables).await {
        Ok(()) => {}
        Err(end) if end.is_over() => return Err(end),
        Err(error) => {
            warn!(call_id = %call.uuid(), %error, "the variables of the callflow could not be set");
        }
    }
    match ended {
        Ended::Leave(application) => call.leave(application.name, &application.argument).await,
        Ended::Done | Ended::Answered => call.hand_back().await,
    }
}
