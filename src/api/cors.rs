//! Web pages of other origins that may use the API (`[api] cors_origins`).

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets pages of `origins` read what is answered, and answers what browsers ask before they send. `*` is
/// every origin; no cookie is ever looked at, so that gives nobody anything.
pub(super) async fn allow(origins: Arc<[String]>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let origin = origin.filter(|origin| {
        let is = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        origins.iter().any(is)
    });
    let asks_first = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (&origin, asks_first) {
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    if !origins.is_empty() {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin else {
        return response;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if asks_first {
        for (name, value) in [
            (
                ACCESS_CONTROL_ALLOW_METHODS,
                "GET, PUT, POST, PATCH, DELETE",
            ),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "Authorization, Content-Type, Last-Event-ID, X-Auth-Token, X-Request-ID",
            ),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    } else {
        let shown = HeaderValue::from_static("X-Request-ID, Retry-After, Allow");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, shown);
    }
    response
}
