//! `/v2/accounts/{A}/callflows`: the callflows of an account, and what they would do.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::Scope;
use super::chosen_id::ChosenId;
use super::envelope::{Data, Problem, Reply};
use super::query::Query;
use super::route::{Route, schema};
use crate::call::digits;
use crate::callflow::{Flow, Rules, check_callflow, dry_run};
use crate::hook::{Document, Mistakes};
use crate::registry::merged;
use crate::store::callflows::{self, StoredCallflow};

const ALL: &str = "/v2/accounts/{account_id}/callflows";
const ONE: &str = "/v2/accounts/{account_id}/callflows/{callflow_id}";

/// How webhooks may be said to go in a call that is only described.
pub(super) const OUTCOMES: &[&str] = &["queued", "success", "failure", "timeout"];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(ALL, list, "The callflows of an account")
            .query(
                "search",
                "Only those whose name or one of whose numbers holds this, in any case",
                json!({ "type": "string" }),
            )
            .gives_pages_of(schema("CallflowSummary")),
        Route::put(ALL, create, "Make a callflow")
            .makes_by_chosen_id()
            .takes(schema("CallflowWritten"))
            .gives(schema("Callflow"))
            .status(201),
        Route::get(ONE, read, "A callflow").gives(schema("Callflow")),
        Route::post(ONE, replace, "Replace a callflow")
            .takes(schema("CallflowWritten"))
            .gives(schema("Callflow")),
        Route::patch(
            ONE,
            patch,
            "Change some fields of a callflow; null removes one",
        )
        .takes(json!({ "type": "object" }))
        .gives(schema("Callflow")),
        Route::delete(ONE, delete, "Delete a callflow").gives(schema("Callflow")),
        Route::put(
            "/v2/accounts/{account_id}/callflows/{callflow_id}/test",
            walk,
            "The steps that a callflow would take with a call; nothing rings and nothing is sent",
        )
        .takes(schema("CallflowTest"))
        .gives(schema("CallflowSteps")),
    ]
}

async fn list(State(api): State<ApiState>, scope: Scope, query: Query) -> Result<Reply, Problem> {
    let mut mistakes = Mistakes::default();
    let paging = query.paging(&mut mistakes);
    Query::refuse(mistakes)?;
    let (start, size) = (paging.start_key.clone(), paging.size);
    let search = query.text("search").map(str::to_lowercase);
    let (page, next) = api
        .store
        .read(move |connection| {
            let found = |callflow: &StoredCallflow| {
                (search.as_deref()).is_none_or(|text| holds(&callflow.document, text))
            };
            callflows::page(connection, &scope.account_id, start.as_deref(), size, found)
        })
        .await?;
    let begins_with = page.first().map(|callflow| &*callflow.id);
    if let Some(start) = &paging.start_key
        && begins_with != Some(start)
    {
        return Err(Problem::unknown_start_key(start));
    }
    Ok(Reply::page(
        page.iter().map(|callflow| summary(callflow).into()),
        paging.start_key,
        next.map(|id| id.as_ref().into()),
    ))
}

async fn create(
    State(api): State<ApiState>,
    scope: Scope,
    ChosenId(id): ChosenId,
    Data(mut document): Data,
) -> Result<Reply, Problem> {
    without_read_only(&mut document);
    check_callflow(&document).map_err(Problem::validation)?;
    let callflow = api
        .store
        .write(move |tx| match &id {
            Some(id) => callflows::insert_as(tx, id, &scope.account_id, document.clone()),
            None => callflows::insert(tx, &scope.account_id, document.clone()),
        })
        .await?;
    Ok(Reply::created(view(&callflow)).revision(revision(&callflow)))
}

async fn read(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    Ok(shown(&find(&api, scope).await?))
}

async fn replace(
    state: State<ApiState>,
    scope: Scope,
    Data(mut document): Data,
) -> Result<Reply, Problem> {
    without_read_only(&mut document);
    change(state, scope, move |_| document.clone()).await
}

async fn patch(
    state: State<ApiState>,
    scope: Scope,
    Data(mut patch): Data,
) -> Result<Reply, Problem> {
    without_read_only(&mut patch);
    change(state, scope, move |document| {
        merged(document.clone(), patch.clone())
    })
    .await
}

/// Changes a callflow to what `written` makes of it, if that is a callflow.
async fn change(
    State(api): State<ApiState>,
    scope: Scope,
    written: impl Fn(&Document) -> Document + Send + 'static,
) -> Result<Reply, Problem> {
    let id = scope.id("callflow_id")?;
    let sought = Arc::clone(&id);
    let callflow = api
        .store
        .write(move |tx| {
            callflows::update(tx, &scope.account_id, &sought, |document| {
                let document = written(document);
                check_callflow(&document).map(|_| document)
            })
        })
        .await?;
    there(callflow, &id)
}

async fn delete(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let id = scope.id("callflow_id")?;
    let sought = Arc::clone(&id);
    let callflow = api
        .store
        .write(move |tx| callflows::delete(tx, &scope.account_id, &sought))
        .await?;
    there(callflow, &id)
}

