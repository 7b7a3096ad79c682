//! What is remembered of a leg.
//!
//! Many events say little of their leg (DTMF carries no channel variables at all), so a payload is never
//! built from an event but from the leg, after the leg has read the event. Headers are those of
//! `switch_channel_event_set_basic_data` and `switch_caller_profile_event_set_data`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::account::{Accounts, Hints};
use super::fact::Subscription;
use super::memory;
use crate::esl::Event;
use crate::time::Timestamp;

/// Something a leg says of itself in words. Legs are stored with their words in this order: a new one goes
/// to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Word {
    /// Unique-ID of the leg it is or was bridged to, or was dialled by.
    OtherLeg,
    CallerName,
    CallerNumber,
    CalleeName,
    CalleeNumber,
    /// What it dials now; a transfer changes it.
    Destination,
    /// What it dialled first.
    Dialled,
    Context,
    SipCallId,
    Request,
    To,
    From,
    ToHost,
    FromHost,
    /// `ecallmgr_Authorizing-ID` and so on: what a Kazoo dialplan says.
    AuthorizingId,
    OwnerId,
    ResellerId,
    Inception,
    /// The account that its channel variables name, whether there is one of that name or not.
    AccountHint,
    /// The extension at the other end of this leg.
    Extension,
    Queue,
    Agent,
    /// The dialplan application it runs, and what with.
    Application,
    ApplicationData,
    /// Known since CHANNEL_HANGUP.
    HangupCause,
}

const WORDS: usize = Word::HangupCause as usize + 1;

/// Headers that every event of a channel has.
const BASIC: &[(Word, &str)] = &[
    (Word::OtherLeg, "Other-Leg-Unique-ID"),
    (Word::CallerName, "Caller-Caller-ID-Name"),
    (Word::CallerNumber, "Caller-Caller-ID-Number"),
    (Word::CalleeName, "Caller-Callee-ID-Name"),
    (Word::CalleeNumber, "Caller-Callee-ID-Number"),
    (Word::Destination, "Caller-Destination-Number"),
    (Word::Context, "Caller-Context"),
];

/// Channel variables that never change once they are set.
const VARIABLES: &[(Word, &str)] = &[
    (Word::SipCallId, "sip_call_id"),
    (Word::Request, "sip_req_uri"),
    (Word::To, "sip_to_uri"),
    (Word::From, "sip_from_uri"),
];

/// Channel variables that a leg which the switch dials has from the start.
const DIALLED_VARIABLES: &[(Word, &str)] = &[
    (Word::ToHost, "sip_to_host"),
    (Word::FromHost, "sip_from_host"),
    (Word::Queue, "cc_queue"),
    (Word::Agent, "cc_agent"),
];

/// Channel variables of a Kazoo dialplan, which sets them all together.
const KAZOO: &[(Word, &str)] = &[
    (Word::AuthorizingId, "ecallmgr_Authorizing-ID"),
    (Word::OwnerId, "ecallmgr_Owner-ID"),
    (Word::ResellerId, "ecallmgr_Reseller-ID"),
    (Word::Inception, "ecallmgr_Inception"),
];

/// How many digits of a leg are remembered.
const DIGITS_KEPT: usize = 64;

/// The last events of a leg, by which one that comes twice is known.
const RECENT: usize = 8;

/// One leg.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Leg {
    /// Unique-ID.
    #[serde(skip)]
    pub(super) uuid: Arc<str>,
    /// The root leg of its call.
    #[serde(with = "memory::plain")]
    pub(super) call: Arc<str>,
    #[serde(with = "memory::plain")]
    words: [Option<Arc<str>>; WORDS],
    /// An event with channel variables has been read.
    complete: bool,
    /// A loopback leg.
    pub(super) internal: bool,
    /// Call-Direction is `outbound`: the switch dialled it.
    pub(super) outbound: bool,
    /// A registered or authenticated user speaks on it.
    pub(super) user: bool,
    /// It leaves through a gateway.
    pub(super) gateway: bool,
    /// Its originate string or dialplan says that it is a click to call.
    pub(super) click_to_call: bool,
    #[serde(with = "memory::plain")]
    pub(super) created: Timestamp,
    #[serde(with = "memory::plain")]
    pub(super) progressed: Option<Timestamp>,
    #[serde(with = "memory::plain")]
    pub(super) answered: Option<Timestamp>,
    #[serde(with = "memory::plain")]
    pub(super) held: Option<Timestamp>,
    /// When an event of it was last seen.
    #[serde(with = "memory::plain")]
    pub(super) heard: Timestamp,
    /// An event of it came after the switch was last asked which channels are alive.
    #[serde(skip)]
    pub(super) heard_since_asked: bool,
    /// So it was bridged or parted, or given another application to run: that is newer than the answer.
    #[serde(skip)]
    pub(super) rebridged_since_asked: bool,
    #[serde(skip)]
    pub(super) ran_since_asked: bool,
    /// Whom it is bridged to now.
    #[serde(with = "memory::plain")]
    pub(super) partner: Option<Arc<str>>,
    /// `channel_progress` and `channel_answer` have been told.
    pub(super) told_progress: bool,
    pub(super) told_answer: bool,
    /// Its own far end hung up, and not the switch.
    pub(super) left: bool,
    /// The account that it names.
    #[serde(with = "memory::plain")]
    pub(super) account: Option<Arc<str>>,
    /// Channel variables that the configuration exports.
    #[serde(with = "memory::plain")]
    pub(super) exported: Arc<[(Box<str>, Box<str>)]>,
    #[serde(with = "memory::plain")]
    pub(super) subscription: Option<Arc<Subscription>>,
    /// Digits are not to be told.
    pub(super) masked: bool,
    /// Some were not.
    pub(super) was_masked: bool,
    /// The last digits; those pressed while it was masked are remembered as `*` only.
    pub(super) digits: String,
    #[serde(skip)]
    recent: [u64; RECENT],
    #[serde(skip)]
    recent_at: usize,
}

