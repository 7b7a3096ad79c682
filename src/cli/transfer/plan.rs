//! What has to be done so that the daemon has what a file says, and in which order.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use switchhook::call::digits;
use switchhook::hook::Document;

use super::canonical::{numbered_filled_in, webhook_filled_in};
use super::file::{Account, Documents, Tree};

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Webhook,
    Callflow,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Webhook => "webhook",
            Self::Callflow => "callflow",
        }
    }

    fn of(self, account: &Account) -> Option<&Documents> {
        match self {
            Self::Account => None,
            Self::Webhook => account.webhooks.as_ref(),
            Self::Callflow => account.callflows.as_ref(),
        }
    }

    fn filled_in(self, document: &Document) -> Document {
        match self {
            Self::Webhook => webhook_filled_in(document),
            Self::Account | Self::Callflow => numbered_filled_in(document),
        }
    }
}

/// What is done to a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Takes from it the numbers and the realm that another one is about to get. Part of a change that is a
    /// step of its own.
    Release(Document),
    /// For an account: below this one.
    Make(Document, Option<String>),
    Change(Document),
    Remove,
}

/// One request to the daemon.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// The account, or the one that the document is of.
    pub(super) account: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) action: Action,
    /// Field by field, what will be another: before and after.
    pub(super) differences: Vec<Difference>,
}

/// A field before and after; `None` where it is not there.
pub(super) type Difference = (String, Option<Value>, Option<Value>);

/// All that has to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In this order.
    pub(super) steps: Vec<Step>,
    /// Documents that are as they should be.
    pub(super) same: usize,
    /// Documents that the file does not have and that stay.
    pub(super) beyond: usize,
}

/// What has to be done so that `present` becomes `wanted`, or everything that stands in the way. `present` has
/// every account, and what the accounts of `wanted` have.
pub(super) fn plan(wanted: &Tree, present: &Tree, prune: bool) -> Result<Plan, Vec<String>> {
    let mut planner = Planner {
        wanted,
        present,
        prune,
        mistakes: Vec::new(),
        plan: Plan::default(),
    };
    let accounts = planner.accounts();
    let (gone, webhooks) = planner.documents(Kind::Webhook);
    let (gone_callflows, callflows) = planner.documents(Kind::Callflow);
    if !planner.mistakes.is_empty() {
        return Err(planner.mistakes);
    }
    let mut plan = planner.plan;
    plan.steps = with_releases(accounts, present);
    plan.steps.extend(gone);
    plan.steps.extend(gone_callflows);
    plan.steps.extend(webhooks);
    plan.steps.extend(with_releases(callflows, present));
    Ok(plan)
}

struct Planner<'a> {
    wanted: &'a Tree,
    present: &'a Tree,
    prune: bool,
    mistakes: Vec<String>,
    plan: Plan,
}

