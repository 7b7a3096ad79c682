//! The switch's end of an outbound socket: a leg whose dialplan has reached `socket`, played by the rules of
//! `mod_event_socket.c`, with the channel data of a recorded call.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::capture;

/// The recorded leg that every leg here is made from.
const RECORDED: &str = "socket-async-full.outbound.esl";
static RECORDED_LINES: LazyLock<String> = LazyLock::new(|| {
    let recorded = &capture::frames(&capture::read(RECORDED))[0];
    capture::head(recorded).to_owned()
});
const RECORDED_UUID: &str = "08ba3683-32e0-49da-a937-866f6e22fc9f";

/// `Event-Sequence` of the next event.
static SEQUENCE: AtomicU64 = AtomicU64::new(5_000);

pub const GOODBYE: &str = "Content-Type: text/disconnect-notice\nContent-Disposition: disconnect\n\
                           Content-Length: 67\n\nDisconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

/// One end of a connection, command by command.
pub struct Wire {
    pub stream: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            input: Vec::new(),
        }
    }

    /// The next command without its empty line; `None` when the other side has closed. Cancel safe.
    pub async fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\n\n") {
                let rest = self.input.split_off(end + 2);
                let command = String::from_utf8(self.input[..end].to_vec()).unwrap();
                self.input = rest;
                return Some(command);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    pub async fn reply(&mut self, text: &str) -> io::Result<()> {
        self.say(format!(
            "Content-Type: command/reply\nReply-Text: {text}\n\n"
        ))
        .await
    }
}

