//! The real daemon between a switch and whoever is told: what the rows that measure all of it stand on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::machine::cpu_of_process;
use crate::receiver::Receiver;
use crate::support::daemon::{Daemon, Home};
use crate::switch::{Line, Switch};

/// Calls that are up: to one hook, what happens in a call goes in order, so there have to be many.
pub(crate) const CALLS: u64 = 256;

/// Requests under way at an endpoint.
pub(crate) const IN_FLIGHT: usize = 128;

/// A daemon that is to be told of key presses.
pub(crate) struct House {
    pub(crate) switch: Switch,
    pub(crate) home: Home,
}

impl House {
    /// A daemon whose endpoints have no rate, so that it shows its own.
    pub(crate) fn new() -> Self {
        let switch = Switch::listen();
        let home = Home::new(switch.port())
            .with("DELIVERY__ENDPOINT_RATE", 1_000_000)
            .with("DELIVERY__ENDPOINT_BURST", 1_000_000)
            .with("DELIVERY__ENDPOINT_IN_FLIGHT", IN_FLIGHT)
            .with("DELIVERY__RETRY_BASE_MS", 1_000)
            .with("DELIVERY__DISABLE_DISABLER", true);
        // A profiler's command line, which the daemon's is put behind.
        let home = match std::env::var("SWITCHHOOK_UNDER") {
            Ok(profiler) => home.after(&format!("exec {profiler} \"$0\" \"$@\"")),
            Err(_) => home,
        };
        Self { switch, home }
    }
}

/// A hook on every key press.
pub(crate) fn hook(uri: &str) -> Value {
    json!({"name": "bench", "hook": "dtmf", "uri": uri, "format": "json", "secret": "generate"})
}

/// Has `presses` keys pressed, as many at a time as `at_once` says, and waits until all were heard of.
pub(crate) async fn keep_busy(line: &mut Line, receiver: &Receiver, presses: u64, at_once: u64) {
    let before = receiver.count();
    let mut pressed = 0;
    let mut last = (0, Instant::now());
    loop {
        let arrived = receiver.count() - before;
        if arrived != last.0 {
            last = (arrived, Instant::now());
        }
        assert!(
            last.1.elapsed() < Duration::from_secs(30),
            "nothing arrives any more: {arrived} of {pressed}"
        );
        if arrived >= presses {
            return;
        }
        while pressed < presses.min(arrived + at_once) {
            line.press(pressed % CALLS);
            pressed += 1;
        }
        line.flush();
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Has so many keys pressed at this rate, on a thread that keeps the time, and gives the line back.
pub(crate) async fn keep_pace(mut line: Line, rate: u64, presses: u64) -> Line {
    let pressing = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        for number in 0..presses {
            let due = began + Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            line.press(number % CALLS);
            line.flush();
        }
        line
    });
    pressing.await.expect("somebody listens")
}

/// How much CPU time the daemon has used.
pub(crate) fn cpu(daemon: &Daemon) -> Duration {
    cpu_of_process(daemon.pid())
}
