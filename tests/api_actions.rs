//! What the API does beyond Kazoo's: tests, resends, recovery, secrets, statistics, the live feed, metrics.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::api::Api;
use support::receiver::{Behaviour, Receiver};
use switchhook::delivery::SwitchOff;
use switchhook::hook::{Record, Secret};
use switchhook::time::Timestamp;
use switchhook::trigger::Trigger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOOKS: &str = "/accounts/default/webhooks";

fn hook(uri: &str) -> Value {
    json!({ "name": "CRM", "uri": uri, "hook": ["call_hangup", "dtmf"], "format": "json", "retries": 0 })
}

fn at(id: &str, what: &str) -> String {
    format!("{HOOKS}/{id}/{what}")
}

#[tokio::test]
async fn a_test_sends_the_sample_now_and_answers_with_the_attempt() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    let mut data = hook(&receiver.uri("/calls"));
    data["custom_data"] = json!({ "tenant": "7" });
    data["enabled"] = json!(false);
    let id = api.make_hook("default", data).await;

    let first = api.call("PUT", &at(&id, "test")).await;
    let webhook = receiver.next().await;
    let attempt = first.data(201);
    assert_eq!(attempt["result"], "success");
    assert_eq!(attempt["hook_event"], "dtmf", "the first in the catalogue");
    assert_eq!(attempt["webhook_id"], webhook.header("webhook-id"));
    let payload = webhook.payload();
    assert_eq!(payload["digit"], "2");
    assert_eq!(payload["tenant"], "7");
    assert_eq!(payload["account_id"], "default");

    receiver.behave(Behaviour::status(503));
    let second = api.call("PUT", &at(&id, "test")).await;
    let attempt = second.data(201);
    assert_eq!(attempt["result"], "failure");
    assert_eq!(attempt["resp_status_code"], "503");
    assert_ne!(attempt["webhook_id"], first.data(201)["webhook_id"]);
    let logged = api.attempts(&at(&id, "attempts"), 2).await;
    assert_eq!(&logged[0], attempt);
    let since = json!({ "since": 0, "dry_run": true });
    let recover = api.send("PUT", &at(&id, "recover"), since).await;
    assert_eq!(
        recover.data(200)["count"],
        0,
        "a test is nothing to recover"
    );
    api.call("PUT", &format!("{HOOKS}/nobody/test"))
        .await
        .error(404, "bad_identifier");
}

#[tokio::test]
async fn what_failed_is_sent_again_one_by_one_or_all_at_once() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    receiver.behave(Behaviour::status(500));
    let id = api
        .make_hook("default", hook(&receiver.uri("/calls")))
        .await;
    let before = switchhook::time::Clock::system().now();
    for call in 0..4 {
        api.happens("default", &format!("call-{call}"), Trigger::CallHangup);
    }
    let failed = api.attempts(&at(&id, "attempts?result=failure"), 4).await;
    receiver.take(4).await;
    receiver.behave(Behaviour::status(204));

    let attempt = failed[0]["id"].as_str().unwrap();
    let resent = api
        .call("PUT", &at(&id, &format!("attempts/{attempt}/resend")))
        .await;
    assert_eq!(resent.data(202)["webhook_id"], failed[0]["webhook_id"]);
    let webhook = receiver.next().await;
    assert_eq!(webhook.header("webhook-id"), failed[0]["webhook_id"]);
    api.attempts(&at(&id, "attempts?result=success"), 1).await;

    let other = api
        .make_hook("default", hook(&receiver.uri("/other")))
        .await;
    for unknown in [
        at(&other, &format!("attempts/{attempt}/resend")),
        at(&id, "attempts/99999/resend"),
        at(&id, "attempts/9223372036854775808/resend"),
        at(&id, "attempts/x/resend"),
    ] {
        api.call("PUT", &unknown).await.error(404, "bad_identifier");
    }

    let since = json!({ "since": before.gregorian(), "dry_run": true });
    let counted = api.send("PUT", &at(&id, "recover"), since).await;
    assert_eq!(counted.data(200), &json!({ "count": 3, "dry_run": true }));
    assert!(receiver.rest().is_empty(), "a dry run sends nothing");
    let since = json!({ "since": before.rfc3339(&jiff::tz::TimeZone::UTC) });
    let recovered = api.send("PUT", &at(&id, "recover"), since.clone()).await;
    assert_eq!(
        recovered.data(202),
        &json!({ "count": 3, "dry_run": false })
    );
    let mut again: Vec<String> = (receiver.take(3).await.iter())
        .map(|webhook| webhook.header("webhook-id").to_owned())
        .collect();
    let mut expected: Vec<&str> = failed[1..]
        .iter()
        .map(|attempt| attempt["webhook_id"].as_str().unwrap())
        .collect();
    again.sort();
    expected.sort_unstable();
    assert_eq!(again, expected);
    for (wrong, field) in [
        (json!({}), "since"),
        (json!({ "since": "yesterday" }), "since"),
        (json!({ "since": -1 }), "since"),
        (json!({ "since": 0, "until": [] }), "until"),
        (json!({ "since": 0, "dry_run": "no" }), "dry_run"),
    ] {
        let refused = api.send("PUT", &at(&id, "recover"), wrong).await;
        let data = refused.error(400, "validation error");
        assert!(data.get(field).is_some(), "{field}: {data}");
    }
    api.send(
        "PATCH",
        &format!("{HOOKS}/{id}"),
        json!({ "enabled": false }),
    )
    .await
    .data(200);
    api.send("PUT", &at(&id, "recover"), since)
        .await
        .error(409, "conflict");
}

