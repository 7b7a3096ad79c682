//! Calls that were not recorded, told event by event.

use switchhook::call::{CallType, TrackerConfig, Value, Wanted};
use switchhook::hook::WebhookId;
use switchhook::trigger::{Trigger, TriggerSet};

use crate::tools::{Desk, Script, number, only};

/// The call triggers only.
fn call_triggers() -> TriggerSet {
    TriggerSet::all()
        .iter()
        .filter(|trigger| trigger.id().starts_with("call_") || *trigger == Trigger::ExtensionDialed)
        .collect()
}

fn desk() -> Desk {
    Desk::with(TrackerConfig::default(), call_triggers())
}

/// A caller is put through to 1001, as the switch tells it.
fn put_through(desk: &mut Desk, script: &mut Script, caller: &str, phone: &str) {
    script.caller(caller, "5001");
    desk.hear(&script.event("CHANNEL_CREATE", caller, &[]));
    desk.hear(&script.execute(caller, "bridge", "user/1001@rig.test"));
    script.phone(phone, "1001", caller);
    desk.hear(&script.event("CHANNEL_CREATE", phone, &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", phone, &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", caller, &[]));
    desk.hear(&script.bridge(caller, phone));
}

#[test]
fn an_extension_behind_a_loopback_leg_answers() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "bridge", "loopback/1001/default"));
    script.leg(
        "la",
        &[
            ("Channel-Name", "loopback/1001-a"),
            ("Call-Direction", "outbound"),
            ("Caller-Destination-Number", "1001"),
            ("variable_originator", "aaaa"),
            ("variable_loopback_leg", "A"),
            ("variable_other_loopback_leg_uuid", "lb"),
        ],
    );
    script.leg(
        "lb",
        &[
            ("Channel-Name", "loopback/1001-b"),
            ("Call-Direction", "inbound"),
            ("Caller-Destination-Number", "1001"),
            ("variable_loopback_leg", "B"),
            ("variable_other_loopback_leg_uuid", "la"),
        ],
    );
    // The far half is seen first, and answered before it is created.
    desk.hear(&script.event("CHANNEL_ANSWER", "lb", &[]));
    desk.hear(&script.event("CHANNEL_CREATE", "la", &[]));
    desk.hear(&script.event("CHANNEL_CREATE", "lb", &[]));
    desk.hear(&script.execute("lb", "bridge", "user/1001@rig.test"));
    script.phone("bbbb", "1001", "lb");
    for (name, leg) in [
        ("CHANNEL_CREATE", "bbbb"),
        ("CHANNEL_ANSWER", "bbbb"),
        ("CHANNEL_ANSWER", "la"),
        ("CHANNEL_ANSWER", "aaaa"),
    ] {
        desk.hear(&script.event(name, leg, &[]));
    }
    desk.hear(&script.bridge("aaaa", "la"));
    desk.hear(&script.bridge("lb", "bbbb"));
    // The loopback legs bow out, and the two are bridged directly.
    desk.hear(&script.bridge("aaaa", "bbbb"));
    for leg in ["la", "lb", "bbbb", "aaaa"] {
        desk.hear(&script.end(leg, "NORMAL_CLEARING", "recv_bye"));
    }
    assert!(desk.is_empty());
    let answered = only(&desk.facts, Trigger::CallAnsweredExtension);
    assert_eq!(answered.call_id.as_deref(), Some("aaaa"));
    let dialed = only(&desk.facts, Trigger::ExtensionDialed);
    assert_eq!(dialed.call_id.as_deref(), Some("bbbb"));
    only(&desk.facts, Trigger::CallReceived);
    // The far half came before anything that says whose it is; the near one took it along.
    let of_caller = |fact: &&switchhook::call::Fact| fact.call_uuid.as_deref() == Some("aaaa");
    let late: Vec<_> = desk.facts.iter().filter(|fact| !of_caller(fact)).collect();
    assert!(
        late.iter()
            .all(|fact| fact.call_id.as_deref() == Some("lb"))
    );
    assert_eq!(late.len(), 2, "its channel_create and its channel_answer");
    let creates = desk
        .facts
        .iter()
        .filter(|fact| fact.trigger == Trigger::ChannelCreate);
    assert_eq!(creates.count(), 4);
    only(&desk.facts, Trigger::CallHangup);
}

