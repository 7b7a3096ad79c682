//! What an event costs that is read: cut out, passed over, looked into, followed.

use std::hint::black_box;

use bytes::BytesMut;
use switchhook::call::Accounts;
use switchhook::esl::{Cutter, Event, Frame, Limits, peek_name};

use crate::machine::{best, row_us};
use crate::stream::{curious, frames, stream};

pub(crate) fn rows() {
    let stream = stream();
    let events = frames(&stream)
        .iter()
        .filter(|frame| peek_name(frame).is_some())
        .count();
    let cut = |each: &mut dyn FnMut(&Frame)| {
        let mut cutter = Cutter::new(Limits::default());
        let mut buffer = BytesMut::with_capacity(stream.len());
        for chunk in stream.chunks(64 * 1024) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = cutter.cut(&mut buffer).expect("a sound stream") {
                each(&frame);
            }
        }
    };
    let floor = best(events, || {
        cut(&mut |frame| {
            black_box(frame.kind);
        })
    });
    let skipped = best(events, || {
        cut(&mut |frame| {
            black_box(peek_name(frame).is_some_and(|name| name == b"NONE"));
        })
    });
    let looked_up = best(events, || {
        cut(&mut |frame| {
            if let Ok(event) = Event::from_frame(frame) {
                for name in [
                    "Unique-ID",
                    "Caller-Caller-ID-Number",
                    "variable_sip_call_id",
                    "Event-Sequence",
                ] {
                    black_box(event.header(name));
                }
            }
        })
    });
    let accounts = Accounts::default();
    let tracked = best(events, || {
        let mut tracker = curious();
        let mut facts = Vec::new();
        cut(&mut |frame| {
            if let Ok(event) = Event::from_frame(frame) {
                tracker.on_event(&event, &accounts, &mut facts);
                black_box(&facts);
                facts.clear();
            }
        });
    });
    row_us(
        "ingest: an event nobody asked for (vs. cutting frames)",
        skipped,
        floor,
    );
    row_us(
        "ingest: an event indexed, 4 look-ups (vs. limit 3 µs)",
        looked_up,
        3.0,
    );
    row_us(
        "ingest: the same with tracker and facts (vs. limit 5 µs)",
        tracked,
        5.0,
    );
}
