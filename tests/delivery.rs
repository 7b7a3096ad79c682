//! Delivery: what happens to an event between its commit and its last attempt.

mod support;

use std::time::Duration;

use serde_json::json;
use support::office::Office;
use support::receiver::{Behaviour, Receiver, Request};
use switchhook::delivery::{Guard, replay};
use switchhook::hook::{Document, Secret, Secrets};
use switchhook::store::attempts::AttemptResult;
use switchhook::store::hooks;
use switchhook::trigger::Trigger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

fn calls(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .map(|request| format!("{} {}", request.field("call_id"), request.trigger()))
        .collect()
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_with_the_same_id_until_it_succeeds() {
    let mut receiver = Receiver::start().await;
    let mut answers = [500, 302, 204].into_iter();
    receiver.decide_by(move |_| Behaviour::status(answers.next().unwrap_or(204)));
    let office = Office::new().open().await;
    let hook = office.add_hook(&receiver.uri("/a"), json!({})).await;
    office.happens("call-1", Trigger::ChannelCreate);

    let requests = receiver.take(3).await;
    let ids: Vec<&str> = requests.iter().map(|r| r.header("webhook-id")).collect();
    assert_eq!(ids, [ids[0]; 3]);
    let numbers: Vec<&str> = requests
        .iter()
        .map(|r| r.header("webhook-attempt"))
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(requests[0].header("x-hook-id"), &*hook.id);
    assert_eq!(requests[0].header("x-account-id"), "default");
    assert_eq!(requests[0].header("idempotency-key"), ids[0]);
    assert_eq!(requests[0].field("webhook_id"), ids[0]);
    assert!(requests[0].header("user-agent").starts_with("switchhook/"));

    let attempts = office.attempts_when(|attempts| attempts.len() == 3).await;
    let results: Vec<_> = attempts
        .iter()
        .map(|a| (a.attempt.result, a.attempt.status, a.attempt.retries_left))
        .collect();
    assert_eq!(
        results,
        [
            (AttemptResult::Failure, Some(500), 2),
            (AttemptResult::Failure, Some(302), 1),
            (AttemptResult::Success, Some(204), 0),
        ]
    );
    office.close().await;
}

#[tokio::test]
async fn a_call_keeps_its_order_and_holds_up_no_other_call() {
    let mut receiver = Receiver::start().await;
    receiver.decide_by(|request| match request.field("call_id").as_str() {
        "slow" => Behaviour::Stall,
        _ => Behaviour::status(204),
    });
    let office = Office::new().open().await;
    office
        .add_hook(&receiver.uri("/"), json!({"timeout_ms": 600, "retries": 0}))
        .await;
    for trigger in [
        Trigger::ChannelCreate,
        Trigger::ChannelAnswer,
        Trigger::ChannelDestroy,
    ] {
        office.happens("slow", trigger);
        office.happens("fast", trigger);
    }
    let first = receiver.take(4).await;
    assert_eq!(
        calls(&first),
        [
            "slow channel_create",
            "fast channel_create",
            "fast channel_answer",
            "fast channel_destroy"
        ]
    );
    // The slow one has its time-out; then its call goes on, in order.
    let later = receiver.take(2).await;
    assert_eq!(
        calls(&later),
        ["slow channel_answer", "slow channel_destroy"]
    );
    office.crash().await;
}

#[tokio::test]
async fn a_failed_one_no_longer_holds_the_others_unless_the_order_is_strict() {
    for (ordering, expected) in [
        ("call", ["create", "answer", "create"]),
        ("strict", ["create", "create", "answer"]),
        ("none", ["create", "answer", "create"]),
    ] {
        let mut receiver = Receiver::start().await;
        let mut failed = false;
        receiver.decide_by(move |request| {
            let fails = !failed && request.trigger() == "channel_create";
            failed |= fails;
            Behaviour::status(if fails { 500 } else { 204 })
        });
        let office = Office::new().open().await;
        office
            .add_hook(&receiver.uri("/"), json!({"ordering": ordering}))
            .await;
        office.happens("call", Trigger::ChannelCreate);
        if ordering == "none" {
            // Without order both go out at once; which is first is nobody's promise.
            receiver.next().await;
        }
        office.happens("call", Trigger::ChannelAnswer);
        let mut seen = receiver.take(if ordering == "none" { 2 } else { 3 }).await;
        if ordering == "none" {
            seen.sort_by_key(Request::trigger);
            assert_eq!(seen[1].trigger(), "channel_create");
            assert_eq!(seen[1].header("webhook-attempt"), "2");
        } else {
            let order: Vec<String> = seen
                .iter()
                .map(|request| request.trigger().replace("channel_", ""))
                .collect();
            assert_eq!(order, expected, "{ordering}");
        }
        office.close().await;
    }
}

#[tokio::test]
async fn a_hanging_receiver_delays_nobody_else() {
    let hanging = Receiver::start().await;
    hanging.behave(Behaviour::Stall);
    let mut healthy = Receiver::start().await;
    let office = Office::new().open().await;
    office
        .add_hook(&hanging.uri("/"), json!({"name": "hanging"}))
        .await;
    office
        .add_hook(&healthy.uri("/"), json!({"name": "healthy"}))
        .await;
    let began = Instant::now();
    for call in 0..200 {
        office.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    healthy.take(200).await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "the other one's time-out is 10 s"
    );
    office.crash().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let mut receiver = Receiver::start().await;
    receiver.behave(Behaviour::status(500));
    let office = Office::new();
    let open = office.open().await;
    open.add_hook(&receiver.uri("/"), json!({"retries": 4}))
        .await;
    for call in 0..10 {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    let before = receiver.take(10).await;
    open.crash().await;
    receiver.behave(Behaviour::status(204));
    receiver.rest();

    let open = office.open().await;
    let mut after = receiver.take(10).await;
    let id = |request: &Request| request.header("webhook-id").to_owned();
    let mut ids: Vec<String> = before.iter().map(id).collect();
    ids.sort();
    after.sort_by_key(id);
    assert_eq!(after.iter().map(id).collect::<Vec<_>>(), ids);
    open.close().await;
}

#[tokio::test]
async fn a_backlog_waits_in_the_store_and_not_in_memory() {
    const BACKLOG: usize = 3_000;
    let gone = Receiver::start().await;
    let address = gone.address();
    drop(gone);
    let office = Office::new();
    let open = office.open().await;
    let mut healthy = Receiver::start().await;
    let uri = format!("http://{address}/");
    open.add_hook(
        &uri,
        json!({"name": "dead", "hook": "channel_create", "retries": 4}),
    )
    .await;
    open.add_hook(&healthy.uri("/"), json!({"hook": "channel_destroy"}))
        .await;
    for call in 0..BACKLOG {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
        if call % 100 == 0 {
            open.happens(&format!("call-{call}"), Trigger::ChannelDestroy);
            healthy.next().await;
        }
    }
    let in_memory = || {
        let stats = open.delivery.stats();
        stats.in_memory.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert!(in_memory() <= 300, "{} in memory", in_memory());
    open.close().await;

    // The same path takes it up after a restart, in order, when the receiver is back.
    let mut back = Receiver::at(address).await;
    let open = office.open().await;
    let requests = back.take(BACKLOG).await;
    let mut seen: Vec<String> = requests
        .iter()
        .map(|r| r.header("webhook-id").to_owned())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), BACKLOG);
    open.close().await;
}

#[tokio::test]
async fn gone_switches_off_and_six_failures_do_too_but_only_once() {
    let mut office = Office::new();
    office.config.disable_after = 6;
    let mut open = office.open().await;
    let gone = Receiver::start().await;
    gone.behave(Behaviour::status(410));
    let broken = Receiver::start().await;
    broken.behave(Behaviour::status(500));
    let hook = open.add_hook(&gone.uri("/"), json!({"hook": "dtmf"})).await;
    open.happens("call", Trigger::Dtmf);
    let off = open.switched_off.recv().await.unwrap();
    assert_eq!(off.hook_id, hook.id);
    assert_eq!(off.reason, "the receiver answered 410 Gone");

    let hook = open
        .add_hook(&broken.uri("/"), json!({"hook": "channel_create"}))
        .await;
    for call in 0..40 {
        open.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    let off = open.switched_off.recv().await.unwrap();
    assert_eq!(off.hook_id, hook.id);
    assert!(
        off.reason
            .starts_with("6 failed attempts within 60 seconds"),
        "{}",
        off.reason
    );
    assert!(off.reason.contains("status 500"), "{}", off.reason);

    // Whoever keeps the hooks switches it off; what is pending is then skipped, and kept.
    let (key, reason) = (off.key, off.reason.clone());
    let disabled = open
        .store
        .write(move |tx| hooks::disable(tx, key, &reason))
        .await
        .unwrap()
        .expect("it was on");
    open.put(disabled);
    let attempts = open
        .attempts_when(|attempts| {
            (0..40).all(|call| {
                attempts.iter().any(|a| {
                    a.delivery.call_id.as_deref() == Some(&format!("call-{call}"))
                        && (a.attempt.result == AttemptResult::Skipped
                            || a.attempt.retries_left == 0)
                })
            })
        })
        .await;
    assert!(
        attempts
            .iter()
            .any(|a| a.attempt.reason.as_deref() == Some("hook disabled"))
    );
    open.happens("late", Trigger::ChannelCreate);
    open.attempts_when(|attempts| {
        attempts.iter().any(|a| {
            a.delivery.call_id.as_deref() == Some("late")
                && a.attempt.result == AttemptResult::Skipped
        })
    })
    .await;
    assert!(open.switched_off.try_recv().is_err(), "once is enough");
    open.close().await;
}

#[tokio::test]
async fn a_failover_is_tried_at_once() {
    let dead = Receiver::start().await;
    let uri = dead.uri("/first");
    drop(dead);
    let mut second = Receiver::start().await;
    let office = Office::new().open().await;
    office
        .add_hook(&uri, json!({"failover_uri": second.uri("/second")}))
        .await;
    office.happens("call", Trigger::ChannelCreate);
    let request = second.next().await;
    assert_eq!(request.target, "/second");
    assert_eq!(request.header("webhook-attempt"), "1");
    let attempts = office.attempts_when(|attempts| attempts.len() == 2).await;
    assert_eq!(
        attempts[0].attempt.client_error.as_deref(),
        Some("econnrefused")
    );
    assert_eq!(attempts[1].attempt.result, AttemptResult::Success);
    office.close().await;
}

#[tokio::test]
async fn what_is_too_old_is_recorded_as_expired() {
    let mut receiver = Receiver::start().await;
    let office = Office::new().open().await;
    office
        .add_hook(&receiver.uri("/"), json!({"expires_seconds": 60}))
        .await;
    let long_ago = switchhook::time::Clock::system()
        .now()
        .before(Duration::from_secs(120));
    office.happened("old", Trigger::ChannelCreate, long_ago);
    office.happens("new", Trigger::ChannelCreate);
    assert_eq!(receiver.next().await.field("call_id"), "new");
    let attempts = office.attempts_when(|attempts| attempts.len() == 2).await;
    assert!(attempts.iter().any(|a| {
        a.attempt.result == AttemptResult::Expired && a.delivery.call_id.as_deref() == Some("old")
    }));
    office.close().await;
}

#[tokio::test]
async fn what_is_too_old_and_sent_again_has_all_its_tries() {
    let mut receiver = Receiver::start().await;
    let mut answers = [500, 500, 204].into_iter();
    receiver.decide_by(move |_| Behaviour::status(answers.next().unwrap_or(204)));
    let office = Office::new().open().await;
    let hook = office
        .add_hook(&receiver.uri("/"), json!({"expires_seconds": 60}))
        .await;
    let long_ago = switchhook::time::Clock::system()
        .now()
        .before(Duration::from_secs(120));
    office.happened("old", Trigger::ChannelCreate, long_ago);
    let expired = office.attempts_when(|attempts| attempts.len() == 1).await;
    let old = expired[0].delivery.id;
    let resent = replay::resend(&office.store, &office.delivery, hook.key, old).await;
    assert!(resent.unwrap());
    let requests = receiver.take(3).await;
    let numbers: Vec<&str> = (requests.iter())
        .map(|request| request.header("webhook-attempt"))
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    office.close().await;
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let mut receiver = Receiver::start().await;
    let mut first = true;
    receiver.decide_by(move |_| match std::mem::take(&mut first) {
        true => Behaviour::Answer(503, vec![("Retry-After", "1".into())], Vec::new()),
        false => Behaviour::status(204),
    });
    let office = Office::new().open().await;
    office.add_hook(&receiver.uri("/"), json!({})).await;
    office.happens("call", Trigger::ChannelCreate);
    receiver.next().await;
    let asked = Instant::now();
    receiver.next().await;
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    office.close().await;
}

#[tokio::test]
async fn the_address_decides_where_requests_may_go() {
    let mut receiver = Receiver::start().await;
    let mut office = Office::new();
    office.guard = Guard {
        deny_private: true,
        deny_networks: Vec::new(),
    };
    let open = office.open().await;
    let port = receiver.address().port();
    // `localhost` is a name: the resolver's answer is refused, not the text.
    for uri in [
        format!("http://localhost:{port}/"),
        receiver.uri("/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        open.add_hook(&uri, json!({"retries": 0})).await;
    }
    open.happens("call", Trigger::ChannelCreate);
    let attempts = open.attempts_when(|attempts| attempts.len() == 3).await;
    for attempt in attempts {
        assert_eq!(
            attempt.attempt.reason.as_deref(),
            Some("address not allowed")
        );
    }
    assert!(receiver.rest().is_empty());
    open.close().await;
}

#[tokio::test]
async fn a_slow_drip_and_an_endless_answer_end() {
    let drips = Receiver::start().await;
    drips.behave(Behaviour::Drip);
    let floods = Receiver::start().await;
    floods.behave(Behaviour::Answer(
        200,
        Vec::new(),
        vec![b'x'; 8 * 1024 * 1024],
    ));
    let office = Office::new().open().await;
    office
        .add_hook(&drips.uri("/"), json!({"timeout_ms": 300}))
        .await;
    office.add_hook(&floods.uri("/"), json!({})).await;
    office.happens("call", Trigger::ChannelCreate);
    let attempts = office.attempts_when(|attempts| attempts.len() == 2).await;
    for attempt in attempts {
        assert_eq!(attempt.attempt.status, Some(200), "the status has decided");
        assert!(attempt.attempt.resp_body.len() <= 4_096);
    }
    office.close().await;
}

#[tokio::test]
async fn what_is_no_http_is_told_from_a_closed_connection() {
    let office = Office::new().open().await;
    let mut many = b"HTTP/1.1 200 OK\r\n".to_vec();
    many.extend(b"X-Filler: x\r\n".repeat(5_000));
    for (call, answer) in [
        b"hello there\r\n\r\n".to_vec(),
        b"HTTP/1.1 2\x000 OK\r\n\r\n".to_vec(),
        many,
    ]
    .into_iter()
    .enumerate()
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            // It may be left alone before it has said everything.
            let _ = connection.write_all(&answer).await;
            let _ = connection.read(&mut request).await;
        });
        let hook = office.add_hook(&uri, json!({"retries": 0})).await;
        office.happens(&format!("call-{call}"), Trigger::ChannelCreate);
        let attempts = office
            .attempts_when(|attempts| attempts.iter().any(|one| one.delivery.hook_id == hook.id))
            .await;
        let attempt = attempts
            .into_iter()
            .find(|one| one.delivery.hook_id == hook.id);
        let attempt = attempt.unwrap().attempt;
        assert_eq!(attempt.client_error.as_deref(), Some("bad_response"));
        server.abort();
    }
    office.close().await;
}

