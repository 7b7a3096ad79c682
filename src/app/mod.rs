//! Builds the parts, starts them in order, and stops them in the reverse one. The only room that knows all
//! others.

mod desk;
mod pipeline;
mod replay;

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use self::desk::{House, Waiting};
use self::pipeline::Pipeline;
pub use self::pipeline::PipelineStats;
pub use self::replay::{Match, Played, Replay};
use crate::api::{self, AdminToken, ApiState, Feed, HealthSources, SwitchHealth, Traffic};
use crate::call::{Fact, Payload, Rules, TrackerConfig};
use crate::callflow::{self, CallflowConfig, CallflowStats};
use crate::config::{Changes, Config};
use crate::console;
use crate::delivery::{
    Backoff, DeliveryConfig, DeliveryHandle, Dispatcher, Guard, Inputs, SendConfig, Sender,
    SwitchOff,
};
use crate::esl::{
    Client, ClientConfig, CommandError, Credentials, Limits, Login, Password, StatusReader,
};
use crate::hook::{Index, RateLimit, Router};
use crate::registry::Registry;
use crate::store::{Store, StoreConfig, StoreError, channels, hooks, stats};
use crate::time::Clock;
use crate::timeline::Scribe;
use crate::trigger::Trigger;

/// How far back attempts before the start count to a hook's last hour, and how many are read for that at most.
const LAST_HOUR: Duration = Duration::from_secs(3_600);
const MOST_REMEMBERED: usize = 50_000;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port is taken, or the address is not ours.
    #[error("{key} = {address:?}: cannot listen there: {source}{}", in_use(.source))]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The switch's user or password cannot be sent.
    #[error("[switch] user, password: {0}")]
    Login(#[from] CommandError),
    /// The admin token's file.
    #[error("{path}: cannot keep the admin token there: {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The HTTP client.
    #[error("cannot set up the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

fn in_use(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            " (another program has it; is a switchhook running already?)"
        }
        _ => "",
    }
}

/// The running daemon.
pub struct App {
    api_address: SocketAddr,
    store: Store,
    delivery: DeliveryHandle,
    sender: Sender,
    login: Login,
    admin_token: AdminToken,
    link: StatusReader,
    stop_reading: watch::Sender<bool>,
    stop_api: watch::Sender<bool>,
    reading: JoinHandle<()>,
    sending: JoinHandle<()>,
    serving: JoinHandle<()>,
    /// Calls that the dialplan hands over; `None` where it cannot.
    calling: Option<JoinHandle<()>>,
    /// What is in force.
    config: Config,
}

