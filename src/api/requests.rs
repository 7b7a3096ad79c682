//! Which requests were answered how, and how long that took: counted for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::tally::{Distribution, Histogram, Tally};

/// Methods as labels; the last one stands for all others.
const METHODS: &[&str] = &["GET", "PUT", "POST", "PATCH", "DELETE", "other"];
/// Classes of status as labels.
const STATUSES: &[&str] = &["2xx", "3xx", "4xx", "5xx"];
/// The resource of a request that met no route.
const NO_RESOURCE: &str = "none";

/// What answered a request: noted in the response by its route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    /// The place of its resource.
    pub(super) resource: usize,
    /// The method that the client meant: `verb` may have changed it.
    pub(super) method: &'static str,
}

/// Requests that were answered, by resource, method and class of status.
#[derive(Debug)]
pub(super) struct Requests(Vec<Counted>);

#[derive(Debug)]
struct Counted {
    resource: &'static str,
    answered: Tally<{ METHODS.len() * STATUSES.len() }>,
    times: Histogram,
}

/// How many requests of a kind were answered.
pub(super) struct Count {
    pub(super) method: &'static str,
    pub(super) resource: &'static str,
    pub(super) status: &'static str,
    pub(super) count: u64,
}

impl Requests {
    /// For these resources, whose places are [`Served::resource`].
    pub(super) fn new(resources: impl Iterator<Item = &'static str>) -> Self {
        let counted = |resource| Counted {
            resource,
            answered: Tally::default(),
            times: Histogram::of_times(),
        };
        Self(resources.chain([NO_RESOURCE]).map(counted).collect())
    }

    fn answered(
        &self,
        served: Option<&Served>,
        asked: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let (resource, method) = match served {
            Some(served) => (served.resource, served.method),
            None => (self.0.len() - 1, asked.as_str()),
        };
        let place = |labels: &[&str], label: &str| labels.iter().position(|known| *known == label);
        let method = place(METHODS, method).unwrap_or(METHODS.len() - 1);
        let status = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        let counted = &self.0[resource];
        counted.answered.add(method * STATUSES.len() + status, 1);
        counted.times.took(took);
    }

    /// What was answered at all.
    pub(super) fn counts(&self) -> Vec<Count> {
        let mut counts = Vec::new();
        for counted in &self.0 {
            let kinds = METHODS
                .iter()
                .flat_map(|method| STATUSES.iter().map(move |status| (*method, *status)));
            for ((method, status), count) in kinds.zip(counted.answered.read()) {
                if count > 0 {
                    let resource = counted.resource;
                    counts.push(Count {
                        method,
                        resource,
                        status,
                        count,
                    });
                }
            }
        }
        counts
    }

    /// How long the requests took, of each resource that was asked for at all.
    pub(super) fn times(&self) -> impl Iterator<Item = (&'static str, Distribution)> {
        let all = (self.0.iter()).map(|counted| (counted.resource, counted.times.read()));
        all.filter(|(_, times)| times.count() > 0)
    }
}

/// Counts a request when it is answered.
pub(super) async fn count(requests: Arc<Requests>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let response = next.run(request).await;
    let served = response.extensions().get::<Served>();
    requests.answered(served, &method, response.status(), began.elapsed());
    response
}