#[tokio::test]
async fn signatures_cover_the_bytes_that_were_sent() {
    let secret = Secret::generate().unwrap();
    let mut receiver = Receiver::start().await;
    let office = Office::new().open().await;
    for (path, verb, format) in [
        ("/json", "post", "json"),
        ("/form", "put", "form-data"),
        ("/get?token=a%20b", "get", "json"),
    ] {
        let document: Document = json!({
            "name": "signed", "hook": "all", "uri": receiver.uri(path),
            "http_verb": verb, "format": format, "custom_data": {"who": "Zoë & 王"},
        })
        .as_object()
        .unwrap()
        .clone();
        let secrets = Secrets {
            current: Some(secret.clone()),
            previous: None,
        };
        office.add_signed_hook(document, secrets).await;
    }
    office.happens("call", Trigger::ChannelCreate);
    // An implementation of the specification that is not ours.
    let verifier = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
    for request in receiver.take(3).await {
        let mut headers = http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, request.header(name).parse().unwrap());
        }
        let sent = match request.method.as_str() {
            "GET" => request.query().as_bytes(),
            _ => &request.body,
        };
        verifier.verify(sent, &headers).unwrap();
        assert!(verifier.verify(b"something else", &headers).is_err());
        assert_eq!(request.field("who"), "Zoë & 王");
    }
    office.close().await;
}

