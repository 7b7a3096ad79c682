//! A call that the switch has handed over: the conversation on a connection that its `socket` application
//! opened to us.
//!
//! `socket_function` and `listener_run` of `mod_event_socket.c`. `connect` and [`Resume`] are the first words on
//! it: from then on, whatever becomes of us, the call goes on in the dialplan when the connection ends. It does
//! so by being torn from whatever it is in: as soon as people talk that is taken back.
//! Asynchronous sockets (`async`) answer a command when it is queued, the others when it has run; what is
//! told to the caller of [`Outbound`] is the same.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::Framed;
use uuid::Uuid;

use super::codec::{Codec, CodecError};
use super::command::{Command, CommandError, word};
use super::event::Event;
use super::frame::{Frame, Kind, Limits};

/// How many digits wait for somebody to ask for them.
const DIGITS_KEPT: usize = 64;

/// Why a conversation cannot go on, or not as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The call was hung up, by whoever.
    #[error("the call was hung up ({cause})")]
    HungUp {
        /// `Hangup-Cause`.
        cause: String,
    },
    /// The switch said goodbye: the call was hung up or transferred, or the switch shuts down.
    #[error("the switch has taken the call back: {0}")]
    Released(String),
    /// The switch closed the connection without a word.
    #[error("the switch closed the connection")]
    Closed,
    /// The connection broke, or what came over it cannot be read.
    #[error("the connection to the switch broke: {0}")]
    Broken(#[from] CodecError),
    /// It takes too long. The call is still there.
    #[error("{what}: the switch did not finish within {after:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit in force.
        after: Duration,
    },
    /// The switch said `-ERR`. The call is still there.
    #[error("the switch refused {command:?}: {reply}")]
    Refused {
        /// What was asked of it.
        command: String,
        /// Its words.
        reply: String,
    },
    /// What answered `connect` is no call.
    #[error(
        "no channel data in the answer to connect (is it the dialplan's socket application that connects here?)"
    )]
    NoChannel,
    /// The command cannot be written. Nothing was sent.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl OutboundError {
    /// Whether the conversation is over; otherwise only what was asked has failed.
    pub fn is_over(&self) -> bool {
        match self {
            Self::HungUp { .. }
            | Self::Released(_)
            | Self::Closed
            | Self::Broken(_)
            | Self::NoChannel => true,
            Self::TimedOut { .. } | Self::Refused { .. } | Self::Command(_) => false,
        }
    }
}

/// How the switch knows that the call is to go on in the dialplan when the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// `resume` was said, which cannot be taken back.
    Word,
    /// The variable that `resume` sets was set (`socket … async full`): it can be unset while applications run.
    Variable,
    /// It is not: the call stays where it is.
    Off,
}

/// What has come from the switch.
enum Said {
    /// The answer to the nth command.
    Reply(u64, String),
    Event(Event),
}

/// A call that the switch has handed over.
#[derive(Debug)]
pub struct Outbound {
    wire: Framed<TcpStream, Codec>,
    uuid: String,
    channel: Event,
    asynchronous: bool,
    resume: Resume,
    /// The leg is bridged.
    bridged: bool,
    /// The leg is bridged to one that has answered.
    talks: bool,
    /// `myevents` was said.
    follows: bool,
    /// How many commands were sent, and how many of them answered: an answer that comes when nobody waits
    /// for it any more must not pass for the next one's.
    sent: u64,
    answered: u64,
    /// How long the switch may take for what takes it no time.
    patience: Duration,
    /// Digits that nobody has asked for yet.
    digits: String,
    /// `Hangup-Cause`, once it is known.
    hangup: Option<String>,
}

impl Outbound {
    /// Takes over the call behind a connection that was accepted. `patience` is how long the switch may take
    /// for an answer.
    ///
    /// # Errors
    /// It is no outbound socket of a switch, or it is over already.
    pub async fn accept(
        stream: TcpStream,
        limits: Limits,
        patience: Duration,
    ) -> Result<Self, OutboundError> {
        stream.set_nodelay(true).map_err(CodecError::Io)?;
        let mut wire = Framed::new(stream, Codec::new(limits));
        wire.send(Command::connect()).await?;
        let deadline = Instant::now() + patience;
        let frame = timeout_at(deadline, wire.next())
            .await
            .map_err(|_| OutboundError::TimedOut {
                what: "connect".to_owned(),
                after: patience,
            })?
            .ok_or(OutboundError::Closed)??;
        let channel = Event::from_plain(frame.head);
        let Some(uuid) = channel.text("Unique-ID").map(|uuid| uuid.into_owned()) else {
            return Err(OutboundError::NoChannel);
        };
        let mut call = Self {
            wire,
            uuid,
            asynchronous: channel.raw("Socket-Mode") == Some(b"async"),
            resume: Resume::Off,
            bridged: false,
            talks: false,
            channel,
            follows: false,
            sent: 1,
            answered: 1,
            patience,
            digits: String::new(),
            hangup: None,
        };
        call.secure().await?;
        Ok(call)
    }

