//! Kazoo's envelope: requests opened, answers sealed.
//!
//! Whatever happens to a request, its answer is JSON with a `request_id`: resources answer with a [`Reply`]
//! or a [`Problem`], which travel in the response's extensions until the envelope is put around them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tracing::error;
use uuid::Uuid;

use super::json;
use super::query::Query;
use crate::hook::{Document, Mistakes};
use crate::registry::NOT_FROM_ABOVE;
use crate::store::StoreError;

/// The largest body that is read.
const LARGEST_BODY: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the envelope of a request holds, for the extractors.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened {
    /// `data`, where there is some.
    data: Option<Value>,
    /// `auth_token`.
    pub(super) auth_token: Option<String>,
    echo: Echo,
}

/// The token that is given back with the answer.
type Echo = Arc<OnceLock<String>>;

impl Opened {
    /// Gives a token back, with the answer, to the one who sent it.
    pub(super) fn echo(&self, token: String) {
        // The first one stands: a request has one token.
        let _ = self.echo.set(token);
    }
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
struct Page {
    start_key: Option<String>,
    next_start_key: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: StatusCode,
    data: Value,
    page: Option<Page>,
    revision: Option<String>,
    auth_token: Option<String>,
}

impl Reply {
    /// 200 with `data`.
    pub(super) fn new(data: impl Into<Value>) -> Self {
        Self {
            status: StatusCode::OK,
            data: data.into(),
            page: None,
            revision: None,
            auth_token: None,
        }
    }

