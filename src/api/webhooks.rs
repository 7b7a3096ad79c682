//! `/v2/accounts/{A}/webhooks`: the hooks of an account.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::attempts;
use super::auth::Scope;
use super::chosen_id::ChosenId;
use super::envelope::{Data, Problem, Reply};
use super::query::Query;
use super::route::{Route, list_of, schema};
use crate::hook::{Document, Hook, Mistakes, Secret};
use crate::store::attempts::LoggedAttempt;
use crate::store::{accounts, hooks, stats};

const ALL: &str = "/v2/accounts/{account_id}/webhooks";
const ONE: &str = "/v2/accounts/{account_id}/webhooks/{webhook_id}";

pub(super) fn routes() -> Vec<Route> {
    let re_enabling = || {
        json!({
            "type": "object",
            "properties": { "re-enable": { "type": "boolean", "enum": [true] } },
            "required": ["re-enable"],
        })
    };
    let ids = || list_of(json!({ "type": "string" }));
    vec![
        Route::get(ALL, list, "The webhooks of an account")
            .gives_pages_of(schema("WebhookSummary"))
            .query(
                "activity",
                "Whether each says how it fared: its last attempt, and the last hour minute by minute",
                json!({ "type": "boolean" }),
            )
            .query(
                "search",
                "Only those in whose name, description or uri this stands, in any case",
                json!({ "type": "string" }),
            )
            .query(
                "auto_disabled",
                "Only those that were auto-disabled, or only those that were not",
                json!({ "type": "boolean" }),
            ),
        Route::put(ALL, create, "Make a webhook")
            .makes_by_chosen_id()
            .takes(schema("WebhookWritten"))
            .gives(schema("Webhook"))
            .status(201),
        Route::patch(
            ALL,
            re_enable,
            "Re-enable the webhooks of an account that were auto-disabled",
        )
        .takes(re_enabling())
        .gives(ids()),
        Route::patch(
            "/v2/accounts/{account_id}/descendants/webhooks",
            re_enable_below,
            "The same for the account and all below it",
        )
        .takes(re_enabling())
        .gives(ids()),
        Route::get(ONE, read, "A webhook").gives(schema("Webhook")),
        Route::post(ONE, replace, "Replace a webhook")
            .takes(schema("WebhookWritten"))
            .gives(schema("Webhook")),
        Route::patch(
            ONE,
            patch,
            "Change some fields of a webhook; null removes one",
        )
        .takes(json!({ "type": "object" }))
        .gives(schema("Webhook")),
        Route::delete(ONE, delete, "Delete a webhook").gives(schema("Webhook")),
    ]
}

async fn list(State(api): State<ApiState>, scope: Scope, query: Query) -> Result<Reply, Problem> {
    let mut mistakes = Mistakes::default();
    let paging = query.paging(&mut mistakes);
    let with_activity = query.yes("activity", &mut mistakes).unwrap_or(false);
    let filter = hooks::Filter {
        search: query.text("search").map(str::to_owned),
        auto_disabled: query.yes("auto_disabled", &mut mistakes),
    };
    Query::refuse(mistakes)?;
    let (start, size) = (paging.start_key.clone(), paging.size);
    let (page, last, next) = api
        .store
        .read(move |connection| {
            let account = &scope.account_id;
            let (page, next) = hooks::page(connection, account, &filter, start.as_deref(), size)?;
            let listed = page.iter().filter(|_| with_activity);
            let last = listed.map(|hook| stats::last_attempt(connection, hook.key));
            let last = last.collect::<Result<Vec<_>, _>>()?;
            Ok((page, last, next))
        })
        .await?;
    let begins_with = page.first().map(|hook| &*hook.id);
    if let Some(start) = &paging.start_key
        && begins_with != Some(start)
    {
        return Err(Problem::unknown_start_key(start));
    }
    let mut items: Vec<Document> = page.iter().map(Hook::summary).collect();
    for ((item, hook), last) in items.iter_mut().zip(&page).zip(&last) {
        item.insert("activity".into(), activity(&api, hook, last.as_ref()));
    }
    Ok(Reply::page(
        items.into_iter().map(Value::from),
        paging.start_key,
        next.map(|id| id.as_ref().into()),
    ))
}