/// The value of a header of a command.
pub fn header<'a>(command: &'a str, name: &str) -> Option<&'a str> {
    command
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// What an application of the leg does.
#[derive(Debug, Clone)]
pub enum Did {
    /// It runs, and leaves these variables behind.
    Set(Vec<(&'static str, String)>),
    /// The leg is hung up while it runs.
    HungUp(&'static str),
    /// It runs, leaves these variables behind, and the switch has sent the leg elsewhere meanwhile.
    Moved(Vec<(&'static str, String)>),
    /// It takes the leg elsewhere.
    Left,
    /// It never ends by itself.
    GoesOn,
}

impl Did {
    pub fn nothing() -> Self {
        Self::Set(Vec::new())
    }

    pub fn set(name: &'static str, value: &str) -> Self {
        Self::Set(vec![(name, value.to_owned())])
    }
}

/// How a leg left the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Given back to the dialplan with `exit`.
    HandedBack,
    /// Left with `exit` where it is, as it was taken back that it is to go on in the dialplan.
    LetGo,
    /// Hung up.
    HungUp(String),
    /// It went elsewhere.
    Left,
    /// The other side closed without `exit`; whether `resume` had been said.
    Dropped { resumed: bool },
}

/// What became of a leg.
#[derive(Debug)]
pub struct Story {
    /// What was run on it, `application(data)`; `set` and `multiset` are not among them.
    pub ran: Vec<String>,
    /// Its variables at the end, those it was given included.
    pub variables: BTreeMap<String, String>,
    pub end: End,
    /// From the connection to its end.
    pub lasted: Duration,
}

impl Story {
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }
}

type Applications = Box<dyn FnMut(&str, &str) -> Did + Send>;

/// A leg in the dialplan.
pub struct Caller {
    pub uuid: String,
    asynchronous: bool,
    /// `Channel-State-Number`: CS_EXECUTE, unless it was sent elsewhere.
    state: u8,
    variables: BTreeMap<String, String>,
    destination: Option<String>,
    applications: Applications,
    /// Hangs it up.
    pub hangup: Arc<Notify>,
}

impl Caller {
    /// A leg in a `socket … async full`, where every application just runs.
    pub fn new() -> Self {
        Self {
            uuid: Uuid::new_v4().to_string(),
            asynchronous: true,
            state: 4,
            variables: BTreeMap::new(),
            destination: None,
            applications: Box::new(|_, _| Did::nothing()),
            hangup: Arc::default(),
        }
    }

    /// The same without `async`.
    pub fn sync(mut self) -> Self {
        self.asynchronous = false;
        self
    }

    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.insert(variable.into(), value.into());
        self
    }

    /// It has dialled this.
    pub fn dialled(mut self, number: &str) -> Self {
        self.destination = Some(number.into());
        self
    }

    /// What applications do.
    pub fn applications(mut self, run: impl FnMut(&str, &str) -> Did + Send + 'static) -> Self {
        self.applications = Box::new(run);
        self
    }

    /// The lines of an event of this leg.
    fn lines(&self, name: &str, more: &[(&str, &str)]) -> String {
        let mut text = String::with_capacity(RECORDED_LINES.len() + 1_024);
        for line in RECORDED_LINES.lines() {
            let (header, _) = line.split_once(": ").unwrap();
            let variable = header.strip_prefix("variable_").unwrap_or_default();
            match header {
                "Content-Type" | "Reply-Text" | "Socket-Mode" | "Control" => {}
                // Every event of a switch has a number of its own.
                "Event-Sequence" => {
                    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
                    text.push_str(&format!("{header}: {sequence}\n"));
                }
                "Channel-State-Number" => text.push_str(&format!("{header}: {}\n", self.state)),
                "Event-Name" => text.push_str(&format!("Event-Name: {name}\n")),
                "Caller-Destination-Number" if self.destination.is_some() => {
                    let number = encode(self.destination.as_ref().unwrap());
                    text.push_str(&format!("{header}: {number}\n"));
                }
                _ if self.variables.contains_key(variable) => {}
                _ => {
                    text.push_str(&line.replace(RECORDED_UUID, &self.uuid));
                    text.push('\n');
                }
            }
        }
        for (name, value) in &self.variables {
            text.push_str(&format!("variable_{name}: {}\n", encode(value)));
        }
        for (name, value) in more {
            text.push_str(&format!("{name}: {}\n", encode(value)));
        }
        text
    }

    /// The answer to `connect`.
    pub fn channel_data(&self) -> String {
        let mode = if self.asynchronous { "async" } else { "static" };
        let reply = [
            ("Content-Type", "command/reply"),
            ("Reply-Text", "+OK\n"),
            ("Socket-Mode", mode),
            ("Control", "full"),
        ];
        // `Content-Type` is the one header whose value the switch does not encode.
        let lines = self.lines("CHANNEL_DATA", &reply);
        format!("{}\n", lines.replace("command%2Freply", "command/reply"))
    }

    /// An event of this leg.
    pub fn event(&self, name: &str, more: &[(&str, &str)]) -> Bytes {
        capture::frame("text/event-plain", &format!("{}\n", self.lines(name, more)))
    }

    /// Connects, and does as it is told until it is let go.
    pub async fn dial(mut self, address: SocketAddr) -> Story {
        let started = Instant::now();
        let mut wire = Wire::connect(address).await;
        let mut ran = Vec::new();
        let end = match self.obey(&mut wire, &mut ran).await {
            Ok(end) => end,
            // What is written to a connection that the other side has closed.
            Err(_) => End::Dropped { resumed: true },
        };
        let lasted = started.elapsed();
        Story {
            ran,
            variables: self.variables,
            end,
            lasted,
        }
    }

    async fn obey(&mut self, wire: &mut Wire, ran: &mut Vec<String>) -> io::Result<End> {
        let hangup = Arc::clone(&self.hangup);
        let mut follows = false;
        let mut resumed = false;
        loop {
            let command = tokio::select! {
                command = wire.hear() => command,
                () = hangup.notified() => return self.hang_up(wire, follows, "ORIGINATOR_CANCEL").await,
            };
            let Some(command) = command else {
                return Ok(End::Dropped { resumed });
            };
            match command.split([' ', '\n']).next().unwrap() {
                "connect" => wire.say(self.channel_data()).await?,
                "resume" => {
                    resumed = true;
                    wire.reply("+OK").await?;
                }
                "api" => {
                    let variable = format!("api uuid_setvar {} socket_resume", self.uuid);
                    let value = command.strip_prefix(&variable).expect("nothing else");
                    resumed = value == " true";
                    wire.say(capture::frame("api/response", "+OK\n")).await?;
                }
                "myevents" => {
                    follows = true;
                    wire.reply("+OK Events Enabled").await?;
                }
                "linger" => wire.reply("+OK will linger").await?,
                "exit" => {
                    wire.reply("+OK bye").await?;
                    wire.say(GOODBYE).await?;
                    return Ok(match resumed {
                        true => End::HandedBack,
                        false => End::LetGo,
                    });
                }
                "sendmsg" => {
                    if let Some(end) = self.execute(wire, &command, follows, ran).await? {
                        return Ok(end);
                    }
                }
                _ => wire.reply("-ERR command not found").await?,
            }
        }
    }

    async fn execute(
        &mut self,
        wire: &mut Wire,
        command: &str,
        follows: bool,
        ran: &mut Vec<String>,
    ) -> io::Result<Option<End>> {
        let application = header(command, "execute-app-name").unwrap().to_owned();
        let data = header(command, "execute-app-arg").unwrap_or("").to_owned();
        let uuid = header(command, "Event-UUID").unwrap_or("").to_owned();
        let did = match &*application {
            "set" => self.assign(&data),
            "multiset" => data[3..]
                .split('|')
                .fold(Did::nothing(), |_, one| self.assign(one)),
            _ => {
                ran.push(format!("{application}({data})"));
                (self.applications)(&application, &data)
            }
        };
        let did = match (&*application, did) {
            ("hangup", _) => Did::HungUp("NORMAL_CLEARING"),
            ("transfer", _) => Did::Left,
            (_, did) => did,
        };
        let about = [
            ("Application", &*application),
            ("Application-Data", &*data),
            ("Application-UUID", &*uuid),
        ];
        if self.asynchronous {
            wire.reply("+OK").await?;
        }
        if follows && self.asynchronous {
            wire.say(self.event("CHANNEL_EXECUTE", &about)).await?;
        }
        if let Did::Moved(_) = did {
            self.state = 2;
        }
        let end = match did {
            Did::Set(variables) | Did::Moved(variables) => {
                for (name, value) in variables {
                    self.variables.insert(name.into(), value);
                }
                None
            }
            Did::HungUp(cause) => Some(self.hang_up(wire, follows, cause).await?),
            Did::Left => {
                wire.say(GOODBYE).await?;
                Some(End::Left)
            }
            Did::GoesOn => {
                let hangup = Arc::clone(&self.hangup);
                hangup.notified().await;
                Some(self.hang_up(wire, follows, "ORIGINATOR_CANCEL").await?)
            }
        };
        if end.is_none() {
            if !self.asynchronous {
                wire.reply("+OK").await?;
            }
            if follows {
                wire.say(self.event("CHANNEL_EXECUTE_COMPLETE", &about))
                    .await?;
            }
        }
        Ok(end)
    }

    fn assign(&mut self, pair: &str) -> Did {
        let (name, value) = pair.split_once('=').unwrap();
        match value {
            "" => self.variables.remove(name),
            _ => self.variables.insert(name.into(), value.into()),
        };
        Did::nothing()
    }

    async fn hang_up(&mut self, wire: &mut Wire, follows: bool, cause: &str) -> io::Result<End> {
        if follows {
            let event = self.event("CHANNEL_HANGUP", &[("Hangup-Cause", cause)]);
            wire.say(event).await?;
        }
        wire.say(GOODBYE).await?;
        Ok(End::HungUp(cause.to_owned()))
    }
}

/// As `switch_url_encode` does it.
fn encode(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' | b'(' | b')' => {
                encoded.push(byte as char);
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
