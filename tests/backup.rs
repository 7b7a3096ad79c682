//! `switchhook backup`: a copy of a database that is being written to, and a daemon that goes on from it.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::daemon::{Daemon, Home};
use support::receiver::{Behaviour, Receiver};
use support::switch::{Gate, Script, Switch};
use tokio::time::Instant;

async fn back_up(home: &Home, arguments: &[&str]) -> (bool, String) {
    let output = home.command(arguments).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Waits until so many deliveries to a hook are pending.
async fn pending(daemon: &Daemon, hook: &str, at_least: u64) {
    let path = format!("/v2/accounts/default/webhooks/{hook}/stats");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, answer) = daemon.api("GET", &path, None).await;
        if answer["data"]["pending"].as_u64().unwrap() >= at_least {
            return;
        }
        assert!(Instant::now() < deadline, "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The webhook ids that are still to be sent, by the database itself.
fn owed(database: &Path) -> BTreeSet<String> {
    let conn = Connection::open(database).unwrap();
    let mut statement = conn
        .prepare("SELECT lower(hex(webhook_id)) FROM deliveries WHERE due_at IS NOT NULL")
        .unwrap();
    let ids = statement
        .query_map((), |row| row.get::<_, String>(0))
        .unwrap();
    ids.map(|id| format!("msg_{}", id.unwrap())).collect()
}

#[tokio::test]
async fn a_daemon_on_the_copy_sends_what_was_owed_when_it_was_made() {
    let ringing = Gate::new();
    let call = Script::subscribed()
        .pass(&ringing)
        .events_of("ivr.plain.esl");
    let switch = Switch::start([call, Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let mut receiver = Receiver::start().await;
    // Nothing is answered: everything that happens stays owed.
    let _never = receiver.hold();
    let daemon = home.serve().await;
    let hook = json!({"name": "all", "hook": "all", "format": "json", "uri": receiver.uri("/")});
    let id = daemon.add_hook(hook).await;
    // Some megabytes, so that the copy takes more than one step.
    let filler = json!({"name": "filler", "hook": "dtmf", "uri": receiver.uri("/"),
        "numbers": ["+1"], "notes": "x".repeat(60_000)});
    for _ in 0..50 {
        daemon.add_hook(filler.clone()).await;
    }
    ringing.open();
    pending(&daemon, &id, 5).await;

    // While it is copied, hooks are changed as fast as they can be.
    let file = home.path().join("copy.db");
    let path = format!("/v2/accounts/default/webhooks/{id}");
    let arguments = ["backup", file.to_str().unwrap()];
    let backup = back_up(&home, &arguments);
    tokio::pin!(backup);
    let mut changes = 0;
    let (done, said) = loop {
        tokio::select! {
            done = &mut backup => break done,
            (status, answer) = daemon.api("PATCH", &path, Some(json!({"change": changes}))) => {
                assert_eq!(status, 200, "{answer}");
                changes += 1;
            }
        }
    };
    assert!(done && said.contains("51 hooks"), "{said}");
    assert!(changes > 0, "the daemon answered meanwhile");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    daemon.kill().await;

    let other = Home::new(switch.port());
    std::fs::copy(&file, other.database()).unwrap();
    let owed = owed(&file);
    assert!(owed.len() >= 5, "{owed:?}");
    receiver.rest();
    receiver.behave(Behaviour::status(204));
    let daemon = other.serve().await;
    let mut sent = BTreeSet::new();
    while !owed.is_subset(&sent) {
        sent.insert(receiver.next().await.header("webhook-id").to_owned());
    }
    let (status, answer) = daemon.api("GET", &path, None).await;
    assert_eq!((status, &answer["data"]["name"]), (200, &json!("all")));
}

#[tokio::test]
async fn nothing_is_overwritten_that_was_not_meant_to_be() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let file = home.path().join("copy.db");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "something of mine").unwrap();

    let (done, said) = back_up(&home, &["backup", name]).await;
    assert!(!done && said.contains("--force"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"something of mine");
    let (done, said) = back_up(&home, &["backup", name, "--force"]).await;
    assert!(done, "{said}");

    // Never the database itself, whatever it is called.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(home.database(), &link).unwrap();
    let log = format!("{}-wal", home.database().display());
    for path in [
        home.database().to_str().unwrap(),
        link.to_str().unwrap(),
        &log,
    ] {
        let (done, said) = back_up(&home, &["backup", path, "--force"]).await;
        assert!(!done && said.contains("belongs to the database"), "{said}");
    }
    let (done, said) = back_up(&home, &["backup", "/proc/nowhere/copy.db"]).await;
    assert!(!done && said.contains("/proc/nowhere/copy.db"), "{said}");
    let (status, _) = daemon
        .api("GET", "/v2/accounts/default/webhooks", None)
        .await;
    assert_eq!(status, 200);
    let left = std::fs::read_dir(home.path()).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".switchhook-backup")
    });
    assert_eq!(left.count(), 0, "no half copy is left behind");
}

