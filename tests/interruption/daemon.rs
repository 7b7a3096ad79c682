//! The real binary beside a switch whose connection drops, that restarts, or that is gone; and killed itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use switchhook::esl::Event;

use crate::complete::{Told, complete};
use crate::list::Channels;
use crate::support::capture::{self, Recording};
use crate::support::daemon::{Daemon, Home};
use crate::support::receiver::{Receiver, Request};
use crate::support::switch::{Gate, Script, Switch};
use crate::tools;

/// How long a webhook may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// A recorded call, and the switch it happened in.
struct Call {
    frames: Vec<bytes::Bytes>,
    events: Vec<Event>,
    core: String,
}

impl Call {
    fn read(name: &str) -> Self {
        let events = tools::capture(name);
        Self {
            frames: Recording::read(&format!("{name}.plain.esl")).events,
            core: events[0].text("Core-UUID").unwrap().into_owned(),
            events,
        }
    }

    /// The place behind the nth event of this name, from 1.
    fn behind(&self, nth: usize, name: &str) -> usize {
        let named = self
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.name() == name);
        named.map(|(index, _)| index + 1).nth(nth - 1).unwrap()
    }

    /// A connection to the switch after so many of its events.
    fn connection(&self, after: usize) -> Script {
        let channels = Channels::after(&self.events[..after]);
        let script = Script::subscribed()
            .answer("global_getvar core_uuid", &self.core)
            .answer("show channels as json", &channels.list());
        channels.uuids().fold(script, |script, uuid| {
            script.answer(&format!("uuid_dump {uuid} json"), &channels.dump(uuid))
        })
    }

    fn say(&self, script: Script, events: std::ops::Range<usize>) -> Script {
        self.frames[events]
            .iter()
            .cloned()
            .fold(script, Script::say)
    }
}

/// A receiver with a hook for everything, and all it was sent.
struct Listener {
    receiver: Receiver,
    heard: Vec<Request>,
}

impl Listener {
    async fn new(daemon: &Daemon) -> Self {
        let receiver = Receiver::start().await;
        let hook =
            json!({"name": "all", "hook": "all", "format": "json", "uri": receiver.uri("/")});
        daemon.add_hook(hook).await;
        Self {
            receiver,
            heard: Vec::new(),
        }
    }

    /// Listens until this was told so many times in all.
    async fn until(&mut self, count: usize, trigger: &str) -> &Request {
        loop {
            let told = self
                .heard
                .iter()
                .filter(|one| one.trigger() == trigger)
                .count();
            if told == count {
                let last = self.heard.iter().rfind(|one| one.trigger() == trigger);
                return last.unwrap();
            }
            let request = self.receiver.next().await;
            self.heard.push(request);
        }
    }

    /// Listens until every call is told to its end, and then to what the daemon says at its own.
    async fn finish(&mut self, daemon: Daemon) -> Vec<Told> {
        // What is under way when a daemon is killed is sent again: by its id a receiver knows it.
        let told = |heard: &[Request]| -> Vec<Told> {
            let mut ids = BTreeSet::new();
            let once = |request: &&Request| ids.insert(request.header("webhook-id").to_owned());
            heard.iter().filter(once).filter_map(Told::by).collect()
        };
        loop {
            self.heard.extend(self.receiver.rest());
            let so_far = told(&self.heard);
            let problem = match self.count("call_hangup") {
                0 => "no call has ended".to_owned(),
                _ => match complete(&so_far) {
                    Ok(()) => break,
                    Err(problem) => problem,
                },
            };
            match tokio::time::timeout(PATIENCE, self.receiver.next()).await {
                Ok(request) => self.heard.push(request),
                Err(_) => panic!("{problem}: {so_far:#?}\n{}", daemon.log_text()),
            }
        }
        assert!(daemon.terminate().await.success());
        self.heard.extend(self.receiver.rest());
        let told = told(&self.heard);
        complete(&told).unwrap_or_else(|problem| panic!("{problem}: {told:#?}"));
        told
    }

    fn count(&self, trigger: &str) -> usize {
        self.heard
            .iter()
            .filter(|one| one.trigger() == trigger)
            .count()
    }
}

