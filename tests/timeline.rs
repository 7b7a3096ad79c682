//! Explaining a call: what was seen of it, which hooks it matched or why not, and what was sent. The real binary,
//! a real SQLite file, real sockets.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, Home};
use support::pattern::Pattern;
use support::receiver::{Behaviour, Receiver};
use support::switch::{Gate, Script, Switch};
use switchhook::call::{Accounts, Tracker, TrackerConfig, Wanted};
use switchhook::esl::Event;
use switchhook::store::channels::ChannelChange;
use switchhook::store::timeline::{self as steps, Step};
use switchhook::store::{Intake, Opened, Store, StoreConfig};
use switchhook::time::{Clock, Timestamp};
use switchhook::timeline::{Notes, Scribe};
use switchhook::trigger::TriggerSet;

/// The root leg and the phone of the capture `bridge`.
const CALLER: &str = "04e9";
const PHONE: &str = "313e";

/// A switch that plays the capture `bridge` when the gate opens, and a daemon beside it.
struct Stage {
    gate: Gate,
    home: Home,
    daemon: Daemon,
    receiver: Receiver,
    _switch: Switch,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|home| home).await
    }

    async fn with(settings: impl FnOnce(Home) -> Home) -> Self {
        let gate = Gate::new();
        let script = Script::subscribed()
            .pass(&gate)
            .events_of("bridge.plain.esl");
        let switch = Switch::start([script]).await;
        let home = settings(Home::new(switch.port()));
        Self {
            gate,
            daemon: home.serve().await,
            home,
            receiver: Receiver::start().await,
            _switch: switch,
        }
    }

    /// A hook for every trigger, with what `more` says besides.
    async fn add_hook(&self, name: &str, more: Value) -> String {
        let mut hook =
            json!({"name": name, "hook": "all", "format": "json", "uri": self.receiver.uri("/")});
        for (field, value) in more.as_object().unwrap() {
            hook[field] = value.clone();
        }
        self.daemon.add_hook(hook).await
    }

    /// Plays the call, until its end has arrived; the Unique-IDs of its two legs.
    async fn play(&mut self) -> [String; 2] {
        self.gate.open();
        let requests = self
            .receiver
            .until(|request| request.trigger() == "call_hangup")
            .await;
        [CALLER, PHONE].map(|start| {
            let mut legs = requests.iter().map(|request| request.field("call_id"));
            legs.find(|leg| leg.starts_with(start)).unwrap()
        })
    }

    /// The timeline of a call, once every delivery of it was tried and that was written down.
    async fn timeline(&self, call: &str) -> Value {
        let path = format!("/v2/accounts/default/calls/{call}/timeline");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (status, answer) = self.daemon.api("GET", &path, None).await;
            assert_eq!(status, 200, "{answer:#}");
            let is_settled = verdicts(&answer["data"])
                .iter()
                .all(|(_, _, verdict)| verdict["delivery"]["state"] != "pending");
            if is_settled {
                return answer["data"].clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "{answer:#}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn explain(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.home.command(&[&["explain"], arguments].concat());
        command.env("SWITCHHOOK_API__LISTEN", self.daemon.address().to_string());
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

fn array(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

/// Every verdict: the fact, the hook's name, and what was said.
fn verdicts(timeline: &Value) -> Vec<(String, String, Value)> {
    let mut verdicts = Vec::new();
    for entry in array(&timeline["timeline"]) {
        for fact in array(&entry["facts"]) {
            for hook in array(&fact["hooks"]) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                verdicts.push((text(&fact["hook_event"]), text(&hook["name"]), hook.clone()));
            }
        }
    }
    verdicts
}

/// What a hook said of the first fact of a trigger.
fn verdict_of(timeline: &Value, trigger: &str, hook: &str) -> Value {
    let verdicts = verdicts(timeline);
    let mut found = verdicts.iter();
    match found.find(|(fact, name, _)| fact == trigger && name == hook) {
        Some((_, _, verdict)) => verdict.clone(),
        None => panic!("{hook} says nothing of {trigger}: {timeline:#}"),
    }
}

#[tokio::test]
async fn a_call_is_explained_from_its_first_event_to_the_last_answer() {
    let mut stage = Stage::new().await;
    let answer = Behaviour::Answer(500, Vec::new(), Vec::new());
    let mut refused_once = false;
    stage.receiver.decide_by(move |request| {
        let refuse = request.trigger() == "channel_answer" && !refused_once;
        refused_once |= refuse;
        match refuse {
            true => answer.clone(),
            false => Behaviour::status(204),
        }
    });
    stage.add_hook("all", json!({})).await;
    stage
        .add_hook("numbers", json!({"numbers": ["+15557770000"]}))
        .await;
    stage
        .add_hook("types", json!({"call_types": ["outbound"]}))
        .await;
    stage
        .add_hook(
            "extension",
            json!({"hook": "extension_dialed", "modifiers": {"extension": ["1002"]}}),
        )
        .await;
    stage
        .add_hook("missed", json!({"hook": ["call_missed"]}))
        .await;
    stage
        .add_hook("off", json!({"hook": "channel_destroy", "enabled": false}))
        .await;
    let [caller, phone] = stage.play().await;
    let timeline = stage.timeline(&caller).await;

    assert_eq!(timeline["call_uuid"], *caller);
    assert_eq!(timeline["account_id"], "default");
    assert_eq!(timeline["legs"], json!([caller, phone]));
    let entries = array(&timeline["timeline"]);
    let first = &entries[0];
    assert_eq!(first["event"], "CHANNEL_CREATE");
    assert_eq!(first["occurred_at"], "2026-11-21T08:00:23.065845Z");
    assert_eq!(first["about"]["destination_number"], "1001");
    let told: Vec<&Value> = array(&first["facts"])
        .iter()
        .map(|fact| &fact["hook_event"])
        .collect();
    assert_eq!(told, ["channel_create", "call_received"]);
    // Events that led to nothing are shown too, in the order of the switch.
    assert!(
        entries
            .iter()
            .any(|entry| entry["event"] == "CHANNEL_EXECUTE" && entry["facts"] == json!([]))
    );
    let sequences: Vec<u64> = entries
        .iter()
        .map(|entry| entry["sequence"].as_u64().unwrap())
        .collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
    let bridge = entries
        .iter()
        .find(|entry| entry["event"] == "CHANNEL_BRIDGE")
        .unwrap();
    assert_eq!(bridge["about"]["other_leg_call_id"], *phone);

    let sent = verdict_of(&timeline, "channel_create", "all");
    assert_eq!(sent["verdict"], "matched");
    assert_eq!(sent["delivery"]["state"], "delivered");
    assert_eq!(sent["delivery"]["attempts"][0]["resp_status_code"], "204");
    let retried = verdict_of(&timeline, "channel_answer", "all");
    let results: Vec<&Value> = array(&retried["delivery"]["attempts"])
        .iter()
        .map(|attempt| &attempt["result"])
        .collect();
    assert_eq!(results, ["failure", "success"]);
    let off = verdict_of(&timeline, "channel_destroy", "off");
    assert_eq!(
        (&off["verdict"], &off["delivery"]["state"]),
        (&json!("matched"), &json!("skipped"))
    );
    for (trigger, hook, verdict, reason) in [
        (
            "channel_create",
            "numbers",
            "numbers",
            "none of its numbers is one of the call's (15550001111, 1001)",
        ),
        (
            "call_received",
            "types",
            "call_types",
            "its call_types leave out inbound calls",
        ),
        (
            "extension_dialed",
            "extension",
            "modifiers",
            "its modifiers do not allow extension = \"1001\"",
        ),
    ] {
        let said = verdict_of(&timeline, trigger, hook);
        assert_eq!(
            (&said["verdict"], &said["reason"]),
            (&json!(verdict), &json!(reason))
        );
        assert!(said.get("delivery").is_none() && said.get("changed_since").is_none());
    }
    let hooks = array(&timeline["hooks"]);
    let missed = hooks.iter().find(|hook| hook["name"] == "missed").unwrap();
    assert_eq!(missed["matched"], 0);
    assert!(
        verdicts(&timeline)
            .iter()
            .all(|(_, name, _)| name != "missed")
    );

    // By the other leg it is the same call.
    let of_phone = stage.timeline(&phone).await;
    assert_eq!(of_phone["timeline"], timeline["timeline"]);

    let (code, text, _) = stage.explain(&[&phone]).await;
    assert_eq!(code, Some(0));
    for line in [
        "08:00:23.065845  A  CHANNEL_CREATE #",
        "\"all\" yes: delivered",
        "attempt 1: failure 500 bad response code in ",
        "attempt 2: success 204 in ",
        "\"numbers\" no: none of its numbers is one of the call's",
        "\"off\" yes: skipped",
        "(on) asks for call_missed: nothing of the kind was told of this call",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (code, text, _) = stage.explain(&[&caller, "--json"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), timeline);
    let (code, _, problem) = stage.explain(&["no-such-call"]).await;
    assert_eq!(code, Some(1));
    assert!(
        problem.contains("nothing is known of a call no-such-call"),
        "{problem}"
    );
}

#[tokio::test]
async fn hooks_that_were_made_or_changed_after_the_call_are_not_said_to_have_matched() {
    let mut stage = Stage::new().await;
    let all = stage.add_hook("all", json!({})).await;
    let [caller, _] = stage.play().await;
    stage.timeline(&caller).await;
    stage.add_hook("late", json!({})).await;
    stage
        .add_hook(
            "late too",
            json!({"modifiers": {"caller_id_name": "Alice"}}),
        )
        .await;
    let path = format!("/v2/accounts/default/webhooks/{all}");
    let narrowed = json!({"hook": ["channel_create"], "numbers": ["9"]});
    let (status, _) = stage.daemon.api("PATCH", &path, Some(narrowed)).await;
    assert_eq!(status, 200);
    let timeline = stage.timeline(&caller).await;
    let late = verdict_of(&timeline, "channel_create", "late");
    assert_eq!(
        (&late["verdict"], &late["changed_since"]),
        (&json!("matches_only_now"), &json!(true))
    );
    // Nobody looked at the caller's name then, so it was not kept.
    let unknown = verdict_of(&timeline, "channel_create", "late too");
    assert_eq!(unknown["verdict"], "unknown");
    // What was sent was sent, whatever the hook wants now.
    let sent = verdict_of(&timeline, "channel_create", "all");
    assert_eq!(
        (&sent["verdict"], &sent["changed_since"]),
        (&json!("matched"), &json!(true))
    );
    let hooks = array(&timeline["hooks"]);
    let all = hooks.iter().find(|hook| hook["name"] == "all").unwrap();
    let everything = verdicts(&timeline)
        .iter()
        .filter(|(_, name, _)| name == "all")
        .count();
    assert!(all["matched"].as_u64().unwrap() as usize >= everything);
}

#[tokio::test]
async fn a_call_of_another_account_is_explained_to_those_it_belongs_to() {
    let mut stage = Stage::new().await;
    let put = |path: &'static str, data: Value| {
        let daemon = &stage.daemon;
        async move {
            let (status, answer) = daemon.api("PUT", path, Some(data)).await;
            assert_eq!(status, 201, "{answer}");
            answer["data"].clone()
        }
    };
    let acme = put(
        "/v2/accounts/default",
        json!({"name": "Acme", "numbers": ["1001"]}),
    )
    .await;
    let other = put("/v2/accounts/default", json!({"name": "Other"})).await;
    let account = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let (acme, other) = (account(&acme), account(&other));
    stage.add_hook("above", json!({})).await;
    stage
        .add_hook("above all", json!({"include_subaccounts": true}))
        .await;
    let hooks = format!("/v2/accounts/{other}/webhooks");
    let hook = json!({"name": "theirs", "hook": "all", "uri": stage.receiver.uri("/theirs")});
    assert_eq!(stage.daemon.api("PUT", &hooks, Some(hook)).await.0, 201);
    let [caller, _] = stage.play().await;

    let timeline = stage.timeline(&caller).await;
    assert_eq!(timeline["account_id"], *acme);
    assert_eq!(
        verdict_of(&timeline, "channel_create", "above")["verdict"],
        "include_subaccounts"
    );
    assert_eq!(
        verdict_of(&timeline, "channel_create", "above all")["verdict"],
        "matched"
    );
    let path = format!("/v2/accounts/{other}/calls/{caller}/timeline");
    let (_, answer) = stage.daemon.api("GET", &path, None).await;
    let theirs = verdict_of(&answer["data"], "channel_create", "theirs");
    assert_eq!(theirs["verdict"], "other_account");
    assert_eq!(
        theirs["reason"],
        format!("the call belongs to the account {acme}")
    );

    // A token of the account sees its own call, but not what was sent for the account above; another's does not
    // know of it.
    let token = |account: String| {
        let daemon = &stage.daemon;
        async move {
            let path = format!("/v2/accounts/{account}/tokens");
            let (status, answer) = daemon.api("PUT", &path, Some(json!({}))).await;
            assert_eq!(status, 201, "{answer}");
            let field = ["token", "auth_token"]
                .iter()
                .find_map(|field| answer["data"][field].as_str());
            field
                .unwrap_or_else(|| panic!("no token: {answer}"))
                .to_owned()
        }
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (account, status) in [(&acme, 200), (&other, 404)] {
        let path = format!(
            "http://{}/v2/accounts/{account}/calls/{caller}/timeline",
            stage.daemon.address()
        );
        let request = http
            .get(path)
            .header("X-Auth-Token", token(account.clone()).await);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        let text = response.text().await.unwrap();
        assert_eq!(text.contains("CHANNEL_BRIDGE"), status == 200);
        assert!(!text.contains("delivered"), "{text}");
    }
    // The command finds the account by itself.
    let (code, text, problem) = stage.explain(&[&caller]).await;
    assert_eq!(code, Some(0), "{problem}");
    assert!(text.contains(&format!("account {acme}")), "{text}");
}

#[tokio::test]
async fn with_the_timeline_off_what_was_sent_is_still_explained() {
    let mut stage = Stage::with(|home| home.with("EVENTS__TIMELINE", false)).await;
    stage
        .add_hook("all", json!({"hook": ["channel_create", "call_hangup"]}))
        .await;
    stage
        .add_hook(
            "numbers",
            json!({"hook": "channel_create", "numbers": ["999"]}),
        )
        .await;
    let [caller, _] = stage.play().await;
    let timeline = stage.timeline(&caller).await;
    let entries = array(&timeline["timeline"]);
    assert!(
        entries.iter().all(|entry| entry.get("event").is_none()),
        "{timeline:#}"
    );
    let sent = verdict_of(&timeline, "channel_create", "all");
    assert_eq!(sent["delivery"]["state"], "delivered");
    assert_eq!(
        verdict_of(&timeline, "channel_create", "numbers")["verdict"],
        "unknown"
    );
}

/// A step of a leg in a call.
fn step(call_id: &str, call_uuid: Option<&str>, event: &str) -> Step {
    Step {
        event: event.into(),
        at: Timestamp(0),
        sequence: 1,
        call_id: call_id.into(),
        call_uuid: call_uuid.map(Into::into),
        account_id: Some("default".into()),
        about: "".into(),
        facts: "".into(),
    }
}

async fn steps_of(store: &Store, call: &'static str) -> Vec<String> {
    let steps = store
        .read(move |conn| steps::of_call(conn, call))
        .await
        .unwrap();
    steps
        .iter()
        .map(|logged| logged.step.event.to_string())
        .collect()
}

#[tokio::test]
async fn a_leg_is_found_from_before_it_was_in_the_call_but_not_its_other_calls() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::new(directory.path().join("switchhook.db"));
    let store = Store::open(config, Clock::system()).unwrap().store;
    // An agent who stays on the line and takes one caller after the other.
    let steps = vec![
        step("agent", Some("agent"), "agent logs in"),
        step("anna", Some("anna"), "anna calls"),
        step("agent", Some("anna"), "agent takes anna"),
        step("bert", Some("bert"), "bert calls"),
        step("agent", Some("bert"), "agent takes bert"),
        step("bert", None, "bert is destroyed"),
    ];
    let intake = Intake {
        steps,
        ..Intake::default()
    };
    store.offer(intake).unwrap();
    store.write(|_| Ok(())).await.unwrap();
    assert_eq!(
        steps_of(&store, "anna").await,
        ["agent logs in", "anna calls", "agent takes anna"]
    );
    assert_eq!(
        steps_of(&store, "bert").await,
        [
            "agent logs in",
            "bert calls",
            "agent takes bert",
            "bert is destroyed"
        ]
    );
    assert_eq!(steps_of(&store, "agent").await.len(), 6);
    assert!(steps_of(&store, "nobody").await.is_empty());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_timeline_is_kept_as_long_as_attempts_are() {
    const DAY: i64 = 86_400_000_000;
    let directory = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(1_795_248_000_000_000));
    let open = || {
        let now = Arc::clone(&now);
        let config = StoreConfig::new(directory.path().join("switchhook.db"));
        let clock = Clock::new(move || Timestamp(now.load(Ordering::Relaxed)));
        Store::open(config, clock).unwrap().store
    };
    let old = 1_200;
    let store = open();
    for _ in 0..old {
        let steps = vec![step("old", Some("old"), "heard")];
        store
            .offer(Intake {
                steps,
                ..Intake::default()
            })
            .unwrap();
    }
    store.close().await.unwrap();
    now.fetch_add(6 * DAY, Ordering::Relaxed);
    let store = open();
    let steps = vec![step("new", Some("new"), "heard")];
    store
        .offer(Intake {
            steps,
            ..Intake::default()
        })
        .unwrap();
    store.close().await.unwrap();
    now.fetch_add(2 * DAY, Ordering::Relaxed);
    let store = open();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.health().removed < old {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            store.health()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(steps_of(&store, "old").await.is_empty());
    assert_eq!(steps_of(&store, "new").await, ["heard"]);
    store.close().await.unwrap();
    // And at last all of it; then no id is given twice.
    now.fetch_add(30 * DAY, Ordering::Relaxed);
    let store = open();
    while store.health().removed < 1 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            store.health()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.close().await.unwrap();
    let store = open();
    let steps = vec![step("next", Some("next"), "heard")];
    store
        .offer(Intake {
            steps,
            ..Intake::default()
        })
        .unwrap();
    store.write(|_| Ok(())).await.unwrap();
    let found = store
        .read(|conn| steps::of_call(conn, "next"))
        .await
        .unwrap();
    assert_eq!(found[0].id, old as i64 + 2);
    store.close().await.unwrap();
}

/// What is done with the events of calls but for the socket: the call model, the state of the legs, and with
/// `scribe` the timeline, into a store. CPU and bytes of the database, each an event.
async fn cost(calls: u64, mut scribe: Option<Scribe>) -> (f64, f64) {
    const SUBSCRIBED: &[&str] = &[
        "CHANNEL_CREATE",
        "CHANNEL_ANSWER",
        "CHANNEL_BRIDGE",
        "CHANNEL_EXECUTE",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_DESTROY",
    ];
    let pattern = Pattern::of("bridge.plain.esl", SUBSCRIBED);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("switchhook.db");
    let Opened { store, .. } = Store::open(StoreConfig::new(&path), Clock::system()).unwrap();
    let accounts = Accounts::default();
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    if let Some(scribe) = &mut scribe {
        scribe.learn(&[]);
    }
    let (before, mut events, mut facts) = (cpu(), 0_u32, Vec::new());
    for call in 0..calls {
        for text in pattern.texts(call) {
            let event = Event::from_plain(text);
            let place = tracker.on_event(&event, &accounts, &mut facts);
            let mut notes = scribe
                .as_ref()
                .map(|scribe| scribe.begin(place.map(|place| (&event, place))));
            for fact in facts.drain(..) {
                if let Some(notes) = &mut notes {
                    notes.add(&fact, 1);
                }
            }
            let changed = tracker.changed().into_iter();
            let mut intake = Intake {
                channels: changed
                    .map(|(uuid, state)| ChannelChange {
                        uuid: (&*uuid).into(),
                        state: state.map(|state| state.into_bytes().into()),
                    })
                    .collect(),
                steps: notes.map(Notes::finish).unwrap_or_default(),
                ..Intake::default()
            };
            while let Err(refused) = store.offer(intake) {
                intake = refused;
                store.room().await;
            }
            events += 1;
        }
    }
    store.close().await.unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let micros = (cpu() - before).as_micros() as f64;
    (micros / f64::from(events), bytes as f64 / f64::from(events))
}

/// The time that this process was on a processor, those of its threads that have ended included.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold anything: the 12th and 13th are user and system time in hundredths.
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    let hundredths = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(hundredths.sum::<u64>() * 10)
}

#[tokio::test]
#[ignore = "measures: run with --release --ignored --nocapture"]
async fn what_a_timeline_costs() {
    let calls = 20_000;
    for _ in 0..3 {
        let (cpu_off, bytes_off) = cost(calls, None).await;
        let (cpu_on, bytes_on) = cost(calls, Some(Scribe::default())).await;
        println!(
            "an event: {cpu_off:.1} us CPU and {bytes_off:.0} bytes without, {cpu_on:.1} us and {bytes_on:.0} bytes with a timeline"
        );
        assert!(bytes_on > bytes_off);
    }
}