impl Planner<'_> {
    fn say(&mut self, place: &str, message: &str) {
        self.mistakes.push(format!("{place}: {message}"));
    }

    /// What is to be done to the accounts, those above before those below.
    fn accounts(&mut self) -> Vec<Step> {
        let (wanted, present) = (self.wanted, self.present);
        let mut ordered = Vec::new();
        for id in wanted.keys() {
            match self.depth(id) {
                Some(depth) => ordered.push((depth, id)),
                None => self.say(
                    &format!("accounts.{id}.parent"),
                    "the account is below itself",
                ),
            }
        }
        ordered.sort();
        let mut steps = Vec::new();
        for (_, id) in ordered {
            let account = &wanted[id];
            let place = format!("accounts.{id}");
            match (&account.document, present.get(id)) {
                (None, Some(_)) => {}
                (None, None) => self.say(
                    &place,
                    "there is no such account, and the file does not say its name",
                ),
                (Some(document), None) => {
                    if let Some(parent) = &account.parent
                        && !present.contains_key(parent)
                        && !wanted.contains_key(parent)
                    {
                        self.say(
                            &format!("{place}.parent"),
                            &format!("there is no account {parent}"),
                        );
                    }
                    let action = Action::Make(document.clone(), account.parent.clone());
                    steps.push(step(
                        Kind::Account,
                        id,
                        id,
                        document,
                        &Document::new(),
                        action,
                    ));
                }
                (Some(document), Some(before)) => {
                    if account.parent.is_some() && account.parent != before.parent {
                        let now = before.parent.as_deref().unwrap_or("the top");
                        let message = format!(
                            "an account cannot be moved, and this one is below {now}: delete it first, or leave `parent` out"
                        );
                        self.say(&format!("{place}.parent"), &message);
                    }
                    let before = before.document.clone().unwrap_or_default();
                    steps.extend(self.change(Kind::Account, id, id, document, before));
                }
            }
        }
        let after = present.iter().chain(wanted);
        let after = after.filter_map(|(id, account)| Some((id, account.document.as_ref()?)));
        self.require_one_holder("accounts", after.collect());
        steps
    }

    /// How many accounts are above one; `None` where it is below itself.
    fn depth(&self, id: &str) -> Option<usize> {
        let parent = |id: &str| {
            let wanted = self
                .wanted
                .get(id)
                .and_then(|account| account.parent.as_deref());
            wanted.or_else(|| self.present.get(id)?.parent.as_deref())
        };
        let most = self.wanted.len() + self.present.len();
        let mut above = std::iter::successors(parent(id), |id| parent(id));
        let depth = above.by_ref().take(most).count();
        above.next().is_none().then_some(depth)
    }

    /// What is to be done to the documents of a kind: what goes, and what comes or changes.
    fn documents(&mut self, kind: Kind) -> (Vec<Step>, Vec<Step>) {
        let (wanted, present) = (self.wanted, self.present);
        let (mut gone, mut steps) = (Vec::new(), Vec::new());
        let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
        for (account, said) in wanted {
            let Some(documents) = kind.of(said) else {
                continue;
            };
            let place = format!("accounts.{account}.{}s", kind.word());
            let none = Documents::new();
            let before = present
                .get(account)
                .and_then(|there| kind.of(there))
                .unwrap_or(&none);
            for (id, document) in documents {
                if let Some(other) = homes.insert(id, account) {
                    self.say(
                        &format!("{place}.{id}"),
                        &format!("the account {other} has it, too"),
                    );
                }
                match before.get(id) {
                    Some(before) => {
                        steps.extend(self.change(kind, account, id, document, before.clone()));
                    }
                    None => {
                        self.require_free(kind, account, id, &place);
                        let action = Action::Make(document.clone(), None);
                        steps.push(step(kind, account, id, document, &Document::new(), action));
                    }
                }
            }
            let mut after: BTreeMap<&String, &Document> = documents.iter().collect();
            for (id, document) in before.iter().filter(|(id, _)| !documents.contains_key(*id)) {
                match self.prune {
                    true => gone.push(Step {
                        differences: Vec::new(),
                        ..step(kind, account, id, document, document, Action::Remove)
                    }),
                    false => {
                        self.plan.beyond += 1;
                        after.insert(id, document);
                    }
                }
            }
            if kind == Kind::Callflow {
                self.require_one_holder(&place, after);
            }
        }
        (gone, steps)
    }

    /// Names what is to be made under an id that a document of another account has and keeps.
    fn require_free(&mut self, kind: Kind, account: &str, id: &str, place: &str) {
        let holder = self.present.iter().find(|(other, there)| {
            let goes = self.prune
                && (self.wanted.get(*other).and_then(|said| kind.of(said)))
                    .is_some_and(|documents| !documents.contains_key(id));
            *other != account && !goes && kind.of(there).is_some_and(|all| all.contains_key(id))
        });
        if let Some((other, _)) = holder {
            let message = format!(
                "the account {other} has it; it is removed there first by a file that lacks it there, with --prune"
            );
            self.say(&format!("{place}.{id}"), &message);
        }
    }

    /// Names each number and realm that two documents would have.
    fn require_one_holder(&mut self, place: &str, documents: BTreeMap<&String, &Document>) {
        let mut holders: BTreeMap<String, &str> = BTreeMap::new();
        for (id, document) in documents {
            let mut held = held(document);
            // Written twice in one document it is one.
            held.sort();
            held.dedup();
            for thing in held {
                if let Some(other) = holders.insert(thing.clone(), id) {
                    self.say(
                        &format!("{place}.{id}"),
                        &format!("{thing} belongs to {other}, too"),
                    );
                }
            }
        }
    }

    fn change(
        &mut self,
        kind: Kind,
        account: &str,
        id: &str,
        wanted: &Document,
        mut before: Document,
    ) -> Option<Step> {
        let mut wanted = wanted.clone();
        match wanted.get("secret") {
            _ if kind != Kind::Webhook => {}
            // The one that it has stays.
            None => drop(before.shift_remove("secret")),
            Some(Value::Null) if !before.contains_key("secret") => {
                wanted.shift_remove("secret");
            }
            Some(_) => {}
        }
        let step = step(
            kind,
            account,
            id,
            &wanted,
            &before,
            Action::Change(wanted.clone()),
        );
        if step.differences.is_empty() {
            self.plan.same += 1;
            return None;
        }
        Some(step)
    }
}

