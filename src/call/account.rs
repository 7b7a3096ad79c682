//! Whose call it is: accounts by id, number and realm, and the order in which they are asked.

use std::collections::HashMap;
use std::sync::Arc;

use super::fact::digits;

/// Where an account can be learned from (`[accounts] order`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Channel variable `account_id` or `ecallmgr_Account-ID`.
    Variable,
    /// The account that owns the dialled number.
    Number,
    /// The account whose realm is `domain_name` or `sip_req_host`.
    Realm,
    /// `[accounts] default`.
    Default,
}

impl Source {
    /// Every source, in the default order.
    pub const ALL: &[Self] = &[Self::Variable, Self::Number, Self::Realm, Self::Default];

    /// The word in the configuration.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::Number => "number",
            Self::Realm => "realm",
            Self::Default => "default",
        }
    }
}

/// The account rules of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The account of whatever belongs to nobody else.
    pub default: Arc<str>,
    /// Which source is asked first.
    pub order: Vec<Source>,
    /// Whether a SIP peer's own `X-Account-ID` counts like a channel variable.
    pub trust_sip_header: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            default: "default".into(),
            order: Source::ALL.to_vec(),
            trust_sip_header: false,
        }
    }
}

/// An account, as far as calls are concerned.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its id.
    pub id: Arc<str>,
    /// The account above it.
    pub parent: Option<Arc<str>>,
    /// Its SIP domain.
    pub realm: Option<String>,
    /// The numbers it owns.
    pub numbers: Vec<String>,
}

/// All accounts, for looking up whose a call is. Replaced as a whole when one changes.
#[derive(Debug, Default)]
pub struct Accounts {
    rules: Rules,
    by_id: HashMap<Arc<str>, Option<Arc<str>>>,
    by_number: HashMap<Box<str>, Arc<str>>,
    by_realm: HashMap<String, Arc<str>>,
}

/// What a leg says of its account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// Channel variables that name an account, best first.
    pub ids: [Option<&'a str>; 3],
    /// The dialled number.
    pub number: Option<&'a str>,
    /// Names of domains, best first.
    pub realms: [Option<&'a str>; 2],
}

impl Accounts {
    /// The directory of `accounts` under `rules`.
    pub fn new(rules: Rules, accounts: impl IntoIterator<Item = Account>) -> Self {
        let mut directory = Self {
            rules,
            ..Self::default()
        };
        for account in accounts {
            for number in &account.numbers {
                directory
                    .by_number
                    .insert(digits(number), Arc::clone(&account.id));
            }
            if let Some(realm) = account.realm {
                directory
                    .by_realm
                    .insert(realm.to_ascii_lowercase(), Arc::clone(&account.id));
            }
            directory.by_id.insert(account.id, account.parent);
        }
        directory
    }

    /// The account that `hints` name, without falling back to the default one.
    pub fn find(&self, hints: Hints<'_>) -> Option<Arc<str>> {
        self.rules.order.iter().find_map(|source| match source {
            Source::Variable => hints
                .ids
                .iter()
                .flatten()
                .find_map(|id| self.by_id.get_key_value(*id))
                .map(|(id, _)| Arc::clone(id)),
            Source::Number => self.by_number.get(&digits(hints.number?)).cloned(),
            Source::Realm => hints
                .realms
                .iter()
                .flatten()
                .find_map(|realm| self.by_realm.get(&realm.to_ascii_lowercase()).cloned()),
            Source::Default => None,
        })
    }

    /// The account of whatever belongs to nobody else.
    pub fn fallback(&self) -> Arc<str> {
        Arc::clone(&self.rules.default)
    }

    /// Whether a SIP peer's own word for its account is believed.
    pub fn trusts_sip_header(&self) -> bool {
        self.rules.trust_sip_header
    }

    /// The accounts above `id`, nearest first.
    pub fn ancestors<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        // A tree that bites its own tail must not hang us.
        std::iter::successors(self.parent(id), |id| self.parent(id)).take(64)
    }

    fn parent(&self, id: &str) -> Option<&Arc<str>> {
        self.by_id.get(id)?.as_ref()
    }
}
