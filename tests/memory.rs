//! What the call model takes for calls that live, and that it keeps nothing of those that are over.

mod support;

use std::sync::{Mutex, MutexGuard};

use serde_json::json;
use support::api::Api;
use support::daemon::Home;
use support::pattern::Pattern;
use support::switch::{Script, Switch};
use switchhook::call::{Accounts, Tracker, TrackerConfig, Wanted};
use switchhook::esl::Event;
use switchhook::trigger::{Trigger, TriggerSet};

const MIB: u64 = 1 << 20;
/// What [`MOST_CHANNELS`] may take in all.
const ALLOWED: u64 = 200 * MIB;
const MOST_CHANNELS: u64 = 50_000;
/// What a daemon takes without any channel, database and API included.
const ITSELF: u64 = 40 * MIB;

/// Memory is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Resident memory of a process, in bytes.
fn resident(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1_024
}

const BEGIN: &[&str] = &["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_BRIDGE"];
const WHOLE: &[&str] = &[
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
];

/// A tracker as the daemon has it: asked for everything, its changes stored as they come.
struct Desk {
    tracker: Tracker,
    accounts: Accounts,
}

impl Desk {
    fn new() -> Self {
        let mut tracker = Tracker::new(TrackerConfig::default());
        tracker.want(Wanted {
            triggers: TriggerSet::all(),
            ..Wanted::default()
        });
        tracker.changed();
        Self {
            tracker,
            accounts: Accounts::default(),
        }
    }

    /// Hears the events of a call; how many facts they were.
    fn hear(&mut self, pattern: &Pattern, nth: u64) -> usize {
        let mut facts = Vec::new();
        for text in pattern.texts(nth) {
            let event = Event::from_plain(text);
            self.tracker.on_event(&event, &self.accounts, &mut facts);
            self.tracker.changed();
        }
        facts.len()
    }
}

/// Bridged calls with so many legs in all, and what each leg takes.
fn bytes_a_leg(legs: u64) -> u64 {
    let _alone = alone();
    let pattern = Pattern::of("bridge.plain.esl", BEGIN);
    let mut desk = Desk::new();
    // What is allocated once is not a leg's.
    desk.hear(&pattern, u64::from(u32::MAX));
    let before = resident("self");
    for call in 0..legs / 2 {
        desk.hear(&pattern, call);
    }
    assert_eq!(desk.tracker.live_legs() as u64, legs + 2);
    let bytes = resident("self").saturating_sub(before) / legs;
    println!("{bytes} bytes a leg");
    bytes
}

#[test]
fn a_live_channel_is_small() {
    let bytes = bytes_a_leg(4_000);
    assert!(
        bytes > 100,
        "{bytes} bytes a leg is too little to be measured"
    );
    let all = bytes * MOST_CHANNELS + ITSELF;
    assert!(all < ALLOWED, "{bytes} bytes a leg are {} MiB", all / MIB);
}

#[test]
#[ignore = "ten seconds; run with --ignored"]
fn fifty_thousand_live_channels_are_small() {
    let bytes = bytes_a_leg(MOST_CHANNELS);
    assert!(
        bytes * MOST_CHANNELS + ITSELF < ALLOWED,
        "{bytes} bytes a leg"
    );
}

/// What a hook's owner writes into it is in every body; a receiver that never answers makes them wait.
#[test]
fn four_hooks_with_large_data_and_a_receiver_that_hangs_take_little() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(large_data_for_a_receiver_that_hangs());
}

async fn large_data_for_a_receiver_that_hangs() {
    const EVENTS: u64 = 1_500;
    const MOST: u64 = 48 * MIB;
    let api = Api::start().await;
    // Connections come about in its backlog; it takes none.
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", receiver.local_addr().unwrap());
    let hook = json!({"name": "large", "hook": "channel_create", "uri": uri, "format": "json",
        "custom_data": {"filler": "x".repeat(16_384 - r#"{"filler":""}"#.len())}});
    let mut hooks = Vec::new();
    for _ in 0..4 {
        hooks.push(api.make_hook("default", hook.clone()).await);
    }
    let before = resident("self");
    for event in 1..=EVENTS {
        api.happens("default", &format!("call-{event}"), Trigger::ChannelCreate);
        if event % 50 > 0 {
            continue;
        }
        let path = format!("/accounts/default/webhooks/{}/stats", hooks[3]);
        while api.call("GET", &path).await.data(200)["pending"] != event {
            tokio::task::yield_now().await;
        }
    }
    let more = resident("self").saturating_sub(before);
    println!(
        "{} MiB more for {} MiB of bodies",
        more / MIB,
        EVENTS * 4 * 16 / 1_024
    );
    assert!(more < MOST, "{} MiB more", more / MIB);
}

/// Plays calls one after the other; after the first tenth, nothing grows any more.
fn leaves_nothing(calls: u64) {
    let _alone = alone();
    let pattern = Pattern::of("bridge.plain.esl", WHOLE);
    let mut desk = Desk::new();
    let facts = desk.hear(&pattern, 0);
    let mut settled = 0;
    for call in 1..calls {
        assert_eq!(desk.hear(&pattern, call), facts, "call {call}");
        assert_eq!(
            (desk.tracker.live_legs(), desk.tracker.live_calls()),
            (0, 0)
        );
        if call == calls / 10 {
            settled = resident("self");
        }
    }
    let more = resident("self").saturating_sub(settled);
    println!("{} KiB more after {calls} calls", more / 1_024);
    assert!(settled > 0 && more < 2 * MIB, "{more} bytes more");
    assert!(desk.tracker.changed().is_empty());
}

#[test]
fn calls_that_are_over_leave_nothing_behind() {
    leaves_nothing(1_500);
}

#[test]
#[ignore = "10 million calls: some 25 minutes in a release build; run with --release --ignored"]
fn ten_million_calls_leave_nothing_behind() {
    leaves_nothing(10_000_000);
}

#[tokio::test]
#[ignore = "50,000 channels through the real binary: a minute; run with --ignored"]
async fn a_daemon_with_fifty_thousand_live_channels_is_small() {
    let pattern = Pattern::of("bridge.plain.esl", &["CHANNEL_CREATE"]);
    let script = (0..MOST_CHANNELS / 2).flat_map(|call| pattern.texts(call).collect::<Vec<_>>());
    let script = script.fold(Script::subscribed(), |script, text| {
        let text = String::from_utf8(text.to_vec()).unwrap();
        script.say(support::capture::frame("text/event-plain", &text))
    });
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let process = daemon.pid().to_string();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    loop {
        let (_, health) = daemon.api("GET", "/health/ready", None).await;
        if health
            .to_string()
            .contains(&format!("\"channels\":{MOST_CHANNELS}"))
        {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{health}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let bytes = resident(&process);
    println!("{} MiB", bytes / MIB);
    assert!(bytes < ALLOWED, "{} MiB", bytes / MIB);
}
