//! One endpoint (scheme, host and port): how fast, how much at once, and whether at all just now.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::handle::EndpointState;
use super::verdict::Answer;
use crate::hook::RateLimit;

/// Connection failures in a row that open the circuit.
const FAILURES_TO_OPEN: u32 = 5;
/// The pause before the first probe; it doubles with each probe that fails.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// The longest pause between probes.
const SLOWEST_PROBE: Duration = Duration::from_secs(60);
/// The pause after the first answer that says the endpoint is overloaded; it doubles with each more.
const FIRST_SLOWDOWN: Duration = Duration::from_millis(100);
/// The longest such pause, unless `Retry-After` asks for more.
const LONGEST_SLOWDOWN: Duration = Duration::from_secs(10);

/// Tokio's clock for governor, so that tests can stop it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokioClock;

/// A moment of [`TokioClock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, duration: Nanos) -> Self {
        Self(self.0 + Duration::from(duration))
    }
}

/// A rate that requests keep to.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limit.per_second))
            .allow_burst(at_least_one(limit.burst));
        Self {
            limit,
            limiter: RateLimiter::direct_with_clock(quota, TokioClock),
        }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes one request's leave, or says when there will be one.
    pub(super) fn take(&self) -> Result<(), Instant> {
        self.limiter.check().map_err(|not_until| {
            let now = TokioClock.now();
            // Governor's answer can be a nanosecond short of what its next check wants.
            now.0
                + not_until
                    .wait_time_from(now)
                    .max(Duration::from_micros(100))
        })
    }
}

/// Whether connections come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    /// They do, or did after at most so many failures in a row.
    Closed { failures: u32 },
    /// They do not: one request at a time goes out as a probe, not before `probe_at`.
    Open {
        probe_at: Instant,
        pause: Duration,
        probing: bool,
    },
}

/// Whether a request may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Now.
    Open,
    /// Not before then.
    Until(Instant),
    /// When one of those under way has ended.
    Full,
}

