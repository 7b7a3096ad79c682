//! Accounts: a tree under `default`, each with the realm and the numbers by which its calls are known.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::writer::Tx;
use super::{StoreError, hooks};
use crate::call::{Account, digits};
use crate::hook::{Document, Mistakes};
use crate::time::Timestamp;

/// The account that is always there.
pub const DEFAULT: &str = "default";

/// Numbers of an account at most: all accounts' are in memory, for calls to be looked up in.
pub const MOST_NUMBERS: usize = 5_000;
/// Characters of a number as it is written, at most.
pub const LONGEST_NUMBER: usize = 64;
/// Characters of a realm at most, as of any DNS name.
pub const LONGEST_REALM: usize = 253;
/// Characters of a name at most.
pub const LONGEST_NAME: usize = 256;

/// An account as it is managed.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAccount {
    /// Its id.
    pub id: Arc<str>,
    /// The account above it; `None` for those at the top.
    pub parent: Option<Arc<str>>,
    /// What its owner wrote: `name`, `realm`, `numbers`, and keys that only its owner knows.
    pub document: Document,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// What of a document is looked things up by.
struct Known {
    name: String,
    realm: Option<String>,
    numbers: Vec<String>,
}

/// Everything that is wrong with an account's document by itself: whether its realm and numbers are free only
/// the store knows.
///
/// # Errors
/// The mistakes.
pub fn check(document: &Document) -> Result<(), Mistakes> {
    Known::read(document).map(drop)
}

impl Known {
    fn read(document: &Document) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let mut text = |field: &str| match document.get(field).filter(|value| !value.is_null()) {
            None => None,
            Some(value) => {
                let text = value
                    .as_str()
                    .map(str::trim)
                    .filter(|text| !text.is_empty());
                if text.is_none() {
                    mistakes.say(field, "type", "Value must be a string that is not empty");
                }
                text.map(str::to_owned)
            }
        };
        let (name, realm) = (text("name"), text("realm"));
        for (field, text, most) in [
            ("name", &name, LONGEST_NAME),
            ("realm", &realm, LONGEST_REALM),
        ] {
            if text
                .as_deref()
                .is_some_and(|text| text.chars().count() > most)
            {
                mistakes.say_too_long(field, most);
            }
        }
        if document.get("name").is_none_or(serde_json::Value::is_null) {
            mistakes.say("name", "required", "Field is required but missing");
        }
        let mut numbers = Vec::new();
        match document.get("numbers") {
            None | Some(serde_json::Value::Null) => {}
            Some(serde_json::Value::Array(items)) if items.len() > MOST_NUMBERS => {
                let message = format!("An account must not have more than {MOST_NUMBERS} numbers");
                let detail = json!({ "message": message, "target": MOST_NUMBERS });
                mistakes.add("numbers", "maxItems", detail);
            }
            Some(serde_json::Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    match item.as_str().filter(|number| !digits(number).is_empty()) {
                        Some(number) => {
                            if number.chars().count() > LONGEST_NUMBER {
                                mistakes.say_too_long(&format!("numbers.{index}"), LONGEST_NUMBER);
                            }
                            numbers.push(number.to_owned());
                        }
                        None => mistakes.say(
                            &format!("numbers.{index}"),
                            "format",
                            "Value must be a number as a string, such as \"+15551230000\"",
                        ),
                    }
                }
            }
            Some(_) => mistakes.say("numbers", "type", "Value did not match type(s): array"),
        }
        match name {
            Some(name) if mistakes.is_empty() => Ok(Self {
                name,
                realm,
                numbers,
            }),
            _ => Err(mistakes),
        }
    }
}

const COLUMNS: &str = "id, parent, document, created, modified";

/// Makes the account that is always there, where it is not there yet.
pub(super) fn make_default(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let document = json!({ "name": "Default" }).to_string();
    conn.execute(
        "INSERT OR IGNORE INTO accounts (id, name, document, created, modified)
         VALUES (?1, 'Default', ?2, ?3, ?3)",
        params![DEFAULT, document, now.0],
    )?;
    Ok(())
}

