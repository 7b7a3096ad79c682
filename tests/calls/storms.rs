//! Many calls at once, with events that come twice, late or not at all: what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::Index;
use switchhook::call::Fact;
use switchhook::esl::Event;
use switchhook::hook::WebhookId;
use switchhook::trigger::Trigger;

use crate::tools::{Desk, capture};

static CAPTURES: LazyLock<Vec<(&str, Vec<Event>)>> = LazyLock::new(|| {
    [
        "ivr",
        "bridge",
        "missed-vm",
        "ringgroup",
        "queue",
        "click2call",
        "caller-cancel",
        "busy",
        "transfer",
        "utf8",
        "conf",
        "fifo",
        "hold-refused",
    ]
    .map(|name| (name, capture(name)))
    .to_vec()
});

/// The events of several calls in one stream; each call's own in order.
fn interleaved(calls: &[usize], picks: &[Index]) -> Vec<Event> {
    let mut streams: Vec<_> = calls
        .iter()
        .map(|call| CAPTURES[*call].1.iter().peekable())
        .collect();
    let mut picks = picks.iter().cycle();
    let mut events = Vec::new();
    while !streams.is_empty() {
        let at = picks.next().map_or(0, |pick| pick.index(streams.len()));
        events.extend(streams[at].next().cloned());
        streams.retain_mut(|stream| stream.peek().is_some());
    }
    events
}

fn calls() -> impl Strategy<Value = Vec<usize>> {
    // Each capture once: two plays of one would be one call.
    prop::sample::subsequence((0..13).collect::<Vec<_>>(), 1..=6)
}

fn picks() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 1..200)
}

/// What must hold of whatever is told.
fn check(facts: &[Fact]) -> Result<(), TestCaseError> {
    let mut legs: BTreeMap<Arc<str>, Vec<&Fact>> = BTreeMap::new();
    let mut calls: BTreeMap<Arc<str>, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        let leg = fact.call_id.clone().expect("a channel's");
        legs.entry(leg).or_default().push(fact);
        let call = fact.call_uuid.clone().expect("a call's");
        calls.entry(call).or_default().push(fact);
    }
    let ids: BTreeSet<_> = facts
        .iter()
        .map(|fact| WebhookId::of(fact, "hook"))
        .collect();
    prop_assert_eq!(ids.len(), facts.len());
    for (leg, facts) in &legs {
        let count = |trigger| facts.iter().filter(|fact| fact.trigger == trigger).count();
        prop_assert_eq!(count(Trigger::ChannelCreate), 1, "leg {}", leg);
        prop_assert_eq!(facts[0].trigger, Trigger::ChannelCreate);
        prop_assert_eq!(count(Trigger::ChannelDestroy), 1, "leg {}", leg);
        prop_assert!(count(Trigger::ChannelAnswer) <= 1);
        prop_assert!(count(Trigger::ChannelProgress) <= 1);
        let last_of_channel = facts
            .iter()
            .rfind(|fact| fact.trigger.id().starts_with("channel_"));
        prop_assert_eq!(last_of_channel.unwrap().trigger, Trigger::ChannelDestroy);
    }
    for (root, facts) in &calls {
        let count = |trigger| facts.iter().filter(|fact| fact.trigger == trigger).count();
        for trigger in Trigger::ALL {
            if trigger.id().starts_with("call_") {
                prop_assert!(count(*trigger) <= 1, "{} of {}", trigger, root);
            }
        }
        prop_assert_eq!(count(Trigger::CallHangup), 1, "call {}", root);
        let inbound = count(Trigger::CallReceived) == 1;
        let answered = Trigger::ALL
            .iter()
            .filter(|trigger| trigger.id().starts_with("call_answered_"))
            .any(|trigger| count(*trigger) == 1);
        prop_assert!(!(answered && count(Trigger::CallMissed) == 1), "{}", root);
        if inbound {
            prop_assert_eq!(count(Trigger::CallMissedOrAnswered), 1, "call {}", root);
        }
        let roots: Vec<_> = facts
            .iter()
            .filter(|fact| fact.payload.get("is_root_leg") == Some(&true.into()))
            .collect();
        prop_assert!(roots.iter().all(|fact| fact.call_id.as_ref() == Some(root)));
        prop_assert!(!roots.is_empty());
    }
    Ok(())
}

