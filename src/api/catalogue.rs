//! `/v2/webhooks`: the triggers that there are, and what each of them sends.

use serde_json::{Value, json};

use super::auth::Ids;
use super::envelope::{Problem, Reply};
use super::route::{Route, list_of, schema};
use crate::hook::{Document, sample_payload};
use crate::trigger::Trigger;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v2/webhooks", list, "The triggers that there are")
            .gives(list_of(schema("Trigger")))
            .open(),
        Route::get(
            "/v2/webhooks/samples",
            samples,
            "What each trigger sends, by example",
        )
        .gives(json!({ "type": "object", "additionalProperties": { "type": "object" } }))
        .open(),
        Route::get(
            "/v2/webhooks/samples/{trigger_id}",
            sample,
            "What a trigger sends, by example",
        )
        .gives(json!({ "type": "object" }))
        .open(),
    ]
}

async fn list() -> Reply {
    Reply::new(Trigger::ALL.iter().map(entry).collect::<Value>())
}

async fn samples() -> Reply {
    let samples: Document = (Trigger::ALL.iter())
        .map(|trigger| (trigger.id().to_owned(), sample_payload(*trigger).into()))
        .collect();
    Reply::new(samples)
}

async fn sample(ids: Ids) -> Result<Reply, Problem> {
    let id = ids.get("trigger_id")?;
    match Trigger::from_id(&id) {
        Some(trigger) => Ok(Reply::new(sample_payload(trigger))),
        None => Err(Problem::bad_identifier(&id)),
    }
}

/// A trigger as the catalogue shows it. `modifiers` are the payload fields that are worth narrowing it by, in
/// Kazoo's form.
fn entry(trigger: &Trigger) -> Value {
    let modifiers: Document = trigger
        .adds()
        .iter()
        .map(|field| {
            let description = format!("Only where the payload's {field} is one of these");
            let modifier = json!({ "type": "array", "description": description });
            ((*field).to_owned(), modifier)
        })
        .collect();
    json!({
        "id": trigger.id(),
        "name": trigger.name(),
        "description": trigger.description(),
        "modifiers": modifiers,
    })
}