    /// 201 with what was made.
    pub(super) fn created(data: impl Into<Value>) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..Self::new(data)
        }
    }

    /// A page of a listing: where it began, and where the next one begins.
    pub(super) fn page(
        items: impl IntoIterator<Item = Value>,
        start_key: Option<String>,
        next_start_key: Option<String>,
    ) -> Self {
        Self {
            page: Some(Page {
                start_key,
                next_start_key,
            }),
            ..Self::new(items.into_iter().collect::<Value>())
        }
    }

    /// Another status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The revision of the document that is answered with.
    pub(super) fn revision(mut self, revision: String) -> Self {
        self.revision = Some(revision);
        self
    }

    /// The token that was asked for.
    pub(super) fn auth_token(mut self, token: String) -> Self {
        self.auth_token = Some(token);
        self
    }

    fn seal(self, request_id: &str, echoed: Option<&String>) -> Value {
        let mut envelope = Document::new();
        let mut put = |key: &str, value: Value| envelope.insert(key.into(), value);
        if let Some(token) = self.auth_token.as_ref().or(echoed) {
            put("auth_token", json!(token));
        }
        if let Some(page) = self.page {
            put("page_size", json!(self.data.as_array().map_or(0, Vec::len)));
            if let Some(key) = page.start_key {
                put("start_key", json!(key));
            }
            if let Some(key) = page.next_start_key {
                put("next_start_key", json!(key));
            }
        }
        put("data", self.data);
        put("request_id", json!(request_id));
        if let Some(revision) = self.revision {
            put("revision", json!(revision));
        }
        put("status", json!("success"));
        Value::Object(envelope)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a request is refused with.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    message: &'static str,
    data: Value,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, message: &'static str, data: Value) -> Self {
        Self {
            status,
            message,
            data,
            retry_after: None,
        }
    }

    /// 400: the fields and the rules that they break.
    pub(super) fn validation(mistakes: Mistakes) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "validation error",
            mistakes.into_document().into(),
        )
    }

    /// 400: one field and the rule that it breaks.
    pub(super) fn mistake(field: &str, rule: &str, message: &str) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.say(field, rule, message);
        Self::validation(mistakes)
    }

    /// 401: no token, or none that we know.
    pub(super) fn invalid_credentials(message: &str) -> Self {
        let data = json!({ "message": message });
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", data)
    }

    /// 403: the token does not reach so far.
    pub(super) fn forbidden(message: &str) -> Self {
        let data = json!({ "message": message });
        Self::new(StatusCode::FORBIDDEN, "forbidden", data)
    }

    /// 404: a page that starts nowhere.
    pub(super) fn unknown_start_key(key: &str) -> Self {
        let data = json!({
            "message": "There is nothing with this id (any more): begin with the first page",
            "cause": key,
            "start_key": { "unknown": { "message": "Value must be the next_start_key of the page before" } },
        });
        Self::new(StatusCode::NOT_FOUND, "bad_identifier", data)
    }

    /// 404: an id that there is nothing of.
    pub(super) fn bad_identifier(id: &str) -> Self {
        let data = json!({ "message": "bad identifier", "cause": id });
        Self::new(StatusCode::NOT_FOUND, "bad_identifier", data)
    }

    /// 404: a path that there is nothing at.
    pub(super) fn not_found(message: &str) -> Self {
        let data = json!({ "message": message });
        Self::new(StatusCode::NOT_FOUND, "bad_identifier", data)
    }

    /// 405; the router says in `Allow` what would be.
    pub(super) fn method_not_allowed() -> Self {
        let data =
            json!({ "message": "The header Allow lists the methods there are at this path" });
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", data)
    }

    /// 409: it contradicts what is there.
    pub(super) fn conflict(message: &str) -> Self {
        let data = json!({ "message": message });
        Self::new(StatusCode::CONFLICT, "conflict", data)
    }

    /// 429, with when to come again.
    pub(super) fn too_many_requests(retry_after: Duration) -> Self {
        let data = json!({ "message": "Too many failed log-ins from this address; the header Retry-After says in how many seconds to try again" });
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", data)
        }
    }

    /// 503: it is not the request's fault, and may work later.
    pub(super) fn unavailable(message: &str) -> Self {
        let data = json!({ "message": message });
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "datastore_fault", data)
        }
    }

    fn seal(self, request_id: &str) -> Value {
        json!({
            "data": self.data,
            "error": self.status.as_u16().to_string(),
            "message": self.message,
            "request_id": request_id,
            "status": "error",
        })
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Document(mistakes) if mistakes.are_all("unique") => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                mistakes.into_document().into(),
            ),
            StoreError::Document(mistakes) if mistakes.are_all(NOT_FROM_ABOVE) => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                mistakes.into_document().into(),
            ),
            StoreError::Document(mistakes) => Self::validation(mistakes),
            StoreError::Conflict(message) => Self::conflict(&message),
            error => {
                error!("a request could not be answered: {error}");
                let message = match error {
                    StoreError::Busy => "The database did not answer in time; try again",
                    StoreError::Closed => "switchhook is stopping",
                    _ => "The database reports a fault; the log says which",
                };
                Self::unavailable(message)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(pause) = self.retry_after {
            // Rounded up: who comes a little too early would be refused again.
            let seconds = pause.as_millis().div_ceil(1_000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Opens the envelope of a request, lets it be answered, and puts the answer's envelope around it.
pub(super) async fn open(mut request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let echo = Echo::default();
    let response = match unpack(&mut request, &echo).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    seal(response, &request_id, echo.get())
}

/// The request's own id where it has a decent one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned)
}

async fn unpack(request: &mut Request, echo: &Echo) -> Result<(), Problem> {
    let query = Query::read(request.uri().query().unwrap_or_default());
    let body = read_body(std::mem::take(request.body_mut())).await?;
    let mut opened = Opened {
        echo: Arc::clone(echo),
        ..Opened::default()
    };
    let mut verb = query.text("verb").map(str::to_owned);
    if !body.is_empty() {
        require_json(request.headers())?;
        let envelope = json::parse(&body).map_err(|error| malformed(&error))?;
        let Value::Object(mut envelope) = envelope else {
            return Err(Problem::mistake(
                "body",
                "type",
                "The body must be an object such as {\"data\": {…}}",
            ));
        };
        opened.data = envelope.shift_remove("data");
        opened.auth_token = text_of(&mut envelope, "auth_token")?;
        verb = verb.or(text_of(&mut envelope, "verb")?);
    }
    if let Some(verb) = verb {
        tunnel(request, &verb)?;
    }
    request.extensions_mut().insert(opened);
    request.extensions_mut().insert(query);
    Ok(())
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let read = async {
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| {
                Problem::mistake(
                    "body",
                    "format",
                    "The body broke off, or its chunks are malformed",
                )
            })?;
            if whole.len() + chunk.len() > LARGEST_BODY {
                let data = json!({ "message": "The body must not be larger than 1 MiB" });
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "request_entity_too_large",
                    data,
                ));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    };
    match tokio::time::timeout(BODY_WITHIN, read).await {
        Ok(body) => body,
        Err(_) => {
            let data = json!({ "message": "The body did not arrive in time" });
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                data,
            ))
        }
    }
}

