//! What was not seen: a connection that dropped, a sidecar or a switch that was restarted.

use std::collections::BTreeMap;

use switchhook::call::{ChannelRow, Snapshot, Tracker, TrackerConfig, Wanted};
use switchhook::esl::Event;
use switchhook::trigger::{Trigger, TriggerSet};

use crate::tools::{Desk, Script, capture, event, line, number, only};

const REAL_LIST: &[u8] = include_bytes!("../captures/show-channels.json");
const REAL_DUMP: &[u8] = include_bytes!("../captures/uuid-dump.json");

/// A minute after [`REAL_LIST`] was made.
const AFTER_REAL_LIST: i64 = 1_795_253_110_000_000;

fn row(uuid: &str, direction: &str, callstate: &str, call_uuid: &str) -> ChannelRow {
    ChannelRow {
        uuid: uuid.into(),
        direction: direction.into(),
        callstate: callstate.into(),
        call_uuid: call_uuid.into(),
        state: match direction {
            "outbound" if callstate == "ACTIVE" => "CS_EXCHANGE_MEDIA".into(),
            _ => "CS_EXECUTE".into(),
        },
        ..ChannelRow::default()
    }
}

fn list(channels: Vec<ChannelRow>) -> Snapshot {
    Snapshot {
        core_uuid: Some("core-1".into()),
        channels,
    }
}

