//! The book of legs and calls that live now: who belongs to whom, and what each event changes.
//!
//! Every leg is in exactly one call, and every call has at least one living leg. A call is named by its root
//! leg, which need not be known yet (a loopback leg's other half may be seen first) and may be gone already
//! (after a transfer the others talk on).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::account::Accounts;
use super::answer::{AnsweredBy, Application, by_bridge};
use super::calls;
use super::channel::{self, Ending};
use super::leg::{Leg, Reading, Word, instant};
use super::state::Call;
use super::teller::Teller;
use super::tracker::Place;
use crate::esl::Event;
use crate::time::Timestamp;

/// How many ended legs are remembered, so that a CHANNEL_DESTROY after the CHANNEL_HANGUP_COMPLETE, or an
/// event that comes twice, does not begin them anew. The switch sends the one within a second of the other.
const ENDED_KEPT: usize = 8_192;

/// What the tracker does with an event of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// CHANNEL_CREATE, and CHANNEL_DATA, as `uuid_dump` calls what it knows of a channel.
    Create,
    Progress,
    ProgressMedia,
    Answer,
    Bridge,
    Unbridge,
    Hold,
    Unhold,
    Execute,
    Dtmf,
    Hangup,
    /// CHANNEL_HANGUP_COMPLETE.
    Complete,
    Destroy,
}

impl Step {
    /// The step of an event; `None` where the tracker has no use for it.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "CHANNEL_CREATE" | "CHANNEL_DATA" => Self::Create,
            "CHANNEL_PROGRESS" => Self::Progress,
            "CHANNEL_PROGRESS_MEDIA" => Self::ProgressMedia,
            "CHANNEL_ANSWER" => Self::Answer,
            "CHANNEL_BRIDGE" => Self::Bridge,
            "CHANNEL_UNBRIDGE" => Self::Unbridge,
            "CHANNEL_HOLD" => Self::Hold,
            "CHANNEL_UNHOLD" => Self::Unhold,
            "CHANNEL_EXECUTE" => Self::Execute,
            "DTMF" => Self::Dtmf,
            "CHANNEL_HANGUP" => Self::Hangup,
            "CHANNEL_HANGUP_COMPLETE" => Self::Complete,
            "CHANNEL_DESTROY" => Self::Destroy,
            _ => return None,
        })
    }
}

