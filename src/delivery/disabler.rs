//! When a hook is switched off: so many failed attempts within such a time, as Kazoo counts them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Counts the failed attempts of each hook.
#[derive(Debug)]
pub(super) struct Disabler {
    /// 0 switches nothing off.
    count: usize,
    within: Duration,
    failures: HashMap<i64, VecDeque<Instant>>,
}

impl Disabler {
    pub(super) fn new(count: usize, within: Duration) -> Self {
        Self {
            count,
            within,
            failures: HashMap::new(),
        }
    }

    /// Counts by other numbers from now on.
    pub(super) fn configure(&mut self, count: usize, within: Duration) {
        (self.count, self.within) = (count, within);
        if count == 0 {
            self.failures.clear();
        }
    }

    /// One more failed attempt of a hook. `true` where it was one too many; the count then starts anew.
    pub(super) fn failed(&mut self, hook: i64, now: Instant) -> bool {
        if self.count == 0 {
            return false;
        }
        let failures = self.failures.entry(hook).or_default();
        while failures
            .front()
            .is_some_and(|first| now.duration_since(*first) > self.within)
        {
            failures.pop_front();
        }
        failures.push_back(now);
        let too_many = failures.len() >= self.count;
        if too_many {
            self.failures.remove(&hook);
        }
        too_many
    }

    /// Forgets a hook's failures: it was re-enabled, changed or deleted.
    pub(super) fn flush(&mut self, hook: i64) {
        self.failures.remove(&hook);
    }

    /// Failed attempts that count against a hook just now.
    pub(super) fn count(&self, hook: i64, now: Instant) -> usize {
        self.failures.get(&hook).map_or(0, |failures| {
            failures
                .iter()
                .filter(|at| now.duration_since(**at) <= self.within)
                .count()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn six_failures_in_a_minute_are_too_many_and_five_are_not() {
        let mut disabler = Disabler::new(6, Duration::from_secs(60));
        for _ in 0..20 {
            assert!(!disabler.failed(1, Instant::now()));
            tokio::time::advance(Duration::from_secs(13)).await;
        }
        for _ in 0..5 {
            assert!(!disabler.failed(2, Instant::now()));
        }
        assert_eq!(disabler.count(2, Instant::now()), 5);
        assert!(disabler.failed(2, Instant::now()));
        assert!(!disabler.failed(2, Instant::now()), "the count starts anew");
        disabler.flush(2);
        assert_eq!(disabler.count(2, Instant::now()), 0);
    }
}
