//! `webhook`: a request to a server, to tell it something or to ask it for instructions.

use super::{Act, Category, Children, Module};
use crate::callflow::action::hook_document;
use crate::callflow::schema::{Data, Field, Kind, Notes};
use crate::hook::Settings;

/// The longest `wait_ms`: a minute of silence is more than any caller bears.
const LONGEST_WAIT_MS: u64 = 60_000;

pub(super) const MODULE: Module = Module {
    id: "webhook",
    name: "Webhook",
    category: Category::Advanced,
    description: "Sends a webhook; a GET asks the server for instructions.",
    fields: &[
        Field::required(
            "uri",
            Kind::Hook,
            "Where it goes: absolute http or https, or nats",
        ),
        Field::optional(
            "http_verb",
            Kind::Hook,
            "post or put to tell, get to ask for instructions",
        )
        .or("\"post\""),
        Field::optional("retries", Kind::Hook, "Attempts after the first, 0 to 4").or("2"),
        Field::optional("format", Kind::Hook, "form-data or json").or("\"form-data\""),
        Field::optional(
            "custom_data",
            Kind::Hook,
            "Merged into what is sent; its keys win",
        ),
        Field::optional(
            "custom_request_headers",
            Kind::Hook,
            "Headers that go along",
        ),
        Field::optional(
            "wait_ms",
            Kind::Whole(0, LONGEST_WAIT_MS),
            "How long the call may wait for the answer; 0 for POST and 5000 for GET where it is left out",
        ),
    ],
    children: Children::Outcome,
    check,
    act: |_, _| Act::Webhook,
};

/// What a webhook may say is for `hook/` to know.
fn check(data: &Data, notes: &mut Notes<'_>) {
    if !data.document().contains_key("uri") {
        return;
    }
    let settings = Settings::written(&hook_document(data.document(), "webhook"), None);
    if let Err(mistakes) = settings.and_then(Settings::without_passwords) {
        for (field, rules) in mistakes.into_document() {
            for (rule, detail) in rules.as_object().into_iter().flatten() {
                notes.add(&field, rule, detail.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{act, mistakes};
    use super::*;

    #[test]
    fn it_sends_what_a_webhook_can_be() {
        let data = json!({
            "uri": "http://my.ser.ver/frontdesk/missed_call", "http_verb": "GET", "retries": 0,
            "format": "json", "custom_data": {"some_id": "123abc"}, "wait_ms": 60_000,
        });
        assert_eq!(act(&MODULE, data), Act::Webhook);
    }

    #[test]
    fn its_mistakes_are_those_of_a_webhook() {
        assert_eq!(
            mistakes(&MODULE, json!({})),
            "data.uri: Field is required but missing"
        );
        assert_eq!(
            mistakes(
                &MODULE,
                json!({"uri": "http://a/", "custom_data": {"a": "x".repeat(16_384)}})
            ),
            "data.custom_data: Value must not be more than 16384 bytes of JSON; this has 16392"
        );
        assert_eq!(
            mistakes(
                &MODULE,
                json!({"uri": "ftp://a", "retries": 9, "wait_ms": -1})
            ),
            "data.wait_ms: Value must be greater than or equal to 0; \
             data.uri: Value must be an http, https or nats URI, not ftp; \
             data.retries: Value must be less than or equal to 4"
        );
    }
}
