//! The log of attempts: written with each outcome, listed newest first.

use std::borrow::Cow;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serializer;

use super::writer::Tx;
use super::{StoreError, deliveries, events};
use crate::hook::Delivery;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// Answered with 2xx.
    Success,
    /// Anything else.
    Failure,
    /// Not made: the hook was off.
    Skipped,
    /// Not made: the event was too old.
    Expired,
}

impl AttemptResult {
    /// Every result.
    pub const ALL: &[Self] = &[Self::Success, Self::Failure, Self::Skipped, Self::Expired];

    /// The word in the API and in the database.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
        }
    }

    /// The result of a word.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|result| result.id() == id)
    }
}

/// Headers in order, as they were sent or came: written down as the log keeps them, a JSON list of pairs, because
/// every attempt has some and hardly any are ever looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers(Box<str>);

impl Headers {
    /// These names and values.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>) -> Self {
        // Those of a request are about 500 bytes.
        let mut json = Vec::with_capacity(512);
        serde_json::Serializer::new(&mut json)
            .collect_seq(pairs)
            .expect("text into memory");
        Self(String::from_utf8(json).expect("JSON is UTF-8").into())
    }

    /// What the log has.
    fn read(json: Box<str>) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Vec<(Cow<'_, str>, Cow<'_, str>)>>(&json)?;
        Ok(Self(json))
    }

    /// Names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        serde_json::from_str(&self.0).expect("read or written as such")
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self("[]".into())
    }
}

/// One try, or the reason why there was none.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub result: AttemptResult,
    /// Which one it was, from 1; 0 where none was made.
    pub attempt: u32,
    /// How many more there would be.
    pub retries_left: u32,
    /// How long it took.
    pub duration: Duration,
    /// The answer's status.
    pub status: Option<u16>,
    /// Why it failed, in a few words.
    pub reason: Option<Cow<'static, str>>,
    /// What the connection said: `nxdomain`, `econnrefused`, `timeout` …
    pub client_error: Option<Cow<'static, str>>,
    /// Where it was sent; `None` where it was not.
    pub uri: Option<String>,
    /// The request's headers, secrets already masked.
    pub req_headers: Headers,
    /// The answer's headers.
    pub resp_headers: Headers,
    /// The beginning of the answer's body.
    pub resp_body: bytes::Bytes,
}

impl Attempt {
    /// An attempt that was not made, and why.
    pub fn none(at: Timestamp, result: AttemptResult, reason: &str) -> Self {
        Self {
            at,
            result,
            attempt: 0,
            retries_left: 0,
            duration: Duration::ZERO,
            status: None,
            reason: Some(Cow::Owned(reason.to_owned())),
            client_error: None,
            uri: None,
            req_headers: Headers::default(),
            resp_headers: Headers::default(),
            resp_body: bytes::Bytes::new(),
        }
    }
}

/// An attempt as the log has it, with the delivery that it was made for.
#[derive(Debug, Clone)]
pub struct LoggedAttempt {
    /// Its row, by which it is known in the API.
    pub id: i64,
    /// The attempt.
    pub attempt: Attempt,
    /// What was to be sent, as it stands now.
    pub delivery: Delivery,
}

impl LoggedAttempt {
    /// The bytes of what may be large in it.
    fn bytes(&self) -> usize {
        let Attempt {
            req_headers,
            resp_headers,
            resp_body,
            ..
        } = &self.attempt;
        self.delivery.body.len() + req_headers.0.len() + resp_headers.0.len() + resp_body.len()
    }
}

/// Where an attempt belongs.
pub(super) struct Place<'a> {
    pub(super) delivery: i64,
    pub(super) queue: i64,
    pub(super) previous: Option<i64>,
    pub(super) ad_hoc_account: Option<&'a str>,
}

pub(super) fn insert(
    tx: &Tx<'_>,
    id: i64,
    place: &Place<'_>,
    attempt: &Attempt,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "INSERT INTO attempts (id, delivery, queue, previous, at, result, attempt, retries_left,
             duration_us, status, reason, client_error, ad_hoc_account, uri, req_headers, resp_headers,
             resp_body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        id,
        place.delivery,
        place.queue,
        place.previous,
        attempt.at.0,
        attempt.result.id(),
        attempt.attempt,
        attempt.retries_left,
        i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX),
        attempt.status,
        attempt.reason.as_deref(),
        attempt.client_error.as_deref(),
        place.ad_hoc_account,
        attempt.uri.as_deref(),
        &*attempt.req_headers.0,
        &*attempt.resp_headers.0,
        &*attempt.resp_body,
    ])?;
    Ok(())
}

