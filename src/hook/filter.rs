//! Which facts a hook wants: its filters, and why a fact does not pass them.

use super::Settings;
use crate::call::{Fact, Value, digits};
use crate::trigger::Trigger;

/// One key of `modifiers`: the payload's value must be one of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Modifier {
    key: Box<str>,
    allowed: Vec<String>,
}

impl Modifier {
    pub(super) fn new(key: &str, allowed: &[serde_json::Value]) -> Self {
        Self {
            key: key.into(),
            allowed: allowed
                .iter()
                .map(|value| match value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect(),
        }
    }

    /// The payload field it looks at.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the field may be.
    pub fn allowed(&self) -> &[String] {
        &self.allowed
    }

    fn passes(&self, fact: &Fact) -> bool {
        let is = |text: &str| self.allowed.iter().any(|allowed| allowed == text);
        match &*self.key {
            "hook_event" => is(fact.trigger.id()),
            "account_id" => is(&fact.account_id),
            "call_id" => fact.call_id.as_deref().is_none_or(is),
            key => match fact.payload.get(key) {
                None => true,
                Some(Value::Text(text)) => is(text),
                Some(Value::Number(number)) => is(&number.to_string()),
                Some(Value::Bool(yes)) => is(&yes.to_string()),
                Some(Value::Object(_)) => false,
            },
        }
    }
}

/// One entry of `numbers`: digits, or the digits a number begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPattern {
    digits: Box<str>,
    prefix: bool,
}

impl NumberPattern {
    /// Reads `+1 (555) 777-0000` or `+1555*`; `None` where there is no digit in it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, prefix) = match text.strip_suffix('*') {
            Some(number) => (number, true),
            None => (text, false),
        };
        let digits = digits(number);
        (!digits.is_empty()).then_some(Self { digits, prefix })
    }

    /// Whether a number's digits are meant.
    pub fn matches(&self, digits: &str) -> bool {
        match self.prefix {
            true => digits.starts_with(&*self.digits),
            false => *digits == *self.digits,
        }
    }
}

/// What a hook says of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It wants it.
    Wanted,
    /// It asks for other triggers.
    OtherTrigger,
    /// The field of `modifiers` that does not allow it.
    Modifier(String),
    /// `call_types` leaves it out.
    CallType,
    /// None of `numbers` is the call's.
    Number,
    /// `include_internal_legs` is false and it is a loopback leg.
    InternalLeg,
}

impl Settings {
    /// Whether a hook with these settings wants `fact`, or the first reason why not. What belongs to no
    /// call does not pass the filters on calls.
    pub fn verdict(&self, fact: &Fact) -> Verdict {
        if !self.triggers.contains(fact.trigger) {
            return Verdict::OtherTrigger;
        }
        if fact.internal_leg && !self.include_internal_legs {
            return Verdict::InternalLeg;
        }
        if !self.call_types.is_empty()
            && !fact
                .call_type
                .is_some_and(|kind| self.call_types.contains(&kind))
        {
            return Verdict::CallType;
        }
        let is_meant = |number: &str| self.numbers.iter().any(|pattern| pattern.matches(number));
        if !self.numbers.is_empty() && !fact.numbers.iter().any(|number| is_meant(number)) {
            return Verdict::Number;
        }
        match self
            .modifiers
            .iter()
            .find(|modifier| !modifier.passes(fact))
        {
            Some(modifier) => Verdict::Modifier(modifier.key().to_owned()),
            None => Verdict::Wanted,
        }
    }

    /// The switch events it asks for by name.
    pub fn switch_events(&self) -> impl Iterator<Item = &String> {
        self.modifiers
            .iter()
            .filter(|modifier| {
                self.triggers.contains(Trigger::SwitchEvent) && modifier.key() == "event"
            })
            .flat_map(Modifier::allowed)
    }
}
