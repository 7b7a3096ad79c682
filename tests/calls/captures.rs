//! What a real switch said, byte for byte: a test a recorded call. The table is in the captures' README.

use serde::Serialize;
use switchhook::call::{CallType, Fact, Payload, TrackerConfig, Value, Wanted};
use switchhook::trigger::{Trigger, TriggerSet};

use crate::tools::{Desk, capture, line, number, only};

/// Plays a capture; at its end nothing must live any more.
fn played(name: &str) -> Vec<Fact> {
    let mut desk = Desk::new();
    desk.hear_all(&capture(name));
    assert!(desk.is_empty(), "{name} leaves something behind");
    desk.facts
}

/// The facts without `channel_progress`, which the table leaves out.
fn lines(facts: &[Fact]) -> Vec<String> {
    facts
        .iter()
        .filter(|fact| fact.trigger != Trigger::ChannelProgress)
        .map(line)
        .collect()
}

/// The whole of what is told, for a snapshot.
#[derive(Serialize)]
struct Told<'a> {
    hook_event: &'a str,
    timestamp: i64,
    payload: &'a Payload,
}

fn whole(facts: &[Fact]) -> Vec<Told<'_>> {
    facts
        .iter()
        .map(|fact| Told {
            hook_event: fact.trigger.id(),
            timestamp: fact.at.gregorian(),
            payload: &fact.payload,
        })
        .collect()
}

#[test]
fn a_menu_takes_the_call_and_three_digits() {
    let facts = played("ivr");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(5766)",
            "call_received(5766)",
            "channel_answer(5766)",
            "call_answered_ivr(5766)",
            "call_missed_or_answered(5766)",
            "dtmf(5766)",
            "dtmf(5766)",
            "dtmf(5766)",
            "channel_destroy(5766)",
            "call_hangup(5766)",
        ]
    );
    let digits: Vec<_> = facts
        .iter()
        .filter(|fact| fact.trigger == Trigger::Dtmf)
        .map(|fact| {
            let text = |field| fact.payload.text(field).unwrap();
            (text("digit"), text("digits"), number(fact, "duration_ms"))
        })
        .collect();
    assert_eq!(digits[0], ("4", "4", Some(2000)));
    assert_eq!(digits[2].1, "42#");
    insta::assert_json_snapshot!("ivr", whole(&facts));
}

#[test]
fn an_extension_answers() {
    let facts = played("bridge");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(04e9)",
            "call_received(04e9)",
            "channel_create(313e)",
            "extension_dialed(313e)",
            "channel_answer(313e)",
            "channel_answer(04e9)",
            "channel_bridge(04e9)",
            "call_answered_extension(04e9)",
            "call_missed_or_answered(04e9)",
            "channel_destroy(313e)",
            "channel_unbridge(04e9)",
            "channel_destroy(04e9)",
            "call_hangup(04e9)",
        ]
    );
    let answered = only(&facts, Trigger::CallAnsweredExtension);
    assert_eq!(answered.payload.text("extension"), Some("1001"));
    let end = only(&facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("hung_up_by"), Some("caller"));
    assert_eq!(number(end, "legs"), Some(2));
    insta::assert_json_snapshot!("bridge", whole(&facts));
}

#[test]
fn nobody_answers_and_voicemail_does() {
    let facts = played("missed-vm");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(8db2)",
            "call_received(8db2)",
            "channel_create(5efe)",
            "extension_dialed(5efe)",
            "channel_destroy(5efe)",
            "channel_answer(8db2)",
            "channel_destroy(8db2)",
            "call_hangup(8db2)",
            "call_missed(8db2)",
            "call_missed_or_answered(8db2)",
        ]
    );
    let dialed = only(&facts, Trigger::ExtensionDialed);
    assert_eq!(dialed.payload.text("extension"), Some("1003"));
    let missed = only(&facts, Trigger::CallMissed);
    assert_eq!(missed.payload.get("voicemail"), Some(&Value::Bool(true)));
    let end = only(&facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("answered_by"), Some("voicemail"));
    assert_eq!(end.payload.text("outcome"), Some("missed"));
    assert_eq!(number(end, "ringing_seconds"), Some(2));
    insta::assert_json_snapshot!("missed-vm", whole(&facts));
}

