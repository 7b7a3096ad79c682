//! Calls that the dialplan hands to us: what happens to them, what is sent, and how they come back.

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::caller::{Caller, Did, End, Story};
use support::switch::Gate;
use switchhook::call::Accounts;
use switchhook::callflow::{
    CallflowConfig, Desk, DeskError, StoredFlow, WebhookAction, WebhookAnswer, serve,
};
use switchhook::hook::{Delivery, Hook, Router, Verb};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// What becomes of an action.
#[derive(Debug, Clone)]
enum Fate {
    /// An answer with this status and body.
    Answer(u16, Vec<u8>),
    /// No answer, ever.
    Silence,
    /// The store refuses it.
    Refused,
    /// The store takes it when the gate opens.
    Stalled(Gate),
}

impl Fate {
    fn json(body: Value) -> Self {
        Self::Answer(200, body.to_string().into_bytes())
    }
}

type Decide = Box<dyn FnMut(&WebhookAction) -> Fate + Send>;

/// A house that keeps everything in memory.
struct House {
    actions: Mutex<Vec<WebhookAction>>,
    committed: Notify,
    decide: Mutex<Decide>,
    hooks: Mutex<HashMap<String, Arc<Hook>>>,
    callflows: Mutex<HashMap<String, Value>>,
    numbers: Mutex<HashMap<String, String>>,
    /// Whoever waits for an answer that never comes.
    waiting: Mutex<Vec<oneshot::Sender<WebhookAnswer>>>,
}

impl Desk for House {
    async fn queue(
        &self,
        action: WebhookAction,
    ) -> Result<oneshot::Receiver<WebhookAnswer>, DeskError> {
        let fate = (self.decide.lock().unwrap())(&action);
        let (sender, receiver) = oneshot::channel();
        match fate {
            Fate::Refused => return Err(DeskError("the disk is full".into())),
            Fate::Stalled(gate) => gate.passed().await,
            Fate::Silence => self.waiting.lock().unwrap().push(sender),
            Fate::Answer(status, body) => {
                let answer = WebhookAnswer {
                    success: (200..300).contains(&status),
                    status: Some(status),
                    body: body.into(),
                    duration: Duration::from_millis(1),
                };
                // Nobody need be waiting.
                let _ = sender.send(answer);
            }
        }
        self.actions.lock().unwrap().push(action);
        self.committed.notify_one();
        Ok(receiver)
    }

    fn accounts(&self) -> Arc<Accounts> {
        Arc::default()
    }

    fn hook(&self, account_id: &str, id: &str) -> Option<Arc<Hook>> {
        assert_eq!(account_id, "default");
        self.hooks.lock().unwrap().get(id).cloned()
    }

    async fn callflow(&self, _: &str, id: &str) -> Result<Option<StoredFlow>, DeskError> {
        let callflows = self.callflows.lock().unwrap();
        Ok(callflows.get(id).map(|flow| StoredFlow {
            id: id.into(),
            flow: flow.clone(),
        }))
    }

    async fn callflow_for_number(
        &self,
        account: &str,
        number: &str,
    ) -> Result<Option<StoredFlow>, DeskError> {
        let id = {
            let numbers = self.numbers.lock().unwrap();
            numbers.get(number).or(numbers.get("no_match")).cloned()
        };
        match id {
            Some(id) => self.callflow(account, &id).await,
            None => Ok(None),
        }
    }
}