#[test]
fn a_colleague_picks_up_a_ringing_phone() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "bridge", "user/1001,user/1002"));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    script.user("cccc", "1003", "*8");
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    desk.hear(&script.execute("cccc", "intercept", "aaaa"));
    desk.hear(&script.event("CHANNEL_ANSWER", "cccc", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.end("bbbb", "PICKED_OFF", "send_cancel"));
    desk.hear(&script.bridge("cccc", "aaaa"));
    let answered = only(&desk.facts, Trigger::CallAnsweredExtension);
    // Not the ring group took it, though the caller still runs its `bridge`.
    assert_eq!(answered.call_id.as_deref(), Some("aaaa"));
    assert_eq!(answered.payload.text("extension"), Some("1003"));
    // His own call is answered with it, which a receiver must not take for the same.
    let outcomes: Vec<_> = (desk.facts.iter())
        .filter(|fact| fact.trigger == Trigger::CallMissedOrAnswered)
        .collect();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0].sequence, outcomes[1].sequence);
    assert_ne!(
        WebhookId::of(outcomes[0], "hook"),
        WebhookId::of(outcomes[1], "hook")
    );
    desk.told();
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(desk.told(), ["call_hangup(aaaa)"]);
    // The colleague's own call was received, and so it ends.
    desk.hear(&script.end("cccc", "NORMAL_CLEARING", "send_bye"));
    assert_eq!(desk.told(), ["call_hangup(cccc)"]);
    assert!(desk.is_empty());
}

#[test]
fn who_redials_with_the_same_id_makes_another_call() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    for _ in 0..2 {
        script.caller("aaaa", "5001");
        let create = script.event("CHANNEL_CREATE", "aaaa", &[]);
        desk.hear(&create);
        desk.hear(&script.end("aaaa", "USER_BUSY", "send_refuse"));
        desk.hear(&script.event("CHANNEL_DESTROY", "aaaa", &[]));
        // The switch may say a thing twice, and late.
        desk.hear(&create);
        assert_eq!(
            desk.told(),
            [
                "channel_create(aaaa)",
                "call_received(aaaa)",
                "channel_destroy(aaaa)",
                "call_hangup(aaaa)",
                "call_missed(aaaa)",
                "call_missed_or_answered(aaaa)",
            ]
        );
        assert!(desk.is_empty());
        script.wait(5);
    }
}

#[test]
fn a_parked_call_is_retrieved() {
    let (mut desk, mut script) = (desk(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "valet_park", "lot 5901"));
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(
        desk.told(),
        [
            "call_received(aaaa)",
            "extension_dialed(bbbb)",
            "call_answered_extension(aaaa)",
            "call_missed_or_answered(aaaa)",
        ]
    );
    script.user("cccc", "1002", "5901");
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "cccc", &[]));
    desk.hear(&script.bridge("aaaa", "cccc"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "send_bye"));
    desk.hear(&script.end("cccc", "NORMAL_CLEARING", "recv_bye"));
    // The caller's call was answered before: once is enough. The retriever's own is answered now.
    assert_eq!(
        desk.told(),
        [
            "call_received(cccc)",
            "call_missed_or_answered(cccc)",
            "call_hangup(aaaa)",
            "call_hangup(cccc)",
        ]
    );
    assert!(desk.is_empty());
}

