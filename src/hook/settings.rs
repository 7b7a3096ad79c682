//! A hook's document, read and checked: every mistake is named, with its field and its rule.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use url::Url;

use super::filter::{Modifier, NumberPattern};
use super::{Document, Secret, target};
use crate::call::CallType;
use crate::trigger::{Trigger, TriggerSet};

/// Header names that a hook may not set, because they are ours or the connection's.
const FORBIDDEN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Characters of a URI at most.
const LONGEST_URI: usize = 2_048;
/// Bytes of `custom_data` as JSON at most: every delivery has a copy of it.
pub const MOST_CUSTOM_DATA: usize = 16 * 1_024;
/// Bytes of `custom_request_headers` as JSON at most: every attempt is recorded with them.
pub const MOST_HEADERS: usize = 8 * 1_024;

/// What is wrong with a document: field, rule, and what a person can do about it, in Kazoo's form
/// (`{"uri": {"required": {"message": "Field is required but missing"}}}`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mistakes(Document);

impl Mistakes {
    /// One more mistake.
    pub fn add(&mut self, field: &str, rule: &str, detail: Value) {
        let rules = self
            .0
            .entry(field)
            .or_insert_with(|| Value::Object(Document::new()));
        if let Value::Object(rules) = rules {
            rules.insert(rule.into(), detail);
        }
    }

    /// A mistake that its message tells whole.
    pub fn say(&mut self, field: &str, rule: &str, message: &str) {
        self.add(field, rule, json!({ "message": message }));
    }

    /// A text has more than `most` characters.
    pub(crate) fn say_too_long(&mut self, field: &str, most: usize) {
        let message = format!("String must not be more than {most} characters");
        self.add(
            field,
            "maxLength",
            json!({ "message": message, "target": most }),
        );
    }

    /// That there is none.
    ///
    /// # Errors
    /// All of them.
    pub fn none(self) -> Result<(), Self> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }

    /// The fields with their rules.
    pub fn into_document(self) -> Document {
        self.0
    }

    /// Whether every mistake breaks the same rule.
    pub fn are_all(&self, rule: &str) -> bool {
        let mut rules = self.0.values().filter_map(Value::as_object);
        rules.all(|rules| rules.keys().all(|broken| broken == rule))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (field, rules)) in self.0.iter().enumerate() {
            let messages: Vec<&str> = rules
                .as_object()
                .into_iter()
                .flat_map(Document::values)
                .filter_map(|rule| rule["message"].as_str())
                .collect();
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{field}: {}", messages.join(", "))?;
        }
        Ok(())
    }
}

/// How a request is made (`http_verb`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// The payload goes into the query string.
    Get,
    /// The payload is the body.
    Post,
    /// The payload is the body.
    Put,
}

impl Verb {
    /// Every verb.
    pub const ALL: &[Self] = &[Self::Post, Self::Get, Self::Put];

    /// The word in documents.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
        }
    }

    /// The verb of a word, in any case.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|verb| verb.id().eq_ignore_ascii_case(id))
    }

    /// The method of the request line.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// How a payload is written (`format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// application/x-www-form-urlencoded, nested objects as `parent[child]`.
    Form,
    /// Compact JSON.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[Self::Form, Self::Json];

    /// The word in documents.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Form => "form-data",
            Self::Json => "json",
        }
    }

    /// The format of a word, in any case.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.id().eq_ignore_ascii_case(id))
    }

    /// The `Content-Type` of a body in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// What must wait for what, within one call (`ordering`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ordering {
    /// A later event waits for the earlier one's first attempt.
    Call,
    /// A later event waits until the earlier one was delivered or given up.
    Strict,
    /// Nothing waits.
    None,
}

impl Ordering {
    const ALL: &[Self] = &[Self::Call, Self::Strict, Self::None];

