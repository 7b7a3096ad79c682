//! Databases of every schema there ever was, opened by the present daemon: all that was in them is served, and what was
//! owed is sent. `tests/databases` has one of each; a new file in `sql/` needs a new one there.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::json;
use support::daemon::{Daemon, Home};
use support::receiver::{Receiver, Request};
use support::switch::{Script, Switch};

/// A token of the account `acme` in each of them.
const TOKEN: &str = "b4y5HQDhfJNDUEC5i1j2Jw5Zt6kq-bF7Bf72QIlwBoo";
/// The call in the middle of which its daemon was killed.
const CALL: &str = "5766a837-090a-4931-8e66-2c0fe37a1298";
/// What was not sent yet then.
const OWED: [&str; 5] = [
    "msg_154ea2cdcb4fb3f818df5fc217303546",
    "msg_6d7a32e39e0ee4ea3ade003e9c4675ff",
    "msg_840bbbc59e1d8ca76401dce24298adc1",
    "msg_78e0e2b4609badde75e97ac71490f9cb",
    "msg_12366cdba40a932e6c066f3f18ecefe0",
];

/// The same switch, some time later: no call is left.
async fn quiet_switch() -> Switch {
    let script = Script::subscribed()
        .answer(
            "global_getvar core_uuid",
            "bd449c15-abdc-4f45-a85b-156e559d301f",
        )
        .answer("show channels as json", r#"{"row_count": 0}"#);
    Switch::start([script]).await
}

fn sorted(directory: &str) -> Vec<PathBuf> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn dump(version: usize) -> String {
    std::fs::read_to_string(&sorted("tests/databases")[version - 1]).unwrap()
}

/// A daemon on the database of an older one, whose hooks point at `receiver`.
async fn upgraded(version: usize, switch: &Switch, receiver: &Receiver) -> (Home, Daemon) {
    // What was recorded then is old when this is run, and is to be kept all the same.
    let home = Home::new(switch.port()).with("STORE__RETENTION_DAYS", 36_500);
    let dump = dump(version).replace("127.0.0.1:9999", &receiver.address().to_string());
    let conn = Connection::open(home.database()).unwrap();
    conn.execute_batch(&dump).unwrap();
    drop(conn);
    let daemon = home.serve().await;
    (home, daemon)
}

async fn what_is_managed_is_served(daemon: &Daemon) {
    let get = async |path: &str| {
        let (status, answer) = daemon.api("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer["data"].clone()
    };
    let account = get("/v2/accounts/acme").await;
    assert_eq!(account["realm"], "acme.example.com");
    assert_eq!(account["parent"], "default");
    assert_eq!(account["numbers"], json!(["+15557770000"]));
    assert_eq!(account["crm"], json!({"id": 7}));
    let hook = get("/v2/accounts/acme/webhooks/signed").await;
    assert_eq!(hook["hook"], "call_missed");
    assert_eq!(hook["has_secret"], true);
    assert_eq!(hook["mine"], json!({"kept": true}));
    let hooks = get("/v2/accounts/default/webhooks").await;
    assert_eq!(
        hooks.as_array().unwrap().len(),
        1,
        "deleted ones stay deleted: {hooks}"
    );
    let callflow = get("/v2/accounts/acme/callflows/menu").await;
    assert_eq!(callflow["numbers"], json!(["+15557770001", "no_match"]));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v2/accounts/acme/webhooks", daemon.address());
    let answer = client.get(url).header("X-Auth-Token", TOKEN).send().await;
    assert_eq!(answer.unwrap().status(), 200);
}

async fn what_was_owed_is_sent(receiver: &mut Receiver) {
    let mut sent = BTreeSet::new();
    let ends = |request: &Request| request.trigger() == "channel_destroy";
    let mut ended = false;
    while !(ended && OWED.iter().all(|id| sent.contains(*id))) {
        let request = receiver.next().await;
        // The channel that was remembered is not there any more.
        if ends(&request) {
            assert_eq!(request.field("call_id"), CALL);
            assert_eq!(request.field("reconciled"), "true");
            ended = true;
        }
        sent.insert(request.header("webhook-id").to_owned());
    }
}

#[tokio::test]
async fn hooks_and_accounts_of_schema_1_are_served() {
    let switch = quiet_switch().await;
    let receiver = Receiver::start().await;
    let (_home, daemon) = upgraded(1, &switch, &receiver).await;
    what_is_managed_is_served(&daemon).await;
}

#[tokio::test]
async fn what_is_pending_in_schema_2_is_sent() {
    let switch = quiet_switch().await;
    let mut receiver = Receiver::start().await;
    let (_home, daemon) = upgraded(2, &switch, &receiver).await;
    what_is_managed_is_served(&daemon).await;
    what_was_owed_is_sent(&mut receiver).await;
    let attempts = daemon.attempts().await;
    assert!(
        attempts
            .iter()
            .any(|attempt| attempt["hook_event"] == "channel_create")
    );
}

#[tokio::test]
async fn the_story_of_a_call_in_schema_3_is_told() {
    let switch = quiet_switch().await;
    let mut receiver = Receiver::start().await;
    let (_home, daemon) = upgraded(3, &switch, &receiver).await;
    what_is_managed_is_served(&daemon).await;
    what_was_owed_is_sent(&mut receiver).await;
    let path = format!("/v2/accounts/default/calls/{CALL}/timeline");
    let (status, story) = daemon.api("GET", &path, None).await;
    assert_eq!(status, 200, "{story}");
    assert!(story.to_string().contains("CHANNEL_ANSWER"), "{story}");
}

#[tokio::test]
async fn what_was_queued_again_in_schema_4_is_known_to_be() {
    let switch = quiet_switch().await;
    let home = Home::new(switch.port()).with("STORE__RETENTION_DAYS", 36_500);
    let conn = Connection::open(home.database()).unwrap();
    conn.execute_batch(&dump(4)).unwrap();
    let again = "UPDATE deliveries SET due_at = occurred_at + 7 WHERE id = 4";
    assert_eq!(conn.execute(again, ()).unwrap(), 1);
    let _daemon = home.serve().await;
    let sql =
        "SELECT id, queued_again - occurred_at FROM deliveries WHERE queued_again IS NOT NULL";
    let known: (i64, i64) = conn
        .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(known, (4, 7));
}

#[test]
fn each_schema_has_its_database_and_is_as_it_was_released() {
    let (steps, dumps) = (sorted("sql"), sorted("tests/databases"));
    assert_eq!(
        steps.len(),
        dumps.len(),
        "a schema without a database, or the reverse"
    );
    let schema = |conn: &Connection| -> BTreeSet<String> {
        let mut statement = conn
            .prepare(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'",
            )
            .unwrap();
        let tables = statement.query_map((), |row| row.get(0)).unwrap();
        tables.map(Result::unwrap).collect()
    };
    let made = Connection::open_in_memory().unwrap();
    for (index, step) in steps.iter().enumerate() {
        made.execute_batch(&std::fs::read_to_string(step).unwrap())
            .unwrap();
        let released = Connection::open_in_memory().unwrap();
        released.execute_batch(&dump(index + 1)).unwrap();
        assert_eq!(
            schema(&made),
            schema(&released),
            "{} was changed after its release: databases are out there that were made by it; add another step instead",
            step.display()
        );
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let switch = quiet_switch().await;
    let home = Home::new(switch.port());
    let conn = Connection::open(home.database()).unwrap();
    let later = dump(3).replace("PRAGMA user_version = 3", "PRAGMA user_version = 4711");
    conn.execute_batch(&later).unwrap();
    drop(conn);
    let before = std::fs::read(home.database()).unwrap();
    for command in [&["serve"][..], &["check"], &["backup", "copy.db"]] {
        let mut command = home.command(command);
        let output = command.current_dir(home.path()).output().await.unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            said.contains("schema version 4711") && said.contains("run the later version"),
            "{said}"
        );
    }
    assert_eq!(std::fs::read(home.database()).unwrap(), before);
}