fn step(
    kind: Kind,
    account: &str,
    id: &str,
    document: &Document,
    before: &Document,
    action: Action,
) -> Step {
    let mut differences = Vec::new();
    match before.is_empty() {
        // What is new is shown as it was written.
        true => compare("", before, document, &mut differences),
        false => {
            let (before, after) = (kind.filled_in(before), kind.filled_in(document));
            compare("", &before, &after, &mut differences);
        }
    }
    let name = document.get("name").or_else(|| before.get("name"));
    Step {
        kind,
        account: account.into(),
        id: id.into(),
        name: name.and_then(Value::as_str).unwrap_or_default().into(),
        action,
        differences,
    }
}

/// The fields that differ, those of objects by their path.
fn compare(place: &str, before: &Document, after: &Document, differences: &mut Vec<Difference>) {
    let new = after.keys().filter(|field| !before.contains_key(*field));
    for field in before.keys().chain(new) {
        let path = format!("{place}{field}");
        match (before.get(field), after.get(field)) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                compare(&format!("{path}."), before, after, differences);
            }
            (before, after) => differences.push((path, before.cloned(), after.cloned())),
        }
    }
}

/// The numbers and the realm of a document, which no other one may have.
fn held(document: &Document) -> Vec<String> {
    let numbers = document.get("numbers").and_then(Value::as_array);
    let numbers = numbers.into_iter().flatten().filter_map(Value::as_str);
    let mut held: Vec<String> = numbers.map(number).collect();
    let realm = document.get("realm").and_then(Value::as_str);
    held.extend(realm.map(|realm| format!("the realm {}", realm.trim().to_ascii_lowercase())));
    held
}

fn number(written: &str) -> String {
    match digits(written) {
        none if none.is_empty() => written.into(),
        digits => format!("the number {digits}"),
    }
}

/// The steps, and before them those that take from a document what another one is to get: the daemon never
/// lets two have it, and of two that change places neither could be the first.
fn with_releases(steps: Vec<Step>, present: &Tree) -> Vec<Step> {
    let mut takers: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for step in &steps {
        if let Action::Make(document, _) | Action::Change(document) = &step.action {
            for thing in held(document) {
                let taker = (step.account.clone(), step.id.clone());
                takers.entry(thing).or_default().push(taker);
            }
        }
    }
    let mut all: Vec<Step> = steps
        .iter()
        .filter_map(|step| release(step, present, &takers))
        .collect();
    all.extend(steps);
    all
}

fn release(
    step: &Step,
    present: &Tree,
    takers: &BTreeMap<String, Vec<(String, String)>>,
) -> Option<Step> {
    let there = present.get(&step.account)?;
    let document = match step.kind {
        Kind::Account => there.document.as_ref(),
        kind => kind.of(there)?.get(&step.id),
    }?;
    let me = |(account, id): &(String, String)| {
        *id == step.id && (step.kind == Kind::Account || *account == step.account)
    };
    // The numbers of callflows are each account's own.
    let near =
        |(account, _): &(String, String)| step.kind == Kind::Account || *account == step.account;
    let is_taken = |thing: &str| {
        let takers = takers.get(thing).into_iter().flatten();
        takers.filter(|taker| near(taker)).any(|taker| !me(taker))
    };
    let taken: Vec<String> = held(document)
        .into_iter()
        .filter(|thing| is_taken(thing))
        .collect();
    if taken.is_empty() || !matches!(step.action, Action::Change(_)) {
        return None;
    }
    let numbers = document.get("numbers").and_then(Value::as_array);
    let stays = |item: &&Value| {
        item.as_str()
            .is_some_and(|written| !taken.contains(&number(written)))
    };
    let kept: Vec<&Value> = numbers.into_iter().flatten().filter(stays).collect();
    let mut patch = Document::from_iter([("numbers".to_owned(), json!(kept))]);
    if taken.iter().any(|thing| thing.starts_with("the realm ")) {
        patch.insert("realm".into(), Value::Null);
    }
    Some(Step {
        action: Action::Release(patch),
        ..step.clone()
    })
}