/// Whose attempts are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of one stored hook: [`crate::hook::Hook::key`].
    Hook(i64),
    /// Those of all hooks of an account, deleted and never stored ones included.
    Account(Arc<str>),
}

/// Which attempts are listed; those that every given condition lets through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// How it ended.
    pub result: Option<AttemptResult>,
    /// What had happened.
    pub trigger: Option<Trigger>,
    /// The leg it had happened to.
    pub call_id: Option<Arc<str>>,
    /// Begun at this instant or later.
    pub from: Option<Timestamp>,
    /// Begun before this instant.
    pub to: Option<Timestamp>,
}

/// A page of the log.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Newest first. There may be fewer than asked for, or none, and still a next page: a page looks only for
    /// so long, and has a bounded size.
    pub attempts: Vec<LoggedAttempt>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<i64>,
}

/// How many rows a page looks at in any case.
const LEAST_LOOKED_AT: usize = 1_000;

/// How long a page looks at more of them before it leaves the rest to the next one: of a million rows a filter may
/// let none through.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// Bytes of a page after which the rest is left to the next one.
const ENOUGH_BYTES: usize = 4 * 1_024 * 1_024;

/// How much later an attempt may be written down than it began: its time-outs, and a stalled disk. Beyond
/// that the log's order is taken for the order of time.
const LATENESS: Duration = Duration::from_secs(600);

/// Attempts of `scope` that pass `filter`, newest first, from the row `start` on (the newest where there is
/// none), at most `size`.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn page(
    conn: &Connection,
    scope: &Scope,
    filter: &Filter,
    start: Option<i64>,
    size: usize,
) -> Result<Page, StoreError> {
    let mut start = start.unwrap_or(i64::MAX);
    if let Some(to) = filter.to
        && let Some(last) = last_before(conn, to.after(LATENESS))?
    {
        start = start.min(last);
    }
    let mut candidates = match &filter.call_id {
        Some(call_id) => Candidates::of_leg(conn, scope, call_id, start)?,
        None => Candidates::of_scope(conn, scope, start)?,
    };
    let mut page = Page::default();
    let began = Instant::now();
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(id) = candidates.next(conn)? {
        if page.attempts.len() == size || bytes >= ENOUGH_BYTES {
            page.next = Some(id);
            break;
        }
        looked_at += 1;
        match filter.look(conn, id)? {
            Look::Wanted => {
                let attempt = get(conn, id)?;
                bytes += attempt.as_ref().map_or(0, LoggedAttempt::bytes);
                page.attempts.extend(attempt);
            }
            Look::Unwanted if looked_at >= LEAST_LOOKED_AT && began.elapsed() > LONGEST_LOOK => {
                page.next = candidates.next(conn)?;
                break;
            }
            Look::Unwanted => {}
            Look::TooOld => break,
        }
    }
    Ok(page)
}

/// The attempts that were made for one delivery and are still in the log, oldest first.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn of_delivery(conn: &Connection, delivery: i64) -> Result<Vec<LoggedAttempt>, StoreError> {
    let mut ids = chain(conn, delivery)?;
    ids.reverse();
    let mut attempts = Vec::with_capacity(ids.len());
    for id in ids {
        attempts.extend(get(conn, id)?);
    }
    Ok(attempts)
}

/// One attempt.
///
/// # Errors
/// SQLite's, or a row that cannot be read.
pub fn get(conn: &Connection, id: i64) -> Result<Option<LoggedAttempt>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT delivery, at, result, attempt, retries_left, duration_us, status, reason, client_error, uri,
             req_headers, resp_headers, resp_body
         FROM attempts WHERE id = ?",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let delivery: i64 = row.get(0)?;
    let (delivery, _) = deliveries::get(conn, delivery)?.ok_or_else(|| {
        StoreError::damaged("attempts", id, format!("there is no delivery {delivery}"))
    })?;
    Ok(Some(LoggedAttempt {
        id,
        attempt: read(row, id)?,
        delivery,
    }))
}

