//! A flow walked over no call: the steps that it would take.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::flow::{Flow, Kind, Node};
use super::modules::{Act, Scene};
use super::runner::STEPS;
use super::schema::text_of;
use crate::hook::Document;

/// One step of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where the module stands: `flow.children._`.
    pub path: String,
    /// The module.
    pub module: String,
    /// The applications that the switch would run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<String>,
    /// The request that would be sent: method and URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// What a person should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The key of the child it goes on to; `None` where the flow ends.
    pub next: Option<String>,
}

/// Walks `flow` over a call that is only described. `call` may say who `answered` (true, or the id of a
/// device or user), the `digits` pressed in the menus (a list, an empty text where nothing is pressed), and
/// how webhooks go (`webhook`: `queued`, `success`, `failure` or `timeout`; what is left out goes well).
/// `domain` is that of users and mailboxes.
pub fn dry_run(flow: &Flow, call: &Value, domain: Option<&str>) -> Vec<Step> {
    let mut digits = pressed(&call["digits"]).into_iter();
    let mut steps = Vec::new();
    let mut next = Some(Arc::clone(&flow.root));
    while let Some(node) = next.filter(|_| steps.len() < STEPS) {
        let mut step = Step {
            path: node.path.clone(),
            module: node.module().to_owned(),
            applications: Vec::new(),
            webhook: None,
            note: None,
            next: None,
        };
        let keys = take(&node, call, domain, &mut digits, &mut step);
        let child = keys.and_then(|keys| node.next(&keys));
        step.next = child.map(|(key, _)| key.to_owned());
        next = child.map(|(_, node)| Arc::clone(node));
        steps.push(step);
    }
    steps
}

/// Takes one step: which keys it looks for before `_`, or `None` where the flow ends.
fn take<'a>(
    node: &Node,
    call: &'a Value,
    domain: Option<&str>,
    digits: &mut impl Iterator<Item = &'a str>,
    step: &mut Step,
) -> Option<Vec<&'a str>> {
    let (module, data) = match &node.kind {
        Kind::Module(..) if node.skip => {
            step.note = Some("skipped".into());
            return Some(Vec::new());
        }
        Kind::Module(module, data) => (module, data),
        Kind::Unknown(_) => {
            step.note = Some("no such module: passed over".into());
            return Some(Vec::new());
        }
    };
    let keys: Vec<&str> = node.children.iter().map(|(key, _)| &**key).collect();
    let scene = Scene {
        domain,
        keys: &keys,
    };
    let mut run = |all: Vec<_>| {
        step.applications = all.iter().map(ToString::to_string).collect();
    };
    match (module.act)(data, &scene) {
        Act::Run(all) => {
            run(all);
            Some(Vec::new())
        }
        Act::End(all) => {
            run(all);
            None
        }
        Act::Leave(one) => {
            run(vec![one]);
            None
        }
        Act::Bridge(one) => {
            run(vec![one]);
            let answered = answers(&call["answered"], |id| rings(data.document(), id));
            step.note = Some(if answered { "answered" } else { "not answered" }.into());
            (!answered).then(Vec::new)
        }
        Act::Menu(all) => {
            run(all);
            Some(match digits.next().unwrap_or_default() {
                "" => vec!["timeout"],
                pressed => vec![pressed],
            })
        }
        Act::Jump(id) => {
            step.note = Some(format!("goes on in callflow {id}"));
            None
        }
        Act::Webhook => {
            let verb = data.word("http_verb").to_ascii_uppercase();
            step.webhook = Some(format!("{verb} {}", data.word("uri")));
            let said = data.document().get("wait_ms").and_then(Value::as_f64);
            let waits = said.map_or(verb == "GET", |ms| ms >= 1.0);
            if verb == "GET" && waits {
                step.note =
                    Some("what the server answers would be run before the next step".into());
            }
            Some(match call["webhook"].as_str().unwrap_or("success") {
                "failure" | "timeout" => vec!["failure"],
                "queued" => Vec::new(),
                _ if waits => vec!["success"],
                // Nobody knows yet how it goes.
                _ => Vec::new(),
            })
        }
    }
}

/// Whether somebody is said to answer.
fn answers(said: &Value, rings: impl Fn(&str) -> bool) -> bool {
    match said {
        Value::Bool(yes) => *yes,
        id => text_of(id).is_some_and(|id| rings(&id)),
    }
}

