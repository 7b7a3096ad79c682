//! REST, compatible with Kazoo's Crossbar v2, and beyond it. It knows the registry, the store and delivery,
//! and nothing of the wire.
//!
//! A request is opened by `envelope` (size, JSON, `verb`), routed, let in by `auth`, answered by the file of
//! its resource with a `Reply` or a `Problem`, and sealed by `envelope` again. Each resource lists its routes;
//! the router and `openapi.json` are both made from those lists.

mod accounts;
mod activity;
mod attempts;
mod auth;
mod callflow_modules;
mod callflow_schema;
mod callflows;
mod calls;
mod catalogue;
mod channels;
mod chosen_id;
mod cors;
mod endpoints;
mod envelope;
mod events;
mod feed;
mod health;
mod json;
mod metrics;
mod openapi;
mod query;
mod requests;
mod resend;
mod route;
mod secret;
mod server;
mod sessions;
mod stats;
mod tokens;
mod webhook_test;
mod webhooks;

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::response::Response;
use axum::{Router, middleware};

pub use auth::AdminToken;
pub use chosen_id::check_id;
pub use feed::Feed;
pub use health::{HealthSources, SwitchHealth};
pub use json::parse as parse_json;
pub use metrics::Traffic;
pub use server::serve;

use crate::delivery::{DeliveryHandle, Sender};
use crate::registry::Registry;
use crate::store::Store;
use crate::time::{Clock, Timestamp};
use auth::Doorkeeper;
use envelope::Problem;
use requests::{Requests, Served};
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
    requests: Arc<Requests>,
    started: Timestamp,
    feed: Feed,
    cors_origins: Arc<[String]>,
    /// The domain of users and mailboxes in callflows; the call's own where there is none.
    domain: Option<Arc<str>>,
    clock: Clock,
    /// What answers at paths that are not the API's.
    pages: Router,
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
            requests: Arc::new(Requests::new(RESOURCES.iter().map(|(name, _)| *name))),
            started: clock.now(),
            feed: Feed::new(&clock),
            cors_origins: Arc::default(),
            domain: None,
            clock,
            pages: Router::new(),
            stopping: watch::Sender::new(false),
        }
    }

    /// Lets an address fail to log in so often (10 times unless it is said here) before it has to wait.
    pub fn with_login_failures(mut self, at_once: NonZeroU32) -> Self {
        self.doorkeeper = Arc::new(self.doorkeeper.forgiving(at_once));
        self
    }

    /// What changes the admin token later.
    pub fn admin_token(&self) -> AdminToken {
        AdminToken(Arc::clone(&self.doorkeeper))
    }

    /// Lets web pages of these origins (`https://ui.example.com`, or `*` for all) use the API.
    pub fn with_cors_origins(mut self, origins: Vec<String>) -> Self {
        self.cors_origins = origins.into();
        self
    }

    /// Walks callflows with this domain of users and mailboxes (`[callflow] domain`); with that of the
    /// described call where there is none.
    pub fn with_domain(mut self, domain: Option<String>) -> Self {
        self.domain = domain.map(Into::into);
        self
    }

    /// Answers with these pages beside the API, from the same origin.
    pub fn with_pages(mut self, pages: Router) -> Self {
        self.pages = pages;
        self
    }

    /// Shows this feed at `/v2/events`.
    pub fn with_feed(mut self, feed: Feed) -> Self {
        self.feed = feed;
        self
    }
}

/// What a resource is called in the metrics, and its routes.
type Resource = (&'static str, fn() -> Vec<Route>);

/// The resources.
const RESOURCES: &[Resource] = &[
    ("catalogue", catalogue::routes),
    ("webhooks", webhooks::routes),
    ("attempts", attempts::routes),
    ("calls", calls::routes),
    ("channels", channels::routes),
    ("endpoints", endpoints::routes),
    ("webhook_test", webhook_test::routes),
    ("resend", resend::routes),
    ("secret", secret::routes),
    ("stats", stats::routes),
    ("callflows", callflows::routes),
    ("callflow_modules", callflow_modules::routes),
    ("accounts", accounts::routes),
    ("tokens", tokens::routes),
    ("sessions", sessions::routes),
    ("events", events::routes),
    ("health", health::routes),
    ("metrics", metrics::routes),
    ("openapi", openapi::routes),
];

/// Every route, with the place of its resource.
fn routes() -> impl Iterator<Item = (usize, Route)> {
    let resources = RESOURCES.iter().enumerate();
    resources.flat_map(|(resource, (_, routes))| {
        routes().into_iter().map(move |route| (resource, route))
    })
}

/// Everything that answers requests.
fn router(state: ApiState) -> Router {
    let origins = Arc::clone(&state.cors_origins);
    let counted = Arc::clone(&state.requests);
    let mut inner = state.pages.clone().with_state(());
    for (resource, route) in routes() {
        let served = Served {
            resource,
            method: route.verb,
        };
        let note = middleware::map_response(move |mut response: Response| {
            response.extensions_mut().insert(served);
            std::future::ready(response)
        });
        inner = inner.route(route.path, route.handler.route_layer(note));
    }
    let inner = inner
        .fallback(|| async { Problem::not_found("There is nothing at this path") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(state);
    // Around the router and not a layer of it: `verb` changes the method before a route is chosen.
    Router::new()
        .fallback_service(inner)
        .layer(middleware::from_fn(envelope::open))
        .layer(middleware::from_fn(move |request, next| {
            cors::allow(Arc::clone(&origins), request, next)
        }))
        .layer(middleware::from_fn(move |request, next| {
            requests::count(Arc::clone(&counted), request, next)
        }))
}