    const fn id(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

/// A hook's own rate limit, in place of its endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second, 1 to 100,000.
    pub per_second: u32,
    /// Requests at once after a pause, 1 to 100,000.
    pub burst: u32,
}

/// What a hook's document says, defaults filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `name`.
    pub name: String,
    /// `uri`: absolute http(s) without userinfo, or nats.
    pub uri: Url,
    /// Scheme, host and port of the URI: what has limits, connections and a circuit of its own.
    pub endpoint: Arc<str>,
    /// `hook`: what it wants.
    pub triggers: TriggerSet,
    /// `http_verb`.
    pub verb: Verb,
    /// `format`.
    pub format: Format,
    /// `retries`: attempts after the first, 0 to 4.
    pub retries: u32,
    /// `custom_data`, without the keys that Kazoo reserves.
    pub custom_data: Document,
    /// `custom_request_headers`.
    pub headers: Vec<(String, String)>,
    /// `enabled`, as its owner says.
    pub enabled: bool,
    /// `modifiers`.
    pub modifiers: Vec<Modifier>,
    /// `call_types`; empty for all.
    pub call_types: Vec<CallType>,
    /// `numbers`; empty for all.
    pub numbers: Vec<NumberPattern>,
    /// `timezone` of `occurred_at`.
    pub timezone: TimeZone,
    /// `include_internal_legs`.
    pub include_internal_legs: bool,
    /// `include_subaccounts`.
    pub include_subaccounts: bool,
    /// `failover_uri`.
    pub failover_uri: Option<Url>,
    /// Its scheme, host and port, where they are not those of the URI itself.
    pub failover_endpoint: Option<Arc<str>>,
    /// `expires_seconds`.
    pub expires: Option<Duration>,
    /// `ordering`.
    pub ordering: Ordering,
    /// `rate_limit`.
    pub rate_limit: Option<RateLimit>,
    /// `timeout_ms`: 100 to 120,000.
    pub timeout: Option<Duration>,
}

impl Settings {
    /// Reads a document.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(document: &Document) -> Result<Self, Mistakes> {
        let mut from = Reader {
            document,
            mistakes: Mistakes::default(),
        };
        let name = from.required("name").map(str::to_owned);
        from.length("name", 1, 256);
        let uri = from.required("uri").map(str::to_owned);
        let uri = uri.and_then(|uri| from.uri("uri", &uri));
        let triggers = from.triggers();
        let verb = from.word("http_verb", Verb::ALL, Verb::id, Verb::Post);
        let format = from.word("format", Format::ALL, Format::id, Format::Form);
        let retries = from.whole("retries", 0, 4).map_or(2, |n| n as u32);
        let custom_data = from.object("custom_data").cloned().unwrap_or_default();
        let headers = from.headers();
        let enabled = from.yes("enabled", true);
        let modifiers = from.modifiers(triggers);
        let call_types = from.call_types();
        let numbers = from.numbers();
        let timezone = from.timezone();
        let include_internal_legs = from.yes("include_internal_legs", true);
        let include_subaccounts = from.yes("include_subaccounts", false);
        from.text("description");
        from.length("description", 0, 2_048);
        let failover_uri = from.text("failover_uri").map(str::to_owned);
        let failover_uri = failover_uri.and_then(|uri| from.uri("failover_uri", &uri));
        let expires = from
            .whole("expires_seconds", 1, 31_536_000)
            .map(Duration::from_secs);
        let ordering = from.word("ordering", Ordering::ALL, Ordering::id, Ordering::Call);
        let rate_limit = from.rate_limit();
        let timeout = from
            .whole("timeout_ms", 100, 120_000)
            .map(Duration::from_millis);
        from.secret();
        if verb != Verb::Post
            && [&uri, &failover_uri]
                .into_iter()
                .flatten()
                .any(target::is_nats)
        {
            let message = "What goes to NATS is published: the verb must be post";
            from.mistakes.say("http_verb", "enum", message);
        }

