//! One request, or one publish to NATS: made, signed, sent, and what came of it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response};
use tokio::time::Instant;
use url::Url;

use super::guard::{Denied, Guard, GuardedResolver, NoSuchHost};
use super::nats::Publisher;
use super::verdict::{Answer, retry_after};
use crate::hook::{Delivery, Hook, NatsTarget, Verb, shown_uri};
use crate::store::attempts::Headers;
use crate::time::Timestamp;

/// No answer is read further than the first byte after these: it tells that there are more, and a receiver cannot
/// make us hold them.
const READ_AT_MOST: usize = 64 * 1024;

/// Bytes of an answer's headers that are kept, names and values: every attempt is recorded with them.
const HEADERS_KEPT: usize = 4 * 1024;

/// How requests are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendConfig {
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a request may take in all, unless its hook says otherwise.
    pub request_timeout: Duration,
    /// Idle connections kept for each host.
    pub idle_connections: usize,
}

/// What came of one request.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What it means.
    pub answer: Answer,
    /// Kazoo's `reason` of a failed attempt.
    pub reason: Option<Cow<'static, str>>,
    /// Kazoo's `client_error`: why there was no answer.
    pub client_error: Option<&'static str>,
    /// Where it went, query string and all, without a password.
    pub uri: String,
    /// How.
    pub method: &'static str,
    /// The headers sent; the values of the hook's own are hidden.
    pub req_headers: Headers,
    /// The headers of the answer, as far as they are kept.
    pub resp_headers: Headers,
    /// The answer's body, as far as it was read: 64 KiB and what came along with the last of them.
    pub resp_body: Bytes,
    /// How long it took.
    pub duration: Duration,
}

impl Sent {
    /// The status code, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self.answer {
            Answer::Status { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Sends requests over connections that are kept. Its clones are the same sender.
#[derive(Debug, Clone)]
pub struct Sender(Arc<ArcSwap<Means>>);

impl Sender {
    /// A client without redirects and without proxies: whatever the environment says, a request goes to
    /// the address that the guard has seen.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(config: &SendConfig, guard: Guard) -> Result<Self, reqwest::Error> {
        let means = Means::new(config, guard)?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(means))))
    }

    /// Sends by other rules from now on; requests under way end by the old ones. Connections are kept where the
    /// rules are the same.
    ///
    /// # Errors
    /// TLS cannot be set up: everything is as it was.
    pub fn configure(&self, config: &SendConfig, guard: Guard) -> Result<(), reqwest::Error> {
        let means = self.0.load();
        if means.config != *config || *means.guard != guard {
            self.0.store(Arc::new(Means::new(config, guard)?));
        }
        Ok(())
    }

    /// Makes the `attempt`th request for `delivery`, to `uri` (the hook's own or its failover).
    pub async fn send(
        &self,
        hook: &Hook,
        delivery: &Delivery,
        uri: &Url,
        attempt: u32,
        now: Timestamp,
    ) -> Sent {
        let means = self.0.load_full();
        let started = Instant::now();
        let nats = NatsTarget::of(uri);
        let mut request = prepare(hook, delivery, uri, attempt, now);
        let limit = hook
            .settings
            .timeout
            .unwrap_or(means.config.request_timeout);
        *request.timeout_mut() = Some(limit);
        let uri = shown_uri(request.url());
        let req_headers = shown_headers(hook, request.headers());
        let outcome = match (nats, means.guard.check_uri(request.url())) {
            (_, Err(denied)) => Err(Failure::from(denied)),
            (Some(target), Ok(())) => {
                let body = delivery.body.clone();
                let publish = means.nats.publish(&target, request.headers(), body, limit);
                // Apart, for what opens a connection is large, and every request would carry it about.
                Box::pin(publish).await
            }
            (None, Ok(())) => means.exchange(request, now).await,
        };
        let mut sent = Sent {
            answer: Answer::Broken,
            reason: None,
            client_error: None,
            uri,
            method: delivery.verb.method(),
            req_headers,
            resp_headers: Headers::default(),
            resp_body: Bytes::new(),
            duration: started.elapsed(),
        };
        match outcome {
            Ok(received) => {
                let bad = !received.answer.is_success();
                sent.reason = bad.then_some(Cow::Borrowed("bad response code"));
                sent.answer = received.answer;
                sent.resp_headers = received.headers;
                sent.resp_body = received.body;
            }
            Err(failure) => {
                sent.answer = failure.answer;
                sent.client_error = Some(failure.client_error);
                sent.reason = Some(failure.reason);
                sent.resp_body = failure.body;
            }
        }
        sent
    }
}

