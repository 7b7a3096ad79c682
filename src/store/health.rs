//! How the store is: what the writer notes down after each transaction.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// How the store is at one moment. Counters begin at zero when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Since when the database refuses everything, or keeps the writer waiting longer than
    /// [`StoreConfig::stall_timeout`](super::StoreConfig::stall_timeout); `None` while it works.
    pub stalled_since: Option<Timestamp>,
    /// What SQLite said when it last refused everything, also where it works again; or for how long the writer has
    /// been waiting.
    pub last_error: Option<String>,
    /// Operations that wait for the next transaction.
    pub waiting: usize,
    /// Records that are not committed yet.
    pub queued: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Operations in them.
    pub operations: u64,
    /// Deliveries that were committed and handed on.
    pub deliveries: u64,
    /// Outcomes that were committed.
    pub outcomes: u64,
    /// Records and outcomes that SQLite refused for their own sake.
    pub lost: u64,
    /// Rows that retention removed.
    pub removed: u64,
    /// Size of the database and its log, in bytes.
    pub database_bytes: u64,
}

/// The part of [`StoreHealth`] that the writer keeps.
#[derive(Default)]
pub(super) struct Gauge {
    noted: Mutex<StoreHealth>,
    /// When the writer began with what it has in hand.
    at_work_since: Mutex<Option<(Instant, Timestamp)>>,
}

impl Gauge {
    fn lock(&self) -> MutexGuard<'_, StoreHealth> {
        self.noted.lock().expect("no panic while it is held")
    }

    fn at_work_since(&self) -> MutexGuard<'_, Option<(Instant, Timestamp)>> {
        self.at_work_since
            .lock()
            .expect("no panic while it is held")
    }

    /// What was noted. A writer that has been at work for longer than `patience` hangs, whatever SQLite says.
    pub(super) fn read(&self, patience: Duration) -> StoreHealth {
        let mut health = self.lock().clone();
        let at_work = *self.at_work_since();
        if let Some((began, at)) = at_work.filter(|(began, _)| began.elapsed() >= patience)
            && health.stalled_since.is_none()
        {
            health.stalled_since = Some(at);
            let hangs = began.elapsed();
            health.last_error = Some(format!("a transaction has been under way for {hangs:.1?}"));
        }
        health
    }

    pub(super) fn begins(&self, now: Timestamp) {
        *self.at_work_since() = Some((Instant::now(), now));
    }

    pub(super) fn ended(&self) {
        *self.at_work_since() = None;
    }

    pub(super) fn stalled(&self, now: Timestamp, error: &rusqlite::Error) {
        let mut health = self.lock();
        health.stalled_since.get_or_insert(now);
        health.last_error = Some(error.to_string());
    }

    pub(super) fn recovered(&self) {
        self.lock().stalled_since = None;
    }

    pub(super) fn committed(&self, operations: usize, deliveries: usize, outcomes: usize) {
        let mut health = self.lock();
        health.transactions += 1;
        health.operations += operations as u64;
        health.deliveries += deliveries as u64;
        health.outcomes += outcomes as u64;
    }

    pub(super) fn lost(&self, count: usize) {
        self.lock().lost += count as u64;
    }

    pub(super) fn removed(&self, rows: usize) {
        self.lock().removed += rows as u64;
    }
}