/// A body that says it is something else than JSON is not read as JSON; one that says nothing is.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = content_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence == "application/json" || essence.ends_with("+json") {
        true => Ok(()),
        false => {
            let data =
                json!({ "message": "The body must be JSON: set Content-Type: application/json" });
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_content_type",
                data,
            ))
        }
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    let mut mistakes = Mistakes::default();
    mistakes.add(
        "json",
        "invalid",
        json!({ "message": error.to_string(), "line": error.line(), "column": error.column() }),
    );
    Problem::validation(mistakes)
}

fn text_of(envelope: &mut Document, key: &str) -> Result<Option<String>, Problem> {
    match envelope.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::mistake(
            key,
            "type",
            "Value did not match type(s): string",
        )),
    }
}

/// The method that a client means which can only say POST. Others may name their own method only: a link
/// must not delete anything.
fn tunnel(request: &mut Request, verb: &str) -> Result<(), Problem> {
    const METHODS: &[Method] = &[
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
    ];
    let meant = (METHODS.iter()).find(|method| method.as_str().eq_ignore_ascii_case(verb));
    match meant {
        Some(method) if method == request.method() => Ok(()),
        Some(method) if request.method() == Method::POST => {
            *request.method_mut() = method.clone();
            Ok(())
        }
        Some(_) => Err(Problem::mistake(
            "verb",
            "forbidden",
            "Another verb can be tunnelled through POST only",
        )),
        None => Err(Problem::mistake(
            "verb",
            "enum",
            "Value not found in enumerated list of values: get, put, post, patch, delete",
        )),
    }
}

fn seal(mut response: Response, request_id: &str, echoed: Option<&String>) -> Response {
    let extensions = response.extensions_mut();
    let envelope = match (extensions.remove::<Reply>(), extensions.remove::<Problem>()) {
        (Some(reply), _) => Some(reply.seal(request_id, echoed)),
        (None, Some(problem)) => Some(problem.seal(request_id)),
        // A stream, or metrics: what has no envelope.
        (None, None) => None,
    };
    if let Some(envelope) = envelope {
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(envelope.to_string());
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    response
}

/// `data` of a request, which has to be an object.
#[derive(Debug)]
pub(super) struct Data(pub(super) Document);

impl<S: Sync> FromRequestParts<S> for Data {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts
            .extensions
            .get_mut::<Opened>()
            .and_then(|opened| opened.data.take())
        {
            Some(Value::Object(data)) => Ok(Self(data)),
            None => Err(Problem::mistake(
                "data",
                "required",
                "Field is required but missing: the body must be {\"data\": {…}}",
            )),
            Some(_) => Err(Problem::mistake(
                "data",
                "type",
                "Value did not match type(s): object",
            )),
        }
    }
}

/// A request that needs no `data`: where there is some, it is an object, and says nothing to us.
#[derive(Debug)]
pub(super) struct NoData;

impl<S: Sync> FromRequestParts<S> for NoData {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let opened = parts.extensions.get::<Opened>();
        if opened.is_some_and(|opened| opened.data.is_some()) {
            Data::from_request_parts(parts, state).await?;
        }
        Ok(Self)
    }
}
