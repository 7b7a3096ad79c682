//! What a hook says of a fact that is past: whether it wanted it, and if not, why not.

use super::Told;
use crate::call::Accounts;
use crate::hook::{Hook, Verdict};

/// What a hook says of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It was recorded for it.
    Matched,
    /// It would want it as it is now, but it was made or changed since, and nothing was recorded for it.
    OnlyNow,
    /// It wants it and something was recorded, but that is no longer kept.
    NoLongerKept,
    /// It wants it, and was not given it.
    Missing,
    /// Its own filters refuse it.
    Refused(Verdict),
    /// The call is of an account below the hook's, and `include_subaccounts` is off.
    Subaccount,
    /// The call is of another account.
    OtherAccount,
    /// Its filters look at what was not kept of the fact.
    Unknown,
}

impl Opinion {
    /// What `hook` says of `told`.
    pub fn of(hook: &Hook, told: &Told, accounts: &Accounts) -> Self {
        let fact = &told.fact;
        if told
            .sent
            .iter()
            .any(|sent| sent.delivery.hook_id == hook.id)
        {
            return Self::Matched;
        }
        if fact.account_id != hook.account_id {
            let mut above = accounts.ancestors(&fact.account_id);
            match above.any(|above| *above == hook.account_id) {
                false => return Self::OtherAccount,
                true if !hook.settings.include_subaccounts => return Self::Subaccount,
                true => {}
            }
        }
        if !hook.settings.triggers.contains(fact.trigger) {
            return Self::Refused(Verdict::OtherTrigger);
        }
        let changed = told.is_before(hook);
        let unknown = |key: &str| {
            !matches!(key, "hook_event" | "account_id" | "call_id")
                && fact.payload.get(key).is_none()
        };
        let modifiers = &hook.settings.modifiers;
        if !told.is_whole || changed && modifiers.iter().any(|one| unknown(one.key())) {
            return Self::Unknown;
        }
        match hook.settings.verdict(fact) {
            Verdict::Wanted if changed => Self::OnlyNow,
            Verdict::Wanted if told.recorded > told.sent.len() => Self::NoLongerKept,
            Verdict::Wanted => Self::Missing,
            verdict => Self::Refused(verdict),
        }
    }

    /// The word for it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::OnlyNow => "matches_only_now",
            Self::NoLongerKept => "no_longer_kept",
            Self::Missing => "missing",
            Self::Refused(Verdict::Wanted) => "matched",
            Self::Refused(Verdict::OtherTrigger) => "other_trigger",
            Self::Refused(Verdict::Modifier(_)) => "modifiers",
            Self::Refused(Verdict::CallType) => "call_types",
            Self::Refused(Verdict::Number) => "numbers",
            Self::Refused(Verdict::InternalLeg) => "include_internal_legs",
            Self::Subaccount => "include_subaccounts",
            Self::OtherAccount => "other_account",
            Self::Unknown => "unknown",
        }
    }

    /// Every word, for the description of the API.
    pub const IDS: &[&str] = &[
        "matched",
        "matches_only_now",
        "no_longer_kept",
        "missing",
        "other_trigger",
        "modifiers",
        "call_types",
        "numbers",
        "include_internal_legs",
        "include_subaccounts",
        "other_account",
        "unknown",
    ];

    /// Why, for the person who owns the hook; empty where it matched.
    pub fn reason(&self, told: &Told) -> String {
        let fact = &told.fact;
        match self {
            Self::Matched | Self::Refused(Verdict::Wanted) => String::new(),
            Self::OnlyNow => {
                "as it is now it would match, but it was made or changed after this".into()
            }
            Self::NoLongerKept => "it matched; what was sent is no longer kept".into(),
            Self::Missing => {
                "it should have matched: events were shed, or the hook was unreadable then".into()
            }
            Self::Refused(Verdict::OtherTrigger) => "it asks for other triggers".into(),
            Self::Refused(Verdict::Modifier(key)) => match fact.payload.get(key) {
                Some(value) => {
                    let value = serde_json::to_string(value).expect("text into memory");
                    format!("its modifiers do not allow {key} = {value}")
                }
                None => format!("its modifiers do not allow this {key}"),
            },
            Self::Refused(Verdict::CallType) => match fact.call_type {
                Some(kind) => format!("its call_types leave out {} calls", kind.id()),
                None => "its call_types leave it out".into(),
            },
            Self::Refused(Verdict::Number) => format!(
                "none of its numbers is one of the call's ({})",
                fact.numbers.join(", ")
            ),
            Self::Refused(Verdict::InternalLeg) => {
                "it is a loopback leg, and include_internal_legs is false".into()
            }
            Self::Subaccount => format!(
                "the call belongs to the account {} below, and include_subaccounts is false",
                fact.account_id
            ),
            Self::OtherAccount => format!("the call belongs to the account {}", fact.account_id),
            Self::Unknown => "its filters look at what was not kept of this".into(),
        }
    }
}
