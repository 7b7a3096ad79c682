//! What a real switch said, and the facts in it.

use bytes::{Bytes, BytesMut};
use switchhook::call::{Accounts, Fact, Tracker, TrackerConfig, Wanted};
use switchhook::esl::{Cutter, Event, Frame, Limits};
use switchhook::trigger::TriggerSet;

const CAPTURES: &[&str] = &[
    "bridge",
    "busy",
    "caller-cancel",
    "click2call",
    "conf",
    "fifo",
    "ivr",
    "missed-vm",
    "queue",
    "ringgroup",
    "transfer",
    "utf8",
];

/// All captures in one.
pub(crate) fn stream() -> Bytes {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let mut stream = Vec::new();
    for name in CAPTURES {
        stream.extend(std::fs::read(format!("{directory}/{name}.plain.esl")).expect("a capture"));
    }
    stream.into()
}

/// The frames of a stream.
pub(crate) fn frames(stream: &Bytes) -> Vec<Frame> {
    let mut cutter = Cutter::new(Limits::default());
    let mut buffer = BytesMut::from(&stream[..]);
    let mut frames = Vec::new();
    while let Some(frame) = cutter.cut(&mut buffer).expect("a sound stream") {
        frames.push(frame);
    }
    frames
}

/// A tracker of which everything is wanted.
pub(crate) fn curious() -> Tracker {
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    tracker
}

/// The facts in the captures.
pub(crate) fn facts() -> Vec<Fact> {
    let mut tracker = curious();
    let mut facts = Vec::new();
    for frame in frames(&stream()) {
        if let Ok(event) = Event::from_frame(&frame) {
            tracker.on_event(&event, &Accounts::default(), &mut facts);
        }
    }
    facts
}