        let mistakes = from.mistakes;
        match (name, uri) {
            (Some(name), Some(uri)) if mistakes.is_empty() => Ok(Self {
                name,
                failover_endpoint: failover_uri
                    .as_ref()
                    .map(target::endpoint)
                    .filter(|failover| *failover != target::endpoint(&uri)),
                endpoint: target::endpoint(&uri),
                uri,
                triggers,
                verb,
                format,
                retries,
                custom_data: without_reserved(custom_data),
                headers,
                enabled,
                modifiers,
                call_types,
                numbers,
                timezone,
                include_internal_legs,
                include_subaccounts,
                failover_uri,
                expires,
                ordering,
                rate_limit,
                timeout,
            }),
            _ => Err(mistakes),
        }
    }

    /// Reads a document that somebody writes now, in place of `before` where there was one. What is too large, or
    /// names no event of the switch, and stays as it was is no mistake: it may be older than its rule.
    ///
    /// # Errors
    /// Every mistake in it, [`MOST_CUSTOM_DATA`] and [`MOST_HEADERS`] included.
    pub fn written(document: &Document, before: Option<&Document>) -> Result<Self, Mistakes> {
        let (settings, mut mistakes) = match Self::read(document) {
            Ok(settings) => (Some(settings), Mistakes::default()),
            Err(mistakes) => (None, mistakes),
        };
        for (field, most) in [
            ("custom_data", MOST_CUSTOM_DATA),
            ("custom_request_headers", MOST_HEADERS),
        ] {
            let value = document.get(field);
            let Some(Value::Object(object)) = value else {
                continue;
            };
            if before.is_some_and(|before| before.get(field) == value) {
                continue;
            }
            let size = serde_json::to_vec(object).map_or(0, |json| json.len());
            if size > most {
                let message =
                    format!("Value must not be more than {most} bytes of JSON; this has {size}");
                mistakes.add(
                    field,
                    "maxLength",
                    json!({ "message": message, "target": most }),
                );
            }
        }
        let stays = |field: &str| before.is_some_and(|old| old.get(field) == document.get(field));
        if let Some(settings) = &settings
            && !(stays("hook") && stays("modifiers"))
        {
            settings.check_switch_events(&mut mistakes);
        }
        settings.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    /// That the switch can be asked for each of the events it names, and that they are found by these names when
    /// they come.
    fn check_switch_events(&self, mistakes: &mut Mistakes) {
        if !self.triggers.contains(Trigger::SwitchEvent) {
            return;
        }
        if self.switch_events().next().is_none() {
            let message = "The list must name at least one event";
            mistakes.say("modifiers.event", "minItems", message);
        }
        for name in self.switch_events().filter(|name| !is_switch_event(name)) {
            let message = "Value must be one event's name as the switch writes it, such as RECORD_STOP, or CUSTOM with its subclass, such as CUSTOM callcenter::info";
            let detail = json!({ "message": message, "value": name });
            mistakes.add("modifiers.event", "format", detail);
        }
    }

    /// Where it sends, by the field that says so.
    pub(super) fn uris(&self) -> impl Iterator<Item = (&'static str, &Url)> {
        let failover = self.failover_uri.as_ref();
        std::iter::once(("uri", &self.uri)).chain(failover.map(|uri| ("failover_uri", uri)))
    }

    /// That no password is in it: for what is no stored hook, and is shown as it was written.
    ///
    /// # Errors
    /// The fields that have one.
    pub fn without_passwords(self) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        for (field, _) in self.uris().filter(|(_, uri)| target::has_login(uri)) {
            let message = "A password belongs into a stored webhook, which can be named by its id";
            mistakes.say(field, "format", message);
        }
        mistakes.none().map(|()| self)
    }

    /// `document` with the defaults of what it leaves out, and words as we write them.
    pub fn filled_in(&self, document: &Document) -> Document {
        let mut full = Document::new();
        let mut put = |field: &str, value: Value| full.insert(field.into(), value);
        put("name", json!(self.name));
        put("uri", document.get("uri").cloned().unwrap_or_default());
        put("hook", hook_words(document.get("hook")));
        put("http_verb", json!(self.verb.id()));
        put("format", json!(self.format.id()));
        put("retries", json!(self.retries));
        put("ordering", json!(self.ordering.id()));
        put("include_internal_legs", json!(self.include_internal_legs));
        put("include_subaccounts", json!(self.include_subaccounts));
        for (field, default) in [
            ("custom_data", json!({})),
            ("custom_request_headers", json!({})),
        ] {
            put(field, document.get(field).cloned().unwrap_or(default));
        }
        for (field, value) in document {
            if !full.contains_key(field) {
                full.insert(field.clone(), value.clone());
            }
        }
        full
    }
}

