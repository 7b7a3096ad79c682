//! A store that takes nothing: locked by somebody else, or on a full disk. The switch is not kept waiting, memory
//! stays bounded, what is shed is counted and said, and afterwards every call that was told of has its end.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::daemon::{Daemon, Home};
use support::exchange::Exchange;
use support::receiver::Receiver;
use support::switch::{Gate, Script, Switch};
use tokio::process::Command;
use tokio::time::Instant;

const CALLS_A_SECOND: u64 = 40;
/// So large, as each becomes three bytes of a form, that the bounded queue before the store is full after some
/// hundred events.
const CUSTOM_DATA: usize = 16_000;
/// How far the resident memory may grow: the queue is bounded at 32 MiB, the deliveries under way at 256.
const GROWTH: u64 = 96 << 20;

#[tokio::test]
async fn a_locked_store_sheds_and_comes_back() {
    let exchange = Exchange::start().await;
    let home = Home::new(exchange.port());
    let mut lock = None;
    story(home, exchange, async |daemon, home, blocked| {
        if blocked {
            let other = Connection::open(home.database()).unwrap();
            other.busy_timeout(Duration::from_secs(10)).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            lock = Some(other);
            daemon.logged("database is locked").await;
        } else {
            lock.take();
        }
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_takes_no_more_sheds_and_comes_back() {
    let exchange = Exchange::start().await;
    // No file may grow beyond the limit that is set later. The signal that would tell of it is none that a
    // disk sends.
    let home = Home::new(exchange.port()).after("trap '' XFSZ");
    story(home, exchange, async |daemon, _, blocked| {
        let limit = match blocked {
            true => "--fsize=65536:",
            false => "--fsize=unlimited:",
        };
        let pid = daemon.pid().to_string();
        let mut prlimit = Command::new("prlimit");
        let changed = prlimit.args(["--pid", &pid, limit]).status().await;
        assert!(changed.unwrap().success());
        if blocked {
            daemon.logged("disk I/O error").await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "mounts a small tmpfs, for which it has to be root: cargo test --test shedding -- --ignored"]
async fn a_full_disk_sheds_and_comes_back() {
    let exchange = Exchange::start().await;
    let home = Home::new(exchange.port());
    let disk = home.path().to_owned();
    run("mount", &["-t", "tmpfs", "-o", "size=256m", "tmpfs"], &disk).await;
    let filler = disk.join("filler");
    story(home, exchange, async |daemon, _, blocked| {
        if blocked {
            let mut file = std::fs::File::create(&filler).unwrap();
            let fill = move || loop {
                if let Err(error) = std::io::Write::write_all(&mut file, &[0; 4096]) {
                    return error;
                }
            };
            // Beside the switch, which must not be kept waiting by us.
            let full = tokio::task::spawn_blocking(fill).await.unwrap();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            daemon.logged("database or disk is full").await;
        } else {
            std::fs::remove_file(&filler).unwrap();
        }
    })
    .await;
    run("umount", &["-l"], &disk).await;
}

#[tokio::test]
async fn a_switch_that_dies_with_thousands_of_channels_is_no_stalled_store() {
    // Each is a call that ends with four records: together more than the queue before the store holds.
    const CHANNELS: u32 = 2_600;
    let gates = [Gate::new(), Gate::new()];
    let event = |name: &str, core: &str, sequence: u32| {
        support::capture::event(&[
            ("Event-Name", name),
            ("Core-UUID", core),
            ("Event-Date-Timestamp", "1795248023065845"),
            ("Event-Sequence", &sequence.to_string()),
            ("Unique-ID", &format!("call-{sequence}")),
            ("Call-Direction", "inbound"),
        ])
    };
    let begun = (1..CHANNELS).flat_map(|call| event("CHANNEL_CREATE", "core-1", call));
    let begun: Vec<u8> = begun.collect();
    let last = event("CHANNEL_CREATE", "core-1", CHANNELS);
    let restarted = event("HEARTBEAT", "core-2", 1);
    let script = Script::subscribed()
        .pass(&gates[0])
        .say(begun)
        .pass(&gates[1])
        .say([last, restarted].concat());
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port()).with("STORE__STALL_TIMEOUT_MS", 60_000);
    let daemon = home.serve().await;
    // What happens is recorded for it, and not sent.
    let hook =
        json!({"name": "off", "hook": "all", "enabled": false, "uri": "http://127.0.0.1:9/"});
    daemon.add_hook(hook).await;
    let connection = Connection::open(home.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    let recorded = async |trigger: &str, count: u32| {
        let sql = "SELECT count(*) FROM events WHERE trigger = ?";
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let recorded = connection.query_row(sql, [trigger], |row| row.get::<_, u32>(0));
            match recorded.unwrap() {
                recorded if recorded == count => return,
                recorded => assert!(Instant::now() < deadline, "{recorded} {trigger}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    gates[0].open();
    recorded("channel_create", CHANNELS - 1).await;

    // The last call waits for the store, and behind it the end of all.
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    gates[1].open();
    loop {
        let (_, health) = daemon.api("GET", "/health/ready", None).await;
        if health["data"]["store"]["queued"].as_u64().unwrap() > 0 {
            break;
        }
    }
    connection.execute_batch("ROLLBACK").unwrap();
    recorded("channel_destroy", CHANNELS).await;
    let log = daemon.log_text();
    assert!(!log.contains("events are shed"), "{log}");
}

async fn run(program: &str, arguments: &[&str], path: &std::path::Path) {
    let status = Command::new(program).args(arguments).arg(path).status();
    assert!(status.await.unwrap().success(), "{program} {arguments:?}");
}

/// Calls come in all the while; the store is blocked, and works again.
async fn story(
    home: Home,
    mut exchange: Exchange,
    mut block: impl AsyncFnMut(&mut Daemon, &Home, bool),
) {
    let home = home
        .with("STORE__STALL_TIMEOUT_MS", 200)
        .with("DELIVERY__ENDPOINT_RATE", 100_000)
        .with("DELIVERY__ENDPOINT_BURST", 100_000);
    let mut receiver = Receiver::start().await;
    let mut daemon = home.serve().await;
    let custom = "&".repeat(CUSTOM_DATA);
    let hook = json!({
        "name": "test", "uri": receiver.uri("/"), "format": "form-data",
        "hook": ["channel_create", "channel_answer", "channel_bridge", "channel_destroy"],
        "custom_data": {"x": custom},
    });
    daemon.add_hook(hook).await;
    exchange.dial(CALLS_A_SECOND * 8, CALLS_A_SECOND);
    receiver.take(20).await;
    exchange.longest_write();
    let before = daemon.resident();

    block(&mut daemon, &home, true).await;
    let said = daemon.logged("events are shed until it does").await;
    assert!(said.contains("look at the disk of [store] path"), "{said}");
    let read = exchange.bytes();
    while exchange.bytes() < read + (4 << 20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waited = exchange.longest_write();
    assert!(
        waited < Duration::from_secs(5),
        "the switch waited {waited:?}"
    );
    let grown = daemon.resident().saturating_sub(before);
    assert!(grown < GROWTH, "grown by {} MiB", grown >> 20);
    let (status, health) = daemon.api("GET", "/health/ready", None).await;
    let (ready, store, switch) = health_of(&health);
    assert_eq!(
        (status, ready, &store["working"]),
        (503, false, &json!(false))
    );
    assert!(switch["shed_events"].as_u64().unwrap() > 0, "{health}");
    assert_eq!(switch["connected"], true, "{health}");

    block(&mut daemon, &home, false).await;
    let back = daemon.logged("the store takes events again").await;
    let (_, health) = daemon.api("GET", "/health/ready", None).await;
    let (ready, _, switch) = health_of(&health);
    assert!(ready, "{health}");
    let shed = switch["shed_events"].as_u64().unwrap();
    assert!(
        back.contains(&format!("shed_events={shed}")),
        "{shed}: {back}"
    );
    exchange.over(CALLS_A_SECOND * 8).await;
    let told = ends_of_all_legs(&mut daemon, &home).await;
    assert_eq!(
        daemon.log_text().matches("events are shed").count(),
        1,
        "{}",
        daemon.log_text()
    );
    println!(
        "{shed} events were shed, {} MiB of memory were added, the switch waited {waited:?} at most; {told} legs begun and ended",
        grown >> 20
    );
    assert!(daemon.terminate().await.success());
}

fn health_of(health: &Value) -> (bool, &Value, &Value) {
    let data = &health["data"];
    let ready = data["ready"].as_bool().unwrap();
    (ready, &data["store"], &data["switch"])
}

/// Waits until every leg has ended and nothing is pending; then who was told of a leg's beginning was told of its
/// end, once. How many legs there were.
async fn ends_of_all_legs(daemon: &mut Daemon, home: &Home) -> usize {
    let connection = Connection::open(home.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let mut told: BTreeMap<String, [u32; 2]> = BTreeMap::new();
        let mut statement = connection
            .prepare("SELECT call_id, trigger FROM events WHERE trigger IN ('channel_create', 'channel_destroy')")
            .unwrap();
        let mut rows = statement.query(()).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let trigger: String = row.get(1).unwrap();
            let told = told.entry(row.get(0).unwrap()).or_default();
            told[usize::from(trigger == "channel_destroy")] += 1;
        }
        let wrong: Vec<_> = told.iter().filter(|(_, told)| **told != [1, 1]).collect();
        let pending: i64 = connection
            .query_row(
                "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL",
                (),
                |row| row.get(0),
            )
            .unwrap();
        let (_, health) = daemon.api("GET", "/health/ready", None).await;
        let live = health["data"]["switch"]["channels"].as_u64().unwrap();
        if live == 0 && wrong.is_empty() && pending == 0 {
            return told.len();
        }
        assert!(
            Instant::now() < deadline,
            "{live} legs live, {pending} rows are pending, and of {} legs these did not begin and end once: {wrong:?}",
            told.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
