//! `…/webhooks/{W}/secret/rotate`: a new signing secret, while the old one still signs for a day.

use axum::extract::State;
use serde_json::json;

use super::ApiState;
use super::auth::Scope;
use super::envelope::{NoData, Problem, Reply};
use super::route::{Route, schema};
use super::webhooks::{revision, view};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/secret/rotate",
            rotate,
            "Make a new signing secret; the old one is valid for 24 hours more",
        )
        .may_take(json!({ "type": "object" }))
        .gives(schema("Webhook"))
        .status(201),
    ]
}

async fn rotate(State(api): State<ApiState>, scope: Scope, _: NoData) -> Result<Reply, Problem> {
    let id = scope.id("webhook_id")?;
    let hook = api.registry.rotate_secret(&scope.account_id, &id).await?;
    let hook = hook.ok_or_else(|| Problem::bad_identifier(&id))?;
    let mut view = view(&hook, true);
    if let Some((_, until)) = &hook.secrets.previous {
        view.insert("previous_secret_until".into(), json!(until.gregorian()));
    }
    Ok(Reply::created(view).revision(revision(&hook)))
}
