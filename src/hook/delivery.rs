//! What is handed from hook to store to delivery: one event, rendered for one hook.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Format, Hook, Verb};
use crate::call::Fact;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// The id by which a receiver knows an event again: `webhook-id`, `Idempotency-Key`.
///
/// Derived from Core-UUID, Event-Sequence, trigger and hook, so it is the same on every retry, after a
/// restart, and when the same switch event is seen twice. A fact that was worked out and not seen has no
/// sequence; its leg stands in for it. The leg also tells one of two facts from the other that one event
/// means alike for two calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId(pub [u8; 16]);

impl WebhookId {
    /// The id of `fact` for the hook `hook_id`.
    pub fn of(fact: &Fact, hook_id: &str) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update(part);
            hash.update([0]);
        };
        add(fact.core_uuid.as_bytes());
        add(&fact.sequence.to_be_bytes());
        add(fact.trigger.id().as_bytes());
        add(hook_id.as_bytes());
        if fact.sequence == 0 || fact.twin {
            add(fact.call_id.as_deref().unwrap_or_default().as_bytes());
            add(&fact.at.0.to_be_bytes());
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The id of something that comes from no event of the switch (a test request).
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }
}

impl std::fmt::Display for WebhookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As the digits of a UUID, which are written in one piece: there are several for each request.
        let mut digits = uuid::Uuid::encode_buffer();
        let id = uuid::Uuid::from_bytes(self.0).simple();
        f.write_str("msg_")?;
        f.write_str(id.encode_lower(&mut digits))
    }
}

impl std::fmt::Debug for WebhookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One event for one hook: what the store keeps and delivery sends.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its row; 0 until it is committed.
    pub id: i64,
    /// The queue it waits in: [`Hook::key`].
    pub queue: i64,
    /// The account of the hook.
    pub account_id: Arc<str>,
    /// The hook.
    pub hook_id: Arc<str>,
    /// What happened.
    pub trigger: Trigger,
    /// The leg it happened to.
    pub call_id: Option<Arc<str>>,
    /// The call within which order is kept: a hash of its root leg's id, 0 where it belongs to no call.
    pub lane: i64,
    /// The id the receiver knows it by.
    pub webhook_id: WebhookId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// How it is sent, as the hook said when it happened: the body was made for it.
    pub verb: Verb,
    /// What the body is, as the hook said when it happened.
    pub format: Format,
    /// The body; for GET the query string.
    pub body: Bytes,
    /// Attempts that were made and recorded.
    pub attempts: u32,
    /// When it may be tried next; at first when it happened, and not before what was committed before it.
    pub due_at: Timestamp,
    /// When somebody last queued it again; its age is held against none of its tries then.
    pub queued_again: Option<Timestamp>,
    /// When it was committed; zero until then.
    pub committed_at: Timestamp,
    /// Recorded for a hook that is off: kept, not sent.
    pub skipped: bool,
    /// The hook itself, where it is no stored one.
    pub ad_hoc: Option<Arc<Hook>>,
}

impl Delivery {
    /// `fact` for `hook`, rendered, due at once.
    pub fn new(fact: &Fact, hook: &Arc<Hook>) -> Self {
        let webhook_id = WebhookId::of(fact, &hook.id);
        Self {
            id: 0,
            queue: hook.key,
            account_id: Arc::clone(&hook.account_id),
            hook_id: Arc::clone(&hook.id),
            trigger: fact.trigger,
            call_id: fact.call_id.clone(),
            lane: fact.call_uuid.as_deref().map_or(0, hash63),
            webhook_id,
            occurred_at: fact.at,
            verb: hook.settings.verb,
            format: hook.settings.format,
            body: super::render::render(fact, hook, webhook_id),
            attempts: 0,
            due_at: fact.at,
            queued_again: None,
            committed_at: Timestamp::default(),
            skipped: !hook.is_on(),
            ad_hoc: (hook.key < 0).then(|| Arc::clone(hook)),
        }
    }
}

/// A fact that somebody wants, and what is sent of it: one row of the event log with its deliveries.
#[derive(Debug, Clone)]
pub struct Record {
    /// What happened.
    pub trigger: Trigger,
    /// When, by the switch's clock.
    pub at: Timestamp,
    /// The switch process it happened in.
    pub core_uuid: Arc<str>,
    /// Its number there; 0 where it was worked out.
    pub sequence: u64,
    /// Whose call it is.
    pub account_id: Arc<str>,
    /// The leg.
    pub call_id: Option<Arc<str>>,
    /// The call's root leg.
    pub call_uuid: Option<Arc<str>>,
    /// What is sent, at least one.
    pub deliveries: Vec<Delivery>,
}

impl Record {
    /// The record of `fact` with its deliveries.
    pub fn new(fact: &Fact, deliveries: Vec<Delivery>) -> Self {
        Self {
            trigger: fact.trigger,
            at: fact.at,
            core_uuid: Arc::clone(&fact.core_uuid),
            sequence: fact.sequence,
            account_id: Arc::clone(&fact.account_id),
            call_id: fact.call_id.clone(),
            call_uuid: fact.call_uuid.clone(),
            deliveries,
        }
    }

    /// Makes nothing due later than `now`, by our clock: a switch whose clock is ahead of it must not put
    /// anything off. What is told keeps the switch's own time.
    pub fn due_by(&mut self, now: Timestamp) {
        for delivery in &mut self.deliveries {
            delivery.occurred_at = delivery.occurred_at.min(now);
            delivery.due_at = delivery.due_at.min(now);
        }
    }

    /// About how much memory it takes, in bytes: what bounded queues count.
    pub fn weight(&self) -> usize {
        let bodies: usize = self.deliveries.iter().map(|d| d.body.len()).sum();
        256 + bodies + self.deliveries.len() * size_of::<Delivery>()
    }
}

/// A number from 1 to 2^63 - 1 that is always the same for the same text, on every machine and in every
/// version: it is kept in the database.
pub fn hash63(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (i64::from_be_bytes(first) & i64::MAX).max(1)
}
