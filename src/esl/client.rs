//! The inbound client: one connection to the switch, kept up for ever.
//!
//! It is pulled: whoever owns the [`Client`] asks for the [`next`](Client::next) notice, and the socket is read
//! as fast as they ask. There is no queue and no other task between the socket and its owner.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::command::{Command, CommandError, Password};
use super::event::{Event, EventError, peek_name};
use super::frame::{Frame, Kind, Limits};
use super::handle::{ApiError, ApiResult, Ask, Handle};
use super::link::{Dial, Link, LinkError, Tap, end_of_stream};
use super::login::{Credentials, Login};
use super::pending::Taker;
use super::session::{Session, Step};
use super::status::StatusReader;
use super::wanted::Wanted;
use crate::time::Clock;

/// How to reach the switch and how patient to be.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Name or address of the switch.
    pub host: String,
    /// Port of its event socket.
    pub port: u16,
    /// `user@domain` for `userauth`; `None` for plain `auth`.
    pub user: Option<String>,
    /// The event socket's or the user's password.
    pub password: Password,
    /// How long connecting may take, then logging in, then the answer to a probe.
    pub connect_timeout: Duration,
    /// How long the switch may be silent before it is probed; at least twice the `Heartbeat-Interval` it tells.
    pub heartbeat_timeout: Duration,
    /// How long an `api` command may take.
    pub api_timeout: Duration,
    /// How large a frame may be.
    pub limits: Limits,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
    /// Tells [`Status::connected_since`](super::Status::connected_since).
    pub clock: Clock,
}

impl ClientConfig {
    /// A stock FreeSWITCH's event socket at `host` and `port`, with the default patience.
    pub fn new(host: impl Into<String>, port: u16, password: Password) -> Self {
        Self {
            host: host.into(),
            port,
            user: None,
            password,
            connect_timeout: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(45),
            api_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            backoff: Backoff::default(),
            clock: Clock::system(),
        }
    }

    fn dial(&self) -> Result<Dial, CommandError> {
        Ok(Dial {
            host: self.host.clone(),
            port: self.port,
            auth: Credentials::new(self.user.as_deref(), &self.password)?.0,
            limits: self.limits,
            time_out: self.connect_timeout,
            tap: None,
        })
    }
}

/// What a [`Client`] has to tell.
#[derive(Debug)]
pub enum Notice {
    /// Logged in, and the subscription is on its way. What is requested now is answered behind it, so
    /// nothing happens unseen between the answer and the events.
    Connected,
    /// The connection is lost and will be made anew. Attempts that fail are not told of; they are in the
    /// [`Status`](super::Status) and logged once.
    Disconnected {
        /// Why.
        reason: LinkError,
    },
    /// A wanted event.
    Event(Event),
    /// A wanted frame that holds no event; the stream goes on behind it.
    BadEvent(EventError),
    /// The answer to a [`request`](Client::request), in the order of the stream. After a loss it comes
    /// behind [`Disconnected`](Self::Disconnected).
    Reply {
        /// The tag of the request.
        tag: u32,
        /// What the switch printed.
        result: ApiResult,
    },
}

/// The connection to the switch.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    dial: Dial,
    wanted: Wanted,
    state: State,
    /// What is to be told before the next frame is looked at.
    ready: VecDeque<Notice>,
    /// Kept so that the queue never closes.
    handle: Handle,
    asks: mpsc::Receiver<Ask>,
    /// Kept so that it can always change.
    login: Login,
    credentials: watch::Receiver<Credentials>,
    status: StatusReader,
    /// Why there is no connection, as it was last logged.
    logged: Option<String>,
}

enum State {
    Waiting(Instant),
    Connecting(Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>),
    Up(Box<Session>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting(_) => "Waiting",
            Self::Connecting(_) => "Connecting",
            Self::Up(_) => "Up",
        })
    }
}

impl Client {
    /// A client that connects when it is first asked for its [`next`](Self::next) notice.
    ///
    /// # Errors
    /// The user cannot be written into a `userauth` command.
    pub fn new(config: ClientConfig) -> Result<Self, CommandError> {
        let (handle, asks) = Handle::new(config.api_timeout);
        let dial = config.dial()?;
        let (login, credentials) = Login::new(Credentials(dial.auth.clone()));
        Ok(Self {
            dial,
            config,
            wanted: with_heartbeat(Wanted::default()),
            state: State::Waiting(Instant::now()),
            ready: VecDeque::new(),
            handle,
            asks,
            login,
            credentials,
            status: StatusReader::default(),
            logged: None,
        })
    }

