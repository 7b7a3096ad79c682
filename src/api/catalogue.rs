//! `/v2/webhooks`: the triggers that there are.

use serde_json::{Value, json};

use super::envelope::Reply;
use super::route::Route;
use crate::trigger::Trigger;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/v2/webhooks", list)]
}

async fn list() -> Reply {
    Reply::new(Trigger::ALL.iter().map(entry).collect::<Value>())
}

/// A trigger as the catalogue shows it. `modifiers` are the payload fields that are worth narrowing it by, in
/// Kazoo's form.
fn entry(trigger: &Trigger) -> Value {
    let modifiers: serde_json::Map<String, Value> = trigger
        .adds()
        .iter()
        .map(|field| {
            let description = format!("Only where the payload's {field} is one of these");
            (
                (*field).to_owned(),
                json!({ "type": "array", "description": description }),
            )
        })
        .collect();
    json!({
        "id": trigger.id(),
        "name": trigger.name(),
        "description": trigger.description(),
        "modifiers": modifiers,
    })
}
