//! Numbers that a room keeps while it works and somebody else reads now and then: relaxed atomics, no locks,
//! no names to look up. What they are called is the reader's business.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often each of `N` things happened.
#[derive(Debug)]
pub struct Tally<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Tally<N> {
    /// It happened `times` more.
    pub fn add(&self, which: usize, times: u64) {
        self.0[which].fetch_add(times, Relaxed);
    }

    /// How often each has happened since the start.
    pub fn read(&self) -> [u64; N] {
        std::array::from_fn(|which| self.0[which].load(Relaxed))
    }
}

/// Upper bounds of the buckets for times, in microseconds: from a commit on a fast disk to a retry after an hour.
const TIMES: &[u64] = &[
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
];
/// Upper bounds of the buckets for sizes.
const SIZES: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// How large what was observed was, in buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// What an observed number is divided by to be in the base unit.
    divisor: f64,
    /// Not cumulative; the last one has no bound.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A [`Histogram`] at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bound (seconds for times; the last one infinite) and how many were within it but not within the
    /// one before.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all that was observed, in the same unit.
    pub sum: f64,
}

impl Distribution {
    /// How many were observed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl Histogram {
    /// Of times.
    pub fn of_times() -> Self {
        Self::new(TIMES, 1_000_000.0)
    }

    /// Of sizes from one to some thousands.
    pub fn of_sizes() -> Self {
        Self::new(SIZES, 1.0)
    }

    fn new(bounds: &'static [u64], divisor: f64) -> Self {
        Self {
            bounds,
            divisor,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Takes in a time.
    pub fn took(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes in a size.
    pub fn observe(&self, size: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < size);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(size, Relaxed);
    }

    /// What was observed since the start. The sum may be of a few more than the buckets, when it is read while
    /// something is observed.
    pub fn read(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.divisor);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        Distribution {
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
            sum: self.sum.load(Relaxed) as f64 / self.divisor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_too_large() {
        let times = Histogram::of_times();
        for micros in [0, 500, 501, 3_600_000_000, 3_600_000_001] {
            times.took(Duration::from_micros(micros));
        }
        let read = times.read();
        assert_eq!(read.buckets[0], (0.000_5, 2));
        assert_eq!(read.buckets[1], (0.001, 1));
        assert_eq!(read.buckets[17], (3_600.0, 1));
        assert_eq!(read.buckets[18], (f64::INFINITY, 1));
        assert_eq!(read.count(), 5);
        assert!((read.sum - 7_200.001_002).abs() < 1e-9, "{}", read.sum);
    }

    #[test]
    fn each_thing_has_its_own_count() {
        let tally = Tally::<3>::default();
        tally.add(0, 1);
        tally.add(2, 5);
        tally.add(2, 1);
        assert_eq!(tally.read(), [1, 0, 6]);
    }
}
