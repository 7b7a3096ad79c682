//! Which reply answers which command.
//!
//! Replies carry no id; the switch answers in the order it was asked. A reply that never comes must not hold
//! up anything, and one that comes too late must not be taken for the answer to the next command. So a
//! command that timed out is kept, without anybody waiting for it, until its answer has come or can come no
//! more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::command::Command;
use super::frame::{Frame, Kind};
use super::handle::{ApiError, ApiResult};

/// Who is told the answer.
#[derive(Debug)]
pub(super) enum Taker {
    /// Nobody, unless it is a refusal, which is logged with this command.
    Log(String),
    /// The client: without its first subscription a connection is worth nothing.
    Subscription,
    /// The owner of the client, by the tag it gave.
    Tag(u32),
    /// A task with a handle.
    Task(oneshot::Sender<ApiResult>),
    /// Whoever it was has been told that it timed out.
    GivenUp,
}

impl Taker {
    fn waits(&self) -> bool {
        matches!(self, Self::Tag(_) | Self::Task(_))
    }
}

#[derive(Debug)]
struct Sent {
    answer: Kind,
    at: Instant,
    taker: Taker,
}

/// The commands that were sent on one connection and not answered yet, oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    sent: VecDeque<Sent>,
    time_out: Duration,
    /// How long the connection may be silent. A switch that works on an `api` command sends nothing else, so
    /// on a connection that is alive this long after a time-out, the answer will come no more.
    pub(super) longest_silence: Duration,
    /// When the last answer came: no earlier did the switch turn to what is the oldest now.
    answered: Option<Instant>,
}

impl Pending {
    /// How many commands may wait. A person types a few, a reconciliation asks for each live channel.
    const MOST: usize = 4096;

    pub(super) fn new(time_out: Duration, longest_silence: Duration) -> Self {
        Self {
            sent: VecDeque::new(),
            time_out,
            longest_silence,
            answered: None,
        }
    }

    /// Whether one more command may be sent.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), ApiError> {
        self.forget(now);
        match self.sent.len() < Self::MOST {
            true => Ok(()),
            false => Err(ApiError::Busy(self.sent.len())),
        }
    }

    pub(super) fn push(&mut self, command: &Command, taker: Taker, now: Instant) {
        self.forget(now);
        self.sent.push_back(Sent {
            answer: command.answer(),
            at: now,
            taker,
        });
    }

    fn forget(&mut self, now: Instant) {
        let after = self.time_out + self.longest_silence;
        let is_lost = |sent: &Sent| {
            let begun = self.answered.map_or(sent.at, |at| at.max(sent.at));
            !sent.taker.waits() && now >= begun + after
        };
        while self.sent.front().is_some_and(is_lost) {
            self.sent.pop_front();
        }
    }

    /// Takes out the command that `reply`, which came at `now`, answers, and says who waits for what.
    pub(super) fn answer(&mut self, reply: &Frame, now: Instant) -> Option<(Taker, ApiResult)> {
        self.answered = Some(now);
        let result = read(reply);
        // A user who may not run an `api` command is told so in a command/reply.
        let refusal = reply.kind == Kind::CommandReply && result.is_err();
        let at = (self.sent.iter()).position(|sent| sent.answer == reply.kind || refusal)?;
        self.sent.remove(at).map(|sent| (sent.taker, result))
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sent
            .iter()
            .find(|sent| sent.taker.waits())
            .map(|sent| sent.at + self.time_out)
    }

    /// Those who have waited long enough. Their commands stay, given up, until an answer can come no more.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(Taker, ApiResult)> {
        let time_out = self.time_out;
        self.sent
            .iter_mut()
            .take_while(|sent| now >= sent.at + time_out)
            .filter(|sent| sent.taker.waits())
            .map(|sent| {
                let taker = std::mem::replace(&mut sent.taker, Taker::GivenUp);
                (taker, Err(ApiError::TimedOut(time_out)))
            })
            .collect()
    }

    /// Everybody who still waits when the connection is lost.
    pub(super) fn abandon(self) -> impl Iterator<Item = (Taker, ApiResult)> {
        self.sent
            .into_iter()
            .map(|sent| (sent.taker, Err(ApiError::Disconnected)))
    }
}

