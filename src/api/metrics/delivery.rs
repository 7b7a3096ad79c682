//! Hooks, deliveries and attempts.

use std::sync::atomic::Ordering::Relaxed;

use super::super::ApiState;
use super::page::Page;
use super::switch::by_trigger;
use crate::delivery::AnswerClass;
use crate::store::deliveries::State;

pub(super) fn write(
    page: &mut Page<'_>,
    api: &ApiState,
    oldest_pending_seconds: Option<Option<f64>>,
) -> std::fmt::Result {
    let stats = api.delivery.stats();
    let store = api.store.stats();
    hooks(page, api)?;
    page.counters(
        "matches",
        "Deliveries that were committed for hooks, by trigger",
        by_trigger(store.matches.read()),
    )?;
    let ended = State::ALL.iter().zip(store.ended.read());
    page.counters(
        "deliveries",
        "Deliveries that ended, by result; one that is queued again ends again",
        ended
            .filter(|(state, _)| **state != State::Pending)
            .map(|(state, count)| ([("result", state.id())], count)),
    )?;
    page.gauge(
        "deliveries_pending",
        "Deliveries that are committed and have not ended: the queue, in memory and on disk",
        api.store.health().pending,
    )?;
    // Where the database does not say, there is no number rather than a wrong one.
    if let Some(age) = oldest_pending_seconds {
        page.gauge(
            "deliveries_oldest_pending_age_seconds",
            "How long ago that happened which the oldest pending delivery is about; 0 where none is pending",
            age.unwrap_or(0.0),
        )?;
    }
    for (name, help, value) in [
        (
            "deliveries_in_memory",
            "Pending deliveries in memory or under way; the others wait on disk",
            &stats.in_memory,
        ),
        (
            "attempts_in_flight",
            "Requests to receivers under way",
            &stats.in_flight,
        ),
    ] {
        page.gauge(name, help, value.load(Relaxed))?;
    }
    page.gauge(
        "circuits_open",
        "Endpoints of hooks that are on and that no connection comes about to: they are probed",
        api.delivery.circuits_open() as u64,
    )?;
    let attempts = AnswerClass::ALL.iter().zip(stats.attempts.read());
    page.counters(
        "attempts",
        "Requests to receivers that ended, by outcome",
        attempts.map(|(class, count)| ([("outcome", class.id())], count)),
    )?;
    for (name, help, times) in [
        (
            "event_to_commit_seconds",
            "From an event, by the switch's clock, to its commit",
            &store.event_to_commit,
        ),
        (
            "commit_to_attempt_seconds",
            "From a delivery's commit to its first request",
            &stats.commit_to_attempt,
        ),
        (
            "attempt_seconds",
            "How long requests to receivers took",
            &stats.attempt_times,
        ),
        (
            "event_to_delivery_seconds",
            "From an event to its delivery, retries included",
            &stats.end_to_end,
        ),
    ] {
        page.histogram(name, help, &times.read())?;
    }
    Ok(())
}

fn hooks(page: &mut Page<'_>, api: &ApiState) -> std::fmt::Result {
    let (mut on, mut off, mut switched_off) = (0, 0, 0);
    for hook in api.registry.index().all() {
        let state = match (&hook.disable_reason, hook.is_on()) {
            (Some(_), _) => &mut switched_off,
            (None, true) => &mut on,
            (None, false) => &mut off,
        };
        *state += 1;
    }
    page.gauges(
        "hooks",
        "Hooks that are on, off by their owner, or switched off because they failed",
        [("on", on), ("off", off), ("switched_off", switched_off)]
            .map(|(state, count)| ([("state", state)], count)),
    )
}
