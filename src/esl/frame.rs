//! One frame of the event socket: a header block, and the body its `Content-Length` announces.
//!
//! The switch writes frames in `mod_event_socket.c`: `Name: value` lines, an empty line, then as many
//! bytes as `Content-Length` says. A [`Frame`] borrows both parts from the read buffer ([`Bytes`]); nothing
//! is copied or decoded before somebody asks.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take_till, take_while};
use nom::sequence::{preceded, terminated};

/// How large a frame may be before the connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one header block, its empty line included.
    pub head: usize,
    /// Bytes of one body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            body: 16 * 1024 * 1024,
        }
    }
}

/// Why bytes from the switch are no frame. After any of these the stream is out of step and only a new
/// connection helps.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// No empty line within the limit.
    #[error(
        "a header block of more than {limit} bytes (raise [switch] max_header_bytes if it is real)"
    )]
    HeadTooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// `Content-Length` is beyond the limit.
    #[error(
        "a body of {length} bytes, more than {limit} (raise [switch] max_body_bytes if it is real)"
    )]
    BodyTooLarge {
        /// What the switch announced.
        length: u64,
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// `Content-Length` is no number, is negative, or stands twice with different values.
    #[error("a Content-Length that is no length: {0:?}")]
    BadLength(String),
    /// A line of the header block has no colon.
    #[error("a header line without a colon: {0:?}")]
    BadLine(String),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {0} bytes into it")]
    Truncated(usize),
}

impl FrameError {
    /// Whether the bytes were right as far as they came.
    pub fn is_truncation(&self) -> bool {
        matches!(self, Self::Truncated(_))
    }
}

/// What a frame is, from its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `auth/request`: the switch wants a password.
    AuthRequest,
    /// `command/reply`: the answer to a command, in `Reply-Text`.
    CommandReply,
    /// `api/response`: the answer to `api`, in the body.
    ApiResponse,
    /// `text/event-plain`: an event as percent-encoded headers.
    EventPlain,
    /// `text/event-json`: an event as one JSON object.
    EventJson,
    /// `text/disconnect-notice`: the switch is about to close, or lingers.
    DisconnectNotice,
    /// `text/rude-rejection`: the access list forbids our address.
    RudeRejection,
    /// Anything else (`log/data`, `text/event-xml` …).
    Other,
}

impl Kind {
    fn of(content_type: &[u8]) -> Self {
        match content_type {
            b"auth/request" => Self::AuthRequest,
            b"command/reply" => Self::CommandReply,
            b"api/response" => Self::ApiResponse,
            b"text/event-plain" => Self::EventPlain,
            b"text/event-json" => Self::EventJson,
            b"text/disconnect-notice" => Self::DisconnectNotice,
            b"text/rude-rejection" => Self::RudeRejection,
            _ => Self::Other,
        }
    }
}

/// One frame, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The header block without its closing empty line.
    pub head: Bytes,
    /// The body; empty where there is no `Content-Length`.
    pub body: Bytes,
}

impl Frame {
    /// The value of one of the frame's own headers (`Reply-Text`, `Content-Disposition` …), as it came: the
    /// switch percent-encodes these only in its answer to `connect`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|byte| *byte == b'\n').find_map(|line| {
            let (_, line) = header_line(line).ok()?;
            line.name
                .eq_ignore_ascii_case(name.as_bytes())
                .then_some(line.value)
        })
    }
}

/// A frame's header block, measured but not yet cut out of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    kind: Kind,
    /// Bytes of the block without its empty line.
    len: usize,
    body: usize,
}

/// Cuts frames out of a growing buffer, and remembers how far it has looked, so that a frame that
/// arrives a byte at a time is scanned once.
#[derive(Debug, Default)]
pub struct Cutter {
    limits: Limits,
    scanned: usize,
    head: Option<Head>,
}

