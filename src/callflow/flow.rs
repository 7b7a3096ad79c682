//! A flow: the tree of modules, read from JSON and checked. Every mistake is named with its path
//! (`flow.children._.module`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::modules::{Module, modules};
use super::schema::{Data, Notes};
use super::text::Author;
use crate::call::digits;
use crate::hook::{Document, Mistakes};

/// Bytes of a flow at most.
const BYTES: usize = 64 * 1024;
/// Nodes of a stored flow at most.
const NODES: usize = 256;
/// Nodes of a flow that a receiver has answered with at most.
const REMOTE_NODES: usize = 64;
/// How deep flows that were fetched may fetch others.
pub(super) const FETCHES: usize = 3;
/// Numbers of a callflow at most.
const NUMBERS: usize = 1_000;
/// The number of the callflow that takes what no other one does.
const NO_MATCH: &str = "no_match";

/// What a flow may be, depending on where it comes from.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The path of its root in the names of mistakes.
    root: String,
    nodes: usize,
    author: Author<'a>,
    /// The modules it may use; `None` for all there are.
    allowed: Option<&'a [String]>,
    /// Whether an unknown module is a mistake or passed over.
    lenient: bool,
}

impl<'a> Rules<'a> {
    /// For a flow that is about to be stored.
    pub fn stored() -> Self {
        Self {
            root: "flow".to_owned(),
            nodes: NODES,
            author: Author::Account,
            allowed: None,
            lenient: false,
        }
    }

    /// For a flow that was stored, perhaps by another version of this program.
    pub fn running() -> Self {
        Self {
            lenient: true,
            ..Self::stored()
        }
    }

    /// For the action that the channel variables `webhook_*` describe.
    pub(super) fn variables() -> Self {
        Self {
            root: "webhook".to_owned(),
            ..Self::stored()
        }
    }

    /// For the answer of a receiver that the node `asked_by` has asked: only the modules `allowed`, which set
    /// only the channel variables `variables` (names, or with a `*` at the end how they begin).
    pub fn remote(asked_by: &str, allowed: &'a [String], variables: &'a [String]) -> Self {
        Self {
            root: format!("{asked_by}.answer"),
            nodes: REMOTE_NODES,
            author: Author::Receiver { variables },
            allowed: Some(allowed),
            lenient: false,
        }
    }
}

/// A flow that can be walked.
#[derive(Debug, Clone)]
pub struct Flow {
    pub(super) root: Arc<Node>,
}

/// What a node does.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Module(&'static Module, Data),
    /// No module of ours: passed over.
    Unknown(String),
}

/// One node of a flow.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it stands: `flow.children._`.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// `skip_module`: straight to `_`.
    pub(super) skip: bool,
    pub(super) children: Vec<(String, Arc<Node>)>,
}

impl Node {
    /// The child with this key.
    pub(super) fn child(&self, key: &str) -> Option<&Arc<Self>> {
        let mut children = self.children.iter();
        children.find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The first of these keys that there is a child for, else `_`, with the child.
    pub(super) fn next<'a>(&self, keys: &[&'a str]) -> Option<(&'a str, &Arc<Self>)> {
        let mut keys = keys.iter().chain(&["_"]);
        keys.find_map(|key| Some((*key, self.child(key)?)))
    }

    /// The word in `module`.
    pub(super) fn module(&self) -> &str {
        match &self.kind {
            Kind::Module(module, _) => module.id,
            Kind::Unknown(id) => id,
        }
    }
}

