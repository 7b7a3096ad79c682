//! A fact as the bytes that one hook is sent: JSON, or form data as Kazoo encodes it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::ser::{SerializeMap, Serializer};

use super::{Document, Format, Hook, Verb, WebhookId};
use crate::call::{Fact, Value};

/// One value of a payload on its way out: ours, or a key of the hook's custom data.
enum Field<'a> {
    Ours(Cow<'a, Value>),
    Custom(&'a serde_json::Value),
}

/// The payload of `fact` for `hook`, encoded. GET always carries form data: it is the query string.
pub(super) fn render(fact: &Fact, hook: &Hook, webhook_id: WebhookId) -> Bytes {
    let fields = fields(fact, hook, webhook_id);
    match (hook.settings.verb, hook.settings.format) {
        (Verb::Post | Verb::Put, Format::Json) => json(&fields).into(),
        _ => form(&fields).into(),
    }
}

/// Every field in order, custom data merged over ours.
fn fields<'a>(fact: &'a Fact, hook: &'a Hook, webhook_id: WebhookId) -> Vec<(&'a str, Field<'a>)> {
    let custom = &hook.settings.custom_data;
    let text = |text: &str| Cow::Owned(Value::from(text));
    let first = [
        ("hook_event", text(fact.trigger.id())),
        ("webhook_id", text(&webhook_id.to_string())),
        ("timestamp", Cow::Owned(Value::Number(fact.at.gregorian()))),
        (
            "occurred_at",
            text(&fact.at.rfc3339(&hook.settings.timezone)),
        ),
        ("account_id", text(&fact.account_id)),
    ];
    // A trigger's own field of the same name says more (`webhook_id` of `webhook_disabled`).
    let first = first
        .into_iter()
        .filter(|(name, _)| fact.payload.get(name).is_none());
    let ours = first.chain(
        fact.payload
            .iter()
            .map(|(name, value)| (name, Cow::Borrowed(value))),
    );
    let mut fields: Vec<(&str, Field<'_>)> = ours
        .map(|(name, value)| match custom.get(name) {
            Some(own) => (name, Field::Custom(own)),
            None => (name, Field::Ours(value)),
        })
        .collect();
    let known = fields.len();
    for (name, value) in custom {
        if !fields[..known].iter().any(|(taken, _)| taken == name) {
            fields.push((name, Field::Custom(value)));
        }
    }
    fields
}

fn json(fields: &[(&str, Field<'_>)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(1_024);
    let mut serializer = serde_json::Serializer::new(&mut body);
    let written = (|| {
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, field) in fields {
            match field {
                Field::Ours(value) => map.serialize_entry(name, &**value)?,
                Field::Custom(value) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    })();
    // Keys are strings and the sink is memory: nothing that serde_json can refuse.
    written.expect("text keys into a Vec");
    body
}

fn form(fields: &[(&str, Field<'_>)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(1_024));
    for (name, field) in fields {
        match field {
            Field::Custom(value) => append(&mut form, name, value),
            Field::Ours(value) => match &**value {
                Value::Text(text) => {
                    form.append_pair(name, text);
                }
                Value::Number(number) => {
                    form.append_pair(name, &number.to_string());
                }
                Value::Bool(yes) => {
                    form.append_pair(name, if *yes { "true" } else { "false" });
                }
                Value::Object(pairs) => {
                    for (child, value) in pairs.iter() {
                        form.append_pair(&format!("{name}[{child}]"), value);
                    }
                }
            },
        }
    }
    form.finish()
}

/// Form data of a JSON object as Kazoo's `kz_http_util:json_to_querystring` writes it: `parent[child]`,
/// `list[]`.
pub fn form_encode(object: &Document) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in object {
        append(&mut form, name, value);
    }
    form.finish()
}

fn append(
    form: &mut form_urlencoded::Serializer<'_, String>,
    name: &str,
    value: &serde_json::Value,
) {
    match value {
        serde_json::Value::Null => form.append_pair(name, ""),
        serde_json::Value::String(text) => form.append_pair(name, text),
        serde_json::Value::Array(items) => {
            for item in items {
                append(form, &format!("{name}[]"), item);
            }
            form
        }
        serde_json::Value::Object(children) => {
            for (child, value) in children {
                append(form, &format!("{name}[{child}]"), value);
            }
            form
        }
        other => form.append_pair(name, &other.to_string()),
    };
}
