//! An event of the switch: header look-ups by name, values decoded when asked for.
//!
//! Plain events keep the bytes of the read buffer and an index of where each header stands; JSON events
//! are unpacked into the same shape. Names are those of `switch_event.c` and of the channel data that
//! `switch_channel_event_set_data` adds; look-ups ignore ASCII case, as the switch's own do.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memmem};

use super::frame::{Frame, Kind, header_line};

/// Why a frame holds no event. The frame itself was whole, so the stream goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A `text/event-json` body that is no JSON object.
    #[error("an event that is no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// The frame is of another kind.
    #[error("a {0:?} frame is no event")]
    NotAnEvent(Kind),
    /// Neither name nor any header at all.
    #[error("an event without Event-Name")]
    Nameless,
}

/// Where one header stands in the event's text.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

impl Span {
    fn name(self) -> Range<usize> {
        self.name as usize..(self.name + self.name_len) as usize
    }

    fn value(self) -> Range<usize> {
        self.value as usize..(self.value + self.value_len) as usize
    }
}

/// One event of the switch.
#[derive(Debug, Clone)]
pub struct Event {
    text: Bytes,
    spans: Box<[Span]>,
    body: Bytes,
    /// Whether values are percent-encoded (`event plain`) or as they are (`event json`).
    encoded: bool,
}

impl Event {
    /// The event a frame carries.
    ///
    /// # Errors
    /// [`EventError`]; the frame can be skipped.
    pub fn from_frame(frame: &Frame) -> Result<Self, EventError> {
        let event = match frame.kind {
            Kind::EventPlain => Self::from_plain(frame.body.clone()),
            Kind::EventJson => Self::from_json(&frame.body)?,
            kind => return Err(EventError::NotAnEvent(kind)),
        };
        match event.raw("Event-Name") {
            Some(_) => Ok(event),
            None => Err(EventError::Nameless),
        }
    }

    /// Percent-encoded header lines, and after an empty line the event's own body: what
    /// `text/event-plain` carries, and the header block that answers `connect` on an outbound socket.
    ///
    /// Lines without a colon are passed over; nothing else can go wrong.
    pub fn from_plain(text: Bytes) -> Self {
        let head = match memmem::find(&text, b"\n\n") {
            Some(end) => end + 1,
            None => text.len(),
        };
        // A line of the switch is 40 bytes on average.
        let mut spans = Vec::with_capacity(head / 32);
        let mut rest = &text[..head];
        while !rest.is_empty() {
            let at = head - rest.len();
            let Ok((after, line)) = header_line(rest) else {
                rest = match memchr(b'\n', rest) {
                    Some(end) => &rest[end + 1..],
                    None => &[],
                };
                continue;
            };
            let end = head - after.len() - usize::from(text[head - after.len() - 1] == b'\n');
            spans.push(Span {
                name: at as u32,
                name_len: line.name.len() as u32,
                value: (end - line.value.len()) as u32,
                value_len: line.value.len() as u32,
            });
            rest = after;
        }
        let body = text.slice((head + 1).min(text.len())..);
        Self {
            text,
            spans: spans.into(),
            body,
            encoded: true,
        }
    }

