//! A post office: store, index and dispatcher without switch and API, for tests of delivery alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use switchhook::call::{Accounts, CallType, Fact, Payload};
use switchhook::delivery::{
    Backoff, DeliveryConfig, DeliveryHandle, Dispatcher, Guard, Inputs, SendConfig, Sender,
    SwitchOff,
};
use switchhook::hook::{Document, Hook, Index, RateLimit, Record, Router, Secrets};
use switchhook::store::attempts::{self, Filter, LoggedAttempt, Scope};
use switchhook::store::{Opened, Store, StoreConfig, hooks};
use switchhook::time::{Clock, Timestamp};
use switchhook::trigger::Trigger;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How a test's dispatcher differs from the usual one, and the directory that outlives it.
pub struct Office {
    pub directory: Arc<TempDir>,
    pub config: DeliveryConfig,
    pub send: SendConfig,
    pub guard: Guard,
    pub clock: Clock,
}

impl Office {
    /// Retries come soon, and no hook is switched off.
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            directory: Arc::new(tempfile::tempdir().unwrap()),
            config: DeliveryConfig {
                rate: RateLimit {
                    per_second: 100_000,
                    burst: 100_000,
                },
                in_flight: 32,
                backoff: Backoff {
                    base: Duration::from_millis(20),
                    cap: Duration::from_secs(60),
                },
                disable_after: 0,
                disable_within: Duration::from_secs(60),
                log_successes: true,
            },
            send: SendConfig {
                connect_timeout: Duration::from_secs(2),
                request_timeout: Duration::from_secs(10),
                idle_connections: 32,
            },
            guard: Guard::default(),
            clock: Clock::system(),
        }
    }

    pub fn database(&self) -> std::path::PathBuf {
        self.directory.path().join("switchhook.db")
    }

    /// Opens it. It can be opened again when it was closed.
    pub async fn open(&self) -> Open {
        let Opened {
            store,
            committed,
            settled,
        } = Store::open(StoreConfig::new(self.database()), self.clock.clone()).unwrap();
        let (stored, unreadable) = store.read(hooks::all).await.unwrap();
        assert!(unreadable.is_empty(), "{unreadable:?}");
        let index = Arc::new(Index::new(stored));
        let sender = Sender::new(&self.send, self.guard.clone()).unwrap();
        let (dispatcher, delivery, switched_off) = Dispatcher::new(
            self.config.clone(),
            store.clone(),
            sender,
            Arc::clone(&index),
            self.clock.clone(),
        );
        Open {
            directory: Arc::clone(&self.directory),
            router: Router::new(Arc::clone(&index)),
            accounts: Accounts::default(),
            sending: tokio::spawn(dispatcher.run(Inputs { committed, settled })),
            clock: self.clock.clone(),
            store,
            index,
            delivery,
            switched_off,
            sequence: AtomicU64::new(1),
        }
    }
}

/// A post office that is open.
pub struct Open {
    directory: Arc<TempDir>,
    pub store: Store,
    pub index: Arc<Index>,
    pub delivery: DeliveryHandle,
    pub switched_off: mpsc::UnboundedReceiver<SwitchOff>,
    router: Router,
    accounts: Accounts,
    sending: JoinHandle<()>,
    clock: Clock,
    sequence: AtomicU64,
}

impl Open {
    /// A hook for every trigger, JSON, with what `more` says besides.
    pub async fn add_hook(&self, uri: &str, more: Value) -> Hook {
        let mut document: Document =
            json!({"name": "test", "hook": "all", "format": "json", "uri": uri})
                .as_object()
                .unwrap()
                .clone();
        document.extend(more.as_object().unwrap().clone());
        self.add_signed_hook(document, Secrets::default()).await
    }

    pub async fn add_signed_hook(&self, document: Document, secrets: Secrets) -> Hook {
        let hook = self
            .store
            .write(move |tx| hooks::insert(tx, "default", document.clone(), secrets.clone()))
            .await
            .unwrap();
        self.put(hook.clone());
        hook
    }

    /// Makes a changed hook known.
    pub fn put(&self, hook: Hook) {
        let (key, account, id) = (hook.key, Arc::clone(&hook.account_id), Arc::clone(&hook.id));
        self.index.put(hook);
        self.delivery.hook_changed(key, &account, &id);
    }

    /// Something happens in a call, now.
    pub fn happens(&self, call: &str, trigger: Trigger) {
        self.happened(call, trigger, self.clock.now());
    }

    /// Something happened in a call.
    pub fn happened(&self, call: &str, trigger: Trigger, at: Timestamp) {
        let record = self.record(call, trigger, at);
        self.store.offer(record).expect("room in the store");
    }

    /// What happened in a call, for the hooks that are there now.
    pub fn record(&self, call: &str, trigger: Trigger, at: Timestamp) -> Record {
        let mut payload = Payload::default();
        payload.set("call_id", call);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        payload.set("sequence", i64::try_from(sequence).unwrap());
        let fact = Fact {
            trigger,
            at,
            core_uuid: "bd449c15-abdc-4f45-a85b-156e559d301f".into(),
            sequence,
            account_id: "default".into(),
            call_id: Some(call.into()),
            call_uuid: Some(call.into()),
            internal_leg: false,
            call_type: Some(CallType::Inbound),
            numbers: Arc::default(),
            reconciled: false,
            twin: false,
            switch_event: None,
            subscription: None,
            payload,
        };
        self.router
            .route(&fact, &self.accounts)
            .expect("somebody wants it")
    }

    /// How many deliveries stand how, as soon as none is pending any more.
    pub async fn settled(&self) -> HashMap<String, u64> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let read = self.store.read(|conn| {
                let sql = "SELECT state, count(*) FROM deliveries GROUP BY state";
                let mut statement = conn.prepare(sql)?;
                let count =
                    |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, u32>(1)?.into()));
                let counts = statement.query_map((), count)?;
                Ok(counts.collect::<Result<HashMap<String, u64>, _>>()?)
            });
            let counts = read.await.unwrap();
            if !counts.contains_key("pending") {
                return counts;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "still pending: {counts:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every attempt, oldest first.
    pub async fn attempts(&self) -> Vec<LoggedAttempt> {
        let read = self.store.read(|conn| {
            attempts::page(
                conn,
                &Scope::Account("default".into()),
                &Filter::default(),
                None,
                100_000,
            )
        });
        let mut attempts = read.await.unwrap().attempts;
        attempts.reverse();
        attempts
    }

    /// Waits until `reached` is true of the attempts, which it then returns. Every look is at what was
    /// committed; between two looks the dispatcher runs.
    pub async fn attempts_when(
        &self,
        reached: impl Fn(&[LoggedAttempt]) -> bool,
    ) -> Vec<LoggedAttempt> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let attempts = self.attempts().await;
            if reached(&attempts) {
                return attempts;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "never reached; the attempts are {attempts:#?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops as the daemon does.
    pub async fn close(self) {
        self.delivery.stop();
        self.sending.await.unwrap();
        self.store.close().await.unwrap();
        drop(self.directory);
    }

    /// Stops as a crash does: what is under way is forgotten.
    pub async fn crash(self) {
        self.sending.abort();
        self.store.close().await.unwrap();
    }
}
