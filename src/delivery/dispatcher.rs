//! The one task that decides what is sent next. It owns every queue and every endpoint, so nothing here is
//! locked; requests run in tasks of their own and report back.

mod requests;
mod supply;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::info;

use super::disabler::Disabler;
use super::endpoint::{Endpoint, Gate};
use super::handle::{Command, DeliveryConfig, DeliveryHandle, DeliveryStats, Seen, SwitchOff};
use super::queue::{Load, Queue};
use super::send::Sender;
use super::verdict::{Answer, Decision};
use crate::hook::{Delivery, Hook, Index};
use crate::store::attempts::{Attempt, AttemptResult};
use crate::store::deliveries::Due;
use crate::store::{Next, Settled, Store};
use crate::time::{Clock, Timestamp};

/// Deliveries of one hook in memory at most.
const WINDOW: usize = 1_024;
/// Deliveries in memory at most, all hooks together; beyond it each hook has [`LEAST_WINDOW`].
const WINDOW_OF_ALL: usize = 8_192;
/// What a hook may always have in memory, unless it is more than [`BYTES`].
const LEAST_WINDOW: usize = 8;
/// Bytes of bodies of one hook in memory, beyond which it has one delivery there.
const BYTES: usize = 4 * 1_024 * 1_024;
/// The same of all hooks together. What its owner writes into a hook is copied into every body, so a few
/// deliveries may be as large as thousands.
const BYTES_OF_ALL: usize = 32 * 1_024 * 1_024;
/// Bytes asked of the store at once.
const BYTES_FETCHED: usize = 1_024 * 1_024;
/// Rows asked of the store at once.
const FETCH: usize = 256;
/// The store is asked again when fewer than this are ready.
const LOW_WATER: usize = 128;
/// Rows changed in one transaction when a queue is emptied.
const BITE: usize = 500;
/// How many times as long as a bite took the writer is left to others before the next one.
const BREATHS: u32 = 4;
/// Why the deliveries of a hook that is off are not sent.
const HOOK_DISABLED: &str = "hook disabled";
/// Why the deliveries of a hook that is gone are not sent.
const HOOK_DELETED: &str = "hook deleted";
/// Endpoints that are remembered though nothing goes to them: an endpoint's limiter remembers its burst.
const ENDPOINTS_KEPT: usize = 1_000;
/// The pause before the store is asked again, or told again, what it could not do.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep for a time of day: clocks are set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Whoever is shown every attempt.
type Watch = Box<dyn Fn(&Seen<'_>) + Send>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Endpoint(Arc<str>),
    Queue(i64),
}

/// What a request's task reports.
struct Done {
    delivery: Delivery,
    hook: Arc<Hook>,
    /// Where it went: the hook may go elsewhere by now.
    endpoint: Arc<str>,
    /// That was the hook's failover.
    failed_over: bool,
    answer: Answer,
    attempts: Vec<Attempt>,
    /// The body of each attempt's answer.
    bodies: Vec<Bytes>,
    decision: Decision,
}

/// What the store had of a queue.
struct Fetched {
    queue: i64,
    due: Due,
    /// The room that was kept for it.
    bytes: usize,
    next_due: Option<Timestamp>,
    /// How it was asked: only for the oldest of each call.
    strict: bool,
}

/// What was pending in a queue is ended, or somebody called that off.
struct Emptied {
    queue: i64,
    go_on: Arc<AtomicBool>,
}

/// The channels into the dispatcher.
pub struct Inputs {
    /// Deliveries that were committed.
    pub committed: mpsc::UnboundedReceiver<Vec<Delivery>>,
    /// Outcomes that were committed.
    pub settled: mpsc::UnboundedReceiver<Vec<Settled>>,
}

