//! The ways back: one delivery sent again, or everything that failed, expired or was skipped since a time.
//!
//! The store is changed first, then the dispatcher is told to look there: what is queued again survives a crash
//! like all else.

use super::DeliveryHandle;
use crate::store::deliveries::{self, Span};
use crate::store::{Store, StoreError};

/// Deliveries that are queued again in one transaction, so that others get their turn.
const BITE: usize = 500;

/// Sends one delivery again, with all its tries, whatever became of it. `false` where there is no such delivery
/// or its hook was deleted.
///
/// # Errors
/// The store's.
pub async fn resend(
    store: &Store,
    dispatcher: &DeliveryHandle,
    delivery: i64,
) -> Result<bool, StoreError> {
    let queue = store
        .write(move |tx| deliveries::resend(tx, delivery))
        .await?;
    if let Some(queue) = queue {
        dispatcher.due(queue);
    }
    Ok(queue.is_some())
}

/// How many deliveries of a hook ([`Hook::key`](crate::hook::Hook::key)) [`recover`] would send again.
///
/// # Errors
/// The store's.
pub async fn recoverable(store: &Store, queue: i64, span: Span) -> Result<u64, StoreError> {
    store
        .read(move |conn| deliveries::recoverable(conn, queue, span))
        .await
}

/// Sends again, oldest first, what failed, expired or was skipped of a hook
/// ([`Hook::key`](crate::hook::Hook::key)) within `span`; how many there were.
///
/// # Errors
/// The store's. What was queued until then stays queued, and is not taken twice by another try.
pub async fn recover(
    store: &Store,
    dispatcher: &DeliveryHandle,
    queue: i64,
    span: Span,
) -> Result<u64, StoreError> {
    let mut count = 0;
    let mut rest = Some(span);
    while let Some(span) = rest {
        let bite = store
            .write(move |tx| deliveries::recover(tx, queue, span, BITE))
            .await?;
        count += bite.count as u64;
        rest = bite.rest;
        dispatcher.due(queue);
    }
    Ok(count)
}
