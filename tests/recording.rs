//! The event socket to a file and a file through the hooks: `switchhook record`, `switchhook replay`. The real
//! binary, a real switch's words, real sockets and files.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use support::capture::{self, Recording, head};
use support::daemon::Home;
use support::receiver::Receiver;
use support::switch::{Gate, Script, Switch};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const NO_CHANNELS: &str = r#"{"row_count": 0}"#;

/// The event frames of a recording that was written so far; a torn one at its end is left out.
fn events_in(file: &Path) -> Vec<Bytes> {
    let bytes = Bytes::from(std::fs::read(file).unwrap_or_default());
    let is_event = |frame: &Bytes| head(frame).contains("Content-Type: text/event-");
    capture::frames(&bytes)
        .into_iter()
        .filter(is_event)
        .collect()
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a command to its end: its exit code, and what it said.
async fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = home.command(arguments).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn what_the_switch_says_is_in_the_file_byte_for_byte() {
    let said = Recording::read("utf8.plain.esl").events;
    let script = Script::subscribed()
        .answer("show channels as json", NO_CHANNELS)
        .events_of("utf8.plain.esl");
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let file = home.path().join("calls.esl");
    let path = file.to_str().unwrap();
    let mut recorder = home.command(&["record", path]).spawn().unwrap();
    switch.heard("event plain ALL").await;
    until("all is recorded", || events_in(&file).len() == said.len()).await;
    let pid = recorder.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert_eq!(recorder.wait().await.unwrap().code(), Some(0));
    assert_eq!(events_in(&file), said);
    // The password is not in it, and what was alive when it began is.
    let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    assert!(!text.contains("ClueCon"));
    assert!(text.contains(NO_CHANNELS));
    // A recording is never written over.
    let (code, _, problem) = run(&home, &["record", path]).await;
    assert_eq!(code, Some(1));
    assert!(problem.contains("calls.esl: cannot be made"), "{problem}");
    assert_eq!(events_in(&file), said);
}

#[tokio::test]
async fn a_recording_goes_on_behind_a_lost_connection_and_can_be_read() {
    let said = Recording::read("bridge.plain.esl").events;
    let (torn, after) = (&said[10], 30);
    let gate = Gate::new();
    let first = said[..10]
        .iter()
        .fold(Script::subscribed(), |script, event| {
            script.say(event.clone())
        });
    let first = first.say(torn.slice(..torn.len() / 2)).pass(&gate).reset();
    let second = said[after..]
        .iter()
        .fold(Script::subscribed(), |script, event| {
            script.say(event.clone())
        });
    let answer = |script: Script| script.answer("show channels as json", NO_CHANNELS);
    let switch = Switch::start([answer(first), answer(second)]).await;
    let home = Home::new(switch.port());
    let file = home.path().join("calls.esl");
    let path = file.to_str().unwrap().to_owned();
    let mut recorder = home.command(&["record", &path]).spawn().unwrap();
    until("the first part is recorded", || {
        events_in(&file).len() == 10
    })
    .await;
    gate.open();
    let whole = 10 + said.len() - after;
    until("the second part is recorded", || {
        events_in(&file).len() == whole
    })
    .await;
    recorder.kill().await.unwrap();
    let expected: Vec<Bytes> = said[..10].iter().chain(&said[after..]).cloned().collect();
    assert_eq!(events_in(&file), expected);
    let (code, facts, summary) = run(&home, &["replay", &path]).await;
    assert_eq!(code, Some(0), "{summary}");
    assert!(facts.contains("call_hangup"), "{facts}");
    assert!(summary.contains(&format!("{whole} events")), "{summary}");
}

#[tokio::test]
async fn a_replay_shows_who_would_be_told_and_tells_nobody() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut receiver = Receiver::start().await;
    let hook = |name: &str, hook: Value, enabled: bool| json!({"name": name, "hook": hook, "enabled": enabled, "uri": receiver.uri("/")});
    daemon.add_hook(hook("all", json!("all"), true)).await;
    daemon
        .add_hook(hook("ends", json!(["call_hangup"]), true))
        .await;
    daemon
        .add_hook(hook("off", json!(["call_hangup"]), false))
        .await;
    let file = capture::path("bridge.plain.esl");
    let file = file.to_str().unwrap();
    // Beside the running daemon, whose database it reads.
    let (code, facts, summary) = run(&home, &["replay", file]).await;
    assert_eq!(code, Some(0), "{summary}");
    let lines: Vec<&str> = facts.lines().collect();
    assert!(
        lines[0].starts_with("2026-11-21T08:00:23.065845Z  channel_create "),
        "{facts}"
    );
    assert!(lines[0].ends_with("-> \"all\""), "{facts}");
    let end = lines
        .iter()
        .find(|line| line.contains("call_hangup"))
        .unwrap();
    assert!(
        end.ends_with("-> \"all\", \"ends\", \"off\" (off)"),
        "{facts}"
    );
    assert!(summary.contains("would be sent (nothing was)"), "{summary}");
    let (_, json_lines, _) = run(&home, &["replay", "--json", file]).await;
    assert_eq!(json_lines.lines().count(), lines.len());
    for line in json_lines.lines() {
        let fact: Value = serde_json::from_str(line).unwrap();
        assert!(
            fact["hooks"]
                .as_array()
                .is_some_and(|hooks| !hooks.is_empty())
        );
    }
    // The same call as JSON events is the same call.
    let (_, of_json, _) = run(&home, &["replay", &file.replace(".plain.", ".json.")]).await;
    assert_eq!(of_json, facts);
    // For real it needs the database for itself.
    let (code, _, problem) = run(&home, &["replay", "--deliver", file]).await;
    assert_eq!(code, Some(1));
    assert!(problem.contains("switchhook.db"), "{problem}");
    let is_of_a_call = |attempt: &Value| attempt.get("call_id").is_some();
    assert!(!daemon.attempts().await.iter().any(is_of_a_call));
    let told = receiver.rest();
    assert!(
        told.iter()
            .all(|request| request.trigger() == "switch_connected")
    );
}

