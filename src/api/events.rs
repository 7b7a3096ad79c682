//! `/v2/events`: server-sent events, live.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::ApiState;
use super::auth::{Access, Pass};
use super::envelope::Problem;
use super::feed::Item;
use super::route::Route;

/// A sign of life where nothing happens, so that proxies and clients know that the connection is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2/events",
            watch,
            "Server-sent events: facts, deliveries and attempts of the accounts that the token reaches, live",
        )
        .header(
            "Last-Event-ID",
            "The id of the last event that was received: what came after it is sent first, as far as it is remembered",
            json!({ "type": "string" }),
        )
        .gives_plain("text/event-stream"),
    ]
}

/// Closes the connection that a request came by.
#[derive(Debug, Clone, Default)]
pub(super) struct HangUp(pub(super) Arc<Notify>);

/// What a watcher brings along.
struct Watching {
    last_id: Option<i64>,
    hang_up: HangUp,
}

impl FromRequestParts<ApiState> for Watching {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let last_id = match parts.headers.get("last-event-id") {
            None => None,
            Some(value) => Some(
                value
                    .to_str()
                    .ok()
                    .and_then(|id| id.trim().parse().ok())
                    .ok_or_else(|| {
                        Problem::mistake(
                            "Last-Event-ID",
                            "format",
                            "Value must be the id of an event of this stream",
                        )
                    })?,
            ),
        };
        let hang_up = parts.extensions.get::<HangUp>().cloned();
        Ok(Self {
            last_id,
            hang_up: hang_up.unwrap_or_default(),
        })
    }
}

async fn watch(
    State(api): State<ApiState>,
    access: Access,
    pass: Pass,
    watching: Watching,
) -> Response {
    let items = api.feed.watch(watching.last_id, watching.hang_up.0);
    let watcher = Watcher {
        api,
        access,
        pass,
        checked: Instant::now(),
        items,
    };
    // The first bytes at once: a client knows that it is connected.
    let hello = Bytes::from_static(b": switchhook\n\n");
    let first = stream::iter([Ok::<_, Infallible>(hello)]);
    let rest = stream::unfold(watcher, |mut watcher| async move {
        let text = watcher.next().await?;
        Some((Ok(text), watcher))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Somebody who watches, with what is still to be shown to him.
struct Watcher {
    api: ApiState,
    access: Access,
    pass: Pass,
    /// When his token was good.
    checked: Instant,
    items: mpsc::Receiver<Arc<Item>>,
}

impl Watcher {
    /// The next thing that he may see; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.checked.elapsed() >= SIGN_OF_LIFE {
            if !self.pass.is_good(&self.api).await {
                return None;
            }
            self.checked = Instant::now();
        }
        let mut stopping = self.api.stopping.subscribe();
        // Begun once: what he may not see is no sign of life to him.
        let silence = tokio::time::sleep(SIGN_OF_LIFE);
        tokio::pin!(silence);
        loop {
            let item = tokio::select! {
                item = self.items.recv() => item?,
                () = &mut silence => return Some(Bytes::from_static(b":\n\n")),
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            };
            if self.access.reaches(&self.api, &item.account_id) {
                let text = format!(
                    "id: {}\nevent: {}\ndata: {}\n\n",
                    item.id,
                    item.kind(),
                    item.data()
                );
                return Some(text.into());
            }
        }
    }
}
