//! `…/attempts/{T}/resend` and `…/recover`: what was not delivered, queued again.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::info;

use super::ApiState;
use super::attempts::attempt_id;
use super::auth::Scope;
use super::envelope::{Data, NoData, Problem, Reply};
use super::query;
use super::route::Route;
use super::webhooks::find;
use crate::delivery::replay;
use crate::hook::{Document, Hook, Mistakes};
use crate::store::attempts;
use crate::store::deliveries::Span;
use crate::time::Timestamp;

pub(super) fn routes() -> Vec<Route> {
    let time = || {
        json!({
            "description": "Gregorian seconds, or RFC 3339",
            "oneOf": [
                query::gregorian_schema(),
                { "type": "string", "format": "date-time" },
            ],
        })
    };
    vec![
        Route::put(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/attempts/{attempt_id}/resend",
            resend,
            "Queue the delivery of an attempt again, with all its tries",
        )
        .may_take(json!({ "type": "object" }))
        .gives(json!({
            "type": "object",
            "properties": { "attempt_id": { "type": "string" }, "webhook_id": { "type": "string" } },
            "required": ["attempt_id", "webhook_id"],
        }))
        .status(202),
        Route::put(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/recover",
            recover,
            "Queue again all that failed, expired or was skipped since then; a dry run only counts it",
        )
        .takes(json!({
            "type": "object",
            "properties": {
                "since": time(),
                "until": { "anyOf": [time(), { "type": "null" }] },
                "dry_run": { "type": ["boolean", "null"] },
            },
            "required": ["since"],
        }))
        .gives(json!({
            "type": "object",
            "properties": { "count": { "type": "integer" }, "dry_run": { "type": "boolean" } },
            "required": ["count", "dry_run"],
        }))
        .status(202)
        .or_status(200),
    ]
}

async fn resend(State(api): State<ApiState>, scope: Scope, _: NoData) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    let id = scope.id("attempt_id")?;
    let unknown = || Problem::bad_identifier(&id);
    let row = attempt_id(&id).ok_or_else(unknown)?;
    require_on(&hook)?;
    let logged = api
        .store
        .read(move |connection| attempts::get(connection, row))
        .await?;
    let delivery = logged
        .map(|logged| logged.delivery)
        .filter(|delivery| delivery.queue == hook.key)
        .ok_or_else(unknown)?;
    if !replay::resend(&api.store, &api.delivery, hook.key, delivery.id).await? {
        return Err(unknown());
    }
    let webhook_id = delivery.webhook_id;
    let data = json!({ "attempt_id": &*id, "webhook_id": webhook_id.to_string() });
    Ok(Reply::new(data).with_status(StatusCode::ACCEPTED))
}

async fn recover(
    State(api): State<ApiState>,
    scope: Scope,
    Data(data): Data,
) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    let mut mistakes = Mistakes::default();
    let since = instant(&data, "since", &mut mistakes);
    let until = instant(&data, "until", &mut mistakes).unwrap_or_else(|| api.clock.now());
    let dry_run = match data.get("dry_run") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(yes)) => *yes,
        Some(_) => {
            mistakes.say("dry_run", "type", "Value did not match type(s): boolean");
            false
        }
    };
    if data.get("since").is_none_or(Value::is_null) {
        mistakes.say("since", "required", "Field is required but missing");
    }
    let Some(since) = since.filter(|_| mistakes.is_empty()) else {
        return Err(Problem::validation(mistakes));
    };
    let span = Span::new(since, until);
    if dry_run {
        let count = replay::recoverable(&api.store, hook.key, span).await?;
        return Ok(Reply::new(json!({ "count": count, "dry_run": true })));
    }
    require_on(&hook)?;
    let count = replay::recover(&api.store, &api.delivery, hook.key, span).await?;
    info!(hook_id = %hook.id, deliveries = count, "queued again");
    let data = json!({ "count": count, "dry_run": false });
    Ok(Reply::new(data).with_status(StatusCode::ACCEPTED))
}

/// What is queued for a hook that is off would be skipped again.
fn require_on(hook: &Hook) -> Result<(), Problem> {
    match hook.is_on() {
        true => Ok(()),
        false => Err(Problem::conflict(
            "The webhook is disabled: enable it first, then send again",
        )),
    }
}

/// A time in Gregorian seconds or RFC 3339.
fn instant(data: &Document, field: &str, mistakes: &mut Mistakes) -> Option<Timestamp> {
    let value = data.get(field).filter(|value| !value.is_null())?;
    let read = match value {
        Value::String(text) => (text.parse::<jiff::Timestamp>().ok())
            .map(|instant| Timestamp(instant.as_microsecond())),
        // 485.0 is a whole number to JSON Schema, and to clients whose only number is a float.
        other => (other.as_f64())
            .filter(|seconds| seconds.fract() == 0.0)
            .and_then(|seconds| query::instant(seconds as i64)),
    };
    if read.is_none() {
        mistakes.say(
            field,
            "format",
            "Value must be a time in Gregorian seconds, or RFC 3339 such as 2026-11-21T08:00:00Z",
        );
    }
    read
}