impl App {
    /// Starts everything. When it returns, the store is open, the API answers, and the switch is being
    /// connected to.
    ///
    /// # Errors
    /// What stands in the way; nothing is left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let database = config.store.path.clone();
        Self::build(config).await.map_err(|problem| match problem {
            StartError::Store(problem) => problem.at_opening(&database).into(),
            other => other,
        })
    }

    async fn build(config: Config) -> Result<Self, StartError> {
        let clock = Clock::system();
        let listener = listen("[api] listen", &config.api.listen).await?;
        let api_address = listener.local_addr().map_err(|source| StartError::Listen {
            key: "[api] listen",
            address: config.api.listen.clone(),
            source,
        })?;
        let outbound = match config.outbound.listen.as_str() {
            "" => None,
            address => Some(listen("[outbound] listen", address).await?),
        };
        let Base {
            store,
            index,
            sender,
            dispatcher,
            inputs,
            delivery,
            registry,
        } = Base::open(&config, &clock).await?;
        let admin_token = admin_token(&config)?;
        info!(hooks = index.len(), database = %config.store.path.display(), "the store is open");
        let feed = Feed::new(&clock);
        let an_hour_ago = clock.now().before(LAST_HOUR);
        feed.remember(
            &store
                .read(move |conn| stats::recent(conn, an_hour_ago, MOST_REMEMBERED))
                .await?,
        );
        let waiting = Waiting::default();
        let (shown, waited_for) = (feed.clone(), waiting.clone());
        let dispatcher = dispatcher.watched_by(move |seen| {
            shown.attempted(seen.delivery, seen.attempt);
            waited_for.attempted(seen);
        });

        let legs = store.read(channels::all).await?;
        let client = Client::new(client_config(&config, clock.clone())?)?;
        let (link, login) = (client.status(), client.login());
        let pipeline = Pipeline::new(
            client,
            tracker_config(&config),
            Arc::clone(&registry),
            store.clone(),
            feed.clone(),
            clock.clone(),
            config.store.stall_timeout_ms.0,
        )
        .noted_by(config.events.timeline.then(Scribe::default));
        let pipeline_stats = pipeline.stats();
        let callflow_stats = Arc::<CallflowStats>::default();

        let state = ApiState::new(
            Arc::clone(&registry),
            store.clone(),
            delivery.clone(),
            sender.clone(),
            admin_token,
            health_sources(link.clone(), pipeline_stats, Arc::clone(&callflow_stats)),
            clock.clone(),
        )
        .with_feed(feed.clone())
        .with_pages(console::router())
        .with_cors_origins(config.api.cors_origins.clone())
        .with_domain(callflow_config(&config).domain);
        let (stop_reading, reading_stops) = watch::channel(false);
        let (stop_api, api_stops) = watch::channel(false);
        let calling = outbound.map(|listener| {
            let house = House {
                registry: Arc::clone(&registry),
                router: Router::new(index),
                store: store.clone(),
                feed: feed.clone(),
                waiting,
                clock: clock.clone(),
            };
            tokio::spawn(callflow::serve(
                listener,
                Arc::new(house),
                callflow_config(&config),
                callflow_stats,
                api_stops.clone(),
            ))
        });
        Ok(Self {
            api_address,
            store,
            delivery,
            sender,
            login,
            admin_token: state.admin_token(),
            link,
            stop_reading,
            stop_api,
            sending: tokio::spawn(dispatcher.run(inputs)),
            calling,
            serving: tokio::spawn(api::serve(listener, state, raised(api_stops))),
            reading: tokio::spawn(pipeline.run(legs, raised(reading_stops))),
            config,
        })
    }

    /// Where the API listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Takes over what another configuration changes, as far as that is possible without a restart, and says
    /// what that was. A login that is under way or fails is made again with the new password; a connection that
    /// is up stays up.
    ///
    /// # Errors
    /// Something in it cannot be used: nothing is changed.
    pub fn reload(&mut self, new: Config) -> Result<Changes, StartError> {
        let mut config = self.config.clone();
        let changes = config.adopt(new);
        // What can fail comes first.
        let credentials = credentials(&config)?;
        let admin_token = admin_token(&config)?;
        self.sender
            .configure(&send_config(&config), guard(&config))?;
        self.login.change(credentials);
        self.admin_token.change(&admin_token);
        self.delivery.configure(delivery_config(&config));
        let StoreConfig {
            retention,
            max_attempts_rows,
            ..
        } = store_config(&config);
        self.store.keep(retention, max_attempts_rows);
        self.config = config;
        Ok(changes)
    }

    /// How things are, in a line: for the service manager.
    pub fn status_line(&self) -> String {
        let link = self.link.get();
        let store = self.store.health();
        let switch = match (link.connected_since, link.last_error) {
            (Some(_), _) => "connected to the switch".to_owned(),
            (None, Some(error)) => format!("not connected: {error}"),
            (None, None) => "connecting to the switch".to_owned(),
        };
        let stalled = match store.stalled_since {
            Some(_) => "; THE DATABASE TAKES NOTHING",
            None => "",
        };
        let pending = store.pending;
        let dead = match self.delivery.circuits_open() {
            0 => String::new(),
            1 => ", 1 endpoint does not answer".to_owned(),
            some => format!(", {some} endpoints do not answer"),
        };
        format!("{switch}; {pending} deliveries pending{dead}{stalled}")
    }

    /// Stops: no new request of any kind, those under way end or are given up after the configured time,
    /// then the last events are read and everything is committed.
    ///
    /// # Errors
    /// The store could not commit everything: what that means.
    pub async fn stop(self) -> Result<(), StoreError> {
        self.stop_api.send_replace(true);
        self.delivery.stop();
        let sending =
            tokio::time::timeout(self.config.delivery.shutdown_timeout_ms.0, self.sending);
        if sending.await.is_err() {
            warn!("requests are still under way; they will be made again at the next start");
        }
        self.stop_reading.send_replace(true);
        let rest = async {
            // None has anything to lose by a panic elsewhere.
            let _ = self.reading.await;
            let _ = self.serving.await;
            if let Some(calling) = self.calling {
                let _ = calling.await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), rest)
            .await
            .is_err()
        {
            warn!("connections of the API or calls are still open; they are cut off");
        }
        self.store.close().await
    }
}

/// What the daemon and a replay for real stand on: the store with its hooks and accounts, and a dispatcher that
/// is ready to run, with the warden beside it.
struct Base {
    store: Store,
    index: Arc<Index>,
    sender: Sender,
    dispatcher: Dispatcher,
    inputs: Inputs,
    delivery: DeliveryHandle,
    registry: Arc<Registry>,
}