/// Walks a callflow over a call that is only described.
async fn walk(
    State(api): State<ApiState>,
    scope: Scope,
    Data(data): Data,
) -> Result<Reply, Problem> {
    let call = described(&data)?;
    let callflow = find(&api, scope).await?;
    let stored = || callflow.document.get("flow").unwrap_or(&Value::Null);
    let flow = match data.get("flow").filter(|flow| !flow.is_null()) {
        Some(flow) => Flow::read(flow, &Rules::stored()),
        // As it would be read when a call comes: it may have been stored by another version.
        None => Flow::read(stored(), &Rules::running()),
    };
    let flow = flow.map_err(Problem::validation)?;
    let domain = api.domain.as_deref().or(call["domain"].as_str());
    Ok(Reply::new(json!({ "steps": dry_run(&flow, call, domain) })))
}

/// The call that a test describes.
fn described(data: &Document) -> Result<&Value, Problem> {
    let call = match data.get("call") {
        Some(call @ Value::Object(_)) => call,
        Some(_) => return Err(wrong_type("call", "object")),
        None => {
            return Err(Problem::mistake(
                "call",
                "required",
                "Field is required but missing",
            ));
        }
    };
    let is_text = |value: &Value| value.is_string();
    let mut mistakes = Mistakes::default();
    let mut wrong = |field: &str, rule: &str, message: &str| {
        mistakes.say(&format!("call.{field}"), rule, message);
    };
    match &call["answered"] {
        Value::Array(_) | Value::Object(_) => wrong(
            "answered",
            "type",
            "Value must be true, false, or the id of the device or user that answers",
        ),
        _ => {}
    }
    match &call["digits"] {
        Value::Null | Value::String(_) => {}
        Value::Array(all) if all.iter().all(is_text) => {}
        _ => wrong(
            "digits",
            "type",
            "Value must be the digits pressed in the first menu, or a list with those of each menu",
        ),
    }
    match &call["webhook"] {
        Value::Null => {}
        Value::String(word) if OUTCOMES.contains(&word.as_str()) => {}
        _ => wrong(
            "webhook",
            "enum",
            &format!(
                "Value not found in enumerated list of values: {}",
                OUTCOMES.join(", ")
            ),
        ),
    }
    match &call["domain"] {
        Value::Null | Value::String(_) => {}
        _ => wrong("domain", "type", "Value did not match type(s): string"),
    }
    Query::refuse(mistakes)?;
    Ok(call)
}

fn wrong_type(field: &str, wanted: &str) -> Problem {
    let message = format!("Value did not match type(s): {wanted}");
    Problem::mistake(field, "type", &message)
}

/// The callflow that a request's path names.
async fn find(api: &ApiState, scope: Scope) -> Result<StoredCallflow, Problem> {
    let id = scope.id("callflow_id")?;
    let sought = Arc::clone(&id);
    let found = api
        .store
        .read(move |connection| callflows::get(connection, &scope.account_id, &sought))
        .await?;
    found.ok_or_else(|| Problem::bad_identifier(&id))
}

fn there(callflow: Option<StoredCallflow>, id: &str) -> Result<Reply, Problem> {
    match callflow {
        Some(callflow) => Ok(shown(&callflow)),
        None => Err(Problem::bad_identifier(id)),
    }
}

fn shown(callflow: &StoredCallflow) -> Reply {
    Reply::new(view(callflow)).revision(revision(callflow))
}

/// A client that writes back what it has read means no change by these.
fn without_read_only(document: &mut Document) {
    for field in ["id", "created", "modified"] {
        document.shift_remove(field);
    }
}

/// A callflow as it is shown: what its owner wrote, and what is known of it.
fn view(callflow: &StoredCallflow) -> Document {
    let mut view = callflow.document.clone();
    let numbers = view.entry("numbers").or_insert(Value::Null);
    if numbers.is_null() {
        *numbers = json!([]);
    }
    view.insert("id".into(), json!(&*callflow.id));
    view.insert("created".into(), json!(callflow.created.gregorian()));
    view.insert("modified".into(), json!(callflow.modified.gregorian()));
    view
}

/// The few fields of a listing.
fn summary(callflow: &StoredCallflow) -> Document {
    let mut view = view(callflow);
    view.retain(|field, _| {
        ["id", "name", "numbers", "created", "modified"].contains(&field.as_str())
    });
    let (mut modules, mut nodes) = (Vec::new(), 0);
    if let Some(flow) = callflow.document.get("flow") {
        count(flow, &mut modules, &mut nodes);
    }
    view.insert("modules".into(), json!(modules));
    view.insert("nodes".into(), json!(nodes));
    view
}

/// Counts the nodes of a flow, and names each module that is not skipped once.
fn count<'a>(node: &'a Value, modules: &mut Vec<&'a str>, nodes: &mut usize) {
    *nodes += 1;
    let module = node["module"].as_str().unwrap_or_default();
    if node["data"]["skip_module"] != true && !modules.contains(&module) {
        modules.push(module);
    }
    let children = node["children"].as_object();
    for child in children.into_iter().flat_map(Document::values) {
        count(child, modules, nodes);
    }
}

/// Whether the name or a number of a callflow holds `text`, which is in lower case. A number is found as it is
/// written, and by its digits.
fn holds(callflow: &Document, text: &str) -> bool {
    let name = callflow.get("name").and_then(Value::as_str);
    let pressed = digits(text);
    let is_number = !pressed.is_empty() && !text.contains(char::is_alphabetic);
    let mut numbers = (callflow.get("numbers").and_then(Value::as_array))
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    name.is_some_and(|name| name.to_lowercase().contains(text))
        || numbers.any(|number| {
            number.to_lowercase().contains(text) || is_number && digits(number).contains(&*pressed)
        })
}

/// Another one with every change.
fn revision(callflow: &StoredCallflow) -> String {
    format!("{:x}", callflow.modified.0)
}
