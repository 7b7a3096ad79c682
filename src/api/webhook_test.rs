//! `…/webhooks/{W}/test`: the trigger's sample, sent now.

use axum::extract::State;
use serde_json::json;

use super::ApiState;
use super::attempts::view;
use super::auth::Scope;
use super::envelope::{NoData, Problem, Reply};
use super::route::{Route, schema};
use super::webhooks::find;
use crate::delivery;
use crate::hook::{self, Delivery, Record};
use crate::store::{finished, in_own_task};
use crate::trigger::Trigger;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put(
            "/v2/accounts/{account_id}/webhooks/{webhook_id}/test",
            send,
            "Send the sample of the webhook's first trigger now; the attempt is the answer",
        )
        .may_take(json!({ "type": "object" }))
        .gives(schema("Attempt"))
        .status(201),
    ]
}

/// Sends past the hook's queue and its limits, whether it is on or not: whoever tests waits for the answer.
async fn send(State(api): State<ApiState>, scope: Scope, _: NoData) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    let triggers = hook.settings.triggers;
    let trigger = triggers.iter().next().unwrap_or(Trigger::ChannelCreate);
    let now = api.clock.now();
    // The time makes it one of its kind: a receiver that deduplicates takes every test for a new event.
    let sequence = now.0.unsigned_abs();
    let fact = hook::sample(trigger, &scope.account_id, now, sequence);
    let mut sample = Delivery::new(&fact, &hook);
    sample.skipped = false;
    // What was sent is in the log, also where whoever asked for it has gone.
    let logged = in_own_task(async move {
        let sent = api
            .sender
            .send(&hook, &sample, &hook.settings.uri, 1, now)
            .await;
        let attempt = delivery::record(sent, 1, 0, now);
        let record = Record::new(&fact, vec![sample]);
        let logged = api
            .store
            .write(move |tx| finished::record(tx, record.clone(), std::slice::from_ref(&attempt)))
            .await?;
        api.feed.attempted(&logged.delivery, &logged.attempt);
        Ok(logged)
    })
    .await?;
    Ok(Reply::created(view(&logged)))
}
