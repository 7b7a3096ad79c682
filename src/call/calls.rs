//! The call triggers: what happened to a call, once a call.

use super::answer::{AnsweredBy, queue_of};
use super::channel::{Ending, whole_seconds};
use super::fact::CallType;
use super::leg::{Leg, Word};
use super::state::Call;
use super::teller::Teller;
use crate::trigger::Trigger;

/// `call_received`: an inbound root leg came up.
pub(super) fn received(leg: &Leg, call: &Call, teller: &mut Teller<'_>) {
    if leg.uuid == call.root && !leg.outbound && !leg.internal {
        teller.tell(Trigger::CallReceived, leg, call, |_| ());
    }
}

/// `extension_dialed`: the switch dials a leg to an extension.
pub(super) fn extension_dialed(leg: &Leg, call: &Call, teller: &mut Teller<'_>) {
    if call.over || !leg.outbound || leg.internal {
        return;
    }
    if let Some(extension) = leg.word(Word::Extension) {
        teller.tell(Trigger::ExtensionDialed, leg, call, |payload| {
            payload.set("extension", extension.clone());
        });
    }
}

/// One of `call_answered_*`, and `call_missed_or_answered` when it is the first. `root` is the leg it is told
/// of, `taker` the one that took the call where a leg did.
pub(super) fn answered(
    call: &mut Call,
    root: &Leg,
    taker: Option<&Leg>,
    by: AnsweredBy,
    teller: &mut Teller<'_>,
) {
    if call.over {
        return;
    }
    if by == AnsweredBy::Voicemail {
        // Said by the dialplan of a bridge: whoever answers there is a machine.
        call.voicemail = true;
        return;
    }
    call.taken.get_or_insert(by);
    if let Some(trigger) = by.trigger()
        && !call.told.contains(&by)
    {
        call.told.push(by);
        teller.tell(trigger, root, call, |payload| {
            if let Some(taker) = taker {
                payload.set("other_leg_call_id", taker.uuid.clone());
            }
            match by {
                AnsweredBy::Extension => payload.set_some(
                    "extension",
                    taker.and_then(|taker| taker.word(Word::Extension).cloned()),
                ),
                AnsweredBy::Queue => {
                    let queue = taker.and_then(|taker| queue_of(root, taker));
                    payload.set_some("queue", queue);
                    let agent = taker.and_then(|taker| {
                        let known = taker.word(Word::Agent);
                        known.or(taker.word(Word::Extension)).cloned()
                    });
                    payload.set_some("agent", agent);
                }
                _ => {}
            }
        });
    }
    if !std::mem::replace(&mut call.told_outcome, true) {
        teller.tell(Trigger::CallMissedOrAnswered, root, call, |payload| {
            payload.set("outcome", "answered");
            payload.set("answered_by", by.id());
        });
    }
}

/// `call_hangup`, and what is left to say of an inbound call: `call_missed`, `call_missed_or_answered`.
pub(super) fn over(call: &mut Call, root: &Leg, ending: &Ending, teller: &mut Teller<'_>) {
    call.over = true;
    call.leave_queue(teller.moment.at);
    call.voicemail |= call.says == Some(AnsweredBy::Voicemail);
    call.voicemail &= call.root_answered;
    let missed = is_missed(call);
    let outcome = match missed {
        true => "missed",
        false => "answered",
    };
    let by = call
        .taken
        .or((missed && call.voicemail).then_some(AnsweredBy::Voicemail))
        .map(AnsweredBy::id);
    teller.tell(Trigger::CallHangup, root, call, |payload| {
        ending.add_to(payload);
        payload.set("hung_up_by", hung_up_by(call, root));
        payload.set_some("queue_seconds", call.queue_time.map(whole_seconds));
        payload.set("hold_seconds", whole_seconds(call.hold_time));
        payload.set("legs", i64::from(call.legs));
        payload.set_some("answered_by", by);
        payload.set("outcome", outcome);
    });
    if !call.inbound {
        return;
    }
    if missed {
        teller.tell(Trigger::CallMissed, root, call, |payload| {
            payload.set("voicemail", call.voicemail);
        });
    }
    // A call that was answered by nobody in particular (a conference, a message) is told of here.
    if !std::mem::replace(&mut call.told_outcome, true) {
        teller.tell(Trigger::CallMissedOrAnswered, root, call, |payload| {
            payload.set("outcome", outcome);
            payload.set_some("answered_by", by);
        });
    }
}

/// Nobody took it: never answered, or only voicemail did, or someone was rung and none was bridged.
fn is_missed(call: &Call) -> bool {
    let in_vain = call.sought && !call.bridged;
    call.taken.is_none() && (!call.root_answered || call.voicemail || in_vain)
}

/// `caller`, `callee` or `switch`.
fn hung_up_by(call: &Call, root: &Leg) -> &'static str {
    // Whom the switch itself has called is the callee; in a click to call it is our own user.
    let called = root.outbound && call.call_type() != Some(CallType::ClickToCall);
    let (near, far) = match called {
        true => ("callee", "caller"),
        false => ("caller", "callee"),
    };
    match (root.left, call.callee_left) {
        (true, _) => near,
        (false, true) => far,
        (false, false) => "switch",
    }
}