/// What is told of each call, in order, without what tells when.
fn by_call(facts: &[Fact]) -> BTreeMap<Arc<str>, Vec<(Trigger, Arc<str>)>> {
    let mut calls: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for fact in facts {
        let told = (fact.trigger, fact.call_id.clone().expect("a channel's"));
        let call = fact.call_uuid.clone().expect("a call's");
        calls.entry(call).or_default().push(told);
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn calls_at_the_same_time_do_not_know_of_each_other(calls in calls(), picks in picks()) {
        let mut together = Desk::new();
        together.hear_all(&interleaved(&calls, &picks));
        prop_assert!(together.is_empty());
        check(&together.facts)?;
        let mut alone = Desk::new();
        for call in &calls {
            alone.hear_all(&CAPTURES[*call].1);
        }
        prop_assert_eq!(by_call(&together.facts), by_call(&alone.facts));
    }

    #[test]
    fn what_comes_twice_is_told_once(
        calls in calls(),
        picks in picks(),
        repeats in prop::collection::vec((any::<Index>(), 0..12_usize), 1..60),
    ) {
        let once = interleaved(&calls, &picks);
        let mut twice = once.clone();
        for (repeat, later) in repeats {
            let at = repeat.index(twice.len());
            let again = twice[at].clone();
            twice.insert((at + later).min(twice.len()), again);
        }
        let (mut first, mut second) = (Desk::new(), Desk::new());
        first.hear_all(&once);
        second.hear_all(&twice);
        prop_assert!(second.is_empty());
        check(&second.facts)?;
        prop_assert_eq!(by_call(&first.facts), by_call(&second.facts));
    }

    #[test]
    fn events_of_one_instant_may_come_in_any_order(
        calls in calls(),
        picks in picks(),
        swaps in prop::collection::vec(any::<Index>(), 1..60),
    ) {
        let mut events = interleaved(&calls, &picks);
        for swap in swaps {
            let at = swap.index(events.len() - 1);
            // Each leg's own events come in order, but for the answer of a loopback leg.
            let leg = |event: &Event| event.text("Unique-ID").map(|leg| leg.into_owned());
            let loopback = events[at]
                .text("Channel-Name")
                .is_some_and(|name| name.starts_with("loopback/"));
            let creation = events[at].name() == "CHANNEL_CREATE" && loopback;
            if creation || leg(&events[at]) != leg(&events[at + 1]) {
                events.swap(at, at + 1);
            }
        }
        let mut desk = Desk::new();
        desk.hear_all(&events);
        prop_assert!(desk.is_empty());
        check(&desk.facts)?;
    }

    #[test]
    fn what_is_lost_leaves_nothing_half_told(
        calls in calls(),
        picks in picks(),
        losses in prop::collection::vec(any::<Index>(), 0..120),
    ) {
        let mut events = interleaved(&calls, &picks);
        for loss in losses {
            if !events.is_empty() {
                events.remove(loss.index(events.len()));
            }
        }
        let mut desk = Desk::new();
        desk.hear_all(&events);
        // The switch is asked, and has nothing any more.
        let nothing = switchhook::call::Snapshot::default();
        desk.see(&nothing, i64::MAX);
        prop_assert!(desk.is_empty());
        for fact in &desk.facts {
            let leg = fact.call_id.as_ref().expect("a channel's");
            let of_leg = || desk.facts.iter().filter(|other| other.call_id.as_ref() == Some(leg));
            let count = |trigger| of_leg().filter(|other| other.trigger == trigger).count();
            prop_assert_eq!(count(Trigger::ChannelCreate), 1);
            prop_assert_eq!(count(Trigger::ChannelDestroy), 1);
        }
    }

    #[test]
    fn what_is_stored_goes_on_as_what_is_not(
        calls in calls(),
        picks in picks(),
        losses in prop::collection::vec(any::<Index>(), 0..60),
        restarts in prop::collection::vec(any::<Index>(), 1..4),
    ) {
        let mut events = interleaved(&calls, &picks);
        for loss in losses {
            if events.len() > 1 {
                events.remove(loss.index(events.len()));
            }
        }
        let restarts: Vec<usize> = restarts.iter().map(|at| at.index(events.len())).collect();
        let (mut whole, mut cut) = (Desk::new(), Desk::new());
        let mut stored = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            whole.hear(event);
            cut.hear(event);
            for (uuid, state) in cut.tracker.changed() {
                match state {
                    Some(state) => stored.insert(uuid, state),
                    None => stored.remove(&uuid),
                };
            }
            prop_assert_eq!(stored.len(), cut.tracker.live_legs());
            if restarts.contains(&at) {
                let legs = stored.iter().map(|(uuid, state)| (&**uuid, &**state));
                cut.tracker.forget();
                prop_assert!(cut.tracker.restore(legs).is_empty());
            }
        }
        let nothing = switchhook::call::Snapshot::default();
        whole.see(&nothing, i64::MAX);
        cut.see(&nothing, i64::MAX);
        prop_assert_eq!(cut.facts, whole.facts);
    }
}