#[tokio::test]
async fn a_hook_that_goes_elsewhere_by_now_is_not_switched_off() {
    let api = Api::start().await;
    let before = hook("http://127.0.0.1:9/before");
    let id = api.make_hook("default", before).await;
    let before = api.registry.index().get("default", &id).unwrap();
    let order = SwitchOff {
        key: before.key,
        account_id: "default".into(),
        hook_id: id.as_str().into(),
        uri: before.settings.uri.clone(),
        reason: "the receiver answered 410 Gone".into(),
    };
    // Its owner was quicker.
    let path = format!("/accounts/default/webhooks/{id}");
    let now = json!({ "uri": "http://127.0.0.1:9/now" });
    api.send("PATCH", &path, now).await.data(200);
    assert!(api.registry.switch_off(&order).await.unwrap().is_none());
    assert!(api.registry.index().get("default", &id).unwrap().is_on());
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    let mut data = hook(&receiver.uri("/calls"));
    data["secret"] = json!("generate");
    let made = api.send("PUT", HOOKS, data).await;
    let id = made.data(201)["id"].as_str().unwrap();
    let old = Secret::parse(made.data(201)["secret"].as_str().unwrap()).unwrap();
    let rotated = api.call("PUT", &at(id, "secret/rotate")).await;
    let new = Secret::parse(rotated.data(201)["secret"].as_str().unwrap()).unwrap();
    assert_ne!(old, new);
    assert!(rotated.data(201)["previous_secret_until"].is_i64());

    api.call("PUT", &at(id, "test")).await.data(201);
    let webhook = receiver.next().await;
    let seconds: i64 = webhook.header("webhook-timestamp").parse().unwrap();
    let sign = |secret: &Secret| secret.sign(webhook.header("webhook-id"), seconds, &webhook.body);
    assert_eq!(
        webhook.header("webhook-signature"),
        format!("{} {}", sign(&new), sign(&old))
    );
    api.call("PUT", &format!("{HOOKS}/nobody/secret/rotate"))
        .await
        .error(404, "bad_identifier");
}

#[tokio::test]
async fn statistics_say_how_a_hook_fares() {
    let api = Api::start().await;
    let receiver = Receiver::start().await;
    let id = api
        .make_hook("default", hook(&receiver.uri("/calls")))
        .await;
    let fresh = api.call("GET", &at(&id, "stats")).await;
    assert_eq!(fresh.data(200)["sent"], 0);
    assert_eq!(fresh.data(200)["latency_ms"]["p99"], Value::Null);
    for call in 0..3 {
        api.happens("default", &format!("call-{call}"), Trigger::CallHangup);
    }
    api.attempts(&at(&id, "attempts"), 3).await;
    receiver.behave(Behaviour::status(500));
    api.happens("default", "call-9", Trigger::CallHangup);
    api.attempts(&at(&id, "attempts"), 4).await;
    let stats = api.call("GET", &at(&id, "stats")).await;
    let stats = stats.data(200);
    assert_eq!(stats["sent"], 3);
    assert_eq!(stats["failed"], 1);
    assert_eq!(stats["pending"], 0);
    assert_eq!(stats["failures_counted"], 1);
    assert_eq!(stats["last_error"]["call_id"], "call-9");
    let latency = |percent: &str| stats["latency_ms"][percent].as_f64().unwrap();
    assert!(latency("p50") > 0.0 && latency("p50") <= latency("p99"));
}

