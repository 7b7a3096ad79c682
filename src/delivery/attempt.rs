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
        reason: sent.reason().map(Cow::Borrowed),
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
    let uri = attempt.uri.as_deref().unwrap_or("nowhere");
    // A query string can hold what is nobody's business in a log.
    let uri = uri.split('?').next().unwrap_or(uri);
    match (attempt.status, &attempt.client_error) {
        (Some(status), _) => format!("status {status} from {uri}"),
        (None, Some(error)) => format!("{error} at {uri}"),
        (None, None) => attempt.reason.as_deref().unwrap_or_default().to_owned(),
    }
}
