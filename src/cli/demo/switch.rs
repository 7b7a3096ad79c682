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

/// Who calls, in turn; the first is the recorded one. The last is somebody whose phone says whatever it likes:
/// a caller's name is his own text, wherever it is shown.
const CALLERS: &[(&str, &str)] = &[
    ("Alice%20Example", "15550001111"),
    ("Bj%C3%B8rn%20%26%20S%C3%B8nner", "15550002222"),
    ("Chidi%20Okafor", "15550003333"),
    (
        "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%20Mallory",
        "15550004444",
    ),
];

/// When an event was written to the socket, by its `Event-Sequence`.
pub(super) type Written = Arc<Mutex<HashMap<u64, Instant>>>;

/// The switch.
pub(super) struct Switch {
    listener: TcpListener,
    events: Vec<Recorded>,
    written: Written,
    clock: Clock,
    pace: i64,
}

/// One event of the recording.
struct Recorded {
    name: String,
    /// When it happened, in microseconds since 1970.
    at: i64,
    lines: Vec<(String, String)>,
}

impl Switch {
    /// A switch whose calls take `pace` times as long as the recorded one; at pace 1 its longest pause is cut
    /// short.
    pub(super) async fn bind(clock: Clock, pace: u8) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            events: read_recording(),
            written: Written::default(),
            clock,
            pace: pace.into(),
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
        // Digits are asked for on behalf of a hook only: from then on nothing of a call is missed.
        while !talk.wants("DTMF") {
            talk.hear(&mut out).await?;
        }
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
        let first = self.events.first().map_or(0, |event| event.at);
        let mut last = first;
        for event in self.events.iter() {
            let pause = (event.at - last) * self.pace;
            let pause = Duration::from_micros(u64::try_from(pause).unwrap_or(0));
            last = event.at;
            at += match self.pace {
                1 => pause.min(LONGEST_PAUSE),
                _ => pause,
            };
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
            let (sequence, text) = event.made_new(call, now, |recorded| {
                began_at + (recorded - first) * self.pace
            });
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
    /// The event as the `call`th call would have it at `now` (microseconds since 1970); `moved` says when that is
    /// which was recorded.
    fn made_new(&self, call: u64, now: i64, moved: impl Fn(i64) -> i64) -> (u64, String) {
        let mut text = String::with_capacity(4_096);
        let mut sequence = 0;
        for (name, value) in &self.lines {
            let value = match name.as_str() {
                "Event-Sequence" => {
                    sequence = value.parse::<u64>().unwrap_or(0) + call * 1_000;
                    sequence.to_string()
                }
                "Event-Date-Timestamp" => now.to_string(),
                name if name.ends_with("-Time") => match value.parse() {
                    Ok(at @ 1..) => moved(at).to_string(),
                    _ => value.clone(),
                },
                _ => another_caller(another_uuid(value, call), call),
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

/// A value with the recorded call's caller turned into that of another call.
fn another_caller(value: String, call: u64) -> String {
    let (name, number) = CALLERS[(call as usize - 1) % CALLERS.len()];
    let (first_name, first_number) = CALLERS[0];
    value
        .replace(first_name, name)
        .replace(first_number, number)
}

fn read_recording() -> Vec<Recorded> {
    let mut cutter = Cutter::new(Limits::default());
    let mut buffer = BytesMut::from(RECORDING);
    let mut events = Vec::new();
    while let Ok(Some(frame)) = cutter.cut(&mut buffer) {
        let (Some(name), Ok(event)) = (peek_name(&frame), Event::from_frame(&frame)) else {
            continue;
        };
        let at = event.number("Event-Date-Timestamp").unwrap_or(0);
        let body = String::from_utf8_lossy(&frame.body);
        events.push(Recorded {
            name: String::from_utf8_lossy(name).into_owned(),
            at,
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
