//! How each hook fared in the last hour, minute by minute.
//!
//! It is counted as it happens: a busy hook has more attempts in an hour than a listing could read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::attempts::AttemptResult;
use crate::store::stats::Outcome;
use crate::time::Timestamp;

/// What is kept.
pub(super) const MINUTES: usize = 60;

/// Attempts of one minute: succeeded, failed.
pub(super) type Minute = [u32; 2];

/// An hour of one hook; minute `m` since 1970 stands at `m % 60`.
#[derive(Debug)]
struct Hour {
    newest: i64,
    minutes: [Minute; MINUTES],
}

impl Hour {
    fn add(&mut self, minute: i64, which: usize) {
        if minute <= self.newest - MINUTES as i64 {
            return;
        }
        for passed in (self.newest + 1..=minute).rev().take(MINUTES) {
            self.minutes[place(passed)] = [0; 2];
        }
        self.newest = self.newest.max(minute);
        let count = &mut self.minutes[place(minute)][which];
        *count = count.saturating_add(1);
    }

    /// The hour that ends with the minute `now`, oldest first.
    fn until(&self, now: i64) -> Vec<Minute> {
        let oldest = self.newest - MINUTES as i64;
        let known = |minute: i64| minute <= self.newest && minute > oldest;
        (now - MINUTES as i64 + 1..=now)
            .map(|minute| match known(minute) {
                true => self.minutes[place(minute)],
                false => [0; 2],
            })
            .collect()
    }
}

fn place(minute: i64) -> usize {
    minute.rem_euclid(MINUTES as i64) as usize
}

fn minute_of(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000_000)
}

#[derive(Debug, Default)]
struct Inside {
    hours: HashMap<i64, Hour>,
    /// The newest minute of any hook.
    newest: i64,
}

/// The last hour of every hook, by the number of its queue. Its clones are the same.
///
/// A std mutex: it is held for a count, never across an await.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<Mutex<Inside>>);

impl Activity {
    /// Counts an attempt that ended. Those that were not made are none, and hooks that nobody stored are not
    /// listed.
    pub(super) fn count(&self, outcome: &Outcome) {
        let which = match outcome.result {
            AttemptResult::Success => 0,
            AttemptResult::Failure => 1,
            AttemptResult::Skipped | AttemptResult::Expired => return,
        };
        if outcome.queue < 0 {
            return;
        }
        let minute = minute_of(outcome.at);
        let mut inside = self.lock();
        if minute > inside.newest {
            inside.newest = minute;
            // Whoever has been quiet for an hour has nothing to show; nor has a hook that is gone.
            let oldest = minute - MINUTES as i64;
            inside.hours.retain(|_, hour| hour.newest > oldest);
        }
        let hour = inside.hours.entry(outcome.queue).or_insert(Hour {
            newest: minute,
            minutes: [[0; 2]; MINUTES],
        });
        hour.add(minute, which);
    }

    /// The hour of one hook that ends now, oldest minute first; empty where nothing was tried.
    pub(super) fn of(&self, queue: i64, now: Timestamp) -> Vec<Minute> {
        let inside = self.lock();
        let hour = inside.hours.get(&queue);
        hour.map_or_else(Vec::new, |hour| hour.until(minute_of(now)))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("no panic while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400;

    fn minute(minute: i64) -> Timestamp {
        Timestamp((NOON + 60 * minute) * 1_000_000)
    }

    fn outcome(at: i64, result: AttemptResult) -> Outcome {
        Outcome {
            queue: 7,
            at: minute(at),
            result,
        }
    }

    #[test]
    fn an_hour_passes() {
        let activity = Activity::default();
        assert!(activity.of(7, minute(0)).is_empty());
        activity.count(&outcome(0, AttemptResult::Success));
        activity.count(&outcome(0, AttemptResult::Failure));
        activity.count(&outcome(0, AttemptResult::Skipped));
        activity.count(&outcome(3, AttemptResult::Success));
        // One that is written down late.
        activity.count(&outcome(1, AttemptResult::Failure));

        let hour = activity.of(7, minute(4));
        assert_eq!(hour.len(), MINUTES);
        assert_eq!(hour[55..], [[1, 1], [0, 1], [0, 0], [1, 0], [0, 0]]);

        assert_eq!(activity.of(7, minute(59))[0], [1, 1]);
        assert_eq!(activity.of(7, minute(60))[0], [0, 1]);
        assert!(activity.of(7, minute(500)).iter().all(|one| *one == [0, 0]));

        activity.count(&outcome(90, AttemptResult::Success));
        let later = activity.of(7, minute(90));
        assert_eq!(later[59], [1, 0]);
        assert!(later[..59].iter().all(|one| *one == [0, 0]));
        // Too old to be of that hour.
        activity.count(&outcome(3, AttemptResult::Success));
        assert_eq!(activity.of(7, minute(90)), later);
    }

    #[test]
    fn who_is_quiet_for_an_hour_is_forgotten() {
        let activity = Activity::default();
        activity.count(&outcome(0, AttemptResult::Success));
        activity.count(&Outcome {
            queue: 8,
            ..outcome(61, AttemptResult::Success)
        });
        assert_eq!(activity.lock().hours.len(), 1);
    }
}