impl Leg {
    /// A leg of which nothing is known yet but its Unique-ID.
    pub(super) fn new(uuid: Arc<str>, at: Timestamp) -> Self {
        Self {
            uuid,
            created: at,
            heard: at,
            ..Self::default()
        }
    }

    /// What an event of `leg` says of the other leg, of which nothing was seen.
    pub(super) fn of_other(uuid: Arc<str>, event: &Event, leg: &Self) -> Self {
        let mut other = Self::new(uuid, leg.heard);
        other.call = Arc::clone(&leg.call);
        let name = event.header("Other-Leg-Channel-Name").unwrap_or_default();
        other.internal = name.starts_with("loopback/");
        other.outbound = event.raw("Other-Leg-Direction") == Some(b"outbound");
        let number = match other.outbound {
            true => event.text("Other-Leg-Destination-Number"),
            false => event.text("Other-Leg-Caller-ID-Number"),
        };
        other.keep(Word::Extension, number.filter(|number| is_short(number)));
        other
    }

    /// Whether what it runs is run for the call: it is the root, or a loopback leg that stands in for it.
    pub(super) fn runs_call(&self) -> bool {
        self.uuid == self.call || self.internal
    }

    /// Runs a dialplan application now.
    pub(super) fn run(&mut self, name: &str, data: Option<&str>) {
        self.keep(Word::Application, Some(name.into()));
        if data.is_none() {
            self.words[Word::ApplicationData as usize] = None;
        }
        self.keep(Word::ApplicationData, data.map(Cow::Borrowed));
    }

    /// What it says.
    pub(super) fn word(&self, word: Word) -> Option<&Arc<str>> {
        self.words[word as usize].as_ref()
    }

    /// Remembers what it says; says it nothing, the old word stays.
    pub(super) fn keep(&mut self, word: Word, said: Option<Cow<'_, str>>) {
        let Some(said) = said else { return };
        let old = &mut self.words[word as usize];
        if old.as_deref() != Some(&*said) {
            *old = Some(said.into());
        }
    }

    /// Whether this event was read already. The switch may say a thing twice, and so may a replay.
    pub(super) fn is_repeat(&mut self, sequence: u64) -> bool {
        if sequence == 0 {
            return false;
        }
        if self.recent.contains(&sequence) {
            return true;
        }
        self.recent[self.recent_at] = sequence;
        self.recent_at = (self.recent_at + 1) % RECENT;
        false
    }

    /// Reads the first event of the leg, whichever it is. `has_variables` is false for those that carry no
    /// `variable_*` headers.
    pub(super) fn read_first(&mut self, event: &Event, has_variables: bool, rules: &Reading<'_>) {
        let name = event.header("Channel-Name").unwrap_or_default();
        self.internal = name.starts_with("loopback/");
        self.outbound = event.raw("Call-Direction") == Some(b"outbound");
        self.created = instant(event, "Caller-Channel-Created-Time").unwrap_or(self.created);
        self.progressed = progress(event);
        self.answered = instant(event, "Caller-Channel-Answered-Time");
        self.read_basic(event);
        self.keep(Word::Dialled, event.text("Caller-Destination-Number"));
        if has_variables {
            self.read_first_variables(event, rules);
        }
        self.account = self.find_account(event, rules.accounts);
    }

    /// Reads an event with channel variables of a leg that is known.
    pub(super) fn read(&mut self, event: &Event, rules: &Reading<'_>) {
        self.read_basic(event);
        let first = !self.complete;
        if first {
            self.read_first_variables(event, rules);
        }
        if first || self.read_variables(event, rules) {
            let found = self.find_account(event, rules.accounts);
            self.account = found.or(self.account.take());
        }
    }