/// Kazoo keeps these two keys of a payload for itself: custom data cannot change them.
fn without_reserved(mut custom_data: Document) -> Document {
    custom_data.retain(|key, _| key != "type" && key != "action");
    custom_data
}

/// Whether it is the name of one event. `ALL` is none: no event comes by that name, and all would be sent for it.
fn is_switch_event(name: &str) -> bool {
    match name.split_once(' ') {
        Some(("CUSTOM", subclass)) => {
            !subclass.is_empty()
                && !subclass.contains(|c: char| c.is_whitespace() || c.is_control())
        }
        Some(_) => false,
        None => {
            let is_word = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            !["", "ALL", "CUSTOM"].contains(&name) && name.bytes().all(is_word)
        }
    }
}

/// The `hook` field in our own case.
fn hook_words(hook: Option<&Value>) -> Value {
    match hook {
        Some(Value::String(word)) => json!(word.to_ascii_lowercase()),
        Some(Value::Array(words)) => words.iter().map(|word| hook_words(Some(word))).collect(),
        other => other.cloned().unwrap_or_default(),
    }
}

struct Reader<'a> {
    document: &'a Document,
    mistakes: Mistakes,
}

impl<'a> Reader<'a> {
    /// A field that says something: null is the same as left out.
    fn given(&self, field: &str) -> Option<&'a Value> {
        self.document.get(field).filter(|value| !value.is_null())
    }

    fn wrong_type(&mut self, field: &str, wanted: &str) {
        self.mistakes.add(
            field,
            "type",
            json!({ "message": format!("Value did not match type(s): {wanted}"), "target": wanted }),
        );
    }

    fn text(&mut self, field: &str) -> Option<&'a str> {
        let value = self.given(field)?;
        if value.as_str().is_none() {
            self.wrong_type(field, "string");
        }
        value.as_str()
    }

    fn required(&mut self, field: &str) -> Option<&'a str> {
        if self.given(field).is_none() {
            self.mistakes
                .say(field, "required", "Field is required but missing");
        }
        self.text(field)
    }

    fn length(&mut self, field: &str, least: usize, most: usize) {
        let Some(length) = self
            .given(field)
            .and_then(Value::as_str)
            .map(|text| text.chars().count())
        else {
            return;
        };
        if length < least {
            self.mistakes.add(
                field,
                "minLength",
                json!({ "message": format!("String must be at least {least} characters"), "target": least }),
            );
        } else if length > most {
            self.mistakes.say_too_long(field, most);
        }
    }

    fn uri(&mut self, field: &str, text: &str) -> Option<Url> {
        if text.chars().count() > LONGEST_URI {
            self.mistakes.say_too_long(field, LONGEST_URI);
            return None;
        }
        let problem = match target::read(text) {
            Ok(uri) => return Some(uri),
            Err(problem) => problem,
        };
        self.mistakes.add(
            field,
            "format",
            json!({ "message": problem, "target": "uri" }),
        );
        None
    }

    fn not_in_list(&mut self, field: &str, value: &Value, list: Vec<&str>) {
        self.mistakes.add(
            field,
            "enum",
            json!({ "message": format!("Value not found in enumerated list of values: {}", list.join(", ")), "target": list, "value": value }),
        );
    }

    fn word<T: Copy>(
        &mut self,
        field: &str,
        all: &[T],
        id: fn(T) -> &'static str,
        default: T,
    ) -> T {
        let Some(text) = self.text(field) else {
            return default;
        };
        match all
            .iter()
            .find(|item| id(**item).eq_ignore_ascii_case(text))
        {
            Some(item) => *item,
            None => {
                let list = all.iter().map(|item| id(*item)).collect();
                self.not_in_list(field, &json!(text), list);
                default
            }
        }
    }

    fn whole(&mut self, field: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.given(field)?;
        self.in_range(field, value, least, most)
    }

    fn in_range(&mut self, field: &str, value: &Value, least: u64, most: u64) -> Option<u64> {
        // 2.0 is a whole number to JSON Schema, and to clients whose only number is a float.
        let number = match value.as_f64() {
            Some(number) if number.fract() == 0.0 => number,
            _ => {
                self.wrong_type(field, "integer");
                return None;
            }
        };
        let (rule, target, relation) = if number < least as f64 {
            ("minimum", least, "greater")
        } else if number > most as f64 {
            ("maximum", most, "less")
        } else {
            return Some(number as u64);
        };
        self.mistakes.add(
            field,
            rule,
            json!({ "message": format!("Value must be {relation} than or equal to {target}"), "target": target, "value": value }),
        );
        None
    }

    fn yes(&mut self, field: &str, default: bool) -> bool {
        match self.given(field) {
            None => default,
            Some(Value::Bool(yes)) => *yes,
            Some(_) => {
                self.wrong_type(field, "boolean");
                default
            }
        }
    }

    fn object(&mut self, field: &str) -> Option<&'a Document> {
        let value = self.given(field)?;
        if value.as_object().is_none() {
            self.wrong_type(field, "object");
        }
        value.as_object()
    }

    /// The items of a field that is a list, or of one that may be a single item.
    fn items(&mut self, field: &str, single: bool) -> &'a [Value] {
        match self.given(field) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(item) if single => std::slice::from_ref(item),
            Some(_) => {
                self.wrong_type(field, "array");
                &[]
            }
        }
    }

    fn triggers(&mut self) -> TriggerSet {
        if self.given("hook").is_none() {
            self.mistakes
                .say("hook", "required", "Field is required but missing");
        }
        let mut set = TriggerSet::NONE;
        let items = self.items("hook", true);
        if items.is_empty() && self.given("hook").is_some() {
            self.mistakes.say(
                "hook",
                "minItems",
                "The list must name at least one trigger",
            );
        }
        for (index, item) in items.iter().enumerate() {
            let field = match self.given("hook") {
                Some(Value::Array(_)) => format!("hook.{index}"),
                _ => "hook".into(),
            };
            match item.as_str() {
                None => self.wrong_type(&field, "string"),
                Some(word) if word.eq_ignore_ascii_case("all") => {
                    set = set.union(TriggerSet::all())
                }
                Some(word) => match Trigger::from_id(word) {
                    Some(trigger) => set.insert(trigger),
                    None => {
                        let list = std::iter::once("all")
                            .chain(Trigger::ALL.iter().map(|trigger| trigger.id()))
                            .collect();
                        self.not_in_list(&field, item, list);
                    }
                },
            }
        }
        set
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let Some(object) = self.object("custom_request_headers") else {
            return Vec::new();
        };
        let mut headers = Vec::with_capacity(object.len());
        for (name, value) in object {
            let field = format!("custom_request_headers.{name}");
            let lower = name.to_ascii_lowercase();
            let token = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if !token {
                self.mistakes
                    .say(&field, "format", "The name is no HTTP header name");
                continue;
            }
            if FORBIDDEN_HEADERS.contains(&&*lower) || lower.starts_with("webhook-") {
                self.mistakes.say(
                    &field,
                    "forbidden",
                    "This header is set by the connection or by switchhook and cannot be replaced",
                );
                continue;
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    self.wrong_type(&field, "string");
                    continue;
                }
            };
            if text.chars().any(|c| c.is_control() && c != '\t') {
                self.mistakes.say(
                    &field,
                    "format",
                    "The value must not contain control characters",
                );
                continue;
            }
            headers.push((name.clone(), text));
        }
        headers
    }

    fn modifiers(&mut self, triggers: TriggerSet) -> Vec<Modifier> {
        let mut modifiers = Vec::new();
        for (key, value) in self.object("modifiers").into_iter().flatten() {
            if value.is_null() {
                continue;
            }
            let items = match value {
                Value::Array(items) => items.as_slice(),
                item => std::slice::from_ref(item),
            };
            if items.iter().any(|item| item.is_object() || item.is_array()) {
                self.wrong_type(
                    &format!("modifiers.{key}"),
                    "string, number, boolean or a list",
                );
                continue;
            }
            modifiers.push(Modifier::new(key, items));
        }
        if triggers.contains(Trigger::SwitchEvent)
            && !modifiers.iter().any(|modifier| modifier.key() == "event")
        {
            self.mistakes.say(
                "modifiers.event",
                "required",
                "switch_event needs the names of the events, such as [\"RECORD_STOP\", \"CUSTOM callcenter::info\"]",
            );
        }
        modifiers
    }

    fn call_types(&mut self) -> Vec<CallType> {
        let mut types = Vec::new();
        for (index, item) in self.items("call_types", true).iter().enumerate() {
            match item.as_str().and_then(CallType::from_id) {
                Some(kind) => types.push(kind),
                None => {
                    let list = CallType::ALL.iter().map(|kind| kind.id()).collect();
                    self.not_in_list(&format!("call_types.{index}"), item, list);
                }
            }
        }
        types
    }

    fn numbers(&mut self) -> Vec<NumberPattern> {
        let mut numbers = Vec::new();
        for (index, item) in self.items("numbers", true).iter().enumerate() {
            match item.as_str().and_then(NumberPattern::parse) {
                Some(pattern) => numbers.push(pattern),
                None => self.mistakes.add(
                    &format!("numbers.{index}"),
                    "format",
                    json!({ "message": "Value must be a number such as +15557770000, or the beginning of one with a * behind it", "value": item }),
                ),
            }
        }
        numbers
    }

    fn timezone(&mut self) -> TimeZone {
        let Some(name) = self.text("timezone") else {
            return TimeZone::UTC;
        };
        match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_) => {
                self.mistakes.add(
                    "timezone",
                    "format",
                    json!({ "message": "Value is not a time zone such as Europe/Berlin", "value": name }),
                );
                TimeZone::UTC
            }
        }
    }

    fn rate_limit(&mut self) -> Option<RateLimit> {
        let object = self.object("rate_limit")?;
        let Some(per_second) = object.get("per_second") else {
            self.mistakes.say(
                "rate_limit.per_second",
                "required",
                "Field is required but missing",
            );
            return None;
        };
        let per_second = self.in_range("rate_limit.per_second", per_second, 1, 100_000)? as u32;
        let burst = match object.get("burst") {
            None | Some(Value::Null) => per_second.saturating_mul(2),
            Some(burst) => self.in_range("rate_limit.burst", burst, 1, 100_000)? as u32,
        };
        Some(RateLimit { per_second, burst })
    }

    fn secret(&mut self) {
        if let Some(text) = self.text("secret")
            && text != "generate"
            && let Err(error) = Secret::parse(text)
        {
            self.mistakes.say("secret", "format", &error.to_string());
        }
    }
}
