//! Instants as the switch counts them, and the clock that everything is told the time by.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

/// Seconds between the Gregorian calendar's year 0, from which Kazoo counts, and 1970.
const GREGORIAN_TO_UNIX_SECONDS: i64 = 62_167_219_200;

/// Microseconds since 1970, as in the switch's `Event-Date-Timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant of a Gregorian second, as Kazoo writes times.
    pub fn from_gregorian(seconds: i64) -> Self {
        Self(
            seconds
                .saturating_sub(GREGORIAN_TO_UNIX_SECONDS)
                .saturating_mul(1_000_000),
        )
    }

    /// Seconds since year 0: the unit of Kazoo's `timestamp`, `created` and `modified`.
    pub fn gregorian(self) -> i64 {
        self.unix_seconds() + GREGORIAN_TO_UNIX_SECONDS
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// RFC 3339 with microseconds and the offset of `zone` (`Z` for UTC).
    pub fn rfc3339(self, zone: &TimeZone) -> String {
        let instant = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        if *zone == TimeZone::UTC {
            return format!("{instant:.6}");
        }
        let zoned = instant.to_zoned(zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
    }

    /// This instant and `duration` more.
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant less `duration`.
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long it is from `earlier` to this instant; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// What tells the time. Passed in wherever logic depends on the time of day, so that a test can say what
/// it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| Timestamp(jiff::Timestamp::now().as_microsecond()))
    }

    /// A clock that says what `tell` says.
    pub fn new(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_as_kazoo_and_as_rfc_3339() {
        let at = Timestamp(1_795_248_023_065_845);
        assert_eq!(at.gregorian(), 63_962_467_223);
        assert_eq!(at.rfc3339(&TimeZone::UTC), "2026-11-21T08:00:23.065845Z");
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(at.rfc3339(&tokyo), "2026-11-21T17:00:23.065845+09:00");
        assert_eq!(
            Timestamp::from_gregorian(63_962_467_223),
            Timestamp(1_795_248_023_000_000)
        );
    }
}
