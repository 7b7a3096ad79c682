//! Hooks that publish to NATS JetStream, against a real nats-server (`apt-get install nats-server`; the tests say
//! that they were skipped where there is none).

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::Home;
use support::nats::Nats;
use support::office::{Office, Open};
use support::stage::{Stage, caller};
use support::switch::{Gate, Script, Switch};
use switchhook::delivery::Guard;
use switchhook::store::attempts::{AttemptResult, LoggedAttempt};
use switchhook::trigger::Trigger;

fn number(attempts: &[LoggedAttempt], result: AttemptResult) -> usize {
    let of = |logged: &&LoggedAttempt| logged.attempt.result == result;
    attempts.iter().filter(of).count()
}

/// The first attempt of something that happens now.
async fn first_attempt(open: &Open, call: &str) -> LoggedAttempt {
    open.happens(call, Trigger::ChannelCreate);
    let attempts = open.attempts_when(|attempts| attempts.iter().any(|one| is_of(one, call)));
    let attempts = attempts.await;
    attempts.into_iter().find(|one| is_of(one, call)).unwrap()
}

fn is_of(logged: &LoggedAttempt, call: &str) -> bool {
    logged.delivery.call_id.as_deref() == Some(call)
}

fn words(logged: &LoggedAttempt) -> (&str, &str) {
    let attempt = &logged.attempt;
    (
        attempt.client_error.as_deref().unwrap_or_default(),
        attempt.reason.as_deref().unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_call_arrives_in_a_stream_in_order_with_its_headers() {
    let Some(nats) = Nats::start(&[]).await else {
        return;
    };
    nats.add_stream(None, json!({})).await;
    let gate = Gate::new();
    let script = Script::subscribed().pass(&gate).events_of("ivr.plain.esl");
    let switch = Switch::start([script]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let id = daemon
        .add_hook(json!({"name": "bus", "hook": ["channel_create", "channel_answer", "dtmf", "channel_destroy"],
            "format": "json", "uri": nats.uri("calls.all"),
            "custom_request_headers": {"X-Branch": "Köln"},
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}))
        .await;
    gate.open();
    let done = async {
        loop {
            let attempts = daemon.attempts().await;
            if attempts
                .iter()
                .any(|one| one["hook_event"] == "channel_destroy")
            {
                return attempts;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let attempts = tokio::time::timeout(Duration::from_secs(20), done).await;
    let attempts = attempts.expect("the call is told");

    let messages = nats.messages().await;
    let told: Vec<String> = messages
        .iter()
        .map(|message| {
            let payload = message.payload();
            let digit = payload["digit"].as_str().unwrap_or_default();
            format!("{}{digit}", payload["hook_event"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            "channel_create",
            "channel_answer",
            "dtmf4",
            "dtmf2",
            "dtmf#",
            "channel_destroy"
        ]
    );
    for (message, attempt) in messages.iter().zip(attempts.iter().rev()) {
        assert_eq!(message.subject, "calls.all");
        assert_eq!(message.header("X-Hook-ID"), id);
        assert_eq!(message.header("X-Account-ID"), "default");
        assert_eq!(message.header("Content-Type"), "application/json");
        assert_eq!(message.header("X-Branch"), "Köln");
        assert_eq!(message.header("webhook-id"), message.header("Nats-Msg-Id"));
        verify(message);
        // The attempt says what the server has said.
        assert_eq!(attempt["webhook_id"], message.header("webhook-id"));
        assert_eq!(attempt["result"], "success");
        assert_eq!(attempt["resp_status_code"], Value::Null);
        assert_eq!(attempt["uri"], nats.uri("calls.all"));
        assert_eq!(attempt["req_headers"]["x-branch"], "***");
        let said: Value = serde_json::from_str(attempt["resp_body"].as_str().unwrap()).unwrap();
        assert_eq!(said["stream"], "calls");
    }
    let sequences = attempts.iter().rev().map(|attempt| {
        let body = attempt["resp_body"].as_str().unwrap();
        serde_json::from_str::<Value>(body).unwrap()["seq"].as_u64()
    });
    assert!(sequences.eq((1..=6).map(Some)));
}

/// As a receiver does, with an implementation that is not ours.
fn verify(message: &support::nats::Message) {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, message.header(name).parse().unwrap());
    }
    let webhook = standardwebhooks::Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    webhook.unwrap().verify(&message.body, &headers).unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_has_everything_once_in_the_end() {
    let Some(mut nats) = Nats::start(&[]).await else {
        return;
    };
    nats.add_stream(None, json!({})).await;
    let mut office = Office::new();
    office.config.backoff.base = Duration::from_millis(300);
    let open = office.open().await;
    open.add_hook(&nats.uri("calls.all"), json!({"retries": 4}))
        .await;
    for call in 0..50 {
        open.happens(&format!("before-{call}"), Trigger::ChannelCreate);
    }
    open.attempts_when(|attempts| number(attempts, AttemptResult::Success) >= 10)
        .await;
    nats.down().await;
    for call in 0..50 {
        open.happens(&format!("while-{call}"), Trigger::ChannelCreate);
    }
    let failed = open
        .attempts_when(|attempts| number(attempts, AttemptResult::Failure) > 0)
        .await;
    for failed in failed
        .iter()
        .filter(|one| one.attempt.result == AttemptResult::Failure)
    {
        let (error, reason) = words(failed);
        assert!(
            ["econnrefused", "closed", "connect_failed", "econnreset"].contains(&error),
            "{error}: {reason}"
        );
        assert!(reason.starts_with("nats: "), "{reason}");
    }
    nats.up().await;
    assert_eq!(open.settled().await, [("delivered".to_owned(), 100)].into());
    let messages = nats.messages().await;
    let mut ids: Vec<_> = messages
        .iter()
        .map(|message| message.header("webhook-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), messages.len()), (100, 100));
}

#[tokio::test]
async fn what_the_server_has_seen_it_does_not_take_again() {
    let Some(nats) = Nats::start(&[]).await else {
        return;
    };
    nats.add_stream(None, json!({})).await;
    let office = Office::new();
    let open = office.open().await;
    let hook = open.add_hook(&nats.uri("calls.all"), json!({})).await;
    let sent = first_attempt(&open, "call").await;
    // As after a kill between the acknowledgement and its commit.
    let sender = switchhook::delivery::Sender::new(&office.send, Guard::default()).unwrap();
    let again = sender
        .send(
            &hook,
            &sent.delivery,
            &hook.settings.uri,
            2,
            office.clock.now(),
        )
        .await;
    assert!(again.answer.is_success());
    let said: Value = serde_json::from_slice(&again.resp_body).unwrap();
    assert_eq!(said["duplicate"], true);
    assert_eq!(nats.messages().await.len(), 1);
}

#[tokio::test]
async fn what_no_stream_takes_is_a_failed_attempt_that_says_so() {
    let Some(nats) = Nats::start(&[]).await else {
        return;
    };
    let open = Office::new().open().await;
    open.add_hook(&nats.uri("calls.all"), json!({"retries": 0}))
        .await;
    let failed = first_attempt(&open, "nobody").await;
    assert_eq!(
        words(&failed),
        (
            "no_stream",
            "nats: no JetStream stream takes the subject calls.all (nats stream add makes one)"
        )
    );
    assert_eq!(failed.attempt.status, None);

    // Somebody who listens is no stream.
    let client = nats.client(None).await.unwrap();
    let mut listener = client.subscribe("calls.all").await.unwrap();
    client.flush().await.unwrap();
    let answering = tokio::spawn(async move {
        let asked = futures_util::StreamExt::next(&mut listener).await.unwrap();
        client
            .publish(asked.reply.unwrap(), "thanks".into())
            .await
            .unwrap();
        client.flush().await.unwrap();
    });
    let failed = first_attempt(&open, "listener").await;
    answering.await.unwrap();
    assert_eq!(
        words(&failed),
        (
            "not_stored",
            "nats: what answers on this subject is no JetStream stream"
        )
    );

    // One that is full says so itself.
    nats.add_stream(None, json!({"max_msgs": 1})).await;
    let taken = first_attempt(&open, "first").await;
    assert_eq!(taken.attempt.result, AttemptResult::Success);
    let failed = first_attempt(&open, "second").await;
    assert_eq!(
        words(&failed),
        (
            "not_stored",
            "nats: JetStream refuses it: maximum messages exceeded"
        )
    );
    let said: Value = serde_json::from_slice(&failed.attempt.resp_body).unwrap();
    assert_eq!(said["error"]["code"], 503);
}

#[tokio::test]
async fn who_may_not_publish_is_told_so_and_no_password_is_shown() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        config.path(),
        r#"authorization { users = [
            {user: pbx, password: "s3cret/@", permissions: {publish: ["calls.mine"]}},
            {user: admin, password: admin}] }"#,
    )
    .unwrap();
    let config = config.path().to_str().unwrap();
    let Some(nats) = Nats::start(&["-c", config]).await else {
        return;
    };
    nats.add_stream(Some(("admin", "admin")), json!({})).await;
    let address = nats.address();
    for (call, login, subject, expected) in [
        ("right", "pbx:s3cret%2F%40@", "calls.mine", ("", "")),
        (
            "wrong",
            "pbx:n0t-s3cret@",
            "calls.mine",
            (
                "unauthorized",
                "nats: the server refuses the user name and password of the URI",
            ),
        ),
        (
            "none",
            "",
            "calls.mine",
            (
                "unauthorized",
                "nats: the server refuses the user name and password of the URI",
            ),
        ),
        (
            "forbidden",
            "pbx:s3cret%2F%40@",
            "calls.yours",
            (
                "not_permitted",
                "nats: this user may not publish to calls.yours",
            ),
        ),
    ] {
        let uri = format!("nats://{login}{address}/{subject}");
        let open = Office::new().open().await;
        let hook = open.add_hook(&uri, json!({"retries": 0})).await;
        let attempt = first_attempt(&open, call).await;
        assert_eq!(words(&attempt), expected, "{call}");
        let shown = format!("{:?} {:?}", attempt.attempt, hook.view());
        assert!(!shown.contains("s3cret"), "{shown}");
        if !login.is_empty() {
            assert!(shown.contains("nats://pbx:***@"), "{shown}");
        }
    }

    // Nor does it stand in the log, at any level.
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port()).with("LOG__LEVEL", "trace");
    let mut daemon = home.serve().await;
    let uri = format!("nats://pbx:s3cret%2F%40@{address}/calls.mine");
    let hook = json!({"name": "bus", "hook": "all", "uri": uri});
    let id = daemon.add_hook(hook).await;
    let test = format!("/v2/accounts/default/webhooks/{id}/test");
    let (_, attempt) = daemon.api("PUT", &test, Some(json!({}))).await;
    assert_eq!(attempt["data"]["result"], "success", "{attempt}");
    let one = format!("/v2/accounts/default/webhooks/{id}");
    daemon.api("DELETE", &one, None).await;
    daemon.logged("the hook was deleted").await;
    daemon.logged("DEBUG").await;
    assert!(!daemon.log_text().contains("s3cret"));
}

#[tokio::test]
async fn a_password_that_was_not_shown_survives_being_written_back() {
    let switch = Switch::start([Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let id = daemon
        .add_hook(
            json!({"name": "bus", "hook": "all", "uri": "nats://pbx:s3cret@127.0.0.1:9/calls"}),
        )
        .await;
    let one = format!("/v2/accounts/default/webhooks/{id}");
    let (_, read) = daemon.api("GET", &one, None).await;
    assert_eq!(read["data"]["uri"], "nats://pbx:***@127.0.0.1:9/calls");
    let mut document = read["data"].clone();
    document["name"] = json!("renamed");
    document["uri"] = json!("nats://pbx:***@127.0.0.1:9/calls.all");
    let (status, written) = daemon.api("POST", &one, Some(document)).await;
    assert_eq!((status, &written["data"]["name"]), (200, &json!("renamed")));
    assert_eq!(
        written["data"]["uri"],
        "nats://pbx:***@127.0.0.1:9/calls.all"
    );
    let (_, listed) = daemon
        .api("GET", "/v2/accounts/default/webhooks", None)
        .await;
    assert!(!listed.to_string().contains("s3cret"));
    let kept = rusqlite::Connection::open(home.database()).unwrap();
    let kept: String = kept
        .query_row("SELECT document FROM hooks", (), |row| row.get(0))
        .unwrap();
    assert!(
        kept.contains("nats://pbx:s3cret@127.0.0.1:9/calls.all"),
        "{kept}"
    );
    // Another server is not told this one's password.
    let elsewhere = json!({"uri": "nats://pbx:***@127.0.0.2:9/calls"});
    let (status, refused) = daemon.api("PATCH", &one, Some(elsewhere)).await;
    assert_eq!(status, 400);
    assert_eq!(
        refused["data"]["uri"]["format"]["message"],
        "Value has *** where the password belongs: write the password"
    );
    assert!(!daemon.log_text().contains("s3cret"));
}

#[tokio::test]
async fn a_server_that_is_silent_or_forbidden_fails_the_attempt_and_hangs_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    for (call, uri, expected) in [
        (
            "silent",
            format!("nats://{silent}/calls"),
            ("timeout", "nats: the server did not acknowledge in time"),
        ),
        (
            "denied",
            "nats://127.0.0.2/calls".to_owned(),
            ("address_not_allowed", "address not allowed"),
        ),
        (
            "metadata",
            "nats://0xa9fea9fe/calls".to_owned(),
            ("address_not_allowed", "address not allowed"),
        ),
        (
            "unknown",
            "nats://nobody.invalid/calls".to_owned(),
            ("nxdomain", "nats: nobody.invalid: no such host"),
        ),
    ] {
        let mut office = Office::new();
        office.guard.deny_networks = vec!["127.0.0.2/32".parse().unwrap()];
        let open = office.open().await;
        open.add_hook(&uri, json!({"retries": 0, "timeout_ms": 300}))
            .await;
        let attempt = first_attempt(&open, call).await;
        assert_eq!(words(&attempt), expected, "{call}");
    }
}

#[tokio::test]
async fn a_callflow_publishes_and_knows_that_it_arrived() {
    let Some(nats) = Nats::start(&[]).await else {
        return;
    };
    nats.add_stream(None, json!({})).await;
    let stage = Stage::new().await;
    let tells = caller("webhook")
        .with("webhook_uri", &nats.uri("calls.desk"))
        .with("webhook_wait_ms", "20000");
    let story = stage.dial(tells).await;
    assert_eq!(story.variable("webhook_result"), "success");
    assert_eq!(story.variable("webhook_status"), "");
    let messages = nats.messages().await;
    assert_eq!(messages.len(), 1);
    assert!(String::from_utf8_lossy(&messages[0].body).contains("hook_event=callflow_webhook"));
    // Nothing is asked of a stream, and no password stands in a dialplan.
    for (name, value) in [
        ("webhook_http_verb", "get"),
        ("webhook_uri", "nats://pbx:s3cret@127.0.0.1/calls"),
    ] {
        let asks = caller("webhook")
            .with("webhook_uri", &nats.uri("calls.desk"))
            .with(name, value);
        let story = stage.dial(asks).await;
        assert_eq!(story.variable("callflow_result"), "error");
        assert!(!story.variable("callflow_error").contains("s3cret"));
    }
}
