//! A thousand failures a second are not a thousand lines: each place in the code that logs may write so many in a
//! while, and so many of one hook or endpoint; how many were left out is said in a line of its own.
//!
//! The crates for this tell lines apart by their whole text, which has a call's id in it: to them no two of ours
//! are alike.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, error, info, warn};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place and one hook or endpoint in [`WINDOW`].
const LINES_OF_ONE: u32 = 10;
/// Lines of one place in [`WINDOW`].
const LINES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);
/// Who a line is about, and who must not take the lines of others.
const ABOUT: [&str; 2] = ["hook_id", "endpoint"];

/// What was written of one place in the code, and what was not.
struct Site {
    level: Level,
    since: Instant,
    lines: u32,
    lines_of: HashMap<String, u32>,
    left_out: u64,
    /// The first line that was left out.
    example: String,
}

/// A line that says how many others there would have been.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    level: Level,
    left_out: u64,
    example: String,
}

/// Counts the lines of each place in the code.
///
/// A std mutex: it is held for a look-up, and by whoever logs at all.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<Identifier, Site>>);

impl Throttle {
    /// Whether a line may be written; it is counted either way.
    fn admits(&self, site: Identifier, level: Level, said: Said, now: Instant) -> bool {
        let mut sites = self.0.lock().expect("no panic while it is held");
        let site = sites.entry(site).or_insert_with(|| Site {
            level,
            since: now,
            lines: 0,
            lines_of: HashMap::new(),
            left_out: 0,
            example: String::new(),
        });
        if now.duration_since(site.since) >= WINDOW {
            site.since = now;
            site.lines = 0;
            site.lines_of.clear();
        }
        let of_one = site.lines_of.get(&said.about).copied().unwrap_or(0);
        if site.lines < LINES && of_one < LINES_OF_ONE {
            site.lines += 1;
            site.lines_of.insert(said.about, of_one + 1);
            return true;
        }
        if site.left_out == 0 {
            site.example = said.message;
        }
        site.left_out += 1;
        false
    }

    /// What was left out since this was last asked.
    fn summaries(&self) -> Vec<Summary> {
        let mut sites = self.0.lock().expect("no panic while it is held");
        let sites = sites.values_mut().filter(|site| site.left_out > 0);
        let summary = |site: &mut Site| Summary {
            level: site.level,
            left_out: std::mem::take(&mut site.left_out),
            example: std::mem::take(&mut site.example),
        };
        sites.map(summary).collect()
    }

    /// Says what was left out since it was last said.
    pub(super) fn sum_up(&self) {
        for Summary {
            level,
            left_out,
            example,
        } in self.summaries()
        {
            match level {
                Level::ERROR => error!(
                    left_out,
                    "more lines were left out that are like this one: {example}"
                ),
                Level::WARN => warn!(
                    left_out,
                    "more lines were left out that are like this one: {example}"
                ),
                _ => info!(
                    left_out,
                    "more lines were left out that are like this one: {example}"
                ),
            }
        }
    }
}

/// Lets those events pass whose place in the code has not said too much. Whoever asks for debug or trace gets all of
/// it.
pub(super) struct Admission(pub(super) Arc<Throttle>);

impl<S: Subscriber> Filter<S> for Admission {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_ours = metadata.target() == module_path!();
        if is_ours || *metadata.level() > Level::INFO {
            return true;
        }
        let mut said = Said::default();
        event.record(&mut said);
        (self.0).admits(metadata.callsite(), *metadata.level(), said, Instant::now())
    }
}

/// What an event says, and of whom.
#[derive(Debug, Default)]
struct Said {
    about: String,
    message: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else if ABOUT.contains(&field.name()) {
            self.about = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Identifier {
        // Any event's place will do.
        struct Place;
        impl tracing::callsite::Callsite for Place {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                unreachable!("nothing is logged there")
            }
        }
        static PLACE: Place = Place;
        Identifier(&PLACE)
    }

    fn of(about: &str, message: &str) -> Said {
        Said {
            about: about.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn one_hook_fills_no_log_and_takes_no_lines_of_others() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let passed = |about: &str, count: usize, now: Instant| {
            let admits =
                |n| throttle.admits(site(), Level::WARN, of(about, &format!("{about} {n}")), now);
            (0..count).filter(|n| admits(*n)).count()
        };
        assert_eq!(passed("bad", 1_000, now), 10);
        assert_eq!(passed("other", 3, now), 3);
        let summary = Summary {
            level: Level::WARN,
            left_out: 990,
            example: "bad 10".to_owned(),
        };
        assert_eq!(throttle.summaries(), [summary]);
        assert_eq!(throttle.summaries(), []);
        assert_eq!(passed("bad", 5, now + WINDOW / 2), 0);
        assert_eq!(passed("bad", 1_000, now + WINDOW), 10);
        assert_eq!(throttle.summaries()[0].left_out, 5 + 990);
    }

    #[test]
    fn many_hooks_fill_no_log_either() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let admits = |n: usize| throttle.admits(site(), Level::WARN, of(&n.to_string(), "x"), now);
        assert_eq!((0..1_000).filter(|n| admits(*n)).count(), 100);
        assert_eq!(throttle.summaries()[0].left_out, 900);
    }
}