    /// Reads what decides what may be told and how: an event that has nothing else of interest.
    pub(super) fn read_orders(&mut self, event: &Event) {
        self.masked = event
            .variable("switchhook_mask_dtmf")
            .is_some_and(|said| is_true(&said));
        self.was_masked |= self.masked;
        if let Some(uri) = event.variable("switchhook_uri") {
            // A dialplan sets one after the other: what comes behind the URI counts, too.
            let boxed = |name| event.variable(name).map(Box::from);
            let subscription = Subscription {
                uri: uri.into(),
                events: boxed("switchhook_events"),
                verb: boxed("switchhook_verb"),
                format: boxed("switchhook_format"),
            };
            if self.subscription.as_deref() != Some(&subscription) {
                self.subscription = Some(Arc::new(subscription));
            }
        }
    }

    fn read_basic(&mut self, event: &Event) {
        for (word, header) in BASIC {
            self.keep(*word, event.text(header));
        }
    }

    /// What the first event with channel variables says once and for all.
    fn read_first_variables(&mut self, event: &Event, rules: &Reading<'_>) {
        if self.outbound {
            for (word, variable) in DIALLED_VARIABLES {
                self.keep(*word, event.variable(variable));
            }
            self.gateway = event.variable("sip_gateway_name").is_some();
        } else {
            self.user = user(event).is_some();
        }
        self.keep(Word::Extension, self.extension(event));
        self.click_to_call = event
            .variable(rules.click_to_call_variable)
            .is_some_and(|said| is_true(&said));
        self.complete = true;
        self.read_variables(event, rules);
    }

    /// Whether the account has to be looked for again.
    fn read_variables(&mut self, event: &Event, rules: &Reading<'_>) -> bool {
        for (word, variable) in VARIABLES {
            if self.word(*word).is_none() {
                self.keep(*word, event.variable(variable));
            }
        }
        self.read_orders(event);
        if !rules.export_variables.is_empty() {
            self.export(event, rules.export_variables);
        }
        let kazoo = event.variable("ecallmgr_Account-ID");
        if kazoo.is_some() {
            for (word, variable) in KAZOO {
                self.keep(*word, event.variable(variable));
            }
        }
        let hint = event.variable("account_id").or(kazoo);
        let changed =
            hint.is_some() && self.word(Word::AccountHint).map(|old| &**old) != hint.as_deref();
        self.keep(Word::AccountHint, hint);
        changed
    }

    fn find_account(&self, event: &Event, accounts: &Accounts) -> Option<Arc<str>> {
        let sip = accounts
            .trusts_sip_header()
            .then(|| event.variable("sip_h_X-Account-ID"))
            .flatten();
        let variable = event.variable("account_id");
        let kazoo = event.variable("ecallmgr_Account-ID");
        let domain = event.variable("domain_name");
        let host = event.variable("sip_req_host");
        let dialled = self.word(Word::Dialled).map(|number| &**number);
        let dialled_in = dialled.filter(|_| !self.outbound);
        accounts.find(Hints {
            ids: [variable.as_deref(), kazoo.as_deref(), sip.as_deref()],
            // A number that the switch dials may be another tenant's: that makes the call none of theirs.
            number: dialled_in,
            realms: [domain.as_deref(), host.as_deref()],
        })
    }

    /// Who sits at the far end, if it is one of ours: the user that was dialled, or who is logged in there;
    /// else a short number that does not leave through a gateway.
    fn extension<'a>(&self, event: &'a Event) -> Option<Cow<'a, str>> {
        if !self.outbound {
            return user(event).or_else(|| {
                event
                    .text("Caller-Caller-ID-Number")
                    .filter(|number| is_short(number))
            });
        }
        if self.gateway {
            return None;
        }
        event
            .variable("dialed_user")
            .or_else(|| {
                let presence = event.text("Channel-Presence-ID")?;
                user_of(&presence).map(|user| Cow::Owned(user.to_owned()))
            })
            .or_else(|| {
                event
                    .text("Caller-Destination-Number")
                    .filter(|number| is_short(number))
            })
    }

    fn export(&mut self, event: &Event, wanted: &[String]) {
        let exported: Vec<(Box<str>, Box<str>)> = event
            .headers()
            .filter_map(|(name, value)| {
                let name = name.strip_prefix("variable_")?;
                (!value.is_empty() && wanted.iter().any(|wanted| matches(wanted, name)))
                    .then(|| (name.into(), (*value).into()))
            })
            .collect();
        if exported[..] != self.exported[..] {
            self.exported = exported.into();
        }
    }

    /// Learns who sits at the far end of a leg that was not seen to begin, from Channel-Presence-ID.
    pub(super) fn read_place(&mut self, presence: &str) {
        if !self.outbound {
            return;
        }
        let extension = match user_of(presence) {
            Some(user) => Some(user),
            None => self
                .word(Word::Dialled)
                .map(|number| &**number)
                .filter(|number| is_short(number)),
        };
        let extension = extension.map(|extension| Cow::Owned(extension.to_owned()));
        self.keep(Word::Extension, extension);
    }

    /// Adds a digit and gives back what may be told of it: the digit, and all of this leg so far.
    pub(super) fn press(&mut self, digit: &str) -> (String, String) {
        let shown = match self.masked {
            true => stars(digit),
            false => digit.to_owned(),
        };
        self.digits.push_str(&shown);
        let count = self.digits.chars().count();
        if count > DIGITS_KEPT {
            self.digits = self.digits.chars().skip(count - DIGITS_KEPT).collect();
        }
        let all = match self.masked {
            true => stars(&self.digits),
            false => self.digits.clone(),
        };
        (shown, all)
    }
}

