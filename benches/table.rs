//! `cargo bench`: one table of what things cost, each beside a reference measured in the same run.
//!
//! Times on a shared machine move by a third with its mood, so the ratios count, and CPU before wall clock.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::json;
use switchhook::call::{Account, Accounts, Fact, Rules, Tracker, TrackerConfig, Wanted};
use switchhook::delivery::{
    Backoff, DeliveryConfig, Dispatcher, Guard, Inputs, SendConfig, Sender,
};
use switchhook::esl::{Cutter, Event, Frame, Limits, peek_name};
use switchhook::hook::{Document, Hook, Index, RateLimit, Router, Secrets, Settings};
use switchhook::store::{Opened, Store, StoreConfig, hooks};
use switchhook::time::{Clock, Timestamp};
use switchhook::trigger::TriggerSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn main() {
    // `cargo bench` passes --bench; a word of ours picks some of the rows.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |group: &str| only.as_deref().is_none_or(|only| group.contains(only));
    println!(
        "{:<58} {:>14} {:>14} {:>8}",
        "what", "ours", "reference", "ratio"
    );
    if wanted("ingest") {
        ingest();
    }
    if wanted("matching") {
        matching();
    }
    if wanted("delivery") {
        delivery();
    }
}

fn row(what: &str, ours: &str, reference: &str, ratio: f64) {
    println!("{what:<58} {ours:>14} {reference:>14} {ratio:>8.2}");
}

/// CPU time of this process so far, user and system, from /proc (hundredths of a second).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(") ").next().expect("the fields");
    let fields: Vec<u64> = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().expect("a number"))
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}

const CAPTURES: &[&str] = &[
    "bridge",
    "busy",
    "caller-cancel",
    "click2call",
    "conf",
    "fifo",
    "ivr",
    "missed-vm",
    "queue",
    "ringgroup",
    "transfer",
    "utf8",
];

fn stream() -> Bytes {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let mut stream = Vec::new();
    for name in CAPTURES {
        stream.extend(std::fs::read(format!("{directory}/{name}.plain.esl")).expect("a capture"));
    }
    stream.into()
}

fn frames(stream: &Bytes) -> Vec<Frame> {
    let mut cutter = Cutter::new(Limits::default());
    let mut buffer = BytesMut::from(&stream[..]);
    let mut frames = Vec::new();
    while let Some(frame) = cutter.cut(&mut buffer).expect("a sound stream") {
        frames.push(frame);
    }
    frames
}

/// Microseconds for each of `items`, the best of five runs of `work`.
fn best(items: usize, mut work: impl FnMut()) -> f64 {
    (0..5)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64() * 1e6 / items as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn ingest() {
    let stream = stream();
    let frames_once = frames(&stream);
    let events = frames_once
        .iter()
        .filter(|frame| peek_name(frame).is_some())
        .count();
    let cut = |each: &mut dyn FnMut(&Frame)| {
        let mut cutter = Cutter::new(Limits::default());
        let mut buffer = BytesMut::with_capacity(stream.len());
        for chunk in stream.chunks(64 * 1024) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = cutter.cut(&mut buffer).expect("a sound stream") {
                each(&frame);
            }
        }
    };
    let floor = best(events, || {
        cut(&mut |frame| {
            black_box(frame.kind);
        })
    });
    let skipped = best(events, || {
        cut(&mut |frame| {
            black_box(peek_name(frame).is_some_and(|name| name == b"NONE"));
        })
    });
    let looked_up = best(events, || {
        cut(&mut |frame| {
            if let Ok(event) = Event::from_frame(frame) {
                for name in [
                    "Unique-ID",
                    "Caller-Caller-ID-Number",
                    "variable_sip_call_id",
                    "Event-Sequence",
                ] {
                    black_box(event.header(name));
                }
            }
        })
    });
    let accounts = Accounts::default();
    let tracked = best(events, || {
        let mut tracker = Tracker::new(TrackerConfig::default());
        tracker.want(Wanted {
            triggers: TriggerSet::all(),
            ..Wanted::default()
        });
        let mut facts = Vec::new();
        cut(&mut |frame| {
            if let Ok(event) = Event::from_frame(frame) {
                tracker.on_event(&event, &accounts, &mut facts);
                black_box(&facts);
                facts.clear();
            }
        });
    });
    let us = |value: f64| format!("{value:.2} µs");
    let floor_text = us(floor);
    row(
        "ingest: an event nobody asked for (vs. cutting frames)",
        &us(skipped),
        &floor_text,
        skipped / floor,
    );
    row(
        "ingest: event indexed, 4 look-ups (vs. cutting frames)",
        &us(looked_up),
        &floor_text,
        looked_up / floor,
    );
    row(
        "ingest: the same with tracker and facts (vs. look-ups)",
        &us(tracked),
        &us(looked_up),
        tracked / looked_up,
    );
}

