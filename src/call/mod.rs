//! Channels and calls: an [`Event`](crate::esl::Event) in, [`Fact`]s out.
//!
//! A pure state machine: no I/O and no clock of its own.

mod account;
mod fact;

pub use account::{Account, Accounts, Hints, Rules, Source};
pub use fact::{CallType, Fact, Payload, Subscription, Value, digits};
