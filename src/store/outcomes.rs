//! What came of a delivery's attempt: the attempt's row and the delivery's next state, in one transaction.

use rusqlite::params;

use super::attempts::{self, Attempt};
use super::backlog::Change;
use super::deliveries::{Standing, State};
use super::writer::Tx;
use crate::time::Timestamp;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again, not before `due_at`.
    Retry {
        /// The earliest time of the next attempt.
        due_at: Timestamp,
    },
    /// It was answered with success.
    Delivered,
    /// It will not be tried again.
    Failed,
    /// Its hook was off.
    Skipped,
    /// It was too old.
    Expired,
}

impl Next {
    const fn state(self) -> State {
        match self {
            Self::Retry { .. } => State::Pending,
            Self::Delivered => State::Delivered,
            Self::Failed => State::Failed,
            Self::Skipped => State::Skipped,
            Self::Expired => State::Expired,
        }
    }
}

/// What came of trying a delivery.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its row.
    pub delivery: i64,
    /// How many attempts were made in all, those before this outcome included.
    pub made: u32,
    /// What goes into the log of attempts, in order; a success may be left out of it.
    pub attempts: Vec<Attempt>,
    /// What becomes of the delivery.
    pub then: Next,
}

/// What became of an outcome: every one that was handed in is answered with one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery's row.
    pub delivery: i64,
    /// Its queue; 0 where there is no such delivery, or nothing was written.
    pub queue: i64,
    /// The ids of the logged attempts, in order.
    pub attempts: Vec<i64>,
    /// How the delivery stands now. Not always what was asked: a delivery that was ended while it was on its
    /// way (its hook was deleted) is not retried, and one that was queued again stays pending.
    pub state: State,
    /// SQLite refused it for its own sake: nothing was written, and the row says what it said before.
    pub refused: bool,
}

impl Settled {
    /// The outcome of a delivery that is no longer there: it is over.
    pub(super) fn gone(delivery: i64) -> Self {
        Self {
            delivery,
            queue: 0,
            attempts: Vec::new(),
            state: State::Failed,
            refused: false,
        }
    }

    /// An outcome that SQLite refused.
    pub(super) fn refused(delivery: i64) -> Self {
        Self {
            state: State::Pending,
            refused: true,
            ..Self::gone(delivery)
        }
    }
}

/// Applies an outcome; `None` where its delivery is no longer there.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    outcome: &Outcome,
) -> Result<Option<Settled>, rusqlite::Error> {
    let id = outcome.delivery;
    let Some(mut row) = Standing::of(tx, id)? else {
        return Ok(None);
    };
    let mut logged = Vec::with_capacity(outcome.attempts.len());
    for attempt in &outcome.attempts {
        let number = tx.ids.attempt();
        attempts::insert(tx, number, &row.place(id), attempt)?;
        row.last_attempt = Some(number);
        logged.push(number);
    }
    let arrived = outcome.then == Next::Delivered;
    // One that was queued again since the attempt began is to have all its tries.
    let began = outcome.attempts.first().map(|attempt| attempt.at);
    let queued_again =
        (row.queued_again).filter(|at| row.is_pending && !arrived && Some(*at) > began);
    // A delivery that was ended meanwhile comes back to life only as delivered.
    let stands = !arrived && (!row.is_pending || queued_again.is_some());
    let stood = State::from_id(&row.state).filter(|_| stands);
    let state = stood.unwrap_or_else(|| outcome.then.state());
    if stood.is_none() {
        tx.changes.push(Change {
            delivery: id,
            was_pending: row.is_pending,
            state,
        });
    }
    let (due_at, made) = match outcome.then {
        _ if queued_again.is_some() => (queued_again, row.attempts),
        Next::Retry { due_at } if state == State::Pending => (Some(due_at), outcome.made),
        _ => (None, outcome.made),
    };
    tx.prepare_cached(
        "UPDATE deliveries SET due_at = ?, state = ?, attempts = ?, last_attempt = ? WHERE id = ?",
    )?
    .execute(params![
        due_at.map(|due_at| due_at.0),
        state.id(),
        made,
        row.last_attempt,
        id
    ])?;
    Ok(Some(Settled {
        delivery: id,
        queue: row.queue,
        attempts: logged,
        state,
        refused: false,
    }))
}
