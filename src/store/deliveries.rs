//! Deliveries as rows: what is due and in which queue, and the ways from finished back to pending and on to
//! finished without a request.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::attempts::{self, Attempt, AttemptResult};
use super::backlog::Change;
use super::events;
use super::writer::Tx;
use super::{StoreError, ad_hoc};
use crate::hook::{Delivery, Format, Verb, WebhookId};
use crate::time::Timestamp;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It will be tried.
    Pending,
    /// It was answered with success.
    Delivered,
    /// Every try failed, or there will be none.
    Failed,
    /// Its hook was off.
    Skipped,
    /// It was too old before it could be sent.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Delivered,
        Self::Failed,
        Self::Skipped,
        Self::Expired,
    ];

    /// The word in the database.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
        }
    }

    /// The state of a word.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.id() == id)
    }
}

/// The columns that [`read`] reads, from deliveries `d` with its body `b`, its event `e` and its
/// hook `h`.
const COLUMNS: &str =
    "d.id, d.queue, d.lane, d.due_at, d.attempts, d.occurred_at, d.webhook_id, d.verb,
    d.format, d.ad_hoc, b.body, e.trigger, e.call_id, h.id, h.account_id, d.state, e.recorded_at, d.queued_again";

const FROM: &str = "deliveries d JOIN bodies b ON b.id = d.id JOIN events e ON e.id = d.event LEFT JOIN hooks h ON h.key = d.queue";

/// How much the caller of [`due`] has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// So many deliveries.
    pub deliveries: usize,
    /// So many bytes of bodies; the first one is given however large it is.
    pub bytes: usize,
}

/// What of a queue may be sent.
#[derive(Debug, Clone, Default)]
pub struct Due {
    /// By due time and then by age.
    pub deliveries: Vec<Delivery>,
    /// There was no room for more; there may be more.
    pub more: bool,
}

/// What of `queue` may be sent at `now`, as much as there is `room` for, without those in `held`, which the
/// caller has already.
///
/// With `strict`, a delivery comes only where nothing earlier of its lane is pending, held ones included.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn due(
    conn: &Connection,
    queue: i64,
    now: Timestamp,
    room: Room,
    strict: bool,
    held: &HashSet<i64>,
) -> Result<Due, StoreError> {
    // Ids first, from the index alone: the bodies of what is held or must wait are never touched.
    let mut index = conn.prepare_cached(
        "SELECT id, lane FROM deliveries INDEXED BY deliveries_due
         WHERE queue = ? AND due_at IS NOT NULL AND due_at <= ? ORDER BY due_at, id",
    )?;
    let mut rows = index.query(params![queue, now.0])?;
    let mut ids = Vec::new();
    let mut lanes = HashSet::new();
    while ids.len() < room.deliveries
        && let Some(row) = rows.next()?
    {
        let (id, lane): (i64, i64) = (row.get(0)?, row.get(1)?);
        let may_go = !strict || lane == 0 || {
            // What was never put off is due in its order, so the first that is met is the earliest of those.
            // One that is held back must not take the place of the one that holds it.
            !is_held_back(conn, queue, lane, id)? && lanes.insert(lane)
        };
        if may_go && !held.contains(&id) {
            ids.push(id);
        }
    }
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM} WHERE d.id = ?"))?;
    let mut due = Due {
        more: ids.len() >= room.deliveries,
        ..Due::default()
    };
    let mut bytes = 0;
    for id in ids {
        if bytes >= room.bytes && !due.deliveries.is_empty() {
            due.more = true;
            break;
        }
        let mut rows = statement.query([id])?;
        let (delivery, _) = match rows.next()? {
            Some(row) => read(row)?,
            None => {
                return Err(StoreError::damaged(
                    "deliveries",
                    id,
                    "its event is missing",
                ));
            }
        };
        bytes += delivery.body.len();
        due.deliveries.push(delivery);
    }
    Ok(due)
}

