//! Hooks and accounts as they are now, and the one place that changes them, so that the store, the index
//! that facts are routed by, the accounts that calls are looked up in, and delivery always agree.
//!
//! A change is committed first and shown to the others after it, under a lock of its own hook: two changes
//! of one hook are shown in the order in which they were committed. It runs in a task of its own, so that it
//! is shown even where whoever asked for it has gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::{Mutex, RwLock, watch};
use tracing::{info, warn};

use crate::call::{Accounts, Rules};
use crate::delivery::{DeliveryHandle, SwitchOff};
use crate::hook::{self, Document, Hook, Index, Mistakes, Secret, Secrets, hash63};
use crate::store::accounts::{self, StoredAccount};
use crate::store::hooks::Filter;
use crate::store::{Store, StoreError, Tx, hooks, in_own_task};
use crate::time::Clock;

/// How long a secret that was replaced still signs beside the new one.
pub const SECRET_OVERLAP: Duration = Duration::from_secs(24 * 3_600);

/// What its owner reads in a hook but does not write. A client that writes back what it has read means no
/// change by them.
const READ_ONLY: &[&str] = &["id", "created", "modified", "disable_reason", "has_secret"];

/// Locks in each set. More than there are changes at once, or little is lost by sharing.
const SHARDS: usize = 64;

/// Which accounts there are.
struct Directory {
    calls: Arc<Accounts>,
    ids: HashSet<Arc<str>>,
}

/// The hooks and accounts, and the way to change them.
pub struct Registry {
    store: Store,
    index: Arc<Index>,
    delivery: DeliveryHandle,
    rules: Rules,
    clock: Clock,
    directory: ArcSwap<Directory>,
    changed: watch::Sender<u64>,
    /// Held while one account's directory entry changes: accounts change seldom.
    accounts_lock: Mutex<()>,
    /// By account: shared by changes of its hooks, held alone where all of them change at once.
    account_locks: Vec<RwLock<()>>,
    /// By hook.
    hook_locks: Vec<Mutex<()>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} hooks)", self.index.len())
    }
}

/// How a hook's owner changes its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// What is not said gets its default.
    Replace,
    /// What is not said stays; null removes.
    Merge,
}

