//! The one thread that writes: what has queued up becomes one transaction, then it is acknowledged.
//!
//! While a transaction runs the next one gathers, so the load itself makes the batches. Only one that follows at
//! the heels of another waits a moment for more: a transaction of a few operations costs hardly less than one of
//! many, and the CPU belongs to the media. What the database as a whole refuses (full, locked, broken disk) is tried again
//! until it works; what only one operation is refused takes that operation out and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::backlog::{Backlog, Change};
use super::checkpoint::Checkpoints;
use super::error::is_stall;
use super::health::{Committed, Gauge};
use super::open::Lock;
use super::outcomes::{self, Settled};
use super::queue::{Operation, Queue, Taken};
use super::retention::Retention;
use super::{StoreError, channels, events, timeline};
use crate::hook::Delivery;
use crate::time::{Clock, Timestamp};

/// The most operations in one transaction.
const BATCH: usize = 1_000;

/// Small transactions begin no closer to each other.
const SPACING: Duration = Duration::from_millis(1);

/// The pauses between the tries of a stalled batch.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The ids that are given next, and the time that goes with them. Kept in memory by the only one who gives any: no
/// row is touched for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    next_event: i64,
    next_delivery: i64,
    next_attempt: i64,
    next_step: i64,
    /// When the last delivery was due at first.
    latest: Timestamp,
}

impl Ids {
    /// Goes on after the last id of each table, those that retention has removed included.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let next = |table: &str| -> rusqlite::Result<i64> {
            let there: i64 = conn.query_row(
                &format!("SELECT coalesce(max(id), 0) FROM {table}"),
                (),
                |row| row.get(0),
            )?;
            let removed: Option<i64> = conn
                .query_row("SELECT last FROM counters WHERE name = ?", [table], |row| {
                    row.get(0)
                })
                .optional()?;
            Ok(there.max(removed.unwrap_or(0)) + 1)
        };
        let latest = conn
            .query_row(
                "SELECT coalesce(due_at, occurred_at) FROM deliveries ORDER BY id DESC LIMIT 1",
                (),
                |row| row.get(0),
            )
            .optional()?;
        Ok(Self {
            latest: Timestamp(latest.unwrap_or_default()),
            next_event: next("events")?,
            next_delivery: next("deliveries")?,
            next_attempt: next("attempts")?,
            next_step: next("timeline")?,
        })
    }

    pub(super) fn event(&mut self) -> i64 {
        self.next_event += 1;
        self.next_event - 1
    }

    /// The first of `count` ids in a row.
    pub(super) fn deliveries(&mut self, count: usize) -> i64 {
        let first = self.next_delivery;
        self.next_delivery += count as i64;
        first
    }

    /// When a new delivery is due that would be due `at`: not before those that have an id already, so that a
    /// backlog is read in the order in which it was committed, also where two legs tell their times turned round. But
    /// a clock that was set back puts nothing off.
    pub(super) fn due(&mut self, at: Timestamp, now: Timestamp) -> Timestamp {
        self.latest = at.max(self.latest.min(now));
        self.latest
    }

    pub(super) fn attempt(&mut self) -> i64 {
        self.next_attempt += 1;
        self.next_attempt - 1
    }

    pub(super) fn step(&mut self) -> i64 {
        self.next_step += 1;
        self.next_step - 1
    }

    pub(super) fn last_delivery(&self) -> i64 {
        self.next_delivery - 1
    }

    pub(super) fn last_attempt(&self) -> i64 {
        self.next_attempt - 1
    }

    pub(super) fn last_step(&self) -> i64 {
        self.next_step - 1
    }

    /// The last id that was given in each table that retention removes from.
    pub(super) fn last(&self) -> [(&'static str, i64); 4] {
        [
            ("events", self.next_event - 1),
            ("deliveries", self.last_delivery()),
            ("attempts", self.last_attempt()),
            ("timeline", self.last_step()),
        ]
    }
}

/// A transaction of the writer. Rolled back where the operation fails.
pub struct Tx<'a> {
    conn: &'a Connection,
    pub(super) ids: &'a mut Ids,
    /// Which deliveries stand otherwise than before.
    pub(super) changes: &'a mut Vec<Change>,
    /// The time that everything in this transaction happens at.
    pub now: Timestamp,
}

