//! Calls that the switch hands over: three that were recorded on a real one, and switches that misbehave.

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::caller::{Caller, Did, End, GOODBYE, Wire, header};
use support::capture;
use switchhook::esl::{Limits, Outbound, OutboundError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// As long as nothing here takes, and short enough to be waited for.
const IMPATIENCE: Duration = Duration::from_millis(50);

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn accept(listener: &TcpListener) -> Result<Outbound, OutboundError> {
    let (stream, _) = listener.accept().await.unwrap();
    Outbound::accept(stream, Limits::default(), PATIENCE).await
}

/// A recorded connection: each command gets the reply that was recorded for it, and what the switch said
/// behind that. Applications keep the ids that they are started with now.
async fn play(listener: &TcpListener, name: &str) -> (Outbound, JoinHandle<Vec<String>>) {
    let address = listener.local_addr().unwrap();
    let sent = capture::read(&format!("{name}.sent"));
    let sent = String::from_utf8(sent.to_vec()).unwrap();
    let mut groups: Vec<Vec<Bytes>> = Vec::new();
    for frame in capture::frames(&capture::read(name)) {
        match capture::head(&frame).contains("Content-Type: command/reply") {
            true => groups.push(vec![frame]),
            false => groups.last_mut().unwrap().push(frame),
        }
    }
    // When these were recorded nobody had said yet that the call is to go on in the dialplan.
    if !sent.contains("resume") {
        groups.insert(1, vec![capture::frame("api/response", "+OK\n")]);
    }
    let playing = tokio::spawn(async move {
        let mut wire = Wire::connect(address).await;
        let mut heard = Vec::new();
        for group in groups {
            let command = wire.hear().await.expect("one more command");
            let ours = header(&command, "Event-UUID").unwrap_or_default();
            let recorded = group.iter().find_map(|frame| {
                let text = std::str::from_utf8(frame).unwrap();
                header(text, "Application-UUID").map(str::to_owned)
            });
            for frame in &group {
                let text = std::str::from_utf8(frame).unwrap();
                match &recorded {
                    Some(recorded) => wire.say(text.replace(recorded, ours)).await.unwrap(),
                    None => wire.say(text).await.unwrap(),
                }
            }
            heard.push(command);
        }
        heard
    });
    (accept(listener).await.unwrap(), playing)
}

// What a real switch did.

#[tokio::test]
async fn a_caller_presses_seven_in_a_menu_and_is_hung_up_on() {
    let listener = listener().await;
    let (mut call, switch) = play(&listener, "socket-async-full.outbound.esl").await;
    assert!(call.is_async());
    assert_eq!(call.uuid(), "08ba3683-32e0-49da-a937-866f6e22fc9f");
    assert_eq!(
        call.channel().text("Caller-Caller-ID-Name").as_deref(),
        Some("Alice Example")
    );
    call.linger(5).await.unwrap();
    call.follow().await.unwrap();
    call.execute("set", "foo=bar", PATIENCE).await.unwrap();
    assert_eq!(call.channel().variable("foo").as_deref(), Some("bar"));
    let menu = r"1 1 1 3000 # tone_stream://%(200,50,440) tone_stream://%(100,50,200) choice \d";
    call.execute("play_and_get_digits", menu, PATIENCE)
        .await
        .unwrap();
    assert_eq!(call.channel().variable("choice").as_deref(), Some("7"));
    assert_eq!(call.digit(PATIENCE).await.unwrap(), Some('7'));
    assert_eq!(call.digit(Duration::ZERO).await.unwrap(), None);
    call.hang_up("NORMAL_CLEARING").await.unwrap();
    // It is over: nothing can be asked any more, and it says why.
    let again = call.execute("playback", "x", PATIENCE).await.unwrap_err();
    assert_eq!(again.to_string(), "the call was hung up (NORMAL_CLEARING)");
    assert!(again.is_over());
    let heard = switch.await.unwrap();
    assert_eq!(
        heard[..4],
        [
            "connect",
            "api uuid_setvar 08ba3683-32e0-49da-a937-866f6e22fc9f socket_resume true",
            "linger 5",
            "myevents"
        ]
        .map(str::to_owned)
    );
}

#[tokio::test]
async fn a_call_goes_back_to_the_dialplan_with_a_variable() {
    let listener = listener().await;
    let (mut call, switch) = play(&listener, "socket-sync-resume.outbound.esl").await;
    assert!(!call.is_async());
    call.set(&[("webhook_status", "200")]).await.unwrap();
    call.hand_back().await.unwrap();
    let heard = switch.await.unwrap();
    assert_eq!(heard[0], "connect");
    assert_eq!(heard[1], "resume");
    assert_eq!(
        header(&heard[2], "execute-app-arg"),
        Some("webhook_status=200")
    );
    assert_eq!(heard[3], "exit");
}

#[tokio::test]
async fn the_caller_hangs_up_while_a_tone_plays() {
    let listener = listener().await;
    let (mut call, switch) = play(&listener, "socket-caller-hangup.outbound.esl").await;
    call.linger(3).await.unwrap();
    call.follow().await.unwrap();
    let tone = "tone_stream://%(5000,0,440)";
    let error = call.execute("playback", tone, PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "the call was hung up (NORMAL_CLEARING)");
    switch.await.unwrap();
}

// A leg that plays by the rules.

#[tokio::test]
async fn sync_and_async_sockets_tell_the_same() {
    for asynchronous in [true, false] {
        let listener = listener().await;
        let mut caller = Caller::new().applications(|application, _| match application {
            "read" => Did::set("digits", "42"),
            _ => Did::nothing(),
        });
        if !asynchronous {
            caller = caller.sync();
        }
        let story = tokio::spawn(caller.dial(listener.local_addr().unwrap()));
        let mut call = accept(&listener).await.unwrap();
        assert_eq!(call.is_async(), asynchronous);
        call.follow().await.unwrap();
        call.execute("read", "1 2 x digits", PATIENCE)
            .await
            .unwrap();
        assert_eq!(call.channel().variable("digits").as_deref(), Some("42"));
        call.set(&[("a", "1"), ("b", "2 3"), ("c", "")])
            .await
            .unwrap();
        call.set(&[("d", "it's|"), ("e", " \\ ")]).await.unwrap();
        call.hand_back().await.unwrap();
        let story = story.await.unwrap();
        assert_eq!(story.end, End::HandedBack);
        assert_eq!(story.ran, ["read(1 2 x digits)"]);
        let variables = ["a", "b", "c", "d", "e"].map(|name| story.variable(name));
        assert_eq!(variables, ["1", "2 3", "", "it's|", " \\ "]);
    }
}

#[tokio::test]
async fn the_call_ends_while_we_wait_for_something_else() {
    let listener = listener().await;
    let caller = Caller::new();
    let hangup = caller.hangup.clone();
    let story = tokio::spawn(caller.dial(listener.local_addr().unwrap()));
    let mut call = accept(&listener).await.unwrap();
    // Nothing comes: nothing has happened.
    let waited = tokio::time::timeout(IMPATIENCE, call.over()).await;
    assert!(waited.is_err());
    hangup.notify_one();
    let end = call.over().await;
    assert_eq!(
        end.to_string(),
        "the switch has taken the call back: Disconnected, goodbye."
    );
    assert_eq!(
        story.await.unwrap().end,
        End::HungUp("ORIGINATOR_CANCEL".into())
    );
}

// Switches that misbehave.

/// A leg whose wire the test holds in its hands, behind `connect` and the word that it is to go on in the
/// dialplan.
async fn by_hand(listener: &TcpListener) -> (Outbound, Wire, Caller) {
    let caller = Caller::new();
    let address = listener.local_addr().unwrap();
    let greeting = async {
        let mut wire = Wire::connect(address).await;
        assert_eq!(wire.hear().await.as_deref(), Some("connect"));
        wire.say(caller.channel_data()).await.unwrap();
        let resume = format!("api uuid_setvar {} socket_resume true", caller.uuid);
        assert_eq!(wire.hear().await, Some(resume));
        let done = capture::frame("api/response", "+OK\n");
        wire.say(done).await.unwrap();
        wire
    };
    let (call, wire) = tokio::join!(accept(listener), greeting);
    (call.unwrap(), wire, caller)
}

#[tokio::test]
async fn what_connects_is_no_switch() {
    for greeting in [
        "HTTP/1.1 400 Bad Request\n\n",
        "Content-Type: auth/request\n\n",
        "Content-Type: command/reply\nReply-Text: -ERR command not found\n\n",
    ] {
        let listener = listener().await;
        let mut wire = Wire::connect(listener.local_addr().unwrap()).await;
        wire.say(greeting).await.unwrap();
        let error = accept(&listener).await.unwrap_err();
        assert!(error.is_over(), "{greeting:?}: {error}");
    }
}

#[tokio::test]
async fn it_connects_and_says_nothing() {
    let listener = listener().await;
    let _wire = Wire::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let error = Outbound::accept(stream, Limits::default(), IMPATIENCE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "connect: the switch did not finish within 50ms"
    );
}

#[tokio::test]
async fn people_who_talk_are_not_torn_apart_when_the_connection_ends() {
    for early_media in [false, true] {
        let listener = listener().await;
        let (mut call, mut wire, caller) = by_hand(&listener).await;
        let stay = format!("api uuid_setvar {} socket_resume", caller.uuid);
        let talking = async {
            assert_eq!(wire.hear().await.as_deref(), Some("myevents"));
            wire.reply("+OK Events Enabled").await.unwrap();
            let bridge = wire.hear().await.unwrap();
            wire.reply("+OK").await.unwrap();
            let answered = if early_media { "0" } else { "1795270836771529" };
            let bridged = [("Other-Leg-Channel-Answered-Time", answered)];
            wire.say(caller.event("CHANNEL_BRIDGE", &bridged))
                .await
                .unwrap();
            if early_media {
                // Nobody talks yet: what is torn from here is the dialplan's.
                let silent = tokio::time::timeout(IMPATIENCE, wire.hear()).await;
                assert!(silent.is_err(), "{silent:?}");
                wire.say(caller.event("CHANNEL_ANSWER", &[])).await.unwrap();
            }
            assert_eq!(wire.hear().await.as_ref(), Some(&stay));
            wire.say(capture::frame("api/response", "+OK\n"))
                .await
                .unwrap();
            let uuid = header(&bridge, "Event-UUID").unwrap();
            let done = [("Application-UUID", uuid)];
            wire.say(caller.event("CHANNEL_EXECUTE_COMPLETE", &done))
                .await
                .unwrap();
            // Said once, it need not be said again.
            assert_eq!(wire.hear().await.as_deref(), Some("exit"));
            wire.reply("+OK bye").await.unwrap();
        };
        let walking = async {
            call.execute("bridge", "user/1001", PATIENCE).await.unwrap();
            call.release().await.unwrap();
        };
        tokio::join!(walking, talking);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_full_is_told_to_resume_and_kept_until_they_have_talked() {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let caller = Caller::new();
    let talking = async {
        let mut wire = Wire::connect(address).await;
        assert_eq!(wire.hear().await.as_deref(), Some("connect"));
        let data = caller.channel_data();
        let single = data.replace("Control: full", "Control: single-channel");
        wire.say(single).await.unwrap();
        assert_eq!(wire.hear().await.as_deref(), Some("resume"));
        wire.reply("+OK").await.unwrap();
        let silent = tokio::time::timeout(IMPATIENCE, wire.hear()).await;
        assert!(silent.is_err(), "{silent:?}");
        let cause = [("Hangup-Cause", "NORMAL_CLEARING")];
        wire.say(caller.event("CHANNEL_HANGUP", &cause))
            .await
            .unwrap();
    };
    let walking = async { accept(&listener).await.unwrap().release().await };
    let (end, ()) = tokio::join!(walking, talking);
    assert!(matches!(end, Err(OutboundError::HungUp { .. })), "{end:?}");
}

#[tokio::test]
async fn it_closes_early() {
    let listener = listener().await;
    let (mut call, wire, _) = by_hand(&listener).await;
    drop(wire);
    let error = call.execute("playback", "x", PATIENCE).await.unwrap_err();
    assert!(error.is_over(), "{error}");
}

#[tokio::test]
async fn it_answers_late_and_the_late_answer_is_nobody_elses() {
    let listener = listener().await;
    let (mut call, mut wire, caller) = by_hand(&listener).await;
    let talking = async {
        assert_eq!(wire.hear().await.as_deref(), Some("myevents"));
        wire.reply("+OK Events Enabled").await.unwrap();
        let late = wire.hear().await.unwrap();
        let next = wire.hear().await.unwrap();
        // The refusal belongs to the first, which is not waited for any more.
        wire.reply("-ERR too late").await.unwrap();
        let uuid = header(&late, "Event-UUID").unwrap();
        let done = |uuid| caller.event("CHANNEL_EXECUTE_COMPLETE", &[("Application-UUID", uuid)]);
        wire.say(done(uuid)).await.unwrap();
        wire.reply("+OK").await.unwrap();
        wire.say(done(header(&next, "Event-UUID").unwrap()))
            .await
            .unwrap();
        wire
    };
    let working = async {
        let error = call.execute("playback", "x", IMPATIENCE).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "playback: the switch did not finish within 50ms"
        );
        assert!(!error.is_over());
        call.execute("answer", "", PATIENCE).await.unwrap();
    };
    tokio::join!(talking, working);
}

#[tokio::test]
async fn who_is_interrupted_when_it_begins_to_follow_follows_all_the_same() {
    let listener = listener().await;
    let (mut call, mut wire, caller) = by_hand(&listener).await;
    let interrupted = tokio::time::timeout(IMPATIENCE, call.follow()).await;
    assert!(interrupted.is_err());
    let talking = async {
        assert_eq!(wire.hear().await.as_deref(), Some("myevents"));
        wire.reply("+OK Events Enabled").await.unwrap();
        assert_eq!(wire.hear().await.as_deref(), Some("myevents"));
        wire.reply("-ERR aready enabled.").await.unwrap();
        let command = wire.hear().await.unwrap();
        wire.reply("+OK").await.unwrap();
        let uuid = header(&command, "Event-UUID").unwrap();
        wire.say(caller.event("CHANNEL_EXECUTE_COMPLETE", &[("Application-UUID", uuid)]))
            .await
            .unwrap();
        wire
    };
    let (_wire, ran) = tokio::join!(talking, call.execute("playback", "x", PATIENCE));
    ran.unwrap();
}

#[tokio::test]
async fn it_refuses_and_the_call_goes_on() {
    let listener = listener().await;
    let (mut call, mut wire, _) = by_hand(&listener).await;
    let talking = async {
        wire.hear().await.unwrap();
        wire.reply("-ERR command not found").await.unwrap();
        assert_eq!(wire.hear().await.as_deref(), Some("exit"));
        wire.reply("+OK bye").await.unwrap();
        wire.say(GOODBYE).await.unwrap();
    };
    let working = async {
        let error = call.follow().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the switch refused \"myevents\": -ERR command not found"
        );
        assert!(!error.is_over());
        call.hand_back().await.unwrap();
    };
    tokio::join!(talking, working);
}

#[tokio::test]
async fn it_sends_what_nobody_asked_for_between() {
    let listener = listener().await;
    let (mut call, mut wire, caller) = by_hand(&listener).await;
    let other = Caller::new();
    let talking = async {
        wire.hear().await.unwrap();
        wire.reply("+OK Events Enabled").await.unwrap();
        let command = wire.hear().await.unwrap();
        let uuid = header(&command, "Event-UUID").unwrap();
        wire.say(other.event("CHANNEL_HANGUP", &[("Hangup-Cause", "USER_BUSY")]))
            .await
            .unwrap();
        wire.say(caller.event(
            "CHANNEL_EXECUTE_COMPLETE",
            &[("Application-UUID", "another")],
        ))
        .await
        .unwrap();
        wire.say("Content-Type: log/data\nContent-Length: 3\n\nabc")
            .await
            .unwrap();
        wire.say(caller.event("CHANNEL_EXECUTE_COMPLETE", &[("Application-UUID", uuid)]))
            .await
            .unwrap();
        // The reply comes last of all.
        wire.reply("+OK").await.unwrap();
        wire
    };
    let (_wire, ran) = tokio::join!(talking, call.execute("playback", "x", PATIENCE));
    ran.unwrap();
    assert_eq!(
        call.channel().text("Unique-ID").as_deref(),
        Some(call.uuid())
    );
}

#[tokio::test]
async fn it_resets_the_connection_in_the_middle_of_an_application() {
    let listener = listener().await;
    let (mut call, mut wire, _) = by_hand(&listener).await;
    let talking = async {
        wire.hear().await.unwrap();
        wire.reply("+OK Events Enabled").await.unwrap();
        wire.hear().await.unwrap();
        wire.stream.set_zero_linger().unwrap();
        drop(wire);
    };
    let ((), ran) = tokio::join!(talking, call.execute("playback", "x", PATIENCE));
    let error = ran.unwrap_err();
    assert!(matches!(error, OutboundError::Broken(_)), "{error}");
}

#[tokio::test]
async fn what_would_be_a_second_command_is_not_sent() {
    let listener = listener().await;
    let (mut call, _wire, _) = by_hand(&listener).await;
    for (name, value) in [
        ("a\n\nexit", "x"),
        ("a", "x\n\nexit"),
        ("a=b", "x"),
        ("", "x"),
    ] {
        let error = call.set(&[(name, value)]).await.unwrap_err();
        assert!(matches!(error, OutboundError::Command(_)), "{error}");
    }
}
