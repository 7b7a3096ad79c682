//! A webhook action: what a call has asked to be sent, and how it said so.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::call::{Accounts, Fact, TrackerConfig, fact_of_action};
use crate::esl::Event;
use crate::hook::{Delivery, Document, Hook, Mistakes, Record, Router, Verb};
use crate::trigger::Trigger;

/// The subclass of the CUSTOM event by which the dialplan's `event` application asks for an action.
pub const EVENT_SUBCLASS: &str = "switchhook::webhook";

/// How long a call waits for instructions where it does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Fields of a webhook that an action may have too.
const FIELDS: &[&str] = &[
    "uri",
    "http_verb",
    "retries",
    "format",
    "custom_data",
    "custom_request_headers",
];

/// Something to be sent because a call asked for it.
#[derive(Debug, Clone)]
pub struct WebhookAction {
    /// What is told: the leg, as it was then.
    pub fact: Fact,
    /// Where and how: a stored hook, or one that exists for this action only.
    pub hook: Arc<Hook>,
    /// How long the call waits for the answer.
    pub wait: Duration,
    /// Which step of its flow it is; 0 for what is not in one.
    pub step: u16,
}

impl WebhookAction {
    /// What is to be stored: the action's own delivery, first of all, and those of the hooks that listen to
    /// `callflow_webhook`.
    pub fn record(&self, router: &Router, accounts: &Accounts) -> Record {
        let told = self.told();
        let own = Delivery::new(&told, &self.hook);
        let mut record = match router.route(&told, accounts) {
            Some(record) => record,
            None => Record::new(&told, Vec::new()),
        };
        record.sequence = self.fact.sequence;
        // A stored hook that listens to its own actions is told once.
        record
            .deliveries
            .retain(|other| other.hook_id != own.hook_id);
        record.deliveries.insert(0, own);
        record
    }

    /// The fact as ids are derived from it. Two actions of a flow are told of the same channel data, whose
    /// event has one sequence, and must not have the same id to a hook that is told of both: the step goes
    /// above all sequences that a switch gets to.
    fn told(&self) -> Cow<'_, Fact> {
        // A fact without a sequence is known by its leg and time, which it would lose.
        if self.step == 0 || self.fact.sequence == 0 {
            return Cow::Borrowed(&self.fact);
        }
        let mut told = self.fact.clone();
        told.sequence |= u64::from(self.step) << 48;
        Cow::Owned(told)
    }
}

/// Why there is no action. What the dialplan or the event says has to be put right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActionError {
    /// What it says describes no webhook.
    #[error("no webhook: {0}")]
    Mistakes(Mistakes),
    /// It names a hook that the call's account does not have.
    #[error("account {account_id} has no webhook {id:?}")]
    NoHook {
        /// The call's account.
        account_id: Arc<str>,
        /// What it names.
        id: String,
    },
}

/// The action that the dialplan's `event` application asks for, by a CUSTOM event `switchhook::webhook` with
/// `uri` or `webhook` (the id of a stored hook), `http_verb`, `retries`, `format` and `custom_data.KEY`; what
/// the event does not say the channel variables `webhook_uri`, `webhook_custom_data` … may. `None` for any
/// other event. `find` finds a stored hook by account and id.
///
/// # Errors
/// [`ActionError`]; the call goes on all the same.
pub fn action_of_event(
    event: &Event,
    accounts: &Accounts,
    config: &TrackerConfig,
    find: impl FnOnce(&str, &str) -> Option<Arc<Hook>>,
) -> Result<Option<WebhookAction>, ActionError> {
    if event.name() != "CUSTOM" || event.subclass().as_deref() != Some(EVENT_SUBCLASS) {
        return Ok(None);
    }
    let fact = fact_of_action(event, accounts, config);
    let hook = match event.text("webhook") {
        Some(id) => stored_hook(&fact.account_id, &id, find)?,
        None => {
            let said = |field: &str| {
                let variable = || event.variable(&format!("webhook_{field}"));
                event.text(field).or_else(variable)
            };
            let mut data = data_of(said).map_err(ActionError::Mistakes)?;
            add_custom_data(event, &mut data);
            let hook = Hook::ad_hoc(&fact.account_id, hook_document(&data, "event"));
            Arc::new(hook.map_err(ActionError::Mistakes)?)
        }
    };
    Ok(Some(WebhookAction {
        fact,
        hook,
        wait: Duration::ZERO,
        step: 0,
    }))
}

