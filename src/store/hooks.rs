//! Hooks as rows: read at the start, changed one at a time. A change reads and writes in one transaction, so
//! none is lost to another.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::writer::Tx;
use super::{StoreError, accounts};
use crate::hook::{Document, Hook, Mistakes, Secret, Secrets, Settings};
use crate::time::Timestamp;

const COLUMNS: &str = "key, id, account_id, document, disable_reason, secret, previous_secret,
    previous_until, created, modified";

/// Every hook, by key; and beside them what could not be read, which the caller tells and goes on without.
///
/// # Errors
/// SQLite's.
pub fn all(conn: &Connection) -> Result<(Vec<Hook>, Vec<StoreError>), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM hooks WHERE deleted IS NULL ORDER BY key"
    ))?;
    let mut rows = statement.query(())?;
    let (mut hooks, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(hook) => hooks.push(hook),
            Err(error @ StoreError::Damaged { .. }) => unreadable.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((hooks, unreadable))
}

/// One hook of an account.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn get(conn: &Connection, account_id: &str, id: &str) -> Result<Option<Hook>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM hooks WHERE id = ? AND account_id = ? AND deleted IS NULL"
    ))?;
    let mut rows = statement.query([id, account_id])?;
    rows.next()?.map(read).transpose()
}

/// Which hooks are listed; those that every given condition lets through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In its name, description or URI this stands, in any case (of ASCII letters).
    pub search: Option<String>,
    /// Whether it was switched off by us.
    pub auto_disabled: Option<bool>,
}

impl Filter {
    /// Whether what SQLite has found in a hook stands in what may be shown of it: a password in its URI may not.
    fn finds(&self, hook: &Hook) -> bool {
        let Some(search) = &self.search else {
            return true;
        };
        let search = search.to_ascii_lowercase();
        let shown = hook.summary();
        let mut texts = ["name", "description", "uri"]
            .iter()
            .filter_map(|field| shown.get(*field)?.as_str());
        texts.any(|text| text.to_ascii_lowercase().contains(&search))
    }
}

/// The hooks of an account in the order in which they were made, from the one with the id `start` on, at most
/// `size`, and the id that the next page starts with. Those that cannot be read are left out.
///
/// # Errors
/// SQLite's.
pub fn page(
    conn: &Connection,
    account_id: &str,
    filter: &Filter,
    start: Option<&str>,
    size: usize,
) -> Result<(Vec<Hook>, Option<Arc<str>>), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM hooks INDEXED BY hooks_listed WHERE account_id = ?1 AND deleted IS NULL
           AND key >= coalesce((SELECT key FROM hooks WHERE id = ?2), 0)
           AND (?3 IS NULL OR (disable_reason IS NOT NULL) = ?3)
           AND (?4 IS NULL OR instr(lower(concat_ws(char(10), document ->> 'name',
                document ->> 'description', document ->> 'uri')), lower(?4)) > 0)
         ORDER BY key"
    ))?;
    let mut rows = statement.query(params![
        account_id,
        start,
        filter.auto_disabled,
        filter.search,
    ])?;
    let mut hooks = Vec::new();
    while hooks.len() <= size
        && let Some(row) = rows.next()?
    {
        hooks.extend(readable(read(row))?.filter(|hook| filter.finds(hook)));
    }
    let next = (hooks.len() > size)
        .then(|| hooks.pop())
        .flatten()
        .map(|hook| hook.id);
    Ok((hooks, next))
}

/// Makes a hook.
///
/// # Errors
/// The document's mistakes, an account that is not there, or SQLite's.
pub fn insert(
    tx: &mut Tx<'_>,
    account_id: &str,
    document: Document,
    secrets: Secrets,
) -> Result<Hook, StoreError> {
    insert_as(tx, &new_id(), account_id, document, secrets)
}

