//! How it is: what `/health/ready` says, and `switchhook check --running` to whoever asks on the machine.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use support::api::Api;
use support::daemon::{Daemon, Home};
use support::switch::{Script, Switch};
use tokio::net::TcpListener;

/// `/health/ready` once it has this status.
async fn ready(api: &Api, status: u16) -> serde_json::Value {
    let asked = async {
        loop {
            let answer = api.answer(api.request("GET", "/health/ready")).await;
            if answer.status == status {
                return answer.body["data"].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), asked).await;
    found.unwrap_or_else(|_| panic!("it never says {status}"))
}

#[tokio::test]
async fn a_writer_that_hangs_is_a_stall_though_the_database_has_said_nothing() {
    let api = Api::start().await;
    assert_eq!(ready(&api, 200).await["reasons"], serde_json::json!([]));
    // A transaction that does not end, as on a disk that does not answer.
    let (answer, disk) = mpsc::channel::<()>();
    let disk = std::sync::Mutex::new(disk);
    let store = api.store.clone();
    let hanging = tokio::spawn(async move {
        let hangs = move |_: &mut switchhook::store::Tx<'_>| {
            let _ = disk.lock().unwrap().recv();
            Ok(())
        };
        store.write(hangs).await
    });
    let data = ready(&api, 503).await;
    let reason = data["reasons"][0].as_str().unwrap();
    assert!(
        reason.contains("the database has taken nothing since"),
        "{reason}"
    );
    assert!(
        reason.contains("a transaction has been under way for"),
        "{reason}"
    );
    assert_eq!(data["store"]["working"], false);
    assert!(data["store"]["last_error"].is_string());
    drop(answer);
    let data = ready(&api, 200).await;
    assert_eq!(data["store"]["stalled_since"], serde_json::Value::Null);
    assert_eq!(data["store"]["last_error"], serde_json::Value::Null);
    // Whoever waited longer than is waited has been told so; it makes no difference here.
    let _ = hanging.await.unwrap();
}

async fn check(home: &Home) -> (Option<i32>, String) {
    let mut command = home.command(&["check", "--running"]);
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{said}");
    (output.status.code(), said)
}

async fn started(switch: &Switch) -> (Home, Daemon) {
    let mut home = Home::new(switch.port());
    let daemon = home.serve().await;
    // The command finds the daemon by the same configuration.
    home.set("API__LISTEN", daemon.address());
    // Health is nobody's secret.
    home.unset("API__ADMIN_TOKEN");
    (home, daemon)
}

#[tokio::test]
async fn check_asks_the_running_daemon_and_its_exit_code_tells() {
    let switch = Switch::start([Script::subscribed()]).await;
    let (home, mut daemon) = started(&switch).await;
    daemon.logged("connected to the switch").await;
    let (code, said) = check(&home).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("ok     daemon: version "), "{said}");
    assert!(
        lines[1].starts_with("ok     switch: connected since 20"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("ok     database: takes writes"),
        "{said}"
    );
    assert!(lines[3].starts_with("ok     queue: 0 deliveries"), "{said}");
    assert_eq!(lines.len(), 4, "{said}");

    switch.stop().await;
    daemon.logged("connecting again").await;
    let (code, said) = check(&home).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("WRONG  switch: not connected: "), "{said}");
    assert!(said.contains("ok     database"), "{said}");

    daemon.terminate().await;
    let (code, said) = check(&home).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("WRONG  daemon: it is not running: nobody listens at"),
        "{said}"
    );
}

#[tokio::test]
async fn check_knows_a_daemon_that_hangs_and_a_stranger_on_its_port() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = Home::new(1).with("API__LISTEN", silent.local_addr().unwrap());
    let (code, said) = check(&home).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("WRONG  daemon: it hangs: "), "{said}");
    drop(silent);

    let stranger = support::receiver::Receiver::start().await;
    stranger.behave(support::receiver::Behaviour::Answer(
        200,
        Vec::new(),
        b"<html>\x1b[2Jwelcome</html>".to_vec(),
    ));
    let home = Home::new(1).with("API__LISTEN", stranger.address());
    let (code, said) = check(&home).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no answer of a switchhook"), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
}
