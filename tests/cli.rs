//! The command line over the REST API: what an operator types, and what comes back.

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::daemon::Home;
use support::receiver::{Behaviour, Receiver};
use support::switch::{Gate, Script, Switch};

/// Runs a command and gives its exit code and what it printed.
async fn run(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.command(arguments).output().await.unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs a command that must succeed and print JSON.
async fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let (code, out, err) = run(home, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

#[tokio::test]
async fn an_exit_code_says_the_same_where_nobody_hears_why() {
    let home = Home::new(1);
    let full = || std::fs::File::create("/dev/full").unwrap();
    let mut unreachable = home.command(&["hooks", "list"]);
    let ended = unreachable.stderr(full()).status().await.unwrap();
    assert_eq!(ended.code(), Some(1));
    let mut mistaken = home.command(&["config"]);
    let mistaken = mistaken.env("SWITCHHOOK_SWITCH__PORT", "none");
    let ended = mistaken.stderr(full()).status().await.unwrap();
    assert_eq!(ended.code(), Some(2));
}

#[tokio::test]
async fn a_check_that_nobody_reads_says_what_is_wrong_by_its_exit_code() {
    // No switch listens at port 1.
    let home = Home::new(1);
    let mut check = home.command(&["check"]);
    let mut check = check.stdout(Stdio::piped()).spawn().unwrap();
    drop(check.stdout.take());
    assert_eq!(check.wait().await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn another_program_at_the_port_is_told_from_a_switchhook() {
    let stranger = Receiver::start().await;
    stranger.behave(Behaviour::Answer(200, Vec::new(), b"[]".to_vec()));
    let mut home = Home::new(1);
    home.set("API__LISTEN", stranger.address());
    home.set("API__ADMIN_TOKEN", "of ours");
    for command in [&["check", "--running"], &["hooks", "list"]] {
        let (code, out, err) = run(&home, command).await;
        assert_eq!(code, 1, "{out}{err}");
        let said = format!("{out}{err}");
        assert!(said.contains("what is no answer of a switchhook"), "{said}");
    }
}

#[tokio::test]
async fn a_demo_that_nobody_reads_leaves_nothing_behind() {
    let home = Home::new(1);
    let scratch = home.path().join("tmp");
    std::fs::create_dir(&scratch).unwrap();
    let mut demo = home.bare_command(&["demo"]);
    let demo = demo.env("TMPDIR", &scratch).stdout(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    drop(demo.stdout.take());
    assert_eq!(demo.wait().await.unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
}

#[tokio::test]
async fn an_operator_adds_tests_breaks_and_mends_a_hook() {
    let gate = Gate::new();
    let script = Script::subscribed().pass(&gate).events_of("ivr.plain.esl");
    let switch = Switch::start([script]).await;
    let mut home = Home::new(switch.port());
    let mut daemon = home.serve().await;
    // The commands find the daemon by the same configuration.
    home.set("API__LISTEN", daemon.address());
    let mut receiver = Receiver::start().await;

    let uri = receiver.uri("/calls");
    let hook = json_of(
        &home,
        &[
            "hooks",
            "add",
            "--name",
            "ops",
            "--uri",
            &uri,
            "--hook",
            "channel_create, dtmf",
        ],
    )
    .await;
    let id = hook["id"].as_str().unwrap().to_owned();
    assert_eq!(hook["hook"], json!(["channel_create", "dtmf"]));

    let (code, table, _) = run(&home, &["hooks", "list"]).await;
    assert_eq!(code, 0);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("ID") && lines[0].contains("DISABLE_REASON"),
        "{table}"
    );
    assert!(
        lines[1].contains(&id) && lines[1].contains("channel_create,dtmf"),
        "{table}"
    );

    let attempt = json_of(&home, &["hooks", "test", &id]).await;
    assert_eq!(attempt["result"], "success");
    assert_eq!(receiver.next().await.trigger(), "channel_create");

    receiver.behave(Behaviour::status(410));
    gate.open();
    receiver.next().await;
    daemon.logged("switched off").await;
    let failing = json_of(&home, &["hooks", "failure-status", "--json"]).await;
    assert_eq!(failing[0]["id"], id.as_str());
    assert!(
        failing[0]["disable_reason"]
            .as_str()
            .unwrap()
            .contains("410")
    );

    receiver.behave(Behaviour::status(204));
    let again = json_of(&home, &["hooks", "enable-account"]).await;
    assert!(again.to_string().contains(&id), "{again}");
    let shown = json_of(&home, &["hooks", "show", &id]).await;
    assert_eq!(shown["enabled"], true);
    let counted = json_of(
        &home,
        &["hooks", "recover", &id, "--since", "1000000h", "--dry-run"],
    )
    .await;
    assert!(counted["count"].as_u64().unwrap() >= 1, "{counted}");

    let off = json_of(&home, &["hooks", "disable", &id]).await;
    assert_eq!(off["enabled"], false);
    let on = json_of(&home, &["hooks", "enable", &id]).await;
    assert_eq!(on["enabled"], true);

    let (_, attempts, _) = run(&home, &["attempts", "list", "--result", "failure"]).await;
    assert!(attempts.contains("410"), "{attempts}");
    let (code, _, err) = run(&home, &["hooks", "flush-failures"]).await;
    assert_eq!(code, 0, "{err}");
    json_of(&home, &["hooks", "delete", &id]).await;
    assert_eq!(
        json_of(&home, &["hooks", "list", "--json"]).await,
        json!([])
    );
}

#[tokio::test]
async fn accounts_and_tokens_are_made_and_taken_away() {
    let switch = Switch::start([Script::subscribed()]).await;
    let mut home = Home::new(switch.port());
    let daemon = home.serve().await;
    home.set("API__LISTEN", daemon.address());
    let account = json_of(
        &home,
        &[
            "accounts",
            "add",
            "--name",
            "Acme",
            "--realm",
            "acme.example.com",
            "--number",
            "+15557770000",
        ],
    )
    .await;
    let id = account["id"].as_str().unwrap();
    let (_, table, _) = run(&home, &["accounts", "list"]).await;
    assert!(
        table.contains("Acme") && table.contains("+15557770000"),
        "{table}"
    );
    // More numbers than a terminal has room for.
    let numbers: Vec<String> = (0..5_000).map(|n| format!("+1556{n:07}")).collect();
    let many = json!({"name": "Many", "numbers": numbers});
    let (status, answer) = daemon.api("PUT", "/v2/accounts", Some(many)).await;
    assert_eq!(status, 201, "{answer}");
    let (code, table, err) = run(&home, &["accounts", "list"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(table.contains("5000 in all: +15560000000,"), "{table}");
    let longest = table.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(300), "{longest:?}");
    // It is about all accounts, whichever is named.
    for order in [&["list"][..], &["add", "--name", "x"]] {
        let (code, _, err) = run(&home, &[&["accounts", "-A", id], order].concat()).await;
        assert_eq!(code, 2);
        assert!(err.contains("'-A'"), "{err}");
    }
    let token = json_of(&home, &["tokens", "add", "-A", id]).await;
    assert!(token["token"].is_string());
    let listed = json_of(&home, &["tokens", "list", "--json", "-A", id]).await;
    let token_id = match &listed[0]["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    json_of(&home, &["tokens", "revoke", "-A", id, &token_id]).await;
    json_of(&home, &["accounts", "delete", id]).await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_with_what_to_do() {
    let switch = Switch::start([Script::subscribed()]).await;
    let mut home = Home::new(switch.port());
    let daemon = home.serve().await;
    home.set("API__LISTEN", daemon.address());
    let (code, _, err) = run(
        &home,
        &[
            "hooks", "add", "--name", "x", "--uri", "ftp://x/", "--hook", "nonsense",
        ],
    )
    .await;
    assert_eq!(code, 1);
    assert!(
        err.contains("uri: Value must be an http, https or nats URI") && err.contains("hook"),
        "{err}"
    );
    let (code, _, err) = run(&home, &["hooks", "show", "no/such"]).await;
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = run(&home, &["hooks", "recover", "x", "--since", "yesterday"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("2h"), "{err}");

    for more in ["[1,2]", "\"str\"", "{"] {
        let add = [
            "hooks",
            "add",
            "--name",
            "x",
            "--uri",
            "http://127.0.0.1:9/",
        ];
        let (code, _, err) = run(&home, &[&add[..], &["--more", more]].concat()).await;
        assert_eq!(code, 1, "{more}");
        assert!(err.contains("--more is no JSON object"), "{err}");
    }
    let (code, _, err) = run(&home, &["attempts", "list", "-n", "0"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("'--most <MOST>'"), "{err}");
    let (code, _, err) = run(&home, &["tail", "-A", "nosuch"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("nosuch"), "{err}");

    home.set("API__ADMIN_TOKEN", "wrong");
    for order in [&["hooks", "list"][..], &["tail"]] {
        let (code, _, err) = run(&home, order).await;
        assert_eq!(code, 1);
        assert!(err.starts_with("invalid_credentials"), "{err}");
    }
    drop(daemon);
    home.set("API__LISTEN", "127.0.0.1:1");
    let (code, _, err) = run(&home, &["hooks", "list"]).await;
    assert_eq!(code, 1);
    assert!(
        err.contains("no switchhook answers at 127.0.0.1:1"),
        "{err}"
    );
}

#[tokio::test]
async fn tail_shows_what_happens_as_it_happens() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let gate = Gate::new();
    let script = Script::subscribed().pass(&gate).events_of("ivr.plain.esl");
    let switch = Switch::start([script]).await;
    let mut home = Home::new(switch.port());
    let daemon = home.serve().await;
    home.set("API__LISTEN", daemon.address());
    let receiver = Receiver::start().await;
    daemon
        .add_hook(json!({"name": "t", "hook": "channel_create", "uri": receiver.uri("/")}))
        .await;
    let other = json!({"name": "Other"});
    let (_, other) = daemon
        .api("PUT", "/v2/accounts?id=other", Some(other))
        .await;
    let others = format!(
        "/v2/accounts/{}/webhooks",
        other["data"]["id"].as_str().unwrap()
    );
    let hook = json!({"name": "o", "hook": "channel_create", "uri": receiver.uri("/")});
    let (_, hook) = daemon.api("PUT", &others, Some(hook)).await;
    let others = format!("{others}/{}/test", hook["data"]["id"].as_str().unwrap());
    let mut tail = home
        .command(&["tail", "-A", "default"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // Nothing says when the feed is open: a hook's test is repeated until it is seen there.
    let id = daemon
        .api("GET", "/v2/accounts/default/webhooks", None)
        .await
        .1["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v2/accounts/default/webhooks/{id}/test");
    let seen = async {
        loop {
            tokio::select! {
                line = lines.next_line() => return line.unwrap().unwrap(),
                // What happens in another account comes first, and is not shown.
                _ = async {
                    daemon.api("PUT", &others, Some(json!({}))).await;
                    daemon.api("PUT", &path, Some(json!({}))).await;
                } => {}
            }
        }
    };
    let line = tokio::time::timeout(std::time::Duration::from_secs(20), seen)
        .await
        .expect("tail shows something");
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["account_id"], "default", "{line}");
    gate.open();
}