impl Base {
    async fn open(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        // The only reason to refuse is that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let opened = Store::open(store_config(config), clock.clone())?;
        let store = opened.store;
        let (hooks, unreadable) = store.read(hooks::all).await?;
        complain(&unreadable);
        let index = Arc::new(Index::new(hooks));
        let sender = Sender::new(&send_config(config), guard(config))?;
        let (dispatcher, delivery, switched_off) = Dispatcher::new(
            delivery_config(config),
            store.clone(),
            sender.clone(),
            Arc::clone(&index),
            clock.clone(),
        );
        let registry = Registry::load(
            store.clone(),
            Arc::clone(&index),
            delivery.clone(),
            rules(config),
            clock.clone(),
        )
        .await?;
        let warden = Warden {
            registry: Arc::clone(&registry),
            router: Router::new(Arc::clone(&index)),
            store: store.clone(),
            delivery: delivery.clone(),
            patience: config.store.stall_timeout_ms.0,
            clock: clock.clone(),
        };
        tokio::spawn(warden.run(switched_off));
        Ok(Self {
            store,
            index,
            sender,
            dispatcher,
            inputs: Inputs {
                committed: opened.committed,
                settled: opened.settled,
            },
            delivery,
            registry,
        })
    }
}

/// Names the hooks whose rows cannot be read.
fn complain(unreadable: &[StoreError]) {
    for problem in unreadable {
        warn!("a hook is left out: {problem}");
    }
}

/// Switches off the hooks that delivery says have failed too often, and tells who wants to know.
struct Warden {
    registry: Arc<Registry>,
    router: Router,
    store: Store,
    delivery: DeliveryHandle,
    /// How long it waits for the store.
    patience: Duration,
    clock: Clock,
}

impl Warden {
    async fn run(self, mut switched_off: mpsc::UnboundedReceiver<SwitchOff>) {
        while let Some(off) = switched_off.recv().await {
            match self.registry.switch_off(&off).await {
                Ok(Some(_)) => {
                    warn!(hook_id = %off.hook_id, account_id = %off.account_id, "switched off: {}", off.reason);
                    self.tell(&off).await;
                }
                Ok(None) => {}
                Err(problem) => {
                    warn!(hook_id = %off.hook_id, "cannot be switched off in the store: {problem}");
                    // It is as it was, so it goes on, and is switched off when it fails again.
                    self.delivery
                        .hook_changed(off.key, &off.account_id, &off.hook_id);
                }
            }
        }
    }

    async fn tell(&self, off: &SwitchOff) {
        let mut payload = Payload::default();
        payload.set("webhook_id", &*off.hook_id);
        payload.set("disable_reason", &*off.reason);
        let fact = Fact::without_call(
            Trigger::WebhookDisabled,
            self.clock.now(),
            Arc::clone(&off.hook_id),
            Arc::clone(&off.account_id),
            payload,
        );
        let Some(record) = self.router.route(&fact, &self.registry.accounts()) else {
            return;
        };
        let Err(refused) = self.store.offer(record) else {
            return;
        };
        // With a bound: a store that closes has room no more.
        let room = tokio::time::timeout(self.patience, self.store.room_for(&refused)).await;
        if room.is_err() || self.store.offer(refused).is_err() {
            warn!(hook_id = %off.hook_id, "the store takes nothing: nobody is told that the hook was switched off");
        }
    }
}

async fn listen(key: &'static str, address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            key,
            address: address.to_owned(),
            source,
        })
}

/// The admin token of the configuration, or the one kept beside the database, made at the first start.
fn admin_token(config: &Config) -> Result<String, StartError> {
    if let Some(token) = &config.api.admin_token {
        return Ok(token.0.clone());
    }
    let path = admin_token_file(&config.store.path);
    let failed = |source| StartError::Token {
        path: path.clone(),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| failed(std::io::Error::other(error)))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    std::io::Write::write_all(&mut file, format!("{token}\n").as_bytes()).map_err(failed)?;
    info!(file = %path.display(), "made an admin token for the API");
    Ok(token)
}

/// Ends when the flag is up.
async fn raised(mut flag: watch::Receiver<bool>) {
    // Whoever could raise it is gone: that is as good.
    let _ = flag.wait_for(|up| *up).await;
}

