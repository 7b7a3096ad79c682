//! What was seen of each call: one row an event of a channel, wanted or not, for `explain`.
//!
//! Written with the group commit of what the event led to; `about` and `facts` are the timeline's own JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::StoreError;
use super::writer::Tx;
use crate::hook::hash63;
use crate::time::Timestamp;

/// A block of the indexes holds 2^13 rows.
const BLOCK_BITS: u32 = 13;

/// The most legs of a call whose time before it is looked up: each costs a look into every block.
const MOST_LEGS: usize = 256;

/// An event of a channel, or what was worked out of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `Event-Name`, with the subclass where it is CUSTOM.
    pub event: Box<str>,
    /// When, by the switch's clock.
    pub at: Timestamp,
    /// `Event-Sequence`; 0 where it was worked out.
    pub sequence: u64,
    /// The leg.
    pub call_id: Arc<str>,
    /// The call's root leg, where it was known.
    pub call_uuid: Option<Arc<str>>,
    /// Whose call it is, where it was known.
    pub account_id: Option<Arc<str>>,
    /// A few headers of the event, as a JSON object; empty for none.
    pub about: Box<str>,
    /// What it was taken for, as a JSON array; empty for nothing.
    pub facts: Box<str>,
}

impl Step {
    /// About how much memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.event.len() + self.about.len() + self.facts.len()
    }
}

/// A step as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStep {
    /// Its row: steps are in this order.
    pub id: i64,
    /// When it was written down, by our clock.
    pub recorded_at: Timestamp,
    /// What was written.
    pub step: Step,
}

pub(super) fn record(tx: &mut Tx<'_>, step: &Step) -> Result<(), rusqlite::Error> {
    let id = tx.ids.step();
    let other = step
        .call_uuid
        .as_ref()
        .filter(|root| **root != step.call_id);
    let (lane, leg) = match other {
        Some(root) => (hash63(root), Some(hash63(&step.call_id))),
        None => (hash63(&step.call_id), None),
    };
    let said = |text| Some(text).filter(|text: &&str| !text.is_empty());
    tx.prepare_cached(
        "INSERT INTO timeline (id, lane, leg, at, recorded_at, sequence, event, call_id, call_uuid,
             account_id, about, facts)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        id,
        lane,
        leg,
        step.at.0,
        tx.now.0,
        // Stored as the same 64 bits: SQLite's integers are signed.
        step.sequence as i64,
        &*step.event,
        &*step.call_id,
        step.call_uuid
            .as_ref()
            .map(|_| other.map_or("", |root| root)),
        step.account_id.as_deref(),
        said(&step.about),
        said(&step.facts),
    ])?;
    Ok(())
}

/// Every step of the call that `call` is a leg of, in order, and of each leg also what was seen of it before it
/// was known to belong to that call. Of a leg that was in several calls, all of them.
///
/// # Errors
/// SQLite's.
pub fn of_call(conn: &Connection, call: &str) -> Result<Vec<LoggedStep>, StoreError> {
    let mut found = BTreeMap::new();
    let mut roots = BTreeSet::from([Arc::<str>::from(call)]);
    for logged in of_leg_or_root(conn, call)? {
        roots.extend(logged.step.call_uuid.clone());
        found.insert(logged.id, logged);
    }
    for root in roots.iter().filter(|root| ***root != *call) {
        let steps = of_leg_or_root(conn, root)?;
        found.extend(steps.into_iter().map(|logged| (logged.id, logged)));
    }
    let legs = found.values().map(|logged| &logged.step.call_id);
    let legs: BTreeSet<Arc<str>> = legs.filter(|leg| !roots.contains(*leg)).cloned().collect();
    for leg in legs.iter().take(MOST_LEGS) {
        // A leg that is in one call after the other (an agent who stays on the line) is no reason to tell of
        // all of them.
        let alone = |step: &Step| step.call_uuid.as_ref().is_none_or(|root| root == leg);
        let steps = of_leg_or_root(conn, leg)?.into_iter();
        found.extend(
            steps
                .filter(|logged| alone(&logged.step))
                .map(|logged| (logged.id, logged)),
        );
    }
    Ok(found.into_values().collect())
}

/// The steps of the leg `uuid`, and those of all legs of the call whose root it is.
fn of_leg_or_root(conn: &Connection, uuid: &str) -> Result<Vec<LoggedStep>, StoreError> {
    const COLUMNS: &str =
        "id, recorded_at, event, at, sequence, call_id, call_uuid, account_id, about, facts";
    let bounds: (Option<i64>, Option<i64>) = conn.query_row(
        "SELECT (SELECT min(id) FROM timeline), (SELECT max(id) FROM timeline)",
        (),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (Some(first), Some(last)) = bounds else {
        return Ok(Vec::new());
    };
    let hash = hash63(uuid);
    let mut found = Vec::new();
    for index in [
        "INDEXED BY timeline_by_call WHERE id >> ?3 = ?1 AND lane = ?2",
        "INDEXED BY timeline_by_leg WHERE id >> ?3 = ?1 AND leg = ?2 AND leg IS NOT NULL",
    ] {
        // Spelled out, because an expression is found in an index only as it was written there.
        let index = index.replace("?3", &BLOCK_BITS.to_string());
        let mut statement =
            conn.prepare_cached(&format!("SELECT {COLUMNS} FROM timeline {index}"))?;
        for block in first >> BLOCK_BITS..=last >> BLOCK_BITS {
            let rows = statement.query_map(params![block, hash], read)?;
            for row in rows {
                found.push(row?);
            }
        }
    }
    found.retain(|LoggedStep { step, .. }| {
        *step.call_id == *uuid || step.call_uuid.as_deref() == Some(uuid)
    });
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<LoggedStep> {
    let call_id: Arc<str> = row.get(5)?;
    let call_uuid: Option<Arc<str>> = row.get(6)?;
    let text = |column| -> rusqlite::Result<Box<str>> {
        Ok(row.get::<_, Option<Box<str>>>(column)?.unwrap_or_default())
    };
    Ok(LoggedStep {
        id: row.get(0)?,
        recorded_at: Timestamp(row.get(1)?),
        step: Step {
            event: row.get(2)?,
            at: Timestamp(row.get(3)?),
            sequence: row.get::<_, i64>(4)? as u64,
            call_uuid: call_uuid.map(|root| match root.is_empty() {
                true => Arc::clone(&call_id),
                false => root,
            }),
            call_id,
            account_id: row.get(7)?,
            about: text(8)?,
            facts: text(9)?,
        },
    })
}

/// Removes the oldest steps, at most `bite`: those that were written before `old`, and those with an id up to
/// `surplus`. How many, and whether nothing old is left.
pub(super) fn remove_old(
    tx: &Tx<'_>,
    old: i64,
    surplus: i64,
    bite: i64,
) -> Result<(usize, bool), StoreError> {
    let rows: Vec<(i64, i64)> = tx
        .prepare_cached("SELECT id, recorded_at FROM timeline ORDER BY id LIMIT ?")?
        .query_map([bite], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let is_old = |(id, at): &&(i64, i64)| *at < old || *id <= surplus;
    let count = rows.iter().take_while(is_old).count();
    if count > 0 {
        tx.prepare_cached("DELETE FROM timeline WHERE id <= ?")?
            .execute([rows[count - 1].0])?;
    }
    Ok((count, (count as i64) < bite))
}
