//! The client of the event socket against a scripted switch, over real sockets.

mod support;

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::capture::{self, Recording};
use support::switch::{Gate, PATIENCE, RUDE, Script, Switch};
use switchhook::esl::{
    ApiError, Backoff, Client, ClientConfig, Command, Event, EventError, FrameError, LinkError,
    LoginError, Notice, Password, Wanted,
};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

/// Never waits long between attempts.
fn config(port: u16) -> ClientConfig {
    ClientConfig {
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(4)).seeded(1),
        ..patient(port)
    }
}

/// Waits between attempts as the real thing does.
fn patient(port: u16) -> ClientConfig {
    ClientConfig {
        backoff: Backoff::default().seeded(1),
        ..ClientConfig::new("127.0.0.1", port, Password::new("ClueCon").unwrap())
    }
}

/// A client of the switch that wants these events.
fn client(config: ClientConfig, events: &[&str]) -> Client {
    let mut client = Client::new(config).unwrap();
    client.subscribe(wanted(events));
    client
}

fn wanted(events: &[&str]) -> Wanted {
    Wanted::of(events.iter().copied()).unwrap()
}

async fn next(client: &mut Client) -> Notice {
    timeout(PATIENCE, client.next()).await.expect("a notice")
}

async fn connected(client: &mut Client) {
    match next(client).await {
        Notice::Connected => {}
        other => panic!("{other:?} instead of Connected"),
    }
}

async fn event(client: &mut Client) -> Event {
    match next(client).await {
        Notice::Event(event) => event,
        other => panic!("{other:?} instead of an event"),
    }
}

async fn reply(client: &mut Client) -> (u32, Result<String, ApiError>) {
    match next(client).await {
        Notice::Reply { tag, result } => (tag, result),
        other => panic!("{other:?} instead of a reply"),
    }
}

async fn disconnected(client: &mut Client) -> LinkError {
    match next(client).await {
        Notice::Disconnected { reason } => reason,
        other => panic!("{other:?} instead of Disconnected"),
    }
}

/// Drives the client, which must have nothing to tell, until `done`.
async fn while_driving<T>(client: &mut Client, done: impl Future<Output = T>) -> T {
    tokio::select! {
        notice = client.next() => panic!("{notice:?} out of the blue"),
        done = timeout(PATIENCE, done) => done.expect("it is done in time"),
    }
}

fn dtmf(digit: &str) -> bytes::Bytes {
    capture::event(&[("Event-Name", "DTMF"), ("DTMF-Digit", digit)])
}

fn digit(event: &Event) -> String {
    event.header("DTMF-Digit").unwrap_or_default().into_owned()
}

// A connection.

#[tokio::test]
async fn a_recorded_call_plays_from_login_to_goodbye() {
    for name in capture::names(".plain.esl") {
        let switch = Switch::start([Script::recorded(&name)]).await;
        let mut client = client(config(switch.port()), &["ALL"]);
        connected(&mut client).await;
        let recorded = Recording::read(&name);
        for frame in &recorded.events {
            let told = event(&mut client).await;
            let body = &frame[capture::head(frame).len() + 2..];
            assert_eq!(
                told.headers().count(),
                body.split(|b| *b == b'\n').count() - 2
            );
        }
        let reason = disconnected(&mut client).await;
        assert_eq!(
            reason.to_string(),
            "the switch said goodbye: Disconnected, goodbye."
        );
        switch.heard("event plain").await;
        assert_eq!(switch.commands(), ["auth ClueCon", "event plain ALL"]);
        let status = client.status().get();
        assert_eq!(status.events, recorded.events.len() as u64);
        assert_eq!((status.unasked, status.malformed), (0, 0));
    }
}

#[tokio::test]
async fn it_logs_in_and_asks_for_what_is_wanted() {
    let script = Script::subscribed().say(dtmf("1"));
    let switch = Switch::start([script]).await;
    let mut client = client(
        config(switch.port()),
        &["DTMF", "CUSTOM fifo::info", "CUSTOM callcenter::info"],
    );
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(
        switch.commands(),
        [
            "auth ClueCon",
            "event plain DTMF HEARTBEAT CUSTOM callcenter::info fifo::info"
        ]
    );
    let status = client.status().get();
    assert!(status.connected_since.is_some());
    assert_eq!((status.connections, status.last_error), (1, None));
}

