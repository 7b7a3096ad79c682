//! The live feed: what happens now, for those who watch, and the last thousand for those who come back.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::activity::{Activity, Minute};
use crate::hook::{Delivery, Record, WebhookId};
use crate::store::attempts::{Attempt, AttemptResult};
use crate::store::stats::Outcome;
use crate::time::{Clock, Timestamp};
use crate::trigger::Trigger;

/// Items that are remembered.
const REMEMBERED: usize = 1_000;
/// Items that wait for one watcher before he is dropped. What is remembered fits in.
const PATIENCE: usize = 2 * REMEMBERED;

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Item {
    /// Ascending, also over restarts.
    pub(super) id: i64,
    /// The account that may see it.
    pub(super) account_id: Arc<str>,
    what: What,
}

/// What happened, as JSON only when somebody is shown it: mostly nobody watches.
#[derive(Debug)]
enum What {
    Fact {
        trigger: Trigger,
        at: Timestamp,
        call_id: Option<Arc<str>>,
        call_uuid: Option<Arc<str>>,
    },
    Delivery {
        about: About,
        skipped: bool,
    },
    Attempt {
        about: About,
        made: Made,
    },
}

/// What is said of a delivery. Nothing of its payload: whoever may see that reads the attempts.
#[derive(Debug)]
struct About {
    trigger: Trigger,
    hook_id: Arc<str>,
    webhook_id: WebhookId,
    call_id: Option<Arc<str>>,
    occurred_at: Timestamp,
}

/// What is said of an attempt.
#[derive(Debug)]
struct Made {
    at: Timestamp,
    result: AttemptResult,
    attempt: u32,
    retries_left: u32,
    status: Option<u16>,
    reason: Option<Cow<'static, str>>,
    client_error: Option<Cow<'static, str>>,
    duration: Duration,
}

impl Item {
    /// `fact`, `delivery` or `attempt`.
    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::Fact { .. } => "fact",
            What::Delivery { .. } => "delivery",
            What::Attempt { .. } => "attempt",
        }
    }

    /// What happened.
    pub(super) fn data(&self) -> Value {
        match &self.what {
            What::Fact {
                trigger,
                at,
                call_id,
                call_uuid,
            } => json!({
                "hook_event": trigger.id(),
                "account_id": &*self.account_id,
                "call_id": call_id.as_deref(),
                "call_uuid": call_uuid.as_deref(),
                "timestamp": at.gregorian(),
                "occurred_at": utc(*at),
            }),
            What::Delivery { about, skipped } => {
                let mut data = self.about(about);
                data["skipped"] = json!(skipped);
                data
            }
            What::Attempt { about, made } => {
                let mut data = self.about(about);
                data["timestamp"] = json!(made.at.gregorian());
                data["result"] = json!(made.result.id());
                data["attempt"] = json!(made.attempt);
                data["retries_left"] = json!(made.retries_left);
                data["resp_status_code"] = json!(made.status.map(|code| code.to_string()));
                data["reason"] = json!(made.reason);
                data["client_error"] = json!(made.client_error);
                data["duration_ms"] = json!(made.duration.as_millis() as u64);
                data
            }
        }
    }

    fn about(&self, about: &About) -> Value {
        json!({
            "hook_event": about.trigger.id(),
            "account_id": &*self.account_id,
            "hook_id": &*about.hook_id,
            "webhook_id": about.webhook_id.to_string(),
            "call_id": about.call_id.as_deref(),
            "occurred_at": utc(about.occurred_at),
        })
    }
}

impl About {
    fn of(delivery: &Delivery) -> Self {
        Self {
            trigger: delivery.trigger,
            hook_id: Arc::clone(&delivery.hook_id),
            webhook_id: delivery.webhook_id,
            call_id: delivery.call_id.clone(),
            occurred_at: delivery.occurred_at,
        }
    }
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
            &record.account_id,
            What::Fact {
                trigger: record.trigger,
                at: record.at,
                call_id: record.call_id.clone(),
                call_uuid: record.call_uuid.clone(),
            },
        );
        for delivery in &record.deliveries {
            let what = What::Delivery {
                about: About::of(delivery),
                skipped: delivery.skipped,
            };
            inside.push(&delivery.account_id, what);
        }
    }

    /// An attempt was made, or it was decided that none is made.
    pub fn attempted(&self, delivery: &Delivery, attempt: &Attempt) {
        self.activity.count(&Outcome {
            queue: delivery.queue,
            at: attempt.at,
            result: attempt.result,
        });
        let what = What::Attempt {
            about: About::of(delivery),
            made: Made {
                at: attempt.at,
                result: attempt.result,
                attempt: attempt.attempt,
                retries_left: attempt.retries_left,
                status: attempt.status,
                reason: attempt.reason.clone(),
                client_error: attempt.client_error.clone(),
                duration: attempt.duration,
            },
        };
        self.lock().push(&delivery.account_id, what);
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
    fn push(&mut self, account_id: &Arc<str>, what: What) {
        self.last_id += 1;
        let item = Arc::new(Item {
            id: self.last_id,
            account_id: Arc::clone(account_id),
            what,
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

fn utc(at: Timestamp) -> String {
    at.rfc3339(&jiff::tz::TimeZone::UTC)
}