/// Whether it was worked out and not seen.
fn is_reconciled(request: &Request) -> bool {
    request.payload()["reconciled"] == json!(true)
}

/// Drops the connection behind `from` events of a call, of which `last` is told last, and is back behind `to`;
/// everything that was told.
async fn dropped(name: &str, from: usize, last: &str, to: usize) -> Vec<Told> {
    let call = Call::read(name);
    let [begins, drops, goes_on] = [Gate::new(), Gate::new(), Gate::new()];
    let first = call.say(call.connection(0).pass(&begins), 0..from);
    let second = call.say(call.connection(to).pass(&goes_on), to..call.frames.len());
    let switch = Switch::start([first.pass(&drops).reset(), second]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    begins.open();
    listener.until(1, last).await;
    drops.open();
    // What was asked for at once is answered before the call goes on.
    switch.heard_nth(2, "api show channels as json").await;
    goes_on.open();
    let told = listener.finish(daemon).await;
    assert_eq!(listener.count("switch_disconnected"), 1);
    told
}

#[tokio::test]
async fn a_dropped_connection_leaves_no_call_half_told() {
    let bridge = Call::read("bridge");
    let ringing = bridge.behind(2, "CHANNEL_CREATE");
    let talking = bridge.behind(1, "CHANNEL_BRIDGE");
    let hanging_up = bridge.behind(1, "CHANNEL_HANGUP");
    let cuts = [
        (ringing, "extension_dialed", ringing),
        (ringing, "extension_dialed", talking + 2),
        (talking, "call_missed_or_answered", hanging_up),
        (talking, "call_missed_or_answered", bridge.frames.len()),
    ];
    let played = cuts.map(|(from, last, to)| tokio::spawn(dropped("bridge", from, last, to)));
    for (cut, played) in cuts.iter().zip(played) {
        let told = played.await.unwrap();
        let count = |trigger: &str| told.iter().filter(|one| one.trigger == trigger).count();
        assert_eq!(count("channel_create"), 2, "{cut:?}");
        // The gap did not hide who took the call.
        assert_eq!(count("call_answered_extension"), 1, "{cut:?}: {told:#?}");
    }
}

#[tokio::test]
async fn a_sidecar_that_was_killed_knows_its_calls_again() {
    let call = Call::read("bridge");
    let talking = call.behind(1, "CHANNEL_BRIDGE");
    let gate = Gate::new();
    let before = call.say(call.connection(0).pass(&gate), 0..talking);
    let goes_on = Gate::new();
    let after = call.say(
        call.connection(talking).pass(&goes_on),
        talking..call.frames.len(),
    );
    let switch = Switch::start([before, after]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    gate.open();
    listener.until(1, "call_missed_or_answered").await;
    daemon.kill().await;

    let mut daemon = home.serve().await;
    daemon.logged("connected to the switch").await;
    switch.heard_nth(2, "api show channels as json").await;
    // It knows both legs: none is new to it.
    goes_on.open();
    let end = listener.until(1, "call_hangup").await;
    assert_eq!(end.field("outcome"), "answered");
    assert_eq!(end.field("answered_by"), "extension");
    assert!(!is_reconciled(end), "it was seen");
    assert!(
        switch
            .commands()
            .iter()
            .all(|command| !command.contains("uuid_dump"))
    );
    listener.finish(daemon).await;
}

#[tokio::test]
async fn a_call_that_ended_while_the_sidecar_was_dead_is_ended_when_it_is_back() {
    let call = Call::read("bridge");
    let ringing = call.behind(2, "CHANNEL_CREATE");
    let gate = Gate::new();
    let before = call.say(call.connection(0).pass(&gate), 0..ringing);
    let after = call.connection(call.events.len());
    let switch = Switch::start([before, after]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    gate.open();
    listener.until(1, "extension_dialed").await;
    daemon.kill().await;
    let daemon = home.serve().await;
    let outcome = listener.until(1, "call_missed_or_answered").await;
    assert!(is_reconciled(outcome));
    assert_eq!(outcome.field("outcome"), "missed");
    listener.finish(daemon).await;
}

#[tokio::test]
async fn a_switch_that_was_restarted_has_ended_every_call() {
    let mut call = Call::read("bridge");
    let talking = call.behind(1, "CHANNEL_BRIDGE");
    let [gate, over] = [Gate::new(), Gate::new()];
    let before = call.say(call.connection(0).pass(&gate), 0..talking);
    let before = before.pass(&over).goodbye();
    call.core = "99999999-0000-4000-8000-000000000000".to_owned();
    let after = call.connection(call.events.len());
    let switch = Switch::start([before, after]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    gate.open();
    listener.until(1, "call_missed_or_answered").await;
    over.open();
    let end = listener.until(1, "call_hangup").await;
    assert_eq!(end.field("hangup_cause"), "SWITCH_RESTART");
    assert_eq!(end.field("answered_by"), "extension");
    assert!(is_reconciled(end));
    // Explained as what it was: worked out, and by whom it was matched.
    let root = listener
        .heard
        .iter()
        .find(|one| one.trigger() == "call_hangup")
        .unwrap();
    let path = format!(
        "/v2/accounts/default/calls/{}/timeline",
        root.field("call_id")
    );
    let (_, answer) = daemon.api("GET", &path, None).await;
    let entries = answer["data"]["timeline"].as_array().unwrap();
    let told_of = |entry: &&Value| entry["facts"].to_string().contains("SWITCH_RESTART");
    assert!(
        entries
            .iter()
            .filter(told_of)
            .all(|entry| entry["event"] == "reconciled")
    );
    assert!(entries.iter().any(|entry| told_of(&entry)));
    listener.finish(daemon).await;
}

#[tokio::test]
async fn a_switch_that_was_gone_and_is_back_without_channels_has_ended_every_call() {
    let call = Call::read("missed-vm");
    let ringing = call.behind(2, "CHANNEL_CREATE");
    let gate = Gate::new();
    let before = call.say(call.connection(0).pass(&gate), 0..ringing);
    let switch = Switch::start([before]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    gate.open();
    listener.until(1, "extension_dialed").await;
    let address = switch.stop().await;
    let gone = listener.until(1, "switch_disconnected").await;
    assert!(!gone.field("reason").is_empty());
    // Nobody knows yet what became of it.
    assert_eq!(listener.count("channel_destroy"), 0);
    let _switch = Switch::start_on(address, [call.connection(call.events.len())]).await;
    listener.until(1, "call_missed").await;
    listener.finish(daemon).await;
    assert!(
        listener
            .heard
            .iter()
            .filter(|one| one.trigger() == "channel_destroy")
            .all(is_reconciled)
    );
    let back = listener
        .heard
        .iter()
        .rfind(|one| one.trigger() == "switch_connected");
    assert_eq!(back.unwrap().field("reason"), "connected");
}

#[tokio::test]
async fn what_the_switch_counts_otherwise_twice_is_looked_into() {
    let call = Call::read("caller-cancel");
    let begun = call.behind(1, "CHANNEL_CREATE");
    let begun_at = call.events[begun - 1]
        .number("Event-Date-Timestamp")
        .unwrap();
    let heartbeat = |seconds: i64| {
        capture::event(&[
            ("Event-Name", "HEARTBEAT"),
            ("Core-UUID", &call.core),
            (
                "Event-Date-Timestamp",
                &(begun_at + seconds * 1_000_000).to_string(),
            ),
            ("Session-Count", "0"),
        ])
    };
    let gate = Gate::new();
    // Its end is never told: the switch has dropped the events.
    let script = call
        .say(call.connection(0).pass(&gate), 0..begun)
        .say(heartbeat(20))
        .say(heartbeat(40));
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let mut daemon = home.serve().await;
    let mut listener = Listener::new(&daemon).await;
    gate.open();
    let end = listener.until(1, "call_hangup").await;
    assert!(is_reconciled(end));
    assert_eq!(end.field("duration_seconds"), "40");
    daemon
        .logged("the switch counts other sessions than we do")
        .await;
    listener.finish(daemon).await;
}
