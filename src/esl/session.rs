//! A connection that is up: what was asked on it, and whether it is still alive.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::client::ClientConfig;
use super::command::Command;
use super::event::Event;
use super::frame::Frame;
use super::handle::{ApiError, ApiResult, Ask};
use super::link::{Link, LinkError, Moved};
use super::pending::{Pending, Taker};

/// The longest `Heartbeat-Interval` that is believed.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(3600);

/// What one step of a [`Session`] has brought.
pub(super) enum Step {
    Frame(Frame),
    /// Answers to be told, often none.
    Done(Vec<(Taker, ApiResult)>),
}

/// A connection that is up: what was asked on it, and whether it is alive.
pub(super) struct Session {
    link: Link,
    pending: Pending,
    /// When the last byte came.
    heard: Instant,
    /// How long it may be silent before it is probed.
    silence: Duration,
    /// When a probe was sent that nothing has followed yet.
    probed: Option<Instant>,
    /// When waiting commands last moved on.
    written: Instant,
    /// How long a probe may go unanswered and a write may be stuck.
    patience: Duration,
}

impl Session {
    pub(super) fn new(link: Link, config: &ClientConfig, now: Instant) -> Self {
        Self {
            link,
            pending: Pending::new(
                config.api_timeout,
                config.heartbeat_timeout + config.connect_timeout,
            ),
            heard: now,
            silence: config.heartbeat_timeout,
            probed: None,
            written: now,
            patience: config.connect_timeout,
        }
    }

    /// Sends a command of our own, whose reply matters to nobody.
    pub(super) fn say(&mut self, command: Command, now: Instant) {
        let taker = Taker::Log(command.to_string());
        self.send(&command, taker, now);
    }

    /// Sends the first subscription of the connection.
    pub(super) fn subscribe(&mut self, command: &Command, now: Instant) {
        self.send(command, Taker::Subscription, now);
    }

    pub(super) fn ask(
        &mut self,
        command: &Command,
        taker: Taker,
        now: Instant,
    ) -> Result<(), (Taker, ApiError)> {
        match self.pending.room(now) {
            Ok(()) => {
                self.send(command, taker, now);
                Ok(())
            }
            Err(error) => Err((taker, error)),
        }
    }

    fn send(&mut self, command: &Command, taker: Taker, now: Instant) {
        if !self.link.has_output() {
            self.written = now;
        }
        self.link.say(command);
        self.pending.push(command, taker, now);
    }

    /// The next frame, or something else that was done. Cancel safe.
    pub(super) async fn step(&mut self, asks: &mut mpsc::Receiver<Ask>) -> Result<Step, LinkError> {
        if let Some(frame) = self.link.frame()? {
            return Ok(Step::Frame(frame));
        }
        let deadline = self.deadline();
        select! {
            moved = self.link.progress() => {
                self.moved(moved?, Instant::now());
                Ok(Step::Done(Vec::new()))
            }
            Some(Ask { command, reply }) = asks.recv() => {
                let refused = self.ask(&command, Taker::Task(reply), Instant::now()).err();
                Ok(Step::Done(refused.into_iter().map(|(taker, error)| (taker, Err(error))).collect()))
            }
            () = sleep_until(deadline) => self.overdue().map(Step::Done),
        }
    }

    /// Who waits for what `reply` says.
    pub(super) fn answer(&mut self, reply: &Frame) -> Option<(Taker, ApiResult)> {
        self.pending.answer(reply, self.heard)
    }

    /// Everybody who still waits for an answer, when it is over.
    pub(super) fn abandon(self) -> impl Iterator<Item = (Taker, ApiResult)> {
        self.pending.abandon()
    }

    fn moved(&mut self, moved: Moved, now: Instant) {
        match moved {
            Moved::In => {
                self.heard = now;
                self.probed = None;
            }
            Moved::Out => self.written = now,
        }
    }

    fn deadline(&self) -> Instant {
        let alive = match self.probed {
            Some(probed) => probed + self.patience,
            None => self.heard + self.silence,
        };
        let written = (self.link.has_output()).then_some(self.written + self.patience);
        [written, self.pending.deadline()]
            .into_iter()
            .flatten()
            .fold(alive, Instant::min)
    }

    /// Looks at what is late: the switch, our writes, or answers.
    fn overdue(&mut self) -> Result<Vec<(Taker, ApiResult)>, LinkError> {
        let now = Instant::now();
        // It may have been us who did not look: what can be moved without waiting is moved first.
        let came = match self.link.progress().now_or_never() {
            Some(Ok(Moved::Out)) => {
                self.moved(Moved::Out, now);
                return Ok(Vec::new());
            }
            Some(Ok(Moved::In)) => {
                self.moved(Moved::In, now);
                true
            }
            Some(Err(reason)) => return Err(reason),
            None => false,
        };
        if self.link.has_output() && now >= self.written + self.patience {
            return Err(LinkError::Stuck(now - self.written));
        }
        match self.probed {
            Some(probed) if now >= probed + self.patience => {
                return Err(LinkError::Silent(now - self.heard));
            }
            None if now >= self.heard + self.silence => {
                self.say(Command::probe(), now);
                self.probed = Some(now);
            }
            _ => {}
        }
        // What has just come may be the answer that seems to be late.
        match came {
            true => Ok(Vec::new()),
            false => Ok(self.pending.expire(now)),
        }
    }

    /// Takes the switch's own word for how often it is to be heard.
    pub(super) fn heartbeat(&mut self, event: &Event, at_least: Duration) {
        let told = event.number("Heartbeat-Interval");
        let told = told.and_then(|seconds| u64::try_from(seconds).ok());
        if let Some(seconds) = told {
            let twice = Duration::from_secs(seconds).min(LONGEST_HEARTBEAT) * 2;
            self.silence = twice.max(at_least);
            self.pending.longest_silence = self.silence + self.patience;
        }
    }
}
