//! Callflows end to end: stored over REST, run on a call that the dialplan hands over, and what the receiver saw.
//! The real binary, a real SQLite file, real sockets.

mod support;

use serde_json::{Value, json};
use support::caller::{Did, End, Story};
use support::receiver::{Behaviour, Receiver};
use support::stage::{Stage, caller, ended};
use tokio::task::JoinHandle;

fn webhook(uri: &str, data: Value) -> Value {
    let mut all = json!({"uri": uri, "format": "json", "retries": 0});
    for (field, value) in data.as_object().unwrap() {
        all[field] = value.clone();
    }
    json!({"module": "webhook", "data": all})
}

fn play(file: &str) -> Value {
    json!({"module": "play", "data": {"file": file, "answer": false}})
}

/// The example of the documents: device, then webhook, then voicemail.
fn missed_call(uri: &str) -> Value {
    json!({"module": "device", "data": {"id": "1001"},
        "children": {"_": {"module": "webhook", "data": {"uri": uri},
            "children": {"_": {"module": "voicemail", "data": {"id": "1001"}}}}}})
}

fn bridge_ends(disposition: &'static str) -> impl FnMut(&str, &str) -> Did + Send {
    move |application, _| match application {
        "bridge" => Did::set("originate_disposition", disposition),
        _ => Did::nothing(),
    }
}

fn result(story: &Story) -> (&str, &str, &str) {
    (
        story.variable("callflow_result"),
        story.variable("webhook_result"),
        story.variable("webhook_status"),
    )
}

#[tokio::test]
async fn a_missed_call_is_told_and_goes_to_voicemail() {
    let mut stage = Stage::new().await;
    let uri = stage.receiver.uri("/frontdesk/missed_call");
    let id = stage.store(&["+10005559999"], missed_call(&uri)).await;
    let (_, dry) = stage
        .daemon
        .api(
            "PUT",
            &format!("/v2/accounts/default/callflows/{id}/test"),
            Some(json!({"call": {"answered": false}})),
        )
        .await;
    for asynchronous in [true, false] {
        let mut missed = caller("callflow")
            .dialled("1 (000) 555-9999")
            .applications(bridge_ends("NO_ANSWER"));
        if !asynchronous {
            missed = missed.sync();
        }
        let uuid = missed.uuid.clone();
        let story = stage.dial(missed).await;
        assert_eq!(
            story.ran,
            [
                "bridge([leg_timeout=20]user/1001@pbx.test)",
                "answer()",
                "voicemail(default pbx.test 1001)"
            ]
        );
        // The dry run has said so.
        let ran = story.ran.iter().map(|ran| ran.replacen('(', " ", 1));
        let ran: Vec<_> = ran
            .map(|ran| ran.trim_end_matches(')').trim_end().to_owned())
            .collect();
        let steps = &dry["data"]["steps"];
        assert_eq!(steps[0]["applications"][0], ran[0]);
        assert_eq!(steps[2]["applications"], json!(ran[1..]));
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(result(&story), ("done", "queued", ""));

        let request = stage.receiver.next().await;
        assert_eq!(
            (&*request.method, &*request.target),
            ("POST", "/frontdesk/missed_call")
        );
        assert_eq!(request.trigger(), "callflow_webhook");
        assert_eq!(request.field("call_id"), uuid);
        assert_eq!(request.field("destination_number"), "1 (000) 555-9999");
        let attempts = stage.attempts(1 + usize::from(!asynchronous)).await;
        assert_eq!(attempts[0]["hook_event"], "callflow_webhook");
        assert_eq!(attempts[0]["result"], "success");
        assert_eq!(attempts[0]["call_id"], uuid);
        assert_eq!(attempts[0]["webhook_id"], request.header("webhook-id"));
    }
}

#[tokio::test]
async fn an_answered_call_is_not_told() {
    let mut stage = Stage::new().await;
    let uri = stage.receiver.uri("/");
    stage.store(&["no_match"], missed_call(&uri)).await;
    let answered = caller("callflow").applications(|_, _| Did::HungUp("NORMAL_CLEARING"));
    let story = stage.dial(answered).await;
    assert_eq!(story.end, End::HungUp("NORMAL_CLEARING".into()));
    let missed = caller("callflow").applications(bridge_ends("NO_ANSWER"));
    let uuid = missed.uuid.clone();
    stage.dial(missed).await;
    let first = stage.receiver.next().await;
    assert_eq!(first.field("call_id"), uuid, "only this one is told");
}