#[tokio::test]
async fn samples_are_what_a_test_sends() {
    let mut api = Api::start().await;
    api.token.clear();
    let all = api.call("GET", "/webhooks/samples").await;
    assert_eq!(all.data(200).as_object().unwrap().len(), Trigger::ALL.len());
    let one = api.call("GET", "/webhooks/samples/CALL_HANGUP").await;
    assert_eq!(one.data(200), &all.data(200)["call_hangup"]);
    assert_eq!(one.data(200)["outcome"], "answered");
    api.call("GET", "/webhooks/samples/ring")
        .await
        .error(404, "bad_identifier");
}

/// A stream of server-sent events, read one at a time.
struct Stream {
    response: reqwest::Response,
    buffer: String,
}

impl Stream {
    async fn open(api: &Api, last_id: Option<&str>) -> Self {
        let mut request = api.request("GET", "/v2/events");
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self {
            response,
            buffer: String::new(),
        };
        assert_eq!(stream.block().await.unwrap(), ": switchhook");
        stream
    }

    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block = self.buffer[..end].to_owned();
                self.buffer.drain(..end + 2);
                return Some(block);
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id, kind and data.
    async fn next(&mut self) -> (String, String, Value) {
        let block = self.block().await.expect("the stream goes on");
        let field = |name: &str| {
            let mut lines = block.lines();
            let line = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in {block}"))
                .to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap();
        (field("id"), field("event"), data)
    }
}

#[tokio::test]
async fn the_live_feed_shows_a_token_what_it_may_see_and_resumes() {
    let mut api = Api::start().await;
    let receiver = Receiver::start().await;
    let customer = api.make_account("default", "Customer").await;
    let made = api
        .call("PUT", &format!("/accounts/{customer}/tokens"))
        .await;
    let token = made.data(201)["token"].as_str().unwrap().to_owned();
    let mine = hook(&receiver.uri("/mine"));
    let mine = api.make_hook(&customer, mine).await;
    let other = api
        .make_hook("default", hook(&receiver.uri("/other")))
        .await;

    let mut all = Stream::open(&api, None).await;
    api.token = token;
    let mut own = Stream::open(&api, None).await;
    api.token = support::api::ADMIN.into();
    api.call("PUT", &at(&other, "test")).await.data(201);
    api.call("PUT", &format!("/accounts/{customer}/webhooks/{mine}/test"))
        .await
        .data(201);

    let (first, kind, data) = all.next().await;
    assert_eq!(
        (kind.as_str(), &data["hook_id"]),
        ("attempt", &json!(other))
    );
    let (second, _, data) = all.next().await;
    assert_eq!(data["hook_id"], mine);
    let (id, _, data) = own.next().await;
    assert_eq!(
        (&id, &data["hook_id"]),
        (&second, &json!(mine)),
        "only its own"
    );

    let mut resumed = Stream::open(&api, Some(&first)).await;
    assert_eq!(resumed.next().await.0, second);
    let wrong = api
        .request("GET", "/v2/events")
        .header("Last-Event-ID", "x");
    api.answer(wrong).await.error(400, "validation error");
    api.token.clear();
    api.call("GET", "/events")
        .await
        .error(401, "invalid_credentials");

    api.stop().await;
    assert_eq!(all.block().await, None, "the stream ends with the server");
}

#[tokio::test]
async fn a_watcher_who_does_not_read_is_hung_up_on_and_the_others_miss_nothing() {
    let api = Api::start().await;
    let mut reader = Stream::open(&api, None).await;
    let mut sleeper = TcpStream::connect(api.address).await.unwrap();
    let token = support::api::ADMIN;
    sleeper
        .write_all(
            format!("GET /v2/events HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {token}\r\n\r\n")
                .as_bytes(),
        )
        .await
        .unwrap();
    sleeper.readable().await.unwrap();
    let record = Record {
        trigger: Trigger::CallHangup,
        at: Timestamp::default(),
        core_uuid: "core".into(),
        sequence: 1,
        account_id: "default".into(),
        call_id: Some("x".repeat(4_000).into()),
        call_uuid: None,
        deliveries: Vec::new(),
    };
    // More than the sockets and the feed hold back for one who does not read.
    const COUNT: usize = 6_000;
    let mut last = String::new();
    for round in 0..COUNT / 50 {
        (0..50).for_each(|_| api.feed.recorded(&record));
        for _ in 0..50 {
            let (id, kind, _) = reader.next().await;
            assert_eq!(kind, "fact");
            assert!(id > last, "round {round}: {id} after {last}");
            last = id;
        }
    }
    let mut got = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), sleeper.read_to_end(&mut got)).await;
    // A reset closes a connection too.
    let _ = read.expect("the connection is closed");
    assert!(got.len() < COUNT * 4_000, "he was sent everything");
    api.feed.recorded(&record);
    assert!(reader.next().await.0 > last);
}

