//! Callflows as rows, found by id or by the number that was dialled. What a flow may say is not the store's to
//! know.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{StoreError, accounts, hooks};
use crate::call::digits;
use crate::hook::{Document, Mistakes};
use crate::time::Timestamp;

/// The number of the callflow that takes what no other one does.
pub const NO_MATCH: &str = "no_match";

/// A callflow.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCallflow {
    /// Its id in the API.
    pub id: Arc<str>,
    /// The account it belongs to.
    pub account_id: Arc<str>,
    /// What its owner wrote: `numbers`, `flow`, and keys that only its owner knows.
    pub document: Document,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
}

const COLUMNS: &str = "id, account_id, document, created, modified";

/// One callflow of an account.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn get(
    conn: &Connection,
    account_id: &str,
    id: &str,
) -> Result<Option<StoredCallflow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM callflows WHERE id = ? AND account_id = ?"
    ))?;
    let mut rows = statement.query([id, account_id])?;
    rows.next()?.map(|row| read(row)).transpose()
}

/// The callflow of an account that has the dialled number; where none has, the one that has `no_match`.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn by_number(
    conn: &Connection,
    account_id: &str,
    dialled: &str,
) -> Result<Option<StoredCallflow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM callflows WHERE key =
             (SELECT callflow FROM callflow_numbers WHERE account_id = ? AND number = ?)"
    ))?;
    for number in [&*digits(dialled), NO_MATCH] {
        let mut rows = statement.query([account_id, number])?;
        if let Some(row) = rows.next()? {
            return read(row).map(Some);
        }
    }
    Ok(None)
}

/// The callflows of an account that are `wanted`, in the order in which they were made, from the one with the id
/// `start` on, at most `size`, and the id that the next page starts with.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn page(
    conn: &Connection,
    account_id: &str,
    start: Option<&str>,
    size: usize,
    wanted: impl Fn(&StoredCallflow) -> bool,
) -> Result<(Vec<StoredCallflow>, Option<Arc<str>>), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM callflows WHERE account_id = ?1
           AND key >= coalesce((SELECT key FROM callflows WHERE id = ?2), 0)
         ORDER BY key"
    ))?;
    let mut rows = statement.query(params![account_id, start])?;
    let mut callflows = Vec::new();
    while callflows.len() <= size
        && let Some(row) = rows.next()?
    {
        let callflow = read(row)?;
        if wanted(&callflow) {
            callflows.push(callflow);
        }
    }
    let next = (callflows.len() > size)
        .then(|| callflows.pop())
        .flatten()
        .map(|callflow| callflow.id);
    Ok((callflows, next))
}

/// Makes a callflow.
///
/// # Errors
/// A number that another callflow of the account has, an account that is not there, or SQLite's.
pub fn insert(
    tx: &mut Tx<'_>,
    account_id: &str,
    document: Document,
) -> Result<StoredCallflow, StoreError> {
    insert_as(tx, &hooks::new_id(), account_id, document)
}

/// Makes a callflow with an id that somebody chose.
///
/// # Errors
/// Another callflow has the id ([`StoreError::Conflict`]); or those of [`insert`].
pub fn insert_as(
    tx: &mut Tx<'_>,
    id: &str,
    account_id: &str,
    document: Document,
) -> Result<StoredCallflow, StoreError> {
    accounts::require(tx, account_id)?;
    let is_taken = tx
        .prepare_cached("SELECT 1 FROM callflows WHERE id = ?")?
        .exists([id])?;
    if is_taken {
        return Err(StoreError::Conflict(format!("a callflow has the id {id}")));
    }
    let callflow = StoredCallflow {
        id: id.into(),
        account_id: account_id.into(),
        document,
        created: tx.now,
        modified: tx.now,
    };
    let key: i64 = tx
        .prepare_cached(
            "INSERT INTO callflows (id, account_id, document, created, modified) VALUES (?, ?, ?, ?, ?)
             RETURNING key",
        )?
        .query_row(
            params![
                &*callflow.id,
                account_id,
                hooks::text(&callflow.document),
                callflow.created.0,
                callflow.modified.0
            ],
            |row| row.get(0),
        )?;
    set_numbers(tx, key, &callflow)?;
    Ok(callflow)
}

