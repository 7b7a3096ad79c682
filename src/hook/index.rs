//! From a fact to the hooks that want it.
//!
//! The table is replaced, never locked: whoever reads it sees all of a change or nothing of it. A change
//! touches the hooks of one account; the others are shared between the old table and the new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::json;
use tracing::warn;

use super::{Delivery, Document, Hook, Record, Secrets, Settings, Verdict, hash63};
use crate::call::{Accounts, Fact, Subscription};
use crate::trigger::{Trigger, TriggerSet};

/// The hooks of one account.
#[derive(Debug, Clone, Default)]
struct AccountHooks {
    by_id: BTreeMap<Arc<str>, Arc<Hook>>,
    /// By trigger, so that a fact meets only the hooks that ask for it.
    by_trigger: HashMap<Trigger, Vec<Arc<Hook>>>,
    wanted: TriggerSet,
    switch_events: BTreeSet<String>,
}

impl AccountHooks {
    fn sort_out(&mut self) {
        self.by_trigger.clear();
        self.switch_events.clear();
        self.wanted = TriggerSet::NONE;
        let mut hooks: Vec<&Arc<Hook>> = self.by_id.values().collect();
        hooks.sort_by_key(|hook| hook.key);
        for hook in hooks {
            for trigger in hook.settings.triggers.iter() {
                self.by_trigger
                    .entry(trigger)
                    .or_default()
                    .push(Arc::clone(hook));
            }
            self.wanted = self.wanted.union(hook.settings.triggers);
            self.switch_events
                .extend(hook.settings.switch_events().cloned());
        }
    }
}

type Table = HashMap<Arc<str>, Arc<AccountHooks>>;

/// All hooks, by account and trigger.
#[derive(Debug, Default)]
pub struct Index {
    table: ArcSwap<Table>,
}

impl Index {
    /// An index of `hooks`.
    pub fn new(hooks: impl IntoIterator<Item = Hook>) -> Self {
        let mut accounts: HashMap<Arc<str>, AccountHooks> = HashMap::new();
        for hook in hooks {
            accounts
                .entry(Arc::clone(&hook.account_id))
                .or_default()
                .by_id
                .insert(Arc::clone(&hook.id), Arc::new(hook));
        }
        let table = accounts.into_iter().map(|(id, mut hooks)| {
            hooks.sort_out();
            (id, Arc::new(hooks))
        });
        Self {
            table: ArcSwap::from_pointee(table.collect()),
        }
    }

    /// Puts a hook in, in place of the one with its id.
    pub fn put(&self, hook: Hook) {
        let hook = Arc::new(hook);
        self.change(&hook.account_id, |hooks| {
            hooks.by_id.insert(Arc::clone(&hook.id), Arc::clone(&hook));
        });
    }

    /// Takes a hook out.
    pub fn remove(&self, account_id: &str, id: &str) {
        self.change(account_id, |hooks| {
            hooks.by_id.remove(id);
        });
    }

    fn change(&self, account_id: &str, change: impl Fn(&mut AccountHooks)) {
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            let mut hooks = table
                .get(account_id)
                .map(|hooks| AccountHooks::clone(hooks))
                .unwrap_or_default();
            change(&mut hooks);
            hooks.sort_out();
            match hooks.by_id.is_empty() {
                true => table.remove(account_id),
                false => table.insert(account_id.into(), Arc::new(hooks)),
            };
            table
        });
    }

    /// A hook as it is now.
    pub fn get(&self, account_id: &str, id: &str) -> Option<Arc<Hook>> {
        self.table.load().get(account_id)?.by_id.get(id).cloned()
    }

    /// How many hooks there are.
    pub fn len(&self) -> usize {
        let table = self.table.load();
        table.values().map(|hooks| hooks.by_id.len()).sum()
    }

    /// Whether there is no hook at all.
    pub fn is_empty(&self) -> bool {
        self.table.load().is_empty()
    }

    /// Every hook.
    pub fn all(&self) -> Vec<Arc<Hook>> {
        let table = self.table.load();
        table
            .values()
            .flat_map(|hooks| hooks.by_id.values().cloned())
            .collect()
    }

    /// The triggers that some hook asks for, and the names of the switch events among them.
    pub fn wanted(&self) -> (TriggerSet, BTreeSet<String>) {
        let table = self.table.load();
        let mut events = BTreeSet::new();
        let mut triggers = TriggerSet::NONE;
        for hooks in table.values() {
            triggers = triggers.union(hooks.wanted);
            events.extend(hooks.switch_events.iter().cloned());
        }
        (triggers, events)
    }
}

