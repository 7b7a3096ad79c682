//! The store with a real file: what is acknowledged is there, whatever happens in between.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use switchhook::hook::{
    Delivery, Document, Format, Hook, Record, Secret, Secrets, Verb, WebhookId, hash63,
};
use switchhook::store::attempts::{self, Attempt, AttemptResult, Filter, Headers, Scope};
use switchhook::store::deliveries::{self, Span, State};
use switchhook::store::{
    ChannelChange, Intake, Next, Opened, Outcome, Store, StoreConfig, StoreError, accounts,
    callflows, channels, events, hooks, tokens,
};
use switchhook::time::{Clock, Timestamp};
use switchhook::trigger::Trigger;
use tempfile::TempDir;
use tokio::time::timeout;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// The time at which these calls begin.
const START: Timestamp = Timestamp(1_795_248_000 * SECOND);
/// No step of a test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place for a database, and a clock that the test sets.
struct House {
    directory: TempDir,
    now: Arc<AtomicI64>,
}

impl House {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            now: Arc::new(AtomicI64::new(START.0)),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("switchhook.db")
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::new(self.path())
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::new(move || Timestamp(now.load(Ordering::Relaxed)))
    }

    fn set_clock(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::Relaxed);
    }

    fn open(&self) -> Opened {
        self.open_with(self.config())
    }

    fn open_with(&self, config: StoreConfig) -> Opened {
        Store::open(config, self.clock()).unwrap()
    }
}

fn document(value: serde_json::Value) -> Document {
    match value {
        serde_json::Value::Object(document) => document,
        other => panic!("{other} is no object"),
    }
}

async fn make_hook(store: &Store, name: &str) -> Hook {
    let name = name.to_owned();
    store
        .write(move |tx| {
            let document = document(json!({
                "name": name, "uri": "http://127.0.0.1:9/hook", "hook": "all", "own_key": [1, 2],
            }));
            hooks::insert(tx, accounts::DEFAULT, document, Secrets::default())
        })
        .await
        .unwrap()
}

/// `trigger` on the root leg of `call`, `seconds` after the start, for `hook`.
fn event(hook: &Hook, call: &str, seconds: i64, trigger: Trigger) -> Record {
    let at = Timestamp(START.0 + seconds * SECOND);
    let call: Arc<str> = call.into();
    Record {
        trigger,
        at,
        core_uuid: "core-1".into(),
        sequence: u64::try_from(seconds).unwrap() + 1,
        account_id: Arc::clone(&hook.account_id),
        call_id: Some(Arc::clone(&call)),
        call_uuid: Some(Arc::clone(&call)),
        deliveries: vec![Delivery {
            id: 0,
            queue: hook.key,
            account_id: Arc::clone(&hook.account_id),
            hook_id: Arc::clone(&hook.id),
            trigger,
            call_id: Some(Arc::clone(&call)),
            lane: hash63(&call),
            webhook_id: WebhookId::random(),
            occurred_at: at,
            verb: Verb::Post,
            format: Format::Json,
            body: format!("{{\"call_id\":\"{call}\",\"second\":{seconds}}}").into(),
            attempts: 0,
            due_at: at,
            queued_again: None,
            committed_at: Timestamp::default(),
            skipped: !hook.is_on(),
            ad_hoc: (hook.key < 0).then(|| Arc::new(hook.clone())),
        }],
    }
}

fn attempt(result: AttemptResult, at: Timestamp, number: u32) -> Attempt {
    Attempt {
        at,
        result,
        attempt: number,
        retries_left: 2,
        duration: Duration::from_millis(12),
        status: Some(match result {
            AttemptResult::Success => 204,
            _ => 500,
        }),
        reason: (result == AttemptResult::Failure).then(|| "bad response code".into()),
        client_error: None,
        uri: Some("http://127.0.0.1:9/hook".into()),
        req_headers: Headers::of([("x-hook-id", "1".into())]),
        resp_headers: Headers::of([("set-cookie", "a=1".into()), ("set-cookie", "b=2".into())]),
        resp_body: vec![b'n', 0xff, b'o'].into(),
    }
}

fn failed(delivery: i64, made: u32, at: Timestamp, then: Next) -> Outcome {
    Outcome {
        delivery,
        made,
        attempts: vec![attempt(AttemptResult::Failure, at, made)],
        then,
    }
}

fn delivered(delivery: i64, at: Timestamp) -> Outcome {
    Outcome {
        delivery,
        made: 1,
        attempts: vec![attempt(AttemptResult::Success, at, 1)],
        then: Next::Delivered,
    }
}

/// Hands `record` in and waits for its delivery to be committed.
async fn commit(opened: &mut Opened, record: Record) -> Delivery {
    opened.store.offer(record).unwrap();
    committed(opened, 1).await.remove(0)
}

async fn committed(opened: &mut Opened, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        let more = timeout(PATIENCE, opened.committed.recv()).await;
        deliveries.extend(more.expect("it is committed in time").unwrap());
    }
    deliveries
}

async fn settle(opened: &mut Opened, outcome: Outcome) -> switchhook::store::Settled {
    opened.store.settle(outcome);
    let settled = timeout(PATIENCE, opened.settled.recv()).await;
    let mut settled = settled.expect("it is committed in time").unwrap();
    assert_eq!(settled.len(), 1);
    settled.remove(0)
}

/// Room for so many deliveries of any size.
fn room(deliveries: usize) -> deliveries::Room {
    deliveries::Room {
        deliveries,
        bytes: usize::MAX,
    }
}

async fn due(store: &Store, queue: i64, now: Timestamp, strict: bool) -> Vec<Delivery> {
    store
        .read(move |conn| {
            Ok(deliveries::due(conn, queue, now, room(100), strict, &HashSet::new())?.deliveries)
        })
        .await
        .unwrap()
}

async fn state(store: &Store, id: i64) -> State {
    let found = store
        .read(move |conn| deliveries::get(conn, id))
        .await
        .unwrap();
    found.unwrap().1
}

fn ids(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

fn seconds(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries
        .iter()
        .map(|delivery| (delivery.occurred_at.0 - START.0) / SECOND)
        .collect()
}

/// Waits for something that the writer does by itself.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect(what);
}

/// Another program that keeps the database for itself, as a shell with an open transaction does.
fn occupy(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    conn
}

