//! Writing down what is seen, as the read path passes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::told::{shortened, write};
use crate::call::{Fact, Place};
use crate::esl::Event;
use crate::hook::Hook;
use crate::store::timeline::Step;
use crate::time::Timestamp;

/// The event of a step that no event led to: it was worked out from the switch's list of channels, or from the
/// switch being another one.
pub(super) const WORKED_OUT: &str = "reconciled";

/// The applications whose data decide who took a call. Those of others are left out: `set` and its like hold
/// whatever a dialplan puts there, passwords included.
const TELLING: &[&str] = &["bridge", "callcenter", "fifo", "ivr", "voicemail"];

/// Writes timelines.
#[derive(Debug, Default)]
pub struct Scribe {
    /// The payload fields that `modifiers` of hooks look at.
    keys: BTreeSet<Box<str>>,
}

impl Scribe {
    /// Learns what the filters of these hooks look at: it is kept of every fact from now on.
    pub fn learn<'a>(&mut self, hooks: impl IntoIterator<Item = &'a Arc<Hook>>) {
        let modifiers = hooks.into_iter().flat_map(|hook| &hook.settings.modifiers);
        self.keys = modifiers.map(|modifier| modifier.key().into()).collect();
    }

    /// Begins to write down an event of a channel, or what was worked out without one.
    pub fn begin(&self, seen: Option<(&Event, Place)>) -> Notes<'_> {
        let own = seen.map(|(event, place)| Page {
            step: step(event, place),
            facts: Vec::new(),
        });
        Notes {
            scribe: self,
            has_event: own.is_some(),
            pages: own.into_iter().collect(),
        }
    }
}

/// A step that is being written.
#[derive(Debug)]
struct Page {
    step: Step,
    facts: Vec<u8>,
}

/// What one event is written down as: a step for its own call, and one for every other call that it had
/// something to say of.
#[derive(Debug)]
pub struct Notes<'a> {
    scribe: &'a Scribe,
    has_event: bool,
    pages: Vec<Page>,
}

impl Notes<'_> {
    /// Adds a fact that was recorded for so many hooks. One that is of no call has no timeline.
    pub fn add(&mut self, fact: &Fact, recorded: usize) {
        let Some(call_id) = &fact.call_id else {
            return;
        };
        let index = match self.page_of(fact, call_id) {
            Some(index) => index,
            None => {
                self.pages.push(Page {
                    step: self.other_step(fact, call_id),
                    facts: Vec::new(),
                });
                self.pages.len() - 1
            }
        };
        let page = &mut self.pages[index];
        page.facts.push(match page.facts.is_empty() {
            true => b'[',
            false => b',',
        });
        write(
            &mut page.facts,
            fact,
            &page.step,
            &self.scribe.keys,
            recorded,
        );
    }

    fn page_of(&self, fact: &Fact, call_id: &Arc<str>) -> Option<usize> {
        self.pages.iter().enumerate().position(|(index, page)| {
            let is_events_own = self.has_event && index == 0;
            match is_events_own {
                // A raw event is its own fact, also where its call is not known.
                true => {
                    !fact.reconciled
                        && (page.step.call_uuid == fact.call_uuid || page.step.call_id == *call_id)
                }
                false => page.step.call_uuid == fact.call_uuid && page.step.call_id == *call_id,
            }
        })
    }

    fn other_step(&self, fact: &Fact, call_id: &Arc<str>) -> Step {
        let of_event = self.pages.first().filter(|_| self.has_event);
        Step {
            event: match of_event {
                Some(page) if !fact.reconciled => page.step.event.clone(),
                _ => WORKED_OUT.into(),
            },
            at: fact.at,
            sequence: fact.sequence,
            call_id: Arc::clone(call_id),
            call_uuid: fact.call_uuid.clone(),
            account_id: Some(Arc::clone(&fact.account_id)),
            about: "".into(),
            facts: "".into(),
        }
    }

    /// What is to be stored.
    pub fn finish(self) -> Vec<Step> {
        let finished = self.pages.into_iter().map(|Page { mut step, facts }| {
            if !facts.is_empty() {
                let mut facts = String::from_utf8(facts).expect("JSON is UTF-8");
                facts.push(']');
                step.facts = facts.into();
            }
            step
        });
        finished.collect()
    }
}

fn step(event: &Event, place: Place) -> Step {
    let name = match event.subclass() {
        Some(subclass) => format!("{} {}", event.name(), shortened(&subclass)).into(),
        None => shortened(event.name()).into(),
    };
    Step {
        event: name,
        at: Timestamp(event.number("Event-Date-Timestamp").unwrap_or_default()),
        sequence: event
            .number("Event-Sequence")
            .and_then(|number| u64::try_from(number).ok())
            .unwrap_or_default(),
        call_id: place.call_id,
        call_uuid: place.call_uuid,
        account_id: place.account_id,
        about: about(event),
        facts: "".into(),
    }
}

/// The few headers of an event that a person wants to see of it. Digits are not among them: a payload knows
/// whether they may be shown.
fn about(event: &Event) -> Box<str> {
    let headers: &[(&str, &str)] = match event.name() {
        "CHANNEL_CREATE" => &[
            ("channel", "Channel-Name"),
            ("direction", "Call-Direction"),
            ("caller_id_number", "Caller-Caller-ID-Number"),
            ("destination_number", "Caller-Destination-Number"),
        ],
        "CHANNEL_BRIDGE" | "CHANNEL_UNBRIDGE" => &[("other_leg_call_id", "Other-Leg-Unique-ID")],
        "CHANNEL_EXECUTE" => &[("application", "Application"), ("data", "Application-Data")],
        "CHANNEL_HANGUP" | "CHANNEL_HANGUP_COMPLETE" | "CHANNEL_DESTROY" => &[
            ("hangup_cause", "Hangup-Cause"),
            ("hangup_disposition", "variable_sip_hangup_disposition"),
        ],
        _ => return "".into(),
    };
    let tells = |name: &str| {
        name != "data"
            || event
                .text("Application")
                .is_some_and(|application| TELLING.contains(&&*application))
    };
    let mut about = Map::new();
    for (name, header) in headers.iter().filter(|(name, _)| tells(name)) {
        if let Some(value) = event.text(header) {
            about.insert((*name).to_owned(), Json::from(shortened(&value)));
        }
    }
    match about.is_empty() {
        true => "".into(),
        false => Json::Object(about).to_string().into(),
    }
}
