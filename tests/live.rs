//! Calls on a real FreeSWITCH, which has to run on this machine, with mod_event_socket, mod_loopback and mod_voicemail:
//!
//! `SWITCHHOOK_LIVE=127.0.0.1:8021 cargo test --test live -- --ignored`
//!
//! The password is ClueCon unless `SWITCHHOOK_LIVE_PASSWORD` says otherwise. Nothing is asked of the dialplan: the
//! calls are originated over loopback, with the `socket` application as what they do. Other calls on the switch go on
//! as they are, and are looked past.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, Home};
use support::receiver::{Behaviour, Receiver, Request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

/// How long a call may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(20);

/// The event socket, for what an operator would do at the console.
struct Console(BufReader<TcpStream>);

impl Console {
    async fn log_in(address: SocketAddr, password: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut console = Self(BufReader::new(stream));
        console.frame().await;
        let (head, _) = console.ask(&format!("auth {password}")).await;
        assert!(head.contains("+OK accepted"), "{head}");
        console
    }

    async fn ask(&mut self, command: &str) -> (String, String) {
        let command = format!("{command}\n\n");
        self.0.write_all(command.as_bytes()).await.unwrap();
        self.frame().await
    }

    async fn frame(&mut self) -> (String, String) {
        let mut head = String::new();
        while !head.ends_with("\n\n") {
            assert!(self.0.read_line(&mut head).await.unwrap() > 0, "{head}");
        }
        let mut lengths = head
            .lines()
            .filter_map(|line| line.strip_prefix("Content-Length: "));
        let length = lengths.next().map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    async fn api(&mut self, command: &str) -> String {
        self.ask(&format!("api {command}")).await.1
    }

    /// Waits until a variable of a call is this.
    async fn reaches(&mut self, call: &str, variable: &str, wanted: &str) {
        let mut last = String::new();
        let reached = async {
            loop {
                last = self.api(&format!("uuid_getvar {call} {variable}")).await;
                if last.trim() == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{variable} of {call} is never {wanted:?} but {last:?}");
        }
    }
}

/// A daemon beside the switch, a receiver, and a console.
struct Live {
    _port: TcpSocket,
    _home: Home,
    outbound: SocketAddr,
    daemon: Daemon,
    receiver: Receiver,
    console: Console,
}

impl Live {
    async fn start() -> Self {
        let address = std::env::var("SWITCHHOOK_LIVE")
            .expect("SWITCHHOOK_LIVE says where the event socket is, such as 127.0.0.1:8021");
        let address: SocketAddr = address.parse().expect("an address and a port");
        let password = std::env::var("SWITCHHOOK_LIVE_PASSWORD");
        let password = password.unwrap_or_else(|_| "ClueCon".into());
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let outbound = port.local_addr().unwrap();
        let home = Home::new(address.port())
            .with("SWITCH__HOST", address.ip())
            .with("SWITCH__PASSWORD", &password)
            .with("OUTBOUND__LISTEN", outbound);
        let daemon = home.serve().await;
        let live = Self {
            receiver: Receiver::start().await,
            console: Console::log_in(address, &password).await,
            _port: port,
            _home: home,
            outbound,
            daemon,
        };
        live.connected().await;
        live
    }

    /// Logged in at the switch, and told of its events.
    async fn connected(&self) {
        let ready = async {
            while self.daemon.api("GET", "/health/ready", None).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .unwrap_or_else(|_| panic!("never ready:\n{}", self.daemon.log_text()));
    }

    /// A call which does this, to somebody who is silent and leaves after half a minute: a test that fails leaves
    /// nothing behind; its id.
    async fn call(&mut self, variables: &str, does: &str) -> String {
        let call = Uuid::new_v4().to_string();
        let command = format!(
            "originate {{origination_uuid={call},origination_caller_id_number=+15550001111{variables}}}\
             loopback/app=sleep:30000 {does}"
        );
        let answer = self.console.ask(&format!("bgapi {command}")).await;
        assert!(answer.0.contains("+OK"), "{answer:?}");
        call
    }

    /// The same, handed to the daemon: `path` is what stands behind the port in `socket`.
    async fn call_in(&mut self, path: &str, variables: &str) -> String {
        let outbound = self.outbound;
        let does = format!("'&socket({outbound}/{path} async full)'");
        self.call(variables, &does).await
    }

    async fn store(&self, flow: Value) -> String {
        let callflow = json!({ "flow": flow });
        let path = "/v2/accounts/default/callflows";
        let (status, answer) = self.daemon.api("PUT", path, Some(callflow)).await;
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    /// What the receiver is told of a call, up to this trigger.
    async fn told(&mut self, call: &str, last: &str) -> Vec<Request> {
        let of_call = |request: &Request| request.field("call_id") == call;
        let last = |request: &Request| of_call(request) && request.trigger() == last;
        let mut told = self.receiver.until(last).await;
        told.retain(of_call);
        told
    }

    async fn hang_up(&mut self, call: &str) {
        self.console.api(&format!("uuid_kill {call}")).await;
    }
}

#[tokio::test]
#[ignore = "needs a FreeSWITCH: SWITCHHOOK_LIVE=127.0.0.1:8021"]
async fn a_call_is_told_from_its_beginning_to_its_end() {
    let mut live = Live::start().await;
    let hook = json!({"name": "live", "hook": ["channel_create", "channel_destroy"],
        "format": "json", "uri": live.receiver.uri("/")});
    live.daemon.add_hook(hook).await;
    let call = live.call("", "&park()").await;
    live.told(&call, "channel_create").await;
    live.hang_up(&call).await;
    let end = live.told(&call, "channel_destroy").await.pop().unwrap();
    assert_eq!(end.field("hangup_cause"), "NORMAL_CLEARING");
    assert_eq!(end.field("reconciled"), "");
}

#[tokio::test]
#[ignore = "needs a FreeSWITCH: SWITCHHOOK_LIVE=127.0.0.1:8021"]
async fn a_missed_call_is_told_and_goes_to_voicemail() {
    let mut live = Live::start().await;
    // Nobody has this phone: the bridge fails as it does for one that is switched off.
    let flow = json!({"module": "device", "data": {"id": "switchhook-nobody", "domain": "switchhook.invalid"},
        "children": {"_": {"module": "webhook", "data": {"uri": live.receiver.uri("/missed"), "custom_data": {"some_id": "123abc"}},
            "children": {"_": {"module": "voicemail", "data": {"id": "1001", "domain": "switchhook.invalid"}}}}}});
    let id = live.store(flow).await;
    // What the switch runs is told as well: voicemail is what comes last.
    let hook = json!({"name": "live", "hook": "switch_event", "modifiers": {"event": ["CHANNEL_EXECUTE"]},
        "format": "json", "uri": live.receiver.uri("/execute")});
    live.daemon.add_hook(hook).await;
    let call = live.call_in(&format!("callflow/{id}"), "").await;
    let mut ran = Vec::new();
    let told = live.receiver.until(|request| {
        let application = request.payload().to_string().contains("\"voicemail\"");
        request.field("call_id") == call && application
    });
    for request in told.await {
        if request.field("call_id") == call {
            ran.push(request);
        }
    }
    let missed = ran.iter().find(|request| request.target == "/missed");
    let missed = missed.expect("told before voicemail");
    assert_eq!(missed.trigger(), "callflow_webhook");
    assert_eq!(missed.field("some_id"), "123abc");
    live.hang_up(&call).await;
}

#[tokio::test]
#[ignore = "needs a FreeSWITCH: SWITCHHOOK_LIVE=127.0.0.1:8021"]
async fn a_crm_says_who_calls() {
    let mut live = Live::start().await;
    // The pause is there to look at the call before it is over.
    let flow = json!({"module": "set_variables", "data": {"variables": {"crm_id": "4711", "crm_name": "Müller & Söhne"}},
        "children": {"_": {"module": "sleep", "data": {"duration": 20}}}});
    let answer = Behaviour::Answer(200, Vec::new(), flow.to_string().into_bytes());
    live.receiver.behave(answer);
    let uri = live.receiver.uri("/lookup");
    let variables = format!(",webhook_uri={uri},webhook_http_verb=get,webhook_wait_ms=10000");
    let call = live.call_in("webhook", &variables).await;
    let asked = live.told(&call, "callflow_webhook").await.pop().unwrap();
    assert_eq!(asked.method, "GET");
    live.console.reaches(&call, "crm_id", "4711").await;
    live.console
        .reaches(&call, "crm_name", "Müller & Söhne")
        .await;
    live.console.reaches(&call, "webhook_status", "200").await;
    live.hang_up(&call).await;
}

#[tokio::test]
#[ignore = "needs a FreeSWITCH: SWITCHHOOK_LIVE=127.0.0.1:8021"]
async fn a_menu_tells_what_was_pressed() {
    let mut live = Live::start().await;
    let choice = |choice: &str| {
        json!({"module": "webhook", "data": {"uri": live.receiver.uri("/menu"), "custom_data": {"choice": choice}},
            "children": {"_": {"module": "hangup"}}})
    };
    let flow = json!({"module": "menu", "data": {"file": "tone_stream://%(10000,0,440)", "tries": 1},
        "children": {"1": choice("sales"), "2": choice("support"), "_": choice("something else")}});
    let id = live.store(flow).await;
    let call = live.call_in(&format!("callflow/{id}"), "").await;
    let menu = "play_and_get_digits";
    live.console
        .reaches(&call, "current_application", menu)
        .await;
    live.console.api(&format!("uuid_recv_dtmf {call} 2")).await;
    let told = live.told(&call, "callflow_webhook").await.pop().unwrap();
    assert_eq!(
        (&*told.target, &*told.field("choice")),
        ("/menu", "support")
    );
}
