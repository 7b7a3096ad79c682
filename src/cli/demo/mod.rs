//! `switchhook demo`: a recorded real call through the full pipeline, and what arrives at the other end.

mod receiver;
mod switch;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use switchhook::app::App;
use switchhook::config::{Config, Hidden, LogFormat};
use switchhook::hook::Secret;
use switchhook::time::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use self::receiver::Arrived;
use self::switch::{Switch, Written};
use super::log::Log;
use super::{EXIT_FAILURE, runtime};

/// How long after the last webhook the demo believes that there will be no more.
const QUIET: Duration = Duration::from_millis(400);
/// How long the first webhook of a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much longer than the recorded call those of the loop take, so that they can be watched.
const PACE_OF_LOOP: u8 = 4;

/// What the demo can be told.
#[derive(Args)]
pub(super) struct Options {
    /// Go on with call after call, with the API open, until Ctrl-C
    #[arg(long = "loop")]
    endless: bool,
    /// Where the API listens with --loop
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

pub(super) fn run(options: &Options) -> ExitCode {
    let _log = Log::to_stderr("warn", LogFormat::Text);
    let played = runtime()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(play(options)));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(problem) => {
            eprintln!("demo: {problem}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// A directory of our own that is gone when the demo is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let name = format!("switchhook-demo-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind lies among the temporary files and hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Plays the demo; `true` where all that was sent arrived in good order.
async fn play(options: &Options) -> Result<bool, Box<dyn Error>> {
    let paint = Paint::for_terminal();
    // Before there is anything that must not be left behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let scratch = Scratch::new()?;
    let secret = Secret::generate()?;
    let (receiver, mut arrived) = receiver::listen(secret.clone()).await?;
    let pace = match options.endless {
        true => PACE_OF_LOOP,
        false => 1,
    };
    let switch = Switch::bind(Clock::system(), pace).await?;
    let token = uuid::Uuid::new_v4().simple().to_string();

    let mut config = Config::default();
    config.switch.port = switch.port()?;
    config.outbound.listen = String::new();
    config.store.path = scratch.0.join("switchhook.db");
    config.api.admin_token = Some(Hidden(token.clone()));
    config.api.listen = match options.endless {
        true => free_or_any(options.listen),
        false => "127.0.0.1:0".into(),
    };
    let app = App::start(config).await?;
    let api = app.api_address();
    let uri = format!("http://{receiver}/calls");
    let mut hooks = vec![json!({
        "name": "demo", "hook": "all", "uri": uri, "format": "json", "secret": secret.reveal(),
    })];
    if options.endless {
        hooks.extend(more_hooks(receiver));
    }
    for hook in hooks {
        add_hook(api, &token, hook).await?;
    }

    mention!(
        "{}",
        paint.bold(
            "switchhook demo: a recorded call of a real FreeSWITCH, played over a real event socket"
        )
    );
    if options.endless {
        mention!("  console    http://{api}/");
        mention!("  token      {token}");
    }
    mention!("  the hook   POST {uri} as JSON, signed, for every trigger");
    if options.endless {
        mention!("  the API    http://{api}/v2/accounts/default/webhooks");
        mention!("  add a hook of your own:");
        mention!(
            "    curl -X PUT http://{api}/v2/accounts/default/webhooks -H 'X-Auth-Token: {token}' \\"
        );
        mention!("      -H 'Content-Type: application/json' \\");
        mention!(
            "      -d '{{\"data\":{{\"name\":\"mine\",\"hook\":\"all\",\"format\":\"json\",\"uri\":\"http://127.0.0.1:9000/\"}}}}'"
        );
        mention!("  Ctrl-C ends it");
    }
    mention!("");

    let written = switch.written();
    let (go, waits) = watch::channel(0);
    let (counter, mut played) = watch::channel(0);
    let playing = tokio::spawn(switch.play(waits, counter));
    let mut tally = Tally::default();
    for call in 1.. {
        go.send_replace(call);
        let interrupted = tokio::select! {
            () = one_call(&mut arrived, &mut played, call, &written, &mut tally, &paint) => false,
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        // A loop that nobody looks at ends like one that is stopped: with nothing left behind.
        if interrupted || !options.endless || !mention!("") {
            break;
        }
    }
    if playing.is_finished() {
        playing.await??;
    }
    app.stop().await?;
    Ok(tally.sum_up(&paint))
}

/// The address asked for, or a free one where somebody else has it.
fn free_or_any(wanted: SocketAddr) -> String {
    match std::net::TcpListener::bind(wanted) {
        Ok(_) => wanted.to_string(),
        Err(error) => {
            eprintln!("{wanted}: {error}; the API takes another port");
            "127.0.0.1:0".into()
        }
    }
}

/// What else the loop has to show: a receiver that is fine, one that fails now and then, one that is gone.
fn more_hooks(receiver: SocketAddr) -> [Value; 3] {
    [
        json!({
            "name": "Call log", "description": "Each call once, when it is over",
            "hook": "call_hangup", "uri": format!("http://{receiver}/log"),
        }),
        json!({
            "name": "CRM", "description": "It fails now and then, and is tried again",
            "hook": ["call_received", "call_missed_or_answered"], "format": "json",
            "uri": format!("http://{receiver}/crm"),
        }),
        json!({
            "name": "Old wallboard", "description": "It is gone, says so, and is switched off for it",
            "hook": "channel_answer", "format": "json", "uri": format!("http://{receiver}/wallboard"),
        }),
    ]
}

/// Adds a hook of the demo as anybody would: over REST.
async fn add_hook(api: SocketAddr, token: &str, hook: Value) -> Result<(), Box<dyn Error>> {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .put(format!("http://{api}/v2/accounts/default/webhooks"))
        .header("X-Auth-Token", token)
        .header("Content-Type", "application/json")
        .body(json!({ "data": hook }).to_string())
        .send()
        .await?;
    match answer.status().as_u16() {
        201 => Ok(()),
        _ => Err(format!("the API would not take the hook: {}", answer.text().await?).into()),
    }
}

/// Shows what arrives of one call, until it was played and nothing more comes.
async fn one_call(
    arrived: &mut tokio::sync::mpsc::UnboundedReceiver<Arrived>,
    played: &mut watch::Receiver<u64>,
    call: u64,
    written: &Written,
    tally: &mut Tally,
    paint: &Paint,
) {
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        tokio::select! {
            Some(webhook) = arrived.recv() => {
                let sequence = webhook.payload["sequence"].as_u64().unwrap_or(0);
                let sent = written.lock().ok().and_then(|mut written| written.remove(&sequence));
                let took = sent.map(|sent| webhook.at.duration_since(sent));
                show(&webhook, took, paint);
                tally.add(&webhook, took);
            }
            () = tokio::time::sleep_until(deadline) => {
                if *played.borrow() >= call {
                    break;
                }
            }
        }
        let quiet = match *played.borrow_and_update() >= call {
            true => QUIET,
            false => PATIENCE,
        };
        deadline = Instant::now() + quiet;
    }
    if let Ok(mut written) = written.lock() {
        written.clear();
    }
}

/// What a line shows of a leg or a call when it is first heard of.
const INTRODUCED: &[&str] = &["call_direction", "caller_id_number", "destination_number"];

/// What every line shows, where the payload has it.
const SHOWN: &[&str] = &[
    "extension",
    "hangup_cause",
    "hangup_code",
    "duration_seconds",
    "billing_seconds",
    "ringing_seconds",
    "answered_by",
    "outcome",
];

fn show(webhook: &Arrived, took: Option<Duration>, paint: &Paint) {
    let payload = &webhook.payload;
    let text = |field: &str| match &payload[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let leg = match payload["is_root_leg"].as_bool() {
        Some(true) => "A",
        Some(false) => "B",
        None => " ",
    };
    let introduced = match text("hook_event").as_str() {
        "channel_create" | "call_received" => INTRODUCED,
        _ => &[],
    };
    let details: Vec<String> = introduced
        .iter()
        .chain(SHOWN)
        .map(|field| (*field, text(field)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(field, value)| format!("{}={value}", paint.dim(field)))
        .collect();
    let time = text("occurred_at");
    let time = time.get(11..23).unwrap_or(&time);
    let took = took.map_or(String::new(), |took| {
        format!("{:.1} ms", took.as_secs_f64() * 1e3)
    });
    let seal = if webhook.signed {
        paint.green("signed")
    } else {
        paint.red("BAD SIGNATURE")
    };
    mention!(
        "{} {leg} {} {seal} {:>8}  {}",
        paint.dim(time),
        paint.cyan(&format!("{:<24}", text("hook_event"))),
        took,
        details.join(" ")
    );
}

/// What arrived in all.
#[derive(Default)]
struct Tally {
    by_trigger: BTreeMap<String, u64>,
    times: Vec<Duration>,
    unsigned: u64,
}

impl Tally {
    fn add(&mut self, webhook: &Arrived, took: Option<Duration>) {
        let trigger = webhook.payload["hook_event"].as_str().unwrap_or("?");
        *self.by_trigger.entry(trigger.to_owned()).or_default() += 1;
        self.times.extend(took);
        self.unsigned += u64::from(!webhook.signed);
    }

    /// Prints the summary; whether it is a good one.
    fn sum_up(mut self, paint: &Paint) -> bool {
        let all: u64 = self.by_trigger.values().sum();
        let list: Vec<String> = self
            .by_trigger
            .iter()
            .map(|(trigger, count)| format!("{count} {trigger}"))
            .collect();
        mention!("");
        mention!(
            "{} {}",
            paint.bold(&format!("{all} webhooks arrived:")),
            list.join(", ")
        );
        self.times.sort();
        if let (Some(middle), Some(last)) =
            (self.times.get(self.times.len() / 2), self.times.last())
        {
            mention!(
                "from the switch's socket to the receiver, committed in between: {:.1} ms in the middle, {:.1} ms at most",
                middle.as_secs_f64() * 1e3,
                last.as_secs_f64() * 1e3
            );
        }
        let good = all > 0 && self.unsigned == 0;
        if !good {
            mention!(
                "{}",
                paint.red(&format!(
                    "{} had no good signature; expected some webhooks and none of those",
                    self.unsigned
                ))
            );
        }
        good
    }
}

/// Colours, where somebody sees them.
struct Paint(bool);

impl Paint {
    fn for_terminal() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn with(&self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn cyan(&self, text: &str) -> String {
        self.with("36", text)
    }

    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn red(&self, text: &str) -> String {
        self.with("31", text)
    }
}
