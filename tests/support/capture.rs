//! Recorded streams (`tests/captures/`), cut up by rules of their own: not by the code under test.

use std::fmt::Write;
use std::path::PathBuf;

use bytes::Bytes;

/// Where a capture stands.
pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "captures", name]
        .iter()
        .collect()
}

/// The bytes of a capture.
pub fn read(name: &str) -> Bytes {
    match std::fs::read(path(name)) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("tests/captures/{name}: {error}"),
    }
}

/// The names of all captures that end so (`.plain.esl`), sorted.
pub fn names(ending: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path(""))
        .expect("tests/captures can be listed")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no capture ends in {ending}");
    names
}

/// A capture of an inbound connection in its parts, each frame as its bytes.
#[derive(Debug, Clone)]
pub struct Recording {
    /// `auth/request` and the replies to `auth` and `event`.
    pub handshake: Vec<Bytes>,
    /// The events.
    pub events: Vec<Bytes>,
    /// The reply to `exit` and the disconnect notice.
    pub farewell: Vec<Bytes>,
}

impl Recording {
    /// Reads and divides a capture.
    pub fn read(name: &str) -> Self {
        let is_event = |frame: &Bytes| head(frame).contains("Content-Type: text/event-");
        let mut handshake = frames(&read(name));
        let first = handshake.iter().position(is_event).expect("an event");
        let mut events = handshake.split_off(first);
        let end = events.iter().position(|frame| !is_event(frame));
        let farewell = end.map(|end| events.split_off(end)).unwrap_or_default();
        Self {
            handshake,
            events,
            farewell,
        }
    }
}

/// Every frame of a stream, as its bytes. One that is still being written at its end is left out.
pub fn frames(stream: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let rest = stream.slice(at..);
        if !rest.windows(2).any(|pair| pair == b"\n\n") {
            break;
        }
        let length = head(&rest)
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        let whole = head(&rest).len() + 2 + length;
        if rest.len() < whole {
            break;
        }
        frames.push(rest.slice(..whole));
        at += whole;
    }
    frames
}

/// The header block of a frame.
pub fn head(frame: &Bytes) -> &str {
    let end = frame
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .expect("an empty line");
    std::str::from_utf8(&frame[..end]).expect("a header block in UTF-8")
}

/// An event as the switch would write it, values percent-encoded.
pub fn event(headers: &[(&str, &str)]) -> Bytes {
    let mut body = String::new();
    for (name, value) in headers {
        write!(body, "{name}: ").unwrap();
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => {
                    body.push(byte as char);
                }
                _ => write!(body, "%{byte:02X}").unwrap(),
            }
        }
        body.push('\n');
    }
    body.push('\n');
    frame("text/event-plain", &body)
}

/// A frame with a body.
pub fn frame(content_type: &str, body: &str) -> Bytes {
    format!(
        "Content-Length: {}\nContent-Type: {content_type}\n\n{body}",
        body.len()
    )
    .into()
}
