//! What the switch says is alive after some of its events: `show channels as json` and `uuid_dump`, as
//! `switch_core_sqldb.c` keeps its table `channels` by the same events.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use switchhook::call::{ChannelRow, Snapshot};
use switchhook::esl::Event;

/// The switch's channels.
#[derive(Default)]
pub(crate) struct Channels {
    rows: BTreeMap<String, Map<String, Value>>,
    dumps: BTreeMap<String, Event>,
}

impl Channels {
    /// Those after `events`, each of which the switch has sent or would have sent.
    pub(crate) fn after(events: &[Event]) -> Self {
        let mut channels = Self::default();
        for event in events {
            channels.hear(event);
        }
        channels
    }

    fn hear(&mut self, event: &Event) {
        let Some(uuid) = event.text("Unique-ID").map(|uuid| uuid.into_owned()) else {
            return;
        };
        let header = |name: &str| event.text(name).unwrap_or_default().into_owned();
        match event.name() {
            "CHANNEL_CREATE" => {
                self.rows.insert(uuid.clone(), created(event));
            }
            "CHANNEL_DESTROY" => {
                self.rows.remove(&uuid);
                self.dumps.remove(&uuid);
                return;
            }
            "CHANNEL_BRIDGE" => {
                let (a, b) = (header("Bridge-A-Unique-ID"), header("Bridge-B-Unique-ID"));
                for leg in [&a, &b] {
                    self.set(leg, "call_uuid", &header("Channel-Call-UUID"));
                }
            }
            "CHANNEL_UNBRIDGE" => {
                let call = header("Channel-Call-UUID");
                let bridged: Vec<String> = (self.rows.iter())
                    .filter(|(_, row)| row["call_uuid"] == call)
                    .map(|(uuid, _)| uuid.clone())
                    .collect();
                for leg in bridged {
                    self.set(&leg, "call_uuid", &leg);
                }
            }
            "CHANNEL_EXECUTE" => {
                self.set(&uuid, "application", &header("Application"));
                self.set(&uuid, "application_data", &header("Application-Data"));
            }
            "CHANNEL_STATE" => self.set(&uuid, "state", &header("Channel-State")),
            "CHANNEL_CALLSTATE" => self.set(&uuid, "callstate", &header("Channel-Call-State")),
            _ => {}
        }
        if self.rows.contains_key(&uuid) {
            self.set(&uuid, "dest", &header("Caller-Destination-Number"));
            if event.variable("uuid").is_some() {
                self.dumps.insert(uuid, event.clone());
            }
        }
    }

    fn set(&mut self, uuid: &str, column: &str, value: &str) {
        if let Some(row) = self.rows.get_mut(uuid) {
            row.insert(column.to_owned(), json!(value));
        }
    }

    /// Their Unique-IDs.
    pub(crate) fn uuids(&self) -> impl Iterator<Item = &String> {
        self.rows.keys()
    }

    /// The answer to `show channels as json`.
    pub(crate) fn list(&self) -> String {
        match self.rows.len() {
            0 => json!({"row_count": 0}).to_string(),
            count => {
                let rows: Vec<_> = self.rows.values().collect();
                json!({"row_count": count, "rows": rows}).to_string()
            }
        }
    }

    /// The answer to `uuid_dump UUID json`.
    pub(crate) fn dump(&self, uuid: &str) -> String {
        let Some(event) = self.dumps.get(uuid) else {
            return "-ERR No such channel!\n".to_owned();
        };
        let mut headers: Map<String, Value> = event
            .headers()
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect();
        headers.insert("Event-Name".into(), json!("CHANNEL_DATA"));
        Value::Object(headers).to_string()
    }

    /// What the sidecar makes of both.
    pub(crate) fn snapshot(&self, core_uuid: &str) -> Snapshot {
        let mut snapshot =
            Snapshot::parse(Some(core_uuid.to_owned()), self.list().as_bytes()).unwrap();
        for row in &mut snapshot.channels {
            self.add_dump(row);
        }
        snapshot
    }

    fn add_dump(&self, row: &mut ChannelRow) {
        row.dump = Event::from_json(self.dump(&row.uuid).as_bytes()).ok();
    }
}

/// A row as CHANNEL_CREATE makes it.
fn created(event: &Event) -> Map<String, Value> {
    let header = |name: &str| event.text(name).unwrap_or_default().into_owned();
    let created = event.number("Caller-Channel-Created-Time").unwrap_or(0) / 1_000_000;
    let columns = [
        ("uuid", header("Unique-ID")),
        ("direction", header("Call-Direction")),
        ("created_epoch", created.to_string()),
        ("name", header("Channel-Name")),
        ("state", header("Channel-State")),
        ("callstate", header("Channel-Call-State")),
        ("cid_name", header("Caller-Caller-ID-Name")),
        ("cid_num", header("Caller-Caller-ID-Number")),
        ("dest", header("Caller-Destination-Number")),
        ("initial_dest", header("Caller-Destination-Number")),
        ("context", header("Caller-Context")),
        ("presence_id", header("Channel-Presence-ID")),
        ("application", String::new()),
        ("application_data", String::new()),
        ("callee_name", String::new()),
        ("callee_num", String::new()),
        // Empty until the leg is bridged.
        ("call_uuid", String::new()),
    ];
    columns
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect()
}
