//! A call's timeline put together: what was seen, what it was taken for, what was sent and what came back.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;

use super::told::{self, Told};
use crate::call::{Fact, Payload};
use crate::hook::{Delivery, Document};
use crate::store::attempts::{self, LoggedAttempt};
use crate::store::deliveries::{self, State};
use crate::store::events::{self, LoggedEvent};
use crate::store::{StoreError, timeline};
use crate::time::Timestamp;

/// What is known of a call.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// In the order in which it became known.
    pub entries: Vec<Entry>,
}

/// One event, and what it was taken for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The switch's name of the event; `reconciled` for what was worked out, and `None` for a fact whose event
    /// was not written down: it came from elsewhere, or `[events] timeline` was off.
    pub event: Option<Box<str>>,
    /// When it happened, by the switch's clock.
    pub at: Timestamp,
    /// When it was written down, by ours.
    pub recorded_at: Timestamp,
    /// `Event-Sequence`; 0 where it was worked out.
    pub sequence: u64,
    /// The leg.
    pub call_id: Arc<str>,
    /// The call's root leg, where it was known.
    pub call_uuid: Option<Arc<str>>,
    /// Whose call it is, where it was known.
    pub account_id: Option<Arc<str>>,
    /// A few of its headers.
    pub about: Document,
    /// What it was taken for.
    pub facts: Vec<Told>,
}

/// What was sent of a fact to one hook.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What was to be sent.
    pub delivery: Delivery,
    /// How it stands.
    pub state: State,
    /// Each try, oldest first.
    pub attempts: Vec<LoggedAttempt>,
}

impl Timeline {
    /// What is known of the call that `call` is a leg of.
    ///
    /// # Errors
    /// SQLite's, or a row that cannot be read.
    pub fn of_call(conn: &Connection, call: &str) -> Result<Self, StoreError> {
        let mut entries = Vec::new();
        let mut calls = BTreeSet::from([Arc::<str>::from(call)]);
        for logged in timeline::of_call(conn, call)? {
            let damaged = |error| StoreError::damaged("timeline", logged.id, error);
            let facts = told::read(&logged).map_err(damaged)?;
            let step = &logged.step;
            let about = match step.about.is_empty() {
                true => Document::new(),
                false => serde_json::from_str(&step.about).map_err(damaged)?,
            };
            calls.extend(step.call_uuid.clone());
            entries.push(Entry {
                event: Some(step.event.clone()),
                at: step.at,
                recorded_at: logged.recorded_at,
                sequence: step.sequence,
                call_id: Arc::clone(&step.call_id),
                call_uuid: step.call_uuid.clone(),
                account_id: step.account_id.clone(),
                about,
                facts,
            });
        }
        let mut known = BTreeSet::new();
        for call in &calls {
            for event in events::of_call(conn, call)? {
                if known.insert(event.id) {
                    let sent = sent(conn, &event)?;
                    add(&mut entries, event, sent);
                }
            }
        }
        entries.sort_by_key(|entry| entry.recorded_at);
        Ok(Self { entries })
    }
}

fn sent(conn: &Connection, event: &LoggedEvent) -> Result<Vec<Sent>, StoreError> {
    let mut sent = Vec::new();
    for id in event.deliveries.clone() {
        let Some((delivery, state)) = deliveries::get(conn, id)? else {
            continue;
        };
        sent.push(Sent {
            delivery,
            state,
            attempts: attempts::of_delivery(conn, id)?,
        });
    }
    Ok(sent)
}

/// Adds what was sent of a fact to the fact; where that was not written down, it is known from the event.
fn add(entries: &mut Vec<Entry>, event: LoggedEvent, sent: Vec<Sent>) {
    let is_same = |fact: &Fact| {
        (fact.trigger, fact.sequence, fact.at) == (event.trigger, event.sequence, event.at)
            && fact.call_id == event.call_id
    };
    let facts = entries.iter_mut().flat_map(|entry| &mut entry.facts);
    let mut untold = facts.filter(|told| told.sent.is_empty() && is_same(&told.fact));
    if let Some(told) = untold.next() {
        told.sent = sent;
        return;
    }
    let Some(call_id) = event.call_id.clone() else {
        return;
    };
    let fact = Fact {
        trigger: event.trigger,
        at: event.at,
        core_uuid: event.core_uuid,
        sequence: event.sequence,
        account_id: Arc::clone(&event.account_id),
        call_id: event.call_id,
        call_uuid: event.call_uuid.clone(),
        internal_leg: false,
        call_type: None,
        numbers: Arc::default(),
        reconciled: false,
        twin: false,
        switch_event: None,
        subscription: None,
        payload: Payload::default(),
    };
    entries.push(Entry {
        event: None,
        at: event.at,
        recorded_at: event.recorded_at,
        sequence: event.sequence,
        call_id,
        call_uuid: event.call_uuid,
        account_id: Some(event.account_id),
        about: Document::new(),
        facts: vec![Told {
            fact,
            recorded_at: event.recorded_at,
            recorded: sent.len(),
            is_whole: false,
            sent,
        }],
    });
}