    /// One JSON object of header names and values, `_body` for the event's own body.
    ///
    /// # Errors
    /// It is no JSON object. Bytes that are no UTF-8 are replaced, not refused.
    pub fn from_json(body: &[u8]) -> Result<Self, EventError> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&String::from_utf8_lossy(body))?;
        let mut text = Vec::with_capacity(body.len());
        let mut spans = Vec::with_capacity(object.len());
        let mut inner = Bytes::new();
        for (name, value) in object {
            let value = json_text(value);
            if name == "_body" {
                inner = Bytes::from(value);
                continue;
            }
            let at = text.len();
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value.as_bytes());
            spans.push(Span {
                name: at as u32,
                name_len: name.len() as u32,
                value: (at + name.len()) as u32,
                value_len: value.len() as u32,
            });
        }
        Ok(Self {
            text: text.into(),
            spans: spans.into(),
            body: inner,
            encoded: false,
        })
    }

    /// The value of a header as it stands on the wire, the first one where a name stands twice.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        self.spans
            .iter()
            .find(|span| {
                span.name_len as usize == name.len()
                    && self.text[span.name()].eq_ignore_ascii_case(name)
            })
            .map(|span| &self.text[span.value()])
    }

    /// The decoded value of a header. Escapes that are none stay as they are; bytes that are no UTF-8
    /// become U+FFFD.
    ///
    /// In a plain event the switch does not escape a `%` that looks like an escape already
    /// (`switch_url_encode`), so a channel variable that is `100%25` arrives as `100%`.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw(name).map(|value| self.decode(value))
    }

    /// The decoded value of a header that says something: `None` where it is missing, empty, or one of the
    /// switch's words for nothing (`_undef_`, `undefined`).
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.header(name)
            .filter(|value| !matches!(&**value, "" | "_undef_" | "undefined"))
    }

    /// A channel variable: the header `variable_NAME`, where it says something.
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        const PREFIX: &[u8] = b"variable_";
        let name = name.as_bytes();
        self.spans
            .iter()
            .find(|span| {
                span.name_len as usize == PREFIX.len() + name.len() && {
                    let (prefix, rest) = self.text[span.name()].split_at(PREFIX.len());
                    rest.eq_ignore_ascii_case(name) && prefix.eq_ignore_ascii_case(PREFIX)
                }
            })
            .map(|span| self.decode(&self.text[span.value()]))
            .filter(|value| !matches!(&**value, "" | "_undef_" | "undefined"))
    }

    /// The value of a header read as a whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.header(name)?.trim().parse().ok()
    }

    /// `Event-Name`; empty where there is none.
    pub fn name(&self) -> &str {
        self.raw("Event-Name")
            .and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }

    /// `Event-Subclass` of a `CUSTOM` event.
    pub fn subclass(&self) -> Option<Cow<'_, str>> {
        self.text("Event-Subclass")
    }

    /// Every header in the order of the wire, decoded.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.spans.iter().map(|span| {
            (
                String::from_utf8_lossy(&self.text[span.name()]),
                self.decode(&self.text[span.value()]),
            )
        })
    }

    /// The event's own body (`BACKGROUND_JOB`, `api` results …), as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn decode<'a>(&self, value: &'a [u8]) -> Cow<'a, str> {
        match self.encoded {
            true => percent_decode(value),
            false => String::from_utf8_lossy(value),
        }
    }
}

/// The name of the event in a frame, without reading the rest of it: events nobody asked for are
/// dropped on this.
pub fn peek_name(frame: &Frame) -> Option<&[u8]> {
    const NAME: &[u8] = b"Event-Name: ";
    let body = &frame.body[..];
    let at = match frame.kind {
        Kind::EventPlain if body.starts_with(NAME) => NAME.len(),
        Kind::EventPlain => memmem::find(body, b"\nEvent-Name: ")? + NAME.len() + 1,
        _ => return None,
    };
    memchr(b'\n', &body[at..]).map(|end| &body[at..at + end])
}

/// What `switch_event_serialize_json` makes of a header: a string, or an array for a header with several
/// values, which the plain form writes as `ARRAY::a|:b`.
fn json_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.into_iter().map(json_text).collect();
            format!("ARRAY::{}", items.join("|:"))
        }
        other => other.to_string(),
    }
}

/// Percent-decoding as `switch_url_decode` does it: what is no escape stays as it is.
fn percent_decode(value: &[u8]) -> Cow<'_, str> {
    let Some(first) = memchr(b'%', value) else {
        return String::from_utf8_lossy(value);
    };
    let mut decoded = Vec::with_capacity(value.len());
    decoded.extend_from_slice(&value[..first]);
    let mut rest = &value[first..];
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?));
        match escape {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}
