//! The main job, end to end: a call on an event socket, a hook added over REST, and what the receiver saw. The
//! real binary, a real SQLite file, real sockets.

mod support;

use serde_json::{Value, json};
use support::daemon::{ADMIN, Daemon, Home};
use support::receiver::{Behaviour, Receiver, Request};
use support::switch::{Gate, Script, Switch};

/// A switch that plays a capture as soon as the gate opens, a daemon that listens to it, and a receiver with a
/// hook of its own.
struct Stage {
    gate: Gate,
    switch: Switch,
    home: Home,
    daemon: Daemon,
    receiver: Receiver,
}

impl Stage {
    async fn new(capture: &str, hook: Value) -> Self {
        let gate = Gate::new();
        let script = Script::subscribed().pass(&gate).events_of(capture);
        Self::with(gate, script, hook).await
    }

    async fn with(gate: Gate, script: Script, hook: Value) -> Self {
        let switch = Switch::start([script]).await;
        let home = Home::new(switch.port());
        let daemon = home.serve().await;
        let receiver = Receiver::start().await;
        let mut document =
            json!({"name": "test", "hook": "all", "format": "json", "uri": receiver.uri("/")});
        for (field, value) in hook.as_object().unwrap() {
            document[field] = value.clone();
        }
        daemon.add_hook(document).await;
        Self {
            gate,
            switch,
            home,
            daemon,
            receiver,
        }
    }

    /// Plays, and takes everything up to the end of the call whose root leg is the first one seen.
    async fn play_call(&mut self, legs: usize) -> Vec<Request> {
        self.gate.open();
        let mut ended = 0;
        self.receiver
            .until(|request| {
                ended += usize::from(request.trigger() == "channel_destroy");
                ended == legs
            })
            .await
    }
}

/// The channel triggers among `requests`, each with the first four characters of its leg.
fn channel_lines(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .filter(|request| request.trigger().starts_with("channel_") || request.trigger() == "dtmf")
        .map(|request| {
            let digit = request.field("digit");
            let leg = &request.field("call_id")[..4];
            match digit.is_empty() {
                true => format!("{} {leg}", request.trigger()),
                false => format!("{} {leg} {digit}", request.trigger()),
            }
        })
        .collect()
}

fn find<'a>(requests: &'a [Request], trigger: &str) -> &'a Request {
    requests
        .iter()
        .find(|request| request.trigger() == trigger)
        .unwrap_or_else(|| panic!("no {trigger} arrived"))
}

const CHANNEL_HOOK: &[&str] = &[
    "channel_create",
    "channel_progress",
    "channel_answer",
    "channel_bridge",
    "channel_unbridge",
    "channel_hold",
    "channel_unhold",
    "channel_destroy",
    "dtmf",
];

#[tokio::test]
async fn a_caller_in_a_menu() {
    let mut stage = Stage::new("ivr.plain.esl", json!({"hook": CHANNEL_HOOK})).await;
    let requests = stage.play_call(1).await;
    let leg = &requests[0].field("call_id")[..4];
    let lines = channel_lines(&requests);
    let expected: Vec<String> = [
        "channel_create",
        "channel_progress",
        "channel_answer",
        "dtmf {} 4",
        "dtmf {} 2",
        "dtmf {} #",
        "channel_destroy",
    ]
    .iter()
    .map(|line| match line.contains("{}") {
        true => line.replace("{}", leg),
        false => format!("{line} {leg}"),
    })
    .collect();
    assert_eq!(lines, expected);
    let digit = requests.iter().rfind(|r| r.trigger() == "dtmf").unwrap();
    assert_eq!(digit.field("digits"), "42#");
    // A DTMF event carries no variables: these were said by earlier events of the leg.
    assert_eq!(digit.field("caller_id_number"), "+15550001111");
    assert_eq!(digit.field("destination_number"), "5000");
    assert_eq!(digit.field("account_id"), "default");
}

