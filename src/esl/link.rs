//! One connection to the switch: making it, logging in, and moving its bytes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::select;
use tokio::time::timeout;

use super::command::Command;
use super::frame::{Cutter, Frame, FrameError, Kind, Limits};

/// Why there is no connection to the switch, or no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The switch cannot be reached.
    #[error(
        "cannot connect to {switch}: {source} (is FreeSWITCH running, with mod_event_socket on [switch] host and port?)"
    )]
    Connect {
        /// Host and port that were tried.
        switch: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// No connection within `[switch] connect_timeout_ms`.
    #[error("cannot connect to {switch}: no answer within {after:?} (is a firewall between?)")]
    ConnectTimeout {
        /// Host and port that were tried.
        switch: String,
        /// The limit in force.
        after: Duration,
    },
    /// It is connected but does not let us log in.
    #[error(
        "{switch} did not finish the login within {after:?} (is it a FreeSWITCH event socket?)"
    )]
    LoginTimeout {
        /// Host and port.
        switch: String,
        /// The limit in force.
        after: Duration,
    },
    /// `-ERR` to `auth` or `userauth`.
    #[error(
        "the switch refuses the login with {reply:?}: set [switch] password (and user) to what its event_socket.conf.xml says"
    )]
    Login {
        /// The switch's words.
        reply: String,
    },
    /// `-ERR` to the first `event plain`: the switch sends none of the events then, not even those that the user
    /// may have.
    #[error(
        "the switch refuses the events with {reply:?}: esl-allowed-events of [switch] user in its directory must hold all of {events}"
    )]
    Subscription {
        /// What was asked for.
        events: String,
        /// The switch's words.
        reply: String,
    },
    /// `text/rude-rejection`.
    #[error(
        "the switch does not accept connections from this address: add it to the list that apply-inbound-acl names in its event_socket.conf.xml"
    )]
    Acl,
    /// `text/disconnect-notice`: a shutdown, a reload of mod_event_socket, or a listener too slow for it.
    #[error("the switch said goodbye: {0}")]
    Goodbye(String),
    /// The switch closed the connection without a word.
    #[error("the switch closed the connection")]
    Closed,
    /// The socket failed.
    #[error("the connection to the switch broke: {0}")]
    Io(#[source] std::io::Error),
    /// What came is no frame.
    #[error("the switch sent what cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// Not a byte came, not even after a probe.
    #[error("the switch has been silent for {0:?} and did not answer a probe")]
    Silent(Duration),
    /// Commands have not gone out for too long.
    #[error("the switch has taken no commands for {0:?}")]
    Stuck(Duration),
}

impl LinkError {
    /// Whether only a person can put it right, so that trying often is of no use.
    pub(super) fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::Login { .. } | Self::Subscription { .. } | Self::Acl
        )
    }
}

/// Sees every byte the switch sends, as it comes.
#[derive(Clone)]
pub(super) struct Tap(Arc<Mutex<See>>);

type See = dyn FnMut(&[u8]) + Send;

impl Tap {
    pub(super) fn new(tap: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(tap)))
    }

    fn see(&self, bytes: &[u8]) {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(bytes);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// What is needed to make a connection.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) auth: Command,
    pub(super) limits: Limits,
    pub(super) time_out: Duration,
    pub(super) tap: Option<Tap>,
}

impl Dial {
    pub(super) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Connects and logs in.
    pub(super) async fn open(self) -> Result<Link, LinkError> {
        let after = self.time_out;
        let stream = timeout(after, TcpStream::connect((self.host.as_str(), self.port)))
            .await
            .map_err(|_| LinkError::ConnectTimeout {
                switch: self.address(),
                after,
            })?
            .map_err(|source| LinkError::Connect {
                switch: self.address(),
                source,
            })?;
        stream.set_nodelay(true).map_err(LinkError::Io)?;
        let (reader, writer) = stream.into_split();
        let mut link = Link {
            reader,
            writer: Some(writer),
            cutter: Cutter::new(self.limits),
            input: BytesMut::new(),
            output: BytesMut::new(),
            tap: self.tap.clone(),
        };
        timeout(after, link.log_in(&self.auth))
            .await
            .map_err(|_| LinkError::LoginTimeout {
                switch: self.address(),
                after,
            })??;
        Ok(link)
    }
}

