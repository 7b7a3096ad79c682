//! One hook's deliveries: what is in memory, in which order it may go, and what still lies in the store.
//!
//! A bounded window of deliveries is held in memory. What does not fit stays where it was committed, and is
//! fetched when there is room; a retry is fetched when it is due. So a restart, a backlog and a retry are
//! one path, and memory does not grow with any of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::endpoint::Limiter;
use crate::hook::{Delivery, Hook, Ordering, RateLimit};
use crate::time::Timestamp;

/// Why nothing of a queue is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// It failed too often. Whoever keeps the hooks is told, and says what becomes of it.
    Failing,
    /// Its hook is off.
    Disabled,
    /// Its hook is gone.
    Deleted,
}

impl Off {
    /// Why nothing is sent to a hook, where nothing is.
    pub(super) fn of(hook: Option<&Hook>) -> Option<Self> {
        match hook {
            None => Some(Self::Deleted),
            Some(hook) if !hook.is_on() => Some(Self::Disabled),
            Some(_) => None,
        }
    }
}

/// How much is in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Deliveries.
    pub(super) deliveries: usize,
    /// Bytes of their bodies.
    pub(super) bytes: usize,
}

impl Load {
    /// Counts what one queue has now in place of what it had.
    pub(super) fn change(&mut self, before: Self, now: Self) {
        self.deliveries = self.deliveries + now.deliveries - before.deliveries;
        self.bytes = self.bytes + now.bytes - before.bytes;
    }
}

/// The deliveries of one hook.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Where they go; unknown until a delivery or the hook itself was seen.
    pub(super) endpoint: Option<Arc<str>>,
    /// Where they go while no connection comes about there.
    pub(super) failover: Option<Arc<str>>,
    /// The hook's own rate limit.
    pub(super) limiter: Option<Limiter>,
    /// Why nothing is sent, where nothing is.
    pub(super) off: Option<Off>,
    /// The hook's order is the store's business: only the oldest of each call is fetched.
    pub(super) strict: bool,
    /// When it is to be looked at again, where that is known.
    pub(super) wake_at: Option<Instant>,
    /// What is pending is being ended in the store, as long as this says so.
    pub(super) emptying: Option<Arc<AtomicBool>>,
    /// More came while it was being emptied.
    pub(super) came_meanwhile: bool,
    /// It stands among its endpoint's turns.
    pub(super) in_turn: bool,
    /// Until when it waits for its own rate limit.
    pub(super) throttled_until: Option<Instant>,
    /// More is due in the store than is in memory.
    pub(super) spilled: bool,
    /// The store is being asked.
    pub(super) fetching: bool,
    /// Something spilled while the store was being asked.
    spilled_meanwhile: bool,
    /// What the store was told not to give was given up while it was being asked: its answer may be of what comes
    /// after that.
    evicted_meanwhile: bool,
    /// The earliest retry that is not due yet.
    pub(super) next_due: Option<Timestamp>,
    /// May be sent now.
    ready: VecDeque<Delivery>,
    /// The calls that have a first attempt ready or under way, and what waits for it.
    lanes: HashMap<i64, VecDeque<Delivery>>,
    /// Every delivery in memory, under way, or finished but not yet committed, with the bytes of its body.
    taken: HashMap<i64, usize>,
    /// The sum of those bytes.
    bytes: usize,
    /// When those whose outcome is not committed yet are tried again.
    retries: HashMap<i64, Timestamp>,
    /// What was settled while the store was being asked: its answer may be older.
    settled_meanwhile: HashSet<i64>,
    /// The newest that the store gave. What is told of as committed after that may have been given already.
    pub(super) fetched_to: i64,
    /// In memory when somebody queued deliveries again in the store: it may have been one of these.
    queued_again: HashSet<i64>,
    /// Those whose outcome the store refused: not to be tried again before a restart.
    set_aside: HashSet<i64>,
}

impl Queue {
    /// A committed delivery. `false` where it stays in the store, because older ones do or because the
    /// window is full.
    pub(super) fn offer(&mut self, delivery: Delivery, ordering: Ordering, window: usize) -> bool {
        self.strict = ordering == Ordering::Strict;
        if self.taken.contains_key(&delivery.id) {
            return false;
        }
        if self.off.is_some()
            || self.spilled
            || self.strict
            || self.taken.len() >= window
            || delivery.id <= self.fetched_to
        {
            self.spill();
            return false;
        }
        self.take(delivery, ordering);
        true
    }

    /// Notes that the store has something that is due.
    pub(super) fn spill(&mut self) {
        self.spilled = true;
        self.spilled_meanwhile = self.fetching;
    }

