//! How the store is: what the writer notes down after each transaction.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Change};
use super::deliveries::State;
use crate::hook::Record;
use crate::tally::{Histogram, Tally};
use crate::time::Timestamp;
use crate::trigger::Trigger;

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
    /// Deliveries that are committed and neither delivered nor given up.
    pub pending: u64,
    /// Size of the database without its log, in bytes.
    pub database_bytes: u64,
    /// Size of its log, in bytes.
    pub wal_bytes: u64,
}

/// What the writer has measured since the store was opened.
#[derive(Debug)]
pub struct StoreStats {
    /// How long the transactions took.
    pub transaction_times: Histogram,
    /// How many operations were in each.
    pub transaction_sizes: Histogram,
    /// From what happened, by the switch's clock, to its commit, by ours.
    pub event_to_commit: Histogram,
    /// Deliveries that were committed, by [`Trigger`].
    pub matches: Tally<{ Trigger::COUNT }>,
    /// Deliveries that ended, by [`State`]. One that is queued again ends again.
    pub ended: Tally<{ State::ALL.len() }>,
}

impl Default for StoreStats {
    fn default() -> Self {
        Self {
            transaction_times: Histogram::of_times(),
            transaction_sizes: Histogram::of_sizes(),
            event_to_commit: Histogram::of_times(),
            matches: Tally::default(),
            ended: Tally::default(),
        }
    }
}

/// A transaction that was committed.
pub(super) struct Committed {
    pub(super) operations: usize,
    pub(super) deliveries: usize,
    pub(super) outcomes: usize,
    pub(super) took: Duration,
}

/// What the writer notes down for others to read.
#[derive(Default)]
pub(super) struct Gauge {
    inside: Mutex<Inside>,
    pub(super) stats: StoreStats,
    /// When the writer began with what it has in hand.
    at_work_since: Mutex<Option<(Instant, Timestamp)>>,
}

#[derive(Default)]
struct Inside {
    /// The part of it that the writer keeps.
    health: StoreHealth,
    oldest: Option<RangeInclusive<i64>>,
}

impl Gauge {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no panic while it is held")
    }

    /// The rows among which the oldest pending delivery is; `None` where none is pending.
    pub(super) fn oldest(&self) -> Option<RangeInclusive<i64>> {
        self.lock().oldest.clone()
    }

    fn at_work_since(&self) -> MutexGuard<'_, Option<(Instant, Timestamp)>> {
        self.at_work_since
            .lock()
            .expect("no panic while it is held")
    }

    /// What was noted. A writer that has been at work for longer than `patience` hangs, whatever SQLite says.
    pub(super) fn read(&self, patience: Duration) -> StoreHealth {
        let mut health = self.lock().health.clone();
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
        let health = &mut self.lock().health;
        health.stalled_since.get_or_insert(now);
        health.last_error = Some(error.to_string());
    }

    pub(super) fn recovered(&self) {
        self.lock().health.stalled_since = None;
    }

    pub(super) fn committed(&self, done: &Committed) {
        self.stats.transaction_times.took(done.took);
        self.stats.transaction_sizes.observe(done.operations as u64);
        let health = &mut self.lock().health;
        health.transactions += 1;
        health.operations += done.operations as u64;
        health.deliveries += done.deliveries as u64;
        health.outcomes += done.outcomes as u64;
    }

    /// What happened was committed `now`.
    pub(super) fn recorded(&self, record: &Record, now: Timestamp) {
        let deliveries = record.deliveries.len() as u64;
        self.stats.matches.add(record.trigger as usize, deliveries);
        self.stats.event_to_commit.took(now.since(record.at));
    }

    /// Deliveries stand otherwise than before, which `backlog` has followed.
    pub(super) fn changed(&self, changes: &[Change], backlog: &Backlog) {
        for change in changes
            .iter()
            .filter(|change| change.state != State::Pending)
        {
            self.stats.ended.add(change.state as usize, 1);
        }
        let mut inside = self.lock();
        inside.health.pending = backlog.pending();
        inside.oldest = backlog.oldest();
    }

    pub(super) fn lost(&self, count: usize) {
        self.lock().health.lost += count as u64;
    }

    pub(super) fn removed(&self, rows: usize) {
        self.lock().health.removed += rows as u64;
    }
}