/// Every account, for the directory that calls are looked up in.
///
/// # Errors
/// SQLite's.
pub fn directory(conn: &Connection) -> Result<Vec<Account>, StoreError> {
    let mut numbers = conn.prepare_cached(
        "SELECT written FROM account_numbers WHERE account_id = ? ORDER BY position",
    )?;
    let mut statement =
        conn.prepare_cached("SELECT id, parent, realm FROM accounts ORDER BY id")?;
    let mut rows = statement.query(())?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        let id: Arc<str> = row.get(0)?;
        accounts.push(Account {
            parent: row.get(1)?,
            realm: row.get(2)?,
            numbers: numbers
                .query_map([&*id], |row| row.get(0))?
                .collect::<Result<_, _>>()?,
            id,
        });
    }
    Ok(accounts)
}

/// One account.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn get(conn: &Connection, id: &str) -> Result<Option<StoredAccount>, StoreError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts WHERE id = ?"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

/// Every account, by id.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn all(conn: &Connection) -> Result<Vec<StoredAccount>, StoreError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts ORDER BY id"))?;
    list(statement.query(())?)
}

/// The accounts right below `id`, by id.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn children(conn: &Connection, id: &str) -> Result<Vec<StoredAccount>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM accounts WHERE parent = ? ORDER BY id"
    ))?;
    list(statement.query([id])?)
}

/// All accounts below `id`, by id, without itself.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn descendants(conn: &Connection, id: &str) -> Result<Vec<StoredAccount>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "WITH RECURSIVE below (below_id) AS (
             SELECT id FROM accounts WHERE parent = ?1
             UNION SELECT id FROM accounts JOIN below ON parent = below_id)
         SELECT {COLUMNS} FROM accounts JOIN below ON id = below_id WHERE id <> ?1 ORDER BY id"
    ))?;
    list(statement.query([id])?)
}

/// Makes an account below `parent`, or at the top.
///
/// # Errors
/// The document's mistakes, a realm or number that another account has, a parent that is not there, or
/// SQLite's.
pub fn insert(
    tx: &mut Tx<'_>,
    parent: Option<&str>,
    document: Document,
) -> Result<StoredAccount, StoreError> {
    insert_as(tx, &hooks::new_id(), parent, document)
}

/// Makes an account with an id that somebody chose.
///
/// # Errors
/// Another account has the id ([`StoreError::Conflict`]); or those of [`insert`].
pub fn insert_as(
    tx: &mut Tx<'_>,
    id: &str,
    parent: Option<&str>,
    document: Document,
) -> Result<StoredAccount, StoreError> {
    let known = Known::read(&document).map_err(StoreError::Document)?;
    if get(tx, id)?.is_some() {
        return Err(StoreError::Conflict(format!("an account has the id {id}")));
    }
    if let Some(parent) = parent {
        require(tx, parent)?;
    }
    let account = StoredAccount {
        id: id.into(),
        parent: parent.map(Into::into),
        document,
        created: tx.now,
        modified: tx.now,
    };
    require_free(tx, &account.id, &known)?;
    tx.prepare_cached(
        "INSERT INTO accounts (id, parent, name, realm, document, created, modified)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        &*account.id,
        parent,
        known.name,
        known.realm,
        hooks::text(&account.document),
        account.created.0,
        account.modified.0,
    ])?;
    set_numbers(tx, &account.id, &known.numbers)?;
    Ok(account)
}

/// Changes an account's document: `change` is given the account as it is and says what its document becomes.
/// `None` where there is no such account.
///
/// # Errors
/// The document's mistakes, a realm or number that another account has, or SQLite's.
pub fn update(
    tx: &mut Tx<'_>,
    id: &str,
    change: impl FnOnce(&StoredAccount) -> Result<Document, Mistakes>,
) -> Result<Option<StoredAccount>, StoreError> {
    let Some(mut account) = get(tx, id)? else {
        return Ok(None);
    };
    account.document = change(&account).map_err(StoreError::Document)?;
    account.modified = tx.now;
    let known = Known::read(&account.document).map_err(StoreError::Document)?;
    require_free(tx, id, &known)?;
    tx.prepare_cached(
        "UPDATE accounts SET name = ?, realm = ?, document = ?, modified = ? WHERE id = ?",
    )?
    .execute(params![
        known.name,
        known.realm,
        hooks::text(&account.document),
        account.modified.0,
        id
    ])?;
    set_numbers(tx, id, &known.numbers)?;
    Ok(Some(account))
}