impl Flow {
    /// Reads a flow.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(flow: &Value, rules: &Rules<'_>) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let size = flow.to_string().len();
        if size > BYTES {
            let message = format!("A flow must not be larger than {BYTES} bytes; this has {size}");
            mistakes.add(
                &rules.root,
                "maxLength",
                json!({ "message": message, "target": BYTES }),
            );
            return Err(mistakes);
        }
        let mut reader = Reader {
            rules,
            mistakes,
            nodes: 0,
        };
        let root = reader.node(flow, rules.root.clone());
        match root {
            Some(root) if reader.mistakes.is_empty() => Ok(Self {
                root: Arc::new(root),
            }),
            _ => Err(reader.mistakes),
        }
    }

    /// Reads an answer to a request for instructions; `None` where it is no flow at all.
    ///
    /// # Errors
    /// It is a flow, but one with mistakes or one that may not be run.
    pub(super) fn read_answer(body: &[u8], rules: &Rules<'_>) -> Result<Option<Self>, Mistakes> {
        if body.len() > BYTES {
            let mut mistakes = Mistakes::default();
            let message = format!("An answer must not be larger than {BYTES} bytes");
            mistakes.say(&rules.root, "maxLength", &message);
            return Err(mistakes);
        }
        // Nested too deep for the parser is no flow either.
        match serde_json::from_slice::<Value>(body) {
            Ok(flow) if flow.get("module").is_some() => Self::read(&flow, rules).map(Some),
            _ => Ok(None),
        }
    }
}

struct Reader<'a> {
    rules: &'a Rules<'a>,
    mistakes: Mistakes,
    nodes: usize,
}

impl Reader<'_> {
    fn node(&mut self, value: &Value, path: String) -> Option<Node> {
        self.nodes += 1;
        if self.nodes > self.rules.nodes {
            if self.nodes == self.rules.nodes + 1 {
                let most = self.rules.nodes;
                let message = format!("A flow must not have more than {most} modules");
                self.mistakes.add(
                    &self.rules.root,
                    "maxItems",
                    json!({ "message": message, "target": most }),
                );
            }
            return None;
        }
        let Value::Object(object) = value else {
            let message = "Value did not match type(s): object";
            self.mistakes.say(&path, "type", message);
            return None;
        };
        let kind = self.kind(object, &path);
        let allow = match &kind {
            Some(Kind::Module(module, _)) => Some(module.children),
            // One mistake is enough, and what is passed over may have any children.
            _ => None,
        };
        let mut children = Vec::new();
        let given = match object.get("children") {
            None | Some(Value::Null) => None,
            Some(Value::Object(given)) => Some(given),
            Some(_) => {
                let message = "Value did not match type(s): object";
                self.mistakes
                    .say(&format!("{path}.children"), "type", message);
                None
            }
        };
        for (key, child) in given.into_iter().flatten() {
            let path = format!("{path}.children.{key}");
            if let Some(allow) = allow
                && !allow.allow(key)
            {
                let message = format!("This module's children have the keys {}", allow.in_words());
                self.mistakes.say(&path, "additionalProperties", &message);
            }
            if let Some(node) = self.node(child, path) {
                children.push((key.clone(), Arc::new(node)));
            }
        }
        let skip = self.skip(object, &path);
        Some(Node {
            path,
            kind: kind?,
            skip,
            children,
        })
    }

    fn kind(&mut self, object: &Document, path: &str) -> Option<Kind> {
        let field = format!("{path}.module");
        let id = match object.get("module") {
            None => {
                self.mistakes
                    .say(&field, "required", "Field is required but missing");
                return None;
            }
            Some(Value::String(id)) => id,
            Some(_) => {
                let message = "Value did not match type(s): string";
                self.mistakes.say(&field, "type", message);
                return None;
            }
        };
        let module = modules().iter().find(|module| module.id == id);
        let allowed = self.rules.allowed;
        let may = allowed.is_none_or(|allowed| allowed.iter().any(|one| one == id));
        let Some(module) = module.filter(|_| may) else {
            if self.rules.lenient {
                return Some(Kind::Unknown(id.clone()));
            }
            let known: Vec<&str> = modules()
                .iter()
                .map(|module| module.id)
                .filter(|id| allowed.is_none_or(|allowed| allowed.iter().any(|one| one == id)))
                .collect();
            let list = known.join(", ");
            let message = format!("Value not found in enumerated list of values: {list}");
            self.mistakes.add(
                &field,
                "enum",
                json!({ "message": message, "target": known, "value": id }),
            );
            return None;
        };
        let path = format!("{path}.data");
        let mut notes = Notes {
            mistakes: &mut self.mistakes,
            path: &path,
            author: self.rules.author,
        };
        let data = Data::read(module.fields, object.get("data"), &mut notes);
        (module.check)(&data, &mut notes);
        Some(Kind::Module(module, data))
    }

    fn skip(&mut self, object: &Document, path: &str) -> bool {
        match object.get("data").and_then(|data| data.get("skip_module")) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(skip)) => *skip,
            Some(_) => {
                let field = format!("{path}.data.skip_module");
                let message = "Value did not match type(s): boolean";
                self.mistakes.say(&field, "type", message);
                false
            }
        }
    }
}

