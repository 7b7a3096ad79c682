//! A fact as the timeline keeps it: what the filters of hooks look at, and what its trigger adds.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use super::Sent;
use crate::call::{CallType, Fact, Payload, Value};
use crate::hook::Hook;
use crate::store::timeline::{LoggedStep, Step};
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// The longest value that is kept, in characters.
const LONGEST: usize = 200;

/// What callers press is kept only where a filter looks at it.
const DIGITS: &[&str] = &["digit", "digits"];

/// A fact, and what was sent of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The fact. Its payload has the fields that its trigger adds, and those that the `modifiers` of some hook
    /// looked at.
    pub fact: Fact,
    /// When it was written down, by our clock.
    pub recorded_at: Timestamp,
    /// How many hooks it was recorded for.
    pub recorded: usize,
    /// False where the timeline knows of the fact only because something was sent of it: then its payload, its
    /// call type and its numbers are not known.
    pub is_whole: bool,
    /// What was sent, as far as it is still kept.
    pub sent: Vec<Sent>,
}

impl Told {
    /// Whether `hook` was made or changed after this was told: what it says of it now is not what it said then.
    pub fn is_before(&self, hook: &Hook) -> bool {
        hook.modified > self.recorded_at
    }
}

/// A fact on its way into the database. What the step says is not said again.
#[derive(Serialize)]
struct Written<'a> {
    trigger: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_type: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    numbers: &'a [Box<str>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reconciled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_event: Option<&'a str>,
    #[serde(skip_serializing_if = "Kept::is_empty")]
    payload: Kept<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    recorded: usize,
}

/// The fields of a payload that are kept.
struct Kept<'a> {
    fact: &'a Fact,
    keys: &'a BTreeSet<Box<str>>,
}

impl<'a> Kept<'a> {
    fn fields(&self) -> impl Iterator<Item = (&'static str, Json)> + use<'a> {
        let Self { fact, keys } = *self;
        let adds = fact.trigger.adds();
        fact.payload
            .iter()
            .filter(move |(name, _)| {
                adds.contains(name) && !DIGITS.contains(name) || keys.contains(*name)
            })
            .filter_map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => Json::from(shortened(text)),
                    Value::Number(number) => Json::from(*number),
                    Value::Bool(yes) => Json::from(*yes),
                    // All headers of an event, which no filter can look into.
                    Value::Object(_) => return None,
                };
                Some((name, value))
            })
    }

    fn is_empty(&self) -> bool {
        self.fields().next().is_none()
    }
}

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields())
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The beginning of a text that somebody else wrote.
pub(super) fn shortened(text: &str) -> &str {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Writes a fact of `step` as JSON behind what is in `json`, with the payload fields named in `keys` and those
/// that its trigger adds.
pub(super) fn write(
    json: &mut Vec<u8>,
    fact: &Fact,
    step: &Step,
    keys: &BTreeSet<Box<str>>,
    recorded: usize,
) {
    let written = Written {
        trigger: fact.trigger.id(),
        call_id: fact.call_id.as_deref().filter(|leg| **leg != *step.call_id),
        account_id: Some(&*fact.account_id).filter(|id| step.account_id.as_deref() != Some(*id)),
        call_type: fact.call_type.map(CallType::id),
        numbers: &fact.numbers,
        internal: fact.internal_leg,
        reconciled: fact.reconciled,
        switch_event: fact.switch_event.as_deref(),
        payload: Kept { fact, keys },
        recorded,
    };
    serde_json::to_writer(json, &written).expect("text keys into memory");
}

/// A fact as it comes out of the database.
#[derive(Deserialize)]
#[serde(default)]
struct Read {
    trigger: String,
    call_id: Option<String>,
    account_id: Option<String>,
    call_type: Option<String>,
    numbers: Vec<Box<str>>,
    internal: bool,
    reconciled: bool,
    switch_event: Option<String>,
    payload: serde_json::Map<String, Json>,
    recorded: usize,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            trigger: String::new(),
            call_id: None,
            account_id: None,
            call_type: None,
            numbers: Vec::new(),
            internal: false,
            reconciled: false,
            switch_event: None,
            payload: serde_json::Map::new(),
            recorded: 0,
        }
    }
}

/// The facts of a step. What a newer version has written and this one does not know is left out.
pub(super) fn read(logged: &LoggedStep) -> Result<Vec<Told>, serde_json::Error> {
    let step = &logged.step;
    if step.facts.is_empty() {
        return Ok(Vec::new());
    }
    let facts: Vec<Read> = serde_json::from_str(&step.facts)?;
    Ok(facts
        .into_iter()
        .filter_map(|read| told(read, logged))
        .collect())
}

fn told(read: Read, logged: &LoggedStep) -> Option<Told> {
    let step = &logged.step;
    let shared = |text: &str| -> Arc<str> { text.into() };
    let account = read.account_id.as_deref().map(shared);
    let mut payload = Payload::default();
    for (name, value) in &read.payload {
        let value = match value {
            Json::String(text) => Value::from(text.as_str()),
            Json::Number(number) => Value::Number(number.as_i64()?),
            Json::Bool(yes) => Value::Bool(*yes),
            _ => continue,
        };
        payload.set(Payload::field(name)?, value);
    }
    let fact = Fact {
        trigger: Trigger::from_id(&read.trigger)?,
        at: step.at,
        core_uuid: "".into(),
        sequence: match read.reconciled {
            true => 0,
            false => step.sequence,
        },
        account_id: account.or_else(|| step.account_id.clone())?,
        call_id: Some(
            read.call_id
                .as_deref()
                .map_or_else(|| Arc::clone(&step.call_id), shared),
        ),
        call_uuid: step.call_uuid.clone(),
        internal_leg: read.internal,
        call_type: read.call_type.as_deref().and_then(CallType::from_id),
        numbers: read.numbers.into(),
        reconciled: read.reconciled,
        twin: false,
        switch_event: read.switch_event.as_deref().map(shared),
        subscription: None,
        payload,
    };
    Some(Told {
        fact,
        recorded_at: logged.recorded_at,
        recorded: read.recorded,
        is_whole: true,
        sent: Vec::new(),
    })
}
