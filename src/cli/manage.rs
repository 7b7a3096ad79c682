//! `switchhook hooks`, `attempts`, `accounts`, `tokens`, `tail`: the daemon's REST API for people and scripts.

use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use jiff::{Span, Timestamp, Zoned};
use reqwest::Method;
use serde_json::{Map, Value, json};
use switchhook::config::Config;

use super::rest::{Rest, RestError, part};
use super::{EXIT_FAILURE, runtime, table};

/// What the commands take that print lists.
#[derive(Args)]
pub(super) struct Output {
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
}

/// What the commands take that are about something of an account.
#[derive(Args)]
pub(super) struct Common {
    /// The account
    #[arg(long, short = 'A', global = true, default_value = "default")]
    account: String,
    #[command(flatten)]
    output: Output,
}

/// What `tail` takes.
#[derive(Args)]
pub(super) struct Tail {
    /// Only what happens in this account; in every account where none is named
    #[arg(long, short = 'A')]
    account: Option<String>,
}

/// Webhooks
#[derive(Subcommand)]
pub(super) enum Hooks {
    /// The hooks of the account
    List,
    /// Add a hook
    #[command(
        after_help = "Example:  switchhook hooks add --name missed --hook call_missed --uri http://127.0.0.1:9000/"
    )]
    Add {
        /// What people call it
        #[arg(long)]
        name: String,
        /// A trigger, several with commas between, or `all`
        #[arg(long, default_value = "all")]
        hook: String,
        /// Where the requests go
        #[arg(long)]
        uri: String,
        /// `json` or `form-data`
        #[arg(long, default_value = "json")]
        format: String,
        /// `post`, `get` or `put`
        #[arg(long, default_value = "post")]
        verb: String,
        /// More fields, as a JSON object: '{"retries": 4, "numbers": ["+1555*"]}'
        #[arg(long, value_name = "JSON")]
        more: Option<String>,
    },
    /// One hook, whole
    Show { id: String },
    /// Delete a hook
    Delete { id: String },
    /// Switch a hook on, also one that was switched off for failing
    Enable { id: String },
    /// Switch a hook off
    Disable { id: String },
    /// Send the trigger's sample now, and show what came back
    Test { id: String },
    /// The hooks that fail or were switched off for it
    FailureStatus,
    /// Switch on all hooks of the account that were switched off for failing
    EnableAccount,
    /// The same for the account and all below it
    EnableDescendants,
    /// Forget the failed attempts that count towards switching a hook off
    FlushFailures {
        /// The hook; all of the account where none is named
        id: Option<String>,
    },
    /// Send again all that failed, expired or was skipped
    #[command(
        after_help = "Example:  switchhook hooks recover 883e0335cdc74c1f80d3131c5ec1ab30 --since 2h --dry-run"
    )]
    Recover {
        id: String,
        /// Events that happened since then: how long ago (2h, 30m, 1d), or a time such as 2026-11-21T08:00:00Z
        #[arg(long)]
        since: String,
        /// And before then, said in the same way
        #[arg(long)]
        until: Option<String>,
        /// Only count
        #[arg(long)]
        dry_run: bool,
    },
    /// A new signing secret; the old one is good for 24 hours more
    RotateSecret { id: String },
}

/// What was sent and what came back
#[derive(Subcommand)]
pub(super) enum Attempts {
    /// Newest first
    #[command(after_help = "Example:  switchhook attempts list --result failure --since 1h")]
    List {
        /// Of one hook
        #[arg(long)]
        hook: Option<String>,
        /// success, failure, skipped or expired
        #[arg(long)]
        result: Option<String>,
        /// Of one leg
        #[arg(long)]
        call: Option<String>,
        /// Attempts that were made since then: how long ago (2h, 30m), or a time
        #[arg(long)]
        since: Option<String>,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
        most: usize,
    },
    /// Send the delivery of an attempt again
    Resend {
        /// The hook
        hook: String,
        /// The attempt
        id: String,
    },
}

