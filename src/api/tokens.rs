//! `/v2/accounts/{A}/tokens` and `/api_key`: shown whole when they are made, and afterwards by their first
//! characters only.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tracing::{error, info};

use super::ApiState;
use super::auth::{Scope, hash};
use super::envelope::{NoData, Problem, Reply};
use super::route::{Route, list_of, schema};
use crate::hook::Document;
use crate::store::tokens::{self, StoredToken, TokenKind};
use crate::store::{StoreError, Tx};

const ALL: &str = "/v2/accounts/{account_id}/tokens";
const KEY: &str = "/v2/accounts/{account_id}/api_key";

/// Characters by which a token is known again.
const SHOWN: usize = 8;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(ALL, list, "The tokens of an account, newest first")
            .gives(list_of(schema("Token"))),
        Route::put(
            ALL,
            create,
            "Make a token for an account; it is shown this once",
        )
        .may_take(json!({ "type": "object" }))
        .gives(schema("Token"))
        .status(201),
        Route::delete(
            "/v2/accounts/{account_id}/tokens/{token_id}",
            revoke,
            "Make a token good for nothing",
        )
        .gives(schema("Token")),
        Route::get(
            KEY,
            read_key,
            "The API key of an account: made and shown where there is none, else its beginning",
        )
        .gives(schema("ApiKey")),
        Route::put(
            KEY,
            replace_key,
            "Replace the API key of an account; it is shown this once",
        )
        .may_take(json!({ "type": "object" }))
        .gives(schema("ApiKey"))
        .status(201),
    ]
}

async fn list(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let found = api
        .store
        .read(move |connection| tokens::list(connection, Some(&scope.account_id)))
        .await?;
    let shown = found
        .iter()
        .filter(|token| token.kind == TokenKind::Token)
        .map(|token| Value::from(view(token)));
    Ok(Reply::new(shown.collect::<Value>()))
}

async fn create(State(api): State<ApiState>, scope: Scope, _: NoData) -> Result<Reply, Problem> {
    let (token, stored) = make(&api, &scope.account_id, TokenKind::Token, tokens::insert).await?;
    let mut view = view(&stored);
    view.insert("token".into(), json!(token));
    Ok(Reply::created(view))
}

async fn revoke(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let id = scope.id("token_id")?;
    let unknown = || Problem::bad_identifier(&id);
    let row: i64 = id.parse().map_err(|_| unknown())?;
    let account_id = Arc::clone(&scope.account_id);
    let revoked = api
        .store
        .write(move |tx| {
            let found = tokens::list(tx, Some(&account_id))?;
            let is_token = |token: &StoredToken| token.id == row && token.kind == TokenKind::Token;
            let Some(found) = found.into_iter().find(is_token) else {
                return Ok(None);
            };
            Ok(tokens::revoke(tx, Some(&account_id), row)?.then_some(found))
        })
        .await?;
    let mut token = revoked.ok_or_else(unknown)?;
    info!(account_id = %scope.account_id, token_id = row, "a token was revoked");
    token.revoked = Some(api.clock.now());
    Ok(Reply::new(view(&token)))
}

async fn read_key(State(api): State<ApiState>, scope: Scope) -> Result<Reply, Problem> {
    let account_id = Arc::clone(&scope.account_id);
    let key = api
        .store
        .read(move |connection| tokens::api_key(connection, &account_id))
        .await?;
    let key = match key {
        Some(key) => key,
        None => {
            let keep = tokens::insert_first;
            let (key, stored) = make(&api, &scope.account_id, TokenKind::ApiKey, keep).await?;
            if stored.hash == hash(&key) {
                return Ok(Reply::new(new_key(&key, &stored)));
            }
            // Whoever asked at the same time was shown it.
            stored
        }
    };
    Ok(Reply::new(
        json!({ "prefix": key.prefix, "created": key.created.gregorian() }),
    ))
}

async fn replace_key(
    State(api): State<ApiState>,
    scope: Scope,
    _: NoData,
) -> Result<Reply, Problem> {
    let keep = tokens::insert;
    let (key, stored) = make(&api, &scope.account_id, TokenKind::ApiKey, keep).await?;
    Ok(Reply::created(new_key(&key, &stored)))
}

fn new_key(key: &str, stored: &StoredToken) -> Value {
    json!({ "api_key": key, "prefix": stored.prefix, "created": stored.created.gregorian() })
}

/// What keeps a new token in the store; what it returns may be another one that stands instead.
type Keep =
    fn(&mut Tx<'_>, Option<&str>, TokenKind, &str, [u8; 32]) -> Result<StoredToken, StoreError>;

async fn make(
    api: &ApiState,
    account_id: &Arc<str>,
    kind: TokenKind,
    keep: Keep,
) -> Result<(String, StoredToken), Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        error!("the system has no randomness to make a token of: {error}");
        Problem::unavailable("The system has no randomness to make a token of; try again")
    })?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let (account, prefix, hash) = (
        Arc::clone(account_id),
        token[..SHOWN].to_owned(),
        hash(&token),
    );
    let stored = api
        .store
        .write(move |tx| keep(tx, Some(&account), kind, &prefix, hash))
        .await?;
    let what = match kind {
        TokenKind::Token => "a token",
        TokenKind::ApiKey => "an API key",
    };
    if stored.hash == hash {
        info!(%account_id, token_id = stored.id, "{what} was made");
    }
    Ok((token, stored))
}

fn view(token: &StoredToken) -> Document {
    let mut view = Document::new();
    view.insert("id".into(), json!(token.id.to_string()));
    view.insert("prefix".into(), json!(token.prefix));
    view.insert("created".into(), json!(token.created.gregorian()));
    if let Some(revoked) = token.revoked {
        view.insert("revoked".into(), json!(revoked.gregorian()));
    }
    view
}
