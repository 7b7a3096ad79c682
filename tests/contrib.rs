//! What contrib/ shows works: the receivers verify real signatures, the callflows are callflows, and the
//! dialplan says what we read.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use switchhook::call::{Accounts, TrackerConfig};
use switchhook::callflow::{action_of_event, check_callflow, dry_run};
use switchhook::esl::Event;
use switchhook::hook::Secret;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(contrib(path)).unwrap()
}

/// A receiver of contrib/, running.
struct Receiver {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    uri: String,
    client: reqwest::Client,
}

impl Receiver {
    /// Starts it on a free port; `None` where its interpreter is not installed.
    async fn start(interpreter: &str, script: &str) -> Option<Self> {
        let child = Command::new(interpreter)
            .arg(contrib(script))
            .arg("0")
            .env("WEBHOOK_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: there is no {interpreter} here to run {script}");
                return None;
            }
            Err(error) => panic!("{script}: {error}"),
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("its first line");
        let uri = first.strip_prefix("listening on ").unwrap().to_owned();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Some(Self {
            _child: child,
            lines,
            uri,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        })
    }

    /// Sends a request that was signed `age` seconds ago with `secret`; the status.
    async fn send(&self, request: &Request<'_>, secret: &str, age: i64) -> u16 {
        let now = jiff::Timestamp::now().as_second() - age;
        let secret = Secret::parse(secret).unwrap();
        let signed = request.payload.as_bytes();
        let signature = secret.sign(request.id, now, signed);
        let builder = match request.content_type {
            None => self.client.get(format!("{}?{}", self.uri, request.payload)),
            Some(content_type) => self
                .client
                .post(&self.uri)
                .header("content-type", content_type)
                .body(request.payload.to_owned()),
        };
        let builder = builder
            .header("webhook-id", request.id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", format!("v1,bm90aGluZw== {signature}"));
        builder.send().await.unwrap().status().as_u16()
    }

    /// Sends a request of which only the head is said, with a length that is none or none that it takes; the status.
    async fn send_head(&self, length: &str) -> u16 {
        let address = self.uri.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address.trim_end_matches('/'))
            .await
            .unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\n{length}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let whole = stream.read_to_end(&mut answer);
        let whole = tokio::time::timeout(Duration::from_secs(20), whole).await;
        whole.expect("it hangs up").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event that it prints.
    async fn event(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line());
        let line = line.await.expect("it prints").unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

struct Request<'a> {
    id: &'a str,
    /// `None` for a GET.
    content_type: Option<&'a str>,
    payload: &'a str,
}

async fn a_receiver_believes_only_what_is_signed(interpreter: &str, script: &str) {
    let Some(mut receiver) = Receiver::start(interpreter, script).await else {
        return;
    };
    let json = Request {
        id: "msg_1",
        content_type: Some("application/json"),
        payload: r#"{"hook_event":"call_missed","caller_id_name":"Zoë 王伟"}"#,
    };
    let form = Request {
        id: "msg_2",
        content_type: Some("application/x-www-form-urlencoded"),
        payload: "hook_event=call_hangup&from=%2B1555+0001&custom_data%5Ba%5D=",
    };
    let get = Request {
        id: "msg_3",
        content_type: None,
        payload: "own=1&hook_event=callflow_webhook&note=a%26b",
    };
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(receiver.send(&json, other, 0).await, 401);
    assert_eq!(receiver.send(&json, SECRET, 3_600).await, 401);
    assert_eq!(receiver.send(&json, SECRET, -3_600).await, 401);
    assert_eq!(receiver.send(&json, SECRET, 5).await, 200);
    // The same once more, as a retry would be.
    assert_eq!(receiver.send(&json, SECRET, 0).await, 200);
    assert_eq!(receiver.send(&form, SECRET, 0).await, 200);
    assert_eq!(receiver.send(&get, SECRET, 0).await, 200);
    let unsigned = receiver.client.post(&receiver.uri).body("a=b").send();
    assert_eq!(unsigned.await.unwrap().status().as_u16(), 401);
    assert_eq!(
        receiver.event().await,
        json!({"hook_event": "call_missed", "caller_id_name": "Zoë 王伟"})
    );
    assert_eq!(
        receiver.event().await,
        json!({"hook_event": "call_hangup", "from": "+1555 0001", "custom_data[a]": ""})
    );
    assert_eq!(
        receiver.event().await,
        json!({"own": "1", "hook_event": "callflow_webhook", "note": "a&b"})
    );
}