/// Changes a callflow's document: `change` is given the document as it is and says what it becomes. `None`
/// where there is no such callflow.
///
/// # Errors
/// The mistakes that `change` names, a number that another callflow of the account has, or SQLite's.
pub fn update(
    tx: &mut Tx<'_>,
    account_id: &str,
    id: &str,
    change: impl FnOnce(&Document) -> Result<Document, Mistakes>,
) -> Result<Option<StoredCallflow>, StoreError> {
    let Some(mut callflow) = get(tx, account_id, id)? else {
        return Ok(None);
    };
    callflow.document = change(&callflow.document).map_err(StoreError::Document)?;
    callflow.modified = tx.now;
    let key: i64 = tx
        .prepare_cached(
            "UPDATE callflows SET document = ?, modified = ? WHERE id = ? RETURNING key",
        )?
        .query_row(
            params![
                hooks::text(&callflow.document),
                callflow.modified.0,
                &*callflow.id
            ],
            |row| row.get(0),
        )?;
    set_numbers(tx, key, &callflow)?;
    Ok(Some(callflow))
}

/// Deletes a callflow and returns it as it was; `None` where there is no such callflow.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn delete(
    tx: &mut Tx<'_>,
    account_id: &str,
    id: &str,
) -> Result<Option<StoredCallflow>, StoreError> {
    let callflow = get(tx, account_id, id)?;
    if callflow.is_some() {
        tx.prepare_cached("DELETE FROM callflows WHERE id = ?")?
            .execute([id])?;
    }
    Ok(callflow)
}

/// Notes the numbers of a callflow; each belongs to one callflow of an account.
fn set_numbers(tx: &Tx<'_>, key: i64, callflow: &StoredCallflow) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM callflow_numbers WHERE callflow = ?")?
        .execute([key])?;
    let mut mistakes = Mistakes::default();
    let numbers = callflow.document.get("numbers").and_then(|n| n.as_array());
    for (index, item) in numbers.into_iter().flatten().enumerate() {
        let field = format!("numbers.{index}");
        let number = match item.as_str() {
            Some(NO_MATCH) => NO_MATCH.into(),
            written => written.map(digits).unwrap_or_default(),
        };
        if number.is_empty() {
            mistakes.say(
                &field,
                "format",
                "Value must be a number as a string, such as \"+15551230000\", or \"no_match\"",
            );
            continue;
        }
        let other: Option<(i64, String)> = tx
            .prepare_cached(
                "SELECT key, id FROM callflows WHERE key =
                     (SELECT callflow FROM callflow_numbers WHERE account_id = ? AND number = ?)",
            )?
            .query_row([&*callflow.account_id, &*number], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match other {
            // The same number written twice is one number.
            Some((other, _)) if other == key => {}
            Some((_, id)) => mistakes.say(
                &field,
                "unique",
                &format!("The number {number} belongs to callflow {id}"),
            ),
            None => {
                tx.prepare_cached(
                    "INSERT INTO callflow_numbers (account_id, number, callflow) VALUES (?, ?, ?)",
                )?
                .execute(params![&*callflow.account_id, &*number, key])?;
            }
        }
    }
    mistakes.none().map_err(StoreError::Document)
}

fn read(row: &Row<'_>) -> Result<StoredCallflow, StoreError> {
    let id: Arc<str> = row.get(0)?;
    Ok(StoredCallflow {
        account_id: row.get(1)?,
        document: hooks::document("callflows", &id, &row.get::<_, String>(2)?)?,
        created: Timestamp(row.get(3)?),
        modified: Timestamp(row.get(4)?),
        id,
    })
}