/// What of the configuration and the accounts is needed to read an event.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) accounts: &'a Accounts,
    pub(super) click_to_call_variable: &'a str,
    pub(super) export_variables: &'a [String],
}

/// Who is logged in at the far end of a leg that came in.
fn user(event: &Event) -> Option<Cow<'_, str>> {
    event
        .variable("user_name")
        .or_else(|| event.variable("sip_auth_username"))
}

/// A time header in microseconds since 1970; the switch writes 0 for never.
pub(super) fn instant(event: &Event, header: &str) -> Option<Timestamp> {
    event
        .number(header)
        .filter(|micros| *micros > 0)
        .map(Timestamp)
}

/// When it began to ring or to have early media, whichever was first.
pub(super) fn progress(event: &Event) -> Option<Timestamp> {
    let ringing = instant(event, "Caller-Channel-Progress-Time");
    let media = instant(event, "Caller-Channel-Progress-Media-Time");
    ringing.into_iter().chain(media).min()
}

/// The words that `switch_true` takes for yes.
pub(super) fn is_true(said: &str) -> bool {
    ["true", "yes", "on", "enable", "enabled", "active", "allow"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(said))
        || said.parse::<i64>().is_ok_and(|number| number != 0)
}

/// Whether a number is so short that only our own extensions have such.
pub(super) fn is_short(number: &str) -> bool {
    (2..=6).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The user of `1001@example.org`.
fn user_of(presence: &str) -> Option<&str> {
    presence.split('@').next().filter(|user| !user.is_empty())
}

/// As many stars as there are characters.
pub(super) fn stars(text: &str) -> String {
    "*".repeat(text.chars().count())
}

/// Whether a variable is meant by a name of the configuration, where a trailing `*` means any that starts so.
fn matches(wanted: &str, name: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_types_a_card_number_and_then_a_menu_choice() {
        let mut leg = Leg::new("a".into(), Timestamp(1));
        assert_eq!(leg.press("1"), ("1".into(), "1".into()));
        leg.masked = true;
        assert_eq!(leg.press("4"), ("*".into(), "**".into()));
        leg.masked = false;
        // The 4 was not even remembered.
        assert_eq!(leg.press("#"), ("#".into(), "1*#".into()));
    }

    #[test]
    fn only_the_last_digits_are_kept() {
        let mut leg = Leg::new("a".into(), Timestamp(1));
        for _ in 0..DIGITS_KEPT {
            leg.press("0");
        }
        let (_, all) = leg.press("9");
        assert_eq!(all.len(), DIGITS_KEPT);
        assert!(all.ends_with("09"));
    }

    #[test]
    fn an_event_that_comes_twice_is_known() {
        let mut leg = Leg::new("a".into(), Timestamp(1));
        assert!(!leg.is_repeat(7));
        assert!(!leg.is_repeat(8));
        assert!(leg.is_repeat(7));
        // Worked out and not seen: these have no sequence to be known by.
        assert!(!leg.is_repeat(0));
        assert!(!leg.is_repeat(0));
    }

    #[test]
    fn what_the_switch_takes_for_yes() {
        for yes in ["true", "TRUE", "1", "yes", "on"] {
            assert!(is_true(yes), "{yes}");
        }
        for no in ["false", "0", "", "no", "maybe"] {
            assert!(!is_true(no), "{no}");
        }
    }

    #[test]
    fn short_numbers_are_extensions_and_long_ones_are_not() {
        assert!(is_short("1001"));
        for number in ["+1001", "1", "15557770000", "alice", "12 34"] {
            assert!(!is_short(number), "{number}");
        }
    }

    #[test]
    fn exported_variables_are_named_or_start_with_a_prefix() {
        assert!(matches("crm_*", "crm_id"));
        assert!(matches("note", "note"));
        assert!(!matches("note", "notes"));
        assert!(!matches("crm_*", "crm"));
    }
}