/// What a reply says: the body of an `api/response`, the `Reply-Text` of a `command/reply`.
fn read(reply: &Frame) -> ApiResult {
    let text = match reply.kind {
        Kind::ApiResponse => &reply.body[..],
        _ => reply.header("Reply-Text").unwrap_or_default(),
    };
    let text = String::from_utf8_lossy(text);
    match text.starts_with("-ERR") || text.starts_with("-USAGE") {
        true => Err(ApiError::Refused(text.trim_end().to_owned())),
        false => Ok(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const TIME_OUT: Duration = Duration::from_secs(10);
    const SILENCE: Duration = Duration::from_secs(50);

    fn ask(pending: &mut Pending, tag: u32, now: Instant) {
        let command = Command::api("status").unwrap();
        pending.push(&command, Taker::Tag(tag), now);
    }

    fn printed(text: &'static str) -> Frame {
        Frame {
            kind: Kind::ApiResponse,
            head: Bytes::new(),
            body: Bytes::from_static(text.as_bytes()),
        }
    }

    /// The tag of whoever is told, and what.
    fn told(answer: Option<(Taker, ApiResult)>) -> Option<(u32, ApiResult)> {
        match answer? {
            (Taker::Tag(tag), result) => Some((tag, result)),
            _ => None,
        }
    }

    #[test]
    fn an_unanswered_subscription_holds_up_no_answer() {
        let now = Instant::now();
        let mut pending = Pending::new(TIME_OUT, SILENCE);
        let command = Command::exit();
        pending.push(&command, Taker::Log(command.to_string()), now);
        assert_eq!(pending.deadline(), None);
        ask(&mut pending, 1, now);
        ask(&mut pending, 2, now);
        assert_eq!(pending.deadline(), Some(now + TIME_OUT));
        let answer = told(pending.answer(&printed("one"), now));
        assert_eq!(answer, Some((1, Ok("one".into()))));
        let answer = told(pending.answer(&printed("-USAGE: two"), now));
        let refused = ApiError::Refused("-USAGE: two".into());
        assert_eq!(answer, Some((2, Err(refused))));
        assert!(pending.answer(&printed("three"), now).is_none());
    }

    #[test]
    fn a_lost_answer_is_waited_for_as_long_as_it_can_come() {
        let start = Instant::now();
        let mut pending = Pending::new(TIME_OUT, SILENCE);
        ask(&mut pending, 1, start);
        assert!(pending.expire(start + TIME_OUT / 2).is_empty());
        let expired = pending.expire(start + TIME_OUT).pop();
        assert_eq!(told(expired), Some((1, Err(ApiError::TimedOut(TIME_OUT)))));
        assert_eq!(pending.deadline(), None);

        // For all we know this is the first one's, late.
        ask(&mut pending, 2, start + TIME_OUT);
        let late = pending.answer(&printed("late"), start + TIME_OUT);
        assert_eq!(told(late), None);
        let expired = pending.expire(start + TIME_OUT * 2).pop();
        assert_eq!(told(expired), Some((2, Err(ApiError::TimedOut(TIME_OUT)))));

        // But not for ever: a switch that lost an answer is understood again.
        let later = start + TIME_OUT * 2 + SILENCE;
        ask(&mut pending, 3, later);
        let answer = told(pending.answer(&printed("three"), later));
        assert_eq!(answer, Some((3, Ok("three".into()))));
    }

    #[test]
    fn one_slow_command_after_the_other_is_waited_for_in_its_turn() {
        let start = Instant::now();
        let mut pending = Pending::new(TIME_OUT, SILENCE);
        for tag in 1..=3 {
            ask(&mut pending, tag, start);
        }
        pending.expire(start + TIME_OUT);
        // The switch takes long for each, but never so long that it is taken for dead.
        let turn = SILENCE * 4 / 5;
        let one = pending.answer(&printed("one"), start + turn);
        assert_eq!(told(one), None);
        ask(&mut pending, 4, start + turn * 2 - TIME_OUT / 2);
        let two = pending.answer(&printed("two"), start + turn * 2);
        assert_eq!(told(two), None);
        let three = pending.answer(&printed("three"), start + turn * 2);
        assert_eq!(told(three), None);
        let four = pending.answer(&printed("four"), start + turn * 2);
        assert_eq!(told(four), Some((4, Ok("four".into()))));
    }
}
