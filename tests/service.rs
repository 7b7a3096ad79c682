//! As a service: what systemd is told, and whether it would take the unit.

mod support;

use std::path::Path;
use std::time::Duration;

use support::daemon::Home;
use support::switch::{Script, Switch};
use tokio::net::UnixDatagram;

async fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = vec![0; 4_096];
    let received = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer));
    let length = received.await.expect("systemd hears of it").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn systemd_hears_when_it_is_ready_that_it_lives_and_how_it_is() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let path = home.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut child = home
        .command(&["serve"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "150000")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(heard(&manager).await.trim(), "READY=1");
    loop {
        let said = heard(&manager).await;
        assert!(said.contains("WATCHDOG=1"), "{said}");
        if said.contains("STATUS=connected to the switch; 0 deliveries pending") {
            break;
        }
    }
    let pid = child.id().unwrap().to_string();
    let kill = tokio::process::Command::new("kill").arg(pid).status();
    assert!(kill.await.unwrap().success());
    while !heard(&manager).await.contains("STOPPING=1") {}
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn systemd_hears_when_a_reload_begins_and_that_it_is_over() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let path = home.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let child = home
        .command(&["serve"])
        .env("NOTIFY_SOCKET", &path)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while heard(&manager).await.trim() != "READY=1" {}
    let pid = child.id().unwrap().to_string();
    let mut kill = tokio::process::Command::new("kill");
    let killed = kill.args(["-s", "HUP", &pid]).status().await;
    assert!(killed.unwrap().success());
    let begun = loop {
        let said = heard(&manager).await;
        if said.contains("RELOADING=1") {
            break said;
        }
    };
    let since = begun
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(since.unwrap().parse::<u64>().unwrap() > 0, "{begun}");
    assert_eq!(heard(&manager).await.trim(), "READY=1");
}

#[tokio::test]
async fn the_unit_is_one_that_systemd_takes_and_gives_little_away() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/switchhook.service");
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("switchhook.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    // The binary is not installed where the tests run.
    std::fs::write(
        &copy,
        text.replace("ExecStart=switchhook ", "ExecStart=true "),
    )
    .unwrap();
    let analyze = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("systemd-analyze");
        command.args(arguments).arg(&copy);
        command.output()
    };
    let Ok(verified) = analyze(&["verify"]).await else {
        println!("skipped: there is no systemd-analyze here");
        return;
    };
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = complaints
        .lines()
        .filter(|line| line.contains("switchhook.service"))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");

    let security = analyze(&["security", "--offline=true"]).await.unwrap();
    let table = String::from_utf8_lossy(&security.stdout).into_owned();
    let Some(overall) = table.split("Overall exposure level for").nth(1) else {
        println!("skipped: this systemd-analyze cannot judge a unit that is not loaded");
        return;
    };
    let score: f64 = overall
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap();
    assert!(score < 2.0, "{overall}");
}
