//! The live feed: what happens now, for those who watch, and the last thousand for those who come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::activity::{Activity, Minute};
use crate::hook::{Delivery, Record};
use crate::store::attempts::Attempt;
use crate::store::stats::Outcome;
use crate::time::{Clock, Timestamp};

/// Items that are remembered.
const REMEMBERED: usize = 1_000;
/// Items that wait for one watcher before he is dropped. What is remembered fits in.
const PATIENCE: usize = 2 * REMEMBERED;

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Item {
    /// Ascending, also over restarts.
    pub(super) id: i64,
    /// `fact`, `delivery` or `attempt`.
    pub(super) kind: &'static str,
    /// The account that may see it.
    pub(super) account_id: Arc<str>,
    /// What happened.
    pub(super) data: Value,
}

#[derive(Debug)]
struct Watcher {
    items: mpsc::Sender<Arc<Item>>,
    hang_up: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inside {
    last_id: i64,
    past: VecDeque<Arc<Item>>,
    watchers: Vec<Watcher>,
}

/// Shows what happens to whoever watches `/v2/events`. Its clones are the same feed. It never waits: a
/// watcher who does not keep up is dropped, and his connection is closed.
///
/// A std mutex: it is held for a push, never across an await.
#[derive(Debug, Clone)]
pub struct Feed {
    inside: Arc<Mutex<Inside>>,
    activity: Activity,
}

impl Feed {
    /// A feed that begins now.
    pub fn new(clock: &Clock) -> Self {
        let inside = Inside {
            // Ids of this run are above those of any run before it.
            last_id: clock.now().0,
            ..Inside::default()
        };
        Self {
            inside: Arc::new(Mutex::new(inside)),
            activity: Activity::default(),
        }
    }

    /// Counts what was attempted before the daemon was started, so that a hook's last hour goes on.
    pub fn remember(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            self.activity.count(outcome);
        }
    }

    /// The last hour of a hook, by the number of its queue: succeeded and failed attempts of each minute, oldest
    /// first; empty where there were none.
    pub(super) fn last_hour(&self, queue: i64, now: Timestamp) -> Vec<Minute> {
        self.activity.of(queue, now)
    }

    /// Something happened that somebody wants: the fact, and each delivery of it.
    pub fn recorded(&self, record: &Record) {
        let mut inside = self.lock();
        inside.push(
            "fact",
            &record.account_id,
            json!({
                "hook_event": record.trigger.id(),
                "account_id": &*record.account_id,
                "call_id": record.call_id.as_deref(),
                "call_uuid": record.call_uuid.as_deref(),
                "timestamp": record.at.gregorian(),
                "occurred_at": utc(record.at),
            }),
        );
        for delivery in &record.deliveries {
            let mut data = about(delivery);
            data["skipped"] = json!(delivery.skipped);
            inside.push("delivery", &delivery.account_id, data);
        }
    }

    /// An attempt was made, or it was decided that none is made.
    pub fn attempted(&self, delivery: &Delivery, attempt: &Attempt) {
        let mut data = about(delivery);
        data["timestamp"] = json!(attempt.at.gregorian());
        data["result"] = json!(attempt.result.id());
        data["attempt"] = json!(attempt.attempt);
        data["retries_left"] = json!(attempt.retries_left);
        data["resp_status_code"] = json!(attempt.status.map(|code| code.to_string()));
        data["reason"] = json!(attempt.reason);
        data["client_error"] = json!(attempt.client_error);
        data["duration_ms"] = json!(attempt.duration.as_millis() as u64);
        self.activity.count(&Outcome {
            queue: delivery.queue,
            at: attempt.at,
            result: attempt.result,
        });
        self.lock().push("attempt", &delivery.account_id, data);
    }

    /// What comes from now on, behind what is remembered after the item `last_id`, if that is given.
    /// `hang_up` is called when the watcher has not kept up.
    pub(super) fn watch(
        &self,
        last_id: Option<i64>,
        hang_up: Arc<Notify>,
    ) -> mpsc::Receiver<Arc<Item>> {
        let (sender, receiver) = mpsc::channel(PATIENCE);
        let mut inside = self.lock();
        if let Some(last_id) = last_id {
            for item in inside.past.iter().filter(|item| item.id > last_id) {
                // There is room for all that is remembered.
                let _ = sender.try_send(Arc::clone(item));
            }
        }
        inside.watchers.push(Watcher {
            items: sender,
            hang_up,
        });
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no panic while it is held")
    }
}

impl Inside {
    fn push(&mut self, kind: &'static str, account_id: &Arc<str>, data: Value) {
        self.last_id += 1;
        let item = Arc::new(Item {
            id: self.last_id,
            kind,
            account_id: Arc::clone(account_id),
            data,
        });
        self.watchers
            .retain(|watcher| match watcher.items.try_send(Arc::clone(&item)) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    watcher.hang_up.notify_one();
                    false
                }
            });
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(item);
    }
}

/// What is said of a delivery. Nothing of its payload: whoever may see that reads the attempts.
fn about(delivery: &Delivery) -> Value {
    json!({
        "hook_event": delivery.trigger.id(),
        "account_id": &*delivery.account_id,
        "hook_id": &*delivery.hook_id,
        "webhook_id": delivery.webhook_id.to_string(),
        "call_id": delivery.call_id.as_deref(),
        "occurred_at": utc(delivery.occurred_at),
    })
}

fn utc(at: Timestamp) -> String {
    at.rfc3339(&jiff::tz::TimeZone::UTC)
}