/// Whether an earlier delivery of the lane waits for a later try.
fn is_held_back(conn: &Connection, queue: i64, lane: i64, id: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM deliveries INDEXED BY deliveries_postponed
         WHERE queue = ? AND lane = ? AND id < ? AND due_at IS NOT NULL
             AND (attempts > 0 OR queued_again IS NOT NULL) LIMIT 1",
    )?
    .exists(params![queue, lane, id])
}

/// Every queue that has something pending, with the time of its earliest.
///
/// # Errors
/// SQLite's.
pub fn queues(conn: &Connection) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    // One seek a queue, however much waits in each.
    let mut statement = conn.prepare_cached(
        "SELECT queue, due_at FROM deliveries INDEXED BY deliveries_due
         WHERE queue > ? AND due_at IS NOT NULL ORDER BY queue, due_at LIMIT 1",
    )?;
    let mut queues: Vec<(i64, Timestamp)> = Vec::new();
    let mut after = i64::MIN;
    while let Some((queue, due_at)) = statement
        .query_row([after], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))
        .optional()?
    {
        queues.push((queue, due_at));
        after = queue;
    }
    Ok(queues)
}

/// When the next delivery of `queue` falls due after `after`; `None` where none does.
///
/// # Errors
/// SQLite's.
pub fn next_due(
    conn: &Connection,
    queue: i64,
    after: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<i64> = conn
        .prepare_cached(
            "SELECT min(due_at) FROM deliveries INDEXED BY deliveries_due
             WHERE queue = ? AND due_at > ? AND due_at IS NOT NULL",
        )?
        .query_row(params![queue, after.0], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}

/// How many deliveries of `queue` are pending.
///
/// # Errors
/// SQLite's.
pub fn pending(conn: &Connection, queue: i64) -> Result<u64, StoreError> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM deliveries INDEXED BY deliveries_due
             WHERE queue = ? AND due_at IS NOT NULL",
        )?
        .query_row([queue], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// When that happened which the oldest pending delivery among these rows is about; `None` where none of them is
/// pending.
///
/// # Errors
/// SQLite's.
pub(super) fn oldest(
    conn: &Connection,
    rows: &RangeInclusive<i64>,
) -> Result<Option<Timestamp>, StoreError> {
    let oldest: Option<i64> = conn
        .prepare_cached(
            "SELECT min(occurred_at) FROM deliveries WHERE id BETWEEN ? AND ? AND due_at IS NOT NULL",
        )?
        .query_row([rows.start(), rows.end()], |row| row.get(0))?;
    Ok(oldest.map(Timestamp))
}

/// A delivery and how it stands.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn get(conn: &Connection, id: i64) -> Result<Option<(Delivery, State)>, StoreError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM} WHERE d.id = ?"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

/// Ends up to `limit` pending deliveries of `queue` without a request, as skipped or failed, each with an
/// attempt that says `reason`; how many there were. To be repeated until there are none.
///
/// # Errors
/// SQLite's.
pub fn end_pending(
    tx: &mut Tx<'_>,
    queue: i64,
    state: State,
    reason: &str,
    limit: usize,
) -> Result<usize, StoreError> {
    let result = match state {
        State::Skipped => AttemptResult::Skipped,
        State::Expired => AttemptResult::Expired,
        State::Failed => AttemptResult::Failure,
        State::Pending | State::Delivered => {
            return Err(StoreError::Conflict(format!(
                "a delivery cannot end as {} without a request",
                state.id()
            )));
        }
    };
    let ids: Vec<i64> = tx
        .prepare_cached(
            "SELECT id FROM deliveries INDEXED BY deliveries_due
             WHERE queue = ? AND due_at IS NOT NULL ORDER BY due_at, id LIMIT ?",
        )?
        .query_map(params![queue, limit as i64], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        let Some(row) = Standing::of(tx, *id)? else {
            continue;
        };
        let attempt = tx.ids.attempt();
        let mut none = Attempt::none(tx.now, result, reason);
        none.attempt = row.attempts;
        attempts::insert(tx, attempt, &row.place(*id), &none)?;
        tx.prepare_cached(
            "UPDATE deliveries SET due_at = NULL, state = ?, last_attempt = ? WHERE id = ?",
        )?
        .execute(params![state.id(), attempt, id])?;
        tx.changes.push(Change {
            delivery: *id,
            was_pending: true,
            state,
        });
    }
    Ok(ids.len())
}

/// Queues one finished delivery again, with all its tries; a pending one is made due now. Returns its
/// queue, or `None` where there is no such delivery or its hook was deleted.
///
/// # Errors
/// SQLite's.
pub fn resend(tx: &mut Tx<'_>, delivery: i64) -> Result<Option<i64>, StoreError> {
    let now = tx.now;
    let was_pending: Option<bool> = tx
        .prepare_cached("SELECT due_at IS NOT NULL FROM deliveries WHERE id = ?")?
        .query_row([delivery], |row| row.get(0))
        .optional()?;
    let Some(was_pending) = was_pending else {
        return Ok(None);
    };
    let queue = tx
        .prepare_cached(
            "UPDATE deliveries SET due_at = ?2, queued_again = ?2, state = 'pending', attempts = 0
             WHERE id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM hooks WHERE key = deliveries.queue AND deleted IS NOT NULL)
             RETURNING queue",
        )?
        .query_row(params![delivery, now.0], |row| row.get(0))
        .optional()?;
    if queue.is_some() {
        tx.changes.push(Change {
            delivery,
            was_pending,
            state: State::Pending,
        });
    }
    Ok(queue)
}

