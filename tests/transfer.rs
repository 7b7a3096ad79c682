//! `switchhook export` and `import`: configuration in files, from server to server.

mod support;

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use support::daemon::{Daemon, Home};
use support::switch::{Script, Switch};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server of the fleet.
struct Server {
    home: Home,
    daemon: Daemon,
    _switch: Switch,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Server {
    async fn start() -> Self {
        let switch = Switch::start([Script::subscribed()]).await;
        let mut home = Home::new(switch.port());
        let daemon = home.serve().await;
        home.set("API__LISTEN", daemon.address());
        Self {
            home,
            daemon,
            _switch: switch,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        let output = self.home.command(arguments).output().await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn export(&self, arguments: &[&str]) -> String {
        let said = self.run(&[&["export"], arguments].concat()).await;
        assert_eq!(said.code, 0, "{}", said.err);
        said.out
    }

    /// A file with this text, for `import`.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn import(&self, file: &std::path::Path, arguments: &[&str]) -> Said {
        self.run(&[&["import", file.to_str().unwrap()], arguments].concat())
            .await
    }

    /// The daemon has what a file says.
    async fn is_as(&self, file: &std::path::Path) {
        let said = self.import(file, &[]).await;
        assert!(said.out.starts_with("nothing to change"), "{said:?}");
    }

    async fn has(&self, path: &str) -> Value {
        let (status, answer) = self
            .daemon
            .api("GET", &format!("/v2/accounts/{path}"), None)
            .await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer["data"].clone()
    }

    async fn put(&self, path: &str, data: Value) {
        let path = format!("/v2/accounts{path}");
        let (status, answer) = self.daemon.api("PUT", &path, Some(data)).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// A customer below `default`, and below him one more, with all that there can be.
    async fn furnish(&self) {
        self.put(
            "/default?id=zeta",
            json!({"name": "Zeta", "realm": "zeta.example.com", "numbers": ["+15557770000"], "crm": {"id": 7}}),
        )
        .await;
        // By its id it comes before the one above it.
        self.put("/zeta?id=branch", json!({"name": "Branch"})).await;
        self.put(
            "/zeta/webhooks?id=missed",
            json!({"name": "missed", "hook": "call_missed", "uri": "http://127.0.0.1:9000/missed", "retries": 4,
                "secret": SECRET, "custom_data": {"z": "1", "a": "2"}, "mine": {"kept": [1, 2.5, true]}}),
        )
        .await;
        self.put(
            "/branch/callflows?id=menu",
            json!({"name": "menu", "numbers": ["+1000", "no_match"], "flow":
                {"module": "device", "data": {"id": "1001"}, "children": {"_": {"module": "hangup", "data": {}}}}}),
        )
        .await;
    }
}

#[tokio::test]
async fn a_fleet_has_what_the_first_server_has() {
    let first = Server::start().await;
    first.furnish().await;
    for (format, name) in [("json", "fleet.json"), ("toml", "fleet.toml")] {
        let text = first.export(&["--format", format, "--secrets"]).await;
        let other = Server::start().await;
        let file = other.file(name, &text);

        let dry = other.import(&file, &["--dry-run"]).await;
        assert_eq!(dry.code, 0, "{}", dry.err);
        assert!(
            dry.out.contains("+ webhook zeta/missed \"missed\""),
            "{}",
            dry.out
        );
        assert!(dry.out.contains("would make 4"), "{}", dry.out);
        assert!(!dry.out.contains("whsec"), "{}", dry.out);
        assert_eq!(
            other.has("default/children").await,
            json!([]),
            "nothing was changed"
        );

        let done = other.import(&file, &[]).await;
        assert_eq!(done.code, 0, "{}", done.err);
        let again = other.import(&file, &["--prune"]).await;
        assert_eq!(again.code, 0, "{}", again.err);
        assert!(
            again
                .out
                .starts_with("nothing to change: 5 as the file says"),
            "{}",
            again.out
        );

        assert_eq!(other.export(&["--format", format, "--secrets"]).await, text);
        assert_eq!(other.has("branch").await["parent"], "zeta");
        let hook = other.has("zeta/webhooks/missed").await;
        assert_eq!(hook["mine"], json!({"kept": [1, 2.5, true]}));
        assert_eq!(hook["has_secret"], true);
    }
}

#[tokio::test]
async fn an_import_that_nobody_reads_is_made_whole_all_the_same() {
    let first = Server::start().await;
    first.furnish().await;
    let text = first.export(&[]).await;
    let other = Server::start().await;
    let file = other.file("fleet.json", &text);
    let mut import = other.home.command(&["import", file.to_str().unwrap()]);
    let mut import = import.stdout(Stdio::piped()).spawn().unwrap();
    drop(import.stdout.take());
    assert_eq!(import.wait().await.unwrap().code(), Some(0));
    assert_eq!(other.export(&[]).await, text);
}

#[tokio::test]
async fn secrets_leave_a_server_only_where_that_is_asked_for() {
    let server = Server::start().await;
    server.furnish().await;
    let text = server.export(&[]).await;
    assert!(!text.contains("whsec"), "{text}");
    // Who imports it keeps the secret that is there.
    let file = server.file("x.json", &text.replace("\"retries\": 4", "\"retries\": 1"));
    let said = server.import(&file, &[]).await;
    assert!(said.out.contains("retries: 4 → 1"), "{said:?}");
    assert!(server.export(&["--secrets"]).await.contains(SECRET));
    // Another one is set, and seen to be another; none is a word of its own.
    let with = |secret: &str| {
        let entry = format!("\"missed\": {{ \"secret\": {secret},");
        server.file("x.json", &text.replace("\"missed\": {", &entry))
    };
    let file = with("\"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"");
    let said = server.import(&file, &[]).await;
    assert!(said.out.contains("secret: \"***\" → \"***\""), "{said:?}");
    server.is_as(&file).await;
    let file = with("null");
    assert_eq!(server.import(&file, &[]).await.code, 0);
    assert_eq!(
        server.has("zeta/webhooks/missed").await["has_secret"],
        false
    );
    server.is_as(&file).await;
    let said = server.import(&with("\"generate\""), &[]).await;
    assert_eq!(said.code, 2, "{said:?}");
}

#[tokio::test]
async fn what_the_file_does_not_have_goes_with_prune_and_only_where_it_speaks() {
    let server = Server::start().await;
    server.furnish().await;
    let add = json!({"name": "by hand", "hook": "dtmf", "uri": "http://127.0.0.1:9000/"});
    server.put("/zeta/webhooks?id=by-hand", add.clone()).await;
    server.put("/default/webhooks?id=elsewhere", add).await;
    let file = server.file(
        "zeta.toml",
        r#"
        switchhook = 1
        [accounts.zeta.webhooks.missed]
        name = "missed"
        hook = "call_missed"
        uri = "http://127.0.0.1:9000/missed"
        "#,
    );
    let said = server.import(&file, &[]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains("~ webhook zeta/missed") && said.out.contains("retries: 4 → 2"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("1 here that the file does not have"),
        "{}",
        said.out
    );
    let said = server.import(&file, &["--prune", "--dry-run"]).await;
    assert!(
        said.out.contains("- webhook zeta/by-hand \"by hand\""),
        "{}",
        said.out
    );
    server.has("zeta/webhooks/by-hand").await;
    server.import(&file, &["--prune"]).await;
    let left = server.has("zeta/webhooks").await;
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    server.has("default/webhooks/elsewhere").await;
    server.has("branch/callflows/menu").await;
    assert_eq!(server.has("zeta").await["realm"], "zeta.example.com");
    // The same id, made again after it was removed.
    let back = server.file(
        "back.json",
        &json!({"switchhook": 1, "accounts": {"zeta": {"webhooks": {
        "by-hand": {"name": "again", "hook": "dtmf", "uri": "http://127.0.0.1:9000/"}}}}})
        .to_string(),
    );
    let said = server.import(&back, &[]).await;
    assert!(said.out.contains("+ webhook zeta/by-hand"), "{said:?}");
}

#[tokio::test]
async fn numbers_and_realms_change_hands() {
    let server = Server::start().await;
    let hangup = json!({"module": "hangup", "data": {}});
    let state = |a: &str, b: &str| {
        let account = |name: &str, mine: &str| {
            json!({"name": name, "realm": format!("{mine}.example"), "numbers": [format!("+1{mine}")],
                "callflows": {}, "webhooks": {}})
        };
        let mut accounts = json!({"a": account("A", a), "b": account("B", b)});
        accounts["a"]["callflows"] = json!({
            "one": {"numbers": [format!("+2{a}")], "flow": hangup},
            "two": {"numbers": [format!("+2{b}"), "no_match"], "flow": hangup},
        });
        json!({"switchhook": 1, "accounts": accounts}).to_string()
    };
    let before = server.file("before.json", &state("111", "222"));
    let after = server.file("after.json", &state("222", "111"));
    for file in [&before, &after, &before] {
        let said = server.import(file, &[]).await;
        assert_eq!(said.code, 0, "{said:?}");
        let again = server.import(file, &[]).await;
        assert!(again.out.starts_with("nothing to change"), "{again:?}");
    }
    assert_eq!(server.has("a").await["realm"], "111.example");
    assert_eq!(
        server.has("a/callflows/two").await["numbers"],
        json!(["+2222", "no_match"])
    );
}

#[tokio::test]
async fn every_mistake_is_named_and_nothing_is_changed() {
    let server = Server::start().await;
    server.furnish().await;
    let before = server.export(&[]).await;
    let good = r#""good": {"name": "good", "hook": "all", "uri": "http://127.0.0.1:9000/"}"#;
    for (text, words) in [
        (
            "{\"switchhook\": 1, \"accounts\": {",
            &["EOF while parsing"][..],
        ),
        (
            "{\"switchhook\": 1, \"switchhook\": 1}",
            &["occurs twice at line 1"],
        ),
        ("{\"docs\": []}", &["--kazoo", "docs: is nothing"]),
        (
            "{\"switchhook\": 2, \"accounts\": {}}",
            &["the form of the file is 2"],
        ),
        ("switchhook = 1\n[accounts.x\n", &["line 2"]),
        (
            &format!(
                r#"{{"switchhook": 1, "accounts": {{
                "default": {{"webhooks": {{{good}, "a/b": {{}}, "bad": {{"name": 5, "hook": "nope", "retries": 9}}}}}},
                "new": {{"realm": 7, "callflows": {{"c": {{"flow": {{"module": "nope"}}}}}}}}}}}}"#
            ),
            &[
                "accounts.default.webhooks.a/b: An id is",
                "accounts.default.webhooks.bad.name: ",
                "accounts.default.webhooks.bad.uri: Field is required",
                "accounts.default.webhooks.bad.hook: ",
                "accounts.default.webhooks.bad.retries: ",
                "accounts.new.realm: ",
                "accounts.new.name: Field is required",
                "accounts.new.callflows.c.flow",
                "mistake(s); nothing was changed",
            ],
        ),
        // What only the daemon can know.
        (
            &format!(
                r#"{{"switchhook": 1, "accounts": {{
                "default": {{"webhooks": {{{good}, "missed": {{"name": "x", "hook": "all", "uri": "http://127.0.0.1:9000/"}}}}}},
                "zeta": {{"name": "Z", "parent": "branch"}},
                "thief": {{"name": "T", "parent": "nobody", "realm": "ZETA.example.com"}},
                "other": {{"name": "O", "numbers": ["1"]}}, "another": {{"name": "P", "numbers": ["+1"]}},
                "nameless": {{"webhooks": {{}}}}}}}}"#
            ),
            &[
                "accounts.zeta.parent: ",
                "accounts.thief.parent: there is no account nobody",
                "the number 1 belongs to another, too",
                "accounts.nameless: there is no such account",
                "webhooks.missed: the account zeta has it",
            ],
        ),
        (
            r#"{"switchhook": 1, "accounts": {"thief": {"name": "T", "realm": "ZETA.example.com", "numbers": ["15557770000"]}}}"#,
            &[
                "the realm zeta.example.com belongs to thief, too",
                "the number 15557770000 belongs to thief, too",
            ],
        ),
    ] {
        let file = server.file("file", text);
        let said = server.import(&file, &["--prune"]).await;
        assert_eq!(said.code, 2, "{text}: {said:?}");
        for word in words {
            assert!(
                said.err.contains(word),
                "{word} is not said of {text}:\n{}",
                said.err
            );
        }
    }
    assert_eq!(server.export(&[]).await, before);
    let said = server
        .import(&server.home.path().join("none.json"), &[])
        .await;
    assert_eq!(said.code, 2, "{said:?}");
}