/// The task's state.
pub struct Dispatcher {
    config: DeliveryConfig,
    store: Store,
    sender: Sender,
    index: Arc<Index>,
    clock: Clock,
    stats: Arc<DeliveryStats>,
    queues: HashMap<i64, Queue>,
    endpoints: HashMap<Arc<str>, Endpoint>,
    disabler: Disabler,
    timers: BinaryHeap<Reverse<(Instant, Wake)>>,
    /// Requests that failed and wait to be made again at the failover endpoint.
    failing_over: HashMap<Arc<str>, VecDeque<Done>>,
    taken: Load,
    /// Bytes that the store was asked for and has not given yet.
    asked: usize,
    in_flight: usize,
    /// Deliveries whose outcome is not committed yet, and their queues.
    unsettled: HashMap<i64, i64>,
    /// The newest that the store gave to a queue that was forgotten since.
    forgotten_to: i64,
    /// So many endpoints are too many.
    prune_at: usize,
    stopping: bool,
    commands: mpsc::UnboundedReceiver<Command>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    fetched: (
        mpsc::UnboundedSender<Fetched>,
        mpsc::UnboundedReceiver<Fetched>,
    ),
    emptied: (
        mpsc::UnboundedSender<Emptied>,
        mpsc::UnboundedReceiver<Emptied>,
    ),
    switch_off: mpsc::UnboundedSender<SwitchOff>,
    watch: Option<Watch>,
}