#[test]
fn one_of_a_ring_group_wins_the_race() {
    let facts = played("ringgroup");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(32fd)",
            "call_received(32fd)",
            "channel_create(fdd5)",
            "extension_dialed(fdd5)",
            "channel_create(e0f5)",
            "extension_dialed(e0f5)",
            "channel_answer(e0f5)",
            "channel_destroy(fdd5)",
            "channel_answer(32fd)",
            "channel_bridge(32fd)",
            "call_answered_ring_group(32fd)",
            "call_missed_or_answered(32fd)",
            "channel_destroy(e0f5)",
            "channel_unbridge(32fd)",
            "channel_destroy(32fd)",
            "call_hangup(32fd)",
        ]
    );
    let dialed: Vec<_> = facts
        .iter()
        .filter_map(|fact| fact.payload.text("extension"))
        .collect();
    assert_eq!(dialed, ["1003", "1001"]);
    let lost = facts
        .iter()
        .find(|fact| line(fact) == "channel_destroy(fdd5)")
        .unwrap();
    assert_eq!(lost.payload.text("hangup_cause"), Some("LOSE_RACE"));
    // The dialled number is theirs.
    assert!(facts.iter().all(|fact| &*fact.account_id == "brick"));
}

#[test]
fn an_agent_of_a_queue_takes_the_call() {
    let facts = played("queue");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(0470)",
            "call_received(0470)",
            "channel_answer(0470)",
            "channel_create(d0a9)",
            "extension_dialed(d0a9)",
            "channel_answer(d0a9)",
            "channel_bridge(0470)",
            "call_answered_queue(0470)",
            "call_missed_or_answered(0470)",
            "channel_destroy(d0a9)",
            "channel_unbridge(0470)",
            "channel_destroy(0470)",
            "call_hangup(0470)",
        ]
    );
    let answered = only(&facts, Trigger::CallAnsweredQueue);
    assert_eq!(answered.payload.text("queue"), Some("support@default"));
    assert_eq!(answered.payload.text("agent"), Some("agent1@default"));
    // The agent's leg has a Channel-Call-UUID of its own, and yet it is one call.
    let root = facts[0].call_id.clone();
    assert!(facts.iter().all(|fact| fact.call_uuid == root));
    insta::assert_json_snapshot!("queue", whole(&facts));
}

#[test]
fn a_click_to_call_reaches_the_customer() {
    let facts = played("click2call");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(cccc)",
            "extension_dialed(cccc)",
            "channel_answer(cccc)",
            "channel_create(9b0b)",
            "channel_answer(9b0b)",
            "channel_bridge(cccc)",
            "call_answered_customer(cccc)",
            "call_missed_or_answered(cccc)",
            "channel_unbridge(cccc)",
            "channel_destroy(cccc)",
            "call_hangup(cccc)",
            "channel_destroy(9b0b)",
        ]
    );
    for fact in &facts {
        assert_eq!(fact.call_type, Some(CallType::ClickToCall));
    }
    // The customer's number finds the call as soon as it is dialled.
    let bridge = only(&facts, Trigger::ChannelBridge);
    assert!(bridge.numbers.contains(&"15557770000".into()));
    insta::assert_json_snapshot!("click2call", whole(&facts));
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let facts = played("caller-cancel");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(9b2e)",
            "call_received(9b2e)",
            "channel_destroy(9b2e)",
            "call_hangup(9b2e)",
            "call_missed(9b2e)",
            "call_missed_or_answered(9b2e)",
        ]
    );
    let missed = only(&facts, Trigger::CallMissed);
    assert_eq!(missed.payload.get("voicemail"), Some(&Value::Bool(false)));
    let end = only(&facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("hangup_cause"), Some("ORIGINATOR_CANCEL"));
    assert_eq!(end.payload.text("hung_up_by"), Some("caller"));
    assert_eq!(number(end, "ringing_seconds"), Some(1));
    assert_eq!(number(end, "billing_seconds"), Some(0));
}

#[test]
fn the_callee_is_busy() {
    let facts = played("busy");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(6324)",
            "extension_dialed(6324)",
            "channel_create(6ae6)",
            "call_received(6ae6)",
            "channel_destroy(6ae6)",
            "call_hangup(6ae6)",
            "call_missed(6ae6)",
            "call_missed_or_answered(6ae6)",
            "channel_destroy(6324)",
            "call_hangup(6324)",
        ]
    );
    let refused = &facts.last().unwrap().payload;
    assert_eq!(refused.text("hangup_cause"), Some("USER_BUSY"));
    assert_eq!(refused.text("hangup_code"), Some("sip:486"));
    assert_eq!(refused.text("hung_up_by"), Some("callee"));
    assert_eq!(refused.text("call_type"), Some("outbound"));
}

