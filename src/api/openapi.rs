//! `/openapi.json`: what there is, made from the list of routes.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::openapi::path::{
    OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, ContentBuilder, InfoBuilder, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    Schema,
};

use super::route::{Gives, Route, list_of, schema};
use crate::call::CallType;
use crate::hook::{Document, Format, MOST_CUSTOM_DATA, MOST_HEADERS, Verb};
use crate::store::accounts::{LONGEST_NAME, LONGEST_NUMBER, LONGEST_REALM, MOST_NUMBERS};
use crate::store::attempts::AttemptResult;
use crate::trigger::Trigger;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/openapi.json", read, "This description")
            .gives_plain("application/json")
            .open(),
    ]
}

async fn read() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    let json = [(CONTENT_TYPE, "application/json")];
    (json, TEXT.as_str()).into_response()
}

/// The description of every route.
fn document() -> Value {
    let mut schemas = schemas();
    let mut paths = PathsBuilder::new();
    for (_, route) in super::routes() {
        let operation = Described::new(&route, &mut schemas).operation();
        paths = paths.path(route.path, PathItem::new(route.method.clone(), operation));
    }
    let info = InfoBuilder::new()
        .title("switchhook")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(env!("CARGO_PKG_DESCRIPTION")));
    let api = OpenApiBuilder::new().info(info).paths(paths).build();
    let mut document = serde_json::to_value(api).expect("text keys into memory");
    // As they stand: JSON Schema says more than the builders know of.
    document["components"] = json!({
        "schemas": schemas,
        "securitySchemes": {
            "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" },
            "bearer": { "type": "http", "scheme": "bearer" },
        },
    });
    document
}

/// A route on its way into the document.
struct Described<'a> {
    route: &'a Route,
    /// The method and the words of the path: what its operation is known by.
    id: String,
    /// Where its schemas go.
    schemas: &'a mut Document,
}

impl<'a> Described<'a> {
    fn new(route: &'a Route, schemas: &'a mut Document) -> Self {
        let method = serde_json::to_value(&route.method).unwrap_or_default();
        let mut id = method.as_str().unwrap_or_default().to_owned();
        let words = route
            .path
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| !word.is_empty() && *word != "v2") {
            id.push('_');
            id.push_str(word);
        }
        Self { route, id, schemas }
    }

    fn operation(mut self) -> OperationBuilder {
        let route = self.route;
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id.clone()))
            .summary(Some(route.summary));
        let names = route.path.split('/').filter_map(|part| {
            let name = part.strip_prefix('{')?;
            name.strip_suffix('}')
        });
        for name in names {
            let id = self.refer(name, json!({ "type": "string", "minLength": 1 }));
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .schema(Some(id)),
            );
        }
        let query = route.query.iter().map(|one| (ParameterIn::Query, one));
        let headers = route.headers.iter().map(|one| (ParameterIn::Header, one));
        for (place, (name, description, schema)) in query.chain(headers) {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(*name)
                    .parameter_in(place)
                    .required(Required::False)
                    .description(Some(*description))
                    .schema(Some(self.refer(name, schema.clone()))),
            );
        }
        if let Some(data) = &route.takes {
            let (required, fields) = match route.takes_nothing_too {
                true => (Required::False, json!([])),
                false => (Required::True, json!(["data"])),
            };
            let body = json!({
                "type": "object", "properties": { "data": data }, "required": fields,
            });
            let body = RequestBodyBuilder::new()
                .required(Some(required))
                .content("application/json", self.content("request", body))
                .build();
            operation = operation.request_body(Some(body));
        }
        let (media_type, success) = match &route.gives {
            Gives::Data(data) => ("application/json", envelope(data.clone(), false)),
            Gives::Pages(item) => ("application/json", envelope(list_of(item.clone()), true)),
            Gives::Plain("application/json") => ("application/json", json!({ "type": "object" })),
            Gives::Plain(media_type) => (*media_type, json!({ "type": "string" })),
        };
        let mut statuses = vec![route.status];
        statuses.extend(route.or_status);
        for status in statuses {
            let success = self.content("response", success.clone());
            let answer = ResponseBuilder::new()
                .description("Answered")
                .content(media_type, success);
            operation = operation.response(status.to_string(), answer);
        }
        let error = self.content("error", schema("Error"));
        let refused = ResponseBuilder::new()
            .description("Refused")
            .content("application/json", error);
        operation = operation.response("default", refused);
        match route.needs_token {
            true => operation
                .security(SecurityRequirement::new::<_, [&str; 0], _>("token", []))
                .security(SecurityRequirement::new::<_, [&str; 0], _>("bearer", [])),
            false => operation,
        }
    }

    fn content(&mut self, what: &str, schema: Value) -> Content {
        let schema = self.refer(what, schema);
        ContentBuilder::new().schema(Some(schema)).build()
    }

    /// Puts a schema among the others, unless it is there, and refers to it.
    fn refer(&mut self, what: &str, schema: Value) -> RefOr<Schema> {
        if let Some(there) = schema["$ref"].as_str() {
            return RefOr::Ref(Ref::new(there));
        }
        let name = format!("{}.{what}", self.id);
        let reference = Ref::from_schema_name(&name);
        self.schemas.insert(name, schema);
        RefOr::Ref(reference)
    }
}

