//! A switch on which calls are up and keys are pressed, as fast as it is told to: what it writes was recorded from a
//! real one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use bytes::Bytes;
use switchhook::esl::peek_name;

use crate::stream::frames;

/// The call in the recording, and the process it was recorded from.
const CALL: &str = "5766a837-090a-4931-8e66-2c0fe37a1298";
const CORE_UUID: &str = "bd449c15-abdc-4f45-a85b-156e559d301f";

/// A switch that nobody has logged in to yet.
pub(crate) struct Switch {
    port: u16,
    lines: mpsc::Receiver<TcpStream>,
}

impl Switch {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let line = line.clone();
                std::thread::spawn(move || answer(socket.expect("a connection"), &line));
            }
        });
        Self { port, lines }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The line of whoever has logged in and asked for key presses.
    pub(crate) fn line(&self) -> Line {
        let socket = self.lines.recv().expect("the switch listens");
        let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/ivr.plain.esl");
        let recording = Bytes::from(std::fs::read(recording).expect("a capture"));
        let find = |wanted: &[u8]| {
            let frames = frames(&recording);
            let frame = frames.iter().find(|frame| peek_name(frame) == Some(wanted));
            Template::cut(std::str::from_utf8(&frame.expect("such an event").body).expect("text"))
        };
        Line {
            socket,
            create: find(b"CHANNEL_CREATE"),
            press: find(b"DTMF"),
            sequence: 1_000,
            out: Vec::new(),
        }
    }
}

/// Answers commands until the other side goes. The line is handed out once key presses are asked for.
fn answer(socket: TcpStream, line: &mpsc::Sender<TcpStream>) {
    socket.set_nodelay(true).expect("a TCP socket");
    let mut own = socket.try_clone().expect("a socket");
    let mut say = |text: &str| own.write_all(text.as_bytes()).is_ok();
    let reply = |text: &str| format!("Content-Type: command/reply\nReply-Text: {text}\n\n");
    say("Content-Type: auth/request\n\n");
    let reader = BufReader::new(socket.try_clone().expect("a socket"));
    let mut handed_out = false;
    for command in reader.lines().map_while(Result::ok) {
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        let said = match verb {
            "" => continue,
            "api" => {
                let body = match rest {
                    "global_getvar core_uuid" => CORE_UUID,
                    "show channels as json" => "{\"row_count\":0}",
                    _ => "-ERR no such command\n",
                };
                let head = "Content-Type: api/response\nContent-Length: ";
                say(&format!("{head}{}\n\n{body}", body.len()))
            }
            _ => say(&reply("+OK")),
        };
        if !said {
            return;
        }
        if verb == "event" && rest.contains("DTMF") && !handed_out {
            handed_out = true;
            // Nobody presses keys any more where the receiver is gone.
            let _ = line.send(socket.try_clone().expect("a socket"));
        }
    }
}

/// A line to somebody who listens.
pub(crate) struct Line {
    socket: TcpStream,
    create: Template,
    press: Template,
    sequence: u64,
    out: Vec<u8>,
}

impl Line {
    /// Begins the calls numbered so.
    pub(crate) fn dial(&mut self, calls: std::ops::Range<u64>) {
        for call in calls {
            self.create.fill(call, self.sequence, &mut self.out);
            self.sequence += 1;
        }
        self.flush();
    }

    /// A key is pressed in a call; it is written with the next [`Line::flush`].
    pub(crate) fn press(&mut self, call: u64) {
        self.press.fill(call, self.sequence, &mut self.out);
        self.sequence += 1;
    }

    /// Writes what happened.
    pub(crate) fn flush(&mut self) {
        self.socket.write_all(&self.out).expect("somebody listens");
        self.out.clear();
    }
}

/// An event, cut where one differs from the next.
struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Call,
    Sequence,
    Time,
}

impl Template {
    fn cut(event: &str) -> Self {
        let mut pieces = Vec::new();
        for line in event.split_inclusive('\n') {
            let (name, _) = line.split_once(": ").unwrap_or((line, ""));
            let piece = match name {
                "Event-Sequence" => Piece::Sequence,
                "Event-Date-Timestamp" => Piece::Time,
                _ => {
                    for (index, text) in line.split(CALL).enumerate() {
                        if index > 0 {
                            pieces.push(Piece::Call);
                        }
                        pieces.push(Piece::Text(text.to_owned()));
                    }
                    continue;
                }
            };
            pieces.extend([
                Piece::Text(format!("{name}: ")),
                piece,
                Piece::Text("\n".to_owned()),
            ]);
        }
        // One text where several stand behind each other.
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
                (_, piece) => joined.push(piece),
            }
        }
        Self(joined)
    }

    fn fill(&self, call: u64, sequence: u64, out: &mut Vec<u8>) {
        let mut event = Vec::with_capacity(6_000);
        for piece in &self.0 {
            let written = match piece {
                Piece::Text(text) => event.write_all(text.as_bytes()),
                Piece::Call => write!(event, "{}{call:012x}", &CALL[..24]),
                Piece::Sequence => write!(event, "{sequence}"),
                Piece::Time => write!(event, "{}", jiff::Timestamp::now().as_microsecond()),
            };
            written.expect("room in memory");
        }
        let head = format!(
            "Content-Length: {}\nContent-Type: text/event-plain\n\n",
            event.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&event);
    }
}
