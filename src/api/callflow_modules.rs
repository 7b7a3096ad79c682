//! `/v2/callflows/modules`: the modules that a callflow can be built of.

use serde_json::{Value, json};

use super::callflow_schema::data_of;
use super::envelope::Reply;
use super::route::{Route, list_of, schema};
use crate::callflow::{Category, Children, Module, modules};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/callflows/modules",
            list,
            "The modules that callflows are built of, by category",
        )
        .gives(list_of(schema("CallflowModule")))
        .open(),
    ]
}

async fn list() -> Reply {
    let of = |category: &Category| {
        let category = *category;
        (modules().iter()).filter(move |module| module.category == category)
    };
    let all = Category::ALL.iter().flat_map(of);
    Reply::new(all.map(|module| entry(module)).collect::<Value>())
}

/// A module as the catalogue shows it.
fn entry(module: &Module) -> Value {
    let keys = module.children.keys().iter();
    let keys: Vec<Value> = keys
        .map(|(id, name)| json!({ "id": id, "name": name }))
        .collect();
    json!({
        "id": module.id,
        "name": module.name,
        "category": module.category.name(),
        "description": module.description,
        "children": {
            "keys": keys,
            "digits": module.children == Children::Digits,
            "ends": module.children == Children::Skipped,
        },
        "data": data_of(module),
    })
}