    /// Has the call go on in the dialplan when the connection ends.
    async fn secure(&mut self) -> Result<(), OutboundError> {
        if self.asynchronous && self.channel.raw("Control") == Some(b"full") {
            match self.ask(self.resume_variable("true")?).await {
                Err(OutboundError::Refused { .. }) => {}
                done => {
                    self.resume = Resume::Variable;
                    return done;
                }
            }
        }
        self.resume = Resume::Word;
        self.ask(Command::resume()).await
    }

    fn resume_variable(&self, value: &str) -> Result<Command, CommandError> {
        let line = format!("uuid_setvar {} socket_resume {value}", self.uuid);
        Command::api(line.trim_end())
    }

    /// Unique-ID of the leg.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// What the switch said last of the leg with all its variables: the answer to `connect`, then every
    /// event that carries them.
    pub fn channel(&self) -> &Event {
        &self.channel
    }

    /// Whether the dialplan said `async`.
    pub fn is_async(&self) -> bool {
        self.asynchronous
    }

    /// Whether people talk who are to stay together when the connection ends.
    pub fn is_let_go(&self) -> bool {
        self.resume == Resume::Off
    }

    /// `myevents`: from now on [`Outbound::channel`] is kept up to date and digits are noted.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn follow(&mut self) -> Result<(), OutboundError> {
        if !self.follows {
            match self.ask(Command::myevents()).await {
                // It was said before, and nobody waited for the answer: `-ERR aready enabled.`
                Err(OutboundError::Refused { reply, .. }) if reply.contains("enabled") => {}
                asked => asked?,
            }
            self.follows = true;
        }
        Ok(())
    }

    /// `linger`: keeps the connection for so many seconds after the hangup, for the last events.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn linger(&mut self, seconds: u32) -> Result<(), OutboundError> {
        self.ask(Command::linger(seconds)).await
    }

    /// Runs a dialplan application and waits until it has run, for `limit` at most. What it has left behind
    /// is found in [`Outbound::channel`] where the call is [followed](Outbound::follow).
    ///
    /// # Errors
    /// [`OutboundError`]. A hang-up ends the wait at once.
    pub async fn execute(
        &mut self,
        application: &str,
        argument: &str,
        limit: Duration,
    ) -> Result<(), OutboundError> {
        self.execute_all(&[(application, argument)], limit).await
    }

    /// Sets channel variables.
    ///
    /// # Errors
    /// [`OutboundError`]; a name that is not one word, or a value with a line break in it.
    pub async fn set(&mut self, variables: &[(&str, &str)]) -> Result<(), OutboundError> {
        for (name, _) in variables {
            word("variable name", name, &[' ', '\t', '=', ',', '\'', '"'])?;
        }
        let patience = self.patience;
        if let Some(all) = multiset(variables) {
            return self.execute("multiset", &all, patience).await;
        }
        let all: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let all: Vec<(&str, &str)> = all.iter().map(|one| ("set", &**one)).collect();
        self.execute_all(&all, patience).await
    }

    /// The next digit that the caller pressed and nobody has asked for; `None` where none comes within
    /// `limit`. The call has to be [followed](Outbound::follow).
    ///
    /// # Errors
    /// [`OutboundError`], where it is over.
    pub async fn digit(&mut self, limit: Duration) -> Result<Option<char>, OutboundError> {
        let deadline = Instant::now() + limit;
        while self.digits.is_empty() {
            match timeout_at(deadline, self.next()).await {
                Ok(said) => drop(said?),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(self.digits.remove(0)))
    }

    /// Hangs the call up.
    ///
    /// # Errors
    /// [`OutboundError`]; that the call is over then is none.
    pub async fn hang_up(&mut self, cause: &str) -> Result<(), OutboundError> {
        match self.execute("hangup", cause, self.patience).await {
            Err(OutboundError::HungUp { .. } | OutboundError::Released(_)) => Ok(()),
            done => done,
        }
    }

    /// Waits until the call is over, and says why. Cancel safe: it goes well with another wait.
    pub async fn over(&mut self) -> OutboundError {
        loop {
            if let Err(end) = self.next().await {
                return end;
            }
        }
    }

    /// Runs an application that takes the call elsewhere in the dialplan (`transfer`), and lets go of it in
    /// the same breath: a connection that is still there when the call has moved on would, at its end, have
    /// `resume` tear it away from where it is.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub async fn leave(mut self, application: &str, argument: &str) -> Result<(), OutboundError> {
        let deadline = Instant::now() + self.patience;
        let commands = [
            Command::execute(application, argument, None)?,
            Command::exit(),
        ];
        let newest = self.say(commands, deadline).await?;
        match self.reply(newest - 1, application, deadline).await {
            Ok(()) => self.reply(newest, "exit", deadline).await,
            Err(OutboundError::Released(_)) => Ok(()),
            refused => refused,
        }
    }

    /// Lets go of a call in which somebody has answered: it stays where it is and where the switch sends it.
    ///
    /// # Errors
    /// [`OutboundError`]; where the socket is not `async full`, the call's end, for which it then waits.
    pub async fn release(mut self) -> Result<(), OutboundError> {
        match self.resume {
            // At the end of the connection `resume` would tear the partners apart. A socket that is not
            // asynchronous is in the call's own thread and sees that the call has moved on.
            Resume::Word if self.asynchronous => return Err(self.over().await),
            Resume::Word | Resume::Off => {}
            Resume::Variable => {
                self.resume = Resume::Off;
                self.ask(self.resume_variable("")?).await?;
            }
        }
        self.hand_back().await
    }

    /// `exit`: gives the call back to the dialplan.
    ///
    /// # Errors
    /// [`OutboundError`]: the switch did not say goodbye. The call goes on all the same, if there is one.
    pub async fn hand_back(mut self) -> Result<(), OutboundError> {
        self.ask(Command::exit()).await
    }

    /// Says something and waits for `+OK`.
    async fn ask(&mut self, command: Command) -> Result<(), OutboundError> {
        let shown = command.to_string();
        let deadline = Instant::now() + self.patience;
        let number = self.say([command], deadline).await?;
        self.reply(number, &shown, deadline).await
    }

    /// Runs applications in one go, in order, and waits until the last has run.
    async fn execute_all(
        &mut self,
        applications: &[(&str, &str)],
        limit: Duration,
    ) -> Result<(), OutboundError> {
        let deadline = Instant::now() + limit;
        let mut commands = Vec::with_capacity(applications.len());
        let mut last = String::new();
        for (application, argument) in applications {
            last = Uuid::new_v4().to_string();
            commands.push(Command::execute(application, argument, Some(&last))?);
        }
        // An asynchronous socket does not tell in any other way that an application has run.
        if self.asynchronous {
            self.follow().await?;
        }
        let count = commands.len() as u64;
        let newest = self.say(commands, deadline).await?;
        let first = newest + 1 - count;
        let mut complete = !self.follows || applications.is_empty();
        while self.answered < newest || !complete {
            let waiting = (self.answered + 1).saturating_sub(first) as usize;
            let waiting = applications.get(waiting).or(applications.last());
            let what = waiting.map_or("", |(application, _)| application);
            match self.next_until(deadline, what, limit).await? {
                Said::Reply(number, reply) if (first..=newest).contains(&number) => {
                    accepted(what, reply)?;
                }
                Said::Reply(..) => {}
                Said::Event(event) => complete |= completes(&event, &last),
            }
            if self.talks && self.resume == Resume::Variable {
                self.resume = Resume::Off;
                let stay = self.resume_variable("")?;
                self.say([stay], Instant::now() + self.patience).await?;
            }
        }
        Ok(())
    }

    /// Writes commands; the number of the last one.
    async fn say(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        deadline: Instant,
    ) -> Result<u64, OutboundError> {
        if let Some(cause) = &self.hangup {
            let cause = cause.clone();
            return Err(OutboundError::HungUp { cause });
        }
        let writing = async {
            for command in commands {
                self.wire.feed(command).await?;
                self.sent += 1;
            }
            SinkExt::<Command>::flush(&mut self.wire).await
        };
        match timeout_at(deadline, writing).await {
            Ok(written) => written.map(|()| self.sent).map_err(Into::into),
            Err(_) => Err(OutboundError::TimedOut {
                what: "writing a command".to_owned(),
                after: self.patience,
            }),
        }
    }

    /// Waits for the answer to the command of this number.
    async fn reply(
        &mut self,
        number: u64,
        what: &str,
        deadline: Instant,
    ) -> Result<(), OutboundError> {
        loop {
            if let Said::Reply(answered, reply) =
                self.next_until(deadline, what, self.patience).await?
                && answered == number
            {
                return accepted(what, reply);
            }
        }
    }

    async fn next_until(
        &mut self,
        deadline: Instant,
        what: &str,
        after: Duration,
    ) -> Result<Said, OutboundError> {
        timeout_at(deadline, self.next())
            .await
            .map_err(|_| OutboundError::TimedOut {
                what: what.to_owned(),
                after,
            })?
    }

    /// The next thing the switch says, with what it means for the leg noted. Cancel safe.
    async fn next(&mut self) -> Result<Said, OutboundError> {
        loop {
            if let Some(cause) = &self.hangup {
                let cause = cause.clone();
                return Err(OutboundError::HungUp { cause });
            }
            let frame = self.wire.next().await.ok_or(OutboundError::Closed)??;
            match frame.kind {
                Kind::CommandReply => {
                    self.answered += 1;
                    return Ok(Said::Reply(self.answered, reply_text(&frame)));
                }
                Kind::ApiResponse => {
                    self.answered += 1;
                    let text = String::from_utf8_lossy(&frame.body);
                    return Ok(Said::Reply(self.answered, text.trim().to_owned()));
                }
                Kind::DisconnectNotice if is_linger(&frame) => {}
                Kind::DisconnectNotice => {
                    let text = String::from_utf8_lossy(&frame.body);
                    let first = text.lines().next().unwrap_or_default();
                    return Err(OutboundError::Released(first.to_owned()));
                }
                Kind::EventPlain | Kind::EventJson => match Event::from_frame(&frame) {
                    Ok(event) => {
                        self.note(&event);
                        return Ok(Said::Event(event));
                    }
                    Err(error) => tracing::debug!(%error, "passed over an event"),
                },
                kind => tracing::debug!(?kind, "passed over a frame of the switch"),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        if event.text("Unique-ID").as_deref() != Some(&self.uuid) {
            return;
        }
        match event.name() {
            "DTMF" => {
                let digit = event.header("DTMF-Digit").unwrap_or_default();
                let room = DIGITS_KEPT.saturating_sub(self.digits.chars().count());
                self.digits.extend(digit.chars().take(room));
            }
            "CHANNEL_BRIDGE" => {
                // Early media is bridged, too, before anybody has answered.
                let answered = event.number("Other-Leg-Channel-Answered-Time");
                self.bridged = true;
                self.talks = answered.is_some_and(|at| at > 0);
            }
            "CHANNEL_ANSWER" => self.talks = self.bridged,
            "CHANNEL_UNBRIDGE" => {
                self.bridged = false;
                self.talks = false;
            }
            "CHANNEL_HANGUP" | "CHANNEL_HANGUP_COMPLETE" => {
                let cause = event.text("Hangup-Cause");
                self.hangup = Some(cause.unwrap_or("NORMAL_CLEARING".into()).into_owned());
            }
            _ => {}
        }
        // DTMF, CHANNEL_STATE and their like carry no variables: they would make us forget.
        if event.raw("variable_uuid").is_some() {
            self.channel = event.clone();
        }
    }
}

/// The disconnect notice that is not the end: the leg is gone, its last events still come.
fn is_linger(frame: &Frame) -> bool {
    frame.header("Content-Disposition") == Some(b"linger")
}

fn reply_text(frame: &Frame) -> String {
    let text = frame.header("Reply-Text").unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

fn accepted(command: &str, reply: String) -> Result<(), OutboundError> {
    match reply.starts_with("-ERR") || reply.starts_with("-USAGE") {
        false => Ok(()),
        true => Err(OutboundError::Refused {
            command: command.to_owned(),
            reply,
        }),
    }
}

/// Whether this is the end of the application that was started with `uuid`.
fn completes(event: &Event, uuid: &str) -> bool {
    event.name() == "CHANNEL_EXECUTE_COMPLETE"
        && event.raw("Application-UUID") == Some(uuid.as_bytes())
}

/// The argument of `multiset` that sets several variables at once, where no value holds anything that
/// `switch_separate_string` would change. An unanswered leg takes only one command every 20 ms.
fn multiset(variables: &[(&str, &str)]) -> Option<String> {
    let plain = |value: &str| !value.contains(['|', '\'', '\\']) && value.trim() == value;
    if variables.len() < 2 || !variables.iter().all(|(_, value)| plain(value)) {
        return None;
    }
    let all: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(format!("^^|{}", all.join("|")))
}
