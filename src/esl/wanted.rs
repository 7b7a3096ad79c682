//! Which events a connection wants of the switch: names, and the subclasses of `CUSTOM`.

use std::collections::BTreeSet;
use std::fmt;

use super::command::{CommandError, word};
use super::event::Event;

/// A set of events by name (`switch_event.c`, `EVENT_NAMES`) and of `CUSTOM` events by subclass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    names: BTreeSet<Box<str>>,
    subclasses: BTreeSet<Box<str>>,
}

impl Wanted {
    /// The set of `events`, each written as for [`insert`](Self::insert).
    ///
    /// # Errors
    /// One of them is no name of an event.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a str>) -> Result<Self, CommandError> {
        let mut wanted = Self::default();
        for event in events {
            wanted.insert(event)?;
        }
        Ok(wanted)
    }

    /// Adds `CHANNEL_CREATE`, `CUSTOM callcenter::info` … Names may be in any case, subclasses may not.
    /// `ALL` is everything.
    ///
    /// # Errors
    /// It is more than one word, holds a line break, or is `CUSTOM` without a subclass, which the switch
    /// takes for no event at all.
    pub fn insert(&mut self, event: &str) -> Result<(), CommandError> {
        match event.split_once(' ') {
            Some((custom, subclass)) if custom.eq_ignore_ascii_case("CUSTOM") => {
                word("event subclass", subclass, &[' ', '\t'])?;
                self.subclasses.insert(subclass.into());
            }
            None if event.eq_ignore_ascii_case("CUSTOM") => {
                return Err(CommandError::Empty {
                    part: "subclass of CUSTOM",
                });
            }
            _ => {
                word("event name", event, &[' ', '\t'])?;
                self.names.insert(event.to_ascii_uppercase().into());
            }
        }
        Ok(())
    }

    /// Adds `HEARTBEAT`, by which a connection is known to be alive.
    pub(super) fn want_heartbeat(&mut self) {
        self.names.insert("HEARTBEAT".into());
    }

    /// What is in this set and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        if other.is_all() {
            return Self::default();
        }
        Self {
            names: self.names.difference(&other.names).cloned().collect(),
            subclasses: self
                .subclasses
                .difference(&other.subclasses)
                .cloned()
                .collect(),
        }
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.subclasses.extend(other.subclasses.iter().cloned());
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.subclasses.is_empty()
    }

    /// Whether everything is wanted.
    pub fn is_all(&self) -> bool {
        self.names.contains("ALL")
    }

    /// Whether events of this name may be wanted; a `CUSTOM` one needs a look at its subclass too.
    pub(super) fn may_hold(&self, name: &[u8]) -> bool {
        match name {
            b"CUSTOM" => !self.subclasses.is_empty() || self.is_all(),
            name => {
                std::str::from_utf8(name).is_ok_and(|name| self.names.contains(name))
                    || self.is_all()
            }
        }
    }

    /// Whether `event` is wanted.
    pub fn holds(&self, event: &Event) -> bool {
        match event.name() {
            "CUSTOM" => {
                let subclass = event.subclass();
                subclass.is_some_and(|subclass| self.subclasses.contains(&*subclass))
                    || self.is_all()
            }
            name => self.may_hold(name.as_bytes()),
        }
    }
}

/// As `event plain` and `nixevent` want it: names first, for everything behind `CUSTOM` is a subclass.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("ALL");
        }
        let custom = (!self.subclasses.is_empty()).then_some("CUSTOM");
        let words = self.names.iter().map(|name| &**name);
        let words = words.chain(custom);
        let words = words.chain(self.subclasses.iter().map(|subclass| &**subclass));
        for (at, word) in words.enumerate() {
            f.write_str(if at == 0 { "" } else { " " })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_custom_event_is_wanted_by_its_subclass() {
        let wanted = Wanted::of(["channel_create", "CUSTOM callcenter::info"]).unwrap();
        let event = |text| Event::from_plain(Bytes::from_static(text));
        assert!(wanted.holds(&event(b"Event-Name: CHANNEL_CREATE\n")));
        assert!(!wanted.holds(&event(b"Event-Name: DTMF\n")));
        assert!(wanted.holds(&event(
            b"Event-Subclass: callcenter%3A%3Ainfo\nEvent-Name: CUSTOM\n"
        )));
        assert!(!wanted.holds(&event(
            b"Event-Subclass: fifo%3A%3Ainfo\nEvent-Name: CUSTOM\n"
        )));
        let all = Wanted::of(["ALL"]).unwrap();
        assert!(all.holds(&event(
            b"Event-Subclass: fifo%3A%3Ainfo\nEvent-Name: CUSTOM\n"
        )));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert!(Wanted::of(["CUSTOM"]).is_err());
        assert!(Wanted::of(["CUSTOM a b"]).is_err());
        assert!(Wanted::of(["CHANNEL CREATE"]).is_err());
        assert!(Wanted::of([""]).is_err());
    }
}
