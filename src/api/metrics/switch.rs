//! What came from the switch, and what happened by it.

use super::super::ApiState;
use super::page::Page;
use crate::trigger::Trigger;

/// What has come from the switch since the start, told by who knows the wire.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// How often the connection was made again.
    pub reconnects: u64,
    /// Events that arrived, by the switch's names.
    pub events: Vec<(&'static str, u64)>,
    /// Events that arrived and that nobody had asked for.
    pub unasked_events: u64,
    /// Frames and events that could not be read.
    pub parse_errors: u64,
    /// Replies that nobody waited for.
    pub stray_replies: u64,
    /// What happened, by [`Trigger`].
    pub facts: [u64; Trigger::COUNT],
    /// Calls that the dialplan has handed over and that are here now.
    pub callflow_sessions: u64,
    /// Calls that the dialplan has handed over.
    pub callflow_calls: u64,
    /// Those of them that were handed back at once, because there were too many.
    pub callflow_refused: u64,
}

pub(super) fn write(page: &mut Page<'_>, api: &ApiState) -> std::fmt::Result {
    let switch = (api.health.switch)();
    let traffic = (api.health.traffic)();
    page.gauge(
        "switch_connected",
        "1 while the event socket is connected and logged in",
        u64::from(switch.connected),
    )?;
    page.counter(
        "switch_reconnects",
        "Connections to the switch after the first one",
        traffic.reconnects,
    )?;
    let events = traffic.events.iter();
    page.counters(
        "events",
        "Events that arrived, by the switch's own names, all others as other",
        events.map(|(name, count)| ([("event", *name)], *count)),
    )?;
    page.counter(
        "events_unasked",
        "Events that arrived unasked for and were dropped unread",
        traffic.unasked_events,
    )?;
    page.counter(
        "events_shed",
        "Events dropped because the store was stalled",
        switch.shed_events,
    )?;
    page.counter(
        "parse_errors",
        "Frames and events of the switch that could not be read",
        traffic.parse_errors,
    )?;
    page.counter(
        "stray_replies",
        "Replies of the switch that nobody waited for",
        traffic.stray_replies,
    )?;
    page.counters(
        "facts",
        "What happened to calls, by trigger, whether a hook wants it or not",
        by_trigger(traffic.facts),
    )?;
    page.gauge("channels", "Legs that are alive", switch.channels)?;
    page.gauge(
        "callflow_sessions",
        "Calls that the dialplan has handed over and that are here now",
        traffic.callflow_sessions,
    )?;
    page.counter(
        "callflow_calls",
        "Calls that the dialplan has handed over",
        traffic.callflow_calls,
    )?;
    page.counter(
        "callflow_calls_refused",
        "Calls handed back at once because there were too many",
        traffic.callflow_refused,
    )
}

/// Counts of every trigger with their labels.
pub(super) fn by_trigger(
    counts: [u64; Trigger::COUNT],
) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
    let triggers = Trigger::ALL.iter().zip(counts);
    triggers.map(|(trigger, count)| ([("trigger", trigger.id())], count))
}
