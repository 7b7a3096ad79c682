//! What a hook is: its document read, its filters, what it is sent.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use switchhook::call::{Account, Accounts, CallType, Fact, Payload, Rules, Value as Field};
use switchhook::hook::{
    Document, Hook, Index, Record, Router, Secrets, Settings, Verdict, form_encode,
};
use switchhook::time::Timestamp;
use switchhook::trigger::Trigger;

fn document(value: Value) -> Document {
    value.as_object().unwrap().clone()
}

fn hook_of(key: i64, account: &str, more: Value) -> Hook {
    let mut full =
        document(json!({"name": "t", "hook": "all", "uri": "http://127.0.0.1/", "format": "json"}));
    full.extend(document(more));
    Hook {
        key,
        id: format!("{key:032x}").into(),
        account_id: account.into(),
        settings: Settings::read(&full).unwrap(),
        document: full,
        disable_reason: None,
        created: Timestamp(0),
        modified: Timestamp(0),
        secrets: Secrets::default(),
    }
}

/// A digit is pressed in an inbound call to +1 555 777 0000.
fn digit_pressed() -> Fact {
    let mut payload = Payload::default();
    payload.set("call_id", "04e9b6ee");
    payload.set("call_type", "inbound");
    payload.set("caller_id_name", "Zoë & 王");
    payload.set("digit", "2");
    payload.set("duration_ms", 2_000);
    payload.set("is_root_leg", true);
    payload.set(
        "custom_channel_vars",
        Field::Object(Arc::new([("crm_id".into(), "a=b".into())])),
    );
    Fact {
        trigger: Trigger::Dtmf,
        at: Timestamp(1_795_248_023_065_845),
        core_uuid: "bd449c15".into(),
        sequence: 27_856,
        account_id: "default".into(),
        call_id: Some("04e9b6ee".into()),
        call_uuid: Some("04e9b6ee".into()),
        internal_leg: false,
        call_type: Some(CallType::Inbound),
        numbers: Arc::new(["15557770000".into(), "15550001111".into()]),
        reconciled: false,
        twin: false,
        switch_event: None,
        subscription: None,
        payload,
    }
}

fn route(hooks: impl IntoIterator<Item = Hook>, fact: &Fact) -> Option<Record> {
    let index = Arc::new(Index::new(hooks));
    Router::new(index).route(fact, &Accounts::default())
}

fn body(hook: Hook) -> String {
    let record = route([hook], &digit_pressed()).unwrap();
    String::from_utf8(record.deliveries[0].body.to_vec()).unwrap()
}

#[test]
fn every_mistake_is_named_with_its_field_and_its_rule() {
    let wrong = document(json!({
        "uri": "ftp://user@example.com/", "hook": ["dtmf", "no_such"], "http_verb": "delete",
        "format": "xml", "retries": 9, "custom_data": [], "enabled": "yes",
        "custom_request_headers": {"Host": "x", "bad name": "x", "ok": "line\nbreak", "Webhook-Id": "x"},
        "modifiers": {"digit": {"a": 1}}, "call_types": ["sideways"], "numbers": ["none"],
        "timezone": "Mars/Olympus", "failover_uri": 7, "expires_seconds": 0, "ordering": "random",
        "rate_limit": {"burst": 5}, "timeout_ms": 1.5, "secret": "hunter2",
    }));
    let mistakes = Settings::read(&wrong).unwrap_err();
    insta::assert_json_snapshot!(mistakes.into_document());
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = Settings::read(&document(
        json!({"name": "n", "hook": "ALL", "uri": "https://example.com/x", "extra": {"kept": 1}}),
    ))
    .unwrap();
    assert_eq!(settings.retries, 2);
    assert_eq!(settings.verb.id(), "post");
    assert_eq!(settings.format.id(), "form-data");
    assert!(settings.enabled && settings.include_internal_legs && !settings.include_subaccounts);
    assert_eq!(&*settings.endpoint, "https://example.com");
}

#[test]
fn a_uri_is_measured_in_characters() {
    let with = |path: String| {
        let uri = format!("http://a.test/{path}");
        Settings::read(&document(json!({"name": "n", "hook": "all", "uri": uri})))
    };
    assert!(with("ü".repeat(2_034)).is_ok());
    assert!(with("ü".repeat(2_035)).is_err());
}

#[test]
fn a_body_is_json_in_the_order_of_the_catalogue() {
    assert_eq!(
        body(hook_of(1, "default", json!({"timezone": "Asia/Tokyo"}))),
        concat!(
            r#"{"hook_event":"dtmf","webhook_id":"msg_ec1c6f0e8ff4d91ff96ea0a9f6e3a7ea","#,
            r#""timestamp":63962467223,"occurred_at":"2026-11-21T17:00:23.065845+09:00","#,
            r#""account_id":"default","call_id":"04e9b6ee","call_type":"inbound","#,
            r#""caller_id_name":"Zoë & 王","digit":"2","duration_ms":2000,"is_root_leg":true,"#,
            r#""custom_channel_vars":{"crm_id":"a=b"}}"#
        )
        .replace("msg_ec1c6f0e8ff4d91ff96ea0a9f6e3a7ea", &webhook_id())
    );
}