#[test]
fn an_attended_transfer_hands_the_caller_over() {
    let (mut desk, mut script) = (desk(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    // 1001 calls 1002 on a second line, and then connects the two.
    script.user("b2b2", "1001", "1002");
    desk.hear(&script.event("CHANNEL_CREATE", "b2b2", &[]));
    desk.hear(&script.execute("b2b2", "bridge", "user/1002@rig.test"));
    script.phone("dddd", "1002", "b2b2");
    desk.hear(&script.event("CHANNEL_CREATE", "dddd", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "dddd", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "b2b2", &[]));
    desk.hear(&script.bridge("b2b2", "dddd"));
    desk.told();
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "b2b2", &[]));
    desk.hear(&script.bridge("aaaa", "dddd"));
    desk.hear(&script.end("b2b2", "ATTENDED_TRANSFER", "send_bye"));
    desk.hear(&script.end("bbbb", "ATTENDED_TRANSFER", "send_bye"));
    assert_eq!(desk.told(), ["call_hangup(b2b2)"]);
    // 1002's phone belongs to the caller's call now.
    desk.tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    desk.hear(&script.end("dddd", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(desk.facts[0].call_uuid.as_deref(), Some("aaaa"));
    desk.facts.clear();
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "send_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(number(end, "legs"), Some(3));
    assert!(desk.is_empty());
}

#[test]
fn an_answered_call_is_sent_back_to_a_menu() {
    let (mut desk, mut script) = (desk(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.end("bbbb", "BLIND_TRANSFER", "send_bye"));
    desk.hear(&script.execute("aaaa", "ivr", "main"));
    desk.hear(&script.execute("aaaa", "ivr", "submenu"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(
        desk.told(),
        [
            "call_received(aaaa)",
            "extension_dialed(bbbb)",
            "call_answered_extension(aaaa)",
            "call_missed_or_answered(aaaa)",
            "call_answered_ivr(aaaa)",
            "call_hangup(aaaa)",
        ]
    );
    assert!(desk.is_empty());
}

#[test]
fn what_goes_on_after_the_root_leg_is_gone_is_told_of_its_legs_only() {
    let (mut desk, mut script) = (desk(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.end("aaaa", "BLIND_TRANSFER", "recv_bye"));
    desk.told();
    script.phone("cccc", "1002", "bbbb");
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    desk.hear(&script.bridge("bbbb", "cccc"));
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    desk.hear(&script.end("cccc", "NORMAL_CLEARING", "send_bye"));
    assert_eq!(desk.told(), Vec::<String>::new());
    assert!(desk.is_empty());
}

#[test]
fn two_originated_legs_that_are_bridged_become_one_call() {
    let (mut desk, mut script) = (desk(), Script::new());
    for (leg, user) in [("aaaa", "1001"), ("bbbb", "1002")] {
        script.phone(leg, user, leg);
        script.says(leg, "variable_originator", "");
        desk.hear(&script.event("CHANNEL_CREATE", leg, &[]));
        desk.hear(&script.event("CHANNEL_ANSWER", leg, &[]));
    }
    assert_eq!(desk.tracker.live_calls(), 2);
    desk.hear(&script.bridge("bbbb", "aaaa"));
    assert_eq!(desk.tracker.live_calls(), 1);
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "recv_bye"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "send_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(end.call_id.as_deref(), Some("aaaa"));
    assert_eq!(end.call_type, Some(CallType::Outbound));
    assert!(desk.is_empty());
}

#[test]
fn an_agent_who_waits_on_the_line_takes_one_caller_after_the_other() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.user("eeee", "1009", "7199");
    desk.hear(&script.event("CHANNEL_CREATE", "eeee", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "eeee", &[]));
    desk.hear(&script.execute("eeee", "fifo", "sales out wait"));
    desk.told();
    for caller in ["aaaa", "bbbb"] {
        script.caller(caller, "7100");
        desk.hear(&script.event("CHANNEL_CREATE", caller, &[]));
        desk.hear(&script.event("CHANNEL_ANSWER", caller, &[]));
        desk.hear(&script.execute(caller, "fifo", "sales in undef moh"));
        script.wait(7);
        desk.hear(&script.bridge("eeee", caller));
        desk.hear(&script.event("CHANNEL_UNBRIDGE", "eeee", &[]));
        desk.hear(&script.end(caller, "NORMAL_CLEARING", "recv_bye"));
        let answered = only(&desk.facts, Trigger::CallAnsweredQueue);
        assert_eq!(answered.call_id.as_deref(), Some(caller));
        assert_eq!(answered.payload.text("queue"), Some("sales"));
        assert_eq!(answered.payload.text("agent"), Some("1009"));
        let end = only(&desk.facts, Trigger::CallHangup);
        assert_eq!(number(end, "queue_seconds"), Some(7));
        desk.told();
    }
    desk.hear(&script.end("eeee", "NORMAL_CLEARING", "recv_bye"));
    assert_eq!(desk.told(), ["call_hangup(eeee)"]);
    assert!(desk.is_empty());
}

#[test]
fn the_dialplan_has_the_last_word() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    script.says("aaaa", "variable_switchhook_answered_by", "ring_group");
    script.says("aaaa", "variable_switchhook_call_type", "internal");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    let answered = only(&desk.facts, Trigger::CallAnsweredRingGroup);
    assert_eq!(answered.call_type, Some(CallType::Internal));
}

#[test]
fn a_dialplan_that_says_so_makes_a_menu_of_a_script() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    script.says("aaaa", "variable_switchhook_answered_by", "ivr");
    desk.hear(&script.execute("aaaa", "lua", "menu.lua"));
    only(&desk.facts, Trigger::CallAnsweredIvr);
}

#[test]
fn a_dialplan_that_knows_better_is_not_fooled_by_a_menu_that_asks_for_a_pin() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    script.says("aaaa", "variable_switchhook_answered_by", "extension");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "play_and_get_digits", "4 4"));
    assert_eq!(desk.told(), ["call_received(aaaa)"]);
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    only(&desk.facts, Trigger::CallAnsweredExtension);
}