fn read(row: &Row<'_>, id: i64) -> Result<Attempt, StoreError> {
    let result: String = row.get(2)?;
    let headers = |column| -> Result<Headers, StoreError> {
        Headers::read(row.get(column)?).map_err(|e| StoreError::damaged("attempts", id, e))
    };
    Ok(Attempt {
        at: Timestamp(row.get(1)?),
        result: AttemptResult::from_id(&result).ok_or_else(|| {
            StoreError::damaged("attempts", id, format!("{result:?} is no result"))
        })?,
        attempt: row.get(3)?,
        retries_left: row.get(4)?,
        duration: Duration::from_micros(row.get::<_, i64>(5)?.unsigned_abs()),
        status: row.get(6)?,
        reason: row.get::<_, Option<String>>(7)?.map(Cow::Owned),
        client_error: row.get::<_, Option<String>>(8)?.map(Cow::Owned),
        uri: row.get(9)?,
        req_headers: headers(10)?,
        resp_headers: headers(11)?,
        resp_body: row.get::<_, Vec<u8>>(12)?.into(),
    })
}

enum Look {
    Wanted,
    Unwanted,
    TooOld,
}

impl Filter {
    /// Looks at the few columns that decide, so that what is not wanted costs no body.
    fn look(&self, conn: &Connection, id: i64) -> Result<Look, StoreError> {
        if self.result.is_none()
            && self.trigger.is_none()
            && self.from.is_none()
            && self.to.is_none()
        {
            return Ok(Look::Wanted);
        }
        let (at, result, delivery): (i64, String, i64) = conn
            .prepare_cached("SELECT at, result, delivery FROM attempts WHERE id = ?")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let at = Timestamp(at);
        if self.from.is_some_and(|from| at < from.before(LATENESS)) {
            return Ok(Look::TooOld);
        }
        if self.from.is_some_and(|from| at < from)
            || self.to.is_some_and(|to| at >= to)
            || self.result.is_some_and(|wanted| wanted.id() != result)
        {
            return Ok(Look::Unwanted);
        }
        if let Some(wanted) = self.trigger {
            let trigger: String = conn
                .prepare_cached(
                    "SELECT e.trigger FROM deliveries d JOIN events e ON e.id = d.event WHERE d.id = ?",
                )?
                .query_row([delivery], |row| row.get(0))?;
            if trigger != wanted.id() {
                return Ok(Look::Unwanted);
            }
        }
        Ok(Look::Wanted)
    }
}

/// The ids of a delivery's attempts, newest first.
fn chain(conn: &Connection, delivery: i64) -> rusqlite::Result<Vec<i64>> {
    let mut next: Option<i64> = conn
        .prepare_cached("SELECT last_attempt FROM deliveries WHERE id = ?")?
        .query_row([delivery], |row| row.get(0))
        .optional()?
        .flatten();
    let mut statement = conn.prepare_cached("SELECT previous FROM attempts WHERE id = ?")?;
    let mut ids = Vec::new();
    while let Some(id) = next {
        match statement.query_row([id], |row| row.get(0)).optional()? {
            Some(previous) => {
                ids.push(id);
                next = previous;
            }
            // Retention has taken the older end of the chain.
            None => break,
        }
    }
    Ok(ids)
}