    fn take(&mut self, delivery: Delivery, ordering: Ordering) {
        let bytes = delivery.body.len();
        self.bytes += bytes;
        self.taken.insert(delivery.id, bytes);
        // The store keeps a strict order, but it need not stay strict for as long as this one is under way.
        if ordering != Ordering::None && may_have_lane(&delivery) {
            if let Some(waiting) = self.lanes.get_mut(&delivery.lane) {
                waiting.push_back(delivery);
                return;
            }
            self.lanes.insert(delivery.lane, VecDeque::new());
        }
        self.ready.push_back(delivery);
    }

    /// What the store had: everything due up to its limit. `more` where it had more than that.
    pub(super) fn fetched(&mut self, rows: Vec<Delivery>, more: bool, ordering: Ordering) {
        self.fetching = false;
        self.spilled = more || self.spilled_meanwhile;
        self.spilled_meanwhile = false;
        let settled = std::mem::take(&mut self.settled_meanwhile);
        if std::mem::take(&mut self.evicted_meanwhile) {
            return;
        }
        let newest = rows.iter().map(|delivery| delivery.id).max();
        self.fetched_to = self.fetched_to.max(newest.unwrap_or_default());
        for delivery in rows {
            if !self.taken.contains_key(&delivery.id) && !settled.contains(&delivery.id) {
                self.take(delivery, ordering);
            }
        }
    }

    /// Which deliveries the store need not give again.
    pub(super) fn held(&self) -> HashSet<i64> {
        let taken = self.taken.keys();
        taken.chain(&self.set_aside).copied().collect()
    }

    /// Somebody queued deliveries again in the store: any of these, too.
    pub(super) fn queued_again(&mut self) {
        self.queued_again.extend(self.taken.keys());
        self.spill();
    }

    /// The store refused the outcome of a delivery.
    pub(super) fn set_aside(&mut self, id: i64) {
        self.settled(id, false);
        self.set_aside.insert(id);
    }

    /// Nothing is pending in the store any more.
    pub(super) fn emptied(&mut self) {
        self.emptying = None;
        self.spilled = false;
        self.next_due = None;
    }

    /// What is in memory or under way.
    pub(super) fn taken(&self) -> Load {
        Load {
            deliveries: self.taken.len(),
            bytes: self.bytes,
        }
    }

    /// How many may be sent now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The next one to send.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        self.ready.pop_front()
    }

    /// Puts back what [`Queue::next`] gave.
    pub(super) fn put_back(&mut self, delivery: Delivery) {
        self.ready.push_front(delivery);
    }

    /// An attempt ended: what waited for it may go.
    pub(super) fn attempted(&mut self, delivery: &Delivery) {
        if !may_have_lane(delivery) {
            return;
        }
        match self.lanes.get_mut(&delivery.lane).map(VecDeque::pop_front) {
            // Before the others: it is older than most of them.
            Some(Some(next)) => self.ready.push_front(next),
            Some(None) => {
                self.lanes.remove(&delivery.lane);
            }
            None => {}
        }
    }

    /// An outcome is on its way to the store: tried again then.
    pub(super) fn will_retry(&mut self, id: i64, at: Timestamp) {
        self.retries.insert(id, at);
    }

    /// An outcome was committed: the delivery is tried again, or finished.
    pub(super) fn settled(&mut self, id: i64, retries: bool) {
        self.release(id);
        let retry_at = self.retries.remove(&id).filter(|_| retries);
        if self.fetching {
            self.settled_meanwhile.insert(id);
        }
        if self.queued_again.remove(&id) {
            self.spill();
        }
        self.due_at(retry_at);
    }

    /// Something in the store will be due then.
    pub(super) fn due_at(&mut self, at: Option<Timestamp>) {
        self.next_due = match (self.next_due, at) {
            (Some(known), Some(at)) => Some(known.min(at)),
            (known, at) => known.or(at),
        };
    }

    /// Gives back to the store all that is not under way.
    pub(super) fn evict(&mut self) {
        if !self.ready.is_empty() || self.lanes.values().any(|waiting| !waiting.is_empty()) {
            self.spill();
            self.evicted_meanwhile = self.fetching;
        }
        for delivery in std::mem::take(&mut self.ready) {
            self.release(delivery.id);
            if may_have_lane(&delivery) {
                let waiting = self.lanes.remove(&delivery.lane).unwrap_or_default();
                self.forget(&waiting);
            }
        }
        let mut lanes = std::mem::take(&mut self.lanes);
        for waiting in lanes.values_mut() {
            self.forget(waiting);
            waiting.clear();
        }
        self.lanes = lanes;
    }

    fn forget(&mut self, deliveries: &VecDeque<Delivery>) {
        for delivery in deliveries {
            self.release(delivery.id);
        }
    }

    fn release(&mut self, id: i64) {
        self.bytes -= self.taken.remove(&id).unwrap_or_default();
    }

    /// Follows its hook, or that there is none; where it goes is not its own business.
    pub(super) fn follow(&mut self, hook: Option<&Hook>) {
        self.off = Off::of(hook);
        self.limit_to(hook.and_then(|hook| hook.settings.rate_limit));
        if let Some(hook) = hook {
            self.failover = hook.settings.failover_endpoint.clone();
            self.strict = hook.settings.ordering == Ordering::Strict;
        }
    }

    /// Follows a change of the hook's own rate limit.
    fn limit_to(&mut self, limit: Option<RateLimit>) {
        if self.limiter.as_ref().map(Limiter::limit) != limit {
            self.limiter = limit.map(Limiter::new);
        }
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_idle(&self) -> bool {
        self.taken.is_empty()
            && !self.spilled
            && !self.fetching
            && !self.in_turn
            && self.throttled_until.is_none()
            && self.next_due.is_none()
            && self.emptying.is_none()
            && self.set_aside.is_empty()
    }
}

