//! How long a call waits in the dialplan's `socket` for a webhook that only tells something: from the connection
//! to the hand-back, with a real store, at 200 calls a second.
//!
//! `cargo bench --bench callflow -- [CALLS A SECOND] [SECONDS]`. The switch is a scripted one on loopback and runs
//! on a thread of its own; its share is in the figures.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchhook::call::Accounts;
use switchhook::callflow::{
    CallflowConfig, CallflowStats, Desk, DeskError, StoredFlow, WebhookAction, WebhookAnswer, serve,
};
use switchhook::hook::{Delivery, Hook, Index, Router, WebhookId};
use switchhook::store::{Store, StoreConfig};
use switchhook::time::Clock;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, interval};

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support"]
mod support {
    pub mod caller;
    pub mod capture;
}

use support::caller::{Caller, End};

/// A house with a store and no delivery.
struct House {
    store: Store,
    router: Router,
    waiting: Mutex<HashMap<WebhookId, oneshot::Sender<()>>>,
}

impl House {
    async fn commit(self: Arc<Self>, mut committed: mpsc::UnboundedReceiver<Vec<Delivery>>) {
        while let Some(deliveries) = committed.recv().await {
            let mut waiting = self.waiting.lock().unwrap();
            for delivery in deliveries {
                if let Some(waits) = waiting.remove(&delivery.webhook_id) {
                    let _ = waits.send(());
                }
            }
        }
    }
}

impl Desk for House {
    async fn queue(
        &self,
        action: WebhookAction,
    ) -> Result<oneshot::Receiver<WebhookAnswer>, DeskError> {
        let (done, committed) = oneshot::channel();
        let record = action.record(&self.router, &self.accounts());
        let id = record.deliveries[0].webhook_id;
        self.waiting.lock().unwrap().insert(id, done);
        self.store
            .offer(record)
            .map_err(|_| DeskError("the queue is full".into()))?;
        committed
            .await
            .map_err(|_| DeskError("the store is closed".into()))?;
        let (_, answer) = oneshot::channel();
        Ok(answer)
    }

    fn accounts(&self) -> Arc<Accounts> {
        Arc::default()
    }

    fn hook(&self, _: &str, _: &str) -> Option<Arc<Hook>> {
        None
    }

    async fn callflow(&self, _: &str, _: &str) -> Result<Option<StoredFlow>, DeskError> {
        Ok(None)
    }

    async fn callflow_for_number(&self, _: &str, _: &str) -> Result<Option<StoredFlow>, DeskError> {
        Ok(None)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut number = |default| {
        arguments.next().map_or(default, |word| {
            word.parse()
                .unwrap_or_else(|_| panic!("{word:?} is no number"))
        })
    };
    let (rate, seconds) = (number(200), number(10));
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("switchhook.db");
    let (place, places) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let opened = Store::open(StoreConfig::new(database), Clock::system()).unwrap();
            let house = Arc::new(House {
                store: opened.store,
                router: Router::new(Arc::new(Index::default())),
                waiting: Mutex::default(),
            });
            tokio::spawn(Arc::clone(&house).commit(opened.committed));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            place.send(listener.local_addr().unwrap()).unwrap();
            let (_stop, stops) = watch::channel(false);
            let stats = Arc::<CallflowStats>::default();
            serve(listener, house, CallflowConfig::default(), stats, stops).await;
        });
    });
    let address = places.recv().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for mode in ["async", "sync"] {
        let mut waits = runtime.block_on(call(address, mode == "async", rate, seconds));
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        println!(
            "{mode} socket, {rate} calls/s for {seconds} s: p50 {:?}, p95 {:?}, p99 {:?}, longest {:?}",
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0)
        );
    }
}

/// Calls at this pace, whether earlier ones are done or not; how long each was in the socket.
async fn call(address: SocketAddr, asynchronous: bool, rate: u64, seconds: u64) -> Vec<Duration> {
    let mut pace = interval(Duration::from_secs(1) / rate as u32);
    let mut calls = Vec::new();
    for _ in 0..rate * seconds {
        pace.tick().await;
        calls.push(tokio::spawn(async move {
            let caller = Caller::new()
                .with("socket_path", "webhook")
                .with(
                    "current_application_data",
                    "127.0.0.1:8084/webhook async full",
                )
                .with("webhook_uri", "http://127.0.0.1:9/dead");
            let caller = if asynchronous { caller } else { caller.sync() };
            let started = Instant::now();
            let story = caller.dial(address).await;
            assert_eq!(story.end, End::HandedBack);
            assert_eq!(story.variable("webhook_result"), "queued");
            started.elapsed()
        }));
    }
    let mut waits = Vec::with_capacity(calls.len());
    for call in calls {
        waits.push(call.await.unwrap());
    }
    waits
}