#[tokio::test]
async fn the_python_receiver_believes_only_what_is_signed() {
    a_receiver_believes_only_what_is_signed("python3", "receivers/receiver.py").await;
}

#[tokio::test]
async fn the_python_receiver_reads_no_more_than_it_takes() {
    let Some(receiver) = Receiver::start("python3", "receivers/receiver.py").await else {
        return;
    };
    for (length, status) in [
        ("", 411),
        ("content-length: -1\r\n", 400),
        ("content-length: abc\r\n", 400),
        ("content-length: 1_0\r\n", 400),
        ("content-length: 1048577\r\n", 413),
        ("content-length: 99999999999999999999\r\n", 413),
    ] {
        assert_eq!(receiver.send_head(length).await, status, "{length}");
    }
}

#[tokio::test]
async fn the_node_receiver_believes_only_what_is_signed() {
    a_receiver_believes_only_what_is_signed("node", "receivers/receiver.mjs").await;
}

#[test]
fn the_callflows_can_be_stored() {
    for (name, call, steps) in [
        (
            "missed_call.json",
            json!({}),
            vec!["device", "webhook", "voicemail"],
        ),
        (
            "menu.json",
            json!({"digits": "1"}),
            vec!["menu", "webhook", "ring_group", "voicemail"],
        ),
    ] {
        let callflow: Value =
            serde_json::from_str(&read(&format!("freeswitch/callflows/{name}"))).unwrap();
        let flow = check_callflow(callflow.as_object().unwrap())
            .unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
        let taken = dry_run(&flow, &call, None);
        let modules: Vec<&str> = taken.iter().map(|step| &*step.module).collect();
        assert_eq!(modules, steps, "{name}");
    }
}

/// The `data` of the applications of this name in a dialplan.
fn data_of<'a>(dialplan: &'a str, application: &str) -> Vec<&'a str> {
    let start = format!("<action application=\"{application}\" data=\"");
    dialplan
        .split(&*start)
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

#[test]
fn the_event_of_the_dialplan_is_an_action() {
    let dialplan = read("freeswitch/dialplan/missed_call.xml");
    let [data] = data_of(&dialplan, "event")[..] else {
        panic!("one event application");
    };
    // As `event_function` of mod_dptools makes headers of it.
    let headers: Vec<String> = data
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let event = Event::from_plain(Bytes::from(headers.join("\n")));
    let config = TrackerConfig::default();
    let action = action_of_event(&event, &Accounts::default(), &config, |_, _| None);
    let action = action.unwrap().expect("an action");
    let settings = &action.hook.settings;
    assert_eq!(
        settings.uri.as_str(),
        "http://my.ser.ver/frontdesk/missed_call"
    );
    assert_eq!(settings.custom_data["some_id"], "123abc");
}

#[test]
fn the_variables_of_the_dialplan_are_ours() {
    for name in ["missed_call", "crm_lookup", "menu"] {
        let dialplan = read(&format!("freeswitch/dialplan/{name}.xml"));
        let sockets = data_of(&dialplan, "socket");
        assert!(!sockets.is_empty(), "{name}");
        for socket in sockets {
            assert!(socket.starts_with("127.0.0.1:8084/"), "{name}: {socket}");
        }
        for set in data_of(&dialplan, "set") {
            let (variable, value) = set.split_once('=').unwrap();
            if variable == "webhook_custom_data" {
                let value = value.replace("&quot;", "\"");
                let custom: Value = serde_json::from_str(&value).unwrap();
                assert_eq!(custom, json!({"some_id": "123abc"}));
            }
        }
    }
}

#[tokio::test]
async fn the_dialplans_are_well_formed() {
    let check = "import sys, xml.dom.minidom\nfor f in sys.argv[1:]: xml.dom.minidom.parse(f)";
    let files = ["missed_call", "crm_lookup", "menu"]
        .map(|name| contrib(&format!("freeswitch/dialplan/{name}.xml")));
    let checked = Command::new("python3")
        .arg("-c")
        .arg(check)
        .args(files)
        .output();
    match checked.await {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no python3 here to read XML with");
        }
        Err(error) => panic!("{error}"),
    }
}