/// Whether a module with this data rings `id`.
fn rings(data: &Document, id: &str) -> bool {
    let is = |value: &Value| text_of(value).as_deref() == Some(id);
    let group = data.get("endpoints").and_then(Value::as_array);
    data.get("id").is_some_and(is)
        || group
            .into_iter()
            .flatten()
            .any(|endpoint| endpoint.get("id").is_some_and(is))
}

fn pressed(said: &Value) -> Vec<&str> {
    match said {
        Value::String(digits) => vec![digits],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap_or("")).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::callflow::Rules;

    fn walk(flow: Value, call: Value) -> Vec<Step> {
        let flow = Flow::read(&flow, &Rules::stored()).unwrap();
        dry_run(&flow, &call, Some("pbx.test"))
    }

    fn paths(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| &*step.path).collect()
    }

    fn seed() -> Value {
        json!({"module": "device", "data": {"id": "1001"},
            "children": {"_": {"module": "webhook", "data": {"uri": "http://my.ser.ver/frontdesk/missed_call"},
                "children": {"_": {"module": "voicemail", "data": {"id": "1001"}}}}}})
    }

    #[test]
    fn a_missed_call_is_told_and_goes_to_voicemail() {
        let steps = walk(seed(), json!({}));
        assert_eq!(
            serde_json::to_value(&steps).unwrap(),
            json!([
                {"path": "flow", "module": "device", "applications": ["bridge [leg_timeout=20]user/1001@pbx.test"],
                 "note": "not answered", "next": "_"},
                {"path": "flow.children._", "module": "webhook",
                 "webhook": "POST http://my.ser.ver/frontdesk/missed_call", "next": "_"},
                {"path": "flow.children._.children._", "module": "voicemail",
                 "applications": ["answer", "voicemail default pbx.test 1001"], "next": null},
            ])
        );
    }

    #[test]
    fn an_answered_call_ends_the_flow() {
        for answered in [json!(true), json!("1001"), json!(1001)] {
            let steps = walk(seed(), json!({"answered": answered}));
            assert_eq!(paths(&steps), ["flow"]);
        }
        assert_eq!(walk(seed(), json!({"answered": "1002"})).len(), 3);
    }

    #[test]
    fn digits_and_outcomes_choose_the_way() {
        let flow = json!({"module": "menu", "data": {"file": "a.wav"}, "children": {
            "1": {"module": "webhook", "data": {"uri": "http://a/", "http_verb": "get"}, "children": {
                "success": {"module": "hangup"}, "failure": {"module": "play", "data": {"file": "b.wav"}}}},
            "timeout": {"module": "play", "data": {"file": "c.wav", "skip_module": true},
                "children": {"_": {"module": "transfer", "data": {"extension": "0"}}}}}});
        let ends = |call| {
            let steps = walk(flow.clone(), call);
            steps.last().unwrap().path.clone()
        };
        assert_eq!(
            ends(json!({"digits": "1"})),
            "flow.children.1.children.success"
        );
        assert_eq!(
            ends(json!({"digits": ["1"], "webhook": "timeout"})),
            "flow.children.1.children.failure"
        );
        assert_eq!(ends(json!({})), "flow.children.timeout.children._");
        // Nobody chose 2: there is no way on.
        assert_eq!(ends(json!({"digits": "2"})), "flow");
    }
    #[test]
    fn only_who_waits_for_an_answer_goes_by_it() {
        let next = |data: Value, webhook: Value| {
            let flow = json!({"module": "webhook", "data": data, "children": {
                "success": {"module": "hangup"}, "failure": {"module": "hangup"}, "_": {"module": "hangup"}}});
            walk(flow, json!({"webhook": webhook}))[0]
                .next
                .clone()
                .unwrap()
        };
        for (verb, wait_ms, goes_on) in [
            ("post", json!(null), "_"),
            ("post", json!(500), "success"),
            ("get", json!(null), "success"),
            ("get", json!(0), "_"),
        ] {
            let data = json!({"uri": "http://a/", "http_verb": verb, "wait_ms": wait_ms});
            assert_eq!(next(data.clone(), json!(null)), goes_on, "{data}");
            assert_eq!(next(data.clone(), json!("success")), goes_on, "{data}");
            // That it cannot be stored is known at once.
            assert_eq!(next(data, json!("failure")), "failure");
        }
    }
}