/// The daemon's end of outbound sockets, on a port of its own.
struct Place {
    house: Arc<House>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Place {
    async fn new() -> Self {
        Self::with(CallflowConfig::default()).await
    }

    async fn with(config: CallflowConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let house = Arc::new(House {
            actions: Mutex::default(),
            committed: Notify::new(),
            decide: Mutex::new(Box::new(|_| Fate::Answer(200, Vec::new()))),
            hooks: Mutex::default(),
            callflows: Mutex::default(),
            numbers: Mutex::default(),
            waiting: Mutex::default(),
        });
        let (stop, stops) = watch::channel(false);
        let serving = serve(listener, Arc::clone(&house), config, Arc::default(), stops);
        Self {
            address,
            house,
            stop,
            serving: tokio::spawn(serving),
        }
    }

    fn decide(&self, decide: impl FnMut(&WebhookAction) -> Fate + Send + 'static) {
        *self.house.decide.lock().unwrap() = Box::new(decide);
    }

    fn callflow(&self, id: &str, numbers: &[&str], flow: Value) {
        let mut all = self.house.callflows.lock().unwrap();
        all.insert(id.into(), flow);
        for number in numbers {
            let mut numbers = self.house.numbers.lock().unwrap();
            numbers.insert((*number).into(), id.into());
        }
    }

    fn hook(&self, id: &str, document: Value) {
        let Value::Object(document) = document else {
            panic!("an object");
        };
        let mut hook = Hook::ad_hoc(&"default".into(), document).unwrap();
        hook.key = 7;
        hook.id = id.into();
        let mut hooks = self.house.hooks.lock().unwrap();
        hooks.insert(id.into(), Arc::new(hook));
    }

    /// The URIs that were asked, in order.
    fn asked(&self) -> Vec<String> {
        let actions = self.house.actions.lock().unwrap();
        let uri = |action: &WebhookAction| action.hook.settings.uri.to_string();
        actions.iter().map(uri).collect()
    }

    /// The life of a leg here; the flow `flow` has every number.
    async fn run(&self, flow: Value, caller: Caller) -> Story {
        self.callflow("flow", &["no_match"], flow);
        self.dial(caller).await
    }

    async fn dial(&self, caller: Caller) -> Story {
        let story = tokio::time::timeout(Duration::from_secs(20), caller.dial(self.address));
        story.await.expect("the call is let go")
    }
}

fn seed() -> Value {
    json!({"module": "device", "data": {"id": "1001", "domain": "pbx.test"},
        "children": {"_": {"module": "webhook", "data": {"uri": "http://my.ser.ver/frontdesk/missed_call"},
            "children": {"_": {"module": "voicemail", "data": {"id": "1001", "domain": "pbx.test"}}}}}})
}

fn play(file: &str) -> Value {
    json!({"module": "play", "data": {"file": file, "answer": false}})
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

// The example of the documents.

#[tokio::test]
async fn a_missed_call_is_told_and_goes_to_voicemail() {
    for asynchronous in [true, false] {
        let place = Place::new().await;
        let mut caller = Caller::new()
            .dialled("1001")
            .with("hangup_after_bridge", "false")
            .applications(bridge_ends("NO_ANSWER"));
        if !asynchronous {
            caller = caller.sync();
        }
        let uuid = caller.uuid.clone();
        let story = place.run(seed(), caller).await;
        assert_eq!(
            story.ran,
            [
                "bridge([leg_timeout=20]user/1001@pbx.test)",
                "answer()",
                "voicemail(default pbx.test 1001)"
            ]
        );
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(result(&story), ("done", "queued", ""));
        // What the bridge needed is as it was.
        assert_eq!(story.variable("continue_on_fail"), "");
        assert_eq!(story.variable("hangup_after_bridge"), "false");
        assert_eq!(place.asked(), ["http://my.ser.ver/frontdesk/missed_call"]);
        let action = place.house.actions.lock().unwrap()[0].clone();
        let delivery = Delivery::new(&action.fact, &action.hook);
        let body = String::from_utf8(delivery.body.to_vec()).unwrap();
        assert!(body.starts_with("hook_event=callflow_webhook&"), "{body}");
        assert!(body.contains(&format!("&call_id={uuid}&")), "{body}");
        assert!(body.contains("&destination_number=1001&"), "{body}");
        assert!(delivery.ad_hoc.is_some());
    }
}

#[tokio::test]
async fn an_answered_call_is_over_when_they_have_talked() {
    let place = Place::new().await;
    // The switch hangs up when the partner has left.
    let caller = Caller::new().applications(|_, _| Did::HungUp("NORMAL_CLEARING"));
    let story = place.run(seed(), caller).await;
    assert_eq!(story.end, End::HungUp("NORMAL_CLEARING".into()));
    assert_eq!(story.variable("hangup_after_bridge"), "true");
    assert_eq!(place.asked(), [""; 0]);
}

#[tokio::test]
async fn who_is_only_heard_as_early_media_has_not_answered() {
    let place = Place::new().await;
    // Ringback tone, then 486: the bridge was a success, but the switch does not hang up.
    let caller = Caller::new().applications(bridge_ends("SUCCESS"));
    let story = place.run(seed(), caller).await;
    assert_eq!(
        story.ran[1..],
        ["answer()", "voicemail(default pbx.test 1001)"]
    );
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(place.asked(), ["http://my.ser.ver/frontdesk/missed_call"]);
}

#[tokio::test]
async fn an_answered_call_that_is_transferred_stays_where_it_is() {
    let place = Place::new().await;
    let caller = Caller::new().applications(|application, _| match application {
        "bridge" => Did::Moved(vec![("originate_disposition", "SUCCESS".into())]),
        _ => Did::nothing(),
    });
    let story = place.run(seed(), caller).await;
    assert_eq!(story.end, End::LetGo);
    assert_eq!(story.ran.len(), 1, "{:?}", story.ran);
    assert_eq!(result(&story), ("", "", ""));
}

#[tokio::test]
async fn a_call_that_somebody_moves_elsewhere_is_not_followed_there() {
    let menu = json!({"module": "menu", "data": {"file": "m.wav", "answer": false}});
    for mut flow in [play("long.wav"), menu] {
        flow["children"] = json!({"_": {"module": "webhook", "data": {"uri": "http://a.test/"}}});
        let place = Place::new().await;
        let caller = Caller::new().applications(|_, _| Did::Moved(Vec::new()));
        let story = place.run(flow, caller).await;
        assert_eq!(story.end, End::LetGo);
        assert_eq!(story.ran.len(), 1, "{:?}", story.ran);
        assert_eq!(place.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn a_queue_bridges_the_agent_and_is_done_long_before_they_have_talked() {
    let queue = json!({"module": "queue", "data": {"id": "support@default"},
        "children": {"_": play("nobody.wav")}});
    for (cause, ran, end) in [("answered", 1, End::LetGo), ("cancel", 2, End::HandedBack)] {
        let place = Place::new().await;
        let caller = Caller::new().applications(move |application, _| match application {
            "callcenter" => Did::set("cc_cause", cause),
            _ => Did::nothing(),
        });
        let story = place.run(queue.clone(), caller).await;
        assert_eq!(
            (story.ran.len(), &story.end),
            (ran, &end),
            "{:?}",
            story.ran
        );
    }
}

// The dialplan's `socket …/webhook`.

fn webhook_caller() -> Caller {
    Caller::new().with("socket_path", "webhook").with(
        "current_application_data",
        "127.0.0.1:8084/webhook async full",
    )
}

#[tokio::test]
async fn the_dialplan_tells_something_and_goes_on_at_once() {
    for asynchronous in [true, false] {
        let place = Place::new().await;
        let mut caller = webhook_caller()
            .with("webhook_uri", "http://a.test/x")
            .with("webhook_status", "404")
            .with(
                "webhook_custom_data",
                r#"{"some id": "1, 2", "b": {"c": "ü"}}"#,
            );
        if !asynchronous {
            caller = caller.sync();
        }
        place.decide(|_| Fate::Silence);
        let story = place.dial(caller).await;
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(result(&story), ("done", "queued", ""));
        assert!(story.variable("webhook_time_ms").parse::<u64>().is_ok());
        let action = place.house.actions.lock().unwrap()[0].clone();
        let custom = Value::Object(action.hook.settings.custom_data.clone());
        assert_eq!(custom, json!({"some id": "1, 2", "b": {"c": "ü"}}));
    }
}

#[tokio::test]
async fn a_crm_is_asked_by_get_and_says_who_calls() {
    let place = Place::new().await;
    place.decide(|action| {
        assert_eq!(action.hook.settings.verb, Verb::Get);
        Fate::json(json!({"module": "set_variables", "data": {"variables":
            {"crm_name": "Zoë 'Z' Müller | 王伟", "crm_vip": true}}}))
    });
    let caller = webhook_caller()
        .with("webhook_uri", "https://crm.test/lookup")
        .with("webhook_http_verb", "get");
    let story = place.dial(caller).await;
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(result(&story), ("done", "success", "200"));
    assert_eq!(story.variable("crm_name"), "Zoë 'Z' Müller | 王伟");
    assert_eq!(story.variable("crm_vip"), "true");
}

#[tokio::test]
async fn what_the_dialplan_gets_wrong_is_told_and_the_call_goes_on() {
    for (name, value, error) in [
        (
            "webhook_note",
            "x",
            "webhook.data.uri: Field is required but missing",
        ),
        (
            "webhook_uri",
            "gopher://a",
            "webhook.data.uri: Value must be an http, https or nats URI, not gopher",
        ),
        (
            "webhook_custom_data",
            "{not json}",
            "custom_data: Value must be a JSON object, such as {\"some_id\": \"123abc\"}",
        ),
        (
            "webhook_wait_ms",
            "long",
            "webhook.data.uri: Field is required but missing; webhook.data.wait_ms: Value did not match type(s): integer",
        ),
    ] {
        let place = Place::new().await;
        let story = place.dial(webhook_caller().with(name, value)).await;
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(story.variable("callflow_result"), "error");
        let told = story.variable("callflow_error");
        assert_eq!(told, format!("the variables webhook_*: {error}"));
        assert_eq!(place.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn a_stored_hook_is_an_action_too() {
    let place = Place::new().await;
    let document =
        json!({"name": "x", "uri": "http://a.test/", "hook": "call_missed", "http_verb": "put"});
    place.hook("4f2a", document.clone());
    let mut off = document;
    off["enabled"] = json!(false);
    place.hook("0ff0", off);
    let ask = |id: &str, wait: &str| {
        Caller::new()
            .with("socket_path", &format!("webhook/{id}"))
            .with("current_application_data", "h:1/webhook/x")
            .with("webhook_wait_ms", wait)
    };
    let story = place.dial(ask("4f2a", "1000")).await;
    assert_eq!(result(&story), ("done", "success", "200"));
    let hook = place.house.actions.lock().unwrap()[0].hook.clone();
    assert_eq!(&*hook.id, "4f2a");
    let story = place.dial(ask("0ff0", "1000")).await;
    assert_eq!(result(&story), ("error", "failure", ""));
    assert_eq!(story.variable("callflow_error"), "webhook 0ff0 is disabled");
    let story = place.dial(ask("beef", "0")).await;
    assert_eq!(result(&story), ("not_found", "", ""));
}

// Receivers that are slow, broken or hostile.

fn get(wait_ms: u64) -> Value {
    json!({"module": "webhook",
        "data": {"uri": "http://a.test/", "http_verb": "get", "wait_ms": wait_ms},
        "children": {"success": play("yes"), "failure": play("no"), "_": play("on")}})
}

#[tokio::test]
async fn a_silent_receiver_holds_nobody_longer_than_agreed() {
    let place = Place::new().await;
    place.decide(|_| Fate::Silence);
    let story = place.run(get(200), Caller::new()).await;
    assert_eq!(story.ran, ["playback(no)"]);
    assert_eq!(result(&story), ("done", "timeout", ""));
    let waited: u64 = story.variable("webhook_time_ms").parse().unwrap();
    assert!((200..300).contains(&waited), "{waited} ms");
}

#[tokio::test]
async fn an_answer_that_is_no_flow_is_no_instruction() {
    for body in [
        b"".to_vec(),
        b"OK".to_vec(),
        br#"{"status": "fine"}"#.to_vec(),
        b"[".repeat(10_000),
        br#"{"module":"play","children":{"_":"#.repeat(1_000),
        vec![0xFF; 100],
    ] {
        let place = Place::new().await;
        place.decide(move |_| Fate::Answer(200, body.clone()));
        let story = place.run(get(1_000), Caller::new()).await;
        assert_eq!(story.ran, ["playback(yes)"]);
        assert_eq!(result(&story), ("done", "success", "200"));
    }
}

#[tokio::test]
async fn an_answer_that_may_not_be_run_is_not() {
    for (answer, error) in [
        (
            json!({"module": "transfer", "data": {"extension": "0900"}}),
            "flow.answer.module: Value not found",
        ),
        (
            json!({"module": "play", "data": {"file": "${system(reboot)}"}}),
            "flow.answer.data.file: Value must not hold",
        ),
        (
            json!({"module": "set_variables", "data": {"variables": {"api_hangup_hook": "x"}}}),
            "flow.answer.data.variables.api_hangup_hook: This variable",
        ),
        (
            json!({"module": "set_variables", "data": {"variables":
                {"group_confirm_key": "exec", "group_confirm_file": "system touch /tmp/pwned"}}}),
            "flow.answer.data.variables.group_confirm_key: This variable makes the switch run",
        ),
        (
            json!({"module": "set_variables", "data": {"variables": {"account_id": "acme"}}}),
            "flow.answer.data.variables.account_id: This variable is for stored callflows",
        ),
        (
            json!({"module": "play", "data": {"file": "shell_stream://touch /tmp/pwned"}}),
            "flow.answer.data.file: Value must be the path of a sound",
        ),
        (
            json!({"module": "menu", "data": {"file": "shell_stream://reboot"}}),
            "flow.answer.data.file: Value must be the path of a sound",
        ),
        (
            json!({"module": "play", "data": {"file": "x".repeat(70_000)}}),
            "flow.answer: An answer must not be larger than 65536 bytes",
        ),
    ] {
        let place = Place::new().await;
        place.decide(move |_| Fate::json(answer.clone()));
        let story = place.run(get(1_000), Caller::new()).await;
        assert_eq!(story.ran, ["playback(yes)"]);
        assert_eq!(result(&story), ("error", "success", "200"));
        let told = story.variable("callflow_error").replace(' ', "");
        let wanted = format!("the answer cannot be run: {error}").replace(' ', "");
        assert!(told.starts_with(&wanted), "{told}");
    }
}

#[tokio::test]
async fn an_instruction_is_run_before_the_way_goes_on() {
    let place = Place::new().await;
    place.decide(|_| Fate::json(play("told")));
    let story = place.run(get(1_000), Caller::new()).await;
    assert_eq!(story.ran, ["playback(told)", "playback(yes)"]);
    // A failure is no instruction, whatever it says.
    place.decide(|_| Fate::Answer(500, play("told").to_string().into_bytes()));
    let story = place.dial(Caller::new()).await;
    assert_eq!(story.ran, ["playback(no)"]);
    assert_eq!(result(&story), ("done", "failure", "500"));
    // Nor is what answers a POST.
    let mut post = get(1_000);
    post["data"]["http_verb"] = json!("post");
    place.decide(|_| Fate::json(play("told")));
    let story = place.run(post, Caller::new()).await;
    assert_eq!(story.ran, ["playback(yes)"]);
}

#[tokio::test]
async fn a_receiver_that_always_answers_with_itself_is_asked_three_times_over() {
    let place = Place::new().await;
    let again = json!({"module": "webhook", "data": {"uri": "http://a.test/", "http_verb": "get"}});
    let answer = again.clone();
    place.decide(move |_| Fate::json(answer.clone()));
    let story = place.run(again, Caller::new()).await;
    assert_eq!(place.asked().len(), 4);
    assert_eq!(result(&story), ("error", "success", "200"));
    assert_eq!(
        story.variable("callflow_error"),
        "flow.answer.answer.answer: flows fetched by flows go 3 levels deep at most"
    );
    // To the receivers these are four events and not one told four times.
    let nobody = Router::new(Arc::default());
    let actions = place.house.actions.lock().unwrap();
    let mut ids: Vec<_> = actions
        .iter()
        .map(|action| action.record(&nobody, &Accounts::default()).deliveries[0].webhook_id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_store_that_is_full_or_stalls_does_not_hold_the_call() {
    let place = Place::new().await;
    place.decide(|_| Fate::Refused);
    let post = json!({"module": "webhook", "data": {"uri": "http://a.test/"}, "children": {"_": play("on")}});
    let story = place.run(post, Caller::new()).await;
    assert_eq!(story.ran, ["playback(on)"]);
    assert_eq!(result(&story), ("error", "failure", ""));
    assert_eq!(
        story.variable("callflow_error"),
        "the webhook cannot be stored: the disk is full"
    );
    let gate = Gate::new();
    let closed = gate.clone();
    place.decide(move |_| Fate::Stalled(closed.clone()));
    let story = place.dial(Caller::new()).await;
    assert_eq!(story.ran, ["playback(on)"]);
    assert_eq!(result(&story), ("error", "failure", ""));
    // It was not forgotten all the same.
    gate.open();
    place.house.committed.notified().await;
    assert_eq!(place.asked().len(), 1);
}

// Callers who hang up.

#[tokio::test]
async fn a_caller_hangs_up_and_what_was_queued_stays_queued() {
    for gate in [None, Some(Gate::new())] {
        let place = Place::new().await;
        let asked = Arc::new(Notify::new());
        let (told, fate) = (Arc::clone(&asked), gate.clone());
        place.decide(move |_| {
            told.notify_one();
            match &fate {
                Some(gate) => Fate::Stalled(gate.clone()),
                None => Fate::Silence,
            }
        });
        let caller = Caller::new();
        let hangup = caller.hangup.clone();
        let leaving = async {
            asked.notified().await;
            hangup.notify_one();
        };
        let (story, ()) = tokio::join!(place.run(get(60_000), caller), leaving);
        assert_eq!(story.end, End::HungUp("ORIGINATOR_CANCEL".into()));
        assert_eq!(story.ran, [""; 0]);
        if let Some(gate) = gate {
            gate.open();
        }
        place.house.committed.notified().await;
        assert_eq!(place.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_caller_hangs_up_while_a_sound_plays() {
    let place = Place::new().await;
    let mut flow = play("long");
    flow["children"] = json!({"_": {"module": "webhook", "data": {"uri": "http://a.test/"}}});
    let playing = Arc::new(Notify::new());
    let plays = Arc::clone(&playing);
    let caller = Caller::new().applications(move |_, _| {
        plays.notify_one();
        Did::GoesOn
    });
    let hangup = caller.hangup.clone();
    let leaving = async {
        playing.notified().await;
        hangup.notify_one();
    };
    let (story, ()) = tokio::join!(place.run(flow, caller), leaving);
    assert_eq!(story.end, End::HungUp("ORIGINATOR_CANCEL".into()));
    assert_eq!(place.asked(), [""; 0]);
}

// The modules on a live call.

#[tokio::test]
async fn a_menu_goes_where_the_digits_lead() {
    let flow = json!({"module": "menu", "data": {"file": "m.wav"}, "children": {
        "1": play("one"), "42": play("forty-two"), "timeout": play("nothing"), "_": play("else")}});
    for (left, played) in [
        (("callflow_digits", "1"), "playback(one)"),
        (("callflow_digits", "42"), "playback(forty-two)"),
        (("callflow_digits_invalid", "7"), "playback(else)"),
        (("read_result", "timeout"), "playback(nothing)"),
    ] {
        for asynchronous in [true, false] {
            let place = Place::new().await;
            let mut caller = Caller::new().applications(move |application, _| match application {
                "play_and_get_digits" => Did::set(left.0, left.1),
                _ => Did::nothing(),
            });
            if !asynchronous {
                caller = caller.sync();
            }
            let story = place.run(flow.clone(), caller).await;
            assert_eq!(story.ran[0], "answer()");
            assert_eq!(story.ran[2], played);
            assert_eq!(story.end, End::HandedBack);
        }
    }
}

#[tokio::test]
async fn what_a_flow_sets_outlives_a_call_that_nobody_takes() {
    let mut flow =
        json!({"module": "set_variables", "data": {"variables": {"hangup_after_bridge": "false"}}});
    flow["children"] = json!({"_": seed()});
    for caller in [Caller::new(), Caller::new().sync()] {
        let place = Place::new().await;
        let caller = caller.applications(bridge_ends("NO_ANSWER"));
        let story = place.run(flow.clone(), caller).await;
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(story.variable("hangup_after_bridge"), "false");
    }
}

#[tokio::test]
async fn a_transfer_takes_the_call_elsewhere_and_tells_it_first() {
    let place = Place::new().await;
    let flow = json!({"module": "webhook", "data": {"uri": "http://a.test/", "wait_ms": 1000},
        "children": {"_": {"module": "transfer", "data": {"extension": "1002", "context": "public"}}}});
    let story = place.run(flow, Caller::new()).await;
    assert_eq!(story.end, End::Left);
    assert_eq!(story.ran, ["transfer(1002 XML public)"]);
    assert_eq!(result(&story), ("done", "success", "200"));
}

#[tokio::test]
async fn a_call_is_refused_or_hung_up() {
    let place = Place::new().await;
    let flow = json!({"module": "response", "data": {"code": 486, "message": "Busy Here"}});
    let story = place.run(flow, Caller::new()).await;
    assert_eq!(
        story.ran,
        ["respond(486 Busy Here)", "hangup(CALL_REJECTED)"]
    );
    assert!(matches!(story.end, End::HungUp(_)), "{:?}", story.end);
}

#[tokio::test]
async fn skipped_and_unknown_modules_are_passed_over() {
    let place = Place::new().await;
    let mut skipped = play("skipped");
    skipped["data"]["skip_module"] = json!(true);
    skipped["children"] = json!({"_": {"module": "fax", "children": {"_": play("last")}}});
    let story = place.run(skipped, Caller::new()).await;
    assert_eq!(story.ran, ["playback(last)"]);
    assert_eq!(result(&story), ("done", "", ""));
}

#[tokio::test]
async fn callflows_lead_to_callflows_but_not_in_circles() {
    let place = Place::new().await;
    let jump = |to: &str| json!({"module": "callflow", "data": {"id": to}, "children": {"_": play("missing")}});
    let mut first = play("first");
    first["children"] = json!({ "_": jump("second") });
    let mut second = play("second");
    second["children"] = json!({ "_": jump("first") });
    place.callflow("first", &["100"], first);
    place.callflow("second", &[], second);
    place.callflow("lost", &["200"], jump("nowhere"));
    let story = place.dial(Caller::new().dialled("100")).await;
    assert_eq!(story.ran, ["playback(first)", "playback(second)"]);
    assert_eq!(result(&story), ("error", "", ""));
    assert_eq!(
        story.variable("callflow_error"),
        "flow.children._: callflow first leads back to itself"
    );
    let story = place.dial(Caller::new().dialled("200")).await;
    assert_eq!(story.ran, ["playback(missing)"]);
    let by_id = Caller::new()
        .with("socket_path", "callflow/second")
        .with("current_application_data", "h:1/callflow/second");
    assert_eq!(place.dial(by_id).await.ran[0], "playback(second)");
    let story = place.dial(Caller::new().dialled("300")).await;
    assert_eq!(result(&story), ("not_found", "", ""));
    assert_eq!(story.end, End::HandedBack);
    let nothing = Caller::new()
        .with("socket_path", "fax")
        .with("current_application_data", "h:1/fax");
    let story = place.dial(nothing).await;
    assert_eq!(
        (
            story.variable("callflow_result"),
            story.variable("callflow_error")
        ),
        ("not_found", "nothing is run by the path /fax")
    );
}

#[tokio::test]
async fn a_call_takes_a_hundred_steps_and_no_more() {
    let place = Place::new().await;
    // As deep as JSON may be nested.
    let chain = |last: Value, length: usize| {
        (0..length).fold(last, |below, _| {
            let mut node = play("x");
            node["children"] = json!({ "_": below });
            node
        })
    };
    let jump = |to: &str| json!({"module": "callflow", "data": {"id": to}});
    place.callflow("third", &[], chain(play("end"), 50));
    place.callflow("second", &[], chain(jump("third"), 50));
    let story = place.run(chain(jump("second"), 40), Caller::new()).await;
    assert_eq!(story.ran.len(), 98);
    assert_eq!(
        (
            story.variable("callflow_result"),
            story.variable("callflow_error")
        ),
        ("error", "a call takes 100 steps at most")
    );
    assert_eq!(story.end, End::HandedBack);
}

// Too many calls, and the end of the day.

#[tokio::test]
async fn one_call_too_many_is_handed_back_at_once() {
    let config = CallflowConfig {
        sessions: 2,
        ..CallflowConfig::default()
    };
    let place = Place::with(config).await;
    let playing = Arc::new(tokio::sync::Semaphore::new(0));
    place.callflow("flow", &["no_match"], play("music"));
    let caller = || {
        let playing = Arc::clone(&playing);
        Caller::new().applications(move |_, _| {
            playing.add_permits(1);
            Did::GoesOn
        })
    };
    let (first, second) = (caller(), caller());
    let hangups = [first.hangup.clone(), second.hangup.clone()];
    let living = async { tokio::join!(place.dial(first), place.dial(second)) };
    let crowding = async {
        let _both = playing.acquire_many(2).await.unwrap();
        let story = place.dial(Caller::new()).await;
        assert_eq!(story.ran, [""; 0]);
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(
            (
                story.variable("callflow_result"),
                story.variable("callflow_error")
            ),
            ("error", "too many calls at once")
        );
        hangups.iter().for_each(|hangup| hangup.notify_one());
    };
    let ((first, second), ()) = tokio::join!(living, crowding);
    assert_eq!(first.end, second.end);
    // Its place is free again.
    let story = place.dial(Caller::new()).await;
    assert_eq!(result(&story), ("done", "", ""));
}

#[tokio::test]
async fn at_the_end_of_the_day_everybody_is_handed_back() {
    let place = Place::new().await;
    place.decide(|_| Fate::Silence);
    place.callflow("flow", &["no_match"], get(60_000));
    let closing = async {
        place.house.committed.notified().await;
        place.stop.send_replace(true);
    };
    let (story, ()) = tokio::join!(place.dial(Caller::new()), closing);
    assert_eq!(story.end, End::HandedBack);
    assert_eq!(
        (
            story.variable("callflow_result"),
            story.variable("callflow_error")
        ),
        ("error", "switchhook is shutting down")
    );
    place.serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(place.address).await.is_err());
}

#[tokio::test]
async fn what_is_no_switch_is_shown_the_door() {
    let place = Place::new().await;
    let mut wire = support::caller::Wire::connect(place.address).await;
    wire.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n")
        .await
        .unwrap();
    while wire.hear().await.is_some() {}
    // Everybody else is served.
    let story = place.run(play("x"), Caller::new()).await;
    assert_eq!(story.ran, ["playback(x)"]);
}