#[tokio::test]
async fn a_user_of_the_directory_logs_in_with_userauth() {
    let script = Script::login_with("userauth 42@pbx.test:ClueCon");
    let switch = Switch::start([script]).await;
    let user = Some("42@pbx.test".to_owned());
    let config = ClientConfig {
        user,
        ..config(switch.port())
    };
    connected(&mut client(config.clone(), &[])).await;

    let user = Some("42:evil".to_owned());
    let error = Client::new(ClientConfig { user, ..config }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the user holds ':', at byte 2: the switch would cut it in two there"
    );
}

#[tokio::test]
async fn a_byte_at_a_time_is_as_good_as_a_packet() {
    let frames = Recording::read("utf8.plain.esl").events;
    let script = frames[..4]
        .iter()
        .cloned()
        .fold(Script::subscribed(), Script::trickle);
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["ALL"]);
    connected(&mut client).await;
    for frame in &frames[..4] {
        let told = event(&mut client).await;
        let head = capture::head(&frame.slice(capture::head(frame).len() + 2..)).to_owned();
        assert_eq!(told.headers().count(), head.lines().count());
    }
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_notice_loses_nothing() {
    let frames = Recording::read("utf8.plain.esl").events;
    let script = frames[..4]
        .iter()
        .cloned()
        .fold(Script::subscribed(), Script::trickle);
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["ALL"]);
    let mut events = 0;
    let mut given_up = 0;
    while events < 4 {
        tokio::select! {
            biased;
            notice = client.next() => match notice {
                Notice::Connected => {}
                Notice::Event(event) => {
                    assert!(event.number("Event-Sequence").is_some());
                    events += 1;
                }
                other => panic!("{other:?}"),
            },
            () = tokio::task::yield_now() => given_up += 1,
        }
    }
    assert!(given_up > 1000, "given up {given_up} times");
    assert_eq!(client.status().get().connections, 1);
}

