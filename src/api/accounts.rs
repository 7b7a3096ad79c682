//! `/v2/accounts`: the tree of accounts.

use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::{Access, Reach, Scope};
use super::chosen_id::ChosenId;
use super::envelope::{Data, Problem, Reply};
use super::query::{Paging, Query};
use super::route::{Route, schema};
use crate::hook::{Document, Mistakes};
use crate::store::accounts::{self, StoredAccount};

const ALL: &str = "/v2/accounts";
const ONE: &str = "/v2/accounts/{account_id}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(ALL, list, "The accounts that the token reaches")
            .gives_pages_of(schema("Account")),
        Route::put(
            ALL,
            create,
            "Make an account: below the token's own, or at the top with the admin token",
        )
        .makes_by_chosen_id()
        .takes(schema("AccountWritten"))
        .gives(schema("Account"))
        .status(201),
        Route::get(ONE, read, "An account").gives(schema("Account")),
        Route::put(ONE, create_below, "Make an account below this one")
            .makes_by_chosen_id()
            .takes(schema("AccountWritten"))
            .gives(schema("Account"))
            .status(201),
        Route::post(ONE, replace, "Replace an account; its realm and numbers only from above it")
            .takes(schema("AccountWritten"))
            .gives(schema("Account")),
        Route::patch(
            ONE,
            patch,
            "Change some fields of an account; null removes one. Its realm and numbers only from above it",
        )
        .takes(json!({ "type": "object" }))
        .gives(schema("Account")),
        Route::delete(
            ONE,
            delete,
            "Delete an account with its webhooks and tokens",
        )
        .gives(schema("Account")),
        Route::get(
            "/v2/accounts/{account_id}/children",
            children,
            "The accounts right below this one",
        )
        .gives_pages_of(schema("Account")),
        Route::get(
            "/v2/accounts/{account_id}/descendants",
            descendants,
            "All accounts below this one",
        )
        .gives_pages_of(schema("Account")),
    ]
}

async fn list(State(api): State<ApiState>, access: Access, query: Query) -> Result<Reply, Problem> {
    let paging = paging(&query)?;
    let all = api.store.read(accounts::all).await?;
    let reached = all
        .into_iter()
        .filter(|account| access.reaches(&api, &account.id));
    page(reached.collect(), paging)
}

async fn create(
    State(api): State<ApiState>,
    access: Access,
    ChosenId(id): ChosenId,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let parent = match &access.reach {
        Reach::Everything => None,
        Reach::Account(own) => Some(&**own),
    };
    let account = api.registry.create_account(id, parent, document).await?;
    Ok(Reply::created(view(&account)))
}

async fn create_below(
    State(api): State<ApiState>,
    scope: Scope,
    ChosenId(id): ChosenId,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let account = api
        .registry
        .create_account(id, Some(&scope.account_id), document)
        .await?;
    Ok(Reply::created(view(&account)))
}

async fn read(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let id = std::sync::Arc::clone(&scope.account_id);
    let account = api
        .store
        .read(move |connection| accounts::get(connection, &id))
        .await?;
    there(account, &scope)
}

async fn replace(
    State(api): State<ApiState>,
    scope: Scope,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let account = api
        .registry
        .replace_account(&scope.account_id, document, scope.is_from_above)
        .await?;
    there(account, &scope)
}

async fn patch(
    State(api): State<ApiState>,
    scope: Scope,
    Data(document): Data,
) -> Result<Reply, Problem> {
    let account = api
        .registry
        .patch_account(&scope.account_id, document, scope.is_from_above)
        .await?;
    there(account, &scope)
}

async fn delete(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    match api.registry.delete_account(&scope.account_id).await? {
        Some((account, hooks)) => {
            let mut view = view(&account);
            view.insert("deleted_webhooks".into(), json!(hooks));
            Ok(Reply::new(view))
        }
        None => Err(Problem::bad_identifier(&scope.account_id)),
    }
}

async fn children(
    State(api): State<ApiState>,
    scope: Scope,
    query: Query,
) -> Result<Reply, Problem> {
    let paging = paging(&query)?;
    let found = api
        .store
        .read(move |connection| accounts::children(connection, &scope.account_id))
        .await?;
    page(found, paging)
}

async fn descendants(
    State(api): State<ApiState>,
    scope: Scope,
    query: Query,
) -> Result<Reply, Problem> {
    let paging = paging(&query)?;
    let found = api
        .store
        .read(move |connection| accounts::descendants(connection, &scope.account_id))
        .await?;
    page(found, paging)
}

fn paging(query: &Query) -> Result<Paging, Problem> {
    let mut mistakes = Mistakes::default();
    let paging = query.paging(&mut mistakes);
    Query::refuse(mistakes)?;
    Ok(paging)
}

/// A page of accounts, which are few and come by id.
fn page(accounts: Vec<StoredAccount>, paging: Paging) -> Result<Reply, Problem> {
    paging.of(
        &accounts,
        |account| &account.id,
        |account| view(account).into(),
    )
}

fn there(account: Option<StoredAccount>, scope: &Scope) -> Result<Reply, Problem> {
    match account {
        Some(account) => {
            Ok(Reply::new(view(&account)).revision(format!("{:x}", account.modified.0)))
        }
        None => Err(Problem::bad_identifier(&scope.account_id)),
    }
}

/// An account as it is shown: what its owner wrote, and its place in the tree.
fn view(account: &StoredAccount) -> Document {
    let mut view = account.document.clone();
    let numbers = view.entry("numbers").or_insert(Value::Null);
    if numbers.is_null() {
        *numbers = json!([]);
    }
    view.insert("id".into(), json!(&*account.id));
    if let Some(parent) = &account.parent {
        view.insert("parent".into(), json!(&**parent));
    }
    view.insert("created".into(), json!(account.created.gregorian()));
    view.insert("modified".into(), json!(account.modified.gregorian()));
    view
}
