//! What happened: one row an event that somebody wanted, with its deliveries; and the way back from a call to
//! its events.

use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::attempts::{self, Attempt, AttemptResult};
use super::backlog::Change;
use super::deliveries::State;
use super::writer::Tx;
use super::{StoreError, ad_hoc};
use crate::hook::{Record, hash63};
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// `reason` of an event that came while its hook was off.
pub const HOOK_DISABLED: &str = "hook disabled";

/// A block of the index by call holds 2^13 events.
const BLOCK_BITS: u32 = 13;

/// An event as the log has it.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// Its row.
    pub id: i64,
    /// What happened.
    pub trigger: Trigger,
    /// When, by the switch's clock.
    pub at: Timestamp,
    /// When it was written down, by ours.
    pub recorded_at: Timestamp,
    /// `Core-UUID` of the switch process.
    pub core_uuid: Arc<str>,
    /// `Event-Sequence`; 0 where it was worked out.
    pub sequence: u64,
    /// Whose call it is.
    pub account_id: Arc<str>,
    /// The leg.
    pub call_id: Option<Arc<str>>,
    /// The call's root leg.
    pub call_uuid: Option<Arc<str>>,
    /// The rows of its deliveries.
    pub deliveries: Range<i64>,
}

/// Writes an event and its deliveries down and numbers them.
pub(super) fn record(tx: &mut Tx<'_>, record: &mut Record) -> Result<(), rusqlite::Error> {
    // An event that nobody is sent is not kept: nothing would ever remove it.
    let Some(lane) = record.deliveries.first().map(|delivery| delivery.lane) else {
        return Ok(());
    };
    let event = tx.ids.event();
    let first = tx.ids.deliveries(record.deliveries.len());
    let leg = match (&record.call_id, &record.call_uuid) {
        (Some(leg), root) if Some(leg) != root.as_ref() => Some(hash63(leg)),
        _ => None,
    };
    tx.prepare_cached(
        "INSERT INTO events (id, first_delivery, deliveries, trigger, at, recorded_at, sequence, lane, leg,
             core_uuid, account_id, call_id, call_uuid)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        event,
        first,
        record.deliveries.len() as i64,
        record.trigger.id(),
        record.at.0,
        tx.now.0,
        // Stored as the same 64 bits: SQLite's integers are signed.
        record.sequence as i64,
        lane,
        leg,
        &*record.core_uuid,
        &*record.account_id,
        record.call_id.as_deref(),
        record.call_uuid.as_deref(),
    ])?;
    for (delivery, id) in record.deliveries.iter_mut().zip(first..) {
        delivery.id = id;
        delivery.due_at = tx.ids.due(delivery.due_at, tx.now);
        let attempt = delivery.skipped.then(|| tx.ids.attempt());
        let (state, due_at) = match delivery.skipped {
            true => (State::Skipped, None),
            false => (State::Pending, Some(delivery.due_at.0)),
        };
        let hook = delivery.ad_hoc.as_deref().map(ad_hoc::to_json);
        tx.prepare_cached(
            "INSERT INTO deliveries (id, event, queue, lane, due_at, state, attempts, last_attempt,
                 occurred_at, webhook_id, verb, format, ad_hoc)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            id,
            event,
            delivery.queue,
            delivery.lane,
            due_at,
            state.id(),
            delivery.attempts,
            attempt,
            delivery.occurred_at.0,
            delivery.webhook_id.0,
            delivery.verb.id(),
            delivery.format.id(),
            hook,
        ])?;
        tx.prepare_cached("INSERT INTO bodies (id, body) VALUES (?, ?)")?
            .execute(params![id, &*delivery.body])?;
        if let Some(attempt) = attempt {
            let place = attempts::Place {
                delivery: id,
                queue: delivery.queue,
                previous: None,
                ad_hoc_account: hook.is_some().then_some(&*delivery.account_id),
            };
            let none = Attempt::none(tx.now, AttemptResult::Skipped, HOOK_DISABLED);
            attempts::insert(tx, attempt, &place, &none)?;
        }
        tx.changes.push(Change {
            delivery: id,
            was_pending: false,
            state,
        });
    }
    Ok(())
}

/// Every event of the call that `call` is a leg of, in order.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn of_call(conn: &Connection, call: &str) -> Result<Vec<LoggedEvent>, StoreError> {
    let hash = hash63(call);
    let mut found = in_blocks(conn, ByHash::Lane, hash)?;
    found.retain(|event| event.call_uuid.as_deref() == Some(call));
    if !found.is_empty() {
        return Ok(found);
    }
    let legs = of_leg(conn, call)?;
    match legs.first().and_then(|event| event.call_uuid.clone()) {
        Some(root) => {
            let mut found = in_blocks(conn, ByHash::Lane, hash63(&root))?;
            found.retain(|event| event.call_uuid.as_ref() == Some(&root));
            Ok(found)
        }
        None => Ok(legs),
    }
}

/// Every event of the leg `leg`, in order.
pub(super) fn of_leg(conn: &Connection, leg: &str) -> Result<Vec<LoggedEvent>, StoreError> {
    let hash = hash63(leg);
    let mut found = in_blocks(conn, ByHash::Leg, hash)?;
    found.extend(in_blocks(conn, ByHash::Lane, hash)?);
    found.retain(|event| event.call_id.as_deref() == Some(leg));
    found.sort_by_key(|event| event.id);
    Ok(found)
}

/// Which of the two hashes of an event is looked for.
#[derive(Clone, Copy)]
enum ByHash {
    Lane,
    Leg,
}

fn in_blocks(conn: &Connection, by: ByHash, hash: i64) -> Result<Vec<LoggedEvent>, StoreError> {
    const COLUMNS: &str =
        "id, first_delivery, deliveries, trigger, at, recorded_at, sequence, core_uuid,
        account_id, call_id, call_uuid";
    let sql = match by {
        ByHash::Lane => format!(
            "SELECT {COLUMNS} FROM events INDEXED BY events_by_call
             WHERE id >> {BLOCK_BITS} = ? AND lane = ? AND lane <> 0 ORDER BY id"
        ),
        ByHash::Leg => format!(
            "SELECT {COLUMNS} FROM events INDEXED BY events_by_leg
             WHERE id >> {BLOCK_BITS} = ? AND leg = ? AND leg IS NOT NULL ORDER BY id"
        ),
    };
    let bounds: (Option<i64>, Option<i64>) = conn.query_row(
        "SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)",
        (),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (Some(first), Some(last)) = bounds else {
        return Ok(Vec::new());
    };
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for block in first >> BLOCK_BITS..=last >> BLOCK_BITS {
        let mut rows = statement.query(params![block, hash])?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<LoggedEvent, StoreError> {
    let id: i64 = row.get(0)?;
    let first: i64 = row.get(1)?;
    let count: i64 = row.get(2)?;
    Ok(LoggedEvent {
        id,
        trigger: trigger(row, 3, id)?,
        at: Timestamp(row.get(4)?),
        recorded_at: Timestamp(row.get(5)?),
        sequence: row.get::<_, i64>(6)? as u64,
        core_uuid: row.get(7)?,
        account_id: row.get(8)?,
        call_id: row.get(9)?,
        call_uuid: row.get(10)?,
        deliveries: first..first + count,
    })
}

/// The trigger in a column of an event's or a delivery's row.
pub(super) fn trigger(row: &Row<'_>, column: usize, id: i64) -> Result<Trigger, StoreError> {
    let word: String = row.get(column)?;
    Trigger::from_id(&word)
        .ok_or_else(|| StoreError::damaged("events", id, format!("{word:?} is no trigger")))
}