#[tokio::test]
async fn a_server_that_is_asked_says_what_to_do() {
    let mut stage = Stage::new().await;
    let uri = stage.receiver.uri("/menu");
    let mut ask = webhook(&uri, json!({"http_verb": "get"}));
    ask["children"] = json!({"success": play("then.wav"), "failure": play("else.wav")});
    stage.store(&["no_match"], ask).await;
    let told = json!({"module": "set_variables", "data": {"variables": {"crm_name": "Zoë Müller"}},
        "children": {"_": play("told.wav")}});
    let answer = Behaviour::Answer(200, Vec::new(), told.to_string().into_bytes());
    stage.receiver.behave(answer);
    let story = stage.dial(caller("callflow")).await;
    assert_eq!(story.ran, ["playback(told.wav)", "playback(then.wav)"]);
    assert_eq!(story.variable("crm_name"), "Zoë Müller");
    assert_eq!(result(&story), ("done", "success", "200"));
    let request = stage.receiver.next().await;
    assert_eq!(request.method, "GET");
    assert_eq!(request.trigger(), "callflow_webhook");

    // What a server must not ask for is not run.
    let stolen = json!({"module": "transfer", "data": {"extension": "9001900"}});
    let answer = Behaviour::Answer(200, Vec::new(), stolen.to_string().into_bytes());
    stage.receiver.behave(answer);
    let story = stage.dial(caller("callflow")).await;
    assert_eq!(
        (story.ran, story.end),
        (vec!["playback(then.wav)".to_owned()], End::HandedBack)
    );
    assert_eq!(story.variables["callflow_result"], "error");

    stage.receiver.behave(Behaviour::status(404));
    let story = stage.dial(caller("callflow")).await;
    assert_eq!(story.ran, ["playback(else.wav)"]);
    assert_eq!(result(&story), ("done", "failure", "404"));
}

