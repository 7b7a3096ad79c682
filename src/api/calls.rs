//! `/v2/accounts/{A}/calls/{CALL}/timeline`: what was seen of a call, which hooks it matched or why not, and what
//! was sent. `switchhook explain` shows the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ApiState;
use super::auth::{Access, Reach, Scope};
use super::envelope::{Problem, Reply};
use super::route::{Route, list_of};
use crate::call::{Accounts, CallType};
use crate::hook::{Document, Hook};
use crate::store::attempts::LoggedAttempt;
use crate::timeline::{Entry, Opinion, Sent, Timeline, Told};
use crate::trigger::Trigger;

/// What has to be known to read the verdicts rightly.
const NOTE: &str = "Hooks are judged as they are now: one that was changed since is marked changed_since. Facts that no hook of any account asks for are not worked out.";

/// How many hooks that did not match are listed, of a fact and of the call: an account may have ten thousand, and
/// what matched is listed in any case.
const MOST_REFUSALS: usize = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/accounts/{account_id}/calls/{call_id}/timeline",
            read,
            "What was seen of a call, what matched or why not, and what was sent",
        )
        .gives(timeline_schema()),
    ]
}

async fn read(State(api): State<ApiState>, access: Access, scope: Scope) -> Result<Reply, Problem> {
    let call_id = scope.id("call_id")?;
    let call = Arc::clone(&call_id);
    let timeline = api
        .store
        .read(move |connection| Timeline::of_call(connection, &call))
        .await?;
    let timeline = within_reach(timeline, &api, &access);
    if timeline.entries.is_empty() {
        return Err(Problem::bad_identifier(&call_id));
    }
    let mut hooks = api.registry.index().all();
    hooks.retain(|hook| hook.account_id == scope.account_id);
    hooks.sort_by_key(|hook| hook.key);
    let accounts = api.registry.accounts();
    Ok(Reply::new(view(&timeline, &call_id, &hooks, &accounts)))
}

/// What a token may see of a call, which can have legs of several accounts.
fn within_reach(mut timeline: Timeline, api: &ApiState, access: &Access) -> Timeline {
    if access.reach == Reach::Everything {
        return timeline;
    }
    let reaches = |account: &Arc<str>| access.reaches(api, account);
    for entry in &mut timeline.entries {
        entry.facts.retain(|told| reaches(&told.fact.account_id));
        for told in &mut entry.facts {
            told.sent.retain(|sent| reaches(&sent.delivery.account_id));
        }
    }
    let seen = timeline.entries.iter();
    let seen = seen.filter(|entry| entry.account_id.as_ref().is_some_and(reaches));
    let legs: BTreeSet<Arc<str>> = seen.map(|entry| Arc::clone(&entry.call_id)).collect();
    timeline.entries.retain(|entry| match &entry.account_id {
        Some(account) => reaches(account) || !entry.facts.is_empty(),
        // The last event of a leg comes when it is forgotten already.
        None => legs.contains(&entry.call_id),
    });
    timeline
}

fn view(timeline: &Timeline, call_id: &str, hooks: &[Arc<Hook>], accounts: &Accounts) -> Value {
    let entries = &timeline.entries;
    let of_leg = |entry: &&Entry| &*entry.call_id == call_id;
    let root = (entries.iter().filter(of_leg))
        .chain(entries)
        .find_map(|entry| entry.call_uuid.clone());
    let is_root = |entry: &&Entry| Some(&entry.call_id) == root.as_ref();
    let account = (entries.iter().filter(is_root))
        .chain(entries)
        .find_map(|entry| entry.account_id.clone());
    let mut legs: Vec<&str> = Vec::new();
    for entry in entries {
        if !legs.contains(&&*entry.call_id) {
            legs.push(&entry.call_id);
        }
    }
    let facts = || entries.iter().flat_map(|entry| &entry.facts);
    let mut refusals = Refusals::default();
    let summaries = hooks.iter().filter_map(|hook| {
        let matched = facts()
            .filter(|told| Opinion::of(hook, told, accounts) == Opinion::Matched)
            .count();
        if matched == 0 && !refusals.list_one() {
            return None;
        }
        let mut summary = hook.summary();
        summary.insert("matched".into(), json!(matched));
        summary.insert(
            "changed_since".into(),
            json!(facts().any(|told| told.is_before(hook))),
        );
        Some(Value::Object(summary))
    });
    let summaries = summaries.collect::<Vec<_>>();
    json!({
        "call_id": call_id,
        "call_uuid": root.as_deref(),
        "account_id": account.as_deref(),
        "legs": legs,
        "note": NOTE,
        "timeline": entries.iter().map(|entry| entry_view(entry, hooks, accounts)).collect::<Vec<_>>(),
        "hooks": summaries,
        "hooks_left_out": refusals.left_out(),
    })
}