#[tokio::test]
async fn a_rate_limit_delays_and_loses_nothing() {
    let mut receiver = Receiver::start().await;
    let office = Office::new().open().await;
    office
        .add_hook(
            &receiver.uri("/"),
            json!({"rate_limit": {"per_second": 50, "burst": 5}}),
        )
        .await;
    let began = Instant::now();
    for call in 0..30 {
        office.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    receiver.take(30).await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(450),
        "25 of them at 50 a second: {took:?}"
    );
    office.close().await;
}

#[tokio::test]
async fn a_dead_receiver_with_a_failover_delays_nothing_and_is_found_when_it_is_back() {
    let dead = Receiver::start().await;
    let address = dead.address();
    drop(dead);
    let mut second = Receiver::start().await;
    let office = Office::new().open().await;
    office
        .add_hook(
            &format!("http://{address}/first"),
            json!({"failover_uri": second.uri("/second")}),
        )
        .await;
    let began = Instant::now();
    for call in 0..200 {
        office.happens(&format!("call-{call}"), Trigger::ChannelCreate);
    }
    second.take(200).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "none of them waits for a probe of the dead one"
    );

    let mut back = Receiver::at(address).await;
    let found = async {
        for call in 200.. {
            office.happens(&format!("call-{call}"), Trigger::ChannelCreate);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        request = back.next() => assert_eq!(request.target, "/first"),
        () = found => {}
    }
    office.close().await;
}

#[tokio::test]
async fn a_failover_endpoint_has_its_limits_too() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut second = Receiver::start().await;
    let mut office = Office::new();
    office.config.in_flight = 4;
    let open = office.open().await;
    let stats = std::sync::Arc::new(AtomicUsize::new(0));
    let most = std::sync::Arc::clone(&stats);
    let waiting = std::sync::Arc::new(AtomicUsize::new(0));
    second.decide_by(move |_| {
        most.fetch_max(
            waiting.fetch_add(1, Ordering::Relaxed) + 1,
            Ordering::Relaxed,
        );
        Behaviour::Stall
    });
    for hook in 0..8 {
        let failing = format!("http://127.0.0.1:{}/", 1 + hook);
        open.add_hook(
            &failing,
            json!({"failover_uri": second.uri("/"), "timeout_ms": 400, "retries": 0}),
        )
        .await;
    }
    open.happens("call", Trigger::ChannelCreate);
    second.take(4).await;
    assert_eq!(stats.load(Ordering::Relaxed), 4, "and no more at once");
    second.take(4).await;
    open.close().await;
}