/// Accounts
#[derive(Subcommand)]
pub(super) enum Accounts {
    /// Every account
    List,
    /// Add an account below another
    #[command(
        after_help = "Example:  switchhook accounts add --name Acme --realm acme.example.com --number +15557770000"
    )]
    Add {
        #[arg(long)]
        name: String,
        #[arg(long)]
        realm: Option<String>,
        /// A number it owns; may be given several times
        #[arg(long = "number")]
        numbers: Vec<String>,
        /// The account above it
        #[arg(long)]
        parent: Option<String>,
    },
    /// One account, whole
    Show { id: String },
    /// Delete an account and its hooks; refused where it has callflows or accounts below it: delete those first
    Delete { id: String },
}

/// Tokens of the API
#[derive(Subcommand)]
pub(super) enum Tokens {
    /// The tokens of the account, by their beginnings
    List,
    /// Make a token for the account; it is shown this once
    Add,
    /// Make a token good for nothing
    Revoke { id: String },
}

/// One of these commands.
pub(super) enum Order {
    Hooks(Common, Hooks),
    Attempts(Common, Attempts),
    Accounts(Output, Accounts),
    Tokens(Common, Tokens),
    Tail(Tail),
}

pub(super) fn run(config: &Config, order: Order) -> ExitCode {
    let done = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime
                .block_on(carry_out(config, order))
                .map_err(|error| error.to_string())
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn carry_out(config: &Config, order: Order) -> Result<(), Problem> {
    let rest = Rest::of(config)?;
    match order {
        Order::Hooks(common, order) => hooks(&rest, &common, order).await,
        Order::Attempts(common, order) => attempts(&rest, &common, order).await,
        Order::Accounts(output, order) => accounts(&rest, &output, order).await,
        Order::Tokens(common, order) => tokens(&rest, &common, order).await,
        Order::Tail(options) => tail(&rest, options.account.as_deref()).await,
    }
}

/// Where an account is.
fn place(account: &str) -> String {
    format!("/v2/accounts/{}", part(account))
}

/// What can go wrong: the daemon's word, or an argument.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("{0}")]
    Argument(String),
    #[error("the test was not answered with 2xx")]
    TestFailed,
}