/// The newest attempt that began before `at`, taking the log's order for the order of time.
fn last_before(conn: &Connection, at: Timestamp) -> Result<Option<i64>, StoreError> {
    let bounds: (Option<i64>, Option<i64>) = conn.query_row(
        "SELECT (SELECT min(id) FROM attempts), (SELECT max(id) FROM attempts)",
        (),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (Some(mut low), Some(mut high)) = bounds else {
        return Ok(None);
    };
    let mut probe =
        conn.prepare_cached("SELECT at FROM attempts WHERE id >= ? ORDER BY id LIMIT 1")?;
    while low < high {
        let middle = low + (high - low + 1) / 2;
        let found: i64 = probe.query_row([middle], |row| row.get(0))?;
        match found < at.0 {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Ok(Some(low))
}

/// Where the ids of a list come from.
enum Source {
    Queue(i64),
    AdHoc(Arc<str>),
    /// All of them are there already.
    Given,
}

/// One list of ids, newest first, read a block at a time.
struct Feed {
    source: Source,
    block: VecDeque<i64>,
}

/// How many ids a feed reads at once.
const BLOCK: usize = 64;

impl Feed {
    /// Reads the block that ends with `newest`; an empty one is the end.
    fn fill(&mut self, conn: &Connection, newest: i64) -> rusqlite::Result<()> {
        let id = |row: &Row<'_>| row.get(0);
        let most = BLOCK as i64;
        self.block = match &self.source {
            Source::Queue(queue) => conn
                .prepare_cached(
                    "SELECT id FROM attempts INDEXED BY attempts_by_queue
                     WHERE queue = ? AND id <= ? ORDER BY id DESC LIMIT ?",
                )?
                .query_map(params![queue, newest, most], id)?
                .collect::<Result<_, _>>()?,
            Source::AdHoc(account) => conn
                .prepare_cached(
                    "SELECT id FROM attempts INDEXED BY attempts_ad_hoc
                     WHERE ad_hoc_account = ? AND id <= ? ORDER BY id DESC LIMIT ?",
                )?
                .query_map(params![&**account, newest, most], id)?
                .collect::<Result<_, _>>()?,
            Source::Given => VecDeque::new(),
        };
        Ok(())
    }
}

/// The merged lists of a scope: an account has as many as it has hooks, which spares an index by account.
struct Candidates {
    feeds: Vec<Feed>,
    /// The newest id of each feed that has one.
    heads: BinaryHeap<(i64, usize)>,
}

impl Candidates {
    fn of_scope(conn: &Connection, scope: &Scope, start: i64) -> Result<Self, StoreError> {
        let mut candidates = Self {
            feeds: Vec::new(),
            heads: BinaryHeap::new(),
        };
        match scope {
            Scope::Hook(key) => candidates.open(conn, Source::Queue(*key), start)?,
            Scope::Account(account) => {
                // The newest of each hook at once: of ten thousand, most have nothing to give to a page, and
                // are read no further.
                let mut newest = conn.prepare_cached(
                    "SELECT key, (SELECT id FROM attempts INDEXED BY attempts_by_queue
                                  WHERE queue = key AND id <= ?2 ORDER BY id DESC LIMIT 1)
                     FROM hooks WHERE account_id = ?1",
                )?;
                let mut rows = newest.query(params![&**account, start])?;
                while let Some(row) = rows.next()? {
                    if let Some(head) = row.get(1)? {
                        candidates.add(Source::Queue(row.get(0)?), VecDeque::new(), head);
                    }
                }
                candidates.open(conn, Source::AdHoc(Arc::clone(account)), start)?;
            }
        }
        Ok(candidates)
    }

    /// Takes a feed in, with its first block.
    fn open(&mut self, conn: &Connection, source: Source, start: i64) -> rusqlite::Result<()> {
        let mut feed = Feed {
            source,
            block: VecDeque::new(),
        };
        feed.fill(conn, start)?;
        if let Some(head) = feed.block.pop_front() {
            self.add(feed.source, feed.block, head);
        }
        Ok(())
    }

    /// Takes a feed in whose newest id is `head`; `block` is what comes after that, as far as it was read.
    fn add(&mut self, source: Source, block: VecDeque<i64>, head: i64) {
        self.heads.push((head, self.feeds.len()));
        self.feeds.push(Feed { source, block });
    }

    /// A leg has few attempts: they are found from its events, not among all others.
    fn of_leg(conn: &Connection, scope: &Scope, leg: &str, start: i64) -> Result<Self, StoreError> {
        let mut ids = Vec::new();
        for event in events::of_leg(conn, leg)? {
            for delivery in event.deliveries {
                if is_in(conn, scope, delivery)? {
                    ids.extend(chain(conn, delivery)?);
                }
            }
        }
        ids.retain(|id| *id <= start);
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let mut block = VecDeque::from(ids);
        let head = block.pop_front();
        Ok(Self {
            feeds: vec![Feed {
                source: Source::Given,
                block,
            }],
            heads: head.map(|id| (id, 0)).into_iter().collect(),
        })
    }

    fn next(&mut self, conn: &Connection) -> rusqlite::Result<Option<i64>> {
        let Some((id, index)) = self.heads.pop() else {
            return Ok(None);
        };
        let feed = &mut self.feeds[index];
        if feed.block.is_empty() {
            feed.fill(conn, id - 1)?;
        }
        let head = feed.block.pop_front();
        self.heads.extend(head.map(|id| (id, index)));
        Ok(Some(id))
    }
}

/// Whether a delivery is one of `scope`.
fn is_in(conn: &Connection, scope: &Scope, delivery: i64) -> rusqlite::Result<bool> {
    let found: Option<(i64, Option<String>)> = conn
        .prepare_cached(
            "SELECT d.queue, coalesce(d.ad_hoc ->> 'account_id', h.account_id)
             FROM deliveries d LEFT JOIN hooks h ON h.key = d.queue WHERE d.id = ?",
        )?
        .query_row([delivery], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.is_some_and(|(queue, account)| match scope {
        Scope::Hook(key) => queue == *key,
        Scope::Account(wanted) => account.as_deref() == Some(&**wanted),
    }))
}
