//! What another configuration would change, and which of it a running daemon takes over.

use super::key::{Key, Shown};

/// A key that has another value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `section.key`.
    pub key: &'static str,
    /// What it was.
    pub from: Shown,
    /// What it is to be.
    pub to: Shown,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.from, &self.to) {
            (Shown::Secret, Shown::Secret) => f.write_str(self.key),
            (from, to) => write!(f, "{} {from} -> {to}", self.key),
        }
    }
}

/// What another configuration changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// What was taken over.
    pub applied: Vec<Change>,
    /// What waits for a restart.
    pub needs_restart: Vec<Change>,
}

impl Changes {
    /// Compares a key, and takes its new value over where that is possible while the daemon runs.
    pub(super) fn note<T: Key>(&mut self, key: &'static str, live: bool, value: &mut T, new: T) {
        if *value == new {
            return;
        }
        let change = Change {
            key,
            from: value.shown(),
            to: new.shown(),
        };
        match live {
            true => {
                self.applied.push(change);
                *value = new;
            }
            false => self.needs_restart.push(change),
        }
    }
}
