//! The payload that every trigger has, field by field; `GET /v2/webhooks/samples` shows it.

use std::sync::{Arc, LazyLock};

use super::fact::{CallType, Payload, Value};
use super::leg::{Leg, Word};
use super::state::Call;
use super::teller::Moment;

/// Room for every row and for what a trigger adds.
const ROOM: usize = 36;

/// The fields that payloads have whatever the trigger, in no order.
pub(super) const FIELDS: &[&str] = &[
    "account_id",
    "call_id",
    "other_leg_call_id",
    "sip_call_id",
    "call_uuid",
    "is_root_leg",
    "call_direction",
    "call_type",
    "request",
    "to",
    "from",
    "caller_id_name",
    "caller_id_number",
    "callee_id_name",
    "callee_id_number",
    "destination_number",
    "is_internal_leg",
    "authorizing_id",
    "owner_id",
    "reseller_id",
    "inception",
    "custom_channel_vars",
    "switch",
    "sequence",
    "reconciled",
];

/// Words that stand in every payload: made once, shared by all.
struct Shared {
    inbound: Arc<str>,
    outbound: Arc<str>,
    internal: Arc<str>,
    click_to_call: Arc<str>,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared {
    inbound: "inbound".into(),
    outbound: "outbound".into(),
    internal: "internal".into(),
    click_to_call: "click_to_call".into(),
});

fn call_type(kind: CallType) -> Arc<str> {
    Arc::clone(match kind {
        CallType::Inbound => &SHARED.inbound,
        CallType::Outbound => &SHARED.outbound,
        CallType::Internal => &SHARED.internal,
        CallType::ClickToCall => &SHARED.click_to_call,
    })
}

/// What is told of `leg` of `call` whatever the trigger. `hook_event`, `webhook_id`, `timestamp` and
/// `occurred_at` are missing: they depend on the hook or stand in the fact.
pub(super) fn payload(leg: &Leg, call: &Call, account: Arc<str>, moment: &Moment) -> Payload {
    let word = |word| leg.word(word).map(Arc::clone);
    let direction = match leg.outbound {
        true => &SHARED.outbound,
        false => &SHARED.inbound,
    };
    let mut payload = Payload::with_capacity(ROOM);
    payload.set("account_id", account);
    payload.set("call_id", Arc::clone(&leg.uuid));
    payload.set_some("other_leg_call_id", word(Word::OtherLeg));
    payload.set_some("sip_call_id", word(Word::SipCallId));
    payload.set("call_uuid", Arc::clone(&call.root));
    payload.set("is_root_leg", leg.uuid == call.root);
    payload.set("call_direction", Arc::clone(direction));
    payload.set_some("call_type", call.call_type().map(call_type));
    payload.set_some(
        "request",
        word(Word::Request).or_else(|| dialled(leg, None)),
    );
    payload.set_some(
        "to",
        word(Word::To).or_else(|| dialled(leg, leg.word(Word::ToHost))),
    );
    payload.set_some("from", word(Word::From).or_else(|| caller(leg)));
    payload.set_some("caller_id_name", word(Word::CallerName));
    payload.set_some("caller_id_number", word(Word::CallerNumber));
    payload.set_some("callee_id_name", word(Word::CalleeName));
    payload.set_some(
        "callee_id_number",
        word(Word::CalleeNumber).or_else(|| word(Word::Destination)),
    );
    payload.set_some("destination_number", call.destination.clone());
    payload.set("is_internal_leg", leg.internal);
    payload.set_some("authorizing_id", word(Word::AuthorizingId));
    payload.set_some("owner_id", word(Word::OwnerId));
    payload.set_some("reseller_id", word(Word::ResellerId));
    payload.set_some("inception", word(Word::Inception));
    if !leg.exported.is_empty() {
        payload.set(
            "custom_channel_vars",
            Value::Object(Arc::clone(&leg.exported)),
        );
    }
    sign(&mut payload, moment);
    payload
}

/// Which switch says it, and where in its order of events; set last, as the table has it.
pub(super) fn sign(payload: &mut Payload, moment: &Moment) {
    payload.set_some("switch", moment.switch.clone());
    if moment.sequence > 0 {
        payload.set(
            "sequence",
            i64::try_from(moment.sequence).unwrap_or(i64::MAX),
        );
    }
    if moment.reconciled {
        payload.set("reconciled", true);
    }
}

/// `number@host`, or `number@context` without a host.
fn dialled(leg: &Leg, host: Option<&Arc<str>>) -> Option<Arc<str>> {
    let number = leg.word(Word::Destination)?;
    let place = host.or_else(|| leg.word(Word::Context))?;
    Some(format!("{number}@{place}").into())
}

/// The caller's `number@host`, or `number@context` without a host.
fn caller(leg: &Leg) -> Option<Arc<str>> {
    let number = leg.word(Word::CallerNumber)?;
    let place = leg
        .word(Word::FromHost)
        .or_else(|| leg.word(Word::Context))?;
    Some(format!("{number}@{place}").into())
}
