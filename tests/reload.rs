//! SIGHUP: an operator changes the configuration of a daemon that runs.

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::daemon::Home;
use support::receiver::Receiver;
use support::switch::{Gate, Script, Switch};

const PASSWORD: &str = "n3w-p4ssw0rd";
/// So many that a request a second would take them a quarter of an hour.
const HOOKS: usize = 100;

/// A home whose configuration is the file `switchhook.toml` with drop-ins, as far as a test has something to say.
fn home(switch: &Switch, text: &str) -> Home {
    let mut home = Home::new(switch.port());
    let file = home.path().join("switchhook.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir(home.path().join("conf.d")).unwrap();
    home.set("CONFIG", file.display());
    home
}

fn drop_in(directory: &Path, text: &str) {
    std::fs::write(directory.join("conf.d/10.toml"), text).unwrap();
}

#[tokio::test]
async fn the_log_level_the_rate_and_the_password_change_while_it_runs() {
    let gate = Gate::new();
    let refuses = Script::login(PASSWORD);
    let plays = Script::login(PASSWORD)
        .expect("event plain")
        .pass(&gate)
        .events_of("ivr.plain.esl");
    let switch = Switch::start([refuses, plays]).await;
    let home = home(
        &switch,
        "[switch]\npassword = \"0ld\"\n[delivery]\nendpoint_rate = 1\nendpoint_burst = 1\n",
    );
    let mut daemon = home.serve().await;
    daemon.logged("the switch refuses the login").await;

    // Mistakes change nothing, and each is named.
    let password = format!("[switch]\npassword = \"{PASSWORD}\"\n");
    drop_in(
        home.path(),
        &format!("{password}[log]\nlevel = 3\n[delivery]\nendpoint_rate = \"fast\"\n"),
    );
    daemon.signal("HUP").await;
    daemon.logged("10.toml:4: log.level: must be a text").await;
    daemon
        .logged("10.toml:6: delivery.endpoint_rate: must be")
        .await;
    daemon.logged("was not reloaded, nothing is changed").await;
    assert!(
        !switch
            .commands()
            .iter()
            .any(|command| command.contains(PASSWORD))
    );

    // What cannot be used changes nothing either.
    drop_in(
        home.path(),
        "[switch]\npassword = \"two\\nlines\"\n[log]\nlevel = \"debug\"\n",
    );
    daemon.signal("HUP").await;
    daemon
        .logged("nothing is changed: [switch] user, password")
        .await;

    // It logs in at once: by itself it would not have tried again for half a minute.
    drop_in(
        home.path(),
        &format!("{password}[accounts]\ntrust_sip_header = true\n"),
    );
    daemon.signal("HUP").await;
    switch.heard(&format!("auth {PASSWORD}")).await;
    daemon.logged("connected to the switch").await;
    daemon
        .logged(
            "applied: switch.password; needs a restart: accounts.trust_sip_header false -> true",
        )
        .await;

    let mut receiver = Receiver::start().await;
    for n in 0..HOOKS {
        let hook = json!({"name": n.to_string(), "hook": "all", "format": "json", "uri": receiver.uri("/")});
        daemon.add_hook(hook).await;
    }
    gate.open();
    receiver.next().await;
    drop_in(
        home.path(),
        &format!(
            "{password}[log]\nlevel = \"debug\"\n[delivery]\nendpoint_rate = 100000\nendpoint_burst = 100000\n"
        ),
    );
    daemon.signal("HUP").await;
    daemon
        .logged("applied: delivery.endpoint_rate 1 -> 100000, delivery.endpoint_burst 1 -> 100000, log.level \"info\" -> \"debug\"")
        .await;
    let mut ended = 0;
    let all = receiver.until(|request| {
        ended += usize::from(request.trigger() == "channel_destroy");
        ended == HOOKS
    });
    let all = tokio::time::timeout(Duration::from_secs(120), all).await;
    all.expect("the new rate holds for what had to wait under the old one");
    daemon.logged(" delivered ").await;
    let log = daemon.whole_log().await;
    assert!(!log.contains(PASSWORD) && !log.contains("0ld"), "{log}");
}

#[tokio::test]
async fn a_new_admin_token_counts_at_once_and_the_old_one_no_more() {
    let switch = Switch::start([Script::subscribed()]).await;
    let mut home = home(&switch, "");
    let file = home.path().join("token");
    std::fs::write(&file, "first").unwrap();
    home.unset("API__ADMIN_TOKEN");
    home.set("API__ADMIN_TOKEN_FILE", file.display());
    let mut daemon = home.serve().await;
    let status = async |daemon: &support::daemon::Daemon, token: &str| {
        let url = format!("http://{}/v2/accounts", daemon.address());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("X-Auth-Token", token).send().await;
        answer.unwrap().status().as_u16()
    };
    assert_eq!(status(&daemon, "first").await, 200);
    std::fs::write(&file, "second").unwrap();
    assert_eq!(status(&daemon, "second").await, 401);
    daemon.signal("HUP").await;
    daemon.logged("applied: api.admin_token").await;
    assert_eq!(status(&daemon, "second").await, 200);
    assert_eq!(status(&daemon, "first").await, 401);
    // Nothing in the file is no token.
    std::fs::write(&file, "").unwrap();
    daemon.signal("HUP").await;
    daemon.logged("api.admin_token_file: holds nothing").await;
    assert_eq!(status(&daemon, "second").await, 200);
}
