//! `/metrics`: numbers for Prometheus, read where they are kept.
//!
//! Each file below writes the metrics of one subject. Labels have few values that are known beforehand: never an
//! id, a URI or anything else that a caller or a client can choose.

mod delivery;
mod page;
mod process;
mod requests;
mod store;
mod switch;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tracing::debug;

use super::ApiState;
use super::auth::{Access, Reach};
use super::envelope::Problem;
use super::route::Route;
use page::Page;

pub use switch::Traffic;

/// What the names of all metrics begin with.
const PREFIX: &str = "switchhook";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/metrics",
            read,
            "Numbers for Prometheus; needs a token that reaches every account",
        )
        .gives_plain("text/plain"),
    ]
}

async fn read(
    State(api): State<ApiState>,
    access: Access,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if access.reach != Reach::Everything {
        return Err(Problem::forbidden(
            "The numbers are of all accounts: this needs a token that reaches them all",
        ));
    }
    let numbers = Numbers {
        oldest_pending_seconds: oldest_pending_seconds(&api).await,
        api,
    };
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(numbers));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|_| Problem::unavailable("The numbers could not be written"))?;
    let (media_type, text) = match takes_openmetrics(&headers) {
        true => (page::OPENMETRICS, text),
        false => (page::CLASSIC, page::classic(&text)),
    };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response())
}

/// Whether whoever asks says that he understands OpenMetrics, as Prometheus does.
fn takes_openmetrics(headers: &HeaderMap) -> bool {
    let mut accepted = headers
        .get_all(ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/openmetrics-text"))
}

/// How long ago that happened which the oldest pending delivery is about: `Some(None)` where none is pending, `None`
/// where the database does not say.
pub(super) async fn oldest_pending_seconds(api: &ApiState) -> Option<Option<f64>> {
    let found = api.store.oldest_pending().await;
    let oldest = found
        .inspect_err(|error| debug!("the oldest pending delivery is not known just now: {error}"))
        .ok()?;
    Some(oldest.map(|oldest| api.clock.now().since(oldest).as_secs_f64()))
}

/// Everything that is counted.
#[derive(Debug)]
struct Numbers {
    api: ApiState,
    oldest_pending_seconds: Option<Option<f64>>,
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let api = &self.api;
        let mut page = Page(encoder);
        switch::write(&mut page, api)?;
        delivery::write(&mut page, api, self.oldest_pending_seconds)?;
        store::write(&mut page, &api.store)?;
        requests::write(&mut page, &api.requests)?;
        process::write(&mut page, api.started)
    }
}
