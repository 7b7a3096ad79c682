//! How the rest of the house speaks to the dispatcher, and what it is told.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::verdict::{AnswerClass, Backoff};
use crate::hook::{Delivery, Index, RateLimit};
use crate::store::attempts::Attempt;
use crate::tally::{Histogram, Tally};

/// The rules of the room.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// Requests to one endpoint, unless a hook has a limit of its own.
    pub rate: RateLimit,
    /// Requests under way at one endpoint.
    pub in_flight: usize,
    /// How retries are spaced.
    pub backoff: Backoff,
    /// Failed attempts that switch a hook off; 0 for never.
    pub disable_after: usize,
    /// The time within which they count.
    pub disable_within: Duration,
    /// Whether attempts that succeeded are recorded.
    pub log_successes: bool,
}

/// What the dispatcher is told from outside.
pub(super) enum Command {
    HookChanged {
        key: i64,
        account_id: Arc<str>,
        id: Arc<str>,
    },
    Due {
        queue: i64,
    },
    Configure(DeliveryConfig),
    FailureCounts(oneshot::Sender<HashMap<i64, usize>>),
    Endpoints(oneshot::Sender<Vec<EndpointState>>),
    Stop,
}

/// A hook that has to be switched off.
#[derive(Debug, Clone)]
pub struct SwitchOff {
    /// Its row.
    pub key: i64,
    /// Its account.
    pub account_id: Arc<str>,
    /// Its id.
    pub hook_id: Arc<str>,
    /// Where its requests failed.
    pub uri: Url,
    /// Why.
    pub reason: String,
}

/// One attempt that was made, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The delivery.
    pub delivery: &'a Delivery,
    /// The attempt, as it is recorded.
    pub attempt: &'a Attempt,
    /// The answer's body, up to 64 KiB of it.
    pub body: &'a Bytes,
}

/// How an endpoint is just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Scheme, host and port.
    pub name: Arc<str>,
    /// Requests under way.
    pub in_flight: usize,
    /// Connections do not come about: only probes go out.
    pub circuit_open: bool,
    /// How long nothing is sent to it yet: until the next probe, or because it said that it is overloaded.
    pub pause: Option<Duration>,
}

/// Numbers for health and metrics.
#[derive(Debug)]
pub struct DeliveryStats {
    /// Deliveries in memory or under way.
    pub in_memory: AtomicI64,
    /// Requests under way.
    pub in_flight: AtomicI64,
    /// Requests that ended, by [`AnswerClass`].
    pub attempts: Tally<{ AnswerClass::ALL.len() }>,
    /// How long they took.
    pub attempt_times: Histogram,
    /// From a delivery's commit to its first request. Not of those that somebody queued again.
    pub commit_to_attempt: Histogram,
    /// From what happened to its delivery. Not of those that somebody queued again.
    pub end_to_end: Histogram,
    /// Endpoints whose circuit is open. A std mutex: it is held to look or to change one, which is rare.
    dead: Mutex<HashSet<Arc<str>>>,
}

impl DeliveryStats {
    fn dead(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.dead.lock().expect("no panic while it is held")
    }

    pub(super) fn circuit_opened(&self, endpoint: &Arc<str>) {
        self.dead().insert(Arc::clone(endpoint));
    }

    pub(super) fn circuit_closed(&self, endpoint: &str) {
        self.dead().remove(endpoint);
    }
}

impl Default for DeliveryStats {
    fn default() -> Self {
        Self {
            in_memory: AtomicI64::default(),
            in_flight: AtomicI64::default(),
            attempts: Tally::default(),
            attempt_times: Histogram::of_times(),
            commit_to_attempt: Histogram::of_times(),
            end_to_end: Histogram::of_times(),
            dead: Mutex::default(),
        }
    }
}

/// How the rest of the house speaks to the dispatcher.
#[derive(Debug, Clone)]
pub struct DeliveryHandle {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) stats: Arc<DeliveryStats>,
    pub(super) index: Arc<Index>,
}

impl DeliveryHandle {
    /// A hook was made, changed, switched on or off, or deleted.
    pub fn hook_changed(&self, key: i64, account_id: &Arc<str>, id: &Arc<str>) {
        self.tell(Command::HookChanged {
            key,
            account_id: Arc::clone(account_id),
            id: Arc::clone(id),
        });
    }

    /// Deliveries of a queue were made due in the store.
    pub fn due(&self, queue: i64) {
        self.tell(Command::Due { queue });
    }

    /// Other rules hold from now on. Retries that are due at some time already stay due then.
    pub fn configure(&self, config: DeliveryConfig) {
        self.tell(Command::Configure(config));
    }

    /// Failed attempts that count against each hook just now, by [`Hook::key`].
    pub async fn failure_counts(&self) -> HashMap<i64, usize> {
        let (answer, counts) = oneshot::channel();
        self.tell(Command::FailureCounts(answer));
        counts.await.unwrap_or_default()
    }

    /// The endpoints that something goes to, or went to lately.
    pub async fn endpoints(&self) -> Vec<EndpointState> {
        let (answer, endpoints) = oneshot::channel();
        self.tell(Command::Endpoints(answer));
        endpoints.await.unwrap_or_default()
    }

    /// Starts no request any more; the dispatcher ends when those under way have ended and their outcomes
    /// are committed.
    pub fn stop(&self) {
        self.tell(Command::Stop);
    }

    /// Endpoints whose circuit is open, of hooks that are on: one that nothing is sent to any more is not
    /// probed, and would count as dead for ever.
    pub fn circuits_open(&self) -> usize {
        let dead = self.stats.dead().clone();
        if dead.is_empty() {
            return 0;
        }
        let hooks = self.index.all();
        let hooks = hooks.iter().filter(|hook| hook.is_on());
        let used: HashSet<&Arc<str>> = hooks
            .flat_map(|hook| {
                let settings = &hook.settings;
                [
                    Some(&settings.endpoint),
                    settings.failover_endpoint.as_ref(),
                ]
            })
            .flatten()
            .collect();
        dead.iter().filter(|name| used.contains(name)).count()
    }

    /// Numbers for health and metrics.
    pub fn stats(&self) -> &DeliveryStats {
        &self.stats
    }

    fn tell(&self, command: Command) {
        // A dispatcher that has ended wants to know nothing any more: the store remembers.
        let _ = self.commands.send(command);
    }
}
