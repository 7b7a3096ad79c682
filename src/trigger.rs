//! The catalogue of triggers: what a hook can ask for.
//!
//! It is data: `GET /v2/webhooks`, validation and the documentation read it from here. A new trigger is one
//! new line in `catalogue!` and the place in `call/` that yields it.

/// Declares [`Trigger`], its ids and its catalogue in one list.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident $id:literal $name:literal adds [$($field:literal),*];)+) => {
        /// What a hook can ask for in its `hook` field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Trigger { $($(#[doc = $doc])+ $variant),+ }

        impl Trigger {
            /// Every trigger, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The id in the `hook` field and in `hook_event`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }

            /// The name shown to people.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// When it fires, in a sentence.
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim()),+ }
            }

            /// The payload fields that it adds to those every trigger has.
            pub const fn adds(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($field),*]),+ }
            }
        }
    };
}

catalogue! {
    /// A leg came into being (CHANNEL_CREATE).
    ChannelCreate "channel_create" "Channel create" adds [];
    /// A leg rings or has early media for the first time (CHANNEL_PROGRESS, CHANNEL_PROGRESS_MEDIA).
    ChannelProgress "channel_progress" "Channel progress" adds ["early_media"];
    /// A leg was answered (CHANNEL_ANSWER).
    ChannelAnswer "channel_answer" "Channel answer" adds [];
    /// Two legs were connected (CHANNEL_BRIDGE).
    ChannelBridge "channel_bridge" "Channel bridge" adds ["other_leg_destination_number", "original_number"];
    /// Two legs were parted (CHANNEL_UNBRIDGE).
    ChannelUnbridge "channel_unbridge" "Channel unbridge" adds [];
    /// A leg was put on hold (CHANNEL_HOLD).
    ChannelHold "channel_hold" "Channel hold" adds [];
    /// A leg was taken off hold (CHANNEL_UNHOLD).
    ChannelUnhold "channel_unhold" "Channel unhold" adds [];
    /// A leg ended (CHANNEL_HANGUP_COMPLETE, or CHANNEL_DESTROY where the former never came).
    ChannelDestroy "channel_destroy" "Channel destroy" adds ["hangup_cause", "hangup_code", "duration_seconds", "billing_seconds", "ringing_seconds", "hangup_disposition"];
    /// A digit was pressed on a leg (DTMF).
    Dtmf "dtmf" "DTMF" adds ["digit", "digits", "duration_ms", "dtmf_source"];
    /// A call came in from outside.
    CallReceived "call_received" "Call received on server" adds [];
    /// A menu (IVR) took the call.
    CallAnsweredIvr "call_answered_ivr" "Call answered by IVR" adds [];
    /// A member of a ring group took the call.
    CallAnsweredRingGroup "call_answered_ring_group" "Call answered by ring group" adds [];
    /// An agent of a queue took the call.
    CallAnsweredQueue "call_answered_queue" "Call answered by queue" adds ["queue", "agent"];
    /// One extension took the call.
    CallAnsweredExtension "call_answered_extension" "Call answered by extension" adds ["extension"];
    /// Click to call: the customer's leg was connected.
    CallAnsweredCustomer "call_answered_customer" "Call answered by customer" adds [];
    /// An extension started to ring.
    ExtensionDialed "extension_dialed" "Extension dialed" adds ["extension"];
    /// An inbound call ended and nobody took it.
    CallMissed "call_missed" "Call missed" adds ["voicemail"];
    /// The whole call is over, however many legs it had.
    CallHangup "call_hangup" "Call hangup" adds ["hangup_cause", "hangup_code", "hung_up_by", "duration_seconds", "ringing_seconds", "billing_seconds", "queue_seconds", "hold_seconds", "legs", "answered_by", "outcome"];
    /// The call was answered for the first time, or missed: once a call.
    CallMissedOrAnswered "call_missed_or_answered" "Call missed or answered" adds ["outcome", "answered_by"];
    /// A webhook action of a callflow or of the dialplan was reached.
    CallflowWebhook "callflow_webhook" "Callflow webhook" adds [];
    /// Any event of the switch, by name or CUSTOM subclass, with all its headers.
    SwitchEvent "switch_event" "Switch event" adds ["event", "headers"];
    /// The connection to the switch was made.
    SwitchConnected "switch_connected" "Switch connected" adds ["reason", "shed_events"];
    /// The connection to the switch was lost.
    SwitchDisconnected "switch_disconnected" "Switch disconnected" adds ["reason", "shed_events"];
    /// A hook was switched off because its requests failed too often.
    WebhookDisabled "webhook_disabled" "Webhook disabled" adds ["disable_reason"];
}

impl Trigger {
    /// How many triggers there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The trigger of an id, in any case.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|trigger| trigger.id().eq_ignore_ascii_case(id))
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// A set of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TriggerSet(u32);

impl TriggerSet {
    /// No trigger.
    pub const NONE: Self = Self(0);

    /// What `"hook": "all"` stands for: every trigger but `switch_event`.
    pub fn all() -> Self {
        Trigger::ALL
            .iter()
            .copied()
            .filter(|trigger| *trigger != Trigger::SwitchEvent)
            .collect()
    }

    /// Whether `trigger` is in it.
    pub const fn contains(self, trigger: Trigger) -> bool {
        self.0 & (1 << trigger as u8) != 0
    }

    /// Puts `trigger` in.
    pub fn insert(&mut self, trigger: Trigger) {
        self.0 |= 1 << trigger as u8;
    }

    /// Everything in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The triggers in it, in the order of the catalogue.
    pub fn iter(self) -> impl Iterator<Item = Trigger> {
        Trigger::ALL
            .iter()
            .copied()
            .filter(move |trigger| self.contains(*trigger))
    }
}

impl FromIterator<Trigger> for TriggerSet {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Self {
        let mut set = Self::NONE;
        for trigger in triggers {
            set.insert(trigger);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_finds_its_trigger_in_any_case() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::from_id(trigger.id()), Some(*trigger));
            assert_eq!(
                Trigger::from_id(&trigger.id().to_uppercase()),
                Some(*trigger)
            );
            assert!(!trigger.description().is_empty());
        }
        assert_eq!(Trigger::from_id("channel_created"), None);
    }

    #[test]
    fn all_leaves_out_the_raw_switch_events() {
        let all = TriggerSet::all();
        assert!(!all.contains(Trigger::SwitchEvent));
        assert_eq!(all.iter().count(), Trigger::ALL.len() - 1);
    }
}