#[tokio::test]
async fn one_account_and_those_below_it_are_exported_alone() {
    let server = Server::start().await;
    server.furnish().await;
    let text = server.export(&["--account", "zeta"]).await;
    let file: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<&String> = file["accounts"].as_object().unwrap().keys().collect();
    assert_eq!(ids, ["branch", "zeta"]);
    assert_eq!(server.run(&["export", "-A", "nobody"]).await.code, 1);
}

#[tokio::test]
async fn webhooks_come_from_kazoo() {
    let server = Server::start().await;
    let account = "4f1f1c5b3f0b4d6f8e2a9c7d5b3a1e0f";
    let documents = [
        json!({"_id": "0a1b", "_rev": "3-x", "name": "calls", "hook": "channel_create", "uri": "http://127.0.0.1:9000/a",
            "http_verb": "get", "retries": 3, "enabled": true, "include_subaccounts": true, "include_internal_legs": false,
            "format": "json", "custom_data": {"crm": "x"}, "group": "mine", "pvt_type": "webhook",
            "pvt_account_id": account, "pvt_account_db": "account%2F4f", "pvt_created": 63_900_000_000_i64, "pvt_vsn": "1"}),
        json!({"_id": "0a1c", "name": "off", "hook": "all", "uri": "http://127.0.0.1:9000/b", "enabled": false,
            "pvt_type": "webhook", "pvt_account_id": account, "pvt_disabled_message": "too many failed attempts"}),
        json!({"_id": "0a1d", "name": "fax", "hook": "object", "uri": "http://127.0.0.1:9000/c",
            "modifiers": {"type": "fax", "action": "all"}, "pvt_type": "webhook", "pvt_account_id": account}),
        json!({"_id": "0a1e", "name": "deleted", "hook": "all", "uri": "http://127.0.0.1:9000/d", "pvt_type": "webhook",
            "pvt_account_id": account, "pvt_deleted": true}),
        json!({"_id": "0a1f", "name": "user", "hook": "all", "uri": "http://u:p@127.0.0.1:9000/", "pvt_type": "webhook",
            "pvt_account_id": account}),
        json!({"_id": "_design/webhooks", "views": {}}),
    ];
    let rows: Vec<Value> = documents
        .iter()
        .map(|doc| json!({"id": doc["_id"], "doc": doc}))
        .collect();
    let file = server.file(
        "rows.json",
        &json!({"total_rows": 6, "rows": rows}).to_string(),
    );
    let said = server.import(&file, &["--kazoo"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    for words in [
        "left out: 0a1d \"fax\": object is no trigger",
        "left out: 0a1f \"user\": uri",
        "2 webhooks to take over, 2 left out; 2 documents passed over, being no webhook",
        "switched off by Kazoo because they failed, and staying off: 1",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    assert!(!said.err.contains("u:p@"), "{}", said.err);
    let hook = server.has(&format!("{account}/webhooks/0a1b")).await;
    for (field, value) in [
        ("http_verb", json!("get")),
        ("retries", json!(3)),
        ("format", json!("json")),
        ("include_subaccounts", json!(true)),
        ("include_internal_legs", json!(false)),
        ("custom_data", json!({"crm": "x"})),
        ("group", json!("mine")),
    ] {
        assert_eq!(hook[field], value, "{hook:#}");
    }
    assert!(!hook.to_string().contains("pvt_"), "{hook:#}");
    assert_eq!(
        server.has(&format!("{account}/webhooks/0a1c")).await["enabled"],
        false
    );

    // The same again, as a bulk file and as a list, changes nothing.
    for text in [json!({"docs": documents}), json!(documents)] {
        let file = server.file("again.json", &text.to_string());
        let said = server.import(&file, &["--kazoo"]).await;
        assert!(said.out.starts_with("nothing to change: 2"), "{said:?}");
    }
    // An answer of its API names no account.
    let read = json!({"data": {"id": "0b", "name": "one", "hook": "channel_destroy", "uri": "http://127.0.0.1:9000/e"},
        "status": "success"});
    let file = server.file("read.json", &read.to_string());
    assert_eq!(server.import(&file, &["--kazoo"]).await.code, 0);
    server.has("default/webhooks/0b").await;
    let listing = json!({"data": [{"id": "0c", "name": "two", "hook": "channel_answer", "uri": "http://127.0.0.1:9000/f",
        "enabled": true}]});
    let file = server.file("list.json", &listing.to_string());
    let said = server
        .import(&file, &["--kazoo", "--account", account])
        .await;
    assert!(
        said.err.contains("a listing, which leaves fields out"),
        "{said:?}"
    );
    server.has(&format!("{account}/webhooks/0c")).await;
    let rows = server.file("rows.json", "{\"rows\": [1, \"x\", {}]}");
    let said = server.import(&rows, &["--kazoo"]).await;
    assert!(said.err.contains("3 documents passed over"), "{said:?}");
    let said = server
        .import(&server.file("no.json", "{}"), &["--kazoo"])
        .await;
    assert_eq!(said.code, 2, "{said:?}");
}
