//! The door to the call model: events and snapshots of the switch in, facts out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::Accounts;
use super::book::{Book, Step};
use super::fact::Fact;
use super::leg::Reading;
use super::memory::RestoreError;
use super::needs::Wanted;
use super::snapshot::{ChannelRow, Snapshot};
use super::teller::{Moment, Teller};
use crate::esl::Event;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// Hangup cause of legs that a restart of the switch has ended.
const RESTARTED: &str = "SWITCH_RESTART";

/// What of the configuration (`[events]`) the call model needs.
#[derive(Debug, Clone)]
pub struct TrackerConfig {
    /// The channel variable that marks a click to call.
    pub click_to_call_variable: String,
    /// Channel variables for `custom_channel_vars`; a trailing `*` is a prefix.
    pub export_variables: Vec<String>,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            click_to_call_variable: "click_to_call".to_owned(),
            export_variables: Vec::new(),
        }
    }
}

/// The switch counts other sessions than are tracked, and does so for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// `Session-Count` of the switch.
    pub switch: u64,
    /// Legs that are tracked.
    pub tracked: u64,
}

/// Whose event an event of a channel was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The leg (`Unique-ID`).
    pub call_id: Arc<str>,
    /// The root leg of its call; `None` where the leg is not known, or not any more.
    pub call_uuid: Option<Arc<str>>,
    /// The call's account, as far as it is known.
    pub account_id: Option<Arc<str>>,
}

/// Knows every leg and call of one switch, and works out what happened to them.
///
/// Time is the switch's own: nothing here looks at a clock.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    wanted: Wanted,
    book: Book,
    core_uuid: Arc<str>,
    switch: Option<Arc<str>>,
    /// By how many sessions the last heartbeat differed.
    difference: i128,
}