fn hook(key: i64, account: &str, uri: &str) -> Hook {
    let document: Document = json!({"name": "bench", "hook": "all", "uri": uri, "format": "json",
        "secret": null, "modifiers": {"digit": "1"}})
    .as_object()
    .expect("an object")
    .clone();
    Hook {
        key,
        id: format!("{key:032x}").into(),
        account_id: account.into(),
        settings: Settings::read(&document).expect("a sound hook"),
        document,
        disable_reason: None,
        created: Timestamp(0),
        modified: Timestamp(0),
        secrets: Secrets::default(),
    }
}

fn facts() -> Vec<Fact> {
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.want(Wanted {
        triggers: TriggerSet::all(),
        ..Wanted::default()
    });
    let mut facts = Vec::new();
    for frame in frames(&stream()) {
        if let Ok(event) = Event::from_frame(&frame) {
            tracker.on_event(&event, &Accounts::default(), &mut facts);
        }
    }
    facts
}

fn matching() {
    let mut facts = facts();
    let mut first = None;
    for hooks in [10_i64, 1_000, 100_000] {
        // As many hooks an account as there are, so that a fact finds the same number of them.
        let accounts = (hooks / 10).clamp(1, 10_000);
        let name = |account: i64| format!("account-{account}");
        let index =
            Arc::new(Index::new((0..hooks).map(|key| {
                hook(key + 1, &name(key % accounts), "http://127.0.0.1:1/")
            })));
        let directory = Accounts::new(
            Rules::default(),
            (0..accounts).map(|account| Account {
                id: name(account).as_str().into(),
                ..Account::default()
            }),
        );
        let router = Router::new(Arc::clone(&index));
        for (number, fact) in (0_i64..).zip(&mut facts) {
            fact.account_id = name(number % accounts).as_str().into();
        }
        let each = best(facts.len(), || {
            for fact in &facts {
                black_box(router.route(fact, &directory));
            }
        });
        let first = *first.get_or_insert(each);
        row(
            &format!("matching: a fact, 10 hooks each told, of {hooks} (vs. of 10)"),
            &format!("{each:.2} µs"),
            &format!("{first:.2} µs"),
            each / first,
        );
        if hooks == 100_000 {
            let change = best(1, || index.put(hook(1, &name(0), "http://127.0.0.1:2/")));
            row(
                "matching: one hook of 100,000 changed (limit 5 ms)",
                &format!("{:.2} ms", change / 1e3),
                "5 ms",
                change / 5e3,
            );
        }
    }
}

/// A receiver that answers everything with 204, on a thread of its own.
fn receiver() -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let (address, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address
                .send(listener.local_addr().expect("an address"))
                .expect("a listener");
            while let Ok((mut socket, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut buffer = BytesMut::with_capacity(16 * 1024);
                    loop {
                        // Heads and bodies are told apart by the one header that says so.
                        while let Some(head) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                            let text =
                                String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
                            let length: usize = text
                                .split("content-length: ")
                                .nth(1)
                                .and_then(|rest| rest.split("\r\n").next())
                                .map_or(0, |digits| digits.parse().expect("a length"));
                            if buffer.len() < head + 4 + length {
                                break;
                            }
                            drop(buffer.split_to(head + 4 + length));
                            counter.fetch_add(1, Ordering::Relaxed);
                            if socket.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.is_err() {
                                return;
                            }
                        }
                        match socket.read_buf(&mut buffer).await {
                            Ok(1..) => {}
                            _ => return,
                        }
                    }
                });
            }
        });
    });
    (listening.recv().expect("an address"), count)
}