/// The state of one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    limiter: Limiter,
    most_in_flight: usize,
    in_flight: usize,
    circuit: Circuit,
    slow_until: Option<Instant>,
    slowdown: Duration,
    /// The queues that have something to send, each once, in turn.
    pub(super) turns: VecDeque<i64>,
    /// When it is to be looked at again, where that is known.
    pub(super) wake_at: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(limit: RateLimit, most_in_flight: usize) -> Self {
        Self {
            limiter: Limiter::new(limit),
            most_in_flight,
            in_flight: 0,
            circuit: Circuit::Closed { failures: 0 },
            slow_until: None,
            slowdown: FIRST_SLOWDOWN,
            turns: VecDeque::new(),
            wake_at: None,
        }
    }

    /// Other limits hold from now on; the circuit stays as it is.
    pub(super) fn limit(&mut self, limit: RateLimit, most_in_flight: usize) {
        if self.limiter.limit() != limit {
            self.limiter = Limiter::new(limit);
        }
        self.most_in_flight = most_in_flight;
    }

    /// Whether a request may start, its rate aside.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        if self.in_flight >= self.most_in_flight {
            return Gate::Full;
        }
        match self.circuit {
            Circuit::Open { probing: true, .. } => return Gate::Full,
            Circuit::Open { probe_at, .. } if now < probe_at => return Gate::Until(probe_at),
            _ => {}
        }
        match self.slow_until {
            Some(until) if now < until => Gate::Until(until),
            _ => Gate::Open,
        }
    }

    /// Takes one request's leave of the endpoint's rate, or says when there will be one. `own` is the
    /// hook's own limit, which then counts alone.
    pub(super) fn take_leave(&self, own: Option<&Limiter>) -> Result<(), Instant> {
        own.unwrap_or(&self.limiter).take()
    }

    /// A request starts.
    pub(super) fn started(&mut self) {
        self.in_flight += 1;
        if let Circuit::Open { probing, .. } = &mut self.circuit {
            *probing = true;
        }
    }

    /// A request ended. `true` where this opened the circuit.
    pub(super) fn ended(&mut self, answer: &Answer, now: Instant) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if answer.is_endpoint_trouble() {
            let asked = match answer {
                Answer::Status { retry_after, .. } => retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            let until = now + self.slowdown.max(asked.min(SLOWEST_PROBE));
            self.slow_until = Some(self.slow_until.map_or(until, |earlier| earlier.max(until)));
            self.slowdown = (self.slowdown * 2).min(LONGEST_SLOWDOWN);
        } else if answer.is_success() {
            self.slow_until = None;
            self.slowdown = FIRST_SLOWDOWN;
        }
        if !matches!(answer, Answer::NotConnected) {
            self.circuit = Circuit::Closed { failures: 0 };
            return false;
        }
        match self.circuit {
            Circuit::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                self.circuit = Circuit::Closed {
                    failures: failures + 1,
                };
                false
            }
            Circuit::Closed { .. } => {
                self.circuit = Circuit::Open {
                    probe_at: now + FIRST_PROBE,
                    pause: FIRST_PROBE,
                    probing: false,
                };
                true
            }
            // What was under way when the circuit opened is no probe.
            Circuit::Open { probing: false, .. } => false,
            Circuit::Open { pause, .. } => {
                let pause = (pause * 2).min(SLOWEST_PROBE);
                self.circuit = Circuit::Open {
                    probe_at: now + pause,
                    pause,
                    probing: false,
                };
                false
            }
        }
    }

    /// How it is, for people.
    pub(super) fn state(&self, name: &Arc<str>, now: Instant) -> EndpointState {
        EndpointState {
            name: Arc::clone(name),
            in_flight: self.in_flight,
            circuit_open: self.is_circuit_open(),
            pause: match self.gate(now) {
                Gate::Until(until) => Some(until - now),
                Gate::Open | Gate::Full => None,
            },
        }
    }

    /// Whether only probes go out.
    pub(super) fn is_circuit_open(&self) -> bool {
        matches!(self.circuit, Circuit::Open { .. })
    }

    /// Whether requests are under way or waiting.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight > 0 || !self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: RateLimit = RateLimit {
        per_second: 10,
        burst: 2,
    };

    #[tokio::test(start_paused = true)]
    async fn a_rate_delays_and_loses_nothing() {
        let limiter = Limiter::new(RATE);
        let start = Instant::now();
        for _ in 0..12 {
            while let Err(until) = limiter.take() {
                tokio::time::sleep_until(until).await;
            }
        }
        let took = start.elapsed();
        assert!(
            (Duration::from_millis(990)..Duration::from_millis(1_100)).contains(&took),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_endpoint_is_probed_and_heals() {
        let mut endpoint = Endpoint::new(RATE, 32);
        for failure in 1..=FAILURES_TO_OPEN {
            assert_eq!(endpoint.gate(Instant::now()), Gate::Open);
            endpoint.started();
            let opened = endpoint.ended(&Answer::NotConnected, Instant::now());
            assert_eq!(opened, failure == FAILURES_TO_OPEN);
        }
        let Gate::Until(probe_at) = endpoint.gate(Instant::now()) else {
            panic!("the circuit should be open");
        };
        assert_eq!(probe_at, Instant::now() + FIRST_PROBE);

        tokio::time::sleep_until(probe_at).await;
        assert_eq!(endpoint.gate(Instant::now()), Gate::Open);
        endpoint.started();
        assert_eq!(
            endpoint.gate(Instant::now()),
            Gate::Full,
            "one probe at a time"
        );
        endpoint.ended(&Answer::NotConnected, Instant::now());
        assert_eq!(
            endpoint.gate(Instant::now()),
            Gate::Until(Instant::now() + 2 * FIRST_PROBE)
        );

        tokio::time::sleep(2 * FIRST_PROBE).await;
        endpoint.started();
        endpoint.ended(
            &Answer::Status {
                code: 500,
                retry_after: None,
            },
            Instant::now(),
        );
        assert!(!endpoint.is_circuit_open(), "whoever answers is not dead");
        assert_eq!(endpoint.gate(Instant::now()), Gate::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn an_overloaded_endpoint_is_given_time() {
        let mut endpoint = Endpoint::new(RATE, 32);
        endpoint.started();
        let busy = Answer::Status {
            code: 429,
            retry_after: Some(Duration::from_secs(3)),
        };
        endpoint.ended(&busy, Instant::now());
        assert_eq!(
            endpoint.gate(Instant::now()),
            Gate::Until(Instant::now() + Duration::from_secs(3))
        );
    }

    #[test]
    fn only_so_many_requests_are_under_way() {
        let mut endpoint = Endpoint::new(RATE, 2);
        endpoint.started();
        endpoint.started();
        assert_eq!(endpoint.gate(Instant::now()), Gate::Full);
        assert!(endpoint.is_busy());
    }
}