/// Legs that a new leg says it belongs to.
#[derive(Debug, Default)]
pub(super) struct Kin<'a> {
    /// They exist or existed: its originator, the queue's caller, the other half of a loopback pair.
    pub(super) sure: [Option<Cow<'a, str>>; 3],
    /// They may be names of nothing: a dialplan can set Channel-Call-UUID to what it likes.
    pub(super) likely: [Option<Cow<'a, str>>; 2],
}

impl<'a> Kin<'a> {
    /// What an event with channel variables says.
    pub(super) fn of(event: &'a Event) -> Self {
        let originator = event
            .variable("originator")
            .or_else(|| event.variable("originating_leg_uuid"));
        // Of a loopback pair the A half is the elder.
        let elder = (event.variable("loopback_leg").as_deref() == Some("B"))
            .then(|| event.variable("other_loopback_leg_uuid"))
            .flatten();
        Self {
            sure: [originator, event.variable("cc_member_session_uuid"), elder],
            likely: [
                event.text("Channel-Call-UUID"),
                event.text("Other-Leg-Unique-ID"),
            ],
        }
    }
}

/// Legs that have ended lately, and when each was last heard of.
#[derive(Debug, Default)]
struct Ended {
    known: HashMap<Arc<str>, Timestamp>,
    order: VecDeque<Arc<str>>,
}

impl Ended {
    fn insert(&mut self, uuid: Arc<str>, heard: Timestamp) {
        if self.known.insert(Arc::clone(&uuid), heard).is_none() {
            self.order.push_back(uuid);
        }
        if self.order.len() > ENDED_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The legs and calls that live now.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) legs: HashMap<Arc<str>, Leg>,
    pub(super) calls: HashMap<Arc<str>, Call>,
    ended: Ended,
    /// Legs to be stored again or forgotten; `None` until somebody stores them at all.
    pub(super) changes: Option<HashSet<Arc<str>>>,
    pub(super) met_subscription: bool,
}

impl Book {
    /// One without legs, that knows which have ended.
    pub(super) fn emptied(self) -> Self {
        Self {
            ended: self.ended,
            ..Self::default()
        }
    }

    /// Whether a leg has ended lately.
    pub(super) fn is_ended(&self, uuid: &str) -> bool {
        self.ended.known.contains_key(uuid)
    }

    /// Whether a leg that has ended begins once more: who places a call again may give it the same id.
    fn is_reborn(&self, step: Step, uuid: &str, event: &Event) -> bool {
        let created = instant(event, "Caller-Channel-Created-Time");
        step == Step::Create
            && !self.calls.contains_key(uuid)
            && (self.ended.known.get(uuid)).is_some_and(|heard| created > Some(*heard))
    }

    /// Where an event of the leg `uuid` belongs.
    pub(super) fn place(&self, uuid: &str, accounts: &Accounts) -> Place {
        let Some(leg) = self.legs.get(uuid) else {
            return Place {
                call_id: uuid.into(),
                call_uuid: None,
                account_id: None,
            };
        };
        let call = self.calls.get(&leg.call);
        let account = leg.account.as_ref();
        let account = account.or_else(|| call.and_then(|call| call.account.as_ref()));
        Place {
            call_id: Arc::clone(&leg.uuid),
            call_uuid: Some(Arc::clone(&leg.call)),
            account_id: Some(account.map_or_else(|| accounts.fallback(), Arc::clone)),
        }
    }

    /// Reads an event of a channel. True when its leg has ended with it: [`Book::bury`] it when all is told.
    pub(super) fn read(
        &mut self,
        step: Step,
        uuid: &str,
        event: &Event,
        reading: &Reading<'_>,
        teller: &mut Teller<'_>,
    ) -> bool {
        let Some(leg) = self.legs.get_mut(uuid) else {
            // What began unseen and of which nothing but the end is told is left alone. A
            // CHANNEL_HANGUP_COMPLETE is the whole story of a leg, though.
            let ended = self.is_ended(uuid) && !self.is_reborn(step, uuid, event);
            if ended || matches!(step, Step::Hangup | Step::Destroy) {
                return false;
            }
            self.begin(step, uuid, event, reading, teller);
            if let Some(leg) = self.legs.get_mut(uuid) {
                leg.heard_since_asked = true;
            }
            return self.step(step, uuid, event, teller);
        };
        if leg.is_repeat(teller.moment.sequence) {
            return false;
        }
        leg.heard = teller.moment.at;
        leg.heard_since_asked = true;
        let Some(call) = self.calls.get_mut(&leg.call) else {
            return false;
        };
        match step {
            Step::Dtmf | Step::Hangup => {}
            Step::Execute => leg.read_orders(event),
            _ => leg.read(event, reading),
        }
        if !matches!(step, Step::Dtmf | Step::Hangup) {
            if leg.runs_call() {
                call.read_orders(event);
            }
            call.follow(leg);
            self.met_subscription |= call.subscription.is_some();
        }
        self.step(step, uuid, event, teller)
    }

    /// What an event changes beyond what it says.
    fn step(&mut self, step: Step, uuid: &str, event: &Event, teller: &mut Teller<'_>) -> bool {
        self.mark(uuid);
        match step {
            Step::Bridge => self.bridge_seen(uuid, event, teller),
            Step::Unbridge => self.unbridge(uuid, teller),
            Step::Execute => self.execute(uuid, event, teller),
            Step::Complete | Step::Destroy => {
                let Some(leg) = self.legs.get(uuid) else {
                    return false;
                };
                let ending = Ending::of(leg, event, teller.moment.at);
                let left = ending.left(leg);
                self.note_left(uuid, left);
                self.with(uuid, |leg, call| {
                    // A bridge before the answer carried early media, of which nothing need have come.
                    let bridged = instant(event, "Caller-Channel-Bridged-Time");
                    let answered = instant(event, "Caller-Channel-Answered-Time");
                    let talked = answered.is_some() && bridged >= answered;
                    call.bridged |= talked && leg.uuid == call.root;
                });
                self.end(uuid, &ending, teller);
                return true;
            }
            Step::Hangup => {
                if let Some(leg) = self.legs.get_mut(uuid) {
                    leg.keep(Word::HangupCause, event.text("Hangup-Cause"));
                }
                // There is no `sip_hangup_disposition` yet, but the status of what came over the wire.
                self.note_left(uuid, event.variable("sip_term_status").is_some());
            }
            Step::Create => {}
            Step::Progress => self.with(uuid, |leg, call| {
                channel::progressed(leg, call, false, teller);
            }),
            Step::ProgressMedia => self.with(uuid, |leg, call| {
                channel::progressed(leg, call, true, teller);
            }),
            Step::Answer => self.answer(uuid, teller),
            Step::Hold => self.with(uuid, |leg, call| channel::hold(leg, call, teller)),
            Step::Unhold => self.with(uuid, |leg, call| channel::unhold(leg, call, teller)),
            Step::Dtmf => self.with(uuid, |leg, call| channel::dtmf(leg, call, event, teller)),
        }
        self.menu(uuid, teller);
        false
    }

    fn begin(
        &mut self,
        step: Step,
        uuid: &str,
        event: &Event,
        reading: &Reading<'_>,
        teller: &mut Teller<'_>,
    ) {
        let mut leg = Leg::new(uuid.into(), teller.moment.at);
        leg.read_first(event, step != Step::Dtmf, reading);
        leg.is_repeat(teller.moment.sequence);
        let kin = Kin::of(event);
        self.introduce(leg, &kin, Some(event), teller);
    }

    /// Takes a new leg into the book and its call, and tells of it.
    pub(super) fn introduce(
        &mut self,
        mut leg: Leg,
        kin: &Kin<'_>,
        event: Option<&Event>,
        teller: &mut Teller<'_>,
    ) {
        leg.call = self.root_of(&leg, kin);
        let call = self
            .calls
            .entry(Arc::clone(&leg.call))
            .or_insert_with(|| Call::new(Arc::clone(&leg.call), leg.created));
        call.admit(&leg);
        if let Some(event) = event
            && leg.runs_call()
        {
            call.read_orders(event);
        }
        self.met_subscription |= call.subscription.is_some();
        channel::create(&leg, call, teller);
        calls::received(&leg, call, teller);
        calls::extension_dialed(&leg, call, teller);
        let (uuid, root) = (Arc::clone(&leg.uuid), Arc::clone(&leg.call));
        self.legs.insert(Arc::clone(&uuid), leg);
        if root != uuid
            && let Some(own) = self.calls.get(&uuid)
        {
            // Others had named it as their elder, but it has an elder itself.
            let others = own.members.clone();
            self.move_legs(others, &uuid, &root);
        }
        self.mark(&uuid);
    }

    /// The root leg of the call that a new leg belongs to: itself where it belongs to none.
    fn root_of(&self, leg: &Leg, kin: &Kin<'_>) -> Arc<str> {
        // It came in from outside, by itself.
        if !leg.outbound && !leg.internal {
            return Arc::clone(&leg.uuid);
        }
        let others = |names: &[Option<Cow<'_, str>>]| -> Vec<Arc<str>> {
            let others = names.iter().flatten().filter(|name| ***name != *leg.uuid);
            others.map(|name| (**name).into()).collect()
        };
        let sure = others(&kin.sure);
        let likely = others(&kin.likely);
        for name in sure.iter().chain(&likely) {
            if let Some(known) = self.legs.get(name) {
                return Arc::clone(&known.call);
            }
            if let Some((root, _)) = self.calls.get_key_value(name) {
                return Arc::clone(root);
            }
        }
        sure.into_iter()
            .find(|name| !self.is_ended(name))
            .unwrap_or_else(|| Arc::clone(&leg.uuid))
    }

    /// A leg and its call.
    pub(super) fn pair(&mut self, uuid: &str) -> Option<(&mut Leg, &mut Call)> {
        let leg = self.legs.get_mut(uuid)?;
        let call = self.calls.get_mut(&leg.call)?;
        Some((leg, call))
    }

    fn with(&mut self, uuid: &str, act: impl FnOnce(&mut Leg, &mut Call)) {
        if let Some((leg, call)) = self.pair(uuid) {
            act(leg, call);
        }
    }

    /// CHANNEL_ANSWER. Who was heard as early media takes the call only now.
    fn answer(&mut self, uuid: &str, teller: &mut Teller<'_>) {
        self.with(uuid, |leg, call| {
            call.root_answered |= leg.uuid == call.root;
            channel::answer(leg, call, teller);
        });
        let leg = self.legs.get(uuid);
        if let Some(partner) = leg.and_then(|leg| leg.partner.clone()) {
            self.take(uuid, &partner, teller);
        }
    }

    /// CHANNEL_EXECUTE: what the root leg runs says who takes the call.
    fn execute(&mut self, uuid: &str, event: &Event, teller: &mut Teller<'_>) {
        let name = event.text("Application").unwrap_or_default();
        let data = event.text("Application-Data");
        if let Some(leg) = self.legs.get_mut(uuid) {
            leg.ran_since_asked = true;
        }
        self.run(uuid, &name, data.as_deref(), teller);
    }

    /// A leg runs a dialplan application now.
    pub(super) fn run(
        &mut self,
        uuid: &str,
        name: &str,
        data: Option<&str>,
        teller: &mut Teller<'_>,
    ) {
        let at = teller.moment.at;
        let application = Application::of(name, data.unwrap_or_default());
        if application == Application::UuidBridge {
            return;
        }
        let Some((leg, call)) = self.pair(uuid) else {
            return;
        };
        leg.run(name, data);
        if !leg.runs_call() {
            return;
        }
        call.menu_waits = application == Application::Menu;
        match application {
            Application::Queue => call.enter_queue(at),
            Application::Voicemail => call.voicemail = true,
            _ => {}
        }
        if application != Application::Queue {
            call.leave_queue(at);
        }
        self.menu(uuid, teller);
    }

    /// Tells that a menu took the call, once its root leg is answered; unless the dialplan says that it is
    /// somebody else who will have taken it.
    fn menu(&mut self, uuid: &str, teller: &mut Teller<'_>) {
        let Some(leg) = self.legs.get(uuid) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&leg.call) else {
            return;
        };
        let taken = match call.says {
            None => call.menu_waits,
            Some(said) => said == AnsweredBy::Ivr,
        };
        if taken && call.root_answered {
            call.menu_waits = false;
            let root = self.legs.get(&call.root).unwrap_or(leg);
            calls::answered(call, root, None, AnsweredBy::Ivr, teller);
        }
    }

    /// CHANNEL_BRIDGE.
    fn bridge_seen(&mut self, uuid: &str, event: &Event, teller: &mut Teller<'_>) {
        let other = [
            "Bridge-B-Unique-ID",
            "Bridge-A-Unique-ID",
            "Other-Leg-Unique-ID",
        ]
        .iter()
        .filter_map(|header| event.text(header))
        .find(|other| **other != *uuid);
        let Some(other) = other else { return };
        if let Some(leg) = self.legs.get_mut(uuid)
            && let Some(application) = event.variable("current_application")
        {
            let data = event.variable("current_application_data");
            leg.run(&application, data.as_deref());
        }
        for leg in [uuid, &*other] {
            self.rebridged(leg);
        }
        self.bridge(uuid, &other, Some(event), teller);
    }

    /// Connects two legs, and their calls where one of these is the other's.
    pub(super) fn bridge(
        &mut self,
        uuid: &str,
        other: &str,
        event: Option<&Event>,
        teller: &mut Teller<'_>,
    ) {
        let Some(leg) = self.legs.get_mut(uuid) else {
            return;
        };
        // The switch tells of one bridge on both legs at times.
        if leg.partner.as_deref() == Some(other) {
            return;
        }
        leg.keep(Word::OtherLeg, Some(other.into()));
        leg.partner = Some(other.into());
        let uuid = Arc::clone(&leg.uuid);
        if let Some(partner) = self.legs.get_mut(other) {
            partner.keep(Word::OtherLeg, Some((*uuid).into()));
            partner.partner = Some(Arc::clone(&uuid));
            let said = event.and_then(|event| instant(event, "Other-Leg-Channel-Answered-Time"));
            partner.answered = partner.answered.or(said);
        }
        self.mark(other);
        self.join(&uuid, other);
        let Some(leg) = self.legs.get(&uuid) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&leg.call) else {
            return;
        };
        let partner = self.legs.get(other);
        channel::bridge(leg, call, partner, event, teller);
        match (partner, event) {
            (Some(_), _) => self.take(&uuid, other, teller),
            // Nothing was seen of the other leg, but it took the call all the same.
            (None, Some(event)) => {
                let partner = Leg::of_other(other.into(), event, leg);
                let root = self.legs.get(&call.root);
                taken(call, root, leg, &partner, Some(leg), teller);
            }
            (None, None) => {}
        }
    }

    /// Notes that it is known better than from the switch's list whom a leg is bridged to.
    fn rebridged(&mut self, uuid: &str) {
        if let Some(leg) = self.legs.get_mut(uuid) {
            leg.rebridged_since_asked = true;
        }
    }

    fn unbridge(&mut self, uuid: &str, teller: &mut Teller<'_>) {
        self.rebridged(uuid);
        self.part(uuid);
        if let Some((leg, call)) = self.pair(uuid) {
            channel::unbridge(leg, call, teller);
        }
    }

    /// Forgets that a leg is bridged.
    fn part(&mut self, uuid: &str) {
        let Some(partner) = self.legs.get_mut(uuid).and_then(|leg| leg.partner.take()) else {
            return;
        };
        if let Some(other) = self.legs.get_mut(&partner)
            && other.partner.as_deref() == Some(uuid)
        {
            other.partner = None;
        }
        self.mark(&partner);
    }

    /// Makes one call of two where the younger is only the other end of the elder: its root was dialled by the
    /// switch and nobody has taken it. Where both are calls of their own (a caller and the phone that picks
    /// him up), both stay, each with its own root and its own end; but a leg that is no root goes over, as in
    /// an attended transfer.
    fn join(&mut self, one: &str, other: &str) {
        let (Some(a), Some(b)) = (self.legs.get(one), self.legs.get(other)) else {
            return;
        };
        if a.call == b.call {
            return;
        }
        let (Some(call_a), Some(call_b)) = (self.calls.get(&a.call), self.calls.get(&b.call))
        else {
            return;
        };
        // What is over cannot be added to; of two that go on, the first one stays.
        let a_stays = (call_a.over, call_a.created, !call_a.inbound)
            <= (call_b.over, call_b.created, !call_b.inbound);
        let ((elder, elder_leg), (younger, younger_leg)) = match a_stays {
            true => ((call_a, a), (call_b, b)),
            false => ((call_b, b), (call_a, a)),
        };
        let elder_root = Arc::clone(&elder.root);
        let younger_root = Arc::clone(&younger.root);
        let movers = if !younger.inbound && younger.taken.is_none() {
            younger.members.clone()
        } else if younger_leg.uuid != younger_root {
            vec![Arc::clone(&younger_leg.uuid)]
        } else if elder_leg.uuid != elder_root && !younger.over {
            let mover = Arc::clone(&elder_leg.uuid);
            self.move_legs(vec![mover], &elder_root, &younger_root);
            return;
        } else {
            return;
        };
        self.move_legs(movers, &younger_root, &elder_root);
    }

    fn move_legs(&mut self, movers: Vec<Arc<str>>, from: &str, to: &str) {
        let Some(mut old) = self.calls.remove(from) else {
            return;
        };
        if let Some(new) = self.calls.get_mut(to) {
            old.members.retain(|member| !movers.contains(member));
            for mover in &movers {
                if let Some(leg) = self.legs.get_mut(mover) {
                    leg.call = Arc::clone(&new.root);
                    new.admit(leg);
                }
            }
            if new.subscription.is_none() {
                new.subscription.clone_from(&old.subscription);
            }
        }
        for mover in &movers {
            self.mark(mover);
        }
        if let Some(keeper) = old.members.first().cloned() {
            self.mark(&keeper);
            self.calls.insert(Arc::clone(&old.root), old);
        }
    }

    /// Tells who took the call or calls of two legs that are bridged. Whoever has not answered yet has taken
    /// nothing: the switch bridges early media (183) as well, and what is heard there may be "no such number".
    fn take(&mut self, one: &str, other: &str, teller: &mut Teller<'_>) {
        let (Some(a), Some(b)) = (self.legs.get(one), self.legs.get(other)) else {
            return;
        };
        if a.call != b.call {
            for (leg, taker) in [(a, b), (b, a)] {
                if let Some(call) = self.calls.get_mut(&leg.call)
                    && taker.answered.is_some()
                {
                    let root = self.legs.get(&call.root);
                    taken(call, root, leg, taker, None, teller);
                }
            }
            return;
        }
        let Some(call) = self.calls.get_mut(&a.call) else {
            return;
        };
        let a_takes = match (a.uuid == call.root, b.uuid == call.root) {
            (true, _) => false,
            (_, true) => true,
            _ if a.internal != b.internal => b.internal,
            _ => a.created > b.created,
        };
        let (leg, taker) = match a_takes {
            true => (b, a),
            false => (a, b),
        };
        if taker.answered.is_none() {
            return;
        }
        let root = self.legs.get(&call.root);
        let dialler = taker.outbound.then_some(leg);
        taken(call, root, leg, taker, dialler, teller);
    }

    /// Notes whether a leg's far end hung up by itself.
    fn note_left(&mut self, uuid: &str, left: bool) {
        let Some((leg, call)) = self.pair(uuid) else {
            return;
        };
        leg.left |= left;
        if leg.left && leg.uuid != call.root && (leg.partner.is_some() || !call.root_answered) {
            call.callee_left = true;
        }
    }

    /// Ends a leg: it is told of and out of its bridge, but stays in the book until it is buried.
    pub(super) fn end(&mut self, uuid: &str, ending: &Ending, teller: &mut Teller<'_>) {
        self.part(uuid);
        let Some((leg, call)) = self.pair(uuid) else {
            return;
        };
        channel::end_hold(leg, call, teller.moment.at);
        channel::destroy(leg, call, ending, teller);
        if leg.uuid == call.root && !call.over {
            calls::over(call, leg, ending, teller);
        }
        self.mark(uuid);
    }

    /// Takes an ended leg out of the book.
    pub(super) fn bury(&mut self, uuid: &str) {
        let Some((uuid, leg)) = self.legs.remove_entry(uuid) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(&leg.call) {
            call.members.retain(|member| *member != uuid);
            match call.members.first().cloned() {
                Some(keeper) => self.mark(&keeper),
                None => {
                    self.calls.remove(&leg.call);
                }
            }
        }
        self.ended.insert(uuid, leg.heard);
    }

    /// Ends every leg that `gone` names, without having seen it; the roots last, so that a call's end is the
    /// last that is told of it.
    pub(super) fn end_unseen(
        &mut self,
        mut gone: Vec<Arc<str>>,
        cause: Option<&Arc<str>>,
        at: Timestamp,
        teller: &mut Teller<'_>,
    ) {
        let key = |uuid: &Arc<str>| {
            self.legs
                .get(uuid)
                .map(|leg| (leg.uuid == leg.call, leg.created, Arc::clone(&leg.uuid)))
        };
        gone.sort_by_cached_key(key);
        for uuid in gone {
            let Some(leg) = self.legs.get(&uuid) else {
                continue;
            };
            let ending = Ending::unseen(leg, cause, at);
            self.end(&uuid, &ending, teller);
            self.bury(&uuid);
        }
    }

    /// Notes that a leg is to be stored again, and with it the state of its call.
    pub(super) fn mark(&mut self, uuid: &str) {
        let Some(changes) = &mut self.changes else {
            return;
        };
        let Some((uuid, leg)) = self.legs.get_key_value(uuid) else {
            changes.insert(uuid.into());
            return;
        };
        changes.insert(Arc::clone(uuid));
        if let Some(keeper) = self
            .calls
            .get(&leg.call)
            .and_then(|call| call.members.first())
        {
            changes.insert(Arc::clone(keeper));
        }
    }
}

fn taken(
    call: &mut Call,
    root: Option<&Leg>,
    leg: &Leg,
    taker: &Leg,
    dialler: Option<&Leg>,
    teller: &mut Teller<'_>,
) {
    call.bridged = true;
    // Behind a loopback leg somebody may be or not: his own bridge tells.
    if taker.internal {
        return;
    }
    let by = by_bridge(call, root, taker, dialler);
    call.callee_left = false;
    call.leave_queue(teller.moment.at);
    calls::answered(call, root.unwrap_or(leg), Some(taker), by, teller);
}
