//! What the daemon writes into its log, and what never.

mod support;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::caller::{Caller, Did};
use support::capture;
use support::daemon::{ADMIN, Daemon, Home};
use support::exchange::Exchange;
use support::receiver::{Behaviour, Receiver};
use support::switch::{Gate, Script, Switch};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

/// What must not be found in a log, each where it is set below.
const SECRETS: [&str; 11] = [
    "Sw1tchP4ss",
    "H00kHeaderValue",
    "V0rp4lQueryString",
    "FlowQueryString",
    "EventQueryString",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "N0SuchT0ken",
    "FlowHeaderValue",
    // The digits of the recorded caller in a menu, and of the one in a callflow: more than a second has microseconds.
    "42#",
    "739151846",
];

const CAPTURES: [&str; 11] = [
    "bridge.plain.esl",
    "busy.plain.esl",
    "caller-cancel.plain.esl",
    "click2call.plain.esl",
    "hold-refused.plain.esl",
    "ivr.plain.esl",
    "missed-vm.plain.esl",
    "queue.plain.esl",
    "ringgroup.plain.esl",
    "transfer.plain.esl",
    "utf8.plain.esl",
];

/// Everything that a daemon meets, with a secret wherever there can be one; its log, and the tokens that it made.
async fn a_day_at_level_trace(format: &str) -> (String, Vec<String>) {
    let gate = Gate::new();
    let action = capture::event(&[
        ("Event-Name", "CUSTOM"),
        ("Event-Subclass", "switchhook::webhook"),
        ("Event-Sequence", "900001"),
        ("Core-UUID", "bd449c15-abdc-4f45-a85b-156e559d301f"),
        ("uri", "http://127.0.0.1:9/event?token=EventQueryString"),
    ]);
    let wrong = capture::event(&[
        ("Event-Name", "CUSTOM"),
        ("Event-Subclass", "switchhook::webhook"),
        ("uri", "ftp://user:EventQueryString@x/?EventQueryString"),
    ]);
    let mut script = Script::login(SECRETS[0]).expect("event plain").pass(&gate);
    for name in CAPTURES {
        script = script.events_of(name);
    }
    let switch = Switch::start([script.say(action).say(wrong)]).await;
    let port = TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let outbound = port.local_addr().unwrap();
    let home = Home::new(switch.port())
        .with("SWITCH__PASSWORD", SECRETS[0])
        .with("LOG__LEVEL", "trace")
        .with("LOG__FORMAT", format)
        .with("OUTBOUND__LISTEN", outbound);
    let mut daemon = home.serve().await;
    let mut receiver = Receiver::start().await;
    let gone = Receiver::start().await;
    gone.behave(Behaviour::status(410));
    let failing = Receiver::start().await;
    failing.behave(Behaviour::status(500));
    for uri in [
        receiver.uri("/"),
        gone.uri("/"),
        failing.uri("/"),
        "http://127.0.0.1:9/".to_owned(),
    ] {
        daemon
            .add_hook(json!({
                "name": "calls", "hook": "all", "format": "json", "retries": 1,
                "uri": format!("{uri}?token=V0rp4lQueryString"),
                "secret": SECRETS[5],
                "custom_request_headers": {"X-Key": "H00kHeaderValue"},
            }))
            .await;
    }
    let mut made = vec![ADMIN.to_owned()];
    let (_, key) = daemon
        .api("GET", "/v2/accounts/default/api_key", None)
        .await;
    let key = key["data"]["api_key"].as_str().unwrap().to_owned();
    let login = json!({ "api_key": key });
    let (_, session) = daemon.api("PUT", "/v2/api_auth", Some(login)).await;
    made.push(session["auth_token"].as_str().unwrap().to_owned());
    made.push(key);
    let refused = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..20 {
        let url = format!("http://{}/v2/accounts", daemon.address());
        let request = refused.get(url).header("X-Auth-Token", SECRETS[7]);
        request.send().await.unwrap();
    }

    gate.open();
    let mut ended = 0;
    receiver
        .until(|request| {
            ended += usize::from(request.trigger() == "channel_destroy");
            ended == CAPTURES.len()
        })
        .await;
    call_a_menu(&daemon, outbound, &mut receiver).await;
    daemon.logged("the dialplan's webhook event").await;
    daemon.logged("switched off").await;
    (daemon.whole_log().await, made)
}

