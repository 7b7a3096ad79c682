//! The dispatcher and the store: what is taken up at the start, fetched when there is room or when it is due,
//! and ended where its hook is off.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use tokio::time::Instant;
use tracing::{info, warn};

use super::super::endpoint::Gate;
use super::super::queue::Off;
use super::{
    BITE, BREATHS, BYTES, BYTES_FETCHED, BYTES_OF_ALL, Dispatcher, Emptied, FETCH, Fetched,
    HOOK_DELETED, HOOK_DISABLED, LONGEST_SLEEP, LOW_WATER, STORE_PAUSE, Wake,
};
use crate::hook::{Hook, Ordering};
use crate::store::deliveries::{self, Due, Room, State};
use crate::store::{Settled, StoreError};

impl Dispatcher {
    /// Finds the queues in which an earlier run left something.
    pub(super) async fn take_up(&mut self) {
        let queues = loop {
            match self.store.read(deliveries::queues).await {
                Ok(queues) => break queues,
                Err(error) => {
                    warn!("cannot read what is still to be sent, trying again: {error}");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        };
        let hooks: HashMap<i64, Arc<Hook>> = (self.index.all().into_iter())
            .map(|hook| (hook.key, hook))
            .collect();
        if !queues.is_empty() {
            info!(
                queues = queues.len(),
                "taking up what an earlier run left to be sent"
            );
        }
        for (key, earliest) in queues {
            let queue = self.queues.entry(key).or_default();
            queue.due_at(Some(earliest));
            self.follow(key, hooks.get(&key).map(|hook| &**hook));
            self.empty(key);
            self.wait_for_due(key);
        }
    }

    /// Ends what is pending in a queue whose hook is off or gone, in bites, so that the writer stays free for
    /// others. A switched-off hook's deliveries can be recovered; a deleted one's cannot.
    pub(super) fn empty(&mut self, key: i64) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let (state, reason) = match queue.off {
            Some(Off::Disabled) => (State::Skipped, HOOK_DISABLED),
            Some(Off::Deleted) => (State::Failed, HOOK_DELETED),
            Some(Off::Failing) | None => return,
        };
        if queue.emptying.is_some() {
            queue.came_meanwhile = true;
            return;
        }
        let go_on = Arc::new(AtomicBool::new(true));
        queue.emptying = Some(Arc::clone(&go_on));
        let store = self.store.clone();
        let emptied = self.emptied.0.clone();
        tokio::spawn(async move {
            let mut all = 0;
            while go_on.load(Atomic::Relaxed) {
                let still = Arc::clone(&go_on);
                let began = Instant::now();
                let bite = store.write(move |tx| match still.load(Atomic::Relaxed) {
                    true => deliveries::end_pending(tx, key, state, reason, BITE),
                    false => Ok(0),
                });
                match bite.await {
                    Ok(some) => {
                        all += some;
                        if some < BITE {
                            break;
                        }
                        tokio::time::sleep(began.elapsed() * BREATHS).await;
                    }
                    Err(StoreError::Closed) => break,
                    Err(error) => {
                        warn!(
                            queue = key,
                            "cannot end what is pending ({reason}), trying again: {error}"
                        );
                        tokio::time::sleep(STORE_PAUSE).await;
                    }
                }
            }
            if all > 0 {
                info!(queue = key, deliveries = all, "not sent: {reason}");
            }
            // A dispatcher that has ended wants to know nothing any more.
            let _ = emptied.send(Emptied { queue: key, go_on });
        });
    }

    pub(super) fn on_emptied(&mut self, emptied: &Emptied) {
        let Some(queue) = self.queues.get_mut(&emptied.queue) else {
            return;
        };
        let is_ours = |emptying: &Arc<AtomicBool>| Arc::ptr_eq(emptying, &emptied.go_on);
        if !queue.emptying.as_ref().is_some_and(is_ours) {
            return;
        }
        queue.emptied();
        if std::mem::take(&mut queue.came_meanwhile) {
            self.empty(emptied.queue);
        }
        self.forget_if_idle(emptied.queue);
    }

    pub(super) fn on_settled(&mut self, settled: Vec<Settled>) {
        for settled in settled {
            let id = settled.delivery;
            let Some(key) = self.unsettled.remove(&id) else {
                continue;
            };
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            let before = queue.taken();
            let retries = settled.state == State::Pending && !settled.refused;
            match settled.refused {
                true => queue.set_aside(id),
                false => queue.settled(id, retries),
            }
            self.taken.change(before, queue.taken());
            if queue.strict && !retries {
                queue.spill();
            }
            if retries {
                self.empty(key);
                self.wait_for_due(key);
            }
            self.refill(key);
            self.forget_if_idle(key);
        }
        self.publish();
    }

    /// Asks the store for more where there is more and room for it.
    pub(super) fn refill(&mut self, key: i64) {
        if self.stopping {
            return;
        }
        let window = self.window(key);
        let Some(queue) = self.queues.get(&key) else {
            return;
        };
        if !queue.spilled || queue.fetching || queue.off.is_some() || queue.ready() >= LOW_WATER {
            return;
        }
        let mut room = window.saturating_sub(queue.taken().deliveries).min(FETCH);
        if let Some(name) = queue.endpoint.clone() {
            let endpoint = self.endpoint(&name);
            if endpoint.is_circuit_open() {
                match endpoint.gate(Instant::now()) {
                    // One for the probe.
                    Gate::Open if endpoint.turns.is_empty() => room = room.min(1),
                    Gate::Until(at) => return self.wake_endpoint(&name, at),
                    _ => return,
                }
            }
        }
        if room == 0 {
            return;
        }
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        // The bytes of this queue are bounded as those of all are, and kept free until the store has given.
        let bytes = (BYTES_OF_ALL.saturating_sub(self.taken.bytes + self.asked))
            .min(BYTES.saturating_sub(queue.taken().bytes))
            .min(BYTES_FETCHED);
        self.asked += bytes;
        let room = Room {
            deliveries: room,
            bytes,
        };
        queue.fetching = true;
        let strict = queue.strict;
        let held = queue.held();
        let store = self.store.clone();
        let now = self.clock.now();
        let fetched = self.fetched.0.clone();
        tokio::spawn(async move {
            let read = store
                .read(move |connection| {
                    let due = deliveries::due(connection, key, now, room, strict, &held)?;
                    let next = deliveries::next_due(connection, key, now)?;
                    Ok((due, next))
                })
                .await;
            let _ = fetched.send(match read {
                Ok((due, next_due)) => Fetched {
                    queue: key,
                    due,
                    bytes,
                    next_due,
                    strict,
                },
                Err(error) => {
                    warn!(
                        queue = key,
                        "cannot read what is due, trying again: {error}"
                    );
                    // Until then the queue counts as being asked for, and nobody else asks.
                    tokio::time::sleep(STORE_PAUSE).await;
                    Fetched {
                        queue: key,
                        due: Due {
                            more: true,
                            ..Due::default()
                        },
                        bytes,
                        next_due: None,
                        strict,
                    }
                }
            });
        });
    }

    pub(super) fn refill_endpoint(&mut self, name: &Arc<str>) {
        let keys: Vec<i64> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.spilled && queue.endpoint.as_ref() == Some(name))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.refill(key);
        }
    }

    pub(super) fn on_fetched(&mut self, fetched: Fetched) {
        let key = fetched.queue;
        self.asked -= fetched.bytes;
        let first = fetched.due.deliveries.first();
        let hook = first.and_then(|delivery| self.hook_of(delivery));
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let mut rows = fetched.due.deliveries;
        if let Some(hook) = &hook {
            queue.strict = hook.settings.ordering == Ordering::Strict;
        }
        // Asked for what it may not send by now, or in another order: the store keeps it.
        let stays = queue.off.is_some() || queue.strict != fetched.strict;
        if stays {
            rows.clear();
        }
        let ordering = (hook.as_ref()).map_or(Ordering::Call, |hook| hook.settings.ordering);
        let before = queue.taken();
        queue.fetched(rows, fetched.due.more || stays, ordering);
        self.taken.change(before, queue.taken());
        queue.due_at(fetched.next_due);
        if let Some(hook) = &hook {
            self.move_to(key, &self.home_of(hook));
        }
        self.wait_for_due(key);
        self.enlist(key);
        let endpoint = self
            .queues
            .get(&key)
            .and_then(|queue| queue.endpoint.clone());
        if let Some(name) = endpoint {
            self.pump(&name);
        }
        self.refill(key);
        self.forget_if_idle(key);
        self.publish();
    }

    /// Wakes a queue when what it has in the store is due.
    pub(super) fn wait_for_due(&mut self, key: i64) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let Some(due) = queue.next_due else {
            return;
        };
        let pause = due.since(self.clock.now());
        if pause.is_zero() {
            queue.next_due = None;
            queue.spill();
            self.refill(key);
            return;
        }
        let at = Instant::now() + pause.min(LONGEST_SLEEP);
        if queue.wake_at.is_none_or(|known| at < known) {
            queue.wake_at = Some(at);
            self.timers.push(Reverse((at, Wake::Queue(key))));
        }
    }
}