/// Whether later events of the call may wait for this delivery, or it for earlier ones: retries do not.
fn may_have_lane(delivery: &Delivery) -> bool {
    delivery.lane != 0 && delivery.attempts == 0
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hook::{Format, Verb, WebhookId};
    use crate::trigger::Trigger;

    pub(super) fn delivery(id: i64, lane: i64) -> Delivery {
        Delivery {
            id,
            queue: 1,
            account_id: "default".into(),
            hook_id: "hook".into(),
            trigger: Trigger::ChannelCreate,
            call_id: None,
            lane,
            webhook_id: WebhookId([0; 16]),
            occurred_at: Timestamp(0),
            verb: Verb::Post,
            format: Format::Json,
            body: Bytes::new(),
            attempts: 0,
            due_at: Timestamp(0),
            queued_again: None,
            committed_at: Timestamp::default(),
            skipped: false,
            ad_hoc: None,
        }
    }

    fn next_id(queue: &mut Queue) -> Option<i64> {
        queue.next().map(|delivery| delivery.id)
    }

    #[test]
    fn a_call_waits_for_its_own_first_attempt_and_for_no_other_call() {
        let mut queue = Queue::default();
        for (id, lane) in [(1, 7), (2, 7), (3, 8), (4, 7), (5, 0), (6, 0)] {
            assert!(queue.offer(delivery(id, lane), Ordering::Call, 100));
        }
        let first = queue.next().unwrap();
        assert_eq!(first.id, 1);
        assert_eq!(next_id(&mut queue), Some(3));
        assert_eq!(next_id(&mut queue), Some(5), "no call, no order");
        assert_eq!(next_id(&mut queue), Some(6));
        assert_eq!(next_id(&mut queue), None);

        queue.attempted(&first);
        let second = queue.next().unwrap();
        assert_eq!(second.id, 2);
        assert_eq!(next_id(&mut queue), None);
        queue.attempted(&second);
        assert_eq!(next_id(&mut queue), Some(4));
    }

    #[test]
    fn what_does_not_fit_stays_in_the_store_and_all_after_it_too() {
        let mut queue = Queue::default();
        assert!(queue.offer(delivery(1, 0), Ordering::Call, 2));
        assert!(queue.offer(delivery(2, 0), Ordering::Call, 2));
        assert!(!queue.offer(delivery(3, 0), Ordering::Call, 2));
        assert_eq!(next_id(&mut queue), Some(1));
        queue.settled(1, false);
        assert!(
            !queue.offer(delivery(4, 0), Ordering::Call, 2),
            "3 is older"
        );

        queue.fetching = true;
        assert_eq!(next_id(&mut queue), Some(2));
        queue.settled(2, false);
        // The answer is older than the settling of 2, and younger than nothing else.
        queue.fetched(
            vec![delivery(2, 0), delivery(3, 0), delivery(4, 0)],
            false,
            Ordering::Call,
        );
        assert_eq!(next_id(&mut queue), Some(3));
        assert_eq!(next_id(&mut queue), Some(4));
        assert_eq!(next_id(&mut queue), None);
        queue.settled(3, false);
        queue.settled(4, false);
        assert!(queue.is_idle());
    }

    #[test]
    fn what_spills_while_the_store_is_asked_is_asked_for_again() {
        let mut queue = Queue::default();
        queue.spill();
        queue.fetching = true;
        assert!(!queue.offer(delivery(9, 0), Ordering::Call, 2));
        queue.fetched(Vec::new(), false, Ordering::Call);
        assert!(queue.spilled);
    }

    #[test]
    fn eviction_keeps_the_place_of_what_is_under_way() {
        let mut queue = Queue::default();
        for (id, lane) in [(1, 7), (2, 7), (3, 8)] {
            queue.offer(delivery(id, lane), Ordering::Call, 100);
        }
        let first = queue.next().unwrap();
        queue.evict();
        assert!(queue.spilled);
        assert_eq!(queue.taken().deliveries, 1);
        queue.fetching = true;
        queue.fetched(
            vec![delivery(1, 7), delivery(2, 7), delivery(3, 8)],
            false,
            Ordering::Call,
        );
        assert_eq!(next_id(&mut queue), Some(3), "2 waits for 1");
        queue.attempted(&first);
        assert_eq!(next_id(&mut queue), Some(2));
    }

    #[test]
    fn nothing_overtakes_what_was_evicted_while_the_store_was_asked() {
        let mut queue = Queue::default();
        queue.offer(delivery(1, 7), Ordering::Call, 1);
        queue.offer(delivery(2, 7), Ordering::Call, 1);
        assert!(queue.held().contains(&1));
        queue.fetching = true;
        queue.evict();
        queue.fetched(vec![delivery(2, 7)], false, Ordering::Call);
        assert_eq!(next_id(&mut queue), None, "1 is older");
        assert!(queue.spilled);

        queue.fetching = true;
        let both = vec![delivery(1, 7), delivery(2, 7)];
        queue.fetched(both, false, Ordering::Call);
        assert_eq!(next_id(&mut queue), Some(1));
        assert_eq!(next_id(&mut queue), None, "2 waits for 1");
    }

    #[test]
    fn a_call_waits_for_what_was_sent_while_the_order_was_strict() {
        let mut queue = Queue::default();
        queue.fetched(vec![delivery(1, 7)], false, Ordering::Strict);
        let first = queue.next().unwrap();
        queue.evict();
        let rest = vec![delivery(2, 7), delivery(3, 7)];
        queue.fetched(rest, false, Ordering::Call);
        assert_eq!(next_id(&mut queue), None, "2 waits for 1");
        queue.attempted(&first);
        assert_eq!(next_id(&mut queue), Some(2));
        assert_eq!(next_id(&mut queue), None);
    }

    #[test]
    fn what_the_store_gave_before_it_was_told_of_is_taken_once() {
        let mut queue = Queue::default();
        queue.spill();
        queue.fetching = true;
        queue.fetched(vec![delivery(1, 0), delivery(2, 0)], false, Ordering::Call);
        assert_eq!(next_id(&mut queue), Some(1));
        queue.settled(1, false);
        assert!(!queue.offer(delivery(2, 0), Ordering::Call, 100));
        assert!(!queue.spilled, "2 is in memory");
        assert_eq!(next_id(&mut queue), Some(2));
        assert_eq!(next_id(&mut queue), None);
        // 1 is over, which only the store knows.
        assert!(!queue.offer(delivery(1, 0), Ordering::Call, 100));
        assert!(queue.spilled);
        assert_eq!(queue.taken().deliveries, 1);
    }

    #[test]
    fn what_is_queued_again_while_it_is_being_settled_is_asked_for() {
        let mut queue = Queue::default();
        queue.offer(delivery(1, 0), Ordering::Call, 100);
        assert_eq!(next_id(&mut queue), Some(1));
        // Its success is committed, then it is queued again; the one is heard of after the other.
        queue.queued_again();
        queue.fetching = true;
        assert!(queue.held().contains(&1));
        queue.fetched(Vec::new(), false, Ordering::Call);
        assert!(!queue.spilled);
        queue.settled(1, false);
        assert!(queue.spilled);
    }

    #[test]
    fn bodies_count_as_long_as_they_are_held() {
        let large = |id| Delivery {
            body: Bytes::from(vec![b'x'; 1_000]),
            ..delivery(id, 7)
        };
        let mut queue = Queue::default();
        for id in 1..=3 {
            queue.offer(large(id), Ordering::Call, 100);
        }
        assert_eq!(queue.taken().bytes, 3_000);
        let first = queue.next().unwrap();
        queue.attempted(&first);
        assert_eq!(queue.taken().bytes, 3_000, "until it is settled");
        queue.settled(1, false);
        queue.settled(1, false);
        assert_eq!(queue.taken().bytes, 2_000);
        queue.evict();
        assert_eq!(queue.taken(), Load::default());
    }

    #[test]
    fn strict_order_is_the_stores_business() {
        let mut queue = Queue::default();
        assert!(!queue.offer(delivery(1, 7), Ordering::Strict, 100));
        assert!(queue.spilled);
    }
}
