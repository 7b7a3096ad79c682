//! REST, compatible with Kazoo's Crossbar v2, and beyond it. It knows the registry, the store and delivery,
//! and nothing of the wire.
//!
//! A request is opened by [`envelope`] (size, JSON, `verb`), routed, let in by [`auth`], answered by the file
//! of its resource with a [`Reply`](envelope::Reply) or a [`Problem`], and sealed by [`envelope`] again. Each resource lists
//! its [`routes`](route::Route); the router and `openapi.json` are both made from those lists.

mod accounts;
mod attempts;
mod auth;
mod calls;
mod catalogue;
mod envelope;
mod events;
mod feed;
mod health;
mod json;
mod metrics;
mod openapi;
mod query;
mod resend;
mod route;
mod secret;
mod server;
mod sessions;
mod stats;
mod tokens;
mod webhook_test;
mod webhooks;

use std::sync::Arc;

use axum::Router;

pub use feed::Feed;
pub use health::{HealthSources, SwitchHealth};
pub use server::serve;

use crate::delivery::{DeliveryHandle, Sender};
use crate::registry::Registry;
use crate::store::Store;
use crate::time::Clock;
use auth::Doorkeeper;
use envelope::Problem;
use route::Route;
use sessions::Sealer;
use tokio::sync::watch;

/// What the resources work with.
#[derive(Clone)]
pub struct ApiState {
    registry: Arc<Registry>,
    store: Store,
    delivery: DeliveryHandle,
    sender: Sender,
    doorkeeper: Arc<Doorkeeper>,
    sealer: Arc<Sealer>,
    health: HealthSources,
    feed: Feed,
    clock: Clock,
    /// True when the server stops: streams end then.
    stopping: watch::Sender<bool>,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiState({:?})", self.registry)
    }
}

impl ApiState {
    /// The state over the parts of the house. `admin_token` reaches every account; only its hash is kept.
    ///
    /// # Panics
    /// The system has no randomness: nothing secret could be made.
    pub fn new(
        registry: Arc<Registry>,
        store: Store,
        delivery: DeliveryHandle,
        sender: Sender,
        admin_token: String,
        health: HealthSources,
        clock: Clock,
    ) -> Self {
        Self {
            registry,
            store,
            delivery,
            sender,
            doorkeeper: Arc::new(Doorkeeper::new(&admin_token)),
            sealer: Arc::new(Sealer::new().expect("the system has randomness")),
            health,
            feed: Feed::new(&clock),
            clock,
            stopping: watch::Sender::new(false),
        }
    }

    /// Shows this feed at `/v2/events`.
    pub fn with_feed(mut self, feed: Feed) -> Self {
        self.feed = feed;
        self
    }
}

/// Every route, a list from each resource.
fn routes() -> Vec<Route> {
    [
        catalogue::routes(),
        webhooks::routes(),
        attempts::routes(),
        calls::routes(),
        webhook_test::routes(),
        resend::routes(),
        secret::routes(),
        stats::routes(),
        accounts::routes(),
        tokens::routes(),
        sessions::routes(),
        events::routes(),
        health::routes(),
        metrics::routes(),
        openapi::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Everything that answers requests.
fn router(state: ApiState) -> Router {
    let mut inner = Router::new();
    for route in routes() {
        inner = inner.route(route.path, route.handler);
    }
    let inner = inner
        .fallback(|| async { Problem::not_found("There is nothing at this path") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(state);
    // Around the router and not a layer of it: `verb` changes the method before a route is chosen.
    Router::new()
        .fallback_service(inner)
        .layer(axum::middleware::from_fn(envelope::open))
}