impl std::ops::Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// An operation from outside the hot path, with somebody who waits for its answer.
pub(super) trait Job: Send {
    /// Whether it is still wanted; one that is not is dropped unapplied.
    fn is_wanted(&self, now: Instant) -> bool;
    /// Does the work where it is still wanted. `Err` only for what stops the whole transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>);
    /// Answers that nothing was done.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A [`Job`] of a closure.
pub(super) struct Work<T, F> {
    pub(super) work: F,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) answer: oneshot::Sender<Result<T, StoreError>>,
    pub(super) start_by: Instant,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn is_wanted(&self, now: Instant) -> bool {
        !self.answer.is_closed() && now < self.start_by
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error> {
        // Whoever waits may have given up while the transaction waited for the database.
        if !self.is_wanted(Instant::now()) {
            self.result = None;
            return Ok(());
        }
        tx.execute_batch("SAVEPOINT work")?;
        let (ids, changes) = (*tx.ids, tx.changes.len());
        // The writer outlives a bug in one operation; what the closure holds is not used again but by itself.
        let result =
            catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or(Err(StoreError::Panicked));
        let result = match result {
            Err(error) if error.is_stall() => {
                return match error {
                    StoreError::Sqlite(error) => Err(error),
                    _ => unreachable!("only SQLite stalls"),
                };
            }
            result => result,
        };
        if result.is_err() {
            *tx.ids = ids;
            tx.changes.truncate(changes);
            tx.execute_batch("ROLLBACK TO work")?;
        }
        tx.execute_batch("RELEASE work")?;
        self.result = Some(result);
        Ok(())
    }

    fn answer(mut self: Box<Self>) {
        let result = self.result.take().unwrap_or(Err(StoreError::Busy));
        // Whoever asked may have gone meanwhile: then nobody wants to know.
        drop(self.answer.send(result));
    }

    fn refuse(mut self: Box<Self>, error: StoreError) {
        self.result = Some(Err(error));
        self.answer();
    }
}

/// The writer's side of everything.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) queue: Arc<Queue>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) backlog: Backlog,
    pub(super) retention: Retention,
    pub(super) committed: mpsc::UnboundedSender<Vec<Delivery>>,
    pub(super) settled: mpsc::UnboundedSender<Vec<Settled>>,
    pub(super) checkpoints: Checkpoints,
    pub(super) lock: Lock,
}

/// Why a transaction was rolled back.
enum Rollback {
    /// The database as a whole: the same batch again.
    Stalled(rusqlite::Error),
    /// The operation at this place in the batch: the others again.
    Guilty(usize, rusqlite::Error),
}

impl Writer {
    /// Works until the queue is closed and empty, or until closing has taken too long. Returns the number of
    /// operations that were not committed.
    pub(super) fn run(mut self) -> usize {
        Checkpoints::watch(&self.conn);
        let mut left = Vec::new();
        let mut not_before = Instant::now();
        loop {
            let taken = (self.queue).take(BATCH, self.retention.patience(), not_before);
            // Also what it does between two transactions keeps everybody waiting.
            self.gauge.begins(self.clock.now());
            match taken {
                Taken::Work(batch) => {
                    not_before = Instant::now() + SPACING;
                    left = self.commit(batch);
                    if !left.is_empty() {
                        break;
                    }
                    self.retention.busy();
                }
                Taken::Nothing => self.retention.idle(),
                Taken::Closed => break,
            }
            if self.retention.is_wanted() {
                self.tidy();
            }
            self.checkpoints.tend(&self.conn);
            self.gauge.ended();
        }
        self.gauge.ended();
        self.checkpoints.end();
        // The file and its lock are free before anybody hears that the store is closed.
        if let Err((_, error)) = self.conn.close() {
            error!("the database did not close cleanly, the next start recovers it: {error}");
        }
        drop(self.lock);
        left.extend(self.queue.end());
        for operation in &left {
            match operation {
                Operation::Intake(intake) => intake.mourn("the store was closed"),
                Operation::Settle(outcome) => warn!(
                    delivery = outcome.delivery,
                    "an outcome could not be written before the store was closed: the delivery will be sent again"
                ),
                // Whoever waits for it learns that the store is closed.
                Operation::Write(_) => {}
            }
        }
        left.len()
    }

