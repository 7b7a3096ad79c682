//! What `openapi.json` says of callflows; of their modules what the fields of the modules say. What a module
//! checks besides is not in it.

use serde_json::{Value, json};

use super::callflows::OUTCOMES;
use super::openapi::written_webhook;
use super::route::{list_of, schema};
use crate::callflow::{Category, Children, Field, Kind, Module, modules};
use crate::hook::Document;

/// The schemas of callflows, of a node of a flow, and of each module's node.
pub(super) fn schemas() -> Document {
    let text = || json!({ "type": "string" });
    let gregorian = || json!({ "type": "integer", "description": "Gregorian seconds" });
    let number = json!({ "type": "string", "pattern": "[0-9]|^no_match$" });
    let numbers = json!({
        "type": ["array", "null"], "items": number, "maxItems": 1_000,
        "description": "The numbers that are dialled to reach it; `no_match` takes what no other callflow does",
    });
    let nodes = modules().iter().map(|module| schema(&name_of(module)));
    let schemas = json!({
        "CallflowWritten": {
            "type": "object",
            "properties": { "name": {}, "numbers": numbers, "flow": schema("FlowNode") },
            "required": ["flow"],
        },
        "Callflow": {
            "type": "object",
            "properties": {
                "id": text(), "name": {}, "numbers": list_of(text()), "flow": { "type": "object" },
                "created": gregorian(), "modified": gregorian(),
            },
            "required": ["id", "numbers", "flow", "created", "modified"],
        },
        "CallflowSummary": {
            "type": "object",
            "properties": {
                "id": text(), "name": {}, "numbers": list_of(text()),
                "modules": {
                    "type": "array", "items": text(),
                    "description": "Each module that it has and does not skip, once",
                },
                "nodes": { "type": "integer", "minimum": 0, "description": "How many modules it has in all" },
                "created": gregorian(), "modified": gregorian(),
            },
            "required": ["id", "numbers", "modules", "nodes", "created", "modified"],
        },
        "CallflowModule": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "enum": modules().iter().map(|module| module.id).collect::<Vec<_>>() },
                "name": text(), "description": text(),
                "category": {
                    "type": "string",
                    "enum": Category::ALL.iter().map(|category| category.name()).collect::<Vec<_>>(),
                },
                "children": {
                    "type": "object",
                    "properties": {
                        "keys": list_of(json!({
                            "type": "object",
                            "properties": { "id": text(), "name": text() },
                            "required": ["id", "name"],
                        })),
                        "digits": { "type": "boolean", "description": "Whether what is pressed is a key too" },
                        "ends": { "type": "boolean", "description": "Whether the flow ends here" },
                    },
                    "required": ["keys", "digits", "ends"],
                },
                "data": { "type": "object", "description": "JSON Schema of a node's `data`" },
            },
            "required": ["id", "name", "description", "category", "children", "data"],
        },
        "FlowNode": { "oneOf": nodes.collect::<Vec<_>>() },
        "CallflowTest": {
            "type": "object",
            "properties": {
                "call": {
                    "type": "object",
                    "properties": {
                        "answered": {
                            "type": ["boolean", "string", "number", "null"],
                            "description": "Whether somebody answers, or the id of who does",
                        },
                        "digits": {
                            "anyOf": [{ "type": ["string", "null"] }, list_of(text())],
                            "description": "What is pressed in each menu; an empty text is nothing",
                        },
                        "webhook": {
                            "enum": OUTCOMES.iter().map(|word| json!(word)).chain([Value::Null]).collect::<Vec<_>>(),
                            "description": "How webhooks go; well where nothing is said",
                        },
                        "domain": {
                            "type": ["string", "null"],
                            "description": "That of users and mailboxes, where none is configured",
                        },
                    },
                },
                "flow": {
                    "type": ["object", "null"],
                    "description": "What is walked instead of the flow that is stored",
                },
            },
            "required": ["call"],
        },
        "CallflowSteps": {
            "type": "object",
            "properties": { "steps": list_of(schema("CallflowStep")) },
            "required": ["steps"],
        },
        "CallflowStep": {
            "type": "object",
            "properties": {
                "path": text(), "module": text(), "applications": list_of(text()),
                "webhook": { "type": "string", "description": "Method and URI" },
                "note": text(), "next": { "type": ["string", "null"] },
            },
            "required": ["path", "module", "next"],
        },
    });
    let mut schemas = schemas.as_object().cloned().unwrap_or_default();
    for module in modules() {
        schemas.insert(name_of(module), node(module));
    }
    schemas
}

