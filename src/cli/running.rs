//! `switchhook check --running`: line by line, how the running daemon is.

use std::process::ExitCode;

use serde_json::Value;
use switchhook::config::Config;

use super::check::Report;
use super::rest::{Rest, RestError};
use super::{printable, runtime};

pub(super) fn run(config: &Config) -> ExitCode {
    let mut report = Report::default();
    match runtime() {
        Ok(runtime) => runtime.block_on(ask(config, &mut report)),
        Err(error) => report.line("daemon", Err(format!("it cannot be asked: {error}"))),
    }
    report.exit_code()
}

async fn ask(config: &Config, report: &mut Report) {
    let rest = match Rest::without_token(config) {
        Ok(rest) => rest,
        Err(error) => return report.line("daemon", Err(error.to_string())),
    };
    let live = match rest.health("/health").await {
        Ok(live) => live,
        Err(error) => return report.line("daemon", Err(why_not(&rest, &error))),
    };
    let version = text(&live["version"]);
    report.line(
        "daemon",
        Ok(format!("version {version} answers at {}", rest.address())),
    );
    match rest.health("/health/ready").await {
        Ok(found) => tell(&found, report),
        Err(error) => report.line("daemon", Err(why_not(&rest, &error))),
    }
}

/// Why the daemon says nothing, for whoever has to do something about it.
fn why_not(rest: &Rest, error: &RestError) -> String {
    let address = rest.address();
    match error {
        RestError::Unreachable { source, .. } if source.is_connect() => format!(
            "it is not running: nobody listens at [api] listen = {address} (journalctl -u switchhook may say why)"
        ),
        RestError::Unreachable { source, .. } if source.is_timeout() => {
            format!("it hangs: {address} takes connections and does not answer")
        }
        error => printable(&error.to_string()),
    }
}

/// Tells what `/health/ready` says.
fn tell(found: &Value, report: &mut Report) {
    let switch = &found["switch"];
    let why = |part: &Value| match part["last_error"].as_str() {
        Some(error) => printable(error),
        None => "it does not say why".to_owned(),
    };
    report.line(
        "switch",
        match switch["connected"].as_bool() {
            Some(true) => Ok(format!(
                "connected since {}, {} live channels",
                text(&switch["since"]),
                switch["channels"]
            )),
            _ => Err(format!("not connected: {}", why(switch))),
        },
    );
    let store = &found["store"];
    report.line(
        "database",
        match store["working"].as_bool() {
            Some(true) => Ok(format!(
                "takes writes, {} records wait for their commit, {} bytes",
                store["queued"], store["database_bytes"]
            )),
            _ => {
                let since = text(&store["stalled_since"]);
                Err(format!("has taken nothing since {since}: {}", why(store)))
            }
        },
    );
    let delivery = &found["delivery"];
    let oldest = match delivery["oldest_pending_seconds"].as_f64() {
        Some(seconds) => format!(", the oldest for {seconds:.0} s"),
        None => String::new(),
    };
    let queue = format!(
        "{} deliveries pending{oldest}; in memory {}, requests under way {}",
        delivery["pending"], delivery["in_memory"], delivery["in_flight"]
    );
    report.line("queue", Ok(queue));
    let some = |count: &Value| count.as_u64().filter(|count| *count > 0);
    if let Some(open) = some(&delivery["circuits_open"]) {
        report.note(
            "endpoints",
            &format!("{open} cannot be connected to (circuits_open); what is for them waits"),
        );
    }
    if let Some(shed) = some(&switch["shed_events"]) {
        report.note(
            "events",
            &format!("{shed} were shed since the start, while the database was stalled"),
        );
    }
    if let Some(lost) = some(&store["lost"]) {
        report.note(
            "database",
            &format!("it has refused {lost} records since the start: the log names them"),
        );
    }
    // A newer daemon may have reasons that have no line here.
    if found["ready"] != true && report.is_good() {
        let reasons = found["reasons"].as_array().into_iter().flatten().map(text);
        let reasons: Vec<String> = reasons.collect();
        report.line("ready", Err(reasons.join("; ")));
    }
}

fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or("?"))
}
