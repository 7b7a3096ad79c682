//! Many clients at once while calls go on: nothing is lost, nothing hangs, and what is shown is what is stored.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::api::Api;
use support::receiver::Receiver;
use switchhook::store::hooks;
use switchhook::trigger::Trigger;

const HOOKS: &str = "/accounts/default/webhooks";
const CLIENTS: usize = 64;

/// A moment; `SWITCHHOOK_STORM_SECONDS=30` for the long run.
fn storm() -> Duration {
    let seconds = std::env::var("SWITCHHOOK_STORM_SECONDS");
    let seconds = seconds.ok().and_then(|text| text.parse().ok());
    seconds.map_or(Duration::from_millis(1_500), Duration::from_secs)
}

#[tokio::test]
async fn sixty_four_clients_change_hooks_while_calls_go_on() {
    let api = Arc::new(Api::start().await);
    let mut receiver = Receiver::start().await;
    let listener = json!({ "name": "listens", "uri": receiver.uri("/"), "hook": "channel_create" });
    let steady = api.make_hook("default", listener).await;
    let quiet = json!({ "name": "shared", "uri": "http://127.0.0.1:9/", "hook": "dtmf" });
    let shared = api.make_hook("default", quiet).await;
    let end = Instant::now() + storm();
    let over = Arc::new(AtomicBool::new(false));

    let calls = {
        let (api, over) = (Arc::clone(&api), Arc::clone(&over));
        tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                api.happens("default", &format!("call-{count}"), Trigger::ChannelCreate);
                count += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            count
        })
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (api, shared) = (Arc::clone(&api), shared.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                let mut round = 0;
                while Instant::now() < end {
                    let data = json!({ "name": format!("{client}.{round}"), "uri": "http://127.0.0.1:9/", "hook": "dtmf" });
                    let began = Instant::now();
                    let id = api.make_hook("default", data).await;
                    took.push(began.elapsed());
                    let path = format!("{HOOKS}/{id}");
                    let began = Instant::now();
                    let patch = api.send("PATCH", &path, json!({ "round": round })).await;
                    took.push(began.elapsed());
                    assert_eq!(patch.data(200)["round"], round);
                    let mut own = serde_json::Map::new();
                    own.insert(format!("client_{client}"), json!(round));
                    let began = Instant::now();
                    api.send("PATCH", &format!("{HOOKS}/{shared}"), own.into())
                        .await
                        .data(200);
                    took.push(began.elapsed());
                    let began = Instant::now();
                    api.call("GET", &format!("{HOOKS}?page_size=10"))
                        .await
                        .data(200);
                    took.push(began.elapsed());
                    let began = Instant::now();
                    api.call("DELETE", &path).await.data(200);
                    took.push(began.elapsed());
                    round += 1;
                }
                (round - 1, took)
            })
        })
        .collect();
    let mut took = Vec::new();
    let mut rounds = Vec::new();
    for client in clients {
        let (last, times) = client.await.unwrap();
        rounds.push(last);
        took.extend(times);
    }
    over.store(true, Ordering::Relaxed);
    let calls = calls.await.unwrap();
    took.sort();
    println!(
        "{} requests, {calls} calls; a request took {:?} in the middle, {:?} at the 99th percentile",
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );

    let read = api.call("GET", &format!("{HOOKS}/{shared}")).await;
    for (client, last) in rounds.iter().enumerate() {
        assert_eq!(
            read.data(200)[format!("client_{client}")],
            *last,
            "an update was lost"
        );
    }
    let sent = receiver.take(calls).await;
    assert_eq!(sent.len(), calls, "every call was told");
    let (stored, _) = api.store.read(hooks::all).await.unwrap();
    let mut stored: Vec<_> = stored
        .iter()
        .map(|hook| (Arc::clone(&hook.id), hook.modified))
        .collect();
    let shown = api.registry.index().all();
    let mut shown: Vec<_> = shown
        .iter()
        .map(|hook| (Arc::clone(&hook.id), hook.modified))
        .collect();
    stored.sort();
    shown.sort();
    assert_eq!(shown, stored);
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().any(|(id, _)| **id == *steady));
}