/// What requests are made with, for as long as the configuration stays the same.
#[derive(Debug)]
struct Means {
    client: Client,
    nats: Publisher,
    guard: Arc<Guard>,
    config: SendConfig,
}

impl Means {
    fn new(config: &SendConfig, guard: Guard) -> Result<Self, reqwest::Error> {
        let guard = Arc::new(guard);
        let client = Client::builder()
            .user_agent(concat!("switchhook/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Every request is one in the log; whether there is another is decided elsewhere.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(config.idle_connections)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(GuardedResolver(Arc::clone(&guard))))
            .build()?;
        Ok(Self {
            client,
            nats: Publisher::new(Arc::clone(&guard), config.connect_timeout),
            guard,
            config: config.clone(),
        })
    }

    async fn exchange(&self, request: Request, now: Timestamp) -> Result<Received, Failure> {
        let response = self.client.execute(request).await?;
        let code = response.status().as_u16();
        let headers = first_headers(response.headers());
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now));
        Ok(Received {
            answer: Answer::Status { code, retry_after },
            headers,
            body: read_start(response).await,
        })
    }
}

/// An answer.
pub(super) struct Received {
    pub(super) answer: Answer,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// Why there was no answer, or none that counts.
pub(super) struct Failure {
    pub(super) answer: Answer,
    pub(super) client_error: &'static str,
    pub(super) reason: Cow<'static, str>,
    pub(super) body: Bytes,
}

impl From<Denied> for Failure {
    fn from(_: Denied) -> Self {
        Self {
            answer: Answer::NotAllowed,
            client_error: "address_not_allowed",
            reason: Cow::Borrowed("address not allowed"),
            body: Bytes::new(),
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let causes = || causes_of(&error);
        if let Some(denied) = causes().find_map(|cause| cause.downcast_ref::<Denied>()) {
            return (*denied).into();
        }
        let io = || causes().find_map(|cause| cause.downcast_ref::<io::Error>());
        let (answer, client_error) = if causes().any(|cause| cause.is::<NoSuchHost>()) {
            (Answer::NotConnected, "nxdomain")
        } else if causes().any(|cause| cause.is::<rustls::Error>()) {
            (Answer::NotConnected, "tls")
        } else if causes().any(is_no_http) {
            (Answer::Broken, "bad_response")
        } else if error.is_timeout() && error.is_connect() {
            (Answer::NotConnected, "connect_timeout")
        } else if error.is_timeout() {
            (Answer::TimedOut, "timeout")
        } else {
            let name = match io().map(io::Error::kind) {
                Some(io::ErrorKind::TimedOut) => "timeout",
                Some(io::ErrorKind::UnexpectedEof) => "closed",
                kind => kind.and_then(no_way).unwrap_or(match error.is_connect() {
                    true => "connect_failed",
                    false => "closed",
                }),
            };
            let answer = match error.is_connect() {
                true => Answer::NotConnected,
                false => Answer::Broken,
            };
            (answer, name)
        };
        Self {
            answer,
            client_error,
            reason: Cow::Borrowed("http client error"),
            body: Bytes::new(),
        }
    }
}

/// The `client_error` of what the system says of a connection, where there is a word of its own for it.
pub(super) fn no_way(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("econnrefused"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("econnreset"),
        io::ErrorKind::HostUnreachable => Some("ehostunreach"),
        io::ErrorKind::NetworkUnreachable => Some("enetunreach"),
        _ => None,
    }
}

/// Whether something came back that is no HTTP, or more headers than are read.
fn is_no_http(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

/// An error and all that caused it.
fn causes_of(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&cause| cause.source()).flat_map(unwrap_io)
}

/// An error and what an `io::Error` among them wraps, which `source` passes over.
fn unwrap_io<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn Error + 'static));
    [Some(error), inner].into_iter().flatten()
}

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_HOOK_ID: HeaderName = HeaderName::from_static("x-hook-id");
const X_ACCOUNT_ID: HeaderName = HeaderName::from_static("x-account-id");

/// A request, ready to go.
fn prepare(hook: &Hook, delivery: &Delivery, uri: &Url, attempt: u32, now: Timestamp) -> Request {
    let mut uri = uri.clone();
    let id = delivery.webhook_id.to_string();
    let mut headers = HeaderMap::with_capacity(12);
    for (name, value) in &hook.settings.headers {
        // Both were checked when the hook was written.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())),
        ) {
            headers.insert(name, value);
        }
    }
    let (method, body) = match delivery.verb {
        // A hook that was moved from HTTP to NATS may have left some.
        Verb::Get if NatsTarget::of(&uri).is_none() => {
            let added = lossy(&delivery.body);
            let query = match uri.query() {
                Some(query) if !query.is_empty() => format!("{query}&{added}"),
                _ => added.into_owned(),
            };
            uri.set_query(Some(&query));
            (Method::GET, None)
        }
        Verb::Post | Verb::Get => (Method::POST, Some(delivery.body.clone())),
        Verb::Put => (Method::PUT, Some(delivery.body.clone())),
    };
    let signed = match &body {
        Some(body) => &body[..],
        None => uri.query().unwrap_or_default().as_bytes(),
    };
    // All values in one piece of memory, which clones of the map share.
    let mut values = BytesMut::with_capacity(512);
    let mut put = |name: HeaderName, value: fmt::Arguments<'_>| {
        if values.write_fmt(value).is_ok()
            && let Ok(value) = HeaderValue::from_maybe_shared(values.split().freeze())
        {
            headers.insert(name, value);
        }
    };
    if let Some(signature) = hook.secrets.signature(&id, now, signed) {
        put(WEBHOOK_SIGNATURE, format_args!("{signature}"));
    }
    put(WEBHOOK_ID, format_args!("{id}"));
    put(WEBHOOK_TIMESTAMP, format_args!("{}", now.unix_seconds()));
    put(WEBHOOK_ATTEMPT, format_args!("{attempt}"));
    put(IDEMPOTENCY_KEY, format_args!("{id}"));
    put(X_HOOK_ID, format_args!("{}", delivery.hook_id));
    put(X_ACCOUNT_ID, format_args!("{}", delivery.account_id));
    if body.is_some() && !headers.contains_key(CONTENT_TYPE) {
        let content_type = HeaderValue::from_static(delivery.format.content_type());
        headers.insert(CONTENT_TYPE, content_type);
    }
    let mut request = Request::new(method, uri);
    *request.headers_mut() = headers;
    *request.body_mut() = body.map(Into::into);
    request
}