impl Dispatcher {
    /// A dispatcher that has not started yet, the handle to speak to it, and where it says which hooks are
    /// to be switched off.
    pub fn new(
        config: DeliveryConfig,
        store: Store,
        sender: Sender,
        index: Arc<Index>,
        clock: Clock,
    ) -> (Self, DeliveryHandle, mpsc::UnboundedReceiver<SwitchOff>) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (switch_off, switched_off) = mpsc::unbounded_channel();
        let stats = Arc::new(DeliveryStats::default());
        let handle = DeliveryHandle {
            commands,
            stats: Arc::clone(&stats),
            index: Arc::clone(&index),
        };
        let disable_after = config.disable_after;
        let dispatcher = Self {
            disabler: Disabler::new(disable_after, config.disable_within),
            config,
            store,
            sender,
            index,
            clock,
            stats,
            queues: HashMap::new(),
            endpoints: HashMap::new(),
            timers: BinaryHeap::new(),
            failing_over: HashMap::new(),
            taken: Load::default(),
            asked: 0,
            in_flight: 0,
            unsettled: HashMap::new(),
            forgotten_to: 0,
            prune_at: ENDPOINTS_KEPT,
            stopping: false,
            commands: inbox,
            done: mpsc::unbounded_channel(),
            fetched: mpsc::unbounded_channel(),
            emptied: mpsc::unbounded_channel(),
            switch_off,
            watch: None,
        };
        (dispatcher, handle, switched_off)
    }

    /// Shows every attempt to `watch` as it ends.
    pub fn watched_by(mut self, watch: impl Fn(&Seen<'_>) + Send + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Sends what is due until it is told to stop. What an earlier run left in the store comes first.
    pub async fn run(mut self, mut inputs: Inputs) {
        self.take_up().await;
        while !(self.stopping && self.in_flight == 0 && self.unsettled.is_empty()) {
            let next_timer = self.timers.peek().map(|Reverse((at, _))| *at);
            let timer = async {
                match next_timer {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Outcomes before new work: they free what new work needs.
            tokio::select! {
                biased;
                Some(done) = self.done.1.recv() => self.on_done(done),
                Some(settled) = inputs.settled.recv() => self.on_settled(settled),
                Some(command) = self.commands.recv() => self.on_command(command),
                Some(fetched) = self.fetched.1.recv() => self.on_fetched(fetched),
                Some(emptied) = self.emptied.1.recv() => self.on_emptied(&emptied),
                Some(deliveries) = inputs.committed.recv() => self.on_committed(deliveries),
                () = timer => self.on_timer(),
                else => break,
            }
        }
    }

    /// Makes a queue do as its hook says. One without a stored hook (`key` is negative) has its deliveries to
    /// say so.
    fn follow(&mut self, key: i64, hook: Option<&Hook>) {
        if key < 0 && hook.is_none() {
            return;
        }
        self.queues.entry(key).or_default().follow(hook);
        if let Some(hook) = hook {
            self.move_to(key, &self.home_of(hook));
        }
    }

    /// Where a hook's deliveries go just now: to its failover while no connection comes about at its own
    /// endpoint, and one does there.
    fn home_of(&self, hook: &Hook) -> Arc<str> {
        let own = &hook.settings.endpoint;
        let failover = hook.settings.failover_endpoint.as_ref();
        match failover.filter(|failover| self.is_dead(own) && !self.is_dead(failover)) {
            Some(failover) => Arc::clone(failover),
            None => Arc::clone(own),
        }
    }

    fn is_dead(&self, endpoint: &str) -> bool {
        self.endpoints
            .get(endpoint)
            .is_some_and(Endpoint::is_circuit_open)
    }

    /// From now on a queue has its turns at this endpoint.
    fn move_to(&mut self, key: i64, endpoint: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let before = queue.endpoint.replace(Arc::clone(endpoint));
        if let Some(before) = before.filter(|before| before != endpoint)
            && std::mem::take(&mut queue.in_turn)
            && let Some(before) = self.endpoints.get_mut(&before)
        {
            before.turns.retain(|turn| *turn != key);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::HookChanged {
                key,
                account_id,
                id,
            } => self.on_hook_changed(key, &account_id, &id),
            Command::Due { queue } => self.on_due(queue),
            Command::Configure(config) => self.on_configured(config),
            Command::FailureCounts(answer) => {
                let now = Instant::now();
                let hooks = self.index.all();
                let counts = hooks
                    .iter()
                    .map(|hook| (hook.key, self.disabler.count(hook.key, now)))
                    .filter(|(_, count)| *count > 0);
                let _ = answer.send(counts.collect());
            }
            Command::Endpoints(answer) => {
                let now = Instant::now();
                let endpoints = self.endpoints.iter();
                let states = endpoints.map(|(name, endpoint)| endpoint.state(name, now));
                let _ = answer.send(states.collect());
            }
            Command::Stop => {
                self.stopping = true;
                let waiting = std::mem::take(&mut self.failing_over);
                for done in waiting.into_values().flatten() {
                    self.conclude(done);
                }
                info!(
                    in_flight = self.in_flight,
                    "waiting for the requests under way"
                );
            }
        }
    }

    fn on_configured(&mut self, config: DeliveryConfig) {
        self.disabler
            .configure(config.disable_after, config.disable_within);
        for endpoint in self.endpoints.values_mut() {
            endpoint.limit(config.rate, config.in_flight);
        }
        self.config = config;
        // There may be room now where there was none.
        let names: Vec<Arc<str>> = self.endpoints.keys().cloned().collect();
        for name in names {
            self.pump(&name);
        }
        self.publish();
    }

    fn on_due(&mut self, key: i64) {
        if !self.queues.contains_key(&key) {
            let hook = self.index.all().into_iter().find(|hook| hook.key == key);
            self.follow(key, hook.as_deref());
        }
        self.queues.entry(key).or_default().queued_again();
        self.empty(key);
        self.refill(key);
    }

    fn on_hook_changed(&mut self, key: i64, account_id: &str, id: &str) {
        self.disabler.flush(key);
        // One that was deleted may have given its id away.
        let hook = (self.index.get(account_id, id)).filter(|hook| hook.key == key);
        let queue = self.queues.entry(key).or_default();
        let before = queue.taken();
        queue.evict();
        // What waits in the store may have waited for this.
        queue.spill();
        self.taken.change(before, queue.taken());
        if let Some(emptying) = queue.emptying.take() {
            emptying.store(false, Atomic::Relaxed);
        }
        self.follow(key, hook.as_deref());
        self.empty(key);
        self.refill(key);
        self.publish();
    }

    fn on_committed(&mut self, deliveries: Vec<Delivery>) {
        let mut touched: Vec<Arc<str>> = Vec::new();
        for delivery in deliveries {
            let key = delivery.queue;
            let Some(hook) = self.hook_of(&delivery) else {
                self.give_up(&delivery, HOOK_DELETED);
                continue;
            };
            let window = self.window(key);
            if (self.queues.get(&key)).is_none_or(|queue| queue.endpoint.is_none()) {
                self.follow(key, Some(&hook));
            }
            let endpoint = self
                .queues
                .get(&key)
                .and_then(|queue| queue.endpoint.clone());
            let endpoint = endpoint.unwrap_or_else(|| self.home_of(&hook));
            let dead = self.is_dead(&endpoint);
            let queue = self.queues.entry(key).or_default();
            // The store may have given it to a queue that is forgotten by now, and knows what came of it.
            if dead || delivery.id <= self.forgotten_to {
                queue.spill();
            }
            let before = queue.taken();
            if queue.offer(delivery, hook.settings.ordering, window) {
                self.taken.change(before, queue.taken());
                self.enlist(key);
                if touched.last() != Some(&endpoint) {
                    touched.push(endpoint);
                }
            } else {
                self.empty(key);
                self.refill(key);
            }
        }
        for endpoint in touched {
            self.pump(&endpoint);
        }
        self.publish();
    }

    /// How many deliveries of a queue may be in memory, as full as memory is.
    fn window(&self, key: i64) -> usize {
        let bytes = (self.queues.get(&key)).map_or(0, |queue| queue.taken().bytes);
        if bytes >= BYTES || self.taken.bytes + self.asked >= BYTES_OF_ALL {
            return 1;
        }
        match self.taken.deliveries < WINDOW_OF_ALL {
            true => WINDOW,
            false => LEAST_WINDOW,
        }
    }

    fn hook_of(&self, delivery: &Delivery) -> Option<Arc<Hook>> {
        match &delivery.ad_hoc {
            Some(hook) => Some(Arc::clone(hook)),
            // One that was deleted may have given its id away.
            None => (self.index.get(&delivery.account_id, &delivery.hook_id))
                .filter(|hook| hook.key == delivery.queue),
        }
    }

    /// Gives a queue that has something ready its turn at its endpoint.
    fn enlist(&mut self, key: i64) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let Some(name) = queue.endpoint.clone() else {
            return;
        };
        let waits = queue.throttled_until.is_some() || queue.off.is_some();
        if queue.in_turn || waits || queue.ready() == 0 {
            return;
        }
        queue.in_turn = true;
        self.endpoint(&name).turns.push_back(key);
    }

    fn endpoint(&mut self, name: &Arc<str>) -> &mut Endpoint {
        let (rate, in_flight) = (self.config.rate, self.config.in_flight);
        self.endpoints
            .entry(Arc::clone(name))
            .or_insert_with(|| Endpoint::new(rate, in_flight))
    }

    /// Starts what an endpoint may take now, one queue after the other.
    fn pump(&mut self, name: &Arc<str>) {
        while !self.stopping {
            let now = Instant::now();
            let endpoint = self.endpoint(name);
            match endpoint.gate(now) {
                Gate::Open => {}
                Gate::Full => break,
                Gate::Until(at) => {
                    self.wake_endpoint(name, at);
                    break;
                }
            }
            if self.fail_over_one(name) {
                continue;
            }
            let Some(key) = self.endpoint(name).turns.pop_front() else {
                // Those that left the probe to whoever had a turn were not asked, and nobody took it.
                if self.is_dead(name) {
                    self.refill_endpoint(name);
                }
                break;
            };
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            queue.in_turn = false;
            if queue.off.is_some() {
                continue;
            }
            let Some(delivery) = queue.next() else {
                self.refill(key);
                continue;
            };
            let Some(hook) = self.still_wanted(&delivery) else {
                self.enlist(key);
                continue;
            };
            let home = self.home_of(&hook);
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            if home != *name {
                queue.put_back(delivery);
                self.move_to(key, &home);
                self.enlist(key);
                self.wake_endpoint(&home, now);
                continue;
            }
            let Some(endpoint) = self.endpoints.get_mut(name) else {
                continue;
            };
            if let Err(at) = endpoint.take_leave(queue.limiter.as_ref()) {
                queue.put_back(delivery);
                match queue.limiter {
                    // Only this hook has to wait.
                    Some(_) => {
                        queue.throttled_until = Some(at);
                        self.timers.push(Reverse((at, Wake::Queue(key))));
                    }
                    None => {
                        queue.in_turn = true;
                        endpoint.turns.push_front(key);
                        self.wake_endpoint(name, at);
                        break;
                    }
                }
                continue;
            }
            // A dead endpoint is probed with what would go to its failover, which then follows all the same.
            let own = Arc::clone(&hook.settings.endpoint);
            let probes = own != *name && self.endpoint(&own).gate(now) == Gate::Open;
            let target = if probes { own } else { Arc::clone(name) };
            self.endpoint(&target).started();
            self.in_flight += 1;
            self.start(delivery, hook, target);
            self.enlist(key);
            self.refill(key);
        }
    }

    fn wake_endpoint(&mut self, name: &Arc<str>, at: Instant) {
        let endpoint = self.endpoint(name);
        if endpoint.wake_at.is_none_or(|known| at < known) {
            endpoint.wake_at = Some(at);
            self.timers
                .push(Reverse((at, Wake::Endpoint(Arc::clone(name)))));
        }
    }

    /// The hook of a delivery whose turn has come, or `None` where it is not to be sent any more: that is
    /// then recorded.
    fn still_wanted(&mut self, delivery: &Delivery) -> Option<Arc<Hook>> {
        let Some(hook) = self.hook_of(delivery) else {
            self.let_go(delivery);
            self.give_up(delivery, HOOK_DELETED);
            return None;
        };
        let now = self.clock.now();
        let age = now.since(delivery.occurred_at);
        // What somebody queued again is wanted, however old it is.
        if delivery.queued_again.is_some() || hook.settings.expires.is_none_or(|limit| age <= limit)
        {
            return Some(hook);
        }
        self.let_go(delivery);
        let attempt = Attempt::none(now, AttemptResult::Expired, "expired");
        self.settle(delivery, delivery.attempts, vec![attempt], Next::Expired);
        None
    }

    /// Sends the queues of a dead endpoint to their failovers, and frees the memory of those that have none.
    fn evict_all(&mut self, name: &Arc<str>) {
        let here: Vec<i64> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.endpoint.as_ref() == Some(name))
            .map(|(key, _)| *key)
            .collect();
        for key in here {
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            let failover = queue.failover.clone().filter(|failover| failover != name);
            let Some(failover) = failover.filter(|failover| !self.is_dead(failover)) else {
                if let Some(queue) = self.queues.get_mut(&key) {
                    let before = queue.taken();
                    queue.evict();
                    queue.in_turn = false;
                    self.taken.change(before, queue.taken());
                }
                continue;
            };
            self.move_to(key, &failover);
            self.enlist(key);
            self.pump(&failover);
            self.refill(key);
        }
        self.endpoint(name).turns.clear();
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, _))) = self.timers.peek()
            && *at <= now
        {
            let Some(Reverse((at, wake))) = self.timers.pop() else {
                break;
            };
            match wake {
                Wake::Endpoint(name) => {
                    let Some(endpoint) = self.endpoints.get_mut(&name) else {
                        continue;
                    };
                    if endpoint.wake_at == Some(at) {
                        endpoint.wake_at = None;
                    }
                    if endpoint.is_circuit_open() {
                        self.refill_endpoint(&name);
                    }
                    self.pump(&name);
                }
                Wake::Queue(key) => self.wake_queue(key, at),
            }
        }
        self.publish();
    }

    fn wake_queue(&mut self, key: i64, at: Instant) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        if queue.wake_at == Some(at) {
            queue.wake_at = None;
        }
        // Only when that is over: to be woken for something else is no leave to ask the limiter again.
        if queue.throttled_until.is_some_and(|until| until <= at) {
            queue.throttled_until = None;
        }
        let endpoint = queue.endpoint.clone();
        self.wait_for_due(key);
        self.refill(key);
        self.enlist(key);
        if let Some(name) = endpoint {
            self.pump(&name);
        }
    }

    fn forget_if_idle(&mut self, key: i64) {
        let Some(queue) = self.queues.get(&key) else {
            return;
        };
        if !queue.is_idle() || queue.limiter.is_some() {
            return;
        }
        self.forgotten_to = self.forgotten_to.max(queue.fetched_to);
        self.queues.remove(&key);
        if self.endpoints.len() > self.prune_at {
            self.prune();
        }
    }

    /// Forgets the endpoints that nothing goes to.
    fn prune(&mut self) {
        let in_use: HashSet<&Arc<str>> = (self.queues.values())
            .filter_map(|queue| queue.endpoint.as_ref())
            .collect();
        self.endpoints.retain(|name, endpoint| {
            let is_kept =
                in_use.contains(name) || endpoint.is_busy() || self.failing_over.contains_key(name);
            if !is_kept && endpoint.is_circuit_open() {
                self.stats.circuit_closed(name);
            }
            is_kept
        });
        self.prune_at = ENDPOINTS_KEPT.max(self.endpoints.len() * 2);
    }

    fn publish(&self) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.stats
            .in_memory
            .store(number(self.taken.deliveries), Atomic::Relaxed);
        self.stats
            .in_flight
            .store(number(self.in_flight), Atomic::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::Backoff;
    use crate::delivery::{Guard, SendConfig};
    use crate::hook::Document;
    use crate::hook::RateLimit;
    use crate::store::{Opened, StoreConfig};

    /// A dispatcher without hooks whose loop does not run: a test does to it what the loop would.
    fn at_rest(directory: &std::path::Path) -> Dispatcher {
        // Another test may have done it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = DeliveryConfig {
            rate: RateLimit {
                per_second: 100,
                burst: 100,
            },
            in_flight: 32,
            backoff: Backoff {
                base: Duration::from_secs(1),
                cap: Duration::from_secs(60),
            },
            disable_after: 0,
            disable_within: Duration::from_secs(60),
            log_successes: true,
        };
        let send = SendConfig {
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            idle_connections: 1,
        };
        let store = StoreConfig::new(directory.join("switchhook.db"));
        let Opened { store, .. } = Store::open(store, Clock::system()).unwrap();
        let sender = Sender::new(&send, Guard::default()).unwrap();
        Dispatcher::new(config, store, sender, Arc::default(), Clock::system()).0
    }

    fn hook(uri: &str) -> Hook {
        let document: Document = json!({
            "name": "test", "hook": "dtmf", "uri": uri, "rate_limit": {"per_second": 1, "burst": 1},
        })
        .as_object()
        .unwrap()
        .clone();
        Hook::ad_hoc(&"default".into(), document).unwrap()
    }

    /// The same with the number of a stored hook, and with what `more` says besides.
    fn stored(key: i64, uri: &str, more: serde_json::Value) -> Hook {
        let mut hook = Hook { key, ..hook(uri) };
        hook.document.shift_remove("rate_limit");
        hook.document.extend(more.as_object().unwrap().clone());
        hook.settings = crate::hook::Settings::written(&hook.document, None).unwrap();
        hook
    }

    /// No connection comes about at an endpoint.
    fn kill(dispatcher: &mut Dispatcher, name: &Arc<str>) {
        let endpoint = dispatcher.endpoint(name);
        for _ in 0..5 {
            endpoint.started();
            endpoint.ended(&Answer::NotConnected, Instant::now());
        }
        assert!(dispatcher.is_dead(name));
    }

    /// What the store gives of a hook's queue.
    fn fetched(hook: &Hook, ids: std::ops::RangeInclusive<i64>) -> Fetched {
        Fetched {
            queue: hook.key,
            due: Due {
                deliveries: ids.map(|id| delivery(id, hook)).collect(),
                more: false,
            },
            bytes: 0,
            next_due: None,
            strict: false,
        }
    }

    /// A request that was made at an endpoint.
    fn done(id: i64, hook: &Hook, endpoint: &Arc<str>, answer: Answer) -> Done {
        Done {
            delivery: delivery(id, hook),
            hook: Arc::new(hook.clone()),
            endpoint: Arc::clone(endpoint),
            failed_over: *endpoint != hook.settings.endpoint,
            answer,
            attempts: Vec::new(),
            bodies: Vec::new(),
            decision: Decision::GiveUp,
        }
    }

    fn delivery(id: i64, hook: &Hook) -> Delivery {
        Delivery {
            id,
            queue: hook.key,
            account_id: Arc::clone(&hook.account_id),
            hook_id: Arc::clone(&hook.id),
            trigger: crate::trigger::Trigger::Dtmf,
            call_id: None,
            lane: 0,
            webhook_id: crate::hook::WebhookId([0; 16]),
            occurred_at: Clock::system().now(),
            verb: hook.settings.verb,
            format: hook.settings.format,
            body: bytes::Bytes::new(),
            attempts: 0,
            due_at: Clock::system().now(),
            queued_again: None,
            committed_at: Timestamp::default(),
            skipped: false,
            ad_hoc: Some(Arc::new(hook.clone())),
        }
    }

    #[tokio::test]
    async fn a_queue_that_waits_for_its_rate_is_woken_once_however_often_it_is_woken_for_else() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let hook = hook("http://127.0.0.1:9/");
        dispatcher.on_committed((1..=3).map(|id| delivery(id, &hook)).collect());
        assert_eq!(dispatcher.in_flight, 1);
        assert_eq!(dispatcher.timers.len(), 1, "for the next one's turn");
        let earlier = Instant::now();
        for _ in 0..100 {
            // As when a retry of it is due.
            dispatcher.wake_queue(hook.key, earlier);
        }
        assert_eq!(dispatcher.timers.len(), 1);
        let Some(Reverse((at, _))) = dispatcher.timers.pop() else {
            panic!("it waits for nothing");
        };
        tokio::time::sleep_until(at).await;
        dispatcher.wake_queue(hook.key, at);
        assert_eq!(dispatcher.in_flight, 2);
    }

    #[tokio::test]
    async fn large_bodies_wait_in_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let body = bytes::Bytes::from(vec![b'x'; 64 * 1_024]);
        let many = BYTES_OF_ALL / BYTES + 2;
        for port in 1..=many {
            let hook = hook(&format!("http://127.0.0.1:{port}/"));
            let large = (1..=200).map(|id| Delivery {
                body: body.clone(),
                ..delivery(id, &hook)
            });
            dispatcher.on_committed(large.collect());
            assert!(dispatcher.queues[&hook.key].taken().bytes <= BYTES + body.len());
            // One of each may always go.
            assert!(dispatcher.queues[&hook.key].taken().deliveries > 0);
        }
        let held = dispatcher.taken.bytes + dispatcher.asked;
        assert!(held <= BYTES_OF_ALL + many * body.len(), "{held} bytes");
        assert!(dispatcher.taken.deliveries < many * 200);
    }

    #[tokio::test]
    async fn what_the_store_gives_goes_to_the_failover_of_a_dead_endpoint() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let failover = json!({"failover_uri": "http://127.0.0.1:19/"});
        let hook = stored(1, "http://127.0.0.1:9/", failover);
        kill(&mut dispatcher, &hook.settings.endpoint);
        dispatcher.follow(hook.key, Some(&hook));
        dispatcher.on_fetched(fetched(&hook, 1..=3));
        assert_eq!(dispatcher.in_flight, 3, "none waits for a probe");
    }

    #[tokio::test]
    async fn a_dead_endpoint_is_probed_though_the_hook_that_has_the_turn_was_switched_off() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let first = stored(1, "http://127.0.0.1:9/first", json!({}));
        let second = stored(2, "http://127.0.0.1:9/second", json!({}));
        kill(&mut dispatcher, &first.settings.endpoint);
        dispatcher.follow(first.key, Some(&first));
        dispatcher.on_fetched(fetched(&first, 1..=1));
        dispatcher.on_committed(vec![delivery(2, &second)]);
        dispatcher.switch_off(&first, "it failed".to_owned());
        let Some(Reverse((at, _))) = dispatcher.timers.peek().cloned() else {
            panic!("nobody waits for the probe");
        };
        tokio::time::sleep_until(at).await;
        dispatcher.on_timer();
        assert_eq!(dispatcher.in_flight, 0);
        let second = &dispatcher.queues[&second.key];
        assert!(second.fetching, "the turn is its own now");
    }

    #[tokio::test]
    async fn a_failover_that_dies_holds_nothing_that_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let failover = json!({"failover_uri": "http://127.0.0.1:19/"});
        let hook = stored(1, "http://127.0.0.1:9/", failover);
        let failover = hook.settings.failover_endpoint.clone().unwrap();
        dispatcher.config.in_flight = 5;
        dispatcher.in_flight = 12;
        for id in 1..=12 {
            let own = &hook.settings.endpoint;
            dispatcher.on_done(done(id, &hook, own, Answer::TimedOut));
        }
        assert_eq!(dispatcher.in_flight, 5, "the others wait");
        for id in 1..=5 {
            dispatcher.on_done(done(id, &hook, &failover, Answer::NotConnected));
        }
        assert!(dispatcher.is_dead(&failover));
        assert_eq!(dispatcher.in_flight, 4, "they were begun before");
        assert_eq!(dispatcher.unsettled.len(), 12 - 4, "nothing waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_that_was_dead_is_found_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let failover = json!({"failover_uri": "http://127.0.0.1:19/"});
        let hook = stored(1, "http://127.0.0.1:9/", failover);
        let failover = hook.settings.failover_endpoint.clone().unwrap();
        kill(&mut dispatcher, &failover);
        let failed = || done(1, &hook, &hook.settings.endpoint, Answer::TimedOut);
        assert_eq!(dispatcher.failover_of(&failed()), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(dispatcher.failover_of(&failed()), Some(failover.clone()));
        dispatcher.endpoint(&failover).started();
        assert_eq!(dispatcher.failover_of(&failed()), None, "one is enough");
    }

    #[tokio::test]
    async fn an_endpoint_that_requests_wait_for_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let failover = json!({"failover_uri": "http://127.0.0.1:19/"});
        let hook = stored(1, "http://127.0.0.1:9/", failover);
        let own = &hook.settings.endpoint;
        let failover = hook.settings.failover_endpoint.as_ref().unwrap();
        let busy = Answer::Status {
            code: 503,
            retry_after: Some(Duration::from_secs(60)),
        };
        dispatcher.endpoint(failover).ended(&busy, Instant::now());
        dispatcher.in_flight = 1;
        dispatcher.on_done(done(1, &hook, own, Answer::TimedOut));
        dispatcher.prune();
        assert!(dispatcher.endpoints.contains_key(failover));
        assert!(!dispatcher.endpoints.contains_key(own));
    }

    #[tokio::test]
    async fn what_is_told_of_as_committed_after_it_was_sent_is_not_sent_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let hook = stored(1, "http://127.0.0.1:9/", json!({"retries": 0}));
        dispatcher.follow(hook.key, Some(&hook));
        dispatcher.on_fetched(fetched(&hook, 1..=1));
        let sent = dispatcher.done.1.recv().await.unwrap();
        dispatcher.on_done(sent);
        dispatcher.on_settled(vec![Settled {
            delivery: 1,
            queue: hook.key,
            attempts: Vec::new(),
            state: crate::store::deliveries::State::Failed,
            refused: false,
        }]);
        assert!(dispatcher.queues.is_empty(), "there is nothing to do");
        dispatcher.on_committed(vec![delivery(1, &hook)]);
        assert_eq!(dispatcher.in_flight, 0);
        assert!(dispatcher.queues[&hook.key].fetching, "the store knows");
        let other = stored(2, "http://127.0.0.1:9/", json!({}));
        dispatcher.on_committed(vec![delivery(2, &other)]);
        assert_eq!(dispatcher.in_flight, 1, "it is new");
    }

    #[tokio::test]
    async fn what_a_former_address_answers_switches_nothing_off() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let before = stored(1, "http://127.0.0.1:9/before", json!({}));
        let now = stored(1, "http://127.0.0.1:9/now", json!({}));
        dispatcher.index.put(now.clone());
        dispatcher.follow(now.key, Some(&now));
        let gone = |hook: &Hook| {
            let endpoint = &hook.settings.endpoint;
            let mut gone = done(1, hook, endpoint, Answer::TimedOut);
            gone.decision = Decision::Gone;
            gone.delivery.ad_hoc = None;
            gone
        };
        dispatcher.conclude(gone(&before));
        assert!(!dispatcher.is_off(now.key));
        dispatcher.conclude(gone(&now));
        assert!(dispatcher.is_off(now.key));
    }

    #[tokio::test]
    async fn what_a_changed_hook_had_in_memory_is_not_counted_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        let hook = stored(1, "http://127.0.0.1:9/", json!({}));
        let busy = Answer::Status {
            code: 503,
            retry_after: Some(Duration::from_secs(60)),
        };
        let endpoint = dispatcher.endpoint(&hook.settings.endpoint);
        endpoint.ended(&busy, Instant::now());
        dispatcher.on_committed((1..=3).map(|id| delivery(id, &hook)).collect());
        let in_memory = |dispatcher: &Dispatcher| dispatcher.stats.in_memory.load(Atomic::Relaxed);
        assert_eq!(in_memory(&dispatcher), 3);
        dispatcher.on_hook_changed(hook.key, &hook.account_id, &hook.id);
        assert_eq!(in_memory(&dispatcher), 0, "it is deleted");
    }

    #[tokio::test]
    async fn endpoints_of_the_past_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut dispatcher = at_rest(directory.path());
        for port in 1..=3 * ENDPOINTS_KEPT {
            let hook = hook(&format!("http://127.0.0.1:{port}/"));
            let name = Arc::clone(&hook.settings.endpoint);
            let endpoint = dispatcher.endpoint(&name);
            for _ in 0..5 {
                endpoint.started();
                endpoint.ended(&Answer::NotConnected, Instant::now());
            }
            assert!(endpoint.is_circuit_open());
            dispatcher.queues.entry(hook.key).or_default().endpoint = Some(name);
            dispatcher.forget_if_idle(hook.key);
        }
        assert!(dispatcher.queues.is_empty());
        assert!(dispatcher.endpoints.len() <= ENDPOINTS_KEPT);
    }
}