impl Tracker {
    /// A tracker that knows nothing yet.
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            config,
            wanted: Wanted::default(),
            book: Book::default(),
            core_uuid: "".into(),
            switch: None,
            difference: 0,
        }
    }

    /// Says what somebody wants to be told from now on. Legs and calls are followed whether or not.
    pub fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// The event names and CUSTOM subclasses to subscribe for `wanted`: [`Wanted::events_needed`].
    pub fn events_needed(wanted: &Wanted) -> (BTreeSet<String>, BTreeSet<String>) {
        wanted.events_needed()
    }

    /// Whether a call had a subscription of its own (`switchhook_uri`) so far. From then on every trigger may
    /// be wanted, and its events are to be subscribed.
    pub fn met_subscription(&self) -> bool {
        self.book.met_subscription
    }

    /// Works out what an event means, and adds it to `facts`: first what happened to the leg, then what
    /// happened to its call. Says where the event belongs; `None` where it is of no channel.
    pub fn on_event(
        &mut self,
        event: &Event,
        accounts: &Accounts,
        facts: &mut Vec<Fact>,
    ) -> Option<Place> {
        let at = Timestamp(event.number("Event-Date-Timestamp").unwrap_or_default());
        self.meet_switch(event, at, accounts, facts);
        let name = event.name();
        let moment = Moment {
            at,
            sequence: event
                .number("Event-Sequence")
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or_default(),
            core_uuid: Arc::clone(&self.core_uuid),
            switch: self.switch.clone(),
            reconciled: false,
        };
        let reading = Reading {
            accounts,
            click_to_call_variable: &self.config.click_to_call_variable,
            export_variables: &self.config.export_variables,
        };
        let mut teller = Teller {
            wanted: &self.wanted,
            accounts,
            moment,
            facts,
        };
        let uuid = event.text("Unique-ID");
        let mut ended = false;
        if let (Some(step), Some(uuid)) = (Step::of(name), &uuid) {
            ended = self.book.read(step, uuid, event, &reading, &mut teller);
        }
        if let Some(wanted) = wanted_switch_event(&self.wanted, name, event) {
            let leg = uuid.as_deref().and_then(|uuid| self.book.legs.get(uuid));
            let call_id = match leg {
                Some(leg) => Some(Arc::clone(&leg.uuid)),
                None => uuid.as_deref().map(Into::into),
            };
            teller.tell_switch_event(wanted, event, call_id, leg);
        }
        let uuid = uuid?;
        let place = self.book.place(&uuid, accounts);
        if ended {
            self.book.bury(&uuid);
        }
        Some(place)
    }

    /// To be told when the switch is asked which channels are alive: a leg that is heard of after that is not
    /// ended because the answer does not list it.
    pub fn asks_for_channels(&mut self) {
        self.book.ask();
    }

    /// Compares what is remembered with what the switch says is alive, at `at` (of the same clock as the
    /// switch's). What is told of it is `reconciled` and has sequence 0.
    pub fn reconcile(
        &mut self,
        snapshot: &Snapshot,
        at: Timestamp,
        accounts: &Accounts,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(core) = &snapshot.core_uuid {
            self.meet_core(core, at, accounts, facts);
        }
        let reading = Reading {
            accounts,
            click_to_call_variable: &self.config.click_to_call_variable,
            export_variables: &self.config.export_variables,
        };
        let mut teller = Teller {
            wanted: &self.wanted,
            accounts,
            moment: unseen(&self.core_uuid, &self.switch, at),
            facts,
        };
        self.book
            .reconcile(&snapshot.channels, at, &reading, &mut teller);
        self.difference = 0;
    }

    /// The channels of a snapshot that are new to the tracker, and those of which it has to know whether what is
    /// typed may be told: worth an `api uuid_dump UUID json` each, whose answer goes into
    /// [`ChannelRow::dump`](super::ChannelRow::dump).
    pub fn strangers<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        let tells_digits = self.wanted.triggers.contains(Trigger::Dtmf);
        let is_strange = move |row: &&ChannelRow| match self.book.legs.get(&*row.uuid) {
            Some(leg) => tells_digits && leg.runs_unseen(row).is_some(),
            None => !self.book.is_ended(&row.uuid),
        };
        let strange = snapshot.channels.iter().filter(is_strange);
        strange.map(|row| row.uuid.as_str())
    }

    /// Compares `Session-Count` of a HEARTBEAT with the legs that are tracked. Legs come and go while an event
    /// is on its way, so one difference means nothing; one in the same direction at the next heartbeat asks
    /// for a snapshot.
    pub fn heartbeat(&mut self, event: &Event) -> Option<Mismatch> {
        let switch = u64::try_from(event.number("Session-Count")?).ok()?;
        let tracked = self.live_legs() as u64;
        let difference = i128::from(switch) - i128::from(tracked);
        let stays = difference.signum() * self.difference.signum() > 0;
        self.difference = difference;
        stays.then_some(Mismatch { switch, tracked })
    }

    /// How it reads a leg.
    pub fn config(&self) -> &TrackerConfig {
        &self.config
    }

    /// How many legs live.
    pub fn live_legs(&self) -> usize {
        self.book.legs.len()
    }

    /// How many calls live.
    pub fn live_calls(&self) -> usize {
        self.book.calls.len()
    }

    /// Core-UUID of the switch that is tracked; empty before the first event.
    pub fn core_uuid(&self) -> &str {
        &self.core_uuid
    }

    /// The legs that have changed since the last time, to be stored: Unique-ID and state, `None` where the leg
    /// has ended. The first time it gives every leg; who never asks pays nothing.
    pub fn changed(&mut self) -> Vec<(Arc<str>, Option<String>)> {
        self.book.changed(&self.core_uuid, self.switch.as_deref())
    }

    /// Forgets what lives, so that it can be [restored](Tracker::restore) as it was stored: what happened since
    /// is as if it had not. Which legs have ended lately stays known, for the switch may list them still.
    pub fn forget(&mut self) {
        self.book = std::mem::take(&mut self.book).emptied();
        self.difference = 0;
    }

    /// Takes in what [`Tracker::changed`] has given before a restart: Unique-ID and state of each leg. Do so
    /// before the first event. What cannot be read is left out and given back; nor will a later start be able
    /// to, so it is forgotten with the next [`Tracker::changed`].
    pub fn restore<'a>(
        &mut self,
        legs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<RestoreError> {
        let mut unreadable = Vec::new();
        // Who stores them is to hear of their end, be it the first thing that is heard.
        self.book.changes.get_or_insert_default();
        for (uuid, state) in legs {
            match self.book.restore(uuid, state) {
                Ok((core, switch)) => {
                    self.core_uuid = core.into();
                    self.switch = switch.map(Into::into);
                }
                Err(error) => unreadable.push(error),
            }
            self.book.mark(uuid);
        }
        unreadable
    }

    /// Learns which switch speaks.
    fn meet_switch(
        &mut self,
        event: &Event,
        at: Timestamp,
        accounts: &Accounts,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(raw) = event.raw("Core-UUID")
            && raw != self.core_uuid.as_bytes()
            && let Some(core) = event.text("Core-UUID")
        {
            self.meet_core(&core, at, accounts, facts);
        }
        if self.switch.is_none() {
            self.switch = event
                .text("FreeSWITCH-Switchname")
                .or_else(|| event.text("FreeSWITCH-Hostname"))
                .map(Into::into);
        }
    }

    /// Another Core-UUID means that the switch was restarted: every leg has ended with it.
    fn meet_core(&mut self, core: &str, at: Timestamp, accounts: &Accounts, facts: &mut Vec<Fact>) {
        if *self.core_uuid == *core {
            return;
        }
        let gone: Vec<Arc<str>> = match &*self.core_uuid {
            // They are of a list that came before the switch had said its name.
            "" => Vec::new(),
            _ => self.book.legs.keys().cloned().collect(),
        };
        let mut teller = Teller {
            wanted: &self.wanted,
            accounts,
            moment: unseen(&self.core_uuid, &self.switch, at),
            facts,
        };
        self.book
            .end_unseen(gone, Some(&RESTARTED.into()), at, &mut teller);
        self.core_uuid = core.into();
        self.switch = None;
    }
}

/// The moment of what was not seen.
fn unseen(core_uuid: &Arc<str>, switch: &Option<Arc<str>>, at: Timestamp) -> Moment {
    Moment {
        at,
        sequence: 0,
        core_uuid: Arc::clone(core_uuid),
        switch: switch.clone(),
        reconciled: true,
    }
}

/// The name under which a `switch_event` hook wants this event.
fn wanted_switch_event(wanted: &Wanted, name: &str, event: &Event) -> Option<Arc<str>> {
    if wanted.switch_events.is_empty() {
        return None;
    }
    let name = match name {
        "CUSTOM" => format!("CUSTOM {}", event.subclass()?),
        _ => name.to_owned(),
    };
    wanted.switch_events.get(&name).map(|name| (**name).into())
}
