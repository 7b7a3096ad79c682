//! What a hook is, which facts it wants, and what is sent to it.
//!
//! A hook is kept as the document its owner wrote (unknown keys included, as Kazoo does) beside the
//! [`Settings`] read from it once. It knows nothing of sockets or HTTP clients.

mod delivery;
mod filter;
mod index;
mod render;
mod samples;
mod secret;
mod settings;
mod target;

use std::sync::Arc;

use serde_json::{Map, json};

pub use delivery::{Delivery, Record, WebhookId, hash63};
pub use filter::{Modifier, NumberPattern, Verdict};
pub use index::{Index, Router};
pub use render::form_encode;
pub use samples::{sample, sample_payload};
pub use secret::{BadSecret, Secret, Secrets};
pub use settings::{
    Format, MOST_CUSTOM_DATA, MOST_HEADERS, Mistakes, Ordering, RateLimit, Settings, Verb,
};
pub use target::{NatsLogin, NatsTarget, meant_uri, shown_uri};

use crate::time::Timestamp;

/// A JSON object as its owner wrote it.
pub type Document = Map<String, serde_json::Value>;

/// One webhook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its row in the store, which is also the number of its queue. Negative for a hook that exists only
    /// for one call or one callflow action.
    pub key: i64,
    /// Its id in the API: 32 hexadecimal digits, as Kazoo's.
    pub id: Arc<str>,
    /// The account it belongs to.
    pub account_id: Arc<str>,
    /// What its owner wrote, without the secret.
    pub document: Document,
    /// What the document says, defaults filled in.
    pub settings: Settings,
    /// Why it was switched off by us; `None` while it is on or where its owner switched it off.
    pub disable_reason: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// What its requests are signed with.
    pub secrets: Secrets,
}

impl Hook {
    /// Whether events are sent to it.
    pub fn is_on(&self) -> bool {
        self.settings.enabled && self.disable_reason.is_none()
    }

    /// The hook as the API shows it: the owner's document with defaults filled in and the read-only fields,
    /// never the secret, nor a password in a URI.
    pub fn view(&self) -> Document {
        let mut view = self.settings.filled_in(&self.document);
        for (field, uri) in self.settings.uris() {
            if target::has_login(uri) {
                view.insert(field.into(), json!(shown_uri(uri)));
            }
        }
        view.insert("id".into(), json!(&*self.id));
        view.insert("enabled".into(), json!(self.is_on()));
        view.insert("created".into(), json!(self.created.gregorian()));
        view.insert("modified".into(), json!(self.modified.gregorian()));
        if let Some(reason) = &self.disable_reason {
            view.insert("disable_reason".into(), json!(reason));
        }
        view.insert("has_secret".into(), json!(self.secrets.is_set()));
        view
    }

    /// The few fields of a listing.
    pub fn summary(&self) -> Document {
        const SHOWN: &[&str] = &[
            "id",
            "name",
            "description",
            "hook",
            "uri",
            "http_verb",
            "enabled",
        ];
        let mut view = self.view();
        let mut summary = Document::new();
        for field in SHOWN.iter().chain(&["disable_reason"]) {
            if let Some(value) = view.remove(*field) {
                summary.insert((*field).into(), value);
            }
        }
        summary
    }
}
