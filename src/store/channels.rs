//! The legs that are alive, remembered across a restart in the call model's own form.

use rusqlite::{Connection, params};

use super::StoreError;
use super::writer::Tx;

/// A leg's state to remember, or that it is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelChange {
    /// Its Unique-ID.
    pub uuid: Box<str>,
    /// What to remember; `None` for a leg that has ended.
    pub state: Option<Box<[u8]>>,
}

pub(super) fn apply(tx: &Tx<'_>, changes: &[ChannelChange]) -> Result<(), rusqlite::Error> {
    for change in changes {
        match &change.state {
            Some(state) => tx
                // Not OR REPLACE, which would delete and insert: a leg changes with each of its events.
                .prepare_cached(
                    "INSERT INTO channels (uuid, state) VALUES (?, ?)
                     ON CONFLICT (uuid) DO UPDATE SET state = excluded.state",
                )?
                .execute(params![&*change.uuid, &**state])?,
            None => tx
                .prepare_cached("DELETE FROM channels WHERE uuid = ?")?
                .execute([&*change.uuid])?,
        };
    }
    Ok(())
}

/// Every leg that is remembered, with its state.
///
/// # Errors
/// SQLite's.
pub fn all(conn: &Connection) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT uuid, state FROM channels")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
