//! The file that accounts, webhooks and callflows are kept in: its form, and what can be wrong with it.
//!
//! ```toml
//! switchhook = 1                          # the form of the file
//! [accounts.acme]                         # by id; only the id: the account itself stays as it is
//! name = "Acme"
//! parent = "default"
//! [accounts.acme.webhooks.missed]         # by id; no `webhooks`: nothing is said of them
//! name = "missed calls"
//! …
//! [accounts.acme.callflows.menu]
//! …
//! ```

use std::collections::BTreeMap;

use serde_json::{Value, json};
use switchhook::api::{check_id, parse_json};
use switchhook::callflow::check_callflow;
use switchhook::hook::{Document, Mistakes, Settings};
use switchhook::store::accounts;

/// The form that this program writes and reads.
const FORM: u64 = 1;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Json,
    Toml,
}

/// Accounts by id.
pub(super) type Tree = BTreeMap<String, Account>;

/// Webhooks or callflows by id.
pub(super) type Documents = BTreeMap<String, Document>;

/// What is said of an account. What is `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Account {
    /// The account's own document, without its place in the tree.
    pub(super) document: Option<Document>,
    /// The account above it.
    pub(super) parent: Option<String>,
    pub(super) webhooks: Option<Documents>,
    pub(super) callflows: Option<Documents>,
}

/// Reads a file, or names everything that is wrong with it.
pub(super) fn read(text: &str, format: Format) -> Result<Tree, Vec<String>> {
    let value = parse(text, format).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader::default();
    let tree = reader.tree(value);
    match reader.mistakes.is_empty() {
        true => Ok(tree),
        false => Err(reader.mistakes),
    }
}

/// The text of a file as JSON, whichever of the two it is.
pub(super) fn parse(text: &str, format: Format) -> Result<Value, String> {
    match format {
        Format::Json => parse_json(text.as_bytes()).map_err(|error| error.to_string()),
        Format::Toml => {
            let value = toml::from_str(text).map_err(|error| error.to_string());
            value.map(dates_as_texts)
        }
    }
}