/// Turns facts into deliveries.
#[derive(Debug)]
pub struct Router {
    index: Arc<Index>,
    /// Subscriptions of calls that could not be read, so that each is complained of once.
    refused: std::sync::Mutex<BTreeSet<String>>,
}

/// How many unreadable subscriptions are remembered before the memory starts anew.
const REMEMBERED_REFUSALS: usize = 1_000;

impl Router {
    /// A router over `index`.
    pub fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            refused: std::sync::Mutex::default(),
        }
    }

    /// What has to be sent of `fact`, or `None` where nobody wants it.
    pub fn route(&self, fact: &Fact, accounts: &Accounts) -> Option<Record> {
        let mut deliveries = Vec::new();
        let table = self.index.table.load();
        let mut ask = |account_id: &str, below: bool| {
            let hooks = table
                .get(account_id)
                .and_then(|hooks| hooks.by_trigger.get(&fact.trigger));
            for hook in hooks.into_iter().flatten() {
                if (!below || hook.settings.include_subaccounts)
                    && hook.settings.verdict(fact) == Verdict::Wanted
                {
                    deliveries.push(Delivery::new(fact, hook));
                }
            }
        };
        ask(&fact.account_id, false);
        for account_id in accounts.ancestors(&fact.account_id) {
            ask(account_id, true);
        }
        if let Some(hook) = fact
            .subscription
            .as_deref()
            .and_then(|subscription| self.subscribed(fact, subscription))
            && hook.settings.verdict(fact) == Verdict::Wanted
        {
            deliveries.push(Delivery::new(fact, &hook));
        }
        (!deliveries.is_empty()).then(|| Record::new(fact, deliveries))
    }

    /// The hook that a call's own variables describe.
    fn subscribed(&self, fact: &Fact, subscription: &Subscription) -> Option<Arc<Hook>> {
        let mut document = Document::new();
        document.insert("name".into(), json!("per-call subscription"));
        document.insert("uri".into(), json!(subscription.uri));
        let events: Vec<&str> = match &subscription.events {
            Some(events) => events
                .split(',')
                .map(str::trim)
                .filter(|id| !id.is_empty())
                .collect(),
            None => vec!["all"],
        };
        document.insert("hook".into(), json!(events));
        if let Some(verb) = &subscription.verb {
            document.insert("http_verb".into(), json!(verb));
        }
        if let Some(format) = &subscription.format {
            document.insert("format".into(), json!(format));
        }
        match Hook::ad_hoc(&fact.account_id, document) {
            Ok(hook) => Some(Arc::new(hook)),
            Err(mistakes) => {
                let mut refused = self.refused.lock().expect("no panic while it is held");
                if refused.len() >= REMEMBERED_REFUSALS {
                    refused.clear();
                }
                if refused.insert(mistakes.to_string()) {
                    warn!(
                        call_id = fact.call_id.as_deref().map(tracing::field::display),
                        "the call's switchhook_* variables describe no hook: {mistakes}"
                    );
                }
                None
            }
        }
    }
}

impl Hook {
    /// A hook that no one stored: for one call, or for one callflow action. Its queue is that of its
    /// endpoint.
    ///
    /// # Errors
    /// Every mistake in the document.
    pub fn ad_hoc(account_id: &Arc<str>, document: Document) -> Result<Self, super::Mistakes> {
        let settings = Settings::written(&document, None)?.without_passwords()?;
        let text = serde_json::Value::Object(document.clone()).to_string();
        Ok(Self {
            key: -hash63(&settings.endpoint),
            id: format!("{:016x}{:016x}", hash63(&text), hash63(account_id)).into(),
            account_id: Arc::clone(account_id),
            document,
            settings,
            disable_reason: None,
            created: crate::time::Timestamp::default(),
            modified: crate::time::Timestamp::default(),
            secrets: Secrets::default(),
        })
    }
}
