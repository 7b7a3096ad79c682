//! A tracker to try things on, recorded events, and events made up.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use switchhook::call::{
    Account, Accounts, Fact, Rules, Snapshot, Tracker, TrackerConfig, Value, Wanted,
};
use switchhook::esl::{Cutter, Event, EventError, Limits};
use switchhook::time::Timestamp;
use switchhook::trigger::{Trigger, TriggerSet};

/// A tracker that is asked for everything, and all that it has told.
pub(crate) struct Desk {
    pub(crate) tracker: Tracker,
    pub(crate) accounts: Accounts,
    pub(crate) facts: Vec<Fact>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(TrackerConfig::default(), TriggerSet::all())
    }

    pub(crate) fn with(config: TrackerConfig, triggers: TriggerSet) -> Self {
        let mut tracker = Tracker::new(config);
        tracker.want(Wanted {
            triggers,
            ..Wanted::default()
        });
        let account = |id: &str, realm: &str, number: &str| Account {
            id: id.into(),
            realm: Some(realm.to_owned()),
            numbers: vec![number.to_owned()],
            ..Account::default()
        };
        let accounts = [
            account("acme", "acme.test", "+1 (555) 777-0000"),
            account("brick", "brick.test", "6000"),
        ];
        Self {
            tracker,
            accounts: Accounts::new(Rules::default(), accounts),
            facts: Vec::new(),
        }
    }

    pub(crate) fn hear(&mut self, event: &Event) -> &mut Self {
        self.tracker
            .on_event(event, &self.accounts, &mut self.facts);
        self
    }

    pub(crate) fn hear_all<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> &mut Self {
        for event in events {
            self.hear(event);
        }
        self
    }

    pub(crate) fn see(&mut self, snapshot: &Snapshot, at: i64) -> &mut Self {
        self.tracker.asks_for_channels();
        self.reconcile(snapshot, at)
    }

    /// The answer to what was asked before.
    pub(crate) fn reconcile(&mut self, snapshot: &Snapshot, at: i64) -> &mut Self {
        self.tracker
            .reconcile(snapshot, Timestamp(at), &self.accounts, &mut self.facts);
        self
    }

    /// What was told since the last time, as `trigger(leg)`, a leg by the start of its Unique-ID.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.facts.drain(..).map(|fact| line(&fact)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tracker.live_legs() == 0 && self.tracker.live_calls() == 0
    }
}

/// `trigger(leg)`.
pub(crate) fn line(fact: &Fact) -> String {
    let leg = fact.call_id.as_deref().unwrap_or("-");
    format!("{}({})", fact.trigger, leg.get(..4).unwrap_or(leg))
}

/// The only fact of a trigger.
pub(crate) fn only(facts: &[Fact], trigger: Trigger) -> &Fact {
    let mut found = facts.iter().filter(|fact| fact.trigger == trigger);
    match (found.next(), found.next()) {
        (Some(fact), None) => fact,
        (None, _) => panic!("no {trigger}"),
        (Some(_), Some(_)) => panic!("more than one {trigger}"),
    }
}

/// A field of a payload that is a number.
pub(crate) fn number(fact: &Fact, field: &str) -> Option<i64> {
    match fact.payload.get(field)? {
        Value::Number(number) => Some(*number),
        other => panic!("{field} is {other:?}"),
    }
}

/// The bytes of a capture, as frames came over the wire; `Err` for those that carry no event.
fn read(capture: &str) -> Vec<Result<Event, EventError>> {
    let path = format!("{}/tests/captures/{capture}", env!("CARGO_MANIFEST_DIR"));
    let mut wire = BytesMut::from(&std::fs::read(path).unwrap()[..]);
    let mut cutter = Cutter::new(Limits::default());
    let mut events = Vec::new();
    while let Some(frame) = cutter.cut(&mut wire).unwrap() {
        events.push(Event::from_frame(&frame));
    }
    cutter.end(&wire).unwrap();
    events
}

/// Every event of a capture.
pub(crate) fn capture(name: &str) -> Vec<Event> {
    read(&format!("{name}.plain.esl"))
        .into_iter()
        .filter_map(|event| match event {
            Ok(event) => Some(event),
            Err(EventError::NotAnEvent(_)) => None,
            Err(error) => panic!("{name}: {error}"),
        })
        .collect()
}

/// An event made up of headers; values are written as the switch writes them, percent-encoded.
pub(crate) fn event(headers: &[(&str, &str)]) -> Event {
    let mut text = String::new();
    for (name, value) in headers {
        let value = value.replace('%', "%25").replace('\n', "%0A");
        text.push_str(&format!("{name}: {value}\n"));
    }
    Event::from_plain(Bytes::from(text))
}