/// Makes a hook with an id that somebody chose.
///
/// # Errors
/// Another hook has the id ([`StoreError::Conflict`]); or those of [`insert`].
pub fn insert_as(
    tx: &mut Tx<'_>,
    id: &str,
    account_id: &str,
    document: Document,
    secrets: Secrets,
) -> Result<Hook, StoreError> {
    accounts::require(tx, account_id)?;
    free_id(tx, id)?;
    let settings = Settings::written(&document, None).map_err(StoreError::Document)?;
    let mut hook = Hook {
        key: 0,
        id: id.into(),
        account_id: account_id.into(),
        document,
        settings,
        disable_reason: None,
        created: tx.now,
        modified: tx.now,
        secrets,
    };
    hook.key = tx
        .prepare_cached(
            "INSERT INTO hooks (id, account_id, document, secret, previous_secret, previous_until, created,
                 modified)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
        )?
        .query_row(
            params![
                &*hook.id,
                account_id,
                text(&hook.document),
                hook.secrets.current.as_ref().map(Secret::reveal),
                hook.secrets.previous.as_ref().map(|(old, _)| old.reveal()),
                hook.secrets.previous.as_ref().map(|(_, until)| until.0),
                hook.created.0,
                hook.modified.0,
            ],
            |row| row.get(0),
        )?;
    Ok(hook)
}

/// An id that nothing has.
pub(super) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Refuses an id that a hook has. One that was deleted gives its id away: what is still listed of it is not
/// the new one's. No chosen id has a `~`, so the one it gets instead is nobody's.
fn free_id(tx: &Tx<'_>, id: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE hooks SET id = id || '~' || key WHERE id = ? AND deleted IS NOT NULL",
    )?
    .execute([id])?;
    match tx
        .prepare_cached("SELECT 1 FROM hooks WHERE id = ?")?
        .exists([id])?
    {
        false => Ok(()),
        true => Err(StoreError::Conflict(format!("a webhook has the id {id}"))),
    }
}

/// Changes a hook's document: `change` is given the document as it is and says what it becomes. `None` where
/// there is no such hook.
///
/// # Errors
/// The mistakes that `change` names or that the new document has, or SQLite's.
pub fn update(
    tx: &mut Tx<'_>,
    account_id: &str,
    id: &str,
    change: impl FnOnce(&Document) -> Result<Document, Mistakes>,
) -> Result<Option<Hook>, StoreError> {
    let Some(mut hook) = get(tx, account_id, id)? else {
        return Ok(None);
    };
    let document = change(&hook.document).map_err(StoreError::Document)?;
    let settings = Settings::written(&document, Some(&hook.document));
    hook.settings = settings.map_err(StoreError::Document)?;
    hook.document = document;
    hook.modified = tx.now;
    save(tx, &hook)?;
    Ok(Some(hook))
}

/// Gives a hook a new secret, or none; the one before it stays good until `previous_until`, where that is
/// given. `None` where there is no such hook.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn set_secret(
    tx: &mut Tx<'_>,
    account_id: &str,
    id: &str,
    secret: Option<Secret>,
    previous_until: Option<Timestamp>,
) -> Result<Option<Hook>, StoreError> {
    let Some(mut hook) = get(tx, account_id, id)? else {
        return Ok(None);
    };
    hook.secrets = Secrets {
        previous: hook.secrets.current.take().zip(previous_until),
        current: secret,
    };
    hook.modified = tx.now;
    save(tx, &hook)?;
    Ok(Some(hook))
}

/// Switches a hook off for `reason`, unless it is off already or gone: then `None`.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn disable(tx: &mut Tx<'_>, key: i64, reason: &str) -> Result<Option<Hook>, StoreError> {
    let hook = by_key(tx, key)?.filter(Hook::is_on);
    let Some(mut hook) = hook else {
        return Ok(None);
    };
    hook.disable_reason = Some(reason.to_owned());
    hook.modified = tx.now;
    save(tx, &hook)?;
    Ok(Some(hook))
}

/// Switches a hook on again that [`disable`] switched off. `None` where there is no such hook; one that was not
/// switched off is left as it is.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn reenable(tx: &mut Tx<'_>, account_id: &str, id: &str) -> Result<Option<Hook>, StoreError> {
    let Some(mut hook) = get(tx, account_id, id)? else {
        return Ok(None);
    };
    if hook.disable_reason.take().is_some() {
        hook.modified = tx.now;
        save(tx, &hook)?;
    }
    Ok(Some(hook))
}

