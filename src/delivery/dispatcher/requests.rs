//! The requests of the dispatcher: how one starts, fails over, ends, and what is recorded of it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::super::attempt::{in_words, record};
use super::super::endpoint::Gate;
use super::super::handle::{Seen, SwitchOff};
use super::super::queue::Off;
use super::super::send::Sender;
use super::super::verdict::{Answer, Backoff, Decision, decide};
use super::{Dispatcher, Done};
use crate::hook::{Delivery, Hook};
use crate::store::attempts::{Attempt, AttemptResult};
use crate::store::{Next, Outcome};
use crate::time::Clock;

impl Dispatcher {
    pub(super) fn let_go(&mut self, delivery: &Delivery) {
        if let Some(queue) = self.queues.get_mut(&delivery.queue) {
            queue.attempted(delivery);
        }
    }

    pub(super) fn give_up(&mut self, delivery: &Delivery, reason: &'static str) {
        let now = self.clock.now();
        let attempt = Attempt::none(now, AttemptResult::Failure, reason);
        self.settle(delivery, delivery.attempts, vec![attempt], Next::Failed);
    }

    pub(super) fn settle(
        &mut self,
        delivery: &Delivery,
        made: u32,
        attempts: Vec<Attempt>,
        then: Next,
    ) {
        self.unsettled.insert(delivery.id, delivery.queue);
        if let (Next::Retry { due_at }, Some(queue)) = (then, self.queues.get_mut(&delivery.queue))
        {
            queue.will_retry(delivery.id, due_at);
        }
        self.store.settle(Outcome {
            delivery: delivery.id,
            made,
            attempts,
            then,
        });
    }

    pub(super) fn start(&self, delivery: Delivery, hook: Arc<Hook>, endpoint: Arc<str>) {
        if delivery.attempts == 0 && delivery.queued_again.is_none() {
            let waited = self.clock.now().since(delivery.committed_at);
            self.stats.commit_to_attempt.took(waited);
        }
        self.carry_out(Done {
            failed_over: endpoint != hook.settings.endpoint,
            delivery,
            hook,
            endpoint,
            answer: Answer::NotConnected,
            attempts: Vec::new(),
            bodies: Vec::new(),
            decision: Decision::GiveUp,
        });
    }

    /// Makes one request of a delivery, and reports it with those that were made before.
    pub(super) fn carry_out(&self, so_far: Done) {
        let sender = self.sender.clone();
        let done = self.done.0.clone();
        let clock = self.clock.clone();
        let backoff = self.config.backoff;
        tokio::spawn(async move {
            let report = attempt(&sender, so_far, &clock, backoff).await;
            // The dispatcher outlives its requests.
            let _ = done.send(report);
        });
    }

    /// Where a request that failed is to be made again at once.
    pub(super) fn failover_of(&self, done: &Done) -> Option<Arc<str>> {
        let settings = &done.hook.settings;
        settings.failover_uri.as_ref()?;
        if done.failed_over || self.stopping || !done.answer.asks_for_failover() {
            return None;
        }
        let failover = settings.failover_endpoint.as_ref();
        let failover = failover.unwrap_or(&settings.endpoint);
        // Nothing else may ever go there: a dead one is probed with what would go to a living one.
        let probes = || {
            let endpoint = self.endpoints.get(failover);
            endpoint.is_some_and(|endpoint| endpoint.gate(Instant::now()) == Gate::Open)
        };
        (!self.is_dead(failover) || probes()).then(|| Arc::clone(failover))
    }

    /// Makes the oldest request again that waits for its failover at this endpoint, where its rate allows it.
    /// `false` where there is none.
    pub(super) fn fail_over_one(&mut self, name: &Arc<str>) -> bool {
        let Some(waiting) = self.failing_over.get_mut(name) else {
            return false;
        };
        let Some(mut done) = waiting.pop_front() else {
            self.failing_over.remove(name);
            return false;
        };
        if let Err(at) = self.endpoint(name).take_leave(None) {
            self.failing_over
                .entry(Arc::clone(name))
                .or_default()
                .push_front(done);
            self.wake_endpoint(name, at);
            return false;
        }
        done.endpoint = Arc::clone(name);
        done.failed_over = true;
        self.endpoint(name).started();
        self.in_flight += 1;
        self.carry_out(done);
        true
    }

    pub(super) fn on_done(&mut self, done: Done) {
        let now = Instant::now();
        self.in_flight -= 1;
        self.stats.attempts.add(done.answer.class() as usize, 1);
        if let Some(attempt) = done.attempts.last() {
            self.stats.attempt_times.took(attempt.duration);
        }
        let key = done.delivery.queue;
        let name = Arc::clone(&done.endpoint);
        let endpoint = self.endpoint(&name);
        let was_open = endpoint.is_circuit_open();
        let opened = endpoint.ended(&done.answer, now);
        let is_open = endpoint.is_circuit_open();
        if opened {
            self.stats.circuit_opened(&name);
            warn!(endpoint = %name, "no connection comes about: probing it from now on, its deliveries wait");
            self.evict_all(&name);
        } else if was_open && !is_open {
            self.stats.circuit_closed(&name);
            info!(endpoint = %name, "it answers again");
        }
        if is_open {
            self.conclude_waiting(&name);
        }
        if was_open || is_open {
            self.refill_endpoint(&name);
        }
        match self.failover_of(&done) {
            Some(failover) => {
                let waiting = self.failing_over.entry(Arc::clone(&failover));
                waiting.or_default().push_back(done);
                self.pump(&failover);
            }
            None => self.conclude(done),
        }
        self.enlist(key);
        self.pump(&name);
        self.publish();
    }