impl Registry {
    /// The registry over a store whose hooks are in `index` already.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub async fn load(
        store: Store,
        index: Arc<Index>,
        delivery: DeliveryHandle,
        rules: Rules,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let directory = Directory::read(&store, &rules).await?;
        Ok(Arc::new(Self {
            store,
            index,
            delivery,
            rules,
            clock,
            directory: ArcSwap::from_pointee(directory),
            changed: watch::Sender::new(0),
            accounts_lock: Mutex::default(),
            account_locks: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hook_locks: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }))
    }

    /// The accounts, for looking up whose a call is.
    pub fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.directory.load().calls)
    }

    /// The hooks, for looking up who wants a fact.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Told of every change: what is wanted of the switch may be another.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether there is such an account.
    pub fn has_account(&self, id: &str) -> bool {
        self.directory.load().ids.contains(id)
    }

    /// Whether `id` is `top` or an account below it.
    pub fn is_within(&self, id: &str, top: &str) -> bool {
        id == top || {
            let directory = self.directory.load();
            directory.calls.ancestors(id).any(|above| **above == *top)
        }
    }

    /// Makes a hook, with `id` where one was chosen. A `secret` in the document is kept beside it: `whsec_…`, or
    /// `generate`.
    ///
    /// # Errors
    /// The document's mistakes; an id that another hook has; an account that is not there; or the store's.
    pub async fn create_hook(
        self: &Arc<Self>,
        id: Option<Arc<str>>,
        account_id: &str,
        mut document: Document,
    ) -> Result<Hook, StoreError> {
        let secret = take_secret(&mut document)?;
        without_read_only(&mut document);
        let secrets = Secrets {
            current: secret.flatten(),
            previous: None,
        };
        let account_id: Arc<str> = account_id.into();
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _account = registry.account_lock(&account_id).read().await;
            let _hook = match &id {
                Some(id) => Some(registry.hook_lock(id).lock().await),
                None => None,
            };
            let account = Arc::clone(&account_id);
            let hook = registry
                .commit(&account_id, move |tx| {
                    let (document, secrets) = (document.clone(), secrets.clone());
                    match &id {
                        Some(id) => hooks::insert_as(tx, id, &account, document, secrets),
                        None => hooks::insert(tx, &account, document, secrets),
                    }
                })
                .await?;
            registry.show(&hook);
            said(&hook, "added");
            Ok(hook)
        })
        .await
    }

    /// Replaces a hook's document; what it leaves out gets its default, but for the secret, which stays.
    /// `None` where there is no such hook.
    ///
    /// # Errors
    /// The document's mistakes, or the store's.
    pub async fn replace_hook(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
        document: Document,
    ) -> Result<Option<Hook>, StoreError> {
        self.write_hook(account_id, id, document, Change::Replace)
            .await
    }

    /// Merges `patch` into a hook's document; null removes a key. `None` where there is no such hook.
    ///
    /// # Errors
    /// The mistakes of what comes out, or the store's.
    pub async fn patch_hook(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
        patch: Document,
    ) -> Result<Option<Hook>, StoreError> {
        self.write_hook(account_id, id, patch, Change::Merge).await
    }

    async fn write_hook(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
        mut written: Document,
        change: Change,
    ) -> Result<Option<Hook>, StoreError> {
        let secret = take_secret(&mut written)?;
        let changed = self.change_hook(account_id, id, move |tx, account_id, id| {
            let Some(before) = hooks::get(tx, account_id, id)? else {
                return Ok(None);
            };
            // A client that writes back what it has read of a hook that we switched off has read
            // `"enabled": false`, and does not mean it.
            let echoed = before.disable_reason.is_some()
                && written.get("disable_reason").and_then(Value::as_str)
                    == before.disable_reason.as_deref();
            let mut written = written.clone();
            without_read_only(&mut written);
            if echoed && written.get("enabled") == Some(&Value::Bool(false)) {
                written.insert("enabled".into(), Value::Bool(before.settings.enabled));
            }
            for field in ["uri", "failover_uri"] {
                with_password(&mut written, field, &before);
            }
            let says_enabled = written.contains_key("enabled") || change == Change::Replace;
            let hook = hooks::update(tx, account_id, id, |document| {
                Ok(match change {
                    Change::Replace => written,
                    Change::Merge => merged(document.clone(), written),
                })
            })?;
            let mut hook = match &secret {
                None => hook,
                Some(secret) if *secret == before.secrets.current => hook,
                Some(secret) => hooks::set_secret(tx, account_id, id, secret.clone(), None)?,
            };
            // Its owner has said whether it is on: that it was switched off is over.
            if says_enabled && !echoed && before.disable_reason.is_some() {
                hook = hooks::reenable(tx, account_id, id)?;
            }
            Ok(hook)
        });
        let changed = changed.await?;
        changed.iter().for_each(|hook| said(hook, "changed"));
        Ok(changed)
    }

    /// Deletes a hook and returns it as it was; what was still to be sent of it is not sent. `None` where
    /// there is no such hook.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_hook(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
    ) -> Result<Option<Hook>, StoreError> {
        let (account_id, id): (Arc<str>, Arc<str>) = (account_id.into(), id.into());
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _account = registry.account_lock(&account_id).read().await;
            let _hook = registry.hook_lock(&id).lock().await;
            let (account, hook_id) = (Arc::clone(&account_id), Arc::clone(&id));
            let hook = registry
                .commit(&account_id, move |tx| hooks::delete(tx, &account, &hook_id))
                .await?;
            if let Some(hook) = &hook {
                registry.hide(hook);
                said(hook, "deleted");
            }
            Ok(hook)
        })
        .await
    }

    /// Switches a hook off because its requests fail. The hook, or `None` where it was off already, is gone, or
    /// goes elsewhere by now.
    ///
    /// # Errors
    /// The store's.
    pub async fn switch_off(
        self: &Arc<Self>,
        order: &SwitchOff,
    ) -> Result<Option<Hook>, StoreError> {
        let (key, uri, reason) = (order.key, order.uri.clone(), order.reason.clone());
        self.change_hook(&order.account_id, &order.hook_id, move |tx, account, id| {
            let hook = hooks::get(tx, account, id)?;
            match hook.is_some_and(|hook| hook.settings.uri == uri) {
                true => hooks::disable(tx, key, &reason),
                false => Ok(None),
            }
        })
        .await
    }

    /// Switches every hook of an account on again that was switched off by us, and says which.
    ///
    /// # Errors
    /// The store's.
    pub async fn re_enable_all(
        self: &Arc<Self>,
        account_id: &str,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        let account_id: Arc<str> = account_id.into();
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _account = registry.account_lock(&account_id).write().await;
            let account = Arc::clone(&account_id);
            let hooks = registry
                .commit(&account_id, move |tx| hooks::reenable_all(tx, &account))
                .await?;
            for hook in &hooks {
                registry.show(hook);
                said(hook, "switched on again");
            }
            Ok(hooks.into_iter().map(|hook| hook.id).collect())
        })
        .await
    }

    /// Gives a hook a new signing secret; the one before it signs too for [`SECRET_OVERLAP`]. The hook with
    /// its secrets, or `None` where there is no such hook.
    ///
    /// # Errors
    /// The system has no randomness to give, or the store's.
    pub async fn rotate_secret(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
    ) -> Result<Option<Hook>, StoreError> {
        let secret = generate()?;
        let until = self.clock.now().after(SECRET_OVERLAP);
        let rotated = self.change_hook(account_id, id, move |tx, account_id, id| {
            hooks::set_secret(tx, account_id, id, Some(secret.clone()), Some(until))
        });
        let rotated = rotated.await?;
        rotated
            .iter()
            .for_each(|hook| said(hook, "given a new secret"));
        Ok(rotated)
    }

    /// Makes an account below `parent`, or at the top; with `id` where one was chosen.
    ///
    /// # Errors
    /// The document's mistakes, an id, a realm or number that another account has, or the store's.
    pub async fn create_account(
        self: &Arc<Self>,
        id: Option<Arc<str>>,
        parent: Option<&str>,
        mut document: Document,
    ) -> Result<StoredAccount, StoreError> {
        without_tree(&mut document);
        let parent: Option<Arc<str>> = parent.map(Into::into);
        self.change_accounts(move |tx| match &id {
            Some(id) => accounts::insert_as(tx, id, parent.as_deref(), document.clone()),
            None => accounts::insert(tx, parent.as_deref(), document.clone()),
        })
        .await
    }

    /// Replaces an account's document; its realm and numbers only `from_above`. `None` where there is no such
    /// account.
    ///
    /// # Errors
    /// The document's mistakes, a realm or number that another account has or that is not its own to change
    /// ([`NOT_FROM_ABOVE`]), another parent, or the store's.
    pub async fn replace_account(
        self: &Arc<Self>,
        id: &str,
        document: Document,
        from_above: bool,
    ) -> Result<Option<StoredAccount>, StoreError> {
        self.change_account(id, document, from_above, |_, new| new)
            .await
    }

    /// Merges `patch` into an account's document; null removes a key. Realm and numbers change only
    /// `from_above`. `None` where there is no such account.
    ///
    /// # Errors
    /// As of [`Registry::replace_account`], of what comes out.
    pub async fn patch_account(
        self: &Arc<Self>,
        id: &str,
        patch: Document,
        from_above: bool,
    ) -> Result<Option<StoredAccount>, StoreError> {
        self.change_account(id, patch, from_above, merged).await
    }

    /// Changes an account's document to what `change` makes of it and of what was `written`.
    async fn change_account(
        self: &Arc<Self>,
        id: &str,
        mut written: Document,
        from_above: bool,
        change: fn(Document, Document) -> Document,
    ) -> Result<Option<StoredAccount>, StoreError> {
        let parent = written.get("parent").cloned();
        without_tree(&mut written);
        let id: Arc<str> = id.into();
        self.change_accounts(move |tx| {
            accounts::update(tx, &id, |account| {
                stays_in_place(account, parent.as_ref())?;
                let document = change(account.document.clone(), written.clone());
                if !from_above {
                    keeps_its_calls(&account.document, &document)?;
                }
                Ok(document)
            })
        })
        .await
    }

    /// Deletes an account with its hooks and tokens; the account as it was and how many hooks there were.
    /// `None` where there is no such account.
    ///
    /// # Errors
    /// It has accounts below it, or is the default one ([`StoreError::Conflict`]); or the store's.
    pub async fn delete_account(
        self: &Arc<Self>,
        id: &str,
    ) -> Result<Option<(StoredAccount, usize)>, StoreError> {
        let id: Arc<str> = id.into();
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _accounts = registry.accounts_lock.lock().await;
            let _account = registry.account_lock(&id).write().await;
            let account_id = Arc::clone(&id);
            let deleted = registry
                .commit(&id, move |tx| {
                    let (all, _) =
                        hooks::page(tx, &account_id, &Filter::default(), None, MOST_HOOKS)?;
                    let hooks: Vec<Hook> = all
                        .iter()
                        .map(|hook| hooks::delete(tx, &account_id, &hook.id))
                        .filter_map(Result::transpose)
                        .collect::<Result<_, _>>()?;
                    let account = accounts::delete(tx, &account_id)?;
                    Ok(account.map(|account| (account, hooks)))
                })
                .await;
            for (_, hooks) in deleted.iter().flatten() {
                hooks.iter().for_each(|hook| registry.hide(hook));
            }
            let Some((account, hooks)) = registry.follow(deleted).await? else {
                return Ok(None);
            };
            info!(account_id = %id, hooks = hooks.len(), "the account was deleted with its hooks");
            Ok(Some((account, hooks.len())))
        })
        .await
    }

    /// One change of the accounts, and the directory read anew.
    async fn change_accounts<T, W>(self: &Arc<Self>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _accounts = registry.accounts_lock.lock().await;
            let written = registry.store.write(work).await;
            registry.follow(written).await
        })
        .await
    }

    /// Reads the directory anew after a change of the accounts, as soon as the store says. Also where no answer
    /// came in time: the change may have been made, or may still be.
    async fn follow<T>(self: &Arc<Self>, written: Result<T, StoreError>) -> Result<T, StoreError> {
        let reloaded = match &written {
            Ok(_) => self.reload_directory().await.is_ok(),
            Err(problem) => !matches!(problem, StoreError::Busy),
        };
        if !reloaded {
            let registry = Arc::clone(self);
            tokio::spawn(async move { registry.reload_directory_later().await });
        }
        written
    }

    async fn reload_directory_later(self: Arc<Self>) {
        let what = "cannot read the accounts again";
        // A write, because it comes after the one whose answer is missing.
        while (self.store.write_at_last(what, |_| Ok(())).await).is_some() {
            let reloaded = {
                let _accounts = self.accounts_lock.lock().await;
                self.reload_directory().await
            };
            match reloaded {
                Ok(()) | Err(StoreError::Closed) => return,
                Err(error) => warn!("{what}: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn reload_directory(&self) -> Result<(), StoreError> {
        let directory = Directory::read(&self.store, &self.rules).await?;
        self.directory.store(Arc::new(directory));
        self.announce();
        Ok(())
    }

    /// One change of one hook, committed and shown.
    async fn change_hook<W>(
        self: &Arc<Self>,
        account_id: &str,
        id: &str,
        mut work: W,
    ) -> Result<Option<Hook>, StoreError>
    where
        W: FnMut(&mut Tx<'_>, &str, &str) -> Result<Option<Hook>, StoreError> + Send + 'static,
    {
        let (account_id, id): (Arc<str>, Arc<str>) = (account_id.into(), id.into());
        let registry = Arc::clone(self);
        in_own_task(async move {
            let _account = registry.account_lock(&account_id).read().await;
            let _hook = registry.hook_lock(&id).lock().await;
            let account = Arc::clone(&account_id);
            let hook = registry
                .commit(&account_id, move |tx| work(tx, &account, &id))
                .await?;
            if let Some(hook) = &hook {
                registry.show(hook);
            }
            Ok(hook)
        })
        .await
    }

    /// A write that concerns the hooks of one account. Where its answer does not come in time it may have
    /// been done all the same: then the account is shown again as the store has it, as soon as it says.
    async fn commit<T, W>(self: &Arc<Self>, account_id: &Arc<str>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let written = self.store.write(work).await;
        if matches!(written, Err(StoreError::Busy)) {
            let registry = Arc::clone(self);
            let account_id = Arc::clone(account_id);
            tokio::spawn(async move { registry.show_again(account_id).await });
        }
        written
    }

    /// Shows the hooks of an account as the store has them.
    async fn show_again(self: Arc<Self>, account_id: Arc<str>) {
        let _account = self.account_lock(&account_id).write().await;
        let account = Arc::clone(&account_id);
        // A write, because it comes after the one whose answer is missing.
        let read =
            move |tx: &mut Tx<'_>| hooks::page(tx, &account, &Filter::default(), None, MOST_HOOKS);
        let what = format!("cannot read the hooks of account {account_id} again");
        let Some((stored, _)) = self.store.write_at_last(&what, read).await else {
            return;
        };
        let there: HashSet<&str> = stored.iter().map(|hook| &*hook.id).collect();
        for hook in self.index.all() {
            if hook.account_id == account_id && !there.contains(&*hook.id) {
                self.hide(&hook);
            }
        }
        for hook in &stored {
            self.show(hook);
        }
    }

    fn show(&self, hook: &Hook) {
        self.index.put(hook.clone());
        self.tell(hook);
    }

    fn hide(&self, hook: &Hook) {
        self.index.remove(&hook.account_id, &hook.id);
        self.tell(hook);
    }

    fn tell(&self, hook: &Hook) {
        self.delivery
            .hook_changed(hook.key, &hook.account_id, &hook.id);
        self.announce();
    }

    fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn account_lock(&self, id: &str) -> &RwLock<()> {
        &self.account_locks[shard(id)]
    }

    fn hook_lock(&self, id: &str) -> &Mutex<()> {
        &self.hook_locks[shard(id)]
    }
}

/// Somebody who manages hooks has done something.
fn said(hook: &Hook, what: &str) {
    let enabled = hook.is_on();
    info!(hook_id = %hook.id, account_id = %hook.account_id, enabled, "the hook was {what}");
}

/// More hooks than an account has.
const MOST_HOOKS: usize = u32::MAX as usize;

fn shard(id: &str) -> usize {
    hash63(id) as usize % SHARDS
}

impl Directory {
    async fn read(store: &Store, rules: &Rules) -> Result<Self, StoreError> {
        let accounts = store.read(accounts::directory).await?;
        Ok(Self {
            ids: (accounts.iter())
                .map(|account| Arc::clone(&account.id))
                .collect(),
            calls: Arc::new(Accounts::new(rules.clone(), accounts)),
        })
    }
}

/// `patch` merged into `document`, objects in objects too, as Kazoo merges: null removes.
pub(crate) fn merged(mut document: Document, patch: Document) -> Document {
    for (key, value) in patch {
        match (document.get_mut(&key), value) {
            (_, Value::Null) => {
                document.shift_remove(&key);
            }
            (Some(Value::Object(inner)), Value::Object(patch)) => {
                *inner = merged(std::mem::take(inner), patch);
            }
            (_, value) => {
                document.insert(key, without_nulls(value));
            }
        }
    }
    document
}

/// A new value: there is nothing that its nulls could remove.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(inner) => Value::Object(merged(Document::new(), inner)),
        other => other,
    }
}

/// Takes the secret out of what was written: `None` where nothing is said of it, `Some(None)` where it is to
/// go. What is no secret stays, and is named with the document's other mistakes.
fn take_secret(document: &mut Document) -> Result<Option<Option<Secret>>, StoreError> {
    let secret = match document.get("secret") {
        Some(Value::Null) => None,
        Some(Value::String(text)) if text == "generate" => Some(generate()?),
        Some(Value::String(text)) => match Secret::parse(text) {
            Ok(secret) => Some(secret),
            Err(_) => return Ok(None),
        },
        Some(_) | None => return Ok(None),
    };
    document.shift_remove("secret");
    Ok(Some(secret))
}

fn generate() -> Result<Secret, StoreError> {
    Secret::generate()
        .map_err(|error| StoreError::Conflict(format!("cannot make a secret: {error}")))
}

/// Puts the password of a URI back where a client writes what it was shown in its place.
fn with_password(written: &mut Document, field: &str, before: &Hook) {
    let known = match field {
        "uri" => Some(&before.settings.uri),
        _ => before.settings.failover_uri.as_ref(),
    };
    if let (Some(Value::String(uri)), Some(known)) = (written.get_mut(field), known)
        && let Some(meant) = hook::meant_uri(uri, known)
    {
        *uri = meant;
    }
}

fn without_read_only(document: &mut Document) {
    for field in READ_ONLY {
        document.shift_remove(*field);
    }
}

/// The rule that is broken by who changes from within an account what says which calls are its own.
pub(crate) const NOT_FROM_ABOVE: &str = "authority";

/// Refuses a realm or numbers that are not those from before: by them calls become an account's.
fn keeps_its_calls(before: &Document, after: &Document) -> Result<(), Mistakes> {
    let mut mistakes = Mistakes::default();
    for (field, none) in [("realm", json!(null)), ("numbers", json!([]))] {
        let of = |document: &Document| match document.get(field) {
            None | Some(Value::Null) => none.clone(),
            Some(value) => value.clone(),
        };
        if of(before) != of(after) {
            let message = format!(
                "Only the admin token, or a token of an account above, may change the {field} of an account"
            );
            mistakes.say(field, NOT_FROM_ABOVE, &message);
        }
    }
    mistakes.none()
}

/// Refuses another parent than the one an account has.
fn stays_in_place(account: &StoredAccount, written: Option<&Value>) -> Result<(), Mistakes> {
    let parent = json!(account.parent.as_deref());
    match written {
        Some(other) if *other != parent => {
            let mut mistakes = Mistakes::default();
            let message = "An account's place in the tree does not change";
            let detail = json!({ "message": message, "target": parent, "value": other });
            mistakes.add("parent", "const", detail);
            Err(mistakes)
        }
        _ => Ok(()),
    }
}

/// What an account's owner reads but does not write: its place in the tree does not change.
fn without_tree(document: &mut Document) {
    for field in ["id", "parent", "created", "modified"] {
        document.shift_remove(field);
    }
}
