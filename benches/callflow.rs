//! How long a call is in the dialplan's `socket` for a webhook, from the connection to the hand-back: the real
//! binary with its store and its delivery, at 200 calls a second, before a receiver that answers, one that refuses
//! connections and one that never answers.
//!
//! `cargo bench --bench callflow -- [CALLS A SECOND] [SECONDS]`. The switch is a scripted one on loopback, in one
//! thread with the receiver; its share is in the figures.

use std::time::Duration;

use support::caller::{Caller, End};
use support::receiver::{Behaviour, Receiver};
use support::stage::{Stage, caller};
use tokio::net::TcpSocket;
use tokio::time::{Instant, interval};

#[path = "../tests/support/mod.rs"]
mod support;

/// How long the calls wait that ask a server which never answers.
const WAIT: Duration = Duration::from_millis(300);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut number = |default| {
        arguments.next().map_or(default, |word| {
            word.parse()
                .unwrap_or_else(|_| panic!("{word:?} is no number"))
        })
    };
    let (rate, seconds) = (number(200), number(10));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(rate, seconds));
}

async fn measure(rate: u64, seconds: u64) {
    println!("{rate} calls/s for {seconds} s each");
    let answering = Receiver::start().await;
    let hanging = Receiver::start().await;
    hanging.behave(Behaviour::Stall);
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refusing = format!("http://{}/", nobody.local_addr().unwrap());
    for (what, uri) in [
        ("receiver answers", answering.uri("/")),
        ("receiver refuses", refusing),
        ("receiver hangs", hanging.uri("/")),
    ] {
        for mode in ["async", "sync"] {
            let tells = || {
                let caller = caller("webhook").with("webhook_uri", &uri);
                match mode {
                    "sync" => caller.sync(),
                    _ => caller,
                }
            };
            let calls = call(rate, seconds, tells).await;
            row(
                &format!("POST, {what}, {mode}"),
                calls,
                "queued",
                Duration::ZERO,
            );
        }
    }
    let asks = || {
        caller("webhook")
            .with("webhook_uri", &hanging.uri("/"))
            .with("webhook_http_verb", "get")
            .with("webhook_wait_ms", &WAIT.as_millis().to_string())
    };
    let calls = call(rate, seconds, asks).await;
    row(
        "GET, receiver hangs, beyond wait_ms",
        calls,
        "timeout",
        WAIT,
    );
}

/// How long each call was in the socket beyond what it had asked for, and how many came back with another result.
fn row(what: &str, calls: Vec<(Duration, String)>, result: &str, asked: Duration) {
    let others = calls.iter().filter(|(_, got)| got != result).count();
    let mut waits: Vec<_> = calls
        .iter()
        .map(|(wait, _)| wait.saturating_sub(asked))
        .collect();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{what:<36} p50 {:>9.3?}  p95 {:>9.3?}  p99 {:>9.3?}  longest {:>9.3?}  not {result}: {others}",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
}

/// Calls to a fresh daemon at this pace, whether earlier ones are done or not; how long each was in the socket, and
/// its `webhook_result`.
async fn call(rate: u64, seconds: u64, caller: impl Fn() -> Caller) -> Vec<(Duration, String)> {
    let stage = Stage::with(&[("DELIVERY__RETRY_BASE_MS", "1000")]).await;
    let mut pace = interval(Duration::from_secs(1) / rate as u32);
    let mut calls = Vec::new();
    for _ in 0..rate * seconds {
        let caller = caller();
        pace.tick().await;
        let started = Instant::now();
        let story = stage.dialling(caller);
        calls.push(tokio::spawn(async move {
            let story = story.await.unwrap();
            assert_eq!(story.end, End::HandedBack);
            (
                started.elapsed(),
                story.variable("webhook_result").to_owned(),
            )
        }));
    }
    let mut done = Vec::with_capacity(calls.len());
    for call in calls {
        done.push(call.await.unwrap());
    }
    done
}
