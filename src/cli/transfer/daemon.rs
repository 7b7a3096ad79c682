//! What the running daemon has of accounts, webhooks and callflows, in the form in which a file says it.

use std::collections::HashMap;

use serde_json::{Value, json};
use switchhook::config::Config;
use switchhook::hook::{Document, Secret};
use switchhook::store;

use super::Problem;
use super::file::{Account, Documents, Tree};
use crate::cli::rest::{Rest, part};

/// What of a webhook, a callflow or an account is the daemon's to say.
const READ_ONLY: &[&str] = &["id", "created", "modified", "disable_reason", "has_secret"];

/// Every account, without what it has.
pub(super) async fn accounts(rest: &Rest) -> Result<Tree, Problem> {
    let mut tree = Tree::new();
    for account in rest.list("/v2/accounts", usize::MAX).await? {
        let (id, mut document) = taken_apart(account);
        let parent = match document.shift_remove("parent") {
            Some(Value::String(parent)) => Some(parent),
            _ => None,
        };
        let account = Account {
            document: Some(document),
            parent,
            ..Account::default()
        };
        tree.insert(id, account);
    }
    Ok(tree)
}

/// The webhooks of an account. Where there is a secret, `secret` says which one, if `secrets` are known, and
/// is true if they are not.
pub(super) async fn webhooks(
    rest: &Rest,
    account: &str,
    secrets: &HashMap<String, String>,
) -> Result<Documents, Problem> {
    let mut all = Documents::new();
    for document in whole(rest, account, "webhooks").await? {
        let has_secret = document["has_secret"] == true;
        let is_off_for_failing = document["disable_reason"].is_string();
        let (id, mut document) = taken_apart(document);
        // Its owner never switched it off.
        if is_off_for_failing {
            document.insert("enabled".into(), json!(true));
        }
        if has_secret {
            let secret = secrets.get(&id).map_or(json!(true), |secret| json!(secret));
            document.insert("secret".into(), secret);
        }
        all.insert(id, document);
    }
    Ok(all)
}

/// The callflows of an account.
pub(super) async fn callflows(rest: &Rest, account: &str) -> Result<Documents, Problem> {
    let callflows = whole(rest, account, "callflows").await?;
    Ok(callflows.into_iter().map(taken_apart).collect())
}

/// Whole documents: a listing has but a few of their fields.
async fn whole(rest: &Rest, account: &str, kind: &str) -> Result<Vec<Value>, Problem> {
    let path = format!("/v2/accounts/{}/{kind}", part(account));
    let mut all = Vec::new();
    for item in rest.list(&path, usize::MAX).await? {
        let id = item["id"].as_str().unwrap_or_default();
        all.push(rest.get(&format!("{path}/{}", part(id))).await?);
    }
    Ok(all)
}

fn taken_apart(document: Value) -> (String, Document) {
    let Value::Object(mut document) = document else {
        return Default::default();
    };
    let id = document["id"].as_str().unwrap_or_default().to_owned();
    document.retain(|field, value| !READ_ONLY.contains(&field.as_str()) && !value.is_null());
    (id, document)
}

/// The signing secrets by webhook. The API never gives them away: they are read from the database, by who
/// may read that.
pub(super) fn secrets(config: &Config) -> Result<HashMap<String, String>, Problem> {
    let (hooks, unreadable) = store::look(&config.store.path, store::hooks::all)?;
    if let Some(error) = unreadable.into_iter().next() {
        return Err(error.into());
    }
    let secrets = hooks.into_iter().filter_map(|hook| {
        let secret = hook.secrets.current.as_ref().map(Secret::reveal)?;
        Some((hook.id.to_string(), secret))
    });
    Ok(secrets.collect())
}
