//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Exponential back-off with jitter: the nth wait is between half of `min * 2^n` and all of it, and never
/// more than `max`.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// A back-off whose first wait is `min` to twice `min`, and whose longest is `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            failures: 0,
            random: fastrand::Rng::new(),
        }
    }

    /// The same with jitter that can be foretold.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.random = fastrand::Rng::with_seed(seed);
        self
    }

    /// The longest wait.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// How long to wait after one more failure.
    pub fn wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let factor = 2u32.saturating_pow(self.failures);
        let ceiling = self.min.saturating_mul(factor).min(self.max);
        let floor = (ceiling / 2).max(self.min);
        floor + (ceiling - floor).mul_f64(self.random.f64())
    }

    /// It works again: the next wait is a short one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Default for Backoff {
    /// 0.5 s to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::default().seeded(7);
        let mut ceiling = 1.0;
        for _ in 0..40 {
            let wait = backoff.wait().as_secs_f64();
            assert!(
                (ceiling / 2.0..=ceiling).contains(&wait),
                "{wait} of {ceiling}"
            );
            ceiling = f64::min(ceiling * 2.0, 30.0);
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_secs(1));
    }

    #[test]
    fn two_sidecars_do_not_come_back_in_step() {
        let waits = |seed| {
            let mut backoff = Backoff::default().seeded(seed);
            std::array::from_fn::<_, 8, _>(|_| backoff.wait())
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