#[tokio::test]
async fn a_tap_sees_every_byte() {
    let switch = Switch::start([Script::recorded("ivr.plain.esl")]).await;
    let mut client = client(config(switch.port()), &["ALL"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    client.tap(move |bytes| sink.lock().unwrap().extend_from_slice(bytes));
    while !matches!(next(&mut client).await, Notice::Disconnected { .. }) {}
    assert!(*seen.lock().unwrap() == capture::read("ivr.plain.esl"));
}

#[tokio::test]
async fn a_login_can_be_tried_without_staying() {
    let switch = Switch::start([Script::login("ClueCon")]).await;
    Client::try_login(&config(switch.port())).await.unwrap();
    switch.heard("exit").await;

    let password = Password::new("wrong").unwrap();
    let wrong = ClientConfig::new("127.0.0.1", switch.port(), password);
    let error = Client::try_login(&wrong).await.unwrap_err();
    assert!(
        matches!(error, LoginError::Link(LinkError::Login { .. })),
        "{error}"
    );
}

// What is wanted.

#[tokio::test]
async fn events_nobody_asked_for_are_dropped_and_counted() {
    let custom = |subclass| {
        let name = ("Event-Name", "CUSTOM");
        capture::event(&[("Event-Subclass", subclass), name])
    };
    let script = Script::subscribed()
        .say(capture::event(&[("Event-Name", "RE_SCHEDULE")]))
        .say(custom("fifo::info"))
        .say(capture::frame(
            "text/event-json",
            "{\"Event-Name\":\"API\"}",
        ))
        .say(custom("callcenter::info"));
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["DTMF", "CUSTOM callcenter::info"]);
    connected(&mut client).await;
    let told = event(&mut client).await;
    assert_eq!(told.subclass().as_deref(), Some("callcenter::info"));
    let status = client.status().get();
    assert_eq!((status.events, status.unasked), (4, 3));
}

#[tokio::test]
async fn a_changed_subscription_is_told_at_once_and_whole_on_the_next_connection() {
    let gate = Gate::new();
    let first = Script::subscribed().pass(&gate).goodbye();
    let switch = Switch::start([first, Script::subscribed()]).await;
    let mut client = client(
        config(switch.port()),
        &["DTMF", "CHANNEL_HOLD", "CUSTOM a::b"],
    );
    connected(&mut client).await;

    client.subscribe(wanted(&["DTMF", "CHANNEL_CREATE", "CUSTOM c::d"]));
    while_driving(&mut client, switch.heard("nixevent")).await;
    // The same once more is no news.
    client.subscribe(wanted(&["DTMF", "CHANNEL_CREATE", "CUSTOM c::d"]));
    gate.open();
    disconnected(&mut client).await;
    connected(&mut client).await;
    while_driving(&mut client, switch.heard_nth(3, "event plain")).await;
    assert_eq!(
        switch.commands(),
        [
            "auth ClueCon",
            "event plain CHANNEL_HOLD DTMF HEARTBEAT CUSTOM a::b",
            "event plain CHANNEL_CREATE CUSTOM c::d",
            "nixevent CHANNEL_HOLD CUSTOM a::b",
            "auth ClueCon",
            "event plain CHANNEL_CREATE DTMF HEARTBEAT CUSTOM c::d",
        ]
    );
}

#[tokio::test]
async fn what_is_asked_after_a_change_is_answered_after_it() {
    let switch = Switch::start([Script::login("ClueCon").answer("status", "UP")]).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    // Everything and back: `ALL` is not taken back on this connection, only dropped here.
    client.subscribe(wanted(&["ALL"]));
    client.subscribe(wanted(&["DTMF"]));
    client.request(1, Command::api("status").unwrap());
    assert_eq!(reply(&mut client).await, (1, Ok("UP".into())));
    assert_eq!(
        switch.commands()[1..],
        [
            "event plain DTMF HEARTBEAT",
            "event plain ALL",
            "api status"
        ]
    );
}

// Commands and replies.

#[tokio::test]
async fn the_reply_to_a_request_stands_where_it_stood_in_the_stream() {
    let channels = std::fs::read_to_string(capture::path("show-channels.json")).unwrap();
    let gate = Gate::new();
    let script = Script::subscribed()
        .answer("show channels as json", &channels)
        .say(dtmf("1"))
        .expect("api show channels")
        .say(dtmf("2"))
        .pass(&gate)
        .say(dtmf("3"));
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    client.request(7, Command::api("show channels as json").unwrap());
    client.request(8, Command::api("uuid_dump nobody json").unwrap());
    assert_eq!(reply(&mut client).await, (7, Ok(channels)));
    let mut told = Vec::new();
    for _ in 0..2 {
        match next(&mut client).await {
            Notice::Event(event) => told.push(digit(&event)),
            Notice::Reply { tag, result } => {
                let words = "-ERR uuid_dump nobody json Command not found!";
                assert_eq!((tag, result), (8, Err(ApiError::Refused(words.into()))));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["2"]);
    gate.open();
    assert_eq!(digit(&event(&mut client).await), "3");
}

#[tokio::test]
async fn any_task_can_ask_through_a_handle() {
    let script = Script::subscribed()
        .answer("status", "UP 0 years\n")
        .answer("global_getvar domain", "pbx.test");
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &[]);
    connected(&mut client).await;
    let handle = client.handle();
    let asking = async {
        let other = handle.clone();
        tokio::join!(
            handle.api("status"),
            other.api("global_getvar domain"),
            handle.api("no_such_thing"),
            handle.api("status\n\nexit"),
        )
    };
    let (status, domain, refused, evil) = while_driving(&mut client, asking).await;
    assert_eq!(status, Ok("UP 0 years\n".into()));
    assert_eq!(domain, Ok("pbx.test".into()));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the switch refused: -ERR no_such_thing Command not found!"
    );
    assert!(matches!(evil, Err(ApiError::Command(_))), "{evil:?}");
    drop(client);
    assert_eq!(handle.api("status").await, Err(ApiError::Gone));
}

#[tokio::test]
async fn a_user_who_may_not_is_told_so() {
    // The switch refuses an `api` command in a command/reply.
    let refusal = "Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n";
    let script = Script::subscribed()
        .silent("api")
        .expect("api")
        .say(refusal);
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &[]);
    connected(&mut client).await;
    client.request(1, Command::api("status").unwrap());
    let refused = ApiError::Refused("-ERR permission denied".into());
    assert_eq!(reply(&mut client).await, (1, Err(refused)));
}

