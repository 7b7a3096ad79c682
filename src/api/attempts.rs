//! `/v2/accounts/{A}/webhooks/…/attempts`: what was tried, newest first.

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::Scope;
use super::envelope::{Problem, Reply};
use super::query::{self, Query};
use super::route::{Route, schema};
use super::webhooks::find;
use crate::hook::{Document, Mistakes};
use crate::store::attempts::{self, AttemptResult, Filter, Headers, LoggedAttempt};
use crate::trigger::Trigger;

pub(super) fn routes() -> Vec<Route> {
    vec![
        filtered(Route::get(
            "/v2/accounts/{account_id}/webhooks/attempts",
            of_account,
            "The attempts of all webhooks of an account, newest first",
        )),
        filtered(Route::get(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/attempts",
            of_hook,
            "The attempts of a webhook, newest first",
        )),
    ]
}

fn filtered(route: Route) -> Route {
    let words = |words: Vec<&str>| json!({ "type": "string", "enum": words });
    let time = query::gregorian_schema;
    let results = AttemptResult::ALL.iter().map(|one| one.id()).collect();
    let triggers = Trigger::ALL.iter().map(|one| one.id()).collect();
    route
        .gives_pages_of(schema("Attempt"))
        .query("result", "How they ended", words(results))
        .query("hook_event", "What had happened", words(triggers))
        .query(
            "call_id",
            "The leg it had happened to",
            json!({ "type": "string" }),
        )
        .query("created_from", "Not before, in Gregorian seconds", time())
        .query("created_to", "Before, in Gregorian seconds", time())
}

async fn of_account(
    State(api): State<ApiState>,
    scope: Scope,
    query: Query,
) -> Result<Reply, Problem> {
    list(&api, attempts::Scope::Account(scope.account_id), query).await
}

async fn of_hook(
    State(api): State<ApiState>,
    scope: Scope,
    query: Query,
) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    list(&api, attempts::Scope::Hook(hook.key), query).await
}

async fn list(api: &ApiState, of: attempts::Scope, query: Query) -> Result<Reply, Problem> {
    let mut mistakes = Mistakes::default();
    let paging = query.paging(&mut mistakes);
    let filter = filter(&query, &mut mistakes);
    Query::refuse(mistakes)?;
    let start = (paging.start_key.as_deref())
        .map(|key| attempt_id(key).ok_or_else(|| Problem::unknown_start_key(key)))
        .transpose()?;
    let page = api
        .store
        .read(move |connection| attempts::page(connection, &of, &filter, start, paging.size))
        .await?;
    Ok(Reply::page(
        page.attempts.iter().map(|attempt| view(attempt).into()),
        paging.start_key,
        page.next.map(|id| id.to_string()),
    ))
}

fn filter(query: &Query, mistakes: &mut Mistakes) -> Filter {
    let ids = |ids: &[&str]| ids.join(", ");
    let results: Vec<&str> = AttemptResult::ALL.iter().map(|one| one.id()).collect();
    let triggers: Vec<&str> = Trigger::ALL.iter().map(|one| one.id()).collect();
    Filter {
        result: query.word("result", mistakes, AttemptResult::from_id, &ids(&results)),
        trigger: query.word("hook_event", mistakes, Trigger::from_id, &ids(&triggers)),
        call_id: query.text("call_id").map(Into::into),
        from: query.gregorian("created_from", mistakes),
        to: query.gregorian("created_to", mistakes),
    }
}

/// The row that an id in the API stands for.
pub(super) fn attempt_id(id: &str) -> Option<i64> {
    id.parse().ok().filter(|id| *id > 0)
}

/// An attempt as it is shown.
pub(super) fn view(logged: &LoggedAttempt) -> Document {
    let (attempt, delivery) = (&logged.attempt, &logged.delivery);
    let mut view = Document::new();
    let mut put = |field: &str, value: Value| {
        if !value.is_null() {
            view.insert(field.into(), value);
        }
    };
    put("id", json!(logged.id.to_string()));
    put("hook_id", json!(&*delivery.hook_id));
    put("hook_event", json!(delivery.trigger.id()));
    put("call_id", json!(delivery.call_id.as_deref()));
    put("webhook_id", json!(delivery.webhook_id.to_string()));
    put("timestamp", json!(attempt.at.gregorian()));
    put("result", json!(attempt.result.id()));
    put("reason", json!(attempt.reason));
    put("client_error", json!(attempt.client_error));
    put(
        "resp_status_code",
        json!(attempt.status.map(|code| code.to_string())),
    );
    if attempt.status.is_some() {
        put("resp_headers", headers(&attempt.resp_headers));
    }
    // An acknowledgement by NATS has no status.
    if attempt.status.is_some() || !attempt.resp_body.is_empty() {
        let body = String::from_utf8_lossy(&attempt.resp_body);
        put("resp_body", json!(body));
    }
    put("method", json!(delivery.verb.method()));
    if let Some(uri) = &attempt.uri {
        put("uri", json!(uri));
        put("req_headers", headers(&attempt.req_headers));
        put("req_body", json!(String::from_utf8_lossy(&delivery.body)));
    }
    put("attempt", json!(attempt.attempt));
    put("retries_left", json!(attempt.retries_left));
    // As Kazoo's documentation shows it.
    put("retries left", json!(attempt.retries_left));
    put("duration_ms", json!(attempt.duration.as_millis() as u64));
    view
}

/// Headers as an object; what came twice is joined, as HTTP allows.
fn headers(headers: &Headers) -> Value {
    let mut object = Document::new();
    for (name, value) in headers.pairs() {
        match object.get_mut(&name) {
            Some(Value::String(first)) => {
                first.push_str(", ");
                first.push_str(&value);
            }
            _ => {
                object.insert(name, json!(value));
            }
        }
    }
    Value::Object(object)
}
