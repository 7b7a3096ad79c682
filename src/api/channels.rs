//! `/v2/accounts/{A}/channels`: the legs that are alive.

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::Scope;
use super::envelope::{Problem, Reply};
use super::route::{Route, list_of};
use crate::call::{Living, living};
use crate::store::channels;
use crate::time::Timestamp;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/accounts/{account_id}/channels",
            list,
            "The legs of an account that are alive, oldest first; those of one call have the same call_uuid",
        )
        .gives(list_of(channel_schema())),
    ]
}

async fn list(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let accounts = api.registry.accounts();
    let now = api.clock.now();
    let shown = api
        .store
        .read(move |connection| {
            let stored = channels::all(connection)?;
            let legs = (stored.iter())
                .filter_map(|(uuid, state)| Some((&**uuid, std::str::from_utf8(state).ok()?)));
            let mut legs = living(legs, &accounts);
            legs.retain(|leg| leg.account_id == scope.account_id);
            Ok(legs.iter().map(|leg| view(leg, now)).collect::<Value>())
        })
        .await?;
    Ok(Reply::new(shown))
}

/// What every payload of it has, under the same names, and since when.
fn view(leg: &Living, now: Timestamp) -> Value {
    let mut view = serde_json::to_value(&leg.payload).expect("text keys into memory");
    let elapsed = (now.0 - leg.created.0).max(0) / 1_000_000;
    view["timestamp"] = json!(leg.created.gregorian());
    view["elapsed_s"] = json!(elapsed);
    view["answered"] = json!(leg.answered.is_some());
    view["on_hold"] = json!(leg.held.is_some());
    if let Some(answered) = leg.answered {
        view["answered_at"] = json!(answered.gregorian());
    }
    view
}

fn channel_schema() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer" });
    let yes = || json!({ "type": "boolean" });
    json!({
        "type": "object",
        "properties": {
            "call_id": text(), "call_uuid": text(), "other_leg_call_id": text(), "account_id": text(),
            "is_root_leg": yes(), "is_internal_leg": yes(), "call_direction": text(), "call_type": text(),
            "caller_id_name": text(), "caller_id_number": text(), "callee_id_name": text(),
            "callee_id_number": text(), "destination_number": text(),
            "timestamp": number(), "elapsed_s": number(), "answered": yes(), "answered_at": number(),
            "on_hold": yes(),
        },
        "required": ["call_id", "call_uuid", "account_id", "is_root_leg", "timestamp", "elapsed_s", "answered", "on_hold"],
    })
}
