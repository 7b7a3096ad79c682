//! SQLite: what happened, what is to be sent and what came of it, and everything that is managed over REST.
//!
//! One thread writes ([`Store::offer`], [`Store::settle`], [`Store::write`]), a few connections read
//! ([`Store::read`]). Something is acknowledged when it is committed and not before. The functions that are
//! called inside of `write` and `read` stand in the module of their subject: [`hooks`], [`deliveries`] …

pub mod accounts;
mod ad_hoc;
pub mod attempts;
mod backlog;
mod backup;
pub mod callflows;
pub mod channels;
mod checkpoint;
pub mod deliveries;
mod error;
pub mod events;
pub mod finished;
mod health;
pub mod hooks;
mod inspect;
mod open;
mod outcomes;
mod queue;
mod readers;
mod restore;
mod retention;
mod schema;
pub mod stats;
pub mod timeline;
pub mod tokens;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

pub use backup::{Backup, back_up};
pub use channels::ChannelChange;
pub use error::StoreError;
pub use health::{StoreHealth, StoreStats};
pub use inspect::{in_use, inspect, look};
pub use outcomes::{Next, Outcome, Settled};
pub use restore::{Restored, restore};
pub use writer::Tx;

use crate::hook::{Delivery, Record};
use crate::time::{Clock, Timestamp};
use backlog::Backlog;
use checkpoint::Checkpoints;
use queue::{Operation, Queue};
use readers::Readers;
use retention::{Limits, Retention};
use timeline::Step;
use writer::{Ids, Work, Writer};

/// How long [`Store::oldest_pending`] looks.
const OLDEST_WITHIN: Duration = Duration::from_millis(500);

/// What a committed transaction survives (`[store] durability`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A crash of this process (`synchronous = NORMAL`).
    #[default]
    Process,
    /// A loss of power too (`synchronous = FULL`).
    Power,
}

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The database file; its directory is made where it is missing.
    pub path: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// How many reads may run at once; at least 1.
    pub readers: usize,
    /// How many records may wait for their commit.
    pub queue_records: usize,
    /// How many bytes they may take.
    pub queue_bytes: usize,
    /// How long finished deliveries and attempts are kept.
    pub retention: Duration,
    /// How many attempts are kept, and how many deliveries beside those that are pending.
    pub max_attempts_rows: u64,
    /// A transaction that takes longer than this is a stall: [`StoreHealth::stalled_since`].
    pub stall_timeout: Duration,
    /// How long [`Store::write`] waits for its turn.
    pub write_timeout: Duration,
    /// How long [`Store::close`] goes on trying to commit what is left.
    pub close_timeout: Duration,
}

impl StoreConfig {
    /// The default settings with the database at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            readers: 4,
            queue_records: 10_000,
            queue_bytes: 32 << 20,
            retention: Duration::from_secs(7 * 86_400),
            max_attempts_rows: 5_000_000,
            stall_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// What one event of the switch leaves in the store: committed together or not at all.
#[derive(Debug, Default)]
pub struct Intake {
    /// What happened, with what is to be sent of it.
    pub records: Vec<Record>,
    /// What the call model wants to remember of the legs.
    pub channels: Vec<ChannelChange>,
    /// What was seen, for the timeline of its call.
    pub steps: Vec<Step>,
    /// Told when all of it is committed; dropped where it never will be.
    pub committed: Option<oneshot::Sender<()>>,
}

impl From<Record> for Intake {
    fn from(record: Record) -> Self {
        Self {
            records: vec![record],
            ..Self::default()
        }
    }
}

impl Intake {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.channels.is_empty() && self.steps.is_empty()
    }

    /// What it counts for in the bounded queue: records and bytes.
    fn size(&self) -> (usize, usize) {
        let states = self.channels.iter().map(|change| {
            size_of::<ChannelChange>()
                + change.uuid.len()
                + change.state.as_ref().map_or(0, |state| state.len())
        });
        let bytes = self.records.iter().map(Record::weight).sum::<usize>()
            + states.sum::<usize>()
            + self.steps.iter().map(Step::weight).sum::<usize>();
        (self.records.len().max(1), bytes)
    }

