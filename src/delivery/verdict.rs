//! What an answer means: delivered, try again when, or given up. Pure: no clock, no network.

use std::time::Duration;

use crate::time::Timestamp;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// The status code.
        code: u16,
        /// `Retry-After`, where it had one that could be read.
        retry_after: Option<Duration>,
    },
    /// It was stored and acknowledged, where acknowledgements have no status.
    Acknowledged,
    /// No connection came about: nobody there, no such host, no route, no TLS.
    NotConnected,
    /// It took too long.
    TimedOut,
    /// The connection broke, or what came was no HTTP.
    Broken,
    /// The guard refused the address.
    NotAllowed,
}

/// What came of a request, in a word: what attempts are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerClass {
    /// 2xx.
    Success,
    /// 3xx, which is not followed.
    Redirect,
    /// 4xx.
    Refused,
    /// 5xx.
    ServerError,
    /// A status that there is no class for.
    OtherStatus,
    /// [`Answer::Acknowledged`].
    Acknowledged,
    /// [`Answer::NotConnected`].
    NotConnected,
    /// [`Answer::TimedOut`].
    TimedOut,
    /// [`Answer::Broken`].
    Broken,
    /// [`Answer::NotAllowed`].
    NotAllowed,
}

impl AnswerClass {
    /// Every class.
    pub const ALL: &[Self] = &[
        Self::Success,
        Self::Redirect,
        Self::Refused,
        Self::ServerError,
        Self::OtherStatus,
        Self::Acknowledged,
        Self::NotConnected,
        Self::TimedOut,
        Self::Broken,
        Self::NotAllowed,
    ];

    /// The word.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::Refused => "4xx",
            Self::ServerError => "5xx",
            Self::OtherStatus => "other_status",
            Self::Acknowledged => "acknowledged",
            Self::NotConnected => "not_connected",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::NotAllowed => "not_allowed",
        }
    }
}

impl Answer {
    /// Its class.
    pub fn class(&self) -> AnswerClass {
        match self {
            Self::Status { code, .. } => match code {
                200..=299 => AnswerClass::Success,
                300..=399 => AnswerClass::Redirect,
                400..=499 => AnswerClass::Refused,
                500..=599 => AnswerClass::ServerError,
                _ => AnswerClass::OtherStatus,
            },
            Self::Acknowledged => AnswerClass::Acknowledged,
            Self::NotConnected => AnswerClass::NotConnected,
            Self::TimedOut => AnswerClass::TimedOut,
            Self::Broken => AnswerClass::Broken,
            Self::NotAllowed => AnswerClass::NotAllowed,
        }
    }

    /// 2xx or acknowledged, and nothing else: redirects are not followed and count as failures.
    pub fn is_success(&self) -> bool {
        matches!(
            self.class(),
            AnswerClass::Success | AnswerClass::Acknowledged
        )
    }

    /// Whether a failover URI is worth trying.
    pub fn asks_for_failover(&self) -> bool {
        matches!(
            self,
            Self::NotConnected
                | Self::TimedOut
                | Self::Broken
                | Self::Status {
                    code: 500..=599,
                    ..
                }
        )
    }

    /// Whether the endpoint as a whole, and not this request, is in trouble.
    pub fn is_endpoint_trouble(&self) -> bool {
        matches!(
            self,
            Self::Status {
                code: 429 | 502 | 503 | 504,
                ..
            }
        )
    }
}

/// How retries are spaced.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The pause before the first retry.
    pub base: Duration,
    /// The longest pause.
    pub cap: Duration,
}

impl Backoff {
    /// The pause after the `attempt`th attempt (1, 2, …) failed: doubling from the base, with jitter of a
    /// quarter to either side (`chance` from 0 to 1), so that what failed together does not come back
    /// together.
    pub fn pause(&self, attempt: u32, chance: f64) -> Duration {
        let doubled = self.base.saturating_mul(
            1_u32
                .checked_shl(attempt.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        doubled
            .min(self.cap)
            .mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It arrived.
    Delivered,
    /// Try again then.
    RetryAt(Timestamp),
    /// No attempts are left, or none would help.
    GiveUp,
    /// 410: the receiver wants nothing more, ever.
    Gone,
}

/// What to do after the `attempt`th of `1 + retries` attempts got `answer`.
pub fn decide(
    answer: &Answer,
    attempt: u32,
    retries: u32,
    backoff: Backoff,
    chance: f64,
    now: Timestamp,
) -> Decision {
    let retry_after = match answer {
        answer if answer.is_success() => return Decision::Delivered,
        Answer::Status { code: 410, .. } => return Decision::Gone,
        Answer::Status {
            code: 429 | 503,
            retry_after,
        } => *retry_after,
        // The address will be no better for trying again within this delivery's life, but DNS may be.
        _ => None,
    };
    if attempt > retries {
        return Decision::GiveUp;
    }
    let pause = backoff.pause(attempt, chance);
    let pause = retry_after.map_or(pause, |asked| asked.min(backoff.cap).max(pause));
    Decision::RetryAt(now.after(pause))
}

/// `Retry-After` in either form of RFC 9110, section 10.2.3: seconds, or an HTTP date.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = Timestamp(i64::try_from(at.as_micros()).ok()?);
    Some(at.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(60),
    };
    const NOW: Timestamp = Timestamp(1_795_248_023_000_000);

    fn status(code: u16) -> Answer {
        Answer::Status {
            code,
            retry_after: None,
        }
    }

    fn after(answer: &Answer, attempt: u32) -> Decision {
        decide(answer, attempt, 2, BACKOFF, 0.5, NOW)
    }

    #[test]
    fn two_hundreds_are_success_and_redirects_are_not() {
        assert_eq!(after(&status(204), 1), Decision::Delivered);
        assert_eq!(
            after(&status(302), 1),
            Decision::RetryAt(NOW.after(Duration::from_secs(1)))
        );
        assert_eq!(after(&status(410), 1), Decision::Gone);
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_then_it_is_given_up() {
        assert_eq!(
            after(&Answer::TimedOut, 2),
            Decision::RetryAt(NOW.after(Duration::from_secs(2)))
        );
        assert_eq!(after(&Answer::TimedOut, 3), Decision::GiveUp);
        assert_eq!(BACKOFF.pause(40, 0.5), Duration::from_secs(60));
        assert_eq!(BACKOFF.pause(1, 0.0), Duration::from_millis(750));
        assert_eq!(BACKOFF.pause(1, 1.0), Duration::from_millis(1_250));
    }

    #[test]
    fn retry_after_is_obeyed_up_to_the_cap() {
        let busy = |seconds| Answer::Status {
            code: 503,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            after(&busy(30), 1),
            Decision::RetryAt(NOW.after(Duration::from_secs(30)))
        );
        assert_eq!(
            after(&busy(9_999_999), 1),
            Decision::RetryAt(NOW.after(Duration::from_secs(60)))
        );
        assert_eq!(
            after(&busy(0), 1),
            Decision::RetryAt(NOW.after(Duration::from_secs(1)))
        );
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        assert_eq!(retry_after(" 120 ", NOW), Some(Duration::from_secs(120)));
        assert_eq!(
            retry_after("Sat, 21 Nov 2026 08:01:23 GMT", NOW),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            retry_after("Sat, 21 Nov 2020 08:01:23 GMT", NOW),
            Some(Duration::ZERO)
        );
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(nonsense, NOW), None, "{nonsense}");
        }
    }
}