const DELIVERIES: u64 = 100_000;
const IN_FLIGHT: usize = 128;

fn delivery() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (address, count) = receiver();
    let uri = format!("http://{address}/");
    let mut facts: Vec<Fact> = facts();
    // The hook lets only one digit through.
    facts.retain(|fact| fact.payload.get("digit").is_none());
    facts.truncate(100);
    let body = {
        let index = Arc::new(Index::new([hook(1, "default", &uri)]));
        let record = Router::new(index).route(&facts[0], &Accounts::default());
        record.expect("a hook for all").deliveries[0].body.clone()
    };

    let reference = runtime.block_on(bare_loop(&uri, body));
    let before = count.load(Ordering::Relaxed);
    let ours = runtime.block_on(durable(&uri, &facts, &count, before));
    row(
        "delivery: durable, requests a second (vs. bare reqwest)",
        &format!("{:.0}/s", ours.0),
        &format!("{:.0}/s", reference.0),
        ours.0 / reference.0,
    );
    row(
        "delivery: CPU each, receiver included (vs. bare reqwest)",
        &format!("{:.1} µs", ours.1),
        &format!("{:.1} µs", reference.1),
        ours.1 / reference.1,
    );
}

/// Requests a second and CPU microseconds each.
fn rates(began: Instant, cpu_before: Duration) -> (f64, f64) {
    let used = cpu() - cpu_before;
    (
        DELIVERIES as f64 / began.elapsed().as_secs_f64(),
        used.as_secs_f64() * 1e6 / DELIVERIES as f64,
    )
}

/// The same requests without store, order, limits or retries.
async fn bare_loop(uri: &str, body: Bytes) -> (f64, f64) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(IN_FLIGHT)
        .build()
        .expect("a client");
    let (began, before) = (Instant::now(), cpu());
    let left = Arc::new(AtomicU64::new(DELIVERIES));
    let loops = (0..IN_FLIGHT).map(|_| {
        let (client, uri, body, left) = (
            client.clone(),
            uri.to_owned(),
            body.clone(),
            Arc::clone(&left),
        );
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
    rates(began, before)
}

async fn durable(uri: &str, facts: &[Fact], count: &AtomicU64, before_all: u64) -> (f64, f64) {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::system();
    let Opened {
        store,
        committed,
        settled,
    } = Store::open(
        StoreConfig::new(directory.path().join("bench.db")),
        clock.clone(),
    )
    .expect("a store");
    let document = hook(1, "default", uri).document;
    let stored = store
        .write(move |tx| hooks::insert(tx, "default", document.clone(), Secrets::default()))
        .await
        .expect("a hook");
    let index = Arc::new(Index::new([stored]));
    let unlimited = RateLimit {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let config = DeliveryConfig {
        rate: unlimited,
        in_flight: IN_FLIGHT,
        backoff: Backoff {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        },
        disable_after: 0,
        disable_within: Duration::from_secs(60),
        log_successes: true,
    };
    let send = SendConfig {
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(15),
        idle_connections: IN_FLIGHT,
    };
    let sender = Sender::new(&send, Guard::default()).expect("a client");
    let (dispatcher, handle, _off) = Dispatcher::new(
        config,
        store.clone(),
        sender,
        Arc::clone(&index),
        clock.clone(),
    );
    let running = tokio::spawn(dispatcher.run(Inputs { committed, settled }));
    let router = Router::new(index);
    let accounts = Accounts::default();
    let (began, before) = (Instant::now(), cpu());
    for number in 0..DELIVERIES {
        let mut fact = facts[number as usize % facts.len()].clone();
        fact.sequence = number;
        fact.at = clock.now();
        fact.account_id = "default".into();
        fact.call_uuid = Some(format!("call-{}", number / 8).into());
        let Some(record) = router.route(&fact, &accounts) else {
            continue;
        };
        let mut intake = record.into();
        while let Err(refused) = store.offer(intake) {
            intake = refused;
            store.room().await;
        }
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while count.load(Ordering::Relaxed) - before_all < DELIVERIES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rates = rates(began, before);
    handle.stop();
    running.await.expect("no panic");
    store.close().await.expect("everything committed");
    rates
}
