//! Publishing to NATS JetStream: what a request is to a hook whose URI is `nats://`.
//!
//! A publish is a request to the stream that takes the subject, and the stream's acknowledgement is the answer. A
//! connection is shared by all who publish to a server as the same user. It is never mended: what goes wrong with
//! it ends the attempts that are under way on it, and the next attempt opens another, so that nothing is kept in
//! memory while a server is away and every new connection meets the guard.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, Request};
use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;

use super::guard::{Guard, Unreachable};
use super::send::{Failure, Received, no_way};
use super::verdict::Answer;
use crate::hook::{NatsLogin, NatsTarget};
use crate::store::attempts::Headers;

/// How long a connection is kept that nothing goes over.
const IDLE: Duration = Duration::from_secs(30);
/// Connections kept at most; one more is closed after its publish.
const KEPT: usize = 256;
/// Publishes that wait for a socket to take them; those beyond wait in their own tasks.
const QUEUED: usize = 256;

/// Characters of a refusal's description that are kept: anybody who answers on the subject can write it.
const MOST_WORDS: usize = 256;

/// Publishes over connections that are kept.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    guard: Arc<Guard>,
    connect_timeout: Duration,
    connections: Connections,
}

/// A std mutex: it is held for a look-up, never across an await.
type Connections = Arc<Mutex<HashMap<Server, Arc<Connection>>>>;

/// What a connection is to: host, port and user.
type Server = (String, u16, NatsLogin);

#[derive(Debug)]
struct Connection {
    /// The first who needs it opens it, the others wait for that.
    link: OnceCell<Link>,
    used: Mutex<Instant>,
}

#[derive(Debug)]
struct Link {
    client: Client,
    said: watch::Receiver<Said>,
}

/// What a server has said that answers no request.
#[derive(Debug, Default)]
struct Said {
    /// The connection has ended.
    gone: bool,
    /// The last error.
    error: String,
}

impl Said {
    /// Whether it is that this user may not publish to `subject`.
    fn forbids(&self, subject: &str) -> bool {
        let error = self.error.to_ascii_lowercase();
        let subject = format!("publish to \"{}\"", subject.to_ascii_lowercase());
        error.contains("permissions violation") && error.contains(&subject)
    }
}

impl Publisher {
    pub(super) fn new(guard: Arc<Guard>, connect_timeout: Duration) -> Self {
        Self {
            guard,
            connect_timeout,
            connections: Connections::default(),
        }
    }