/// The headers for the attempts log: what the hook's owner set may be a credential.
fn shown_headers(hook: &Hook, headers: &HeaderMap) -> Headers {
    let own = |name: &str| {
        let mut names = hook.settings.headers.iter().map(|(name, _)| name);
        names.any(|own| own.eq_ignore_ascii_case(name))
    };
    Headers::of(headers.iter().map(|(name, value)| {
        let shown = match own(name.as_str()) {
            true => Cow::Borrowed("***"),
            false => lossy(value.as_bytes()),
        };
        (name.as_str(), shown)
    }))
}

/// The headers of an answer up to the first that is too much: a receiver can send a hundred times what is kept of
/// its body.
fn first_headers(headers: &HeaderMap) -> Headers {
    let mut room = HEADERS_KEPT;
    let fits = |(name, value): &(&HeaderName, &HeaderValue)| {
        let left = room.checked_sub(name.as_str().len() + value.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let kept = headers.iter().take_while(fits);
    Headers::of(kept.map(|(name, value)| (name.as_str(), lossy(value.as_bytes()))))
}

/// The start of an answer's body. The status has decided: a body that breaks off, or drips until the
/// request's time is over, changes nothing.
async fn read_start(mut response: Response) -> Bytes {
    let mut read = BytesMut::new();
    while read.len() <= READ_AT_MOST {
        let Ok(Some(chunk)) = response.chunk().await else {
            break;
        };
        read.extend_from_slice(&chunk);
    }
    read.freeze()
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answers_headers_so_much_is_kept_as_of_its_body() {
        let mut headers = HeaderMap::new();
        headers.insert("server", HeaderValue::from_static("x"));
        headers.insert(
            "x-large",
            HeaderValue::from_str(&"x".repeat(4_000)).unwrap(),
        );
        assert_eq!(first_headers(&headers).pairs().len(), 2);
        headers.insert(
            "x-more",
            HeaderValue::from_str(&"x".repeat(400_000)).unwrap(),
        );
        assert_eq!(first_headers(&headers).pairs().len(), 2);
    }
}
