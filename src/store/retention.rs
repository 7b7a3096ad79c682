//! What has grown old goes, a small bite at a time, so that nobody waits for it. What is pending stays.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::params;

use super::writer::Tx;
use super::{StoreError, timeline};

/// The most rows of one table that a bite looks at.
const BITE: i64 = 500;

/// How often the log is looked through for what has grown old.
const EVERY: Duration = Duration::from_secs(60);

/// A busy writer takes a bite after so many transactions.
const TRANSACTIONS_A_BITE: u32 = 4;

/// A pause between two bites of a writer that has nothing else to do: what comes meanwhile comes first.
const BREATH: Duration = Duration::from_millis(5);

/// How much is kept. It can change while the writer runs.
#[derive(Debug)]
pub(super) struct Limits(Mutex<(Duration, u64)>);

impl Limits {
    pub(super) fn new(age: Duration, most_rows: u64) -> Self {
        Self(Mutex::new((age, most_rows)))
    }

    /// Keeps what is so old, and so many rows.
    pub(super) fn set(&self, age: Duration, most_rows: u64) {
        *self.0.lock().expect("no panic while it is held") = (age, most_rows);
    }

    fn get(&self) -> (Duration, i64) {
        let (age, most_rows) = *self.0.lock().expect("no panic while it is held");
        (age, i64::try_from(most_rows).unwrap_or(i64::MAX))
    }
}

/// When to take a bite, and where the last one ended.
#[derive(Debug)]
pub(super) struct Retention {
    limits: Arc<Limits>,
    /// A pass through the log is under way.
    passing: bool,
    next_pass: Instant,
    /// What is older goes in this pass: the same for deliveries as for the attempts that keep them.
    old: Option<i64>,
    transactions: u32,
    is_idle: bool,
    /// The last delivery that this pass has looked at: what stays (pending, or kept by its attempts) is not
    /// looked at again and again.
    reached: i64,
}

impl Retention {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            passing: true,
            next_pass: Instant::now(),
            old: None,
            transactions: 0,
            is_idle: false,
            reached: 0,
        }
    }

    /// How long the writer may sleep.
    pub(super) fn patience(&self) -> Duration {
        match self.passing {
            true => BREATH,
            false => self.next_pass.saturating_duration_since(Instant::now()),
        }
    }

    pub(super) fn busy(&mut self) {
        self.transactions += 1;
        self.is_idle = false;
    }

    pub(super) fn idle(&mut self) {
        self.is_idle = true;
    }

    pub(super) fn is_wanted(&mut self) -> bool {
        if !self.passing && Instant::now() >= self.next_pass {
            self.passing = true;
        }
        self.passing && (self.is_idle || self.transactions >= TRANSACTIONS_A_BITE)
    }

    /// Ends the pass; the next one starts from the beginning.
    pub(super) fn give_up(&mut self) {
        self.passing = false;
        self.next_pass = Instant::now() + EVERY;
        self.old = None;
        self.reached = 0;
    }

    /// Removes a few rows; how many. Ends the pass when there is nothing left to remove.
    pub(super) fn bite(&mut self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        self.transactions = 0;
        let (age, most_rows) = self.limits.get();
        let old = *self.old.get_or_insert_with(|| tx.now.before(age).0);
        // Ids rise by one, so the newest ids are the newest rows, and so many.
        let surplus = |last: i64| last.saturating_sub(most_rows);
        let (attempts, no_old_attempts) = remove_attempts(tx, old, surplus(tx.ids.last_attempt()))?;
        let (others, reached) = match no_old_attempts {
            true => remove_deliveries(tx, self.reached, old, surplus(tx.ids.last_delivery()))?,
            // Those that are kept by an attempt are not looked at again in this pass, at whose end their hook goes.
            false => (0, Some(self.reached)),
        };
        let (steps, no_old_steps) =
            timeline::remove_old(tx, old, surplus(tx.ids.last_step()), BITE)?;
        if attempts + others + steps > 0 {
            for (table, last) in tx.ids.last() {
                tx.prepare_cached("INSERT OR REPLACE INTO counters (name, last) VALUES (?, ?)")?
                    .execute(params![table, last])?;
            }
        }
        match reached {
            Some(reached) => self.reached = reached,
            None if no_old_attempts && no_old_steps => {
                remove_hooks(tx, old)?;
                self.give_up();
            }
            None => {}
        }
        Ok(attempts + others + steps)
    }
}

/// Removes the oldest attempts; whether nothing old is left.
fn remove_attempts(tx: &Tx<'_>, old: i64, surplus: i64) -> Result<(usize, bool), StoreError> {
    let rows: Vec<(i64, i64)> = tx
        .prepare_cached("SELECT id, at FROM attempts ORDER BY id LIMIT ?")?
        .query_map([BITE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let is_old = |(id, at): &&(i64, i64)| *at < old || *id <= surplus;
    let count = rows.iter().take_while(is_old).count();
    if count > 0 {
        tx.prepare_cached("DELETE FROM attempts WHERE id <= ?")?
            .execute([rows[count - 1].0])?;
    }
    Ok((count, count < BITE as usize))
}

/// Removes the oldest finished deliveries whose attempts are gone, and the events that have none left; where
/// it came to, or `None` where nothing old is left.
fn remove_deliveries(
    tx: &Tx<'_>,
    after: i64,
    old: i64,
    surplus: i64,
) -> Result<(usize, Option<i64>), StoreError> {
    struct Row {
        id: i64,
        event: i64,
        recorded_at: i64,
        is_kept: bool,
    }
    let rows: Vec<Row> = tx
        .prepare_cached(
            "SELECT d.id, e.id, e.recorded_at,
                 d.due_at IS NOT NULL OR EXISTS (SELECT 1 FROM attempts a WHERE a.id = d.last_attempt)
             FROM deliveries d JOIN events e ON e.id = d.event
             WHERE d.id > ? ORDER BY d.id LIMIT ?",
        )?
        .query_map(params![after, BITE], |row| {
            Ok(Row {
                id: row.get(0)?,
                event: row.get(1)?,
                recorded_at: row.get(2)?,
                is_kept: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut delete = tx.prepare_cached("DELETE FROM deliveries WHERE id = ?")?;
    let mut delete_body = tx.prepare_cached("DELETE FROM bodies WHERE id = ?")?;
    let mut delete_event = tx.prepare_cached(
        "DELETE FROM events WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries
             WHERE id BETWEEN first_delivery AND first_delivery + events.deliveries - 1)",
    )?;
    let (mut removed, mut reached) = (0, None);
    for row in &rows {
        if row.recorded_at >= old && row.id > surplus {
            return Ok((removed, None));
        }
        reached = Some(row.id);
        if !row.is_kept {
            delete_body.execute([row.id])?;
            removed += delete.execute([row.id])? + delete_event.execute([row.event])?;
        }
    }
    Ok((removed, reached))
}

/// Removes deleted hooks that no attempt and no delivery needs any more.
fn remove_hooks(tx: &Tx<'_>, old: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM hooks WHERE deleted < ?
           AND NOT EXISTS (SELECT 1 FROM attempts WHERE queue = hooks.key)
           AND NOT EXISTS (SELECT 1 FROM deliveries WHERE queue = hooks.key AND due_at IS NOT NULL)",
    )?
    .execute([old])?;
    Ok(())
}
