//! A management office: store, registry, delivery and the REST API on a port of its own, without a switch.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use switchhook::api::{ApiState, Feed, HealthSources, SwitchHealth, Traffic, serve};
use switchhook::call::{CallType, Fact, Payload, Rules};
use switchhook::delivery::{
    Backoff, DeliveryConfig, Dispatcher, Guard, Inputs, SendConfig, Sender,
};
use switchhook::hook::{Index, RateLimit, Router};
use switchhook::registry::Registry;
use switchhook::store::{Opened, Store, StoreConfig, hooks};
use switchhook::time::Clock;
use switchhook::trigger::Trigger;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The admin token of every test.
pub const ADMIN: &str = "admin-token-of-the-tests";

/// The API of a daemon whose switch is elsewhere.
pub struct Api {
    pub address: SocketAddr,
    pub registry: Arc<Registry>,
    pub store: Store,
    /// What `/v2/events` shows.
    pub feed: Feed,
    /// What is sent as `X-Auth-Token`; empty for none.
    pub token: String,
    http: reqwest::Client,
    router: Arc<Router>,
    sequence: AtomicU64,
    _directory: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

/// What the API said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// `data` of an answer that has to be a success with this status.
    #[track_caller]
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        assert_eq!(self.body["status"], "success", "{:#}", self.body);
        &self.body["data"]
    }

    /// `data` of an answer that has to be an error with this status and message.
    #[track_caller]
    pub fn error(&self, status: u16, message: &str) -> &Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        assert_eq!(self.body["status"], "error", "{:#}", self.body);
        assert_eq!(self.body["error"], status.to_string(), "{:#}", self.body);
        assert_eq!(self.body["message"], message, "{:#}", self.body);
        &self.body["data"]
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Api {
    /// Opens one. Its switch is connected.
    pub async fn start() -> Self {
        Self::start_with(SwitchHealth {
            connected: true,
            ..SwitchHealth::default()
        })
        .await
    }

    /// Opens one whose switch is as `switch` says. Retries come soon; six failures switch a hook off.
    pub async fn start_with(switch: SwitchHealth) -> Self {
        Self::start_for(switch, 10, Guard::default()).await
    }

    /// The same; an address may fail to log in so often before it has to wait, and webhooks go where `guard`
    /// lets them.
    pub async fn start_for(switch: SwitchHealth, failures: u32, guard: Guard) -> Self {
        // Another test of this binary may have done it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let config = StoreConfig::new(directory.path().join("switchhook.db"));
        let Opened {
            store,
            committed,
            settled,
        } = Store::open(config, clock.clone()).unwrap();
        let (stored, _) = store.read(hooks::all).await.unwrap();
        let index = Arc::new(Index::new(stored));
        let send = SendConfig {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            idle_connections: 32,
        };
        let sender = Sender::new(&send, guard).unwrap();
        let delivery = DeliveryConfig {
            rate: RateLimit {
                per_second: 10_000,
                burst: 10_000,
            },
            in_flight: 32,
            backoff: Backoff {
                base: Duration::from_millis(10),
                cap: Duration::from_secs(1),
            },
            disable_after: 6,
            disable_within: Duration::from_secs(60),
            log_successes: true,
        };
        let (dispatcher, delivery, mut switched_off) = Dispatcher::new(
            delivery,
            store.clone(),
            sender.clone(),
            Arc::clone(&index),
            clock.clone(),
        );
        let registry = Registry::load(
            store.clone(),
            Arc::clone(&index),
            delivery.clone(),
            Rules::default(),
            clock.clone(),
        )
        .await
        .unwrap();
        tokio::spawn(dispatcher.run(Inputs { committed, settled }));
        let switching_off = Arc::clone(&registry);
        tokio::spawn(async move {
            while let Some(order) = switched_off.recv().await {
                switching_off.switch_off(&order).await.unwrap();
            }
        });
        let feed = Feed::new(&clock);
        let health = HealthSources {
            traffic: Arc::new(Traffic::default),
            switch: Arc::new(move || switch.clone()),
        };
        let state = ApiState::new(
            Arc::clone(&registry),
            store.clone(),
            delivery,
            sender,
            ADMIN.to_owned(),
            health,
            clock,
        )
        .with_login_failures(NonZeroU32::new(failures).unwrap())
        .with_feed(feed.clone())
        .with_cors_origins(vec!["https://ui.example".into()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, state, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            registry,
            store,
            feed,
            token: ADMIN.into(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            router: Arc::new(Router::new(index)),
            sequence: AtomicU64::new(1),
            _directory: directory,
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    /// A request as it is written, with `path` behind `/v2`.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .http
            .request(method, format!("http://{}{path}", self.address));
        match self.token.is_empty() {
            true => request,
            false => request.header("X-Auth-Token", &self.token),
        }
    }

    /// What a request is answered with.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        Answer {
            status,
            headers,
            body,
        }
    }

    /// A request without a body, with `path` behind `/v2`.
    pub async fn call(&self, method: &str, path: &str) -> Answer {
        self.answer(self.request(method, &format!("/v2{path}")))
            .await
    }

    /// A request with `{"data": data}`, with `path` behind `/v2`.
    pub async fn send(&self, method: &str, path: &str, data: Value) -> Answer {
        self.send_text(method, path, json!({ "data": data }).to_string())
            .await
    }

    /// A request with a body as it stands, said to be JSON.
    pub async fn send_text(
        &self,
        method: &str,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self
            .request(method, &format!("/v2{path}"))
            .header("Content-Type", "application/json")
            .body(body);
        self.answer(request).await
    }

    /// Makes a hook in an account and returns its id.
    pub async fn make_hook(&self, account: &str, data: Value) -> String {
        let answer = self
            .send("PUT", &format!("/accounts/{account}/webhooks"), data)
            .await;
        answer.data(201)["id"].as_str().unwrap().to_owned()
    }

    /// Makes an account below another and returns its id.
    pub async fn make_account(&self, parent: &str, name: &str) -> String {
        let answer = self
            .send(
                "PUT",
                &format!("/accounts/{parent}"),
                json!({ "name": name }),
            )
            .await;
        answer.data(201)["id"].as_str().unwrap().to_owned()
    }

    /// Something happens in a call of an account, now.
    pub fn happens(&self, account: &str, call: &str, trigger: Trigger) {
        let mut payload = Payload::default();
        payload.set("call_id", call);
        let fact = Fact {
            trigger,
            at: Clock::system().now(),
            core_uuid: "5f2b1f5e-8b1c-4c39-9e64-0d2f5a6b7c8d".into(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            account_id: account.into(),
            call_id: Some(call.into()),
            call_uuid: Some(call.into()),
            internal_leg: false,
            call_type: Some(CallType::Inbound),
            numbers: Arc::new([]),
            reconciled: false,
            twin: false,
            switch_event: None,
            subscription: None,
            payload,
        };
        if let Some(record) = self.router.route(&fact, &self.registry.accounts()) {
            self.store.offer(record).expect("room in the store");
        }
    }

    /// The attempts at a path, once there are so many.
    pub async fn attempts(&self, path: &str, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.call("GET", path).await;
            let attempts = answer.data(200).as_array().unwrap().clone();
            if attempts.len() >= count {
                return attempts;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{count} attempts were expected at {path}, there are {attempts:#?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Keeps the store's writer from its next transaction's end, until what is returned first is dropped. The writer
    /// is in it when this returns.
    pub async fn hold_the_writer(&self) -> (std::sync::mpsc::Sender<()>, JoinHandle<()>) {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let (mut begun, store) = (Some(begun), self.store.clone());
        let holding = tokio::spawn(async move {
            let held = store.write(move |_| {
                begun.take().map(|begun| begun.send(()));
                let _ = released.recv();
                Ok(())
            });
            // It may take longer than anybody waits for a write.
            let _ = held.await;
        });
        has_begun.await.expect("it is its turn");
        (release, holding)
    }

    /// Waits until so many writes wait for the writer.
    pub async fn writes_wait(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.store.health().waiting < count {
            assert!(tokio::time::Instant::now() < deadline, "they never come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops the server and waits until it has stopped.
    pub async fn stop(&mut self) {
        self.stop.take();
        self.serving.take().expect("stopped once").await.unwrap();
    }
}
