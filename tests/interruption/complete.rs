//! What must hold of all that was told of calls, wherever it was interrupted.

use std::collections::BTreeMap;

use switchhook::call::Fact;

use crate::support::receiver::Request;

/// One thing that was told of a call.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) trigger: String,
    pub(crate) leg: String,
    pub(crate) call: String,
}

impl Told {
    /// A fact of a call.
    pub(crate) fn of(fact: &Fact) -> Self {
        Self {
            trigger: fact.trigger.id().to_owned(),
            leg: fact.call_id.as_deref().unwrap().to_owned(),
            call: fact.call_uuid.as_deref().unwrap().to_owned(),
        }
    }

    /// A webhook; `None` where it is of no call.
    pub(crate) fn by(request: &Request) -> Option<Self> {
        let call = request.field("call_uuid");
        (!call.is_empty()).then(|| Self {
            trigger: request.trigger(),
            leg: request.field("call_id"),
            call,
        })
    }
}

fn require(holds: bool, what: String) -> Result<(), String> {
    holds.then_some(()).ok_or(what)
}

/// Each leg that was begun is ended, once and last; each call ends once, and was answered or missed once.
pub(crate) fn complete(told: &[Told]) -> Result<(), String> {
    let mut legs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut calls: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for one in told {
        legs.entry(&one.leg).or_default().push(&one.trigger);
        calls.entry(&one.call).or_default().push(one);
    }
    for (leg, told) in &legs {
        let count = |trigger| told.iter().filter(|one| **one == trigger).count();
        for once in ["channel_create", "channel_destroy"] {
            require(
                count(once) == 1,
                format!("{} {once} of leg {leg}", count(once)),
            )?;
        }
        for trigger in ["channel_answer", "channel_progress"] {
            require(count(trigger) <= 1, format!("{trigger} twice of leg {leg}"))?;
        }
        let first = told[0];
        require(
            first == "channel_create",
            format!("{first} is the first of leg {leg}"),
        )?;
        let last = told.iter().rfind(|one| one.starts_with("channel_"));
        require(
            last == Some(&"channel_destroy"),
            format!("{last:?} is the last of leg {leg}"),
        )?;
    }
    for (root, told) in &calls {
        let count = |trigger: &str| told.iter().filter(|one| one.trigger == trigger).count();
        for one in told.iter().filter(|one| one.trigger.starts_with("call_")) {
            let trigger = &one.trigger;
            require(
                count(trigger) == 1,
                format!("{trigger} twice of call {root}"),
            )?;
        }
        // A phone of which only the list was seen is taken for a call of its own until it is bridged.
        let mut ends = told.iter().filter(|one| one.trigger == "channel_destroy");
        let ended_as_root = ends.any(|one| one.leg == *root);
        let hangups = count("call_hangup");
        require(
            hangups == usize::from(ended_as_root),
            format!("{hangups} call_hangup of call {root}"),
        )?;
        let answered = told
            .iter()
            .any(|one| one.trigger.starts_with("call_answered_"));
        let missed = count("call_missed") > 0;
        require(
            !(answered && missed),
            format!("call {root} was answered and missed"),
        )?;
        let outcomes = count("call_missed_or_answered");
        let received = count("call_received") > 0;
        require(
            !received || outcomes == 1,
            format!("{outcomes} outcomes of call {root}"),
        )?;
    }
    Ok(())
}