    /// Says of each event in it that it is lost.
    fn mourn(&self, reason: &str) {
        for record in &self.records {
            error!(
                trigger = record.trigger.id(),
                call_id = record.call_id.as_deref().map(tracing::field::display),
                deliveries = record.deliveries.len(),
                "an event is lost, it could not be written: {reason}"
            );
        }
        for change in &self.channels {
            error!(
                call_id = %change.uuid,
                "the state of a leg could not be written, the next reconciliation finds it: {reason}"
            );
        }
    }
}

/// A store that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// The handle, to be cloned.
    pub store: Store,
    /// What was committed and may be sent, in order, a list for each transaction. Unbounded, because the
    /// writer must not wait: whoever takes it has to keep up.
    pub committed: mpsc::UnboundedReceiver<Vec<Delivery>>,
    /// What became of the outcomes, in order: each is answered, also the one that could not be written.
    pub settled: mpsc::UnboundedReceiver<Vec<Settled>>,
}

/// The handle on the store. Its clones are the same store; it lives until [`Store::close`], or until the last
/// of them is gone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    config: StoreConfig,
    queue: Arc<Queue>,
    gauge: Arc<health::Gauge>,
    limits: Arc<Limits>,
    readers: Arc<Readers>,
    writer: Mutex<Option<JoinHandle<usize>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.config.path.display())
    }
}

impl Store {
    /// Opens the database, makes or migrates its tables, and starts the writer. Blocks for as long as that
    /// takes.
    ///
    /// # Errors
    /// The file is not ours to use, in which case it is left as it was, or SQLite refuses it.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Opened, StoreError> {
        let (conn, lock) = open::writer(&config.path, config.durability)?;
        accounts::make_default(&conn, clock.now())?;
        let ids = Ids::load(&conn)?;
        let backlog = Backlog::load(&conn)?;
        let queue = Arc::new(Queue::new(&config));
        let gauge = Arc::new(health::Gauge::default());
        gauge.changed(&[], &backlog);
        let limits = Arc::new(Limits::new(config.retention, config.max_attempts_rows));
        let checkpoints = Checkpoints::start(&config.path)?;
        let (committed_to, committed) = mpsc::unbounded_channel();
        let (settled_to, settled) = mpsc::unbounded_channel();
        let writer = Writer {
            conn,
            queue: Arc::clone(&queue),
            gauge: Arc::clone(&gauge),
            clock,
            ids,
            backlog,
            retention: Retention::new(Arc::clone(&limits)),
            committed: committed_to,
            settled: settled_to,
            checkpoints,
            lock,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(StoreError::Thread)?;
        let readers = Arc::new(Readers::new(config.path.clone(), config.readers));
        let store = Self(Arc::new(Inner {
            config,
            queue,
            gauge,
            limits,
            readers,
            writer: Mutex::new(Some(thread)),
        }));
        Ok(Opened {
            store,
            committed,
            settled,
        })
    }

    /// Hands in what happened. Never waits: this is the path on which the socket is read.
    ///
    /// # Errors
    /// Gives it back where the queue is full ([`Store::room_for`] says when it no longer is) or the store closed.
    pub fn offer(&self, intake: impl Into<Intake>) -> Result<(), Intake> {
        self.0.queue.offer(intake.into())
    }

    /// Waits until there is room for more, or until the store is closed: to be used with a bound.
    pub async fn room(&self) {
        self.0.queue.room().await;
    }

    /// Waits until there is room for `intake`, or until the store is closed: to be used with a bound. The end of
    /// all channels of a switch is one intake, which may need the whole queue for itself.
    pub async fn room_for(&self, intake: &Intake) {
        let (records, bytes) = intake.size();
        self.0.queue.room_for(records, bytes).await;
    }

    /// Hands in what came of a delivery. Never waits and is never refused for want of room: requests in
    /// flight are bounded, so outcomes are. Is answered in [`Opened::settled`] when it is committed or refused.
    pub fn settle(&self, outcome: Outcome) {
        if let Err(outcome) = self.0.queue.push_outcome(outcome) {
            error!(
                delivery = outcome.delivery,
                "an outcome came after the store was closed: the delivery will be sent again after the start"
            );
        }
    }

