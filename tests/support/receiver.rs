//! A receiver of webhooks: a real HTTP/1.1 server on loopback that answers, refuses, stalls or hangs up as it
//! is told, and shows what it was sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::switch::Gate;

/// How long a test waits for a webhook before it fails. Never slept through when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path with its query string.
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    /// The payload, from a JSON body, a form body or the query string; form values are all text.
    pub fn payload(&self) -> serde_json::Value {
        let content_type = self.headers.get("content-type");
        if content_type.is_some_and(|kind| kind == "application/json") {
            return serde_json::from_slice(&self.body).expect("a JSON body");
        }
        let form = match self.method.as_str() {
            "GET" => self.query().as_bytes(),
            _ => &self.body,
        };
        let pairs = form_urlencoded::parse(form);
        serde_json::Value::Object(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                .collect(),
        )
    }

    /// What stands behind the question mark.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A field of the payload as text; empty where there is none.
    pub fn field(&self, name: &str) -> String {
        match &self.payload()[name] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// `hook_event` of the payload.
    pub fn trigger(&self) -> String {
        self.field("hook_event")
    }
}

/// What the receiver does with a request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Never answers.
    Stall,
    /// Answers with 204 when the gate opens.
    Hold(Gate),
    /// Closes the connection without an answer.
    HangUp,
    /// Resets the connection.
    Reset,
    /// Answers 200 with a body that comes a byte at a time and never ends.
    Drip,
}

impl Behaviour {
    pub fn status(code: u16) -> Self {
        Self::Answer(code, Vec::new(), Vec::new())
    }
}

type Decide = Arc<Mutex<Box<dyn FnMut(&Request) -> Behaviour + Send>>>;

/// A receiver that listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<Request>,
    decide: Decide,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    /// A receiver that answers every request with 204.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// The same on an address of one's own choice, for a receiver that comes back.
    pub async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, arrived) = mpsc::unbounded_channel();
        let decide: Decide = Arc::new(Mutex::new(Box::new(|_| Behaviour::status(204))));
        let server = tokio::spawn(serve(listener, sender, Arc::clone(&decide)));
        Self {
            address,
            arrived,
            decide,
            server,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on every request meets with `behaviour`.
    pub fn behave(&self, behaviour: Behaviour) {
        self.decide_by(move |_| behaviour.clone());
    }

    /// From now on no request is answered before the gate opens.
    pub fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.behave(Behaviour::Hold(gate.clone()));
        gate
    }

    /// From now on `decide` says what a request meets with.
    pub fn decide_by(&self, decide: impl FnMut(&Request) -> Behaviour + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    /// The next request.
    pub async fn next(&mut self) -> Request {
        match tokio::time::timeout(PATIENCE, self.arrived.recv()).await {
            Ok(Some(request)) => request,
            _ => panic!("no webhook arrived at {} in {PATIENCE:?}", self.address),
        }
    }

    /// The next `count` requests.
    pub async fn take(&mut self, count: usize) -> Vec<Request> {
        let mut requests = Vec::with_capacity(count);
        while requests.len() < count {
            requests.push(self.next().await);
        }
        requests
    }

    /// All requests up to the first of which `last` is true.
    pub async fn until(&mut self, mut last: impl FnMut(&Request) -> bool) -> Vec<Request> {
        let mut requests = Vec::new();
        loop {
            let request = self.next().await;
            let found = last(&request);
            requests.push(request);
            if found {
                return requests;
            }
        }
    }

    /// What has arrived and was not looked at yet.
    pub fn rest(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.arrived.try_recv().ok()).collect()
    }
}

async fn serve(listener: TcpListener, sender: mpsc::UnboundedSender<Request>, decide: Decide) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (sender, decide) = (sender.clone(), Arc::clone(&decide));
        connections.spawn(async move {
            // A client that hangs up ends its connection and nothing else.
            let _ = talk(socket, sender, decide).await;
        });
    }
}

async fn talk(
    mut socket: TcpStream,
    sender: mpsc::UnboundedSender<Request>,
    decide: Decide,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(&mut socket, &mut buffer).await? else {
            return Ok(());
        };
        let behaviour = (decide.lock().unwrap())(&request);
        let _ = sender.send(request);
        match behaviour {
            Behaviour::HangUp => return Ok(()),
            Behaviour::Reset => return socket.set_zero_linger(),
            Behaviour::Stall => std::future::pending().await,
            Behaviour::Hold(gate) => {
                gate.passed().await;
                socket.write_all(b"HTTP/1.1 204 X\r\n\r\n").await?;
            }
            Behaviour::Drip => {
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await?;
                loop {
                    socket.write_all(b"1\r\nx\r\n").await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Behaviour::Answer(status, headers, body) => {
                let mut answer = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in headers {
                    answer.push_str(&format!("{name}: {value}\r\n"));
                }
                if status != 204 {
                    answer.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                answer.push_str("\r\n");
                socket.write_all(answer.as_bytes()).await?;
                socket.write_all(&body).await?;
            }
        }
    }
}

async fn read_request(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or(""), first.next().unwrap_or(""));
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let whole = head_end + 4 + length;
    while buffer.len() < whole {
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer[head_end + 4..whole].to_vec();
    buffer.drain(..whole);
    Ok(Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
    }))
}
