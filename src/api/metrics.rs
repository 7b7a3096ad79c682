//! `/metrics`: numbers for Prometheus, read where they are kept.

use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::ApiState;
use super::auth::{Access, Reach};
use super::envelope::Problem;
use super::route::Route;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/metrics",
            read,
            "Numbers for Prometheus; needs a token that reaches every account",
        )
        .gives_plain("application/openmetrics-text"),
    ]
}

async fn read(State(api): State<ApiState>, access: Access) -> Result<Response, Problem> {
    if access.reach != Reach::Everything {
        return Err(Problem::forbidden(
            "The numbers are of all accounts: this needs a token that reaches them all",
        ));
    }
    let mut registry = Registry::with_prefix("switchhook");
    registry.register_collector(Box::new(Numbers(api)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|_| Problem::unavailable("The numbers could not be written"))?;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    Ok(([(CONTENT_TYPE, media_type)], text).into_response())
}

/// Everything that is counted.
#[derive(Debug)]
struct Numbers(ApiState);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let switch = (self.0.health.switch)();
        let store = self.0.store.health();
        let delivery = self.0.delivery.stats();
        let is_stalled = store.stalled_since.is_some();
        let hooks = self.0.registry.index().len();
        for (name, help, value) in [
            (
                "switch_connected",
                "1 while the switch is connected",
                i64::from(switch.connected),
            ),
            ("channels", "Legs that are alive", signed(switch.channels)),
            ("hooks", "Hooks, enabled or not", hooks as i64),
            (
                "store_stalled",
                "1 while the database refuses everything",
                i64::from(is_stalled),
            ),
            (
                "store_queued_records",
                "Records that are not committed yet",
                store.queued as i64,
            ),
            (
                "store_queued_bytes",
                "Bytes of the records that are not committed yet",
                store.queued_bytes as i64,
            ),
            (
                "store_database_bytes",
                "Size of the database and its log",
                signed(store.database_bytes),
            ),
            (
                "deliveries_in_memory",
                "Deliveries in memory or under way",
                delivery.in_memory.load(Relaxed),
            ),
            (
                "requests_in_flight",
                "Requests under way",
                delivery.in_flight.load(Relaxed),
            ),
            (
                "circuits_open",
                "Endpoints that are probed and not sent to",
                delivery.circuits_open.load(Relaxed),
            ),
        ] {
            write(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        for (name, help, value) in [
            (
                "events_shed",
                "Events not taken because the store was stalled",
                switch.shed_events,
            ),
            (
                "store_transactions",
                "Transactions committed",
                store.transactions,
            ),
            ("store_operations", "Operations in them", store.operations),
            (
                "store_lost",
                "Records and outcomes that SQLite refused",
                store.lost,
            ),
            ("deliveries", "Deliveries committed", store.deliveries),
            (
                "attempts_succeeded",
                "Attempts answered with 2xx",
                delivery.succeeded.load(Relaxed),
            ),
            (
                "attempts_failed",
                "Attempts that failed",
                delivery.failed.load(Relaxed),
            ),
            (
                "deliveries_given_up",
                "Deliveries given up",
                delivery.given_up.load(Relaxed),
            ),
            (
                "deliveries_expired",
                "Deliveries too old to be sent",
                delivery.expired.load(Relaxed),
            ),
        ] {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        Ok(())
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