#[tokio::test]
async fn a_crowd_of_events_is_committed_in_order_and_in_few_transactions() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let other = occupy(&house.path());
    for second in 0..3_000 {
        let record = event(&hook, "call-1", second, Trigger::Dtmf);
        opened.store.offer(record).unwrap();
    }
    other.execute_batch("ROLLBACK").unwrap();

    let deliveries = committed(&mut opened, 3_000).await;
    assert_eq!(seconds(&deliveries), (0..3_000).collect::<Vec<_>>());
    let first = deliveries[0].id;
    assert_eq!(ids(&deliveries), (first..first + 3_000).collect::<Vec<_>>());
    let health = opened.store.health();
    assert_eq!(health.deliveries, 3_000);
    assert!(
        (3..=5).contains(&(health.transactions - 1)),
        "{} transactions",
        health.transactions
    );
    until("room is given back", || opened.store.health().queued == 0).await;
    opened.store.close().await.unwrap();
}

#[tokio::test]
async fn the_log_is_copied_into_the_database_and_begins_anew() {
    let house = House::new();
    let opened = house.open();
    let log = house.path().with_extension("db-wal");
    // What the file format calls the checkpoint sequence number.
    let round = || {
        let head = std::fs::read(&log).unwrap();
        u32::from_be_bytes(head[12..16].try_into().unwrap())
    };
    let write = async |bytes: u32| {
        let write = opened.store.write(move |tx| {
            tx.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS filler (id INTEGER PRIMARY KEY, body BLOB);
                 INSERT OR REPLACE INTO filler VALUES (1, randomblob({bytes}));"
            ))?;
            Ok(())
        });
        write.await.unwrap();
    };
    write(1).await;
    let first = round();
    for _ in 0..34 {
        write(1 << 20).await;
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while round() == first {
        assert!(std::time::Instant::now() < deadline, "the log only grows");
        write(1).await;
    }
    let size = house.path().metadata().unwrap().len();
    assert!(size > 1 << 20, "{size} bytes were copied");
    opened.store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_acknowledged_is_there_for_a_reader() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let sent = commit(
        &mut opened,
        event(&hook, "call-1", 1, Trigger::ChannelCreate),
    )
    .await;
    let found = due(&opened.store, hook.key, sent.due_at, false).await;
    assert_eq!(found.len(), 1);
    let read = &found[0];
    assert_eq!(read.id, sent.id);
    assert_eq!(read.body, sent.body);
    assert_eq!(read.webhook_id, sent.webhook_id);
    assert_eq!((read.verb, read.format), (Verb::Post, Format::Json));
    assert_eq!(read.hook_id, hook.id);
    assert_eq!(read.account_id, hook.account_id);
    assert_eq!(read.trigger, Trigger::ChannelCreate);
    assert_eq!(read.call_id.as_deref(), Some("call-1"));
    assert_eq!(read.lane, sent.lane);
    assert_eq!(read.occurred_at, sent.occurred_at);

    let at = Timestamp(START.0 + 2 * SECOND);
    let settled = settle(&mut opened, delivered(sent.id, at)).await;
    assert_eq!(settled.state, State::Delivered);
    let logged = settled.attempts[0];
    let read = opened
        .store
        .read(move |conn| attempts::get(conn, logged))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.attempt, attempt(AttemptResult::Success, at, 1));
    assert_eq!(read.delivery.body, sent.body);
    assert_eq!(due(&opened.store, hook.key, at, false).await.len(), 0);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_is_pending_and_with_new_ids() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let first = commit(
        &mut opened,
        event(&hook, "call-1", 1, Trigger::ChannelCreate),
    )
    .await;
    let second = commit(&mut opened, event(&hook, "call-1", 2, Trigger::CallHangup)).await;
    let retry_at = Timestamp(START.0 + 60 * SECOND);
    let then = Next::Retry { due_at: retry_at };
    settle(&mut opened, failed(second.id, 1, START, then)).await;
    opened.store.close().await.unwrap();

    let mut opened = house.open();
    let queues = opened.store.read(deliveries::queues).await.unwrap();
    assert_eq!(queues, [(hook.key, first.due_at)]);
    let pending = due(&opened.store, hook.key, retry_at, false).await;
    assert_eq!(ids(&pending), [first.id, second.id]);
    assert_eq!(pending[1].attempts, 1);
    assert_eq!(pending[1].due_at, retry_at);
    let key = hook.key;
    let next = opened
        .store
        .read(move |conn| deliveries::next_due(conn, key, START.after(Duration::from_secs(5))))
        .await
        .unwrap();
    assert_eq!(next, Some(retry_at));
    let third = commit(&mut opened, event(&hook, "call-2", 3, Trigger::CallHangup)).await;
    assert_eq!(third.id, second.id + 1);
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused_and_left_alone() {
    let house = House::new();
    let refused = |path: &Path| {
        let before = std::fs::read(path).unwrap();
        let error = Store::open(StoreConfig::new(path), house.clock()).unwrap_err();
        assert_eq!(std::fs::read(path).unwrap(), before, "{error}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        error
    };

    let path = house.directory.path().join("notes.txt");
    std::fs::write(&path, "call back Zoë at ten").unwrap();
    assert!(matches!(refused(&path), StoreError::NotADatabase { .. }));

    let path = house.directory.path().join("core.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE sip_registrations (call_id TEXT)")
        .unwrap();
    drop(conn);
    assert!(matches!(refused(&path), StoreError::Foreign { .. }));

    let path = house.path();
    drop(Store::open(house.config(), house.clock()).unwrap());
    until("the writer has let go of the file", || {
        match Store::open(house.config(), house.clock()) {
            Ok(_) => true,
            Err(StoreError::InUse { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
        .unwrap();
    drop(conn);
    until("the writer has let go of the file", || {
        !matches!(
            Store::open(house.config(), house.clock()),
            Err(StoreError::InUse { .. })
        )
    })
    .await;
    match refused(&path) {
        StoreError::Newer { found: 99, .. } => {}
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_place_that_cannot_hold_a_database_is_refused() {
    let house = House::new();
    let file = house.directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.join("switchhook.db"), house.directory.path().into()] {
        let error = Store::open(StoreConfig::new(&path), house.clock()).unwrap_err();
        assert!(matches!(error, StoreError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("[store] path"), "{error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
}

#[tokio::test]
async fn a_missing_directory_is_made_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let path = house.directory.path().join("var/lib/switchhook.db");
    let opened = house.open_with(StoreConfig::new(&path));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    opened.store.close().await.unwrap();
}

#[tokio::test]
async fn a_second_switchhook_on_the_same_file_is_refused() {
    let house = House::new();
    let opened = house.open();
    match Store::open(house.config(), house.clock()) {
        Err(StoreError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    opened.store.close().await.unwrap();
    house.open().store.close().await.unwrap();
}

#[tokio::test]
async fn a_locked_database_fills_the_queue_and_then_recovers_in_order() {
    let house = House::new();
    let mut opened = house.open_with(StoreConfig {
        queue_records: 50,
        write_timeout: Duration::from_millis(300),
        ..house.config()
    });
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    let other = occupy(&house.path());
    let mut taken = 0;
    let refused = loop {
        match store.offer(event(&hook, "call-1", taken, Trigger::Dtmf)) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(taken, 50);
    assert_eq!(refused.records[0].sequence, 51);
    until("the stall shows", || store.health().stalled_since.is_some()).await;
    let health = store.health();
    assert_eq!(health.stalled_since, Some(START));
    assert_eq!(health.queued, 50);
    assert!(health.last_error.unwrap().contains("locked"));
    assert!(
        timeout(Duration::from_millis(20), store.room())
            .await
            .is_err(),
        "there is no room"
    );
    // Whoever asks over REST is told so, and what was not done is not done later.
    let name = "too late".to_owned();
    let late = store
        .write(move |tx| {
            let document = document(json!({ "name": name }));
            accounts::insert(tx, None, document)
        })
        .await;
    assert!(matches!(late, Err(StoreError::Busy)), "{late:?}");

    other.execute_batch("ROLLBACK").unwrap();
    timeout(PATIENCE, store.room())
        .await
        .expect("there is room");
    let deliveries = committed(&mut opened, 50).await;
    assert_eq!(seconds(&deliveries), (0..50).collect::<Vec<_>>());
    store.offer(refused).unwrap();
    assert_eq!(seconds(&committed(&mut opened, 1).await), [50]);
    assert_eq!(store.health().stalled_since, None);
    let accounts = store.read(accounts::all).await.unwrap();
    assert_eq!(accounts.len(), 1, "{accounts:?}");
}

#[tokio::test]
async fn what_needs_the_whole_queue_waits_until_it_is_empty() {
    let house = House::new();
    let mut opened = house.open_with(StoreConfig {
        queue_records: 50,
        ..house.config()
    });
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    let other = occupy(&house.path());
    for second in 0..10 {
        let event = event(&hook, "call-1", second, Trigger::Dtmf);
        store.offer(event).unwrap();
    }
    let ends = (10..70).map(|second| event(&hook, "call-1", second, Trigger::ChannelDestroy));
    let refused = store.offer(Intake {
        records: ends.collect(),
        ..Intake::default()
    });
    let refused = refused.unwrap_err();
    let moment = Duration::from_millis(20);
    let room = timeout(moment, store.room()).await;
    room.expect("there is room for something small");
    let room = timeout(moment, store.room_for(&refused)).await;
    assert!(room.is_err(), "there is room for it");

    other.execute_batch("ROLLBACK").unwrap();
    let room = timeout(PATIENCE, store.room_for(&refused)).await;
    room.expect("there is room for it alone");
    store.offer(refused).unwrap();
    let deliveries = committed(&mut opened, 70).await;
    assert_eq!(seconds(&deliveries), (0..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    let house = House::new();
    let mut opened = house.open();
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    // Something else takes up space that can be freed, and the file may not grow any more.
    store
        .write(|tx| {
            tx.execute_batch(
                "CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(4000000))",
            )?;
            let pages: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            tx.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        })
        .await
        .unwrap();
    let mut record = event(&hook, "call-1", 1, Trigger::CallHangup);
    record.deliveries[0].body = vec![b'x'; 1_000_000].into();
    store.offer(record).unwrap();
    until("the stall shows", || store.health().stalled_since.is_some()).await;
    assert!(store.health().last_error.unwrap().contains("full"));
    assert!(opened.committed.try_recv().is_err());

    let other = Connection::open(house.path()).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("DROP TABLE ballast").unwrap();
    let delivery = committed(&mut opened, 1).await.remove(0);
    assert_eq!(
        due(&store, hook.key, delivery.due_at, false).await[0].body,
        delivery.body
    );
    assert_eq!(store.health().stalled_since, None);
    assert_eq!(store.health().lost, 0);
}

#[tokio::test]
async fn closing_a_stalled_store_ends_and_says_what_is_lost() {
    let house = House::new();
    let opened = house.open_with(StoreConfig {
        close_timeout: Duration::from_millis(100),
        ..house.config()
    });
    let hook = make_hook(&opened.store, "crm").await;
    let _other = occupy(&house.path());
    for second in 0..3 {
        let record = event(&hook, "call-1", second, Trigger::Dtmf);
        opened.store.offer(record).unwrap();
    }
    let closed = timeout(PATIENCE, opened.store.close()).await.unwrap();
    assert!(
        matches!(closed, Err(StoreError::Abandoned(3))),
        "{closed:?}"
    );
    let late = event(&hook, "call-1", 4, Trigger::Dtmf);
    assert!(opened.store.offer(late).is_err());
    let late = opened.store.write(|_| Ok(())).await;
    assert!(matches!(late, Err(StoreError::Closed)));
    let late = opened.store.read(accounts::all).await;
    assert!(matches!(late, Err(StoreError::Closed)));
}

#[tokio::test]
async fn what_fails_for_its_own_sake_fails_alone() {
    let house = House::new();
    let mut opened = house.open();
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    store
        .write(|tx| {
            tx.execute_batch(
                "CREATE TRIGGER no_fax BEFORE INSERT ON bodies WHEN NEW.body = CAST('fax' AS BLOB)
                 BEGIN SELECT raise(ABORT, 'no fax'); END",
            )?;
            Ok(())
        })
        .await
        .unwrap();
    let other = occupy(&house.path());
    store
        .offer(event(&hook, "call-1", 1, Trigger::Dtmf))
        .unwrap();
    let mut bad = event(&hook, "call-2", 2, Trigger::Dtmf);
    bad.deliveries[0].body = "fax".into();
    store.offer(bad).unwrap();
    let conflict = {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(|tx| {
                    tx.execute("DELETE FROM hooks", ())?;
                    Err::<(), _>(StoreError::Conflict("I changed my mind".into()))
                })
                .await
        })
    };
    let panicked = {
        let store = store.clone();
        tokio::spawn(async move { store.write(|_| -> Result<(), _> { panic!("a bug") }).await })
    };
    store
        .offer(event(&hook, "call-3", 3, Trigger::Dtmf))
        .unwrap();
    other.execute_batch("ROLLBACK").unwrap();

    assert_eq!(seconds(&committed(&mut opened, 2).await), [1, 3]);
    assert!(matches!(
        conflict.await.unwrap(),
        Err(StoreError::Conflict(_))
    ));
    assert!(matches!(panicked.await.unwrap(), Err(StoreError::Panicked)));
    assert_eq!(store.health().lost, 1);
    let events = store
        .read(|conn| events::of_call(conn, "call-2"))
        .await
        .unwrap();
    assert_eq!(events.len(), 0);
    assert_eq!(store.read(hooks::all).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_is_not_done() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let other = occupy(&house.path());
    let given_up = timeout(
        Duration::from_millis(50),
        store.write(|tx| accounts::insert(tx, None, document(json!({"name": "Ghost"})))),
    )
    .await;
    assert!(given_up.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    store.write(|_| Ok(())).await.unwrap();
    assert_eq!(store.read(accounts::all).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_event_for_a_hook_that_is_off_is_recorded_and_not_sent() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let key = hook.key;
    let off = opened
        .store
        .write(move |tx| hooks::disable(tx, key, "too many failures"))
        .await
        .unwrap()
        .unwrap();
    assert!(!off.is_on());
    opened
        .store
        .offer(event(&off, "call-1", 1, Trigger::ChannelCreate))
        .unwrap();
    let sent = commit(&mut opened, event(&hook, "call-1", 2, Trigger::CallHangup)).await;
    assert_eq!(seconds(&[sent]), [2]);
    let page = opened
        .store
        .read(move |conn| attempts::page(conn, &Scope::Hook(key), &Filter::default(), None, 10))
        .await
        .unwrap();
    assert_eq!(page.attempts.len(), 1);
    let skipped = &page.attempts[0];
    assert_eq!(skipped.attempt.result, AttemptResult::Skipped);
    assert_eq!(
        skipped.attempt.reason.as_deref(),
        Some(events::HOOK_DISABLED)
    );
    assert!(skipped.delivery.skipped);
    assert_eq!(
        state(&opened.store, skipped.delivery.id).await,
        State::Skipped
    );
}

#[tokio::test]
async fn strict_order_lets_only_the_earliest_of_each_call_out() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let mut all = Vec::new();
    for (call, second) in [("A", 1), ("B", 2), ("A", 3), ("B", 4), ("A", 5)] {
        all.push(commit(&mut opened, event(&hook, call, second, Trigger::Dtmf)).await);
    }
    let mut outside = event(&hook, "none", 6, Trigger::SwitchConnected);
    outside.deliveries[0].lane = 0;
    let outside = [outside.clone(), outside];
    for record in outside {
        commit(&mut opened, record).await;
    }
    let now = Timestamp(START.0 + 10 * SECOND);
    let store = opened.store.clone();
    let strict = due(&store, hook.key, now, true).await;
    assert_eq!(seconds(&strict), [1, 2, 6, 6], "no call, no order");
    assert_eq!(
        seconds(&due(&store, hook.key, now, false).await),
        [1, 2, 3, 4, 5, 6, 6]
    );

    // A's first waits for a retry: nothing of A comes, though it is due.
    let later = Timestamp(START.0 + 3_600 * SECOND);
    let then = Next::Retry { due_at: later };
    settle(&mut opened, failed(all[0].id, 1, now, then)).await;
    assert_eq!(seconds(&due(&store, hook.key, now, true).await), [2, 6, 6]);
    // What is in hand holds the others back too.
    let (queue, in_hand) = (hook.key, HashSet::from([all[1].id]));
    let strict = store
        .read(move |conn| {
            Ok(deliveries::due(conn, queue, now, room(100), true, &in_hand)?.deliveries)
        })
        .await
        .unwrap();
    assert_eq!(seconds(&strict), [6, 6]);
    // In the end the retry succeeds.
    settle(&mut opened, delivered(all[0].id, later)).await;
    let strict = due(&store, hook.key, now, true).await;
    assert_eq!(seconds(&strict), [2, 3, 6, 6]);
}

#[tokio::test]
async fn every_queue_is_found_with_its_earliest_delivery() {
    let house = House::new();
    let mut opened = house.open();
    let first = make_hook(&opened.store, "one").await;
    let second = make_hook(&opened.store, "two").await;
    let per_call = Hook::ad_hoc(
        &accounts::DEFAULT.into(),
        document(json!({"name": "per call", "uri": "http://127.0.0.1:9/x", "hook": ["all"]})),
    )
    .unwrap();
    for second_ in 0..5 {
        for hook in [&first, &second, &per_call] {
            commit(
                &mut opened,
                event(hook, "call", second_ + hook.key.clamp(0, 2), Trigger::Dtmf),
            )
            .await;
        }
    }
    let queues = opened.store.read(deliveries::queues).await.unwrap();
    let at = |second: i64| Timestamp(START.0 + second * SECOND);
    assert_eq!(
        queues,
        [
            (per_call.key, at(0)),
            (first.key, at(1)),
            (second.key, at(2))
        ]
    );
    let found = due(&opened.store, per_call.key, at(0), false).await;
    assert_eq!(found.len(), 1);
    let kept = found[0].ad_hoc.as_ref().unwrap();
    assert_eq!(kept.id, per_call.id);
    assert_eq!(kept.document, per_call.document);
    assert_eq!(found[0].hook_id, per_call.id);
    assert_eq!(&*found[0].account_id, accounts::DEFAULT);
    let key = second.key;
    let pending = opened
        .store
        .read(move |conn| deliveries::pending(conn, key))
        .await
        .unwrap();
    assert_eq!(pending, 5);
}

#[tokio::test]
async fn what_was_not_delivered_is_counted_and_then_recovered_once() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let key = hook.key;
    let mut all = Vec::new();
    for second in 0..8 {
        all.push(commit(&mut opened, event(&hook, "call", second, Trigger::Dtmf)).await);
    }
    for delivery in &all[..6] {
        settle(&mut opened, failed(delivery.id, 3, START, Next::Failed)).await;
    }
    settle(&mut opened, delivered(all[6].id, START)).await;
    let at = |second: i64| Timestamp(START.0 + second * SECOND);
    let span = Span::new(at(1), at(7));
    let counted = opened
        .store
        .read(move |conn| deliveries::recoverable(conn, key, span))
        .await
        .unwrap();
    assert_eq!(counted, 5, "seconds 1 to 5; 6 was delivered, 7 is pending");
    house.set_clock(at(100));
    let (mut rest, mut bites) = (Some(span), Vec::new());
    while let Some(span) = rest {
        let done = opened
            .store
            .write(move |tx| deliveries::recover(tx, key, span, 2))
            .await
            .unwrap();
        bites.push(done.count);
        rest = done.rest;
        // It fails again before the next bite: not this time.
        let failed_again = failed(all[1].id, 3, at(100), Next::Failed);
        settle(&mut opened, failed_again).await;
    }
    assert_eq!(bites, [2, 2, 1]);
    let pending = due(&opened.store, key, at(100), false).await;
    assert_eq!(seconds(&pending), [7, 2, 3, 4, 5]);
    assert_eq!((pending[1].attempts, pending[1].due_at), (0, at(100)));

    // One by one, by its attempt; and not for a hook that is gone.
    let page = opened
        .store
        .read(move |conn| attempts::page(conn, &Scope::Hook(key), &Filter::default(), None, 1))
        .await
        .unwrap();
    let id = page.attempts[0].id;
    let resent = opened
        .store
        .write(move |tx| {
            let delivery = deliveries::of_attempt(tx, id)?.unwrap();
            deliveries::resend(tx, delivery)
        })
        .await
        .unwrap();
    assert_eq!(resent, Some(key));
    assert_eq!(state(&opened.store, all[1].id).await, State::Pending);
    let (id, gone) = (hook.id.clone(), all[0].id);
    let resent = opened
        .store
        .write(move |tx| {
            hooks::delete(tx, accounts::DEFAULT, &id)?.unwrap();
            deliveries::resend(tx, gone)
        })
        .await
        .unwrap();
    assert_eq!(resent, None);
}

#[tokio::test]
async fn a_backlog_is_read_as_it_was_committed_though_times_are_turned_round() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let at = |second: i64| Timestamp(START.0 + second * SECOND);
    house.set_clock(at(10));
    for second in [5, 3, 4, 7] {
        commit(&mut opened, event(&hook, "call", second, Trigger::Dtmf)).await;
    }
    for strict in [false, true] {
        let pending = due(&opened.store, hook.key, at(10), strict).await;
        let told = if strict { &[5][..] } else { &[5, 3, 4, 7] };
        assert_eq!(seconds(&pending), told);
    }
    // Somebody sets the clock back.
    house.set_clock(at(2));
    let next = commit(&mut opened, event(&hook, "call", 1, Trigger::Dtmf)).await;
    assert_eq!(next.due_at, at(2));
}

#[tokio::test]
async fn what_is_queued_again_during_an_attempt_has_all_its_tries_unless_that_one_arrives() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let at = |second: i64| Timestamp(START.0 + second * SECOND);
    for then in [Next::Failed, Next::Retry { due_at: at(90) }] {
        let record = event(&hook, "call", 0, Trigger::Dtmf);
        let delivery = commit(&mut opened, record).await.id;
        house.set_clock(at(20));
        let resent = opened
            .store
            .write(move |tx| deliveries::resend(tx, delivery));
        assert_eq!(resent.await.unwrap(), Some(hook.key));

        let settled = settle(&mut opened, failed(delivery, 3, at(10), then)).await;
        assert_eq!(settled.state, State::Pending);
        let pending = due(&opened.store, hook.key, at(20), false).await;
        assert_eq!((pending[0].attempts, pending[0].due_at), (0, at(20)));
        settle(&mut opened, delivered(delivery, at(10))).await;
        assert_eq!(state(&opened.store, delivery).await, State::Delivered);
    }
    assert_eq!(opened.store.health().pending, 0);
}

#[tokio::test]
async fn a_deleted_hook_fails_what_is_pending_and_keeps_its_log() {
    let house = House::new();
    let mut opened = house.open();
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    let key = hook.key;
    let mut all = Vec::new();
    for second in 0..5 {
        all.push(commit(&mut opened, event(&hook, "call", second, Trigger::Dtmf)).await);
    }
    let id = hook.id.clone();
    store
        .write(move |tx| hooks::delete(tx, accounts::DEFAULT, &id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.read(hooks::all).await.unwrap().0.len(), 0);
    let mut bites = Vec::new();
    loop {
        let count = store
            .write(move |tx| deliveries::end_pending(tx, key, State::Failed, "hook deleted", 2))
            .await
            .unwrap();
        bites.push(count);
        if count == 0 {
            break;
        }
    }
    assert_eq!(bites, [2, 2, 1, 0]);
    assert_eq!(store.read(deliveries::queues).await.unwrap(), []);
    // One was on its way: it is not tried again, but if it arrived, that is what counts.
    let then = Next::Retry { due_at: START };
    let settled = settle(&mut opened, failed(all[0].id, 1, START, then)).await;
    assert_eq!(settled.state, State::Failed);
    let settled = settle(&mut opened, delivered(all[1].id, START)).await;
    assert_eq!(settled.state, State::Delivered);

    let scope = Scope::Account(accounts::DEFAULT.into());
    let page = store
        .read(move |conn| attempts::page(conn, &scope, &Filter::default(), None, 100))
        .await
        .unwrap();
    assert_eq!(page.attempts.len(), 7);
    assert!(page.attempts.iter().all(|a| a.delivery.hook_id == hook.id));
    let first = all[0].id;
    let story = store
        .read(move |conn| attempts::of_delivery(conn, first))
        .await
        .unwrap();
    let reasons: Vec<_> = story
        .iter()
        .map(|logged| logged.attempt.reason.as_deref().unwrap())
        .collect();
    assert_eq!(reasons, ["hook deleted", "bad response code"]);
}

#[tokio::test]
async fn the_log_of_attempts_is_paged_and_filtered() {
    let house = House::new();
    let mut opened = house.open();
    let store = opened.store.clone();
    let hooks = [
        make_hook(&store, "one").await,
        make_hook(&store, "two").await,
    ];
    let at = |second: i64| Timestamp(START.0 + second * SECOND);
    let mut logged = Vec::new();
    for second in 0..200 {
        let hook = &hooks[usize::from(second % 10 == 0)];
        let trigger = match second % 2 {
            0 => Trigger::ChannelCreate,
            _ => Trigger::CallHangup,
        };
        let call = format!("call-{}", second / 4);
        let delivery = commit(&mut opened, event(hook, &call, second, trigger)).await;
        let outcome = match second % 5 {
            0 => failed(delivery.id, 1, at(second), Next::Failed),
            _ => delivered(delivery.id, at(second)),
        };
        logged.extend(settle(&mut opened, outcome).await.attempts);
    }
    let list = |scope: Scope, filter: Filter, start: Option<i64>, size: usize| {
        let store = store.clone();
        async move {
            store
                .read(move |conn| attempts::page(conn, &scope, &filter, start, size))
                .await
                .unwrap()
        }
    };
    let account = || Scope::Account(accounts::DEFAULT.into());
    let seconds = |page: &attempts::Page| -> Vec<i64> {
        page.attempts
            .iter()
            .map(|logged| (logged.attempt.at.0 - START.0) / SECOND)
            .collect()
    };

    let first = list(account(), Filter::default(), None, 150).await;
    assert_eq!(seconds(&first), (50..200).rev().collect::<Vec<_>>());
    assert_eq!(first.next, Some(logged[49]));
    let rest = list(account(), Filter::default(), first.next, 150).await;
    assert_eq!(seconds(&rest), (0..50).rev().collect::<Vec<_>>());
    assert_eq!(rest.next, None);

    let of_hook = list(Scope::Hook(hooks[1].key), Filter::default(), None, 3).await;
    assert_eq!(seconds(&of_hook), [190, 180, 170]);

    let filter = Filter {
        result: Some(AttemptResult::Failure),
        trigger: Some(Trigger::CallHangup),
        from: Some(at(100)),
        to: Some(at(135)),
        ..Filter::default()
    };
    let filtered = list(account(), filter, None, 100).await;
    assert_eq!(seconds(&filtered), [125, 115, 105]);

    let filter = Filter {
        call_id: Some("call-7".into()),
        ..Filter::default()
    };
    let of_call = list(account(), filter.clone(), None, 100).await;
    assert_eq!(seconds(&of_call), [31, 30, 29, 28]);
    let of_both = list(Scope::Hook(hooks[1].key), filter, None, 100).await;
    assert_eq!(seconds(&of_both), [30]);
    let nobody = list(Scope::Account("other".into()), Filter::default(), None, 10).await;
    assert_eq!(nobody.attempts.len(), 0);
}

#[tokio::test]
async fn a_call_is_found_by_any_of_its_legs() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    commit(&mut opened, event(&hook, "A", 1, Trigger::ChannelCreate)).await;
    commit(
        &mut opened,
        event(&hook, "other", 2, Trigger::ChannelCreate),
    )
    .await;
    let mut b_leg = event(&hook, "A", 3, Trigger::ChannelCreate);
    b_leg.call_id = Some("B".into());
    commit(&mut opened, b_leg).await;
    for leg in ["A", "B"] {
        let events = opened
            .store
            .read(move |conn| events::of_call(conn, leg))
            .await
            .unwrap();
        let legs: Vec<_> = events
            .iter()
            .map(|e| e.call_id.as_deref().unwrap())
            .collect();
        assert_eq!(legs, ["A", "B"], "asked for {leg}");
        assert!(
            events
                .iter()
                .all(|event| event.deliveries.end - event.deliveries.start == 1)
        );
    }
}

#[tokio::test]
async fn the_legs_that_are_alive_are_remembered_with_the_events_that_say_so() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let change = |uuid: &str, state: Option<&[u8]>| ChannelChange {
        uuid: uuid.into(),
        state: state.map(Into::into),
    };
    let mut intake = Intake::from(event(&hook, "A", 1, Trigger::ChannelCreate));
    intake.channels = vec![change("A", Some(b"ringing")), change("B", Some(b"new"))];
    opened.store.offer(intake).unwrap();
    committed(&mut opened, 1).await;
    let end = Intake {
        committed: None,
        records: Vec::new(),
        channels: vec![change("A", Some(b"answered")), change("B", None)],
        ..Intake::default()
    };
    opened.store.offer(end).unwrap();
    opened.store.close().await.unwrap();
    let opened = house.open();
    let legs = opened.store.read(channels::all).await.unwrap();
    assert_eq!(legs, [("A".to_owned(), b"answered".to_vec())]);
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_pending_stays() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let mut old = Vec::new();
    for second in 0..1_200 {
        opened
            .store
            .offer(event(&hook, "old", second, Trigger::Dtmf))
            .unwrap();
    }
    old.extend(committed(&mut opened, 1_200).await);
    for delivery in &old[1..] {
        opened.store.settle(delivered(delivery.id, START));
    }
    house.set_clock(Timestamp(START.0 + 6 * DAY));
    let newer = commit(&mut opened, event(&hook, "new", 5, Trigger::Dtmf)).await;
    let at = Timestamp(START.0 + 6 * DAY);
    opened.store.settle(delivered(newer.id, at));
    opened.store.close().await.unwrap();

    house.set_clock(Timestamp(START.0 + 8 * DAY));
    let mut opened = house.open();
    let store = opened.store.clone();
    // 1,199 attempts, deliveries and events each.
    until("the old rows are gone", || {
        store.health().removed == 3 * 1_199
    })
    .await;
    assert_eq!(state(&store, old[0].id).await, State::Pending);
    assert_eq!(state(&store, newer.id).await, State::Delivered);
    let events = store
        .read(|conn| events::of_call(conn, "old"))
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    let settled = settle(&mut opened, delivered(old[0].id, at)).await;
    assert_eq!(settled.attempts, [1_201], "after 1,200 that were made");
}

#[tokio::test]
async fn a_deleted_hook_stays_until_its_last_delivery_is_gone() {
    // More than a bite of retention, each with two attempts, the first ones before the second ones.
    const COUNT: i64 = 600;
    let house = House::new();
    let mut opened = house.open();
    let store = opened.store.clone();
    let hook = make_hook(&store, "crm").await;
    for second in 0..COUNT {
        store
            .offer(event(&hook, "call", second, Trigger::Dtmf))
            .unwrap();
    }
    let all = committed(&mut opened, COUNT as usize).await;
    let then = Next::Retry { due_at: START };
    for made in [1, 2] {
        for delivery in &all {
            let then = if made == 1 { then } else { Next::Failed };
            store.settle(failed(delivery.id, made, START, then));
        }
    }
    let id = hook.id.clone();
    store
        .write(move |tx| hooks::delete(tx, accounts::DEFAULT, &id))
        .await
        .unwrap();
    store.close().await.unwrap();

    house.set_clock(Timestamp(START.0 + 8 * DAY));
    let opened = house.open();
    let count = |table: &'static str| {
        let store = opened.store.clone();
        async move {
            let sql = format!("SELECT count(*) FROM {table}");
            let read =
                store.read(move |conn| Ok(conn.query_row(&sql, (), |row| row.get::<_, i64>(0))?));
            read.await.unwrap()
        }
    };
    let gone = async {
        while count("hooks").await != 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the hook goes");
    assert_eq!(count("deliveries").await, 0);
}

#[tokio::test]
async fn a_store_that_hangs_while_it_tidies_up_says_so() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let delivery = commit(&mut opened, event(&hook, "call", 1, Trigger::Dtmf)).await;
    settle(&mut opened, delivered(delivery.id, START)).await;
    // To remove an attempt takes a second.
    opened
        .store
        .write(|tx| {
            tx.execute_batch(
                "CREATE TABLE many AS WITH RECURSIVE c (n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4000) SELECT n FROM c;
                 CREATE TRIGGER slow BEFORE DELETE ON attempts BEGIN
                     SELECT max(a.n + b.n) FROM many a, many b;
                 END",
            )?;
            Ok(())
        })
        .await
        .unwrap();
    opened.store.close().await.unwrap();
    house.set_clock(Timestamp(START.0 + 8 * DAY));
    let opened = house.open_with(StoreConfig {
        stall_timeout: Duration::from_millis(50),
        ..house.config()
    });
    let store = opened.store.clone();
    until("the stall shows", || store.health().stalled_since.is_some()).await;
    assert_eq!(store.health().removed, 0);
    until("it ends", || store.health().stalled_since.is_none()).await;
    until("the rows are gone", || store.health().removed == 3).await;
}

#[tokio::test]
async fn no_id_is_given_twice_though_its_row_was_removed() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    let last = commit(&mut opened, event(&hook, "call", 1, Trigger::Dtmf)).await;
    settle(&mut opened, delivered(last.id, START)).await;
    opened.store.close().await.unwrap();
    house.set_clock(Timestamp(START.0 + 30 * DAY));
    let opened = house.open();
    until("everything is gone", || opened.store.health().removed == 3).await;
    opened.store.close().await.unwrap();

    let mut opened = house.open();
    let next = commit(&mut opened, event(&hook, "call", 2, Trigger::Dtmf)).await;
    assert_eq!(next.id, last.id + 1);
    let settled = settle(&mut opened, delivered(next.id, START)).await;
    assert_eq!(settled.attempts, [2]);
}

#[tokio::test]
async fn more_rows_than_allowed_go_too() {
    let house = House::new();
    let mut opened = house.open();
    let hook = make_hook(&opened.store, "crm").await;
    for second in 0..100 {
        let delivery = commit(&mut opened, event(&hook, "call", second, Trigger::Dtmf)).await;
        if second != 3 {
            opened.store.settle(delivered(delivery.id, START));
        }
    }
    opened.store.close().await.unwrap();
    let opened = house.open_with(StoreConfig {
        max_attempts_rows: 10,
        ..house.config()
    });
    // 99 attempts less 10; 100 deliveries and events less 10 and the pending one.
    until("the surplus is gone", || {
        opened.store.health().removed == 89 + 89 + 89
    })
    .await;
    let pending = due(&opened.store, hook.key, START.after(PATIENCE), false).await;
    assert_eq!(seconds(&pending), [3]);
}

#[tokio::test]
async fn hooks_are_kept_as_they_were_written_and_no_change_is_lost() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let made = make_hook(&store, "crm").await;
    let (one, two) = (Secret::generate().unwrap(), Secret::generate().unwrap());
    let until = START.after(Duration::from_secs(86_400));
    for (secret, previous_until) in [(&one, None), (&two, Some(until))] {
        let (id, secret) = (made.id.clone(), secret.clone());
        let hook = store
            .write(move |tx| {
                hooks::set_secret(
                    tx,
                    accounts::DEFAULT,
                    &id,
                    Some(secret.clone()),
                    previous_until,
                )
            })
            .await
            .unwrap();
        assert!(hook.is_some());
    }
    // Twenty people raise the same number at once.
    let raises: Vec<_> = (0..20)
        .map(|_| {
            let (store, id) = (store.clone(), made.id.clone());
            tokio::spawn(async move {
                let raised = store.write(move |tx| {
                    hooks::update(tx, accounts::DEFAULT, &id, |document| {
                        let mut document = document.clone();
                        let count = document.get("count").and_then(|n| n.as_i64());
                        document.insert("count".into(), json!(count.unwrap_or(0) + 1));
                        Ok(document)
                    })
                });
                raised.await.unwrap().unwrap()
            })
        })
        .collect();
    for raise in raises {
        raise.await.unwrap();
    }
    let id = made.id.clone();
    let bad = store
        .write(move |tx| {
            hooks::update(tx, accounts::DEFAULT, &id, |document| {
                let mut document = document.clone();
                document.insert("uri".into(), json!("ftp://nowhere"));
                Ok(document)
            })
        })
        .await;
    assert!(matches!(bad, Err(StoreError::Document(_))), "{bad:?}");
    opened.store.close().await.unwrap();

    let opened = house.open();
    let (hooks, unreadable) = opened.store.read(hooks::all).await.unwrap();
    assert_eq!((hooks.len(), unreadable.len()), (1, 0));
    let hook = &hooks[0];
    assert_eq!((hook.key, &hook.id), (made.key, &made.id));
    assert_eq!(hook.document["own_key"], json!([1, 2]));
    assert_eq!(hook.document["count"], json!(20));
    assert_eq!(hook.secrets.current, Some(two));
    assert_eq!(hook.secrets.previous, Some((one, until)));
    assert!(!json!(hook.view()).to_string().contains("whsec_"));
}

#[tokio::test]
async fn a_hook_is_switched_off_once_and_on_again() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let (one, two) = (
        make_hook(&store, "one").await,
        make_hook(&store, "two").await,
    );
    for (key, switched) in [(one.key, true), (one.key, false), (77, false)] {
        let done = store
            .write(move |tx| hooks::disable(tx, key, "410 Gone"))
            .await
            .unwrap();
        assert_eq!(done.is_some(), switched);
    }
    let again = store
        .write(|tx| hooks::reenable_all(tx, accounts::DEFAULT))
        .await
        .unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].id, one.id);
    assert!(again[0].is_on());
    let pages = store
        .read(|conn| {
            let first = hooks::page(conn, accounts::DEFAULT, &hooks::Filter::default(), None, 1)?;
            let second = hooks::page(
                conn,
                accounts::DEFAULT,
                &hooks::Filter::default(),
                first.1.as_deref(),
                1,
            )?;
            Ok((first, second))
        })
        .await
        .unwrap();
    assert_eq!(
        (&pages.0.0[0].id, &pages.0.1),
        (&one.id, &Some(two.id.clone()))
    );
    assert_eq!((&pages.1.0[0].id, &pages.1.1), (&two.id, &None));
}

#[tokio::test]
async fn accounts_share_no_realm_and_no_number_and_the_default_one_stays() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let insert = |parent: Option<Arc<str>>, value: serde_json::Value| {
        store.write(move |tx| accounts::insert(tx, parent.as_deref(), document(value.clone())))
    };
    let top = insert(
        Some(accounts::DEFAULT.into()),
        json!({"name": "Acme", "realm": "acme.test", "numbers": ["+1 555 123-0000"], "own": 1}),
    )
    .await
    .unwrap();
    let below = insert(Some(top.id.clone()), json!({"name": "Below"}))
        .await
        .unwrap();
    match insert(
        None,
        json!({"name": "B", "realm": "ACME.test", "numbers": ["15551230000"]}),
    )
    .await
    {
        Err(StoreError::Document(mistakes)) => {
            let fields = mistakes.into_document();
            assert!(fields.contains_key("realm") && fields.contains_key("numbers.0"));
        }
        other => panic!("{other:?}"),
    }
    let (all, directory) = store
        .read(|conn| {
            Ok((
                accounts::descendants(conn, accounts::DEFAULT)?,
                accounts::directory(conn)?,
            ))
        })
        .await
        .unwrap();
    let ids: HashSet<_> = all.iter().map(|account| account.id.clone()).collect();
    assert_eq!(ids, HashSet::from([top.id.clone(), below.id.clone()]));
    let acme = directory
        .iter()
        .find(|account| account.id == top.id)
        .unwrap();
    assert_eq!(acme.numbers, ["+1 555 123-0000"]);
    assert_eq!(acme.realm.as_deref(), Some("acme.test"));
    for (id, goes) in [
        (accounts::DEFAULT, false),
        (&top.id, false),
        (&below.id, true),
        (&top.id, true),
    ] {
        let id: Arc<str> = id.into();
        let done = store.write(move |tx| accounts::delete(tx, &id)).await;
        assert_eq!(done.is_ok(), goes, "{done:?}");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_is_revoked_and_an_account_has_one_api_key() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let make = |account: Option<&'static str>, kind, byte: u8| {
        store.write(move |tx| tokens::insert(tx, account, kind, "abcd", [byte; 32]))
    };
    use tokens::TokenKind::{ApiKey, Token};
    let token = make(None, Token, 1).await.unwrap();
    make(Some(accounts::DEFAULT), ApiKey, 2).await.unwrap();
    make(Some(accounts::DEFAULT), ApiKey, 3).await.unwrap();
    assert!(make(Some("nobody"), Token, 4).await.is_err());
    let find = |kind, byte: u8| store.read(move |conn| tokens::find(conn, kind, &[byte; 32]));
    assert_eq!(find(Token, 1).await.unwrap(), Some(token.clone()));
    assert_eq!(find(ApiKey, 1).await.unwrap(), None, "a token is no key");
    assert_eq!(find(ApiKey, 2).await.unwrap(), None, "it was replaced");
    let key = store
        .read(|conn| tokens::api_key(conn, accounts::DEFAULT))
        .await
        .unwrap();
    assert_eq!(key.unwrap().hash, [3; 32]);
    for (account, is_good) in [
        (Some(accounts::DEFAULT), false),
        (None, true),
        (None, false),
    ] {
        let id = token.id;
        let done = store
            .write(move |tx| tokens::revoke(tx, account, id))
            .await
            .unwrap();
        assert_eq!(done, is_good);
    }
    assert_eq!(find(Token, 1).await.unwrap(), None);
    let listed = store.read(|conn| tokens::list(conn, None)).await.unwrap();
    assert_eq!(listed[0].revoked, Some(START));
}

#[tokio::test]
async fn a_callflow_is_found_by_the_dialled_number_or_takes_the_rest() {
    let house = House::new();
    let opened = house.open();
    let store = opened.store.clone();
    let insert = |numbers: serde_json::Value| {
        store.write(move |tx| {
            let document = document(json!({"numbers": numbers, "flow": {"module": "hangup"}}));
            callflows::insert(tx, accounts::DEFAULT, document)
        })
    };
    let desk = insert(json!(["+1 (000) 555-9999", "10005559999"]))
        .await
        .unwrap();
    let rest = insert(json!(["no_match"])).await.unwrap();
    let taken = insert(json!(["1-000-555-9999"])).await;
    assert!(matches!(taken, Err(StoreError::Document(_))), "{taken:?}");
    for (dialled, id) in [
        ("10005559999", &desk.id),
        ("1001", &rest.id),
        ("", &rest.id),
    ] {
        let found = store
            .read(move |conn| callflows::by_number(conn, accounts::DEFAULT, dialled))
            .await
            .unwrap();
        assert_eq!(&found.unwrap().id, id, "{dialled}");
    }
    let id = desk.id.clone();
    store
        .write(move |tx| callflows::delete(tx, accounts::DEFAULT, &id))
        .await
        .unwrap()
        .unwrap();
    let again = insert(json!(["10005559999"])).await.unwrap();
    let (all, next) = store
        .read(|conn| callflows::page(conn, accounts::DEFAULT, None, 10, |_| true))
        .await
        .unwrap();
    let ids: Vec<_> = all.into_iter().map(|callflow| callflow.id).collect();
    assert_eq!((ids, next), (vec![rest.id, again.id], None));
}