#[tokio::test]
async fn without_a_connection_commands_fail_at_once() {
    let switch = Switch::start([Script::new()]).await;
    let mut client = client(config(switch.port()), &[]);
    client.request(3, Command::api("status").unwrap());
    assert_eq!(reply(&mut client).await, (3, Err(ApiError::NotConnected)));
    let handle = client.handle();
    while_driving(&mut client, switch.connections(1)).await;
    let asked = while_driving(&mut client, handle.api("status")).await;
    assert_eq!(asked, Err(ApiError::NotConnected));
}

#[tokio::test]
async fn commands_that_were_waiting_fail_when_the_connection_does() {
    let script = Script::subscribed()
        .silent("api")
        .expect("api one")
        .expect("api two")
        .goodbye();
    let switch = Switch::start([script, Script::new()]).await;
    let mut client = client(config(switch.port()), &[]);
    connected(&mut client).await;
    let handle = client.handle();
    let asking = tokio::spawn(async move { handle.api("two").await });
    client.request(1, Command::api("one").unwrap());
    disconnected(&mut client).await;
    assert_eq!(reply(&mut client).await, (1, Err(ApiError::Disconnected)));
    assert_eq!(asking.await.unwrap(), Err(ApiError::Disconnected));
}

#[tokio::test]
async fn a_switch_that_answers_nothing_still_has_its_events_heard() {
    let script = Script::subscribed()
        .silent("event")
        .silent("api")
        .say(dtmf("1"))
        .expect("api")
        .say(dtmf("2"));
    let switch = Switch::start([script]).await;
    let config = ClientConfig {
        api_timeout: Duration::from_millis(30),
        ..config(switch.port())
    };
    let mut client = client(config, &["DTMF"]);
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    client.request(1, Command::api("status").unwrap());
    assert_eq!(digit(&event(&mut client).await), "2");
    let late = ApiError::TimedOut(Duration::from_millis(30));
    assert_eq!(reply(&mut client).await, (1, Err(late.clone())));
    let handle = client.handle();
    let asked = while_driving(&mut client, handle.api("status")).await;
    assert_eq!(asked, Err(late));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
    let gate = Gate::new();
    let script = Script::subscribed()
        .answer_after(&gate, "slow", "the answer to slow")
        .answer("fast", "the answer to fast");
    let switch = Switch::start([script]).await;
    let config = ClientConfig {
        api_timeout: Duration::from_millis(50),
        ..config(switch.port())
    };
    let mut client = client(config, &[]);
    connected(&mut client).await;
    client.request(1, Command::api("slow").unwrap());
    let (_, late) = reply(&mut client).await;
    assert_eq!(late, Err(ApiError::TimedOut(Duration::from_millis(50))));
    client.request(2, Command::api("fast").unwrap());
    gate.open();
    assert_eq!(
        reply(&mut client).await,
        (2, Ok("the answer to fast".into()))
    );
    assert_eq!(client.status().get().stray_replies, 1);
}

#[tokio::test]
async fn a_reply_to_nothing_is_counted_and_harms_nobody() {
    let script = Script::subscribed()
        .say("Content-Type: command/reply\nReply-Text: +OK what?\n\n")
        .say(capture::frame("api/response", "out of the blue"))
        .say(capture::frame("log/data", "[INFO] nobody asked"))
        .say(dtmf("1"));
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(client.status().get().stray_replies, 2);
}

#[tokio::test]
async fn a_switch_that_takes_no_commands_is_read_on_and_given_up_in_the_end() {
    let gate = Gate::new();
    let script = Script::subscribed()
        .deaf()
        .say(dtmf("1"))
        .pass(&gate)
        .say(dtmf("2"));
    let switch = Switch::start([script, Script::subscribed()]).await;
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(300),
        ..config(switch.port())
    };
    let mut client = client(config, &["DTMF"]);
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    // More than the sockets in between hold.
    let long = Command::api(&format!("echo {}", "x".repeat(64 * 1024))).unwrap();
    for tag in 0..400 {
        client.request(tag, long.clone());
    }
    gate.open();
    assert_eq!(digit(&event(&mut client).await), "2");
    let reason = disconnected(&mut client).await;
    assert!(matches!(reason, LinkError::Stuck(_)), "{reason}");
    for tag in 0..400 {
        let expected = (tag, Err(ApiError::Disconnected));
        assert_eq!(reply(&mut client).await, expected);
    }
    connected(&mut client).await;
}

