//! When, where and how requests are sent: order, limits, retries, signatures, forbidden addresses.
//!
//! It knows the store, HTTP and NATS, and nothing of the switch.

mod attempt;
mod disabler;
mod dispatcher;
mod endpoint;
mod guard;
mod handle;
mod nats;
mod queue;
pub mod replay;
mod send;
mod verdict;

pub use attempt::record;
pub use dispatcher::{Dispatcher, Inputs};
pub use guard::{Denied, Guard, NoSuchHost};
pub use handle::{DeliveryConfig, DeliveryHandle, DeliveryStats, EndpointState, Seen, SwitchOff};
pub use send::{SendConfig, Sender, Sent};
pub use verdict::{Answer, AnswerClass, Backoff, Decision, decide, retry_after};