/// How TOML's dates come out of its reader. JSON has none: they are what they would be there, texts.
fn dates_as_texts(value: Value) -> Value {
    const DATE: &str = "$__toml_private_datetime";
    match value {
        Value::Object(mut object) if object.contains_key(DATE) => object[DATE].take(),
        Value::Object(object) => {
            let entries = object.into_iter();
            Value::Object(
                entries
                    .map(|(key, value)| (key, dates_as_texts(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.into_iter().map(dates_as_texts).collect(),
        other => other,
    }
}

#[derive(Default)]
struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn say(&mut self, place: &str, message: &str) {
        self.mistakes.push(format!("{place}: {message}"));
    }

    fn tree(&mut self, value: Value) -> Tree {
        let Value::Object(mut top) = value else {
            self.mistakes
                .push("the file must be an object with `switchhook` and `accounts`".into());
            return Tree::new();
        };
        match top.remove("switchhook") {
            Some(form) if form == FORM => {}
            Some(form) => self.say(
                "switchhook",
                &format!("the form of the file is {form}, and this switchhook knows {FORM}"),
            ),
            None => self.say(
                "switchhook",
                &format!("is missing: a file of switchhook says switchhook = {FORM} (for documents of Kazoo: --kazoo)"),
            ),
        }
        let accounts = top.remove("accounts");
        for key in top.keys() {
            self.say(
                key,
                "is nothing that the file can say; it has `switchhook` and `accounts`",
            );
        }
        let Some(accounts) = accounts else {
            self.say("accounts", "is missing");
            return Tree::new();
        };
        let mut tree = Tree::new();
        for (id, account) in self.by_id("accounts", accounts) {
            let read = self.account(&format!("accounts.{id}"), account);
            tree.insert(id, read);
        }
        tree
    }

    /// Objects by id.
    fn by_id(&mut self, place: &str, value: Value) -> Documents {
        let Value::Object(object) = value else {
            self.say(place, "must be an object: ids, and what has them");
            return Documents::new();
        };
        let mut all = Documents::new();
        for (id, value) in object {
            let place = format!("{place}.{id}");
            if let Err(message) = check_id(&id) {
                self.say(&place, &message);
            }
            match value {
                Value::Object(document) => drop(all.insert(id, document)),
                _ => self.say(&place, "must be an object"),
            }
        }
        all
    }

    fn account(&mut self, place: &str, mut document: Document) -> Account {
        let webhooks = document.shift_remove("webhooks").map(|value| {
            let place = format!("{place}.webhooks");
            let webhooks = self.by_id(&place, value);
            self.check(&place, webhooks, check_webhook)
        });
        let callflows = document.shift_remove("callflows").map(|value| {
            let place = format!("{place}.callflows");
            let callflows = self.by_id(&place, value);
            self.check(&place, callflows, |document| {
                check_callflow(document).map(drop)
            })
        });
        let parent = match document.shift_remove("parent") {
            None | Some(Value::Null) => None,
            Some(Value::String(parent)) => Some(parent),
            Some(_) => {
                self.say(&format!("{place}.parent"), "must be the id of an account");
                None
            }
        };
        let says_nothing = document.is_empty() && parent.is_none();
        if !says_nothing && let Err(mistakes) = accounts::check(&document) {
            self.say_all(place, mistakes);
        }
        Account {
            document: (!says_nothing).then(|| without_nulls(document)),
            parent,
            webhooks,
            callflows,
        }
    }

    fn check(
        &mut self,
        place: &str,
        documents: Documents,
        check: impl Fn(&Document) -> Result<(), Mistakes>,
    ) -> Documents {
        for (id, document) in &documents {
            if let Err(mistakes) = check(document) {
                self.say_all(&format!("{place}.{id}"), mistakes);
            }
        }
        let entries = documents.into_iter();
        entries
            .map(|(id, document)| (id, without_nulls(document)))
            .collect()
    }

    fn say_all(&mut self, place: &str, mistakes: Mistakes) {
        for (field, rules) in mistakes.into_document() {
            for rule in rules.as_object().into_iter().flat_map(Document::values) {
                let message = rule["message"].as_str().unwrap_or("is not allowed");
                self.say(&format!("{place}.{field}"), message);
            }
        }
    }
}

/// What the daemon would find wrong with a webhook, and a secret that would be another one on each server.
fn check_webhook(document: &Document) -> Result<(), Mistakes> {
    Settings::written(document, None).map(drop)?;
    let mut mistakes = Mistakes::default();
    if document.get("secret").and_then(Value::as_str) == Some("generate") {
        let message = "Write whsec_… here, or leave it out: each import would make another one";
        mistakes.say("secret", "format", message);
    }
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(mistakes),
    }
}

/// A field that is null is a field left out; but a secret that is null is to go.
fn without_nulls(mut document: Document) -> Document {
    document.retain(|field, value| field == "secret" || !value.is_null());
    document
}

/// The text of a file, the same for the same accounts: ids in their order, a document's own fields first.
pub(super) fn write(tree: &Tree, format: Format) -> Result<String, String> {
    let mut accounts = Document::new();
    for (id, account) in tree {
        let mut entry = Document::new();
        if let Some(parent) = &account.parent {
            entry.insert("parent".into(), json!(parent));
        }
        for (field, value) in in_order(account.document.clone().unwrap_or_default()) {
            if ["parent", "webhooks", "callflows"].contains(&field.as_str()) {
                return Err(format!(
                    "the account {id} has a field of its own that is called {field}, which the file cannot say; give it another name"
                ));
            }
            entry.insert(field, value);
        }
        for (kind, documents) in [
            ("webhooks", &account.webhooks),
            ("callflows", &account.callflows),
        ] {
            if let Some(documents) = documents {
                let entries = documents.iter();
                let documents: Document = entries
                    .map(|(id, document)| (id.clone(), in_order(document.clone()).into()))
                    .collect();
                entry.insert(kind.into(), documents.into());
            }
        }
        accounts.insert(id.clone(), entry.into());
    }
    let file = json!({ "switchhook": FORM, "accounts": accounts });
    match format {
        Format::Json => Ok(format!("{file:#}\n")),
        Format::Toml => toml::to_string_pretty(&file)
            .map_err(|error| format!("TOML cannot say all of it, --format json can: {error}")),
    }
}

/// Fields in the order in which people look for them; the others by name.
fn in_order(document: Document) -> Document {
    const FIRST: &[&str] = &["name", "description", "hook", "uri", "realm", "numbers"];
    let place = |field: &str| {
        FIRST
            .iter()
            .position(|first| *first == field)
            .unwrap_or(FIRST.len())
    };
    let mut fields: Vec<(String, Value)> = document.into_iter().collect();
    fields.sort_by(|(a, _), (b, _)| (place(a), a).cmp(&(place(b), b)));
    fields.into_iter().collect()
}
