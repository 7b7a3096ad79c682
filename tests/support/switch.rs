//! A scripted switch: it listens on a real port and does to each connection what its script says.
//!
//! Commands are recorded and, unless the script says otherwise, answered in order as `mod_event_socket` does.
//! Nothing waits for a time: a test opens a [`Gate`] or awaits what the switch [`heard`](Switch::heard).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::capture::{self, Recording};

/// After this long a test that waits has failed. Longer than any wait of the code under test, whose clock
/// may be paused and jump.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Holds a script, or an answer, back until the test opens it.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        let mut open = self.0.subscribe();
        open.wait_for(|open| *open).await.expect("the gate lives");
    }
}

/// What the switch does on one connection, step by step. After the last step it stays and answers until the other
/// side closes.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    credentials: Option<String>,
    answers: HashMap<String, Answer>,
    silent: Vec<String>,
    deaf: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Login,
    Await(String),
    Say(Bytes),
    Trickle(Bytes),
    Pass(Gate),
    Close,
    Reset,
}

#[derive(Debug, Clone)]
struct Answer {
    text: String,
    gate: Option<Gate>,
}

impl Script {
    /// Nothing: a port that is accepted on and says not a word.
    pub fn new() -> Self {
        Self::default()
    }

    /// The login of a real switch: `auth PASSWORD` is accepted, everything else refused.
    pub fn login(password: &str) -> Self {
        Self::login_with(&format!("auth {password}"))
    }

    /// The same with the whole command that is accepted (`userauth USER:PASSWORD`).
    pub fn login_with(command: &str) -> Self {
        Self {
            credentials: Some(command.to_owned()),
            ..Self::default()
        }
        .step(Step::Login)
    }

    /// Login with the usual password, then the subscription: where most calls begin.
    pub fn subscribed() -> Self {
        Self::login("ClueCon").expect("event plain")
    }

    /// A recorded stream from its first byte to its last, whatever is said to it; then the end.
    pub fn recorded(name: &str) -> Self {
        Self::new().say(capture::read(name)).silent("").close()
    }

    /// The events of a capture.
    pub fn events_of(self, name: &str) -> Self {
        Recording::read(name)
            .events
            .into_iter()
            .fold(self, Self::say)
    }

    /// Writes this.
    pub fn say(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Say(bytes.into()))
    }

    /// Writes this, each byte in a packet of its own.
    pub fn trickle(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Trickle(bytes.into()))
    }

    /// Waits for a command that begins so.
    pub fn expect(self, prefix: &str) -> Self {
        self.step(Step::Await(prefix.to_owned()))
    }

    /// Waits for the gate to open.
    pub fn pass(self, gate: &Gate) -> Self {
        self.step(Step::Pass(gate.clone()))
    }

    /// Closes in an orderly way.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Says goodbye and closes, as a switch does that shuts down.
    pub fn goodbye(self) -> Self {
        self.say(GOODBYE).close()
    }

    /// Resets the connection, as a switch that crashed or a firewall that forgot.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// What `api COMMAND` prints.
    pub fn answer(self, command: &str, text: &str) -> Self {
        self.answer_behind(None, command, text)
    }

    /// The same, but not before the gate opens; commands behind it wait, as they do in the switch.
    pub fn answer_after(self, gate: &Gate, command: &str, text: &str) -> Self {
        self.answer_behind(Some(gate.clone()), command, text)
    }

    fn answer_behind(mut self, gate: Option<Gate>, command: &str, text: &str) -> Self {
        let text = text.to_owned();
        self.answers
            .insert(command.to_owned(), Answer { text, gate });
        self
    }

    /// Never answers commands that begin so.
    pub fn silent(mut self, prefix: &str) -> Self {
        self.silent.push(prefix.to_owned());
        self
    }

    /// Stops reading behind the first subscription.
    pub fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// A command the switch was given.
#[derive(Debug, Clone)]
pub struct Heard {
    /// On which connection, from 0.
    pub connection: usize,
    /// Its lines, without the empty one.
    pub command: String,
    /// When.
    pub at: Instant,
}