#[test]
fn a_real_list_of_channels_begins_them_all() {
    let mut desk = Desk::new();
    let mut snapshot = Snapshot::parse(None, REAL_LIST).unwrap();
    assert_eq!(desk.tracker.strangers(&snapshot).count(), 4);
    // One was asked for its channel variables.
    let dump = Event::from_json(REAL_DUMP).unwrap();
    let known = dump.text("Unique-ID").unwrap().into_owned();
    for row in &mut snapshot.channels {
        if row.uuid == known {
            row.dump = Some(dump.clone());
        }
    }
    desk.see(&snapshot, AFTER_REAL_LIST);
    for fact in &desk.facts {
        assert!(fact.reconciled);
        assert_eq!(fact.sequence, 0);
        let payload = serde_json::to_value(&fact.payload).unwrap();
        assert_eq!(payload["reconciled"], true);
        assert!(payload.get("sequence").is_none());
    }
    let answered = desk
        .facts
        .iter()
        .find(|fact| line(fact) == "channel_answer(d873)");
    let payload = &answered.unwrap().payload;
    assert_eq!(payload.text("sip_call_id"), Some("1-7758@127.0.0.1"));
    assert_eq!(
        desk.told(),
        [
            "channel_create(d873)",
            "call_received(d873)",
            "channel_create(f262)",
            "call_received(f262)",
            "channel_create(3c92)",
            "call_received(3c92)",
            "channel_create(a917)",
            "extension_dialed(a917)",
            "channel_answer(d873)",
            "channel_answer(3c92)",
            "channel_answer(a917)",
            "channel_bridge(3c92)",
            "call_answered_extension(3c92)",
            "call_missed_or_answered(3c92)",
        ]
    );
    // It is not told again what is known.
    desk.see(&snapshot, AFTER_REAL_LIST + 1);
    assert_eq!(desk.told(), Vec::<String>::new());
    assert_eq!(desk.tracker.strangers(&snapshot).count(), 0);
    // All hung up while nobody listened.
    let nothing = Snapshot::parse(None, br#"{"row_count": 0}"#).unwrap();
    desk.see(&nothing, AFTER_REAL_LIST + 10_000_000);
    assert!(desk.is_empty());
    let ends = |trigger| {
        desk.facts
            .iter()
            .filter(move |fact| fact.trigger == trigger)
    };
    assert_eq!(ends(Trigger::ChannelDestroy).count(), 4);
    assert_eq!(ends(Trigger::CallHangup).count(), 3);
    // The one that rang was missed; the parked one and the bridged one were not.
    let missed = only(&desk.facts, Trigger::CallMissed);
    assert_eq!(line(missed), "call_missed(f262)");
    for end in ends(Trigger::ChannelDestroy) {
        assert_eq!(end.payload.text("hangup_cause"), None, "nobody knows");
        // The list has whole seconds, the dump has microseconds.
        let exact = end.call_id.as_deref() == Some(&*known);
        let seconds = if exact { 70 } else { 71 };
        assert_eq!(number(end, "duration_seconds"), Some(seconds));
    }
}

#[test]
fn what_happened_in_a_gap_is_caught_up_with() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    script.caller("cccc", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    desk.told();
    script.wait(30);
    let rows = vec![
        row("aaaa", "inbound", "ACTIVE", "aaaa"),
        row("bbbb", "outbound", "ACTIVE", "aaaa"),
        row("dddd", "inbound", "RINGING", ""),
    ];
    desk.see(&list(rows), script.now);
    assert_eq!(
        desk.told(),
        [
            "channel_destroy(cccc)",
            "call_hangup(cccc)",
            "call_missed(cccc)",
            "call_missed_or_answered(cccc)",
            "channel_create(dddd)",
            "call_received(dddd)",
            "channel_answer(aaaa)",
            "channel_answer(bbbb)",
            "channel_bridge(aaaa)",
            "call_answered_extension(aaaa)",
            "call_missed_or_answered(aaaa)",
        ]
    );
    // What comes late of the one that was ended changes nothing; the others go on as if seen.
    desk.hear(&script.end("cccc", "NORMAL_CLEARING", "recv_bye"));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    assert_eq!(desk.told(), Vec::<String>::new());
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "send_bye"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    script.caller("dddd", "5001");
    desk.hear(&script.end("dddd", "ORIGINATOR_CANCEL", ""));
    assert_eq!(
        desk.told(),
        [
            "channel_destroy(bbbb)",
            "channel_destroy(aaaa)",
            "call_hangup(aaaa)",
            "channel_destroy(dddd)",
            "call_hangup(dddd)",
            "call_missed(dddd)",
            "call_missed_or_answered(dddd)",
        ]
    );
}

#[test]
fn what_a_leg_runs_is_learned_from_the_list() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    for (leg, application) in [("aaaa", "voicemail"), ("bbbb", "callcenter")] {
        script.caller(leg, "5001");
        desk.hear(&script.event("CHANNEL_CREATE", leg, &[]));
        desk.hear(&script.event("CHANNEL_ANSWER", leg, &[]));
        let mut listed = row(leg, "inbound", "ACTIVE", leg);
        listed.application = application.into();
        desk.see(&list(vec![listed]), script.now);
        script.wait(2);
    }
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("answered_by"), Some("voicemail"));
    desk.facts.clear();
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(number(end, "queue_seconds"), Some(2));
    assert_eq!(end.payload.text("outcome"), Some("missed"));
}

#[test]
fn a_leg_that_was_heard_of_just_now_is_not_gone_because_it_is_not_listed_yet() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.told();
    desk.see(&list(vec![]), script.now + 1_000_000);
    assert_eq!(desk.told(), Vec::<String>::new());
    desk.see(&list(vec![]), script.now + 10_000_000);
    assert!(desk.told().contains(&"channel_destroy(aaaa)".to_owned()));
}

#[test]
fn a_leg_that_has_ended_but_is_still_listed_does_not_begin_again() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    desk.told();
    let mut dying = row("bbbb", "inbound", "HANGUP", "");
    dying.state = "CS_REPORTING".into();
    let rows = vec![row("aaaa", "inbound", "ACTIVE", ""), dying];
    desk.see(&list(rows), script.now);
    assert_eq!(desk.told(), Vec::<String>::new());
}

