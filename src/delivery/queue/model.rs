//! A queue in every order of events that a dispatcher, a store and a receiver can bring about: nothing of a call
//! overtakes, nothing is sent twice, nothing is left behind.
//!
//! The store is a model of a few lines here, so that between each two of its steps anything else may happen.

use std::collections::{BTreeMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::tests::delivery;
use super::*;

const WINDOW: usize = 3;
const LOW_WATER: usize = 2;

/// What may happen next. Where it makes no sense just now, nothing does.
#[derive(Debug, Clone)]
enum Step {
    /// An event of this call is committed; 0 is no call.
    Commit(i64),
    /// The queue hears of the oldest commit that it has not heard of.
    HearOfCommit,
    /// The store reads what it was asked for, with room for so many.
    Read(usize),
    /// Its answer arrives.
    Answer,
    /// The next one is sent.
    Send,
    /// One of those under way ends: for good, or to be tried again after so long.
    End(usize, Option<i64>),
    /// The store commits the oldest outcome.
    Settle,
    /// The queue hears of the oldest outcome that it has not heard of.
    HearOfSettled,
    /// So much time passes.
    Pass(i64),
    /// The circuit opens.
    Evict,
    /// The hook is changed.
    Change,
    /// Somebody queues one again.
    Resend(usize),
    /// kill -9, and a new start.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_i64).prop_map(Step::Commit),
        8 => Just(Step::HearOfCommit),
        6 => (1..4_usize).prop_map(Step::Read),
        6 => Just(Step::Answer),
        8 => Just(Step::Send),
        8 => (0..4_usize, proptest::option::of(1..20_i64)).prop_map(|(which, then)| Step::End(which, then)),
        8 => Just(Step::Settle),
        8 => Just(Step::HearOfSettled),
        3 => (1..10_i64).prop_map(Step::Pass),
        2 => Just(Step::Evict),
        1 => Just(Step::Change),
        1 => (0..8_usize).prop_map(Step::Resend),
        1 => Just(Step::Crash),
    ]
}

/// A row of the store.
#[derive(Debug, Clone)]
struct Row {
    lane: i64,
    occurred_at: i64,
    due_at: Option<i64>,
    queued_again: Option<i64>,
    attempts: u32,
}

/// The store's answer: what may be sent, whether there may be more, and when the next is due.
type Found = (Vec<Delivery>, bool, Option<Timestamp>);

struct World {
    ordering: Ordering,
    now: i64,
    queue: Queue,
    rows: BTreeMap<i64, Row>,
    commits: VecDeque<i64>,
    held: HashSet<i64>,
    found: Option<Found>,
    /// Sent, and when.
    under_way: Vec<(Delivery, i64)>,
    /// Ended, with when it was sent and the time of the next try; not yet committed.
    ended: VecDeque<(Delivery, i64, Option<i64>)>,
    /// Committed, and whether it is tried again.
    settled: VecDeque<(i64, bool)>,
    /// Had their first attempt, or were queued again: nothing waits for them.
    tried: HashSet<i64>,
}

impl World {
    fn new(ordering: Ordering) -> Self {
        Self {
            ordering,
            now: 0,
            queue: Queue::default(),
            rows: BTreeMap::new(),
            commits: VecDeque::new(),
            held: HashSet::new(),
            found: None,
            under_way: Vec::new(),
            ended: VecDeque::new(),
            settled: VecDeque::new(),
            tried: HashSet::new(),
        }
    }

