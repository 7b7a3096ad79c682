//! A recorded call, made again and again.

use bytes::Bytes;
use switchhook::esl::Event;

use super::capture::Recording;

/// A recorded call that can be made again and again, each time with other Unique-IDs.
pub struct Pattern {
    events: Vec<Vec<u8>>,
    /// For each event, where each of its Unique-IDs stands, and whose it is.
    places: Vec<Vec<(usize, usize)>>,
}

impl Pattern {
    /// The events of `wanted` names of a capture.
    pub fn of(capture: &str, wanted: &[&str]) -> Self {
        let frames = Recording::read(capture).events;
        let mut legs: Vec<String> = Vec::new();
        let mut pattern = Self {
            events: Vec::new(),
            places: Vec::new(),
        };
        let bodies = frames.iter().map(|frame| {
            let body = frame.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
            frame.slice(body..)
        });
        let bodies: Vec<Bytes> = bodies.collect();
        for body in &bodies {
            if let Some(uuid) = Event::from_plain(body.clone()).text("Unique-ID")
                && !legs.contains(&uuid.to_string())
            {
                legs.push(uuid.into_owned());
            }
        }
        for body in bodies {
            if !wanted.contains(&Event::from_plain(body.clone()).name()) {
                continue;
            }
            let mut places = Vec::new();
            for (leg, uuid) in legs.iter().enumerate() {
                let uuid = uuid.as_bytes();
                let windows = body.windows(uuid.len()).enumerate();
                places.extend(
                    windows
                        .filter(|(_, at)| *at == uuid)
                        .map(|(at, _)| (at, leg)),
                );
            }
            pattern.events.push(body.to_vec());
            pattern.places.push(places);
        }
        pattern
    }

    /// The text of the call's events the nth time.
    pub fn texts(&self, nth: u64) -> impl Iterator<Item = Bytes> {
        self.events
            .iter()
            .zip(&self.places)
            .map(move |(event, places)| {
                let mut text = event.clone();
                for (at, leg) in places {
                    let uuid = format!("{nth:08x}-0000-4000-8000-{leg:012x}");
                    text[*at..at + uuid.len()].copy_from_slice(uuid.as_bytes());
                }
                text.into()
            })
    }
}
