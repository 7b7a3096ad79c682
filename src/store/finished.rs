//! A delivery that was made without the dispatcher (a test request), written down with its attempts.

use super::attempts::{self, Attempt, LoggedAttempt};
use super::outcomes::{self, Next, Outcome};
use super::writer::Tx;
use super::{StoreError, events};
use crate::hook::Record;

/// Writes down an event whose one delivery is over, and its attempts; returns the last of them.
///
/// However it went, the delivery counts as delivered: there is nothing in it to recover.
///
/// # Errors
/// SQLite's, or a record without a delivery or an attempt.
pub fn record(
    tx: &mut Tx<'_>,
    mut record: Record,
    attempts: &[Attempt],
) -> Result<LoggedAttempt, StoreError> {
    events::record(tx, &mut record)?;
    let nothing = || StoreError::Conflict("there is nothing to write down".into());
    let delivery = record.deliveries.first().ok_or_else(nothing)?;
    let outcome = Outcome {
        delivery: delivery.id,
        made: attempts.len() as u32,
        attempts: attempts.to_vec(),
        then: Next::Delivered,
    };
    let settled = outcomes::settle(tx, &outcome)?;
    let last = settled.and_then(|settled| settled.attempts.last().copied());
    let logged = last.map(|id| attempts::get(tx, id)).transpose()?;
    logged.flatten().ok_or_else(nothing)
}
