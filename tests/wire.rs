//! The event socket as bytes: recorded streams of a real switch, and streams no switch should send.

mod support;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use support::capture;
use switchhook::esl::{
    Codec, Command, Cutter, Event, EventError, Frame, FrameError, Kind, Limits, Password, Wanted,
    peek_name,
};
use tokio_util::codec::{Decoder, Encoder};

/// The frames of a stream that comes in these pieces, and how it ends.
fn cut<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut cutter = Cutter::new(limits);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match cutter.cut(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    let end = cutter.end(&buffer);
    (frames, end)
}

fn frames(stream: &[u8]) -> Vec<Frame> {
    let (frames, end) = cut(Limits::default(), [stream]);
    assert_eq!(end, Ok(()));
    frames
}

fn error(stream: &[u8]) -> FrameError {
    cut(Limits::default(), [stream]).1.unwrap_err()
}

fn plain(text: &'static str) -> Event {
    Event::from_plain(Bytes::from_static(text.as_bytes()))
}

/// The events of a capture.
fn events(name: &str) -> Vec<Event> {
    frames(&capture::read(name))
        .iter()
        .filter(|frame| matches!(frame.kind, Kind::EventPlain | Kind::EventJson))
        .map(|frame| Event::from_frame(frame).unwrap())
        .collect()
}

// What a real switch sent.

#[test]
fn every_recorded_stream_is_read_to_its_last_byte() {
    for name in capture::names(".esl") {
        let stream = capture::read(&name);
        let frames = frames(&stream);
        assert_eq!(frames.len(), capture::frames(&stream).len(), "{name}");
        for frame in &frames {
            assert_ne!(frame.kind, Kind::Other, "{name}: {frame:?}");
            if matches!(frame.kind, Kind::EventPlain | Kind::EventJson) {
                let event = Event::from_frame(frame).unwrap();
                assert!(
                    event.number("Event-Sequence").is_some(),
                    "{name}: {event:?}"
                );
            }
            if frame.kind == Kind::EventPlain {
                let event = Event::from_frame(frame).unwrap();
                assert_eq!(peek_name(frame), Some(event.name().as_bytes()), "{name}");
            }
        }
        assert_eq!(
            frames.last().map(|frame| frame.kind),
            Some(Kind::DisconnectNotice),
            "{name}"
        );
    }
}

#[test]
fn a_byte_at_a_time_gives_the_same_frames() {
    for name in capture::names(".esl") {
        let stream = capture::read(&name);
        let (slowly, end) = cut(Limits::default(), stream.chunks(1));
        assert_eq!(end, Ok(()), "{name}");
        assert!(slowly == frames(&stream), "{name}");
    }
}