#[test]
fn an_answered_call_is_transferred_to_an_extension() {
    let facts = played("transfer");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(86ea)",
            "call_received(86ea)",
            "channel_answer(86ea)",
            "channel_create(25da)",
            "extension_dialed(25da)",
            "channel_answer(25da)",
            "channel_bridge(86ea)",
            "call_answered_extension(86ea)",
            "call_missed_or_answered(86ea)",
            "channel_unbridge(86ea)",
            "channel_destroy(25da)",
            "channel_destroy(86ea)",
            "call_hangup(86ea)",
        ]
    );
    let answered = only(&facts, Trigger::CallAnsweredExtension);
    assert_eq!(answered.payload.text("extension"), Some("1002"));
    // What was dialled stays what was dialled.
    let end = only(&facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("destination_number"), Some("9196"));
}

#[test]
fn hold_is_refused_and_the_call_dies_of_it() {
    let facts = played("hold-refused");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(fec0)",
            "call_received(fec0)",
            "channel_answer(fec0)",
            "channel_hold(fec0)",
            "channel_unhold(fec0)",
            "channel_destroy(fec0)",
            "call_hangup(fec0)",
            "call_missed_or_answered(fec0)",
        ]
    );
    let end = only(&facts, Trigger::ChannelDestroy);
    let cause = end.payload.text("hangup_cause");
    assert_eq!(cause, Some("NORMAL_TEMPORARY_FAILURE"));
    assert_eq!(end.payload.text("hangup_code"), Some("sip:503"));
}

#[test]
fn a_conference_is_nobody_in_particular_but_no_missed_call() {
    let facts = played("conf");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(8d51)",
            "call_received(8d51)",
            "channel_answer(8d51)",
            "channel_destroy(8d51)",
            "call_hangup(8d51)",
            "call_missed_or_answered(8d51)",
        ]
    );
    let outcome = only(&facts, Trigger::CallMissedOrAnswered);
    assert_eq!(outcome.payload.text("outcome"), Some("answered"));
    assert_eq!(outcome.payload.text("answered_by"), None);
}

#[test]
fn a_caller_leaves_a_queue_that_nobody_serves() {
    let facts = played("fifo");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(bbea)",
            "call_received(bbea)",
            "channel_answer(bbea)",
            "channel_destroy(bbea)",
            "call_hangup(bbea)",
            "call_missed(bbea)",
            "call_missed_or_answered(bbea)",
        ]
    );
    let end = only(&facts, Trigger::CallHangup);
    assert_eq!(number(end, "queue_seconds"), Some(1));
}

#[test]
fn names_from_all_over_the_world_arrive_unharmed() {
    let config = TrackerConfig {
        export_variables: ["note", "x-*", "list"].map(str::to_owned).to_vec(),
        ..TrackerConfig::default()
    };
    let mut desk = Desk::with(config, TriggerSet::all());
    desk.hear_all(&capture("utf8"));
    assert_eq!(
        lines(&desk.facts),
        [
            "channel_create(dddd)",
            "channel_create(49ff)",
            "channel_answer(dddd)",
            "channel_answer(49ff)",
            "channel_destroy(dddd)",
            "call_hangup(dddd)",
            "channel_destroy(49ff)",
        ]
    );
    for fact in &desk.facts {
        // The switch turns the dialled half round when it is answered: then she is the callee.
        let names = ["caller_id_name", "callee_id_name"].map(|field| fact.payload.text(field));
        assert!(names.contains(&Some("Zoë Müller 王伟 🎧 %")), "{names:?}");
        // Both halves of a loopback pair are one call, and neither is a call that was received.
        assert!(fact.internal_leg);
        assert!(fact.call_uuid.as_deref().unwrap().starts_with("dddd"));
        let vars = serde_json::to_value(fact.payload.get("custom_channel_vars")).unwrap();
        assert_eq!(vars["note"], "line1\nline2");
        assert_eq!(vars["x-eq"], "a=b&c=d;e: f");
        assert_eq!(vars["list"], "ARRAY::one|:two|:three ,");
        assert_eq!(vars.as_object().unwrap().len(), 3);
    }
}

