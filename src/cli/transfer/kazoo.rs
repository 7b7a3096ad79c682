//! Webhook documents of Kazoo: as its database keeps them (`pvt_…` fields), or as its API shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use switchhook::api::{check_id, parse_json};
use switchhook::hook::{Document, Settings};
use switchhook::trigger::Trigger;

use super::file::Tree;
use crate::cli::counted;

/// The account of a document that names none.
const DEFAULT: &str = switchhook::store::accounts::DEFAULT;

/// What was found in a file.
pub(super) struct Found {
    /// The webhooks, by account.
    pub(super) tree: Tree,
    /// Webhooks that cannot be taken over: which one, and why.
    left_out: Vec<String>,
    /// Documents that are no webhooks, or were deleted.
    passed_over: usize,
    /// Webhooks that Kazoo had switched off because they failed.
    switched_off: usize,
    /// Whether they come from a listing, which leaves fields out.
    from_listing: bool,
}

impl Found {
    /// Says on standard error what of the file is not taken over, or not as it was.
    pub(super) fn report(&self) {
        for what in &self.left_out {
            eprintln!("left out: {what}");
        }
        let count: usize = self
            .tree
            .values()
            .filter_map(|account| account.webhooks.as_ref())
            .map(BTreeMap::len)
            .sum();
        eprintln!(
            "{} to take over, {} left out; {} passed over, being no webhook",
            counted(count, "webhook"),
            self.left_out.len(),
            counted(self.passed_over, "document")
        );
        if self.switched_off > 0 {
            eprintln!(
                "of them switched off by Kazoo because they failed, and staying off: {}",
                self.switched_off
            );
        }
        if self.from_listing {
            eprintln!(
                "these come from a listing, which leaves fields out: those get their defaults; read each webhook, or its database, to have all"
            );
        }
    }
}

/// Reads webhooks; all of them go to `account`, where one is given.
pub(super) fn read(text: &str, account: Option<&str>) -> Result<Found, Vec<String>> {
    let value = parse_json(text.as_bytes()).map_err(|error| vec![error.to_string()])?;
    let (documents, from_listing) = documents(value).ok_or_else(|| {
        vec!["has no documents: wanted are {\"docs\": […]}, {\"rows\": […]}, a list, or {\"data\": …}".to_owned()]
    })?;
    let mut found = Found {
        tree: Tree::new(),
        left_out: Vec::new(),
        passed_over: 0,
        switched_off: 0,
        from_listing,
    };
    for document in documents {
        match document {
            Value::Object(document) if is_webhook(&document) => found.take(document, account),
            _ => found.passed_over += 1,
        }
    }
    Ok(found)
}

/// Accounts that are not there yet are made, with their id for a name: Kazoo keeps no more of them beside its
/// webhooks.
pub(super) fn name_accounts(wanted: &mut Tree, present: &Tree) {
    for (id, account) in wanted
        .iter_mut()
        .filter(|(id, _)| !present.contains_key(*id))
    {
        account.document = Some(Document::from_iter([("name".to_owned(), json!(id))]));
        eprintln!(
            "the account {id} is not here yet and is made with its id for a name; no call is known to be its own before it has a realm or numbers"
        );
    }
}

/// The documents of a bulk file, of a view's rows, of an answer of the API, or of a list; and whether they
/// are of a listing of the API.
fn documents(value: Value) -> Option<(Vec<Value>, bool)> {
    let mut object = match value {
        Value::Array(all) => return Some((all, false)),
        Value::Object(object) => object,
        _ => return None,
    };
    if let Some(Value::Array(docs)) = object.get_mut("docs") {
        return Some((std::mem::take(docs), false));
    }
    if let Some(Value::Array(rows)) = object.get_mut("rows") {
        return Some((
            rows.iter_mut()
                .map(|row| row.get_mut("doc").map(Value::take).unwrap_or_default())
                .collect(),
            false,
        ));
    }
    match object.remove("data") {
        Some(Value::Array(data)) => Some((data, true)),
        Some(data @ Value::Object(_)) => Some((vec![data], false)),
        _ if object.contains_key("hook") => Some((vec![object.into()], false)),
        _ => None,
    }
}

fn is_webhook(document: &Document) -> bool {
    let is_deleted = document.get("pvt_deleted") == Some(&Value::Bool(true));
    !is_deleted
        && match document.get("pvt_type") {
            Some(kind) => kind == "webhook",
            // The API does not show it.
            None => document.contains_key("hook") && document.contains_key("uri"),
        }
}

impl Found {
    fn take(&mut self, mut document: Document, account: Option<&str>) {
        let id = text(&document, "_id").or_else(|| text(&document, "id"));
        let name = text(&document, "name").unwrap_or_default();
        let id = match id {
            Some(id) => id,
            None => return self.leave_out("(no id)", &name, "it has no _id"),
        };
        let account = account
            .map(str::to_owned)
            .or_else(|| text(&document, "pvt_account_id"));
        let account = account.unwrap_or_else(|| DEFAULT.into());
        if let Err(why) = check_id(&id).and_then(|()| check_id(&account)) {
            return self.leave_out(&id, &name, &why);
        }
        if let Some(unknown) = unknown_trigger(&document) {
            let why = format!("{unknown} is no trigger of switchhook");
            return self.leave_out(&id, &name, &why);
        }
        let switched_off = document.contains_key("pvt_disabled_message")
            || document.contains_key("disable_reason");
        document.retain(|field, value| {
            let is_kazoos = field.starts_with("pvt_") || field.starts_with('_');
            !is_kazoos && !matches!(field.as_str(), "id" | "disable_reason") && !value.is_null()
        });
        if let Err(mistakes) = Settings::written(&document, None) {
            return self.leave_out(&id, &name, &mistakes.to_string());
        }
        self.switched_off += usize::from(switched_off);
        let account = self.tree.entry(account).or_default();
        let webhooks = account.webhooks.get_or_insert_default();
        if webhooks.insert(id.clone(), document).is_some() {
            self.leave_out(&id, &name, "the file has it twice; the later one is taken");
        }
    }

    fn leave_out(&mut self, id: &str, name: &str, why: &str) {
        let text = format!("{id} {name:?}: {why}");
        self.left_out.push(crate::cli::printable(&text));
    }
}

fn unknown_trigger(document: &Document) -> Option<&str> {
    let hook = document.get("hook")?.as_str()?;
    let is_known =
        hook.eq_ignore_ascii_case("all") || Trigger::from_id(&hook.to_ascii_lowercase()).is_some();
    (!is_known).then_some(hook)
}

fn text(document: &Document, field: &str) -> Option<String> {
    document.get(field)?.as_str().map(str::to_owned)
}
