//! The fact of a webhook action: told because the call asked for it, from what one event says of its leg.

use std::sync::Arc;

use super::account::Accounts;
use super::fact::Fact;
use super::leg::{Leg, Reading};
use super::needs::Wanted;
use super::state::Call;
use super::teller::{Moment, Teller};
use super::tracker::TrackerConfig;
use crate::esl::Event;
use crate::time::Timestamp;
use crate::trigger::{Trigger, TriggerSet};

/// The fact that a leg has reached a webhook action, from an event or an answer to `connect` that carries
/// the leg's variables. The payload is that of every other trigger.
pub fn fact_of_action(event: &Event, accounts: &Accounts, config: &TrackerConfig) -> Fact {
    let at = Timestamp(event.number("Event-Date-Timestamp").unwrap_or_default());
    let text = |name| event.text(name).unwrap_or_default();
    let reading = Reading {
        accounts,
        click_to_call_variable: &config.click_to_call_variable,
        export_variables: &config.export_variables,
    };
    let mut leg = Leg::new(text("Unique-ID").into(), at);
    leg.read_first(event, true, &reading);
    leg.call = match event.text("Channel-Call-UUID") {
        Some(root) => root.into(),
        None => Arc::clone(&leg.uuid),
    };
    let mut call = Call::new(Arc::clone(&leg.call), leg.created);
    call.admit(&leg);
    call.read_orders(event);
    let wanted = Wanted {
        triggers: TriggerSet::from_iter([Trigger::CallflowWebhook]),
        ..Wanted::default()
    };
    let mut facts = Vec::with_capacity(1);
    let sequence = event.number("Event-Sequence").unwrap_or_default();
    let mut teller = Teller {
        wanted: &wanted,
        accounts,
        moment: Moment {
            at,
            sequence: u64::try_from(sequence).unwrap_or_default(),
            core_uuid: text("Core-UUID").into(),
            switch: event
                .text("FreeSWITCH-Switchname")
                .or_else(|| event.text("FreeSWITCH-Hostname"))
                .map(Into::into),
            reconciled: false,
        },
        facts: &mut facts,
    };
    teller.tell(Trigger::CallflowWebhook, &leg, &call, |_| {});
    facts.pop().expect("the one trigger that is wanted is told")
}