fn envelope(data: Value, is_page: bool) -> Value {
    let text = || json!({ "type": "string" });
    let mut properties = Document::new();
    properties.insert("data".into(), data);
    properties.insert("request_id".into(), text());
    properties.insert("revision".into(), text());
    properties.insert("auth_token".into(), text());
    properties.insert(
        "status".into(),
        json!({ "type": "string", "enum": ["success"] }),
    );
    let mut required = vec!["data", "request_id", "status"];
    if is_page {
        properties.insert(
            "page_size".into(),
            json!({ "type": "integer", "minimum": 0 }),
        );
        properties.insert("start_key".into(), text());
        properties.insert("next_start_key".into(), text());
        required.push("page_size");
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn schemas() -> Document {
    let text = || json!({ "type": "string" });
    let maybe_text = || json!({ "type": ["string", "null"] });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let yes = || json!({ "type": "boolean" });
    let gregorian = || json!({ "type": "integer", "description": "Gregorian seconds" });
    let ids = |list: &[Trigger]| list.iter().map(|trigger| trigger.id()).collect::<Vec<_>>();
    let trigger = words(ids(Trigger::ALL));
    let shown = json!({
        "id": text(), "name": text(), "uri": text(), "hook": {}, "enabled": yes(),
        "http_verb": words(Verb::ALL.iter().map(|verb| verb.id())),
        "disable_reason": text(), "description": maybe_text(),
    });
    let written = written_webhook();
    let mut webhook = written["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    webhook.insert("hook".into(), json!({}));
    for (field, schema) in shown.as_object().into_iter().flatten() {
        webhook.insert(field.clone(), schema.clone());
    }
    webhook.insert("created".into(), gregorian());
    webhook.insert("modified".into(), gregorian());
    webhook.insert("has_secret".into(), yes());
    webhook.insert("previous_secret_until".into(), gregorian());
    let mut listed = shown.as_object().cloned().unwrap_or_default();
    listed.insert("activity".into(), schema("Activity"));
    let account = json!({ "name": text(), "realm": maybe_text(), "numbers": list_of(text()) });
    let mut shown_account = account.as_object().cloned().unwrap_or_default();
    for (field, schema) in [
        ("id", text()),
        ("parent", text()),
        ("created", gregorian()),
        ("modified", gregorian()),
        ("deleted_webhooks", number()),
    ] {
        shown_account.insert(field.into(), schema);
    }
    let schemas = json!({
        "Error": {
            "type": "object",
            "properties": {
                "data": { "type": "object", "description": "Field, rule, message" },
                "error": text(), "message": text(), "request_id": text(),
                "status": { "type": "string", "enum": ["error"] },
            },
            "required": ["data", "error", "message", "request_id", "status"],
        },
        "Trigger": {
            "type": "object",
            "properties": {
                "id": trigger, "name": text(), "description": text(), "modifiers": { "type": "object" },
            },
            "required": ["id", "name", "description", "modifiers"],
        },
        "WebhookWritten": written,
        "Webhook": {
            "type": "object",
            "properties": webhook,
            "required": ["id", "name", "uri", "hook", "http_verb", "format", "retries", "enabled", "created", "modified"],
        },
        "WebhookSummary": {
            "type": "object",
            "properties": listed,
            "required": ["id", "name", "uri", "hook", "enabled"],
        },
        "Activity": {
            "type": "object",
            "properties": {
                "succeeded": number(), "failed": number(),
                "minutes": {
                    "description": "Succeeded and failed attempts of each of the last 60 minutes, oldest first; empty where there were none",
                    "type": "array",
                    "items": { "type": "array", "items": number(), "minItems": 2, "maxItems": 2 },
                },
                "last": {
                    "oneOf": [
                        { "type": "null" },
                        {
                            "type": "object",
                            "properties": {
                                "id": text(), "timestamp": gregorian(), "reason": text(),
                                "result": words(AttemptResult::ALL.iter().map(|result| result.id())),
                                "resp_status_code": text(),
                            },
                            "required": ["id", "timestamp", "result"],
                        },
                    ],
                },
            },
            "required": ["succeeded", "failed", "minutes", "last"],
        },
        "Attempt": {
            "type": "object",
            "properties": {
                "id": text(), "hook_id": text(), "hook_event": trigger, "call_id": text(),
                "webhook_id": text(), "timestamp": gregorian(),
                "result": words(AttemptResult::ALL.iter().map(|result| result.id())),
                "reason": text(), "client_error": text(), "resp_status_code": text(),
                "resp_headers": { "type": "object" }, "resp_body": text(),
                "method": words(Verb::ALL.iter().map(|verb| verb.method())), "uri": text(),
                "req_headers": { "type": "object" }, "req_body": text(), "attempt": number(),
                "retries_left": number(), "retries left": number(), "duration_ms": number(),
            },
            "required": ["id", "hook_id", "hook_event", "webhook_id", "timestamp", "result", "attempt", "retries_left"],
        },
        "AccountWritten": written_account(),
        "Account": {
            "type": "object",
            "properties": shown_account,
            "required": ["id", "name", "numbers", "created", "modified"],
        },
        "Token": {
            "type": "object",
            "properties": {
                "id": text(), "prefix": text(), "created": gregorian(), "revoked": gregorian(),
                "token": { "type": "string", "description": "Only when it is made" },
            },
            "required": ["id", "prefix", "created"],
        },
        "ApiKey": {
            "type": "object",
            "properties": {
                "prefix": text(), "created": gregorian(),
                "api_key": { "type": "string", "description": "Only when it is made" },
            },
            "required": ["prefix", "created"],
        },
        "Stats": {
            "type": "object",
            "properties": {
                "attempts": number(), "sent": number(), "failed": number(), "skipped": number(),
                "expired": number(), "pending": number(), "failures_counted": number(),
                "since": { "type": ["integer", "null"] },
                "latency_ms": {
                    "type": "object",
                    "properties": {
                        "p50": { "type": ["number", "null"] },
                        "p95": { "type": ["number", "null"] },
                        "p99": { "type": ["number", "null"] },
                    },
                    "required": ["p50", "p95", "p99"],
                },
                "last_error": { "oneOf": [schema("Attempt"), { "type": "null" }] },
            },
            "required": ["attempts", "sent", "failed", "pending", "latency_ms", "last_error"],
        },
    });
    let mut all = super::callflow_schema::schemas();
    all.extend(schemas.as_object().cloned().unwrap_or_default());
    all
}

fn written_account() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "pattern": r"\S", "maxLength": LONGEST_NAME },
            "realm": {
                "type": ["string", "null"], "pattern": r"\S", "maxLength": LONGEST_REALM,
                "description": "Changed only with the admin token or a token of an account above",
            },
            "numbers": {
                "type": ["array", "null"], "maxItems": MOST_NUMBERS,
                "items": { "type": "string", "pattern": "[0-9]", "maxLength": LONGEST_NUMBER },
                "description": "Changed only with the admin token or a token of an account above",
            },
        },
        "required": ["name"],
    })
}