    /// Does `work` in a transaction and answers after its commit. It may be run more than once, each time
    /// from the beginning, where a transaction has to be repeated.
    ///
    /// # Errors
    /// Those of `work`, which is then rolled back; [`StoreError::Busy`] where its turn did not come in time
    /// ([`StoreConfig::write_timeout`]), in which case it will not be done; or the store is closed.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let timeout = self.0.config.write_timeout;
        let job = Work {
            work,
            result: None,
            answer,
            // Begun a little before we stop waiting, so that what is done is also answered.
            start_by: Instant::now() + timeout * 9 / 10,
        };
        self.0
            .queue
            .push(Operation::Write(Box::new(job)))
            .map_err(|_| StoreError::Closed)?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Closed),
            Err(_) => Err(StoreError::Busy),
        }
    }

    /// The same, however often it takes and whoever waits: behind a write whose answer did not come in time this
    /// says what came of it. `None` where the store was closed; `what` is said where SQLite refuses it.
    pub async fn write_at_last<T, F>(&self, what: &str, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        loop {
            match self.write(work.clone()).await {
                Ok(done) => return Some(done),
                Err(StoreError::Closed) => return None,
                Err(StoreError::Busy) => {}
                Err(error) => {
                    warn!("{what}, trying again: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Does `read` on a blocking thread, in a snapshot that holds everything that was acknowledged before.
    ///
    /// # Errors
    /// Those of `read`, or the store is closed.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.0.readers.read(read).await
    }

    /// When that happened which the oldest pending delivery is about; `None` where none is pending. Looks at a
    /// few rows, however many are pending, and waits for them half a second at most.
    ///
    /// # Errors
    /// SQLite's; [`StoreError::Busy`] where other reads keep it waiting; or the store is closed.
    pub async fn oldest_pending(&self) -> Result<Option<Timestamp>, StoreError> {
        let look = async {
            while let Some(rows) = self.0.gauge.oldest() {
                let oldest = self
                    .read(move |conn| deliveries::oldest(conn, &rows))
                    .await?;
                if oldest.is_some() {
                    return Ok(oldest);
                }
                // It ended between the two looks: another one is the oldest now.
            }
            Ok(None)
        };
        let found = tokio::time::timeout(OLDEST_WITHIN, look).await;
        found.unwrap_or(Err(StoreError::Busy))
    }

    /// What the writer has measured.
    pub fn stats(&self) -> &StoreStats {
        &self.0.gauge.stats
    }

    /// Keeps finished deliveries and attempts for as long, and so many of them, from now on:
    /// [`StoreConfig::retention`] and [`StoreConfig::max_attempts_rows`].
    pub fn keep(&self, retention: Duration, max_attempts_rows: u64) {
        self.0.limits.set(retention, max_attempts_rows);
    }

    /// How the store is.
    pub fn health(&self) -> StoreHealth {
        let (waiting, queued, queued_bytes) = self.0.queue.load();
        let path = &self.0.config.path;
        StoreHealth {
            waiting,
            queued,
            queued_bytes,
            database_bytes: file_bytes(path),
            wal_bytes: file_bytes(&open::beside(path, "-wal")),
            ..self.0.gauge.read(self.0.config.stall_timeout)
        }
    }

    /// Lets nothing more in but outcomes, commits what is there, and ends the writer. Takes
    /// [`StoreConfig::close_timeout`] at most, and a transaction.
    ///
    /// # Errors
    /// The database was stalled until the end: how many operations are lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.0.readers.close();
        self.0
            .queue
            .close(Instant::now() + self.0.config.close_timeout);
        let thread = self
            .0
            .writer
            .lock()
            .expect("no panic while it is held")
            .take();
        let Some(thread) = thread else {
            return Ok(());
        };
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(left)) => Err(StoreError::Abandoned(left)),
            Ok(Err(_)) | Err(_) => Err(StoreError::Panicked),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer commits what is there and ends by itself.
        self.queue.close(Instant::now() + self.config.close_timeout);
    }
}

/// Carries a change to its end, also where whoever asked for it does not wait.
pub(crate) async fn in_own_task<T: Send + 'static>(
    change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Panicked),
    }
}

/// The size of a file; 0 where there is none, as with a log that was just moved into the database.
fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