async fn hooks(rest: &Rest, common: &Common, order: Hooks) -> Result<(), Problem> {
    let account = place(&common.account);
    let all = format!("{account}/webhooks");
    let one = |id: &str| format!("{all}/{}", part(id));
    let descendants = format!("{account}/descendants/webhooks");
    let again = || Some(json!({ "re-enable": true }));
    match order {
        Hooks::List => {
            let hooks = rest.list(&all, usize::MAX).await?;
            table::show_list(
                common.output.json,
                &hooks,
                &["id", "name", "hook", "uri", "enabled", "disable_reason"],
            );
        }
        Hooks::Add {
            name,
            hook,
            uri,
            format,
            verb,
            more,
        } => {
            let mut document = json!({
                "name": name, "uri": uri, "format": format, "http_verb": verb,
                "hook": hook.split(',').map(str::trim).collect::<Vec<_>>(),
            });
            let more = more.unwrap_or_else(|| "{}".into());
            let more: Map<String, Value> = serde_json::from_str(&more)
                .map_err(|error| Problem::Argument(format!("--more is no JSON object: {error}")))?;
            for (field, value) in more {
                document[field] = value;
            }
            show(&rest.call(Method::PUT, &all, Some(document)).await?);
        }
        Hooks::Show { id } => show(&rest.get(&one(&id)).await?),
        Hooks::Delete { id } => show(&rest.call(Method::DELETE, &one(&id), None).await?),
        Hooks::Enable { id } => switch(rest, &one(&id), true).await?,
        Hooks::Disable { id } => switch(rest, &one(&id), false).await?,
        Hooks::Test { id } => {
            let path = format!("{}/test", one(&id));
            let attempt = rest.call(Method::PUT, &path, Some(json!({}))).await?;
            show(&attempt);
            if attempt["result"] != "success" {
                return Err(Problem::TestFailed);
            }
        }
        Hooks::FailureStatus => {
            let mut failing = Vec::new();
            for mut hook in rest.list(&all, usize::MAX).await? {
                let id = hook["id"].as_str().unwrap_or_default().to_owned();
                let stats = rest.get(&format!("{}/stats", one(&id))).await?;
                let counted = &stats["failures_counted"];
                if counted.as_u64() != Some(0) || !hook["disable_reason"].is_null() {
                    hook["failures_counted"] = counted.clone();
                    failing.push(hook);
                }
            }
            table::show_list(
                common.output.json,
                &failing,
                &[
                    "id",
                    "name",
                    "failures_counted",
                    "enabled",
                    "disable_reason",
                ],
            );
        }
        Hooks::EnableAccount => show(&rest.call(Method::PATCH, &all, again()).await?),
        Hooks::EnableDescendants => show(&rest.call(Method::PATCH, &descendants, again()).await?),
        Hooks::FlushFailures { id } => {
            let ids = match id {
                Some(id) => vec![id],
                None => (rest.list(&all, usize::MAX).await?.iter())
                    .filter_map(|hook| hook["id"].as_str().map(str::to_owned))
                    .collect(),
            };
            for id in ids {
                // Any write to a hook starts its count anew.
                rest.call(Method::PATCH, &one(&id), Some(json!({}))).await?;
            }
        }
        Hooks::Recover {
            id,
            since,
            until,
            dry_run,
        } => {
            let mut data = json!({ "since": instant(&since)?.to_string(), "dry_run": dry_run });
            if let Some(until) = until {
                data["until"] = json!(instant(&until)?.to_string());
            }
            let path = format!("{}/recover", one(&id));
            show(&rest.call(Method::PUT, &path, Some(data)).await?);
        }
        Hooks::RotateSecret { id } => {
            let path = format!("{}/secret/rotate", one(&id));
            show(&rest.call(Method::PUT, &path, Some(json!({}))).await?);
        }
    }
    Ok(())
}

/// Switches a hook on or off. Switching on also takes back that it was switched off for failing.
async fn switch(rest: &Rest, path: &str, on: bool) -> Result<(), Problem> {
    let hook = rest
        .call(Method::PATCH, path, Some(json!({ "enabled": on })))
        .await?;
    show(&hook);
    Ok(())
}

async fn attempts(rest: &Rest, common: &Common, order: Attempts) -> Result<(), Problem> {
    let account = place(&common.account);
    match order {
        Attempts::List {
            hook,
            result,
            call,
            since,
            most,
        } => {
            let mut path = match hook {
                Some(hook) => format!("{account}/webhooks/{}/attempts", part(&hook)),
                None => format!("{account}/webhooks/attempts"),
            };
            let since = since.map(|since| instant(&since)).transpose()?;
            let filters = [
                ("result", result),
                ("call_id", call),
                ("created_from", since.map(gregorian)),
            ];
            let mut separator = '?';
            for (name, value) in filters {
                if let Some(value) = value {
                    path.push_str(&format!("{separator}{name}={}", part(&value)));
                    separator = '&';
                }
            }
            let mut attempts = rest.list(&path, most).await?;
            for attempt in &mut attempts {
                attempt["time"] = json!(clock_time(&attempt["timestamp"]));
                attempt["status"] = attempt["resp_status_code"].clone();
                attempt["error"] = match &attempt["client_error"] {
                    Value::Null => attempt["reason"].clone(),
                    error => error.clone(),
                };
            }
            table::show_list(
                common.output.json,
                &attempts,
                &[
                    "time",
                    "hook_event",
                    "call_id",
                    "result",
                    "status",
                    "error",
                    "attempt",
                    "duration_ms",
                    "uri",
                    "hook_id",
                    "id",
                ],
            );
        }
        Attempts::Resend { hook, id } => {
            let path = format!(
                "{account}/webhooks/{}/attempts/{}/resend",
                part(&hook),
                part(&id)
            );
            show(&rest.call(Method::PUT, &path, Some(json!({}))).await?);
        }
    }
    Ok(())
}

