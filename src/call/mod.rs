//! Channels and calls: an [`Event`](crate::esl::Event) in, [`Fact`]s out.
//!
//! A pure state machine: no I/O and no clock of its own. [`Tracker`] is the door; behind it `book` holds the
//! legs and calls that live now, `channel` and `calls` have a function a trigger, `answer` works out who took
//! a call, `reconcile` compares what is remembered with what the switch says is alive.

mod account;
mod action;
mod answer;
mod book;
mod calls;
mod channel;
mod fact;
mod leg;
mod living;
mod memory;
mod needs;
mod payload;
mod reconcile;
mod snapshot;
mod state;
mod teller;
mod tracker;

pub use account::{Account, Accounts, Hints, Rules, Source};
pub use action::fact_of_action;
pub use fact::{CallType, Fact, Payload, Subscription, Value, digits};
pub use living::{Living, living};
pub use memory::RestoreError;
pub use needs::Wanted;
pub use snapshot::{ChannelRow, Snapshot, SnapshotError};
pub use tracker::{Mismatch, Place, Tracker, TrackerConfig};
