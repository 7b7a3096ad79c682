//! The ways back: one delivery sent again, or everything that failed, expired or was skipped since a time.
//!
//! The store is changed first, then the dispatcher is told to look there: what is queued again survives a crash
//! like all else.

use super::DeliveryHandle;
use crate::store::deliveries::{self, Span};
use crate::store::{Store, StoreError, Tx, in_own_task};

/// Deliveries that are queued again in one transaction, so that others get their turn.
const BITE: usize = 500;

/// Sends one delivery of a hook ([`Hook::key`](crate::hook::Hook::key)) again, with all its tries, whatever became
/// of it. `false` where there is no such delivery or its hook was deleted.
///
/// # Errors
/// The store's.
pub async fn resend(
    store: &Store,
    dispatcher: &DeliveryHandle,
    queue: i64,
    delivery: i64,
) -> Result<bool, StoreError> {
    let resent = queue_again(store, dispatcher, queue, move |tx| {
        deliveries::resend(tx, delivery)
    });
    Ok(resent.await?.is_some())
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
        let bite = queue_again(store, dispatcher, queue, move |tx| {
            deliveries::recover(tx, queue, span, BITE)
        })
        .await?;
        count += bite.count as u64;
        rest = bite.rest;
    }
    Ok(count)
}

/// Queues deliveries again and tells the dispatcher to look there, also where whoever asked for it has gone:
/// nothing else would look for them before the next start.
async fn queue_again<T, W>(
    store: &Store,
    dispatcher: &DeliveryHandle,
    queue: i64,
    work: W,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (store, dispatcher) = (store.clone(), dispatcher.clone());
    in_own_task(async move {
        let queued = store.write(work).await;
        match &queued {
            // It may have been done all the same; what is written next is written after it.
            Err(StoreError::Busy) => drop(tokio::spawn(async move {
                let what = "cannot tell what was queued again";
                store.write_at_last(what, |_| Ok(())).await;
                dispatcher.due(queue);
            })),
            _ => dispatcher.due(queue),
        }
        queued
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::super::handle::Command;
    use super::*;
    use crate::store::{Opened, StoreConfig};
    use crate::time::{Clock, Timestamp};

    /// Keeps the writer in the middle of a transaction until the sender is dropped; when it is there, it says so.
    fn hold(store: &Store) -> (mpsc::Sender<()>, oneshot::Receiver<()>) {
        let (release, released) = mpsc::channel::<()>();
        let (arrives, arrived) = oneshot::channel();
        let mut arrives = Some(arrives);
        let store = store.clone();
        tokio::spawn(async move {
            let held = store.write(move |_| {
                arrives.take().map(|arrives| arrives.send(()));
                let _ = released.recv();
                Ok(())
            });
            // It may well take too long.
            let _ = held.await;
        });
        (release, arrived)
    }

    #[tokio::test]
    async fn the_dispatcher_looks_for_what_was_queued_though_nobody_waited_for_it() {
        for hangs_up in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let config = StoreConfig {
                write_timeout: Duration::from_millis(500),
                ..StoreConfig::new(directory.path().join("switchhook.db"))
            };
            let Opened { store, .. } = Store::open(config, Clock::system()).unwrap();
            let (commands, mut told) = tokio::sync::mpsc::unbounded_channel();
            let dispatcher = DeliveryHandle {
                commands,
                stats: Arc::default(),
                index: Arc::default(),
            };

            // All of it is one transaction, which is not committed before it is let go.
            let (before, begun) = hold(&store);
            begun.await.unwrap();
            let caller = tokio::spawn({
                let store = store.clone();
                let span = Span::new(Timestamp(0), Timestamp(1));
                async move { recover(&store, &dispatcher, 7, span).await }
            });
            while store.health().waiting < 1 {
                tokio::task::yield_now().await;
            }
            let (commit, uncommitted) = hold(&store);
            while store.health().waiting < 2 {
                tokio::task::yield_now().await;
            }
            drop(before);
            uncommitted.await.unwrap();
            match hangs_up {
                true => caller.abort(),
                false => assert!(matches!(caller.await.unwrap(), Err(StoreError::Busy))),
            }
            drop(commit);
            let command = tokio::time::timeout(Duration::from_secs(5), told.recv()).await;
            assert!(matches!(command, Ok(Some(Command::Due { queue: 7 }))));
        }
    }
}
