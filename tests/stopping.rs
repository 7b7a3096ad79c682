//! SIGTERM: no new request is begun, those under way may end, the switch is listened to until the last, all is
//! committed. A second one stops at once. Nothing is lost either way.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::daemon::{Daemon, Home};
use support::exchange::Exchange;
use support::receiver::{Behaviour, Receiver, Request};
use tokio::time::Instant;

/// Longer than a stop takes that waits for nothing, shorter than one that waits for a request.
const SOON: Duration = Duration::from_secs(5);
const WAITING: &str = "waiting for the requests under way";

/// A home, and a daemon in it with a hook for beginnings and ends at `receiver`.
async fn daemon(exchange: &Exchange, receiver: &Receiver, home: Home) -> (Home, Daemon) {
    let home = home
        .with("SWITCH__PORT", exchange.port())
        .with("DELIVERY__ENDPOINT_RATE", 100_000)
        .with("DELIVERY__ENDPOINT_BURST", 100_000);
    let daemon = home.serve().await;
    let hook = json!({
        "name": "test", "uri": receiver.uri("/"), "format": "json",
        "hook": ["channel_create", "channel_destroy"],
    });
    daemon.add_hook(hook).await;
    (home, daemon)
}

fn id(request: &Request) -> String {
    request.header("webhook-id").to_owned()
}

/// One number from the database, as soon as it is so large.
async fn count(home: &Home, sql: &str, at_least: i64) -> i64 {
    let connection = Connection::open(home.database()).unwrap();
    connection.busy_timeout(SOON).unwrap();
    let deadline = Instant::now() + 2 * SOON;
    loop {
        let count: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
        if count >= at_least {
            return count;
        }
        assert!(Instant::now() < deadline, "{sql}: {count}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const PENDING: &str = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
const DELIVERED: &str = "SELECT count(*) FROM deliveries WHERE state = 'delivered'";

#[tokio::test]
async fn what_is_under_way_may_end_and_the_switch_is_heard_to_the_last() {
    let mut exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    let answer = receiver.hold();
    let (home, mut daemon) = daemon(&exchange, &receiver, Home::new(0)).await;
    exchange.dial(1, 1);
    let first = receiver.next().await;

    daemon.signal("TERM").await;
    daemon.logged(WAITING).await;
    exchange.dial(1, 1);
    exchange.over(2).await;
    // Two legs of two calls, each begun and ended: all of it is read and committed, none of it sent.
    assert_eq!(count(&home, PENDING, 8).await, 8);
    assert_eq!(receiver.rest().len(), 0);

    answer.open();
    assert!(daemon.ended().await.success());
    assert_eq!(count(&home, DELIVERED, 1).await, 1);
    assert_eq!(count(&home, PENDING, 7).await, 7);

    let daemon = home.serve().await;
    let others = receiver.take(7).await;
    assert!(others.iter().all(|request| id(request) != id(&first)));
    count(&home, DELIVERED, 8).await;
    assert!(daemon.terminate().await.success());
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn it_waits_no_longer_than_it_is_told() {
    let exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    receiver.behave(Behaviour::Stall);
    let home = Home::new(0).with("DELIVERY__SHUTDOWN_TIMEOUT_MS", 300);
    let (home, mut daemon) = daemon(&exchange, &receiver, home).await;
    exchange.dial(1, 1);
    let first = receiver.next().await;
    let began = Instant::now();
    daemon.signal("TERM").await;
    daemon.logged("requests are still under way").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(daemon.ended().await.success());
    assert!(began.elapsed() < SOON);

    receiver.behave(Behaviour::status(204));
    let daemon = home.serve().await;
    let requests = receiver.until(|request| id(request) == id(&first)).await;
    let again = requests.last().unwrap();
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("webhook-attempt"), "1", "the first was none");
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    receiver.behave(Behaviour::Stall);
    let (home, mut daemon) = daemon(&exchange, &receiver, Home::new(0)).await;
    exchange.dial(1, 1);
    let first = receiver.next().await;
    daemon.signal("TERM").await;
    daemon.logged(WAITING).await;
    let began = Instant::now();
    daemon.signal("TERM").await;
    assert!(daemon.ended().await.success());
    assert!(began.elapsed() < SOON, "the first would have waited 10 s");

    receiver.behave(Behaviour::status(204));
    let daemon = home.serve().await;
    receiver.until(|request| id(request) == id(&first)).await;
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn a_locked_store_does_not_keep_it_for_ever() {
    let exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    let answer = receiver.hold();
    let home = Home::new(0).with("DELIVERY__SHUTDOWN_TIMEOUT_MS", 300);
    let (home, mut daemon) = daemon(&exchange, &receiver, home).await;
    exchange.dial(1, 1);
    let first = receiver.next().await;
    let other = Connection::open(home.database()).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    answer.open();
    daemon.logged("database is locked").await;
    daemon.signal("TERM").await;
    daemon.logged("operations that it could not commit").await;
    assert!(daemon.ended().await.success());
    other.execute_batch("ROLLBACK").unwrap();

    // Its success is forgotten, so it comes again, and can be known for the same.
    let daemon = home.serve().await;
    receiver.until(|request| id(request) == id(&first)).await;
    assert!(daemon.terminate().await.success());
}

#[tokio::test]
async fn stops_in_the_middle_of_traffic_lose_nothing_and_send_nothing_twice() {
    const CALLS: u64 = 40;
    let mut exchange = Exchange::start().await;
    let mut receiver = Receiver::start().await;
    let (home, mut daemon) = daemon(&exchange, &receiver, Home::new(0)).await;
    exchange.dial(CALLS, 20);
    let mut arrived: HashMap<String, u32> = HashMap::new();
    for stop in 1..=3 {
        for request in receiver.take(10 * stop).await {
            *arrived.entry(id(&request)).or_default() += 1;
        }
        assert!(daemon.terminate().await.success());
        daemon = home.serve().await;
    }
    exchange.over(CALLS).await;
    while count(&home, PENDING, 0).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for request in receiver.rest() {
        *arrived.entry(id(&request)).or_default() += 1;
    }
    let committed = count(&home, DELIVERED, 1).await;
    assert_eq!(arrived.len(), usize::try_from(committed).unwrap());
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(daemon.terminate().await.success());
}