    /// Nothing more is tried for now of what waits for its failover at an endpoint that is dead by now.
    fn conclude_waiting(&mut self, name: &Arc<str>) {
        for done in self.failing_over.remove(name).into_iter().flatten() {
            let key = done.delivery.queue;
            self.conclude(done);
            self.enlist(key);
            let queue = self.queues.get(&key);
            if let Some(endpoint) = queue.and_then(|queue| queue.endpoint.clone()) {
                self.pump(&endpoint);
            }
        }
    }

    /// Nothing more is tried of a delivery for now.
    pub(super) fn conclude(&mut self, done: Done) {
        let now = Instant::now();
        let key = done.delivery.queue;
        self.report(&done);

        let then = match done.decision {
            Decision::Delivered => Next::Delivered,
            Decision::RetryAt(due_at) => Next::Retry { due_at },
            Decision::GiveUp | Decision::Gone => Next::Failed,
        };
        let failed = done.decision != Decision::Delivered;
        if failed && key > 0 && !self.is_off(key) && self.goes_there_still(&done) {
            let reason = match done.decision {
                Decision::Gone => Some("the receiver answered 410 Gone".to_owned()),
                _ if self.disabler.failed(key, now) => Some(format!(
                    "{} failed attempts within {} seconds, the last one: {}",
                    self.config.disable_after,
                    self.config.disable_within.as_secs(),
                    done.attempts.last().map(in_words).unwrap_or_default(),
                )),
                _ => None,
            };
            if let Some(reason) = reason {
                self.switch_off(&done.hook, reason);
            }
        }
        let attempts = match done.decision == Decision::Delivered && !self.config.log_successes {
            true => Vec::new(),
            false => done.attempts,
        };
        self.let_go(&done.delivery);
        self.settle(&done.delivery, done.delivery.attempts + 1, attempts, then);
    }

    pub(super) fn report(&self, done: &Done) {
        for (attempt, body) in done.attempts.iter().zip(&done.bodies) {
            if let Some(watch) = &self.watch {
                watch(&Seen {
                    delivery: &done.delivery,
                    attempt,
                    body,
                });
            }
        }
        let delivery = &done.delivery;
        let call_id = delivery.call_id.as_deref().map(tracing::field::display);
        let last = || done.attempts.last().map(in_words).unwrap_or_default();
        match done.decision {
            Decision::Delivered => {
                if delivery.queued_again.is_none() {
                    let took = self.clock.now().since(delivery.occurred_at);
                    self.stats.end_to_end.took(took);
                }
                debug!(
                    hook_id = %delivery.hook_id,
                    call_id,
                    trigger = %delivery.trigger,
                    "delivered"
                );
            }
            Decision::RetryAt(_) => debug!(
                hook_id = %delivery.hook_id,
                call_id,
                trigger = %delivery.trigger,
                "will be tried again: {}",
                last()
            ),
            Decision::GiveUp | Decision::Gone => warn!(
                hook_id = %delivery.hook_id,
                call_id,
                trigger = %delivery.trigger,
                "not delivered: {}",
                last()
            ),
        }
    }

    /// Whether a hook's requests still go where this one went: its owner may have given another address because
    /// of those that failed.
    fn goes_there_still(&self, done: &Done) -> bool {
        let hook = self.hook_of(&done.delivery);
        hook.is_some_and(|hook| hook.settings.uri == done.hook.settings.uri)
    }

    pub(super) fn is_off(&self, key: i64) -> bool {
        self.queues
            .get(&key)
            .is_some_and(|queue| queue.off.is_some())
    }

    /// Stops a hook's queue at once; the hook itself is switched off by whoever keeps it.
    pub(super) fn switch_off(&mut self, hook: &Hook, reason: String) {
        if let Some(queue) = self.queues.get_mut(&hook.key) {
            queue.off = Some(Off::Failing);
        }
        let _ = self.switch_off.send(SwitchOff {
            key: hook.key,
            account_id: Arc::clone(&hook.account_id),
            hook_id: Arc::clone(&hook.id),
            uri: hook.settings.uri.clone(),
            reason,
        });
    }
}

/// Makes one request of a delivery: to the hook's own URI, or to its failover.
async fn attempt(sender: &Sender, mut done: Done, clock: &Clock, backoff: Backoff) -> Done {
    let settings = &done.hook.settings;
    let number = done.delivery.attempts + 1;
    let retries_left = settings.retries.saturating_sub(done.delivery.attempts);
    let uri = match (&settings.failover_uri, done.failed_over) {
        (Some(failover), true) => failover,
        _ => &settings.uri,
    };
    let began = clock.now();
    let sent = sender
        .send(&done.hook, &done.delivery, uri, number, began)
        .await;
    // What the hook's own endpoint said decides when it is tried again.
    if done.attempts.is_empty() || sent.answer.is_success() {
        done.decision = decide(
            &sent.answer,
            number,
            settings.retries,
            backoff,
            fastrand::f64(),
            clock.now(),
        );
    }
    done.answer = sent.answer.clone();
    done.bodies.push(sent.resp_body.clone());
    done.attempts
        .push(record(sent, number, retries_left, began));
    done
}