/// The name of a module's schema.
fn name_of(module: &Module) -> String {
    format!("FlowNode.{}", module.id)
}

/// A node that is this module.
fn node(module: &Module) -> Value {
    let mut data = data_of(module);
    let required = match data["required"].as_array().is_some_and(Vec::is_empty) {
        true => {
            data["type"] = json!(["object", "null"]);
            json!(["module"])
        }
        false => json!(["module", "data"]),
    };
    let keys = match module.children {
        Children::Default | Children::Unanswered | Children::Skipped => "^_$",
        Children::Outcome => "^(?:success|failure|_)$",
        Children::Digits => "^(?:[0-9*#]{1,16}|timeout|_)$",
    };
    json!({
        "type": "object",
        "description": module.description,
        "properties": {
            "module": { "type": "string", "enum": [module.id] },
            "data": data,
            "children": {
                "type": ["object", "null"],
                "propertyNames": { "pattern": keys },
                "additionalProperties": schema("FlowNode"),
            },
        },
        "required": required,
    })
}

/// What the data of a node that is this module may be.
pub(super) fn data_of(module: &Module) -> Value {
    let mut data = object_of(module.fields);
    data["properties"]["skip_module"] = json!({ "type": ["boolean", "null"] });
    data
}

/// An object with these fields.
fn object_of(fields: &[Field]) -> Value {
    let described: Document = (fields.iter())
        .map(|field| (field.name.to_owned(), describe(field)))
        .collect();
    let needed: Vec<&str> = (fields.iter())
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({ "type": "object", "properties": described, "required": needed })
}

/// Text that goes to the switch: one line that does not begin with `%`, with `${NAME}` for channel variables.
const TEXT: &str = concat!(
    r"^(?:[^$%\x00-\x1f\x7f-\x9f]|\$\{[A-Za-z0-9_.-]+\}|\$+(?:[^{$\x00-\x1f\x7f-\x9f]|$))",
    r"(?:[^$\x00-\x1f\x7f-\x9f]|\$\{[A-Za-z0-9_.-]+\}|\$+(?:[^{$\x00-\x1f\x7f-\x9f]|$))*$",
);

/// The same without blanks and quotes.
const SOUND: &str = concat!(
    r#"^(?:[^$%\s'"\x00-\x1f\x7f-\x9f]|\$\{[A-Za-z0-9_.-]+\}|\$+(?:[^{$\s'"\x00-\x1f\x7f-\x9f]|$))"#,
    r#"(?:[^$\s'"\x00-\x1f\x7f-\x9f]|\$\{[A-Za-z0-9_.-]+\}|\$+(?:[^{$\s'"\x00-\x1f\x7f-\x9f]|$))*$"#,
);

/// What a field may hold.
fn describe(field: &Field) -> Value {
    let mut described = match field.kind {
        Kind::Word => json!({
            "type": ["string", "number"], "pattern": "^[A-Za-z0-9_.+*#@-]{1,128}$",
        }),
        Kind::Sound => json!({
            "type": ["string", "number"], "minLength": 1, "maxLength": 512, "pattern": SOUND,
        }),
        Kind::Text(most) => json!({
            "type": ["string", "number"], "minLength": 1, "maxLength": most, "pattern": TEXT,
        }),
        Kind::Whole(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Yes => json!({ "type": "boolean" }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::Object => json!({ "type": "object" }),
        Kind::List(fields) => list_of(object_of(fields)),
        // As in a webhook.
        Kind::Hook => written_webhook()["properties"][field.name].clone(),
    };
    // To leave a field out and to say null of it are the same.
    if !field.required {
        if let Some(Value::Array(words)) = described.get_mut("enum") {
            words.push(Value::Null);
        }
        if let Some(kind) = described.get_mut("type") {
            *kind = match kind.take() {
                Value::Array(kinds) if kinds.contains(&json!("null")) => kinds.into(),
                Value::Array(mut kinds) => {
                    kinds.push(json!("null"));
                    kinds.into()
                }
                one => json!([one, "null"]),
            };
        }
    }
    described["description"] = json!(field.about);
    if let Some(default) = field
        .default
        .and_then(|json| serde_json::from_str(json).ok())
    {
        described["default"] = default;
    }
    described
}