/// Switches on again every hook of an account that [`disable`] switched off, and returns them. Those that cannot be
/// read are left as they are.
///
/// # Errors
/// SQLite's.
pub fn reenable_all(tx: &mut Tx<'_>, account_id: &str) -> Result<Vec<Hook>, StoreError> {
    let ids: Vec<String> = tx
        .prepare_cached(
            "SELECT id FROM hooks
             WHERE account_id = ? AND disable_reason IS NOT NULL AND deleted IS NULL ORDER BY key",
        )?
        .query_map([account_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut hooks = Vec::with_capacity(ids.len());
    for id in ids {
        hooks.extend(readable(reenable(tx, account_id, &id))?.flatten());
    }
    Ok(hooks)
}

/// Deletes a hook and returns it as it was; `None` where there is no such hook. Its pending deliveries are
/// ended with [`super::deliveries::end_pending`], a bite at a time.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn delete(tx: &mut Tx<'_>, account_id: &str, id: &str) -> Result<Option<Hook>, StoreError> {
    let hook = get(tx, account_id, id)?;
    if let Some(hook) = &hook {
        tx.prepare_cached(
            "UPDATE hooks SET deleted = ?, document = '{}', disable_reason = NULL, secret = NULL,
                 previous_secret = NULL, previous_until = NULL
             WHERE key = ?",
        )?
        .execute(params![tx.now.0, hook.key])?;
    }
    Ok(hook)
}

fn by_key(conn: &Connection, key: i64) -> Result<Option<Hook>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM hooks WHERE key = ? AND deleted IS NULL"
    ))?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(read).transpose()
}

fn save(tx: &Tx<'_>, hook: &Hook) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE hooks SET document = ?, disable_reason = ?, secret = ?, previous_secret = ?,
             previous_until = ?, modified = ?
         WHERE key = ?",
    )?
    .execute(params![
        text(&hook.document),
        hook.disable_reason,
        hook.secrets.current.as_ref().map(Secret::reveal),
        hook.secrets.previous.as_ref().map(|(old, _)| old.reveal()),
        hook.secrets.previous.as_ref().map(|(_, until)| until.0),
        hook.modified.0,
        hook.key,
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Hook, StoreError> {
    let id: Arc<str> = row.get(1)?;
    let damaged = |problem: String| StoreError::damaged("hooks", &id, problem);
    let document = document("hooks", &id, &row.get::<_, String>(3)?)?;
    let settings = Settings::read(&document).map_err(|mistakes| damaged(mistakes.to_string()))?;
    let secret = |column| -> Result<Option<Secret>, StoreError> {
        row.get::<_, Option<String>>(column)?
            .map(|text| Secret::parse(&text))
            .transpose()
            .map_err(|error| damaged(error.to_string()))
    };
    Ok(Hook {
        key: row.get(0)?,
        account_id: row.get(2)?,
        document,
        settings,
        disable_reason: row.get(4)?,
        created: Timestamp(row.get(8)?),
        modified: Timestamp(row.get(9)?),
        secrets: Secrets {
            current: secret(5)?,
            previous: secret(6)?.zip(row.get::<_, Option<i64>>(7)?.map(Timestamp)),
        },
        id,
    })
}

/// What was read, or nothing where the row cannot be read: the start has told of it, and the others go on without.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A document as it is stored.
pub(super) fn text(document: &Document) -> String {
    serde_json::to_string(document).expect("text keys into memory")
}

/// A document from a row.
pub(super) fn document(table: &'static str, row: &str, text: &str) -> Result<Document, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged(table, row, error))
}

/// Whether an account has hooks; deleted ones do not count.
pub(super) fn exist(conn: &Connection, account_id: &str) -> Result<bool, StoreError> {
    let found: Option<i64> = conn
        .prepare_cached("SELECT key FROM hooks INDEXED BY hooks_listed WHERE account_id = ? AND deleted IS NULL LIMIT 1")?
        .query_row([account_id], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}