/// What may be written of a webhook.
pub(super) fn written_webhook() -> Value {
    let optional = |kind: &str| json!({ "type": [kind, "null"] });
    let whole = |least: u64, most: u64| json!({ "type": ["integer", "null"], "minimum": least, "maximum": most });
    let uri = |kinds: Value| {
        json!({
            "type": kinds, "format": "uri", "maxLength": 2_048,
            "pattern": "^(?:[hH][tT][tT][pP][sS]?://[^@]+|[nN][aA][tT][sS]://.+)$",
        })
    };
    let any_case = |ids: Vec<&str>| {
        let words: Vec<String> = ids.iter().map(|id| any_case_word(id)).collect();
        format!("^(?:{})$", words.join("|"))
    };
    let triggers: Vec<&str> = std::iter::once("all")
        .chain(Trigger::ALL.iter().map(|trigger| trigger.id()))
        .collect();
    let switch_event = format!("^{}$", any_case_word(Trigger::SwitchEvent.id()));
    let hook = json!({ "type": "string", "pattern": any_case(triggers) });
    let one_or_more =
        |item: Value| json!({ "oneOf": [item.clone(), list_of(item), { "type": "null" }] });
    let call_types = CallType::ALL.iter().map(|kind| kind.id()).collect();
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 256 },
            "uri": uri(json!("string")),
            "hook": {
                "description": "What it wants: a trigger, a list of triggers, or `all`; `switch_event` needs `modifiers.event` too",
                "anyOf": [
                    hook,
                    { "type": "array", "items": hook, "minItems": 1 },
                ],
            },
            "http_verb": { "type": ["string", "null"], "pattern": any_case(Verb::ALL.iter().map(|one| one.id()).collect()) },
            "format": { "type": ["string", "null"], "pattern": any_case(Format::ALL.iter().map(|one| one.id()).collect()) },
            "retries": whole(0, 4),
            "custom_data": {
                "type": ["object", "null"],
                "description": format!("Merged into the payload; at most {MOST_CUSTOM_DATA} bytes of JSON"),
            },
            "custom_request_headers": {
                "type": ["object", "null"],
                "description": format!("At most {MOST_HEADERS} bytes of JSON"),
                "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
                "additionalProperties": {
                    "type": ["string", "number", "boolean"],
                    "pattern": r"^[^\x00-\x08\x0a-\x1f\x7f-\x9f]*$",
                },
            },
            "enabled": optional("boolean"),
            "modifiers": {
                "type": ["object", "null"],
                "additionalProperties": {
                    "anyOf": [
                        { "type": ["string", "number", "boolean", "null"] },
                        { "type": "array", "items": { "type": ["string", "number", "boolean", "null"] } },
                    ],
                },
            },
            "call_types": one_or_more(json!({ "type": "string", "pattern": any_case(call_types) })),
            "numbers": one_or_more(json!({ "type": "string", "pattern": "[0-9]" })),
            "timezone": { "type": ["string", "null"], "enum": time_zones() },
            "include_internal_legs": optional("boolean"),
            "include_subaccounts": optional("boolean"),
            "description": { "type": ["string", "null"], "maxLength": 2_048 },
            "failover_uri": uri(json!(["string", "null"])),
            "expires_seconds": whole(1, 31_536_000),
            "ordering": { "type": ["string", "null"], "pattern": any_case(vec!["call", "strict", "none"]) },
            "rate_limit": {
                "type": ["object", "null"],
                "properties": {
                    "per_second": { "type": "integer", "minimum": 1, "maximum": 100_000 },
                    "burst": whole(1, 100_000),
                },
                "required": ["per_second"],
            },
            "timeout_ms": whole(100, 120_000),
            "secret": {
                "type": ["string", "null"],
                "description": "`whsec_` and base64 of 24 to 64 bytes, or `generate`; shown once",
                "pattern": SECRET,
            },
        },
        "required": ["name", "uri", "hook"],
        "if": {
            "properties": {
                "hook": {
                    "anyOf": [
                        { "pattern": switch_event, "type": "string" },
                        { "contains": { "pattern": switch_event, "type": "string" }, "type": "array" },
                    ],
                },
            },
        },
        "then": {
            "properties": { "modifiers": { "type": "object", "required": ["event"] } },
            "required": ["modifiers"],
        },
    })
}

/// `whsec_` and base64 of 24 to 64 bytes, or `generate`.
const SECRET: &str = concat!(
    "^(?:generate|whsec_(?:",
    "(?:[A-Za-z0-9+/]{4}){8,21}",
    "|(?:[A-Za-z0-9+/]{4}){8,21}[A-Za-z0-9+/][AQgw]==",
    "|(?:[A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=",
    "))$"
);

/// The time zones that there are, or none.
fn time_zones() -> Vec<Value> {
    let names = jiff::tz::db().available();
    let names = names.map(|name| json!(name.as_str()));
    names.chain([Value::Null]).collect()
}

/// A pattern for a word in any case.
fn any_case_word(word: &str) -> String {
    word.chars()
        .map(|c| match c.is_ascii_alphabetic() {
            true => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
            false => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for (_, route) in crate::api::routes() {
            let item = &document["paths"][route.path];
            assert!(item.is_object(), "{} is missing", route.path);
        }
        let text = document.to_string();
        let referred: BTreeSet<&str> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for name in referred {
            let place = format!("/components/schemas/{name}");
            assert!(
                document.pointer(&place).is_some_and(Value::is_object),
                "{name} is missing"
            );
        }
    }
}
