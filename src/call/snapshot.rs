//! What the switch says is alive: the answer to `api show channels as json`.
//!
//! It comes from the `channels` table of `switch_core_sqldb.c`: every value is text, unknown ones are empty,
//! and without a channel there is no `rows` at all.

use serde::Deserialize;

use crate::esl::Event;

/// An answer that is no list of channels.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The switch refused, or does not know the command.
    #[error("the switch answered `show channels` with {0:?}")]
    Refused(String),
    /// It is no JSON of the expected shape.
    #[error("the switch's list of channels is unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// One live channel.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ChannelRow {
    /// Unique-ID.
    pub uuid: String,
    /// `inbound` or `outbound`, relative to the switch.
    pub direction: String,
    /// When it was created, in seconds since 1970.
    pub created_epoch: String,
    /// Channel-Name (`sofia/internal/1001@…`).
    pub name: String,
    /// Channel-State (`CS_EXECUTE`, `CS_EXCHANGE_MEDIA` …).
    pub state: String,
    /// The caller's name.
    pub cid_name: String,
    /// The caller's number.
    pub cid_num: String,
    /// What it dials now.
    pub dest: String,
    /// What it dialled first.
    pub initial_dest: String,
    /// The dialplan application it runs.
    pub application: String,
    /// What that is run with.
    pub application_data: String,
    /// The dialplan context.
    pub context: String,
    /// Whose phone it is (`1001@example.org`).
    pub presence_id: String,
    /// Channel-Call-State (`RINGING`, `EARLY`, `ACTIVE`, `HELD` …).
    pub callstate: String,
    /// The callee's name.
    pub callee_name: String,
    /// The callee's number.
    pub callee_num: String,
    /// Channel-Call-UUID; empty on a leg that was never bridged.
    pub call_uuid: String,
    /// What `api uuid_dump UUID json` says of it, where it was asked: channel variables, which the list lacks.
    #[serde(skip)]
    pub dump: Option<Event>,
}

/// What the switch says is alive.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Core-UUID of the switch that answered, where it is known.
    pub core_uuid: Option<String>,
    /// Its channels.
    pub channels: Vec<ChannelRow>,
}

#[derive(Deserialize)]
struct Answer {
    row_count: u64,
    #[serde(default)]
    rows: Vec<ChannelRow>,
}

impl Snapshot {
    /// Reads the answer to `api show channels as json`.
    ///
    /// # Errors
    /// [`SnapshotError`]; then nothing is known, which is not the same as no channels.
    pub fn parse(core_uuid: Option<String>, answer: &[u8]) -> Result<Self, SnapshotError> {
        // A name that somebody dialled in with need not be UTF-8.
        let answer = String::from_utf8_lossy(answer);
        if answer.starts_with("-") {
            return Err(SnapshotError::Refused(answer.trim().to_owned()));
        }
        let Answer { row_count, rows } = serde_json::from_str(&answer)?;
        if row_count != rows.len() as u64 {
            let said = format!("{row_count} channels, but a list of {}", rows.len());
            return Err(SnapshotError::Refused(said));
        }
        Ok(Self {
            core_uuid,
            channels: rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &[u8] = include_bytes!("../../tests/captures/show-channels.json");

    #[test]
    fn a_real_answer_with_odd_names_is_read() {
        let snapshot = Snapshot::parse(None, REAL).unwrap();
        let bridged = &snapshot.channels[2];
        assert_eq!(snapshot.channels.len(), 4);
        assert_eq!(bridged.cid_name, "O'Brien, Zoë | 50%");
        assert_eq!(bridged.application_data, "user/1001@rig.test");
        assert_eq!(bridged.call_uuid, bridged.uuid);
    }

    #[test]
    fn no_channels_is_an_answer() {
        let snapshot = Snapshot::parse(None, br#"{"row_count": 0}"#).unwrap();
        assert!(snapshot.channels.is_empty());
    }

    #[test]
    fn ten_thousand_channels_are_read() {
        let row =
            r#"{"uuid":"a","direction":"inbound","cid_name":"Smith, \"J\" {x}","unheard_of":"1"}"#;
        let rows = vec![row; 10_000].join(",");
        let answer = format!(r#"{{"row_count":10000,"rows":[{rows}]}}"#);
        let snapshot = Snapshot::parse(None, answer.as_bytes()).unwrap();
        assert_eq!(snapshot.channels.len(), 10_000);
        assert_eq!(snapshot.channels[9_999].cid_name, "Smith, \"J\" {x}");
    }

    #[test]
    fn what_is_no_list_is_never_taken_for_an_empty_one() {
        for answer in [
            "-ERR command not found",
            "",
            "[]",
            r#"{"rows":[]}"#,
            r#"{"row_count":2,"rows":[{"uuid":"a"}]}"#,
            r#"{"row_count":1,"rows":[{"uuid""#,
        ] {
            assert!(
                Snapshot::parse(None, answer.as_bytes()).is_err(),
                "{answer}"
            );
        }
    }
}