#[tokio::test]
async fn there_is_an_end_to_how_many_commands_may_wait() {
    let switch = Switch::start([Script::subscribed().silent("api")]).await;
    let mut client = client(config(switch.port()), &[]);
    connected(&mut client).await;
    while_driving(&mut client, switch.heard("event plain")).await;
    for tag in 0..5000 {
        client.request(tag, Command::api("status").unwrap());
    }
    let (tag, refused) = reply(&mut client).await;
    assert!((4000..5000).contains(&tag), "{tag}");
    assert!(matches!(refused, Err(ApiError::Busy(_))), "{refused:?}");
}

// What goes wrong.

#[tokio::test]
async fn however_a_connection_ends_the_next_one_is_made() {
    type Check = fn(&LinkError) -> bool;
    let half = dtmf("1").slice(..30);
    let no_frame = "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n\n\n";
    let ends: [(Script, Check); 6] = [
        (Script::subscribed().close(), |reason| {
            matches!(reason, LinkError::Closed)
        }),
        (Script::subscribed().reset(), |reason| {
            matches!(reason, LinkError::Io(_))
        }),
        (
            Script::subscribed().goodbye(),
            |reason| matches!(reason, LinkError::Goodbye(words) if words == "Disconnected, goodbye."),
        ),
        (Script::subscribed().say(half).close(), |reason| {
            matches!(reason, LinkError::Frame(FrameError::Truncated(30)))
        }),
        (
            Script::subscribed().say(no_frame),
            |reason| matches!(reason, LinkError::Frame(FrameError::BadLine(line)) if line.starts_with("HTTP")),
        ),
        (
            Script::subscribed().say("Content-Length: -1\n\n"),
            |reason| matches!(reason, LinkError::Frame(FrameError::BadLength(_))),
        ),
    ];
    let (mut scripts, checks): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    scripts.push(Script::subscribed().say(dtmf("9")));
    let switch = Switch::start(scripts).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    for is_right in checks {
        connected(&mut client).await;
        let reason = disconnected(&mut client).await;
        assert!(is_right(&reason), "{reason:?}");
        let status = client.status().get();
        assert_eq!(status.connected_since, None);
        assert_eq!(status.last_error, Some(reason.to_string()));
    }
    connected(&mut client).await;
    assert_eq!(digit(&event(&mut client).await), "9");
    let status = client.status().get();
    assert_eq!((status.connections, status.malformed), (7, 2));
}

