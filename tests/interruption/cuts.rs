//! The socket is dropped at every event of every recorded call, for a moment or for longer, and the switch
//! is then asked what is alive.

use switchhook::call::Snapshot;
use switchhook::esl::Event;
use switchhook::time::Timestamp;

use crate::complete::{Told, complete};
use crate::list::Channels;
use crate::support::capture;
use crate::tools::{self, Desk, line};

/// How many events are missed, how many are heard before the switch has answered, and whether it says more of
/// a channel than its list does.
const GAPS: &[(usize, usize, bool)] = &[
    (0, 0, true),
    (0, 3, true),
    (1, 0, true),
    (1, 1, false),
    (3, 0, false),
    (5, 8, true),
    (12, 0, true),
    (12, 2, false),
    (40, 0, true),
    (40, 20, true),
    (usize::MAX, 0, true),
];

fn time_of(event: &Event) -> i64 {
    event.number("Event-Date-Timestamp").unwrap()
}

/// A gap in what is heard of a call.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// The first event that is missed.
    from: usize,
    /// The first one that is heard again; the switch is asked what is alive before it.
    to: usize,
    /// How many events are heard before all that was asked is answered.
    lag: usize,
    /// Whether the switch says more of a channel than the list does.
    dumps: bool,
}

/// Plays `events` with a gap; then the switch goes quiet and is asked once more.
fn cut(events: &[Event], gap: Gap) -> Desk {
    let core = events[0].text("Core-UUID").unwrap().into_owned();
    let mut desk = Desk::new();
    desk.hear_all(&events[..gap.from]);
    desk.tracker.asks_for_channels();
    let mut snapshot = Channels::after(&events[..gap.to]).snapshot(&core);
    if !gap.dumps {
        snapshot.channels.iter_mut().for_each(|row| row.dump = None);
    }
    let answered = (gap.to + gap.lag).min(events.len());
    desk.hear_all(&events[gap.to..answered]);
    let now = Timestamp(time_of(&events[answered.max(1) - 1]) + 1_000);
    desk.tracker
        .reconcile(&snapshot, now, &desk.accounts, &mut desk.facts);
    desk.hear_all(&events[answered..]);
    let nothing = Snapshot {
        core_uuid: Some(core),
        channels: Vec::new(),
    };
    desk.see(&nothing, time_of(events.last().unwrap()) + 60_000_000);
    desk
}

fn recorded() -> Vec<(String, Vec<Event>)> {
    capture::names(".plain.esl")
        .into_iter()
        .map(|file| {
            let name = file.trim_end_matches(".plain.esl").to_owned();
            let events = tools::capture(&name);
            (name, events)
        })
        .collect()
}

#[test]
fn wherever_the_socket_drops_every_call_is_told_to_its_end() {
    let mut problems = Vec::new();
    for (name, events) in recorded() {
        for from in 0..=events.len() {
            for (missed, lag, dumps) in GAPS {
                let to = from.saturating_add(*missed).min(events.len());
                let gap = Gap {
                    from,
                    to,
                    lag: *lag,
                    dumps: *dumps,
                };
                let desk = cut(&events, gap);
                let told = || desk.facts.iter().map(line).collect::<Vec<_>>().join(" ");
                if let Err(problem) = complete(&desk.facts.iter().map(Told::of).collect::<Vec<_>>())
                {
                    problems.push(format!("{name} {gap:?}: {problem}: {}", told()));
                }
                if !desk.is_empty() {
                    problems.push(format!("{name} {gap:?}: a leg is left"));
                }
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn a_connection_that_is_back_at_once_changes_nothing_that_is_told() {
    let sorted = |desk: &Desk| {
        let mut told: Vec<_> = desk.facts.iter().map(line).collect();
        told.sort();
        told
    };
    let mut problems = Vec::new();
    for (name, events) in recorded() {
        let whole = sorted(Desk::new().hear_all(&events));
        for at in 1..events.len() {
            let gap = Gap {
                from: at,
                to: at,
                lag: 0,
                dumps: true,
            };
            let cut = sorted(&cut(&events, gap));
            if cut != whole {
                let more: Vec<_> = cut.iter().filter(|one| !whole.contains(one)).collect();
                let less: Vec<_> = whole.iter().filter(|one| !cut.contains(one)).collect();
                problems.push(format!("{name} at {at}: more {more:?}, less {less:?}"));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}
