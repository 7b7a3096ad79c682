//! A backlog for an endpoint that is dead: it waits in the store, costs no memory to speak of, delays neither the
//! start nor anybody else, and where its hook is switched off it goes without being in the way.
//!
//! In short with 50,000 deliveries; with a million: `cargo test --release --test backlog -- --ignored`.

mod support;

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::backlog::pile_up;
use support::daemon::{Daemon, Home};
use support::exchange::Exchange;
use support::receiver::Receiver;
use tokio::time::Instant;

/// How far the resident memory may grow at most, at any moment.
const GROWTH: u64 = 64 << 20;
/// How long a start may take.
const START: Duration = Duration::from_secs(5);
/// How long the first attempt of a live delivery may keep waiting, in the middle and at the end of the scale.
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(1_000)];

#[tokio::test]
async fn fifty_thousand_wait_for_a_dead_endpoint() {
    story(50_000, 40, false).await;
}

#[tokio::test]
async fn fifty_thousand_are_skipped_when_their_hook_is_switched_off() {
    story(50_000, 40, true).await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo test --release --test backlog -- --ignored"]
async fn a_million_wait_for_a_dead_endpoint() {
    story(1_000_000, 2_000, false).await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo test --release --test backlog -- --ignored"]
async fn a_million_are_skipped_when_their_hook_is_switched_off() {
    story(1_000_000, 2_000, true).await;
}

async fn story(backlog: i64, calls: u64, disables: bool) {
    let mut exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    let dead = Receiver::start().await;
    let dead_uri = dead.uri("/");
    drop(dead);
    let home = Home::new(exchange.port())
        .with("DELIVERY__ENDPOINT_RATE", 100_000)
        .with("DELIVERY__ENDPOINT_BURST", 100_000)
        .with("DELIVERY__RETRY_BASE_MS", 1_000)
        .with("DELIVERY__DISABLE_DISABLER", !disables);
    let daemon = home.serve().await;
    let hook = |name: &str, uri: String, trigger: &str| json!({"name": name, "uri": uri, "hook": trigger, "format": "json"});
    daemon.add_hook(hook("dead", dead_uri, "dtmf")).await;
    daemon
        .add_hook(hook("well", receiver.uri("/"), "all"))
        .await;
    let unburdened = live(&mut exchange, &mut receiver, &home, calls).await;
    let before = daemon.most_resident();
    assert!(daemon.terminate().await.success());

    let began = Instant::now();
    pile_up(&home, backlog);
    let piled = began.elapsed();
    let began = Instant::now();
    let mut daemon = home.serve().await;
    let started = began.elapsed();
    match disables {
        false => daemon.logged("no connection comes about").await,
        true => daemon.logged("switched off").await,
    };
    let burdened = live(&mut exchange, &mut receiver, &home, calls).await;
    if disables {
        daemon = all_skipped(daemon, &home, backlog).await;
    } else {
        let pending = count(&home, "state = 'pending' AND queue = 1");
        assert!(pending > backlog - 100, "{pending}: it was hammered");
    }
    let grown = daemon.most_resident().saturating_sub(before);
    println!(
        "{backlog} pending (piled up in {piled:.1?}): started in {started:.2?}; at most {} MiB resident, {} more than without; \
         first attempts waited {burdened:.1?} (half of them at most, 99 in 100), without the backlog {unburdened:.1?}",
        daemon.most_resident() >> 20,
        grown >> 20,
    );
    assert!(started < START, "{started:?}");
    assert!(grown < GROWTH, "grown by {} MiB", grown >> 20);
    for (waited, limit) in burdened.iter().zip(WAITS) {
        assert!(*waited < limit, "{burdened:?}");
    }
    assert!(daemon.terminate().await.success());
}

/// So many calls, told to the receiver that is well, and how long first attempts waited: the median, and what 99 in
/// 100 waited at most.
async fn live(
    exchange: &mut Exchange,
    receiver: &mut Receiver,
    home: &Home,
    calls: u64,
) -> [Duration; 2] {
    let last = count_of(home, "SELECT coalesce(max(id), 0) FROM attempts");
    exchange.dial(calls, (calls / 4).min(200));
    let over = exchange.calls_over() + calls;
    exchange.over(over).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while count(home, "state = 'pending' AND queue = 2") > 0 {
        assert!(
            Instant::now() < deadline,
            "live traffic does not get through"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    receiver.rest();
    let waits = |part: i64| {
        let sql = format!(
            "WITH waits AS (SELECT a.at - d.occurred_at AS wait FROM attempts a JOIN deliveries d ON d.id = a.delivery
                 WHERE a.id > {last} AND a.queue = 2 AND a.attempt = 1 ORDER BY wait)
             SELECT wait FROM waits LIMIT 1 OFFSET (SELECT count(*) * {part} / 100 FROM waits)"
        );
        Duration::from_micros(count_of(home, &sql).unsigned_abs())
    };
    [waits(50), waits(99)]
}

/// Waits until the backlog is gone.
async fn all_skipped(daemon: Daemon, home: &Home, backlog: i64) -> Daemon {
    let began = Instant::now();
    while count(home, "state = 'pending'") > 0 {
        assert!(began.elapsed() < Duration::from_secs(300));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("all skipped after {:.1?} more", began.elapsed());
    let skipped = count(home, "state = 'skipped' AND queue = 1");
    assert!(skipped > backlog - 100, "{skipped}");
    daemon
}

fn count(home: &Home, condition: &str) -> i64 {
    count_of(
        home,
        &format!("SELECT count(*) FROM deliveries WHERE {condition}"),
    )
}

fn count_of(home: &Home, sql: &str) -> i64 {
    let connection = Connection::open(home.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.query_row(sql, (), |row| row.get(0)).unwrap()
}