#[tokio::test]
async fn what_was_sent_before_a_crash_is_still_read() {
    let gate = Gate::new();
    let script = Script::subscribed()
        .pass(&gate)
        .say(dtmf("1"))
        .say(dtmf("2"))
        .reset();
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    while_driving(&mut client, switch.heard("event plain")).await;
    gate.open();
    switch.ended(1).await;
    // The command finds the connection reset; the events are there all the same.
    client.request(1, Command::api("status").unwrap());
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(digit(&event(&mut client).await), "2");
    disconnected(&mut client).await;
    assert_eq!(reply(&mut client).await, (1, Err(ApiError::Disconnected)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_and_the_stream_goes_on() {
    let script = Script::subscribed()
        .say(capture::frame("text/event-json", "{\"Event-Name\": \"DT"))
        .say(capture::frame("text/event-plain", "no event at all"))
        .say(dtmf("1"));
    let switch = Switch::start([script]).await;
    let mut client = client(config(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    let bad = next(&mut client).await;
    assert!(
        matches!(bad, Notice::BadEvent(EventError::Json(_))),
        "{bad:?}"
    );
    let bad = next(&mut client).await;
    assert!(
        matches!(bad, Notice::BadEvent(EventError::Nameless)),
        "{bad:?}"
    );
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(client.status().get().malformed, 2);
}

#[tokio::test]
async fn a_switch_that_is_down_is_waited_for() {
    let address = Switch::start([]).await.stop().await;
    let mut client = client(config(address.port()), &[]);
    let status = client.status();
    let refused = async {
        loop {
            if let Some(error) = status.get().last_error {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = while_driving(&mut client, refused).await;
    assert!(
        error.contains("Connection refused") && error.contains("is FreeSWITCH running"),
        "{error}"
    );
    let switch = Switch::start_on(address, [Script::subscribed()]).await;
    connected(&mut client).await;
    assert_eq!(status.get().connections, 1);
    // It stays for whoever asks why there was a gap.
    assert_eq!(status.get().last_error, Some(error));
    drop(switch);
}

#[tokio::test(start_paused = true)]
async fn attempts_come_less_and_less_often_until_one_succeeds() {
    let deaf = std::iter::repeat_n(Script::new().close(), 8);
    let switch = Switch::start(deaf.chain([Script::subscribed().close()])).await;
    let mut client = client(patient(switch.port()), &[]);
    while_driving(&mut client, switch.connections(1)).await;
    let mut ceiling = 1.0;
    for nth in 2..=8 {
        let tried = Instant::now();
        while_driving(&mut client, switch.connections(nth)).await;
        let wait = tried.elapsed().as_secs_f64();
        // The clock of a paused test goes in steps of a millisecond.
        assert!(
            (ceiling / 2.0..=ceiling + 0.01).contains(&wait),
            "{wait} before the connection {nth}"
        );
        ceiling = f64::min(ceiling * 2.0, 30.0);
    }
    for nth in 10..14 {
        connected(&mut client).await;
        disconnected(&mut client).await;
        let lost = Instant::now();
        while_driving(&mut client, switch.connections(nth)).await;
        assert!(
            lost.elapsed() <= Duration::from_millis(1_010),
            "whoever let us in is asked again soon"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_named_and_not_hammered() {
    let scripts = [
        Script::login("other"),
        Script::login("other"),
        Script::login("ClueCon"),
    ];
    let switch = Switch::start(scripts).await;
    let mut client = client(patient(switch.port()), &[]);
    connected(&mut client).await;
    let first = switch.heard("auth").await.at;
    let second = switch.heard_nth(2, "auth").await.at;
    let third = switch.heard_nth(3, "auth").await.at;
    assert!(second - first >= Duration::from_secs(30));
    assert!(third - second >= Duration::from_secs(30));
    let status = client.status().get();
    assert_eq!(
        status.last_error.as_deref(),
        Some(
            "the switch refuses the login with \"-ERR invalid\": set [switch] password (and user) to what its \
             event_socket.conf.xml says"
        )
    );
    assert!(!format!("{client:?}").contains("ClueCon"), "{client:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_address_is_named_and_not_hammered() {
    let scripts = [Script::new().say(RUDE).close(), Script::subscribed()];
    let switch = Switch::start(scripts).await;
    let mut client = client(patient(switch.port()), &[]);
    let start = Instant::now();
    connected(&mut client).await;
    assert!(start.elapsed() >= Duration::from_secs(30));
    let error = client.status().get().last_error.unwrap();
    assert!(error.contains("apply-inbound-acl"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_may_not_have_the_events_is_named_and_not_hammered() {
    let refusal = "Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n";
    let refused = Script::login("ClueCon").expect("event").say(refusal);
    let switch = Switch::start([refused.silent("event"), Script::subscribed()]).await;
    let mut client = client(patient(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    let start = Instant::now();
    assert_eq!(
        disconnected(&mut client).await.to_string(),
        "the switch refuses the events with \"-ERR permission denied\": esl-allowed-events of [switch] user in \
         its directory must hold all of DTMF HEARTBEAT"
    );
    assert_eq!(client.status().get().connected_since, None);
    connected(&mut client).await;
    assert!(start.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_no_event_socket_is_given_up_after_a_while() {
    let switch = Switch::start([Script::new(), Script::subscribed()]).await;
    let mut client = client(patient(switch.port()), &[]);
    let start = Instant::now();
    connected(&mut client).await;
    assert!(start.elapsed() >= Duration::from_secs(5));
    let address = switch.address();
    assert_eq!(
        client.status().get().last_error,
        Some(format!(
            "{address} did not finish the login within 5s (is it a FreeSWITCH event socket?)"
        ))
    );
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_does_not_answer_at_all_is_given_up_after_a_while() {
    // Nobody accepts, and the queue of those who wait to be accepted is full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let full = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
    let error = Client::try_login(&config(address.port()))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: no answer within 5s (is a firewall between?)")
    );
    drop(full);
}

#[tokio::test]
async fn a_state_is_logged_once_however_long_it_lasts() {
    log_into_the_thread();
    let mut scripts = vec![Script::new().close(); 5];
    scripts.extend([Script::subscribed().goodbye(), Script::subscribed()]);
    let switch = Switch::start(scripts).await;
    let mut client = client(config(switch.port()), &[]);
    connected(&mut client).await;
    disconnected(&mut client).await;
    connected(&mut client).await;
    let log = LOG.with_borrow(|log| String::from_utf8(log.clone()).unwrap());
    let lines: Vec<_> = log
        .lines()
        .map(|line| &line[line.find("switchhook").unwrap()..])
        .collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains("cannot connect to the switch"), "{log}");
    assert!(lines[1].contains("connected to the switch"), "{log}");
    assert!(lines[2].contains("lost the switch"), "{log}");
    assert!(lines[3].contains("connected to the switch"), "{log}");
}

thread_local! {
    /// What this thread, and so this test, has logged.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One subscriber for all tests: `tracing` remembers for each line of code, not for each thread, whether
/// anybody listens.
fn log_into_the_thread() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(|| Log)
        .init();
}

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// Whether it is alive.

#[tokio::test(start_paused = true)]
async fn a_silent_switch_is_probed_and_an_answer_is_life() {
    let gate = Gate::new();
    let script = Script::subscribed().pass(&gate).say(dtmf("1"));
    let switch = Switch::start([script]).await;
    let mut client = client(patient(switch.port()), &["DTMF"]);
    let start = Instant::now();
    connected(&mut client).await;
    let third = while_driving(&mut client, switch.heard_nth(3, "api status")).await;
    assert!(third.at - start >= Duration::from_secs(3 * 45));
    gate.open();
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(client.status().get().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_answers_no_probe_is_dead() {
    let scripts = [Script::subscribed().silent("api"), Script::subscribed()];
    let switch = Switch::start(scripts).await;
    let mut client = client(patient(switch.port()), &[]);
    connected(&mut client).await;
    let start = Instant::now();
    let reason = disconnected(&mut client).await;
    assert!(matches!(reason, LinkError::Silent(_)), "{reason}");
    let took = start.elapsed().as_secs_f64();
    assert!((50.0..50.1).contains(&took), "{took}");
    connected(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_says_it_beats_slowly_is_given_twice_as_long() {
    let heartbeat = [("Event-Name", "HEARTBEAT"), ("Heartbeat-Interval", "60")];
    let script = Script::subscribed().say(capture::event(&heartbeat));
    let switch = Switch::start([script]).await;
    let mut client = client(patient(switch.port()), &[]);
    connected(&mut client).await;
    assert_eq!(event(&mut client).await.name(), "HEARTBEAT");
    let start = Instant::now();
    let probe = while_driving(&mut client, switch.heard("api status")).await;
    let took = (probe.at - start).as_secs_f64();
    assert!((120.0..120.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_not_driven_does_not_take_the_switch_for_dead() {
    let gate = Gate::new();
    let script = Script::subscribed()
        .silent("api")
        .expect("api status")
        .pass(&gate)
        .say(dtmf("1"));
    let switch = Switch::start([script]).await;
    let mut client = client(patient(switch.port()), &["DTMF"]);
    connected(&mut client).await;
    while_driving(&mut client, switch.heard("api status")).await;
    // It speaks again, but nobody looks before the probe's time is up.
    gate.open();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(digit(&event(&mut client).await), "1");
    assert_eq!(client.status().get().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_not_driven_does_not_take_its_own_words_for_stuck() {
    let script = Script::subscribed().answer("status", "UP");
    let switch = Switch::start([script]).await;
    let config = ClientConfig {
        api_timeout: Duration::from_secs(100),
        ..patient(switch.port())
    };
    let mut client = client(config, &[]);
    connected(&mut client).await;
    client.request(1, Command::api("status").unwrap());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(reply(&mut client).await, (1, Ok("UP".into())));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_not_driven_does_not_take_an_answer_for_late() {
    // Which of two things that are due is looked at first is left to chance.
    for _ in 0..16 {
        let gate = Gate::new();
        let script = Script::subscribed().answer_after(&gate, "status", "UP");
        let switch = Switch::start([script]).await;
        let mut client = client(patient(switch.port()), &[]);
        connected(&mut client).await;
        client.request(1, Command::api("status").unwrap());
        while_driving(&mut client, switch.heard("api status")).await;
        // It is answered, but nobody looks before the time is up.
        gate.open();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(reply(&mut client).await, (1, Ok("UP".into())));
    }
}