/// A listening switch. It stops when it is dropped.
#[derive(Debug)]
pub struct Switch {
    address: SocketAddr,
    house: Arc<House>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct House {
    scripts: Mutex<VecDeque<Script>>,
    heard: watch::Sender<Vec<Heard>>,
    connections: watch::Sender<usize>,
    ended: watch::Sender<usize>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Switch {
    /// A switch on a free port of the loopback. Each connection gets the next script; the last one goes on
    /// for all that follow.
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), scripts).await
    }

    /// The same where another one was.
    pub async fn start_on(address: SocketAddr, scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let house = Arc::new(House {
            scripts: Mutex::new(scripts.into_iter().collect()),
            heard: watch::Sender::new(Vec::new()),
            connections: watch::Sender::new(0),
            ended: watch::Sender::new(0),
            tasks: Mutex::default(),
        });
        Self {
            address: listener.local_addr().unwrap(),
            accepting: tokio::spawn(Arc::clone(&house).accept(listener)),
            house,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Drops all connections and goes on with other scripts, on the same port.
    pub fn restart(&self, scripts: impl IntoIterator<Item = Script>) {
        *self.house.scripts.lock().unwrap() = scripts.into_iter().collect();
        self.house.hang_up();
    }

    /// Drops all connections and stops listening.
    pub async fn stop(mut self) -> SocketAddr {
        self.accepting.abort();
        // The port is free when the listener is gone.
        let _ = (&mut self.accepting).await;
        self.house.hang_up();
        self.address
    }

    /// Every command so far.
    pub fn commands(&self) -> Vec<String> {
        let heard = self.house.heard.borrow();
        heard.iter().map(|heard| heard.command.clone()).collect()
    }

    /// Waits for a command that begins so.
    pub async fn heard(&self, prefix: &str) -> Heard {
        self.heard_nth(1, prefix).await
    }

    /// Waits for the nth command that begins so, from 1.
    pub async fn heard_nth(&self, nth: usize, prefix: &str) -> Heard {
        let mut all = self.house.heard.subscribe();
        let find = |all: &Vec<Heard>| {
            let mut found = all.iter().filter(|heard| heard.command.starts_with(prefix));
            found.nth(nth - 1).cloned()
        };
        let found = tokio::time::timeout(PATIENCE, all.wait_for(|all| find(all).is_some()));
        match found.await {
            Ok(all) => find(&all.expect("the house lives")).unwrap(),
            Err(_) => panic!("never heard {prefix:?}, only {:?}", self.commands()),
        }
    }

    /// Waits until so many connections were accepted.
    pub async fn connections(&self, count: usize) {
        reach(&self.house.connections, count).await;
    }

    /// Waits until it is done with so many connections.
    pub async fn ended(&self, count: usize) {
        reach(&self.house.ended, count).await;
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.accepting.abort();
        self.house.hang_up();
    }
}

impl House {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            let script = {
                let mut scripts = self.scripts.lock().unwrap();
                match scripts.len() {
                    0 | 1 => scripts.front().cloned().unwrap_or_default(),
                    _ => scripts.pop_front().unwrap(),
                }
            };
            let task = tokio::spawn(Arc::clone(&self).serve(connection, stream, script));
            self.tasks.lock().unwrap().push(task.abort_handle());
            self.connections.send_replace(connection + 1);
        }
    }

    fn hang_up(&self) {
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    async fn serve(self: Arc<Self>, connection: usize, stream: TcpStream, script: Script) {
        // A script that trickles wants its packets sent one by one.
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let writer = tokio::sync::Mutex::new(writer);
        let (commands, mut came) = mpsc::unbounded_channel();
        let line = Line {
            house: &self,
            connection,
            script: &script,
            writer: &writer,
        };
        let answering = line.answer(reader, commands);
        let playing = async {
            for step in &script.steps {
                line.take(step, &mut came).await?;
            }
            // Stay until the other side goes.
            std::future::pending::<Option<()>>().await
        };
        tokio::select! {
            () = answering => {}
            _ = playing => {}
        }
        // Dropped, it would close in an orderly way before a reset.
        writer.into_inner().forget();
        self.ended.send_modify(|ended| *ended += 1);
    }
}

