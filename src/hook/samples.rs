//! What each trigger sends, by example: one inbound call of a customer to a support number, told from
//! beginning to end.
//!
//! A sample is a [`Fact`] like any other, so what the API shows and what a test request sends are rendered by
//! what renders the real ones.

use std::sync::Arc;

use serde_json::json;

use super::{Delivery, Document, Hook};
use crate::call::{CallType, Fact, Payload, Value};
use crate::time::Timestamp;
use crate::trigger::Trigger;

const CALLER_LEG: &str = "8c3a1f0e-5b7d-4e0a-9f52-3d6c1b2a4e10";
const CALLEE_LEG: &str = "b1f24c77-90de-4a5e-8a1f-6e2d7c90a311";
const CORE: &str = "5f2b1f5e-8b1c-4c39-9e64-0d2f5a6b7c8d";

/// Which leg a trigger is told of.
enum Leg {
    Caller,
    Callee,
    None,
}

/// The sample of `trigger` as it would happen in `account_id` at `at`. `sequence` makes it one of its kind:
/// `webhook_id` is derived from it.
pub fn sample(trigger: Trigger, account_id: &Arc<str>, at: Timestamp, sequence: u64) -> Fact {
    let leg = match trigger {
        Trigger::ExtensionDialed | Trigger::ChannelProgress => Leg::Callee,
        Trigger::SwitchConnected | Trigger::SwitchDisconnected | Trigger::WebhookDisabled => {
            Leg::None
        }
        _ => Leg::Caller,
    };
    let mut payload = match leg {
        Leg::Caller => caller(),
        Leg::Callee => callee(),
        Leg::None => Payload::default(),
    };
    if trigger == Trigger::SwitchEvent {
        payload = Payload::default();
        payload.set("call_id", CALLER_LEG);
        payload.set("call_uuid", CALLER_LEG);
        payload.set("event", "RECORD_STOP");
        let headers = [
            ("Event-Name", "RECORD_STOP"),
            ("Core-UUID", CORE),
            ("Unique-ID", CALLER_LEG),
            ("Record-File-Path", "/var/lib/freeswitch/recordings/1.wav"),
        ];
        let headers = headers.map(|(name, value)| (name.into(), value.into()));
        payload.set("headers", Value::Object(Arc::new(headers)));
    }
    payload.set("switch", "fs1.example.com");
    if !matches!(leg, Leg::None) {
        payload.set("sequence", i64::try_from(sequence).unwrap_or(i64::MAX));
    }
    add(trigger, &mut payload);
    let call_id: Option<Arc<str>> = payload.text("call_id").map(Into::into);
    let is_call = call_id.is_some() && trigger != Trigger::SwitchEvent;
    Fact {
        trigger,
        at,
        core_uuid: CORE.into(),
        sequence,
        account_id: Arc::clone(account_id),
        call_uuid: call_id.is_some().then(|| CALLER_LEG.into()),
        call_id,
        internal_leg: false,
        call_type: is_call.then_some(CallType::Inbound),
        numbers: Arc::new(["15557770000".into(), "15551234567".into()]),
        reconciled: false,
        twin: false,
        switch_event: (trigger == Trigger::SwitchEvent).then(|| "RECORD_STOP".into()),
        subscription: None,
        payload,
    }
}

/// The sample of `trigger` as JSON, as a hook with nothing special about it is sent it.
pub fn sample_payload(trigger: Trigger) -> Document {
    let account_id: Arc<str> = "default".into();
    // 2026-11-21 08:00:23.065845 UTC.
    let at = Timestamp(1_795_248_023_065_845);
    let fact = sample(trigger, &account_id, at, 2_207);
    let document = json!({
        "name": "sample", "uri": "https://crm.example.com/calls", "hook": "all", "format": "json",
    });
    let serde_json::Value::Object(document) = document else {
        return Document::new();
    };
    // The document is right and what is rendered of it is JSON: both are under test.
    Hook::ad_hoc(&account_id, document)
        .ok()
        .and_then(|hook| serde_json::from_slice(&Delivery::new(&fact, &Arc::new(hook)).body).ok())
        .unwrap_or_default()
}