#[test]
fn a_restart_of_the_switch_ends_every_leg() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.told();
    script.wait(20);
    let now = script.now.to_string();
    let first_word = event(&[
        ("Event-Name", "HEARTBEAT"),
        ("Core-UUID", "core-2"),
        ("Event-Date-Timestamp", &now),
    ]);
    desk.hear(&first_word);
    for fact in &desk.facts {
        assert!(fact.reconciled);
        // It happened to the switch that is gone.
        assert_eq!(&*fact.core_uuid, "core-1");
    }
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(end.payload.text("hangup_cause"), Some("SWITCH_RESTART"));
    assert_eq!(number(end, "duration_seconds"), Some(20));
    assert_eq!(
        desk.told(),
        [
            "channel_destroy(bbbb)",
            "channel_destroy(aaaa)",
            "call_hangup(aaaa)",
            "call_missed(aaaa)",
            "call_missed_or_answered(aaaa)",
        ]
    );
    assert!(desk.is_empty());
    assert_eq!(desk.tracker.core_uuid(), "core-2");
}

#[test]
fn a_list_from_another_switch_ends_every_leg_too() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.told();
    let snapshot = Snapshot {
        core_uuid: Some("core-2".into()),
        channels: vec![],
    };
    desk.see(&snapshot, script.now);
    assert_eq!(desk.told().first().unwrap(), "channel_destroy(aaaa)");
}

#[test]
fn a_leg_whose_first_event_is_not_its_first_is_told_of_all_the_same() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "6000");
    script.says("aaaa", "variable_sip_call_id", "abc@host");
    // DTMF says nothing of accounts and SIP; the next event does.
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "5")]));
    assert_eq!(
        desk.told(),
        ["channel_create(aaaa)", "call_received(aaaa)", "dtmf(aaaa)"]
    );
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    assert_eq!(desk.told(), Vec::<String>::new());
    desk.hear(&script.event("CHANNEL_HOLD", "aaaa", &[]));
    assert_eq!(desk.facts[0].payload.text("sip_call_id"), Some("abc@host"));
}

#[test]
fn the_end_of_a_leg_is_its_whole_story_but_its_last_breath_is_none() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_HANGUP", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_DESTROY", "aaaa", &[]));
    assert_eq!(desk.told(), Vec::<String>::new());
    script.caller("bbbb", "5001");
    desk.hear(&script.end("bbbb", "ORIGINATOR_CANCEL", ""));
    desk.hear(&script.event("CHANNEL_DESTROY", "bbbb", &[]));
    assert_eq!(
        desk.told(),
        [
            "channel_create(bbbb)",
            "call_received(bbbb)",
            "channel_destroy(bbbb)",
            "call_hangup(bbbb)",
            "call_missed(bbbb)",
            "call_missed_or_answered(bbbb)",
        ]
    );
}

#[test]
fn a_leg_that_never_completed_its_hangup_ends_when_it_is_destroyed() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    let cause = [("Hangup-Cause", "CRASH")];
    desk.hear(&script.event("CHANNEL_DESTROY", "aaaa", &cause));
    let end = only(&desk.facts, Trigger::ChannelDestroy);
    assert_eq!(end.payload.text("hangup_cause"), Some("CRASH"));
    assert!(desk.is_empty());
}

#[test]
fn whoever_takes_the_call_unseen_has_taken_it() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event(
        "CHANNEL_BRIDGE",
        "aaaa",
        &[
            ("Bridge-A-Unique-ID", "aaaa"),
            ("Bridge-B-Unique-ID", "bbbb"),
            ("Other-Leg-Unique-ID", "bbbb"),
            ("Other-Leg-Direction", "outbound"),
            ("Other-Leg-Destination-Number", "1001"),
        ],
    ));
    let answered = only(&desk.facts, Trigger::CallAnsweredExtension);
    assert_eq!(answered.payload.text("extension"), Some("1001"));
    assert_eq!(answered.payload.text("other_leg_call_id"), Some("bbbb"));
}