    /// Commits a batch, however long it takes. Gives it back only where the store closes meanwhile.
    fn commit(&mut self, mut batch: Vec<Operation>) -> Vec<Operation> {
        let mut pause = FIRST_PAUSE;
        let mut stalled: Option<Instant> = None;
        loop {
            batch = drop_unwanted(batch);
            let ids = self.ids;
            let began = Instant::now();
            match self.transact(&mut batch) {
                Ok(settled) => {
                    let took = began.elapsed();
                    if let Some(since) = stalled {
                        info!("the database works again after {:.1?}", since.elapsed());
                        self.gauge.recovered();
                    }
                    self.acknowledge(batch, settled, took);
                    return Vec::new();
                }
                Err(rollback) => {
                    self.ids = ids;
                    match rollback {
                        Rollback::Guilty(index, error) => self.lose(batch.remove(index), error),
                        Rollback::Stalled(error) => {
                            if stalled.is_none() {
                                stalled = Some(Instant::now());
                                error!(
                                    "the database is stalled, nothing is sent until it works again: {error}"
                                );
                            }
                            self.gauge.stalled(self.clock.now(), &error);
                            if !self.queue.pause(pause) {
                                return batch;
                            }
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                    }
                }
            }
        }
    }

    /// One transaction of the whole batch.
    fn transact(&mut self, batch: &mut [Operation]) -> Result<Vec<Settled>, Rollback> {
        let transaction = Transaction::new(&mut self.conn, TransactionBehavior::Immediate)
            .map_err(Rollback::Stalled)?;
        let mut changes = Vec::with_capacity(batch.len());
        let mut tx = Tx {
            conn: &transaction,
            ids: &mut self.ids,
            changes: &mut changes,
            now: self.clock.now(),
        };
        let mut settled = Vec::new();
        for (index, operation) in batch.iter_mut().enumerate() {
            let done = match operation {
                Operation::Intake(intake) => intake
                    .records
                    .iter_mut()
                    .try_for_each(|record| events::record(&mut tx, record))
                    .and_then(|()| channels::apply(&tx, &intake.channels))
                    .and_then(|()| {
                        let mut steps = intake.steps.iter();
                        steps.try_for_each(|step| timeline::record(&mut tx, step))
                    }),
                Operation::Settle(outcome) => {
                    outcomes::settle(&mut tx, outcome).map(|done| match done {
                        Some(done) => settled.push(done),
                        None => {
                            warn!(
                                delivery = outcome.delivery,
                                "an outcome came for a delivery that is no longer kept"
                            );
                            settled.push(Settled::gone(outcome.delivery));
                        }
                    })
                }
                Operation::Write(job) => job.run(&mut tx),
            };
            done.map_err(|error| match is_stall(&error) {
                true => Rollback::Stalled(error),
                false => Rollback::Guilty(index, error),
            })?;
        }
        // Nothing of one operation can fail a commit: there are no deferred constraints.
        transaction.commit().map_err(Rollback::Stalled)?;
        if !changes.is_empty() {
            for change in &changes {
                self.backlog.follow(*change);
            }
            self.gauge.changed(&changes, &self.backlog);
        }
        Ok(settled)
    }

    /// Tells everybody that the batch is committed.
    fn acknowledge(&mut self, batch: Vec<Operation>, settled: Vec<Settled>, took: Duration) {
        let operations = batch.len();
        let now = self.clock.now();
        let (mut records, mut bytes) = (0, 0);
        let mut deliveries: Vec<Delivery> = Vec::new();
        let (mut jobs, mut waiting) = (Vec::new(), Vec::new());
        for operation in batch {
            match operation {
                Operation::Intake(intake) => {
                    let size = intake.size();
                    records += size.0;
                    bytes += size.1;
                    waiting.extend(intake.committed);
                    for record in intake.records {
                        self.gauge.recorded(&record, now);
                        let sent = record.deliveries.into_iter();
                        deliveries.extend(sent.filter(|delivery| !delivery.skipped));
                    }
                }
                Operation::Settle(_) => {}
                Operation::Write(job) => jobs.push(job),
            }
        }
        for delivery in &mut deliveries {
            delivery.committed_at = now;
        }
        self.gauge.committed(&Committed {
            operations,
            deliveries: deliveries.len(),
            outcomes: settled.len(),
            took,
        });
        // Nobody listens where delivery has stopped before the store: the rows are there for the next start.
        if !deliveries.is_empty() {
            drop(self.committed.send(deliveries));
        }
        if !settled.is_empty() {
            drop(self.settled.send(settled));
        }
        jobs.into_iter().for_each(Job::answer);
        for waiting in waiting {
            // Whoever wanted to know may have gone.
            let _ = waiting.send(());
        }
        self.queue.release(records, bytes);
    }

    /// An operation that SQLite refuses for its own sake.
    fn lose(&mut self, operation: Operation, error: rusqlite::Error) {
        match operation {
            Operation::Intake(intake) => {
                let (records, bytes) = intake.size();
                intake.mourn(&error.to_string());
                self.gauge.lost(intake.records.len());
                self.queue.release(records, bytes);
            }
            Operation::Settle(outcome) => {
                self.gauge.lost(1);
                error!(
                    delivery = outcome.delivery,
                    "an outcome could not be written, the delivery will be sent again after a restart: {error}"
                );
                // Whoever waits for it must not wait for ever.
                drop(self.settled.send(vec![Settled::refused(outcome.delivery)]));
            }
            Operation::Write(job) => {
                job.refuse(error.into());
            }
        }
    }

    /// One bite of what has grown old.
    fn tidy(&mut self) {
        let now = self.clock.now();
        let mut bite = || -> Result<(), StoreError> {
            let transaction = Transaction::new(&mut self.conn, TransactionBehavior::Immediate)?;
            let mut ids = self.ids;
            let mut tx = Tx {
                conn: &transaction,
                ids: &mut ids,
                // What is pending is not removed.
                changes: &mut Vec::new(),
                now,
            };
            let removed = self.retention.bite(&mut tx)?;
            transaction.commit()?;
            self.gauge.removed(removed);
            Ok(())
        };
        if let Err(error) = bite() {
            warn!("old rows could not be removed, that is tried again in a minute: {error}");
            self.retention.give_up();
        }
    }
}

/// Takes out the jobs that nobody waits for any more.
fn drop_unwanted(batch: Vec<Operation>) -> Vec<Operation> {
    let now = Instant::now();
    let mut kept = Vec::with_capacity(batch.len());
    for operation in batch {
        match operation {
            Operation::Write(job) if !job.is_wanted(now) => job.refuse(StoreError::Busy),
            operation => kept.push(operation),
        }
    }
    kept
}