/// Counts the hooks that did not match, of which only the first are listed.
#[derive(Default)]
struct Refusals(usize);

impl Refusals {
    /// Counts one more; whether it is listed.
    fn list_one(&mut self) -> bool {
        self.0 += 1;
        self.0 <= MOST_REFUSALS
    }

    fn left_out(&self) -> usize {
        self.0.saturating_sub(MOST_REFUSALS)
    }
}

/// An object without the fields that say nothing.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says_something = |value: &Value| !matches!(value, Value::Null);
    let fields = fields
        .into_iter()
        .filter(|(_, value)| says_something(value));
    Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn some_object(object: &Document) -> Value {
    match object.is_empty() {
        true => Value::Null,
        false => json!(object),
    }
}

fn entry_view(entry: &Entry, hooks: &[Arc<Hook>], accounts: &Accounts) -> Value {
    let facts = entry.facts.iter();
    object([
        ("occurred_at", json!(entry.at.rfc3339(&TimeZone::UTC))),
        ("timestamp", json!(entry.at.gregorian())),
        ("event", json!(entry.event)),
        (
            "sequence",
            json!(Some(entry.sequence).filter(|sequence| *sequence > 0)),
        ),
        ("call_id", json!(&*entry.call_id)),
        ("call_uuid", json!(entry.call_uuid.as_deref())),
        ("about", some_object(&entry.about)),
        (
            "facts",
            facts
                .map(|told| fact_view(told, hooks, accounts))
                .collect::<Value>(),
        ),
    ])
}

fn fact_view(told: &Told, hooks: &[Arc<Hook>], accounts: &Accounts) -> Value {
    let fact = &told.fact;
    let payload = serde_json::to_value(&fact.payload).expect("text keys into memory");
    // It may have been sent to one that does not ask for it: as an action, or before the hook was changed.
    let asking = hooks.iter().filter(|hook| {
        hook.settings.triggers.contains(fact.trigger)
            || told
                .sent
                .iter()
                .any(|sent| sent.delivery.hook_id == hook.id)
    });
    let mut refusals = Refusals::default();
    let listed = asking.filter_map(|hook| {
        let opinion = Opinion::of(hook, told, accounts);
        let is_listed = opinion == Opinion::Matched || refusals.list_one();
        is_listed.then(|| verdict(hook, &opinion, told))
    });
    let mut verdicts: Vec<Value> = listed.collect();
    // Those for one call only, and those of other accounts.
    let is_listed = |sent: &&Sent| hooks.iter().any(|hook| hook.id == sent.delivery.hook_id);
    let others = told.sent.iter().filter(|sent| !is_listed(sent));
    verdicts.extend(others.map(|sent| {
        object([
            ("id", json!(&*sent.delivery.hook_id)),
            (
                "name",
                json!(
                    sent.delivery
                        .ad_hoc
                        .as_ref()
                        .map(|hook| &hook.settings.name)
                ),
            ),
            ("account_id", json!(&*sent.delivery.account_id)),
            ("verdict", json!("matched")),
            ("delivery", sent_view(sent)),
        ])
    }));
    object([
        ("hook_event", json!(fact.trigger.id())),
        ("call_id", json!(fact.call_id.as_deref())),
        ("account_id", json!(&*fact.account_id)),
        ("call_type", json!(fact.call_type.map(CallType::id))),
        ("reconciled", json!(fact.reconciled.then_some(true))),
        (
            "payload",
            payload.as_object().map_or(Value::Null, some_object),
        ),
        ("hooks", Value::Array(verdicts)),
        ("hooks_left_out", json!(refusals.left_out())),
    ])
}