/// Makes events up in order: each is a millisecond and a sequence number after the one before.
pub(crate) struct Script {
    pub(crate) now: i64,
    sequence: u64,
    legs: BTreeMap<String, Vec<(String, String)>>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            now: 1_795_248_000_000_000,
            sequence: 0,
            legs: BTreeMap::new(),
        }
    }

    pub(crate) fn wait(&mut self, seconds: i64) -> &mut Self {
        self.now += seconds * 1_000_000;
        self
    }

    /// What every event of a leg will say; `variable_*` only where events carry them.
    pub(crate) fn leg(&mut self, uuid: &str, says: &[(&str, &str)]) {
        let created = (self.now + 1_000).to_string();
        let mut headers = vec![
            ("Unique-ID".to_owned(), uuid.to_owned()),
            ("Caller-Channel-Created-Time".to_owned(), created),
        ];
        headers.extend(says.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        self.legs.insert(uuid.to_owned(), headers);
    }

    /// A leg says something else from now on.
    pub(crate) fn says(&mut self, uuid: &str, name: &str, value: &str) {
        let headers = self.legs.get_mut(uuid).unwrap();
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_owned()));
    }

    /// An event of a leg.
    pub(crate) fn event(&mut self, name: &str, uuid: &str, more: &[(&str, &str)]) -> Event {
        self.now += 1_000;
        self.sequence += 1;
        let (now, sequence) = (self.now.to_string(), self.sequence.to_string());
        let mut headers = vec![
            ("Event-Name", name),
            ("Core-UUID", "core-1"),
            ("FreeSWITCH-Switchname", "sw1"),
            ("Event-Date-Timestamp", &now),
            ("Event-Sequence", &sequence),
        ];
        headers.extend_from_slice(more);
        let has_variables = name != "DTMF";
        let leg = self.legs.get(uuid).into_iter().flatten();
        headers.extend(
            leg.filter(|(name, _)| has_variables || !name.starts_with("variable_"))
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        event(&headers)
    }

    /// CHANNEL_BRIDGE of two legs.
    pub(crate) fn bridge(&mut self, one: &str, other: &str) -> Event {
        self.event(
            "CHANNEL_BRIDGE",
            one,
            &[
                ("Bridge-A-Unique-ID", one),
                ("Bridge-B-Unique-ID", other),
                ("Other-Leg-Unique-ID", other),
            ],
        )
    }

    /// CHANNEL_EXECUTE of an application.
    pub(crate) fn execute(&mut self, uuid: &str, application: &str, data: &str) -> Event {
        let headers = [("Application", application), ("Application-Data", data)];
        self.event("CHANNEL_EXECUTE", uuid, &headers)
    }

    /// CHANNEL_HANGUP_COMPLETE.
    pub(crate) fn end(&mut self, uuid: &str, cause: &str, disposition: &str) -> Event {
        self.event(
            "CHANNEL_HANGUP_COMPLETE",
            uuid,
            &[
                ("Hangup-Cause", cause),
                ("variable_sip_hangup_disposition", disposition),
            ],
        )
    }

    /// A caller from outside who dials `number`.
    pub(crate) fn caller(&mut self, uuid: &str, number: &str) {
        self.leg(
            uuid,
            &[
                ("Channel-Name", "sofia/external/+15550001111@carrier.test"),
                ("Call-Direction", "inbound"),
                ("Channel-Call-UUID", uuid),
                ("Caller-Caller-ID-Number", "+15550001111"),
                ("Caller-Destination-Number", number),
                ("variable_direction", "inbound"),
            ],
        );
    }

    /// The phone of a user, dialled by `originator`.
    pub(crate) fn phone(&mut self, uuid: &str, user: &str, originator: &str) {
        self.leg(
            uuid,
            &[
                ("Channel-Name", "sofia/internal/phone"),
                ("Call-Direction", "outbound"),
                ("Channel-Call-UUID", originator),
                ("Other-Leg-Unique-ID", originator),
                ("Caller-Destination-Number", user),
                ("variable_originator", originator),
                ("variable_dialed_user", user),
            ],
        );
    }

    /// A user who dials `number` on a phone.
    pub(crate) fn user(&mut self, uuid: &str, user: &str, number: &str) {
        self.leg(
            uuid,
            &[
                ("Channel-Name", "sofia/internal/user"),
                ("Call-Direction", "inbound"),
                ("Channel-Call-UUID", uuid),
                ("Caller-Caller-ID-Number", user),
                ("Caller-Destination-Number", number),
                ("variable_user_name", user),
            ],
        );
    }
}
