//! A busy switch: it plays a recorded call as often and as fast as is wanted, each time with ids of its own, to
//! whoever is logged in. Calls go on while nobody is, and it tells truly which channels are alive.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use switchhook::time::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::capture::{self, Recording};

/// A call through `bridge user/1001`: two legs, answered, bridged, hung up.
const RECORDING: &str = "bridge.plain.esl";
/// How the ids of its two legs begin.
const LEGS: [&str; 2] = ["04e9b6ee-", "313e9ff2-"];
const CORE_UUID: &str = "bd449c15-abdc-4f45-a85b-156e559d301f";
/// The pauses between two events, at least and at most: a call is over within a second, and a moment that is
/// chosen by chance is in the middle of many.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];
/// A real one beats every 20 seconds.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A busy switch. It stops when it is dropped.
pub struct Exchange {
    port: u16,
    orders: mpsc::UnboundedSender<Order>,
    counts: Arc<Counts>,
    over: watch::Receiver<u64>,
    playing: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    events: AtomicU64,
    bytes: AtomicU64,
    longest_write_us: AtomicU64,
}

struct Order {
    calls: u64,
    apart: Duration,
}

impl Exchange {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (orders, taken) = mpsc::unbounded_channel();
        let (told, over) = watch::channel(0);
        let counts = Arc::<Counts>::default();
        let floor = Floor {
            events: recording(),
            legs: BTreeMap::new(),
            due: BinaryHeap::new(),
            calls: 0,
            sequence: 0,
            counts: Arc::clone(&counts),
            over: told,
            clock: Clock::system(),
        };
        Self {
            port,
            orders,
            counts,
            over,
            playing: tokio::spawn(floor.run(listener, taken)),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Begins so many calls, so many a second.
    pub fn dial(&self, calls: u64, per_second: u64) {
        let apart = Duration::from_secs(1) / u32::try_from(per_second).unwrap();
        self.orders.send(Order { calls, apart }).unwrap();
    }

    /// Waits until so many calls are over, from the beginning.
    pub async fn over(&mut self, calls: u64) {
        self.over.wait_for(|over| *over >= calls).await.unwrap();
    }

    /// Calls that are over.
    pub fn calls_over(&self) -> u64 {
        *self.over.borrow()
    }

    /// Events that were written to the socket.
    pub fn events(&self) -> u64 {
        self.counts.events.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// How long the socket kept the switch waiting at most, since it was last asked.
    pub fn longest_write(&self) -> Duration {
        Duration::from_micros(self.counts.longest_write_us.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

/// A part of an event: what is the same in every call, and what is not.
enum Piece {
    Text(String),
    Leg(u64),
    Sequence,
    Time,
}

struct Recorded {
    name: String,
    /// Since the call began.
    at: Duration,
    /// Which of the two legs it is about.
    leg: usize,
    pieces: Vec<Piece>,
}

/// A channel that is alive.
struct Leg {
    uuid: String,
    root: String,
    created: i64,
    state: &'static str,
    answered: bool,
}

/// Something to do at a time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Event { call: u64, index: usize },
    Dial { left: u64, apart: Duration },
    Heartbeat,
}

struct Floor {
    events: Vec<Recorded>,
    legs: BTreeMap<(u64, usize), Leg>,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
    calls: u64,
    sequence: u64,
    counts: Arc<Counts>,
    over: watch::Sender<u64>,
    clock: Clock,
}

impl Floor {
    async fn run(mut self, listener: TcpListener, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut line: Option<Line> = None;
        self.due.push(Reverse((Instant::now(), Due::Heartbeat)));
        loop {
            let next = self.due.peek().map(|Reverse((at, _))| *at).unwrap();
            let is_free = line.is_none();
            let heard = async {
                match &mut line {
                    Some(line) => line.lines.next_line().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = listener.accept(), if is_free => {
                    line = Line::open(accepted.unwrap().0).await;
                }
                heard = heard => {
                    let answered = match (heard, &mut line) {
                        (Ok(Some(command)), Some(line)) => self.answer(&command, line).await,
                        _ => None,
                    };
                    if answered.is_none() {
                        line = None;
                    }
                }
                Some(Order { calls, apart }) = orders.recv() => {
                    self.due.push(Reverse((Instant::now(), Due::Dial { left: calls, apart })));
                }
                () = tokio::time::sleep_until(next) => {
                    let Some(Reverse((at, due))) = self.due.pop() else { continue };
                    if let Some((name, event)) = self.take(at, due)
                        && let Some(open) = &mut line
                        && open.names.contains(name.as_str())
                    {
                        let began = Instant::now();
                        let written = open.out.write_all(event.as_bytes()).await;
                        let took = u64::try_from(began.elapsed().as_micros()).unwrap();
                        self.counts.longest_write_us.fetch_max(took, Ordering::Relaxed);
                        match written {
                            Ok(()) => {
                                self.counts.events.fetch_add(1, Ordering::Relaxed);
                                self.counts.bytes.fetch_add(event.len() as u64, Ordering::Relaxed);
                            }
                            Err(_) => line = None,
                        }
                    }
                }
            }
        }
    }

    /// Lets happen what is due; the event in it, if any.
    fn take(&mut self, at: Instant, due: Due) -> Option<(String, String)> {
        match due {
            Due::Dial { left, apart } => {
                if left == 0 {
                    return None;
                }
                let (call, index) = (self.calls, 0);
                self.calls += 1;
                self.due.push(Reverse((at, Due::Event { call, index })));
                let left = left - 1;
                self.due
                    .push(Reverse((at + apart, Due::Dial { left, apart })));
                None
            }
            Due::Heartbeat => {
                self.due.push(Reverse((at + HEARTBEAT, Due::Heartbeat)));
                self.sequence += 1;
                let event = capture::event(&[
                    ("Event-Name", "HEARTBEAT"),
                    ("Core-UUID", CORE_UUID),
                    ("Event-Sequence", &self.sequence.to_string()),
                    ("Event-Date-Timestamp", &self.clock.now().0.to_string()),
                    ("Session-Count", &self.legs.len().to_string()),
                ]);
                Some(("HEARTBEAT".into(), String::from_utf8(event.into()).unwrap()))
            }
            Due::Event { call, index } => {
                let event = self.event(call, index);
                match self.events.get(index + 1) {
                    Some(next) => {
                        let at = at + (next.at - self.events[index].at);
                        let index = index + 1;
                        self.due.push(Reverse((at, Due::Event { call, index })));
                    }
                    None => self.over.send_modify(|over| *over += 1),
                }
                Some(event)
            }
        }
    }

    /// One event of a call, and what it does to the channels.
    fn event(&mut self, call: u64, index: usize) -> (String, String) {
        let recorded = &self.events[index];
        let now = self.clock.now().0;
        self.sequence += 1;
        let mut body = String::with_capacity(8_192);
        for piece in &recorded.pieces {
            match piece {
                Piece::Text(text) => body.push_str(text),
                Piece::Leg(leg) => write!(body, "{:08x}", leg + call).unwrap(),
                Piece::Sequence => write!(body, "{}", self.sequence).unwrap(),
                Piece::Time => write!(body, "{now}").unwrap(),
            }
        }
        let key = (call, recorded.leg);
        match recorded.name.as_str() {
            "CHANNEL_CREATE" => {
                let header = |name: &str| {
                    let mut lines = body.lines();
                    lines.find_map(|line| line.strip_prefix(name)).unwrap()
                };
                let leg = Leg {
                    uuid: header("Unique-ID: ").to_owned(),
                    root: header("Channel-Call-UUID: ").to_owned(),
                    created: now / 1_000_000,
                    state: "CS_EXECUTE",
                    answered: false,
                };
                self.legs.insert(key, leg);
            }
            "CHANNEL_ANSWER" => self.legs.get_mut(&key).unwrap().answered = true,
            "CHANNEL_BRIDGE" => {
                for leg in self.legs.range_mut((call, 0)..=(call, 1)) {
                    leg.1.state = "CS_EXCHANGE_MEDIA";
                }
            }
            "CHANNEL_HANGUP" => self.legs.get_mut(&key).unwrap().state = "CS_HANGUP",
            "CHANNEL_DESTROY" => drop(self.legs.remove(&key)),
            _ => {}
        }
        let frame = format!(
            "Content-Length: {}\nContent-Type: text/event-plain\n\n{body}",
            body.len()
        );
        (recorded.name.clone(), frame)
    }

    /// Answers a command; `None` where the line is gone.
    async fn answer(&self, command: &str, line: &mut Line) -> Option<()> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let reply = |text: &str| format!("Content-Type: command/reply\nReply-Text: {text}\n\n");
        let answer = match verb {
            "" => return Some(()),
            "auth" => reply("+OK accepted"),
            "event" => {
                let names = rest.split(' ').skip(1);
                line.names.extend(names.map(str::to_owned));
                reply("+OK event listener enabled plain")
            }
            "nixevent" => {
                rest.split(' ').for_each(|name| {
                    line.names.remove(name);
                });
                reply("+OK events nixed")
            }
            "api" => {
                let text = match rest {
                    "show channels as json" => self.channels(),
                    "global_getvar core_uuid" => CORE_UUID.to_owned(),
                    _ => "-ERR no such channel\n".to_owned(),
                };
                String::from_utf8(capture::frame("api/response", &text).into()).unwrap()
            }
            _ => reply("-ERR command not found"),
        };
        line.out.write_all(answer.as_bytes()).await.ok()
    }

    fn channels(&self) -> String {
        let rows: Vec<_> = (self.legs.iter())
            .map(|((_, leg), row)| {
                let direction = ["inbound", "outbound"][*leg];
                json!({
                    "uuid": row.uuid,
                    "direction": direction,
                    "created_epoch": row.created.to_string(),
                    "name": "sofia/internal/1000@rig.test",
                    "state": row.state,
                    "callstate": if row.answered { "ACTIVE" } else { "RINGING" },
                    "cid_num": "1000",
                    "dest": "1001",
                    "call_uuid": row.root,
                })
            })
            .collect();
        match rows.is_empty() {
            true => json!({"row_count": 0}).to_string(),
            false => json!({"row_count": rows.len(), "rows": rows}).to_string(),
        }
    }
}

/// Whoever is logged in, and what he asked for.
struct Line {
    lines: Lines<BufReader<OwnedReadHalf>>,
    out: OwnedWriteHalf,
    names: HashSet<String>,
}

impl Line {
    async fn open(socket: TcpStream) -> Option<Self> {
        socket.set_nodelay(true).ok()?;
        let (read, mut out) = socket.into_split();
        out.write_all(b"Content-Type: auth/request\n\n")
            .await
            .ok()?;
        Some(Self {
            lines: BufReader::new(read).lines(),
            out,
            names: HashSet::new(),
        })
    }
}

/// The recorded call, cut where one call differs from the next.
fn recording() -> Vec<Recorded> {
    let mut at = Duration::ZERO;
    let mut before = None;
    let read = |frame: &bytes::Bytes| {
        let text = std::str::from_utf8(frame).unwrap();
        let (_, body) = text.split_once("\n\n").unwrap();
        let header = |name: &str| body.lines().find_map(|line| line.strip_prefix(name));
        let time: u64 = header("Event-Date-Timestamp: ").unwrap().parse().unwrap();
        let pause = Duration::from_micros(time.saturating_sub(before.unwrap_or(time)));
        before = Some(time);
        at += pause.clamp(PAUSES[0], PAUSES[1]);
        Recorded {
            name: header("Event-Name: ").unwrap().to_owned(),
            at,
            leg: usize::from(header("Unique-ID: ").is_some_and(|uuid| uuid.starts_with(LEGS[1]))),
            pieces: cut(body),
        }
    };
    Recording::read(RECORDING).events.iter().map(read).collect()
}

fn cut(body: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for line in body.split_inclusive('\n') {
        let name = line.split_inclusive(' ').next().unwrap_or_default();
        let made_new = match name {
            "Event-Sequence: " => Some(Piece::Sequence),
            "Event-Date-Timestamp: " => Some(Piece::Time),
            _ => None,
        };
        if let Some(piece) = made_new {
            pieces.extend([
                Piece::Text(name.into()),
                piece,
                Piece::Text("\n".to_owned()),
            ]);
            continue;
        }
        let mut rest = line;
        while let Some((at, leg)) = (LEGS.iter())
            .filter_map(|leg| rest.find(leg).map(|at| (at, *leg)))
            .min()
        {
            let number = u64::from_str_radix(&leg[..8], 16).unwrap();
            pieces.extend([Piece::Text(rest[..at].into()), Piece::Leg(number)]);
            rest = &rest[at + 8..];
        }
        pieces.push(Piece::Text(rest.into()));
    }
    pieces
}
