//! A fact: something that happened to a leg or a call, in the words of the triggers, before anybody is told.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::time::Timestamp;
use crate::trigger::Trigger;

/// One value of a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, shared because a leg says the same of itself in every fact.
    Text(Arc<str>),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
    /// Names and values: `custom_channel_vars`, the headers of a `switch_event`.
    Object(Arc<[(Box<str>, Box<str>)]>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Object(pairs) => {
                serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

/// The fields of a payload in the order in which they are sent, each name once.
///
/// `hook_event`, `webhook_id`, `timestamp` and `occurred_at` are not among them: they depend on the hook,
/// or stand in the [`Fact`] itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Payload(Vec<(&'static str, Value)>);

impl Payload {
    /// No fields yet, with room for `fields`.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// The name of a field as payloads have it; `None` where no payload has such a field.
    pub fn field(name: &str) -> Option<&'static str> {
        let adds = Trigger::ALL.iter().flat_map(|trigger| trigger.adds());
        let mut known = super::payload::FIELDS.iter().chain(adds);
        known.find(|known| **known == name).copied()
    }

    /// Sets a field; a field that is there already keeps its place and gets the new value.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a field where there is a value for it.
    pub fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// A field's value where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What kind of call a call is, for the hooks' `call_types` and the payload's `call_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallType {
    /// From outside to us.
    Inbound,
    /// From us to outside.
    Outbound,
    /// Between our users.
    Internal,
    /// Started for a user from a web page or an application.
    ClickToCall,
}

impl CallType {
    /// Every call type.
    pub const ALL: &[Self] = &[
        Self::Inbound,
        Self::Outbound,
        Self::Internal,
        Self::ClickToCall,
    ];

    /// The word in payloads and in hooks.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::ClickToCall => "click_to_call",
        }
    }

    /// The call type of a word, in any case.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.id().eq_ignore_ascii_case(id))
    }
}

/// Something that happened, once, with all that a hook may want to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// What happened.
    pub trigger: Trigger,
    /// When, by the switch's clock (`Event-Date-Timestamp`).
    pub at: Timestamp,
    /// The switch process it happened in (`Core-UUID`).
    pub core_uuid: Arc<str>,
    /// `Event-Sequence` of the event it comes from; 0 where it was worked out and not seen.
    pub sequence: u64,
    /// The account it belongs to.
    pub account_id: Arc<str>,
    /// The leg (`Unique-ID`), where it belongs to one.
    pub call_id: Option<Arc<str>>,
    /// The call's root leg.
    pub call_uuid: Option<Arc<str>>,
    /// Whether the leg is a loopback leg.
    pub internal_leg: bool,
    /// The call's type, where it belongs to a call.
    pub call_type: Option<CallType>,
    /// The digits of the call's dialled and calling numbers, for the hooks' `numbers`.
    pub numbers: Arc<[Box<str>]>,
    /// Worked out after a gap, not seen.
    pub reconciled: bool,
    /// The same has come of the same event already, of another leg: a bridge can be the answer to two calls.
    pub twin: bool,
    /// For [`Trigger::SwitchEvent`]: the event's name, or `CUSTOM` and its subclass, that hooks name in
    /// `modifiers.event`.
    pub switch_event: Option<Arc<str>>,
    /// The per-call subscription of the call (`switchhook_uri` …), where it has one.
    pub subscription: Option<Arc<Subscription>>,
    /// What is told.
    pub payload: Payload,
}

impl Fact {
    /// Something that belongs to no call and to no event of the switch. `source` stands where the Core-UUID
    /// does in other facts: with the instant it tells this one from all others.
    pub fn without_call(
        trigger: Trigger,
        at: Timestamp,
        source: Arc<str>,
        account_id: Arc<str>,
        payload: Payload,
    ) -> Self {
        Self {
            trigger,
            at,
            core_uuid: source,
            sequence: 0,
            account_id,
            call_id: None,
            call_uuid: None,
            internal_leg: false,
            call_type: None,
            numbers: Arc::default(),
            reconciled: false,
            twin: false,
            switch_event: None,
            subscription: None,
            payload,
        }
    }
}

/// A hook for one call only, from the channel variables `switchhook_uri`, `switchhook_events`,
/// `switchhook_verb`, `switchhook_format`, as they were set: what they mean is for `hook/` to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// `switchhook_uri`.
    pub uri: Box<str>,
    /// `switchhook_events`: a comma list of trigger ids; `None` for all.
    pub events: Option<Box<str>>,
    /// `switchhook_verb`.
    pub verb: Option<Box<str>>,
    /// `switchhook_format`.
    pub format: Option<Box<str>>,
}

/// The digits of a number: what is compared where numbers are compared. Punctuation and `+` are ignored.
pub fn digits(number: &str) -> Box<str> {
    number.chars().filter(char::is_ascii_digit).collect()
}