fn webhook_id() -> String {
    let record = route([hook_of(1, "default", json!({}))], &digit_pressed()).unwrap();
    record.deliveries[0].webhook_id.to_string()
}

#[test]
fn the_id_depends_on_what_happened_and_on_the_hook_and_on_nothing_else() {
    let id = |key, fact: &Fact| {
        let record = route([hook_of(key, "default", json!({}))], fact).unwrap();
        record.deliveries[0].webhook_id
    };
    let fact = digit_pressed();
    let mut later = digit_pressed();
    later.sequence += 1;
    assert_eq!(id(1, &fact), id(1, &fact));
    assert_ne!(id(1, &fact), id(2, &fact));
    assert_ne!(id(1, &fact), id(1, &later));
}

#[test]
fn custom_data_wins_but_for_what_kazoo_reserves() {
    let custom = json!({"custom_data": {"digit": "mine", "type": "x", "action": "y", "nested": {"a": [1, true, null]}}});
    let json: Value = serde_json::from_str(&body(hook_of(1, "default", custom.clone()))).unwrap();
    assert_eq!(json["digit"], "mine");
    assert_eq!(json["nested"]["a"], json!([1, true, null]));
    assert!(json.get("type").is_none() && json.get("action").is_none());

    let mut form = custom;
    form["format"] = json!("form-data");
    let form = body(hook_of(1, "default", form));
    for pair in [
        "hook_event=dtmf",
        "caller_id_name=Zo%C3%AB+%26+%E7%8E%8B",
        "digit=mine",
        "custom_channel_vars%5Bcrm_id%5D=a%3Db",
        "nested%5Ba%5D%5B%5D=1&nested%5Ba%5D%5B%5D=true&nested%5Ba%5D%5B%5D=",
        "is_root_leg=true",
    ] {
        assert!(form.contains(pair), "{pair} in {form}");
    }
}

#[test]
fn filters_let_through_what_they_say() {
    let fact = digit_pressed();
    let verdict = |more| hook_of(1, "default", more).settings.verdict(&fact);
    for wanted in [
        json!({"modifiers": {"digit": ["1", "2"]}}),
        json!({"modifiers": {"digit": 2}}),
        json!({"modifiers": {"no_such_field": "x"}}),
        json!({"modifiers": {"is_root_leg": true, "duration_ms": "2000"}}),
        json!({"numbers": ["+1 (555) 777-0000"]}),
        json!({"numbers": ["+1555000*", "+49*"]}),
        json!({"call_types": ["outbound", "inbound"]}),
        json!({"include_internal_legs": false}),
    ] {
        assert_eq!(verdict(wanted.clone()), Verdict::Wanted, "{wanted}");
    }
    for (more, expected) in [
        (json!({"hook": "channel_create"}), Verdict::OtherTrigger),
        (
            json!({"modifiers": {"digit": ["1"]}}),
            Verdict::Modifier("digit".into()),
        ),
        (json!({"numbers": ["5557770000"]}), Verdict::Number),
        (json!({"call_types": ["click_to_call"]}), Verdict::CallType),
    ] {
        assert_eq!(verdict(more.clone()), expected, "{more}");
    }
    let mut loopback = digit_pressed();
    loopback.internal_leg = true;
    let hook = hook_of(1, "default", json!({"include_internal_legs": false}));
    assert_eq!(hook.settings.verdict(&loopback), Verdict::InternalLeg);
}

#[test]
fn a_switch_event_is_named_as_the_switch_writes_it() {
    let with = |event: Value| {
        document(json!({
            "name": "n", "hook": "switch_event", "uri": "http://a.test/", "modifiers": {"event": event},
        }))
    };
    for name in ["RECORD_STOP", "CUSTOM callcenter::info"] {
        assert!(Settings::written(&with(json!([name])), None).is_ok());
    }
    for names in [
        json!([]),
        json!(""),
        json!("ALL"),
        json!("CUSTOM"),
        json!("record_stop"),
        json!(["RECORD_STOP", "NO SUCH"]),
        json!("Custom callcenter::info"),
        json!("CUSTOM a b"),
        json!("RECORD_STOP\nexit"),
    ] {
        let mistakes = Settings::written(&with(names.clone()), None).unwrap_err();
        let mistakes = mistakes.to_string();
        assert!(mistakes.starts_with("modifiers.event: "), "{names}");
    }
    // One that is older than this rule can still be renamed.
    let old = with(json!(["RECORD_STOP", "record_start"]));
    let mut renamed = old.clone();
    renamed.insert("name".into(), json!("m"));
    assert!(Settings::written(&renamed, Some(&old)).is_ok());
}

#[test]
fn a_modifier_may_name_the_trigger() {
    let of = |trigger| hook_of(1, "default", json!({"modifiers": {"hook_event": trigger}}));
    let fact = digit_pressed();
    assert_eq!(of("dtmf").settings.verdict(&fact), Verdict::Wanted);
    assert_eq!(
        of("channel_create").settings.verdict(&fact),
        Verdict::Modifier("hook_event".into())
    );
}

