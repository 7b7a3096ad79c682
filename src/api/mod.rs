//! REST, compatible with Kazoo's Crossbar v2, and beyond it. It knows the registry, the store and delivery,
//! and nothing of the wire.
//!
//! A request is opened by [`envelope`] (size, JSON, `verb`), routed, let in by [`auth`], answered by the file
//! of its resource with a [`Reply`](envelope::Reply) or a [`Problem`], and sealed by [`envelope`] again. Each resource lists
//! its [`routes`](route::Route); the router and `openapi.json` are both made from those lists.

mod attempts;
mod auth;
mod catalogue;
mod envelope;
mod health;
mod json;
mod query;
mod route;
mod server;
mod webhooks;

use std::sync::Arc;

use axum::Router;

pub use health::{HealthSources, SwitchHealth};
pub use server::serve;

use crate::delivery::{DeliveryHandle, Sender};
use crate::registry::Registry;
use crate::store::Store;
use crate::time::Clock;
use auth::Doorkeeper;
use envelope::Problem;
use route::Route;

/// What the resources work with.
#[derive(Clone)]
pub struct ApiState {
    registry: Arc<Registry>,
    store: Store,
    delivery: DeliveryHandle,
    sender: Sender,
    doorkeeper: Arc<Doorkeeper>,
    health: HealthSources,
    clock: Clock,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiState({:?})", self.registry)
    }
}

impl ApiState {
    /// The state over the parts of the house. `admin_token` reaches every account; only its hash is kept.
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
            health,
            clock,
        }
    }
}

/// Every route, a list from each resource.
fn routes() -> Vec<Route> {
    [
        catalogue::routes(),
        webhooks::routes(),
        attempts::routes(),
        health::routes(),
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
