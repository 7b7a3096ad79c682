//! Who took a call: worked out from what the root leg runs and from whom it is bridged to.

use serde::{Deserialize, Serialize};

use super::fact::CallType;
use super::leg::{Leg, Word};
use super::state::Call;
use crate::trigger::Trigger;

/// Who took a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AnsweredBy {
    Ivr,
    Queue,
    RingGroup,
    Extension,
    /// Click to call: the customer.
    Customer,
    /// A number outside: somebody took it, but none of ours.
    External,
    /// Nobody: the caller may leave a message.
    Voicemail,
}

impl AnsweredBy {
    /// The word in `answered_by`.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Ivr => "ivr",
            Self::Queue => "queue",
            Self::RingGroup => "ring_group",
            Self::Extension => "extension",
            Self::Customer => "customer",
            Self::External => "external",
            Self::Voicemail => "voicemail",
        }
    }

    /// What the dialplan means by `switchhook_answered_by`.
    pub(super) fn said(word: &str) -> Option<Self> {
        [
            Self::Ivr,
            Self::Queue,
            Self::RingGroup,
            Self::Extension,
            Self::Voicemail,
        ]
        .into_iter()
        .find(|kind| kind.id().eq_ignore_ascii_case(word.trim()))
    }

    /// The trigger that tells of it.
    pub(super) fn trigger(self) -> Option<Trigger> {
        match self {
            Self::Ivr => Some(Trigger::CallAnsweredIvr),
            Self::Queue => Some(Trigger::CallAnsweredQueue),
            Self::RingGroup => Some(Trigger::CallAnsweredRingGroup),
            Self::Extension => Some(Trigger::CallAnsweredExtension),
            Self::Customer => Some(Trigger::CallAnsweredCustomer),
            Self::External | Self::Voicemail => None,
        }
    }
}

/// What a dialplan application means for the call whose root leg runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Application {
    /// A menu: who runs it has taken the call.
    Menu,
    /// The caller waits for an agent.
    Queue,
    /// The caller may leave a message.
    Voicemail,
    /// How mod_callcenter and `uuid_bridge` connect legs: it says nothing of who wanted that.
    UuidBridge,
    Other,
}

impl Application {
    /// The application of a CHANNEL_EXECUTE.
    pub(super) fn of(name: &str, data: &str) -> Self {
        match name {
            "ivr" | "play_and_get_digits" | "read" | "bind_digit_action" | "httapi" => Self::Menu,
            "callcenter" => Self::Queue,
            // `fifo NAME out` is an agent who fetches callers.
            "fifo" if data.split_ascii_whitespace().nth(1) != Some("out") => Self::Queue,
            // `voicemail check …` is a user who listens to messages.
            "voicemail" if data.split_ascii_whitespace().next() != Some("check") => Self::Voicemail,
            "uuid_bridge" => Self::UuidBridge,
            _ => Self::Other,
        }
    }
}

/// Who took `call` when `taker` was bridged to one of its legs. `dialler` is the leg that dialled the taker,
/// `None` where the taker came by itself to pick the call up.
pub(super) fn by_bridge(
    call: &Call,
    root: Option<&Leg>,
    taker: &Leg,
    dialler: Option<&Leg>,
) -> AnsweredBy {
    if let Some(said) = call.says {
        return said;
    }
    if call.call_type() == Some(CallType::ClickToCall) {
        return AnsweredBy::Customer;
    }
    if taker.word(Word::Agent).is_some() || root.is_some_and(runs_queue) {
        return AnsweredBy::Queue;
    }
    // Behind a loopback leg the dialler is not the root; the group may be either's.
    let called = [dialler, dialler.and(root)];
    if called.into_iter().flatten().any(dials_many) {
        return AnsweredBy::RingGroup;
    }
    match taker.word(Word::Extension) {
        Some(_) => AnsweredBy::Extension,
        None => AnsweredBy::External,
    }
}

/// The queue that `root` waits or waited in.
pub(super) fn queue_of(root: &Leg, taker: &Leg) -> Option<std::sync::Arc<str>> {
    let known = root.word(Word::Queue).or_else(|| taker.word(Word::Queue));
    known.cloned().or_else(|| {
        // The dialplan may call a queue what is a bridge: its dial string is no queue's name.
        let data = root
            .word(Word::ApplicationData)
            .filter(|_| runs_queue(root))?;
        data.split_ascii_whitespace().next().map(Into::into)
    })
}

fn runs_queue(leg: &Leg) -> bool {
    let data = leg.word(Word::ApplicationData).map_or("", |data| data);
    leg.word(Word::Application)
        .is_some_and(|name| Application::of(name, data) == Application::Queue)
}

fn dials_many(leg: &Leg) -> bool {
    leg.word(Word::Application)
        .is_some_and(|name| &**name == "bridge")
        && leg
            .word(Word::ApplicationData)
            .is_some_and(|data| is_group(data))
}

/// Whether a dial string has more than one destination: `,`, `|` or `:_:` outside brackets, or `group/…`
/// (`switch_ivr_originate`, `switch_ivr_enterprise_originate`).
fn is_group(dial_string: &str) -> bool {
    let mut depth = 0_usize;
    let mut bare = String::with_capacity(dial_string.len());
    for character in dial_string.chars() {
        match character {
            '[' | '{' | '<' => depth += 1,
            ']' | '}' | '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(character),
            _ => {}
        }
    }
    bare.contains([',', '|']) || bare.contains(":_:") || bare.trim_start().starts_with("group/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_destination_is_no_group_however_many_options_it_has() {
        for one in [
            "user/1001@rig.test",
            "[leg_timeout=2,presence_id=1003@rig.test]sofia/internal/1003@127.0.0.1:5091",
            "{ignore_early_media=true,a=b|c}<x=1,y=2>[z=:_:]sofia/gateway/out/15557770000",
        ] {
            assert!(!is_group(one), "{one}");
        }
    }

    #[test]
    fn a_comma_a_bar_an_enterprise_mark_or_a_group_is_a_group() {
        for group in [
            "user/1001,user/1002",
            "user/1001|user/1002",
            "{a=b}user/1001:_:{c=d}user/1002",
            "[leg_timeout=5]sofia/internal/1003@h:5091,[leg_delay_start=1]sofia/internal/1001@h:5090",
            "{x=y}group/sales@rig.test",
        ] {
            assert!(is_group(group), "{group}");
        }
    }

    #[test]
    fn who_fetches_callers_or_messages_is_no_caller() {
        assert_eq!(
            Application::of("fifo", "sales in undef moh"),
            Application::Queue
        );
        assert_eq!(
            Application::of("fifo", "sales out nowait"),
            Application::Other
        );
        assert_eq!(
            Application::of("voicemail", "default rig.test 1001"),
            Application::Voicemail
        );
        assert_eq!(
            Application::of("voicemail", "check default rig.test 1001"),
            Application::Other
        );
    }
}