#[test]
fn a_script_that_says_it_is_voicemail_makes_a_missed_call() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    script.says("aaaa", "variable_switchhook_answered_by", "voicemail");
    desk.hear(&script.execute("aaaa", "lua", "voicemail.lua"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let missed = only(&desk.facts, Trigger::CallMissed);
    assert_eq!(missed.payload.get("voicemail"), Some(&Value::Bool(true)));
}

#[test]
fn two_legs_that_are_parted_and_bridged_again_say_so_again() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    // The switch may tell of one bridge on both legs.
    desk.hear(&script.bridge("bbbb", "aaaa"));
    only(&desk.facts, Trigger::ChannelBridge);
    desk.hear(&script.event("CHANNEL_UNBRIDGE", "aaaa", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    let bridges = desk
        .facts
        .iter()
        .filter(|fact| fact.trigger == Trigger::ChannelBridge);
    assert_eq!(bridges.count(), 2);
    only(&desk.facts, Trigger::CallAnsweredExtension);
}

#[test]
fn a_menu_that_plays_before_it_answers_has_taken_the_call_once_it_does() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "ivr", "main"));
    assert_eq!(desk.told(), ["call_received(aaaa)"]);
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    assert_eq!(
        desk.told(),
        ["call_answered_ivr(aaaa)", "call_missed_or_answered(aaaa)"]
    );
}

