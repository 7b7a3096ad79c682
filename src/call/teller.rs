//! Makes facts of what was worked out, where somebody wants them.

use std::sync::Arc;

use super::account::Accounts;
use super::fact::{Fact, Payload, Value};
use super::leg::{Leg, stars};
use super::needs::Wanted;
use super::payload::{payload, sign};
use super::state::Call;
use crate::esl::Event;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// When, where and how something was learned.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    /// Event-Sequence; 0 where it was not seen.
    pub(super) sequence: u64,
    pub(super) core_uuid: Arc<str>,
    /// FreeSWITCH-Switchname, else its host's name.
    pub(super) switch: Option<Arc<str>>,
    /// Worked out after a gap.
    pub(super) reconciled: bool,
}

/// Tells facts.
pub(super) struct Teller<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) accounts: &'a Accounts,
    pub(super) moment: Moment,
    pub(super) facts: &'a mut Vec<Fact>,
}

impl Teller<'_> {
    /// Tells something of a leg. `add` sets what the trigger adds to the payload.
    pub(super) fn tell(
        &mut self,
        trigger: Trigger,
        leg: &Leg,
        call: &Call,
        add: impl FnOnce(&mut Payload),
    ) {
        // Which triggers a subscription of the call's own means is for `hook/` to say.
        if !self.wanted.triggers.contains(trigger) && call.subscription.is_none() {
            return;
        }
        let account = leg
            .account
            .as_ref()
            .or(call.account.as_ref())
            .map_or_else(|| self.accounts.fallback(), Arc::clone);
        let mut payload = payload(leg, call, Arc::clone(&account), &self.moment);
        add(&mut payload);
        self.facts.push(Fact {
            trigger,
            at: self.moment.at,
            core_uuid: Arc::clone(&self.moment.core_uuid),
            sequence: self.moment.sequence,
            account_id: account,
            call_id: Some(Arc::clone(&leg.uuid)),
            call_uuid: Some(Arc::clone(&call.root)),
            internal_leg: leg.internal,
            call_type: call.call_type(),
            numbers: Arc::clone(&call.numbers),
            reconciled: self.moment.reconciled,
            twin: self.has_told(trigger),
            switch_event: None,
            subscription: call.subscription.clone(),
            payload,
        });
    }

    /// Whether this event has meant `trigger` already.
    fn has_told(&self, trigger: Trigger) -> bool {
        let mut told =
            (self.facts.iter().rev()).take_while(|fact| fact.sequence == self.moment.sequence);
        told.any(|fact| fact.trigger == trigger)
    }

    /// Tells a raw event of the switch. It belongs to the default account: what one tenant's channel says is
    /// no other tenant's business, and many such events have no channel at all.
    pub(super) fn tell_switch_event(
        &mut self,
        name: Arc<str>,
        event: &Event,
        call_id: Option<Arc<str>>,
        leg: Option<&Leg>,
    ) {
        // In which the switch itself repeats what was pressed.
        let is_secret = |name: &str| {
            leg.is_some_and(|leg| {
                leg.masked && name.eq_ignore_ascii_case("DTMF-Digit")
                    || leg.was_masked && name.eq_ignore_ascii_case("variable_digits_dialed")
            })
        };
        let headers: Arc<[(Box<str>, Box<str>)]> = event
            .headers()
            .map(|(name, value)| match is_secret(&name) {
                true => (name.into(), stars(&value).into()),
                false => (name.into(), value.into()),
            })
            .collect();
        let account = self.accounts.fallback();
        let call_uuid = leg.map(|leg| Arc::clone(&leg.call));
        let mut payload = Payload::with_capacity(8);
        payload.set("account_id", Arc::clone(&account));
        payload.set_some("call_id", call_id.clone());
        payload.set_some("call_uuid", call_uuid.clone());
        payload.set("event", Arc::clone(&name));
        payload.set("headers", Value::Object(headers));
        sign(&mut payload, &self.moment);
        self.facts.push(Fact {
            trigger: Trigger::SwitchEvent,
            at: self.moment.at,
            core_uuid: Arc::clone(&self.moment.core_uuid),
            sequence: self.moment.sequence,
            account_id: account,
            call_id,
            call_uuid,
            internal_leg: leg.is_some_and(|leg| leg.internal),
            call_type: None,
            numbers: Arc::new([]),
            reconciled: false,
            twin: false,
            switch_event: Some(name),
            subscription: None,
            payload,
        });
    }
}