#[test]
fn a_modifier_that_is_null_is_none() {
    let hook = hook_of(1, "default", json!({"modifiers": {"digit": null}}));
    assert!(route([hook], &digit_pressed()).is_some());
    let nameless = document(json!({
        "name": "n", "hook": "switch_event", "uri": "http://127.0.0.1/", "modifiers": {"event": null},
    }));
    let mistakes = Settings::read(&nameless).unwrap_err().to_string();
    assert!(mistakes.starts_with("modifiers.event: "), "{mistakes}");
}

#[test]
fn what_belongs_to_no_call_does_not_pass_the_filters_on_calls() {
    let mut fact = digit_pressed();
    fact.trigger = Trigger::SwitchConnected;
    (fact.call_id, fact.call_uuid, fact.call_type) = (None, None, None);
    fact.numbers = Arc::default();
    for (filter, verdict) in [
        (json!({}), Verdict::Wanted),
        (
            json!({"modifiers": {"digit": "9"}}),
            Verdict::Modifier("digit".into()),
        ),
        (json!({"numbers": ["+49*"]}), Verdict::Number),
        (json!({"call_types": ["inbound"]}), Verdict::CallType),
    ] {
        let hook = hook_of(1, "default", filter.clone());
        assert_eq!(hook.settings.verdict(&fact), verdict, "{filter}");
    }
}

#[test]
fn accounts_see_their_own_and_what_is_below_where_they_ask_for_it() {
    let account = |id: &str, parent: Option<&str>| Account {
        id: id.into(),
        parent: parent.map(Into::into),
        ..Account::default()
    };
    let accounts = Accounts::new(
        Rules::default(),
        [
            account("default", None),
            account("reseller", None),
            account("customer", Some("reseller")),
        ],
    );
    let index = Arc::new(Index::new([
        hook_of(1, "default", json!({})),
        hook_of(2, "reseller", json!({})),
        hook_of(3, "reseller", json!({"include_subaccounts": true})),
        hook_of(4, "customer", json!({})),
    ]));
    let mut fact = digit_pressed();
    fact.account_id = "customer".into();
    let router = Router::new(Arc::clone(&index));
    let told = |record: Record| -> Vec<i64> { record.deliveries.iter().map(|d| d.queue).collect() };
    assert_eq!(told(router.route(&fact, &accounts).unwrap()), [4, 3]);

    index.remove("customer", &format!("{:032x}", 4));
    index.put(hook_of(
        3,
        "reseller",
        json!({"include_subaccounts": true, "hook": "channel_create"}),
    ));
    assert!(router.route(&fact, &accounts).is_none());
    assert_eq!(index.len(), 3);
}

#[test]
fn what_a_hook_that_is_off_would_have_got_is_kept_as_skipped() {
    let record = route(
        [hook_of(1, "default", json!({"enabled": false}))],
        &digit_pressed(),
    )
    .unwrap();
    assert!(record.deliveries[0].skipped);
}

#[test]
fn a_call_can_bring_its_own_hook() {
    let mut fact = digit_pressed();
    let subscription = |events: Option<&str>| {
        Some(Arc::new(switchhook::call::Subscription {
            uri: "http://127.0.0.1:9000/mine".into(),
            events: events.map(Into::into),
            verb: Some("PUT".into()),
            format: Some("json".into()),
        }))
    };
    fact.subscription = subscription(Some("channel_destroy, dtmf"));
    let record = route([], &fact).unwrap();
    let delivery = &record.deliveries[0];
    assert!(delivery.queue < 0);
    assert_eq!(delivery.verb.id(), "put");
    let hook = delivery.ad_hoc.as_ref().unwrap();
    assert_eq!(hook.settings.uri.as_str(), "http://127.0.0.1:9000/mine");

    fact.subscription = subscription(Some("channel_create"));
    assert!(route([], &fact).is_none());
    fact.subscription = subscription(Some("nonsense"));
    assert!(route([], &fact).is_none());
}

proptest! {
    /// Whatever is in the payload, the form is read back as the pairs that were put in.
    #[test]
    fn a_form_is_read_back_as_it_was_written(pairs in prop::collection::btree_map("\\PC{1,20}", "\\PC*", 0..20)) {
        let object: Document = pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let read: std::collections::BTreeMap<String, String> =
            form_urlencoded::parse(form_encode(&object).as_bytes()).into_owned().collect();
        prop_assert_eq!(read, pairs);
    }

    /// No document makes the reader panic, and what it takes it takes again when shown.
    #[test]
    fn a_hook_that_is_shown_can_be_sent_back(name in "\\PC{1,40}", retries in 0..=4, path in "[a-z/%&=?]{0,30}") {
        let document = document(json!({"name": name, "hook": "dtmf", "retries": retries, "uri": format!("http://example.com/{path}")}));
        let settings = Settings::read(&document).unwrap();
        let hook = Hook { settings, ..hook_of(1, "default", json!({})) };
        let hook = Hook { document, ..hook };
        prop_assert!(Settings::read(&hook.view()).is_ok());
    }
}
