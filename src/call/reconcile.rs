//! Comparing what is remembered with what the switch says is alive, after a gap.
//!
//! What is gone is ended, what is new is begun, and what was answered or bridged meanwhile says so; all of it
//! `reconciled`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::book::{Book, Kin};
use super::channel;
use super::leg::{Leg, Reading, Word, instant};
use super::snapshot::ChannelRow;
use super::teller::Teller;
use crate::time::Timestamp;

/// The switch writes its list of channels some time after it has sent CHANNEL_CREATE: a leg that was heard
/// of this shortly before is not gone because it is not listed yet.
const LIST_LAG: Duration = Duration::from_secs(3);

impl Book {
    /// The switch is being asked which channels are alive. What is heard of from now on is no business of
    /// the answer, which may have been on its way before.
    pub(super) fn ask(&mut self) {
        for leg in self.legs.values_mut() {
            leg.heard_since_asked = false;
            leg.rebridged_since_asked = false;
            leg.ran_since_asked = false;
        }
    }

    /// Makes the book say what `channels` say.
    pub(super) fn reconcile(
        &mut self,
        channels: &[ChannelRow],
        at: Timestamp,
        reading: &Reading<'_>,
        teller: &mut Teller<'_>,
    ) {
        let listed: HashSet<&str> = channels.iter().map(|row| row.uuid.as_str()).collect();
        let heard_before = at.before(LIST_LAG);
        let gone = self
            .legs
            .values()
            .filter(|leg| !listed.contains(&*leg.uuid))
            .filter(|leg| !leg.heard_since_asked && leg.heard < heard_before)
            .map(|leg| Arc::clone(&leg.uuid))
            .collect();
        self.end_unseen(gone, None, at, teller);

        // Elders first, so that the others find the call that they belong to.
        let mut rows: Vec<&ChannelRow> = channels.iter().filter(|row| is_alive(row)).collect();
        rows.sort_by_key(|row| (created(row), row.direction == "outbound"));
        for row in &rows {
            if !self.legs.contains_key(row.uuid.as_str()) && !self.is_ended(&row.uuid) {
                self.begin_unseen(row, at, reading, teller);
            }
        }
        for row in &rows {
            self.catch_up(row, at, teller);
        }
        for row in &rows {
            if let Some(elder) = bridged_to(row, &listed)
                && !self.is_rebridged(elder)
                && !self.is_rebridged(&row.uuid)
            {
                self.bridge(elder, &row.uuid, None, teller);
            }
        }
    }

    fn is_rebridged(&self, uuid: &str) -> bool {
        let leg = self.legs.get(uuid);
        leg.is_some_and(|leg| leg.rebridged_since_asked)
    }

    fn begin_unseen(
        &mut self,
        row: &ChannelRow,
        at: Timestamp,
        reading: &Reading<'_>,
        teller: &mut Teller<'_>,
    ) {
        let mut leg = Leg::new(row.uuid.as_str().into(), at);
        leg.read_row(row);
        leg.created = created(row).unwrap_or(at);
        if let Some(dump) = &row.dump {
            leg.read_first(dump, true, reading);
            // Whether that was told is another question.
            leg.answered = None;
        }
        let kin = match &row.dump {
            Some(dump) => Kin::of(dump),
            None => Kin {
                likely: [said(&row.call_uuid).map(Into::into), None],
                ..Kin::default()
            },
        };
        self.introduce(leg, &kin, row.dump.as_ref(), teller);
    }

    /// Learns what a leg runs now, and tells that it was answered meanwhile.
    fn catch_up(&mut self, row: &ChannelRow, at: Timestamp, teller: &mut Teller<'_>) {
        let Some((leg, call)) = self.pair(&row.uuid) else {
            return;
        };
        leg.heard = leg.heard.max(at);
        if is_answered(row) && !leg.told_answer {
            call.root_answered |= leg.uuid == call.root;
            let dump = row.dump.as_ref();
            let answered = dump.and_then(|dump| instant(dump, "Caller-Channel-Answered-Time"));
            leg.answered = leg.answered.or(answered);
            channel::answer(leg, call, teller);
        }
        if let Some(application) = leg.runs_unseen(row) {
            // Whether what is typed into it may be told was not seen either.
            if let Some(dump) = &row.dump {
                leg.read_orders(dump);
            }
            let data = said(&row.application_data);
            self.run(&row.uuid, application, data, teller);
        }
        self.mark(&row.uuid);
    }
}

impl Leg {
    /// The application that it runs by the switch's list, where it was not seen to begin that.
    pub(super) fn runs_unseen<'a>(&self, row: &'a ChannelRow) -> Option<&'a str> {
        let known = self.word(Word::Application).map(|name| &**name);
        said(&row.application)
            .filter(|application| known != Some(*application) && !self.ran_since_asked)
    }

    /// Reads what the switch's list says of a leg.
    fn read_row(&mut self, row: &ChannelRow) {
        self.internal = row.name.starts_with("loopback/");
        self.outbound = row.direction == "outbound";
        let dialled = said(&row.initial_dest).or(said(&row.dest));
        for (word, value) in [
            (Word::CallerName, said(&row.cid_name)),
            (Word::CallerNumber, said(&row.cid_num)),
            (Word::CalleeName, said(&row.callee_name)),
            (Word::CalleeNumber, said(&row.callee_num)),
            (Word::Destination, said(&row.dest)),
            (Word::Dialled, dialled),
            (Word::Context, said(&row.context)),
        ] {
            self.keep(word, value.map(Into::into));
        }
        self.read_place(&row.presence_id);
    }
}

/// A column that says something.
fn said(column: &str) -> Option<&str> {
    (!column.is_empty()).then_some(column)
}

fn created(row: &ChannelRow) -> Option<Timestamp> {
    let seconds: i64 = row.created_epoch.parse().ok()?;
    Some(Timestamp(seconds.checked_mul(1_000_000)?))
}

/// Whether the channel is still to end: what hangs up now tells of it itself.
fn is_alive(row: &ChannelRow) -> bool {
    !row.uuid.is_empty()
        && !matches!(
            row.state.as_str(),
            "CS_HANGUP" | "CS_REPORTING" | "CS_DESTROY"
        )
}

fn is_answered(row: &ChannelRow) -> bool {
    matches!(row.callstate.as_str(), "ACTIVE" | "HELD" | "UNHELD")
}

/// The elder leg that a leg is bridged to. Channel-Call-UUID is that of the elder on both; a leg that only
/// rings for it exchanges no media.
fn bridged_to<'a>(row: &'a ChannelRow, listed: &HashSet<&str>) -> Option<&'a str> {
    let bridged = row.call_uuid != row.uuid
        && row.state == "CS_EXCHANGE_MEDIA"
        && listed.contains(row.call_uuid.as_str());
    bridged.then_some(row.call_uuid.as_str())
}