/// Deletes an account with its tokens; returns it as it was, `None` where there is no such account.
///
/// # Errors
/// It is the default account, or has accounts below it, hooks or callflows; or SQLite's.
pub fn delete(tx: &mut Tx<'_>, id: &str) -> Result<Option<StoredAccount>, StoreError> {
    let Some(account) = get(tx, id)? else {
        return Ok(None);
    };
    let refuse = |why: &str| Err(StoreError::Conflict(format!("the account {id} {why}")));
    if id == DEFAULT {
        return refuse("is always there and cannot be deleted");
    }
    if !children(tx, id)?.is_empty() {
        return refuse("has accounts below it; delete those first");
    }
    if hooks::exist(tx, id)? {
        return refuse("has webhooks; delete those first");
    }
    let has_callflows = tx
        .prepare_cached("SELECT 1 FROM callflows WHERE account_id = ? LIMIT 1")?
        .exists([id])?;
    if has_callflows {
        return refuse("has callflows; delete those first");
    }
    tx.prepare_cached("DELETE FROM accounts WHERE id = ?")?
        .execute([id])?;
    Ok(Some(account))
}

/// Refuses what is asked for an account that is not there.
pub(super) fn require(conn: &Connection, id: &str) -> Result<(), StoreError> {
    let is_there = conn
        .prepare_cached("SELECT 1 FROM accounts WHERE id = ?")?
        .exists([id])?;
    match is_there {
        true => Ok(()),
        false => Err(StoreError::Conflict(format!("there is no account {id}"))),
    }
}

/// Refuses a realm or a number that belongs to another account.
fn require_free(tx: &Tx<'_>, id: &str, known: &Known) -> Result<(), StoreError> {
    let mut mistakes = Mistakes::default();
    if let Some(realm) = &known.realm {
        let other: Option<String> = tx
            .prepare_cached("SELECT id FROM accounts WHERE realm = ? AND id <> ?")?
            .query_row([realm.as_str(), id], |row| row.get(0))
            .optional()?;
        if let Some(other) = other {
            mistakes.say(
                "realm",
                "unique",
                &format!("The realm {realm} belongs to account {other}"),
            );
        }
    }
    for (index, number) in known.numbers.iter().enumerate() {
        let other: Option<String> = tx
            .prepare_cached(
                "SELECT account_id FROM account_numbers WHERE number = ? AND account_id <> ?",
            )?
            .query_row([&*digits(number), id], |row| row.get(0))
            .optional()?;
        if let Some(other) = other {
            mistakes.say(
                &format!("numbers.{index}"),
                "unique",
                &format!("The number {number} belongs to account {other}"),
            );
        }
    }
    mistakes.none().map_err(StoreError::Document)
}

fn set_numbers(tx: &Tx<'_>, id: &str, numbers: &[String]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM account_numbers WHERE account_id = ?")?
        .execute([id])?;
    // The same number written twice is one number.
    let mut insert = tx.prepare_cached(
        "INSERT OR IGNORE INTO account_numbers (number, account_id, written, position) VALUES (?, ?, ?, ?)",
    )?;
    for (position, number) in numbers.iter().enumerate() {
        insert.execute(params![&*digits(number), id, number, position as i64])?;
    }
    Ok(())
}

fn list(mut rows: rusqlite::Rows<'_>) -> Result<Vec<StoredAccount>, StoreError> {
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        accounts.push(read(row)?);
    }
    Ok(accounts)
}

fn read(row: &Row<'_>) -> Result<StoredAccount, StoreError> {
    let id: Arc<str> = row.get(0)?;
    Ok(StoredAccount {
        parent: row.get(1)?,
        document: hooks::document("accounts", &id, &row.get::<_, String>(2)?)?,
        created: Timestamp(row.get(3)?),
        modified: Timestamp(row.get(4)?),
        id,
    })
}