/// What the API shows of the wire, which it does not know.
fn health_sources(
    link: StatusReader,
    pipeline: Arc<PipelineStats>,
    callflow: Arc<CallflowStats>,
) -> HealthSources {
    let (wire, counts) = (link.clone(), Arc::clone(&pipeline));
    HealthSources {
        switch: Arc::new(move || {
            let link = link.get();
            SwitchHealth {
                connected: link.connected_since.is_some(),
                since: link.connected_since,
                last_error: link.last_error,
                shed_events: pipeline.shed.load(Ordering::Relaxed),
                channels: pipeline.live_legs.load(Ordering::Relaxed),
            }
        }),
        traffic: Arc::new(move || {
            let link = wire.get();
            Traffic {
                reconnects: link.connections.saturating_sub(1),
                events: wire.events_by_name(),
                unasked_events: link.unasked,
                parse_errors: link.malformed,
                stray_replies: link.stray_replies,
                facts: counts.facts.read(),
                callflow_sessions: callflow.live.load(Ordering::Relaxed) as u64,
                callflow_calls: callflow.calls.load(Ordering::Relaxed),
                callflow_refused: callflow.refused.load(Ordering::Relaxed),
            }
        }),
    }
}

/// Where the admin token is kept when the configuration names none.
pub fn admin_token_file(database: &Path) -> PathBuf {
    database.with_file_name("admin-token")
}

fn store_config(config: &Config) -> StoreConfig {
    let mut store = StoreConfig::new(&config.store.path);
    store.durability = match config.store.durability {
        crate::config::Durability::Process => crate::store::Durability::Process,
        crate::config::Durability::Power => crate::store::Durability::Power,
    };
    store.retention = Duration::from_secs(u64::from(config.store.retention_days) * 86_400);
    store.max_attempts_rows = config.store.max_attempts_rows;
    store.stall_timeout = config.store.stall_timeout_ms.0;
    store
}

fn send_config(config: &Config) -> SendConfig {
    SendConfig {
        connect_timeout: config.delivery.connect_timeout_ms.0,
        request_timeout: config.delivery.request_timeout_ms.0,
        idle_connections: config.delivery.endpoint_in_flight as usize,
    }
}

fn guard(config: &Config) -> Guard {
    Guard {
        deny_private: config.delivery.deny_private,
        deny_networks: config.delivery.deny_networks.clone(),
    }
}

fn delivery_config(config: &Config) -> DeliveryConfig {
    let delivery = &config.delivery;
    DeliveryConfig {
        rate: RateLimit {
            per_second: delivery.endpoint_rate,
            burst: delivery.endpoint_burst,
        },
        in_flight: delivery.endpoint_in_flight as usize,
        backoff: Backoff {
            base: delivery.retry_base_ms.0,
            cap: delivery.retry_cap_ms.0,
        },
        disable_after: match delivery.disable_disabler {
            true => 0,
            false => delivery.attempt_failure_count as usize,
        },
        disable_within: delivery.attempt_failure_expiry_ms.0,
        log_successes: delivery.log_successful_attempts,
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        default: config.accounts.default.as_str().into(),
        order: config.accounts.order.clone(),
        trust_sip_header: config.accounts.trust_sip_header,
    }
}

fn tracker_config(config: &Config) -> TrackerConfig {
    TrackerConfig {
        click_to_call_variable: config.events.click_to_call_variable.clone(),
        export_variables: config.events.export_variables.clone(),
    }
}

fn callflow_config(config: &Config) -> CallflowConfig {
    CallflowConfig {
        remote_modules: config.callflow.remote_modules.clone(),
        remote_variables: config.callflow.remote_variables.clone(),
        domain: Some(config.callflow.domain.clone()).filter(|domain| !domain.is_empty()),
        limits: limits(config),
        tracker: tracker_config(config),
        ..CallflowConfig::default()
    }
}

/// How large a frame of the switch may be.
fn limits(config: &Config) -> Limits {
    Limits {
        head: usize::try_from(config.switch.max_header_bytes).unwrap_or(usize::MAX),
        body: usize::try_from(config.switch.max_body_bytes).unwrap_or(usize::MAX),
    }
}

/// How we log in at the switch.
fn credentials(config: &Config) -> Result<Credentials, CommandError> {
    let password = Password::new(config.switch.password.0.clone())?;
    Credentials::new(config.switch.user.as_deref(), &password)
}

/// How the switch is reached, as the configuration says.
///
/// # Errors
/// The password cannot be sent: it has a line break in it.
pub fn client_config(config: &Config, clock: Clock) -> Result<ClientConfig, CommandError> {
    let switch = &config.switch;
    let mut client = ClientConfig::new(
        switch.host.clone(),
        switch.port,
        Password::new(switch.password.0.clone())?,
    );
    client.user = switch.user.clone();
    client.connect_timeout = switch.connect_timeout_ms.0;
    client.heartbeat_timeout = switch.heartbeat_timeout_ms.0;
    client.limits = limits(config);
    client.clock = clock;
    Ok(client)
}