fn caller() -> Payload {
    let mut payload = Payload::with_capacity(32);
    payload.set("call_id", CALLER_LEG);
    payload.set("other_leg_call_id", CALLEE_LEG);
    payload.set("sip_call_id", "a84b4c76e66710@203.0.113.7");
    payload.set("call_uuid", CALLER_LEG);
    payload.set("is_root_leg", true);
    payload.set("call_direction", "inbound");
    common(&mut payload);
    payload
}

fn callee() -> Payload {
    let mut payload = Payload::with_capacity(32);
    payload.set("call_id", CALLEE_LEG);
    payload.set("other_leg_call_id", CALLER_LEG);
    payload.set("sip_call_id", "7d1e5c3b-4f0a-123d-d9a8-0242ac110002");
    payload.set("call_uuid", CALLER_LEG);
    payload.set("is_root_leg", false);
    payload.set("call_direction", "outbound");
    common(&mut payload);
    payload
}

fn common(payload: &mut Payload) {
    payload.set("call_type", "inbound");
    payload.set("request", "+15557770000@pbx.example.com");
    payload.set("to", "+15557770000@pbx.example.com");
    payload.set("from", "+15551234567@203.0.113.7");
    payload.set("caller_id_name", "Ada Lovelace");
    payload.set("caller_id_number", "+15551234567");
    payload.set("callee_id_name", "Support");
    payload.set("callee_id_number", "1001");
    payload.set("destination_number", "+15557770000");
    payload.set("is_internal_leg", false);
}

/// What a trigger adds, by example.
fn add(trigger: Trigger, payload: &mut Payload) {
    for field in trigger.adds() {
        let value: Value = match *field {
            "early_media" => false.into(),
            "other_leg_destination_number" => "1001".into(),
            "original_number" => "+15557770000".into(),
            "hangup_cause" => "NORMAL_CLEARING".into(),
            "hangup_code" => "sip:200".into(),
            "hangup_disposition" => "recv_bye".into(),
            "hung_up_by" => "caller".into(),
            "duration_seconds" => 34.into(),
            "ringing_seconds" => 4.into(),
            "billing_seconds" => 30.into(),
            "queue_seconds" => 12.into(),
            "hold_seconds" => 0.into(),
            "legs" => 2.into(),
            "answered_by" => "extension".into(),
            "outcome" => "answered".into(),
            "digit" => "2".into(),
            "digits" => "12".into(),
            "duration_ms" => 160.into(),
            "dtmf_source" => "RTP".into(),
            "queue" => "support@default".into(),
            "agent" => "1001@default".into(),
            "extension" => "1001".into(),
            "voicemail" => false.into(),
            "shed_events" => 0.into(),
            "reason" if trigger == Trigger::SwitchConnected => "connected".into(),
            "reason" => "the switch closed the connection".into(),
            "disable_reason" => "6 failed attempts within 60 seconds, the last one: status 503 from https://crm.example.com/calls".into(),
            _ => continue,
        };
        payload.set(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trigger_has_a_sample_with_all_that_it_adds() {
        for trigger in Trigger::ALL {
            let payload = sample_payload(*trigger);
            assert_eq!(payload["hook_event"], trigger.id());
            assert_eq!(payload["occurred_at"], "2026-11-21T08:00:23.065845Z");
            for field in trigger.adds() {
                assert!(payload.contains_key(*field), "{trigger} lacks {field}");
            }
        }
    }

    #[test]
    fn fields_come_in_the_order_of_the_catalogue() {
        let payload = sample_payload(Trigger::ChannelCreate);
        let fields: Vec<&str> = payload.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "hook_event",
                "webhook_id",
                "timestamp",
                "occurred_at",
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
                "switch",
                "sequence",
            ]
        );
    }
}
