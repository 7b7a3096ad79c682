//! What a running callflow needs of the house: where its webhooks go, and where callflows and hooks are found.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;

use super::action::WebhookAction;
use crate::call::Accounts;
use crate::hook::Hook;

/// A callflow that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFlow {
    /// Its id.
    pub id: Arc<str>,
    /// Its `flow`, as its owner wrote it.
    pub flow: Value,
}

/// What came of the first attempt of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// Whether it arrived.
    pub success: bool,
    /// The status of an HTTP answer.
    pub status: Option<u16>,
    /// The answer's body, at most 64 KiB of it; only a GET's is looked at.
    pub body: Bytes,
    /// How long the request took.
    pub duration: Duration,
}

/// Why the house cannot do it now. The call goes on without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeskError(pub String);

/// The house, as a callflow sees it.
pub trait Desk: Send + Sync + 'static {
    /// Puts an action into the store; when this returns it is committed, and delivery goes on by itself
    /// whatever becomes of the call. The answer of the first attempt comes through the channel; nobody may
    /// be waiting for it any more. Where there will be none, the channel is closed.
    fn queue(
        &self,
        action: WebhookAction,
    ) -> impl Future<Output = Result<oneshot::Receiver<WebhookAnswer>, DeskError>> + Send;

    /// The accounts as they are now.
    fn accounts(&self) -> Arc<Accounts>;

    /// A stored hook.
    fn hook(&self, account_id: &str, id: &str) -> Option<Arc<Hook>>;

    /// A stored callflow.
    fn callflow(
        &self,
        account_id: &str,
        id: &str,
    ) -> impl Future<Output = Result<Option<StoredFlow>, DeskError>> + Send;

    /// The callflow that has this number, else the account's `no_match` callflow.
    fn callflow_for_number(
        &self,
        account_id: &str,
        number: &str,
    ) -> impl Future<Output = Result<Option<StoredFlow>, DeskError>> + Send;
}
