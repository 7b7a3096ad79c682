//! The house as a callflow sees it: actions go into the same store and delivery as every hook's events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::api::Feed;
use crate::call::Accounts;
use crate::callflow::{Desk, DeskError, StoredFlow, WebhookAction, WebhookAnswer};
use crate::delivery::Seen;
use crate::hook::{Hook, Router, WebhookId};
use crate::registry::Registry;
use crate::store::attempts::AttemptResult;
use crate::store::{Intake, Store, StoreError, callflows};
use crate::time::Clock;

/// The calls that wait for the first answer to an action.
///
/// A std mutex: it is held for a look-up, never across an await.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<WebhookId, oneshot::Sender<WebhookAnswer>>>>);

impl Waiting {
    fn wait_for(&self, id: WebhookId) -> oneshot::Receiver<WebhookAnswer> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.0.lock().expect("no panic while it is held");
        // Calls that have gone on by themselves.
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.insert(id, sender);
        answer
    }

    /// An attempt was made: whoever waits for it is told.
    pub(super) fn attempted(&self, seen: &Seen<'_>) {
        let mut waiting = self.0.lock().expect("no panic while it is held");
        let Some(sender) = waiting.remove(&seen.delivery.webhook_id) else {
            return;
        };
        // The call may have gone on meanwhile.
        let _ = sender.send(WebhookAnswer {
            success: seen.attempt.result == AttemptResult::Success,
            status: seen.attempt.status,
            body: seen.body.clone(),
            duration: seen.attempt.duration,
        });
    }
}

/// What stands behind a running callflow.
pub(super) struct House {
    pub(super) registry: Arc<Registry>,
    pub(super) router: Router,
    pub(super) store: Store,
    pub(super) feed: Feed,
    pub(super) waiting: Waiting,
    pub(super) clock: Clock,
}

impl Desk for House {
    async fn queue(
        &self,
        action: WebhookAction,
    ) -> Result<oneshot::Receiver<WebhookAnswer>, DeskError> {
        let mut record = action.record(&self.router, &self.registry.accounts());
        record.due_by(self.clock.now());
        let Some(own) = record.deliveries.first() else {
            return Err(DeskError("the action has no delivery of its own".into()));
        };
        let answer = self.waiting.wait_for(own.webhook_id);
        self.feed.recorded(&record);
        let (committed, commit) = oneshot::channel();
        let mut intake = Intake::from(record);
        intake.committed = Some(committed);
        self.store
            .offer(intake)
            .map_err(|_| DeskError("the store is full: it takes nothing just now".into()))?;
        match commit.await {
            Ok(()) => Ok(answer),
            Err(_) => Err(DeskError("the store could not keep the action".into())),
        }
    }

    fn accounts(&self) -> Arc<Accounts> {
        self.registry.accounts()
    }

    fn hook(&self, account_id: &str, id: &str) -> Option<Arc<Hook>> {
        self.registry.index().get(account_id, id)
    }

    async fn callflow(&self, account_id: &str, id: &str) -> Result<Option<StoredFlow>, DeskError> {
        let (account_id, id) = (account_id.to_owned(), id.to_owned());
        let found = self
            .store
            .read(move |connection| callflows::get(connection, &account_id, &id));
        found.await.map(|found| found.map(flow_of)).map_err(said)
    }

    async fn callflow_for_number(
        &self,
        account_id: &str,
        number: &str,
    ) -> Result<Option<StoredFlow>, DeskError> {
        let (account_id, number) = (account_id.to_owned(), number.to_owned());
        let found = self
            .store
            .read(move |connection| callflows::by_number(connection, &account_id, &number));
        found.await.map(|found| found.map(flow_of)).map_err(said)
    }
}

fn flow_of(mut found: callflows::StoredCallflow) -> StoredFlow {
    StoredFlow {
        id: found.id,
        flow: found.document.remove("flow").unwrap_or_default(),
    }
}

fn said(error: StoreError) -> DeskError {
    DeskError(error.to_string())
}
