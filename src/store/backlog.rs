//! What is pending, known without asking SQLite: how many deliveries, and in which block of rows the oldest stands.
//!
//! Kept by the writer, who makes every change. A million pending deliveries are some thousand blocks here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusqlite::Connection;

use super::deliveries::State;

/// A block holds 2^8 rows: so many are looked at to find the oldest.
const BLOCK_BITS: u32 = 8;

/// What a transaction did to how a delivery stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) delivery: i64,
    pub(super) was_pending: bool,
    pub(super) state: State,
}

/// How many deliveries are pending, by block of rows.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    blocks: BTreeMap<i64, u64>,
    pending: u64,
}

impl Backlog {
    /// What an earlier run left. Goes once through the index of what is due.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut backlog = Self::default();
        let mut statement = conn.prepare(
            "SELECT id FROM deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL",
        )?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            backlog.add(row.get(0)?);
        }
        Ok(backlog)
    }

    /// Follows a change that was committed.
    pub(super) fn follow(&mut self, change: Change) {
        match (change.was_pending, change.state == State::Pending) {
            (false, true) => self.add(change.delivery),
            (true, false) => self.remove(change.delivery),
            _ => {}
        }
    }

    fn add(&mut self, delivery: i64) {
        *self.blocks.entry(delivery >> BLOCK_BITS).or_default() += 1;
        self.pending += 1;
    }

    fn remove(&mut self, delivery: i64) {
        let block = delivery >> BLOCK_BITS;
        let Some(count) = self.blocks.get_mut(&block) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.blocks.remove(&block);
        }
        self.pending -= 1;
    }

    /// Deliveries that are pending.
    pub(super) fn pending(&self) -> u64 {
        self.pending
    }

    /// The rows among which the oldest pending one is; `None` where none is pending.
    pub(super) fn oldest(&self) -> Option<RangeInclusive<i64>> {
        let (block, _) = self.blocks.first_key_value()?;
        let first = block << BLOCK_BITS;
        Some(first..=first + (1 << BLOCK_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(delivery: i64, was_pending: bool, state: State) -> Change {
        Change {
            delivery,
            was_pending,
            state,
        }
    }

    #[test]
    fn the_oldest_is_where_something_is_still_pending() {
        let mut backlog = Backlog::default();
        assert_eq!((backlog.pending(), backlog.oldest()), (0, None));
        for delivery in [3, 255, 256, 700] {
            backlog.follow(change(delivery, false, State::Pending));
        }
        assert_eq!((backlog.pending(), backlog.oldest()), (4, Some(0..=255)));
        // Tried and to be tried again, or never sent at all: no change to what is pending.
        backlog.follow(change(3, true, State::Pending));
        backlog.follow(change(4, false, State::Skipped));
        assert_eq!(backlog.pending(), 4);
        backlog.follow(change(3, true, State::Delivered));
        backlog.follow(change(255, true, State::Failed));
        assert_eq!((backlog.pending(), backlog.oldest()), (2, Some(256..=511)));
        // Queued again.
        backlog.follow(change(3, false, State::Pending));
        assert_eq!((backlog.pending(), backlog.oldest()), (3, Some(0..=255)));
    }
}