#[tokio::test]
async fn metrics_are_for_prometheus_and_the_description_is_open() {
    let mut api = Api::start().await;
    api.make_hook("default", hook("http://127.0.0.1:9/")).await;
    let metrics = api.answer(api.request("GET", "/metrics")).await;
    assert_eq!(metrics.status, 200);
    let text = metrics.body.as_str().unwrap();
    for line in [
        "switchhook_hooks{state=\"on\"} 1",
        "switchhook_switch_connected 1",
        "switchhook_store_lost_total 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in {text}"
        );
    }
    api.token.clear();
    api.answer(api.request("GET", "/metrics"))
        .await
        .error(401, "invalid_credentials");
    let description = api.answer(api.request("GET", "/openapi.json")).await;
    assert_eq!(description.body["openapi"], "3.1.0");
    assert!(description.body["paths"]["/v2/accounts/{account_id}/webhooks"]["put"].is_object());
}

async fn token_of(api: &Api, account: &str) -> (String, String) {
    let made = api
        .call("PUT", &format!("/accounts/{account}/tokens"))
        .await;
    let text = |field: &str| made.data(201)[field].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

fn fact_of(account: &str) -> Record {
    Record {
        trigger: Trigger::CallHangup,
        at: Timestamp::default(),
        core_uuid: "core".into(),
        sequence: 1,
        account_id: account.into(),
        call_id: None,
        call_uuid: None,
        deliveries: Vec::new(),
    }
}

#[tokio::test]
async fn a_watcher_whose_token_was_revoked_sees_nothing_more() {
    let mut api = Api::start().await;
    let (id, token) = token_of(&api, "default").await;
    let mut all = Stream::open(&api, None).await;
    api.token = token;
    let mut revoked = Stream::open(&api, None).await;
    api.token = support::api::ADMIN.into();
    api.call("DELETE", &format!("/accounts/default/tokens/{id}"))
        .await
        .data(200);
    // From here on only the server's own patience makes time go by.
    tokio::time::pause();
    let ends = async { while revoked.block().await.is_some() {} };
    let ended = tokio::time::timeout(Duration::from_secs(120), ends).await;
    assert!(ended.is_ok(), "the stream goes on");
    api.feed.recorded(&fact_of("default"));
    while all.block().await.expect("it goes on for others") == ":" {}
}

#[tokio::test]
async fn a_watcher_hears_that_the_stream_lives_while_things_happen_that_he_may_not_see() {
    let mut api = Api::start().await;
    let customer = api.make_account("default", "Customer").await;
    api.token = token_of(&api, &customer).await.1;
    let mut quiet = Stream::open(&api, None).await;
    tokio::time::pause();
    let feed = api.feed.clone();
    let busy = tokio::spawn(async move {
        loop {
            feed.recorded(&fact_of("default"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let sign = tokio::time::timeout(Duration::from_secs(120), quiet.block()).await;
    assert_eq!(sign.expect("a sign of life").as_deref(), Some(":"));
    busy.abort();
}

#[tokio::test]
async fn what_a_hook_was_sent_is_explained_though_it_asks_for_something_else_by_now() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    let id = api.make_hook("default", hook(&receiver.uri("/"))).await;
    api.happens("default", "call-1", Trigger::Dtmf);
    receiver.next().await;
    api.attempts(&at(&id, "attempts"), 1).await;
    let other = json!({ "hook": "call_missed" });
    api.send("PATCH", &format!("{HOOKS}/{id}"), other)
        .await
        .data(200);
    let told = api
        .call("GET", "/accounts/default/calls/call-1/timeline")
        .await;
    let verdict = &told.data(200)["timeline"][0]["facts"][0]["hooks"][0];
    assert_eq!(
        (&verdict["id"], &verdict["verdict"]),
        (&json!(id), &json!("matched")),
        "{:#}",
        told.body
    );
    assert_eq!(verdict["delivery"]["state"], "delivered");
}

#[tokio::test]
async fn a_test_is_recorded_though_whoever_asked_for_it_hangs_up() {
    let api = Api::start().await;
    let mut receiver = Receiver::start().await;
    let gate = receiver.hold();
    let id = api.make_hook("default", hook(&receiver.uri("/"))).await;
    let path = format!("/v2{}", at(&id, "test"));
    let asked = api.request("PUT", &path).send();
    tokio::select! {
        _ = asked => panic!("the receiver has not answered yet"),
        _ = receiver.next() => {}
    }
    // The server has seen that the client is gone before it answers the next one.
    api.call("GET", HOOKS).await.data(200);
    gate.open();
    let attempts = api.attempts(&at(&id, "attempts"), 1).await;
    assert_eq!(attempts[0]["result"], "success");
}