#[test]
fn the_switch_counts_more_than_is_tracked_for_two_heartbeats() {
    let heartbeat = |count: &str| event(&[("Event-Name", "HEARTBEAT"), ("Session-Count", count)]);
    let mut tracker = Tracker::new(TrackerConfig::default());
    assert_eq!(tracker.heartbeat(&heartbeat("0")), None);
    // Once means nothing, and back and forth neither.
    assert_eq!(tracker.heartbeat(&heartbeat("3")), None);
    assert_eq!(tracker.heartbeat(&heartbeat("0")), None);
    assert_eq!(tracker.heartbeat(&heartbeat("3")), None);
    let mismatch = tracker.heartbeat(&heartbeat("2")).unwrap();
    assert_eq!((mismatch.switch, mismatch.tracked), (2, 0));
}

/// Plays a capture, storing what has changed after every event, and restarts the sidecar after `cut` events.
fn played_with_restart(events: &[Event], cut: usize) -> Vec<switchhook::call::Fact> {
    let mut stored: BTreeMap<String, String> = BTreeMap::new();
    let mut desk = Desk::new();
    desk.tracker.changed();
    for event in &events[..cut] {
        desk.hear(event);
        for (uuid, state) in desk.tracker.changed() {
            match state {
                Some(state) => stored.insert(uuid.to_string(), state),
                None => stored.remove(&*uuid),
            };
        }
    }
    assert_eq!(stored.len(), desk.tracker.live_legs());
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    let rows = stored.iter().map(|(uuid, state)| (&**uuid, &**state));
    assert!(tracker.restore(rows).is_empty());
    desk.tracker = tracker;
    desk.hear_all(&events[cut..]);
    assert!(desk.is_empty());
    desk.facts
}

#[test]
fn a_restart_of_the_sidecar_at_any_moment_changes_nothing() {
    for name in [
        "ivr",
        "missed-vm",
        "ringgroup",
        "queue",
        "click2call",
        "hold-refused",
        "early-busy",
        "early-answer",
    ] {
        let events = capture(name);
        let whole = played_with_restart(&events, 0);
        for cut in 1..events.len() {
            let cut_in_two = played_with_restart(&events, cut);
            assert_eq!(cut_in_two, whole, "{name} after {cut} events");
        }
    }
}

#[test]
fn a_restart_while_a_card_number_is_typed_does_not_give_it_away() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.tracker.changed();
    script.says("aaaa", "variable_switchhook_mask_dtmf", "true");
    desk.hear(&script.execute("aaaa", "play_and_get_digits", "16 16"));
    let changed = desk.tracker.changed();
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    assert!(
        tracker
            .restore([("aaaa", changed[0].1.as_deref().unwrap())])
            .is_empty()
    );
    desk.tracker = tracker;
    desk.facts.clear();
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "4")]));
    assert_eq!(desk.facts[0].payload.text("digit"), Some("*"));
}

#[test]
fn a_stored_leg_that_is_unreadable_is_named_and_the_others_live() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    let changed = desk.tracker.changed();
    let good = changed[0].1.as_deref().unwrap();
    let mut tracker = Tracker::new(TrackerConfig::default());
    let unreadable = tracker.restore([("bbbb", "{\"core\":"), ("aaaa", good)]);
    assert_eq!(tracker.live_legs(), 1);
    assert_eq!(tracker.core_uuid(), "core-1");
    assert!(unreadable[0].to_string().contains("bbbb"));
}

#[test]
fn only_what_has_changed_is_stored_again() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    script.caller("bbbb", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    assert_eq!(desk.tracker.changed().len(), 1);
    assert!(desk.tracker.changed().is_empty());
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    let changed = desk.tracker.changed();
    assert_eq!(changed.len(), 1);
    assert_eq!(&*changed[0].0, "bbbb");
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(desk.tracker.changed(), [("bbbb".into(), None)]);
}