    fn is_strict(&self) -> bool {
        self.ordering == Ordering::Strict
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(lane) => {
                self.now += 1;
                let row = Row {
                    lane,
                    occurred_at: self.now,
                    due_at: Some(self.now),
                    queued_again: None,
                    attempts: 0,
                };
                let id = self.rows.len() as i64 + 1;
                self.rows.insert(id, row);
                self.commits.push_back(id);
            }
            Step::HearOfCommit => {
                if let Some(id) = self.commits.pop_front() {
                    let told = Delivery {
                        attempts: 0,
                        due_at: Timestamp(self.rows[&id].occurred_at),
                        ..self.delivery(id)
                    };
                    if !self.queue.offer(told, self.ordering, WINDOW) {
                        self.refill();
                    }
                }
            }
            Step::Read(room) => {
                if self.queue.fetching && self.found.is_none() {
                    self.found = Some(self.due(room));
                }
            }
            Step::Answer => {
                if let Some((rows, more, next_due)) = self.found.take() {
                    self.queue.fetched(rows, more, self.ordering);
                    self.queue.due_at(next_due);
                    self.wake();
                    self.refill();
                }
            }
            Step::Send => match self.queue.next() {
                Some(delivery) => {
                    self.check(&delivery);
                    self.under_way.push((delivery, self.now));
                }
                None => self.refill(),
            },
            Step::End(which, then) => {
                if which < self.under_way.len() {
                    let (delivery, sent) = self.under_way.remove(which);
                    self.tried.insert(delivery.id);
                    let again = then.map(|pause| self.now + pause);
                    self.queue.attempted(&delivery);
                    if let Some(at) = again {
                        self.queue.will_retry(delivery.id, Timestamp(at));
                    }
                    self.ended.push_back((delivery, sent, again));
                }
            }
            Step::Settle => {
                if let Some((delivery, sent, again)) = self.ended.pop_front() {
                    let row = self.rows.get_mut(&delivery.id).expect("it was committed");
                    // What was queued again meanwhile has all its tries, and what was ended has none.
                    if again.is_none() || row.queued_again.is_none_or(|at| at <= sent) {
                        row.attempts = delivery.attempts + 1;
                        row.due_at = again.filter(|_| row.due_at.is_some());
                    }
                    let retries = row.due_at.is_some();
                    self.settled.push_back((delivery.id, retries));
                }
            }
            Step::HearOfSettled => {
                if let Some((id, retries)) = self.settled.pop_front() {
                    self.queue.settled(id, retries);
                    if self.is_strict() && !retries {
                        self.queue.spill();
                    }
                    if retries {
                        self.wake();
                    }
                    self.refill();
                }
            }
            Step::Pass(time) => {
                self.now += time;
                self.wake();
            }
            Step::Evict => self.queue.evict(),
            Step::Change => {
                self.queue.evict();
                self.queue.spill();
                self.refill();
            }
            Step::Resend(which) => {
                let id = which as i64 + 1;
                // In strict order it would come before what is already on its way.
                if self.is_strict() {
                    return;
                }
                if let Some(row) = self.rows.get_mut(&id) {
                    row.due_at = Some(self.now);
                    row.queued_again = Some(self.now);
                    row.attempts = 0;
                    self.tried.insert(id);
                    self.queue.queued_again();
                    self.refill();
                }
            }
            Step::Crash => self.crash(),
        }
    }

    /// Everything goes but what is committed.
    fn crash(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let tried = rows.iter().filter(|(_, row)| {
            row.attempts > 0 || row.due_at.is_none() || row.queued_again.is_some()
        });
        *self = Self {
            now: self.now,
            tried: tried.map(|(id, _)| *id).collect(),
            ..Self::new(self.ordering)
        };
        self.queue.strict = self.is_strict();
        let earliest = rows.values().filter_map(|row| row.due_at).min();
        self.rows = rows;
        self.queue.due_at(earliest.map(Timestamp));
        self.wake();
    }

    /// As the dispatcher asks the store where it has something and there is room.
    fn refill(&mut self) {
        let is_full = self.queue.taken().deliveries >= WINDOW;
        if self.queue.spilled && !self.queue.fetching && self.queue.ready() < LOW_WATER && !is_full
        {
            self.queue.fetching = true;
            self.held = self.queue.held();
        }
    }

    /// As its timer does.
    fn wake(&mut self) {
        if self.queue.next_due.is_some_and(|due| due.0 <= self.now) {
            self.queue.next_due = None;
            self.queue.spill();
            self.refill();
        }
    }

    /// As [`crate::store::deliveries::due`] finds it.
    fn due(&self, room: usize) -> Found {
        let mut due: Vec<(i64, i64)> = (self.rows.iter())
            .filter_map(|(id, row)| Some((row.due_at?, *id)))
            .collect();
        due.sort_unstable();
        let next_due = due.iter().find(|(due_at, _)| *due_at > self.now);
        let next_due = next_due.map(|(due_at, _)| Timestamp(*due_at));
        let may_go = |id: i64| {
            let lane = self.rows[&id].lane;
            !self.is_strict() || lane == 0 || {
                let mut earlier = self.rows.range(..id);
                !earlier.any(|(_, row)| row.lane == lane && row.due_at.is_some())
            }
        };
        let mut found: Vec<Delivery> = (due.iter())
            .filter(|(due_at, id)| *due_at <= self.now && may_go(*id) && !self.held.contains(id))
            .map(|(_, id)| self.delivery(*id))
            .collect();
        let more = found.len() >= room;
        found.truncate(room);
        (found, more, next_due)
    }

    fn delivery(&self, id: i64) -> Delivery {
        let row = &self.rows[&id];
        Delivery {
            occurred_at: Timestamp(row.occurred_at),
            due_at: Timestamp(row.due_at.unwrap_or(row.occurred_at)),
            attempts: row.attempts,
            ..delivery(id, row.lane)
        }
    }

    /// Whether this one's turn has come.
    fn check(&self, next: &Delivery) {
        let row = &self.rows[&next.id];
        let id = next.id;
        assert!(row.due_at.is_some(), "{id} is over");
        let is_here = self.under_way.iter().any(|(other, _)| other.id == id);
        assert!(!is_here, "{id} is under way already");
        let has_ended = self.ended.iter().any(|(other, ..)| other.id == id);
        assert!(!has_ended, "{id} has just ended");
        if next.lane == 0 || self.tried.contains(&id) && !self.is_strict() {
            return;
        }
        for (earlier, row) in self.rows.range(..id) {
            if row.lane == next.lane {
                let waits = match self.is_strict() {
                    true => row.due_at.is_some(),
                    false => !self.tried.contains(earlier),
                };
                assert!(!waits, "{id} overtakes {earlier}");
            }
        }
    }

    /// Whatever is still to come goes well.
    fn finish(&mut self) {
        for _ in 0..20 * (self.rows.len() + 1) {
            for step in [
                Step::HearOfCommit,
                Step::Read(2),
                Step::Answer,
                Step::Send,
                Step::End(0, None),
                Step::Settle,
                Step::HearOfSettled,
                Step::Pass(1),
            ] {
                self.step(step);
            }
        }
        let left: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| row.due_at.is_some())
            .collect();
        assert!(left.is_empty(), "never sent: {left:?}");
        assert!(self.queue.is_idle(), "{:?}", self.queue);
        assert_eq!(self.queue.taken(), Load::default());
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_is_sent_in_its_order(
        is_strict: bool,
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(if is_strict { Ordering::Strict } else { Ordering::Call });
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}
