//! `api` commands from other tasks.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::command::{Command, CommandError};

/// Why a command brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no connection to the switch just now. Nothing was sent.
    #[error("not connected to the switch; nothing was sent")]
    NotConnected,
    /// The connection broke before the answer came. The switch may have run the command.
    #[error("the connection to the switch broke before it answered")]
    Disconnected,
    /// No answer in time. The switch may have run the command.
    #[error("the switch did not answer within {0:?}")]
    TimedOut(Duration),
    /// Too many commands wait for their answers already. Nothing was sent.
    #[error("{0} commands to the switch are waiting for their answers; nothing was sent")]
    Busy(usize),
    /// The switch said `-ERR` or `-USAGE`; its own words.
    #[error("the switch refused: {0}")]
    Refused(String),
    /// The command cannot be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The client is gone: the program is shutting down.
    #[error("the connection to the switch was shut down")]
    Gone,
}

/// What the switch printed, or why it did not.
pub type ApiResult = Result<String, ApiError>;

/// A command on its way from a [`Handle`] to the client.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<ApiResult>,
}

/// Runs `api` commands over the client's connection, from any task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    time_out: Duration,
}

impl Handle {
    /// How many asks may wait for the client to take them.
    const QUEUE: usize = 64;

    pub(super) fn new(time_out: Duration) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, queue) = mpsc::channel(Self::QUEUE);
        (Self { asks, time_out }, queue)
    }

    /// Runs `api LINE` and gives what it printed. Waits no longer than the client's `api_timeout`, the wait
    /// for its turn included.
    ///
    /// # Errors
    /// [`ApiError`]; an answer that begins with `-ERR` or `-USAGE` is [`ApiError::Refused`].
    pub async fn api(&self, line: &str) -> ApiResult {
        let (reply, answer) = oneshot::channel();
        let command = Command::api(line)?;
        // The client keeps a time-out of its own, but nobody may be driving it.
        let asked = tokio::time::timeout(self.time_out, async {
            let ask = Ask { command, reply };
            self.asks.send(ask).await.map_err(|_| ApiError::Gone)?;
            answer.await.map_err(|_| ApiError::Gone)?
        });
        asked
            .await
            .unwrap_or(Err(ApiError::TimedOut(self.time_out)))
    }
}
