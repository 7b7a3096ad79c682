//! Torture: a busy switch, three receivers of which one is well, and a daemon that is killed with -9 over and
//! over. What was committed arrives, under one id and in order, and nothing arrives that was not committed.
//!
//! The short form is part of the suite; the long one is `cargo test --release -- --ignored torture`. The moments
//! are random: `TORTURE_SEED` repeats those of an earlier run, as far as time can be repeated.

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use support::daemon::{Daemon, Home};
use support::exchange::Exchange;
use support::receiver::{Behaviour, Receiver, Request};
use tokio::time::Instant;

/// How long the flaky receiver's hook waits for an answer.
const TIME_OUT: Duration = Duration::from_millis(400);
/// As often at most the flaky receiver is bad to the same delivery: less often than it is tried.
const MOST_BAD: u32 = 3;

struct Plan {
    calls: u64,
    per_second: u64,
    kills: u32,
    /// How long the daemon lives at least, and at most.
    lives: [u64; 2],
    /// How long all that is left may take to arrive at the end.
    patience: Duration,
}

#[tokio::test]
async fn torture_in_short() {
    torture(Plan {
        calls: 80,
        per_second: 20,
        kills: 5,
        lives: [300, 1_000],
        patience: Duration::from_secs(60),
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo test --release -- --ignored torture"]
async fn torture_at_length() {
    torture(Plan {
        calls: 200 * 60,
        per_second: 200,
        kills: 20,
        lives: [500, 4_500],
        patience: Duration::from_secs(300),
    })
    .await;
}

async fn torture(plan: Plan) {
    let seed = match std::env::var("TORTURE_SEED") {
        Ok(seed) => seed.parse().expect("TORTURE_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("TORTURE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut exchange = Exchange::start().await;
    let good = Witness::start(None).await;
    let flaky = Witness::start(Some(random.fork())).await;
    let dead = Receiver::start().await;
    let dead_address = dead.address();
    let dead_uri = dead.uri("/");
    drop(dead);

    let home = Home::new(exchange.port())
        .with("DELIVERY__ENDPOINT_RATE", 100_000)
        .with("DELIVERY__ENDPOINT_BURST", 100_000)
        .with("DELIVERY__DISABLE_DISABLER", true)
        .with("LOG__LEVEL", "error,switchhook=info");
    let mut daemon = home.serve().await;
    let hook = |name: &str, uri: String, triggers: Value| {
        json!({
            "name": name, "uri": uri, "hook": triggers, "format": "json", "retries": 4,
            "timeout_ms": u64::try_from(TIME_OUT.as_millis()).unwrap(),
        })
    };
    let all = json!([
        "channel_create",
        "channel_answer",
        "channel_bridge",
        "channel_destroy",
        "call_hangup"
    ]);
    let good_hook = hook("good", good.uri(), all.clone());
    let mut good_hook = good_hook.as_object().unwrap().clone();
    good_hook.remove("timeout_ms");
    daemon.add_hook(good_hook.into()).await;
    daemon.add_hook(hook("flaky", flaky.uri(), all)).await;
    daemon
        .add_hook(hook("dead", dead_uri, json!(["channel_destroy"])))
        .await;
    let mut books = Books::open(&home).await;

    exchange.dial(plan.calls, plan.per_second);
    let mut back = None;
    for kill in 0..plan.kills {
        let life = Duration::from_millis(random.u64(plan.lives[0]..plan.lives[1]));
        // The moments are chosen by chance, so this waits for nothing but the time.
        tokio::time::sleep(life).await;
        daemon.kill().await;
        // What was acknowledged is in the database now; what arrived must have been.
        books.look(&home);
        for witness in [&good, &flaky] {
            for id in witness.ids() {
                assert!(
                    books.by_webhook_id.contains_key(&id),
                    "kill {kill}: {id} was sent and is not in the database (seed {seed})"
                );
            }
        }
        if kill + 1 == plan.kills.div_ceil(2) {
            back = Some(Witness::at(dead_address).await);
        }
        daemon = home.serve().await;
    }
    let back = back.expect("it came back half-way");
    exchange.over(plan.calls).await;
    finish(&mut daemon, &mut books, &home, &exchange, plan.patience).await;

    let (wrote, megabytes) = (exchange.events(), exchange.bytes() >> 20);
    println!(
        "{} calls, {} kills; {wrote} events ({megabytes} MiB) were read; {} deliveries were committed",
        plan.calls,
        plan.kills,
        books.by_id.len()
    );
    books.check_the_calls();
    books.check_the_order();
    for (name, key, witness) in [("good", 1, &good), ("flaky", 2, &flaky), ("dead", 3, &back)] {
        let committed = books.of(key);
        let summary = witness.check(name, &committed, &books);
        println!("{name:>6}: {} committed, {summary}", committed.len());
        let answered = witness.answered();
        let missing: Vec<_> = (committed.iter())
            .filter(|id| !answered.contains(&books.by_id[id].webhook_id))
            .collect();
        // What was given up while nobody was there is no loss; all else is.
        let lost: Vec<_> = (missing.iter())
            .filter(|id| name != "dead" || books.by_id[id].state != "failed")
            .collect();
        assert!(
            lost.is_empty(),
            "{name}: {} never arrived: {:?} (seed {seed})",
            lost.len(),
            lost.iter()
                .take(5)
                .map(|id| &books.by_id[id])
                .collect::<Vec<_>>()
        );
        if name == "dead" {
            println!("        {} were given up while it was dead", missing.len());
        }
    }
    assert!(daemon.terminate().await.success());
}

/// Waits until every leg has ended and nothing is pending.
async fn finish(
    daemon: &mut Daemon,
    books: &mut Books,
    home: &Home,
    exchange: &Exchange,
    patience: Duration,
) {
    let deadline = Instant::now() + patience;
    loop {
        let (_, health) = daemon.api("GET", "/health/ready", None).await;
        let live = health["data"]["switch"]["channels"].as_u64();
        // What the call model has told may still be on its way into the database.
        let queued = health["data"]["store"]["queued"].as_u64();
        let pending = books.pending();
        if live == Some(0) && queued == Some(0) && pending == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{live:?} legs live and {pending} rows are pending, {} events were written; the daemon said:\n{}",
            exchange.events(),
            daemon.log_text()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    books.look(home);
}

/// One row of the database.
#[derive(Debug)]
struct Row {
    webhook_id: String,
    queue: i64,
    lane: i64,
    state: String,
    trigger: String,
    call_id: String,
}

/// What the database says, read beside the daemon.
struct Books {
    connection: Connection,
    by_id: BTreeMap<i64, Row>,
    by_webhook_id: HashMap<String, i64>,
    /// The first attempt of each, where it came to an end.
    firsts: BTreeMap<i64, First>,
}

/// A first attempt, by the daemon's clock in microseconds.
#[derive(Debug)]
struct First {
    begun: i64,
    ended: i64,
    was_answered: bool,
}

impl Books {
    async fn open(home: &Home) -> Self {
        Self {
            connection: connect(home),
            by_id: BTreeMap::new(),
            by_webhook_id: HashMap::new(),
            firsts: BTreeMap::new(),
        }
    }

    /// Reads what is there, and that nothing of what was there is gone or another.
    fn look(&mut self, home: &Home) {
        // Another connection each time, as the daemon's own next one will be.
        self.connection = connect(home);
        let mut statement = self
            .connection
            .prepare(
                "SELECT d.id, lower(hex(d.webhook_id)), d.queue, d.lane, d.state, e.trigger, e.call_id
                 FROM deliveries d JOIN events e ON e.id = d.event ORDER BY d.id",
            )
            .unwrap();
        let rows = statement.query_map((), |row| {
            let row_id: i64 = row.get(0)?;
            let webhook_id: String = row.get(1)?;
            let call_id: Option<String> = row.get(6)?;
            let row = Row {
                webhook_id: format!("msg_{webhook_id}"),
                queue: row.get(2)?,
                lane: row.get(3)?,
                state: row.get(4)?,
                trigger: row.get(5)?,
                call_id: call_id.unwrap_or_default(),
            };
            Ok((row_id, row))
        });
        let found: BTreeMap<i64, Row> = rows.unwrap().map(Result::unwrap).collect();
        for (id, before) in &self.by_id {
            let now = found.get(id).expect("what was committed stays");
            assert_eq!(now.webhook_id, before.webhook_id, "delivery {id}");
            let is_final = before.state != "pending";
            assert!(!is_final || now.state == before.state, "{before:?} {now:?}");
        }
        self.by_webhook_id = (found.iter())
            .map(|(id, row)| (row.webhook_id.clone(), *id))
            .collect();
        assert_eq!(self.by_webhook_id.len(), found.len(), "one event, one id");
        self.by_id = found;
        drop(statement);
        self.firsts = self.first_attempts();
    }

    fn first_attempts(&self) -> BTreeMap<i64, First> {
        let mut statement = self
            .connection
            .prepare("SELECT delivery, at, duration_us, status FROM attempts WHERE attempt = 1")
            .unwrap();
        let rows = statement.query_map((), |row| {
            let begun: i64 = row.get(1)?;
            let took: i64 = row.get(2)?;
            let status: Option<u16> = row.get(3)?;
            let first = First {
                begun,
                ended: begun + took,
                was_answered: status.is_some(),
            };
            Ok((row.get(0)?, first))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// To one hook, nothing of a call was sent while something earlier of it was on its first attempt.
    fn check_the_order(&self) {
        let mut latest: HashMap<(i64, i64), (i64, &First)> = HashMap::new();
        for (id, first) in &self.firsts {
            let row = &self.by_id[id];
            if row.lane == 0 {
                continue;
            }
            let earlier = latest.insert((row.queue, row.lane), (*id, first));
            if let Some((before, earlier)) = earlier {
                assert!(
                    first.begun >= earlier.ended,
                    "{row:?} ({first:?}) did not wait for {before} ({earlier:?})"
                );
            }
        }
    }

    fn pending(&self) -> i64 {
        self.connection
            .query_row(
                "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL",
                (),
                |row| row.get(0),
            )
            .unwrap()
    }

    /// The deliveries of one hook.
    fn of(&self, queue: i64) -> Vec<i64> {
        let of_hook = self.by_id.iter().filter(|(_, row)| row.queue == queue);
        of_hook.map(|(id, _)| *id).collect()
    }

    /// Who was told that a leg came into being was told once that it ended.
    fn check_the_calls(&self) {
        let mut legs: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
        for row in self.by_id.values().filter(|row| row.queue == 1) {
            let told = legs.entry(&row.call_id).or_default();
            match row.trigger.as_str() {
                "channel_create" => told[0] += 1,
                "channel_destroy" => told[1] += 1,
                _ => {}
            }
        }
        let wrong: Vec<_> = legs.iter().filter(|(_, told)| **told != [1, 1]).collect();
        assert!(
            wrong.is_empty(),
            "of {} legs, these were not begun and ended once each: {wrong:?}",
            legs.len()
        );
        println!("{} legs were begun and ended once each", legs.len());
    }
}

fn connect(home: &Home) -> Connection {
    // Read-only, so that the log stays for the daemon to recover.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(home.database(), flags).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

/// One request that arrived.
#[derive(Debug)]
struct Arrival {
    id: String,
    call: String,
    attempt: u32,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Good,
    Bad,
    Stalled,
}

#[derive(Default)]
struct Notes {
    arrivals: Vec<Arrival>,
    bad: HashMap<String, u32>,
}

/// A receiver that remembers.
struct Witness {
    address: std::net::SocketAddr,
    notes: Arc<Mutex<Notes>>,
    draining: tokio::task::JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.draining.abort();
    }
}

impl Witness {
    /// A receiver that is well, or one whose moods are random.
    async fn start(moods: Option<fastrand::Rng>) -> Self {
        Self::with("127.0.0.1:0".parse().unwrap(), moods).await
    }

    async fn at(address: std::net::SocketAddr) -> Self {
        Self::with(address, None).await
    }

    async fn with(address: std::net::SocketAddr, mut moods: Option<fastrand::Rng>) -> Self {
        let mut receiver = Receiver::at(address).await;
        let address = receiver.address();
        let notes = Arc::<Mutex<Notes>>::default();
        let taken = Arc::clone(&notes);
        receiver.decide_by(move |request| {
            let mut notes = taken.lock().unwrap();
            let (answer, behaviour) = match &mut moods {
                Some(moods) => notes.mood(request, moods),
                None => (Answer::Good, Behaviour::status(204)),
            };
            notes.note(request, answer);
            behaviour
        });
        let draining = tokio::spawn(async move {
            // Everything is in the notes; nobody looks at the requests themselves.
            loop {
                receiver.rest();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            address,
            notes,
            draining,
        }
    }

    fn uri(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn ids(&self) -> HashSet<String> {
        let notes = self.notes.lock().unwrap();
        notes.arrivals.iter().map(|a| a.id.clone()).collect()
    }

    /// What it has answered with success.
    fn answered(&self) -> HashSet<String> {
        let notes = self.notes.lock().unwrap();
        let good = (notes.arrivals.iter()).filter(|arrival| arrival.answer == Answer::Good);
        good.map(|arrival| arrival.id.clone()).collect()
    }

    /// Nothing came that was not committed, and first attempts that were answered came in order; a few words about
    /// it.
    fn check(&self, name: &str, committed: &[i64], books: &Books) -> String {
        let notes = self.notes.lock().unwrap();
        let committed: HashSet<i64> = committed.iter().copied().collect();
        let mut seen = HashSet::new();
        let mut latest: HashMap<i64, (i64, &Arrival)> = HashMap::new();
        for arrival in &notes.arrivals {
            let Some(id) = books.by_webhook_id.get(&arrival.id) else {
                panic!("{name}: {arrival:?} was never committed");
            };
            assert!(committed.contains(id), "{name}: {arrival:?} is another's");
            let row = &books.by_id[id];
            assert_eq!(row.call_id, arrival.call, "{name}: {arrival:?}");
            // What was given up by the clock may still be on its way in when the next one comes.
            let was_answered = books.firsts.get(id).is_some_and(|first| first.was_answered);
            if !seen.insert(*id) || row.lane == 0 || arrival.attempt > 1 || !was_answered {
                continue;
            }
            if let Some((before, earlier)) = latest.insert(row.lane, (*id, arrival)) {
                assert!(before < *id, "{name}: {earlier:?} before {arrival:?}");
            }
        }
        let count = |answer| notes.arrivals.iter().filter(|a| a.answer == answer).count();
        format!(
            "{} arrived in {} requests ({} answered with success, {} with failure or a reset, {} stalled)",
            seen.len(),
            notes.arrivals.len(),
            count(Answer::Good),
            count(Answer::Bad),
            count(Answer::Stalled)
        )
    }
}

impl Notes {
    /// Good in three of four cases, and never bad to the same delivery for as long as it is tried.
    fn mood(&mut self, request: &Request, moods: &mut fastrand::Rng) -> (Answer, Behaviour) {
        let bad = self.bad.entry(request.header("webhook-id").to_owned());
        let bad = bad.or_default();
        let (answer, behaviour) = match moods.u32(..100) {
            _ if *bad == MOST_BAD => (Answer::Good, Behaviour::status(200)),
            0..15 => (Answer::Bad, Behaviour::status(500)),
            15..22 => (Answer::Bad, Behaviour::Reset),
            22..25 => (Answer::Stalled, Behaviour::Stall),
            _ => (Answer::Good, Behaviour::status(200)),
        };
        *bad += u32::from(answer != Answer::Good);
        (answer, behaviour)
    }

    fn note(&mut self, request: &Request, answer: Answer) {
        self.arrivals.push(Arrival {
            id: request.header("webhook-id").to_owned(),
            call: request.field("call_id"),
            attempt: request.header("webhook-attempt").parse().unwrap(),
            answer,
        });
    }
}