#[test]
fn a_user_calls_out_through_a_gateway() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.user("aaaa", "1001", "00445550000");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.leg(
        "bbbb",
        &[
            ("Call-Direction", "outbound"),
            ("Caller-Destination-Number", "445550000"),
            ("variable_originator", "aaaa"),
            ("variable_sip_gateway_name", "carrier"),
        ],
    );
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    desk.hear(&script.event(
        "CHANNEL_HANGUP",
        "bbbb",
        &[("variable_sip_term_status", "200")],
    ));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "send_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(end.call_type, Some(CallType::Outbound));
    assert_eq!(end.payload.text("hung_up_by"), Some("callee"));
    assert_eq!(end.payload.text("answered_by"), Some("external"));
    assert!(end.numbers.contains(&"445550000".into()));
    let outcome = only(&desk.facts, Trigger::CallMissedOrAnswered);
    assert_eq!(outcome.payload.text("outcome"), Some("answered"));
}

#[test]
fn users_among_themselves_are_internal() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.user("aaaa", "1001", "1002");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    script.phone("bbbb", "1002", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.end("bbbb", "NO_ANSWER", "send_cancel"));
    desk.hear(&script.end("aaaa", "NO_ANSWER", "send_refuse"));
    assert!(
        desk.facts
            .iter()
            .all(|fact| fact.call_type == Some(CallType::Internal))
    );
    only(&desk.facts, Trigger::CallMissed);
}

#[test]
fn hold_is_counted_whoever_holds() {
    let (mut desk, mut script) = (desk(), Script::new());
    put_through(&mut desk, &mut script, "aaaa", "bbbb");
    desk.hear(&script.event("CHANNEL_HOLD", "bbbb", &[]));
    script.wait(4);
    desk.hear(&script.event("CHANNEL_UNHOLD", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_HOLD", "bbbb", &[]));
    script.wait(5);
    // The phone is dropped while it holds.
    desk.hear(&script.end("bbbb", "NORMAL_CLEARING", "send_bye"));
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    assert_eq!(number(end, "hold_seconds"), Some(9));
}

#[test]
fn a_call_with_a_subscription_of_its_own_is_told_to_it_whatever_others_want() {
    let mut desk = Desk::with(TrackerConfig::default(), TriggerSet::NONE);
    let mut script = Script::new();
    assert!(!desk.tracker.met_subscription());
    script.caller("aaaa", "5001");
    script.caller("bbbb", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    assert_eq!(desk.told(), Vec::<String>::new());
    script.says("aaaa", "variable_switchhook_uri", "https://crm.test/call");
    script.says(
        "aaaa",
        "variable_switchhook_events",
        "channel_answer,call_hangup",
    );
    script.says("aaaa", "variable_switchhook_format", "json");
    desk.hear(&script.event("CHANNEL_ANSWER", "aaaa", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    assert!(desk.tracker.met_subscription());
    let fact = only(&desk.facts, Trigger::ChannelAnswer);
    let subscription = fact.subscription.as_deref().unwrap();
    assert_eq!(&*subscription.uri, "https://crm.test/call");
    assert_eq!(
        subscription.events.as_deref(),
        Some("channel_answer,call_hangup")
    );
    assert_eq!(subscription.verb, None);
    assert_eq!(subscription.format.as_deref(), Some("json"));
    // It is the call's: what happens to its other legs goes there too.
    script.phone("cccc", "1001", "aaaa");
    desk.facts.clear();
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    assert!(desk.facts[0].subscription.is_some());
}

#[test]
fn a_card_number_is_told_to_nobody() {
    let (mut desk, mut script) = (Desk::new(), Script::new());
    desk.tracker.want(Wanted {
        triggers: TriggerSet::all(),
        switch_events: ["DTMF".to_owned()].into(),
    });
    script.caller("aaaa", "5001");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "1")]));
    script.says("aaaa", "variable_switchhook_mask_dtmf", "true");
    desk.hear(&script.execute("aaaa", "play_and_get_digits", "16 16"));
    for digit in ["4", "7"] {
        desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", digit)]));
    }
    script.says("aaaa", "variable_switchhook_mask_dtmf", "false");
    desk.hear(&script.execute("aaaa", "playback", "thanks.wav"));
    desk.hear(&script.event("DTMF", "aaaa", &[("DTMF-Digit", "9")]));
    let told: Vec<_> = desk
        .facts
        .iter()
        .filter(|fact| fact.trigger == Trigger::Dtmf)
        .map(|fact| (fact.payload.text("digit"), fact.payload.text("digits")))
        .collect();
    assert_eq!(
        told,
        [
            (Some("1"), Some("1")),
            (Some("*"), Some("**")),
            (Some("*"), Some("***")),
            (Some("9"), Some("1**9")),
        ]
    );
    let raw: Vec<_> = desk
        .facts
        .iter()
        .filter_map(|fact| fact.payload.get("headers"))
        .filter_map(|headers| match headers {
            Value::Object(headers) => headers.iter().find(|(name, _)| &**name == "DTMF-Digit"),
            _ => None,
        })
        .map(|(_, digit)| &**digit)
        .collect();
    assert_eq!(raw, ["1", "*", "*", "9"]);
}

#[test]
fn an_account_comes_from_the_leg_then_from_the_root_then_from_nowhere() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "6000");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    assert_eq!(&*desk.facts[0].account_id, "brick");
    // A phone that says nothing of it belongs to the caller's account, and a number that is dialled
    // outwards is not whose the call is.
    script.phone("bbbb", "15557770000", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    assert_eq!(&*desk.facts[1].account_id, "brick");
    // The dialplan names another one, and then one that is none and passed over.
    for (said, account) in [("acme", "acme"), ("nobody", "brick")] {
        script.says("aaaa", "variable_account_id", said);
        desk.hear(&script.event("CHANNEL_PROGRESS", "aaaa", &[]));
        desk.facts.clear();
        script.phone(said, "1001", "aaaa");
        desk.hear(&script.event("CHANNEL_CREATE", said, &[]));
        assert_eq!(&*desk.facts[0].account_id, account);
    }
    // What a peer says itself is not believed.
    script.caller("cccc", "7000");
    script.says("cccc", "variable_sip_h_X-Account-ID", "acme");
    desk.facts.clear();
    desk.hear(&script.event("CHANNEL_CREATE", "cccc", &[]));
    assert_eq!(&*desk.facts[0].account_id, "default");
}

