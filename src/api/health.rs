//! `/health`: whether it lives, and whether it does its work.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ApiState;
use super::envelope::Reply;
use super::metrics::{Traffic, oldest_pending_seconds};
use super::route::Route;
use crate::store::StoreHealth;
use crate::time::Timestamp;

/// How the connection to the switch is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SwitchHealth {
    /// Whether it is there and logged in.
    pub connected: bool,
    /// Since when that is so; `None` before the first connection.
    pub since: Option<Timestamp>,
    /// What went wrong last, in words; also where it works again.
    pub last_error: Option<String>,
    /// Events that were not taken because the store was stalled, since the start.
    pub shed_events: u64,
    /// Legs that are alive, as far as the call model knows.
    pub channels: u64,
}

/// Where health and metrics are asked of what the API does not know itself.
#[derive(Clone)]
pub struct HealthSources {
    /// What has come from the switch.
    pub traffic: Arc<dyn Fn() -> Traffic + Send + Sync>,
    /// How the connection to the switch is.
    pub switch: Arc<dyn Fn() -> SwitchHealth + Send + Sync>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/health",
            live,
            "Whether it lives, and what is waiting to be sent",
        )
        .open(),
        Route::get(
            "/health/ready",
            ready,
            "Whether switch and store work: 503 where one of them does not",
        )
        .or_status(503)
        .open(),
    ]
}

/// It answers, so it lives.
async fn live(State(api): State<ApiState>) -> Reply {
    Reply::new(json!({
        "live": true,
        "version": env!("CARGO_PKG_VERSION"),
        "delivery": delivery(&api).await,
    }))
}

/// 200 where switch and store work, 503 where one of them does not, with the reasons. Either way what each of them
/// says.
async fn ready(State(api): State<ApiState>) -> Reply {
    let switch = (api.health.switch)();
    let store = api.store.health();
    let reasons = reasons(&switch, &store);
    let is_ready = reasons.is_empty();
    let is_working = store.stalled_since.is_none();
    let data = json!({
        "ready": is_ready,
        "reasons": reasons,
        "switch": {
            "connected": switch.connected,
            "since": instant(switch.since),
            "last_error": switch.last_error,
            "shed_events": switch.shed_events,
            "channels": switch.channels,
        },
        "store": {
            "working": is_working,
            "stalled_since": instant(store.stalled_since),
            // Of a database that works again it would only be taken for one that does not; the log has it.
            "last_error": store.last_error.filter(|_| !is_working),
            "queued": store.queued,
            "lost": store.lost,
            "database_bytes": store.database_bytes + store.wal_bytes,
        },
        "delivery": delivery(&api).await,
    });
    Reply::new(data).with_status(match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    })
}

/// What is waiting to be sent, on disk and in memory, and why.
async fn delivery(api: &ApiState) -> Value {
    let stats = api.delivery.stats();
    json!({
        "pending": api.store.health().pending,
        // null where nothing is pending, or where the database does not say.
        "oldest_pending_seconds": oldest_pending_seconds(api).await.flatten(),
        "in_memory": stats.in_memory.load(Relaxed),
        "in_flight": stats.in_flight.load(Relaxed),
        "circuits_open": api.delivery.circuits_open(),
    })
}

/// Why it does not do its work just now, for people; nothing where it does.
fn reasons(switch: &SwitchHealth, store: &StoreHealth) -> Vec<String> {
    let mut reasons = Vec::new();
    if !switch.connected {
        let why = switch.last_error.as_deref().unwrap_or("not yet");
        reasons.push(format!("the switch is not connected: {why}"));
    }
    if let Some(since) = store.stalled_since {
        let since = since.rfc3339(&TimeZone::UTC);
        let why = store.last_error.as_deref().unwrap_or("it is slow");
        reasons.push(format!(
            "the database has taken nothing since {since}: {why}; look at the disk of [store] path"
        ));
    }
    reasons
}

fn instant(at: Option<Timestamp>) -> Value {
    json!(at.map(|at| at.rfc3339(&TimeZone::UTC)))
}
