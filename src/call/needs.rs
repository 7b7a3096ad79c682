//! What is wanted, and which events of the switch must be subscribed for it.

use std::collections::BTreeSet;

use crate::trigger::{Trigger, TriggerSet};

/// What somebody wants to be told: facts that nobody wants are not built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The triggers that enabled hooks ask for.
    pub triggers: TriggerSet,
    /// The events of `switch_event` hooks as they stand in `modifiers.event`: `RECORD_STOP`,
    /// `CUSTOM callcenter::info`.
    pub switch_events: BTreeSet<String>,
}

/// What the tracker itself lives on: who is there, what belongs together, who is gone.
const ALWAYS: &[&str] = &[
    "HEARTBEAT",
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
];

impl Wanted {
    /// The event names and the CUSTOM subclasses to subscribe: the tracker's own and what is wanted.
    ///
    /// `CHANNEL_EXECUTE`, of which a call has many, is among them only for those who need it: to see that a
    /// menu, a queue or voicemail took the call, and for `dtmf` to see `switchhook_mask_dtmf` in time.
    /// A call with a subscription of its own may want any trigger: once
    /// [`Tracker::met_subscription`](super::Tracker::met_subscription) is true, ask with
    /// [`TriggerSet::all`] put in.
    pub fn events_needed(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut names: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
        let mut subclasses = BTreeSet::new();
        for trigger in self.triggers.iter() {
            names.extend(needed_by(trigger).iter().map(|name| (*name).to_owned()));
        }
        for event in &self.switch_events {
            match event.strip_prefix("CUSTOM ") {
                Some(subclass) => subclasses.insert(subclass.trim().to_owned()),
                None => {
                    if event == "DTMF" {
                        names.extend(
                            needed_by(Trigger::Dtmf)
                                .iter()
                                .map(|name| (*name).to_owned()),
                        );
                    }
                    names.insert(event.clone())
                }
            };
        }
        (names, subclasses)
    }
}

/// The events that a trigger needs beyond the tracker's own.
fn needed_by(trigger: Trigger) -> &'static [&'static str] {
    match trigger {
        Trigger::ChannelProgress => &["CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA"],
        Trigger::ChannelHold => &["CHANNEL_HOLD"],
        Trigger::ChannelUnhold => &["CHANNEL_UNHOLD"],
        Trigger::Dtmf => &["DTMF", "CHANNEL_EXECUTE"],
        Trigger::CallAnsweredIvr
        | Trigger::CallAnsweredRingGroup
        | Trigger::CallAnsweredQueue
        | Trigger::CallAnsweredExtension
        | Trigger::CallAnsweredCustomer
        | Trigger::CallMissed
        | Trigger::CallMissedOrAnswered => &["CHANNEL_EXECUTE"],
        // Who hung up first is told by CHANNEL_HANGUP only: the COMPLETE ones come in any order.
        Trigger::CallHangup => &[
            "CHANNEL_EXECUTE",
            "CHANNEL_HANGUP",
            "CHANNEL_HOLD",
            "CHANNEL_UNHOLD",
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wanted_costs_no_event_of_every_step_of_a_dialplan() {
        let (names, subclasses) = Wanted::default().events_needed();
        assert_eq!(names.len(), ALWAYS.len());
        assert!(subclasses.is_empty());
        assert!(!names.contains("CHANNEL_EXECUTE"));
    }

    #[test]
    fn raw_digits_are_masked_in_time_too() {
        let wanted = Wanted {
            switch_events: ["DTMF".to_owned()].into(),
            ..Wanted::default()
        };
        assert!(wanted.events_needed().0.contains("CHANNEL_EXECUTE"));
    }

    #[test]
    fn what_is_wanted_is_subscribed() {
        let wanted = Wanted {
            triggers: [Trigger::Dtmf, Trigger::ChannelHold].into_iter().collect(),
            switch_events: ["RECORD_STOP", "CUSTOM callcenter::info"]
                .map(str::to_owned)
                .into(),
        };
        let (names, subclasses) = wanted.events_needed();
        for name in ["DTMF", "CHANNEL_EXECUTE", "CHANNEL_HOLD", "RECORD_STOP"] {
            assert!(names.contains(name), "{name}");
        }
        assert!(!names.contains("CHANNEL_UNHOLD"));
        assert_eq!(subclasses, ["callcenter::info".to_owned()].into());
    }
}
