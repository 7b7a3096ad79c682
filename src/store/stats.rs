//! How hooks have fared: counts and latencies over the newest attempts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::attempts::{self, AttemptResult, LoggedAttempt};
use crate::time::Timestamp;

/// Attempts that are looked at, newest first.
pub const WINDOW: usize = 10_000;

/// How a hook has fared.
#[derive(Debug, Clone, Default)]
pub struct HookStats {
    /// Attempts that were looked at: all that are kept, [`WINDOW`] at most.
    pub attempts: u64,
    /// Of these, those that succeeded.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were not made, because the hook was off.
    pub skipped: u64,
    /// Those that were not made, because the event was too old.
    pub expired: u64,
    /// When the oldest of them began.
    pub since: Option<Timestamp>,
    /// How long those took that were made, ascending.
    pub durations: Vec<Duration>,
    /// The newest of them that failed. A hook that has not failed for a million attempts is not searched further.
    pub last_error: Option<LoggedAttempt>,
}

impl HookStats {
    /// The duration that `percent` of the requests did not exceed; `None` where there was no request.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.durations.len() * percent).div_ceil(100).max(1);
        self.durations.get(rank - 1).copied()
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The queue of its hook.
    pub queue: i64,
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub result: AttemptResult,
}

/// The newest attempts of all hooks, newest first: back to those that began at `since`, `most` at most.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn recent(
    conn: &Connection,
    since: Timestamp,
    most: usize,
) -> Result<Vec<Outcome>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT id, queue, at, result FROM attempts ORDER BY id DESC LIMIT ?")?;
    let mut rows = statement.query([most as i64])?;
    let mut outcomes = Vec::new();
    while let Some(row) = rows.next()? {
        let at = Timestamp(row.get(2)?);
        if at < since {
            break;
        }
        let (id, result): (i64, String) = (row.get(0)?, row.get(3)?);
        outcomes.push(Outcome {
            queue: row.get(1)?,
            at,
            result: AttemptResult::from_id(&result).ok_or_else(|| {
                StoreError::damaged("attempts", id, format!("{result:?} is no result"))
            })?,
        });
    }
    Ok(outcomes)
}

/// The newest attempt of the hook whose queue is `queue`.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn last_attempt(conn: &Connection, queue: i64) -> Result<Option<LoggedAttempt>, StoreError> {
    let id: Option<i64> = conn
        .prepare_cached(
            "SELECT id FROM attempts INDEXED BY attempts_by_queue WHERE queue = ? ORDER BY id DESC LIMIT 1",
        )?
        .query_row([queue], |row| row.get(0))
        .optional()?;
    Ok(id.map(|id| attempts::get(conn, id)).transpose()?.flatten())
}

/// How the hook whose queue is `queue` has fared.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn of_hook(conn: &Connection, queue: i64) -> Result<HookStats, StoreError> {
    let mut stats = HookStats::default();
    let mut statement = conn.prepare_cached(
        "SELECT result, at, duration_us, status IS NOT NULL OR client_error IS NOT NULL, id
         FROM attempts INDEXED BY attempts_by_queue WHERE queue = ? ORDER BY id DESC LIMIT ?",
    )?;
    let mut last_failed = None;
    let mut rows = statement.query(params![queue, WINDOW as i64])?;
    while let Some(row) = rows.next()? {
        let result: String = row.get(0)?;
        stats.attempts += 1;
        stats.since = Some(Timestamp(row.get(1)?));
        match AttemptResult::from_id(&result) {
            Some(AttemptResult::Success) => stats.sent += 1,
            Some(AttemptResult::Skipped) => stats.skipped += 1,
            Some(AttemptResult::Expired) => stats.expired += 1,
            Some(AttemptResult::Failure) | None => {
                stats.failed += 1;
                last_failed = last_failed.or(Some(row.get(4)?));
            }
        }
        if row.get(3)? {
            let micros: i64 = row.get(2)?;
            stats
                .durations
                .push(Duration::from_micros(micros.unsigned_abs()));
        }
    }
    stats.durations.sort_unstable();
    if let Some(id) = last_failed {
        stats.last_error = attempts::get(conn, id)?;
    }
    Ok(stats)
}
