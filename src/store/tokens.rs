//! Tokens and API keys: only their hashes are kept, and enough of their beginning to tell them apart.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{StoreError, accounts};
use crate::time::Timestamp;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// It goes along with every request (`X-Auth-Token`).
    Token,
    /// It is exchanged for a token (`api_auth`). An account has one.
    ApiKey,
}

impl TokenKind {
    /// The word in the database.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ApiKey => "api_key",
        }
    }
}

/// A token, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Its row, by which it is revoked.
    pub id: i64,
    /// The account it reaches, with all below it; `None` for every account.
    pub account_id: Option<Arc<str>>,
    /// What it is for.
    pub kind: TokenKind,
    /// Its first characters.
    pub prefix: String,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked; `None` while it is good.
    pub revoked: Option<Timestamp>,
}

const COLUMNS: &str = "id, account_id, kind, prefix, hash, created, revoked";

/// Keeps a new token. An API key takes the place of the one that the account had.
///
/// # Errors
/// The account is not there, or SQLite's.
pub fn insert(
    tx: &mut Tx<'_>,
    account_id: Option<&str>,
    kind: TokenKind,
    prefix: &str,
    hash: [u8; 32],
) -> Result<StoredToken, StoreError> {
    if let Some(id) = account_id {
        accounts::require(tx, id)?;
    }
    if kind == TokenKind::ApiKey {
        tx.prepare_cached(
            "UPDATE tokens SET revoked = ? WHERE account_id IS ? AND kind = 'api_key' AND revoked IS NULL",
        )?
        .execute(params![tx.now.0, account_id])?;
    }
    let id = tx
        .prepare_cached(
            "INSERT INTO tokens (account_id, kind, prefix, hash, created) VALUES (?, ?, ?, ?, ?) RETURNING id",
        )?
        .query_row(
            params![account_id, kind.id(), prefix, hash, tx.now.0],
            |row| row.get(0),
        )?;
    Ok(StoredToken {
        id,
        account_id: account_id.map(Into::into),
        kind,
        prefix: prefix.to_owned(),
        hash,
        created: tx.now,
        revoked: None,
    })
}

/// The same, but where the account has an API key that one stays, and is returned.
///
/// # Errors
/// Those of [`insert`].
pub fn insert_first(
    tx: &mut Tx<'_>,
    account_id: Option<&str>,
    kind: TokenKind,
    prefix: &str,
    hash: [u8; 32],
) -> Result<StoredToken, StoreError> {
    let there = account_id.map(|id| api_key(tx, id)).transpose()?;
    match there.flatten() {
        Some(key) => Ok(key),
        None => insert(tx, account_id, kind, prefix, hash),
    }
}

/// The token with this hash, if it is good.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn find(
    conn: &Connection,
    kind: TokenKind,
    hash: &[u8; 32],
) -> Result<Option<StoredToken>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM tokens WHERE hash = ? AND kind = ? AND revoked IS NULL"
    ))?;
    let mut rows = statement.query(params![hash, kind.id()])?;
    rows.next()?.map(read).transpose()
}

/// The tokens of an account, or those that reach every account, revoked ones included, newest first.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn list(conn: &Connection, account_id: Option<&str>) -> Result<Vec<StoredToken>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM tokens WHERE account_id IS ? ORDER BY id DESC"
    ))?;
    let mut rows = statement.query([account_id])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(read(row)?);
    }
    Ok(tokens)
}

/// The API key of an account, if it has one.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn api_key(conn: &Connection, account_id: &str) -> Result<Option<StoredToken>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM tokens WHERE account_id = ? AND kind = 'api_key' AND revoked IS NULL"
    ))?;
    let mut rows = statement.query([account_id])?;
    rows.next()?.map(read).transpose()
}

/// Makes a token good for nothing. Whether there was one of this account, or one that reaches every account,
/// that was still good.
///
/// # Errors
/// SQLite's.
pub fn revoke(tx: &mut Tx<'_>, account_id: Option<&str>, id: i64) -> Result<bool, StoreError> {
    let changed: Option<i64> = tx
        .prepare_cached(
            "UPDATE tokens SET revoked = ? WHERE id = ? AND account_id IS ? AND revoked IS NULL RETURNING id",
        )?
        .query_row(params![tx.now.0, id, account_id], |row| row.get(0))
        .optional()?;
    Ok(changed.is_some())
}

fn read(row: &Row<'_>) -> Result<StoredToken, StoreError> {
    let id: i64 = row.get(0)?;
    let kind: String = row.get(2)?;
    Ok(StoredToken {
        id,
        account_id: row.get(1)?,
        kind: match &*kind {
            "token" => TokenKind::Token,
            "api_key" => TokenKind::ApiKey,
            other => {
                let problem = format!("{other:?} is no kind of token");
                return Err(StoreError::damaged("tokens", id, problem));
            }
        },
        prefix: row.get(3)?,
        hash: row.get(4)?,
        created: Timestamp(row.get(5)?),
        revoked: row.get::<_, Option<i64>>(6)?.map(Timestamp),
    })
}
