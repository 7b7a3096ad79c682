//! A real nats-server with JetStream, on a port that stays its own and a directory that outlives it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};

/// How long a test waits for the server before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a nats-server runs, or ran.
pub struct Nats {
    directory: TempDir,
    /// Bound and never listened on: nobody else is given the port.
    _port: TcpSocket,
    address: SocketAddr,
    arguments: Vec<String>,
    server: Option<Child>,
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub struct Message {
    pub subject: String,
    /// `Name: value`, a line each.
    pub headers: String,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }

    pub fn payload(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

impl Nats {
    /// A server that is up; `None`, which is said, where there is none on this machine.
    pub async fn start(arguments: &[&str]) -> Option<Self> {
        let found = Command::new("nats-server").arg("--version").output().await;
        if found.is_err() {
            println!("SKIPPED: there is no nats-server here (apt-get install nats-server)");
            return None;
        }
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut nats = Self {
            directory: tempfile::tempdir().unwrap(),
            address: port.local_addr().unwrap(),
            _port: port,
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            server: None,
        };
        nats.up().await;
        Some(nats)
    }

    /// Starts it on what it left.
    pub async fn up(&mut self) {
        let server = Command::new("nats-server")
            .args(["-js", "-a", "127.0.0.1", "-p"])
            .arg(self.address.port().to_string())
            .arg("-sd")
            .arg(self.directory.path())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let up = async {
            while self.client(None).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // One that asks for a password is up as well.
        if self.arguments.is_empty() {
            tokio::time::timeout(PATIENCE, up)
                .await
                .expect("nats-server does not come up");
        }
    }

    /// kill -9.
    pub async fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().await.unwrap();
        }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn uri(&self, subject: &str) -> String {
        format!("nats://{}/{subject}", self.address)
    }

    /// A client of its own, as this user.
    pub async fn client(
        &self,
        login: Option<(&str, &str)>,
    ) -> Result<async_nats::Client, async_nats::ConnectError> {
        let options = async_nats::ConnectOptions::new();
        let options = match login {
            Some((user, password)) => options.user_and_password(user.into(), password.into()),
            None => options,
        };
        options.connect(format!("nats://{}", self.address)).await
    }

    /// A request to JetStream, as soon as it answers.
    pub async fn ask(&self, login: Option<(&str, &str)>, what: &str, data: Value) -> Value {
        let answered = async {
            loop {
                if let Ok(client) = self.client(login).await {
                    let subject = format!("$JS.API.{what}");
                    let answer = client.request(subject, data.to_string().into()).await;
                    if let Ok(answer) = answer {
                        return serde_json::from_slice(&answer.payload).unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answered)
            .await
            .unwrap_or_else(|_| panic!("JetStream does not answer {what}"))
    }

    /// Makes the stream `calls` for the subjects `calls.>`.
    pub async fn add_stream(&self, login: Option<(&str, &str)>, more: Value) {
        let mut stream = json!({"name": "calls", "subjects": ["calls.>"], "storage": "file",
            "retention": "limits", "max_consumers": -1, "num_replicas": 1, "discard": "new"});
        for (key, value) in more.as_object().unwrap() {
            stream[key] = value.clone();
        }
        let answer = self.ask(login, "STREAM.CREATE.calls", stream).await;
        assert_eq!(answer["error"], Value::Null);
    }

    /// What the stream `calls` holds, oldest first.
    pub async fn messages(&self) -> Vec<Message> {
        let info = self.ask(None, "STREAM.INFO.calls", json!({})).await;
        let last = info["state"]["last_seq"].as_u64().unwrap();
        let text = |value: &Value| {
            let encoded = value.as_str().unwrap_or_default();
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
            decoded.unwrap()
        };
        let mut messages = Vec::new();
        for sequence in 1..=last {
            let asked = json!({ "seq": sequence });
            let answer = self.ask(None, "STREAM.MSG.GET.calls", asked).await;
            let message = &answer["message"];
            messages.push(Message {
                subject: message["subject"].as_str().unwrap().to_owned(),
                headers: String::from_utf8(text(&message["hdrs"])).unwrap(),
                body: text(&message["data"]),
            });
        }
        messages
    }
}