    /// Publishes `body`, and waits for the acknowledgement until `limit` is over.
    pub(super) async fn publish(
        &self,
        target: &NatsTarget,
        headers: &HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Received, Failure> {
        let server = (target.host.clone(), target.port, target.login.clone());
        let connection = self.connection(&server);
        let exchange = self.exchange(&connection, target, headers, body);
        let done = tokio::time::timeout(limit, exchange).await;
        let done = done.unwrap_or_else(|_| {
            let what = "the server did not acknowledge in time";
            Err(failure(Answer::TimedOut, "timeout", what))
        });
        if !done
            .as_ref()
            .is_ok_and(|received| received.answer.is_success())
        {
            // Where nothing is wrong with it, another costs little.
            forget(&self.connections, &server, &connection);
        }
        done
    }

    async fn exchange(
        &self,
        connection: &Connection,
        target: &NatsTarget,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Received, Failure> {
        let link = connection
            .link
            .get_or_try_init(|| self.connect(target))
            .await?;
        let request = Request::new()
            .payload(body)
            .headers(nats_headers(headers))
            .timeout(None);
        let subject = target.subject.clone();
        let mut said = link.said.clone();
        let answered = tokio::select! {
            answered = link.client.send_request(subject, request) => answered,
            bad = said.wait_for(|said| said.gone || said.forbids(&target.subject)) => {
                return Err(match bad.is_ok_and(|said| !said.gone) {
                    true => failure(
                        Answer::Broken,
                        "not_permitted",
                        format!("this user may not publish to {}", target.subject),
                    ),
                    false => failure(Answer::Broken, "closed", "the connection broke"),
                });
            }
        };
        *lock(&connection.used) = Instant::now();
        let answer = answered.map_err(|error| refusal(&error, &target.subject))?;
        acknowledged(answer.payload)
    }

    /// The connection to a server, which may have to be opened yet.
    fn connection(&self, server: &Server) -> Arc<Connection> {
        let mut kept = lock(&self.connections);
        if let Some(connection) = kept.get(server) {
            return Arc::clone(connection);
        }
        let connection = Arc::new(Connection {
            link: OnceCell::new(),
            used: Mutex::new(Instant::now()),
        });
        if kept.len() < KEPT {
            kept.insert(server.clone(), Arc::clone(&connection));
            let connections = Arc::downgrade(&self.connections);
            let connection = Arc::downgrade(&connection);
            tokio::spawn(close_when_idle(connections, server.clone(), connection));
        }
        connection
    }

    /// Opens a connection to the first address of the server that takes one.
    async fn connect(&self, target: &NatsTarget) -> Result<Link, Failure> {
        let addresses = self.guard.resolve(&target.host, target.port).await;
        let addresses = addresses.map_err(|unreachable| match unreachable {
            Unreachable::Denied(denied) => denied.into(),
            Unreachable::NoSuchHost(unknown) => {
                failure(Answer::NotConnected, "nxdomain", unknown.to_string())
            }
        })?;
        let mut failed = failure(Answer::NotConnected, "nxdomain", "it has no address");
        for address in addresses {
            match self.connect_to(address, &target.login).await {
                Ok(link) => return Ok(link),
                Err(error) => failed = unconnected(&error),
            }
        }
        Err(failed)
    }

    async fn connect_to(
        &self,
        address: SocketAddr,
        login: &NatsLogin,
    ) -> Result<Link, ConnectError> {
        let (tell, said) = watch::channel(Said::default());
        let options = ConnectOptions::new()
            .name(concat!("switchhook/", env!("CARGO_PKG_VERSION")))
            .connection_timeout(self.connect_timeout)
            .request_timeout(None)
            .client_capacity(QUEUED)
            // No other server than the one that the guard has seen. (0 would mean for ever.)
            .ignore_discovered_servers()
            .max_reconnects(1)
            .event_callback(move |event| {
                tell.send_modify(|said| match event {
                    Event::Disconnected | Event::Closed => said.gone = true,
                    Event::ServerError(error) => said.error = error.to_string(),
                    _ => {}
                });
                async {}
            });
        let options = match login {
            NatsLogin::None => options,
            NatsLogin::Token(token) => options.token(token.clone()),
            NatsLogin::User(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
        };
        let client = options.connect(format!("nats://{address}")).await?;
        Ok(Link { client, said })
    }
}

/// Lets a connection go when nothing went over it for [`IDLE`].
async fn close_when_idle(
    connections: Weak<Mutex<HashMap<Server, Arc<Connection>>>>,
    server: Server,
    connection: Weak<Connection>,
) {
    loop {
        let Some(used) = connection.upgrade().map(|connection| used(&connection)) else {
            return;
        };
        tokio::time::sleep_until(used + IDLE).await;
        let (Some(connections), Some(connection)) = (connections.upgrade(), connection.upgrade())
        else {
            return;
        };
        if self::used(&connection) + IDLE <= Instant::now()
            && forget(&connections, &server, &connection)
        {
            return;
        }
    }
}

/// Keeps a connection no more; whether it was kept, and not another one to the same server.
fn forget(connections: &Connections, server: &Server, connection: &Arc<Connection>) -> bool {
    let mut kept = lock(connections);
    let is_kept = (kept.get(server)).is_some_and(|kept| Arc::ptr_eq(kept, connection));
    if is_kept {
        kept.remove(server);
    }
    is_kept
}

fn used(connection: &Connection) -> Instant {
    *lock(&connection.used)
}

/// Nothing here panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The headers of a request, and the one by which JetStream knows an event again.
fn nats_headers(headers: &HeaderMap) -> async_nats::HeaderMap {
    let mut all = async_nats::HeaderMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name == "webhook-id" {
            all.insert("Nats-Msg-Id", &*value);
        }
        all.insert(name.as_str(), &*value);
    }
    all
}

/// What a stream answers: `{"stream": …, "seq": …}`, or `{"error": {"code": …, "description": …}}`.
fn acknowledged(body: Bytes) -> Result<Received, Failure> {
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if answer["stream"].is_string() && answer["seq"].is_u64() && answer["error"].is_null() {
        return Ok(Received {
            answer: Answer::Acknowledged,
            headers: Headers::default(),
            body,
        });
    }
    let reason = match answer["error"]["description"].as_str() {
        Some(words) => {
            let words: String = words.chars().take(MOST_WORDS).collect();
            format!("JetStream refuses it: {words}")
        }
        None => "what answers on this subject is no JetStream stream".to_owned(),
    };
    Err(Failure {
        body,
        ..failure(Answer::Broken, "not_stored", reason)
    })
}

fn failure(answer: Answer, client_error: &'static str, reason: impl Into<String>) -> Failure {
    let reason: String = reason.into();
    Failure {
        answer,
        client_error,
        reason: format!("nats: {reason}").into(),
        body: Bytes::new(),
    }
}

/// Why there is no connection. Whoever answers is not dead: a wrong password is no fault of the server, which
/// others may reach.
fn unconnected(error: &ConnectError) -> Failure {
    let refused = "the server refuses the user name and password of the URI";
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            failure(Answer::Broken, "unauthorized", refused)
        }
        ConnectErrorKind::TimedOut => failure(
            Answer::NotConnected,
            "connect_timeout",
            "no connection in time",
        ),
        ConnectErrorKind::Tls => failure(
            Answer::NotConnected,
            "tls",
            format!("the server wants TLS, and: {}", innermost(error)),
        ),
        _ => {
            let system = causes_of(error).find_map(|cause| cause.downcast_ref::<io::Error>());
            let name = system.and_then(|error| no_way(error.kind()));
            let name = name.unwrap_or("connect_failed");
            failure(Answer::NotConnected, name, innermost(error))
        }
    }
}

/// Why there is no acknowledgement.
fn refusal(error: &RequestError, subject: &str) -> Failure {
    match error.kind() {
        RequestErrorKind::NoResponders => failure(
            Answer::Broken,
            "no_stream",
            format!("no JetStream stream takes the subject {subject} (nats stream add makes one)"),
        ),
        RequestErrorKind::MaxPayloadExceeded => {
            failure(Answer::Broken, "too_large", innermost(error))
        }
        RequestErrorKind::TimedOut => failure(Answer::TimedOut, "timeout", innermost(error)),
        _ => failure(Answer::Broken, "closed", innermost(error)),
    }
}

/// An error and all that caused it.
fn causes_of<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes_of(error).last();
    last.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_kept_in_a_few_words() {
        let refused = |words: &str| {
            let answer = serde_json::json!({"error": {"code": 503, "description": words}});
            let failure = acknowledged(answer.to_string().into()).err().unwrap();
            failure.reason.into_owned()
        };
        assert_eq!(refused("no space"), "nats: JetStream refuses it: no space");
        assert!(refused(&"x".repeat(1_000_000)).len() < 300);
    }
}