async fn accounts(rest: &Rest, output: &Output, order: Accounts) -> Result<(), Problem> {
    match order {
        Accounts::List => {
            let accounts = rest.list("/v2/accounts", usize::MAX).await?;
            table::show_list(
                output.json,
                &accounts,
                &["id", "name", "realm", "numbers", "parent"],
            );
        }
        Accounts::Add {
            name,
            realm,
            numbers,
            parent,
        } => {
            let mut account = json!({ "name": name });
            if let Some(realm) = realm {
                account["realm"] = json!(realm);
            }
            if !numbers.is_empty() {
                account["numbers"] = json!(numbers);
            }
            let path = parent.map_or("/v2/accounts".to_owned(), |parent| place(&parent));
            show(&rest.call(Method::PUT, &path, Some(account)).await?);
        }
        Accounts::Show { id } => show(&rest.get(&place(&id)).await?),
        Accounts::Delete { id } => show(&rest.call(Method::DELETE, &place(&id), None).await?),
    }
    Ok(())
}

async fn tokens(rest: &Rest, common: &Common, order: Tokens) -> Result<(), Problem> {
    let all = format!("{}/tokens", place(&common.account));
    match order {
        Tokens::List => {
            let tokens = rest.list(&all, usize::MAX).await?;
            table::show_list(
                common.output.json,
                &tokens,
                &["id", "prefix", "created", "revoked"],
            );
        }
        Tokens::Add => show(&rest.call(Method::PUT, &all, Some(json!({}))).await?),
        Tokens::Revoke { id } => {
            let path = format!("{all}/{}", part(&id));
            show(&rest.call(Method::DELETE, &path, None).await?);
        }
    }
    Ok(())
}

/// Prints each event of the live feed on a line, until the daemon or the reader ends it.
async fn tail(rest: &Rest, account: Option<&str>) -> Result<(), Problem> {
    if let Some(account) = account {
        // One that is not there would be waited for in vain.
        rest.get(&place(account)).await?;
    }
    let is_wanted = |data: &str| {
        account.is_none_or(|account| {
            serde_json::from_str::<Value>(data).is_ok_and(|event| event["account_id"] == account)
        })
    };
    let mut feed = rest.feed().await?;
    let mut text = Vec::new();
    while let Some(chunk) = feed.chunk().await.map_err(RestError::from)? {
        text.extend_from_slice(&chunk);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data:") {
                let data = String::from_utf8_lossy(data);
                if is_wanted(data.trim()) {
                    say!("{}", data.trim());
                }
            }
        }
    }
    Ok(())
}

/// "2h" ago, or a time as RFC 3339 writes it.
fn instant(text: &str) -> Result<Timestamp, Problem> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = text.parse::<Span>().ok();
    let at = ago.and_then(|ago| Zoned::now().checked_sub(ago.abs()).ok());
    at.map(|at| at.timestamp()).ok_or_else(|| {
        Problem::Argument(format!(
            "{text:?} is neither a span such as 2h or 30m nor a time such as 2026-11-21T08:00:00Z"
        ))
    })
}

/// A time in Gregorian seconds, as the API's filters take it.
fn gregorian(at: Timestamp) -> String {
    switchhook::time::Timestamp(at.as_microsecond())
        .gregorian()
        .to_string()
}

/// Gregorian seconds as people read a time.
fn clock_time(gregorian: &Value) -> String {
    let at = gregorian
        .as_i64()
        .map(switchhook::time::Timestamp::from_gregorian);
    at.map_or(String::new(), |at| {
        at.rfc3339(&jiff::tz::TimeZone::UTC).replace(".000000", "")
    })
}

fn show(value: &Value) {
    say!("{value:#}");
}