async fn reach(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    tokio::time::timeout(PATIENCE, counter.wait_for(|reached| *reached >= count))
        .await
        .expect("as many connections")
        .expect("the house lives");
}

/// One connection and its script.
struct Line<'a> {
    house: &'a House,
    connection: usize,
    script: &'a Script,
    writer: &'a tokio::sync::Mutex<OwnedWriteHalf>,
}

impl Line<'_> {
    /// Does one step; `None` is the end of the connection.
    async fn take(&self, step: &Step, came: &mut mpsc::UnboundedReceiver<String>) -> Option<()> {
        match step {
            Step::Login => {
                self.write(b"Content-Type: auth/request\n\n").await?;
                let credentials = self.script.credentials.as_deref();
                while came.recv().await?.as_str() != credentials? {}
            }
            Step::Await(prefix) => while !came.recv().await?.starts_with(prefix) {},
            Step::Say(bytes) => self.write(bytes).await?,
            Step::Trickle(bytes) => {
                for byte in bytes.chunks(1) {
                    self.write(byte).await?;
                    // The other side gets its turn between any two.
                    tokio::task::yield_now().await;
                }
            }
            Step::Pass(gate) => gate.passed().await,
            Step::Close => {
                self.writer.lock().await.shutdown().await.ok()?;
                std::future::pending().await
            }
            Step::Reset => {
                let writer = self.writer.lock().await;
                writer.as_ref().set_zero_linger().unwrap();
                return None;
            }
        }
        Some(())
    }

    /// Records commands and answers them, until the other side closes.
    async fn answer(&self, mut reader: OwnedReadHalf, came: mpsc::UnboundedSender<String>) {
        let mut input = Vec::new();
        let mut deaf = false;
        loop {
            while let Some(end) = input.windows(2).position(|pair| pair == b"\n\n") {
                let rest = input.split_off(end + 2);
                let command = String::from_utf8_lossy(&input[..end]).into_owned();
                input = rest;
                self.house.heard.send_modify(|heard| {
                    heard.push(Heard {
                        connection: self.connection,
                        command: command.clone(),
                        at: Instant::now(),
                    });
                });
                deaf = self.script.deaf && command.starts_with("event plain");
                let answered = self.reply(&command).await;
                // Told behind the answer, so that the steps that follow are too.
                let _ = came.send(command);
                if answered.is_none() {
                    return;
                }
            }
            if deaf {
                return std::future::pending().await;
            }
            match reader.read_buf(&mut input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// What `mod_event_socket` says to a command; `None` where it closes.
    async fn reply(&self, command: &str) -> Option<()> {
        if self.script.silent.iter().any(|p| command.starts_with(p)) {
            return Some(());
        }
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "auth" | "userauth" if self.script.credentials.as_deref() == Some(command) => {
                self.say("+OK accepted").await
            }
            "auth" | "userauth" => {
                self.say("-ERR invalid").await?;
                self.write(GOODBYE).await?;
                None
            }
            "event" | "nixevent" => self.say("+OK event listener enabled plain").await,
            "api" => {
                let body = match self.script.answers.get(rest) {
                    Some(answer) => {
                        if let Some(gate) = &answer.gate {
                            gate.passed().await;
                        }
                        answer.text.clone()
                    }
                    None => format!("-ERR {rest} Command not found!\n"),
                };
                self.write(&capture::frame("api/response", &body)).await
            }
            "exit" => {
                self.say("+OK bye").await?;
                self.write(GOODBYE).await?;
                None
            }
            _ => self.say("-ERR command not found").await,
        }
    }

    async fn say(&self, reply: &str) -> Option<()> {
        let frame = format!("Content-Type: command/reply\nReply-Text: {reply}\n\n");
        self.write(frame.as_bytes()).await
    }

    async fn write(&self, bytes: &[u8]) -> Option<()> {
        self.writer.lock().await.write_all(bytes).await.ok()
    }
}

/// With this a switch ends a connection.
pub const GOODBYE: &[u8] = b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

/// With this it refuses an address that its access list forbids.
pub const RUDE: &[u8] = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\n\
Access Denied, go away.\n";