#[tokio::test]
async fn the_dialplan_sends_what_its_variables_say() {
    let mut stage = Stage::new().await;
    stage.receiver.behave(Behaviour::status(202));
    let asks = caller("webhook")
        .with("webhook_uri", &stage.receiver.uri("/crm"))
        .with("webhook_format", "json")
        .with("webhook_http_verb", "put")
        .with("webhook_wait_ms", "10000")
        .with("webhook_custom_data", r#"{"some_id": "1, 2"}"#);
    let story = stage.dial(asks).await;
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(result(&story), ("done", "success", "202"));
    assert!(story.variable("webhook_time_ms").parse::<u64>().unwrap() < 10_000);
    let request = stage.receiver.next().await;
    assert_eq!((&*request.method, &*request.target), ("PUT", "/crm"));
    assert_eq!(request.payload()["some_id"], "1, 2");
    assert_eq!(request.trigger(), "callflow_webhook");
}

#[tokio::test]
async fn the_dialplan_names_a_stored_hook() {
    let mut stage = Stage::new().await;
    let hook = json!({"name": "desk", "hook": "call_missed", "format": "json", "uri": stage.receiver.uri("/desk"),
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let id = stage.daemon.add_hook(hook).await;
    let asks = caller(&format!("webhook/{id}")).with("webhook_wait_ms", "10000");
    let story = stage.dial(asks).await;
    assert_eq!(result(&story), ("done", "success", "204"));
    let request = stage.receiver.next().await;
    assert_eq!(request.target, "/desk");
    assert_eq!(request.header("x-hook-id"), id);
    assert!(request.header("webhook-signature").starts_with("v1,"));
    let story = stage.dial(caller("webhook/4f2a")).await;
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(result(&story), ("not_found", "", ""));
}

#[tokio::test]
async fn the_callflow_is_found_by_its_id_or_by_the_number_or_is_the_one_for_the_rest() {
    let stage = Stage::new().await;
    let story = stage.dial(caller("callflow").dialled("5000")).await;
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(result(&story), ("not_found", "", ""));
    assert_eq!(
        story.variable("callflow_error"),
        "account default has no callflow with the number \"5000\" or \"no_match\""
    );
    let rest = stage.store(&["no_match"], play("rest.wav")).await;
    let id = stage.store(&["+1 5000"], play("number.wav")).await;
    let ran = async |path: &str, number: &str| {
        let story = stage.dial(caller(path).dialled(number)).await;
        assert_eq!(story.end, End::HandedBack);
        let ran = story.ran.first().cloned().unwrap_or_default();
        (ran, story.variable("callflow_result").to_owned())
    };
    let done = |file: &str| (format!("playback({file})"), "done".to_owned());
    let not_found = || (String::new(), "not_found".to_owned());
    assert_eq!(ran("callflow", "15000").await, done("number.wav"));
    assert_eq!(ran("callflow", "+1-5000").await, done("number.wav"));
    assert_eq!(ran("callflow", "5001").await, done("rest.wav"));
    assert_eq!(
        ran(&format!("callflow/{id}"), "5001").await,
        done("number.wav")
    );
    assert_eq!(ran("callflow/4f2a", "15000").await, not_found());
    assert_eq!(ran("fax", "15000").await, not_found());

    // What is changed is so for the next call.
    let one = format!("/v2/accounts/default/callflows/{id}");
    let changed = json!({"flow": {"data": {"file": "changed.wav"}}});
    assert_eq!(stage.daemon.api("PATCH", &one, Some(changed)).await.0, 200);
    assert_eq!(ran("callflow", "15000").await, done("changed.wav"));
    assert_eq!(stage.daemon.api("DELETE", &one, None).await.0, 200);
    assert_eq!(ran("callflow", "15000").await, done("rest.wav"));
    let rest = format!("/v2/accounts/default/callflows/{rest}");
    assert_eq!(stage.daemon.api("DELETE", &rest, None).await.0, 200);
    assert_eq!(ran("callflow", "15000").await, not_found());
}

#[tokio::test]
async fn a_dead_receiver_does_not_hold_the_call_and_is_told_when_it_is_back() {
    // Long enough between two attempts that the receiver is back before the last.
    let mut stage = Stage::with(&[("DELIVERY__RETRY_BASE_MS", "500")]).await;
    let address = stage.receiver.address();
    let tell = stage.receiver.uri("/tell");
    let mut flow = webhook(&tell, json!({"retries": 4, "wait_ms": 10_000}));
    flow["children"] = json!({"success": play("well.wav"), "failure": play("sorry.wav")});
    stage.store(&["1"], flow.clone()).await;
    flow["data"]["wait_ms"] = json!(0);
    flow["children"] = json!({"_": play("on.wav")});
    stage.store(&["2"], flow).await;
    // Nobody listens there any more.
    stage.receiver = Receiver::start().await;

    let story = stage.dial(caller("callflow").dialled("1")).await;
    assert_eq!(story.ran, ["playback(sorry.wav)"]);
    assert_eq!(result(&story), ("done", "failure", ""));
    let story = stage.dial(caller("callflow").dialled("2")).await;
    assert_eq!(story.ran, ["playback(on.wav)"]);
    assert_eq!(result(&story), ("done", "queued", ""));
    let mut back = Receiver::at(address).await;
    let told = back.take(2).await;
    assert_ne!(told[0].header("webhook-id"), told[1].header("webhook-id"));
}

#[tokio::test]
async fn two_actions_of_a_call_are_two_events_to_a_hook_that_listens() {
    let mut stage = Stage::new().await;
    let listener = json!({"name": "log", "hook": "callflow_webhook", "format": "json", "uri": stage.receiver.uri("/log")});
    stage.daemon.add_hook(listener).await;
    // The same twice, with nothing between that would change the channel's data.
    let mut flow = webhook(&stage.receiver.uri("/tell"), json!({}));
    flow["children"] = json!({"_": flow.clone()});
    stage.store(&["no_match"], flow).await;
    stage.dial(caller("callflow")).await;
    let told = stage.receiver.take(4).await;
    let mut ids: Vec<_> = told.iter().map(|one| one.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{told:#?}");
    let logged = told.iter().filter(|one| one.target == "/log");
    let sequences: Vec<_> = logged.map(|one| one.field("sequence")).collect();
    assert_eq!(sequences[0], sequences[1], "as the switch has numbered it");
    assert!(sequences[0].parse::<u64>().unwrap() < 1 << 48);
}

/// A flow that waits for a receiver that does not answer, and what a call in it has come to when it waits.
async fn waiting_call(stage: &mut Stage) -> (JoinHandle<Story>, String) {
    let mut flow = webhook(
        &stage.receiver.uri("/"),
        json!({"wait_ms": 60_000, "retries": 2}),
    );
    flow["children"] = json!({"_": play("on.wav")});
    stage.store(&["no_match"], flow).await;
    stage.receiver.behave(Behaviour::Stall);
    let story = stage.dialling(caller("callflow"));
    let request = stage.receiver.next().await;
    (story, request.header("webhook-id").to_owned())
}

#[tokio::test]
async fn killed_in_the_middle_the_call_is_the_dialplans_and_the_webhook_goes_out_after_the_start() {
    let mut stage = Stage::new().await;
    let (story, webhook_id) = waiting_call(&mut stage).await;
    stage.daemon.kill().await;
    let story = ended(story).await;
    assert_eq!(story.end, End::Dropped { resumed: true });
    assert_eq!((&*story.ran, result(&story)), (&[][..], ("", "", "")));

    stage.receiver.behave(Behaviour::status(204));
    stage.daemon = stage.home.serve().await;
    let again = stage.receiver.next().await;
    assert_eq!(again.header("webhook-id"), webhook_id);
    let attempts = stage.attempts(1).await;
    assert_eq!(attempts[0]["result"], "success");
    assert_eq!(attempts[0]["webhook_id"], webhook_id);
    // The callflow is still there, and the next call runs in it.
    let story = stage.dial(caller("callflow")).await;
    assert_eq!(story.ran, ["playback(on.wav)"]);
    assert_eq!(result(&story), ("done", "success", "204"));
}

#[tokio::test]
async fn stopped_in_the_middle_it_hands_the_call_back_and_says_why() {
    // As little time as it may have for the request that is under way.
    let mut stage = Stage::with(&[("DELIVERY__SHUTDOWN_TIMEOUT_MS", "100")]).await;
    let (story, _) = waiting_call(&mut stage).await;
    assert!(stage.daemon.terminate().await.success());
    let story = ended(story).await;
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(
        (
            story.variable("callflow_result"),
            story.variable("callflow_error")
        ),
        ("error", "switchhook is shutting down")
    );
}
