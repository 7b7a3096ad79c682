//! How the connection to the switch is doing, for health, metrics and whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::names;
use crate::tally::Tally;
use crate::time::Timestamp;

/// The state of the connection at one moment. Counts are since the start of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Since when it has been up; `None` while it is down.
    pub connected_since: Option<Timestamp>,
    /// Why it was last lost or could not be made. It stays when the connection is back.
    pub last_error: Option<String>,
    /// How often it was made.
    pub connections: u64,
    /// Events that arrived, wanted or not.
    pub events: u64,
    /// Events that nobody had asked for; they were dropped unread.
    pub unasked: u64,
    /// Frames and events that could not be read.
    pub malformed: u64,
    /// Replies to nothing that was asked, or to what had been given up.
    pub stray_replies: u64,
}

/// Reads the [`Status`] from any task. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StatusReader(Arc<Board>);

/// The rarely changed half is a lock, the counters of the read path are not.
#[derive(Debug, Default)]
struct Board {
    link: Mutex<(Option<Timestamp>, Option<String>)>,
    connections: AtomicU64,
    events: Tally<{ names::COUNT }>,
    unasked: AtomicU64,
    malformed: AtomicU64,
    stray_replies: AtomicU64,
}

impl StatusReader {
    /// The state now.
    pub fn get(&self) -> Status {
        let board = &*self.0;
        let (connected_since, last_error) = board
            .link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Status {
            connected_since,
            last_error,
            connections: board.connections.load(Relaxed),
            events: board.events.read().iter().sum(),
            unasked: board.unasked.load(Relaxed),
            malformed: board.malformed.load(Relaxed),
            stray_replies: board.stray_replies.load(Relaxed),
        }
    }

    /// Events that arrived, wanted or not, by name: those of the switch's own names that have arrived, and
    /// `other` for what is none of these.
    pub fn events_by_name(&self) -> Vec<(&'static str, u64)> {
        names::named(self.0.events.read())
    }

    pub(super) fn up(&self, since: Timestamp) {
        self.0.connections.fetch_add(1, Relaxed);
        let mut link = self.0.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.0 = Some(since);
    }

    pub(super) fn down(&self, why: String) {
        let mut link = self.0.link.lock().unwrap_or_else(PoisonError::into_inner);
        *link = (None, Some(why));
    }

    pub(super) fn event(&self, name: &[u8]) {
        self.0.events.add(names::place(name), 1);
    }

    pub(super) fn unasked(&self) {
        self.0.unasked.fetch_add(1, Relaxed);
    }

    pub(super) fn malformed(&self) {
        self.0.malformed.fetch_add(1, Relaxed);
    }

    pub(super) fn stray_reply(&self) {
        self.0.stray_replies.fetch_add(1, Relaxed);
    }
}