#[tokio::test]
async fn a_damaged_database_gives_no_backup() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    daemon
        .add_hook(json!({"name": "a", "hook": "all", "uri": "http://127.0.0.1:9/"}))
        .await;
    assert!(daemon.terminate().await.success());
    // All else can be read, and copied.
    damage(&home.database(), "attempts_by_queue");
    let file = home.path().join("copy.db");
    let (done, said) = back_up(&home, &["backup", file.to_str().unwrap()]).await;
    assert!(!done && said.contains("the copy is damaged"), "{said}");
    assert!(!file.exists());

    // Whoever starts the daemon on it is told what helps.
    damage(&home.database(), "hooks");
    let serve = home.command(&["serve"]).output().await.unwrap();
    let said = String::from_utf8(serve.stderr).unwrap();
    let path = home.database().display().to_string();
    assert!(!serve.status.success() && said.contains(&path), "{said}");
    assert!(
        said.contains("malformed") && said.contains("switchhook restore"),
        "{said}"
    );
}

/// Overwrites the first page of a table or an index.
fn damage(database: &Path, name: &str) {
    let conn = Connection::open(database).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
    let page: i64 = conn.query_row(root, [name], |row| row.get(0)).unwrap();
    drop(conn);
    let mut bytes = std::fs::read(database).unwrap();
    let begin = (page as usize - 1) * 8_192;
    bytes[begin..begin + 8_192].fill(0);
    std::fs::write(database, bytes).unwrap();
}

#[tokio::test]
#[ignore = "mounts a small tmpfs, for which it has to be root: cargo test --test backup -- --ignored"]
async fn a_full_disk_is_called_so_and_nothing_is_left_on_it() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    assert!(daemon.terminate().await.success());
    let whole = home.path().join("whole.db");
    let (done, said) = back_up(&home, &["backup", whole.to_str().unwrap()]).await;
    assert!(done, "{said}");
    let pages = whole.metadata().unwrap().len() / 4_096;
    let small = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        let done = command.args(arguments).arg(small.path()).status();
        assert!(done.unwrap().success(), "{program}");
    };
    let file = small.path().join("copy.db");
    // At the first of them there is room for the copy, but not for the log that it has for a moment.
    for room in [pages + 1, pages, pages / 2] {
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={}k", room * 4), "tmpfs"],
        );
        let (done, said) = back_up(&home, &["backup", file.to_str().unwrap()]).await;
        let left = std::fs::read_dir(small.path()).unwrap().count();
        run("umount", &[]);
        assert!(!done && said.contains("No space left on device"), "{said}");
        assert_eq!(left, 0);
    }
}

/// The names of the hooks in a database that nobody has.
fn names(database: &Path) -> Vec<String> {
    let conn = Connection::open(database).unwrap();
    let mut statement = conn
        .prepare("SELECT document ->> 'name' FROM hooks WHERE deleted IS NULL ORDER BY 1")
        .unwrap();
    let names = statement.query_map((), |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_database_and_of_its_log() {
    let switch = Switch::start([Script::subscribed(), Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let hook = |name: &str| json!({"name": name, "hook": "all", "uri": "http://127.0.0.1:9/"});
    daemon.add_hook(hook("before")).await;
    let file = home.path().join("copy.db");
    let file = file.to_str().unwrap();
    let (done, said) = back_up(&home, &["backup", file]).await;
    assert!(done && said.contains(": 1 hook, "), "{said}");
    daemon.add_hook(hook("after")).await;

    let (done, said) = back_up(&home, &["restore", file]).await;
    assert!(
        !done && said.contains("in use by another switchhook"),
        "{said}"
    );
    daemon.kill().await;
    let log = format!("{}-wal", home.database().display());
    assert!(
        std::fs::metadata(&log).unwrap().len() > 0,
        "a log to fall into"
    );

    // Nothing is touched for what is no backup.
    let diary = home.path().join("diary");
    std::fs::write(&diary, "this is somebody's diary").unwrap();
    let empty = home.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let before = std::fs::read(home.database()).unwrap();
    for (name, why) in [
        (diary.to_str().unwrap(), "it is no backup"),
        (empty.to_str().unwrap(), "it is no backup"),
        ("/nowhere/copy.db", "No such file"),
    ] {
        let (done, said) = back_up(&home, &["restore", name]).await;
        assert!(!done && said.contains(why) && said.contains(name), "{said}");
    }
    assert_eq!(std::fs::read(home.database()).unwrap(), before);

    let (done, said) = back_up(&home, &["restore", file]).await;
    let kept = format!("{}.replaced", home.database().display());
    assert!(done && said.contains(&kept), "{said}");
    assert!(!Path::new(&log).exists());
    let mode = home.database().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let daemon = home.serve().await;
    let path = "/v2/accounts/default/webhooks";
    let (_, answer) = daemon.api("GET", path, None).await;
    assert_eq!(answer["data"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["data"][0]["name"], "before");
    assert!(daemon.terminate().await.success());
    assert_eq!(names(Path::new(&kept)), ["after", "before"], "with its log");

    // What is kept is not written over.
    let (done, said) = back_up(&home, &["restore", file]).await;
    assert!(!done && said.contains("--force"), "{said}");
    let (done, said) = back_up(&home, &["restore", file, "--force"]).await;
    assert!(done && !said.contains("kept"), "{said}");
    assert_eq!(names(Path::new(&kept)), ["after", "before"]);
    assert_eq!(names(&home.database()), ["before"]);
}