/// A callflow that asks for digits, tells a receiver and has a mistake in it.
async fn call_a_menu(daemon: &Daemon, outbound: std::net::SocketAddr, receiver: &mut Receiver) {
    let webhook = json!({"module": "webhook", "data": {
        "uri": receiver.uri("/flow?token=FlowQueryString"), "format": "json", "retries": 0,
        "custom_request_headers": {"X-Key": "FlowHeaderValue"},
    }});
    let flow = json!({"module": "menu",
        "data": {"file": "menu.wav"},
        "children": {"_": webhook.clone(), "739151846": webhook}});
    let callflow = json!({"numbers": ["+15550001111"], "flow": flow});
    let (status, answer) = daemon
        .api("PUT", "/v2/accounts/default/callflows", Some(callflow))
        .await;
    assert_eq!(status, 201, "{answer}");
    let id = answer["data"]["id"].as_str().unwrap();
    for path in [format!("callflow/{id}"), "callflow/none".to_owned()] {
        let caller = Caller::new()
            .with("socket_path", &path)
            .with(
                "current_application_data",
                &format!("127.0.0.1:8084/{path} async full"),
            )
            .with("webhook_uri", "http://127.0.0.1:9/?token=FlowQueryString")
            .applications(|application, _| match application {
                "play_and_get_digits" => Did::set("callflow_digits", "739151846"),
                _ => Did::nothing(),
            });
        let story = tokio::time::timeout(Duration::from_secs(20), caller.dial(outbound));
        story.await.expect("the call is let go");
    }
    receiver
        .until(|request| request.target.starts_with("/flow?"))
        .await;
}

#[tokio::test]
async fn no_secret_is_ever_in_it_in_either_format() {
    for format in ["text", "json"] {
        let (log, made) = a_day_at_level_trace(format).await;
        let made = made.iter().map(String::as_str);
        for secret in SECRETS.into_iter().chain(made) {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret}");
        }
        let about_digits =
            |line: &&str| line.to_lowercase().contains("dtmf") && line.contains("digit");
        assert_eq!(log.lines().find(about_digits), None);
        let failed = log
            .lines()
            .find(|line| line.contains("not delivered"))
            .unwrap();
        // Which fails first is up to the day; it need not be of a call.
        for field in ["hook_id", "trigger"] {
            assert!(failed.contains(field), "{failed}");
        }
        assert!(log.contains("call_id"));
        // As one looks for it: `journalctl -g 'call_id=…'`.
        let quoted = |line: &&str| line.contains("_id=\"");
        assert_eq!(log.lines().find(quoted), None);
        if format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).expect(line);
                assert!(
                    line["message"].is_string() && line["level"].is_string(),
                    "{line}"
                );
            }
        }
    }
}

/// `name=NUMBER` of a line.
fn number(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn a_flood_of_failures_is_a_few_lines_and_a_sum() {
    const CALLS: u64 = 60;
    let mut exchange = Exchange::start().await;
    let home = Home::new(exchange.port())
        .with("DELIVERY__DISABLE_DISABLER", true)
        .with("DELIVERY__ENDPOINT_RATE", 100_000)
        .with("DELIVERY__ENDPOINT_BURST", 100_000);
    let mut daemon = home.serve().await;
    daemon.logged("connected to the switch").await;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::status(404));
    let hook = json!({"name": "gone", "hook": "all", "uri": receiver.uri("/"), "retries": 0});
    daemon.add_hook(hook).await;
    let began = Instant::now();
    exchange.dial(CALLS, 200);
    exchange.over(CALLS).await;
    // Each call is created and ends, at the least.
    let settled = async {
        while (daemon.attempts().await.len() as u64) < 2 * CALLS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled)
        .await
        .expect("all are tried");
    let log = daemon.whole_log().await;
    let windows = began.elapsed().as_secs() / 10 + 1;
    let is_sum = |line: &&str| line.contains("more lines were left out");
    let lines = log
        .lines()
        .filter(|line| line.contains("not delivered: status 404"));
    let (sums, lines): (Vec<&str>, Vec<&str>) = lines.partition(is_sum);
    assert!(lines.len() as u64 <= 10 * windows, "{log}");
    assert!(!sums.is_empty(), "{log}");
    let left_out: u64 = sums
        .iter()
        .filter_map(|line| number(line, "left_out"))
        .sum();
    assert!(lines.len() as u64 + left_out >= 2 * CALLS, "{sums:#?}");
}

/// What a daemon writes to a pipe that `JOURNAL_STREAM` names, or does not. It finds its port taken.
async fn into_a_pipe(is_journal: bool) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = Home::new(1).with("API__LISTEN", taken.local_addr().unwrap());
    let (mut read, write) = std::io::pipe().unwrap();
    let pipe = File::from(OwnedFd::from(write.try_clone().unwrap()));
    let found = pipe.metadata().unwrap();
    let inode = found.ino() + u64::from(!is_journal);
    let mut command = home.command(&["serve"]);
    command
        .env("JOURNAL_STREAM", format!("{}:{inode}", found.dev()))
        .stderr(Stdio::from(write));
    let status = command.status().await.unwrap();
    assert_eq!(status.code(), Some(1));
    drop((command, pipe));
    let mut said = String::new();
    read.read_to_string(&mut said).unwrap();
    said
}

#[tokio::test]
async fn journald_is_told_the_level_and_no_time_and_nobody_else_is() {
    let said = into_a_pipe(true).await;
    assert!(said.starts_with("<3>ERROR [api] listen = "), "{said}");
    let said = into_a_pipe(false).await;
    assert!(said.starts_with("20"), "{said}");
    assert!(said.contains("Z ERROR [api] listen = "), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
}
