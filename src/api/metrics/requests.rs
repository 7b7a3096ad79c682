//! The API itself.

use super::super::requests::Requests;
use super::page::Page;

pub(super) fn write(page: &mut Page<'_>, requests: &Requests) -> std::fmt::Result {
    let counts = requests.counts();
    page.counters(
        "api_requests",
        "Requests to the API that were answered, by method, resource and class of status",
        counts.iter().map(|one| {
            let labels = [
                ("method", one.method),
                ("resource", one.resource),
                ("status", one.status),
            ];
            (labels, one.count)
        }),
    )?;
    page.histograms(
        "api_request_seconds",
        "How long requests to the API took until their answer began, by resource",
        requests
            .times()
            .map(|(resource, times)| ([("resource", resource)], times)),
    )
}