    /// Logs in once and leaves again: whether `config` is right.
    ///
    /// # Errors
    /// What is wrong with it, or with the switch.
    pub async fn try_login(config: &ClientConfig) -> Result<(), LoginError> {
        let mut link = config.dial()?.open().await?;
        link.say(&Command::exit());
        link.progress().await?;
        Ok(())
    }

    /// Runs `api` commands from other tasks; answered while [`next`](Self::next) is being awaited.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Changes how it logs in, from other tasks.
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// The state of the connection, for other tasks.
    pub fn status(&self) -> StatusReader {
        self.status.clone()
    }

    /// Shows every byte the switch sends to `tap`, from the next connection on.
    pub fn tap(&mut self, tap: impl FnMut(&[u8]) + Send + 'static) {
        self.dial.tap = Some(Tap::new(tap));
    }

    /// Wants exactly `wanted` and `HEARTBEAT` from now on, on this connection and all later ones.
    ///
    /// There is no taking back `ALL` on a connection that said it: events no longer wanted are dropped
    /// here until the next one.
    pub fn subscribe(&mut self, wanted: Wanted) {
        let wanted = with_heartbeat(wanted);
        if let State::Up(session) = &mut self.state {
            let now = Instant::now();
            let more = wanted.without(&self.wanted);
            if !more.is_empty() {
                session.say(Command::event_plain(&more), now);
            }
            let fewer = self.wanted.without(&wanted);
            if !fewer.is_empty() && !self.wanted.is_all() {
                session.say(Command::nixevent(&fewer), now);
            }
        }
        self.wanted = wanted;
    }

    /// Sends a command whose reply arrives as a [`Notice::Reply`] with `tag`: at once as an error while
    /// there is no connection, later as an error when it is lost or no reply comes in time.
    pub fn request(&mut self, tag: u32, command: Command) {
        let result = match &mut self.state {
            State::Up(session) => session.ask(&command, Taker::Tag(tag), Instant::now()),
            _ => Err((Taker::Tag(tag), ApiError::NotConnected)),
        };
        if let Err((taker, error)) = result {
            self.tell(taker, Err(error));
        }
    }

