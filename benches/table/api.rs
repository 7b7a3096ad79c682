//! How the REST API answers while calls go on, and what that costs the calls.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::house::{CALLS, House, hook, keep_pace};
use crate::machine::{percentile, row, setting};
use crate::receiver::Receiver;
use crate::support::daemon::Daemon;

const CLIENTS: usize = 64;
/// Events a second meanwhile.
const RATE: u64 = 1_000;
const HOOKS: &str = "/v2/accounts/default/webhooks";

pub(crate) fn rows(runtime: &Runtime) {
    let seconds = setting("SWITCHHOOK_API_SECONDS", 10);
    runtime.block_on(measure(Duration::from_secs(seconds)));
}

async fn measure(long: Duration) {
    let house = House::new();
    let receiver = Receiver::start();
    let daemon = house.home.serve().await;
    daemon.add_hook(hook(&receiver.uri())).await;
    let mut line = house.switch.line();
    line.dial(0..CALLS);
    let presses = RATE * long.as_secs();
    let (before, began) = (receiver.count(), Instant::now());
    line = keep_pace(line, RATE, presses).await;
    let alone = (receiver.count() - before) as f64 / began.elapsed().as_secs_f64();
    let (before, began) = (receiver.count(), Instant::now());
    let clients = join_all((0..CLIENTS).map(|client| talk(&daemon, client, began + long)));
    let (_, all) = tokio::join!(keep_pace(line, RATE, presses), clients);
    let beside = (receiver.count() - before) as f64 / began.elapsed().as_secs_f64();
    let mut took: Vec<f64> = all.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    daemon.terminate().await;
    let ms = |value: f64| format!("{value:.1} ms");
    for (part, share, limit) in [("p50", 0.5, 50.0), ("p99", 0.99, 50.0)] {
        let value = percentile(&took, share);
        row(
            &format!("api {part}: 64 clients at once, {RATE} events/s (vs. limit)"),
            &ms(value),
            &ms(limit),
            value / limit,
        );
    }
    row(
        &format!(
            "api: deliveries a second beside {} requests/s (vs. alone)",
            took.len() as u64 / long.as_secs()
        ),
        &format!("{beside:.0}/s"),
        &format!("{alone:.0}/s"),
        beside / alone,
    );
}

/// Makes, changes, lists and deletes until `end`; how many milliseconds each request took.
async fn talk(daemon: &Daemon, client: usize, end: Instant) -> Vec<f64> {
    let mut took = Vec::new();
    let mut ask = async |method: &str, path: &str, data: Option<serde_json::Value>| {
        let began = Instant::now();
        let (status, answer) = daemon.api(method, path, data).await;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        assert!(status < 300, "{method} {path}: {answer}");
        answer
    };
    while Instant::now() < end {
        let data = json!({"name": format!("client {client}"), "uri": "http://127.0.0.1:9/", "hook": "call_missed"});
        let made = ask("PUT", HOOKS, Some(data)).await;
        let path = format!("{HOOKS}/{}", made["data"]["id"].as_str().expect("an id"));
        ask("PATCH", &path, Some(json!({"name": "another"}))).await;
        ask("GET", &format!("{HOOKS}?page_size=10"), None).await;
        ask("DELETE", &path, None).await;
    }
    took
}
