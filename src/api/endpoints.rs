//! `/v2/accounts/{A}/endpoints`: where an account's webhooks go, and how it is there just now.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::Scope;
use super::envelope::{Problem, Reply};
use super::query::Query;
use super::route::Route;
use crate::delivery::EndpointState;
use crate::hook::Mistakes;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/accounts/{account_id}/endpoints",
            list,
            "Scheme, host and port that the webhooks of an account go to, those to which no connection comes about first: what is under way, and whether connections come about",
        )
        .query(
            "circuit_open",
            "Only those to which connections do not come about, or only the others",
            json!({ "type": "boolean" }),
        )
        .gives_pages_of(endpoint_schema()),
    ]
}

async fn list(State(api): State<ApiState>, scope: Scope, query: Query) -> Result<Reply, Problem> {
    let mut mistakes = Mistakes::default();
    let circuit_open = query.yes("circuit_open", &mut mistakes);
    let paging = query.paging(&mut mistakes);
    Query::refuse(mistakes)?;
    let mut hooks: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for hook in api.registry.index().all() {
        if hook.account_id != scope.account_id {
            continue;
        }
        let settings = &hook.settings;
        let failover = settings.failover_endpoint.iter();
        for name in std::iter::once(&settings.endpoint).chain(failover) {
            *hooks.entry(Arc::clone(name)).or_default() += 1;
        }
    }
    let states = api.delivery.endpoints().await;
    let states: HashMap<&Arc<str>, &EndpointState> =
        states.iter().map(|state| (&state.name, state)).collect();
    let is_open = |name: &Arc<str>| states.get(name).is_some_and(|state| state.circuit_open);
    let mut listed: Vec<(Arc<str>, usize)> = hooks
        .into_iter()
        .filter(|(name, _)| circuit_open.is_none_or(|wanted| wanted == is_open(name)))
        .collect();
    // By name they are already.
    listed.sort_by_key(|(name, _)| !is_open(name));
    paging.of(
        &listed,
        |(name, _)| name,
        |(name, hooks)| view(name, *hooks, states.get(name).copied()),
    )
}

/// Nothing went to an endpoint lately that has no state.
fn view(name: &str, hooks: usize, state: Option<&EndpointState>) -> Value {
    json!({
        "endpoint": name,
        "webhooks": hooks,
        "in_flight": state.map_or(0, |state| state.in_flight),
        "circuit_open": state.is_some_and(|state| state.circuit_open),
        "pause_ms": state.and_then(|state| state.pause).map(|pause| pause.as_millis() as u64),
    })
}

fn endpoint_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "endpoint": { "type": "string" },
            "webhooks": { "type": "integer", "minimum": 0 },
            "in_flight": { "type": "integer", "minimum": 0 },
            "circuit_open": { "type": "boolean" },
            "pause_ms": {
                "type": ["integer", "null"],
                "description": "How long nothing is sent yet: until the next probe, or because it is overloaded",
            },
        },
        "required": ["endpoint", "webhooks", "in_flight", "circuit_open", "pause_ms"],
    })
}
