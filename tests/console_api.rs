//! What the console stands on: its files, and what it asks of the API beyond what others do. The real binary, a
//! switch that plays a recorded call, real receivers.

mod support;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::capture::Recording;
use support::daemon::{ADMIN, Daemon, Home};
use support::receiver::{Behaviour, Receiver};
use support::switch::{Gate, Script, Switch};

const HOOKS: &str = "/v2/accounts/default/webhooks";

/// How long a test waits for what has to come. Never slept through when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// `data` at a path, as soon as it is like this.
async fn data(daemon: &Daemon, path: &str, like: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, answer) = daemon.api("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        if like(&answer["data"]) {
            return answer["data"].clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{path} never came to what was expected; it is {answer:#}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A hook for the end of each call and for each leg that begins.
fn hook(name: &str, uri: &str) -> Value {
    json!({ "name": name, "uri": uri, "hook": ["channel_create", "call_hangup"], "format": "json", "retries": 0 })
}

#[tokio::test]
async fn a_listing_says_how_each_webhook_fared_in_the_last_hour_even_after_a_restart() {
    let gate = Gate::new();
    let call = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let switch = Switch::start([call, Script::subscribed()]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let good = Receiver::start().await;
    let bad = Receiver::start().await;
    bad.behave(Behaviour::status(500));
    let gone = Receiver::start().await;
    for (name, receiver) in [("Shop", &good), ("Shop floor", &bad), ("Idle", &gone)] {
        let mut hook = hook(name, &receiver.uri("/calls"));
        if name == "Idle" {
            hook["hook"] = json!("call_missed");
        }
        daemon.add_hook(hook).await;
    }
    let plain = data(&daemon, HOOKS, |_| true).await;
    assert!(
        plain[0].get("activity").is_none(),
        "only where it is asked for"
    );

    gate.open();
    // Two legs that begin, and the end of the call.
    let path = format!("{HOOKS}?activity=true");
    let fared = |list: &Value| {
        let activity = |index: usize, what: &str| list[index]["activity"][what].clone();
        activity(0, "succeeded") == 3 && activity(1, "failed") == 3
    };
    let list = data(&daemon, &path, fared).await;
    let minutes = list[0]["activity"]["minutes"].as_array().unwrap();
    assert_eq!(minutes.len(), 60);
    let sum: u64 = minutes.iter().map(|one| one[0].as_u64().unwrap()).sum();
    assert_eq!(sum, 3);
    assert_eq!(list[0]["activity"]["last"]["result"], "success");
    assert_eq!(list[1]["activity"]["last"]["resp_status_code"], "500");
    assert_eq!(list[1]["activity"]["succeeded"], 0);
    let idle = json!({ "succeeded": 0, "failed": 0, "minutes": [], "last": null });
    assert_eq!(list[2]["activity"], idle);

    daemon.kill().await;
    let daemon = home.serve().await;
    data(&daemon, &path, fared).await;
}

#[tokio::test]
async fn webhooks_are_found_by_a_part_of_what_they_say_and_by_being_switched_off() {
    let gate = Gate::new();
    let call = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let switch = Switch::start([call]).await;
    let daemon = Home::new(switch.port()).serve().await;
    let gone = Receiver::start().await;
    gone.behave(Behaviour::status(410));
    for (name, path) in [("Shop", "/calls"), ("Bakery", "/SHOP"), ("100%_sure", "/x")] {
        let mut hook = hook(name, &gone.uri(path));
        if name == "100%_sure" {
            hook["description"] = json!("Ring my bell");
        }
        if name != "Shop" {
            hook["hook"] = json!("call_missed");
        }
        daemon.add_hook(hook).await;
    }
    let names = async |query: &str| {
        let list = data(&daemon, &format!("{HOOKS}?{query}"), |_| true).await;
        let names = list.as_array().unwrap().iter();
        let names = names.map(|hook| hook["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("search=shop").await, ["Shop", "Bakery"]);
    assert_eq!(names("search=my%20BELL").await, ["100%_sure"]);
    assert_eq!(names("search=%25_").await, ["100%_sure"], "no pattern");
    assert_eq!(names("search=nobody").await, [""; 0]);
    assert_eq!(names("auto_disabled=true").await, [""; 0]);

    // A page of what is found begins where the one before it ended.
    let path = format!("{HOOKS}?search=shop&page_size=1");
    let (_, first) = daemon.api("GET", &path, None).await;
    let key = first["next_start_key"].as_str().unwrap();
    let second = names(&format!("search=shop&page_size=1&start_key={key}")).await;
    assert_eq!(second, ["Bakery"]);

    // One is told that its receiver is gone.
    gate.open();
    let path = format!("{HOOKS}?auto_disabled=true");
    let off = data(&daemon, &path, |list| *list != json!([])).await;
    assert_eq!(off[0]["name"], "Shop");
    let on = names("auto_disabled=false").await;
    assert_eq!(on, ["Bakery", "100%_sure"]);
    assert_eq!(names("auto_disabled=true&search=bakery").await, [""; 0]);

    let path = format!("{HOOKS}?auto_disabled=perhaps");
    let (status, answer) = daemon.api("GET", &path, None).await;
    assert_eq!(status, 400);
    assert!(answer["data"]["auto_disabled"].is_object(), "{answer}");
}

#[tokio::test]
async fn the_legs_that_are_alive_are_listed_and_only_those() {
    let recording = Recording::read("bridge.plain.esl");
    let (begins, ends) = (Gate::new(), Gate::new());
    let is_end = |event: &&bytes::Bytes| {
        let text = String::from_utf8_lossy(event);
        text.contains("Event-Name: CHANNEL_HANGUP")
    };
    let up = recording
        .events
        .iter()
        .position(|event| is_end(&event))
        .unwrap();
    let mut script = Script::subscribed().pass(&begins);
    for (index, event) in recording.events.into_iter().enumerate() {
        if index == up {
            script = script.pass(&ends);
        }
        script = script.say(event);
    }
    let switch = Switch::start([script]).await;
    let daemon = Home::new(switch.port()).serve().await;
    daemon.add_hook(hook("calls", "http://127.0.0.1:9/")).await;

    let path = "/v2/accounts/default/channels";
    assert_eq!(data(&daemon, path, |_| true).await, json!([]));
    begins.open();
    let answered = |legs: &Value| {
        let legs = legs.as_array().unwrap();
        legs.len() == 2 && legs.iter().all(|leg| leg["answered"] == true)
    };
    let legs = data(&daemon, path, answered).await;
    assert_eq!(legs[0]["is_root_leg"], true, "oldest first: {legs:#}");
    assert_eq!(legs[0]["caller_id_name"], "Alice Example");
    assert_eq!(legs[0]["caller_id_number"], "+15550001111");
    assert_eq!(legs[0]["destination_number"], "1001");
    assert_eq!(legs[1]["call_uuid"], legs[0]["call_id"]);
    assert_eq!(legs[1]["call_direction"], "outbound");
    assert!(legs[0]["elapsed_s"].as_i64().unwrap() >= 0);
    assert!(legs[0].get("hook_event").is_none());

    // They belong to an account; another one does not see them.
    let (_, other) = daemon
        .api("PUT", "/v2/accounts", Some(json!({ "name": "other" })))
        .await;
    let other = format!(
        "/v2/accounts/{}/channels",
        other["data"]["id"].as_str().unwrap()
    );
    assert_eq!(data(&daemon, &other, |_| true).await, json!([]));

    ends.open();
    data(&daemon, path, |legs| *legs == json!([])).await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_named() {
    let gate = Gate::new();
    let call = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let switch = Switch::start([call]).await;
    let home = Home::new(switch.port()).with("DELIVERY__DISABLE_DISABLER", true);
    let daemon = home.serve().await;
    let fine = Receiver::start().await;
    // Its port is free again when it is dropped.
    let dead = Receiver::start().await.uri("");
    for uri in [fine.uri("/a"), fine.uri("/b"), format!("{dead}/x")] {
        let mut hook = hook("to somebody", &uri);
        hook["hook"] = json!("all");
        hook["retries"] = json!(4);
        daemon.add_hook(hook).await;
    }
    gate.open();
    let path = "/v2/accounts/default/endpoints";
    let open = data(&daemon, &format!("{path}?circuit_open=true"), |list| {
        list.as_array().is_some_and(|list| !list.is_empty())
    })
    .await;
    assert_eq!(open.as_array().unwrap().len(), 1);
    assert_eq!(open[0]["endpoint"], dead);
    assert_eq!(open[0]["webhooks"], 1);
    let all = data(&daemon, path, |_| true).await;
    let fine_one = fine.uri("");
    let listed = all.as_array().unwrap().iter();
    let listed = listed
        .filter(|one| one["endpoint"] == fine_one)
        .collect::<Vec<_>>();
    assert_eq!(listed.len(), 1, "{all:#}");
    assert_eq!(listed[0]["webhooks"], 2);
    assert_eq!(listed[0]["circuit_open"], false);

    // The one that is in trouble stands on the first page, whatever its name.
    let (_, first) = daemon
        .api("GET", &format!("{path}?page_size=1"), None)
        .await;
    assert_eq!(first["data"][0]["endpoint"], dead);
    let next = first["next_start_key"].as_str().unwrap();
    assert_eq!(next, fine_one);
    let second = format!("{path}?page_size=1&start_key={next}");
    let (_, second) = daemon.api("GET", &second, None).await;
    assert_eq!(second["data"][0]["endpoint"], fine_one);
    assert!(second.get("next_start_key").is_none(), "{second}");
    let nowhere = format!("{path}?start_key=nowhere");
    assert_eq!(daemon.api("GET", &nowhere, None).await.0, 404);
}

#[tokio::test]
async fn a_call_lists_what_matched_and_the_first_of_what_did_not() {
    let gate = Gate::new();
    let call = Script::subscribed()
        .pass(&gate)
        .events_of("bridge.plain.esl");
    let switch = Switch::start([call]).await;
    let home = Home::new(switch.port());
    let daemon = home.serve().await;
    let receiver = Receiver::start().await;
    for index in 0..105 {
        let mut hook = hook(&format!("other {index}"), &receiver.uri("/others"));
        hook["numbers"] = json!(["+15550009999"]);
        daemon.add_hook(hook).await;
    }
    daemon.add_hook(hook("mine", &receiver.uri("/mine"))).await;
    gate.open();

    let attempts = format!("{HOOKS}/attempts");
    let sent = data(&daemon, &attempts, |list| *list != json!([])).await;
    let call = sent[0]["call_id"].as_str().unwrap().to_owned();
    let path = format!("/v2/accounts/default/calls/{call}/timeline");
    let told = data(&daemon, &path, |told| told["hooks"][100]["matched"] == 3).await;
    assert_eq!(told["hooks"][100]["name"], "mine");
    assert_eq!(told["hooks"].as_array().unwrap().len(), 101);
    assert_eq!(told["hooks_left_out"], 5);
    let entries = told["timeline"].as_array().unwrap().iter();
    let fact = entries
        .flat_map(|entry| entry["facts"].as_array().unwrap())
        .find(|fact| fact["hook_event"] == "channel_create")
        .unwrap();
    assert_eq!(fact["hooks"].as_array().unwrap().len(), 101);
    assert_eq!(fact["hooks"][100]["verdict"], "matched");
    assert_eq!(fact["hooks_left_out"], 5);

    let mut explain = home.command(&["explain", &call]);
    explain.env("SWITCHHOOK_API__LISTEN", daemon.address().to_string());
    let output = explain.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("and 5 more that did not match"), "{text}");
}

#[tokio::test]
async fn the_pages_are_served_with_a_policy_and_asked_for_again_cheaply() {
    let switch = Switch::start([Script::subscribed()]).await;
    let daemon = Home::new(switch.port()).serve().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://{}", daemon.address());
    let page = client.get(&base).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let header = |answer: &reqwest::Response, name: &str| {
        answer
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    let policy = header(&page, "content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(!html.contains(ADMIN));
    // What it names is there, and nothing of it comes from elsewhere.
    let named: Vec<&str> = html
        .split(['"'])
        .filter(|word| word.starts_with('/') || word.contains("//"))
        .collect();
    assert!(named.len() > 5, "{named:?}");
    for path in named {
        assert!(path.starts_with("/assets/"), "{path}");
        let asset = client.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(asset.status(), StatusCode::OK, "{path}");
        let tag = header(&asset, "etag");
        let again = client
            .get(format!("{base}{path}"))
            .header("If-None-Match", &tag);
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(again.bytes().await.unwrap().len(), 0);
    }
    let head = client.head(&base).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let post = client.post(&base).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    let lost = client
        .get(format!("{base}/assets/../Cargo.toml"))
        .send()
        .await
        .unwrap();
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
}