/// The stored hook that an action names.
pub(super) fn stored_hook(
    account_id: &Arc<str>,
    id: &str,
    find: impl FnOnce(&str, &str) -> Option<Arc<Hook>>,
) -> Result<Arc<Hook>, ActionError> {
    find(account_id, id).ok_or_else(|| ActionError::NoHook {
        account_id: Arc::clone(account_id),
        id: id.to_owned(),
    })
}

/// The data of a webhook module, from what is `said` of each field in text.
pub(super) fn data_of<'a>(
    said: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<Document, Mistakes> {
    let mut data = Document::new();
    for field in FIELDS.iter().chain(&["wait_ms"]) {
        let Some(text) = said(field) else { continue };
        let value = match *field {
            "custom_data" | "custom_request_headers" => match serde_json::from_str(&text) {
                Ok(value @ Value::Object(_)) => value,
                _ => {
                    let mut mistakes = Mistakes::default();
                    let message = "Value must be a JSON object, such as {\"some_id\": \"123abc\"}";
                    mistakes.say(field, "type", message);
                    return Err(mistakes);
                }
            },
            // What is no number is refused with the other mistakes.
            "retries" | "wait_ms" => match text.trim().parse::<u64>() {
                Ok(number) => json!(number),
                Err(_) => json!(text),
            },
            "http_verb" | "format" => json!(text.trim()),
            _ => json!(text),
        };
        data.insert((*field).into(), value);
    }
    Ok(data)
}

/// `custom_data.KEY` headers; they win over the channel variable.
fn add_custom_data(event: &Event, data: &mut Document) {
    const PREFIX: &str = "custom_data.";
    for (name, value) in event.headers() {
        let ours = name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if let Some(key) = ours.then(|| &name[PREFIX.len()..])
            && let Value::Object(custom) = data.entry("custom_data").or_insert(json!({}))
        {
            custom.insert(key.to_owned(), json!(value));
        }
    }
}

/// The document of the hook that an action with this data is; `name` tells people where it came from.
pub(super) fn hook_document(data: &Document, name: &str) -> Document {
    let mut document = Document::new();
    document.insert("name".into(), json!(name));
    document.insert("hook".into(), json!(Trigger::CallflowWebhook.id()));
    for field in FIELDS {
        if let Some(value) = data.get(*field) {
            document.insert((*field).into(), value.clone());
        }
    }
    document
}