    /// What happens next. Connects, logs in, subscribes and connects again as needed.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.ready.pop_front() {
                return notice;
            }
            match &mut self.state {
                State::Waiting(until) => select! {
                    () = sleep_until(*until) => self.connect(),
                    Ok(()) = self.credentials.changed() => self.log_in_anew(),
                    Some(ask) = self.asks.recv() => self.tell(Taker::Task(ask.reply), Err(ApiError::NotConnected)),
                },
                State::Connecting(attempt) => select! {
                    opened = attempt => match opened {
                        Ok(link) => self.connected(link),
                        Err(reason) => self.wait(&reason, "cannot connect to the switch; will keep trying"),
                    },
                    Ok(()) = self.credentials.changed() => self.log_in_anew(),
                    Some(ask) = self.asks.recv() => self.tell(Taker::Task(ask.reply), Err(ApiError::NotConnected)),
                },
                State::Up(session) => match session.step(&mut self.asks).await {
                    Ok(Step::Frame(frame)) => {
                        if let Some(notice) = self.take(frame) {
                            return notice;
                        }
                    }
                    Ok(Step::Done(told)) => {
                        for (taker, result) in told {
                            self.tell(taker, result);
                        }
                    }
                    Err(reason) => self.lost(reason),
                },
            }
        }
    }

    fn connect(&mut self) {
        self.dial.auth = self.credentials.borrow_and_update().0.clone();
        self.state = State::Connecting(Box::pin(self.dial.clone().open()));
    }

    /// There are other credentials: what the old ones led to says nothing of them, so it is logged anew.
    fn log_in_anew(&mut self) {
        self.config.backoff.reset();
        self.logged = None;
        self.connect();
    }

    fn connected(&mut self, link: Link) {
        let now = Instant::now();
        let mut session = Box::new(Session::new(link, &self.config, now));
        session.subscribe(&Command::event_plain(&self.wanted), now);
        self.state = State::Up(session);
        self.status.up(self.config.clock.now());
        self.logged = None;
        // What the switch says while nobody listens is gone: whoever let us in once is asked again soon.
        self.config.backoff.reset();
        tracing::info!(switch = self.dial.address(), "connected to the switch");
        self.ready.push_back(Notice::Connected);
    }

    fn lost(&mut self, reason: LinkError) {
        let state = std::mem::replace(&mut self.state, State::Waiting(Instant::now()));
        if let State::Up(session) = state {
            self.wait(&reason, "lost the switch; connecting again");
            self.ready.push_back(Notice::Disconnected { reason });
            for (taker, result) in session.abandon() {
                self.tell(taker, result);
            }
        }
    }

    /// Waits before the next attempt.
    fn wait(&mut self, reason: &LinkError, what: &str) {
        let delay = match reason.needs_a_person() {
            true => self.config.backoff.max(),
            false => self.config.backoff.wait(),
        };
        self.state = State::Waiting(Instant::now() + delay);
        if matches!(reason, LinkError::Frame(error) if !error.is_truncation()) {
            self.status.malformed();
        }
        let error = reason.to_string();
        let switch = self.dial.address();
        match self.logged.as_ref() == Some(&error) {
            true => tracing::debug!(switch, error, ?delay, "{what}"),
            false => tracing::warn!(switch, error, ?delay, "{what}"),
        }
        self.status.down(error.clone());
        self.logged = Some(error);
    }

    /// What a frame is to the owner, if anything.
    fn take(&mut self, frame: Frame) -> Option<Notice> {
        match frame.kind {
            Kind::EventPlain | Kind::EventJson => self.event(&frame),
            Kind::CommandReply | Kind::ApiResponse => {
                let State::Up(session) = &mut self.state else {
                    return None;
                };
                match session.answer(&frame) {
                    Some((Taker::GivenUp, _)) | None => {
                        self.status.stray_reply();
                        tracing::debug!(kind = ?frame.kind, "a reply nobody waits for");
                    }
                    Some((taker, result)) => self.tell(taker, result),
                }
                None
            }
            _ => {
                if let Err(reason) = end_of_stream(&frame) {
                    self.lost(reason);
                }
                None
            }
        }
    }

    fn event(&mut self, frame: &Frame) -> Option<Notice> {
        if let Some(name) = peek_name(frame)
            && !self.wanted.may_hold(name)
        {
            self.status.event(name);
            self.status.unasked();
            return None;
        }
        let event = match Event::from_frame(frame) {
            Ok(event) => event,
            Err(error) => {
                self.status.event(b"");
                self.status.malformed();
                return Some(Notice::BadEvent(error));
            }
        };
        self.status.event(event.name().as_bytes());
        if !self.wanted.holds(&event) {
            self.status.unasked();
            return None;
        }
        if let State::Up(session) = &mut self.state
            && event.name() == "HEARTBEAT"
        {
            session.heartbeat(&event, self.config.heartbeat_timeout);
        }
        Some(Notice::Event(event))
    }

    fn tell(&mut self, taker: Taker, result: ApiResult) {
        match taker {
            Taker::Tag(tag) => self.ready.push_back(Notice::Reply { tag, result }),
            // Whoever asked may have stopped waiting.
            Taker::Task(reply) => drop(reply.send(result)),
            Taker::Log(command) => {
                if let Err(error @ ApiError::Refused(_)) = result {
                    tracing::warn!(command, %error, "a command of ours was refused");
                }
            }
            Taker::Subscription => {
                if let Err(ApiError::Refused(reply)) = result {
                    let events = self.wanted.to_string();
                    self.lost(LinkError::Subscription { events, reply });
                }
            }
            Taker::GivenUp => {}
        }
    }
}

/// Why [`Client::try_login`] failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The user cannot be written into a command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The switch cannot be reached or refuses.
    #[error(transparent)]
    Link(#[from] LinkError),
}

fn with_heartbeat(mut wanted: Wanted) -> Wanted {
    wanted.want_heartbeat();
    wanted
}