impl Cutter {
    /// A cutter at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            scanned: 0,
            head: None,
        }
    }

    /// The next whole frame of `buffer`, or `None` until more bytes have come.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot be read any further.
    pub fn cut(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let head = match self.head {
            Some(head) => head,
            None => {
                // Stray line ends between frames go at once: an endless run of them must not fill the
                // buffer.
                let stray = buffer.iter().take_while(|byte| **byte == b'\n').count();
                buffer.advance(stray);
                match self.measure(buffer)? {
                    Some(head) => *self.head.insert(head),
                    None => return Ok(None),
                }
            }
        };
        let whole = head.len + 2 + head.body;
        if buffer.len() < whole {
            // Bodies of a megabyte come in many reads: make room once. Never beyond what one read may
            // bring for a body that is only announced.
            buffer.reserve((whole - buffer.len()).min(1024 * 1024));
            return Ok(None);
        }
        let text = buffer.split_to(head.len).freeze();
        buffer.advance(2);
        let body = buffer.split_to(head.body).freeze();
        self.head = None;
        self.scanned = 0;
        Ok(Some(Frame {
            kind: head.kind,
            head: text,
            body,
        }))
    }

    /// What to say of a stream that ends with `rest` unread: nothing at a frame's end, else
    /// [`FrameError::Truncated`].
    ///
    /// # Errors
    /// The stream ended inside a frame.
    pub fn end(&self, rest: &[u8]) -> Result<(), FrameError> {
        match rest.iter().all(|byte| *byte == b'\n') {
            true => Ok(()),
            false => Err(FrameError::Truncated(rest.len())),
        }
    }

    fn measure(&mut self, buffer: &[u8]) -> Result<Option<Head>, FrameError> {
        let Some(end) = memmem::find(&buffer[self.scanned..], b"\n\n").map(|at| self.scanned + at)
        else {
            if buffer.len() > self.limits.head {
                return Err(FrameError::HeadTooLarge {
                    limit: self.limits.head,
                });
            }
            // The last byte may be the first of the pair.
            self.scanned = buffer.len().saturating_sub(1);
            return Ok(None);
        };
        if end + 2 > self.limits.head {
            return Err(FrameError::HeadTooLarge {
                limit: self.limits.head,
            });
        }
        self.read_head(&buffer[..=end]).map(Some)
    }

    fn read_head(&self, text: &[u8]) -> Result<Head, FrameError> {
        let mut kind = Kind::Other;
        let mut length: Option<u64> = None;
        let mut rest = text;
        while !rest.is_empty() {
            let (after, line) = match header_line(rest) {
                Ok(parsed) => parsed,
                Err(_) => {
                    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
                    let shown = &line[..line.len().min(120)];
                    return Err(FrameError::BadLine(
                        String::from_utf8_lossy(shown).into_owned(),
                    ));
                }
            };
            if line.name.eq_ignore_ascii_case(b"Content-Length") {
                let announced = read_length(line.value)?;
                if length.is_some_and(|earlier| earlier != announced) {
                    return Err(bad_length(line.value));
                }
                length = Some(announced);
            } else if line.name.eq_ignore_ascii_case(b"Content-Type") {
                kind = Kind::of(line.value.trim_ascii());
            }
            rest = after;
        }
        let length = length.unwrap_or(0);
        match usize::try_from(length) {
            Ok(body) if body <= self.limits.body => Ok(Head {
                kind,
                len: text.len() - 1,
                body,
            }),
            _ => Err(FrameError::BodyTooLarge {
                length,
                limit: self.limits.body,
            }),
        }
    }
}

fn bad_length(value: &[u8]) -> FrameError {
    FrameError::BadLength(String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned())
}

fn read_length(value: &[u8]) -> Result<u64, FrameError> {
    let digits = value.trim_ascii();
    // `u64::from_str` would take a leading plus sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad_length(value));
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad_length(value))
}

/// A `Name: value` line, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// One `Name: value\n`; the last line may lack its line end.
pub(crate) fn header_line(input: &[u8]) -> IResult<&[u8], Line<'_>> {
    let (rest, line) = line(input)?;
    let (value, name) = terminated(take_till(|byte| byte == b':'), tag(":")).parse(line)?;
    let (_, value) =
        preceded(take_while(|byte| byte == b' '), nom::combinator::rest).parse(value)?;
    Ok((rest, Line { name, value }))
}

/// Bytes up to the line end, which is dropped. `memchr` rather than nom's `take_till`: this is where the
/// read path spends its time.
fn line(input: &[u8]) -> IResult<&[u8], &[u8]> {
    match memchr::memchr(b'\n', input) {
        Some(end) => Ok((&input[end + 1..], &input[..end])),
        None => Ok((&input[input.len()..], input)),
    }
}
