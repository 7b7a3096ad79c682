//! What waits for the writer: one queue, in order, of which the read path's part is bounded.
//!
//! A std mutex and a condition variable, because the writer is a thread without a runtime; it is held only
//! to push or to take, never while SQLite works.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::outcomes::Outcome;
use super::writer::Job;
use super::{Intake, StoreConfig};

/// As many operations are worth a transaction at any time.
const ENOUGH: usize = 64;

/// One thing for the writer to do; all of it is committed, or none of it.
pub(super) enum Operation {
    Intake(Intake),
    Settle(Outcome),
    Write(Box<dyn Job>),
}

/// What [`Queue::take`] found.
pub(super) enum Taken {
    Work(Vec<Operation>),
    /// Nothing came for as long as the caller wanted to wait.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

#[derive(Default)]
struct Inside {
    waiting: VecDeque<Operation>,
    /// Records that are not committed yet, those in the writer's hands included, and their bytes.
    records: usize,
    bytes: usize,
    /// The writer sleeps until so many operations wait; 0 while it is awake.
    wake_at: usize,
    /// Set when the store closes: by when the writer has to be done.
    done_by: Option<Instant>,
    /// Set when the writer has ended.
    ended: bool,
}

pub(super) struct Queue {
    inside: Mutex<Inside>,
    wake: Condvar,
    room: Notify,
    most_records: usize,
    most_bytes: usize,
}

impl Queue {
    pub(super) fn new(config: &StoreConfig) -> Self {
        Self {
            inside: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
            most_records: config.queue_records,
            most_bytes: config.queue_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no panic while it is held")
    }

    /// Puts an operation in behind the others; gives it back where the store is closed.
    pub(super) fn push(&self, operation: Operation) -> Result<(), Operation> {
        let mut inside = self.lock();
        if inside.done_by.is_some() {
            return Err(operation);
        }
        self.append(&mut inside, operation);
        Ok(())
    }

    /// Puts an outcome in even while the store closes, for as long as the writer is there to take it.
    pub(super) fn push_outcome(&self, outcome: Outcome) -> Result<(), Outcome> {
        let mut inside = self.lock();
        if inside.ended {
            return Err(outcome);
        }
        self.append(&mut inside, Operation::Settle(outcome));
        Ok(())
    }

    /// Puts what the read path has in, where there is room.
    pub(super) fn offer(&self, intake: Intake) -> Result<(), Intake> {
        let (records, bytes) = intake.size();
        let mut inside = self.lock();
        if inside.done_by.is_some() || !self.fits(&inside, records, bytes) {
            return Err(intake);
        }
        inside.records += records;
        inside.bytes += bytes;
        self.append(&mut inside, Operation::Intake(intake));
        Ok(())
    }

    fn append(&self, inside: &mut Inside, operation: Operation) {
        inside.waiting.push_back(operation);
        if (1..=inside.waiting.len()).contains(&inside.wake_at) {
            inside.wake_at = 0;
            self.wake.notify_one();
        }
    }

    /// An empty queue takes anything: what is larger than all of it must not wait for ever.
    fn fits(&self, inside: &Inside, records: usize, bytes: usize) -> bool {
        inside.records == 0
            || (inside.records + records <= self.most_records
                && inside.bytes + bytes <= self.most_bytes)
    }

    /// Waits until one more record of a usual size fits, or the store is closed.
    pub(super) async fn room(&self) {
        self.room_for(1, self.most_bytes / 64).await;
    }

    /// Waits until so many records and bytes fit, or the store is closed.
    pub(super) async fn room_for(&self, records: usize, bytes: usize) {
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let inside = self.lock();
                if inside.ended || self.fits(&inside, records, bytes) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Records are committed or lost, and take up room no more.
    pub(super) fn release(&self, records: usize, bytes: usize) {
        if records == 0 {
            return;
        }
        {
            let mut inside = self.lock();
            inside.records -= records;
            inside.bytes -= bytes;
        }
        self.room.notify_waiters();
    }

    /// What has queued up, at most `most`; waits for the first one only, and at most `patience`. Before
    /// `not_before` it waits for [`ENOUGH`].
    pub(super) fn take(&self, most: usize, patience: Duration, not_before: Instant) -> Taken {
        let mut inside = self.sleep(self.lock(), 1, patience);
        if !inside.waiting.is_empty() {
            let spacing = not_before.saturating_duration_since(Instant::now());
            inside = self.sleep(inside, ENOUGH, spacing);
        }
        let ready = inside.waiting.len().min(most);
        match (ready, inside.done_by) {
            (0, None) => Taken::Nothing,
            (0, Some(_)) => Taken::Closed,
            _ => Taken::Work(inside.waiting.drain(..ready).collect()),
        }
    }

    /// Sleeps until so many operations wait or the store is closed, at most so long.
    fn sleep<'a>(
        &'a self,
        mut inside: MutexGuard<'a, Inside>,
        operations: usize,
        at_most: Duration,
    ) -> MutexGuard<'a, Inside> {
        inside.wake_at = operations;
        let (mut inside, _) = self
            .wake
            .wait_timeout_while(inside, at_most, |inside| {
                inside.waiting.len() < operations && inside.done_by.is_none()
            })
            .expect("no panic while it is held");
        inside.wake_at = 0;
        inside
    }

    /// A pause of a stalled writer, cut short when the store is closed. False when there is no time left
    /// for another try.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let inside = self.lock();
        if let Some(done_by) = inside.done_by {
            drop(inside);
            std::thread::sleep(pause);
            return Instant::now() < done_by;
        }
        let (_inside, _) = self
            .wake
            .wait_timeout_while(inside, pause, |inside| inside.done_by.is_none())
            .expect("no panic while it is held");
        true
    }

    /// Lets nothing more in; the writer does what is there, until `done_by` at the latest.
    pub(super) fn close(&self, done_by: Instant) {
        self.lock().done_by.get_or_insert(done_by);
        self.wake.notify_all();
    }

    /// The writer has ended: what is left will not be done.
    pub(super) fn end(&self) -> Vec<Operation> {
        let left = {
            let mut inside = self.lock();
            inside.ended = true;
            inside.done_by.get_or_insert_with(Instant::now);
            inside.records = 0;
            inside.bytes = 0;
            inside.waiting.drain(..).collect()
        };
        self.room.notify_waiters();
        left
    }

    /// Operations that wait, records that are not committed, and their bytes.
    pub(super) fn load(&self) -> (usize, usize, usize) {
        let inside = self.lock();
        (inside.waiting.len(), inside.records, inside.bytes)
    }
}