#[tokio::test]
async fn a_bridged_call_with_both_its_legs() {
    let mut stage = Stage::new("bridge.plain.esl", json!({"hook": CHANNEL_HOOK})).await;
    let requests = stage.play_call(2).await;
    assert_eq!(
        channel_lines(&requests),
        [
            "channel_create 04e9",
            "channel_create 313e",
            "channel_progress 313e",
            "channel_progress 04e9",
            "channel_answer 313e",
            "channel_answer 04e9",
            "channel_bridge 04e9",
            "channel_destroy 313e",
            "channel_unbridge 04e9",
            "channel_destroy 04e9",
        ]
    );
    let bridge = find(&requests, "channel_bridge");
    assert!(bridge.field("other_leg_call_id").starts_with("313e9ff2"));
    assert_eq!(bridge.field("other_leg_destination_number"), "1001");
    let end = &requests[requests.len() - 1];
    assert_eq!(end.field("hangup_cause"), "NORMAL_CLEARING");
    assert_eq!(end.field("timestamp"), "63962467224");
    assert_eq!(end.field("switch"), "rig-fs");
}

#[tokio::test]
async fn an_extension_that_does_not_answer_and_voicemail_that_does() {
    let mut stage = Stage::new("missed-vm.plain.esl", json!({})).await;
    let requests = stage.play_call(2).await;
    let rung = requests
        .iter()
        .find(|r| r.trigger() == "channel_destroy")
        .unwrap();
    assert_eq!(rung.field("hangup_cause"), "ALLOTTED_TIMEOUT");
    let missed = match requests.iter().find(|r| r.trigger() == "call_missed") {
        Some(missed) => missed.clone(),
        None => {
            let rest = stage.receiver.until(|r| r.trigger() == "call_missed").await;
            rest[rest.len() - 1].clone()
        }
    };
    assert_eq!(missed.field("voicemail"), "true");
}

#[tokio::test]
async fn hold_and_unhold() {
    let mut stage = Stage::new("hold-refused.plain.esl", json!({"hook": CHANNEL_HOOK})).await;
    let requests = stage.play_call(1).await;
    let lines = channel_lines(&requests).join("\n");
    assert!(lines.contains("channel_hold"), "{lines}");
    let end = find(&requests, "channel_destroy");
    assert_eq!(end.field("hangup_cause"), "NORMAL_TEMPORARY_FAILURE");
}

#[tokio::test]
async fn a_busy_phone() {
    let mut stage = Stage::new("busy.plain.esl", json!({"hook": "channel_destroy"})).await;
    let requests = stage.play_call(2).await;
    let outbound = requests
        .iter()
        .find(|r| r.field("call_direction") == "outbound")
        .unwrap();
    assert_eq!(outbound.field("hangup_cause"), "USER_BUSY");
    assert_eq!(outbound.field("hangup_code"), "sip:486");
}

