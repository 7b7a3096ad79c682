//! What the daemon costs while nothing happens, and how soon it is there.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::backlog;
use crate::house::{House, cpu, hook};
use crate::machine::{row, wake_ups};
use crate::support::daemon::{Daemon, Home};

const HOOKS: usize = 1_000;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn rows(runtime: &Runtime) {
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_switchhook")).expect("the binary");
    compare(
        "idle: size of the binary (vs. limit)",
        binary.len() as f64 / MIB,
        15.0,
        "MiB",
    );
    runtime.block_on(async {
        let house = House::new();
        let (daemon, started) = start(&house.home).await;
        compare(
            "start: ready with an empty database (vs. limit)",
            started,
            100.0,
            "ms",
        );
        for _ in 0..HOOKS {
            daemon.add_hook(hook("http://127.0.0.1:9/")).await;
        }
        house.switch.line();
        daemon.terminate().await;
        let (daemon, _) = start(&house.home).await;
        house.switch.line();
        // What a start has still to do is over by then: the first pass of retention, for one.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let resident = daemon.resident() as f64 / MIB;
        compare(
            "idle: resident with 1,000 hooks (vs. limit)",
            resident,
            20.0,
            "MiB",
        );
        let (woken, used) = (wake_ups(daemon.pid()), cpu(&daemon));
        tokio::time::sleep(Duration::from_secs(30)).await;
        // A thread that has ended meanwhile is not counted.
        let since = |(thread, times): (_, u64)| times - woken.get(&thread).unwrap_or(&0);
        let woken = wake_ups(daemon.pid()).into_iter().map(since).sum::<u64>() as f64 / 30.0;
        compare(
            "idle: wake-ups of all threads a second (vs. one)",
            woken,
            1.0,
            "/s",
        );
        let used = (cpu(&daemon) - used).as_secs_f64() * 1e3 / 30.0;
        compare("idle: CPU a second (vs. 1 ms)", used, 1.0, "ms");
        daemon.terminate().await;
        backlog::pile_up(&house.home, 1_000_000);
        let (daemon, started) = start(&house.home).await;
        compare(
            "start: ready with a million pending (vs. limit)",
            started,
            5_000.0,
            "ms",
        );
        daemon.terminate().await;
    });
}

fn compare(what: &str, ours: f64, limit: f64, unit: &str) {
    let text = |value: f64| format!("{value:.1} {unit}");
    row(what, &text(ours), &text(limit), ours / limit);
}

/// A daemon, and after how many milliseconds it was ready.
async fn start(home: &Home) -> (Daemon, f64) {
    let began = Instant::now();
    let daemon = home.serve().await;
    (daemon, began.elapsed().as_secs_f64() * 1e3)
}
