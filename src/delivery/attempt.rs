//! What is recorded of an attempt, made or not.

use std::borrow::Cow;

use bytes::Bytes;

use super::send::Sent;
use crate::store::attempts::{Attempt, AttemptResult};
use crate::time::Timestamp;

/// The record of a request that was made: the `number`th for its delivery, begun at `at`.
pub fn record(sent: Sent, number: u32, retries_left: u32, at: Timestamp) -> Attempt {
    Attempt {
        at,
        result: match sent.answer.is_success() {
            true => AttemptResult::Success,
            false => AttemptResult::Failure,
        },
        attempt: number,
        retries_left,
        duration: sent.duration,
        status: sent.status(),
        reason: sent.reason,
        client_error: sent.client_error.map(Cow::Borrowed),
        uri: Some(sent.uri),
        req_headers: sent.req_headers,
        resp_headers: sent.resp_headers,
        resp_body: start_of(&sent.resp_body),
    }
}

/// As much of an answer as the attempts keep. What is no UTF-8 is made some when it is shown.
fn start_of(body: &Bytes) -> Bytes {
    const KEPT: usize = 4 * 1024;
    // A copy: a slice would keep all of it in memory for as long as the attempt is.
    Bytes::copy_from_slice(&body[..body.len().min(KEPT)])
}

/// An attempt in a few words, for a log line or a `disable_reason`.
pub(super) fn in_words(attempt: &Attempt) -> String {
    let uri = without_secrets(attempt.uri.as_deref().unwrap_or("nowhere"));
    match (attempt.status, &attempt.client_error) {
        (Some(status), _) => format!("status {status} from {uri}"),
        (None, Some(error)) => format!("{error} at {uri}"),
        (None, None) => attempt.reason.as_deref().unwrap_or_default().to_owned(),
    }
}

/// A URI without its query string and user: both can hold what is nobody's business in a log.
fn without_secrets(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or(uri);
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_names_no_user_and_no_query() {
        for (uri, shown) in [
            ("http://a.test:1/p?token=x", "http://a.test:1/p"),
            ("http://user:p%40ss@a.test/p@q/#x", "http://a.test/p@q/"),
            ("nats://user:pass@[::1]:4222", "nats://[::1]:4222"),
            ("nowhere", "nowhere"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }
}