/// `switch_url_encode` leaves a `%` alone that looks like an escape already: what has passed through the plain
/// form has lost one level of them.
fn unescape(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = (*first == b'%')
            .then(|| std::str::from_utf8(after.get(..2)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escape.unwrap_or(*first));
        rest = &after[if escape.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn plain_and_json_of_a_call_say_the_same() {
    for call in ["bridge", "ivr", "utf8"] {
        let plain = events(&format!("{call}.plain.esl"));
        let json = events(&format!("{call}.json.esl"));
        assert_eq!(plain.len(), json.len(), "{call}");
        for (plain, json) in plain.iter().zip(&json) {
            let plainly: BTreeMap<String, String> = plain
                .headers()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            let json: BTreeMap<String, String> = json
                .headers()
                .map(|(name, value)| (name.into_owned(), unescape(&value)))
                .collect();
            assert_eq!(plainly, json, "{call}");
        }
    }
}

#[test]
fn names_in_every_script_arrive_unharmed() {
    // The caller of this capture wrote escapes into the values; only JSON shows them.
    for (form, percent, comma) in [
        ("utf8.plain.esl", "%", ","),
        ("utf8.json.esl", "%25", "%2C"),
    ] {
        let events = events(form);
        let leg = events
            .iter()
            .find(|event| event.variable("note").is_some())
            .unwrap();
        let name = format!("Zoë Müller 王伟 🎧 {percent}");
        let told = leg.variable("origination_caller_id_name");
        assert_eq!(told.as_deref(), Some(&*name));
        let told = leg.text("caller-orig-caller-id-name");
        assert_eq!(told.as_deref(), Some(&*name));
        assert_eq!(leg.variable("note").as_deref(), Some("line1\nline2"));
        assert_eq!(leg.header("line2"), None);
        let list = format!("ARRAY::one|:two|:three {comma}");
        assert_eq!(leg.variable("list").as_deref(), Some(&*list));
        assert_eq!(leg.variable("x-eq").as_deref(), Some("a=b&c=d;e: f"));
    }
}

#[test]
fn the_answer_to_connect_is_the_channel_itself() {
    for name in capture::names(".outbound.esl") {
        let frames = frames(&capture::read(&name));
        assert_eq!(frames[0].kind, Kind::CommandReply, "{name}");
        assert!(frames[0].body.is_empty(), "{name}");
        let channel = Event::from_plain(frames[0].head.clone());
        assert_eq!(channel.name(), "CHANNEL_DATA", "{name}");
        assert_eq!(channel.header("Reply-Text").as_deref(), Some("+OK\n"));
        assert_eq!(
            channel.header("Caller-ANI").as_deref(),
            Some("+15550001111")
        );
        assert!(channel.text("Unique-ID").is_some(), "{name}");
    }
    let lingering = frames(&capture::read("socket-caller-hangup.outbound.esl"));
    let dispositions: Vec<_> = lingering
        .iter()
        .filter_map(|frame| frame.header("content-disposition"))
        .collect();
    assert_eq!(dispositions, [&b"linger"[..], b"disconnect"]);
}

// What no switch should send.

#[test]
fn a_content_length_that_is_none_ends_the_stream() {
    for length in ["-1", "+1", "", "1 2", "0x10", "99999999999999999999", "ten"] {
        let stream = format!("Content-Length: {length}\nContent-Type: text/event-plain\n\n");
        let error = error(stream.as_bytes());
        assert!(
            matches!(error, FrameError::BadLength(_)),
            "{length}: {error}"
        );
    }
    let twice = b"Content-Length: 4\nContent-Length: 40\n\nbody";
    assert!(matches!(error(twice), FrameError::BadLength(_)));
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let head = b"Content-Length: 4000000000\nContent-Type: text/event-plain\n\n";
    let refused = FrameError::BodyTooLarge {
        length: 4_000_000_000,
        limit: Limits::default().body,
    };
    assert_eq!(error(head), refused);
    assert_eq!(
        refused.to_string(),
        "a body of 4000000000 bytes, more than 16777216 (raise [switch] max_body_bytes if it is real)"
    );
}

#[test]
fn a_header_block_without_an_end_is_refused_at_the_limit() {
    let limits = Limits {
        head: 1000,
        body: 1000,
    };
    let line = b"X-Filler: nothing to see here\n";
    let mut taken = 0;
    let endless = std::iter::repeat(&line[..]).take_while(|line| {
        taken += line.len();
        taken < 100_000
    });
    let (frames, end) = cut(limits, endless);
    assert_eq!(
        (frames.len(), end),
        (0, Err(FrameError::HeadTooLarge { limit: 1000 }))
    );
    assert!(
        taken <= 1000 + 2 * line.len(),
        "{taken} bytes were taken first"
    );
    // Nor does it help to bring the end along.
    let whole = [&line.repeat(50)[..], b"\n"].concat();
    let (_, end) = cut(limits, [&whole[..]]);
    assert_eq!(end, Err(FrameError::HeadTooLarge { limit: 1000 }));
}

#[test]
fn endless_empty_lines_fill_no_memory() {
    let mut cutter = Cutter::new(Limits::default());
    let mut buffer = BytesMut::new();
    for _ in 0..100 {
        buffer.extend_from_slice(&[b'\n'; 1000]);
        assert_eq!(cutter.cut(&mut buffer), Ok(None));
        assert!(buffer.is_empty());
    }
    buffer.extend_from_slice(b"Content-Type: auth/request\n\n");
    let frame = cutter.cut(&mut buffer).unwrap().unwrap();
    assert_eq!(frame.kind, Kind::AuthRequest);
}

#[test]
fn a_header_line_without_a_colon_is_shown_in_the_error() {
    let error = error(b"Content-Type: auth/request\nHTTP/1.1 200 OK\nContent\n\n");
    assert_eq!(
        error.to_string(),
        "a header line without a colon: \"HTTP/1.1 200 OK\""
    );
}

#[test]
fn a_stream_that_ends_inside_a_frame_says_so() {
    let mut codec = Codec::default();
    let mut buffer = BytesMut::from("Content-Type: auth/request\n\nContent-Length: 9\n\nhalf");
    assert!(codec.decode_eof(&mut buffer).unwrap().is_some());
    let error = codec.decode_eof(&mut buffer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stream ended inside a frame, 23 bytes into it"
    );
}

#[test]
fn escapes_that_are_none_stay_as_they_are() {
    let event = plain(
        "Event-Name: DTMF\nA: %ZZ\nB: 100%\nC: %4\nD: %ff%\nE: %41%4a%4A\nF: caf%C3%A9\nG: +\n\n",
    );
    for (name, value) in [
        ("A", "%ZZ"),
        ("B", "100%"),
        ("C", "%4"),
        ("D", "\u{fffd}%"),
        ("E", "AJJ"),
        ("F", "café"),
        ("G", "+"),
    ] {
        assert_eq!(event.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let text = b"Event-Name: DTMF\nCaller-Caller-ID-Name: \xff\xfe\xc3\nN\xffme: x\n\n";
    let event = Event::from_plain(Bytes::from_static(text));
    let name = event.header("Caller-Caller-ID-Name").unwrap();
    assert_eq!(name, "\u{fffd}\u{fffd}\u{fffd}");
    let json = Event::from_json(b"{\"Event-Name\": \"DTMF\", \"Name\": \"\xff\"}").unwrap();
    assert_eq!(json.header("Name").as_deref(), Some("\u{fffd}"));
}

#[test]
fn a_value_cannot_forge_a_header() {
    let event = plain(
        "Event-Name: CHANNEL_CREATE\n\
         Caller-Caller-ID-Name: Eve%0Avariable_account_id%3A%20root%0A%0A\n\
         variable_account_id: guest\n\n",
    );
    assert_eq!(event.variable("account_id").as_deref(), Some("guest"));
    assert_eq!(event.headers().count(), 3);
    let json = Event::from_json(
        br#"{"Event-Name": "CHANNEL_CREATE", "Name": "Eve\nvariable_account_id: root"}"#,
    )
    .unwrap();
    assert_eq!(json.variable("account_id"), None);
}

#[test]
fn the_length_of_an_inner_body_is_not_the_length_of_the_frame() {
    let body = "Event-Name: BACKGROUND_JOB\nContent-Length: 4\n\n+OK\nEvent-Name: CHANNEL_CREATE\n";
    let stream = [
        &capture::frame("text/event-plain", body)[..],
        b"Content-Type: auth/request\n\n",
    ]
    .concat();
    let frames = frames(&stream);
    assert_eq!(frames.len(), 2);
    let event = Event::from_frame(&frames[0]).unwrap();
    assert_eq!(event.name(), "BACKGROUND_JOB");
    assert_eq!(event.headers().count(), 2);
    assert_eq!(event.body(), b"+OK\nEvent-Name: CHANNEL_CREATE\n");
}

#[test]
fn json_that_is_no_event_is_an_error_and_the_stream_goes_on() {
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    for body in [
        "{\"Event-Name\": \"DTM",
        "[]",
        "",
        "7",
        "{} {}",
        deep.as_str(),
    ] {
        let stream = [
            &capture::frame("text/event-json", body)[..],
            &capture::frame("text/event-json", "{\"Event-Name\":\"DTMF\"}")[..],
        ]
        .concat();
        let frames = frames(&stream);
        let error = Event::from_frame(&frames[0]).unwrap_err();
        assert!(matches!(error, EventError::Json(_)), "{body}: {error}");
        assert_eq!(Event::from_frame(&frames[1]).unwrap().name(), "DTMF");
    }
    let nameless = frames(&capture::frame("text/event-json", "{}"));
    let error = Event::from_frame(&nameless[0]).unwrap_err();
    assert!(matches!(error, EventError::Nameless), "{error}");
}

// Any bytes at all.

/// Bytes that look like the event socket here and there.
fn almost_a_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"Content-Length: ".to_vec()),
        Just(b"Content-Type: text/event-plain\n".to_vec()),
        Just(b"Content-Type: text/event-json\n".to_vec()),
        Just(b"Event-Name: DTMF\n".to_vec()),
        Just(b"{\"Event-Name\":\"".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"%".to_vec()),
        Just(b": ".to_vec()),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A command of any sort, from any text that one may hold.
fn any_command() -> impl Strategy<Value = Command> {
    let text = "[^\n\r\0]{0,30}";
    let word = "[A-Za-z0-9_+=@.-]{1,12}";
    prop_oneof![
        text.prop_map(|text| Command::auth(&Password::new(text).unwrap())),
        (word, text).prop_map(|(user, password)| {
            Command::userauth(&user, &Password::new(password).unwrap()).unwrap()
        }),
        (word, text).prop_map(|(word, text)| Command::api(&format!("{word} {text}")).unwrap()),
        (word, text).prop_map(|(word, text)| Command::filter(&word, &text).unwrap()),
        (word, text).prop_map(|(word, text)| Command::execute(&word, &text, Some("1")).unwrap()),
        (word, word).prop_map(|(name, subclass)| {
            let custom = format!("CUSTOM {subclass}");
            let name = format!("X{name}");
            Command::event_plain(&Wanted::of([name.as_str(), custom.as_str()]).unwrap())
        }),
        Just(Command::exit()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(stream in almost_a_stream()) {
        let limits = Limits { head: 200, body: 500 };
        let (frames, _) = cut(limits, [&stream[..]]);
        for frame in frames {
            peek_name(&frame);
            for event in [
                Event::from_frame(&frame).ok(),
                Some(Event::from_plain(frame.head.clone())),
                Some(Event::from_plain(frame.body.clone())),
                Event::from_json(&frame.body).ok(),
            ].into_iter().flatten() {
                for (name, value) in event.headers() {
                    prop_assert!(event.header(&name).is_some() || name.contains('\u{fffd}'), "{name}: {value}");
                }
            }
        }
        Event::from_plain(stream.into());
    }

    #[test]
    fn it_does_not_matter_how_a_stream_is_split(
        stream in almost_a_stream(),
        sizes in proptest::collection::vec(1usize..50, 1..50),
    ) {
        let limits = Limits { head: 200, body: 500 };
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(cut(limits, pieces), cut(limits, [&stream[..]]));
    }

    #[test]
    fn recorded_calls_survive_any_split(sizes in proptest::collection::vec(1usize..9000, 1..30)) {
        let stream = capture::read("utf8.plain.esl");
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            pieces.push(piece);
            rest = after;
        }
        prop_assert!(cut(Limits::default(), pieces).0 == frames(&stream));
    }

    #[test]
    fn the_switch_reads_as_many_commands_as_were_written(
        commands in proptest::collection::vec(any_command(), 0..8),
    ) {
        let mut codec = Codec::default();
        let mut stream = BytesMut::new();
        let mut alone = Vec::new();
        for command in commands {
            let mut buffer = BytesMut::new();
            codec.encode(&command, &mut buffer).unwrap();
            alone.push(String::from_utf8(buffer.to_vec()).unwrap());
            codec.encode(command, &mut stream).unwrap();
        }
        // The switch reads up to an empty line.
        let stream = String::from_utf8(stream.to_vec()).unwrap();
        let read: Vec<String> = stream
            .split_inclusive("\n\n")
            .map(str::to_owned)
            .collect();
        prop_assert_eq!(read, alone);
    }

    #[test]
    fn what_the_switch_encodes_is_decoded_to_what_it_was(value in any::<String>()) {
        let stream = capture::event(&[("Event-Name", "DTMF"), ("Value", &value), ("After", "1")]);
        let event = Event::from_frame(&frames(&stream)[0]).unwrap();
        let decoded = event.header("Value");
        prop_assert_eq!(decoded.as_deref(), Some(&*value));
        prop_assert_eq!(event.number("After"), Some(1));
    }
}
