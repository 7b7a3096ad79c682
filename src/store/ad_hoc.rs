//! A hook that nobody stored, kept in the row of its delivery.

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::hook::{Document, Hook, Secret, Secrets, Settings};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct Kept<D> {
    id: String,
    /// Read by SQL too: settling a delivery notes it in the attempt.
    account_id: String,
    document: D,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

pub(super) fn to_json(hook: &Hook) -> String {
    let kept = Kept {
        id: (*hook.id).into(),
        account_id: (*hook.account_id).into(),
        document: &hook.document,
        secret: hook.secrets.current.as_ref().map(Secret::reveal),
    };
    serde_json::to_string(&kept).expect("text keys into memory")
}

/// The hook in the row of the delivery `delivery`, whose queue is `key`.
pub(super) fn from_json(json: &str, delivery: i64, key: i64) -> Result<Hook, StoreError> {
    let damaged = |problem: String| StoreError::damaged("deliveries", delivery, problem);
    let kept: Kept<Document> = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
    let settings = Settings::read(&kept.document).map_err(|e| damaged(e.to_string()))?;
    let current = kept
        .secret
        .map(|text| Secret::parse(&text))
        .transpose()
        .map_err(|e| damaged(e.to_string()))?;
    Ok(Hook {
        key,
        id: kept.id.into(),
        account_id: kept.account_id.into(),
        document: kept.document,
        settings,
        disable_reason: None,
        created: Timestamp::default(),
        modified: Timestamp::default(),
        secrets: Secrets {
            current,
            previous: None,
        },
    })
}
