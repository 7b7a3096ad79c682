//! The demo's switch: a recorded call of a real FreeSWITCH, played over a real socket as often as wanted.
//!
//! It behaves as `mod_event_socket` does: asks for the password, takes `event plain …`, sends the events that
//! were asked for and no others. What tells one call from the next (ids, times, sequence) is made new.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use switchhook::esl::{Cutter, Event, Limits, peek_name};
use switchhook::time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// A call through `bridge user/1001`: the phone answers, the caller hangs up.
const RECORDING: &[u8] = include_bytes!("../../../tests/captures/bridge.plain.esl");
/// The longest pause between two events; nobody wants to watch a phone ring.
const LONGEST_PAUSE: Duration = Duration::from_millis(600);

/// When an event was written to the socket, by its `Event-Sequence`.
pub(super) type Written = Arc<Mutex<HashMap<u64, Instant>>>;

/// The switch.
pub(super) struct Switch {
    listener: TcpListener,
    events: Vec<Recorded>,
    written: Written,
    clock: Clock,
}

/// One event of the recording.
struct Recorded {
    name: String,
    /// Microseconds since the first one.
    offset: i64,
    lines: Vec<(String, String)>,
}

impl Switch {
    pub(super) async fn bind(clock: Clock) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            events: read_recording(),
            written: Written::default(),
            clock,
        })
    }

    pub(super) fn port(&self) -> std::io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    pub(super) fn written(&self) -> Written {
        Arc::clone(&self.written)
    }

    /// Plays `calls` calls to whoever logs in, each when `go` has counted up to it; `played` counts along.
    pub(super) async fn play(
        self,
        mut go: watch::Receiver<u64>,
        played: watch::Sender<u64>,
    ) -> std::io::Result<()> {
        let (socket, _) = self.listener.accept().await?;
        let (mut talk, mut out) = log_in(socket).await?;
        loop {
            let call = *played.borrow() + 1;
            let released = go.wait_for(|calls| *calls >= call);
            tokio::select! {
                released = released => if released.is_err() { return Ok(()) },
                heard = talk.hear(&mut out) => { heard?; continue }
            }
            self.play_call(call, &mut talk, &mut out).await?;
            played.send_replace(call);
        }
    }

    async fn play_call(
        &self,
        call: u64,
        talk: &mut Talk,
        out: &mut OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let began = Instant::now();
        let began_at = self.clock.now().0;
        let mut at = began;
        let mut last_offset = 0;
        for event in self.events.iter() {
            let pause =
                Duration::from_micros(u64::try_from(event.offset - last_offset).unwrap_or(0));
            last_offset = event.offset;
            at += pause.min(LONGEST_PAUSE);
            loop {
                tokio::select! {
                    biased;
                    heard = talk.hear(out) => heard?,
                    () = tokio::time::sleep_until(at) => break,
                }
            }
            if !talk.wants(&event.name) {
                continue;
            }
            let now = began_at + i64::try_from((at - began).as_micros()).unwrap_or(0);
            let (sequence, text) = event.made_new(call, now);
            let frame = format!(
                "Content-Length: {}\nContent-Type: text/event-plain\n\n{text}",
                text.len()
            );
            if let Ok(mut written) = self.written.lock() {
                written.insert(sequence, Instant::now());
            }
            out.write_all(frame.as_bytes()).await?;
        }
        Ok(())
    }
}

impl Recorded {
    /// The event as the `call`th call would have it at `now` (microseconds since 1970).
    fn made_new(&self, call: u64, now: i64) -> (u64, String) {
        let mut text = String::with_capacity(4_096);
        let mut sequence = 0;
        for (name, value) in &self.lines {
            let value = match name.as_str() {
                "Event-Sequence" => {
                    sequence = value.parse::<u64>().unwrap_or(0) + call * 1_000;
                    sequence.to_string()
                }
                "Event-Date-Timestamp" => now.to_string(),
                _ => another_uuid(value, call),
            };
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        (sequence, text)
    }
}

/// A value with the ids of the recorded call's channels turned into those of another call.
fn another_uuid(value: &str, call: u64) -> String {
    const LEGS: &[&str] = &["04e9b6ee-", "313e9ff2-"];
    LEGS.iter().fold(value.to_owned(), |value, leg| {
        let number = u64::from_str_radix(&leg[..8], 16).unwrap_or(0);
        value.replace(leg, &format!("{:08x}-", (number + call - 1) & 0xffff_ffff))
    })
}

fn read_recording() -> Vec<Recorded> {
    let mut cutter = Cutter::new(Limits::default());
    let mut buffer = BytesMut::from(RECORDING);
    let mut events = Vec::new();
    let mut first = None;
    while let Ok(Some(frame)) = cutter.cut(&mut buffer) {
        let (Some(name), Ok(event)) = (peek_name(&frame), Event::from_frame(&frame)) else {
            continue;
        };
        let at = event.number("Event-Date-Timestamp").unwrap_or(0);
        let body = String::from_utf8_lossy(&frame.body);
        events.push(Recorded {
            name: String::from_utf8_lossy(name).into_owned(),
            offset: at - *first.get_or_insert(at),
            lines: body
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        });
    }
    events
}

/// What the other side says, and what it asked for.
struct Talk {
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    names: HashSet<String>,
}

async fn log_in(socket: TcpStream) -> std::io::Result<(Talk, OwnedWriteHalf)> {
    socket.set_nodelay(true)?;
    let (read, mut out) = socket.into_split();
    out.write_all(b"Content-Type: auth/request\n\n").await?;
    let talk = Talk {
        lines: BufReader::new(read).lines(),
        names: HashSet::new(),
    };
    Ok((talk, out))
}

impl Talk {
    fn wants(&self, name: &str) -> bool {
        self.names.contains(name) || self.names.contains("ALL")
    }

    /// Answers the next command. Safe to drop while it waits.
    async fn hear(&mut self, out: &mut OwnedWriteHalf) -> std::io::Result<()> {
        let Some(line) = self.lines.next_line().await? else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "" => return Ok(()),
            "auth" | "userauth" => reply("+OK accepted"),
            "event" => {
                let names = rest.split(' ').skip(1);
                self.names.extend(names.map(str::to_owned));
                reply("+OK event listener enabled plain")
            }
            "nixevent" => {
                for name in rest.split(' ') {
                    self.names.remove(name);
                }
                reply("+OK events nixed")
            }
            "api" => api(rest),
            _ => reply("-ERR command not found"),
        };
        out.write_all(answer.as_bytes()).await
    }
}

fn reply(text: &str) -> String {
    format!("Content-Type: command/reply\nReply-Text: {text}\n\n")
}

/// The few commands that are asked of a switch between calls.
fn api(command: &str) -> String {
    let answers = BTreeMap::from([
        ("show channels as json", "{\"row_count\":0}\n"),
        (
            "global_getvar core_uuid",
            "bd449c15-abdc-4f45-a85b-156e559d301f",
        ),
    ]);
    let body = answers
        .get(command)
        .copied()
        .unwrap_or("-ERR not in the demo\n");
    format!(
        "Content-Type: api/response\nContent-Length: {}\n\n{body}",
        body.len()
    )
}
