//! `switchhook explain`: what was seen of a call, which hooks it matched or why not, and what was sent.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use switchhook::config::Config;

use super::rest::{Rest, RestError, part};
use super::{EXIT_FAILURE, printable, runtime};

/// Which call, and how it is told.
#[derive(Args)]
pub(super) struct Options {
    /// The Unique-ID of any of the call's legs
    #[arg(value_name = "CALL-UUID")]
    call: String,
    /// The account whose hooks are asked [default: the call's]
    #[arg(long, short = 'A')]
    account: Option<String>,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, options: &Options) -> ExitCode {
    let told = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let told = runtime.block_on(timeline(config, options));
            told.map_err(|error| with_hint(&error, options))
        });
    match told {
        Ok(timeline) => {
            let shown = match options.json {
                true => format!("{timeline:#}"),
                false => text(&timeline).trim_end().to_owned(),
            };
            say!("{shown}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

async fn timeline(config: &Config, options: &Options) -> Result<Value, RestError> {
    let rest = Rest::of(config)?;
    let of = |account: &str| {
        let (account, call) = (part(account), part(&options.call));
        format!("/v2/accounts/{account}/calls/{call}/timeline")
    };
    if let Some(account) = &options.account {
        return rest.get(&of(account)).await;
    }
    let asked = &config.accounts.default;
    let timeline = rest.get(&of(asked)).await?;
    match timeline["account_id"].as_str() {
        Some(own) if own != asked => rest.get(&of(own)).await,
        _ => Ok(timeline),
    }
}

fn with_hint(error: &RestError, options: &Options) -> String {
    match error {
        RestError::Refused { message, .. } if message == "bad_identifier" => {
            let of = match &options.account {
                Some(account) => format!(", or no account {account}"),
                None => String::new(),
            };
            format!(
                "nothing is known of a call {}{of}: it may be older than [store] retention_days, or [events] timeline was off",
                options.call
            )
        }
        error => error.to_string(),
    }
}

/// A word of the answer.
fn word(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    printable(&text)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn pairs(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", word(value)))
        .collect();
    pairs.join(" ")
}

/// The answer for people.
fn text(timeline: &Value) -> String {
    let mut text = String::new();
    let legs = list(&timeline["legs"]);
    let root = &timeline["call_uuid"];
    let entries = list(&timeline["timeline"]);
    let date = entries.first().map_or(String::new(), |entry| {
        word(&entry["occurred_at"]).chars().take(10).collect()
    });
    let mut say = |line: String| writeln!(text, "{line}").expect("memory");
    say(format!(
        "call {}, account {}, {date} (UTC)",
        match root {
            Value::Null => word(&timeline["call_id"]),
            root => word(root),
        },
        word(&timeline["account_id"]),
    ));
    for (letter, leg) in legs.iter().enumerate() {
        let is_root = if leg == root { ", the root" } else { "" };
        say(format!("  leg {}: {}{is_root}", name(letter), word(leg)));
    }
    let leg_of = |call_id: &Value| {
        let index = legs.iter().position(|leg| leg == call_id);
        index.map_or_else(|| word(call_id), name)
    };
    say(String::new());
    for entry in entries {
        let time: String = word(&entry["occurred_at"])
            .chars()
            .skip(11)
            .take(15)
            .collect();
        let event = match &entry["event"] {
            Value::Null => "(its event was not written down)".to_owned(),
            Value::String(event) if event == "reconciled" => "(worked out after a gap)".to_owned(),
            event => word(event),
        };
        let sequence = match &entry["sequence"] {
            Value::Null => String::new(),
            sequence => format!(" #{sequence}"),
        };
        let leg = leg_of(&entry["call_id"]);
        let line = format!(
            "{time}  {leg}  {event}{sequence}  {}",
            pairs(&entry["about"])
        );
        say(line.trim_end().to_owned());
        for fact in list(&entry["facts"]) {
            let of = match fact["call_id"] == entry["call_id"] {
                true => String::new(),
                false => format!(" of {}", leg_of(&fact["call_id"])),
            };
            let line = format!(
                "{:17}  {}{of}  {}",
                "",
                word(&fact["hook_event"]),
                pairs(&fact["payload"])
            );
            say(line.trim_end().to_owned());
            for hook in list(&fact["hooks"]) {
                say(format!("{:19}  {}", "", verdict(hook)));
                for attempt in list(&hook["delivery"]["attempts"]) {
                    say(format!("{:21}  {}", "", tried(attempt)));
                }
            }
            if let Some(more) = left_out(fact) {
                say(format!("{:19}  {more}", ""));
            }
        }
    }
    say(String::new());
    let hooks = list(&timeline["hooks"]);
    if hooks.is_empty() {
        say("the account has no hooks".into());
    }
    for hook in hooks {
        say(summary(hook, entries));
    }
    if let Some(more) = left_out(timeline) {
        say(more);
    }
    say(format!("\n{}", word(&timeline["note"])));
    text
}

/// A leg's short name.
fn name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => char::from(b'A' + index).to_string(),
        _ => format!("L{}", index + 1),
    }
}

/// `and 400 more that did not match`, where not all are listed.
fn left_out(listed: &Value) -> Option<String> {
    let more = listed["hooks_left_out"].as_u64().filter(|more| *more > 0)?;
    Some(format!("and {more} more that did not match"))
}

/// `"crm" matched: delivered`.
fn verdict(hook: &Value) -> String {
    let title = match &hook["name"] {
        Value::Null => word(&hook["id"]),
        name => format!("{:?}", word(name)),
    };
    let changed = match hook["changed_since"] == true {
        true => " (changed since)",
        false => "",
    };
    match (&hook["delivery"], &hook["reason"]) {
        (Value::Null, reason) => format!("{title} no{changed}: {}", word(reason)),
        (delivery, _) => format!("{title} yes{changed}: {}", word(&delivery["state"])),
    }
}

/// `attempt 1: success 204 in 12 ms`.
fn tried(attempt: &Value) -> String {
    let mut line = match attempt["attempt"].as_u64() {
        Some(0) | None => word(&attempt["result"]),
        Some(number) => format!("attempt {number}: {}", word(&attempt["result"])),
    };
    for field in ["resp_status_code", "reason", "client_error"] {
        if !attempt[field].is_null() {
            write!(line, " {}", word(&attempt[field])).expect("memory");
        }
    }
    if !attempt["uri"].is_null() {
        let uri = word(&attempt["uri"]);
        write!(line, " in {} ms at {uri}", attempt["duration_ms"]).expect("memory");
    }
    line
}

/// A hook, and why it got nothing where it got nothing.
fn summary(hook: &Value, entries: &[Value]) -> String {
    let state = match (hook["enabled"] == true, &hook["disable_reason"]) {
        (true, _) => "on".to_owned(),
        (false, Value::Null) => "off".to_owned(),
        (false, reason) => format!("off: {}", word(reason)),
    };
    let asks_for = match &hook["hook"] {
        Value::Array(ids) => ids.iter().map(word).collect::<Vec<_>>().join(", "),
        id => word(id),
    };
    let facts = entries.iter().flat_map(|entry| list(&entry["facts"]));
    let judged = facts
        .flat_map(|fact| list(&fact["hooks"]))
        .any(|verdict| verdict["id"] == hook["id"]);
    let fate = match (hook["matched"].as_u64(), judged) {
        (Some(0) | None, false) => "nothing of the kind was told of this call".to_owned(),
        (Some(0) | None, true) => "matched nothing, see above".to_owned(),
        (Some(count), _) => format!("matched {count}"),
    };
    format!(
        "hook {:?} {} ({state}) asks for {asks_for}: {fate}",
        word(&hook["name"]),
        word(&hook["id"]),
    )
}