/// What [`Link::progress`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    In,
    Out,
}

/// A connection that is logged in. It has no `Debug`: its output may hold a password.
pub(super) struct Link {
    reader: OwnedReadHalf,
    /// `None` once writing has failed: what the switch has sent before is still read to its end.
    writer: Option<OwnedWriteHalf>,
    cutter: Cutter,
    input: BytesMut,
    output: BytesMut,
    tap: Option<Tap>,
}

impl Link {
    /// Bytes asked of one read: some 16 events.
    const READ: usize = 64 * 1024;

    /// Puts a command behind those that wait to be written.
    pub(super) fn say(&mut self, command: &Command) {
        if self.writer.is_some() {
            command.write_to(&mut self.output);
        }
    }

    /// Whether commands wait to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The next frame of what has been read already.
    pub(super) fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.cutter.cut(&mut self.input)
    }

    /// Writes what waits, or reads what came. Cancel safe.
    ///
    /// Writing goes first because it is soon over; a write that cannot go on does not hold up reading.
    pub(super) async fn progress(&mut self) -> Result<Moved, LinkError> {
        if self.input.capacity() - self.input.len() < Self::READ / 4 {
            self.input.reserve(Self::READ);
        }
        let had = self.input.len();
        select! {
            biased;
            written = write(&mut self.writer, &mut self.output), if !self.output.is_empty() => {
                if let Err(error) = written {
                    tracing::debug!(%error, "a command could not be sent; reading on to the end");
                    self.writer = None;
                    self.output.clear();
                }
                Ok(Moved::Out)
            }
            read = self.reader.read_buf(&mut self.input) => match read.map_err(LinkError::Io)? {
                0 => {
                    self.cutter.end(&self.input)?;
                    Err(LinkError::Closed)
                }
                _ => {
                    if let Some(tap) = &self.tap {
                        tap.see(&self.input[had..]);
                    }
                    Ok(Moved::In)
                }
            },
        }
    }

    async fn log_in(&mut self, auth: &Command) -> Result<(), LinkError> {
        let mut asked = false;
        loop {
            let Some(frame) = self.frame()? else {
                self.progress().await?;
                continue;
            };
            match frame.kind {
                Kind::AuthRequest => {
                    asked = true;
                    self.say(auth);
                }
                Kind::CommandReply if asked => {
                    let reply = frame.header("Reply-Text").unwrap_or_default();
                    return match reply.starts_with(b"+OK") {
                        true => Ok(()),
                        false => Err(LinkError::Login {
                            reply: String::from_utf8_lossy(reply).into_owned(),
                        }),
                    };
                }
                _ => end_of_stream(&frame)?,
            }
        }
    }
}

/// Passes over a frame unless it is one of those with which the switch ends a connection.
pub(super) fn end_of_stream(frame: &Frame) -> Result<(), LinkError> {
    match frame.kind {
        Kind::RudeRejection => Err(LinkError::Acl),
        Kind::DisconnectNotice => {
            let text = String::from_utf8_lossy(&frame.body);
            let first = text.lines().next().unwrap_or_default();
            Err(LinkError::Goodbye(first.to_owned()))
        }
        _ => {
            tracing::debug!(kind = ?frame.kind, "passed over a frame of the switch");
            Ok(())
        }
    }
}

async fn write(
    writer: &mut Option<OwnedWriteHalf>,
    output: &mut BytesMut,
) -> Result<(), std::io::Error> {
    match writer {
        Some(writer) => writer.write_buf(output).await.map(drop),
        None => {
            output.clear();
            Ok(())
        }
    }
}