/// How long the call waits: what it says, else not at all for what only tells something.
pub(super) fn wait_of(said: Option<u64>, verb: Verb) -> Duration {
    match (said, verb) {
        (Some(ms), _) => Duration::from_millis(ms),
        (None, Verb::Get) => DEFAULT_WAIT,
        (None, _) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::call::Value as Told;
    use crate::hook::{Format, Index};

    const CAPTURE: &[u8] = include_bytes!("../../tests/captures/trigger.plain.esl");

    /// The CUSTOM event of a real dialplan's `event` application, with other words of its own.
    fn event(said: &[(&str, &str)]) -> Event {
        let text = String::from_utf8_lossy(CAPTURE);
        let start = text.find("Event-Subclass: webhook%3A%3Afire").unwrap();
        let start = text[..start].rfind("\n\n").unwrap() + 2;
        let end = start + text[start..].find("\n\n").unwrap();
        let own = ["Event-Subclass:", "uri:", "custom_some_id:"];
        let mut lines: Vec<String> = text[start..end]
            .lines()
            .filter(|line| !own.iter().any(|own| line.starts_with(own)))
            .map(str::to_owned)
            .collect();
        lines.push("Event-Subclass: switchhook%3A%3Awebhook".to_owned());
        lines.extend(said.iter().map(|(name, value)| format!("{name}: {value}")));
        Event::from_plain(Bytes::from(lines.join("\n")))
    }

    fn action(said: &[(&str, &str)]) -> Result<WebhookAction, ActionError> {
        let config = TrackerConfig::default();
        let found = action_of_event(&event(said), &Accounts::default(), &config, |_, _| None)?;
        Ok(found.expect("it is one of ours"))
    }

    #[test]
    fn the_dialplan_tells_of_a_missed_call() {
        let action = action(&[
            ("uri", "http%3A//my.ser.ver/frontdesk/missed_call"),
            ("custom_data.some_id", "123abc"),
        ])
        .unwrap();
        let settings = &action.hook.settings;
        assert_eq!(
            settings.uri.as_str(),
            "http://my.ser.ver/frontdesk/missed_call"
        );
        assert_eq!((settings.verb, settings.retries), (Verb::Post, 2));
        assert_eq!(settings.format, Format::Form);
        assert_eq!(action.wait, Duration::ZERO);
        let fact = &action.fact;
        assert_eq!(fact.trigger, Trigger::CallflowWebhook);
        assert_eq!(
            fact.payload.text("call_id"),
            Some("ab535274-c3bf-4e1a-84e8-a10c32c04e62")
        );
        assert_eq!(fact.payload.text("caller_id_number"), Some("+15550001111"));
        assert_eq!(fact.payload.get("is_root_leg"), Some(&Told::Bool(true)));
        assert!(fact.sequence > 0);
        let record = action.record(
            &Router::new(Arc::new(Index::default())),
            &Accounts::default(),
        );
        let body = std::str::from_utf8(&record.deliveries[0].body).unwrap();
        assert!(body.starts_with("hook_event=callflow_webhook&"), "{body}");
        assert!(body.ends_with("&some_id=123abc"), "{body}");
    }

    #[test]
    fn rich_data_come_from_channel_variables() {
        let action = action(&[
            ("variable_webhook_uri", "http%3A//a/"),
            ("variable_webhook_format", "json"),
            (
                "variable_webhook_custom_data",
                "%7B%22a%22%3A%7B%22b%22%3A1%7D,%22c%22%3A2%7D",
            ),
            ("custom_data.c", "3"),
            ("http_verb", "PUT"),
            ("retries", "0"),
        ])
        .unwrap();
        let settings = &action.hook.settings;
        assert_eq!((settings.verb, settings.retries), (Verb::Put, 0));
        assert_eq!(settings.format, Format::Json);
        assert_eq!(
            Value::Object(settings.custom_data.clone()),
            json!({"a": {"b": 1}, "c": "3"})
        );
    }

    #[test]
    fn two_events_of_a_call_are_two_webhooks() {
        let uri = ("uri", "http%3A//a/");
        let once = action(&[uri]).unwrap();
        let mut again = action(&[uri]).unwrap();
        let id = |action: &WebhookAction| Delivery::new(&action.fact, &action.hook).webhook_id;
        assert_eq!(id(&once), id(&again));
        again.fact.sequence += 1;
        assert_ne!(id(&once), id(&again));
    }

    #[test]
    fn two_steps_of_a_flow_are_two_webhooks_to_every_hook_that_is_told() {
        let account = "default".into();
        let document =
            json!({"name": "all", "hook": "callflow_webhook", "uri": "http://listener/"});
        let mut listener = Hook::ad_hoc(&account, document.as_object().unwrap().clone()).unwrap();
        listener.key = 1;
        let router = Router::new(Arc::new(Index::new([listener])));
        let record = |step| {
            let mut action = action(&[("uri", "http%3A//a/")]).unwrap();
            action.step = step;
            action.record(&router, &Accounts::default())
        };
        let ids = |record: &Record| -> Vec<_> {
            record.deliveries.iter().map(|one| one.webhook_id).collect()
        };
        let (first, second) = (record(1), record(2));
        let mut all = [ids(&first), ids(&second)].concat();
        assert_eq!(all.len(), 4);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(ids(&first), ids(&record(1)), "the same again is the same");
        // Whoever reads the event log finds the switch's own number there.
        assert_eq!(first.sequence, second.sequence);
        assert!(first.sequence < 1 << 48);
        let body = std::str::from_utf8(&second.deliveries[0].body).unwrap();
        assert!(
            body.ends_with(&format!("&sequence={}", second.sequence)),
            "{body}"
        );
    }

    #[test]
    fn what_describes_no_webhook_is_told() {
        for (said, error) in [
            (vec![], "no webhook: uri: Field is required but missing"),
            (
                vec![("uri", "http%3A//a/"), ("retries", "many")],
                "no webhook: retries: Value did not match type(s): integer",
            ),
            (
                vec![
                    ("uri", "http%3A//a/"),
                    ("variable_webhook_custom_data", "[1]"),
                ],
                "no webhook: custom_data: Value must be a JSON object, such as {\"some_id\": \"123abc\"}",
            ),
            (
                vec![("webhook", "4f2a")],
                "account default has no webhook \"4f2a\"",
            ),
        ] {
            assert_eq!(action(&said).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn other_events_are_none_of_ours() {
        let config = TrackerConfig::default();
        for text in [
            "Event-Name: CUSTOM\nEvent-Subclass: webhook%3A%3Afire\n",
            "Event-Name: DTMF\n",
        ] {
            let event = Event::from_plain(Bytes::from_static(text.as_bytes()));
            let found = action_of_event(&event, &Accounts::default(), &config, |_, _| None);
            assert!(found.unwrap().is_none());
        }
    }
}