#[tokio::test]
async fn a_replay_of_a_recording_without_end_can_be_stopped() {
    let home = Home::new(1);
    let endless = home.path().join("endless.esl");
    let made = Command::new("mkfifo").arg(&endless).status().await.unwrap();
    assert!(made.success());
    let mut replay = home.command(&["replay", endless.to_str().unwrap()]);
    let mut replay = replay.stdout(Stdio::piped()).spawn().unwrap();
    let recording = std::fs::read(capture::path("bridge.plain.esl")).unwrap();
    let player = std::thread::spawn(move || {
        let mut fifo = std::fs::File::create(endless).unwrap();
        while fifo.write_all(&recording).is_ok() {}
    });
    let mut lines = BufReader::new(replay.stdout.take().unwrap()).lines();
    while !lines
        .next_line()
        .await
        .unwrap()
        .unwrap()
        .contains("call_hangup")
    {}
    let id = replay.id().unwrap().to_string();
    let told = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(told.await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), replay.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    player.join().unwrap();
}

#[tokio::test]
async fn a_replay_for_real_is_recorded_sent_and_explained_as_the_call_itself() {
    let gate = Gate::new();
    let script = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut receiver = Receiver::start().await;
    let hook = json!({"name": "all", "hook": "all", "format": "json", "uri": receiver.uri("/")});
    daemon.add_hook(hook).await;
    gate.open();
    let live = receiver
        .until(|request| request.trigger() == "call_hangup")
        .await;
    assert!(daemon.terminate().await.success());

    let file = capture::path("bridge.plain.esl");
    let file = file.to_str().unwrap();
    let (code, _, summary) = run(&home, &["replay", "--deliver", file]).await;
    assert_eq!(code, Some(0), "{summary}");
    assert!(summary.contains("were sent or recorded"), "{summary}");
    let told = |requests: &[support::receiver::Request]| -> Vec<(String, String)> {
        let calls = requests
            .iter()
            .filter(|one| !one.trigger().starts_with("switch_"));
        calls
            .map(|one| (one.trigger(), one.header("webhook-id").to_owned()))
            .collect()
    };
    let replayed = receiver
        .until(|request| request.trigger() == "call_hangup")
        .await;
    // The same ids: a receiver that has seen them knows it.
    assert_eq!(told(&replayed), told(&live));
    assert!(receiver.rest().is_empty());

    let daemon = home.serve().await;
    let call = replayed[0].field("call_uuid");
    let path = format!("/v2/accounts/default/calls/{call}/timeline");
    let (status, answer) = daemon.api("GET", &path, None).await;
    assert_eq!(status, 200, "{answer}");
    let creates = answer["data"]["timeline"].as_array().unwrap().iter();
    let creates =
        creates.filter(|entry| entry["event"] == "CHANNEL_CREATE" && entry["call_id"] == *call);
    assert_eq!(creates.count(), 2, "once live, once replayed");
}

#[tokio::test]
async fn what_is_no_recording_is_said_to_be_none() {
    let home = Home::new(1);
    let file = home.path().join("notes.txt");
    std::fs::write(&file, "Dear switch,\n\nContent-Length\n\n").unwrap();
    let (code, _, problem) = run(&home, &["replay", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(1));
    assert!(
        problem.contains("notes.txt: byte 0: a header line without a colon"),
        "{problem}"
    );
    let (code, _, problem) = run(&home, &["replay", "/nowhere/calls.esl"]).await;
    assert_eq!(code, Some(1));
    assert!(
        problem.contains("/nowhere/calls.esl: cannot be opened"),
        "{problem}"
    );
    // Cut short: what is whole is played.
    let bridge = capture::read("bridge.plain.esl");
    std::fs::write(&file, &bridge[..bridge.len() / 2]).unwrap();
    let (code, facts, problem) = run(&home, &["replay", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(1));
    assert!(facts.contains("channel_create"), "{facts}");
    assert!(
        problem.contains("the stream ended inside a frame"),
        "{problem}"
    );
    assert!(problem.contains("leg(s) had not ended"), "{problem}");
}

#[tokio::test]
async fn a_replay_in_real_time_takes_as_long_as_the_call_took() {
    let home = Home::new(1);
    let file = home.path().join("call.esl");
    let event = |name: &str, at: i64| {
        capture::event(&[
            ("Event-Name", name),
            ("Core-UUID", "core-1"),
            ("Unique-ID", "aaaa"),
            ("Call-Direction", "inbound"),
            (
                "Event-Date-Timestamp",
                &(1_795_248_000_000_000 + at).to_string(),
            ),
        ])
    };
    let frames = [
        event("CHANNEL_CREATE", 0),
        event("CHANNEL_HANGUP_COMPLETE", 700_000),
    ];
    std::fs::write(&file, frames.concat()).unwrap();
    let path = file.to_str().unwrap();
    let time = async |arguments: &[&str]| {
        let began = std::time::Instant::now();
        let (code, facts, problem) = run(&home, arguments).await;
        assert_eq!(code, Some(0), "{problem}");
        assert!(facts.contains("call_hangup"), "{facts}");
        began.elapsed()
    };
    let slow = time(&["replay", "--realtime", path]).await;
    assert!(slow >= Duration::from_millis(700), "{slow:?}");
    let fast = time(&["replay", path]).await;
    assert!(fast < slow, "{fast:?}");
}
