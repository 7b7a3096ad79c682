//! Documents in the one form in which two that say the same are the same.

use serde_json::json;
use switchhook::hook::{Document, Settings};

/// A webhook with every default filled in, as the daemon shows it: two that say the same are the same then.
pub(super) fn webhook_filled_in(document: &Document) -> Document {
    let mut written = document.clone();
    let secret = written.shift_remove("secret");
    let mut full = match Settings::read(&written) {
        Ok(settings) => {
            let mut full = settings.filled_in(&written);
            full.insert("enabled".into(), json!(settings.enabled));
            full
        }
        // Stored by another version. It differs from whatever is wanted instead of it.
        Err(_) => written,
    };
    if let Some(secret) = secret {
        full.insert("secret".into(), secret);
    }
    full
}

/// A callflow or an account with its defaults filled in.
pub(super) fn numbered_filled_in(document: &Document) -> Document {
    let mut full = document.clone();
    full.entry("numbers").or_insert_with(|| json!([]));
    full
}

/// A webhook without what goes without saying.
pub(super) fn webhook_without_defaults(document: &Document) -> Document {
    let full = webhook_filled_in(document);
    let mut short = document.clone();
    for field in document.keys() {
        let mut shorter = short.clone();
        shorter.shift_remove(field);
        if webhook_filled_in(&shorter) == full {
            short = shorter;
        }
    }
    short
}
