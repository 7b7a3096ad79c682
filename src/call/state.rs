//! What is remembered of a call: its root leg, who belongs to it, and how it has gone so far.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::AnsweredBy;
use super::fact::{CallType, Subscription, digits};
use super::leg::{Leg, Word, is_short};
use super::memory;
use crate::esl::Event;
use crate::time::Timestamp;

/// How many numbers a call is found by at most.
const NUMBERS_KEPT: usize = 8;

/// One call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    /// The root leg's Unique-ID.
    #[serde(skip)]
    pub(super) root: Arc<str>,
    /// The legs that live.
    #[serde(skip)]
    pub(super) members: Vec<Arc<str>>,
    /// How many legs it has had.
    pub(super) legs: u32,
    /// The root leg was dialled in to the switch.
    pub(super) inbound: bool,
    /// The root leg has ended: nothing more is told of the call, only of its legs.
    pub(super) over: bool,
    #[serde(with = "memory::plain")]
    pub(super) created: Timestamp,
    #[serde(with = "memory::plain")]
    pub(super) account: Option<Arc<str>>,
    /// What the root leg dialled first.
    #[serde(with = "memory::plain")]
    pub(super) destination: Option<Arc<str>>,
    #[serde(with = "memory::plain")]
    pub(super) numbers: Arc<[Box<str>]>,
    #[serde(with = "memory::plain")]
    guessed_type: Option<CallType>,
    #[serde(with = "memory::plain")]
    said_type: Option<CallType>,
    #[serde(with = "memory::plain")]
    pub(super) subscription: Option<Arc<Subscription>>,
    /// `switchhook_answered_by`: the dialplan has the last word.
    pub(super) says: Option<AnsweredBy>,
    /// Who took it first.
    pub(super) taken: Option<AnsweredBy>,
    /// Which of the `call_answered_*` have been told.
    pub(super) told: Vec<AnsweredBy>,
    /// `call_missed_or_answered` has been told.
    pub(super) told_outcome: bool,
    pub(super) root_answered: bool,
    /// The root leg runs a menu but is not answered yet.
    pub(super) menu_waits: bool,
    /// One of its legs was bridged to one that had answered, be it a loopback leg.
    pub(super) bridged: bool,
    /// Voicemail was reached.
    pub(super) voicemail: bool,
    /// Somebody's phone was rung, or a queue looked for somebody.
    pub(super) sought: bool,
    #[serde(with = "memory::plain")]
    pub(super) queued: Option<Timestamp>,
    pub(super) queue_time: Option<Duration>,
    pub(super) hold_time: Duration,
    /// The far end of the leg that was bridged to the root, or that it dialled last, hung up by itself.
    pub(super) callee_left: bool,
}

impl Call {
    /// The call of `root`, of which nothing is known yet.
    pub(super) fn new(root: Arc<str>, at: Timestamp) -> Self {
        Self {
            root,
            created: at,
            numbers: Arc::new([]),
            ..Self::default()
        }
    }

    /// Takes a leg in.
    pub(super) fn admit(&mut self, leg: &Leg) {
        self.members.push(Arc::clone(&leg.uuid));
        self.legs += 1;
        if leg.uuid == self.root {
            self.inbound = !leg.outbound;
            self.created = leg.created;
            self.destination = leg.word(Word::Dialled).cloned();
            self.root_answered |= leg.answered.is_some();
            self.guessed_type = Some(type_by_root(leg));
            self.add_number(leg.word(Word::CallerNumber));
            self.add_number(leg.word(Word::Dialled));
        } else if leg.outbound && !leg.internal {
            self.sought = true;
            self.callee_left = false;
            let outside = leg.gateway || leg.word(Word::Extension).is_none();
            if outside && self.guessed_type == Some(CallType::Internal) {
                self.guessed_type = Some(CallType::Outbound);
            }
            // Whoever is called from here is what the call is about; whom an inbound call is passed on to
            // is not.
            if outside && self.call_type() != Some(CallType::Inbound) {
                self.add_number(leg.word(Word::Dialled));
            }
        }
        self.follow(leg);
    }

    /// Learns what a leg has learned meanwhile.
    pub(super) fn follow(&mut self, leg: &Leg) {
        let root = leg.uuid == self.root;
        if root {
            self.account.clone_from(&leg.account);
            if leg.click_to_call {
                self.guessed_type = Some(CallType::ClickToCall);
            }
        }
        if let Some(subscription) = &leg.subscription
            && (root || self.subscription.is_none())
        {
            self.subscription = Some(Arc::clone(subscription));
        }
    }

    /// Reads what the dialplan says of the call on its root leg, or on a loopback leg that runs it.
    pub(super) fn read_orders(&mut self, event: &Event) {
        if let Some(kind) = event.variable("switchhook_call_type") {
            self.said_type = CallType::from_id(&kind).or(self.said_type);
        }
        if let Some(kind) = event.variable("switchhook_answered_by") {
            self.says = AnsweredBy::said(&kind).or(self.says);
        }
    }

    /// What kind of call it is; `None` until its root leg is known.
    pub(super) fn call_type(&self) -> Option<CallType> {
        self.said_type.or(self.guessed_type)
    }

    /// The root leg starts to wait in a queue.
    pub(super) fn enter_queue(&mut self, at: Timestamp) {
        self.sought = true;
        self.queued.get_or_insert(at);
        self.queue_time.get_or_insert(Duration::ZERO);
    }

    /// The wait is over: somebody came, or the call went on or ended without.
    pub(super) fn leave_queue(&mut self, at: Timestamp) {
        if let Some(queued) = self.queued.take() {
            self.queue_time = Some(self.queue_time.unwrap_or_default() + at.since(queued));
        }
    }

    /// A leg of it was on hold for `time`.
    pub(super) fn add_hold(&mut self, time: Duration) {
        self.hold_time += time;
    }

    fn add_number(&mut self, number: Option<&Arc<str>>) {
        let Some(number) = number.map(|number| digits(number)) else {
            return;
        };
        if number.is_empty() || self.numbers.contains(&number) || self.numbers.len() >= NUMBERS_KEPT
        {
            return;
        }
        self.numbers = self.numbers.iter().cloned().chain([number]).collect();
    }
}

/// The type that a root leg suggests when it comes up.
fn type_by_root(root: &Leg) -> CallType {
    if root.click_to_call {
        CallType::ClickToCall
    } else if root.outbound {
        CallType::Outbound
    } else if root.user {
        match root.word(Word::Dialled) {
            Some(number) if !is_short(number) => CallType::Outbound,
            _ => CallType::Internal,
        }
    } else {
        CallType::Inbound
    }
}