/// The delivery that `attempt` was made for.
///
/// # Errors
/// SQLite's.
pub fn of_attempt(conn: &Connection, attempt: i64) -> Result<Option<i64>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT delivery FROM attempts WHERE id = ?")?
        .query_row([attempt], |row| row.get(0))
        .optional()?)
}

/// A part of a queue's past that is to be recovered: from an instant, and within it from a row, up to an
/// instant that is no longer part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    since: Timestamp,
    after: i64,
    until: Timestamp,
}

impl Span {
    /// What occurred at `since` or later and before `until`.
    pub const fn new(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since,
            after: 0,
            until,
        }
    }
}

/// What one bite of [`recover`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that are pending again.
    pub count: usize,
    /// Where the next bite goes on; `None` when all is done.
    pub rest: Option<Span>,
}

/// The condition of `deliveries_recoverable`, in its words.
const RECOVERABLE: &str = "due_at IS NULL AND state <> 'delivered'";

/// How many deliveries of `queue` failed, expired or were skipped in `span`.
///
/// # Errors
/// SQLite's.
pub fn recoverable(conn: &Connection, queue: i64, span: Span) -> Result<u64, StoreError> {
    let count: i64 = conn.query_row(
        &format!(
            "SELECT count(*) FROM deliveries INDEXED BY deliveries_recoverable
             WHERE queue = ? AND {RECOVERABLE} AND occurred_at < ?
               AND (occurred_at, id) > (?, ?)"
        ),
        params![queue, span.until.0, span.since.0, span.after],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}

/// Queues again, oldest first, up to `limit` of what [`recoverable`] counts. To be repeated with what it
/// returns as `rest`: what fails again meanwhile is not taken twice.
///
/// # Errors
/// SQLite's.
pub fn recover(
    tx: &mut Tx<'_>,
    queue: i64,
    span: Span,
    limit: usize,
) -> Result<Recovered, StoreError> {
    let found: Vec<(i64, i64)> = tx
        .prepare_cached(&format!(
            "SELECT occurred_at, id FROM deliveries INDEXED BY deliveries_recoverable
             WHERE queue = ? AND {RECOVERABLE} AND occurred_at < ?
               AND (occurred_at, id) > (?, ?)
             ORDER BY occurred_at, id LIMIT ?"
        ))?
        .query_map(
            params![queue, span.until.0, span.since.0, span.after, limit as i64],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for (_, id) in &found {
        count += usize::from(resend(tx, *id)?.is_some());
    }
    let rest = match found.last() {
        Some((occurred_at, id)) if found.len() == limit => Some(Span {
            since: Timestamp(*occurred_at),
            after: *id,
            until: span.until,
        }),
        _ => None,
    };
    Ok(Recovered { count, rest })
}

/// What settling a delivery has to know of its row.
pub(super) struct Standing {
    pub(super) queue: i64,
    pub(super) is_pending: bool,
    /// When it was queued again.
    pub(super) queued_again: Option<Timestamp>,
    pub(super) state: String,
    pub(super) attempts: u32,
    pub(super) last_attempt: Option<i64>,
    pub(super) ad_hoc_account: Option<String>,
}

impl Standing {
    pub(super) fn of(conn: &Connection, id: i64) -> rusqlite::Result<Option<Self>> {
        conn.prepare_cached(
            "SELECT queue, due_at IS NOT NULL, state, attempts, last_attempt, ad_hoc ->> 'account_id',
                 queued_again
             FROM deliveries WHERE id = ?",
        )?
        .query_row([id], |row| {
            Ok(Self {
                queue: row.get(0)?,
                is_pending: row.get(1)?,
                state: row.get(2)?,
                attempts: row.get(3)?,
                last_attempt: row.get(4)?,
                ad_hoc_account: row.get(5)?,
                queued_again: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            })
        })
        .optional()
    }

    pub(super) fn place(&self, delivery: i64) -> attempts::Place<'_> {
        attempts::Place {
            delivery,
            queue: self.queue,
            previous: self.last_attempt,
            ad_hoc_account: self.ad_hoc_account.as_deref(),
        }
    }
}

/// A row of [`COLUMNS`].
fn read(row: &Row<'_>) -> Result<(Delivery, State), StoreError> {
    let id: i64 = row.get(0)?;
    let queue: i64 = row.get(1)?;
    let damaged = |what: &str, word: &str| {
        StoreError::damaged("deliveries", id, format!("{word:?} is no {what}"))
    };
    let verb: String = row.get(7)?;
    let verb = Verb::from_id(&verb).ok_or_else(|| damaged("verb", &verb))?;
    let format: String = row.get(8)?;
    let format = Format::from_id(&format).ok_or_else(|| damaged("format", &format))?;
    let state: String = row.get(15)?;
    let state = State::from_id(&state).ok_or_else(|| damaged("state", &state))?;
    let ad_hoc = row
        .get::<_, Option<String>>(9)?
        .map(|json| ad_hoc::from_json(&json, id, queue).map(Arc::new))
        .transpose()?;
    let (hook_id, account_id) = match &ad_hoc {
        Some(hook) => (Arc::clone(&hook.id), Arc::clone(&hook.account_id)),
        None => match (row.get(13)?, row.get(14)?) {
            (Some(id), Some(account)) => (id, account),
            _ => {
                let problem = format!("there is no hook {queue}");
                return Err(StoreError::damaged("deliveries", id, problem));
            }
        },
    };
    let occurred_at = Timestamp(row.get(5)?);
    let body: Vec<u8> = row.get(10)?;
    let delivery = Delivery {
        id,
        queue,
        account_id,
        hook_id,
        trigger: events::trigger(row, 11, id)?,
        call_id: row.get(12)?,
        lane: row.get(2)?,
        webhook_id: WebhookId(row.get(6)?),
        occurred_at,
        verb,
        format,
        body: body.into(),
        attempts: row.get(4)?,
        due_at: row.get::<_, Option<i64>>(3)?.map_or(occurred_at, Timestamp),
        queued_again: row.get::<_, Option<i64>>(17)?.map(Timestamp),
        skipped: state == State::Skipped,
        committed_at: Timestamp(row.get(16)?),
        ad_hoc,
    };
    Ok((delivery, state))
}
