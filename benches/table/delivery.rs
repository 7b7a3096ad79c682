//! What a delivery costs from the event socket to the outcome in SQLite, beside a loop of reqwest that does nothing
//! else.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::backlog;
use crate::house::{CALLS, House, IN_FLIGHT, cpu, hook, keep_busy};
use crate::machine::{cpu_of_thread, each, row, row_us, setting, this_thread};
use crate::receiver::Receiver;

/// What a run came to.
struct Run {
    per_second: f64,
    /// CPU microseconds for each, without the receiver's.
    cpu: f64,
    /// The receiver's.
    receiver: f64,
}

pub(crate) fn rows(runtime: &Runtime) {
    let requests = setting("SWITCHHOOK_DELIVERIES", 100_000);
    let receiver = Receiver::start();
    let bare = runtime.block_on(bare_loop(&receiver, requests));
    let live = runtime.block_on(live(&receiver, requests));
    let backlog = runtime.block_on(from_backlog(&receiver, requests));
    for (what, run) in [("live", &live), ("from a backlog", &backlog)] {
        row(
            &format!("delivery, {what}: a second (vs. bare reqwest; limit 0.6)"),
            &format!("{:.0}/s", run.per_second),
            &format!("{:.0}/s", bare.per_second),
            run.per_second / bare.per_second,
        );
        row_us(
            &format!("delivery, {what}: CPU of the daemon (vs. bare reqwest)"),
            run.cpu,
            bare.cpu,
        );
        row_us(
            &format!("delivery, {what}: CPU, receiver included (vs. limit 45 µs)"),
            run.cpu + run.receiver,
            45.0,
        );
    }
}

/// Measures what happens in `work`, in which `requests` are made. `cpu` says what was used so far.
async fn run(
    receiver: &Receiver,
    requests: u64,
    cpu: impl Fn() -> Duration,
    work: impl Future<Output = ()>,
) -> Run {
    let (began, used, receivers) = (Instant::now(), cpu(), receiver.cpu());
    work.await;
    Run {
        per_second: requests as f64 / began.elapsed().as_secs_f64(),
        cpu: each(cpu() - used, requests),
        receiver: each(receiver.cpu() - receivers, requests),
    }
}

/// The same requests without switch, store, order, limits or retries.
async fn bare_loop(receiver: &Receiver, requests: u64) -> Run {
    let body = Bytes::from(vec![b'x'; 900]);
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(IN_FLIGHT)
        .build()
        .expect("a client");
    let uri = receiver.uri();
    let thread = this_thread();
    let loops = async {
        let left = Arc::new(AtomicU64::new(requests));
        let loops = (0..IN_FLIGHT).map(|_| {
            let (client, uri, body) = (client.clone(), uri.clone(), body.clone());
            let left = Arc::clone(&left);
            tokio::spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let sent = client
                        .post(&uri)
                        .header("content-type", "application/json")
                        .header("webhook-id", "msg_9df3e4e0c3c4db1e6f5b7f6b2b8d1c02")
                        .header("webhook-timestamp", "1795248024")
                        .header("webhook-attempt", "1")
                        .header("x-hook-id", "883e0335cdc74c1f80d3131c5ec1ab30")
                        .header("x-account-id", "default")
                        .body(body.clone())
                        .send()
                        .await
                        .expect("an answer");
                    black_box(sent.bytes().await.expect("a body"));
                }
            })
        });
        for done in loops.collect::<Vec<_>>() {
            done.await.expect("no panic");
        }
    };
    run(receiver, requests, || cpu_of_thread(&thread), loops).await
}

/// Key presses as fast as they are told of: the daemon is never behind by more than it keeps in memory.
async fn live(receiver: &Receiver, requests: u64) -> Run {
    let house = House::new();
    let daemon = house.home.serve().await;
    daemon.add_hook(hook(&receiver.uri())).await;
    let mut line = house.switch.line();
    line.dial(0..CALLS);
    keep_busy(&mut line, receiver, 2_000, 128).await;
    let work = keep_busy(&mut line, receiver, requests, 192);
    let run = run(receiver, requests, || cpu(&daemon), work).await;
    daemon.terminate().await;
    run
}

/// What an earlier run left in SQLite, as after an endpoint's outage.
async fn from_backlog(receiver: &Receiver, requests: u64) -> Run {
    let house = House::new();
    let daemon = house.home.serve().await;
    daemon.add_hook(hook(&receiver.uri())).await;
    daemon.terminate().await;
    backlog::pile_up(&house.home, i64::try_from(requests).expect("not as many"));
    let before = receiver.count();
    let daemon = house.home.serve().await;
    let work = async {
        while receiver.count() - before < requests {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let run = run(receiver, requests, || cpu(&daemon), work).await;
    daemon.terminate().await;
    run
}
