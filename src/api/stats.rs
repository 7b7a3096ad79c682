//! `…/webhooks/{W}/stats`: how a hook fares.

use std::time::Duration;

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::attempts;
use super::auth::Scope;
use super::envelope::{Problem, Reply};
use super::route::{Route, schema};
use super::webhooks::find;
use crate::store::{deliveries, stats};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/stats",
            read,
            "How a webhook fares, by its newest 10,000 attempts",
        )
        .gives(schema("Stats")),
    ]
}

async fn read(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    let key = hook.key;
    let (stats, pending) = api
        .store
        .read(move |connection| {
            let stats = stats::of_hook(connection, key)?;
            Ok((stats, deliveries::pending(connection, key)?))
        })
        .await?;
    let counting = api.delivery.failure_counts().await;
    let millis = |percent| stats.percentile(percent).map(milliseconds);
    Ok(Reply::new(json!({
        "attempts": stats.attempts,
        "since": stats.since.map(|since| since.gregorian()),
        "sent": stats.sent,
        "failed": stats.failed,
        "skipped": stats.skipped,
        "expired": stats.expired,
        "pending": pending,
        // Failed attempts that count towards switching it off.
        "failures_counted": counting.get(&key).copied().unwrap_or(0),
        "latency_ms": { "p50": millis(50), "p95": millis(95), "p99": millis(99) },
        "last_error": stats.last_error.as_ref().map(attempts::view).map(Value::from),
    })))
}

/// With three digits behind the point.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}