/// How a hook fared: its last attempt, and the last hour.
fn activity(api: &ApiState, hook: &Hook, last: Option<&LoggedAttempt>) -> Value {
    const SHOWN: &[&str] = &["id", "timestamp", "result", "resp_status_code", "reason"];
    let minutes = api.feed.last_hour(hook.key, api.clock.now());
    let all = |which: usize| minutes.iter().map(|one| u64::from(one[which])).sum::<u64>();
    let last = last.map(|last| {
        let mut last = attempts::view(last);
        last.retain(|field, _| SHOWN.contains(&field.as_str()));
        last
    });
    json!({ "succeeded": all(0), "failed": all(1), "minutes": minutes, "last": last })
}

async fn create(
    State(api): State<ApiState>,
    scope: Scope,
    ChosenId(id): ChosenId,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let gives_secret = gives_secret(&document);
    let hook = api
        .registry
        .create_hook(id, &scope.account_id, document)
        .await?;
    Ok(Reply::created(view(&hook, gives_secret)).revision(revision(&hook)))
}

/// Switches on again what was switched off by us.
async fn re_enable(
    State(api): State<ApiState>,
    scope: Scope,
    Data(data): Data,
) -> Result<Reply, Problem> {
    require_re_enable(&data)?;
    let ids = api.registry.re_enable_all(&scope.account_id).await?;
    Ok(Reply::new(
        ids.iter().map(|id| json!(&**id)).collect::<Value>(),
    ))
}

/// The same for the account and all below it.
async fn re_enable_below(
    State(api): State<ApiState>,
    scope: Scope,
    Data(data): Data,
) -> Result<Reply, Problem> {
    require_re_enable(&data)?;
    let top = Arc::clone(&scope.account_id);
    let below = api
        .store
        .read(move |connection| accounts::descendants(connection, &top))
        .await?;
    let mut ids = api.registry.re_enable_all(&scope.account_id).await?;
    for account in below {
        ids.extend(api.registry.re_enable_all(&account.id).await?);
    }
    Ok(Reply::new(
        ids.iter().map(|id| json!(&**id)).collect::<Value>(),
    ))
}

/// Refuses a change of all hooks at once that is no re-enabling.
fn require_re_enable(data: &Document) -> Result<(), Problem> {
    match data.get("re-enable") {
        Some(Value::Bool(true)) => Ok(()),
        None => Err(Problem::mistake(
            "re-enable",
            "required",
            "Field is required but missing",
        )),
        Some(_) => Err(Problem::mistake(
            "re-enable",
            "enum",
            "Value not found in enumerated list of values: true",
        )),
    }
}

async fn read(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let hook = find(&api, &scope)?;
    Ok(Reply::new(hook.view()).revision(revision(&hook)))
}

async fn replace(
    State(api): State<ApiState>,
    scope: Scope,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let id = scope.id("webhook_id")?;
    let gives_secret = gives_secret(&document);
    let hook = api
        .registry
        .replace_hook(&scope.account_id, &id, document)
        .await?;
    changed(hook, &id, gives_secret)
}

async fn patch(
    State(api): State<ApiState>,
    scope: Scope,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let id = scope.id("webhook_id")?;
    let gives_secret = gives_secret(&document);
    let hook = api
        .registry
        .patch_hook(&scope.account_id, &id, document)
        .await?;
    changed(hook, &id, gives_secret)
}

async fn delete(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let id = scope.id("webhook_id")?;
    let hook = api.registry.delete_hook(&scope.account_id, &id).await?;
    changed(hook, &id, false)
}

/// The hook that a request's path names.
pub(super) fn find(api: &ApiState, scope: &Scope) -> Result<Arc<Hook>, Problem> {
    let id = scope.id("webhook_id")?;
    let hook = api.registry.index().get(&scope.account_id, &id);
    hook.ok_or_else(|| Problem::bad_identifier(&id))
}

fn changed(hook: Option<Hook>, id: &str, gives_secret: bool) -> Result<Reply, Problem> {
    match hook {
        Some(hook) => Ok(Reply::new(view(&hook, gives_secret)).revision(revision(&hook))),
        None => Err(Problem::bad_identifier(id)),
    }
}

/// Whether a request sets the secret, which is then shown this once.
fn gives_secret(document: &Document) -> bool {
    document.get("secret").is_some_and(Value::is_string)
}

/// The hook as it is shown, with its secret where that was just set.
pub(super) fn view(hook: &Hook, with_secret: bool) -> Document {
    let mut view = hook.view();
    if let Some(secret) = hook.secrets.current.as_ref().filter(|_| with_secret) {
        view.insert("secret".into(), json!(Secret::reveal(secret)));
    }
    view
}

/// Another one with every change.
pub(super) fn revision(hook: &Hook) -> String {
    format!("{:x}", hook.modified.0)
}