fn verdict(hook: &Hook, opinion: &Opinion, told: &Told) -> Value {
    let reason = opinion.reason(told);
    let sent = told.sent.iter();
    let mut own = sent.filter(|sent| sent.delivery.hook_id == hook.id);
    object([
        ("id", json!(&*hook.id)),
        ("name", json!(hook.settings.name)),
        ("account_id", json!(&*hook.account_id)),
        ("verdict", json!(opinion.id())),
        (
            "reason",
            json!(Some(reason).filter(|reason| !reason.is_empty())),
        ),
        ("changed_since", json!(told.is_before(hook).then_some(true))),
        ("delivery", own.next().map_or(Value::Null, sent_view)),
    ])
}

fn sent_view(sent: &Sent) -> Value {
    json!({
        "webhook_id": sent.delivery.webhook_id.to_string(),
        "state": sent.state.id(),
        "attempts": sent.attempts.iter().map(attempt_view).collect::<Vec<_>>(),
    })
}

/// The few fields by which a person sees how it went; `…/attempts` has all of it.
fn attempt_view(logged: &LoggedAttempt) -> Value {
    let attempt = &logged.attempt;
    object([
        ("id", json!(logged.id.to_string())),
        ("occurred_at", json!(attempt.at.rfc3339(&TimeZone::UTC))),
        ("timestamp", json!(attempt.at.gregorian())),
        ("attempt", json!(attempt.attempt)),
        ("result", json!(attempt.result.id())),
        ("reason", json!(attempt.reason)),
        ("client_error", json!(attempt.client_error)),
        (
            "resp_status_code",
            json!(attempt.status.map(|code| code.to_string())),
        ),
        ("uri", json!(attempt.uri)),
        ("retries_left", json!(attempt.retries_left)),
        ("duration_ms", json!(attempt.duration.as_millis() as u64)),
    ])
}

fn timeline_schema() -> Value {
    let text = || json!({ "type": "string" });
    let some_text = || json!({ "type": ["string", "null"] });
    let number = || json!({ "type": "integer" });
    let left_out = || {
        json!({
            "type": "integer", "minimum": 0,
            "description": "How many more there are that did not match",
        })
    };
    let words = |words: &[&str]| json!({ "type": "string", "enum": words });
    let triggers: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.id()).collect();
    let of = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
    let attempt = of(
        json!({
            "id": text(), "occurred_at": text(), "timestamp": number(), "attempt": number(),
            "result": text(), "reason": text(), "client_error": text(), "resp_status_code": text(),
            "uri": text(), "retries_left": number(), "duration_ms": number(),
        }),
        &["id", "timestamp", "result"],
    );
    let delivery = of(
        json!({ "webhook_id": text(), "state": text(), "attempts": list_of(attempt) }),
        &["webhook_id", "state", "attempts"],
    );
    let hook = of(
        json!({
            "id": text(), "name": text(), "account_id": text(), "verdict": words(Opinion::IDS),
            "reason": text(), "changed_since": { "type": "boolean" }, "delivery": delivery,
        }),
        &["id", "account_id", "verdict"],
    );
    let fact = of(
        json!({
            "hook_event": words(&triggers), "call_id": text(), "account_id": text(), "call_type": text(),
            "reconciled": { "type": "boolean" }, "payload": { "type": "object" }, "hooks": list_of(hook),
            "hooks_left_out": left_out(),
        }),
        &["hook_event", "account_id", "hooks", "hooks_left_out"],
    );
    let entry = of(
        json!({
            "occurred_at": text(), "timestamp": number(), "event": text(), "sequence": number(),
            "call_id": text(), "call_uuid": text(), "about": { "type": "object" }, "facts": list_of(fact),
        }),
        &["occurred_at", "timestamp", "call_id", "facts"],
    );
    of(
        json!({
            "call_id": text(), "call_uuid": some_text(), "account_id": some_text(),
            "legs": list_of(text()), "note": text(), "timeline": list_of(entry),
            "hooks": list_of(json!({ "type": "object" })), "hooks_left_out": left_out(),
        }),
        &[
            "call_id",
            "call_uuid",
            "account_id",
            "legs",
            "note",
            "timeline",
            "hooks",
            "hooks_left_out",
        ],
    )
}