/// Checks a callflow that is about to be stored: its `numbers` and its `flow`. Whether another callflow has
/// one of the numbers is for the store to say.
///
/// # Errors
/// Every mistake in it.
pub fn check_callflow(document: &Document) -> Result<Flow, Mistakes> {
    let mut mistakes = Mistakes::default();
    match document.get("numbers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(numbers)) => {
            if numbers.len() > NUMBERS {
                let message = format!("A callflow must not have more than {NUMBERS} numbers");
                mistakes.say("numbers", "maxItems", &message);
            }
            for (index, number) in numbers.iter().enumerate() {
                let fits = number
                    .as_str()
                    .is_some_and(|number| number == NO_MATCH || !digits(number).is_empty());
                if !fits {
                    mistakes.say(
                        &format!("numbers.{index}"),
                        "format",
                        "Value must be a number as a string, such as \"+15551230000\", or \"no_match\"",
                    );
                }
            }
        }
        Some(_) => mistakes.say("numbers", "type", "Value did not match type(s): array"),
    }
    let flow = match document.get("flow") {
        None => {
            mistakes.say("flow", "required", "Field is required but missing");
            None
        }
        Some(flow) => match Flow::read(flow, &Rules::stored()) {
            Ok(flow) => Some(flow),
            Err(more) => {
                for (field, rules) in more.into_document() {
                    for (rule, detail) in rules.as_object().into_iter().flatten() {
                        mistakes.add(&field, rule, detail.clone());
                    }
                }
                None
            }
        },
    };
    match flow {
        Some(flow) if mistakes.is_empty() => Ok(flow),
        _ => Err(mistakes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(flow: Value) -> String {
        Flow::read(&flow, &Rules::stored()).unwrap_err().to_string()
    }

    fn remote(flow: Value) -> Result<Option<Flow>, String> {
        let allowed = ["play".to_owned(), "webhook".to_owned()];
        let rules = Rules::remote("flow", &allowed, &[]);
        Flow::read_answer(flow.to_string().as_bytes(), &rules)
            .map_err(|mistakes| mistakes.to_string())
    }

    /// A chain of so many sounds.
    fn chain(length: usize) -> Value {
        let sound = json!({"module": "play", "data": {"file": "a.wav"}});
        (1..length).fold(sound.clone(), |below, _| {
            let mut node = sound.clone();
            node["children"] = json!({ "_": below });
            node
        })
    }

    #[test]
    fn the_example_of_the_documents_is_a_flow() {
        let flow = json!({"module": "device", "data": {"id": "1001"},
            "children": {"_": {"module": "webhook", "data": {"uri": "http://my.ser.ver/frontdesk/missed_call"},
                "children": {"_": {"module": "voicemail", "data": {"id": "1001"}}}}}});
        let document = json!({"numbers": ["+10005559999"], "flow": flow});
        let flow = check_callflow(document.as_object().unwrap()).unwrap();
        let webhook = flow.root.child("_").unwrap();
        assert_eq!(
            (webhook.module(), &*webhook.path),
            ("webhook", "flow.children._")
        );
        assert_eq!(webhook.child("_").unwrap().module(), "voicemail");
    }

    #[test]
    fn every_mistake_is_named_with_its_path() {
        assert_eq!(
            mistakes(json!({"module": "play", "data": {}, "children": {
                "_": {"module": "plya", "children": {"1": {"module": 7}}},
                "1": {"module": "menu", "data": {"file": "a", "skip_module": "no"}, "children": {"12#": {}, "x": []}}}})),
            "flow.data.file: Field is required but missing; \
             flow.children._.module: Value not found in enumerated list of values: webhook, device, user, \
             ring_group, voicemail, play, say, menu, sleep, set_variables, conference, queue, transfer, \
             callflow, response, hangup; \
             flow.children._.children.1.module: Value did not match type(s): string; \
             flow.children.1: This module's children have the keys _; \
             flow.children.1.children.12#.module: Field is required but missing; \
             flow.children.1.children.x: This module's children have the keys the digits that can be pressed, \
             timeout, _, Value did not match type(s): object; \
             flow.children.1.data.skip_module: Value did not match type(s): boolean"
        );
    }

    #[test]
    fn a_flow_has_bounds() {
        let wide: Document = (0..300)
            .map(|n| (n.to_string(), json!({"module": "hangup"})))
            .collect();
        let wide = json!({"module": "menu", "data": {"file": "a"}, "children": wide});
        assert_eq!(
            mistakes(wide),
            "flow: A flow must not have more than 256 modules"
        );
        let large = json!({"module": "hangup", "note": "x".repeat(BYTES)});
        assert!(mistakes(large).starts_with("flow: A flow must not be larger than 65536 bytes"));
        assert!(remote(chain(10)).unwrap().is_some());
        let allowed = ["play".to_owned()];
        let long = Flow::read(&chain(65), &Rules::remote("flow", &allowed, &[])).unwrap_err();
        assert_eq!(
            long.to_string(),
            "flow.answer: A flow must not have more than 64 modules"
        );
    }

    #[test]
    fn an_unknown_module_of_a_stored_flow_is_passed_over_when_it_runs() {
        let flow = json!({"module": "fax", "children": {"_": {"module": "hangup"}}});
        assert!(Flow::read(&flow, &Rules::stored()).is_err());
        let flow = Flow::read(&flow, &Rules::running()).unwrap();
        assert_eq!(flow.root.module(), "fax");
        assert_eq!(flow.root.next(&[]).unwrap().1.module(), "hangup");
    }

    #[test]
    fn a_receiver_may_not_do_everything() {
        assert_eq!(
            remote(json!({"module": "device", "data": {"id": "1001"}})).unwrap_err(),
            "flow.answer.module: Value not found in enumerated list of values: webhook, play"
        );
        assert!(remote(json!({"module": "play", "data": {"file": "${system(x)}"}})).is_err());
        for no_flow in [json!({"ok": true}), json!([]), json!("play"), json!(null)] {
            assert!(remote(no_flow).unwrap().is_none());
        }
        let rules = Rules::remote("flow", &[], &[]);
        for no_json in [b"".as_slice(), b"<html>", &b"[".repeat(10_000)] {
            assert!(Flow::read_answer(no_json, &rules).unwrap().is_none());
        }
        let mut nested = br#"{"module":"play","children":{"_":"#.repeat(1_000);
        nested.extend_from_slice(&b"}".repeat(2_000));
        assert!(Flow::read_answer(&nested, &rules).unwrap().is_none());
        assert!(Flow::read_answer(&vec![b' '; BYTES + 1], &rules).is_err());
    }

    #[test]
    fn the_numbers_of_a_callflow_are_numbers() {
        let flow = json!({"module": "hangup"});
        let check = |numbers: Value| {
            let document = json!({"numbers": numbers, "flow": flow});
            check_callflow(document.as_object().unwrap()).map_err(|mistakes| mistakes.to_string())
        };
        assert!(check(json!(["+1 (555) 123-0000", "no_match"])).is_ok());
        assert!(check(json!(null)).is_ok());
        assert_eq!(
            check(json!(["x", 5])).unwrap_err(),
            "numbers.0: Value must be a number as a string, such as \"+15551230000\", or \"no_match\"; \
             numbers.1: Value must be a number as a string, such as \"+15551230000\", or \"no_match\""
        );
        assert_eq!(
            check_callflow(&Document::new()).unwrap_err().to_string(),
            "flow: Field is required but missing"
        );
    }
}