#[test]
fn a_leg_that_ends_first_thing_after_a_restart_is_stored_no_more() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    let stored = desk.tracker.changed();
    let mut tracker = Tracker::new(TrackerConfig::default());
    let unreadable = tracker.restore([
        ("aaaa", stored[0].1.as_deref().unwrap()),
        ("bbbb", "{\"core\":"),
    ]);
    assert_eq!(unreadable.len(), 1);
    desk.tracker = tracker;
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let mut changed = desk.tracker.changed();
    changed.sort();
    // What cannot be read now can be read by no later start either.
    assert_eq!(changed, [("aaaa".into(), None), ("bbbb".into(), None)]);
}

#[test]
fn a_list_that_comes_before_the_switch_has_said_its_name_ends_nothing() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    let nameless = Snapshot {
        core_uuid: None,
        channels: vec![row("aaaa", "inbound", "ACTIVE", "")],
    };
    desk.see(&nameless, script.now);
    desk.told();
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_HOLD", "aaaa", &[]));
    assert_eq!(desk.told(), ["channel_hold(aaaa)"]);
    assert_eq!(desk.tracker.core_uuid(), "core-1");
}

#[test]
fn what_was_seen_while_the_switch_was_asked_is_newer_than_its_list() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "callcenter", "support@default"));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    desk.told();
    let mut caller = row("aaaa", "inbound", "ACTIVE", "aaaa");
    caller.application = "callcenter".into();
    let answer = list(vec![caller, row("bbbb", "outbound", "ACTIVE", "aaaa")]);
    desk.tracker.asks_for_channels();
    // The two part before all that is asked about others has been answered.
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "playback", "goodbye.wav"));
    let now = script.now;
    desk.reconcile(&answer, now);
    assert_eq!(desk.told(), ["channel_unbridge(aaaa)"]);
    script.wait(30);
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "send_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(number(end, "queue_seconds"), Some(0));
}

#[test]
fn what_has_ended_does_not_begin_again_when_the_rest_is_remembered_anew() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.caller("bbbb", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let stored = desk.tracker.changed();
    let stored = stored.iter();
    let stored: Vec<_> = stored
        .filter_map(|(uuid, state)| Some((&**uuid, state.as_deref()?)))
        .collect();
    // That this one has ended was not stored: it is as if it had not.
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    desk.told();
    desk.tracker.forget();
    assert!(desk.is_empty());
    desk.tracker.restore(stored);
    let late = [
        row("aaaa", "inbound", "ACTIVE", ""),
        row("bbbb", "inbound", "ACTIVE", ""),
    ];
    desk.see(&list(late.to_vec()), script.now);
    assert_eq!(desk.told(), ["channel_answer(bbbb)"]);
}

#[test]
fn a_card_number_that_is_asked_for_in_a_gap_is_not_told() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "playback", "welcome.wav"));
    let mut listed = row("aaaa", "inbound", "ACTIVE", "");
    listed.application = "play_and_get_digits".into();
    let answer = list(vec![listed.clone()]);
    desk.tracker.asks_for_channels();
    assert_eq!(desk.tracker.strangers(&answer).count(), 1);
    script.says("aaaa", "variable_switchhook_mask_dtmf", "true");
    listed.dump = Some(script.event("CHANNEL_DATA", "aaaa", &[]));
    desk.reconcile(&list(vec![listed.clone()]), script.now);
    desk.facts.clear();
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "4")]));
    assert_eq!(desk.facts[0].payload.text("digit"), Some("*"));
    script.says("aaaa", "variable_switchhook_mask_dtmf", "false");
    listed.application = "ivr".into();
    listed.dump = Some(script.event("CHANNEL_DATA", "aaaa", &[]));
    desk.see(&list(vec![listed]), script.now);
    desk.facts.clear();
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "5")]));
    assert_eq!(desk.facts[0].payload.text("digit"), Some("5"));
}