#[tokio::test]
async fn names_in_every_script_arrive_unharmed_in_either_format() {
    for format in ["json", "form-data"] {
        let hook = json!({"hook": "channel_create", "format": format, "custom_data": {"who": "王 & Zoë", "nested": {"a": [1, 2]}}});
        let mut stage = Stage::new("utf8.plain.esl", hook).await;
        stage.gate.open();
        let request = stage.receiver.next().await;
        assert!(
            request
                .field("caller_id_name")
                .starts_with("Zoë Müller 王伟 🎧"),
            "{}",
            request.field("caller_id_name")
        );
        assert_eq!(request.field("who"), "王 & Zoë");
        if format == "form-data" {
            assert_eq!(
                request.header("content-type"),
                "application/x-www-form-urlencoded"
            );
            let body = String::from_utf8(request.body.clone()).unwrap();
            assert!(
                body.contains("nested%5Ba%5D%5B%5D=1&nested%5Ba%5D%5B%5D=2"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a_newline_and_a_list_in_channel_variables_survive_the_raw_event() {
    let hook = json!({"hook": "switch_event", "modifiers": {"event": ["CHANNEL_ANSWER"]}});
    let mut stage = Stage::new("utf8.plain.esl", hook).await;
    stage.gate.open();
    let request = stage.receiver.next().await;
    let payload = request.payload();
    assert_eq!(payload["event"], "CHANNEL_ANSWER");
    let headers = payload["headers"].as_object().unwrap();
    let values: Vec<&str> = headers.values().filter_map(Value::as_str).collect();
    assert!(values.iter().any(|value| value.contains('\n')), "a newline");
    assert!(
        values.iter().any(|value| value.starts_with("ARRAY::")),
        "a list"
    );
}

#[tokio::test]
async fn get_puts_the_payload_into_the_query_string() {
    let gate = Gate::new();
    let script = Script::subscribed().pass(&gate).events_of("ivr.plain.esl");
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut receiver = Receiver::start().await;
    daemon
        .add_hook(json!({
            "name": "get", "hook": "CHANNEL_CREATE", "http_verb": "GET",
            "uri": receiver.uri("/calls?key=a%20b"),
        }))
        .await;
    gate.open();
    let request = receiver.next().await;
    assert_eq!(request.method, "GET");
    assert!(
        request
            .target
            .starts_with("/calls?key=a%20b&hook_event=channel_create&"),
        "{}",
        request.target
    );
    assert_eq!(request.field("caller_id_number"), "+15550001111");
}

#[tokio::test]
async fn the_switch_is_asked_for_exactly_what_the_hooks_need() {
    let stage = Stage::new("ivr.plain.esl", json!({"hook": "channel_create"})).await;
    let first = stage.switch.heard("event plain").await.command;
    assert!(
        first.contains("CHANNEL_CREATE") && first.contains("HEARTBEAT"),
        "{first}"
    );
    for unwanted in ["ALL", "DTMF", "CHANNEL_EXECUTE", "CHANNEL_STATE", "CODEC"] {
        assert!(!first.contains(unwanted), "{first}");
    }
    stage
        .daemon
        .add_hook(json!({"name": "digits", "hook": "dtmf", "uri": stage.receiver.uri("/d")}))
        .await;
    let more = stage.switch.heard_nth(2, "event plain").await.command;
    assert!(more.contains("DTMF"), "{more}");
}

#[tokio::test]
async fn killed_between_commit_and_delivery_it_delivers_after_the_restart_with_the_same_ids() {
    // The receiver takes the connection and never answers: everything is committed, nothing is delivered.
    let hook = json!({"hook": CHANNEL_HOOK, "ordering": "none"});
    let gate = Gate::new();
    let script = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let mut stage = Stage::with(gate, script, hook).await;
    stage.receiver.behave(Behaviour::Stall);
    stage.gate.open();
    let key = |r: &Request| (r.header("webhook-id").to_owned(), r.trigger());
    let mut before: Vec<_> = stage.receiver.take(10).await.iter().map(key).collect();
    stage.daemon.kill().await;

    stage.receiver.behave(Behaviour::status(204));
    // A switch without calls this time: what arrives was kept.
    let quiet = Script::subscribed().answer("show channels as json", r#"{"row_count":0}"#);
    stage.switch.restart([quiet]);
    stage.receiver.rest();
    let daemon = stage.home.serve().await;
    let mut after: Vec<_> = stage.receiver.take(10).await.iter().map(key).collect();
    before.sort();
    after.sort();
    assert_eq!(after, before);
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn a_frame_that_is_none_costs_one_connection_and_nothing_else() {
    let garbage = Gate::new();
    let call = Gate::new();
    let broken = Script::subscribed()
        .pass(&garbage)
        .say("Content-Length: -1\nContent-Type: text/event-plain\n\n");
    let sound = Script::subscribed().pass(&call).events_of("ivr.plain.esl");
    let switch = Switch::start([broken, sound]).await;
    let home = Home::new(switch.port());
    let mut daemon = home.serve().await;
    let mut receiver = Receiver::start().await;
    daemon
        .add_hook(
            json!({"name": "t", "hook": CHANNEL_HOOK, "format": "json", "uri": receiver.uri("/")}),
        )
        .await;
    garbage.open();
    let line = daemon.logged("Content-Length").await;
    assert!(line.contains("-1"), "{line}");
    switch.connections(2).await;
    switch.heard_nth(2, "event plain").await;
    call.open();
    let requests = receiver.until(|r| r.trigger() == "channel_destroy").await;
    assert_eq!(requests.len(), 7);
}

#[tokio::test]
async fn wrong_configuration_lists_every_mistake_and_ends_with_2() {
    let home = Home::new(1)
        .with("SWITCH__PORT", 70_000)
        .with("API__LISTEN", "here")
        .with("STORE__PATHS", "x");
    let output = home.command(&["serve"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for mistake in ["switch.port", "api.listen", "store.paths", "3 mistake(s)"] {
        assert!(text.contains(mistake), "{text}");
    }
    let output = home
        .command(&["serve", "--config", "/nonexistent/switchhook.toml"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_port_in_use_and_a_foreign_database_are_refused_by_name() {
    let switch = Switch::start([Script::subscribed()]).await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new(switch.port()).with("API__LISTEN", &address);
    let output = home.command(&["serve"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("[api] listen") && text.contains(&address),
        "{text}"
    );

    let home = Home::new(switch.port());
    std::fs::write(home.database(), "this is somebody's diary").unwrap();
    let output = home.command(&["serve"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("not a SQLite database"), "{text}");
    assert_eq!(
        std::fs::read_to_string(home.database()).unwrap(),
        "this is somebody's diary"
    );
}

#[tokio::test]
async fn a_demo_that_is_ended_leaves_nothing_behind() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let scratch = tempfile::tempdir().unwrap();
    let home = Home::new(1);
    for signal in ["-INT", "-TERM"] {
        let mut demo = home
            .bare_command(&["demo", "--loop", "--listen", "127.0.0.1:0"])
            .env("TMPDIR", scratch.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        // Something has arrived.
        while !lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("signed ")
        {}
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        let id = demo.id().unwrap().to_string();
        let kill = std::process::Command::new("kill")
            .args([signal, &id])
            .status();
        assert!(kill.unwrap().success());
        while lines.next_line().await.unwrap().is_some() {}
        assert!(demo.wait().await.unwrap().success());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn check_says_line_by_line_what_is_right_and_what_is_wrong() {
    let script = || Script::login("ClueCon");
    let switch = Switch::start([script(), Script::subscribed(), script(), script()]).await;
    let home = Home::new(switch.port());
    let output = home.command(&["check"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");

    // The daemon of this configuration holds database and port; that of another one would be refused.
    let daemon = home.serve().await;
    let mut same = home.with("API__LISTEN", daemon.address());
    let output = same.command(&["check"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("in use by the running switchhook"), "{text}");
    assert!(text.contains("is the running switchhook's"), "{text}");
    assert!(!text.contains("WRONG  database"), "{text}");
    same.set("API__LISTEN", "127.0.0.1:0");
    let output = same.command(&["check"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("WRONG  database: "), "{text}");
    assert!(
        text.contains("in use by another switchhook (process "),
        "{text}"
    );
    assert!(daemon.terminate().await.success());

    let home = same.with("SWITCH__PASSWORD", "wrong");
    let output = home.command(&["check"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let wrong: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("WRONG"))
        .collect();
    assert_eq!(wrong.len(), 1, "{text}");
    assert!(wrong[0].contains("switch"), "{text}");
}

#[tokio::test]
async fn the_first_start_makes_an_admin_token_and_keeps_it() {
    use std::os::unix::fs::PermissionsExt;
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let mut command = home.command(&["serve"]);
    command.env_remove("SWITCHHOOK_API__ADMIN_TOKEN");
    let mut child = command.spawn().unwrap();
    let file = home.path().join("admin-token");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !file.exists() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "no {}",
            file.display()
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    child.kill().await.unwrap();
    assert_ne!(std::fs::read_to_string(&file).unwrap().trim(), ADMIN);
}

#[tokio::test]
async fn the_demo_shows_a_call_and_ends_well() {
    let output = Home::new(1).command(&["demo"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for expected in [
        "channel_create",
        "call_answered_extension",
        "call_hangup",
        "webhooks arrived",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!text.contains("BAD SIGNATURE"), "{text}");
}

#[tokio::test]
async fn the_dialplans_event_application_fires_a_webhook_that_nobody_defined() {
    let gate = Gate::new();
    let receiver = Receiver::start().await;
    let uri = receiver.uri("/missed_call");
    let fire = support::capture::event(&[
        ("Event-Subclass", "switchhook::webhook"),
        ("Event-Name", "CUSTOM"),
        ("Core-UUID", "bd449c15-abdc-4f45-a85b-156e559d301f"),
        ("Event-Date-Timestamp", "1795248023065845"),
        ("Event-Sequence", "42"),
        ("Unique-ID", "04e9b6ee-17ad-490a-808e-62c4d6ba7c0b"),
        ("Caller-Caller-ID-Number", "+15550001111"),
        ("uri", &uri),
        ("custom_data.some_id", "123abc"),
    ]);
    let switch = Switch::start([Script::subscribed().pass(&gate).say(fire)]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let subscription = switch.heard("event plain").await.command;
    assert!(
        subscription.contains("CUSTOM switchhook::webhook"),
        "{subscription}"
    );
    gate.open();
    let mut receiver = receiver;
    let request = receiver.next().await;
    assert_eq!(request.target, "/missed_call");
    assert_eq!(request.trigger(), "callflow_webhook");
    assert_eq!(request.field("some_id"), "123abc");
    assert_eq!(request.field("caller_id_number"), "+15550001111");
    let attempt = loop {
        if let Some(attempt) = daemon.attempts().await.pop() {
            break attempt;
        }
    };
    assert_eq!(attempt["hook_event"], "callflow_webhook");
}

#[tokio::test]
async fn a_switch_whose_clock_is_ahead_puts_nothing_off() {
    let gate = Gate::new();
    let in_ten_years = "2110608023065845";
    let create = support::capture::event(&[
        ("Event-Name", "CHANNEL_CREATE"),
        ("Core-UUID", "bd449c15-abdc-4f45-a85b-156e559d301f"),
        ("Event-Date-Timestamp", in_ten_years),
        ("Event-Sequence", "42"),
        ("Unique-ID", "04e9b6ee-17ad-490a-808e-62c4d6ba7c0b"),
        ("Call-Direction", "inbound"),
    ]);
    let script = Script::subscribed().pass(&gate).say(create);
    let hook = json!({"hook": "channel_create", "ordering": "strict"});
    let mut stage = Stage::with(gate, script, hook).await;
    stage.gate.open();
    let request = stage.receiver.next().await;
    assert!(
        request.field("occurred_at").starts_with("2036-"),
        "as the switch said"
    );
}

/// The switch's answer to `show channels as json`, with these.
fn channels(uuids: &[&str]) -> String {
    let rows: Vec<Value> = uuids.iter().map(|uuid| json!({"uuid": uuid})).collect();
    json!({"row_count": rows.len(), "rows": rows}).to_string()
}

/// And to `uuid_dump UUID json`.
fn dump(uuid: &str, caller: &str, variables: Value) -> String {
    let mut dump = json!({
        "Event-Name": "CHANNEL_DATA", "Unique-ID": uuid, "Call-Direction": "inbound",
        "Caller-Caller-ID-Number": caller, "Caller-Destination-Number": "5000",
    });
    for (name, value) in variables.as_object().unwrap() {
        dump[format!("variable_{name}")] = value.clone();
    }
    dump.to_string()
}

#[tokio::test]
async fn a_call_that_wants_to_be_told_of_itself_is_found_among_those_that_live() {
    let uri = json!({"switchhook_uri": "http://127.0.0.1:9/"});
    let script = Script::subscribed()
        .answer("show channels as json", &channels(&["aaaa"]))
        .answer("uuid_dump aaaa json", &dump("aaaa", "1000", uri));
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let _daemon = home.serve().await;
    // Though the switch says nothing more, what such a call needs is asked for.
    let more = switch.heard_nth(2, "event plain").await.command;
    assert!(more.contains("DTMF"), "{more}");
}

#[tokio::test]
async fn of_two_lists_of_channels_each_leg_gets_what_is_said_of_itself() {
    let gate = Gate::new();
    let heartbeat = |sequence: &str| {
        support::capture::event(&[
            ("Event-Name", "HEARTBEAT"),
            ("Core-UUID", "bd449c15-abdc-4f45-a85b-156e559d301f"),
            ("Event-Sequence", sequence),
            ("Session-Count", "2"),
        ])
    };
    // One of the two channels ends between the lists.
    let lists = [channels(&["aaaa", "bbbb"]), channels(&["bbbb"])]
        .map(|list| support::capture::frame("api/response", &list));
    let script = Script::subscribed()
        .silent("api show channels")
        .answer("uuid_dump aaaa json", &dump("aaaa", "1000", json!({})))
        .answer("uuid_dump bbbb json", &dump("bbbb", "2000", json!({})))
        .expect("api show channels")
        .pass(&gate)
        .say(heartbeat("1"))
        .say(heartbeat("2"))
        .expect("api show channels")
        .say(lists.concat());
    let mut stage = Stage::with(gate, script, json!({"hook": "channel_create"})).await;
    stage.gate.open();
    let created = stage.receiver.until(|r| r.field("call_id") == "bbbb").await;
    assert_eq!(created[created.len() - 1].field("caller_id_number"), "2000");
}

#[tokio::test]
async fn a_hook_that_comes_while_a_message_is_being_left_is_told_so() {
    let gates = [Gate::new(), Gate::new()];
    let event = |name: &str, sequence: &str| {
        support::capture::event(&[
            ("Event-Name", name),
            ("Core-UUID", "bd449c15-abdc-4f45-a85b-156e559d301f"),
            ("Event-Sequence", sequence),
            ("Unique-ID", "aaaa"),
            ("Call-Direction", "inbound"),
        ])
    };
    let listed = json!({"uuid": "aaaa", "callstate": "ACTIVE", "application": "voicemail"});
    let listed = json!({"row_count": 1, "rows": [listed]}).to_string();
    let script = Script::subscribed()
        .answer_after(&gates[0], "show channels as json", &listed)
        .pass(&gates[0])
        .say(event("CHANNEL_CREATE", "1"))
        .say(event("CHANNEL_ANSWER", "2"))
        .pass(&gates[1])
        .say(event("CHANNEL_HANGUP_COMPLETE", "3"));
    let hook = json!({"hook": "channel_answer"});
    let mut stage = Stage::with(gates[0].clone(), script, hook).await;
    stage.gate.open();
    stage.receiver.next().await;
    let missed = json!({"name": "missed", "hook": "call_missed", "uri": stage.receiver.uri("/m")});
    stage.daemon.add_hook(missed).await;
    stage.switch.heard_nth(2, "api show channels").await;
    gates[1].open();
    let requests = stage.receiver.until(|r| r.trigger() == "call_missed").await;
    assert_eq!(requests[requests.len() - 1].field("voicemail"), "true");
}