#[test]
fn raw_events_of_the_switch_are_told_to_who_names_them() {
    let mut desk = Desk::with(TrackerConfig::default(), TriggerSet::NONE);
    desk.tracker.want(Wanted {
        triggers: [Trigger::SwitchEvent].into_iter().collect(),
        switch_events: ["CUSTOM callcenter::info", "CHANNEL_HANGUP_COMPLETE"]
            .map(str::to_owned)
            .into(),
    });
    desk.hear_all(&capture("queue"));
    let told: Vec<_> = desk
        .facts
        .iter()
        .map(|fact| {
            (
                fact.switch_event.as_deref().unwrap(),
                fact.call_id.as_deref(),
            )
        })
        .collect();
    let queue = told
        .iter()
        .filter(|(name, _)| *name == "CUSTOM callcenter::info");
    assert_eq!(queue.clone().count(), 10);
    // Most of the queue's events have no channel at all.
    assert_eq!(queue.filter(|(_, leg)| leg.is_none()).count(), 6);
    assert_eq!(told.len(), 12);
    let fact = &desk.facts[0];
    let payload = serde_json::to_value(&fact.payload).unwrap();
    assert_eq!(payload["event"], "CUSTOM callcenter::info");
    assert_eq!(payload["headers"]["CC-Action"], "member-queue-start");
    assert_eq!(
        payload["headers"]["Caller-Caller-ID-Number"],
        "+15550001111"
    );
    for field in Trigger::SwitchEvent.adds() {
        assert!(fact.payload.get(field).is_some(), "{field}");
    }
}

#[test]
fn nothing_is_built_that_nobody_wants() {
    let wanted = [Trigger::CallHangup].into_iter().collect();
    let mut desk = Desk::with(TrackerConfig::default(), wanted);
    desk.hear_all(&capture("bridge"));
    assert_eq!(desk.told(), ["call_hangup(04e9)"]);
}

#[test]
fn what_is_subscribed_for_the_end_of_a_call_is_enough_to_tell_it() {
    let full = played("queue");
    let wanted = Wanted {
        triggers: [Trigger::CallHangup].into_iter().collect(),
        ..Wanted::default()
    };
    let (names, _) = wanted.events_needed();
    let mut desk = Desk::new();
    desk.tracker.want(wanted);
    let events = capture("queue");
    desk.hear_all(events.iter().filter(|event| names.contains(event.name())));
    let only_end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(only_end, only(&full, Trigger::CallHangup));
}

#[test]
fn every_trigger_says_what_its_catalogue_entry_promises() {
    // Where the switch says nothing, a field is left out.
    let may_be_missing = [
        "hangup_code",
        "hangup_disposition",
        "queue_seconds",
        "answered_by",
    ];
    for name in [
        "ivr",
        "bridge",
        "missed-vm",
        "ringgroup",
        "queue",
        "hold-refused",
        "early-busy",
        "early-answer",
    ] {
        for fact in played(name) {
            for field in fact.trigger.adds() {
                assert!(
                    fact.payload.get(field).is_some() || may_be_missing.contains(field),
                    "{name}: {} lacks {field}",
                    fact.trigger
                );
            }
        }
    }
}

#[test]
fn every_field_of_a_payload_is_known_by_its_name() {
    for name in [
        "queue",
        "missed-vm",
        "transfer",
        "click2call",
        "ivr",
        "utf8",
    ] {
        let mut desk = Desk::new();
        desk.hear_all(&capture(name));
        for fact in &desk.facts {
            for (field, _) in fact.payload.iter() {
                assert_eq!(Payload::field(field), Some(field), "{}", fact.trigger);
            }
        }
    }
    assert_eq!(Payload::field("caller_id"), None);
}

#[test]
fn who_is_only_heard_as_early_media_and_then_busy_has_not_taken_the_call() {
    let facts = played("early-busy");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(71bb)",
            "call_received(71bb)",
            "channel_create(ffd0)",
            "extension_dialed(ffd0)",
            "channel_bridge(71bb)",
            "channel_destroy(ffd0)",
            "channel_unbridge(71bb)",
            "channel_answer(71bb)",
            "channel_destroy(71bb)",
            "call_hangup(71bb)",
            "call_missed(71bb)",
            "call_missed_or_answered(71bb)",
        ]
    );
    let outcome = only(&facts, Trigger::CallMissedOrAnswered);
    assert_eq!(outcome.payload.text("outcome"), Some("missed"));
}

#[test]
fn who_is_heard_as_early_media_takes_the_call_when_he_answers() {
    let facts = played("early-answer");
    assert_eq!(
        lines(&facts),
        [
            "channel_create(e845)",
            "call_received(e845)",
            "channel_create(532d)",
            "extension_dialed(532d)",
            "channel_bridge(e845)",
            "channel_answer(532d)",
            "call_answered_extension(e845)",
            "call_missed_or_answered(e845)",
            "channel_answer(e845)",
            "channel_destroy(532d)",
            "channel_unbridge(e845)",
            "channel_destroy(e845)",
            "call_hangup(e845)",
        ]
    );
    let answered = only(&facts, Trigger::CallAnsweredExtension);
    assert_eq!(answered.payload.text("extension"), Some("1005"));
}
