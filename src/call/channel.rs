//! The channel triggers: what happened to one leg.

use std::sync::Arc;
use std::time::Duration;

use super::fact::Payload;
use super::leg::{Leg, Word, instant, progress};
use super::state::Call;
use super::teller::Teller;
use crate::esl::Event;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// `DTMF-Duration` counts samples at 8 kHz, whatever the codec.
const SAMPLES_PER_MILLISECOND: i64 = 8;

/// How a leg ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    pub(super) cause: Option<Arc<str>>,
    /// `sip:486`.
    pub(super) code: Option<Arc<str>>,
    /// `recv_bye`, `send_refuse` …
    pub(super) disposition: Option<Arc<str>>,
    pub(super) duration: Duration,
    pub(super) billing: Duration,
    pub(super) ringing: Duration,
}

impl Ending {
    /// What CHANNEL_HANGUP_COMPLETE or CHANNEL_DESTROY says.
    pub(super) fn of(leg: &Leg, event: &Event, at: Timestamp) -> Self {
        let ended = instant(event, "Caller-Channel-Hangup-Time").unwrap_or(at);
        let answered = instant(event, "Caller-Channel-Answered-Time").or(leg.answered);
        let counted = Self::counted(
            leg.created,
            progress(event).or(leg.progressed),
            answered,
            ended,
        );
        let seconds = |variable| {
            let seconds = event.variable(variable)?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        };
        Self {
            cause: event
                .text("Hangup-Cause")
                .or_else(|| event.variable("hangup_cause"))
                .map(Into::into),
            code: event
                .variable("proto_specific_hangup_cause")
                .map(Into::into)
                .or_else(|| Some(format!("sip:{}", event.variable("sip_term_status")?).into())),
            disposition: event.variable("sip_hangup_disposition").map(Into::into),
            duration: seconds("duration").unwrap_or(counted.duration),
            billing: seconds("billsec").unwrap_or(counted.billing),
            ringing: counted.ringing,
        }
    }

    /// What can be said of a leg that ended unseen, by `at` at the latest.
    pub(super) fn unseen(leg: &Leg, cause: Option<&Arc<str>>, at: Timestamp) -> Self {
        Self {
            cause: cause.or(leg.word(Word::HangupCause)).cloned(),
            ..Self::counted(leg.created, leg.progressed, leg.answered, at)
        }
    }

    fn counted(
        created: Timestamp,
        progressed: Option<Timestamp>,
        answered: Option<Timestamp>,
        ended: Timestamp,
    ) -> Self {
        let rang_until = answered.unwrap_or(ended);
        Self {
            duration: ended.since(created),
            billing: answered.map(|at| ended.since(at)).unwrap_or_default(),
            ringing: progressed
                .map(|at| rang_until.since(at))
                .unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Whether the far end of `leg` hung up, and not the switch.
    pub(super) fn left(&self, leg: &Leg) -> bool {
        let disposition = self.disposition.as_deref();
        // On a leg that was dialled this cause says that somebody else hung up.
        let cancelled = !leg.outbound && self.cause.as_deref() == Some("ORIGINATOR_CANCEL");
        cancelled || disposition.is_some_and(|said| said.starts_with("recv_"))
    }

    /// Cause, code and times, as `channel_destroy` and `call_hangup` have them.
    pub(super) fn add_to(&self, payload: &mut Payload) {
        payload.set_some("hangup_cause", self.cause.clone());
        payload.set_some("hangup_code", self.code.clone());
        payload.set("duration_seconds", whole_seconds(self.duration));
        payload.set("billing_seconds", whole_seconds(self.billing));
        payload.set("ringing_seconds", whole_seconds(self.ringing));
    }
}

/// Whole seconds of a payload, rounded down as the switch does.
pub(super) fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// `channel_create`, at the first event of a leg, whichever it is.
pub(super) fn create(leg: &Leg, call: &Call, teller: &mut Teller<'_>) {
    teller.tell(Trigger::ChannelCreate, leg, call, |_| ());
}

/// `channel_progress`, the first one of a leg only.
pub(super) fn progressed(leg: &mut Leg, call: &Call, early_media: bool, teller: &mut Teller<'_>) {
    leg.progressed.get_or_insert(teller.moment.at);
    if !std::mem::replace(&mut leg.told_progress, true) {
        teller.tell(Trigger::ChannelProgress, leg, call, |payload| {
            payload.set("early_media", early_media);
        });
    }
}

/// `channel_answer`, once.
pub(super) fn answer(leg: &mut Leg, call: &Call, teller: &mut Teller<'_>) {
    leg.answered.get_or_insert(teller.moment.at);
    if !std::mem::replace(&mut leg.told_answer, true) {
        teller.tell(Trigger::ChannelAnswer, leg, call, |_| ());
    }
}

/// `channel_bridge`. `event` is missing where the bridge was not seen.
pub(super) fn bridge(
    leg: &Leg,
    call: &Call,
    other: Option<&Leg>,
    event: Option<&Event>,
    teller: &mut Teller<'_>,
) {
    teller.tell(Trigger::ChannelBridge, leg, call, |payload| {
        let number: Option<Arc<str>> = event
            .and_then(|event| event.text("Other-Leg-Destination-Number"))
            .map(Into::into)
            .or_else(|| other.and_then(|other| other.word(Word::Destination).cloned()));
        payload.set_some("other_leg_destination_number", number);
        let original: Option<Arc<str>> = event
            .and_then(|event| event.variable("original_destination_number"))
            .map(Into::into)
            .or_else(|| call.destination.clone());
        payload.set_some("original_number", original);
    });
}

/// `channel_unbridge`.
pub(super) fn unbridge(leg: &Leg, call: &Call, teller: &mut Teller<'_>) {
    teller.tell(Trigger::ChannelUnbridge, leg, call, |_| ());
}

/// `channel_hold`.
pub(super) fn hold(leg: &mut Leg, call: &Call, teller: &mut Teller<'_>) {
    leg.held.get_or_insert(teller.moment.at);
    teller.tell(Trigger::ChannelHold, leg, call, |_| ());
}

/// `channel_unhold`.
pub(super) fn unhold(leg: &mut Leg, call: &mut Call, teller: &mut Teller<'_>) {
    end_hold(leg, call, teller.moment.at);
    teller.tell(Trigger::ChannelUnhold, leg, call, |_| ());
}

/// Counts a hold that is over.
pub(super) fn end_hold(leg: &mut Leg, call: &mut Call, at: Timestamp) {
    if let Some(held) = leg.held.take() {
        call.add_hold(at.since(held));
    }
}

/// `dtmf`.
pub(super) fn dtmf(leg: &mut Leg, call: &Call, event: &Event, teller: &mut Teller<'_>) {
    let Some(digit) = event.text("DTMF-Digit") else {
        return;
    };
    let (digit, digits) = leg.press(&digit);
    teller.tell(Trigger::Dtmf, leg, call, |payload| {
        payload.set("digit", &*digit);
        payload.set("digits", &*digits);
        let duration = event.number("DTMF-Duration");
        payload.set_some(
            "duration_ms",
            duration.map(|samples| samples / SAMPLES_PER_MILLISECOND),
        );
        payload.set_some("dtmf_source", event.text("DTMF-Source"));
    });
}

/// `channel_destroy`.
pub(super) fn destroy(leg: &Leg, call: &Call, ending: &Ending, teller: &mut Teller<'_>) {
    teller.tell(Trigger::ChannelDestroy, leg, call, |payload| {
        ending.add_to(payload);
        payload.set_some("hangup_disposition", ending.disposition.clone());
    });
}