#[test]
fn a_dialplan_sets_one_word_of_a_subscription_after_the_other() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "2002");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    for (name, value) in [
        ("variable_switchhook_uri", "https://crm.test/call"),
        ("variable_switchhook_events", "call_hangup"),
        ("variable_switchhook_format", "json"),
    ] {
        script.says("aaaa", name, value);
        desk.hear(&script.execute("aaaa", "set", "one more"));
    }
    desk.hear(&script.end("aaaa", "NORMAL_CLEARING", "recv_bye"));
    let end = only(&desk.facts, Trigger::CallHangup);
    let subscription = end.subscription.as_deref().unwrap();
    assert_eq!(subscription.events.as_deref(), Some("call_hangup"));
    assert_eq!(subscription.format.as_deref(), Some("json"));
}

#[test]
fn a_bridge_that_the_dialplan_calls_a_queue_has_no_queues_name() {
    let (mut desk, mut script) = (desk(), Script::new());
    script.caller("aaaa", "2000");
    script.says("aaaa", "variable_switchhook_answered_by", "queue");
    desk.hear(&script.event("CHANNEL_CREATE", "aaaa", &[]));
    desk.hear(&script.execute("aaaa", "bridge", "user/1001@pbx.test"));
    script.phone("bbbb", "1001", "aaaa");
    desk.hear(&script.event("CHANNEL_CREATE", "bbbb", &[]));
    desk.hear(&script.event("CHANNEL_ANSWER", "bbbb", &[]));
    desk.hear(&script.bridge("aaaa", "bbbb"));
    let answered = only(&desk.facts, Trigger::CallAnsweredQueue);
    assert_eq!(answered.payload.text("queue"), None);
    assert_eq!(answered.payload.text("agent"), Some("1001"));
}
