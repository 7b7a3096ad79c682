//! The legs that are alive, for people: what a payload would say of each, read from what is remembered.

use std::sync::Arc;

use super::account::Accounts;
use super::book::Book;
use super::fact::Payload;
use super::payload::payload;
use super::teller::Moment;
use crate::time::Timestamp;

/// A leg that is alive.
#[derive(Debug)]
pub struct Living {
    /// The account that it belongs to.
    pub account_id: Arc<str>,
    /// When it came into being.
    pub created: Timestamp,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// Since when it is on hold.
    pub held: Option<Timestamp>,
    /// What every payload of it has.
    pub payload: Payload,
}

/// The legs of [`Tracker::changed`](super::Tracker::changed), as they are stored: Unique-ID and state of each,
/// oldest first. What cannot be read is left out; a restart says so.
pub fn living<'a>(
    legs: impl IntoIterator<Item = (&'a str, &'a str)>,
    accounts: &Accounts,
) -> Vec<Living> {
    let mut book = Book::default();
    for (uuid, state) in legs {
        // Left out.
        let _ = book.restore(uuid, state);
    }
    let moment = Moment {
        at: Timestamp(0),
        sequence: 0,
        core_uuid: Arc::default(),
        switch: None,
        reconciled: false,
    };
    // A switch's clock stands still while it does several things: an elder is as old as the leg it begins.
    let mut legs: Vec<_> = (book.legs.values())
        .filter_map(|leg| Some((leg, book.calls.get(&leg.call)?)))
        .collect();
    legs.sort_by_key(|(leg, call)| (leg.created, leg.uuid != call.root, &leg.uuid));
    legs.into_iter()
        .map(|(leg, call)| {
            let account = leg.account.as_ref().or(call.account.as_ref());
            let account_id = account.map_or_else(|| accounts.fallback(), Arc::clone);
            Living {
                created: leg.created,
                answered: leg.answered,
                held: leg.held,
                payload: payload(leg, call, Arc::clone(&account_id), &moment),
                account_id,
            }
        })
        .collect()
}
